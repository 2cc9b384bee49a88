//! What a group must know of the cluster's topics. The shell answers from the published image.

use std::sync::Arc;

use crate::model::TopicId;

/// A topic, as far as groups care.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicFacts {
    /// Its id.
    pub id: TopicId,
    /// Its name.
    pub name: Arc<str>,
    /// How many partitions it has.
    pub partitions: i32,
    /// Per partition the racks of its replicas, sorted; empty when no broker has a rack.
    pub racks: Vec<Vec<Arc<str>>>,
}

/// The cluster's topics at one moment.
pub trait Topics {
    /// The topic of that name.
    fn by_name(&self, name: &str) -> Option<TopicFacts>;
    /// The topic of that id.
    fn by_id(&self, id: &TopicId) -> Option<TopicFacts>;
    /// Calls `visit` with the name of every topic.
    fn for_each_name(&self, visit: &mut dyn FnMut(&Arc<str>));
    /// Rises with every change of the metadata.
    fn version(&self) -> i64;
}
