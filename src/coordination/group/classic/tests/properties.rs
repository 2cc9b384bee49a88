//! Random lives of a group. What must always hold is checked by [`Play`] after every step.

use proptest::prelude::*;

use super::*;

/// What a client, the time or a failure does. Numbers choose among the ids seen so far.
#[derive(Debug, Clone)]
enum Act {
    JoinNew {
        instance: Option<u8>,
        needs_id: bool,
        protocols: u8,
    },
    JoinAgain {
        who: usize,
        protocols: u8,
    },
    Sync {
        who: usize,
    },
    Heartbeat {
        who: usize,
    },
    Commit {
        who: usize,
    },
    Leave {
        who: usize,
    },
    LeaveInstance(u8),
    Wait(u64),
    Reload,
    LogRefuses,
}

fn acts() -> impl Strategy<Value = Act> {
    let who = 0..64usize;
    prop_oneof![
        3 => (proptest::option::of(0..3u8), any::<bool>(), 0..4u8)
            .prop_map(|(instance, needs_id, protocols)| Act::JoinNew { instance, needs_id, protocols }),
        8 => (who.clone(), 0..4u8).prop_map(|(who, protocols)| Act::JoinAgain { who, protocols }),
        8 => who.clone().prop_map(|who| Act::Sync { who }),
        3 => who.clone().prop_map(|who| Act::Heartbeat { who }),
        1 => who.clone().prop_map(|who| Act::Commit { who }),
        1 => who.prop_map(|who| Act::Leave { who }),
        1 => (0..3u8).prop_map(Act::LeaveInstance),
        4 => prop_oneof![Just(0), Just(1_000), Just(9_999), Just(60_000), Just(300_000)].prop_map(Act::Wait),
        1 => Just(Act::Reload),
        1 => Just(Act::LogRefuses),
    ]
}

fn protocols(choice: u8) -> Vec<(Arc<str>, Bytes)> {
    match choice {
        0 | 1 => vec![protocol("range", &["t"]), protocol("sticky", &["t"])],
        2 => vec![protocol("sticky", &["u"]), protocol("range", &["u"])],
        _ => vec![protocol("range", &["v"])],
    }
}

/// The ids clients have been told, newest last.
fn ids(play: &Play) -> Vec<Arc<str>> {
    let members = play.group.members.ids();
    members
        .into_iter()
        .chain(play.group.pending.iter().cloned())
        .collect()
}

fn act(play: &mut Play, act: Act) {
    let known = ids(play);
    let chosen = |who: usize| match known.len() {
        0 => Arc::from("ghost"),
        count => known[who % count].clone(),
    };
    let generation = play.group.generation;
    match act {
        Act::JoinNew {
            instance,
            needs_id,
            protocols: choice,
        } => {
            play.join(Join {
                instance_id: instance.map(|number| Arc::from(format!("i{number}"))),
                requires_known_member_id: needs_id,
                supports_skipping_assignment: needs_id,
                protocols: protocols(choice),
                ..consumer()
            });
        }
        Act::JoinAgain {
            who,
            protocols: choice,
        } => {
            play.join(Join {
                protocols: protocols(choice),
                ..as_member(&chosen(who))
            });
        }
        Act::Sync { who } => {
            let assignments: Vec<_> = known.iter().map(|id| (id, "something")).collect();
            play.sync(&chosen(who), &assignments);
        }
        Act::Heartbeat { who } => {
            let _ = play.heartbeat(&chosen(who), generation);
        }
        Act::Commit { who } => {
            let _ = play.commit(identity(&chosen(who), generation));
        }
        Act::Leave { who } => {
            let _ = play.leave(&[leaving(&chosen(who), None), leaving("ghost", None)]);
        }
        Act::LeaveInstance(number) => {
            let _ = play.leave(&[leaving("", Some(&format!("i{number}")))]);
        }
        Act::Wait(ms) => play.advance(ms),
        Act::Reload => play.reload(),
        Act::LogRefuses => play.log_refuses = true,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_members_do_every_ticket_is_answered_once_and_the_log_makes_the_group(
        acts in proptest::collection::vec(acts(), 1..80),
        members_max in prop_oneof![Just(usize::MAX), Just(2usize)],
    ) {
        let mut play = Play::new();
        play.config.members_max = members_max;
        for next in acts {
            act(&mut play, next);
            play.check();
        }
        // Left alone, everybody is answered and the group ends.
        play.log_refuses = false;
        play.advance(2_000_000);
        prop_assert!(play.waiting.is_empty());
        prop_assert!(play.group.is_idle());
        prop_assert_eq!(play.group.next_timeout(), None);
    }
}
