use super::*;
use crate::metadata::image::PartitionImage;
use crate::model::LeaderEpoch;

fn partition<'a>(cluster: &'a Cluster, topic: &str) -> &'a PartitionImage {
    let topic = cluster.image().topic(topic).expect("it exists");
    &topic.partitions[0]
}

fn by_hand(name: &str, replicas: &[i32], unclean: bool) -> NewTopic {
    let key = "unclean.leader.election.enable".to_owned();
    NewTopic {
        assignments: vec![(0, ids(replicas))],
        configs: vec![(key, Some(unclean.to_string()))],
        ..topic(name, -1, -1)
    }
}

fn fence(broker: i32, fenced: bool) -> Request {
    Request::FenceBroker {
        broker: BrokerId(broker),
        fenced,
    }
}

/// Leader, leader epoch and replicas in sync.
fn shown(partition: &PartitionImage) -> String {
    let isr: Vec<String> = partition.isr.iter().map(BrokerId::to_string).collect();
    format!(
        "{}@{} [{}]",
        partition.leader,
        partition.leader_epoch,
        isr.join(",")
    )
}

#[test]
fn each_run_of_a_broker_gets_a_higher_epoch_and_the_first_finalizes_the_features() {
    let mut cluster = Cluster::of(0);
    assert_eq!(
        cluster.ask(register(1, 1, false)),
        Reply::RegisterBroker(Ok(1))
    );
    assert_eq!(cluster.image().features.get(METADATA_VERSION), Some(&30));
    assert_eq!(cluster.image().features.get("group.version"), Some(&1));
    assert_eq!(
        cluster.image().features.len(),
        2,
        "what is not enforced is not finalized"
    );
    assert_eq!(
        cluster.ask(register(1, 2, false)),
        Reply::RegisterBroker(Ok(2))
    );
    assert_eq!(
        cluster.ask(register(1, 2, false)),
        Reply::RegisterBroker(Ok(2))
    );
}

#[test]
fn every_unclean_start_gives_each_partition_a_new_leader_epoch() {
    let mut cluster = Cluster::of(1);
    cluster.topic(topic("t", 3, 1));
    cluster.ask(register(1, 2, false));
    assert_eq!(shown(partition(&cluster, "t")), "1@0 [1]");
    let before = cluster.log.len();
    cluster.ask(register(1, 3, true));
    assert_eq!(
        cluster.log.len() - before,
        2,
        "one record for all partitions"
    );
    let epochs = &cluster.image().topic("t").expect("it exists").partitions;
    assert!(
        epochs
            .iter()
            .all(|p| (p.leader_epoch.0, p.partition_epoch) == (1, 1))
    );
}

#[test]
fn an_unclean_start_hands_over_what_others_have_in_sync() {
    let mut cluster = Cluster::of(2);
    cluster.topic(by_hand("both", &[1, 2], false));
    cluster.topic(by_hand("sole", &[1], false));
    cluster.ask(register(1, 2, true));
    assert_eq!(shown(partition(&cluster, "both")), "2@1 [2]");
    assert_eq!(shown(partition(&cluster, "sole")), "1@1 [1]");
}

#[test]
fn a_fenced_broker_leads_nothing_until_it_is_back() {
    let mut cluster = Cluster::of(2);
    cluster.topic(by_hand("both", &[1, 2], false));
    cluster.topic(by_hand("sole", &[1], false));
    cluster.ask(fence(1, true));
    assert_eq!(shown(partition(&cluster, "both")), "2@1 [2]");
    assert_eq!(shown(partition(&cluster, "sole")), "-1@1 [1]");
    cluster.ask(fence(1, false));
    assert_eq!(shown(partition(&cluster, "both")), "2@1 [2]");
    assert_eq!(shown(partition(&cluster, "sole")), "1@2 [1]");
}

#[test]
fn only_a_topic_that_allows_it_is_led_by_a_replica_that_is_behind() {
    let mut cluster = Cluster::of(2);
    for (name, unclean) in [("clean", false), ("unclean", true)] {
        cluster.topic(by_hand(name, &[1, 2], unclean));
    }
    cluster.ask(fence(2, true));
    cluster.ask(fence(1, true));
    assert_eq!(shown(partition(&cluster, "clean")), "-1@1 [1]");
    cluster.ask(fence(2, false));
    assert_eq!(shown(partition(&cluster, "clean")), "-1@1 [1]");
    assert_eq!(shown(partition(&cluster, "unclean")), "2@2 [2]");
}

#[test]
fn a_broker_that_leaves_is_gone_and_leads_nothing() {
    let mut cluster = Cluster::of(2);
    cluster.topic(by_hand("both", &[1, 2], false));
    let leave = || Request::UnregisterBroker {
        broker: BrokerId(1),
    };
    assert_eq!(cluster.ask(leave()), Reply::UnregisterBroker(Ok(())));
    assert_eq!(shown(partition(&cluster, "both")), "2@1 [2]");
    let gone = "Broker ID 1 is not currently registered".to_owned();
    assert_eq!(
        cluster.ask(leave()),
        Reply::UnregisterBroker(Err(Refusal::BrokerIdNotRegistered(gone)))
    );
}

