//! The topics in what consumers send as their metadata (`ConsumerProtocolSubscription.json`).
//!
//! Only the beginning is read, which is the same in every version: the version, and the topics. The
//! bytes are a client's: what is not as it should be makes the topics unknown, nothing more.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::ClassicGroup;

/// The protocol type of consumers.
pub(super) const CONSUMER: &str = "consumer";

/// How many topics are remembered of a group: a few bytes of a subscription become many here.
const TOPICS_MAX: usize = 100_000;

/// All topics of a group's members; `None` if they are no consumers, have no protocol yet, or one of
/// them cannot be understood.
pub(super) fn topics(group: &ClassicGroup) -> Option<BTreeSet<Arc<str>>> {
    if !group.uses_consumer_protocol() {
        return None;
    }
    let mut topics = BTreeSet::new();
    for member in group.members.iter() {
        let metadata = member.metadata(group.protocol.as_deref()?)?;
        add_topics(metadata, &mut topics)?;
    }
    Some(topics)
}

fn add_topics(mut metadata: &[u8], topics: &mut BTreeSet<Arc<str>>) -> Option<()> {
    let version = i16::from_be_bytes(take(&mut metadata)?);
    let count = i32::from_be_bytes(take(&mut metadata)?);
    if version < 0 || count < 0 {
        return None;
    }
    for _ in 0..count {
        let length = usize::try_from(i16::from_be_bytes(take(&mut metadata)?)).ok()?;
        let (name, rest) = metadata.split_at_checked(length)?;
        metadata = rest;
        let name = std::str::from_utf8(name).ok()?;
        if !topics.contains(name) {
            if topics.len() >= TOPICS_MAX {
                return None;
            }
            topics.insert(Arc::from(name));
        }
    }
    Some(())
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*taken)
}
