//! Looking at a file of the quorum without taking it into use.
//!
//! Called by `storage::verify`. Invariant: reads what it is given and changes nothing.

use super::frame;
use super::reserve::RESERVE_FILE;

/// Bytes of a file that are no frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrameFault {
    /// Where they begin.
    pub position: usize,
    /// Where the next frame begins, or the file ends.
    pub end: usize,
    /// What is wrong.
    pub what: String,
}

/// What is wrong in a file of the quorum: its log, its vote, a snapshot.
pub fn verify_file(name: &str, bytes: &[u8]) -> Vec<FrameFault> {
    let mut faults = Vec::new();
    if name == RESERVE_FILE {
        return faults;
    }
    let mut position = 0;
    while position < bytes.len() {
        match frame::parse(&bytes[position..]) {
            Ok(frame) => position += frame.size(),
            Err(error) => {
                let end = frame::find_next(bytes, position + 1).unwrap_or(bytes.len());
                faults.push(FrameFault {
                    position,
                    end,
                    what: error.to_string(),
                });
                position = end;
            }
        }
    }
    faults
}
