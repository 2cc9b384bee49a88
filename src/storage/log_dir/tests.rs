use super::*;
use crate::model::BrokerId;
use crate::storage::disk::SystemDisk;

#[test]
fn a_clean_shutdown_is_believed_once() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    assert_eq!(take_clean_shutdown(&SystemDisk, directory).unwrap(), None);
    write_clean_shutdown(&SystemDisk, directory, 14, Some(7)).unwrap();
    let text = std::fs::read_to_string(directory.join(CLEAN_SHUTDOWN_FILE)).unwrap();
    assert_eq!(text, r#"{"version":0,"brokerEpoch":14,"closedLogs":7}"#);
    let clean = CleanShutdown {
        broker_epoch: Some(14),
        closed_logs: Some(7),
    };
    let taken = take_clean_shutdown(&SystemDisk, directory).unwrap();
    assert_eq!(taken, Some(clean));
    assert_eq!(take_clean_shutdown(&SystemDisk, directory).unwrap(), None);
}

#[test]
fn the_empty_mark_of_older_versions_is_clean_without_an_epoch() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join(CLEAN_SHUTDOWN_FILE), "").unwrap();
    let clean = CleanShutdown {
        broker_epoch: None,
        closed_logs: None,
    };
    let taken = take_clean_shutdown(&SystemDisk, directory.path()).unwrap();
    assert_eq!(taken, Some(clean));
}

#[test]
fn a_directory_knows_whose_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    assert_eq!(read_meta_properties(&SystemDisk, directory).unwrap(), None);
    let properties = MetaProperties {
        cluster_id: "cluster".to_owned(),
        node_id: BrokerId(4),
        directory_id: Some(Uuid::from_random([5; 16])),
    };
    write_meta_properties(&SystemDisk, directory, &properties).unwrap();
    let read = read_meta_properties(&SystemDisk, directory).unwrap();
    assert_eq!(read, Some(properties));
    std::fs::write(directory.join(META_PROPERTIES), "version=1\n").unwrap();
    let error = read_meta_properties(&SystemDisk, directory).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("is damaged: `node.id` is missing")
    );
}

#[test]
fn a_partition_that_nobody_knows_is_renamed_and_kept() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    for name in [
        "orders-0",
        "orders-1",
        "quorum",
        "__cluster_metadata-0",
        "lost+found",
    ] {
        std::fs::create_dir(directory.join(name)).unwrap();
    }
    std::fs::write(directory.join("orders-1").join("x.log"), "data").unwrap();
    std::fs::write(directory.join("payments-0"), "a file").unwrap();
    let partition = TopicPartition::new("orders", 1);
    let stray = rename_partition(
        &SystemDisk,
        directory,
        "orders-1",
        &partition,
        DirectoryRole::Stray,
        Uuid([1; 16]),
    )
    .unwrap();
    assert!(directory.join(&stray).join("x.log").exists());
    std::os::unix::fs::symlink(directory, directory.join("orders-7")).unwrap();
    std::fs::write(directory.join("meta.properties.tmp"), "").unwrap();
    let listing = list(&SystemDisk, directory).unwrap();
    let roles: Vec<_> = listing.partitions.iter().map(|(_, d)| d.role).collect();
    assert_eq!(roles, [DirectoryRole::Current, DirectoryRole::Stray]);
    // A file and a link are no directories, and nobody looks behind a link.
    assert_eq!(listing.unknown, ["orders-7", "payments-0"]);
}

#[test]
fn a_directory_is_used_by_one_broker_at_a_time() {
    let directory = tempfile::tempdir().unwrap();
    let held = lock(&SystemDisk, directory.path()).unwrap();
    assert!(held.is_some());
    assert!(lock(&SystemDisk, directory.path()).unwrap().is_none());
}
