use proptest::prelude::*;

use super::*;

fn segment(at: usize, timestamp: Option<i64>, size: u64, has_aborted: bool) -> SegmentInfo {
    let base_offset = Offset(at as i64 * 10);
    SegmentInfo {
        size,
        has_aborted,
        max_timestamp: timestamp.map(|timestamp| TimeEntry {
            timestamp: Timestamp(timestamp),
            offset: base_offset,
        }),
        ..SegmentInfo::empty(base_offset, Timestamp(0))
    }
}

/// What a walk over all segments answers.
fn walk(list: &SegmentList, from: usize, target: i64) -> Option<Offset> {
    let mut rest = list.iter().skip(from);
    let found = rest.find(|segment| {
        let known = segment.max_timestamp.expect("every one is known");
        known.timestamp >= Timestamp(target)
    });
    found.map(|segment| segment.base_offset)
}

/// Reads what is not known until there is an answer.
fn ask(
    list: &mut SegmentList,
    truth: &[i64],
    mut question: impl FnMut(&mut SegmentList) -> Reaching,
) -> Option<Offset> {
    loop {
        match question(list) {
            Reaching::Segment(found) => return Some(found.base_offset),
            Reaching::None => return None,
            Reaching::Unknown(segment) => {
                let timestamp = Timestamp(truth[segment.base_offset.0 as usize / 10]);
                let offset = segment.base_offset;
                list.note_maximum(offset, TimeEntry { timestamp, offset });
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn answers_are_those_of_a_walk_however_the_list_was_changed(
        all in prop::collection::vec((-1i64..20, any::<bool>(), 0u64..100, any::<bool>()), 1..30),
        questions in prop::collection::vec((0usize..30, -1i64..22, 0u8..6), 1..30),
    ) {
        let truth: Vec<i64> = all.iter().map(|(timestamp, ..)| *timestamp).collect();
        let mut known = SegmentList::default();
        let mut list = SegmentList::default();
        let mut rest = all.iter().enumerate();
        for (from, target, change) in questions {
            match change {
                0 if !list.is_empty() => {
                    let first = list[0].base_offset;
                    list.take_out(first);
                    known.take_out(first);
                }
                1..4 => {
                    if let Some((at, (timestamp, unknown, size, aborted))) = rest.next() {
                        let told = (!unknown).then_some(*timestamp);
                        list.push(segment(at, told, *size, *aborted));
                        known.push(segment(at, Some(*timestamp), *size, *aborted));
                    }
                }
                _ => {}
            }
            let target_timestamp = Timestamp(target);
            let found = ask(&mut list, &truth, |list| list.first_reaching(from, target_timestamp));
            prop_assert_eq!(found, walk(&known, from, target));
            let largest = known.iter().filter_map(|s| s.max_timestamp).map(|t| t.timestamp.0).max();
            let found = ask(&mut list, &truth, SegmentList::with_largest);
            prop_assert_eq!(found, largest.and_then(|largest| walk(&known, 0, largest)));
            let sizes: u64 = known.iter().map(|s| s.size).sum();
            prop_assert_eq!(list.bytes(), sizes);
            let aborted = known.iter().enumerate().skip(from).find(|(_, s)| s.has_aborted);
            let found = list.next_with_aborted(from).map(|(at, _)| at);
            prop_assert_eq!(found, aborted.map(|(at, _)| at));
        }
    }
}
