//! What the front desk asks downstairs, plugged in: controller, quorum, loggers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use log::LevelFilter;

use crate::actors::controller::{
    AskController as Ask, ControllerActor, ControllerUnavailable as Unavailable,
};
use crate::actors::quorum::{QuorumActor, QuorumStatus as AskStatus};
use crate::api::gateway::{
    AskController, AskQuorum, ControllerUnavailable, LogLevel, Loggers, QuorumReplica, QuorumStatus,
};
use crate::metadata::controller::{Reply, Request};
use crate::model::{BrokerId, Timestamp, Uuid};
use crate::net::LocalBoxFuture;
use crate::telemetry::log_levels::LogLevels;

/// How long DescribeQuorum waits.
const QUORUM_PATIENCE: Duration = Duration::from_secs(10);

/// The controller, asked through its mailbox.
pub(super) struct Controller(pub(super) Addr<ControllerActor>);

impl AskController for Controller {
    fn ask(
        &self,
        request: Request,
        patience: Duration,
    ) -> LocalBoxFuture<'_, Result<Reply, ControllerUnavailable>> {
        Box::pin(async move {
            if patience.is_zero() {
                // Kafka's controller drops what is overdue when it would begin it.
                return Err(ControllerUnavailable::TimedOut);
            }
            let asked = self.0.send(Ask(request));
            match tokio::time::timeout(patience, asked).await {
                Err(_) => Err(ControllerUnavailable::TimedOut),
                Ok(Ok(Ok(reply))) => Ok(reply),
                Ok(Ok(Err(Unavailable::Full))) => Err(ControllerUnavailable::Full),
                Ok(Ok(Err(_)) | Err(_)) => Err(ControllerUnavailable::Gone),
            }
        })
    }
}

/// The metadata quorum, asked through its mailbox.
pub(super) struct QuorumState(pub(super) Addr<QuorumActor>);

impl AskQuorum for QuorumState {
    fn status(&self) -> LocalBoxFuture<'_, Option<QuorumStatus>> {
        Box::pin(async move {
            let asked = tokio::time::timeout(QUORUM_PATIENCE, self.0.send(AskStatus)).await;
            let told = asked.ok()?.ok()?;
            let offset = |offset: u64| i64::try_from(offset).unwrap_or(i64::MAX);
            let replica = |replica: &crate::actors::quorum::QuorumReplica| QuorumReplica {
                id: replica.id,
                directory_id: Uuid::ZERO,
                log_end_offset: replica.log_end_offset.map_or(-1, offset),
                last_fetch: Timestamp::NONE,
                last_caught_up: Timestamp::NONE,
            };
            Some(QuorumStatus {
                leader: told.leader.unwrap_or(BrokerId::NONE),
                leader_epoch: i32::try_from(told.leader_epoch).unwrap_or(i32::MAX),
                high_watermark: offset(told.high_watermark),
                voters: told.voters.iter().map(replica).collect(),
                observers: told.observers.iter().map(replica).collect(),
                nodes: Vec::new(),
            })
        })
    }
}

/// The levels of the host's logger, if it follows them. Names are shown with dots, as Kafka's are:
/// its tools take no others.
pub(super) struct Levels(pub(super) Option<Arc<LogLevels>>);

impl Loggers for Levels {
    fn levels(&self) -> BTreeMap<String, LogLevel> {
        let levels = self.0.iter().flat_map(|levels| levels.loggers());
        levels
            .map(|(name, level)| (name.replace("::", "."), shown(level)))
            .collect()
    }

    fn set(&self, logger: &str, level: Option<LogLevel>) {
        let Some(levels) = &self.0 else {
            return;
        };
        let module = logger.replace('.', "::");
        match level {
            Some(level) => levels.set(&module, meant(level)),
            None => levels.unset(&module),
        }
    }
}

fn shown(level: LevelFilter) -> LogLevel {
    match level {
        LevelFilter::Off | LevelFilter::Error => LogLevel::Error,
        LevelFilter::Warn => LogLevel::Warn,
        LevelFilter::Info => LogLevel::Info,
        LevelFilter::Debug => LogLevel::Debug,
        LevelFilter::Trace => LogLevel::Trace,
    }
}

fn meant(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Error => LevelFilter::Error,
        LogLevel::Warn => LevelFilter::Warn,
        LogLevel::Info => LevelFilter::Info,
        LogLevel::Debug => LevelFilter::Debug,
        LogLevel::Trace => LevelFilter::Trace,
    }
}
