use super::*;
use proptest::prelude::*;

const EXPIRATION_MS: i64 = 86_400_000;

fn batch(id: i64, epoch: i16, first_sequence: i32, count: i32) -> ProducerBatch {
    ProducerBatch {
        producer_id: ProducerId(id),
        producer_epoch: ProducerEpoch(epoch),
        first_sequence,
        last_sequence: wrapped(first_sequence, count - 1),
        offset_delta: count - 1,
        timestamp: Timestamp(1_000),
        transactional: false,
    }
}

fn wrapped(sequence: i32, by: i32) -> i32 {
    ((i64::from(sequence) + i64::from(by)) % (1 << 31)) as i32
}

fn marker(id: i64, epoch: i16, coordinator_epoch: i32, aborted: bool) -> TransactionMarker {
    TransactionMarker {
        producer_id: ProducerId(id),
        producer_epoch: ProducerEpoch(epoch),
        coordinator_epoch,
        aborted,
        timestamp: Timestamp(1_000),
    }
}

fn states() -> ProducerStates {
    ProducerStates::new(EXPIRATION_MS)
}

#[test]
fn a_retry_of_any_of_the_last_five_batches_is_answered_with_its_first_offset() {
    let mut states = states();
    for n in 0..6 {
        assert_eq!(states.check(&batch(1, 0, n * 10, 10)), Ok(Verdict::Append));
        states.update(&batch(1, 0, n * 10, 10), Offset(100 + i64::from(n) * 10));
    }
    for n in 1..6 {
        let Ok(Verdict::Duplicate(known)) = states.check(&batch(1, 0, n * 10, 10)) else {
            panic!("batch {n} is remembered");
        };
        assert_eq!(known.first_offset(), Offset(100 + i64::from(n) * 10));
        assert_eq!(known.timestamp, Timestamp(1_000));
    }
    let forgotten = states.check(&batch(1, 0, 0, 10));
    assert!(matches!(forgotten, Err(SequenceError::OutOfOrder { .. })));
}

#[test]
fn a_gap_is_refused_but_a_producer_nobody_knows_may_start_anywhere() {
    let mut states = states();
    assert_eq!(states.check(&batch(1, 0, 77, 1)), Ok(Verdict::Append));
    states.update(&batch(1, 0, 77, 1), Offset(0));
    assert_eq!(states.check(&batch(1, 0, 78, 1)), Ok(Verdict::Append));
    for wrong in [79, 76, 0] {
        assert_eq!(
            states.check(&batch(1, 0, wrong, 1)),
            Err(SequenceError::OutOfOrder {
                producer_id: ProducerId(1),
                sequence: wrong,
                last_sequence: 77
            })
        );
    }
}

#[test]
fn an_overlap_that_is_not_the_same_batch_is_no_duplicate() {
    let mut states = states();
    states.update(&batch(1, 0, 0, 10), Offset(0));
    for (first, count) in [(0, 9), (1, 9), (0, 11)] {
        let verdict = states.check(&batch(1, 0, first, count));
        assert!(matches!(verdict, Err(SequenceError::OutOfOrder { .. })));
    }
}

#[test]
fn a_new_epoch_starts_at_sequence_zero_and_fences_the_old_one() {
    let mut states = states();
    states.update(&batch(1, 3, 0, 5), Offset(0));
    let late = states.check(&batch(1, 4, 5, 1));
    assert!(matches!(late, Err(SequenceError::OutOfOrder { .. })));
    assert_eq!(states.check(&batch(1, 4, 0, 1)), Ok(Verdict::Append));
    states.update(&batch(1, 4, 0, 1), Offset(5));
    let stale = SequenceError::StaleEpoch {
        producer_id: ProducerId(1),
        epoch: 3,
        current: 4,
    };
    assert_eq!(states.check(&batch(1, 3, 0, 5)), Err(stale));
}

#[test]
fn sequences_wrap_from_the_largest_to_zero() {
    let mut states = states();
    states.update(&batch(1, 0, i32::MAX - 1, 2), Offset(0));
    assert_eq!(states.check(&batch(1, 0, 0, 1)), Ok(Verdict::Append));

    let across = batch(2, 0, i32::MAX - 1, 5);
    assert_eq!(across.last_sequence, 2);
    states.update(&across, Offset(10));
    let Ok(Verdict::Duplicate(known)) = states.check(&across) else {
        panic!("the batch across the end is remembered");
    };
    assert_eq!(known.first_offset(), Offset(10));
    assert_eq!(states.check(&batch(2, 0, 3, 1)), Ok(Verdict::Append));
}

