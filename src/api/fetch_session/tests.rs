//! What a client of fetch sessions sees, step by step.

use super::*;

fn key(topic: &str, partition: i32) -> PartitionKey {
    PartitionKey {
        topic: TopicKey::Name(topic.into()),
        partition,
    }
}

fn ask(offset: i64) -> PartitionAsk {
    PartitionAsk {
        current_leader_epoch: LeaderEpoch::NONE,
        fetch_offset: Offset(offset),
        last_fetched_epoch: LeaderEpoch::NONE,
        log_start_offset: Offset::NONE,
        max_bytes: 1024,
    }
}

fn request(session_id: i32, epoch: i32, partitions: &[(&str, i32, i64)]) -> SessionRequest {
    SessionRequest {
        session_id,
        session_epoch: epoch,
        uses_topic_ids: false,
        from_follower: false,
        partitions: partitions
            .iter()
            .map(|(topic, partition, offset)| (key(topic, *partition), ask(*offset)))
            .collect(),
        forgotten: Vec::new(),
    }
}

fn outcome(records_bytes: usize, high_watermark: i64) -> PartitionOutcome {
    PartitionOutcome {
        records_bytes,
        high_watermark: Offset(high_watermark),
        log_start_offset: Offset(0),
        error: ErrorCode::None,
        redirects: false,
    }
}

/// A cache with ids 1, 2, 3 … and a clock set by hand.
struct Desk {
    sessions: FetchSessions,
    next_id: u32,
    now: Moment,
}

impl Desk {
    fn new(slots: usize) -> Desk {
        Desk {
            sessions: FetchSessions::new(slots, 1_000),
            next_id: 0,
            now: Moment(0),
        }
    }

    fn wait(&mut self, seconds: u64) {
        self.now = self.now + Duration::from_secs(seconds);
    }

    fn begin(&mut self, request: SessionRequest) -> Result<FetchContext, SessionError> {
        self.sessions.begin(request, self.now)
    }

    fn finish(&mut self, context: &FetchContext, outcomes: &[PartitionOutcome]) -> Finished {
        let next_id = &mut self.next_id;
        self.sessions.finish(context, outcomes, self.now, &mut || {
            *next_id += 2;
            *next_id
        })
    }

    /// Opens a session of `size` partitions and tells its id, 0 if there is no room.
    fn open(&mut self, size: i32, from_follower: bool) -> i32 {
        let mut full = request(0, 0, &[]);
        full.from_follower = from_follower;
        full.partitions = (0..size).map(|p| (key("t", p), ask(0))).collect();
        let context = self.begin(full).unwrap();
        let outcomes = vec![outcome(0, 0); context.partitions.len()];
        self.finish(&context, &outcomes).session_id
    }

    fn is_known(&mut self, session_id: i32) -> bool {
        self.sessions.sessions.contains_key(&session_id)
    }
}

fn names(context: &FetchContext) -> Vec<String> {
    context
        .partitions
        .iter()
        .map(|(key, ask)| match &key.topic {
            TopicKey::Name(name) => format!("{name}-{}@{}", key.partition, ask.fetch_offset),
            TopicKey::Id(id) => format!("{id}-{}@{}", key.partition, ask.fetch_offset),
        })
        .collect()
}

#[test]
fn an_incremental_fetch_reads_everything_and_answers_only_what_changed() {
    let mut desk = Desk::new(10);
    let full = desk
        .begin(request(0, 0, &[("a", 0, 0), ("a", 1, 0)]))
        .unwrap();
    let answer = desk.finish(&full, &[outcome(100, 4), outcome(0, 0)]);
    assert_eq!((answer.session_id, answer.include), (1, vec![true, true]));

    let next = desk.begin(request(1, 1, &[("a", 0, 4)])).unwrap();
    assert_eq!(names(&next), ["a-0@4", "a-1@0"]);
    let answer = desk.finish(&next, &[outcome(0, 4), outcome(0, 0)]);
    assert_eq!((answer.session_id, answer.include), (1, vec![false, false]));

    let next = desk.begin(request(1, 2, &[])).unwrap();
    let answer = desk.finish(&next, &[outcome(0, 5), outcome(70, 1)]);
    assert_eq!(answer.include, [true, true]);
}