#[test]
fn no_producer_id_is_handed_out_twice() {
    let mut cluster = Cluster::of(1);
    let ask = |length| Request::AllocateProducerIds {
        broker: BrokerId(1),
        length,
    };
    let block = |first, length| Reply::AllocateProducerIds(Ok(ProducerIdBlock { first, length }));
    assert_eq!(cluster.plan(ask(1000)).reply, block(0, 1000));
    assert_eq!(cluster.plan(ask(1000)).reply, block(1000, 1000));
    let refused = cluster.plan(ask(0)).reply;
    assert!(matches!(
        refused,
        Reply::AllocateProducerIds(Err(Refusal::InvalidRequest(_)))
    ));
}

#[test]
fn features_move_as_kafkas_do() {
    let mut cluster = Cluster::of(1);
    let mut update = |feature: &str, level, upgrade_type| {
        let update = FeatureUpdate {
            feature: feature.to_owned(),
            level,
            upgrade_type,
        };
        match cluster.ask(Request::UpdateFeatures {
            updates: vec![update],
            validate_only: false,
        }) {
            Reply::UpdateFeatures(result) => result.map_err(|refusal| refusal.to_string()),
            other => panic!("not an answer to UpdateFeatures: {other:?}"),
        }
    };
    use UpgradeType::{SafeDowngrade, Unknown, Upgrade};
    let all = "The update failed for all features since the following feature had an error: ";
    let invalid = |level: i16, feature: &str, why: &str| {
        Err(format!(
            "{all}Invalid update version {level} for feature {feature}. {why}"
        ))
    };
    assert_eq!(update("metadata.version", 30, Upgrade), Ok(()));
    assert_eq!(
        update("no.such", 1, Upgrade),
        invalid(
            1,
            "no.such",
            "Local controller 1 does not support this feature."
        )
    );
    for level in [1, 99, 0] {
        assert_eq!(
            update("metadata.version", level, Upgrade),
            invalid(
                level,
                "metadata.version",
                "Local controller 1 only supports versions 7-30"
            )
        );
    }
    assert_eq!(
        update("metadata.version", 30, Unknown),
        invalid(
            30,
            "metadata.version",
            "The controller does not support the given upgrade type."
        )
    );
    assert!(update("metadata.version", 29, Upgrade).is_err());
    assert!(update("metadata.version", 29, SafeDowngrade).is_err());
}

fn isr_change(cluster: &Cluster, isr: &[i32]) -> IsrChange {
    let topic = cluster.image().topic("t").expect("it exists");
    IsrChange {
        topic_id: topic.id,
        partition: 0,
        leader_epoch: topic.partitions[0].leader_epoch,
        partition_epoch: topic.partitions[0].partition_epoch,
        isr: isr.iter().map(|id| (BrokerId(*id), -1)).collect(),
    }
}

fn alter_isr(cluster: &mut Cluster, broker: i32, change: IsrChange) -> Result<String, Refusal> {
    let broker_epoch = cluster.image().brokers[&BrokerId(broker)].broker_epoch;
    let reply = cluster.ask(Request::AlterPartition {
        broker: BrokerId(broker),
        broker_epoch,
        partitions: vec![change],
    });
    let Reply::AlterPartition(Ok(mut results)) = reply else {
        panic!("not an answer to AlterPartition: {reply:?}");
    };
    let state = results.pop().expect("one answer")?;
    Ok(format!("{:?} epoch {}", state.isr, state.partition_epoch))
}

#[test]
fn the_leader_says_who_is_in_sync_and_nobody_else() {
    let mut cluster = Cluster::of(3);
    cluster.topic(by_hand("t", &[1, 2, 3], false));
    let change = isr_change(&cluster, &[1, 2]);
    assert_eq!(
        alter_isr(&mut cluster, 1, change.clone()),
        Ok("[BrokerId(1), BrokerId(2)] epoch 1".to_owned())
    );
    let refused = |result: Result<String, Refusal>| result.expect_err("refused");
    use Refusal::*;
    let refusal = refused(alter_isr(&mut cluster, 1, change.clone()));
    assert!(
        matches!(refusal, InvalidUpdateVersion(_)),
        "an old partition epoch"
    );
    let fresh = isr_change(&cluster, &[1, 2, 3]);
    let older = IsrChange {
        leader_epoch: LeaderEpoch(-1),
        ..fresh.clone()
    };
    assert!(matches!(
        refused(alter_isr(&mut cluster, 1, older)),
        FencedLeaderEpoch(_)
    ));
    let newer = IsrChange {
        leader_epoch: LeaderEpoch(9),
        ..fresh.clone()
    };
    assert!(matches!(
        refused(alter_isr(&mut cluster, 1, newer)),
        NotController(_)
    ));
    assert!(matches!(
        refused(alter_isr(&mut cluster, 2, fresh)),
        InvalidRequest(_)
    ));
    for isr in [&[2, 3][..], &[1, 1], &[1, 9]] {
        let change = isr_change(&cluster, isr);
        assert!(matches!(
            refused(alter_isr(&mut cluster, 1, change)),
            InvalidRequest(_)
        ));
    }
    cluster.ask(fence(3, true));
    let change = isr_change(&cluster, &[1, 2, 3]);
    assert!(matches!(
        refused(alter_isr(&mut cluster, 1, change)),
        IneligibleReplica(_)
    ));
    let reply = cluster.ask(Request::AlterPartition {
        broker: BrokerId(1),
        broker_epoch: 99,
        partitions: Vec::new(),
    });
    assert!(matches!(
        reply,
        Reply::AlterPartition(Err(StaleBrokerEpoch(_)))
    ));
}
