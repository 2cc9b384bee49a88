//! Produce: batches checked at the door, handed to their partitions, answered in the request's order.
//!
//! Source: Kafka's `KafkaApis.handleProduceRequest`, `ReplicaManager.appendRecords`. Versions: 8 adds
//! errors of single records, 10 the current leader, 13 topic ids. Nothing of a request waits before
//! its batches are on their way, so that requests of a connection take effect in their order.

use std::rc::Rc;
use std::time::Duration;

use super::data_path::{DataPath, current_leader, find_led_partition, find_topic};
use super::errors;
use super::gateway::Gateway;
use super::leaders::endpoints;
use super::peer::{Operation, Peer, Resource, authorize};
use crate::actors::gather::{Gathered, gather};
use crate::actors::partition_messages::{Append, AppendReply, PartitionKey};
use crate::metadata::{Image, TopicImage};
use crate::model::{BrokerId, ErrorCode, Moment};
use crate::net::LocalBoxFuture;
use crate::net::Reply;
use crate::protocol::produce::{
    PartitionAnswer, PartitionData, ProduceEncoder, ProduceRequest, RecordError,
};
use crate::protocol::{NodeEndpoint, ProtocolError, RequestHead, TopicKey};
use crate::record::{InvalidBatch, ProduceRules, ValidBatch, validate_produce};
use crate::replication::Acks;

/// Clients that may write to internal topics (Kafka's `AdminUtils.ADMIN_CLIENT_ID`).
const ADMIN_CLIENT_ID: &str = "__admin_client";

/// A request whose batches are on their way.
struct Begun {
    request: ProduceRequest,
    /// Per partition, in the request's order: refused here, or asked.
    verdicts: Vec<Option<PartitionAnswer>>,
    gathered: Gathered<AppendReply>,
}

/// Handles one request. Everything but the waiting happens before the future is first polled.
pub(super) fn handle(
    gateway: Rc<Gateway>,
    peer: Peer,
    head: RequestHead,
) -> LocalBoxFuture<'static, Reply> {
    let (correlation_id, api_version) = (head.correlation_id, head.api_version);
    let begun = ProduceRequest::decode(head.body, api_version)
        .map(|request| begin(&gateway, &peer, request, api_version));
    Box::pin(async move {
        let begun = match begun {
            Ok(begun) => begun,
            Err(error) => return Reply::Close(format!("a malformed Produce request: {error}")),
        };
        let (acks, request) = (begun.request.acks, begun.request);
        let replies = begun.gathered.all().await;
        let answers = answers(&gateway, &request, begun.verdicts, replies);
        if acks == 0 {
            return without_answer(&answers);
        }
        let leaders = answers.iter().filter_map(|answer| answer.current_leader);
        let endpoints = endpoints(&gateway, &peer.connection.listener, leaders);
        encode(
            &gateway.data,
            correlation_id,
            api_version,
            &request,
            &answers,
            &endpoints,
        )
        .unwrap_or_else(|error| Reply::Close(format!("a Produce answer failed: {error}")))
    })
}

fn begin(gateway: &Gateway, peer: &Peer, mut request: ProduceRequest, api_version: i16) -> Begun {
    let image = gateway.image.load();
    let records: Vec<_> = request.take_records().collect();
    let door = Door {
        gateway,
        image: &image,
        peer,
        acks: acks(request.acks),
        api_version,
        deadline: deadline(&gateway.data, request.timeout_ms),
    };
    let mut verdicts = Vec::with_capacity(records.len());
    let mut valid: Vec<(PartitionKey, ValidBatch)> = Vec::with_capacity(records.len());
    let mut records = records.into_iter();
    for (key, partitions) in request.topics() {
        let topic = door.topic(key);
        for partition in partitions {
            let batch = records.next().flatten();
            let judged = topic
                .as_ref()
                .map_err(|error| PartitionAnswer::failed(partition.index, *error, None))
                .and_then(|topic| topic.judge(&door, partition, batch));
            match judged {
                Ok(batch) => {
                    valid.push(batch);
                    verdicts.push(None);
                }
                Err(refused) => verdicts.push(Some(refused)),
            }
        }
    }
    let acks = door.acks.unwrap_or(Acks::Leader);
    let (slots, gathered) = gather(valid.len());
    let deadline = door.deadline;
    let appends = valid.into_iter().zip(slots).map(|((key, batch), slot)| {
        (
            key,
            Append {
                batch,
                acks,
                deadline,
                slot,
            },
        )
    });
    gateway.data.router.send(appends.collect());
    Begun {
        request,
        verdicts,
        gathered,
    }
}

fn acks(acks: i16) -> Option<Acks> {
    match acks {
        0 => Some(Acks::None),
        1 => Some(Acks::Leader),
        -1 => Some(Acks::All),
        _ => None,
    }
}

fn deadline(data: &DataPath, timeout_ms: i32) -> Moment {
    data.clock.now() + Duration::from_millis(u64::try_from(timeout_ms).unwrap_or(0))
}

/// What every batch of a request is judged with.
struct Door<'a> {
    gateway: &'a Gateway,
    image: &'a Image,
    peer: &'a Peer,
    acks: Option<Acks>,
    api_version: i16,
    deadline: Moment,
}

/// A topic that may be written to, and its rules.
struct OpenTopic<'a> {
    topic: &'a TopicImage,
    rules: ProduceRules,
}

