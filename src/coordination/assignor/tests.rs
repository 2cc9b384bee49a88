//! The assignors: Kafka's documented examples, and what must hold of any answer.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use proptest::prelude::*;

use super::*;
use crate::model::Uuid;

fn id(number: usize) -> TopicId {
    let mut bytes = [0; 16];
    bytes[14] = u8::try_from(number >> 8).unwrap();
    bytes[15] = u8::try_from(number & 0xff).unwrap();
    bytes[0] = 1;
    Uuid(bytes)
}

/// Topics of so many partitions, numbered from 0.
fn topics(partitions: &[i32]) -> Vec<SubscribedTopic> {
    partitions
        .iter()
        .enumerate()
        .map(|(number, partitions)| SubscribedTopic {
            id: id(number),
            partitions: *partitions,
        })
        .collect()
}

#[derive(Debug)]
struct Asked {
    topics: Vec<SubscribedTopic>,
    /// Member id, instance id, topics.
    members: Vec<(String, Option<String>, Vec<usize>)>,
    assigned: Vec<Assignment>,
}

impl Asked {
    fn new(partitions: &[i32], members: &[(&str, &[usize])]) -> Asked {
        Asked {
            topics: topics(partitions),
            members: members
                .iter()
                .map(|(name, topics)| ((*name).to_owned(), None, topics.to_vec()))
                .collect(),
            assigned: vec![Assignment::new(); members.len()],
        }
    }

    fn by(&self, assignor: Assignor) -> Vec<Assignment> {
        let members = self
            .members
            .iter()
            .zip(&self.assigned)
            .map(|((member, instance, topics), assigned)| Subscriber {
                member_id: member,
                instance_id: instance.as_deref(),
                topics: Rc::from(topics.as_slice()),
                assigned,
            })
            .collect();
        assignor.assign(&Subscriptions {
            topics: self.topics.clone(),
            members,
        })
    }
}

fn shown(assignment: &Assignment) -> String {
    let parts: Vec<String> = assignment
        .iter()
        .flat_map(|(id, partitions)| {
            partitions
                .iter()
                .map(|partition| format!("T{}P{partition}", id.0[15] + 1))
        })
        .collect();
    parts.join(" ")
}

#[test]
fn range_gives_two_members_the_same_numbers_of_two_topics() {
    let asked = Asked::new(&[3, 3], &[("M0", &[0, 1]), ("M1", &[0, 1])]);
    let given = asked.by(Assignor::Range);
    assert_eq!(shown(&given[0]), "T1P0 T1P1 T2P0 T2P1");
    assert_eq!(shown(&given[1]), "T1P2 T2P2");
}

#[test]
fn range_goes_by_instance_ids_so_that_a_bounced_static_member_finds_its_partitions_again() {
    let mut asked = Asked::new(&[3, 3], &[("M2", &[0, 1]), ("M3", &[0, 1])]);
    asked.members[0].1 = Some("I1".to_owned());
    asked.members[1].1 = Some("I0".to_owned());
    let given = asked.by(Assignor::Range);
    assert_eq!(shown(&given[1]), "T1P0 T1P1 T2P0 T2P1");
    assert_eq!(shown(&given[0]), "T1P2 T2P2");
}

#[test]
fn range_puts_members_without_an_instance_id_behind_the_others() {
    let mut asked = Asked::new(&[3], &[("A", &[0]), ("Z", &[0])]);
    asked.members[1].1 = Some("I0".to_owned());
    let given = asked.by(Assignor::Range);
    assert_eq!(shown(&given[1]), "T1P0 T1P1");
    assert_eq!(shown(&given[0]), "T1P2");
}

#[test]
fn range_cuts_a_topic_among_its_own_subscribers_only() {
    let asked = Asked::new(&[3, 3, 2], &[("A", &[0, 1]), ("B", &[2]), ("C", &[1, 2])]);
    let given = asked.by(Assignor::Range);
    assert_eq!(shown(&given[0]), "T1P0 T1P1 T1P2 T2P0 T2P1");
    assert_eq!(shown(&given[1]), "T3P0");
    assert_eq!(shown(&given[2]), "T2P2 T3P1");
}

