//! The usual record, read in a few steps: without headers, every length in three bytes at the most.
//!
//! Called by validation before it reads a record field by field. Invariant: what is found here is
//! what the careful reading finds; whatever is unusual or wrong is left to that reading, untouched.

use super::varint::unzigzag32;
use super::window::RecordHead;

/// Bytes that hold everything in front of a record's key, and the value's length when there is no
/// key: five numbers of up to three bytes and the attributes.
const WINDOW_BYTES: usize = 16;

/// Takes a record from the front of `rest` and says what validation wants to know of it. None
/// leaves `rest` as it is.
#[inline(always)]
pub(super) fn take_usual_head(rest: &mut &[u8]) -> Option<RecordHead> {
    let bytes = *rest;
    let mut window = Numbers {
        bits: u128::from_le_bytes(*bytes.first_chunk::<WINDOW_BYTES>()?),
        taken: 0,
    };
    let body_bytes = length(window.take()?)?;
    let end = window.taken + body_bytes;
    window.skip_byte();
    let timestamp_delta = i64::from(unzigzag32(window.take()?));
    let offset_delta = unzigzag32(window.take()?);
    let key = window.take()?;
    let has_key = key != NULL;
    if has_key {
        let at = window.taken + length(key)?;
        let behind_key = bytes.get(at..)?.first_chunk::<4>()?;
        window = Numbers {
            bits: u128::from(u32::from_le_bytes(*behind_key)),
            taken: at,
        };
    }
    let value = window.take()?;
    let value_bytes = if value == NULL { 0 } else { length(value)? };
    let headers_at = window.taken + value_bytes;
    // The count of headers, zero, is the last byte of the record.
    if headers_at + 1 != end || *bytes.get(headers_at)? != 0 {
        return None;
    }
    *rest = bytes.get(end..)?;
    Some(RecordHead {
        timestamp_delta,
        offset_delta,
        has_key,
    })
}

/// A length of -1, as it is written.
const NULL: u32 = 1;

/// A length that is not negative.
#[inline(always)]
fn length(raw: u32) -> Option<usize> {
    (raw & 1 == 0).then_some(raw as usize >> 1)
}

/// Numbers that follow each other, the first one in the low bits.
struct Numbers {
    bits: u128,
    /// Bytes from the beginning of the record to here.
    taken: usize,
}

impl Numbers {
    /// The next number as it is written, if it has three bytes at the most.
    #[inline(always)]
    fn take(&mut self) -> Option<u32> {
        let low = self.bits as u32;
        if low & 0x80 == 0 {
            self.bits >>= 8;
            self.taken += 1;
            return Some(low & 0x7f);
        }
        if low & 0x8000 == 0 {
            self.bits >>= 16;
            self.taken += 2;
            return Some(low & 0x7f | low >> 1 & 0x3f80);
        }
        if low & 0x80_0000 == 0 {
            self.bits >>= 24;
            self.taken += 3;
            return Some(low & 0x7f | low >> 1 & 0x3f80 | low >> 2 & 0x1f_c000);
        }
        None
    }

    #[inline(always)]
    fn skip_byte(&mut self) {
        self.bits >>= 8;
        self.taken += 1;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::record_reader::take_head;
    use super::super::varint::put_varlong;
    use super::*;

    fn put_bytes(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
        put_varlong(out, bytes.map_or(-1, |bytes| bytes.len() as i64));
        out.extend_from_slice(bytes.unwrap_or_default());
    }

    fn record(times: (i64, i64), key: Option<&[u8]>, value: Option<&[u8]>) -> Vec<u8> {
        let mut body = vec![0];
        put_varlong(&mut body, times.0);
        put_varlong(&mut body, times.1);
        put_bytes(&mut body, key);
        put_bytes(&mut body, value);
        body.push(0);
        let mut record = Vec::new();
        put_varlong(&mut record, body.len() as i64);
        record.extend_from_slice(&body);
        record
    }

    #[test]
    fn usual_records_are_found_and_others_left_alone() {
        let usual = [
            record((0, 0), None, Some(&[7; 100])),
            record((-3, 9_000), Some(b"key"), Some(&[7; 1024])),
            record((70_000, 1), Some(&[1; 300]), None),
            record((0, 64), Some(b""), Some(b"")),
        ];
        for bytes in usual {
            let followed = [&bytes[..], &[9; 16]].concat();
            let (mut fast, mut careful) = (&followed[..], &followed[..]);
            assert_eq!(take_usual_head(&mut fast), take_head(&mut careful).ok());
            assert_eq!(fast, [9; 16]);
        }
        let mut with_header = record((0, 0), None, Some(&[7; 100]));
        *with_header.last_mut().unwrap() = 2;
        for unusual in [with_header, record((0, 1 << 20), None, Some(&[7; 100]))] {
            let mut rest = &unusual[..];
            assert_eq!(take_usual_head(&mut rest), None);
            assert_eq!(rest, unusual);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn what_is_found_is_what_the_careful_reading_finds(
            times: (i32, i32),
            shifts in (0u32..32, 0u32..32),
            sizes in (0usize..200, 0usize..200),
            nulls: (bool, bool),
            damage in proptest::option::of((0usize..80, any::<u8>())),
            cut in 0usize..40,
        ) {
            let (key, value) = (vec![0; sizes.0], vec![0; sizes.1]);
            let key = (!nulls.0).then_some(&key[..]);
            let value = (!nulls.1).then_some(&value[..]);
            let times = (i64::from(times.0 >> shifts.0), i64::from(times.1 >> shifts.1));
            let mut bytes = record(times, key, value);
            bytes.extend_from_slice(&[0; 20]);
            if let Some((at, byte)) = damage && at < bytes.len() {
                bytes[at] = byte;
            }
            bytes.truncate(bytes.len() - cut.min(bytes.len()));
            let (mut fast, mut careful) = (&bytes[..], &bytes[..]);
            let found = take_usual_head(&mut fast);
            if let Some(head) = found {
                prop_assert_eq!(take_head(&mut careful), Ok(head));
                prop_assert_eq!(fast, careful);
            } else {
                prop_assert_eq!(fast, &bytes[..]);
            }
        }
    }
}
