//! Topic names that differ only in `.` and `_`, which collide in the names of metrics.
//!
//! Kept beside the planned image, so that creating a topic does not look at every other.
//! Invariant: holds exactly the names of the image that contain one of the two characters.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::metadata::image::Image;
use crate::metadata::records::MetadataRecord;
use crate::model::{collision_key, has_collision_characters};

/// Names by what they look like with `.` and `_` made one.
#[derive(Debug, Default)]
pub(super) struct CollidingNames {
    by_key: HashMap<String, BTreeSet<Arc<str>>>,
}

impl CollidingNames {
    /// The names of an image.
    pub(super) fn of(image: &Image) -> CollidingNames {
        let mut names = CollidingNames::default();
        image.topic_ids.keys().for_each(|name| names.add(name));
        names
    }

    /// A name that collides with this one.
    pub(super) fn find(&self, name: &str) -> Option<&Arc<str>> {
        if !has_collision_characters(name) {
            return None;
        }
        self.by_key.get(&collision_key(name))?.first()
    }

    /// Follows a record that is about to be replayed into `image`.
    pub(super) fn note(&mut self, image: &Image, record: &MetadataRecord) {
        match record {
            MetadataRecord::Topic { name, .. } => self.add(&name.as_str().into()),
            MetadataRecord::RemoveTopic { id } => {
                if let Some(topic) = image.topic_by_id(id) {
                    self.remove(&topic.name);
                }
            }
            _ => {}
        }
    }

    fn add(&mut self, name: &Arc<str>) {
        if has_collision_characters(name) {
            self.by_key
                .entry(collision_key(name))
                .or_default()
                .insert(Arc::clone(name));
        }
    }

    fn remove(&mut self, name: &str) {
        let key = collision_key(name);
        if let Some(names) = self.by_key.get_mut(&key) {
            names.remove(name);
            if names.is_empty() {
                self.by_key.remove(&key);
            }
        }
    }
}
