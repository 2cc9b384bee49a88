//! What groups cost: heartbeats and commits through the facade, a rebalance of a large group, and the
//! load of a million committed offsets.
//!
//! `cargo bench --bench groups`. Nothing here touches a disk or an actor: it is the deciding, and the
//! coding of records, that is measured. "commit" includes both, so that it is what a shard does
//! for each commit beside appending.

#![expect(clippy::disallowed_methods, reason = "it measures")]

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::Arc;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use milena::coordination::config::GroupConfig;
use milena::coordination::group::Group;
use milena::coordination::messages::{
    Client, CommitOffset, CommitOffsets, ConsumerHeartbeat, Identity, Join, Reply, Request, Sync,
};
use milena::coordination::topics::{TopicFacts, Topics};
use milena::coordination::{Now, Step, Ticket};
use milena::model::{LeaderEpoch, Moment, Offset, Timestamp, TopicId, Uuid};
use milena::protocol::consumer_offsets::{Assignment, Decoder, OffsetValue, Record, encode};
use milena::record::{BatchBuilder, BatchHeader, Scratch, records};

const NOW: Timestamp = Timestamp(1_700_000_000_000);
const BYTES_MAX: usize = 100 << 20;

/// Topics `t0`, `t1`, …, with as many partitions each.
struct Cluster {
    topics: Vec<TopicFacts>,
}

impl Cluster {
    fn new(topics: u8, partitions: i32) -> Cluster {
        let topic = |number: u8| TopicFacts {
            id: Uuid([number + 1; 16]),
            name: Arc::from(format!("t{number}")),
            partitions,
            racks: Vec::new(),
        };
        Cluster {
            topics: (0..topics).map(topic).collect(),
        }
    }

    fn names(&self) -> Vec<Arc<str>> {
        self.topics.iter().map(|it| Arc::clone(&it.name)).collect()
    }
}

impl Topics for Cluster {
    fn by_name(&self, name: &str) -> Option<TopicFacts> {
        self.topics.iter().find(|it| &*it.name == name).cloned()
    }

    fn by_id(&self, id: &TopicId) -> Option<TopicFacts> {
        self.topics.iter().find(|it| it.id == *id).cloned()
    }

    fn for_each_name(&self, visit: &mut dyn FnMut(&Arc<str>)) {
        self.topics.iter().for_each(|it| visit(&it.name));
    }

    fn version(&self) -> i64 {
        1
    }
}

/// A group whose log takes everything.
struct Driven {
    group: Group,
    cluster: Cluster,
    now: Now,
    tickets: u64,
}

impl Driven {
    fn new(config: GroupConfig, cluster: Cluster) -> Driven {
        Driven {
            group: Group::new(Arc::from("group"), Arc::new(config)),
            cluster,
            now: Now {
                moment: Moment(1_000),
                wall: NOW,
            },
            tickets: 0,
        }
    }

    fn ask(&mut self, request: Request) -> Vec<(Ticket, Reply)> {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        let step = self.group.handle(self.now, request, ticket, &self.cluster);
        self.store(step)
    }

    fn store(&mut self, step: Step) -> Vec<(Ticket, Reply)> {
        for record in &step.records {
            black_box(encode(record).expect("the names are short"));
            self.group.replay(record);
        }
        step.replies
    }

    fn pass(&mut self, milliseconds: u64) -> Vec<(Ticket, Reply)> {
        self.now.moment.0 += milliseconds;
        self.now.wall.0 += i64::try_from(milliseconds).expect("a short time");
        let mut replies = Vec::new();
        while (self.group.next_timeout()).is_some_and(|at| at <= self.now.moment) {
            let step = self.group.handle_timeout(self.now, &self.cluster);
            replies.extend(self.store(step));
        }
        replies
    }
}

fn client() -> Client {
    Client {
        id: Arc::from("bench"),
        host: Arc::from("/127.0.0.1"),
    }
}

fn join() -> Join {
    Join {
        client: client(),
        member_id: Arc::from(""),
        instance_id: None,
        protocol_type: Arc::from("consumer"),
        protocols: vec![(Arc::from("range"), Bytes::from_static(&[0, 0, 0, 0, 0, 0]))],
        session_timeout_ms: 45_000,
        rebalance_timeout_ms: 300_000,
        reason: None,
        requires_known_member_id: false,
        supports_skipping_assignment: true,
        fresh: Uuid([7; 16]),
    }
}

/// A stable classic group of one member, and that member.
fn classic_group() -> (Driven, Identity) {
    let mut group = Driven::new(GroupConfig::default(), Cluster::new(1, 1));
    group.ask(Request::Join(join()));
    let joined = group.pass(10_000);
    let identity = match &joined[..] {
        [(_, Reply::Join(Ok(joined)))] => Identity {
            member_id: Arc::clone(&joined.member_id),
            instance_id: None,
            generation: joined.generation,
        },
        other => panic!("{other:?}"),
    };
    group.ask(Request::Sync(Sync {
        identity: identity.clone(),
        protocol_type: None,
        protocol_name: None,
        assignments: vec![(Arc::clone(&identity.member_id), Bytes::new())],
    }));
    (group, identity)
}

