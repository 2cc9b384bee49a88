use std::cell::RefCell;
use std::path::PathBuf;
use std::sync::Arc;

use super::*;
use crate::metadata::MetadataRecord;
use crate::storage::disk::{Disk, MemoryDisk, SystemDisk};
use crate::storage::quorum_log::crashing_disk::CrashingDisk;

/// What a subscriber heard.
#[derive(Debug, Clone, PartialEq)]
enum Heard {
    Committed(u64, Vec<i64>),
    Installed(u64, Vec<i64>),
    Leadership(bool, Option<i32>),
    Failed(String),
}

#[derive(Default)]
struct Listener(Vec<Heard>);

impl Actor for Listener {
    type Context = Context<Self>;
}

/// The numbers that tests propose.
fn numbers(records: &[MetadataRecord]) -> Vec<i64> {
    let number = |record: &MetadataRecord| match record {
        MetadataRecord::ProducerIds { next } => Some(*next),
        _ => None,
    };
    records.iter().filter_map(number).collect()
}

impl Handler<Committed> for Listener {
    type Result = ();
    fn handle(&mut self, message: Committed, _: &mut Context<Self>) {
        let heard = Heard::Committed(message.index, numbers(&message.records));
        self.0.push(heard);
    }
}

impl Handler<SnapshotInstalled> for Listener {
    type Result = ();
    fn handle(&mut self, message: SnapshotInstalled, _: &mut Context<Self>) {
        let heard = Heard::Installed(message.index, numbers(&message.records));
        self.0.push(heard);
    }
}

impl Handler<LeadershipChanged> for Listener {
    type Result = ();
    fn handle(&mut self, message: LeadershipChanged, _: &mut Context<Self>) {
        let leader = message.leader.map(|leader| leader.0);
        self.0.push(Heard::Leadership(message.leads, leader));
    }
}

impl Handler<QuorumFailed> for Listener {
    type Result = ();
    fn handle(&mut self, message: QuorumFailed, _: &mut Context<Self>) {
        self.0.push(Heard::Failed(message.reason));
    }
}

#[derive(Message)]
#[rtype(result = "Vec<Heard>")]
struct Tell;

impl Handler<Tell> for Listener {
    type Result = MessageResult<Tell>;
    fn handle(&mut self, _: Tell, _: &mut Context<Self>) -> Self::Result {
        MessageResult(self.0.clone())
    }
}

struct Node {
    quorum: Addr<QuorumActor>,
    listener: Addr<Listener>,
}

fn config(node: i32, voters: i32) -> QuorumConfig {
    QuorumConfig {
        node_id: BrokerId(node),
        voters: (1..=voters)
            .map(|id| (BrokerId(id), format!("node:{id}")))
            .collect(),
        heartbeat: Duration::from_millis(100),
        election_timeout: (Duration::from_millis(500), Duration::from_millis(1000)),
        snapshot_entries: 1_000,
        snapshot_bytes: 1 << 20,
        kept_entries: 0,
    }
}

fn start_with(
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    config: QuorumConfig,
    peers: Rc<dyn Peers>,
    disk_thread: Option<DiskThreads>,
) -> Node {
    let listener = Listener::default().start();
    let log = QuorumLog::open(disk, directory, 4096).unwrap();
    let quorum = QuorumActor::new(QuorumParts {
        config,
        log,
        disk_thread,
        peers,
        subscribers: vec![Subscriber {
            committed: listener.clone().recipient(),
            installed: listener.clone().recipient(),
            leadership: Some(listener.clone().recipient()),
        }],
        failed: listener.clone().recipient(),
        panic_watch: None,
    });
    let quorum = quorum.unwrap().start();
    Node { quorum, listener }
}

fn start_on(disk: Arc<dyn Disk>, config: QuorumConfig) -> Node {
    start_with(disk, "/meta/quorum".into(), config, Rc::new(NoPeers), None)
}

fn start(disk: &MemoryDisk) -> Node {
    start_on(Arc::new(disk.clone()), config(1, 1))
}

impl Node {
    async fn heard(&self) -> Vec<Heard> {
        self.listener.send(Tell).await.unwrap()
    }

    async fn propose(&self, numbers: &[i64]) -> Result<u64, ProposeError> {
        let records = numbers
            .iter()
            .map(|next| MetadataRecord::ProducerIds { next: *next });
        self.quorum.send(Propose(records.collect())).await.unwrap()
    }

