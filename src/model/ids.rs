//! Identities: brokers, clusters, directories and topics.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The number of a broker in its cluster (`node.id`).
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct BrokerId(pub i32);

impl BrokerId {
    /// Kafka's "no broker", for a partition without a leader.
    pub const NONE: BrokerId = BrokerId(-1);
}

impl fmt::Display for BrokerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Sixteen bytes, written as 22 characters of base64url without padding, as Kafka's `Uuid` is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Uuid(pub [u8; 16]);

/// A topic's identity; a topic that is deleted and created again has a new one (KIP-516).
pub type TopicId = Uuid;
/// The identity of one log directory (KIP-858).
pub type DirectoryId = Uuid;
/// The directory of a replica whose broker has not said yet where it put it (`DirectoryId.UNASSIGNED`).
pub const UNASSIGNED_DIRECTORY: DirectoryId = Uuid::ZERO;
/// The directory of a replica whose broker does not have it any more (`DirectoryId.LOST`).
pub const LOST_DIRECTORY: DirectoryId = Uuid([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
/// The identity of a cluster, as text: Kafka allows any string that clients may compare.
pub type ClusterId = String;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const TEXT_LENGTH: usize = 22;

impl Uuid {
    /// All zeroes: "no id" on the wire.
    pub const ZERO: Uuid = Uuid([0; 16]);

    /// Whether this is "no id".
    pub fn is_zero(&self) -> bool {
        *self == Uuid::ZERO
    }

    /// Makes a version 4 id of sixteen random bytes.
    ///
    /// Kafka avoids ids that start with a dash, because its tools would take them for an option;
    /// the first character is kept a letter or digit here too.
    pub fn from_random(mut bytes: [u8; 16]) -> Uuid {
        bytes[6] = (bytes[6] & 0x0f) | 0x40;
        bytes[8] = (bytes[8] & 0x3f) | 0x80;
        if bytes[0] >> 2 >= 62 {
            bytes[0] &= 0x7f;
        }
        Uuid(bytes)
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::with_capacity(TEXT_LENGTH);
        for chunk in self.0.chunks(3) {
            let word = chunk
                .iter()
                .chain(std::iter::repeat(&0))
                .take(3)
                .fold(0u32, |word, byte| word << 8 | u32::from(*byte));
            for place in 0..=chunk.len() {
                let index = (word >> (18 - 6 * place)) & 0x3f;
                text.push(char::from(ALPHABET[index as usize]));
            }
        }
        f.write_str(&text)
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// A text that is no id: not 22 characters of base64url.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an id of 22 base64url characters")]
pub struct InvalidUuid(pub String);

impl FromStr for Uuid {
    type Err = InvalidUuid;

    fn from_str(text: &str) -> Result<Uuid, InvalidUuid> {
        let invalid = || InvalidUuid(text.to_owned());
        let trimmed = text.trim_end_matches('=');
        if trimmed.len() != TEXT_LENGTH {
            return Err(invalid());
        }
        let mut bytes = [0u8; 16];
        let (mut word, mut bits, mut filled) = (0u32, 0, 0);
        for character in trimmed.bytes() {
            let index = ALPHABET
                .iter()
                .position(|c| *c == character)
                .ok_or_else(invalid)?;
            word = word << 6 | u32::try_from(index).map_err(|_| invalid())?;
            bits += 6;
            if bits >= 8 && filled < bytes.len() {
                bits -= 8;
                bytes[filled] = (word >> bits & 0xff) as u8;
                filled += 1;
            }
        }
        Ok(Uuid(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_written_and_read_back_as_kafka_writes_it() {
        let id = Uuid([
            0x4d, 0x6b, 0x9a, 0x01, 0x02, 0x03, 0x44, 0x05, 0x86, 0x07, 0x08, 0x09, 0x0a, 0x0b,
            0x0c, 0xff,
        ]);
        assert_eq!(id.to_string(), "TWuaAQIDRAWGBwgJCgsM_w");
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(Uuid::ZERO.to_string(), "AAAAAAAAAAAAAAAAAAAAAA");
    }

    #[test]
    fn a_random_id_never_looks_like_an_option() {
        assert!(
            !Uuid::from_random([0xff; 16])
                .to_string()
                .starts_with(['-', '_'])
        );
        assert!("too short".parse::<Uuid>().is_err());
        assert!("!!!!!!!!!!!!!!!!!!!!!!".parse::<Uuid>().is_err());
    }
}
