//! Making, changing, filling and deleting topics, off the measured path.

use milena::message;
use milena::protocol::messages::{
    CreateTopicsRequest, CreateTopicsResponse, DeleteTopicsRequest, DeleteTopicsResponse,
    IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse, MetadataRequest,
    MetadataResponse, StrBytes, create_topics_request, incremental_alter_configs_request,
    metadata_request,
};
use serde_json::json;

use crate::Failure;
use crate::args::Args;
use crate::batch::{Seed, Shape};
use crate::gate::{self, now_ns};
use crate::produce::warm_up;
use crate::stats;
use crate::wire::{self, Connection, PATIENCE};

const ALREADY_EXISTS: i16 = 36;
const UNKNOWN_TOPIC: i16 = 3;
/// Partitions in one request of `fill`.
const FILLED_AT_ONCE: i32 = 100;

/// The topics of a load: `topic=` alone, or `topics=` of them, called `topic-0` and so on.
pub(crate) fn names(args: &Args) -> Result<Vec<String>, Failure> {
    let topic = args.text("topic")?;
    Ok(match args.number("topics", 0)? {
        0 => vec![topic.to_owned()],
        count => (0..count).map(|index| format!("{topic}-{index}")).collect(),
    })
}

/// Makes topics, so many in a request, and waits until every partition of a request has a leader
/// before the next is sent: `topic= [topics=] partitions= [at_once=1] [config=key:value,…]`.
pub(crate) fn create(args: &Args) -> Result<(), Failure> {
    let (names, partitions) = (names(args)?, args.number("partitions", 1)?);
    let (configs, at_once) = (args.word("config", ""), args.number("at_once", 1usize)?);
    let mut connection = Connection::open(args.address()?, 1 << 16)?;
    let (begun, mut waits) = (now_ns(), Vec::new());
    for some in names.chunks(at_once.max(1)) {
        let since = now_ns();
        create_topics(&mut connection, some, partitions, configs)?;
        waits.push(now_ns() - since);
    }
    let taken_ms = (now_ns() - begun) as f64 / 1e6;
    gate::result(&json!({
        "partitions": partitions * i32::try_from(names.len())?, "create_ms": taken_ms,
        "answered": stats::summary(&mut waits),
    }))
}

fn create_topics(
    connection: &mut Connection,
    names: &[String],
    partitions: i32,
    configs: &str,
) -> Result<(), Failure> {
    let configs: Vec<_> = pairs(configs)?
        .into_iter()
        .map(|(key, value)| {
            message!(create_topics_request::CreatableTopicConfig {
                name: StrBytes::from(key),
                value: Some(StrBytes::from(value)),
            })
        })
        .collect();
    let asked = names.iter().map(|topic| {
        message!(create_topics_request::CreatableTopic {
            name: StrBytes::from(topic.as_str()),
            num_partitions: partitions,
            replication_factor: 1,
            configs: configs.clone(),
        })
    });
    let request = message!(CreateTopicsRequest {
        topics: asked.collect(),
        timeout_ms: 60_000,
    });
    let answer: CreateTopicsResponse = connection.ask(7, &request)?;
    let refused = answer.topics.iter().find(|topic| topic.error_code != 0);
    if let Some(refused) = refused.filter(|refused| refused.error_code != ALREADY_EXISTS) {
        return Err(format!("a topic was not made: {refused:?}").into());
    }
    wait_for_leaders(connection, names, partitions)
}

fn pairs(text: &str) -> Result<Vec<(&str, &str)>, Failure> {
    let pairs = text.split(',').filter(|text| !text.is_empty());
    pairs
        .map(|pair| Ok(pair.split_once(':').ok_or("config=key:value,…")?))
        .collect()
}

fn wait_for_leaders(
    connection: &mut Connection,
    names: &[String],
    partitions: i32,
) -> Result<(), Failure> {
    let wanted = names.len() * usize::try_from(partitions)?;
    let begun = now_ns();
    let patience_ns = u64::try_from(3 * PATIENCE.as_nanos())?;
    while now_ns() - begun < patience_ns {
        let asked = names.iter().map(|topic| {
            message!(metadata_request::MetadataRequestTopic {
                name: Some(StrBytes::from(topic.as_str())),
            })
        });
        let request = message!(MetadataRequest {
            topics: Some(asked.collect()),
            allow_auto_topic_creation: false,
        });
        let answer: MetadataResponse = connection.ask(9, &request)?;
        let led = answer.topics.iter().flat_map(|topic| &topic.partitions);
        let led = led.filter(|partition| partition.error_code == 0 && partition.leader_id >= 0);
        if led.count() == wanted {
            return Ok(());
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    Err(format!("{names:?} have no leaders").into())
}

/// Sets a topic's settings: `topic= config=key:value,…`.
pub(crate) fn alter(args: &Args) -> Result<(), Failure> {
    use incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
    const TOPIC: i8 = 2;
    let configs = pairs(args.text("config")?)?
        .into_iter()
        .map(|(key, value)| {
            message!(AlterableConfig {
                name: StrBytes::from(key),
                value: Some(StrBytes::from(value)),
            })
        });
    let topic = message!(AlterConfigsResource {
        resource_type: TOPIC,
        resource_name: StrBytes::from(args.text("topic")?),
        configs: configs.collect(),
    });
    let request = message!(IncrementalAlterConfigsRequest {
        resources: vec![topic],
    });
    let mut connection = Connection::open(args.address()?, 1 << 16)?;
    let answer: IncrementalAlterConfigsResponse = connection.ask(1, &request)?;
    match answer.responses.iter().find(|one| one.error_code != 0) {
        Some(refused) => Err(format!("settings were not taken: {refused:?}").into()),
        None => gate::result(&json!({"altered": answer.responses.len()})),
    }
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

/// Writes a batch of one record to each partition: `topic= [topics=] partitions= record_bytes=`.
pub(crate) fn fill(args: &Args) -> Result<(), Failure> {
    let (names, partitions) = (names(args)?, args.number("partitions", 1)?);
    let shape = Shape {
        records_max: 1,
        ..Shape::of(args)?
    };
    let (batch, _) = shape.build(&mut Seed(1))?;
    let mut connection = Connection::open(args.address()?, 1 << 16)?;
    let begun = now_ns();
    for topic in &names {
        for first in (0..partitions).step_by(FILLED_AT_ONCE as usize) {
            let last = partitions.min(first + FILLED_AT_ONCE);
            let batches: Vec<(i32, &[u8])> = (first..last).map(|part| (part, &batch[..])).collect();
            // Until it is known everywhere, a new topic refuses: those that took it have two then.
            warm_up(&mut connection, &mut wire::produce_frame(topic, &batches))?;
        }
    }
    let taken_ms = (now_ns() - begun) as f64 / 1e6;
    let records = names.len() * usize::try_from(partitions)?;
    gate::result(&json!({"records": records, "fill_ms": taken_ms}))
}
