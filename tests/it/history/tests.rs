use super::Anomaly::*;
use super::*;

fn done(process: Process, outcome: Outcome, parts: &[Part]) -> Operation {
    let deed = Deed::Parts(parts.to_vec(), Vec::new());
    Operation {
        process,
        outcome,
        deed,
    }
}

fn send(key: Key, value: Value, offset: impl Into<Option<i64>>) -> Part {
    let offset = offset.into();
    Part::Send { key, value, offset }
}

/// Reads of partition 0.
fn poll(reads: &[(i64, Value)]) -> Part {
    let reads = reads.iter().map(|(offset, value)| (0, *offset, *value));
    Part::Poll(reads.collect())
}

fn ok(process: Process, part: Part) -> Operation {
    done(process, Outcome::Ok, &[part])
}

#[track_caller]
fn expect(history: &[Operation], expected: &[Anomaly]) {
    assert_eq!(anomalies(history), expected);
}

#[test]
fn a_history_in_which_all_went_well_is_not_complained_about() {
    expect(
        &[
            ok(1, send(0, 10, 0)),
            done(1, Outcome::Unknown, &[send(0, 11, None)]),
            done(2, Outcome::Failed, &[send(0, 12, None)]),
            // A marker, or another's transaction, is at offset 2.
            ok(2, send(0, 13, 3)),
            ok(3, poll(&[(0, 10), (1, 11)])),
            ok(3, poll(&[(3, 13)])),
            ok(4, poll(&[(1, 11), (3, 13)])),
        ],
        &[],
    );
}

#[test]
fn one_offset_has_one_value() {
    let reads = [ok(1, poll(&[(0, 10)])), ok(2, poll(&[(0, 11)]))];
    expect(&reads, &[InconsistentOffset(0, 0, vec![10, 11])]);
    expect(&[ok(1, poll(&[(0, 10)])), ok(2, poll(&[(0, 10)]))], &[]);
}

#[test]
fn a_read_is_believed_even_when_its_operation_failed() {
    let failed = done(1, Outcome::Failed, &[poll(&[(0, 10)])]);
    let found = [InconsistentOffset(0, 0, vec![10, 11])];
    expect(&[failed, ok(2, poll(&[(0, 11)]))], &found);
}

#[test]
fn one_value_has_one_offset() {
    expect(&[ok(1, poll(&[(0, 10), (1, 11)]))], &[]);
    let twice = anomalies(&[ok(1, poll(&[(0, 10)])), ok(2, poll(&[(1, 10)]))]);
    assert!(twice.contains(&Duplicate(0, 10, vec![0, 1])), "{twice:?}");
}

#[test]
fn what_failed_is_not_read() {
    let sent = |outcome| done(1, outcome, &[send(0, 10, None)]);
    let read = ok(2, poll(&[(0, 10)]));
    expect(
        &[sent(Outcome::Failed), read.clone()],
        &[AbortedRead(0, 10)],
    );
    expect(&[sent(Outcome::Unknown), read], &[]);
}

#[test]
fn what_an_operation_sends_it_does_not_read_itself() {
    let own = done(1, Outcome::Ok, &[send(0, 10, 0), poll(&[(0, 10)])]);
    expect(&[own], &[PrecommittedRead(0, 10)]);
    let later = [ok(1, send(0, 10, 0)), ok(1, poll(&[(0, 10)]))];
    expect(&later, &[]);
}

#[test]
fn a_committed_value_in_front_of_one_that_was_read_is_read() {
    let sent = [ok(1, send(0, 10, 0)), ok(1, send(0, 11, 1))];
    let read = [&sent[..], &[ok(2, poll(&[(0, 10), (1, 11)]))]].concat();
    expect(&read, &[]);
    let lost = [&sent[..], &[ok(2, poll(&[(1, 11)]))]].concat();
    expect(&lost, &[LostWrite(0, 10), Unseen(0, 10)]);
    // Behind all that was read nothing is known of it yet.
    let early = anomalies(&[&sent[..], &[ok(2, poll(&[(0, 10)]))]].concat());
    assert_eq!(early, [Unseen(0, 11)]);
}

#[test]
fn an_operation_of_which_nobody_knows_and_that_was_seen_in_part_is_lost_as_well() {
    let both = [send(0, 10, 0), send(0, 11, 1)];
    let history = [done(1, Outcome::Unknown, &both), ok(2, poll(&[(1, 11)]))];
    expect(&history, &[LostWrite(0, 10)]);
    let unseen = [done(1, Outcome::Unknown, &both), ok(2, poll(&[(2, 12)]))];
    expect(&unseen, &[]);
}

