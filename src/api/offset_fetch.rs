//! OffsetFetch: how far groups have read (`KafkaApis.handleOffsetFetchRequest`).
//!
//! Versions: 1 tells of a group's error at each partition, 2 once for all, and can ask for all topics;
//! 7 can wait for open transactions, 8 asks for many groups at once, 9 names the member that asks, 10
//! names topics by id. [`answer`](self::answer) writes what [`handle`] found in the words of a version.

mod answer;

use std::collections::HashSet;
use std::sync::Arc;

use self::answer::{Found, FoundGroup, FoundPartition, FoundTopic};
use super::errors::group_code;
use super::gateway::Gateway;
use super::groups::{bounded_times, failure, owned};
use super::peer::{Operation, Peer, Resource, authorize};
use crate::coordination::messages::{
    FetchOffsets, FetchedOffset, GroupError, Reply, Request, WantedOffsets,
};
use crate::message;
use crate::metadata::Image;
use crate::model::ErrorCode;
use crate::protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopics,
};
use crate::protocol::messages::{
    OffsetFetchRequest, OffsetFetchResponse, StrBytes, Uuid, model_uuid, wire_uuid,
};

/// The first version that asks for many groups.
const FIRST_WITH_GROUPS: i16 = 8;
/// The first version that names topics by id.
const FIRST_WITH_TOPIC_IDS: i16 = 10;

/// How often one request may ask about a group: of some topics and of others, as one member and as
/// another. An answer takes many times the bytes of its question.
const QUESTIONS_PER_GROUP_MAX: u32 = 16;

/// Answers.
pub(super) async fn handle(
    gateway: &Gateway,
    request: OffsetFetchRequest,
    version: i16,
    peer: &Peer,
) -> OffsetFetchResponse {
    let require_stable = request.require_stable;
    let groups = groups(request, version);
    let mut groups = bounded_times(gateway, groups, QUESTIONS_PER_GROUP_MAX, |group| {
        &group.group_id
    });
    groups.iter_mut().for_each(name_partitions_once);
    let image = gateway.image.load_full();
    let desks: Vec<Desk<'_>> = groups
        .iter()
        .map(|group| Desk::new(group, &image, version, peer))
        .collect();
    let questions = desks.iter().filter(|desk| desk.refusal.is_none());
    let questions: Vec<_> = questions
        .map(|desk| desk.question(require_stable))
        .collect();
    let mut replies = gateway.groups.ask_many(questions).await.into_iter();
    let found = desks.into_iter().map(|desk| {
        let found = match desk.refusal {
            Some(refusal) => Err(refusal),
            None => match replies.next() {
                Some(Reply::FetchOffsets(offsets)) => offsets.map_err(|error| group_code(&error)),
                Some(other) => Err(group_code(&failure(other))),
                None => Err(group_code(&GroupError::CoordinatorNotAvailable)),
            },
        };
        desk.found(found)
    });
    answer::answer(found.collect(), version)
}

/// The groups asked for, in the words of the versions that ask for many.
fn groups(request: OffsetFetchRequest, version: i16) -> Vec<OffsetFetchRequestGroup> {
    if version >= FIRST_WITH_GROUPS {
        return request.groups;
    }
    let topics = request.topics.map(|topics| {
        let topics = topics.into_iter().map(|topic| {
            message!(OffsetFetchRequestTopics {
                name: topic.name,
                partition_indexes: topic.partition_indexes,
            })
        });
        topics.collect()
    });
    vec![message!(OffsetFetchRequestGroup {
        group_id: request.group_id,
        topics: topics,
        member_id: None,
        member_epoch: -1,
    })]
}

/// Leaves out what is named twice: four bytes more of a request would else be answered with the
/// metadata of an offset each.
fn name_partitions_once(group: &mut OffsetFetchRequestGroup) {
    let mut seen = HashSet::new();
    for topic in group.topics.iter_mut().flatten() {
        let (name, id) = (&topic.name, topic.topic_id);
        topic
            .partition_indexes
            .retain(|index| seen.insert((name.clone(), id, *index)));
    }
}

/// One group of a request.
struct Desk<'a> {
    group: &'a OffsetFetchRequestGroup,
    image: &'a Image,
    version: i16,
    peer: &'a Peer,
    refusal: Option<ErrorCode>,
    /// Of each topic asked for its name, or why it is not asked for.
    names: Option<Vec<Result<Arc<str>, ErrorCode>>>,
}

