//! Binary search in an index file, without mapping it into memory.
//!
//! A few small reads narrow the range, one more brings in what is left of it. Called by the offset
//! and the time index; the caller says how many entries the file has.

use crate::storage::StorageError;
use crate::storage::disk::DiskFile;

/// Entries that are fetched by one read at the end of a search: a page of the offset index, which
/// costs little more than one entry.
const BLOCK_ENTRIES: u32 = 512;
/// Bytes of the largest entry there is.
const ENTRY_BYTES_MAX: usize = 12;

/// The number of leading entries for which `before` holds; it must hold for a prefix only.
pub(crate) fn partition_point<const N: usize>(
    file: &dyn DiskFile,
    entries: u32,
    mut before: impl FnMut(u32, &[u8; N]) -> bool,
) -> Result<u32, StorageError> {
    const { assert!(N <= ENTRY_BYTES_MAX) };
    let (mut low, mut high) = (0, entries);
    while high - low > BLOCK_ENTRIES {
        let middle = low + (high - low) / 2;
        if before(middle, &read_entry(file, middle)?) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    let mut block = [0; BLOCK_ENTRIES as usize * ENTRY_BYTES_MAX];
    let block = &mut block[..(high - low) as usize * N];
    file.read_exact_at(block, position::<N>(low))?;
    let (block, _) = block.as_chunks::<N>();
    let found = block
        .iter()
        .zip(low..)
        .take_while(|(entry, index)| before(*index, entry))
        .count();
    Ok(low + u32::try_from(found).unwrap_or(0))
}

/// One entry; a file that ends before it is damaged.
pub(crate) fn read_entry<const N: usize>(
    file: &dyn DiskFile,
    index: u32,
) -> Result<[u8; N], StorageError> {
    let mut entry = [0; N];
    file.read_exact_at(&mut entry, position::<N>(index))?;
    Ok(entry)
}

fn position<const N: usize>(index: u32) -> u64 {
    u64::from(index) * N as u64
}
