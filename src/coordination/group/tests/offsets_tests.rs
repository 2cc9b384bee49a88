//! Committing, fetching and deleting offsets, without members.

use std::sync::Arc;

use super::driven::{Driven, GROUP, commit_by, short};
use crate::coordination::config::GroupConfig;
use crate::coordination::messages::{FetchOffsets, GroupError, Reply, Request, WantedOffsets};
use crate::model::{LeaderEpoch, Offset, Timestamp, TopicId, Uuid};
use crate::protocol::consumer_offsets::Record;

fn simple() -> Driven {
    Driven::new(GroupConfig::default())
}

fn done(results: usize) -> Reply {
    Reply::CommitOffsets(Ok(vec![Ok(()); results]))
}

fn wanted(topic: &str, id: TopicId, partitions: &[i32]) -> WantedOffsets {
    WantedOffsets {
        topic: Arc::from(topic),
        topic_id: id,
        partitions: partitions.to_vec(),
    }
}

fn fetch(driven: &mut Driven, wanted: Vec<WantedOffsets>) -> Vec<(String, i32, i64)> {
    let request = FetchOffsets {
        member: None,
        require_stable: true,
        wanted: Some(wanted),
    };
    match driven.answer(Request::FetchOffsets(request)) {
        Reply::FetchOffsets(Ok(offsets)) => offsets.iter().map(short).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn who_only_commits_needs_no_membership() {
    let mut group = simple();
    assert!(group.group.is_gone());
    assert_eq!(
        group.commit(&[("t", 1, 10), ("t", 0, 20), ("a", 0, 5)]),
        done(3)
    );
    assert_eq!(group.commit(&[("t", 1, 11)]), done(1));
    let all = [("a", 0, 5), ("t", 0, 20), ("t", 1, 11)];
    let all = all.map(|(topic, partition, offset)| (topic.to_owned(), partition, offset));
    assert_eq!(group.fetch_all(), all);
    group.assert_state_is_the_log();
    group.reload();
    assert_eq!(group.fetch_all(), all);
    assert!(!group.group.is_gone());
}

#[test]
fn nothing_is_committed_before_its_record_is_in_the_log() {
    let mut group = simple();
    group.commit(&[("t", 0, 1)]);
    let request = commit_by("", -1, &[("t", 0, 2)]);
    let ticket = group.ask_in_vain(Request::CommitOffsets(request));
    assert_eq!(
        group.answers[&ticket],
        Reply::Failed(GroupError::CoordinatorNotAvailable)
    );
    assert_eq!(group.fetch_all(), [("t".to_owned(), 0, 1)]);
}

#[test]
fn offsets_are_fetched_in_the_order_asked_and_unknown_ones_are_minus_one() {
    let mut group = simple();
    let unknown = fetch(&mut group, vec![wanted("t", Uuid::ZERO, &[0])]);
    assert_eq!(unknown, [("t".to_owned(), 0, -1)]);
    group.commit(&[("t", 0, 1), ("t", 1, 2)]);
    let asked = vec![
        wanted("t", Uuid::ZERO, &[1, 9, 0]),
        wanted("x", Uuid::ZERO, &[0]),
    ];
    let answer = fetch(&mut group, asked);
    let expected = [("t", 1, 2), ("t", 9, -1), ("t", 0, 1), ("x", 0, -1)];
    let expected = expected.map(|(topic, partition, offset)| (topic.to_owned(), partition, offset));
    assert_eq!(answer, expected);
}

#[test]
fn an_offset_of_a_topic_that_was_made_anew_is_not_given_out() {
    let mut group = simple();
    let (old, new) = (Uuid([1; 16]), Uuid([2; 16]));
    let mut commit = commit_by("", -1, &[("t", 0, 7)]);
    commit.offsets[0].topic_id = old;
    group.answer(Request::CommitOffsets(commit));
    for (id, offset) in [(old, 7), (new, -1), (Uuid::ZERO, 7)] {
        let answer = fetch(&mut group, vec![wanted("t", id, &[0])]);
        assert_eq!(answer, [("t".to_owned(), 0, offset)], "{id}");
    }
}

#[test]
fn everything_a_commit_says_is_kept_whatever_its_neighbours_say() {
    let mut group = simple();
    for (partition, id, metadata, epoch) in [
        (0, 1, "", 3),
        (1, 1, "note", -1),
        (2, 2, "", 0),
        (0, 2, "", 4),
        (3, 0, "x", 9),
    ] {
        let mut commit = commit_by("", -1, &[("t", partition, i64::from(partition) + 100)]);
        commit.offsets[0].topic_id = Uuid([id; 16]);
        commit.offsets[0].metadata = Arc::from(metadata);
        commit.offsets[0].leader_epoch = LeaderEpoch(epoch);
        assert_eq!(group.answer(Request::CommitOffsets(commit)), done(1));
        group.assert_state_is_the_log();
        let value = group.group.offsets.get("t", partition).unwrap();
        assert_eq!(value.topic_id, Uuid([id; 16]));
        assert_eq!(&*value.metadata, metadata);
        assert_eq!(value.leader_epoch, LeaderEpoch(epoch));
        assert_eq!(value.offset, Offset(i64::from(partition) + 100));
        assert_eq!(value.committed, group.wall);
    }
}

#[test]
fn metadata_that_is_too_long_is_refused_for_its_partition_alone() {
    let config = GroupConfig {
        offset_metadata_bytes_max: 4,
        ..GroupConfig::default()
    };
    let mut group = Driven::new(config);
    let mut commit = commit_by("", -1, &[("t", 0, 1), ("t", 1, 2), ("t", 2, 3)]);
    commit.offsets[0].metadata = Arc::from("12345");
    // Kafka counts characters of Java: four of them, in eight bytes.
    commit.offsets[1].metadata = Arc::from("äöüß");
    let reply = group.answer(Request::CommitOffsets(commit));
    let refused = Err(GroupError::OffsetMetadataTooLarge);
    assert_eq!(
        reply,
        Reply::CommitOffsets(Ok(vec![refused, Ok(()), Ok(())]))
    );
    assert_eq!(group.fetch_all().len(), 2);
}

#[test]
fn a_commit_that_does_not_fit_in_a_batch_is_refused_as_a_whole() {
    let config = GroupConfig {
        batch_bytes_max: 400,
        ..GroupConfig::default()
    };
    let mut group = Driven::new(config);
    assert_eq!(
        group.commit(&[("t", 0, 1), ("t", 1, 1), ("t", 2, 1)]),
        done(3)
    );
    let many: Vec<_> = (0..9).map(|partition| ("t", partition, 5)).collect();
    let refused = Reply::CommitOffsets(Err(GroupError::TooLarge));
    assert_eq!(group.commit(&many), refused);
    assert_eq!(group.fetch_all()[0], ("t".to_owned(), 0, 1));
}

#[test]
fn a_generation_without_a_group_is_told_in_the_words_of_its_version() {
    let mut group = simple();
    let mut commit = commit_by("m", 3, &[("t", 0, 1)]);
    commit.version = 8;
    let answer = group.answer(Request::CommitOffsets(commit.clone()));
    assert_eq!(
        answer,
        Reply::CommitOffsets(Err(GroupError::IllegalGeneration))
    );
    commit.version = 9;
    let answer = group.answer(Request::CommitOffsets(commit.clone()));
    let not_found = GroupError::GroupIdNotFound("Group g not found.".to_owned());
    assert_eq!(answer, Reply::CommitOffsets(Err(not_found)));
    group.commit(&[("t", 0, 1)]);
    let answer = group.answer(Request::CommitOffsets(commit));
    assert_eq!(
        answer,
        Reply::CommitOffsets(Err(GroupError::UnknownMemberId))
    );
}

#[test]
fn a_commit_with_a_retention_time_is_stored_in_the_version_that_has_one() {
    let mut group = simple();
    let mut commit = commit_by("", -1, &[("t", 0, 1)]);
    commit.retention_ms = Some(5_000);
    commit.offsets[0].topic_id = Uuid([3; 16]);
    commit.offsets[0].leader_epoch = LeaderEpoch(8);
    group.answer(Request::CommitOffsets(commit));
    let value = group.group.offsets.get("t", 0).unwrap();
    assert_eq!(value.expires, Some(Timestamp(group.wall.0 + 5_000)));
    // That version has room for neither.
    assert_eq!(value.leader_epoch, LeaderEpoch::NONE);
    assert_eq!(value.topic_id, TopicId::ZERO);
}

#[test]
fn deleted_offsets_are_gone_and_missing_ones_are_no_error() {
    let mut group = simple();
    let asked = vec![(Arc::from("t"), vec![0, 5]), (Arc::from("x"), vec![0])];
    let not_found = GroupError::GroupIdNotFound("Group g not found.".to_owned());
    let answer = group.answer(Request::DeleteOffsets(asked.clone()));
    assert_eq!(answer, Reply::DeleteOffsets(Err(not_found)));
    group.commit(&[("t", 0, 1), ("t", 1, 2)]);
    let answer = group.answer(Request::DeleteOffsets(asked));
    assert_eq!(answer, Reply::DeleteOffsets(Ok(vec![Ok(()); 3])));
    let tombstone = Record::Offset {
        group: Arc::from(GROUP),
        topic: Arc::from("t"),
        partition: 0,
        value: None,
    };
    assert_eq!(group.log[2..], [tombstone]);
    assert_eq!(group.fetch_all(), [("t".to_owned(), 1, 2)]);
    group.answer(Request::DeleteOffsets(vec![(Arc::from("t"), vec![1])]));
    assert!(group.group.is_gone());
}

#[test]
fn an_open_transaction_makes_an_offset_unstable_for_who_asks_for_stability() {
    let mut group = simple();
    group.commit(&[("t", 0, 1), ("t", 1, 2)]);
    group
        .group
        .offsets
        .pending
        .insert(Arc::from("t"), [1].into());
    let mut request = FetchOffsets {
        member: None,
        require_stable: true,
        wanted: None,
    };
    let unstable = |reply| match reply {
        Reply::FetchOffsets(Ok(offsets)) => offsets
            .iter()
            .map(|it| (it.offset.0, it.unstable))
            .collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    let answer = group.answer(Request::FetchOffsets(request.clone()));
    assert_eq!(unstable(answer), [(1, false), (-1, true)]);
    request.require_stable = false;
    let answer = group.answer(Request::FetchOffsets(request));
    assert_eq!(unstable(answer), [(1, false), (2, false)]);
}

#[test]
fn an_ordinary_offset_takes_thirty_two_bytes() {
    assert_eq!(crate::coordination::group::offsets::PACKED_BYTES, 32);
}

#[test]
fn a_group_with_nothing_but_offsets_is_listed_as_an_empty_classic_group() {
    let mut group = simple();
    assert_eq!(group.answer(Request::Summarize), Reply::Summarize(None));
    let answer = group.answer(Request::DescribeClassic);
    let not_found = GroupError::GroupIdNotFound("Group g not found.".to_owned());
    assert_eq!(answer, Reply::DescribeClassic(Err(not_found)));
    group.commit(&[("t", 0, 1)]);
    match group.answer(Request::Summarize) {
        Reply::Summarize(Some(summary)) => {
            assert_eq!((summary.state, summary.group_type), ("Empty", "classic"));
        }
        other => panic!("{other:?}"),
    }
    match group.answer(Request::DescribeClassic) {
        Reply::DescribeClassic(Ok(group)) => assert_eq!(group.state, "Empty"),
        other => panic!("{other:?}"),
    }
    let answer = group.answer(Request::DescribeConsumer);
    let other_kind = GroupError::GroupIdNotFound("Group g is not a consumer group.".to_owned());
    assert_eq!(answer, Reply::DescribeConsumer(Err(other_kind)));
}
