//! Making, filling and deleting topics, off the measured path.

use std::net::SocketAddr;

use milena::message;
use milena::protocol::messages::{
    CreateTopicsRequest, CreateTopicsResponse, DeleteTopicsRequest, DeleteTopicsResponse,
    MetadataRequest, MetadataResponse, StrBytes, create_topics_request, metadata_request,
};
use serde_json::json;

use crate::Failure;
use crate::args::Args;
use crate::batch::{Seed, Shape};
use crate::gate::{self, now_ns};
use crate::produce::warm_up;
use crate::wire::{self, Connection, PATIENCE};

const ALREADY_EXISTS: i16 = 36;
const UNKNOWN_TOPIC: i16 = 3;
/// Partitions in one request of `fill`.
const FILLED_AT_ONCE: i32 = 100;

/// Makes a topic and waits until every partition has a leader: `topic= partitions= [config=key:value,…]`.
pub(crate) fn create(args: &Args) -> Result<(), Failure> {
    let (address, topic) = (args.address()?, args.text("topic")?);
    let partitions = args.number("partitions", 1)?;
    let begun = now_ns();
    create_topic(address, topic, partitions, args.word("config", ""))?;
    let taken_ms = (now_ns() - begun) as f64 / 1e6;
    gate::result(&json!({"partitions": partitions, "create_ms": taken_ms}))
}

fn create_topic(
    address: SocketAddr,
    topic: &str,
    partitions: i32,
    configs: &str,
) -> Result<(), Failure> {
    let configs = configs.split(',').filter(|text| !text.is_empty());
    let configs: Result<Vec<_>, Failure> = configs
        .map(|pair| {
            let (key, value) = pair.split_once(':').ok_or("config=key:value,…")?;
            Ok(message!(create_topics_request::CreatableTopicConfig {
                name: StrBytes::from(key),
                value: Some(StrBytes::from(value)),
            }))
        })
        .collect();
    let asked = message!(create_topics_request::CreatableTopic {
        name: StrBytes::from(topic),
        num_partitions: partitions,
        replication_factor: 1,
        configs: configs?,
    });
    let request = message!(CreateTopicsRequest {
        topics: vec![asked],
        timeout_ms: 60_000,
    });
    let mut connection = Connection::open(address, 1 << 16)?;
    let answer: CreateTopicsResponse = connection.ask(7, &request)?;
    let refused = answer.topics.iter().find(|topic| topic.error_code != 0);
    if let Some(refused) = refused.filter(|refused| refused.error_code != ALREADY_EXISTS) {
        return Err(format!("{topic} was not made: {refused:?}").into());
    }
    wait_for_leaders(&mut connection, topic, partitions)
}

fn wait_for_leaders(
    connection: &mut Connection,
    topic: &str,
    partitions: i32,
) -> Result<(), Failure> {
    let begun = now_ns();
    let patience_ns = u64::try_from(3 * PATIENCE.as_nanos())?;
    while now_ns() - begun < patience_ns {
        let asked = message!(metadata_request::MetadataRequestTopic {
            name: Some(StrBytes::from(topic)),
        });
        let request = message!(MetadataRequest {
            topics: Some(vec![asked]),
            allow_auto_topic_creation: false,
        });
        let answer: MetadataResponse = connection.ask(9, &request)?;
        let led = answer.topics.iter().flat_map(|topic| &topic.partitions);
        let led = led.filter(|partition| partition.error_code == 0 && partition.leader_id >= 0);
        if led.count() == usize::try_from(partitions)? {
            return Ok(());
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    Err(format!("{topic} has no leaders").into())
}

/// Deletes a topic: `topic=`.
pub(crate) fn delete(args: &Args) -> Result<(), Failure> {
    let topic = args.text("topic")?;
    let mut connection = Connection::open(args.address()?, 1 << 16)?;
    let request = message!(DeleteTopicsRequest {
        topic_names: vec![StrBytes::from(topic)],
        timeout_ms: 60_000,
    });
    let answer: DeleteTopicsResponse = connection.ask(5, &request)?;
    let refused = answer.responses.iter().find(|one| one.error_code != 0);
    match refused.filter(|refused| refused.error_code != UNKNOWN_TOPIC) {
        Some(refused) => Err(format!("{topic} was not deleted: {refused:?}").into()),
        None => gate::result(&json!({"deleted": topic})),
    }
}

/// Writes a batch of one record to each partition: `topic= partitions= record_bytes=`.
pub(crate) fn fill(args: &Args) -> Result<(), Failure> {
    let (topic, partitions) = (args.text("topic")?, args.number("partitions", 1)?);
    let shape = Shape {
        records_max: 1,
        ..Shape::of(args)?
    };
    let (batch, _) = shape.build(&mut Seed(1))?;
    let mut connection = Connection::open(args.address()?, 1 << 16)?;
    let begun = now_ns();
    for first in (0..partitions).step_by(FILLED_AT_ONCE as usize) {
        let last = partitions.min(first + FILLED_AT_ONCE);
        let batches: Vec<(i32, &[u8])> = (first..last).map(|part| (part, &batch[..])).collect();
        // Until it is known everywhere, a new topic refuses: those that took it have two then.
        warm_up(&mut connection, &mut wire::produce_frame(topic, &batches))?;
    }
    let taken_ms = (now_ns() - begun) as f64 / 1e6;
    gate::result(&json!({"records": partitions, "fill_ms": taken_ms}))
}