impl<'a> Door<'a> {
    fn topic(&self, key: &TopicKey) -> Result<OpenTopic<'a>, ErrorCode> {
        let topic = find_topic(self.image, key)?;
        if !authorize(self.peer, Operation::Write, Resource::Topic(&topic.name)) {
            return Err(ErrorCode::TopicAuthorizationFailed);
        }
        let admin = self.peer.client_id.as_deref() == Some(ADMIN_CLIENT_ID);
        if topic.is_internal() && !admin {
            return Err(ErrorCode::InvalidTopicException);
        }
        if self.acks.is_none() {
            return Err(ErrorCode::InvalidRequiredAcks);
        }
        let settings = self.gateway.data.settings(self.image, topic);
        let rules = self.gateway.data.produce_rules(&settings, self.api_version);
        Ok(OpenTopic { topic, rules })
    }

    fn broker(&self) -> BrokerId {
        self.gateway.facts.broker_id
    }
}

impl OpenTopic<'_> {
    fn judge(
        &self,
        door: &Door<'_>,
        partition: &PartitionData,
        batch: Option<bytes::Bytes>,
    ) -> Result<(PartitionKey, ValidBatch), PartitionAnswer> {
        let index = partition.index;
        find_led_partition(self.topic, index, door.broker()).map_err(|(error, leader)| {
            PartitionAnswer {
                current_leader: leader,
                ..PartitionAnswer::failed(index, error, None)
            }
        })?;
        let mut scratch = door.gateway.data.codec_scratch.borrow_mut();
        let batch = validate_produce(batch.unwrap_or_default(), &self.rules, &mut scratch)
            .map_err(|invalid| refuse(index, &invalid))?;
        if batch.header.is_transactional() {
            // The code with which FindCoordinator and InitProducerId refuse: no client retries it.
            let why = "transactions are not available on this broker yet";
            let error = ErrorCode::TransactionalIdAuthorizationFailed;
            return Err(PartitionAnswer::failed(index, error, Some(why.to_owned())));
        }
        Ok(((self.topic.id, index), batch))
    }
}

fn refuse(index: i32, invalid: &InvalidBatch) -> PartitionAnswer {
    let record_errors = invalid.record_errors().iter().map(|error| RecordError {
        batch_index: error.index,
        message: Some(error.message.clone()),
    });
    PartitionAnswer {
        record_errors: record_errors.collect(),
        ..PartitionAnswer::failed(
            index,
            errors::batch_code(invalid),
            Some(invalid.to_string()),
        )
    }
}

/// Puts the answers of the partitions between those of the door.
fn answers(
    gateway: &Gateway,
    request: &ProduceRequest,
    verdicts: Vec<Option<PartitionAnswer>>,
    replies: Vec<Option<AppendReply>>,
) -> Vec<PartitionAnswer> {
    let image = gateway.image.load();
    let partitions = request.topics().flat_map(|(key, partitions)| {
        partitions
            .iter()
            .map(move |partition| (key, partition.index))
    });
    let mut replies = replies.into_iter();
    partitions
        .zip(verdicts)
        .map(|((key, index), verdict)| {
            verdict.unwrap_or_else(|| answer(&image, key, index, replies.next().flatten()))
        })
        .collect()
}

fn answer(
    image: &Image,
    key: &TopicKey,
    index: i32,
    reply: Option<AppendReply>,
) -> PartitionAnswer {
    let error = match reply {
        Some(Ok(stored)) => {
            return PartitionAnswer {
                base_offset: stored.base_offset,
                log_append_time: stored.log_append_time,
                log_start_offset: stored.log_start_offset,
                ..PartitionAnswer::failed(index, ErrorCode::None, None)
            };
        }
        Some(Err(error)) => error,
        None => {
            let error = errors::absent_partition_code(image, key, index);
            return PartitionAnswer::failed(index, error, None);
        }
    };
    let code = errors::write_code(&error);
    let partition = find_topic(image, key)
        .ok()
        .and_then(|topic| topic.partition(index));
    let current_leader = partition
        .filter(|_| code == ErrorCode::NotLeaderOrFollower)
        .map(current_leader);
    PartitionAnswer {
        current_leader,
        ..PartitionAnswer::failed(index, code, Some(error.to_string()))
    }
}

/// A producer that wants no answer learns of an error by the end of its connection, as with Kafka.
fn without_answer(answers: &[PartitionAnswer]) -> Reply {
    match answers.iter().find(|answer| answer.error_code.is_error()) {
        Some(failed) => Reply::Close(format!(
            "a Produce request with acks=0 failed for partition {}: {}",
            failed.index, failed.error_code
        )),
        None => Reply::Silent,
    }
}

fn encode(
    data: &DataPath,
    correlation_id: i32,
    api_version: i16,
    request: &ProduceRequest,
    answers: &[PartitionAnswer],
    endpoints: &[NodeEndpoint],
) -> Result<Reply, ProtocolError> {
    let mut scratch = data.scratch.borrow_mut();
    // A topic of which nothing was asked is not answered, as in Kafka.
    let topics = || request.topics().filter(|(_, asked)| !asked.is_empty());
    let count = topics().count();
    let mut encoder = ProduceEncoder::new(&mut scratch, correlation_id, api_version, count)?;
    let mut answers = answers.iter();
    for (key, partitions) in topics() {
        encoder.topic(key, partitions.len())?;
        for answer in answers.by_ref().take(partitions.len()) {
            encoder.partition(answer)?;
        }
    }
    Ok(Reply::Respond(encoder.finish(0, endpoints)?))
}
