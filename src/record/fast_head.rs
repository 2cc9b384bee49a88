//! The usual record, read in a few steps: without headers, every length in three bytes at the most.
//!
//! Called by validation before it reads a record field by field. Invariant: what is found here is
//! what the careful reading finds; whatever is unusual or wrong is left to that reading.

use super::varint::unzigzag32;
use super::window::RecordHead;

/// Bytes that hold everything in front of a record's key, and the value's length when there is no
/// key: five numbers of up to three bytes and the attributes.
const WINDOW_BYTES: usize = 16;
/// The attributes of a record, which are unused.
const ATTRIBUTES_BYTES: usize = 1;
/// A length of -1, as it is written.
const NULL: u32 = 1;

/// What validation wants to know of the record at the front of `bytes`, and where the record ends.
#[inline(always)]
pub(super) fn usual_head(bytes: &[u8]) -> Option<(RecordHead, usize)> {
    let window = bytes.first_chunk()?;
    let mut at = 0;
    let body_bytes = length(number(window, &mut at)?)?;
    let end = at + body_bytes;
    at += ATTRIBUTES_BYTES;
    let timestamp_delta = i64::from(unzigzag32(number(window, &mut at)?));
    let offset_delta = unzigzag32(number(window, &mut at)?);
    let key = number(window, &mut at)?;
    let has_key = key != NULL;
    let value = if has_key {
        let behind_key = at + length(key)?;
        let window = bytes.get(behind_key..)?.first_chunk()?;
        let mut length_bytes = 0;
        let value = number(window, &mut length_bytes)?;
        at = behind_key + length_bytes;
        value
    } else {
        number(window, &mut at)?
    };
    let value_bytes = if value == NULL { 0 } else { length(value)? };
    let headers_at = at + value_bytes;
    // The count of headers, zero, is the last byte of the record.
    if headers_at + 1 != end || *bytes.get(headers_at)? != 0 {
        return None;
    }
    let head = RecordHead {
        timestamp_delta,
        offset_delta,
        has_key,
    };
    Some((head, end))
}

/// A length that is not negative.
#[inline(always)]
fn length(raw: u32) -> Option<usize> {
    (raw & 1 == 0).then_some(raw as usize >> 1)
}

/// The number at `at` as it is written, if it has three bytes at the most; moves `at` behind it. No
/// record gets beyond the window: the mask only spares a comparison.
#[inline(always)]
fn number(window: &[u8; WINDOW_BYTES], at: &mut usize) -> Option<u32> {
    let mut next = || {
        let byte = window[*at % WINDOW_BYTES];
        *at += 1;
        u32::from(byte)
    };
    let first = next();
    if first < 0x80 {
        return Some(first);
    }
    let second = next();
    if second < 0x80 {
        return Some(first + (second << 7) - 0x80);
    }
    let third = next();
    (third < 0x80).then(|| first + (second << 7) + (third << 14) - 0x4080)
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
            let (careful, rest) = take_head(&followed).unwrap();
            assert_eq!(usual_head(&followed), Some((careful, bytes.len())));
            assert_eq!(rest, [9; 16]);
        }
        let mut with_header = record((0, 0), None, Some(&[7; 100]));
        *with_header.last_mut().unwrap() = 2;
        for unusual in [with_header, record((0, 1 << 20), None, Some(&[7; 100]))] {
            assert_eq!(usual_head(&unusual), None);
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
            if let Some((head, end)) = usual_head(&bytes) {
                prop_assert_eq!(take_head(&bytes), Ok((head, &bytes[end..])));
            }
        }
    }
}
