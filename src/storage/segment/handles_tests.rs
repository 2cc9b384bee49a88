use super::*;
use crate::storage::disk::MemoryDisk;

/// Logs with one segment each, on a disk in memory, under one limit.
struct Bench {
    disk: MemoryDisk,
    limit: Arc<OpenFiles>,
    logs: Vec<Arc<Handles>>,
}

impl Bench {
    fn new(logs: usize, max: usize) -> Bench {
        let disk = MemoryDisk::new();
        let limit = Arc::new(OpenFiles::new(max));
        let logs = (0..logs).map(|number| {
            let directory = Path::new("/logs").join(number.to_string());
            disk.create_dir_all(&directory).unwrap();
            for kind in FileKind::ALL {
                let name = FileName::live(Offset(0), kind).to_string();
                disk.open(&directory.join(name), OpenMode::Create).unwrap();
            }
            let handles = Arc::new(Handles::default());
            handles.set_limit(Arc::clone(&limit));
            handles
        });
        Bench {
            logs: logs.collect(),
            disk,
            limit,
        }
    }

    fn open(&self, log: usize, kind: FileKind) {
        let directory = Path::new("/logs").join(log.to_string());
        self.logs[log]
            .get(&self.disk, &directory, Offset(0), kind)
            .unwrap();
    }

    fn counts(&self) -> Vec<usize> {
        self.logs.iter().map(|log| log.count()).collect()
    }
}

#[test]
fn beyond_the_limit_the_files_of_the_log_used_longest_ago_are_closed() {
    let bench = Bench::new(4, 3);
    for log in 0..3 {
        bench.open(log, FileKind::Log);
    }
    assert_eq!(bench.counts(), [1, 1, 1, 0]);
    bench.limit.close_unused();
    // Nobody was closed yet: all were used before the first time that was asked.
    assert_eq!(bench.counts(), [1, 1, 1, 0]);
    bench.open(0, FileKind::Log);
    bench.open(3, FileKind::Log);
    assert_eq!(bench.counts(), [1, 0, 1, 1]);
    assert_eq!(bench.limit.count(), 3);
}

#[test]
fn a_log_whose_files_were_closed_opens_them_again_and_counts_again() {
    let bench = Bench::new(2, 1);
    for _ in 0..3 {
        bench.open(0, FileKind::Log);
        assert_eq!((bench.counts(), bench.limit.count()), (vec![1, 0], 1));
        bench.open(1, FileKind::Log);
        assert_eq!((bench.counts(), bench.limit.count()), (vec![0, 1], 1));
    }
}

#[test]
fn unused_logs_are_closed_by_the_second_round_and_used_ones_are_not() {
    let bench = Bench::new(2, 100);
    bench.open(0, FileKind::Log);
    bench.open(1, FileKind::Log);
    bench.limit.close_unused();
    bench.open(1, FileKind::Log);
    bench.limit.close_unused();
    assert_eq!(bench.counts(), [0, 1]);
    bench.logs[1].mark_used();
    bench.limit.close_unused();
    assert_eq!(bench.counts(), [0, 1]);
    bench.limit.close_unused();
    assert_eq!((bench.counts(), bench.limit.count()), (vec![0, 0], 0));
}

#[test]
fn files_that_go_in_any_other_way_count_no_more() {
    let mut bench = Bench::new(3, 100);
    for log in 0..3 {
        bench.open(log, FileKind::Log);
        bench.open(log, FileKind::OffsetIndex);
        bench.open(log, FileKind::OffsetIndex);
    }
    assert_eq!(bench.limit.count(), 6);
    bench.logs[0].forget(Offset(0));
    bench.logs[1].clear();
    assert_eq!(bench.limit.count(), 2);
    bench.logs.pop();
    assert_eq!(bench.limit.count(), 0);
}

#[test]
fn a_log_that_reads_many_segments_keeps_the_file_it_writes_to() {
    let handles = Arc::new(Handles::default());
    let disk = MemoryDisk::new();
    let file = |name: &str| disk.open(Path::new(name), OpenMode::Create).unwrap();
    handles.insert(Offset(100), FileKind::Log, file("written"));
    let written = Arc::downgrade(&find_log(&handles, 100).unwrap());
    for base in 0..20 {
        handles.insert(Offset(base), FileKind::Log, file("read"));
    }
    assert_eq!(handles.count(), OPEN_MAX);
    assert!(written.upgrade().is_some());
}

fn find_log(handles: &Handles, base: i64) -> Option<Arc<dyn DiskFile>> {
    handles.with(|held| find(&mut held.open, Offset(base), FileKind::Log))
}
