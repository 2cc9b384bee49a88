//! The names of the files of a partition, as Kafka's `LogFileUtils` makes them.

use crate::model::Offset;

/// What a file of a partition's directory holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum FileKind {
    /// Batches, one behind the other.
    Log,
    /// Offset to position.
    OffsetIndex,
    /// Timestamp to offset.
    TimeIndex,
    /// Aborted transactions.
    TransactionIndex,
    /// The producers' state below the offset in the name.
    Snapshot,
}

impl FileKind {
    /// The files of a segment that go when it goes; a snapshot goes with the segment it starts.
    pub(crate) const ALL: [FileKind; 5] = [
        FileKind::Log,
        FileKind::OffsetIndex,
        FileKind::TimeIndex,
        FileKind::TransactionIndex,
        FileKind::Snapshot,
    ];

    fn extension(self) -> &'static str {
        match self {
            FileKind::Log => "log",
            FileKind::OffsetIndex => "index",
            FileKind::TimeIndex => "timeindex",
            FileKind::TransactionIndex => "txnindex",
            FileKind::Snapshot => "snapshot",
        }
    }
}

/// Where a file is on its way in or out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Part of the log.
    Live,
    /// Waiting to be unlinked.
    Deleted,
    /// Being written by the cleaner; incomplete.
    Cleaned,
    /// Complete, about to replace others.
    Swap,
}

/// A file name, understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileName {
    /// The offset in the name.
    pub(crate) offset: Offset,
    /// What the file holds.
    pub(crate) kind: FileKind,
    /// Its suffix behind the extension.
    pub(crate) stage: Stage,
}

/// Digits of the offset in a name: all of them, with zeroes in front.
const OFFSET_DIGITS: usize = 20;

/// The suffix of files that wait to be unlinked.
pub(crate) const DELETED_SUFFIX: &str = ".deleted";

impl FileName {
    /// The name of a file that is part of the log.
    pub(crate) fn live(offset: Offset, kind: FileKind) -> FileName {
        FileName {
            offset,
            kind,
            stage: Stage::Live,
        }
    }

    /// Understands a name; none for files that are not a segment's.
    pub(crate) fn parse(name: &str) -> Option<FileName> {
        let (name, stage) = [
            (DELETED_SUFFIX, Stage::Deleted),
            (".cleaned", Stage::Cleaned),
            (".swap", Stage::Swap),
        ]
        .into_iter()
        .find_map(|(suffix, stage)| Some((name.strip_suffix(suffix)?, stage)))
        .unwrap_or((name, Stage::Live));
        let (digits, extension) = name.split_once('.')?;
        let kind = FileKind::ALL
            .into_iter()
            .find(|kind| kind.extension() == extension)?;
        if digits.len() != OFFSET_DIGITS || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        Some(FileName {
            offset: Offset(digits.parse().ok()?),
            kind,
            stage,
        })
    }
}

impl std::fmt::Display for FileName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let suffix = match self.stage {
            Stage::Live => "",
            Stage::Deleted => DELETED_SUFFIX,
            Stage::Cleaned => ".cleaned",
            Stage::Swap => ".swap",
        };
        let extension = self.kind.extension();
        write!(f, "{:020}.{extension}{suffix}", self.offset.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_kafkas_and_are_understood_again() {
        for kind in FileKind::ALL {
            for stage in [Stage::Live, Stage::Deleted, Stage::Cleaned, Stage::Swap] {
                let name = FileName {
                    offset: Offset(42),
                    kind,
                    stage,
                };
                assert_eq!(FileName::parse(&name.to_string()), Some(name));
            }
        }
        let name = FileName::live(Offset(368769), FileKind::Log);
        assert_eq!(name.to_string(), "00000000000000368769.log");
    }

    #[test]
    fn other_files_are_left_alone() {
        for name in [
            "partition.metadata",
            "leader-epoch-checkpoint",
            "-1.log",
            ".log",
            "1.logs",
            "1.log",
            "99999999999999999999.log",
            "00000000000000000000.log.tmp",
        ] {
            assert_eq!(FileName::parse(name), None, "{name}");
        }
    }
}
