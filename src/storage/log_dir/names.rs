//! The names of directories inside a log directory (`LocalLog.parseTopicPartitionName`).
//!
//! A partition's directory is `<topic>-<partition>`; one that is going away, or moving here, or
//! of which nobody knows why it is here, carries a unique id and a suffix. Invariant: a name made
//! here is at most 255 bytes long and is read back as what it was made for, except that a long
//! topic name is cut in the names of directories that nobody looks up by topic any more.

use crate::model::{TopicPartition, Uuid};

const NAME_LENGTH_MAX: usize = 255;
const UNIQUE_LENGTH: usize = 32;

/// Why a partition's directory is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DirectoryRole {
    /// It is the partition's log.
    Current,
    /// The partition was deleted; its files go when their delay is over.
    Deleted,
    /// The log is being moved here from another log directory.
    Future,
    /// The metadata does not know the partition. It is kept under this name until somebody decides
    /// about it.
    Stray,
}

impl DirectoryRole {
    const SUFFIXES: [(&'static str, DirectoryRole); 3] = [
        ("-delete", DirectoryRole::Deleted),
        ("-future", DirectoryRole::Future),
        ("-stray", DirectoryRole::Stray),
    ];
}

/// What a directory's name says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionDirectory {
    /// The partition. The topic may be cut short for deleted and stray ones.
    pub partition: TopicPartition,
    /// Why it is there.
    pub role: DirectoryRole,
}

impl PartitionDirectory {
    /// Reads a directory's name. `None`: not a name that is made here, leave it alone.
    pub fn parse(name: &str) -> Option<PartitionDirectory> {
        for (suffix, role) in DirectoryRole::SUFFIXES {
            let Some(rest) = name.strip_suffix(suffix) else {
                continue;
            };
            let (partition, unique) = rest.rsplit_once('.')?;
            if unique.len() != UNIQUE_LENGTH || !unique.bytes().all(|b| b.is_ascii_hexdigit()) {
                return None;
            }
            let partition = parse_partition(partition)?;
            return Some(PartitionDirectory { partition, role });
        }
        let (partition, role) = (parse_partition(name)?, DirectoryRole::Current);
        Some(PartitionDirectory { partition, role })
    }
}

fn parse_partition(name: &str) -> Option<TopicPartition> {
    let (topic, partition) = name.rsplit_once('-')?;
    let all_digits = !partition.is_empty() && partition.bytes().all(|b| b.is_ascii_digit());
    if topic.is_empty() || !all_digits {
        return None;
    }
    Some(TopicPartition::new(topic, partition.parse().ok()?))
}

/// The directory of a partition's log.
pub fn current_directory_name(partition: &TopicPartition) -> String {
    partition.to_string()
}

/// The name a directory is given when its partition is deleted, is moved, or is a stray. `unique`
/// tells it from earlier ones of the same name.
pub fn suffixed_directory_name(
    partition: &TopicPartition,
    role: DirectoryRole,
    unique: Uuid,
) -> String {
    let Some((suffix, _)) = DirectoryRole::SUFFIXES.iter().find(|(_, r)| *r == role) else {
        return current_directory_name(partition);
    };
    let unique: String = unique.0.iter().map(|byte| format!("{byte:02x}")).collect();
    let tail = format!("-{}.{unique}{suffix}", partition.partition);
    let topic = &*partition.topic;
    // A topic being moved must be found by its whole name; it was checked to be short enough for
    // a partition's name, and a move that does not fit fails when the directory is made.
    let room = match role {
        DirectoryRole::Future => topic.len(),
        _ => NAME_LENGTH_MAX.saturating_sub(tail.len()).min(topic.len()),
    };
    // Topic names are ASCII; a name that is not has no business being cut.
    format!("{}{tail}", topic.get(..room).unwrap_or(topic))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str) -> Option<(String, DirectoryRole)> {
        PartitionDirectory::parse(name).map(|d| (d.partition.to_string(), d.role))
    }

    #[test]
    fn names_are_read_as_kafka_reads_them() {
        let hex = "0123456789abcdef0123456789abcdef";
        let role = |role| Some(("a-b.c-12".to_owned(), role));
        assert_eq!(read("a-b.c-12"), role(DirectoryRole::Current));
        let named = |suffix: &str| read(&format!("a-b.c-12.{hex}-{suffix}"));
        assert_eq!(named("delete"), role(DirectoryRole::Deleted));
        assert_eq!(named("future"), role(DirectoryRole::Future));
        assert_eq!(named("stray"), role(DirectoryRole::Stray));
        assert_eq!(
            read("x-delete-0"),
            Some(("x-delete-0".to_owned(), DirectoryRole::Current))
        );
    }

    #[test]
    fn what_is_not_a_partition_is_left_alone() {
        for name in [
            "",
            "quorum",
            "lost+found",
            "-0",
            "a-",
            "a-x",
            "a-+1",
            "a--1-x",
            "a-99999999999",
            "a-0-delete",
            "a-0.abc-delete",
            "a.0123456789abcdef0123456789abcdef-delete",
        ] {
            assert_eq!(read(name), None, "{name}");
        }
    }

    #[test]
    fn a_long_topic_is_cut_so_that_the_name_fits() {
        let partition = TopicPartition::new("t".repeat(249), 123);
        for role in [DirectoryRole::Deleted, DirectoryRole::Stray] {
            let name = suffixed_directory_name(&partition, role, Uuid([0xab; 16]));
            assert_eq!(name.len(), 255);
            let parsed = PartitionDirectory::parse(&name).unwrap();
            assert_eq!((parsed.partition.partition, parsed.role), (123, role));
        }
        let short = TopicPartition::new("orders", 3);
        assert_eq!(
            suffixed_directory_name(&short, DirectoryRole::Future, Uuid([0x0c; 16])),
            "orders-3.0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c-future"
        );
    }
}
