use proptest::prelude::*;

use super::*;

const ME: BrokerId = BrokerId(1);
const LATER: Moment = Moment(30_000);

fn assignment(epoch: i32, isr: &[i32]) -> Assignment {
    Assignment {
        leader: ME,
        leader_epoch: LeaderEpoch(epoch),
        replicas: vec![BrokerId(1), BrokerId(2), BrokerId(3)],
        isr: isr.iter().map(|id| BrokerId(*id)).collect(),
    }
}

fn alone() -> Partition {
    let assignment = Assignment {
        replicas: vec![ME],
        ..assignment(5, &[1])
    };
    Partition::new(
        ME,
        assignment,
        PartitionConfig {
            min_insync_replicas: 2,
        },
        Offset(0),
        Offset(0),
    )
}

fn three(isr: &[i32]) -> Partition {
    let config = PartitionConfig {
        min_insync_replicas: 2,
    };
    Partition::new(ME, assignment(5, isr), config, Offset(0), Offset(0))
}

fn append(partition: &mut Partition, range: (i64, i64), acks: Acks, ticket: u64) -> Vec<Effect> {
    let mut effects = Vec::new();
    let caller = Some((Ticket(ticket), acks, LATER));
    partition.handle_appended(
        Offset(range.0),
        Offset(range.1),
        false,
        caller,
        &mut effects,
    );
    effects
}

#[test]
fn a_single_replica_answers_acks_all_at_once_whatever_min_insync_replicas_says() {
    let mut partition = alone();
    assert_eq!(partition.handle_append(Acks::All), Ok(LeaderEpoch(5)));
    assert_eq!(
        append(&mut partition, (0, 3), Acks::All, 1),
        [
            Effect::Committed(Offset(3)),
            Effect::Answer(Ticket(1), WriteOutcome::Done)
        ]
    );
}

#[test]
fn acks_all_waits_for_every_replica_in_sync_and_acks_one_does_not() {
    let mut partition = three(&[1, 2]);
    assert_eq!(
        append(&mut partition, (0, 3), Acks::Leader, 1),
        [Effect::Answer(Ticket(1), WriteOutcome::Done)]
    );
    assert_eq!(append(&mut partition, (3, 5), Acks::All, 2), []);
    let mut effects = Vec::new();
    partition.handle_follower_fetched(BrokerId(2), Offset(4), &mut effects);
    assert_eq!(effects, [Effect::Committed(Offset(4))]);
    effects.clear();
    partition.handle_follower_fetched(BrokerId(2), Offset(5), &mut effects);
    assert_eq!(
        effects,
        [
            Effect::Committed(Offset(5)),
            Effect::Answer(Ticket(2), WriteOutcome::Done)
        ]
    );
}

#[test]
fn too_few_in_sync_replicas_refuse_acks_all_before_anything_is_stored() {
    let partition = three(&[1]);
    assert_eq!(
        partition.handle_append(Acks::All),
        Err(AppendRefusal::NotEnoughReplicas {
            in_sync: 1,
            required: 2
        })
    );
    assert_eq!(partition.handle_append(Acks::Leader), Ok(LeaderEpoch(5)));
}

#[test]
fn an_owed_flush_holds_back_both_the_answer_and_the_high_watermark() {
    let mut partition = alone();
    let mut effects = Vec::new();
    let caller = |ticket| Some((Ticket(ticket), Acks::Leader, LATER));
    partition.handle_appended(Offset(0), Offset(2), true, caller(1), &mut effects);
    partition.handle_appended(Offset(2), Offset(4), true, caller(2), &mut effects);
    assert_eq!(effects, []);
    partition.handle_flushed(Offset(2), &mut effects);
    assert_eq!(
        effects,
        [
            Effect::Committed(Offset(2)),
            Effect::Answer(Ticket(1), WriteOutcome::Done)
        ]
    );
    effects.clear();
    partition.handle_flushed(Offset(4), &mut effects);
    assert_eq!(
        effects,
        [
            Effect::Committed(Offset(4)),
            Effect::Answer(Ticket(2), WriteOutcome::Done)
        ]
    );
}

