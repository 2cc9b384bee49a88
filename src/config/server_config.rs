//! The configuration of one server, read, judged and typed: what `Broker::start` is given.
//!
//! Built from a file's bytes and overrides by `cli`, by tests and by embedding programs; nothing
//! here opens a file. Invariant: a [`ServerConfig`] that exists can be run; every value was judged,
//! and what goes against another value was refused with a sentence.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use super::error::ConfigError;
use super::keys;
use super::listeners::{Listeners, listeners, overrides_per_ip};
use super::values::{Place, StaticValues};
use super::{properties, removed, rules, suggest};
use crate::metadata::ConfigTables;
use crate::metadata::config_check::{CORDONED_LOG_DIRS, check_cordoned, check_value};
use crate::model::BrokerId;
use crate::model::config_key::{Allowed, ConfigKey, ConfigType};

/// Something that is worth a line in the log at start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// How something was understood.
    Told(String),
    /// Something that does not do what was probably meant.
    Warned(String),
}

/// What a configuration is made of, before it is read.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sources<'a> {
    /// The name and the bytes of a `.properties` file.
    pub file: Option<(&'a str, &'a [u8])>,
    /// Keys and values that outrank the file, later ones earlier ones.
    pub overrides: &'a [(String, String)],
    /// The machine's name, advertised for a listener on every address.
    pub host_name: &'a str,
}

/// Who this node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeConfig {
    /// `node.id`.
    pub id: BrokerId,
    /// `broker.rack`.
    pub rack: Option<String>,
}

/// Where data lies. The directories need not exist yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogDirsConfig {
    /// `log.dirs`: at least one, none twice.
    pub directories: Vec<PathBuf>,
    /// `metadata.log.dir`, or the first of them.
    pub metadata: PathBuf,
}

impl LogDirsConfig {
    /// The directories as Kafka tells of them: from the root on, whatever the process does later.
    pub fn absolute(&self) -> Vec<PathBuf> {
        let absolute = |path: &PathBuf| std::path::absolute(path).unwrap_or_else(|_| path.clone());
        self.directories.iter().map(absolute).collect()
    }

    /// The directory of the metadata in the same way.
    pub fn absolute_metadata(&self) -> PathBuf {
        std::path::absolute(&self.metadata).unwrap_or_else(|_| self.metadata.clone())
    }

    /// Every name by which they may be meant: as they were given, and from the root on.
    pub fn names(&self) -> Vec<String> {
        let given = self.directories.iter().cloned();
        let all = given.chain(self.absolute());
        all.map(|path| path.display().to_string()).collect()
    }
}

/// Options of client sockets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SocketConfig {
    /// `socket.send.buffer.bytes`; `None` leaves it to the system.
    pub send_buffer_bytes: Option<usize>,
    /// `socket.receive.buffer.bytes`; `None` leaves it to the system.
    pub receive_buffer_bytes: Option<usize>,
    /// `socket.listen.backlog.size`.
    pub backlog: u32,
}

/// What connections and requests may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitsConfig {
    /// `max.connections`; changes while the broker runs.
    pub connections_max: usize,
    /// `max.connections.per.ip`; changes while the broker runs.
    pub connections_per_ip_max: usize,
    /// `max.connections.per.ip.overrides`; changes while the broker runs.
    pub connections_per_ip_overrides: BTreeMap<IpAddr, usize>,
    /// `connections.max.idle.ms`; `None` is never.
    pub connection_idle_ms_max: Option<u64>,
    /// `socket.request.max.bytes`.
    pub request_bytes_max: usize,
    /// `queued.max.request.bytes`; `None` is no limit.
    pub queued_request_bytes_max: Option<u64>,
    /// `milena.requests.per.connection.max`.
    pub requests_per_connection_max: usize,
    /// `milena.request.bytes.per.connection.max`.
    pub request_bytes_per_connection_max: u64,
    /// `milena.frame.stall.ms`.
    pub frame_stall_ms_max: u64,
    /// `milena.write.stall.ms`.
    pub write_stall_ms_max: u64,
    /// `milena.decompressed.bytes.max`.
    pub decompressed_bytes_max: u64,
    /// `milena.open.files.max`.
    pub open_files_max: usize,
    /// `fetch.max.bytes`.
    pub fetch_bytes_max: usize,
    /// `max.incremental.fetch.session.cache.slots`.
    pub fetch_sessions_max: usize,
    /// `max.request.partition.size.limit`.
    pub described_partitions_max: i32,
}

