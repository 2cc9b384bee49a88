//! InitProducerId: an identity for an idempotent producer, out of a durable block.
//!
//! The controller hands out blocks of ids, each written to the metadata log before it is used, so
//! that no id is ever given twice. Transactional producers are refused for good until there is a
//! transaction coordinator: TRANSACTIONAL_ID_AUTHORIZATION_FAILED is what every client takes as final.

use std::cell::RefCell;
use std::ops::Range;

use super::gateway::Gateway;
use super::patience;
use super::peer::{Operation, Peer, Resource, authorize};
use crate::message;
use crate::metadata::controller::{Reply, Request};
use crate::model::ErrorCode;
use crate::protocol::messages::{InitProducerIdRequest, InitProducerIdResponse};

/// How long a producer waits for a new block.
const BLOCK_PATIENCE_MS: i32 = 30_000;

/// How many ids a block has, as in Kafka (`ProducerIdsBlock`).
const BLOCK_LENGTH: i32 = 1000;

/// The ids this arbiter may still give away, shared by all its connections.
#[derive(Debug, Default)]
pub struct ProducerIds(RefCell<Range<i64>>);

impl ProducerIds {
    fn take(&self) -> Option<i64> {
        self.0.borrow_mut().next()
    }

    fn refill(&self, block: Range<i64>) {
        *self.0.borrow_mut() = block;
    }
}

/// Handles one request.
pub(super) async fn handle(
    gateway: &Gateway,
    request: InitProducerIdRequest,
    _version: i16,
    peer: &Peer,
) -> InitProducerIdResponse {
    if let Some(error) = objection(&request) {
        return refuse(error);
    }
    if !authorize(peer, Operation::IdempotentWrite, Resource::Cluster) {
        return refuse(ErrorCode::ClusterAuthorizationFailed);
    }
    match next(gateway).await {
        Ok(producer_id) => message!(InitProducerIdResponse {
            producer_id: producer_id,
            producer_epoch: 0,
        }),
        Err(error) => refuse(error),
    }
}

/// What is wrong with a request whoever sent it, or what is not built yet.
fn objection(request: &InitProducerIdRequest) -> Option<ErrorCode> {
    let half_known = (request.producer_id == -1) != (request.producer_epoch == -1);
    match request.transactional_id.as_deref() {
        _ if half_known => Some(ErrorCode::InvalidRequest),
        None => None,
        Some("") => Some(ErrorCode::InvalidRequest),
        Some(_) if request.transaction_timeout_ms <= 0 => {
            Some(ErrorCode::InvalidTransactionTimeout)
        }
        Some(_) => Some(ErrorCode::TransactionalIdAuthorizationFailed),
    }
}

fn refuse(error: ErrorCode) -> InitProducerIdResponse {
    message!(InitProducerIdResponse {
        error_code: error.code(),
        producer_id: -1,
        producer_epoch: -1,
    })
}

/// The next id. Two that ask while the block is empty each fetch one; ids are not scarce.
async fn next(gateway: &Gateway) -> Result<i64, ErrorCode> {
    let ids = &gateway.data.producer_ids;
    if let Some(id) = ids.take() {
        return Ok(id);
    }
    let request = Request::AllocateProducerIds {
        broker: gateway.facts.broker_id,
        length: BLOCK_LENGTH,
    };
    match gateway
        .controller
        .ask(request, patience(BLOCK_PATIENCE_MS))
        .await
    {
        Ok(Reply::AllocateProducerIds(Ok(block))) => {
            ids.refill(block.first..block.first.saturating_add(i64::from(block.length)));
            ids.take().ok_or(ErrorCode::UnknownServerError)
        }
        // The client asks again.
        Ok(_) | Err(_) => Err(ErrorCode::CoordinatorLoadInProgress),
    }
}