#[test]
fn a_partition_that_got_data_is_served_last_the_next_time() {
    let mut desk = Desk::new(10);
    let full = desk
        .begin(request(0, 0, &[("a", 0, 0), ("b", 0, 0), ("c", 0, 0)]))
        .unwrap();
    desk.finish(&full, &[outcome(0, 0); 3]);
    let next = desk.begin(request(1, 1, &[])).unwrap();
    desk.finish(&next, &[outcome(10, 1), outcome(0, 0), outcome(0, 0)]);
    let next = desk.begin(request(1, 2, &[])).unwrap();
    assert_eq!(names(&next), ["b-0@0", "c-0@0", "a-0@0"]);
}

#[test]
fn an_error_is_answered_each_time_and_its_end_once() {
    let mut desk = Desk::new(10);
    let full = desk.begin(request(0, 0, &[("a", 0, 0)])).unwrap();
    desk.finish(&full, &[outcome(0, 3)]);
    let failed = PartitionOutcome {
        error: ErrorCode::NotLeaderOrFollower,
        ..outcome(0, -1)
    };
    for (epoch, result, told) in [
        (1, failed, true),
        (2, failed, true),
        (3, outcome(0, 3), true),
        (4, outcome(0, 3), false),
    ] {
        let next = desk.begin(request(1, epoch, &[])).unwrap();
        assert_eq!(desk.finish(&next, &[result]).include, [told], "{epoch}");
    }
}

#[test]
fn a_redirection_and_a_new_log_start_are_answered() {
    let mut desk = Desk::new(10);
    let full = desk.begin(request(0, 0, &[("a", 0, 0)])).unwrap();
    desk.finish(&full, &[outcome(0, 3)]);
    let redirect = PartitionOutcome {
        redirects: true,
        ..outcome(0, 3)
    };
    let trimmed = PartitionOutcome {
        log_start_offset: Offset(2),
        ..outcome(0, 3)
    };
    for (epoch, result, told) in [(1, redirect, true), (2, trimmed, true), (3, trimmed, false)] {
        let next = desk.begin(request(1, epoch, &[])).unwrap();
        assert_eq!(desk.finish(&next, &[result]).include, [told], "{epoch}");
    }
}

#[test]
fn forgotten_partitions_are_no_longer_read_and_an_empty_session_closes() {
    let mut desk = Desk::new(10);
    let full = desk
        .begin(request(0, 0, &[("a", 0, 0), ("a", 1, 0)]))
        .unwrap();
    desk.finish(&full, &[outcome(0, 0); 2]);
    let mut forget = request(1, 1, &[("b", 7, 3)]);
    forget.forgotten = vec![key("a", 0), key("nobody", 0)];
    assert_eq!(names(&desk.begin(forget).unwrap()), ["a-1@0", "b-7@3"]);

    let mut forget = request(1, 2, &[]);
    forget.forgotten = vec![key("a", 1), key("b", 7)];
    let last = desk.begin(forget).unwrap();
    assert_eq!(desk.finish(&last, &[]).session_id, 0);
    assert!(desk.sessions.is_empty());
    assert_eq!(desk.sessions.partitions(), 0);
}

#[test]
fn epochs_ids_and_ways_of_naming_topics_are_held_to() {
    let mut desk = Desk::new(10);
    let full = desk.begin(request(0, 0, &[("a", 0, 0)])).unwrap();
    desk.finish(&full, &[outcome(0, 0)]);
    let refusal = |desk: &mut Desk, request| desk.begin(request).unwrap_err();
    assert_eq!(
        refusal(&mut desk, request(99, 1, &[])),
        SessionError::UnknownSession
    );
    assert_eq!(
        refusal(&mut desk, request(1, 2, &[])),
        SessionError::WrongEpoch
    );
    let mut by_id = request(1, 1, &[]);
    by_id.uses_topic_ids = true;
    assert_eq!(refusal(&mut desk, by_id), SessionError::MixedTopicIds);
    assert!(
        desk.begin(request(1, 1, &[])).is_ok(),
        "a refusal keeps the session"
    );
    assert_eq!(
        refusal(&mut desk, request(1, 1, &[])),
        SessionError::WrongEpoch
    );
}

