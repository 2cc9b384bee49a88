//! Offsets that go by themselves: by age, and with their topic.

use std::sync::Arc;
use std::time::Duration;

use super::driven::{Driven, GROUP, commit_by};
use crate::coordination::config::GroupConfig;
use crate::coordination::messages::Request;
use crate::model::{Timestamp, Uuid};
use crate::protocol::consumer_offsets::{ClassicGroupValue, Record};

const RETENTION: Duration = Duration::from_secs(100);

fn group() -> Driven {
    Driven::new(GroupConfig {
        offsets_retention: RETENTION,
        ..GroupConfig::default()
    })
}

fn topics(group: &mut Driven) -> Vec<(String, i32)> {
    let all = group.fetch_all();
    all.into_iter()
        .map(|(topic, partition, _)| (topic, partition))
        .collect()
}

/// A group of that protocol type whose members have left.
fn load_empty(group: &mut Driven, protocol_type: &str, since: Timestamp) {
    let record = Record::ClassicGroup {
        group: Arc::from(GROUP),
        value: Some(ClassicGroupValue {
            protocol_type: Arc::from(protocol_type),
            generation: 4,
            protocol: None,
            leader: None,
            state_since: since,
            members: Vec::new(),
        }),
    };
    group.log.push(record);
    group.reload();
}

#[test]
fn offsets_without_members_expire_when_their_commit_is_old_enough() {
    let mut group = group();
    group.commit(&[("t", 0, 1), ("t", 1, 1)]);
    group.pass(RETENTION - Duration::from_millis(1));
    group.commit(&[("t", 1, 2)]);
    group.expire();
    assert_eq!(topics(&mut group).len(), 2);
    group.pass(Duration::from_millis(1));
    group.expire();
    assert_eq!(topics(&mut group), [("t".to_owned(), 1)]);
    group.pass(RETENTION);
    group.expire();
    assert!(group.group.is_gone());
    group.assert_state_is_the_log();
    // Nothing was ever written about such a group but its offsets: five records in all.
    assert_eq!(group.log.len(), 5);
}

#[test]
fn offsets_of_a_group_whose_members_left_expire_when_it_has_been_empty_long_enough() {
    let mut group = group();
    group.commit(&[("t", 0, 1)]);
    group.pass(RETENTION * 3);
    let since = group.wall;
    load_empty(&mut group, "consumer", since);
    group.pass(RETENTION - Duration::from_millis(1));
    group.expire();
    assert_eq!(topics(&mut group).len(), 1);
    group.pass(Duration::from_millis(1));
    group.expire();
    assert!(group.group.is_gone());
    let tombstone = Record::ClassicGroup {
        group: Arc::from(GROUP),
        value: None,
    };
    assert_eq!(group.log.last(), Some(&tombstone));
    group.assert_state_is_the_log();
}

#[test]
fn a_group_from_before_state_timestamps_expires_by_its_commits() {
    let mut group = group();
    group.commit(&[("t", 0, 1)]);
    group.pass(RETENTION);
    load_empty(&mut group, "connect", Timestamp::NONE);
    group.expire();
    assert!(group.group.is_gone());
}

#[test]
fn a_retention_time_of_its_own_counts_instead_of_the_brokers() {
    let mut group = group();
    for (partition, retention_ms) in [(0, 1_000), (1, 1_000_000)] {
        let mut commit = commit_by("", -1, &[("t", partition, 1)]);
        commit.retention_ms = Some(retention_ms);
        group.answer(Request::CommitOffsets(commit));
    }
    group.pass(Duration::from_millis(1_000));
    group.expire();
    assert_eq!(topics(&mut group), [("t".to_owned(), 1)]);
    group.pass(RETENTION * 5);
    group.expire();
    assert_eq!(topics(&mut group), [("t".to_owned(), 1)]);
}

#[test]
fn an_offset_that_a_transaction_may_change_does_not_expire_nor_does_its_group() {
    let mut group = group();
    group.commit(&[("t", 0, 1), ("t", 1, 1)]);
    group
        .group
        .offsets
        .pending
        .insert(Arc::from("t"), [1].into());
    group.pass(RETENTION);
    group.expire();
    assert_eq!(topics(&mut group), [("t".to_owned(), 1)]);
    assert!(!group.group.is_gone());
}

#[test]
fn more_expired_offsets_than_fit_in_a_batch_go_in_several() {
    let mut group = Driven::new(GroupConfig {
        offsets_retention: RETENTION,
        batch_bytes_max: 1_000,
        ..GroupConfig::default()
    });
    for partition in 0..100 {
        group.commit(&[("t", partition, 1)]);
    }
    group.pass(RETENTION);
    let now = group.now();
    let step = group.group.handle_expiry(now);
    assert!((10..40).contains(&step.records.len()), "{step:?}");
    group.store(step);
    group.run();
    assert!(group.group.is_gone());
    assert_eq!(group.log.len(), 200);
}

#[test]
fn what_could_not_be_expired_is_tried_again_later_and_not_at_once() {
    let mut group = group();
    group.commit(&[("t", 0, 1)]);
    group.delete_topics(&[]);
    group.cluster.put("t", 1, 1);
    group.cluster.remove("t");
    let now = group.now();
    let deleted = [Arc::from("t")];
    let step = group
        .group
        .handle_topics_changed(now, &group.cluster, &deleted);
    assert_eq!(step.records, []);
    let step = group.group.handle_timeout(now, &group.cluster);
    assert_eq!(step.records.len(), 1);
    group.refuse(step);
    assert!(group.group.next_timeout().unwrap() > group.moment);
    assert_eq!(topics(&mut group).len(), 1);
    group.pass(Duration::from_secs(60));
    assert!(group.group.is_gone());
}

#[test]
fn offsets_go_with_their_topic_but_not_those_of_the_topic_that_took_its_name() {
    let mut group = group();
    for (topic, partition, id) in [("t", 0, 1), ("t", 1, 2), ("t", 2, 0), ("u", 0, 1)] {
        let mut commit = commit_by("", -1, &[(topic, partition, 1)]);
        commit.offsets[0].topic_id = Uuid([id; 16]);
        group.answer(Request::CommitOffsets(commit));
    }
    group.cluster.put("t", 2, 3);
    group.topics_changed(&["t", "v"]);
    let left = [("t".to_owned(), 1), ("u".to_owned(), 0)];
    assert_eq!(topics(&mut group), left);
    group.delete_topics(&["t"]);
    assert_eq!(topics(&mut group), left[1..]);
    group.assert_state_is_the_log();
}
