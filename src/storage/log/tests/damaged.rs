use super::*;
use crate::storage::StorageError;
use crate::storage::segment::names::{FileKind, FileName};

const EVERYTHING: Offset = Offset(i64::MAX);

/// Inspects every segment.
fn inspect(bench: &Bench) -> Vec<Verdict> {
    let reader = bench.log.reader();
    let bases: Vec<Offset> = {
        let view = reader.shared.view();
        view.segments.iter().map(|info| info.base_offset).collect()
    };
    let verdict = |base| {
        let mut inspection = reader.inspect(base).unwrap().expect("it is there");
        while !inspection.step().unwrap() {}
        inspection.conclude()
    };
    bases.into_iter().map(verdict).collect()
}

/// A batch of a segment.
#[derive(Debug, Clone, Copy)]
struct Place {
    first: i64,
    next: i64,
    position: u64,
    end: u64,
}

/// The batches of one segment.
fn places(bench: &Bench, segment: Offset) -> Vec<Place> {
    let path = directory().join(FileName::live(segment, FileKind::Log).to_string());
    let bytes = bench.disk.read_file(&path, 1 << 20).unwrap();
    let mut position = 0;
    let mut found = Vec::new();
    for batch in batches(&bytes) {
        let (header, bytes) = batch.unwrap();
        let end = position + bytes.len() as u64;
        found.push(Place {
            first: header.base_offset.0,
            next: header.next_offset().0,
            position,
            end,
        });
        position = end;
    }
    found
}

fn log_of(segment: Offset) -> PathBuf {
    directory().join(FileName::live(segment, FileKind::Log).to_string())
}

/// Three segments, of batches with one to three records.
fn three_segments() -> Bench {
    let mut bench = Bench::new(LogConfig {
        segment_bytes: 700,
        ..small()
    });
    while bench.log.segments() < 3 {
        let next = bench.log.log_end_offset().0;
        let values: Vec<String> = (next..=next + next % 3)
            .map(|n| format!("value {n}"))
            .collect();
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        bench.write(&values);
    }
    bench.flush();
    bench
}

/// Reads from every offset, with small and large limits: gives the offsets that are refused.
fn refused(bench: &Bench, expected: &[(i64, String)]) -> Vec<i64> {
    let reader = bench.log.reader();
    let end = reader.log_end_offset().0;
    let read = |offset: i64, bytes_max| {
        let plan = match reader.plan(Offset(offset), bytes_max, EVERYTHING, true) {
            Ok(plan) => plan,
            Err(ReadError::Damaged(damage)) => {
                assert!((damage.first_offset.0..damage.next_offset.0).contains(&offset));
                return true;
            }
            Err(error) => panic!("{error}"),
        };
        assert!(!plan.is_empty(), "nothing at {offset}");
        let found = records_of(&plan);
        let found: Vec<_> = found.into_iter().filter(|(at, _)| *at >= offset).collect();
        let from = usize::try_from(offset).unwrap();
        assert_eq!(found[..], expected[from..from + found.len()]);
        assert_eq!(plan.next_offset().0, offset + found.len() as i64);
        false
    };
    (0..end)
        .filter(|offset| {
            let small = read(*offset, 1);
            let large = read(*offset, 1 << 20);
            assert_eq!(small, large, "at {offset}");
            small
        })
        .collect()
}

#[test]
fn every_turned_bit_of_an_old_segment_is_found_named_and_never_served() {
    let bench = three_segments();
    let expected = bench.read_all(1 << 20);
    let segment = Offset(0);
    let places = places(&bench, segment);
    assert!(places.len() > 4, "{places:?}");
    let length = usize::try_from(places.last().unwrap().end).unwrap();
    for at in 0..length {
        let bit = u8::try_from(at % 8).unwrap();
        bench.disk.flip_bit(&log_of(segment), at, bit).unwrap();
        let verdicts = inspect(&bench);
        assert_eq!(verdicts[0], Verdict::Changed, "byte {at}");
        assert!(verdicts[1..].iter().all(|v| *v == Verdict::AsKnown));
        let hit = places.iter().find(|place| place.end > at as u64).unwrap();
        let reader = bench.log.reader();
        let [damage] = &reader.damages()[..] else {
            panic!("byte {at}: {:?}", reader.damages());
        };
        assert_eq!(
            (damage.segment, damage.position, damage.end),
            (segment, hit.position, hit.end),
            "byte {at}: {damage}"
        );
        let hidden: Vec<i64> = (hit.first..hit.next).collect();
        assert_eq!(refused(&bench, &expected), hidden, "byte {at}: {damage}");

        bench.disk.flip_bit(&log_of(segment), at, bit).unwrap();
        assert_eq!(inspect(&bench)[0], Verdict::Changed);
        assert_eq!(reader.damages(), []);
        assert!(refused(&bench, &expected).is_empty());
    }
}