#[test]
fn range_leaves_the_last_members_without_when_there_are_more_members_than_partitions() {
    let asked = Asked::new(&[2], &[("A", &[0]), ("B", &[0]), ("C", &[0])]);
    let given = asked.by(Assignor::Range);
    assert_eq!(shown(&given[0]), "T1P0");
    assert_eq!(shown(&given[1]), "T1P1");
    assert_eq!(shown(&given[2]), "");
}

#[test]
fn uniform_gives_a_new_member_its_share_and_moves_nothing_else() {
    let mut asked = Asked::new(&[3, 3], &[("A", &[0, 1]), ("B", &[0, 1])]);
    asked.assigned = asked.by(Assignor::Uniform);
    let before = asked.assigned.clone();
    asked.members.push(("C".to_owned(), None, vec![0, 1]));
    asked.assigned.push(Assignment::new());
    let after = asked.by(Assignor::Uniform);
    assert!(after.iter().all(|assignment| size(assignment) == 2));
    assert_eq!(moved(&before, &after), 0);
}

#[test]
fn uniform_hands_what_a_departed_member_had_to_those_who_stay() {
    let mut asked = Asked::new(&[3, 3], &[("A", &[0, 1]), ("B", &[0, 1]), ("C", &[0, 1])]);
    asked.assigned = asked.by(Assignor::Uniform);
    asked.members.pop();
    asked.assigned.pop();
    let before = asked.assigned.clone();
    let after = asked.by(Assignor::Uniform);
    assert!(after.iter().all(|assignment| size(assignment) == 3));
    assert_eq!(moved(&before, &after), 0);
}

#[test]
fn uniform_makes_up_with_one_topic_for_what_another_cannot_be_shared() {
    // Kafka's example: only B may have T3, so A gets most of what both may have.
    let asked = Asked::new(&[4, 4], &[("A", &[0]), ("B", &[0, 1])]);
    let given = asked.by(Assignor::Uniform);
    assert_eq!(shown(&given[0]), "T1P0 T1P1 T1P2 T1P3");
    assert_eq!(shown(&given[1]), "T2P0 T2P1 T2P2 T2P3");
}

#[test]
fn uniform_takes_back_what_is_not_subscribed_to_any_more() {
    let mut asked = Asked::new(&[2, 2], &[("A", &[0, 1]), ("B", &[0, 1])]);
    asked.assigned = asked.by(Assignor::Uniform);
    asked.members[0].2 = vec![0];
    let given = asked.by(Assignor::Uniform);
    assert_eq!(given[0].keys().collect::<Vec<_>>(), [&id(0)]);
    check_cover(&asked, &given);
}

#[test]
fn nobody_subscribed_to_anything_means_nobody_gets_anything() {
    for assignor in [Assignor::Uniform, Assignor::Range] {
        assert!(Asked::new(&[], &[]).by(assignor).is_empty());
        let nothing = Asked::new(&[], &[("A", &[]), ("B", &[])]).by(assignor);
        assert_eq!(nothing, [Assignment::new(), Assignment::new()]);
    }
}

#[test]
fn the_assignors_are_known_by_their_names() {
    assert_eq!(Assignor::by_name("uniform"), Some(Assignor::Uniform));
    assert_eq!(Assignor::by_name("range"), Some(Assignor::Range));
    assert_eq!(Assignor::by_name(""), None);
}

fn size(assignment: &Assignment) -> usize {
    assignment.values().map(Vec::len).sum()
}

/// How many partitions went from a member that stays to another.
fn moved(before: &[Assignment], after: &[Assignment]) -> usize {
    let owners = |assignments: &[Assignment]| -> BTreeMap<(TopicId, i32), usize> {
        let mut owners = BTreeMap::new();
        for (member, assignment) in assignments.iter().enumerate() {
            for (topic, partitions) in assignment {
                for partition in partitions {
                    owners.insert((*topic, *partition), member);
                }
            }
        }
        owners
    };
    let after_members = after.len();
    let after = owners(after);
    let lost = |(partition, member): (&(TopicId, i32), &usize)| {
        after.get(partition).is_some_and(|now| {
            // What a newcomer gets or a departed member had is no move between those who stay.
            now != member && *now < before.len() && *member < after_members
        })
    };
    owners(before).iter().filter(|entry| lost(*entry)).count()
}