    /// The numbers that were committed, with those of a snapshot, in order.
    async fn committed(&self) -> Vec<i64> {
        let mut numbers = Vec::new();
        for heard in self.heard().await {
            match heard {
                Heard::Committed(_, more) => numbers.extend(more),
                Heard::Installed(_, all) => numbers = all,
                Heard::Leadership(..) | Heard::Failed(_) => (),
            }
        }
        numbers
    }

    async fn stop(&self) {
        self.quorum.send(Shutdown).await.unwrap();
    }
}

#[actix::test]
async fn what_was_committed_is_told_again_in_order_after_a_restart() {
    tokio::time::pause();
    let disk = MemoryDisk::new();
    let node = start(&disk);
    let first = node.propose(&[1, 2]).await.unwrap();
    let second = node.propose(&[3]).await.unwrap();
    assert!(second > first);
    let heard = node.heard().await;
    let one = Heard::Committed(first, vec![1, 2]);
    let two = Heard::Committed(second, vec![3]);
    assert!(heard.ends_with(&[one.clone(), two.clone()]), "{heard:?}");
    node.stop().await;

    disk.lose_power(&mut |_, _| 0);
    let node = start(&disk);
    let third = node.propose(&[4]).await.unwrap();
    let heard = node.heard().await;
    let told: Vec<u64> = heard
        .iter()
        .filter_map(|heard| match heard {
            Heard::Committed(index, _) => Some(*index),
            _ => None,
        })
        .collect();
    assert_eq!(told, (0..=third).collect::<Vec<u64>>());
    assert_eq!(node.committed().await, [1, 2, 3, 4]);
    let leads = Heard::Leadership(true, Some(1));
    let place = |wanted: &Heard| heard.iter().position(|heard| heard == wanted);
    assert!(place(&two) < place(&leads), "former entries come first");
}

#[actix::test]
async fn a_single_voter_leads_without_waiting_for_a_timeout() {
    tokio::time::pause();
    let disk = MemoryDisk::new();
    for _ in 0..2 {
        let began = tokio::time::Instant::now();
        let node = start(&disk);
        node.propose(&[1]).await.unwrap();
        assert_eq!(began.elapsed(), Duration::ZERO);
        node.stop().await;
    }
}

#[actix::test]
async fn a_proposal_is_told_before_it_is_answered() {
    tokio::time::pause();
    let node = start(&MemoryDisk::new());
    for number in 0..20 {
        let index = node.propose(&[number]).await.unwrap();
        let last = node.heard().await.pop();
        assert_eq!(last, Some(Heard::Committed(index, vec![number])));
    }
}

#[actix::test]
async fn a_thousand_proposals_in_flight_share_a_few_flushes() {
    tokio::time::pause();
    let disk = Arc::new(CrashingDisk::new(MemoryDisk::new()));
    let node = start_on(Arc::clone(&disk) as Arc<dyn Disk>, config(1, 1));
    node.propose(&[-1]).await.unwrap();
    let before = disk.flushes();
    let proposals: Vec<_> = (0..1000)
        .map(|next| MetadataRecord::ProducerIds { next })
        .map(|record| actix::spawn(node.quorum.send(Propose(vec![record]))))
        .collect();
    for proposal in proposals {
        proposal.await.unwrap().unwrap().unwrap();
    }
    let flushes = disk.flushes() - before;
    assert!(flushes <= 4, "{flushes} flushes");
    let expected: Vec<i64> = (-1..1000).collect();
    assert_eq!(node.committed().await, expected);
}

#[actix::test]
async fn a_proposal_too_long_to_be_written_harms_nobody_else() {
    tokio::time::pause();
    let node = start(&MemoryDisk::new());
    let huge = MetadataRecord::FeatureLevel {
        name: "x".repeat(65 << 20),
        level: 1,
    };
    let refused = node.quorum.send(Propose(vec![huge])).await.unwrap();
    assert_eq!(refused, Err(ProposeError::Undecided));
    node.propose(&[1]).await.unwrap();
    assert_eq!(node.committed().await, [1]);
}

