//! The checksum of a batch that is read piece by piece.
//!
//! Called by whoever checks segments without holding a whole batch in memory. Invariant: the same
//! verdict as `verify_crc` over the whole batch.

use super::batch_header::{BatchHeader, CRC_COVERS_FROM};

/// See the module.
pub struct BatchChecksum {
    digest: crc_fast::Digest,
}

impl std::fmt::Debug for BatchChecksum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BatchChecksum")
    }
}

impl Default for BatchChecksum {
    fn default() -> BatchChecksum {
        BatchChecksum::new()
    }
}

impl BatchChecksum {
    /// Where in a batch the bytes begin that the checksum covers.
    pub const COVERS_FROM: usize = CRC_COVERS_FROM;

    /// Of no bytes yet.
    pub fn new() -> BatchChecksum {
        BatchChecksum {
            digest: crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc32Iscsi),
        }
    }

    /// Takes the next bytes of the batch, the first ones from [`Self::COVERS_FROM`] on.
    pub fn update(&mut self, bytes: &[u8]) {
        self.digest.update(bytes);
    }

    /// Whether the bytes are those the header was written for.
    pub fn fits(&self, header: &BatchHeader) -> bool {
        self.digest.finalize() == u64::from(header.crc)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;
    use crate::record::{BatchBuilder, verify_crc};

    #[test]
    fn pieces_have_the_checksum_of_the_whole() {
        let mut builder = BatchBuilder::new();
        builder.append(Timestamp(7), Some(b"key"), Some(&[5; 300]), &[]);
        let mut batch = builder.build().unwrap().to_vec();
        let header = BatchHeader::parse(&batch).unwrap();
        let fits = |batch: &[u8]| {
            let mut checksum = BatchChecksum::new();
            for piece in batch[BatchChecksum::COVERS_FROM..].chunks(13) {
                checksum.update(piece);
            }
            checksum.fits(&header)
        };
        assert!(fits(&batch) && verify_crc(&batch));
        batch[200] ^= 4;
        assert!(!fits(&batch) && !verify_crc(&batch));
    }
}
