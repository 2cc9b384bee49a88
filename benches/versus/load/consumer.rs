//! Members of consumer groups (KIP-848), which report all they know with each heartbeat.

use bytes::Bytes;
use milena::message;
use milena::protocol::messages::consumer_group_heartbeat_request::TopicPartitions;
use milena::protocol::messages::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, StrBytes, Uuid,
};

use crate::Failure;
use crate::classic;

pub(crate) const VERSION: i16 = 1;
const LEAVING: i32 = -1;

/// One member, as it knows itself.
#[derive(Clone)]
pub(crate) struct Member {
    group: StrBytes,
    id: StrBytes,
    topic: StrBytes,
    epoch: i32,
    owned: Vec<(Uuid, Vec<i32>)>,
}

impl Member {
    pub(crate) fn new(group: &str, id: String, topic: &str) -> Member {
        Member {
            group: group.into(),
            id: id.into(),
            topic: topic.into(),
            epoch: 0,
            owned: Vec::new(),
        }
    }

    /// Partitions it has.
    pub(crate) fn share(&self) -> usize {
        self.owned
            .iter()
            .map(|(_, partitions)| partitions.len())
            .sum()
    }

    pub(crate) fn epoch(&self) -> i32 {
        self.epoch
    }

    pub(crate) fn heartbeat(&self) -> ConsumerGroupHeartbeatRequest {
        let owned = self.owned.iter().map(|(topic, partitions)| {
            message!(TopicPartitions {
                topic_id: *topic,
                partitions: partitions.clone(),
            })
        });
        message!(ConsumerGroupHeartbeatRequest {
            group_id: self.group.clone(),
            member_id: self.id.clone(),
            member_epoch: self.epoch,
            rebalance_timeout_ms: 60_000,
            subscribed_topic_names: Some(vec![self.topic.clone()]),
            topic_partitions: Some(owned.collect()),
        })
    }

    /// The same when nothing is new.
    pub(crate) fn short_heartbeat(&self) -> Result<Bytes, Failure> {
        let request = message!(ConsumerGroupHeartbeatRequest {
            group_id: self.group.clone(),
            member_id: self.id.clone(),
            member_epoch: self.epoch,
            rebalance_timeout_ms: -1,
        });
        classic::frame(VERSION, &request)
    }

    pub(crate) fn frame(&self) -> Result<Bytes, Failure> {
        classic::frame(VERSION, &self.heartbeat())
    }

    /// Takes what it is told at once: what it loses it has given back with the next heartbeat.
    pub(crate) fn told(
        &mut self,
        answer: &ConsumerGroupHeartbeatResponse,
    ) -> Result<bool, Failure> {
        classic::expect("ConsumerGroupHeartbeat", answer.error_code)?;
        self.epoch = answer.member_epoch;
        let Some(assignment) = &answer.assignment else {
            return Ok(false);
        };
        let given = assignment.topic_partitions.iter();
        self.owned = given
            .map(|one| (one.topic_id, one.partitions.clone()))
            .collect();
        Ok(true)
    }

    /// Says that it goes, and is as before it came.
    pub(crate) fn leaving(&mut self) -> ConsumerGroupHeartbeatRequest {
        self.epoch = LEAVING;
        self.owned.clear();
        let request = self.heartbeat();
        self.epoch = 0;
        request
    }
}