#[test]
fn idle_producers_are_forgotten_unless_their_transaction_is_open() {
    let mut states = states();
    states.update(&batch(1, 0, 0, 1), Offset(0));
    let transactional = ProducerBatch {
        transactional: true,
        ..batch(2, 0, 0, 1)
    };
    states.update(&transactional, Offset(1));
    states.expire(Timestamp(1_000 + EXPIRATION_MS - 1));
    assert_eq!(states.len(), 2);
    states.expire(Timestamp(1_000 + EXPIRATION_MS));
    assert!(states.get(ProducerId(1)).is_none());
    assert!(states.get(ProducerId(2)).is_some());
}

#[test]
fn a_transaction_holds_back_what_is_stable_until_its_marker_is_replicated() {
    let mut states = states();
    let open = |id, sequence| ProducerBatch {
        transactional: true,
        ..batch(id, 0, sequence, 10)
    };
    states.update(&open(1, 0), Offset(0));
    states.update(&open(2, 0), Offset(10));
    states.update(&open(1, 10), Offset(20));
    assert_eq!(states.first_unstable_offset(), Some(Offset(0)));
    assert_eq!(
        states.check(&batch(1, 0, 20, 1)),
        Err(SequenceError::TransactionOpen {
            producer_id: ProducerId(1)
        })
    );

    let completed = states.update_marker(&marker(1, 0, 5, true), Offset(30));
    let completed = completed.expect("a transaction was open");
    assert_eq!(completed.first_offset, Offset(0));
    assert_eq!(completed.last_offset, Offset(30));
    assert!(completed.aborted);
    assert_eq!(states.last_stable_offset(&completed), Offset(10));
    assert_eq!(states.first_undecided_offset(), Some(Offset(10)));
    assert_eq!(states.first_unstable_offset(), Some(Offset(0)));
    states.advance_high_watermark(Offset(30));
    assert_eq!(states.first_unstable_offset(), Some(Offset(0)));
    states.advance_high_watermark(Offset(31));
    assert_eq!(states.first_unstable_offset(), Some(Offset(10)));

    let completed = states.update_marker(&marker(2, 0, 5, false), Offset(31));
    let completed = completed.expect("a transaction was open");
    assert_eq!(states.last_stable_offset(&completed), Offset(32));
    assert_eq!(
        states.update_marker(&marker(2, 0, 5, false), Offset(32)),
        None
    );
}

#[test]
fn a_marker_with_a_new_epoch_lets_the_producer_start_again_at_zero() {
    let mut states = states();
    states.update(&batch(1, 0, 0, 5), Offset(0));
    states.update_marker(&marker(1, 1, 0, false), Offset(5));
    assert_eq!(states.check(&batch(1, 1, 0, 1)), Ok(Verdict::Append));
    assert!(states.check(&batch(1, 1, 5, 1)).is_err());
}

#[test]
fn a_marker_of_a_replaced_coordinator_or_producer_is_refused() {
    let mut states = states();
    states.update_marker(&marker(1, 2, 7, false), Offset(0));
    assert_eq!(states.check_marker(&marker(1, 2, 7, true)), Ok(()));
    let old_coordinator = states.check_marker(&marker(1, 2, 6, true));
    assert!(matches!(
        old_coordinator,
        Err(SequenceError::StaleCoordinator { .. })
    ));
    let old_producer = states.check_marker(&marker(1, 1, 7, true));
    assert!(matches!(
        old_producer,
        Err(SequenceError::StaleEpoch { .. })
    ));
}

/// A file that Apache Kafka 4 wrote, with three producers.
const KAFKAS: &str = "0001aa930aef000000030000000000000002000100000000000000000000000d00000000000001a1fcc1d734ffff\
    ffffffffffffffffffff00000000000f1207000000000000000000000000000f00000000000001a1fcc1d73dffff\
    ffffffffffffffffffff00000000000f1206000000000007000000000000000e00000000000001a1fcc1d73cffff\
    ffffffffffffffffffff";

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex
        .chars()
        .filter_map(|c| c.to_digit(16))
        .map(|d| d as u8)
        .collect();
    digits
        .chunks(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect()
}