#[actix::test]
async fn a_snapshot_takes_the_place_of_the_log_and_its_files() {
    tokio::time::pause();
    let disk = MemoryDisk::new();
    let small = QuorumConfig {
        snapshot_entries: 50,
        ..config(1, 1)
    };
    let node = start_on(Arc::new(disk.clone()), small.clone());
    for number in 0..500 {
        node.propose(&[number]).await.unwrap();
    }
    node.stop().await;
    let listed = disk.list("/meta/quorum".as_ref()).unwrap();
    let entries = listed.iter().filter(|entry| entry.name != "reserve");
    let bytes: u64 = entries.map(|entry| entry.length).sum();
    assert!(bytes < 20_000, "{bytes} bytes are left of the log");

    disk.lose_power(&mut |_, _| 0);
    let node = start_on(Arc::new(disk.clone()), small);
    let last = node.propose(&[1_000]).await.unwrap();
    let heard = node.heard().await;
    let Some(Heard::Installed(from, _)) = heard.first() else {
        panic!("{heard:?} does not start with the snapshot");
    };
    assert!(*from >= 400);
    let committed = node.committed().await;
    let behind = i64::try_from(last - from).unwrap();
    assert!(committed.len() <= usize::try_from(behind).unwrap() + 1);
    assert_eq!(committed.last(), Some(&1_000));
    assert!(committed.is_sorted());
}

#[actix::test]
async fn who_subscribes_late_is_told_where_things_stand() {
    tokio::time::pause();
    let node = start(&MemoryDisk::new());
    let index = node.propose(&[7]).await.unwrap();
    let late = Listener::default().start();
    let subscriber = Subscriber {
        committed: late.clone().recipient(),
        installed: late.clone().recipient(),
        leadership: Some(late.clone().recipient()),
    };
    node.quorum.send(Subscribe(subscriber)).await.unwrap();
    let next = node.propose(&[8]).await.unwrap();
    assert_eq!(
        late.send(Tell).await.unwrap(),
        [
            Heard::Installed(index, vec![7]),
            Heard::Leadership(true, Some(1)),
            Heard::Committed(next, vec![8]),
        ]
    );
}

#[actix::test]
async fn a_failing_disk_is_told_and_loses_nothing_that_was_answered() {
    tokio::time::pause();
    for steps in (0..400).step_by(7) {
        let memory = MemoryDisk::new();
        let disk = Arc::new(CrashingDisk::new(memory.clone()));
        let node = start_on(Arc::clone(&disk) as Arc<dyn Disk>, config(1, 1));
        node.propose(&[0]).await.unwrap();
        disk.fail_after(steps);
        let mut answered = 0;
        while node.propose(&[answered + 1]).await.is_ok() {
            answered += 1;
        }
        let refused = node.propose(&[-1]).await;
        assert!(refused.is_err(), "nothing is taken any more");
        let heard = node.heard().await;
        let failed = heard.iter().filter(|h| matches!(h, Heard::Failed(_)));
        let failed: Vec<&Heard> = failed.collect();
        let [Heard::Failed(reason)] = failed[..] else {
            panic!("{heard:?} after {steps} steps");
        };
        assert!(reason.contains("no power"), "{reason}");
        assert!(heard.contains(&Heard::Leadership(false, None)));

        memory.lose_power(&mut |_, appended| steps % (appended + 1));
        let node = start(&memory);
        node.propose(&[1_000]).await.unwrap();
        let committed = node.committed().await;
        let promised: Vec<i64> = (0..=answered).collect();
        assert!(committed.starts_with(&promised), "{committed:?}");
        assert!(committed.len() <= promised.len() + 2);
    }
}

#[actix::test]
async fn the_quorum_describes_itself() {
    tokio::time::pause();
    let node = start(&MemoryDisk::new());
    let index = node.propose(&[1]).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1)).await;
    let described = node.quorum.send(QuorumStatus).await.unwrap();
    assert_eq!(described.leader, Some(BrokerId(1)));
    assert_eq!(described.leader_epoch, 1);
    assert_eq!(described.high_watermark, index + 1);
    let itself = QuorumReplica {
        id: BrokerId(1),
        log_end_offset: Some(index + 1),
    };
    assert_eq!(described.voters, [itself]);
    assert_eq!(described.observers, []);
}

