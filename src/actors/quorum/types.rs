//! The types openraft is given, and what of them is stored.
//!
//! openraft's own types are not stored: each stored type has a version of its own here, so that a
//! new openraft reads what an old one left. Invariant: what is decoded is what was encoded.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Cursor;
use std::sync::Arc;

use openraft::{BasicNode, CommittedLeaderId, EntryPayload, Membership};
use serde::{Deserialize, Serialize};

use crate::metadata::MetadataRecord;

/// What one entry of the metadata log holds.
pub type Records = Arc<[MetadataRecord]>;

openraft::declare_raft_types!(
    /// The metadata quorum's types for openraft.
    pub QuorumTypes:
        D = Records,
        R = (),
        NodeId = u64,
        Node = BasicNode,
);

pub(super) type Entry = openraft::Entry<QuorumTypes>;
pub(super) type LogId = openraft::LogId<u64>;
pub(super) type Vote = openraft::Vote<u64>;
pub(super) type StoredMembership = openraft::StoredMembership<u64, BasicNode>;
pub(super) type SnapshotMeta = openraft::SnapshotMeta<u64, BasicNode>;
pub(super) type Snapshot = openraft::Snapshot<QuorumTypes>;
pub(super) type EngineStorageError = openraft::StorageError<u64>;
pub(super) type Raft = openraft::Raft<QuorumTypes>;

/// The place of an entry and the leader that wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LogIdV1 {
    term: u64,
    leader: u64,
    index: u64,
}

impl From<LogId> for LogIdV1 {
    fn from(id: LogId) -> LogIdV1 {
        LogIdV1 {
            term: id.leader_id.term,
            leader: id.leader_id.node_id,
            index: id.index,
        }
    }
}

impl From<LogIdV1> for LogId {
    fn from(id: LogIdV1) -> LogId {
        LogId::new(CommittedLeaderId::new(id.term, id.leader), id.index)
    }
}

/// The vote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct VoteV1 {
    term: u64,
    node: u64,
    committed: bool,
}

impl From<Vote> for VoteV1 {
    fn from(vote: Vote) -> VoteV1 {
        VoteV1 {
            term: vote.leader_id.term,
            node: vote.leader_id.node_id,
            committed: vote.committed,
        }
    }
}

impl From<VoteV1> for Vote {
    fn from(vote: VoteV1) -> Vote {
        match vote.committed {
            true => Vote::new_committed(vote.term, vote.node),
            false => Vote::new(vote.term, vote.node),
        }
    }
}

/// Who votes, and where all nodes are reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct MembersV1 {
    /// More than one set while the membership changes.
    voters: Vec<BTreeSet<u64>>,
    addresses: BTreeMap<u64, String>,
}

impl From<&Membership<u64, BasicNode>> for MembersV1 {
    fn from(members: &Membership<u64, BasicNode>) -> MembersV1 {
        let nodes = members.nodes();
        MembersV1 {
            voters: members.get_joint_config().clone(),
            addresses: nodes.map(|(id, node)| (*id, node.addr.clone())).collect(),
        }
    }
}

impl From<MembersV1> for Membership<u64, BasicNode> {
    fn from(members: MembersV1) -> Membership<u64, BasicNode> {
        let nodes = members.addresses.into_iter();
        let nodes: BTreeMap<u64, BasicNode> =
            nodes.map(|(id, addr)| (id, BasicNode { addr })).collect();
        Membership::new(members.voters, nodes)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum PayloadV1 {
    Blank,
    Records(Records),
    Members(MembersV1),
}

/// One entry of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct EntryV1 {
    id: LogIdV1,
    payload: PayloadV1,
}

impl From<&Entry> for EntryV1 {
    fn from(entry: &Entry) -> EntryV1 {
        EntryV1 {
            id: entry.log_id.into(),
            payload: match &entry.payload {
                EntryPayload::Blank => PayloadV1::Blank,
                EntryPayload::Normal(records) => PayloadV1::Records(Arc::clone(records)),
                EntryPayload::Membership(members) => PayloadV1::Members(members.into()),
            },
        }
    }
}

impl From<EntryV1> for Entry {
    fn from(entry: EntryV1) -> Entry {
        Entry {
            log_id: entry.id.into(),
            payload: match entry.payload {
                PayloadV1::Blank => EntryPayload::Blank,
                PayloadV1::Records(records) => EntryPayload::Normal(records),
                PayloadV1::Members(members) => EntryPayload::Membership(members.into()),
            },
        }
    }
}

/// The state up to an entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SnapshotV1 {
    last: Option<LogIdV1>,
    members_at: Option<LogIdV1>,
    members: MembersV1,
    /// Records that add up to the image.
    pub(super) records: Vec<MetadataRecord>,
}

impl SnapshotV1 {
    pub(super) fn new(
        last: Option<LogId>,
        members: &StoredMembership,
        records: Vec<MetadataRecord>,
    ) -> SnapshotV1 {
        SnapshotV1 {
            last: last.map(LogIdV1::from),
            members_at: members.log_id().map(LogIdV1::from),
            members: members.membership().into(),
            records,
        }
    }

    pub(super) fn meta(&self) -> SnapshotMeta {
        let last_log_id = self.last.map(LogId::from);
        let members_at = self.members_at.map(LogId::from);
        SnapshotMeta {
            last_log_id,
            last_membership: StoredMembership::new(members_at, self.members.clone().into()),
            snapshot_id: match last_log_id {
                Some(last) => last.to_string(),
                None => String::from("empty"),
            },
        }
    }
}

/// What a leader sends a follower of a snapshot.
pub(super) type SnapshotData = Box<Cursor<Vec<u8>>>;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::quorum_log::codec::{decode, encode};

    #[test]
    fn stored_bytes_stay_what_they_were() {
        let id = LogId::new(CommittedLeaderId::new(3, 1), 700);
        let vote = VoteV1::from(Vote::new_committed(3, 1));
        assert_eq!(encode(&vote).unwrap(), [3, 1, 1]);
        assert_eq!(encode(&LogIdV1::from(id)).unwrap(), [3, 1, 251, 188, 2]);
        let records: Records = Arc::new([MetadataRecord::ProducerIds { next: 1000 }]);
        let entry = Entry {
            log_id: id,
            payload: EntryPayload::Normal(records),
        };
        let bytes = encode(&EntryV1::from(&entry)).unwrap();
        assert_eq!(bytes, [3, 1, 251, 188, 2, 1, 1, 8, 251, 208, 7]);
        let read: EntryV1 = decode(&bytes).unwrap();
        assert_eq!(read, EntryV1::from(&Entry::from(read.clone())));
    }

    #[test]
    fn members_survive_storage_with_learners_and_joint_voters() {
        let members = Membership::new(
            vec![BTreeSet::from([1, 2]), BTreeSet::from([2, 3])],
            BTreeMap::from([1, 2, 3, 4].map(|id| (id, BasicNode::new(format!("host:{id}"))))),
        );
        let stored = MembersV1::from(&members);
        let read: MembersV1 = decode(&encode(&stored).unwrap()).unwrap();
        assert_eq!(Membership::from(read), members);
    }
}
