//! The log as openraft sees it, on top of `storage::quorum_log`.
//!
//! Owned by openraft's core task. The newest entries are kept in memory, because openraft reads
//! every entry back to apply it. Invariant: an entry is in memory only when it is on the disk.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::ops::{Bound, RangeBounds};
use std::rc::Rc;

use openraft::storage::{LogFlushed, RaftLogStorage};
use openraft::{LogState, OptionalSend, RaftLogReader};

use super::disk::{DiskFailure, QuorumDisk, flush_failed, read_failed, write_failed};
use super::state::State;
use super::types::{EngineStorageError, Entry, EntryV1, LogId, LogIdV1, QuorumTypes, Vote, VoteV1};
use crate::storage::quorum_log::codec::{decode, encode};

/// Bytes of entries kept in memory; the newest one is kept whatever its size.
const CACHE_BYTES: usize = 4 << 20;
/// openraft asks for as many entries as there are; followers are sent at most so many at once.
const READ_BYTES_MAX: usize = 8 << 20;

/// The newest entries.
#[derive(Debug, Default)]
struct Cache {
    entries: BTreeMap<u64, (Entry, usize)>,
    bytes: usize,
}

impl Cache {
    fn push(&mut self, entry: Entry, bytes: usize) {
        self.bytes = self.bytes.saturating_add(bytes);
        self.entries.insert(entry.log_id.index, (entry, bytes));
        while self.bytes > CACHE_BYTES && self.entries.len() > 1 {
            if let Some((_, (_, bytes))) = self.entries.pop_first() {
                self.bytes = self.bytes.saturating_sub(bytes);
            }
        }
    }

    fn retain(&mut self, keep: impl Fn(u64) -> bool) {
        self.entries.retain(|index, _| keep(*index));
        self.bytes = self.entries.values().map(|(_, bytes)| bytes).sum();
    }

    /// The entries of a range, if all of them are here.
    fn read(&self, from: u64, to: u64) -> Option<Vec<Entry>> {
        let (oldest, _) = self.entries.first_key_value()?;
        let cached = || {
            self.entries
                .range(from..to)
                .map(|(_, (entry, _))| entry.clone())
        };
        (*oldest <= from).then(|| cached().collect())
    }
}

/// The log store; clones read and write the same log.
#[derive(Debug, Clone)]
pub(super) struct LogStore {
    disk: QuorumDisk,
    cache: Rc<RefCell<Cache>>,
    state: Rc<State>,
}

impl LogStore {
    pub(super) fn new(disk: QuorumDisk, state: Rc<State>) -> LogStore {
        LogStore {
            disk,
            cache: Rc::default(),
            state,
        }
    }

    async fn read(&self, from: u64, to: u64, bytes_max: usize) -> Result<Vec<Entry>, DiskFailure> {
        if let Some(entries) = self.cache.borrow().read(from, to) {
            return Ok(entries);
        }
        self.disk
            .run(move |log| {
                let entries = log.read(from, to, bytes_max)?;
                let decoded = entries.iter().map(|bytes| decode::<EntryV1>(bytes));
                decoded
                    .map(|entry| Ok(Entry::from(entry?)))
                    .collect::<Result<Vec<Entry>, DiskFailure>>()
            })
            .await
    }

    async fn write(&self, entries: Vec<Entry>) -> Result<(), DiskFailure> {
        let Some(first) = entries.first() else {
            return Ok(());
        };
        let first = first.log_id.index;
        let encoded = entries.iter().map(|entry| encode(&EntryV1::from(entry)));
        let encoded = encoded.collect::<Result<Vec<Vec<u8>>, _>>()?;
        let sizes: Vec<usize> = encoded.iter().map(Vec::len).collect();
        self.disk
            .run(move |log| Ok(log.append(first, &encoded)?))
            .await?;
        let mut cache = self.cache.borrow_mut();
        for (entry, bytes) in entries.into_iter().zip(sizes) {
            self.state.wrote(bytes);
            cache.push(entry, bytes);
        }
        Ok(())
    }

