//! What the handlers of records share on one arbiter: the way to the partitions, the rules of each
//! topic, buffers that are used again.
//!
//! Used by produce, fetch and the questions about offsets. Invariant: nothing here is shared with
//! another arbiter but what the router sends and the image that was published.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;

use super::fetch_session::FetchSessions;
use super::init_producer_id::ProducerIds;
use crate::actors::alarm::Alarm;
use crate::actors::clock::Clock;
use crate::actors::partition_host::PartitionRouter;
use crate::actors::settings::SettingsSource;
use crate::metadata::{CompressionType, Image, PartitionImage, TopicImage, TopicSettings};
use crate::model::{BrokerId, ErrorCode, Timestamp, TopicId};
use crate::protocol::{CurrentLeader, TopicKey};
use crate::record::{Codec, ProduceRules, Scratch, TimestampType, TopicCompression};
use crate::telemetry::rate_limit::RateLimit;

/// Bounds that `broker.rs` hands in.
#[derive(Debug, Clone, Copy)]
pub struct DataLimits {
    /// The most bytes the records of one batch may decompress to.
    pub decompressed_bytes_max: usize,
    /// From this size on, a range goes from the file to the socket by sendfile(2).
    pub sendfile_bytes_min: usize,
    /// `fetch.max.bytes`: the most bytes in one answer, whatever was asked.
    pub fetch_bytes_max: usize,
    /// How long a question to a partition may take before the asker is told it timed out.
    pub patience: Duration,
}

/// See the module.
pub struct DataPath {
    /// The way to the partitions.
    pub router: PartitionRouter,
    /// The time.
    pub clock: Clock,
    /// Where fetches wait for their time to be over.
    pub alarm: Alarm,
    /// Bounds.
    pub limits: DataLimits,
    settings: SettingsSource,
    rules: RefCell<HashMap<TopicId, Rc<TopicSettings>>>,
    rules_version: Cell<u64>,
    /// Fetch sessions of this arbiter's connections.
    pub sessions: RefCell<FetchSessions>,
    /// Producer ids to give away.
    pub producer_ids: ProducerIds,
    random: Box<dyn Fn() -> u32>,
    /// Lets a line about a coordinator that is not there through once in a while.
    pub coordinator_lines: RateLimit,
    /// Where batches are decompressed to be looked at.
    pub codec_scratch: RefCell<Scratch>,
    /// Where answers are written; the memory leaves with the answer and comes back when the socket
    /// has taken it.
    pub scratch: RefCell<BytesMut>,
}

impl DataPath {
    /// The data path of one arbiter.
    pub fn new(
        router: PartitionRouter,
        clock: Clock,
        limits: DataLimits,
        settings: SettingsSource,
        sessions: FetchSessions,
        random: Box<dyn Fn() -> u32>,
    ) -> DataPath {
        DataPath {
            sessions: RefCell::new(sessions),
            producer_ids: ProducerIds::default(),
            random,
            coordinator_lines: RateLimit::new(1, 60_000),
            router,
            alarm: Alarm::new(clock),
            clock,
            limits,
            settings,
            rules: RefCell::default(),
            rules_version: Cell::new(0),
            codec_scratch: RefCell::new(Scratch::new()),
            scratch: RefCell::default(),
        }
    }

    /// A random number, for the ids of sessions.
    pub fn random_u32(&self) -> u32 {
        (self.random)()
    }

    /// The settings of a topic, resolved once per change of the metadata.
    pub fn settings(&self, image: &Image, topic: &TopicImage) -> Rc<TopicSettings> {
        let mut rules = self.rules.borrow_mut();
        if self.rules_version.replace(image.version) != image.version {
            rules.clear();
        }
        let resolve = || Rc::new((self.settings)(image, &topic.name));
        Rc::clone(rules.entry(topic.id).or_insert_with(resolve))
    }

    /// What a batch produced to a topic with these settings must keep.
    pub fn produce_rules(&self, settings: &TopicSettings, api_version: i16) -> ProduceRules {
        produce_rules(
            settings,
            self.limits.decompressed_bytes_max,
            api_version >= 7,
            self.clock.wall(),
        )
    }
}

/// What a batch appended at the time `now` to a topic with these settings must keep.
pub fn produce_rules(
    settings: &TopicSettings,
    decompressed_bytes_max: usize,
    zstd_allowed: bool,
    now: Timestamp,
) -> ProduceRules {
    ProduceRules {
        max_message_bytes: usize::try_from(settings.max_message_bytes).unwrap_or(0),
        compression: compression(settings),
        timestamp_type: if settings.log_append_time {
            TimestampType::LogAppendTime
        } else {
            TimestampType::CreateTime
        },
        timestamp_before_max_ms: settings.message_timestamp_before_max_ms,
        timestamp_after_max_ms: settings.message_timestamp_after_max_ms,
        key_required: settings.compacts,
        zstd_allowed,
        decompressed_bytes_max,
        now,
    }
}

fn compression(settings: &TopicSettings) -> TopicCompression {
    let codec = |codec, level| TopicCompression::Codec { codec, level };
    match settings.compression_type {
        CompressionType::Producer => TopicCompression::Producer,
        CompressionType::Uncompressed => TopicCompression::Uncompressed,
        CompressionType::Gzip => codec(Codec::Gzip, settings.compression_gzip_level),
        CompressionType::Snappy => codec(Codec::Snappy, 0),
        CompressionType::Lz4 => codec(Codec::Lz4, settings.compression_lz4_level),
        CompressionType::Zstd => codec(Codec::Zstd, settings.compression_zstd_level),
    }
}

/// The topic a request names, or the error that says there is none.
pub fn find_topic<'a>(image: &'a Image, key: &TopicKey) -> Result<&'a Arc<TopicImage>, ErrorCode> {
    match key {
        TopicKey::Name(name) => image.topic(name).ok_or(ErrorCode::UnknownTopicOrPartition),
        TopicKey::Id(id) => image.topic_by_id(id).ok_or(ErrorCode::UnknownTopicId),
    }
}

/// The partition of a topic, if this broker leads it; else the error, and who leads (KIP-951).
pub fn find_led_partition(
    topic: &TopicImage,
    index: i32,
    broker: BrokerId,
) -> Result<&PartitionImage, (ErrorCode, Option<CurrentLeader>)> {
    let partition = topic
        .partition(index)
        .ok_or((ErrorCode::UnknownTopicOrPartition, None))?;
    if partition.leader == broker {
        return Ok(partition);
    }
    if partition.leader == BrokerId::NONE && partition.isr.contains(&broker) {
        // It would lead, were its log directory not offline (`HostedPartition.Offline`).
        return Err((ErrorCode::KafkaStorageError, None));
    }
    Err((
        ErrorCode::NotLeaderOrFollower,
        Some(current_leader(partition)),
    ))
}

/// Who leads a partition, for an answer that sends the client there.
pub fn current_leader(partition: &PartitionImage) -> CurrentLeader {
    CurrentLeader {
        leader_id: partition.leader,
        leader_epoch: partition.leader_epoch,
    }
}
