//! One record, lent from the bytes it lies in.
//!
//! Made by the reader and by validation; read by whoever looks into records. Invariant: a view that
//! exists was walked through to its last header, and its fields fill its bytes exactly.

use super::varint::{take_varint, take_varlong};

/// Why the records of a batch cannot be read. The batch is at fault, not the bytes' way here: its
/// checksum covers them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordFault {
    /// The records end before as many were read as the header counts.
    #[error("the records end before the count of the header is reached")]
    Truncated,
    /// A field of a record does not fit the format or the record's length.
    #[error("a record is malformed: {0}")]
    Malformed(&'static str),
    /// Bytes are left behind the last record the header counts.
    #[error("bytes are left behind the last record")]
    TrailingBytes,
    /// The attributes name a codec that does not exist.
    #[error("compression codec {0} does not exist")]
    UnknownCodec(u8),
    /// The compressed bytes are not what their codec produces.
    #[error("the records cannot be decompressed as {codec}: {reason}")]
    Decompression {
        /// The codec's name.
        codec: &'static str,
        /// What the decompressor says.
        reason: String,
    },
    /// The records decompress to more than is allowed.
    #[error("the records decompress to more than {bytes_max} bytes")]
    DecompressedTooLarge {
        /// The most bytes allowed.
        bytes_max: usize,
    },
}

/// A record of a batch (Kafka's `DefaultRecord`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordView<'a> {
    /// Offset minus the batch's base offset.
    pub offset_delta: i32,
    /// Timestamp minus the batch's base timestamp, in milliseconds.
    pub timestamp_delta: i64,
    /// The key, if it has one.
    pub key: Option<&'a [u8]>,
    /// The value, if it has one; a record without is a tombstone on a compacted topic.
    pub value: Option<&'a [u8]>,
    headers_count: i32,
    headers: &'a [u8],
}

impl<'a> RecordView<'a> {
    /// Reads the body of a record, which is what follows its length. The error names the field.
    #[inline(always)]
    pub(super) fn parse(body: &'a [u8]) -> Result<RecordView<'a>, &'static str> {
        // The attributes of a record are unused, and whatever is there is kept, as in Kafka.
        let (_, mut rest) = body.split_first().ok_or("no attributes")?;
        let timestamp_delta = take_varlong(&mut rest).ok_or("timestamp delta")?;
        let offset_delta = take_varint(&mut rest).ok_or("offset delta")?;
        let key = take_bytes(&mut rest).ok_or("key")?;
        let value = take_bytes(&mut rest).ok_or("value")?;
        let headers_count = take_varint(&mut rest).ok_or("header count")?;
        let headers = rest;
        if headers_count != 0 {
            skip_headers(headers_count, &mut rest)?;
        }
        if !rest.is_empty() {
            return Err("its length is greater than its fields");
        }
        Ok(RecordView {
            offset_delta,
            timestamp_delta,
            key,
            value,
            headers_count,
            headers,
        })
    }

    /// The headers in their order; a key may come more than once.
    pub fn headers(&self) -> Headers<'a> {
        Headers {
            left: self.headers_count,
            bytes: self.headers,
        }
    }
}

/// A header of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeaderView<'a> {
    /// The key: UTF-8 by agreement, unchecked as in Kafka.
    pub key: &'a [u8],
    /// The value, if it has one.
    pub value: Option<&'a [u8]>,
}

/// The headers of a record, in their order.
#[derive(Debug, Clone)]
pub struct Headers<'a> {
    left: i32,
    bytes: &'a [u8],
}

impl<'a> Iterator for Headers<'a> {
    type Item = HeaderView<'a>;

    fn next(&mut self) -> Option<HeaderView<'a>> {
        if self.left <= 0 {
            return None;
        }
        self.left -= 1;
        let key = take_bytes(&mut self.bytes)??;
        let value = take_bytes(&mut self.bytes)?;
        Some(HeaderView { key, value })
    }
}

/// Reads a length and as many bytes; -1 is null. Other negative lengths, which Kafka takes for null
/// too and no client writes, are refused: not every consumer would read them back.
#[inline(always)]
fn take_bytes<'a>(bytes: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    let length = take_varint(bytes)?;
    if length == -1 {
        return Some(None);
    }
    let (field, rest) = bytes.split_at_checked(usize::try_from(length).ok()?)?;
    *bytes = rest;
    Some(Some(field))
}

fn skip_headers(count: i32, rest: &mut &[u8]) -> Result<(), &'static str> {
    if count < 0 {
        return Err("negative header count");
    }
    // Ends early when the bytes do, whatever the count says: a header has two bytes at least.
    for _ in 0..count {
        match take_bytes(rest) {
            Some(Some(_)) => {}
            Some(None) => return Err("null header key"),
            None => return Err("header key"),
        }
        take_bytes(rest).ok_or("header value")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_with_headers_is_read_in_place() {
        let body = [0, 3, 4, 2, b'k', 1, 6, 2, b'a', 2, b'1', 2, b'a', 1, 0, 0];
        let record = RecordView::parse(&body).unwrap();
        assert_eq!((record.timestamp_delta, record.offset_delta), (-2, 2));
        assert_eq!((record.key, record.value), (Some(&b"k"[..]), None));
        let headers: Vec<_> = record.headers().map(|h| (h.key, h.value)).collect();
        let expected: [(&[u8], Option<&[u8]>); 3] =
            [(b"a", Some(b"1")), (b"a", None), (b"", Some(b""))];
        assert_eq!(headers, expected);
    }

    #[test]
    fn fields_that_do_not_fit_are_named() {
        for (body, field) in [
            (&[][..], "no attributes"),
            (&[0], "timestamp delta"),
            (&[0, 0], "offset delta"),
            (&[0, 0, 0, 3], "key"),
            (&[0, 0, 0, 4, b'k'], "key"),
            (&[0, 0, 0, 1, 2], "value"),
            (&[0, 0, 0, 1, 1], "header count"),
            (&[0, 0, 0, 1, 1, 1], "negative header count"),
            (&[0, 0, 0, 1, 1, 2, 1, 1], "null header key"),
            (&[0, 0, 0, 1, 1, 0xfe, 0xff, 0xff, 0xff, 0xf], "header key"),
            (&[0, 0, 0, 1, 1, 2, 0, 2], "header value"),
            (
                &[0, 0, 0, 1, 1, 0, 0],
                "its length is greater than its fields",
            ),
        ] {
            assert_eq!(RecordView::parse(body), Err(field), "{body:?}");
        }
    }
}
