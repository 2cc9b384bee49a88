//! Loading a shard: the log of its partition read to its end and replayed into machines.
//!
//! Runs on the disk threads, a chunk a job, so that neither the arbiter stands still nor other jobs
//! of the directory wait long. Invariant: memory is one chunk and what the groups are. A batch that
//! is damaged ends the load, for it may have held the newest commit of any group, and an older one
//! must not be told in its place; a record that is whole and says nothing to this version is
//! counted, told once and left out.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::BytesMut;

use super::surroundings::CoordinatorSettings;
use crate::actors::disk_threads::DiskThreadsEnded;
use crate::actors::partition_messages::View;
use crate::coordination::group::Group;
use crate::metadata::Image;
use crate::model::Offset;
use crate::protocol::consumer_offsets::Decoder;
use crate::record::{BatchHeader, Scratch, batches, records, verify_crc};
use crate::storage::{LogReader, ReadError, StorageError};

/// Why a shard could not be loaded.
#[derive(Debug, thiserror::Error)]
pub(super) enum LoadError {
    /// The partition is offline, or is not led here.
    #[error("the partition is offline or not led by this broker")]
    Absent,
    /// Its files cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Commits are lost to it.
    #[error(
        "a batch at or behind offset {from} is damaged ({why}); its groups are served again once the partition's files are restored"
    )]
    Damaged {
        /// Where the chunk begins in which it lies.
        from: Offset,
        /// What is wrong with it.
        why: String,
    },
    /// The directory's threads are gone.
    #[error(transparent)]
    Threads(#[from] DiskThreadsEnded),
}

/// What a log came to.
pub(super) struct Loaded {
    pub(super) groups: HashMap<Arc<str>, Group>,
    /// Up to where it was read.
    pub(super) end: Offset,
    /// How many records were read.
    pub(super) records: u64,
    /// How many records and batches were left out.
    pub(super) skipped: u64,
}

/// Reads the partition's log up to its end as it is now. A log that holds nothing costs nothing.
pub(super) async fn load(
    view: View,
    settings: CoordinatorSettings,
    image: Arc<Image>,
) -> Result<Loaded, LoadError> {
    let end = view.log.log_end_offset();
    let mut loading = Loading {
        next: view.log.log_start_offset(),
        end,
        settings,
        image,
        buffer: BytesMut::new(),
        scratch: Scratch::new(),
        decoder: Decoder::default(),
        loaded: Loaded {
            groups: HashMap::new(),
            end,
            records: 0,
            skipped: 0,
        },
    };
    while loading.next < end {
        let log = view.log.clone();
        let chunk = view.threads.run(move || {
            let read = loading.read_chunk(&log);
            if let Err(LoadError::Damaged { from, .. }) = &read {
                log.suspect(*from);
            }
            read.map(|()| loading)
        });
        loading = chunk.await??;
    }
    loading.loaded.groups.retain(|_, group| !group.is_gone());
    Ok(loading.loaded)
}

struct Loading {
    next: Offset,
    end: Offset,
    settings: CoordinatorSettings,
    image: Arc<Image>,
    buffer: BytesMut,
    scratch: Scratch,
    decoder: Decoder,
    loaded: Loaded,
}

impl Loading {
    fn read_chunk(&mut self, log: &LogReader) -> Result<(), LoadError> {
        let bytes_max = self.settings.load_bytes;
        let plan = match log.plan(self.next, bytes_max, self.end, true) {
            // What lay before the log's start was deleted meanwhile.
            Err(ReadError::OffsetOutOfRange {
                log_start_offset, ..
            }) if log_start_offset > self.next => {
                self.next = log_start_offset;
                return Ok(());
            }
            Err(ReadError::Damaged(damage)) => return Err(self.damaged(&damage)),
            Err(ReadError::Storage(error @ StorageError::Corrupt { .. })) => {
                return Err(self.damaged(&error));
            }
            plan => plan?,
        };
        self.buffer.clear();
        plan.read(&mut self.buffer).map_err(ReadError::from)?;
        let buffer = std::mem::take(&mut self.buffer);
        for batch in batches(&buffer) {
            let (header, bytes) = batch.map_err(|error| self.damaged(&error))?;
            self.replay_batch(&header, bytes)?;
        }
        self.buffer = buffer;
        self.next = match plan.next_offset() {
            next if next > self.next => next,
            // Nothing more can be read.
            _ => self.end,
        };
        Ok(())
    }

    fn replay_batch(&mut self, header: &BatchHeader, bytes: &[u8]) -> Result<(), LoadError> {
        if !verify_crc(bytes) {
            return Err(self.damaged(&"its checksum is wrong"));
        }
        // Offsets of transactions count when their marker says so, which nothing here writes yet.
        if header.is_control() {
            return Ok(());
        }
        if header.is_transactional() {
            self.skip("a batch of a transaction");
            return Ok(());
        }
        let mut scratch = std::mem::take(&mut self.scratch);
        let bytes_max = self.settings.decompressed_bytes_max;
        let mut reader = records(header, bytes, bytes_max, &mut scratch)
            .map_err(|fault| self.damaged(&fault))?;
        while let Some(record) = reader.next().map_err(|fault| self.damaged(&fault))? {
            self.replay(record.key, record.value);
        }
        scratch.trim();
        self.scratch = scratch;
        Ok(())
    }

    fn damaged(&self, why: &dyn std::fmt::Display) -> LoadError {
        LoadError::Damaged {
            from: self.next,
            why: why.to_string(),
        }
    }

    fn replay(&mut self, key: Option<&[u8]>, value: Option<&[u8]>) {
        self.loaded.records += 1;
        let decoded = self.decoder.decode(key.unwrap_or_default(), value);
        let record = match decoded {
            Ok(Some(record)) => record,
            // Of other kinds of groups, of which this broker has none.
            Ok(None) => return,
            Err(error) => return self.skip(&format!("a record: {error}")),
        };
        let id = record.group();
        if let Some(group) = self.loaded.groups.get_mut(&**id) {
            return group.replay(&record);
        }
        let id = Arc::clone(id);
        let config = (self.settings.groups)(&self.image, &id);
        let mut group = Group::new(Arc::clone(&id), config);
        group.replay(&record);
        self.loaded.groups.insert(id, group);
    }

    /// One line for a shard; the metric tells how many there are.
    fn skip(&mut self, what: &str) {
        if self.loaded.skipped == 0 {
            log::warn!(
                "skipped in {} from offset {} on: {what}",
                crate::model::CONSUMER_OFFSETS,
                self.next
            );
        }
        self.loaded.skipped += 1;
        self.settings.metrics.group_records_skipped.inc();
    }
}