#[test]
fn a_reader_that_meets_an_impossible_batch_is_told_and_has_it_looked_at() {
    #[derive(Debug, Default)]
    struct Notes(std::sync::Mutex<Vec<Suspect>>);
    impl DamageWatch for Notes {
        fn suspect(&self, suspect: Suspect) {
            self.0.lock().unwrap().push(suspect);
        }
    }
    let bench = three_segments();
    let notes = Arc::new(Notes::default());
    bench.log.watch_damage(notes.clone());
    let expected = bench.read_all(1 << 20);
    let place = places(&bench, Offset(0))[2];
    // The magic byte: no checksum is needed to see that.
    let magic = usize::try_from(place.position).unwrap() + 16;
    bench.disk.flip_bit(&log_of(Offset(0)), magic, 0).unwrap();
    let reader = bench.log.reader();
    // What is before it is served, as far as it goes.
    let limit = magic + 10;
    let plan = reader.plan(Offset(0), limit, EVERYTHING, true).unwrap();
    assert_eq!(plan.next_offset().0, place.first);
    let met = reader.plan(Offset(place.first), 1 << 20, EVERYTHING, true);
    let Err(ReadError::Storage(StorageError::Corrupt { path, detail })) = met else {
        panic!("{met:?}");
    };
    assert_eq!(path, log_of(Offset(0)));
    assert!(detail.contains(&format!("byte {}", place.position)));
    let suspects = notes.0.lock().unwrap().clone();
    let (log, segment) = suspects[0].upgrade().unwrap();
    assert_eq!(segment, Offset(0));
    let mut inspection = log.inspect(segment).unwrap().unwrap();
    while !inspection.step().unwrap() {}
    assert_eq!(inspection.conclude(), Verdict::Changed);
    let hidden: Vec<i64> = (place.first..place.next).collect();
    assert_eq!(refused(&bench, &expected), hidden);
}

#[test]
fn lookups_by_time_work_around_damage_and_do_not_hide_it() {
    let mut bench = Bench::new(small());
    for n in 0..60_i64 {
        let value = format!("value {n}");
        bench.append(&batch_at(&[&value], 1000 + n));
    }
    bench.flush();
    let place = places(&bench, Offset(0))[5];
    let at = usize::try_from(place.end).unwrap() - 3;
    bench.disk.flip_bit(&log_of(Offset(0)), at, 5).unwrap();
    inspect(&bench);
    let reader = bench.log.reader();
    let find = |time| reader.offset_for_timestamp(Timestamp(time));
    for n in (0..60).filter(|n| *n != 5) {
        let found = find(1000 + n).unwrap().expect("it is there");
        assert_eq!(found.offset.0, n);
    }
    assert!(matches!(find(1005), Err(StorageError::Corrupt { .. })));
    assert_eq!(reader.max_timestamp().unwrap().unwrap().offset.0, 59);
}

#[test]
fn damage_goes_with_its_segment() {
    let mut bench = three_segments();
    bench.disk.flip_bit(&log_of(Offset(0)), 70, 1).unwrap();
    inspect(&bench);
    assert_eq!(bench.log.reader().damages_count(), 1);
    let end = bench.log.log_end_offset();
    let second = bench.log.reader().rolled_segment_behind(Some(Offset(0)));
    bench.log.advance_log_start_offset(second.unwrap());
    let deleted = bench.log.delete_retained(NOW, end).unwrap();
    assert_eq!(deleted.len(), 1);
    assert_eq!(bench.log.reader().damages_count(), 0);
}

#[test]
fn what_an_earlier_life_knew_is_answered_for_until_it_was_looked_at_again() {
    let mut bench = three_segments();
    let expected = bench.read_all(1 << 20);
    let place = places(&bench, Offset(0))[1];
    let at = usize::try_from(place.end).unwrap() - 3;
    bench.disk.flip_bit(&log_of(Offset(0)), at, 5).unwrap();
    inspect(&bench);
    let known = bench.log.reader().damages();
    bench.close_and_reopen();
    assert_eq!(bench.log.reader().damages(), []);
    bench.log.reader().expect_damages(&known);
    let hidden: Vec<i64> = (place.first..place.next).collect();
    assert_eq!(refused(&bench, &expected), hidden);
    bench.disk.flip_bit(&log_of(Offset(0)), at, 5).unwrap();
    inspect(&bench);
    assert!(refused(&bench, &expected).is_empty());
}