#[test]
fn a_final_epoch_closes_the_session_and_opens_none() {
    let mut desk = Desk::new(10);
    let id = desk.open(3, false);
    let last = desk.begin(request(id, -1, &[("a", 0, 0)])).unwrap();
    let answer = desk.finish(&last, &[outcome(5, 5)]);
    assert_eq!((answer.session_id, answer.include), (0, vec![true]));
    assert!(!desk.is_known(id));
}

#[test]
fn a_session_that_is_closed_while_its_partitions_are_read_is_not_answered() {
    let mut desk = Desk::new(10);
    let id = desk.open(1, false);
    let parked = desk.begin(request(id, 1, &[])).unwrap();
    let overtaking = desk.begin(request(id, 2, &[])).unwrap();
    assert_eq!(
        desk.finish(&parked, &[outcome(1, 1)]).error,
        ErrorCode::InvalidFetchSessionEpoch
    );
    desk.begin(request(id, -1, &[])).unwrap();
    let answer = desk.finish(&overtaking, &[outcome(1, 1)]);
    assert_eq!(answer.error, ErrorCode::FetchSessionIdNotFound);
    assert_eq!(answer.include, [false]);
}

#[test]
fn a_partition_named_twice_is_read_once_with_its_last_offset() {
    let mut desk = Desk::new(10);
    let full = desk
        .begin(request(0, 0, &[("a", 0, 0), ("a", 1, 0), ("a", 0, 2)]))
        .unwrap();
    assert_eq!(names(&full), ["a-0@2", "a-1@0"]);
}

#[test]
fn young_sessions_are_safe_from_consumers_and_give_way_to_followers() {
    let mut desk = Desk::new(2);
    let (small, big) = (desk.open(1, false), desk.open(5, false));
    assert_eq!(desk.open(9, false), 0, "no room among the young");
    let follower = desk.open(1, true);
    assert!(follower != 0 && !desk.is_known(small) && desk.is_known(big));
    let other = desk.open(1, true);
    assert!(other != 0 && !desk.is_known(big));
    assert_eq!(
        desk.open(9, true),
        0,
        "young followers are safe from each other"
    );
}

#[test]
fn an_old_session_gives_way_to_a_bigger_one_and_an_unused_one_to_anybody() {
    let mut desk = Desk::new(1);
    let old = desk.open(3, false);
    desk.wait(121);
    desk.begin(request(old, 1, &[])).unwrap();
    assert_eq!(desk.open(2, false), 0, "smaller");
    let bigger = desk.open(4, false);
    assert!(bigger != 0 && !desk.is_known(old));
    desk.wait(121);
    assert!(desk.open(1, false) != 0, "nobody used it for long");
}

#[test]
fn what_sessions_remember_is_bounded() {
    let mut desk = Desk::new(1_000);
    assert_eq!(desk.open(1_001, false), 0);
    let id = desk.open(900, false);
    assert_eq!(desk.open(101, false), 0);
    let mut growing = request(id, 1, &[]);
    growing.partitions = (0..101).map(|p| (key("more", p), ask(0))).collect();
    assert_eq!(
        desk.begin(growing).unwrap_err(),
        SessionError::UnknownSession
    );
    assert_eq!(desk.sessions.partitions(), 0);
    assert_eq!(Desk::new(0).open(1, false), 0);
}

#[test]
fn epochs_wrap_to_one() {
    assert_eq!(next_epoch(0), 1);
    assert_eq!(next_epoch(i32::MAX), 1);
}