#[actix::test]
async fn a_real_disk_and_its_thread_keep_what_is_proposed() {
    let directory = tempfile::tempdir().unwrap();
    for life in 0..2 {
        let threads = DiskThreads::start("quorum-test", 1).unwrap();
        let node = start_with(
            Arc::new(SystemDisk),
            directory.path().join("quorum"),
            config(1, 1),
            Rc::new(NoPeers),
            Some(threads),
        );
        for number in 0..10 {
            node.propose(&[life * 10 + number]).await.unwrap();
        }
        let expected: Vec<i64> = (0..life * 10 + 10).collect();
        assert_eq!(node.committed().await, expected);
        node.stop().await;
    }
}

/// Carries questions between actors of one thread.
#[derive(Clone, Default)]
struct Wires(Rc<RefCell<BTreeMap<u64, Addr<QuorumActor>>>>);

impl std::fmt::Debug for Wires {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Wires to {} nodes", self.0.borrow().len())
    }
}

impl Peers for Wires {
    fn ask(&self, peer: u64, _address: &str, request: PeerRequest) -> PeerAnswer {
        let node = self.0.borrow().get(&peer).cloned();
        Box::pin(async move {
            let reason = || "it is down".to_owned();
            let unreachable = || PeerUnreachable {
                peer,
                reason: reason(),
            };
            let node = node.ok_or_else(unreachable)?;
            node.send(AnswerPeer(request))
                .await
                .map_err(|_| unreachable())?
        })
    }
}

struct Cluster {
    wires: Wires,
    disks: BTreeMap<i32, MemoryDisk>,
    nodes: BTreeMap<i32, Node>,
}

impl Cluster {
    fn start() -> Cluster {
        let mut cluster = Cluster {
            wires: Wires::default(),
            disks: (1..=3).map(|id| (id, MemoryDisk::new())).collect(),
            nodes: BTreeMap::new(),
        };
        (1..=3).for_each(|id| cluster.start_node(id));
        cluster
    }

    fn start_node(&mut self, id: i32) {
        let disk = Arc::new(self.disks[&id].clone());
        let wires = Rc::new(self.wires.clone());
        let config = QuorumConfig {
            snapshot_entries: 20,
            ..config(id, 3)
        };
        let node = start_with(disk, "/meta/quorum".into(), config, wires, None);
        let mut wires = self.wires.0.borrow_mut();
        wires.insert(voter_id(BrokerId(id)), node.quorum.clone());
        self.nodes.insert(id, node);
    }

    async fn stop_node(&mut self, id: i32) {
        self.wires.0.borrow_mut().remove(&voter_id(BrokerId(id)));
        let node = self.nodes.remove(&id).unwrap();
        node.stop().await;
    }

    /// Waits, in virtual time, until somebody leads.
    async fn leader(&self) -> i32 {
        for _ in 0..1_000 {
            for (id, node) in &self.nodes {
                let heard = node.heard().await;
                let news = heard.iter().rev();
                let mut news = news.filter(|heard| matches!(heard, Heard::Leadership(..)));
                if news.next() == Some(&Heard::Leadership(true, Some(*id))) {
                    return *id;
                }
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("nobody leads");
    }
}

#[actix::test]
async fn three_voters_agree_survive_their_leader_and_catch_up() {
    tokio::time::pause();
    let mut cluster = Cluster::start();
    let leader = cluster.leader().await;
    for number in 0..10 {
        cluster.nodes[&leader].propose(&[number]).await.unwrap();
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let follower = leader % 3 + 1;
    let refused = cluster.nodes[&follower].propose(&[-1]).await;
    let leader_id = Some(BrokerId(leader));
    assert_eq!(refused, Err(ProposeError::NotLeader { leader: leader_id }));

    cluster.stop_node(leader).await;
    let successor = cluster.leader().await;
    for number in 10..100 {
        cluster.nodes[&successor].propose(&[number]).await.unwrap();
    }
    cluster.start_node(leader);
    tokio::time::sleep(Duration::from_secs(5)).await;
    for node in cluster.nodes.values() {
        let committed = node.committed().await;
        assert_eq!(committed.last(), Some(&99), "{committed:?}");
        assert!(committed.is_sorted());
    }
    let heard = cluster.nodes[&leader].heard().await;
    let installed = heard
        .iter()
        .rposition(|h| matches!(h, Heard::Installed(..)));
    let Some(Heard::Installed(from, _)) = installed.map(|at| &heard[at]) else {
        panic!("the log it missed is gone: it must learn from a snapshot; {heard:?}");
    };
    assert!(*from > 50);
}
