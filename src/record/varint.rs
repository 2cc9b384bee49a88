//! Variable-length integers as Kafka's records hold them: seven bits a byte, low ones first, zig-zag.
//!
//! Called by the readers and the builder of this room. Invariant: reading never goes beyond the
//! slice, nor beyond 5 bytes for 32 bits and 10 for 64.

/// The most bytes of a 32-bit number.
pub(super) const VARINT_BYTES_MAX: usize = 5;
/// The most bytes of a 64-bit number.
pub(super) const VARLONG_BYTES_MAX: usize = 10;

/// Reads a 32-bit number from the front of `bytes` and moves behind it. None when the bytes end
/// early or the number has more than 32 bits.
#[inline(always)]
pub(super) fn take_varint(bytes: &mut &[u8]) -> Option<i32> {
    if let Some(short) = take_short(bytes) {
        return Some(unzigzag32(short));
    }
    let long = take_long(bytes, VARINT_BYTES_MAX)?;
    u32::try_from(long).ok().map(unzigzag32)
}

/// Reads a 64-bit number from the front of `bytes` and moves behind it. None when the bytes end
/// early or the number has more than 64 bits.
#[inline(always)]
pub(super) fn take_varlong(bytes: &mut &[u8]) -> Option<i64> {
    if let Some(short) = take_short(bytes) {
        return Some(i64::from(unzigzag32(short)));
    }
    take_long(bytes, VARLONG_BYTES_MAX).map(unzigzag64)
}

/// A number of up to three bytes, as nearly all are; None leaves the bytes to `take_long`.
#[inline(always)]
fn take_short(bytes: &mut &[u8]) -> Option<u32> {
    match **bytes {
        [first @ 0..0x80, ref rest @ ..] => {
            *bytes = rest;
            Some(u32::from(first))
        }
        [first, second @ 0..0x80, ref rest @ ..] => {
            *bytes = rest;
            Some(u32::from(first & 0x7f) | u32::from(second) << 7)
        }
        [first, second, third @ 0..0x80, ref rest @ ..] => {
            *bytes = rest;
            let low = u32::from(first & 0x7f) | u32::from(second & 0x7f) << 7;
            Some(low | u32::from(third) << 14)
        }
        _ => None,
    }
}

#[inline(never)]
fn take_long(bytes: &mut &[u8], bytes_max: usize) -> Option<u64> {
    let mut number = 0u64;
    for (index, &byte) in bytes.iter().take(bytes_max).enumerate() {
        let bits = u64::from(byte & 0x7f);
        let shifted = bits << (7 * index);
        if shifted >> (7 * index) != bits {
            return None;
        }
        number |= shifted;
        if byte < 0x80 {
            *bytes = &bytes[index + 1..];
            return Some(number);
        }
    }
    None
}

/// Appends a 32-bit number.
pub(super) fn put_varint(out: &mut Vec<u8>, number: i32) {
    put_varlong(out, i64::from(number));
}

/// Appends a 64-bit number.
pub(super) fn put_varlong(out: &mut Vec<u8>, number: i64) {
    let mut rest = zigzag64(number);
    while rest >= 0x80 {
        out.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// Bytes a number takes.
pub(super) fn varint_size(number: i64) -> usize {
    let bits = 64 - (zigzag64(number) | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

fn zigzag64(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)).cast_unsigned()
}

/// The number that is written as `raw`.
#[inline(always)]
pub(super) fn unzigzag32(raw: u32) -> i32 {
    (raw >> 1).cast_signed() ^ -(raw & 1).cast_signed()
}

fn unzigzag64(raw: u64) -> i64 {
    (raw >> 1).cast_signed() ^ -(raw & 1).cast_signed()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_have_the_bytes_the_format_gives_them() {
        for (number, bytes) in [
            (0, vec![0]),
            (-1, vec![1]),
            (1, vec![2]),
            (63, vec![0x7e]),
            (64, vec![0x80, 1]),
            (-65, vec![0x81, 1]),
            (i32::MAX, vec![0xfe, 0xff, 0xff, 0xff, 0x0f]),
            (i32::MIN, vec![0xff, 0xff, 0xff, 0xff, 0x0f]),
        ] {
            let mut out = Vec::new();
            put_varint(&mut out, number);
            assert_eq!(out, bytes);
            assert_eq!(varint_size(number.into()), bytes.len());
            assert_eq!(take_varint(&mut bytes.as_slice()), Some(number));
        }
    }

    #[test]
    fn numbers_that_end_early_or_are_too_long_are_none() {
        for bytes in [
            &[][..],
            &[0x80],
            &[0x80, 0x80],
            &[0xff, 0xff, 0xff, 0xff, 0x10],
            &[0x80, 0x80, 0x80, 0x80, 0x80, 0],
        ] {
            assert_eq!(take_varint(&mut &bytes[..]), None, "{bytes:?}");
        }
        let mut eleven = vec![0x80; 10];
        eleven.push(0);
        assert_eq!(take_varlong(&mut eleven.as_slice()), None);
        let beyond = [[0xff; 9].as_slice(), &[2]].concat();
        assert_eq!(take_varlong(&mut beyond.as_slice()), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn a_number_written_is_the_number_read(long: i64, shift in 0u32..64, follower: u8) {
            let long = long >> shift;
            let mut out = Vec::new();
            put_varlong(&mut out, long);
            prop_assert_eq!(out.len(), varint_size(long));
            out.push(follower);
            let mut rest = out.as_slice();
            prop_assert_eq!(take_varlong(&mut rest), Some(long));
            prop_assert_eq!(rest, [follower]);
            let mut rest = out.as_slice();
            prop_assert_eq!(take_varint(&mut rest), i32::try_from(long).ok());
        }
    }
}
