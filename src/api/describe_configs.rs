//! DescribeConfigs: the values of a resource's keys, where they come from and what they mean.
//!
//! Follows Kafka's `ConfigHelper`, also where it is peculiar: a broker key that is only set through
//! an alias (`log.retention.hours` for `log.retention.ms`) is shown without synonyms, as a default.

mod resource;

use std::collections::HashSet;

use self::resource::{Described, describe_resource};
use super::gateway::Gateway;
use super::peer::Peer;
use crate::message;
use crate::model::ErrorCode;
use crate::protocol::messages::describe_configs_request::DescribeConfigsResource;
use crate::protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use crate::protocol::messages::{DescribeConfigsRequest, DescribeConfigsResponse, StrBytes};

/// The first version with types and documentation (KIP-569).
const FIRST_WITH_TYPES: i16 = 3;

/// The most memory one answer may take, as far as its values go. A resource is a few hundred bytes
/// in the request and some ten thousand here, and nothing keeps a request from naming the same one a
/// hundred thousand times. Enough for all keys of 5,000 topics with synonyms.
const DESCRIBED_BYTES_MAX: usize = 128 * 1024 * 1024;
/// What is said of the resources beyond it.
const TOO_MUCH: &str =
    "The answer would be too large; ask for fewer resources, or only for some of their keys.";
/// What an entry or a synonym takes beside its texts.
const ENTRY_BYTES: usize = 256;

/// What beside the values is wanted.
#[derive(Clone, Copy)]
struct Wishes {
    synonyms: bool,
    types: bool,
    documentation: bool,
}

/// Answers.
pub(super) async fn handle(
    gateway: &Gateway,
    request: DescribeConfigsRequest,
    version: i16,
    peer: &Peer,
) -> DescribeConfigsResponse {
    let types = version >= FIRST_WITH_TYPES;
    let wishes = Wishes {
        synonyms: request.include_synonyms,
        types,
        documentation: types && request.include_documentation,
    };
    let mut bytes = 0usize;
    message!(DescribeConfigsResponse {
        results: request
            .resources
            .into_iter()
            .map(|resource| {
                if bytes > DESCRIBED_BYTES_MAX {
                    return too_much(resource);
                }
                let result = describe(gateway, resource, wishes, peer);
                bytes = bytes.saturating_add(result.configs.iter().map(weight).sum());
                result
            })
            .collect(),
    })
}

fn too_much(resource: DescribeConfigsResource) -> DescribeConfigsResult {
    message!(DescribeConfigsResult {
        resource_type: resource.resource_type,
        resource_name: resource.resource_name,
        error_code: ErrorCode::PolicyViolation.code(),
        error_message: Some(TOO_MUCH.into()),
    })
}

/// The memory an entry takes, as good as it need be.
fn weight(entry: &DescribeConfigsResourceResult) -> usize {
    let text = |value: &Option<StrBytes>| value.as_ref().map_or(0, |value| value.len());
    let synonyms = entry.synonyms.iter();
    let synonyms = synonyms.map(|synonym| ENTRY_BYTES + synonym.name.len() + text(&synonym.value));
    let own = entry.name.len() + text(&entry.value) + text(&entry.documentation);
    ENTRY_BYTES + own + synonyms.sum::<usize>()
}

fn describe(
    gateway: &Gateway,
    resource: DescribeConfigsResource,
    wishes: Wishes,
    peer: &Peer,
) -> DescribeConfigsResult {
    let asked: Option<HashSet<StrBytes>> = resource
        .configuration_keys
        .filter(|keys| !keys.is_empty())
        .map(|keys| keys.into_iter().collect());
    let is_asked = |entry: &Described| {
        let name = || StrBytes::from(entry.name.as_str());
        asked.as_ref().is_none_or(|asked| asked.contains(&name()))
    };
    let described = describe_resource(
        gateway,
        resource.resource_type,
        &resource.resource_name,
        peer,
    );
    let mut result = message!(DescribeConfigsResult {
        resource_type: resource.resource_type,
        resource_name: resource.resource_name,
        error_message: Some("".into()),
    });
    match described {
        Ok(entries) => {
            result.configs = entries
                .into_iter()
                .filter(is_asked)
                .map(|entry| show(entry, wishes))
                .collect();
        }
        Err(error) => {
            result.error_code = error.code.code();
            result.error_message = error.message.or_else(|| default_message(error.code));
        }
    }
    result
}

/// An unknown topic is answered with an empty sentence, as Kafka does.
fn default_message(code: ErrorCode) -> Option<StrBytes> {
    Some(match code {
        ErrorCode::UnknownTopicOrPartition => "".into(),
        code => code.message().into(),
    })
}

fn show(entry: Described, wishes: Wishes) -> DescribeConfigsResourceResult {
    let shown = |value: Option<String>| value.filter(|_| !entry.sensitive).map(StrBytes::from);
    let synonyms = entry.synonyms.into_iter().filter(|_| wishes.synonyms);
    let mut result = message!(DescribeConfigsResourceResult {
        name: entry.name.as_str().into(),
        read_only: entry.read_only,
        config_source: entry.source,
        is_sensitive: entry.sensitive,
        synonyms: synonyms
            .map(|synonym| {
                message!(DescribeConfigsSynonym {
                    name: synonym.name.into(),
                    value: shown(Some(synonym.value)),
                    source: synonym.source.wire(),
                })
            })
            .collect(),
    });
    result.value = shown(entry.value);
    result.documentation = None;
    if wishes.types {
        result.config_type = entry.config_type;
    }
    if wishes.documentation {
        result.documentation = Some(entry.documentation.into());
    }
    result
}

#[cfg(test)]
#[path = "describe_configs_tests.rs"]
mod tests;
