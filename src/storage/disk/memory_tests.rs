use super::*;

fn write(disk: &MemoryDisk, path: &str, bytes: &[u8], position: u64) -> Arc<dyn DiskFile> {
    let file = disk.open(Path::new(path), OpenMode::Create).unwrap();
    file.write_at(&[IoSlice::new(bytes)], position).unwrap();
    file
}

fn read(disk: &MemoryDisk, path: &str) -> Option<Vec<u8>> {
    disk.read_file(Path::new(path), 1000).ok()
}

#[test]
fn what_was_not_flushed_is_lost_and_a_lucky_prefix_is_kept() {
    let disk = MemoryDisk::new();
    disk.create_dir_all(Path::new("/d")).unwrap();
    let file = write(&disk, "/d/a", b"flushed", 0);
    file.sync_data().unwrap();
    disk.sync_dir(Path::new("/d")).unwrap();
    write(&disk, "/d/a", b" and not", 7);
    write(&disk, "/d/b", b"never", 0);
    disk.lose_power(&mut |_, _| 0);
    assert_eq!(read(&disk, "/d/a").unwrap(), b"flushed");
    assert_eq!(read(&disk, "/d/b"), None);

    write(&disk, "/d/a", b" and not", 7);
    disk.lose_power(&mut |_, appended| appended - 4);
    assert_eq!(read(&disk, "/d/a").unwrap(), b"flushed and");
}

#[test]
fn a_rename_lasts_when_the_directory_was_flushed() {
    let disk = MemoryDisk::new();
    disk.create_dir_all(Path::new("/d")).unwrap();
    write(&disk, "/d/a", b"a", 0).sync_data().unwrap();
    disk.sync_dir(Path::new("/d")).unwrap();
    disk.rename(Path::new("/d/a"), Path::new("/d/b")).unwrap();
    disk.lose_power(&mut |_, _| 0);
    assert_eq!(read(&disk, "/d/a").unwrap(), b"a");
    disk.rename(Path::new("/d/a"), Path::new("/d/b")).unwrap();
    disk.sync_dir(Path::new("/d")).unwrap();
    disk.lose_power(&mut |_, _| 0);
    assert_eq!(read(&disk, "/d/a"), None);
    assert_eq!(read(&disk, "/d/b").unwrap(), b"a");
}

#[test]
fn an_open_file_outlives_its_name() {
    let disk = MemoryDisk::new();
    disk.create_dir_all(Path::new("/d")).unwrap();
    let file = write(&disk, "/d/a", b"a", 0);
    disk.remove_dir_all(Path::new("/d")).unwrap();
    let mut bytes = [0];
    file.read_exact_at(&mut bytes, 0).unwrap();
    assert_eq!(&bytes, b"a");
    assert!(disk.open(Path::new("/d/a"), OpenMode::Create).is_err());
}
