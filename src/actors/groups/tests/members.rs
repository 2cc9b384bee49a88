//! Members of a classic group through the shell: joins that wait, sessions that end.

use std::sync::Arc;
use std::time::Duration;

use super::bench::*;
use crate::coordination::messages::{GroupError, Reply, Request};
use crate::storage::disk::MemoryDisk;

/// Joins as the only member and takes the assignment; the member's id.
async fn settle_in(groups: &GroupBench, group: &str, session_timeout_ms: i32) -> String {
    let joined = groups.ask(group, join("", session_timeout_ms)).await;
    let Some(Reply::Join(Ok(joined))) = joined else {
        panic!("{joined:?}");
    };
    let member = joined.member_id.to_string();
    let synced = groups.ask(group, sync(&member, joined.generation)).await;
    assert!(matches!(synced, Some(Reply::Sync(Ok(_)))), "{synced:?}");
    member
}

#[actix::test]
async fn a_silent_member_leaves_at_the_exact_end_of_its_session() {
    tokio::time::pause();
    let groups = GroupBench::start(Arc::new(MemoryDisk::new()), &[]).await;
    let member = settle_in(&groups, "g", 10_000).await;
    let heartbeat = || Request::Heartbeat(identity(&member, 1));
    let alive = Some(Reply::Heartbeat(Ok(())));
    tokio::time::sleep(Duration::from_millis(9_990)).await;
    assert_eq!(groups.ask("g", heartbeat()).await, alive);
    tokio::time::sleep(Duration::from_millis(9_990)).await;
    assert_eq!(groups.list().await.unwrap(), ["g Stable"]);
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(groups.list().await.unwrap(), ["g Empty"]);
    let gone = Some(Reply::Heartbeat(Err(GroupError::UnknownMemberId)));
    assert_eq!(groups.ask("g", heartbeat()).await, gone);
}

#[actix::test]
async fn loaded_members_have_a_session_from_the_moment_of_loading() {
    tokio::time::pause();
    let disk = Arc::new(MemoryDisk::new());
    let groups = GroupBench::start(disk.clone(), &[]).await;
    let member = settle_in(&groups, "g", 10_000).await;
    groups.bench.stop().await;
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    let groups = GroupBench::start(disk, &[]).await;
    tokio::time::sleep(Duration::from_millis(9_990)).await;
    let heartbeat = Request::Heartbeat(identity(&member, 1));
    let alive = Some(Reply::Heartbeat(Ok(())));
    assert_eq!(groups.ask("g", heartbeat).await, alive);
}

#[actix::test]
async fn a_join_waits_for_the_others_and_is_answered_with_them() {
    tokio::time::pause();
    let groups = GroupBench::start(Arc::new(MemoryDisk::new()), &[]).await;
    let member = settle_in(&groups, "g", 10_000).await;
    let second = groups.send("g", join("", 10_001)).await;
    let heartbeat = Request::Heartbeat(identity(&member, 1));
    let rebalance = Some(Reply::Heartbeat(Err(GroupError::RebalanceInProgress)));
    assert_eq!(groups.ask("g", heartbeat).await, rebalance);
    let first = groups.ask("g", join(&member, 10_000)).await;
    let (Some(Reply::Join(Ok(first))), Some(Reply::Join(Ok(second)))) =
        (first, answer(second).await)
    else {
        panic!("both are in");
    };
    assert_eq!((first.generation, second.generation), (2, 2));
    assert_eq!((&*first.leader, first.members.len()), (&*member, 2));
    assert!(
        groups.bench.clock.now().0 < 10,
        "nobody waited for a deadline"
    );
}

#[actix::test]
async fn heartbeats_change_nothing_in_the_log() {
    tokio::time::pause();
    let groups = GroupBench::start(Arc::new(MemoryDisk::new()), &[]).await;
    let member = settle_in(&groups, "g", 10_000).await;
    let end = groups.bench.dir.list()[0].1.reader.log_end_offset();
    for _ in 0..1_000 {
        let heartbeat = Request::Heartbeat(identity(&member, 1));
        let alive = Some(Reply::Heartbeat(Ok(())));
        assert_eq!(groups.ask("g", heartbeat).await, alive);
    }
    assert_eq!(groups.bench.dir.list()[0].1.reader.log_end_offset(), end);
}
