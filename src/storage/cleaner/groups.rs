//! Which neighbouring segments become one (Kafka's `Cleaner.groupSegmentsBySize`).

use crate::model::Offset;
use crate::storage::log::LogConfig;
use crate::storage::segment::{SegmentInfo, fits_relative};
use crate::storage::{offset_index, time_index};

/// Most segments of one group: while they are swapped nothing is appended, and each costs a few
/// renames. What is left of longer groups grows together in later rounds.
const SEGMENTS_MAX: usize = 256;

/// How many of the first segments go into one. `end` is the offset behind the last of them.
pub(crate) fn first_group(segments: &[SegmentInfo], end: Offset, config: &LogConfig) -> usize {
    let Some(first) = segments.first() else {
        return 0;
    };
    let mut sum = Sizes::of(first);
    let mut count = 1;
    for (at, segment) in segments.iter().enumerate().take(SEGMENTS_MAX).skip(1) {
        sum.add(&Sizes::of(segment));
        let next = segments.get(at + 1).map_or(end, |next| next.base_offset);
        let fits = segment.size == 0 || fits_relative(first.base_offset, next + -1);
        if !fits || !sum.fit(config) {
            break;
        }
        count = at + 1;
    }
    count
}

#[derive(Debug, Default)]
struct Sizes {
    log: u64,
    offsets: u64,
    times: u64,
}

impl Sizes {
    fn of(segment: &SegmentInfo) -> Sizes {
        Sizes {
            log: segment.size,
            offsets: u64::from(segment.offset_entries) * offset_index::ENTRY_SIZE as u64,
            times: u64::from(segment.time_entries) * time_index::ENTRY_SIZE as u64,
        }
    }

    fn add(&mut self, other: &Sizes) {
        self.log += other.log;
        self.offsets += other.offsets;
        self.times += other.times;
    }

    fn fit(&self, config: &LogConfig) -> bool {
        self.log <= config.segment_bytes
            && self.offsets <= u64::from(config.index_bytes_max)
            && self.times <= u64::from(config.index_bytes_max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;

    fn segments(sizes: &[(i64, u64, u32)]) -> Vec<SegmentInfo> {
        let of = |(base, size, entries): &(i64, u64, u32)| SegmentInfo {
            size: *size,
            offset_entries: *entries,
            time_entries: *entries,
            ..SegmentInfo::empty(Offset(*base), Timestamp(0))
        };
        sizes.iter().map(of).collect()
    }

    fn groups(sizes: &[(i64, u64, u32)], end: i64) -> Vec<usize> {
        let config = LogConfig {
            segment_bytes: 1000,
            index_bytes_max: 120,
            ..LogConfig::default()
        };
        let segments = segments(sizes);
        let mut rest = &segments[..];
        let mut counts = Vec::new();
        while !rest.is_empty() {
            let count = first_group(rest, Offset(end), &config);
            counts.push(count);
            rest = &rest[count..];
        }
        counts
    }

    #[test]
    fn segments_go_together_while_bytes_indexes_and_offsets_fit() {
        assert_eq!(groups(&[(0, 400, 0), (10, 600, 0), (20, 1, 0)], 30), [2, 1]);
        assert_eq!(
            groups(&[(0, 2000, 0), (10, 0, 0), (20, 999, 0)], 30),
            [1, 2]
        );
        assert_eq!(groups(&[(0, 1, 5), (10, 1, 5), (20, 1, 1)], 30), [2, 1]);
        let far = 1 << 31;
        assert_eq!(groups(&[(0, 1, 0), (10, 1, 0)], far), [2]);
        assert_eq!(groups(&[(0, 1, 0), (10, 1, 0)], far + 1), [1, 1]);
        assert_eq!(
            groups(&[(0, 1, 0), (10, 1, 0), (far, 1, 0)], far + 1),
            [2, 1]
        );
        assert_eq!(groups(&[(0, 1, 0), (far + 9, 0, 0)], far + 10), [2]);
    }

    #[test]
    fn a_group_is_swapped_in_a_bounded_time() {
        let many: Vec<_> = (0..600).map(|n| (n, 1, 0)).collect();
        assert_eq!(groups(&many, 600), [256, 256, 88]);
    }
}
