//! Writing a Fetch answer: records read straight into it, or left to sendfile.
//!
//! Large ranges stay in their files; small ones are read into the answer's buffer, so that it leaves
//! in one write. Ranges that may not be in the page cache are brought there on a disk thread first:
//! a cold read must not stop the arbiter.

use std::io;

use bytes::BytesMut;

use super::errors::read_storage_code;
use super::fetch_reading::{Found, Reading};
use super::fetch_session::{FetchContext, PartitionOutcome};
use super::gateway::Gateway;
use crate::model::{BrokerId, ErrorCode};
use crate::net::Reply;
use crate::protocol::fetch::{FetchEncoder, PartitionHead};
use crate::protocol::{ProtocolError, TopicKey};
use crate::record::batches;
use crate::storage::{ReadPlan, StorageError};

/// Which request is answered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Identity {
    pub(super) correlation_id: i32,
    pub(super) api_version: i16,
}

/// An answer that tells of an error of the session and nothing else.
pub(super) fn refuse(
    gateway: &Gateway,
    identity: Identity,
    error: ErrorCode,
) -> Result<Reply, ProtocolError> {
    let mut scratch = gateway.data.scratch.borrow_mut();
    let Identity {
        correlation_id,
        api_version,
    } = identity;
    let encoder = FetchEncoder::new(&mut scratch, correlation_id, api_version, (error, 0), 0, 0)?;
    Ok(Reply::Respond(encoder.finish(&[])?))
}

/// The answer to a fetch that read `found`.
pub(super) async fn answer(
    reading: &Reading<'_>,
    context: &FetchContext,
    mut found: Vec<Found>,
    identity: Identity,
) -> Result<Reply, ProtocolError> {
    warm_up(&mut found).await;
    let outcomes: Vec<PartitionOutcome> = found.iter().map(outcome).collect();
    let data = &reading.gateway.data;
    let finished =
        data.sessions
            .borrow_mut()
            .finish(context, &outcomes, data.clock.now(), &mut || {
                data.random_u32()
            });
    if finished.error != ErrorCode::None {
        return refuse(reading.gateway, identity, finished.error);
    }
    let told: Vec<(&TopicKey, i32, &Found)> = context
        .partitions
        .iter()
        .zip(&found)
        .zip(&finished.include)
        .filter(|(_, include)| **include)
        .map(|(((key, _), found), _)| (&key.topic, key.partition, found))
        .collect();
    let leaders = told.iter().filter_map(|(_, _, found)| found.current_leader);
    let endpoints =
        super::leaders::endpoints(reading.gateway, &reading.peer.connection.listener, leaders);
    let topics = runs(&told);
    let mut scratch = data.scratch.borrow_mut();
    let mut encoder = FetchEncoder::new(
        &mut scratch,
        identity.correlation_id,
        identity.api_version,
        (ErrorCode::None, finished.session_id),
        0,
        topics.len(),
    )?;
    for run in topics {
        encoder.topic(run[0].0, run.len())?;
        for (_, index, found) in run {
            write(&mut encoder, *index, found, data.limits.sendfile_bytes_min)?;
        }
    }
    Ok(Reply::Respond(encoder.finish(&endpoints)?))
}

/// Brings ranges that may be cold into the page cache, on their directories' disk threads.
async fn warm_up(found: &mut [Found]) {
    for found in found {
        let Some(plan) = found.plan.take() else {
            continue;
        };
        if plan.is_in_memory() {
            found.plan = Some(plan);
            continue;
        }
        let Some(threads) = found.threads.take() else {
            continue;
        };
        let warmed = threads.run(move || plan.warm_up().map(|()| plan)).await;
        match warmed {
            Ok(Ok(plan)) => found.plan = Some(plan),
            Ok(Err(error)) => {
                log::error!("cannot read records: {error}");
                *found = Found::failed(read_storage_code(&error));
            }
            Err(_) => *found = Found::failed(ErrorCode::KafkaStorageError),
        }
    }
}

fn outcome(found: &Found) -> PartitionOutcome {
    PartitionOutcome {
        records_bytes: found.bytes(),
        high_watermark: found.high_watermark,
        log_start_offset: found.log_start_offset,
        error: found.error,
        redirects: found.diverging.is_some(),
    }
}

/// Neighbours of the same topic, together.
fn runs<'a, 'b>(
    told: &'b [(&'a TopicKey, i32, &'a Found)],
) -> Vec<&'b [(&'a TopicKey, i32, &'a Found)]> {
    told.chunk_by(|a, b| a.0 == b.0).collect()
}

fn write(
    encoder: &mut FetchEncoder<'_>,
    index: i32,
    found: &Found,
    sendfile_bytes_min: usize,
) -> Result<(), ProtocolError> {
    let head = PartitionHead {
        index,
        error_code: found.error,
        high_watermark: found.high_watermark,
        last_stable_offset: found.last_stable_offset,
        log_start_offset: found.log_start_offset,
        diverging_epoch: found.diverging,
        current_leader: found.current_leader,
        snapshot_id: None,
        aborted_transactions: found.aborted.as_deref(),
        preferred_read_replica: BrokerId::NONE,
    };
    let Some(plan) = &found.plan else {
        return encoder.partition_empty(&head);
    };
    let length = found.bytes();
    let cut = length < plan.length();
    if length >= sendfile_bytes_min
        && !cut
        && let Some(range) = plan.file_range()
    {
        return encoder.partition_files(&head, [range]);
    }
    encoder.partition_read(
        &head,
        length,
        |buffer| read(plan, length, cut, buffer).map_err(io::Error::other),
        |error| {
            log::error!("cannot read records: {error}");
            PartitionHead::failed(index, ErrorCode::KafkaStorageError)
        },
    )
}

/// Reads the first `length` bytes of a plan; when that cuts it, as many whole batches as they hold.
fn read(
    plan: &ReadPlan,
    length: usize,
    cut: bool,
    buffer: &mut BytesMut,
) -> Result<(), StorageError> {
    let start = buffer.len();
    buffer.resize(start + length, 0);
    plan.read_into(&mut buffer[start..])?;
    if cut {
        let whole = batches(&buffer[start..])
            .map_while(Result::ok)
            .map(|(_, batch)| batch.len());
        let whole: usize = whole.sum();
        buffer.truncate(start + whole);
    }
    Ok(())
}
