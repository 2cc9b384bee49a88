use std::collections::BTreeSet;
use std::io::IoSlice;

use super::*;

fn write(disk: &SeededDisk, path: &str, bytes: &[u8], position: u64) -> Arc<dyn DiskFile> {
    let file = disk.open(Path::new(path), OpenMode::Create).unwrap();
    file.write_at(&[IoSlice::new(bytes)], position).unwrap();
    file
}

fn read(disk: &SeededDisk, path: &str) -> Option<Vec<u8>> {
    disk.read_file(Path::new(path), 10_000).ok()
}

/// What may be left of `/d` after `work`, over many seeds: each as names with their bytes.
fn outcomes(work: impl Fn(&SeededDisk)) -> BTreeSet<Vec<(String, Vec<u8>)>> {
    let mut outcomes = BTreeSet::new();
    for seed in 0..2_000 {
        let disk = SeededDisk::new(seed);
        disk.create_dir_all(Path::new("/d")).unwrap();
        disk.sync_dir(Path::new("/")).unwrap();
        work(&disk);
        disk.lose_power();
        let listed = disk.list(Path::new("/d")).unwrap();
        let read = |name: String| {
            let bytes = read(&disk, &format!("/d/{name}")).unwrap();
            (name, bytes)
        };
        outcomes.insert(listed.into_iter().map(|entry| read(entry.name)).collect());
    }
    outcomes
}

fn named(names: &[(&str, &[u8])]) -> Vec<(String, Vec<u8>)> {
    let owned = names
        .iter()
        .map(|(name, bytes)| ((*name).to_owned(), bytes.to_vec()));
    owned.collect()
}

#[test]
fn what_was_flushed_is_always_there() {
    let left = outcomes(|disk| {
        write(disk, "/d/a", b"flushed", 0).sync_data().unwrap();
        disk.sync_dir(Path::new("/d")).unwrap();
    });
    assert_eq!(left, [named(&[("a", b"flushed")])].into());
}

#[test]
fn writes_that_were_not_flushed_arrive_in_any_order_in_part_or_not_at_all() {
    let left = outcomes(|disk| {
        let file = write(disk, "/d/a", b"", 0);
        disk.sync_dir(Path::new("/d")).unwrap();
        file.write_at(&[IoSlice::new(b"one")], 0).unwrap();
        file.write_at(&[IoSlice::new(b"two")], 3).unwrap();
    });
    for bytes in [
        &b""[..],
        b"one",
        b"onetwo",
        b"\0\0\0two",
        b"on",
        b"onetw",
        b"one\0",
        b"o\0\0two",
    ] {
        assert!(
            left.contains(&named(&[("a", bytes)])),
            "{bytes:?} of {left:?}"
        );
    }
    assert!(left.iter().all(|files| files[0].1.len() <= 6));
}

#[test]
fn names_that_were_not_flushed_may_come_and_go() {
    let left = outcomes(|disk| {
        write(disk, "/d/a", b"a", 0).sync_data().unwrap();
        disk.sync_dir(Path::new("/d")).unwrap();
        write(disk, "/d/b.tmp", b"b", 0).sync_data().unwrap();
        disk.rename(Path::new("/d/b.tmp"), Path::new("/d/b"))
            .unwrap();
        disk.remove_file(Path::new("/d/a")).unwrap();
    });
    let possible: [&[(&str, &[u8])]; 6] = [
        &[("a", b"a")],
        &[("a", b"a"), ("b.tmp", b"b")],
        &[("a", b"a"), ("b", b"b")],
        &[("b", b"b")],
        &[("b.tmp", b"b")],
        &[],
    ];
    assert_eq!(left, possible.map(named).into());
}

#[test]
fn a_renamed_file_that_was_not_flushed_may_be_empty_or_zeroes() {
    let left = outcomes(|disk| {
        write(disk, "/d/a.tmp", b"new", 0);
        disk.rename(Path::new("/d/a.tmp"), Path::new("/d/a"))
            .unwrap();
        disk.sync_dir(Path::new("/d")).unwrap();
    });
    for bytes in [&b""[..], b"new", b"\0\0\0", b"n\0\0"] {
        assert!(
            left.contains(&named(&[("a", bytes)])),
            "{bytes:?} of {left:?}"
        );
    }
}

