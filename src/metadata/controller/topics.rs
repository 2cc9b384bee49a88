//! Topics: created and deleted (Kafka's `ReplicationControlManager`).

use std::collections::BTreeMap;

use super::PARTITIONS_PER_REQUEST_MAX;
use super::Planner;
use super::partitions::{Replicas, too_many_partitions};
use super::requests::{CreatedTopic, CreatedTopicConfig, DeletedTopic, NewTopic, TopicRef};
use crate::metadata::config_check::{check_amount, check_topic};
use crate::metadata::image::ConfigValues;
use crate::metadata::records::{ConfigResource, MetadataRecord, ResourceKind};
use crate::metadata::refusal::Refusal;
use crate::model::{BrokerId, InvalidTopicName, Uuid, validate_topic_name};

/// The name of Kafka's own metadata topic, which nobody may create.
const CLUSTER_METADATA: &str = "__cluster_metadata";

impl Planner<'_, '_> {
    pub(super) fn create_topics(
        &mut self,
        topics: Vec<NewTopic>,
        validate_only: bool,
    ) -> Vec<Result<CreatedTopic, Refusal>> {
        let asked = topics.iter().map(|topic| self.partitions_asked(topic));
        let asked = asked.fold(0usize, usize::saturating_add);
        if asked > PARTITIONS_PER_REQUEST_MAX {
            return topics.iter().map(|_| Err(too_many_partitions())).collect();
        }
        topics
            .into_iter()
            .map(|topic| self.create_topic(topic, validate_only))
            .collect()
    }

    fn partitions_asked(&self, topic: &NewTopic) -> usize {
        if !topic.assignments.is_empty() {
            return topic.assignments.len();
        }
        let count = match topic.partitions {
            -1 => self.config().num_partitions,
            count => count,
        };
        usize::try_from(count).unwrap_or(0)
    }

    fn create_topic(
        &mut self,
        topic: NewTopic,
        validate_only: bool,
    ) -> Result<CreatedTopic, Refusal> {
        self.judge_name(&topic.name)?;
        let values = self.judge_values(&topic)?;
        let placed = self.place_topic(&topic)?;
        let created = CreatedTopic {
            id: Uuid::from_random((self.random)()),
            partitions: i32::try_from(placed.len()).unwrap_or(i32::MAX),
            replication_factor: placed
                .first()
                .and_then(|replicas| i16::try_from(replicas.len()).ok())
                .unwrap_or(-1),
            configs: self.effective_configs(&values),
        };
        if !validate_only {
            self.write_topic(topic.name, created.id, values, placed);
        }
        Ok(created)
    }

    fn write_topic(&mut self, name: String, id: Uuid, values: ConfigValues, placed: Vec<Replicas>) {
        self.write(MetadataRecord::Topic {
            name: name.clone(),
            id,
        });
        for (key, value) in values {
            self.write(MetadataRecord::Config {
                resource: ConfigResource {
                    kind: ResourceKind::Topic,
                    name: name.clone(),
                },
                key,
                value: Some(value),
            });
        }
        self.write_partitions(id, 0, placed);
    }

    fn judge_name(&self, name: &str) -> Result<(), Refusal> {
        if name == CLUSTER_METADATA {
            return Err(Refusal::InvalidRequest(format!(
                "Creation of internal topic {CLUSTER_METADATA} is prohibited."
            )));
        }
        validate_topic_name(name).map_err(|error| invalid_name(name, &error))?;
        if self.image().topic(name).is_some() {
            return Err(Refusal::TopicAlreadyExists(format!(
                "Topic '{name}' already exists."
            )));
        }
        match self.controller.names.find(name) {
            Some(other) => Err(Refusal::InvalidTopic(format!(
                "Topic '{name}' collides with existing topic: {other}"
            ))),
            None => Ok(()),
        }
    }

    fn judge_values(&self, topic: &NewTopic) -> Result<ConfigValues, Refusal> {
        let nulls: Vec<&str> = topic
            .configs
            .iter()
            .filter(|(_, value)| value.is_none())
            .map(|(key, _)| key.as_str())
            .collect();
        if !nulls.is_empty() {
            return Err(Refusal::InvalidConfig(format!(
                "Null value not supported for topic configs: {}",
                nulls.join(",")
            )));
        }
        let values: ConfigValues = topic
            .configs
            .iter()
            .filter_map(|(key, value)| Some((key.clone(), value.clone()?)))
            .collect();
        let layers = self.topic_layers(&topic.name);
        check_amount(&values)
            .and_then(|()| check_topic(&self.config().tables, &layers, &values))
            .map_err(|error| Refusal::InvalidConfig(error.0))?;
        Ok(values)
    }