/// How work is spread over threads and between memory and disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineConfig {
    /// `milena.data.threads`; `None` is one for every two cores.
    pub data_threads: Option<usize>,
    /// `num.recovery.threads.per.data.dir`.
    pub recovery_threads_per_log_dir: usize,
    /// `milena.disk.threads.per.log.dir`.
    pub disk_threads_per_log_dir: usize,
    /// `milena.unflushed.bytes.max`, of each log directory.
    pub unflushed_bytes_max: u64,
    /// `milena.sendfile.bytes.min`.
    pub sendfile_bytes_min: usize,
    /// `milena.scrub.max.bytes.per.second`, of each log directory; zero for never.
    pub scrub_bytes_per_second: u64,
    /// `milena.scrub.interval.ms`.
    pub scrub_interval_ms: u64,
    /// `milena.shutdown.timeout.ms`.
    pub shutdown_timeout_ms: u64,
}

/// How often logs are looked after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpkeepConfig {
    /// `log.retention.check.interval.ms`.
    pub retention_check_interval_ms: u64,
    /// `log.initial.task.delay.ms`.
    pub first_retention_check_ms: u64,
    /// `log.flush.offset.checkpoint.interval.ms`.
    pub recovery_point_interval_ms: u64,
    /// `log.flush.start.offset.checkpoint.interval.ms`.
    pub log_start_offset_interval_ms: u64,
    /// `replica.high.watermark.checkpoint.interval.ms`.
    pub high_watermark_interval_ms: u64,
}

/// How topics come and go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicsConfig {
    /// `auto.create.topics.enable`.
    pub auto_create: bool,
    /// `delete.topic.enable`.
    pub can_delete: bool,
    /// `num.partitions`.
    pub partitions: i32,
    /// `default.replication.factor`.
    pub replication_factor: i16,
}

/// When the metadata log is cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuorumConfig {
    /// `metadata.log.max.record.bytes.between.snapshots`.
    pub snapshot_bytes: u64,
    /// `metadata.log.max.snapshot.interval.ms`; `None` is never for time alone.
    pub snapshot_interval_ms: Option<u64>,
}

/// Everything a server is started with. Values that change while the broker runs are here as the
/// file has them; `metadata` resolves them anew above [`StaticValues::explicit`].
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// Who this node is.
    pub node: NodeConfig,
    /// Its listeners.
    pub listeners: Listeners,
    /// Its directories.
    pub log_dirs: LogDirsConfig,
    /// Its sockets.
    pub sockets: SocketConfig,
    /// What clients may take.
    pub limits: LimitsConfig,
    /// Threads and disk.
    pub engine: EngineConfig,
    /// Upkeep of logs.
    pub upkeep: UpkeepConfig,
    /// Topics.
    pub topics: TopicsConfig,
    /// The metadata log.
    pub quorum: QuorumConfig,
    /// Every value as text, with where it was set.
    pub values: StaticValues,
    /// What the log should say at start.
    pub notices: Vec<Notice>,
}

impl ServerConfig {
    /// Reads and judges a configuration.
    pub fn load(sources: Sources<'_>) -> Result<ServerConfig, ConfigError> {
        ServerConfig::judge(sources, false)
    }

    /// With `embedded` nothing is listened on unless `listeners` is set.
    fn judge(sources: Sources<'_>, embedded: bool) -> Result<ServerConfig, ConfigError> {
        let mut notices = Vec::new();
        let mut values = read(sources, &mut notices)?;
        if embedded {
            listen_nowhere_unless_told(&mut values);
        }
        rules::settle_node_id(&mut values)?;
        rules::refuse_what_is_not_built(&values)?;
        rules::refuse_contradictions(&values)?;
        let config = ServerConfig {
            node: NodeConfig {
                id: BrokerId(values.number("node.id")?),
                rack: values.text("broker.rack").filter(|rack| !rack.is_empty()),
            },
            listeners: listeners(&values, sources.host_name, embedded)?,
            log_dirs: log_dirs(&values)?,
            sockets: sockets(&values)?,
            limits: limits(&values)?,
            engine: engine(&values)?,
            upkeep: upkeep(&values)?,
            topics: topics(&values)?,
            quorum: quorum(&values)?,
            values,
            notices,
        };
        Ok(rules::with_remarks(config))
    }

    /// A configuration of keys and values alone, for tests and embedding programs. Later pairs
    /// outrank earlier ones.
    pub fn of(pairs: &[(&str, &str)]) -> Result<ServerConfig, ConfigError> {
        ServerConfig::of_pairs(pairs, false)
    }

    /// A configuration for a broker inside another program: as [`ServerConfig::of`], but it listens
    /// nowhere unless a pair says so.
    ///
    /// # Errors
    /// As [`ServerConfig::of`].
    pub fn embedded(pairs: &[(&str, &str)]) -> Result<ServerConfig, ConfigError> {
        ServerConfig::of_pairs(pairs, true)
    }