#[test]
fn a_process_that_ends_leaves_what_it_wrote_and_its_handles_do_nothing() {
    let disk = SeededDisk::new(1);
    disk.create_dir_all(Path::new("/d")).unwrap();
    let old = write(&disk, "/d/a", b"one", 0);
    disk.end_after(0);
    assert!(disk.exists(Path::new("/d/a")).is_err() && disk.has_ended());
    disk.end_process();
    assert_eq!(read(&disk, "/d/a").unwrap(), b"one");
    assert!(old.write_at(&[IoSlice::new(b"two")], 0).is_err());
    assert_eq!(read(&disk, "/d/a").unwrap(), b"one");
}

#[test]
fn calls_fail_by_kind_and_name_once_or_for_good() {
    for lasting in [false, true] {
        let disk = SeededDisk::new(2);
        disk.create_dir_all(Path::new("/d")).unwrap();
        let (log, index) = (
            write(&disk, "/d/a.log", b"", 0),
            write(&disk, "/d/a.index", b"", 0),
        );
        disk.fail(Fault {
            call: Call::Sync,
            suffix: ".log",
            after: 1,
            lasting,
        });
        log.sync_data().unwrap();
        assert!(log.sync_data().is_err());
        index.sync_data().unwrap();
        log.write_at(&[IoSlice::new(b"x")], 0).unwrap();
        assert_eq!(log.sync_data().is_err(), lasting);
        assert_eq!(disk.failed(), 1 + u64::from(lasting));
        disk.repair();
        log.sync_data().unwrap();
    }
}

#[test]
fn a_flush_after_one_that_failed_says_nothing() {
    let lost = (0..100).filter(|seed| {
        let disk = SeededDisk::new(*seed);
        disk.create_dir_all(Path::new("/d")).unwrap();
        let file = write(&disk, "/d/a", b"x", 0);
        disk.sync_dir(Path::new("/")).unwrap();
        disk.sync_dir(Path::new("/d")).unwrap();
        disk.fail(Fault {
            call: Call::Sync,
            suffix: "a",
            after: 0,
            lasting: false,
        });
        assert!(file.sync_data().is_err());
        file.sync_data().unwrap();
        disk.lose_power();
        read(&disk, "/d/a").unwrap() != b"x"
    });
    assert!((10..100).contains(&lost.count()));
}

#[test]
fn space_ends_at_a_byte_and_comes_back_with_what_is_cut_or_removed() {
    let disk = SeededDisk::new(3);
    disk.create_dir_all(Path::new("/d")).unwrap();
    let file = write(&disk, "/d/a", b"12", 0);
    disk.limit_space(Some(3));
    let full = file.write_at(&[IoSlice::new(b"3456")], 2);
    assert!(full.unwrap_err().is_out_of_space());
    assert_eq!(read(&disk, "/d/a").unwrap(), b"12345");
    file.write_at(&[IoSlice::new(b"ABCDE")], 0).unwrap();
    file.truncate(4).unwrap();
    file.write_at(&[IoSlice::new(b"e")], 4).unwrap();
    assert!(file.write_at(&[IoSlice::new(b"f")], 5).is_err());
    disk.remove_file(Path::new("/d/a")).unwrap();
    write(&disk, "/d/b", b"12345", 0);
}

#[test]
fn a_disk_that_lies_flushes_nothing() {
    let disk = SeededDisk::new(4);
    disk.create_dir_all(Path::new("/d")).unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    disk.lie(true, false);
    let lost = (0..20).filter(|n| {
        let path = format!("/d/{n}");
        write(&disk, &path, b"x", 0).sync_data().unwrap();
        disk.sync_dir(Path::new("/d")).unwrap();
        disk.lose_power();
        read(&disk, &path).unwrap() != b"x"
    });
    assert!(lost.count() > 3);
}

#[test]
fn a_turned_bit_is_there_at_once_and_after_a_loss_of_power() {
    let disk = SeededDisk::new(5);
    disk.create_dir_all(Path::new("/d")).unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    write(&disk, "/d/a", b"abc", 0).sync_data().unwrap();
    disk.sync_dir(Path::new("/d")).unwrap();
    assert!(disk.flip_bit(Path::new("/d/a"), 1, 0));
    assert_eq!(read(&disk, "/d/a").unwrap(), b"acc");
    disk.lose_power();
    assert_eq!(read(&disk, "/d/a").unwrap(), b"acc");
    assert!(!disk.flip_bit(Path::new("/d/b"), 0, 0));
}
