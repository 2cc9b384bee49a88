//! DescribeProducers: the producers a partition remembers (KIP-664).

use super::data_path::find_topic;
use super::errors;
use super::gateway::Gateway;
use super::looking::{ask, target};
use super::peer::{Operation, Peer, Resource, authorize};
use crate::actors::partition_messages::{DescribedProducer, ListProducers};
use crate::message;
use crate::model::{ErrorCode, validate_topic_name};
use crate::protocol::TopicKey;
use crate::protocol::messages::describe_producers_response::{
    PartitionResponse, ProducerState, TopicResponse,
};
use crate::protocol::messages::{DescribeProducersRequest, DescribeProducersResponse};
use crate::replication::FetchRefusal;

/// Handles one request.
pub(super) async fn handle(
    gateway: &Gateway,
    request: DescribeProducersRequest,
    _version: i16,
    peer: &Peer,
) -> DescribeProducersResponse {
    let image = gateway.image.load_full();
    let mut targets = Vec::new();
    for topic in &request.topics {
        let allowed = authorize(peer, Operation::Read, Resource::Topic(&topic.name));
        let found = if !allowed {
            Err(ErrorCode::TopicAuthorizationFailed)
        } else if validate_topic_name(&topic.name).is_err() {
            Err(ErrorCode::InvalidTopicException)
        } else {
            find_topic(&image, &TopicKey::Name(topic.name.clone()))
        };
        targets.extend(
            topic
                .partition_indexes
                .iter()
                .map(|index| target(found, *index)),
        );
    }
    let listed: Vec<Result<Result<Vec<DescribedProducer>, FetchRefusal>, ErrorCode>> =
        ask(gateway, &targets, |_, slot| ListProducers { slot }).await;
    let mut listed = listed.into_iter();
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partition_indexes.iter().zip(listed.by_ref());
        let partitions = partitions.map(|(index, listed)| {
            answer(
                *index,
                listed.and_then(|listed| listed.map_err(errors::fetch_refusal_code)),
            )
        });
        message!(TopicResponse {
            name: topic.name.clone(),
            partitions: partitions.collect(),
        })
    });
    message!(DescribeProducersResponse {
        topics: topics.collect()
    })
}

fn answer(index: i32, listed: Result<Vec<DescribedProducer>, ErrorCode>) -> PartitionResponse {
    let error = listed.as_ref().err().copied().unwrap_or(ErrorCode::None);
    let producers = listed.unwrap_or_default().into_iter().map(|producer| {
        message!(ProducerState {
            producer_id: producer.producer_id.0,
            producer_epoch: i32::from(producer.producer_epoch.0),
            last_sequence: producer.last_sequence,
            last_timestamp: producer.last_timestamp.0,
            coordinator_epoch: producer.coordinator_epoch,
            current_txn_start_offset: producer.transaction_start.map_or(-1, |offset| offset.0),
        })
    });
    message!(PartitionResponse {
        partition_index: index,
        error_code: error.code(),
        error_message: error.is_error().then(|| error.message().into()),
        active_producers: producers.collect(),
    })
}