fn consumer_heartbeat(member: &str, epoch: i32, topics: Option<Vec<Arc<str>>>) -> Request {
    let joins = epoch == 0;
    Request::ConsumerHeartbeat(ConsumerHeartbeat {
        client: client(),
        member_id: Arc::from(member),
        member_epoch: epoch,
        instance_id: None,
        rack_id: None,
        rebalance_timeout_ms: joins.then_some(300_000),
        subscribed_topics: topics,
        subscribed_regex: None,
        server_assignor: None,
        owned: joins.then(Assignment::new),
        fresh: Uuid([9; 16]),
    })
}

fn commit(identity: &Identity, partition: i32, offset: i64) -> Request {
    Request::CommitOffsets(CommitOffsets {
        identity: identity.clone(),
        retention_ms: None,
        version: 9,
        offsets: vec![CommitOffset {
            topic: Arc::from("t0"),
            topic_id: Uuid([1; 16]),
            partition,
            offset: Offset(offset),
            leader_epoch: LeaderEpoch(3),
            metadata: Arc::from(""),
        }],
    })
}

fn requests(criterion: &mut Criterion) {
    let (mut group, identity) = classic_group();
    criterion.bench_function("classic heartbeat", |bencher| {
        bencher.iter(|| {
            let replies = group.ask(Request::Heartbeat(identity.clone()));
            assert!(matches!(replies[..], [(_, Reply::Heartbeat(Ok(())))]));
        });
    });
    let mut offset = 0;
    criterion.bench_function("commit of one offset", |bencher| {
        bencher.iter(|| {
            offset += 1;
            let partition = i32::try_from(offset % 100).expect("less than 100");
            let replies = group.ask(commit(&identity, partition, offset));
            assert!(matches!(replies[..], [(_, Reply::CommitOffsets(Ok(_)))]));
        });
    });
}

/// A consumer group of that many members, all of which have what they are to have.
fn consumer_group(members: usize, cluster: Cluster, config: GroupConfig) -> (Driven, Vec<i32>) {
    let mut group = Driven::new(config, cluster);
    let mut epochs = vec![0; members];
    let names = group.cluster.names();
    for member in 0..members {
        beat(&mut group, &mut epochs, member, Some(names.clone()));
    }
    settle(&mut group, &mut epochs);
    (group, epochs)
}

/// One heartbeat of a member, and as many more as it is told something to do, which it does at once.
/// Tells whether it was.
fn beat(
    group: &mut Driven,
    epochs: &mut [i32],
    member: usize,
    topics: Option<Vec<Arc<str>>>,
) -> bool {
    let name = format!("member-{member}");
    let mut request = consumer_heartbeat(&name, epochs[member], topics);
    let mut news = false;
    loop {
        let reply = match group.ask(request).into_iter().next() {
            Some((_, Reply::ConsumerHeartbeat(Ok(reply)))) => reply,
            other => panic!("{other:?}"),
        };
        epochs[member] = reply.member_epoch;
        let Some(assignment) = reply.assignment else {
            return news;
        };
        news = true;
        request = consumer_heartbeat(&name, epochs[member], None);
        if let Request::ConsumerHeartbeat(heartbeat) = &mut request {
            heartbeat.owned = Some(assignment);
        }
    }
}

/// Rounds of heartbeats until nobody hears news any more.
fn settle(group: &mut Driven, epochs: &mut [i32]) {
    let mut news = true;
    while news {
        group.pass(2_000);
        news = false;
        for member in 0..epochs.len() {
            let before = epochs[member];
            news |= beat(group, epochs, member, None) || epochs[member] != before;
        }
    }
}

fn consumer_requests(criterion: &mut Criterion) {
    let (mut group, epochs) = consumer_group(3, Cluster::new(1, 6), GroupConfig::default());
    criterion.bench_function("consumer heartbeat", |bencher| {
        bencher.iter(|| {
            let replies = group.ask(consumer_heartbeat("member-0", epochs[0], None));
            assert!(matches!(
                replies[..],
                [(_, Reply::ConsumerHeartbeat(Ok(_)))]
            ));
        });
    });
}

/// What is measured must have happened: all are at their target, and have as many as they should.
fn assert_balanced(group: &mut Driven, each: std::ops::RangeInclusive<usize>) {
    let replies = group.ask(Request::DescribeConsumer);
    let [(_, Reply::DescribeConsumer(Ok(description)))] = &replies[..] else {
        panic!("{replies:?}");
    };
    assert_eq!(description.state, "Stable");
    for member in &description.members {
        let owned: usize = member.assigned.values().map(Vec::len).sum();
        assert!(each.contains(&owned), "{owned} partitions: {member:?}");
    }
}

