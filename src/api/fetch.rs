//! Fetch: which partitions to read, how long to wait for enough, and the answer.
//!
//! Source: Kafka's `KafkaApis.handleFetchRequest`, `DelayedFetch`, KIP-74, KIP-227. The session says
//! what to read (`fetch_session`), the partitions plan it (`fetch_reading`), and the answer is
//! written with the records read into it or left to sendfile (`fetch_answer`).

use std::rc::Rc;
use std::time::Duration;

use super::errors::session_code;
use super::fetch_answer;
use super::fetch_reading::{Found, Reading};
use super::fetch_session::{FetchContext, PartitionAsk, PartitionKey, SessionRequest};
use super::gateway::Gateway;
use super::peer::Peer;
use crate::actors::fetch_waiter::FetchWaiter;
use crate::model::{BrokerId, ErrorCode, Moment};
use crate::net::LocalBoxFuture;
use crate::net::Reply;
use crate::protocol::RequestHead;
use crate::protocol::fetch::FetchRequest;

/// The first version that names topics by id.
const TOPIC_IDS_FROM: i16 = 13;
/// `replica_id` of a consumer.
const CONSUMER: BrokerId = BrokerId(-1);
/// 0 reads everything, 1 only what is committed.
const ISOLATION_LEVELS: std::ops::RangeInclusive<i8> = 0..=1;
/// No fetch waits longer, whatever its client asks: a wait without bound would outlive the client.
const WAIT_MAX: Duration = Duration::from_secs(300);

/// Handles one request.
pub(super) fn handle(
    gateway: Rc<Gateway>,
    peer: Peer,
    head: RequestHead,
) -> LocalBoxFuture<'static, Reply> {
    let (correlation_id, api_version) = (head.correlation_id, head.api_version);
    let request = FetchRequest::decode(head.body, api_version);
    Box::pin(async move {
        let request = match request {
            Ok(request) => request,
            Err(error) => return Reply::Close(format!("a malformed Fetch request: {error}")),
        };
        let identity = fetch_answer::Identity {
            correlation_id,
            api_version,
        };
        if !ISOLATION_LEVELS.contains(&request.isolation_level) {
            let refused = fetch_answer::refuse(&gateway, identity, ErrorCode::InvalidRequest);
            return refused.unwrap_or_else(|error| Reply::Close(error.to_string()));
        }
        let now = gateway.data.clock.now();
        let wish = session_request(&request, api_version);
        let begun = gateway.data.sessions.borrow_mut().begin(wish, now);
        let answer = match begun {
            Ok(context) => fetch(&gateway, &peer, &request, context, identity).await,
            Err(error) => fetch_answer::refuse(&gateway, identity, session_code(error)),
        };
        answer.unwrap_or_else(|error| Reply::Close(format!("a Fetch answer failed: {error}")))
    })
}

fn session_request(request: &FetchRequest, api_version: i16) -> SessionRequest {
    let partitions = request.topics().flat_map(|(topic, partitions)| {
        partitions.iter().map(move |partition| {
            let key = PartitionKey {
                topic: topic.clone(),
                partition: partition.index,
            };
            let ask = PartitionAsk {
                current_leader_epoch: partition.current_leader_epoch,
                fetch_offset: partition.fetch_offset,
                last_fetched_epoch: partition.last_fetched_epoch,
                log_start_offset: partition.log_start_offset,
                max_bytes: partition.max_bytes,
            };
            (key, ask)
        })
    });
    let forgotten = request.forgotten().iter().flat_map(|forgotten| {
        forgotten.partitions.iter().map(|partition| PartitionKey {
            topic: forgotten.topic.clone(),
            partition: *partition,
        })
    });
    SessionRequest {
        session_id: request.session_id,
        session_epoch: request.session_epoch,
        uses_topic_ids: api_version >= TOPIC_IDS_FROM,
        from_follower: request.replica_id.0 >= 0,
        partitions: partitions.collect(),
        forgotten: forgotten.collect(),
    }
}

async fn fetch(
    gateway: &Gateway,
    peer: &Peer,
    request: &FetchRequest,
    context: FetchContext,
    identity: fetch_answer::Identity,
) -> Result<Reply, crate::protocol::ProtocolError> {
    let reading = Reading {
        gateway,
        peer,
        replica: request.replica_id != CONSUMER,
        follower: Some(request.replica_id).filter(|id| id.0 >= 0),
        committed_only: request.isolation_level == 1,
        bytes_max: usize::try_from(request.max_bytes)
            .unwrap_or(0)
            .min(gateway.data.limits.fetch_bytes_max),
    };
    let bytes_min = usize::try_from(request.min_bytes)
        .unwrap_or(0)
        .min(reading.bytes_max);
    let deadline = gateway.data.clock.now() + wait(request.max_wait_ms);
    let found = if gateway.data.clock.now() < deadline {
        read_when_enough(&reading, &context, bytes_min, deadline).await
    } else {
        reading.read(&context, None).await
    };
    fetch_answer::answer(&reading, &context, found, identity).await
}

fn wait(max_wait_ms: i32) -> Duration {
    Duration::from_millis(u64::try_from(max_wait_ms).unwrap_or(0)).min(WAIT_MAX)
}

/// Asks every partition and leaves a waiter with it; asks again when that is woken or the time is
/// over. A waiter that is not needed costs less than another round of questions.
async fn read_when_enough(
    reading: &Reading<'_>,
    context: &FetchContext,
    bytes_min: usize,
    deadline: Moment,
) -> Vec<Found> {
    let (clock, alarm) = (reading.gateway.data.clock, &reading.gateway.data.alarm);
    loop {
        let waiter = FetchWaiter::new(bytes_min.max(1));
        // The partition answers and takes the bell in one turn, so nothing falls between the two.
        let found = reading.read(context, Some(&waiter)).await;
        if is_enough(&found, bytes_min) || clock.now() >= deadline {
            return found;
        }
        let missing = bytes_min.saturating_sub(bytes(&found)).max(1);
        waiter.expect(missing, bytes_min.max(1));
        tokio::select! {
            biased;
            () = waiter.woken() => {}
            () = alarm.at(deadline) => return reading.read(context, None).await,
        }
    }
}

fn bytes(found: &[Found]) -> usize {
    found.iter().map(Found::bytes).sum()
}

fn is_enough(found: &[Found], bytes_min: usize) -> bool {
    found.is_empty()
        || bytes(found) >= bytes_min
        || found
            .iter()
            .any(|found| found.error != ErrorCode::None || found.diverging.is_some())
}
