//! Reading what nobody reads: old segments are walked over and their batches checked, so that rot is
//! found while there is still another copy.
//!
//! The walk is here; which segment is next, how fast, and on which thread is said by
//! `actors::scrubber`, what follows from what is found by `storage::log`.

pub(crate) mod walk;
mod window;
