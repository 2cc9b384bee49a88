use super::*;

fn reasons(deleted: &[DeletedFiles]) -> Vec<DeletionReason> {
    deleted.iter().map(|deleted| deleted.reason).collect()
}

/// One record per segment, with these timestamps.
fn segments(config: LogConfig, timestamps: &[i64]) -> Bench {
    let mut bench = Bench::new(config);
    for timestamp in timestamps {
        bench.append(&batch_at(&["x"], *timestamp));
        bench.log.roll(NOW).unwrap();
    }
    bench
}

fn by_time(retention_ms: i64) -> LogConfig {
    LogConfig {
        retention_ms: Some(retention_ms),
        ..LogConfig::default()
    }
}

#[test]
fn segments_older_than_retention_go_from_the_front() {
    let mut bench = segments(by_time(100), &[10, 50, 20, 90]);
    bench.log.advance_high_watermark(Offset(4));
    let deleted = bench
        .log
        .delete_retained(Timestamp(150), Offset(4))
        .unwrap();
    assert_eq!(
        reasons(&deleted),
        [DeletionReason::Time],
        "50 is in the way of 20"
    );
    assert_eq!(bench.log.log_start_offset(), Offset(1));
    // After a restart the timestamps come from the indexes.
    bench.close_and_reopen();
    let deleted = bench
        .log
        .delete_retained(Timestamp(151), Offset(4))
        .unwrap();
    assert_eq!(reasons(&deleted), [DeletionReason::Time; 2]);
    assert_eq!(bench.log.log_start_offset(), Offset(3));
}

#[test]
fn an_active_segment_that_expired_is_rolled_and_goes() {
    let mut bench = Bench::new(by_time(100));
    bench.append(&batch_at(&["x"], 10));
    let deleted = bench
        .log
        .delete_retained(Timestamp(111), Offset(1))
        .unwrap();
    assert_eq!(reasons(&deleted), [DeletionReason::Time]);
    assert_eq!(bench.log.log_start_offset(), Offset(1));
    assert_eq!(bench.log.log_end_offset(), Offset(1));
    let deleted = bench
        .log
        .delete_retained(Timestamp(999), Offset(1))
        .unwrap();
    assert_eq!(deleted, [], "an empty active segment stays");
    assert_eq!(bench.write(&["y"]).first_offset, Offset(1));
    assert_eq!(bench.read_all(100), [(1, "y".to_owned())]);
}

#[test]
fn nothing_above_the_high_watermark_goes() {
    let mut bench = segments(by_time(100), &[10, 10, 10]);
    let deleted = bench
        .log
        .delete_retained(Timestamp(500), Offset(1))
        .unwrap();
    assert_eq!(deleted.len(), 1);
}

#[test]
fn the_oldest_segments_go_while_the_log_is_too_large() {
    let mut bench = segments(
        LogConfig {
            retention_ms: None,
            retention_bytes: Some(150),
            ..LogConfig::default()
        },
        &[1, 2, 3, 4],
    );
    assert_eq!(bench.log.size(), 4 * 69);
    let deleted = bench.log.delete_retained(NOW, Offset(4)).unwrap();
    assert_eq!(reasons(&deleted), [DeletionReason::Size]);
    assert_eq!(
        bench.log.size(),
        3 * 69,
        "two would leave less than is to be kept"
    );
}

#[test]
fn a_compacted_log_deletes_only_what_was_deleted_on_demand() {
    let mut bench = segments(
        LogConfig {
            deletes: false,
            compacts: true,
            retention_ms: Some(1),
            retention_bytes: Some(1),
            ..LogConfig::default()
        },
        &[1, 2, 3],
    );
    assert_eq!(bench.log.delete_retained(NOW, Offset(3)).unwrap(), []);
    assert!(bench.log.advance_log_start_offset(Offset(2)));
    assert!(!bench.log.advance_log_start_offset(Offset(1)));
    let deleted = bench.log.delete_retained(NOW, Offset(3)).unwrap();
    assert_eq!(reasons(&deleted), [DeletionReason::StartOffset; 2]);
}

#[test]
fn a_deleted_segment_is_renamed_at_once_and_unlinked_later() {
    let mut bench = segments(by_time(100), &[10, 500]);
    let deleted = bench
        .log
        .delete_retained(Timestamp(500), Offset(2))
        .unwrap();
    let names = bench.names();
    assert!(names.contains(&"00000000000000000000.log.deleted".to_owned()));
    assert!(!names.contains(&"00000000000000000000.log".to_owned()));
    deleted[0].unlink(&bench.disk).unwrap();
    deleted[0].unlink(&bench.disk).unwrap();
    assert!(bench.names().iter().all(|name| !name.ends_with(".deleted")));
}

#[test]
fn records_of_the_future_stay_and_with_retention_of_minus_one_everything_does() {
    let mut bench = segments(by_time(100), &[10, 5_000, 20]);
    let deleted = bench.log.delete_retained(Timestamp(400), Offset(3));
    assert_eq!(reasons(&deleted.unwrap()), [DeletionReason::Time]);
    let deleted = bench.log.delete_retained(Timestamp(5_100), Offset(3));
    assert_eq!(deleted.unwrap(), [], "5000 is in the way of 20");
    bench.log.set_config(Arc::new(LogConfig {
        retention_ms: None,
        ..LogConfig::default()
    }));
    let deleted = bench.log.delete_retained(Timestamp(i64::MAX), Offset(3));
    assert_eq!(deleted.unwrap(), []);
    bench.log.set_config(Arc::new(by_time(100)));
    let deleted = bench.log.delete_retained(Timestamp(5_101), Offset(3));
    assert_eq!(reasons(&deleted.unwrap()), [DeletionReason::Time; 2]);
}

#[test]
fn with_no_bytes_to_keep_the_active_segment_goes_too_and_offsets_go_on() {
    let config = LogConfig {
        retention_ms: None,
        retention_bytes: Some(0),
        ..LogConfig::default()
    };
    let mut bench = segments(config, &[1, 2]);
    bench.write(&["in the active one"]);
    let deleted = bench.log.delete_retained(NOW, Offset(3)).unwrap();
    assert_eq!(reasons(&deleted), [DeletionReason::Size; 3]);
    assert_eq!(bench.log.log_start_offset(), Offset(3));
    assert_eq!(bench.write(&["next"]).first_offset, Offset(3));
}

#[test]
fn a_topic_that_neither_deletes_nor_compacts_loses_only_what_was_deleted_on_demand() {
    let config = LogConfig {
        deletes: false,
        ..by_time(1)
    };
    let mut bench = segments(config, &[1, 2, 3]);
    assert_eq!(bench.log.delete_retained(NOW, Offset(3)).unwrap(), []);
    bench.log.advance_log_start_offset(Offset(1));
    let deleted = bench.log.delete_retained(NOW, Offset(3)).unwrap();
    assert_eq!(reasons(&deleted), [DeletionReason::StartOffset]);
}