/// Every partition that somebody subscribed to is with exactly one of its subscribers.
fn check_cover(asked: &Asked, given: &[Assignment]) {
    let mut expected = BTreeSet::new();
    for (_, _, topics) in &asked.members {
        for topic in topics {
            for partition in 0..asked.topics[*topic].partitions {
                expected.insert((asked.topics[*topic].id, partition));
            }
        }
    }
    let mut seen = BTreeSet::new();
    for ((_, _, topics), assignment) in asked.members.iter().zip(given) {
        for (id, partitions) in assignment {
            assert!(topics.iter().any(|topic| asked.topics[*topic].id == *id));
            assert!(partitions.is_sorted() && !partitions.is_empty());
            for partition in partitions {
                assert!(seen.insert((*id, *partition)), "given twice");
            }
        }
    }
    assert_eq!(seen, expected);
}

/// Members with random subscriptions, and targets of an earlier, different group.
fn any_group() -> impl Strategy<Value = (Asked, Vec<Vec<usize>>)> {
    let partitions = prop::collection::vec(0i32..8, 1..5);
    let subscription = prop::collection::btree_set(0usize..5, 0..5);
    let subscriptions = prop::collection::vec((subscription.clone(), subscription), 1..7);
    (partitions, subscriptions).prop_map(|(partitions, subscriptions)| {
        let known = |set: BTreeSet<usize>| -> Vec<usize> {
            set.into_iter().filter(|t| *t < partitions.len()).collect()
        };
        let (first, second): (Vec<_>, Vec<_>) = subscriptions
            .into_iter()
            .map(|(first, second)| (known(first), known(second)))
            .unzip();
        let asked = Asked {
            topics: topics(&partitions),
            members: first
                .into_iter()
                .enumerate()
                .map(|(number, topics)| (format!("member-{number}"), None, topics))
                .collect(),
            assigned: vec![Assignment::new(); second.len()],
        };
        (asked, second)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn every_partition_has_one_subscriber_whatever_changed((mut asked, later) in any_group()) {
        for assignor in [Assignor::Range, Assignor::Uniform] {
            asked.assigned = asked.by(assignor);
            check_cover(&asked, &asked.assigned);
            for (member, topics) in asked.members.iter_mut().zip(&later) {
                member.2.clone_from(topics);
            }
            check_cover(&asked, &asked.by(assignor));
        }
    }

    #[test]
    fn uniform_changes_nothing_when_nothing_changed((mut asked, _) in any_group()) {
        asked.assigned = asked.by(Assignor::Uniform);
        prop_assert_eq!(&asked.by(Assignor::Uniform), &asked.assigned);
    }

    #[test]
    fn uniform_leaves_no_move_that_would_help((mut asked, later) in any_group()) {
        asked.assigned = asked.by(Assignor::Uniform);
        for (member, topics) in asked.members.iter_mut().zip(&later) {
            member.2.clone_from(topics);
        }
        let given = asked.by(Assignor::Uniform);
        for (giver, assignment) in given.iter().enumerate() {
            for topic in assignment.keys() {
                for (taker, (_, _, topics)) in asked.members.iter().enumerate() {
                    let may = topics.iter().any(|t| asked.topics[*t].id == *topic);
                    prop_assert!(!may || size(&given[giver]) <= size(&given[taker]) + 1);
                }
            }
        }
    }

    #[test]
    fn uniform_moves_no_more_than_balance_demands(
        partitions in prop::collection::vec(1i32..20, 1..4),
        before in 1usize..8,
        after in 1usize..8,
    ) {
        let all: Vec<usize> = (0..partitions.len()).collect();
        let names: Vec<String> = (0..before.max(after)).map(|n| format!("m{n}")).collect();
        let members: Vec<(&str, &[usize])> =
            names.iter().map(|name| (name.as_str(), all.as_slice())).collect();
        let mut asked = Asked::new(&partitions, &members[..before]);
        let old = asked.by(Assignor::Uniform);
        asked = Asked::new(&partitions, &members[..after]);
        asked.assigned = old.iter().cloned().chain(std::iter::repeat(Assignment::new())).take(after).collect();
        let new = asked.by(Assignor::Uniform);
        let total: usize = partitions.iter().map(|p| usize::try_from(*p).unwrap()).sum();
        prop_assert!(new.iter().all(|a| size(a) == total / after || size(a) == total.div_ceil(after)));
        // Among those who stay nothing is exchanged: it only goes to newcomers, or comes from the departed.
        prop_assert_eq!(moved(&old, &new), 0);
    }
}