/// All the coordinator does when one member more joins: new epoch, new target, and the heartbeats in
/// which partitions are given up and taken.
fn rebalance(criterion: &mut Criterion) {
    const MEMBERS: usize = 1_000;
    let mut bench = criterion.benchmark_group("1,000 members, 10,000 partitions");
    bench.sample_size(10);
    let (mut group, mut epochs) =
        consumer_group(MEMBERS, Cluster::new(10, 1_000), GroupConfig::default());
    let names = group.cluster.names();
    epochs.push(0);
    beat(&mut group, &mut epochs, MEMBERS, Some(names.clone()));
    settle(&mut group, &mut epochs);
    assert_balanced(&mut group, 9..=10);
    group.ask(consumer_heartbeat(&format!("member-{MEMBERS}"), -1, None));
    settle(&mut group, &mut epochs[..MEMBERS]);
    assert_balanced(&mut group, 10..=10);
    bench.bench_function(
        "one member joins, until all is settled, and leaves",
        |bencher| {
            bencher.iter(|| {
                epochs[MEMBERS] = 0;
                beat(&mut group, &mut epochs, MEMBERS, Some(names.clone()));
                settle(&mut group, &mut epochs);
                group.ask(consumer_heartbeat(&format!("member-{MEMBERS}"), -1, None));
                settle(&mut group, &mut epochs[..MEMBERS]);
            });
        },
    );
    bench.bench_function("the join alone, with the new target", |bencher| {
        bencher.iter_custom(|rounds| {
            let mut spent = std::time::Duration::ZERO;
            for _ in 0..rounds {
                group.pass(2_000);
                epochs[MEMBERS] = 0;
                let start = std::time::Instant::now();
                beat(&mut group, &mut epochs, MEMBERS, Some(names.clone()));
                spent += start.elapsed();
                group.ask(consumer_heartbeat(&format!("member-{MEMBERS}"), -1, None));
                settle(&mut group, &mut epochs[..MEMBERS]);
            }
            spent
        });
    });
    bench.finish();
}

/// Batches as a shard wrote them: ten thousand groups, a hundred offsets each, in turns.
fn offsets_log(offsets: i64) -> Vec<Bytes> {
    let mut batches = Vec::new();
    let mut builder = BatchBuilder::new();
    for at in 0..offsets {
        let partition = i32::try_from(at / 10_000).expect("at most a million");
        let record = Record::Offset {
            group: Arc::from(format!("consumer-group-{}", at % 10_000)),
            topic: Arc::from(format!("some.topic.name-{}", partition % 5)),
            partition: partition / 5,
            value: Some(OffsetValue {
                offset: Offset(at),
                leader_epoch: LeaderEpoch(4),
                metadata: Arc::from(""),
                committed: NOW,
                expires: None,
                topic_id: Uuid([1; 16]),
            }),
        };
        let encoded = encode(&record).expect("the names are short");
        builder.append(NOW, Some(&encoded.key), encoded.value.as_deref(), &[]);
        if builder.records() == 1_000 {
            let full = std::mem::replace(&mut builder, BatchBuilder::new());
            batches.push(full.build().expect("the records are small"));
        }
    }
    batches
}

fn load(batches: &[Bytes]) -> HashMap<Arc<str>, Group> {
    let config = Arc::new(GroupConfig::default());
    let mut groups: HashMap<Arc<str>, Group> = HashMap::new();
    let (mut decoder, mut scratch) = (Decoder::default(), Scratch::new());
    for batch in batches {
        let header = BatchHeader::parse(batch).expect("the batch was built here");
        let mut reader =
            records(&header, batch, BYTES_MAX, &mut scratch).expect("the batch was built here");
        while let Ok(Some(view)) = reader.next() {
            let decoded = decoder.decode(view.key.unwrap_or_default(), view.value);
            let record = decoded.expect("encoded here").expect("of a known schema");
            let id = record.group();
            match groups.get_mut(id) {
                Some(group) => group.replay(&record),
                None => {
                    let mut group = Group::new(Arc::clone(id), Arc::clone(&config));
                    group.replay(&record);
                    groups.insert(Arc::clone(id), group);
                }
            }
        }
    }
    groups
}

fn loading(criterion: &mut Criterion) {
    const OFFSETS: i64 = 1_000_000;
    let batches = offsets_log(OFFSETS);
    let before = resident_bytes();
    let groups = load(&batches);
    let spent = resident_bytes().saturating_sub(before);
    println!(
        "{} groups with {OFFSETS} offsets take {} MB of memory",
        groups.len(),
        spent >> 20
    );
    drop(groups);
    let mut bench = criterion.benchmark_group("loading");
    bench.sample_size(10);
    bench.throughput(Throughput::Elements(OFFSETS.unsigned_abs()));
    bench.bench_function("1,000,000 offsets of 10,000 groups", |bencher| {
        bencher.iter(|| load(&batches));
    });
    bench.finish();
}

/// What the kernel says; zero where it does not say.
fn resident_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = status.split(' ').nth(1).and_then(|it| it.parse().ok());
    pages.unwrap_or(0) * 4096
}

criterion_group!(benches, requests, consumer_requests, rebalance, loading);
criterion_main!(benches);
