//! The controller: decides every change of the cluster's metadata.

mod requests;

pub use requests::{
    BrokerRegistration, ConfigOperation, CreatedTopic, CreatedTopicConfig, DeletedTopic,
    FeatureUpdate, IsrChange, NewPartitions, NewTopic, Operation, PartitionState, Plan,
    ProducerIdBlock, Reply, Request, TopicRef, UpgradeType,
};
