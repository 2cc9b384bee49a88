//! Our own values as bytes: bincode with a limit, nothing left over.
//!
//! Called for everything of the quorum that is stored or sent between our own nodes; never for what
//! Kafka's clients or tools read. bincode does not describe itself: every stored value lies in a
//! frame with a schema version, and each version has Rust types of its own. Invariant: bytes that
//! say they are longer than the limit are refused before anything is allocated for them.

use bincode::config::{self, Config};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// No value is longer than this.
pub const VALUE_LENGTH_MAX: usize = 256 << 20;

/// Bytes that are not the value they should be, or a value that cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// The value is too long, or of a type that bincode cannot write.
    #[error("it cannot be encoded: {0}")]
    Encode(String),
    /// The bytes are not of this type.
    #[error("it cannot be decoded: {0}")]
    Decode(String),
    /// The value was there, and something behind it.
    #[error("{0} bytes are left over behind the value")]
    LeftOver(usize),
}

fn format() -> impl Config {
    config::standard().with_limit::<VALUE_LENGTH_MAX>()
}

/// Writes a value.
pub fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, CodecError> {
    let bytes = bincode::serde::encode_to_vec(value, format())
        .map_err(|error| CodecError::Encode(error.to_string()))?;
    if bytes.len() > VALUE_LENGTH_MAX {
        let length = bytes.len();
        return Err(CodecError::Encode(format!("{length} bytes are too many")));
    }
    Ok(bytes)
}

/// Reads a value that takes up all the bytes.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    let (value, consumed) = bincode::serde::decode_from_slice(bytes, format())
        .map_err(|error| CodecError::Decode(error.to_string()))?;
    match bytes.len().saturating_sub(consumed) {
        0 => Ok(value),
        left_over => Err(CodecError::LeftOver(left_over)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_lie_about_their_length_are_refused_without_allocating() {
        // 253 announces eight bytes of length: 2^60 characters follow, it says.
        let mut hostile = vec![253];
        hostile.extend_from_slice(&(1u64 << 60).to_le_bytes());
        assert!(matches!(
            decode::<String>(&hostile),
            Err(CodecError::Decode(_))
        ));
    }

    #[test]
    fn a_value_with_something_behind_it_is_refused() {
        let mut bytes = encode(&(7u32, "seven")).unwrap();
        assert_eq!(decode(&bytes), Ok((7u32, "seven".to_owned())));
        bytes.push(0);
        let longer = decode::<(u32, String)>(&bytes);
        assert_eq!(longer, Err(CodecError::LeftOver(1)));
    }
}
