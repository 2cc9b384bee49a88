//! `__consumer_offsets`, made when the first group asks for its coordinator
//! (`DefaultAutoTopicCreationManager`).

use std::time::Duration;

use super::gateway::{BrokerFacts, Gateway};
use crate::metadata::Refusal;
use crate::metadata::controller::{NewTopic, Reply, Request};
use crate::model::CONSUMER_OFFSETS;

/// How long the first question may wait for the topic.
const CREATION_PATIENCE: Duration = Duration::from_secs(10);

/// Makes the topic; that somebody else just did is as good. It is there, with its shards, when this
/// returns without an error.
///
/// # Errors
/// Why it could not be made, or is not known to be.
pub(super) async fn create_offsets_topic(gateway: &Gateway) -> Result<(), String> {
    let request = Request::CreateTopics {
        topics: vec![offsets_topic(&gateway.facts)],
        validate_only: false,
    };
    let asked = gateway.controller.ask(request, CREATION_PATIENCE).await;
    let Reply::CreateTopics(results) = asked.map_err(|unavailable| unavailable.to_string())? else {
        return Err("the controller gave another answer".to_owned());
    };
    match results.into_iter().next() {
        Some(Ok(_)) | Some(Err(Refusal::TopicAlreadyExists(_))) => Ok(()),
        Some(Err(refusal)) => Err(refusal.to_string()),
        None => Err("the controller gave no answer".to_owned()),
    }
}

/// The topic as `GroupCoordinatorService.groupMetadataTopicConfigs` has it.
fn offsets_topic(facts: &BrokerFacts) -> NewTopic {
    let number = |name: &str, default: i32| {
        let value = facts.static_value(name);
        value
            .and_then(|text| text.trim().parse().ok())
            .unwrap_or(default)
    };
    let factor = number("offsets.topic.replication.factor", 1);
    let config = |key: &str, value: String| (key.to_owned(), Some(value));
    NewTopic {
        name: CONSUMER_OFFSETS.to_owned(),
        partitions: number("offsets.topic.num.partitions", 50),
        replication_factor: i16::try_from(factor).unwrap_or(1),
        configs: vec![
            config("cleanup.policy", "compact".to_owned()),
            config("compression.type", "producer".to_owned()),
            config(
                "segment.bytes",
                number("offsets.topic.segment.bytes", 104_857_600).to_string(),
            ),
        ],
        ..NewTopic::default()
    }
}