#[test]
fn a_snapshot_of_kafkas_is_read_and_written_back_byte_for_byte() {
    let file = bytes(KAFKAS);
    let entries = snapshot::decode(&file).unwrap();
    let written = snapshot::encode(entries.iter().map(|(id, entry)| (*id, entry)));
    assert_eq!(written, file);

    let now = Timestamp(0x01a1_fcc1_d740);
    let states = ProducerStates::from_snapshot(&file, Offset(17), EXPIRATION_MS, now).unwrap();
    let entry = states.get(ProducerId(0x000f_1206)).unwrap();
    assert_eq!(entry.last_sequence(), 7);
    let last = entry.last_batch().unwrap();
    assert_eq!(
        (last.first_offset(), last.last_offset),
        (Offset(14), Offset(14))
    );
    let entry = states.get(ProducerId(2)).unwrap();
    assert_eq!(entry.producer_epoch, ProducerEpoch(1));
    let expired = Timestamp(now.0 + EXPIRATION_MS);
    let states = ProducerStates::from_snapshot(&file, Offset(17), EXPIRATION_MS, expired).unwrap();
    assert!(states.is_empty());
}

#[test]
fn a_snapshot_without_producers_is_kafkas_ten_bytes() {
    assert_eq!(states().to_snapshot(), bytes("000148674bc700000000"));
}

#[test]
fn a_snapshot_with_any_bit_changed_or_byte_missing_is_refused() {
    let file = bytes(KAFKAS);
    for length in 0..file.len() {
        assert!(snapshot::decode(&file[..length]).is_err(), "{length} bytes");
    }
    for bit in 0..file.len() * 8 {
        let mut damaged = file.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert!(snapshot::decode(&damaged).is_err(), "bit {bit}");
    }
}

#[test]
fn a_snapshot_whose_count_lies_is_refused_before_anything_is_allocated() {
    for count in [-1, 1, i32::MAX] {
        let mut file = states().to_snapshot();
        file[6..10].copy_from_slice(&i32::to_be_bytes(count));
        let crc = crc_fast::crc32_iscsi(&file[6..]);
        file[2..6].copy_from_slice(&crc.to_be_bytes());
        let size = file.len();
        assert_eq!(
            snapshot::decode(&file),
            Err(InvalidSnapshot::Size { size, count })
        );
    }
}

/// What a client may do in the model below.
#[derive(Debug, Clone, Copy)]
enum Step {
    Next(i32),
    Retry(usize),
    Skip,
    Bump,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1..4i32).prop_map(Step::Next),
        3 => (0..8usize).prop_map(Step::Retry),
        1 => Just(Step::Skip),
        1 => Just(Step::Bump),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn duplicates_are_told_as_a_list_of_all_batches_would_tell_them(
        start in prop_oneof![Just(0), Just(i32::MAX - 3)],
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let mut states = states();
        let mut epoch = 0;
        let mut next = start;
        let mut written: Vec<(ProducerBatch, Offset)> = Vec::new();
        let mut end = Offset(0);
        for step in steps {
            match step {
                Step::Bump => {
                    epoch += 1;
                    next = 0;
                    written.clear();
                }
                Step::Skip if !written.is_empty() => {
                    let gap = batch(1, epoch, wrapped(next, 1), 1);
                    prop_assert!(states.check(&gap).is_err());
                }
                Step::Skip => (),
                Step::Next(count) => {
                    let fresh = batch(1, epoch, next, count);
                    prop_assert_eq!(states.check(&fresh), Ok(Verdict::Append));
                    states.update(&fresh, end);
                    written.push((fresh, end));
                    end = end + i64::from(count);
                    next = wrapped(next, count);
                }
                Step::Retry(back) if back < written.len() => {
                    let (again, offset) = written[written.len() - 1 - back];
                    match states.check(&again) {
                        Ok(Verdict::Duplicate(known)) => {
                            prop_assert!(back < BATCHES_RETAINED);
                            prop_assert_eq!(known.first_offset(), offset);
                        }
                        other => {
                            prop_assert!(back >= BATCHES_RETAINED, "{:?}", other);
                            prop_assert!(other.is_err());
                        }
                    }
                }
                Step::Retry(_) => (),
            }
        }
    }

    #[test]
    fn a_snapshot_brings_back_every_producers_batches(
        batches in prop::collection::vec(
            (0..6i64, 0..3i16, 0..1000i32, 1..5i32, any::<bool>()), 0..40),
    ) {
        let mut states = states();
        let mut end = Offset(0);
        for (id, epoch, first, count, transactional) in batches {
            let fresh = ProducerBatch { transactional, ..batch(id, epoch, first, count) };
            states.update(&fresh, end);
            end = end + i64::from(count);
        }
        let now = Timestamp(2_000);
        let file = states.to_snapshot();
        let read = ProducerStates::from_snapshot(&file, end, EXPIRATION_MS, now).unwrap();
        prop_assert_eq!(read.to_snapshot(), file);
        prop_assert_eq!(read.first_undecided_offset(), states.first_undecided_offset());
        for (id, entry) in states.iter() {
            let found = read.get(id).unwrap();
            prop_assert_eq!(found, entry);
        }
    }
}