impl<'a> Desk<'a> {
    fn new(
        group: &'a OffsetFetchRequestGroup,
        image: &'a Image,
        version: i16,
        peer: &'a Peer,
    ) -> Desk<'a> {
        let allowed = authorize(peer, Operation::Describe, Resource::Group(&group.group_id));
        let name = |topic: &OffsetFetchRequestTopics| {
            let name: Arc<str> = if version >= FIRST_WITH_TOPIC_IDS {
                let found = image.topic_by_id(&model_uuid(topic.topic_id));
                Arc::clone(&found.ok_or(ErrorCode::UnknownTopicId)?.name)
            } else {
                owned(&topic.name)
            };
            match authorize(peer, Operation::Describe, Resource::Topic(&name)) {
                true => Ok(name),
                false => Err(ErrorCode::TopicAuthorizationFailed),
            }
        };
        Desk {
            group,
            image,
            version,
            peer,
            refusal: (!allowed).then_some(ErrorCode::GroupAuthorizationFailed),
            names: group
                .topics
                .as_ref()
                .map(|topics| topics.iter().map(name).collect()),
        }
    }

    fn question(&self, require_stable: bool) -> (Arc<str>, Request) {
        let topics = self.group.topics.iter().flatten();
        let named = self.names.as_ref().map(|names| {
            let wanted = topics.zip(names).filter_map(|(topic, name)| {
                Some(WantedOffsets {
                    topic: Arc::clone(name.as_ref().ok()?),
                    topic_id: model_uuid(topic.topic_id),
                    partitions: topic.partition_indexes.clone(),
                })
            });
            wanted.collect()
        });
        let member_epoch = self.group.member_epoch;
        let member = match &self.group.member_id {
            Some(id) => Some((owned(id), member_epoch)),
            None if member_epoch >= 0 => Some((Arc::default(), member_epoch)),
            None => None,
        };
        let fetch = FetchOffsets {
            member,
            require_stable,
            wanted: named,
        };
        (owned(&self.group.group_id), Request::FetchOffsets(fetch))
    }

    fn found(self, offsets: Result<Vec<FetchedOffset>, ErrorCode>) -> FoundGroup {
        let found = match offsets {
            Err(error) => Found::Failed(error, self.asked()),
            Ok(offsets) if self.names.is_some() => Found::Topics(self.wanted(offsets)),
            Ok(offsets) => Found::Topics(self.everything(offsets)),
        };
        FoundGroup {
            group_id: self.group.group_id.clone(),
            found,
        }
    }

    /// The topics asked for, with nothing found.
    fn asked(&self) -> Vec<FoundTopic> {
        let topics = self.group.topics.iter().flatten();
        let topics = topics.map(|topic| {
            let partitions = topic.partition_indexes.iter();
            FoundTopic {
                name: topic.name.clone(),
                topic_id: topic.topic_id,
                partitions: partitions
                    .map(|index| FoundPartition::nothing(*index, ErrorCode::None))
                    .collect(),
            }
        });
        topics.collect()
    }

    /// The topics asked for, with what the group has of those that were allowed and known.
    fn wanted(&self, offsets: Vec<FetchedOffset>) -> Vec<FoundTopic> {
        let mut offsets = offsets.into_iter();
        let mut topics = self.asked();
        for (topic, name) in topics.iter_mut().zip(self.names.iter().flatten()) {
            for partition in &mut topic.partitions {
                match name {
                    Err(error) => partition.error = *error,
                    Ok(_) => {
                        if let Some(offset) = offsets.next() {
                            *partition = FoundPartition::of(offset);
                        }
                    }
                }
            }
        }
        topics
    }

    /// All the group has, but for topics that may not be shown, or that a version which names them
    /// by id has no name for.
    fn everything(&self, offsets: Vec<FetchedOffset>) -> Vec<FoundTopic> {
        let mut topics: Vec<FoundTopic> = Vec::new();
        let mut last: Option<(Arc<str>, bool)> = None;
        for offset in offsets {
            if last.as_ref().is_none_or(|(name, _)| *name != offset.topic) {
                let id = self.image.topic(&offset.topic).map(|topic| topic.id);
                let topic = Resource::Topic(&offset.topic);
                let shown = authorize(self.peer, Operation::Describe, topic)
                    && (id.is_some() || self.version < FIRST_WITH_TOPIC_IDS);
                if shown {
                    topics.push(FoundTopic {
                        name: StrBytes::from(&*offset.topic),
                        topic_id: id.map_or(Uuid::default(), wire_uuid),
                        partitions: Vec::new(),
                    });
                }
                last = Some((Arc::clone(&offset.topic), shown));
            }
            if let (Some((_, true)), Some(topic)) = (&last, topics.last_mut()) {
                topic.partitions.push(FoundPartition::of(offset));
            }
        }
        topics
    }
}
