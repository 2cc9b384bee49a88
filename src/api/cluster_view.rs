//! What clients are shown of brokers and partitions: Metadata, DescribeCluster and
//! DescribeTopicPartitions build on this, so that they never disagree.
//!
//! Invariant: a broker is shown only with its endpoint of the listener that was asked.

use std::sync::Arc;

use crate::metadata::{BrokerImage, Endpoint, Image, PartitionImage};
use crate::model::{BrokerId, ErrorCode};

/// One partition as a client of one listener sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PartitionView {
    /// `LeaderNotAvailable` or `ListenerNotFound` when nobody can be asked, else none.
    pub(super) error: ErrorCode,
    /// The leader's id, -1 when there is none that can be reached.
    pub(super) leader_id: i32,
    /// The leader's epoch.
    pub(super) leader_epoch: i32,
    /// All replicas, the preferred leader first.
    pub(super) replicas: Vec<i32>,
    /// Those in sync.
    pub(super) isr: Vec<i32>,
    /// Those that are not to be reached.
    pub(super) offline: Vec<i32>,
}

/// The cluster as clients of one listener see it.
#[derive(Clone, Copy)]
pub(super) struct ClusterView<'a> {
    image: &'a Image,
    listener: &'a str,
}

impl<'a> ClusterView<'a> {
    /// The view from a listener.
    pub(super) fn new(image: &'a Image, listener: &'a str) -> ClusterView<'a> {
        ClusterView { image, listener }
    }

    /// The live brokers that can be reached through the listener, in order of id.
    pub(super) fn brokers(self) -> impl Iterator<Item = (&'a Arc<BrokerImage>, &'a Endpoint)> {
        let listener = self.listener;
        self.image
            .alive_brokers()
            .filter_map(move |broker| Some((broker, broker.endpoint(listener)?)))
    }

    /// Brokers that are registered but fenced, with their endpoint.
    pub(super) fn fenced_brokers(
        self,
    ) -> impl Iterator<Item = (&'a Arc<BrokerImage>, &'a Endpoint)> {
        let listener = self.listener;
        self.image
            .brokers
            .values()
            .filter(|broker| broker.fenced)
            .filter_map(move |broker| Some((broker, broker.endpoint(listener)?)))
    }

    /// A broker that takes administrative requests: this one if it is alive, because every broker
    /// passes them on to the controller, else any other (as KRaft brokers answer).
    pub(super) fn controller(self, myself: BrokerId) -> i32 {
        if self.is_alive(myself) {
            return myself.0;
        }
        self.image
            .alive_brokers()
            .next()
            .map_or(BrokerId::NONE.0, |broker| broker.id.0)
    }

    /// One partition.
    pub(super) fn partition(self, partition: &PartitionImage) -> PartitionView {
        let leader = partition.leader;
        let reachable = self.can_reach(leader);
        let error = match (reachable, self.is_alive(leader)) {
            (true, _) => ErrorCode::None,
            (false, true) => ErrorCode::ListenerNotFound,
            (false, false) => ErrorCode::LeaderNotAvailable,
        };
        PartitionView {
            error,
            leader_id: if reachable {
                leader.0
            } else {
                BrokerId::NONE.0
            },
            leader_epoch: partition.leader_epoch.0,
            replicas: ids(&partition.replicas),
            isr: ids(&partition.isr),
            offline: partition
                .replicas
                .iter()
                .filter(|replica| {
                    let lost = self.image.is_in_offline_directory(partition, **replica);
                    lost || !self.can_reach(**replica)
                })
                .map(|replica| replica.0)
                .collect(),
        }
    }

    fn is_alive(self, broker: BrokerId) -> bool {
        self.image
            .brokers
            .get(&broker)
            .is_some_and(|broker| !broker.fenced)
    }

    fn can_reach(self, broker: BrokerId) -> bool {
        self.image
            .brokers
            .get(&broker)
            .is_some_and(|broker| !broker.fenced && broker.endpoint(self.listener).is_some())
    }
}

fn ids(brokers: &[BrokerId]) -> Vec<i32> {
    brokers.iter().map(|broker| broker.0).collect()
}
