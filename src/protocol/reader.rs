//! A cursor over one frame, for the hand-written decoders. Every length is checked against the
//! bytes that are left before it is used; nothing is copied, slices share the frame.

use bytes::Bytes;

use super::error::ProtocolError;
use super::frame::{ARRAY_ELEMENTS_MAX, TAGGED_FIELDS_MAX};
use super::messages::StrBytes;

type Result<T> = std::result::Result<T, ProtocolError>;

/// Reads one frame from front to back.
pub(crate) struct Reader {
    frame: Bytes,
    position: usize,
}

impl Reader {
    pub(crate) fn new(frame: Bytes) -> Reader {
        Reader { frame, position: 0 }
    }

    pub(crate) fn remaining(&self) -> usize {
        self.frame.len() - self.position
    }

    pub(crate) fn malformed(&self, what: &str) -> ProtocolError {
        ProtocolError::malformed(what, self.position)
    }

    /// What was not read.
    pub(crate) fn into_rest(mut self) -> Bytes {
        self.frame.split_off(self.position)
    }

    /// Ends the reading; bytes left over are an error.
    pub(crate) fn finish(self) -> Result<()> {
        match self.remaining() {
            0 => Ok(()),
            _ => Err(self.malformed("bytes after the end")),
        }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let bytes = self.frame[self.position..]
            .first_chunk::<N>()
            .copied()
            .ok_or_else(|| self.malformed("cut off"))?;
        self.position += N;
        Ok(bytes)
    }

    /// The next `length` bytes, sharing the frame.
    fn slice(&mut self, length: usize) -> Result<Bytes> {
        if length > self.remaining() {
            return Err(self.malformed("a length beyond the frame"));
        }
        let start = self.position;
        self.position += length;
        Ok(self.frame.slice(start..self.position))
    }

    fn skip(&mut self, length: usize) -> Result<()> {
        if length > self.remaining() {
            return Err(self.malformed("a length beyond the frame"));
        }
        self.position += length;
        Ok(())
    }

    pub(crate) fn i8(&mut self) -> Result<i8> {
        Ok(i8::from_be_bytes(self.array()?))
    }

    pub(crate) fn i16(&mut self) -> Result<i16> {
        Ok(i16::from_be_bytes(self.array()?))
    }

    pub(crate) fn i32(&mut self) -> Result<i32> {
        Ok(i32::from_be_bytes(self.array()?))
    }

    pub(crate) fn i64(&mut self) -> Result<i64> {
        Ok(i64::from_be_bytes(self.array()?))
    }

    pub(crate) fn uuid(&mut self) -> Result<crate::model::Uuid> {
        Ok(crate::model::Uuid(self.array()?))
    }

    /// An unsigned varint of at most five bytes, as Kafka's `ByteUtils` reads it.
    pub(crate) fn varint(&mut self) -> Result<u32> {
        let mut value = 0u32;
        for place in 0..5 {
            let [byte] = self.array::<1>()?;
            let bits = u32::from(byte & 0x7f);
            if place == 4 && byte > 0x0f {
                break;
            }
            value |= bits << (7 * place);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(self.malformed("a varint of more than 32 bits"))
    }

    /// A compact length, which is stored plus one; zero is null.
    fn compact_length(&mut self) -> Result<Option<usize>> {
        Ok(self.varint()?.checked_sub(1).map(|length| length as usize))
    }

    /// A length stored as a signed number; minus one is null.
    fn signed_length(&self, length: i64) -> Result<Option<usize>> {
        match length {
            -1 => Ok(None),
            _ => usize::try_from(length)
                .map(Some)
                .map_err(|_| self.malformed("a negative length")),
        }
    }

    fn text(&mut self, length: usize) -> Result<StrBytes> {
        let bytes = self.slice(length)?;
        StrBytes::try_from(bytes).map_err(|_| self.malformed("text that is not UTF-8"))
    }

    /// A nullable string with a two-byte length, as in request headers of every version.
    pub(crate) fn nullable_string_legacy(&mut self) -> Result<Option<StrBytes>> {
        let length = i64::from(self.i16()?);
        match self.signed_length(length)? {
            Some(length) => Ok(Some(self.text(length)?)),
            None => Ok(None),
        }
    }

    /// A nullable string: compact in flexible versions.
    pub(crate) fn nullable_string(&mut self, flexible: bool) -> Result<Option<StrBytes>> {
        if !flexible {
            return self.nullable_string_legacy();
        }
        match self.compact_length()? {
            Some(length) => Ok(Some(self.text(length)?)),
            None => Ok(None),
        }
    }

    /// A string that may not be null.
    pub(crate) fn string(&mut self, flexible: bool) -> Result<StrBytes> {
        self.nullable_string(flexible)?
            .ok_or_else(|| self.malformed("null for a string"))
    }

    /// Nullable bytes: compact in flexible versions.
    pub(crate) fn nullable_bytes(&mut self, flexible: bool) -> Result<Option<Bytes>> {
        let length = if flexible {
            self.compact_length()?
        } else {
            let length = i64::from(self.i32()?);
            self.signed_length(length)?
        };
        match length {
            Some(length) => Ok(Some(self.slice(length)?)),
            None => Ok(None),
        }
    }

    /// The number of elements of an array that may not be null; every element takes at least
    /// `element_bytes_min`, so that a count the frame cannot hold is refused before it is used.
    pub(crate) fn count(&mut self, flexible: bool, element_bytes_min: usize) -> Result<usize> {
        let count = if flexible {
            self.compact_length()?
        } else {
            let count = i64::from(self.i32()?);
            self.signed_length(count)?
        };
        let count = count.ok_or_else(|| self.malformed("null for an array"))?;
        if count > ARRAY_ELEMENTS_MAX || count > self.remaining() / element_bytes_min.max(1) {
            return Err(self.malformed("more elements than the frame can hold"));
        }
        Ok(count)
    }

    /// Walks over the tagged fields of a structure, none of which is known.
    pub(crate) fn skip_tagged_fields(&mut self) -> Result<()> {
        self.tagged_fields(|_, _| Ok(false))
    }

    /// Walks over the tagged fields: `known` reads a field and says so, or leaves it to be skipped.
    /// Tags must ascend, and a known field must take exactly the bytes it announced.
    pub(crate) fn tagged_fields(
        &mut self,
        mut known: impl FnMut(u32, &mut Reader) -> Result<bool>,
    ) -> Result<()> {
        let count = self.varint()? as usize;
        if count > TAGGED_FIELDS_MAX {
            return Err(self.malformed("too many tagged fields"));
        }
        let mut previous = None;
        for _ in 0..count {
            let tag = self.varint()?;
            if previous.is_some_and(|previous| previous >= tag) {
                return Err(self.malformed("tagged fields out of order"));
            }
            previous = Some(tag);
            let length = self.varint()? as usize;
            if length > self.remaining() {
                return Err(self.malformed("a length beyond the frame"));
            }
            let end = self.position + length;
            let mut field = Reader {
                frame: self.frame.slice(self.position..end),
                position: 0,
            };
            if known(tag, &mut field)? {
                field.finish()?;
            }
            self.skip(length)?;
        }
        Ok(())
    }
}