    async fn log_state(&self) -> Result<(Option<LogId>, Option<LogId>), DiskFailure> {
        let stored = self.disk.run(|log| {
            let purged = match log.purged_stamp() {
                Some(stamp) => Some(decode::<LogIdV1>(stamp)?),
                None => None,
            };
            Ok((purged, log.next_index()))
        });
        let (purged, next) = stored.await?;
        let purged = purged.map(LogId::from);
        let newest = match next.checked_sub(1) {
            Some(newest) => self.read(newest, next, READ_BYTES_MAX).await?,
            None => Vec::new(),
        };
        let last = newest.last().map(|entry| entry.log_id);
        Ok((purged, last.or(purged)))
    }
}

/// The bounds of a range as `from..to`.
fn bounds(range: &impl RangeBounds<u64>) -> (u64, u64) {
    let from = match range.start_bound() {
        Bound::Included(from) => *from,
        Bound::Excluded(before) => before.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let to = match range.end_bound() {
        Bound::Included(last) => last.saturating_add(1),
        Bound::Excluded(to) => *to,
        Bound::Unbounded => u64::MAX,
    };
    (from, to)
}

impl RaftLogReader<QuorumTypes> for LogStore {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<Entry>, EngineStorageError> {
        let (from, to) = bounds(&range);
        // openraft wants all of them here; what it sends to others goes through the other method.
        self.read(from, to, usize::MAX).await.map_err(read_failed)
    }

    async fn limited_get_log_entries(
        &mut self,
        start: u64,
        end: u64,
    ) -> Result<Vec<Entry>, EngineStorageError> {
        self.read(start, end, READ_BYTES_MAX)
            .await
            .map_err(read_failed)
    }
}

impl RaftLogStorage<QuorumTypes> for LogStore {
    type LogReader = LogStore;

    async fn get_log_state(&mut self) -> Result<LogState<QuorumTypes>, EngineStorageError> {
        let (last_purged_log_id, last_log_id) = self.log_state().await.map_err(read_failed)?;
        Ok(LogState {
            last_purged_log_id,
            last_log_id,
        })
    }

    async fn get_log_reader(&mut self) -> LogStore {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), EngineStorageError> {
        let bytes = encode(&VoteV1::from(*vote)).map_err(|error| write_failed(error.into()))?;
        let saved = self.disk.run(move |log| Ok(log.save_vote(&bytes)?)).await;
        saved.map_err(write_failed)?;
        self.state.set_vote(*vote);
        Ok(())
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, EngineStorageError> {
        let vote = self.disk.run(|log| match log.read_vote()? {
            Some(bytes) => Ok(Some(decode::<VoteV1>(&bytes)?)),
            None => Ok(None),
        });
        let vote = vote.await.map_err(read_failed)?.map(Vote::from);
        let vote = vote.map(|vote| self.state.without_own_reign(vote));
        if let Some(vote) = vote {
            self.state.set_vote(vote);
        }
        Ok(vote)
    }

    async fn append<I>(
        &mut self,
        entries: I,
        callback: LogFlushed<QuorumTypes>,
    ) -> Result<(), EngineStorageError>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let written = self.write(entries.into_iter().collect()).await;
        callback.log_io_completed(match &written {
            Ok(()) => Ok(()),
            Err(failure) => Err(flush_failed(failure)),
        });
        written.map_err(write_failed)
    }

    async fn truncate(&mut self, log_id: LogId) -> Result<(), EngineStorageError> {
        let from = log_id.index;
        let truncated = self.disk.run(move |log| Ok(log.truncate_from(from)?));
        truncated.await.map_err(write_failed)?;
        self.cache.borrow_mut().retain(|index| index < from);
        Ok(())
    }

    async fn purge(&mut self, log_id: LogId) -> Result<(), EngineStorageError> {
        let upto = log_id.index;
        let stamp = encode(&LogIdV1::from(log_id)).map_err(|error| write_failed(error.into()))?;
        let purged = self.disk.run(move |log| Ok(log.purge_to(upto, &stamp)?));
        purged.await.map_err(write_failed)?;
        self.cache.borrow_mut().retain(|index| index > upto);
        Ok(())
    }
}
