//! DescribeLogDirs: this broker's log directories, their space and what lies in them (KIP-113,
//! KIP-827).

use std::collections::{BTreeMap, HashMap, HashSet};

use super::gateway::{Gateway, LogDirReplica, LogDirReport};
use super::peer::{Operation, Peer, Resource, authorize};
use crate::message;
use crate::model::ErrorCode;
use crate::protocol::messages::describe_log_dirs_request::DescribableLogDirTopic;
use crate::protocol::messages::describe_log_dirs_response::{
    DescribeLogDirsPartition, DescribeLogDirsResult, DescribeLogDirsTopic,
};
use crate::protocol::messages::{DescribeLogDirsRequest, DescribeLogDirsResponse, StrBytes};

/// The partitions that are asked for; `None` is all of them.
type Asked = Option<HashMap<StrBytes, HashSet<i32>>>;

/// Answers.
pub(super) async fn handle(
    gateway: &Gateway,
    request: DescribeLogDirsRequest,
    _version: i16,
    peer: &Peer,
) -> DescribeLogDirsResponse {
    if !authorize(peer, Operation::Describe, Resource::Cluster) {
        return message!(DescribeLogDirsResponse {
            error_code: ErrorCode::ClusterAuthorizationFailed.code()
        });
    }
    let asked = request.topics.map(by_topic);
    let reports = gateway.log_dirs.log_dirs().await;
    message!(DescribeLogDirsResponse {
        results: reports
            .into_iter()
            .map(|report| describe(report, &asked))
            .collect(),
    })
}

fn by_topic(topics: Vec<DescribableLogDirTopic>) -> HashMap<StrBytes, HashSet<i32>> {
    let mut asked: HashMap<StrBytes, HashSet<i32>> = HashMap::new();
    for topic in topics {
        asked
            .entry(topic.topic)
            .or_default()
            .extend(topic.partitions);
    }
    asked
}

fn is_asked(asked: &Asked, replica: &LogDirReplica) -> bool {
    let Some(asked) = asked else {
        return true;
    };
    asked
        .get(&StrBytes::from(&*replica.topic))
        .is_some_and(|partitions| partitions.contains(&replica.partition))
}

fn describe(report: LogDirReport, asked: &Asked) -> DescribeLogDirsResult {
    let mut topics: BTreeMap<&str, Vec<DescribeLogDirsPartition>> = BTreeMap::new();
    for replica in report.replicas.iter().filter(|r| is_asked(asked, r)) {
        let partition = message!(DescribeLogDirsPartition {
            partition_index: replica.partition,
            partition_size: replica.size_bytes,
            offset_lag: replica.offset_lag,
            is_future_key: replica.is_future,
        });
        topics.entry(&replica.topic).or_default().push(partition);
    }
    message!(DescribeLogDirsResult {
        error_code: report.error.code(),
        log_dir: report.path.as_str().into(),
        topics: topics
            .into_iter()
            .map(|(name, partitions)| message!(DescribeLogDirsTopic {
                name: name.into(),
                partitions: partitions,
            }))
            .collect(),
        total_bytes: report.total_bytes,
        usable_bytes: report.usable_bytes,
        is_cordoned: report.is_cordoned,
    })
}
