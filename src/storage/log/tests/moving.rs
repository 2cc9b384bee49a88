use super::*;
use crate::storage::log::moving::CopyError;

fn elsewhere(role: &str) -> PathBuf {
    PathBuf::from(format!("/other/topic-0{role}"))
}

/// Copies all there is, so many bytes at a time.
fn catch_up(copy: &mut Log, reader: &LogReader, bytes_max: usize) {
    loop {
        let chunk = reader.chunk(copy.log_end_offset(), bytes_max).unwrap();
        if chunk.bytes.is_empty() {
            return;
        }
        copy.append_chunk(&chunk, NOW).unwrap();
        assert_eq!(copy.log_end_offset(), chunk.next_offset);
    }
}

fn begin(bench: &Bench) -> Log {
    let start = bench.log.reader().copy_start().unwrap();
    let blueprint = bench.log.blueprint();
    blueprint.begin(elsewhere(".0-future"), start, NOW).unwrap()
}

/// The last step, as the log's actor takes it; the old files stay.
fn switch(bench: &mut Bench, mut copy: Log) {
    copy.take_over(&bench.log).unwrap();
    drop(copy);
    bench
        .disk
        .rename(&elsewhere(".0-future"), &elsewhere(""))
        .unwrap();
    let moved = bench.log.hand_over_to(elsewhere(""), NOW).unwrap();
    bench.log.refer_to(&moved);
    bench.log = moved;
}

fn raw(log: &Log) -> Vec<u8> {
    let reader = log.reader();
    let (mut all, mut from) = (Vec::new(), reader.copy_start().unwrap());
    from = from.max(reader.log_start_offset());
    while from < reader.log_end_offset() {
        let chunk = reader.chunk(from, 500).unwrap();
        all.extend_from_slice(&chunk.bytes);
        from = chunk.next_offset;
    }
    all
}

#[test]
fn a_moved_log_is_byte_for_byte_what_it_was_and_readers_find_it() {
    for bytes_max in [1, 300, 1 << 20] {
        let mut bench = Bench::new(small());
        fill(&mut bench, 40);
        let mut copy = begin(&bench);
        let reader = bench.log.reader();
        catch_up(&mut copy, &reader, bytes_max);
        fill(&mut bench, 60);
        catch_up(&mut copy, &reader, bytes_max);
        let before = raw(&bench.log);
        switch(&mut bench, copy);
        assert_eq!(raw(&bench.log), before);
        bench.disk.remove_dir_all(&directory()).unwrap();
        fill(&mut bench, 70);
        assert_eq!(bench.read_all(1 << 20), numbered(0..70));
        assert_eq!(
            reader.log_end_offset(),
            Offset(70),
            "the old reader follows"
        );
        let plan = reader.plan(Offset(65), 100, Offset(70), true).unwrap();
        assert_eq!(records_of(&plan)[0].1, "value 65");
        assert_eq!(
            bench.log.recovery_point(),
            Offset(60),
            "the copy was flushed"
        );
    }
}

#[test]
fn what_no_batch_tells_moves_too() {
    let mut bench = Bench::new(small());
    for at in 0..3 {
        bench.append(&batch_of(7, at, &["of seven"]));
    }
    fill(&mut bench, 40);
    bench
        .log
        .append_as_leader(&batch(&["a", "b", "c"]), LeaderEpoch(5), NOW)
        .unwrap();
    bench.log.assign_epoch(LeaderEpoch(6));
    assert!(
        bench.log.advance_log_start_offset(Offset(41)),
        "inside of a batch"
    );
    bench.log.delete_retained(NOW, Offset(43)).unwrap();
    let mut copy = begin(&bench);
    assert_eq!(copy.log_end_offset(), Offset(40));
    catch_up(&mut copy, &bench.log.reader(), 1 << 20);
    assert!(copy.producers().is_empty(), "their batches are gone");
    let producers = bench.log.producers().clone();
    let epochs = bench.log.shared.view().epochs.clone();
    switch(&mut bench, copy);
    assert_eq!(*bench.log.producers(), producers);
    assert_eq!(bench.log.shared.view().epochs, epochs);
    assert_eq!(bench.log.log_start_offset(), Offset(41));
    let again = bench.append(&batch_of(7, 3, &["goes on"]));
    assert_eq!(again.first_offset, Offset(43));
    let input = RecoveryInput {
        log_start_offset: Offset(41),
        recovery_point: Offset(43),
        ..RecoveryInput::unknown()
    };
    let disk: Arc<dyn Disk> = Arc::new(bench.disk.clone());
    let (log, _) = Log::open(disk, elsewhere(""), Arc::new(small()), &input, NOW).unwrap();
    let duplicate = { log }.append_as_leader(&batch_of(7, 3, &["goes on"]), EPOCH, NOW);
    assert!(duplicate.unwrap().duplicate, "also after a crash");
}

#[test]
fn a_log_whose_records_were_all_deleted_keeps_its_offsets() {
    let mut bench = Bench::new(small());
    fill(&mut bench, 20);
    assert!(bench.log.advance_log_start_offset(Offset(20)));
    let copy = begin(&bench);
    switch(&mut bench, copy);
    fill(&mut bench, 21);
    assert_eq!(bench.read_all(1 << 20), numbered(20..21));
    let input = RecoveryInput::unknown();
    let disk: Arc<dyn Disk> = Arc::new(bench.disk.clone());
    let (log, _) = Log::open(disk, elsewhere(""), Arc::new(small()), &input, NOW).unwrap();
    assert_eq!(
        log.log_start_offset(),
        Offset(20),
        "even without a checkpoint"
    );
}

#[test]
fn a_copy_that_was_overtaken_begins_anew() {
    let mut bench = Bench::new(small());
    fill(&mut bench, 30);
    let mut copy = begin(&bench);
    let reader = bench.log.reader();
    let first = reader.chunk(Offset(0), 300).unwrap();
    copy.append_chunk(&first, NOW).unwrap();
    assert!(bench.log.advance_log_start_offset(Offset(25)));
    bench.log.delete_retained(NOW, Offset(30)).unwrap();
    let overtaken = reader.chunk(copy.log_end_offset(), 300);
    assert!(matches!(
        overtaken,
        Err(CopyError::Overtaken {
            log_start_offset: Offset(25)
        })
    ));
    copy.restart_copy(reader.copy_start().unwrap(), NOW)
        .unwrap();
    catch_up(&mut copy, &reader, 300);
    switch(&mut bench, copy);
    assert_eq!(bench.read_all(1 << 20), numbered(25..30));
}

#[test]
fn a_damaged_batch_is_not_copied() {
    let mut bench = Bench::new(small());
    fill(&mut bench, 5);
    let mut copy = begin(&bench);
    let mut chunk = bench.log.reader().chunk(Offset(0), 1 << 20).unwrap();
    let mut bytes = chunk.bytes.to_vec();
    *bytes.last_mut().unwrap() ^= 1;
    chunk.bytes = bytes.into();
    let refused = copy.append_chunk(&chunk, NOW);
    assert!(matches!(refused, Err(CopyError::Damaged(_))), "{refused:?}");
    assert!(matches!(
        copy.take_over(&bench.log),
        Err(CopyError::Damaged(_))
    ));
}