    fn of_pairs(pairs: &[(&str, &str)], embedded: bool) -> Result<ServerConfig, ConfigError> {
        let overrides: Vec<(String, String)> = pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let sources = Sources {
            overrides: &overrides,
            host_name: "localhost",
            ..Sources::default()
        };
        ServerConfig::judge(sources, embedded)
    }
}

impl ServerConfig {
    /// The tables and the values of the file, as `metadata` and `api` resolve and describe them.
    pub fn tables(&self) -> ConfigTables {
        ConfigTables {
            topic: Arc::new(keys::topic_table()),
            broker: Arc::new(keys::broker_table()),
            broker_dynamic_only: Arc::new(keys::dynamic_only_table()),
            group: Arc::new(keys::group_table()),
            client_metrics: Arc::new(keys::client_metrics_table()),
            static_broker: Arc::new(self.values.explicit()),
        }
    }
}

/// Reads file and overrides into values, each judged against its key.
fn read(sources: Sources<'_>, notices: &mut Vec<Notice>) -> Result<StaticValues, ConfigError> {
    let mut values = StaticValues::new(Arc::new(keys::broker_table()));
    if let Some((file, bytes)) = sources.file {
        for property in properties::parse(file, bytes)? {
            let place = Place::File(file.to_owned(), property.line);
            take(&mut values, notices, &property.name, &property.value, place)?;
        }
    }
    for (name, value) in sources.overrides {
        take(
            &mut values,
            notices,
            name.trim(),
            value.trim(),
            Place::Override,
        )?;
    }
    Ok(values)
}

fn listen_nowhere_unless_told(values: &mut StaticValues) {
    let table = Arc::clone(values.table());
    if let (Some(key), None) = (table.get("listeners"), values.get_set("listeners")) {
        values.set(key, String::new(), Place::Override);
    }
}

/// Takes one value; an unknown name is a notice, a bad value an error.
fn take(
    values: &mut StaticValues,
    notices: &mut Vec<Notice>,
    name: &str,
    value: &str,
    place: Place,
) -> Result<(), ConfigError> {
    let Some(key) = values.table().get(name) else {
        notices.push(Notice::Warned(unknown(values, name, &place)));
        return Ok(());
    };
    if let Err(problem) = check_value(key, value) {
        return Err(ConfigError::Value {
            place: place.to_string(),
            problem: without_secret(key, &problem.to_string()),
        });
    }
    if let (Some(earlier), Place::File(..)) = (values.get_set(name), &place) {
        notices.push(Notice::Warned(format!(
            "{place}: {name} is set again, and this value counts, not that of {}",
            earlier.place
        )));
    }
    // Readers compare with `true` and `false`, and Kafka shows them so.
    let text = match key.config_type {
        ConfigType::Boolean => value.to_ascii_lowercase(),
        _ => value.to_owned(),
    };
    values.set(key, text, place);
    Ok(())
}

/// A sentence about a secret does not repeat it.
fn without_secret(key: &ConfigKey, problem: &str) -> String {
    match key.allowed {
        Allowed::Only(_, why) if key.config_type == ConfigType::Password => {
            format!(
                "Invalid value [hidden] for configuration {}: {why}",
                key.name
            )
        }
        _ => problem.to_owned(),
    }
}

fn unknown(values: &StaticValues, name: &str, place: &Place) -> String {
    if let Some(reason) = removed::reason(name) {
        return format!("{place}: {name} does nothing: {reason}");
    }
    if name.starts_with("listener.name.") {
        return format!(
            "{place}: {name} does nothing: keys of a single listener are not built yet, set the key without its prefix"
        );
    }
    let names = values.table().iter().map(|key| key.name);
    match suggest::nearest(name, names) {
        Some(near) => {
            format!("{place}: no key is called {name}, and it does nothing; was {near} meant?")
        }
        None => format!(
            "{place}: no key is called {name}, and it does nothing; config/reference.md lists them all"
        ),
    }
}

fn log_dirs(values: &StaticValues) -> Result<LogDirsConfig, ConfigError> {
    let names = values.list("log.dirs");
    let Some(first) = names.first() else {
        return Err(ConfigError::combination(
            "log.dirs= names no directory; name at least one, for example ./milena-data",
        ));
    };
    let mut directories: Vec<PathBuf> = Vec::new();
    for name in &names {
        let directory = PathBuf::from(name);
        if directories.contains(&directory) {
            return Err(ConfigError::combination(format!(
                "{} names {name} twice; name each directory once",
                values.named("log.dirs")
            )));
        }
        directories.push(directory);
    }
    let metadata = values
        .text("metadata.log.dir")
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| first.clone());
    let log_dirs = LogDirsConfig {
        directories,
        metadata: PathBuf::from(metadata),
    };
    let cordoned = values.text(CORDONED_LOG_DIRS).unwrap_or_default();
    check_cordoned(&cordoned, &log_dirs.names())
        .map_err(|error| ConfigError::combination(error.0))?;
    Ok(log_dirs)
}

