//! What a large group costs. Ignored, for it measures time: run it in release, by name.

use std::time::Instant;

use super::*;

const MEMBERS: usize = 1_000;

#[test]
#[ignore = "a measurement, for release builds"]
#[expect(clippy::disallowed_methods, reason = "it measures")]
fn a_thousand_members_with_ten_thousand_partitions() {
    let names: Vec<String> = (0..10).map(|number| format!("topic-{number}")).collect();
    let topics: Vec<(&str, i32)> = names.iter().map(|name| (name.as_str(), 1_000)).collect();
    let subscription: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut world = World::new(&topics);
    world.config.consumer_assignment_interval = Duration::from_secs(1);
    let mut epochs = Vec::new();
    let started = Instant::now();
    for member in 0..MEMBERS {
        let request = joining(&format!("member-{member:04}"), &subscription);
        epochs.push(apply(&mut world, &request).member_epoch);
    }
    println!("{MEMBERS} joins: {:?}", started.elapsed());
    settle(&mut world, &mut epochs);

    world.milliseconds += 1_000;
    let started = Instant::now();
    epochs.push(apply(&mut world, &joining("one more", &subscription)).member_epoch);
    println!("one more joins: {:?}", started.elapsed());
    settle(&mut world, &mut epochs);
    println!("all in all: {:?}", started.elapsed());

    let request = beating("member-0500", epochs[500]);
    let started = Instant::now();
    for _ in 0..100_000 {
        apply(&mut world, &request);
    }
    println!("a heartbeat: {:?}", started.elapsed() / 100_000);
}

fn apply(world: &mut World, request: &ConsumerHeartbeat) -> ConsumerHeartbeatReply {
    let now = world.now();
    let World {
        group,
        config,
        cluster,
        ..
    } = world;
    let mut step = group.handle_heartbeat(now, config, request, Ticket(1), cluster);
    step.records.iter().for_each(|record| group.replay(record));
    match step.replies.pop() {
        Some((_, Reply::ConsumerHeartbeat(Ok(reply)))) => reply,
        other => panic!("{other:?}"),
    }
}

/// Three rounds of heartbeats that report what the members were told to have.
fn settle(world: &mut World, epochs: &mut [i32]) {
    world.milliseconds += 1_000;
    for _ in 0..3 {
        for (number, epoch) in epochs.iter_mut().enumerate() {
            let id = if number == MEMBERS {
                "one more".to_owned()
            } else {
                format!("member-{number:04}")
            };
            let owned = world.group.state.members[id.as_str()].assigned.partitions();
            let request = ConsumerHeartbeat {
                owned: Some(owned),
                ..beating(&id, *epoch)
            };
            *epoch = apply(world, &request).member_epoch;
        }
    }
    assert_eq!(world.group.state_name(), "Stable");
}
