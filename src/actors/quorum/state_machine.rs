//! The state machine as openraft sees it: applies to the shared state, builds and takes snapshots.
//!
//! Owned by openraft's state machine task. Invariant: a snapshot is on the disk before openraft
//! hears of it, and so before the log is purged.

use std::io::Cursor;
use std::rc::Rc;

use openraft::storage::RaftStateMachine;
use openraft::{OptionalSend, RaftSnapshotBuilder};

use super::disk::{DiskFailure, QuorumDisk, read_failed, write_failed};
use super::state::State;
use super::types::{
    EngineStorageError, Entry, LogId, QuorumTypes, Snapshot, SnapshotData, SnapshotMeta,
    SnapshotV1, StoredMembership,
};
use crate::metadata::{Image, MetadataRecord};
use crate::storage::quorum_log::QuorumLog;
use crate::storage::quorum_log::codec::{decode, encode};

/// The state machine.
#[derive(Debug)]
pub(super) struct StateMachine {
    disk: QuorumDisk,
    state: Rc<State>,
}

impl StateMachine {
    pub(super) fn new(disk: QuorumDisk, state: Rc<State>) -> StateMachine {
        StateMachine { disk, state }
    }
}

/// Builds a snapshot of what was applied when it was made.
#[derive(Debug)]
pub(super) struct SnapshotBuilder {
    disk: QuorumDisk,
    image: Image,
    applied: Option<LogId>,
    members: StoredMembership,
}

/// Reads the newest snapshot.
pub(super) fn read_snapshot(log: &QuorumLog) -> Result<Option<SnapshotV1>, DiskFailure> {
    match log.read_snapshot()? {
        Some(bytes) => Ok(Some(decode(&bytes)?)),
        None => Ok(None),
    }
}

fn save_snapshot(log: &mut QuorumLog, snapshot: &SnapshotV1) -> Result<(), DiskFailure> {
    let index = snapshot.meta().last_log_id.map_or(0, |last| last.index);
    Ok(log.save_snapshot(index, &encode(snapshot)?)?)
}

/// A snapshot as it is sent to others: the records; all else is in its head.
fn to_send(snapshot: &SnapshotV1) -> Result<Snapshot, DiskFailure> {
    Ok(Snapshot {
        meta: snapshot.meta(),
        snapshot: Box::new(Cursor::new(encode(&snapshot.records)?)),
    })
}

impl RaftSnapshotBuilder<QuorumTypes> for SnapshotBuilder {
    async fn build_snapshot(&mut self) -> Result<Snapshot, EngineStorageError> {
        let (image, applied, members) = (self.image.clone(), self.applied, self.members.clone());
        let built = self.disk.run(move |log| {
            let snapshot = SnapshotV1::new(applied, &members, image.to_records());
            save_snapshot(log, &snapshot)?;
            to_send(&snapshot)
        });
        built.await.map_err(write_failed)
    }
}

impl RaftStateMachine<QuorumTypes> for StateMachine {
    type SnapshotBuilder = SnapshotBuilder;

    async fn applied_state(
        &mut self,
    ) -> Result<(Option<LogId>, StoredMembership), EngineStorageError> {
        Ok(self.state.applied())
    }

    async fn apply<I>(&mut self, entries: I) -> Result<Vec<()>, EngineStorageError>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        Ok(entries.into_iter().map(|e| self.state.apply(e)).collect())
    }

    async fn get_snapshot_builder(&mut self) -> SnapshotBuilder {
        self.state.snapshot_taken();
        let (applied, members) = self.state.applied();
        SnapshotBuilder {
            disk: self.disk.clone(),
            image: self.state.image(),
            applied,
            members,
        }
    }

    async fn begin_receiving_snapshot(&mut self) -> Result<SnapshotData, EngineStorageError> {
        Ok(SnapshotData::default())
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta,
        snapshot: SnapshotData,
    ) -> Result<(), EngineStorageError> {
        let (last, members) = (meta.last_log_id, meta.last_membership.clone());
        let installed = self.disk.run(move |log| {
            let records: Vec<MetadataRecord> = decode(snapshot.get_ref())?;
            let snapshot = SnapshotV1::new(last, &members, records);
            save_snapshot(log, &snapshot)?;
            Ok(snapshot)
        });
        let snapshot = installed.await.map_err(write_failed)?;
        self.state.install(&snapshot);
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot>, EngineStorageError> {
        let current = self.disk.run(|log| match read_snapshot(log)? {
            Some(snapshot) => Ok(Some(to_send(&snapshot)?)),
            None => Ok(None),
        });
        current.await.map_err(read_failed)
    }
}