fn sockets(values: &StaticValues) -> Result<SocketConfig, ConfigError> {
    Ok(SocketConfig {
        send_buffer_bytes: values.limit("socket.send.buffer.bytes")?,
        receive_buffer_bytes: values.limit("socket.receive.buffer.bytes")?,
        backlog: values.number("socket.listen.backlog.size")?,
    })
}

fn limits(values: &StaticValues) -> Result<LimitsConfig, ConfigError> {
    let overrides = values
        .text("max.connections.per.ip.overrides")
        .unwrap_or_default();
    let overrides = overrides_per_ip(&overrides)?
        .into_iter()
        .map(|(address, count)| (address, usize::try_from(count).unwrap_or(usize::MAX)))
        .collect();
    Ok(LimitsConfig {
        connections_max: values.number("max.connections")?,
        connections_per_ip_max: values.number("max.connections.per.ip")?,
        connections_per_ip_overrides: overrides,
        connection_idle_ms_max: values.limit("connections.max.idle.ms")?,
        request_bytes_max: values.number("socket.request.max.bytes")?,
        queued_request_bytes_max: values.limit("queued.max.request.bytes")?,
        requests_per_connection_max: values.number("milena.requests.per.connection.max")?,
        request_bytes_per_connection_max: values
            .number("milena.request.bytes.per.connection.max")?,
        frame_stall_ms_max: values.number("milena.frame.stall.ms")?,
        write_stall_ms_max: values.number("milena.write.stall.ms")?,
        decompressed_bytes_max: values.number("milena.decompressed.bytes.max")?,
        open_files_max: values.number("milena.open.files.max")?,
        fetch_bytes_max: values.number("fetch.max.bytes")?,
        fetch_sessions_max: values.number("max.incremental.fetch.session.cache.slots")?,
        described_partitions_max: values.number("max.request.partition.size.limit")?,
    })
}

fn engine(values: &StaticValues) -> Result<EngineConfig, ConfigError> {
    let data_threads: usize = values.number("milena.data.threads")?;
    Ok(EngineConfig {
        data_threads: Some(data_threads).filter(|threads| *threads > 0),
        recovery_threads_per_log_dir: values.number("num.recovery.threads.per.data.dir")?,
        disk_threads_per_log_dir: values.number("milena.disk.threads.per.log.dir")?,
        unflushed_bytes_max: values.number("milena.unflushed.bytes.max")?,
        sendfile_bytes_min: values.number("milena.sendfile.bytes.min")?,
        scrub_bytes_per_second: values.number("milena.scrub.max.bytes.per.second")?,
        scrub_interval_ms: values.number("milena.scrub.interval.ms")?,
        shutdown_timeout_ms: values.number("milena.shutdown.timeout.ms")?,
    })
}

fn upkeep(values: &StaticValues) -> Result<UpkeepConfig, ConfigError> {
    Ok(UpkeepConfig {
        retention_check_interval_ms: values.number("log.retention.check.interval.ms")?,
        first_retention_check_ms: values.number("log.initial.task.delay.ms")?,
        recovery_point_interval_ms: values.number("log.flush.offset.checkpoint.interval.ms")?,
        log_start_offset_interval_ms: values
            .number("log.flush.start.offset.checkpoint.interval.ms")?,
        high_watermark_interval_ms: values
            .number("replica.high.watermark.checkpoint.interval.ms")?,
    })
}

fn topics(values: &StaticValues) -> Result<TopicsConfig, ConfigError> {
    Ok(TopicsConfig {
        auto_create: values.boolean("auto.create.topics.enable")?,
        can_delete: values.boolean("delete.topic.enable")?,
        partitions: values.number("num.partitions")?,
        replication_factor: values.number("default.replication.factor")?,
    })
}

fn quorum(values: &StaticValues) -> Result<QuorumConfig, ConfigError> {
    let interval: u64 = values.number("metadata.log.max.snapshot.interval.ms")?;
    Ok(QuorumConfig {
        snapshot_bytes: values.number("metadata.log.max.record.bytes.between.snapshots")?,
        snapshot_interval_ms: Some(interval).filter(|interval| *interval > 0),
    })
}

#[cfg(test)]
mod tests;