#[test]
fn what_was_replaced_meanwhile_is_not_judged() {
    let mut bench = three_segments();
    bench.disk.flip_bit(&log_of(Offset(0)), 70, 1).unwrap();
    let reader = bench.log.reader();
    let mut inspection = reader.inspect(Offset(0)).unwrap().unwrap();
    while !inspection.step().unwrap() {}
    bench.log.truncate_to(Offset(2), NOW).unwrap();
    assert_eq!(inspection.conclude(), Verdict::Outdated);
    assert_eq!(reader.damages(), []);
}

#[test]
fn recovery_cuts_nothing_below_the_recovery_point_and_goes_on_behind_the_damage() {
    for clean in [true, false] {
        let mut bench = Bench::new(LogConfig::default());
        fill(&mut bench, 30);
        let expected = bench.read_all(1 << 20);
        bench.log.close().unwrap();
        // Without its indexes the only segment is read whole.
        for kind in [FileKind::OffsetIndex, FileKind::TimeIndex] {
            let name = FileName::live(Offset(0), kind).to_string();
            bench.disk.remove_file(&directory().join(name)).unwrap();
        }
        let place = places(&bench, Offset(0))[9];
        let at = usize::try_from(place.position).unwrap();
        bench.disk.flip_bit(&log_of(Offset(0)), at + 8, 3).unwrap();
        let report = bench.reopen(&RecoveryInput {
            recovery_point: Offset(30),
            clean_shutdown: clean,
            ..RecoveryInput::unknown()
        });
        assert_eq!((report.bytes_cut, report.damages.len()), (0, 1));
        assert_eq!(bench.log.log_end_offset(), Offset(30));
        assert_eq!(refused(&bench, &expected), [9]);
        fill(&mut bench, 31);
        assert_eq!(bench.log.log_end_offset(), Offset(31));
    }
}

#[test]
fn producers_are_known_from_what_is_right_when_their_snapshots_are_gone() {
    let mut bench = Bench::new(small());
    for sequence in 0..40 {
        bench.append(&batch_of(7, sequence, &["x"]));
    }
    let places = places(&bench, Offset(0));
    bench.log.close().unwrap();
    for name in bench.names() {
        if name.ends_with(".snapshot") {
            bench.disk.remove_file(&path(&name)).unwrap();
        }
    }
    let magic = usize::try_from(places[3].position).unwrap() + 8;
    bench.disk.flip_bit(&log_of(Offset(0)), magic, 7).unwrap();
    bench.reopen(&RecoveryInput {
        recovery_point: Offset(40),
        clean_shutdown: true,
        ..RecoveryInput::unknown()
    });
    assert_eq!(bench.log.log_end_offset(), Offset(40));
    let again = bench.append(&batch_of(7, 39, &["x"]));
    assert!(again.duplicate);
    assert_eq!(bench.append(&batch_of(7, 40, &["x"])).first_offset.0, 40);
}

#[test]
fn an_index_made_anew_leaves_out_what_is_damaged_and_nothing_else() {
    let mut bench = three_segments();
    let expected = bench.read_all(1 << 20);
    let place = places(&bench, Offset(0))[2];
    bench.log.close().unwrap();
    for kind in [FileKind::OffsetIndex, FileKind::TimeIndex] {
        let name = FileName::live(Offset(0), kind).to_string();
        bench.disk.remove_file(&directory().join(name)).unwrap();
    }
    let magic = usize::try_from(place.position).unwrap() + 16;
    bench.disk.flip_bit(&log_of(Offset(0)), magic, 0).unwrap();
    let report = bench.reopen(&RecoveryInput {
        recovery_point: bench.log.log_end_offset(),
        clean_shutdown: true,
        ..RecoveryInput::unknown()
    });
    assert_eq!(
        (report.indexes_rebuilt, &report.suspects[..]),
        (1, &[Offset(0)][..])
    );
    inspect(&bench);
    let hidden: Vec<i64> = (place.first..place.next).collect();
    assert_eq!(refused(&bench, &expected), hidden);
}