    fn place_topic(&mut self, topic: &NewTopic) -> Result<Vec<Replicas>, Refusal> {
        if !topic.assignments.is_empty() {
            return self.place_topic_by_hand(topic);
        }
        let factor = match topic.replication_factor {
            -1 => self.config().default_replication_factor,
            factor => factor,
        };
        let factor = usize::try_from(factor).unwrap_or(0);
        if factor == 0 {
            return Err(Refusal::InvalidReplicationFactor(
                "Replication factor must be larger than 0, or -1 to use the default value."
                    .to_owned(),
            ));
        }
        match self.partitions_asked(topic) {
            0 => Err(Refusal::InvalidPartitions(
                "Number of partitions was set to an invalid non-positive value.".to_owned(),
            )),
            partitions => self.place(partitions, factor),
        }
    }

    fn place_topic_by_hand(&self, topic: &NewTopic) -> Result<Vec<Replicas>, Refusal> {
        let contradiction = |what: &str| {
            Err(Refusal::InvalidRequest(format!(
                "A manual partition assignment was specified, but {what} was not set to -1."
            )))
        };
        if topic.replication_factor != -1 {
            return contradiction("replication factor");
        }
        if topic.partitions != -1 {
            return contradiction("numPartitions");
        }
        let mut placed = BTreeMap::<usize, &[BrokerId]>::new();
        let mut factor = None;
        for (partition, replicas) in &topic.assignments {
            let Ok(index) = usize::try_from(*partition) else {
                return Err(gap());
            };
            if placed.insert(index, replicas).is_some() {
                return Err(Refusal::InvalidReplicaAssignment(format!(
                    "Found multiple manual partition assignments for partition {partition}"
                )));
            }
            self.judge_assignment(index, replicas, factor)?;
            factor = Some(replicas.len());
        }
        if placed.keys().copied().ne(0..placed.len()) {
            return Err(gap());
        }
        Ok(placed.into_values().map(<[BrokerId]>::to_vec).collect())
    }

    fn effective_configs(&self, values: &ConfigValues) -> Vec<CreatedTopicConfig> {
        let layers = self.topic_layers("").with_topic_values(values);
        let keys = self.config().tables.topic.iter();
        keys.map(|key| {
            let effective = layers.topic_value(key);
            CreatedTopicConfig {
                name: key.name,
                value: effective.value,
                source: effective.source,
            }
        })
        .collect()
    }

    pub(super) fn delete_topics(
        &mut self,
        topics: Vec<TopicRef>,
    ) -> Vec<Result<DeletedTopic, Refusal>> {
        topics
            .iter()
            .map(|topic| {
                let (found, refusal) = match topic {
                    TopicRef::Name(name) => (
                        self.image().topic(name),
                        Refusal::UnknownTopicOrPartition(
                            "This server does not host this topic-partition.".to_owned(),
                        ),
                    ),
                    TopicRef::Id(id) => (
                        self.image().topic_by_id(id),
                        Refusal::UnknownTopicId(
                            "This server does not host this topic ID.".to_owned(),
                        ),
                    ),
                };
                let topic = found.ok_or(refusal)?;
                let deleted = DeletedTopic {
                    name: topic.name.to_string(),
                    id: topic.id,
                };
                self.write(MetadataRecord::RemoveTopic { id: deleted.id });
                Ok(deleted)
            })
            .collect()
    }
}

/// The refusal of a name that is none.
pub(super) fn invalid_name(name: &str, error: &InvalidTopicName) -> Refusal {
    Refusal::InvalidTopic(match error {
        InvalidTopicName::Dots => format!("Topic name is invalid: '{name}' is not allowed"),
        error => error.to_string(),
    })
}

fn gap() -> Refusal {
    Refusal::InvalidReplicaAssignment(
        "partitions should be a consecutive 0-based integer sequence".to_owned(),
    )
}
