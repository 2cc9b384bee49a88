use super::*;

fn epochs(entries: &[(i32, i64)]) -> LeaderEpochs {
    let mut epochs = LeaderEpochs::default();
    for (epoch, start_offset) in entries {
        epochs.assign(LeaderEpoch(*epoch), Offset(*start_offset));
    }
    epochs
}

fn shown(epochs: &LeaderEpochs) -> Vec<(i32, i64)> {
    let entries = epochs.entries().iter();
    entries.map(|e| (e.epoch.0, e.start_offset.0)).collect()
}

fn end_offset(epochs: &LeaderEpochs, epoch: i32) -> Option<(i32, i64)> {
    let end = epochs.end_offset_for(LeaderEpoch(epoch), Offset(100));
    end.map(|(epoch, offset)| (epoch.0, offset.0))
}

#[test]
fn an_epoch_is_noted_once_and_only_where_it_begins() {
    let mut epochs = epochs(&[(1, 0)]);
    assert!(!epochs.assign(LeaderEpoch(1), Offset(5)));
    assert!(epochs.assign(LeaderEpoch(3), Offset(5)));
    assert!(!epochs.assign(LeaderEpoch(-1), Offset(9)));
    assert!(!epochs.assign(LeaderEpoch(4), Offset(-1)));
    assert_eq!(shown(&epochs), [(1, 0), (3, 5)]);
}

#[test]
fn entries_that_contradict_a_new_one_are_of_batches_that_were_cut_off() {
    assert_eq!(
        shown(&epochs(&[(1, 0), (2, 10), (3, 20), (4, 15)])),
        [(1, 0), (2, 10), (4, 15)]
    );
    assert_eq!(
        shown(&epochs(&[(1, 0), (2, 10), (3, 10)])),
        [(1, 0), (3, 10)]
    );
    assert_eq!(shown(&epochs(&[(5, 7), (5, 3)])), [(5, 3)]);
    assert_eq!(shown(&epochs(&[(5, 7), (4, 9)])), [(4, 9)]);
}

#[test]
fn the_end_of_an_epoch_is_where_the_next_known_one_begins() {
    let epochs = epochs(&[(2, 10), (4, 20), (7, 50)]);
    assert_eq!(end_offset(&epochs, 7), Some((7, 100)));
    assert_eq!(end_offset(&epochs, 4), Some((4, 50)));
    assert_eq!(end_offset(&epochs, 3), Some((2, 20)));
    assert_eq!(end_offset(&epochs, 6), Some((4, 50)));
    assert_eq!(end_offset(&epochs, 1), Some((1, 10)));
    assert_eq!(end_offset(&epochs, 8), None);
    assert_eq!(end_offset(&epochs, -1), None);
    assert_eq!(end_offset(&LeaderEpochs::default(), 0), None);
}

#[test]
fn an_offset_belongs_to_the_epoch_that_began_at_or_before_it() {
    let epochs = epochs(&[(2, 10), (4, 20)]);
    let of = |offset| epochs.epoch_for(Offset(offset)).map(|epoch| epoch.0);
    assert_eq!(
        [of(9), of(10), of(19), of(20), of(99)],
        [None, Some(2), Some(2), Some(4), Some(4)]
    );
}

#[test]
fn cutting_the_end_removes_the_epochs_that_began_there() {
    let mut epochs = epochs(&[(2, 10), (4, 20)]);
    assert!(!epochs.truncate_from_end(Offset(21)));
    assert!(epochs.truncate_from_end(Offset(20)));
    assert_eq!(shown(&epochs), [(2, 10)]);
}

#[test]
fn cutting_the_start_leaves_the_epoch_that_covers_it() {
    let mut epochs = epochs(&[(2, 10), (4, 20), (7, 50)]);
    assert!(!epochs.truncate_from_start(Offset(5)));
    assert!(!epochs.truncate_from_start(Offset(10)));
    assert!(epochs.truncate_from_start(Offset(30)));
    assert_eq!(shown(&epochs), [(4, 30), (7, 50)]);
    assert!(epochs.truncate_from_start(Offset(50)));
    assert_eq!(shown(&epochs), [(7, 50)]);
}

#[test]
fn the_file_is_kafkas() {
    let text = "0\n2\n0 0\n5 42\n";
    let epochs = LeaderEpochs::parse(text).unwrap();
    assert_eq!(shown(&epochs), [(0, 0), (5, 42)]);
    assert_eq!(epochs.to_text(), text);
    assert_eq!(LeaderEpochs::parse(""), Ok(LeaderEpochs::default()));
    assert!(LeaderEpochs::parse("0\n1\n-1 0\n").is_err());
    assert!(LeaderEpochs::parse("0\n1\n1\n").is_err());
}