#[test]
fn a_deadline_answers_once_and_the_later_commit_says_nothing() {
    let mut partition = three(&[1, 2]);
    append(&mut partition, (0, 1), Acks::All, 7);
    assert_eq!(partition.next_timeout(), Some(LATER));
    let mut effects = Vec::new();
    partition.handle_timeout(Moment(29_999), &mut effects);
    assert_eq!(effects, []);
    partition.handle_timeout(LATER, &mut effects);
    assert_eq!(effects, [Effect::Answer(Ticket(7), WriteOutcome::TimedOut)]);
    effects.clear();
    partition.handle_follower_fetched(BrokerId(2), Offset(1), &mut effects);
    assert_eq!(effects, [Effect::Committed(Offset(1))]);
}

#[test]
fn a_change_of_leader_answers_everyone_who_waits() {
    let mut partition = three(&[1, 2]);
    append(&mut partition, (0, 1), Acks::All, 7);
    let mut effects = Vec::new();
    let theirs = Assignment {
        leader: BrokerId(2),
        ..assignment(6, &[1, 2])
    };
    partition.handle_assignment(theirs, &mut effects);
    assert_eq!(
        effects,
        [Effect::Answer(Ticket(7), WriteOutcome::LeaderChanged)]
    );
    assert_eq!(
        partition.handle_append(Acks::Leader),
        Err(AppendRefusal::NotLeader)
    );
}

#[test]
fn epochs_older_and_newer_than_the_leaders_are_told_apart() {
    let partition = three(&[1, 2, 3]);
    let bound = |epoch| partition.read_bound(Reader::Replica, epoch);
    assert_eq!(
        bound(Some(LeaderEpoch(4))),
        Err(FetchRefusal::FencedEpoch(LeaderEpoch(5)))
    );
    assert_eq!(
        bound(Some(LeaderEpoch(6))),
        Err(FetchRefusal::UnknownEpoch(LeaderEpoch(5)))
    );
    assert_eq!(bound(Some(LeaderEpoch(5))), Ok(Offset(0)));
    assert_eq!(bound(None), Ok(Offset(0)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Random writes, follower progress, flushes and timeouts: the high watermark only rises, stays
    /// within what every in-sync replica stored, and each caller is answered exactly once.
    #[test]
    fn the_high_watermark_is_monotonic_and_nobody_is_answered_twice(
        steps in prop::collection::vec((0u8..5, 1i64..5), 1..80),
    ) {
        let mut partition = three(&[1, 2]);
        let (mut end, mut flushed, mut follower, mut now) = (0i64, 0i64, 0i64, 0u64);
        let (mut tickets, mut answered) = (0u64, std::collections::BTreeSet::new());
        for (step, amount) in steps {
            let mut effects = Vec::new();
            let before = partition.high_watermark();
            match step {
                0 | 1 => {
                    let acks = if amount % 2 == 0 { Acks::All } else { Acks::Leader };
                    let caller = Some((Ticket(tickets), acks, Moment(now + 10)));
                    tickets += 1;
                    let (start, owed) = (Offset(end), step == 1);
                    end += amount;
                    if !owed && flushed == start.0 { flushed = end; }
                    partition.handle_appended(start, Offset(end), owed, caller, &mut effects);
                }
                2 => {
                    follower = (follower + amount).min(end);
                    partition.handle_follower_fetched(BrokerId(2), Offset(follower), &mut effects);
                }
                3 => {
                    flushed = end;
                    partition.handle_flushed(Offset(end), &mut effects);
                }
                _ => {
                    now += amount.unsigned_abs();
                    partition.handle_timeout(Moment(now), &mut effects);
                }
            }
            prop_assert!(partition.high_watermark() >= before);
            prop_assert!(partition.high_watermark().0 <= follower);
            for effect in effects {
                if let Effect::Answer(ticket, _) = effect {
                    prop_assert!(answered.insert(ticket), "{ticket:?} was answered twice");
                }
            }
        }
        let mut effects = Vec::new();
        partition.handle_flushed(Offset(end), &mut effects);
        partition.handle_follower_fetched(BrokerId(2), Offset(end), &mut effects);
        let rest = effects.iter().filter(|effect| matches!(effect, Effect::Answer(..))).count();
        prop_assert_eq!(answered.len() + rest, usize::try_from(tickets).unwrap());
    }
}
