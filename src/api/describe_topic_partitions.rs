//! DescribeTopicPartitions: topics and their partitions, a page at a time (KIP-966).
//!
//! Lists are empty, never null: null ends the Java Admin client. There are no eligible leader
//! replicas here, so their lists are always empty.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;

use super::cluster_view::ClusterView;
use super::gateway::Gateway;
use super::peer::{
    OPERATIONS_NOT_ASKED, Operation, Peer, Resource, authorize, authorized_operations,
};
use crate::message;
use crate::metadata::{Image, TopicImage};
use crate::model::{ErrorCode, is_internal, validate_topic_name};
use crate::protocol::messages::describe_topic_partitions_request::Cursor as Start;
use crate::protocol::messages::describe_topic_partitions_response::{
    Cursor, DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
};
use crate::protocol::messages::{
    DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse, wire_uuid,
};

/// Answers one page.
pub(super) async fn handle(
    gateway: &Gateway,
    request: DescribeTopicPartitionsRequest,
    _version: i16,
    peer: &Peer,
) -> DescribeTopicPartitionsResponse {
    let image = gateway.image.load();
    let start = request.cursor;
    let all = request.topics.is_empty();
    let first = start.as_ref().map_or("", |cursor| &*cursor.topic_name);
    // In order of name, each once: the cursor is a name.
    let named: BTreeSet<Arc<str>> = request
        .topics
        .iter()
        .map(|topic| Arc::from(topic.name.as_str()))
        .collect();
    if let Some(cursor) = &start
        && (cursor.partition_index < 0 || (!all && !named.contains(first)))
    {
        return refuse(named.iter());
    }
    let onwards: (Bound<&str>, Bound<&str>) = (Bound::Included(first), Bound::Unbounded);
    let names: Box<dyn Iterator<Item = &Arc<str>>> = if all {
        Box::new(
            image
                .topic_ids
                .range::<str, _>(onwards)
                .map(|(name, _)| name),
        )
    } else {
        Box::new(named.range::<str, _>(onwards))
    };
    let limit = gateway.facts.partitions_per_answer_max();
    let mut page = Page {
        image: &image,
        view: ClusterView::new(&image, &peer.connection.listener),
        peer,
        start: start.as_ref(),
        remaining: request.response_partition_limit.min(limit).max(1),
        response: DescribeTopicPartitionsResponse::default(),
    };
    for name in names {
        if !page.add(name, all) {
            break;
        }
    }
    page.response
}

fn refuse<'a>(names: impl Iterator<Item = &'a Arc<str>>) -> DescribeTopicPartitionsResponse {
    message!(DescribeTopicPartitionsResponse {
        topics: names
            .map(|name| no_topic(name, ErrorCode::InvalidRequest))
            .collect(),
    })
}

/// The page that is being filled.
struct Page<'a> {
    image: &'a Image,
    view: ClusterView<'a>,
    peer: &'a Peer,
    start: Option<&'a Start>,
    /// How many more partitions it takes.
    remaining: i32,
    response: DescribeTopicPartitionsResponse,
}

impl Page<'_> {
    /// Adds a topic, or what fits of it; tells whether there is room for another.
    fn add(&mut self, name: &str, only_existing: bool) -> bool {
        if self.remaining == 0 {
            self.turn(name, 0);
            return false;
        }
        if !authorize(self.peer, Operation::Describe, Resource::Topic(name)) {
            if !only_existing {
                let refused = no_topic(name, ErrorCode::TopicAuthorizationFailed);
                self.response.topics.push(refused);
            }
            return true;
        }
        match self.image.topic(name) {
            Some(topic) => self.add_topic(topic),
            None if only_existing => true,
            None => {
                let code = match validate_topic_name(name) {
                    Ok(()) => ErrorCode::UnknownTopicOrPartition,
                    Err(_) => ErrorCode::InvalidTopicException,
                };
                self.response.topics.push(no_topic(name, code));
                true
            }
        }
    }

    fn add_topic(&mut self, topic: &TopicImage) -> bool {
        let first = match self.start {
            Some(cursor) if *cursor.topic_name == *topic.name => cursor.partition_index,
            _ => 0,
        };
        let count = i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
        let end = first.saturating_add(self.remaining).min(count);
        let partitions: Vec<_> = (first..end)
            .filter_map(|index| self.partition(topic, index))
            .collect();
        self.remaining -= end.saturating_sub(first).max(0);
        self.response
            .topics
            .push(message!(DescribeTopicPartitionsResponseTopic {
                name: Some((&*topic.name).into()),
                topic_id: wire_uuid(topic.id),
                is_internal: topic.is_internal(),
                partitions: partitions,
                topic_authorized_operations: authorized_operations(
                    self.peer,
                    Resource::Topic(&topic.name)
                ),
            }));
        if end < count {
            self.turn(&topic.name, end);
            return false;
        }
        true
    }

    fn partition(
        &self,
        topic: &TopicImage,
        index: i32,
    ) -> Option<DescribeTopicPartitionsResponsePartition> {
        let view = self.view.partition(topic.partition(index)?);
        Some(message!(DescribeTopicPartitionsResponsePartition {
            error_code: view.error.code(),
            partition_index: index,
            leader_id: view.leader_id,
            leader_epoch: view.leader_epoch,
            replica_nodes: view.replicas,
            isr_nodes: view.isr,
            eligible_leader_replicas: Some(Vec::new()),
            last_known_elr: Some(Vec::new()),
            offline_replicas: view.offline,
        }))
    }

    /// Says where the next page begins.
    fn turn(&mut self, topic: &str, partition: i32) {
        self.response.next_cursor = Some(message!(Cursor {
            topic_name: topic.into(),
            partition_index: partition,
        }));
    }
}

fn no_topic(name: &str, code: ErrorCode) -> DescribeTopicPartitionsResponseTopic {
    message!(DescribeTopicPartitionsResponseTopic {
        error_code: code.code(),
        name: Some(name.into()),
        is_internal: is_internal(name),
        topic_authorized_operations: OPERATIONS_NOT_ASKED,
    })
}

#[cfg(test)]
#[path = "describe_topic_partitions_tests.rs"]
mod tests;
