//! A cursor over bytes that are lent, for the schemas inside records: the offsets topic, and the
//! consumers' embedded protocol.
//!
//! What [`super::reader::Reader`] is to frames, without counting references: a load reads a million
//! records. Every length is checked against the bytes that are left before it is used.

use super::error::ProtocolError;
use super::frame::TAGGED_FIELDS_MAX;

type Result<T> = std::result::Result<T, ProtocolError>;

/// Reads from front to back.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor<'a> {
    rest: &'a [u8],
    length: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Cursor<'a> {
        Cursor {
            rest: bytes,
            length: bytes.len(),
        }
    }

    pub(super) fn malformed(&self, what: &str) -> ProtocolError {
        ProtocolError::malformed(what, self.length - self.rest.len())
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        match self.rest.split_first_chunk::<N>() {
            Some((bytes, rest)) => {
                self.rest = rest;
                Ok(*bytes)
            }
            None => Err(self.malformed("cut off")),
        }
    }

    fn slice(&mut self, length: usize) -> Result<&'a [u8]> {
        match self.rest.split_at_checked(length) {
            Some((bytes, rest)) => {
                self.rest = rest;
                Ok(bytes)
            }
            None => Err(self.malformed("a length beyond the end")),
        }
    }

    pub(super) fn i8(&mut self) -> Result<i8> {
        Ok(i8::from_be_bytes(self.array()?))
    }

    pub(super) fn i16(&mut self) -> Result<i16> {
        Ok(i16::from_be_bytes(self.array()?))
    }

    pub(super) fn i32(&mut self) -> Result<i32> {
        Ok(i32::from_be_bytes(self.array()?))
    }

    pub(super) fn i64(&mut self) -> Result<i64> {
        Ok(i64::from_be_bytes(self.array()?))
    }

    pub(super) fn uuid(&mut self) -> Result<crate::model::Uuid> {
        Ok(crate::model::Uuid(self.array()?))
    }

    fn varint(&mut self) -> Result<u32> {
        let mut value = 0u32;
        for place in 0..5 {
            let [byte] = self.array::<1>()?;
            if place == 4 && byte > 0x0f {
                break;
            }
            value |= u32::from(byte & 0x7f) << (7 * place);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(self.malformed("a varint of more than 32 bits"))
    }

    /// A length, which is stored plus one when flexible; `None` is null.
    fn compact_length(&mut self) -> Result<Option<usize>> {
        Ok(self.varint()?.checked_sub(1).map(|length| length as usize))
    }

    fn signed_length(&self, length: i32) -> Result<Option<usize>> {
        match length {
            -1 => Ok(None),
            _ => match usize::try_from(length) {
                Ok(length) => Ok(Some(length)),
                Err(_) => Err(self.malformed("a negative length")),
            },
        }
    }

    pub(super) fn nullable_text(&mut self, flexible: bool) -> Result<Option<&'a str>> {
        let length = if flexible {
            self.compact_length()?
        } else {
            let length = i32::from(self.i16()?);
            self.signed_length(length)?
        };
        let Some(length) = length else {
            return Ok(None);
        };
        let bytes = self.slice(length)?;
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Some(text)),
            Err(_) => Err(self.malformed("text that is not UTF-8")),
        }
    }

    pub(super) fn text(&mut self, flexible: bool) -> Result<&'a str> {
        match self.nullable_text(flexible)? {
            Some(text) => Ok(text),
            None => Err(self.malformed("null for a string")),
        }
    }

    pub(super) fn nullable_bytes(&mut self, flexible: bool) -> Result<Option<&'a [u8]>> {
        match self.nullable_count(flexible, 1)? {
            Some(length) => Ok(Some(self.slice(length)?)),
            None => Ok(None),
        }
    }

    pub(super) fn bytes(&mut self, flexible: bool) -> Result<&'a [u8]> {
        match self.nullable_bytes(flexible)? {
            Some(bytes) => Ok(bytes),
            None => Err(self.malformed("null for bytes")),
        }
    }

    /// The number of elements of an array. Every element takes at least `element_bytes_min`, so that
    /// a count the bytes cannot hold is refused before it is used.
    pub(super) fn nullable_count(
        &mut self,
        flexible: bool,
        element_bytes_min: usize,
    ) -> Result<Option<usize>> {
        let count = if flexible {
            self.compact_length()?
        } else {
            let count = self.i32()?;
            self.signed_length(count)?
        };
        match count {
            Some(count) if count > self.rest.len() / element_bytes_min => {
                Err(self.malformed("more elements than there are bytes for"))
            }
            count => Ok(count),
        }
    }

    /// See [`Cursor::nullable_count`].
    pub(super) fn count(&mut self, flexible: bool, element_bytes_min: usize) -> Result<usize> {
        match self.nullable_count(flexible, element_bytes_min)? {
            Some(count) => Ok(count),
            None => Err(self.malformed("null for an array")),
        }
    }

    /// An array of numbers.
    pub(super) fn numbers(&mut self, flexible: bool) -> Result<Vec<i32>> {
        let count = self.count(flexible, 4)?;
        (0..count).map(|_| self.i32()).collect()
    }

    /// Walks over the tagged fields; `known` reads those it knows.
    pub(super) fn tagged_fields(
        &mut self,
        mut known: impl FnMut(u32, &mut Cursor<'a>) -> Result<()>,
    ) -> Result<()> {
        let count = self.varint()? as usize;
        if count > TAGGED_FIELDS_MAX {
            return Err(self.malformed("too many tagged fields"));
        }
        for _ in 0..count {
            let tag = self.varint()?;
            let length = self.varint()? as usize;
            let field = self.slice(length)?;
            known(tag, &mut Cursor::new(field))?;
        }
        Ok(())
    }

    /// Walks over tagged fields none of which is known.
    pub(super) fn skip_tagged_fields(&mut self) -> Result<()> {
        self.tagged_fields(|_, _| Ok(()))
    }
}
