use super::*;
use crate::metadata::image::PartitionImage;
use crate::model::{DirectoryId, LOST_DIRECTORY, TopicId};

const A: DirectoryId = Uuid([0xa; 16]);
const B: DirectoryId = Uuid([0xb; 16]);

/// A run of broker 1, or another, with these directories.
fn with_directories(broker: i32, run: u8, directories: &[DirectoryId]) -> Request {
    Request::RegisterBroker(BrokerRegistration {
        broker: BrokerId(broker),
        incarnation: Uuid([run; 16]),
        endpoints: Vec::new(),
        rack: None,
        directories: directories.to_vec(),
        unclean: false,
    })
}

fn assign(epoch: i64, directory: DirectoryId, topic: TopicId, partitions: &[i32]) -> Request {
    Request::AssignDirectories {
        broker: BrokerId(1),
        broker_epoch: epoch,
        assignments: vec![(directory, vec![(topic, partitions.to_vec())])],
    }
}

fn change(epoch: i64, offline: &[DirectoryId], cordoned: &[DirectoryId]) -> Request {
    Request::ChangeDirectories {
        broker: BrokerId(1),
        broker_epoch: epoch,
        offline: offline.to_vec(),
        cordoned: cordoned.to_vec(),
    }
}

/// Leader, leader epoch and directories of each partition.
fn shown(cluster: &Cluster, topic: &str) -> Vec<String> {
    let name = |directory: &DirectoryId| match *directory {
        A => "a",
        B => "b",
        LOST_DIRECTORY => "lost",
        Uuid::ZERO => "?",
        _ => "other",
    };
    let show = |partition: &PartitionImage| {
        let directories: Vec<&str> = partition.directories.iter().map(name).collect();
        format!(
            "{}@{} in {}",
            partition.leader,
            partition.leader_epoch,
            directories.join(",")
        )
    };
    let topic = cluster.image().topic(topic).expect("it exists");
    topic.partitions.iter().map(show).collect()
}

fn two_directories() -> (Cluster, TopicId) {
    let mut cluster = Cluster::of(0);
    cluster.ask(with_directories(1, 1, &[A, B]));
    let created = cluster.topic(topic("t", 2, 1));
    (cluster, created.id)
}

#[test]
fn a_broker_with_several_directories_says_itself_where_it_put_what() {
    let (mut cluster, id) = two_directories();
    assert_eq!(shown(&cluster, "t"), ["1@0 in ?", "1@0 in ?"]);
    cluster.ask(assign(1, A, id, &[0]));
    cluster.ask(assign(1, B, id, &[1, 7]));
    assert_eq!(shown(&cluster, "t"), ["1@0 in a", "1@0 in b"]);
    let before = cluster.log.len();
    cluster.ask(assign(1, A, id, &[0]));
    assert_eq!(
        cluster.log.len(),
        before,
        "what is known is not written again"
    );
    let stale = cluster.ask(assign(0, B, id, &[0]));
    assert!(matches!(
        stale,
        Reply::AssignDirectories(Err(Refusal::StaleBrokerEpoch(_)))
    ));
    let copy = Image::of_records(&cluster.image().to_records());
    assert_eq!(copy.topics, cluster.image().topics);
}

#[test]
fn what_lies_in_a_failed_directory_has_no_leader_until_the_directory_is_back() {
    let (mut cluster, id) = two_directories();
    cluster.ask(assign(1, A, id, &[0]));
    cluster.ask(assign(1, B, id, &[1]));
    cluster.ask(change(1, &[B], &[]));
    assert_eq!(shown(&cluster, "t"), ["1@0 in a", "-1@1 in b"]);
    cluster.ask(change(1, &[B], &[]));
    assert_eq!(shown(&cluster, "t")[1], "-1@1 in b", "told once");
    cluster.ask(with_directories(1, 2, &[A]));
    assert_eq!(shown(&cluster, "t"), ["1@0 in a", "-1@1 in b"]);
    cluster.ask(with_directories(1, 3, &[A, B]));
    assert_eq!(shown(&cluster, "t"), ["1@0 in a", "1@2 in b"]);
    cluster.ask(with_directories(1, 4, &[B]));
    assert_eq!(
        shown(&cluster, "t"),
        ["-1@1 in a", "1@2 in b"],
        "missing at a start"
    );
}

#[test]
fn a_replica_found_elsewhere_is_led_again_and_a_lost_one_is_not() {
    let (mut cluster, id) = two_directories();
    cluster.ask(assign(1, B, id, &[0, 1]));
    cluster.ask(with_directories(1, 2, &[A]));
    assert_eq!(shown(&cluster, "t"), ["-1@1 in b", "-1@1 in b"]);
    cluster.ask(assign(2, A, id, &[0]));
    cluster.ask(assign(2, LOST_DIRECTORY, id, &[1]));
    assert_eq!(shown(&cluster, "t"), ["1@2 in a", "-1@1 in lost"]);
    cluster.ask(with_directories(1, 3, &[A, B]));
    assert_eq!(
        shown(&cluster, "t")[1],
        "-1@1 in lost",
        "nobody said where it is"
    );
    cluster.ask(assign(3, B, id, &[1]));
    assert_eq!(shown(&cluster, "t")[1], "1@2 in b");
}

#[test]
fn another_replica_leads_what_lay_in_a_failed_directory() {
    let mut cluster = Cluster::of(0);
    cluster.ask(with_directories(1, 1, &[A, B]));
    cluster.ask(register(2, 1, false));
    let created = cluster.topic(NewTopic {
        assignments: vec![(0, ids(&[1, 2]))],
        ..topic("t", -1, -1)
    });
    cluster.ask(assign(1, B, created.id, &[0]));
    cluster.ask(change(1, &[B], &[]));
    assert_eq!(shown(&cluster, "t"), ["2@1 in b,other"]);
}

#[test]
fn a_broker_whose_directories_are_all_cordoned_takes_no_new_replicas() {
    let (mut cluster, _) = two_directories();
    cluster.ask(change(1, &[], &[A]));
    cluster.topic(topic("u", 1, 1));
    cluster.ask(change(1, &[], &[A, B]));
    let refused = cluster.create(vec![topic("v", 1, 1)]).remove(0);
    let Err(Refusal::InvalidReplicationFactor(why)) = refused else {
        panic!("not refused for its replicas: {refused:?}");
    };
    assert!(why.contains("all their log directories cordoned"), "{why}");
    let copy = Image::of_records(&cluster.image().to_records());
    assert_eq!(copy.brokers, cluster.image().brokers);
    cluster.ask(change(1, &[], &[]));
    cluster.topic(topic("v", 1, 1));
}