#[test]
fn a_reader_passes_over_nothing_and_never_goes_back() {
    let all = ok(9, poll(&[(0, 10), (1, 11), (2, 12)]));
    let history = |second: Part| vec![all.clone(), ok(1, poll(&[(0, 10)])), ok(1, second)];
    expect(&history(poll(&[(1, 11), (2, 12)])), &[]);
    expect(&history(poll(&[(2, 12)])), &[PollSkip(1, 0, 10, 12)]);
    expect(
        &history(poll(&[(0, 10)])),
        &[NonmonotonicPoll(1, 0, 10, 10)],
    );
    assert!(PollSkip(1, 0, 10, 12).fails(false) && !PollSkip(1, 0, 10, 12).fails(true));
    assert!(!NonmonotonicPoll(1, 0, 10, 10).fails(true));
}

#[test]
fn a_reader_that_was_given_other_partitions_begins_anew_there() {
    let assign = |keys: &[Key]| Operation {
        process: 1,
        outcome: Outcome::Ok,
        deed: Deed::Assign(keys.to_vec()),
    };
    let all = ok(9, poll(&[(0, 10), (1, 11), (2, 12)]));
    let history = |between: &[Operation]| {
        let (first, last) = (ok(1, poll(&[(0, 10)])), ok(1, poll(&[(2, 12)])));
        [&[all.clone(), first], between, &[last]].concat()
    };
    expect(&history(&[assign(&[1]), assign(&[0])]), &[]);
    expect(&history(&[assign(&[0, 1])]), &[PollSkip(1, 0, 10, 12)]);
}

#[test]
fn within_an_operation_a_reader_passes_over_nothing_and_never_goes_back() {
    let all = ok(9, poll(&[(0, 10), (1, 11), (2, 12)]));
    let history = |reads: &[(i64, Value)]| vec![all.clone(), ok(1, poll(reads))];
    expect(
        &history(&[(0, 10), (2, 12)]),
        &[InnerPollSkip(1, 0, 10, 12)],
    );
    let back = [InnerNonmonotonicPoll(1, 0, 11, 10)];
    expect(&history(&[(1, 11), (0, 10)]), &back);
    let moved = Operation {
        deed: Deed::Parts(vec![poll(&[(0, 10), (2, 12)])], vec![0]),
        ..ok(1, poll(&[]))
    };
    expect(&[all, moved], &[]);
}

#[test]
fn what_a_process_sends_later_is_behind() {
    let history = |first: i64, second: i64| {
        let read = match first < second {
            true => [(first, 10), (second, 11)],
            false => [(second, 11), (first, 10)],
        };
        vec![
            ok(1, send(0, 10, first)),
            done(1, Outcome::Unknown, &[send(0, 11, None)]),
            ok(2, poll(&read)),
        ]
    };
    expect(&history(0, 1), &[]);
    expect(&history(1, 0), &[NonmonotonicSend(1, 0, 10, 11)]);
}

#[test]
fn within_an_operation_sends_keep_their_order_and_others_may_come_between() {
    let read = ok(2, poll(&[(0, 10), (1, 11), (2, 12)]));
    let both =
        |first: Part, second: Part| vec![done(1, Outcome::Ok, &[first, second]), read.clone()];
    expect(&both(send(0, 10, 0), send(0, 11, 1)), &[]);
    let back = both(send(0, 11, 1), send(0, 10, 0));
    expect(&back, &[InnerNonmonotonicSend(1, 0, 11, 10)]);
    let skip = both(send(0, 10, 0), send(0, 12, 2));
    expect(&skip, &[InnerSendSkip(1, 0, 10, 12)]);
    assert_eq!(broken_promises(&skip), []);
}

#[test]
fn what_was_acknowledged_is_seen_in_the_end() {
    expect(&[ok(1, send(0, 10, 0))], &[Unseen(0, 10)]);
    expect(&[done(1, Outcome::Unknown, &[send(0, 10, None)])], &[]);
    expect(&[ok(1, send(0, 10, 0)), ok(2, poll(&[(0, 10)]))], &[]);
}

#[test]
fn offsets_are_in_their_order_and_the_start_never_goes_back() {
    let told = |log_start, last_stable, high_watermark, log_end| Offsets {
        log_start,
        last_stable,
        high_watermark,
        log_end: Some(log_end),
    };
    let operation = |offsets| Operation {
        process: 1,
        outcome: Outcome::Ok,
        deed: Deed::Offsets(0, offsets),
    };
    expect(
        &[operation(told(0, 1, 2, 3)), operation(told(1, 3, 3, 3))],
        &[],
    );
    for wrong in [told(0, 3, 2, 3), told(0, 1, 4, 3), told(3, 2, 2, 3)] {
        expect(&[operation(wrong)], &[OffsetsOutOfOrder(0, wrong)]);
    }
    let back = [operation(told(2, 2, 2, 2)), operation(told(1, 2, 2, 2))];
    expect(&back, &[LogStartWentBack(0, 2, 1)]);
}
