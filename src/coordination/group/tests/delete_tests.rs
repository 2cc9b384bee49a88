//! DeleteGroups.

use std::sync::Arc;

use super::driven::{Driven, GROUP, commit_by};
use crate::coordination::config::GroupConfig;
use crate::coordination::messages::{GroupError, Reply, Request};
use crate::coordination::{Step, Ticket};
use crate::model::Timestamp;
use crate::protocol::consumer_offsets::{ClassicGroupValue, Record};

fn empty_group_record() -> Record {
    Record::ClassicGroup {
        group: Arc::from(GROUP),
        value: Some(ClassicGroupValue {
            protocol_type: Arc::from("consumer"),
            generation: 4,
            protocol: None,
            leader: None,
            state_since: Timestamp(1),
            members: Vec::new(),
        }),
    }
}

#[test]
fn a_deleted_group_leaves_nothing() {
    let mut group = Driven::new(GroupConfig::default());
    group.log.push(empty_group_record());
    group.reload();
    group.commit(&[("t", 0, 1), ("u", 3, 1)]);
    assert_eq!(group.answer(Request::Delete), Reply::Delete(Ok(())));
    assert!(group.group.is_gone());
    assert_eq!(group.log.len(), 6);
    group.assert_state_is_the_log();
}

#[test]
fn a_group_that_is_not_there_is_not_deleted() {
    let mut group = Driven::new(GroupConfig::default());
    let not_found = GroupError::GroupIdNotFound("Group g not found.".to_owned());
    assert_eq!(group.answer(Request::Delete), Reply::Delete(Err(not_found)));
    assert_eq!(group.log, []);
}

fn large_group() -> Driven {
    let mut group = Driven::new(GroupConfig {
        batch_bytes_max: 1_000,
        ..GroupConfig::default()
    });
    for partition in 0..100 {
        group.commit(&[("t", partition, 1)]);
    }
    group
}

/// Asks without doing what comes due after it.
fn begin(group: &mut Driven, ticket: u64) -> Step {
    let now = group.now();
    let ticket = Ticket(ticket);
    group
        .group
        .handle(now, Request::Delete, ticket, &group.cluster)
}

#[test]
fn a_large_group_is_deleted_batch_by_batch_and_answered_with_the_last() {
    let mut group = large_group();
    let refused = group.ask_in_vain(Request::Delete);
    let failed = Reply::Delete(Err(GroupError::CoordinatorNotAvailable));
    assert_eq!(group.answers[&refused], failed);
    assert_eq!(group.fetch_all().len(), 100);
    let ticket = group.ask(Request::Delete);
    assert_eq!(group.answers[&ticket], Reply::Delete(Ok(())));
    assert!(group.group.is_gone());
    group.assert_state_is_the_log();
}

#[test]
fn what_is_committed_while_a_large_group_is_being_deleted_goes_too() {
    let mut group = large_group();
    let now = group.now();
    let step = begin(&mut group, 500);
    assert_eq!(step.replies, []);
    assert!(step.records.len() < 100);
    for record in &step.records {
        group.group.replay(record);
    }
    let commit = Request::CommitOffsets(commit_by("", -1, &[("a", 0, 1)]));
    let committed = group.group.handle(now, commit, Ticket(501), &group.cluster);
    assert_eq!(committed.records.len(), 1);
    group.group.replay(&committed.records[0]);
    let mut answered = Vec::new();
    while group.group.next_timeout().is_some() {
        let step = group.group.handle_timeout(now, &group.cluster);
        step.records
            .iter()
            .for_each(|record| group.group.replay(record));
        answered.extend(step.replies);
    }
    assert_eq!(answered, [(Ticket(500), Reply::Delete(Ok(())))]);
    assert!(group.group.is_gone());
}

/// `max.message.bytes` of the offsets topic can be changed to anything.
#[test]
fn what_no_batch_can_take_away_is_refused_and_not_tried_for_ever() {
    let mut group = Driven::new(GroupConfig::default());
    group.commit(&[("t", 0, 1)]);
    let tiny = GroupConfig {
        batch_bytes_max: 50,
        ..GroupConfig::default()
    };
    group.group.set_config(Arc::new(tiny));
    assert_eq!(
        group.answer(Request::Delete),
        Reply::Delete(Err(GroupError::TooLarge))
    );
    assert_eq!(group.group.next_timeout(), None);
    group.wall.0 += 30 * 24 * 60 * 60 * 1_000;
    group.expire();
    assert_eq!(group.group.next_timeout(), None);
    assert_eq!(group.fetch_all().len(), 1);
}
