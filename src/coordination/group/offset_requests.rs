//! Commits, fetches and deletions of offsets: what the protocol says to them, then the offsets.

use std::sync::Arc;

use crate::coordination::messages::{
    CommitOffsets, FetchOffsets, FetchedOffset, GroupError, Reply,
};
use crate::coordination::{Now, Step, Ticket};
use crate::model::Timestamp;

use super::Group;
use super::offsets::{CommittedOffsets, Expiry, Planned, Room};

/// From this version of OffsetCommit on, who commits to an unknown group is told so.
const GROUP_ID_NOT_FOUND_SINCE: i16 = 9;

impl Group {
    pub(super) fn commit_offsets(
        &mut self,
        now: Now,
        request: &CommitOffsets,
        ticket: Ticket,
    ) -> Step {
        let planned = self.check_commit(now, request).and_then(|()| {
            CommittedOffsets::plan_commit(&self.id, now.wall, request, &self.config)
        });
        planned_step(ticket, planned, Reply::CommitOffsets)
    }

    fn check_commit(&mut self, now: Now, request: &CommitOffsets) -> Result<(), GroupError> {
        if let Some(consumer) = &self.consumer {
            return consumer.check_commit(request);
        }
        if let Some(classic) = &mut self.classic {
            return classic.check_commit(now, request);
        }
        if request.identity.generation < 0 {
            return Ok(());
        }
        Err(match self.exists() {
            true => GroupError::UnknownMemberId,
            false if request.version >= GROUP_ID_NOT_FOUND_SINCE => self.not_found("group"),
            false => GroupError::IllegalGeneration,
        })
    }

    pub(super) fn fetch_offsets(
        &self,
        request: &FetchOffsets,
    ) -> Result<Vec<FetchedOffset>, GroupError> {
        if let (Some(consumer), Some((member_id, epoch))) = (&self.consumer, &request.member) {
            consumer.check_fetch(member_id, *epoch)?;
        }
        Ok(self.offsets.fetch(request))
    }

    pub(super) fn delete_offsets(&self, asked: &[(Arc<str>, Vec<i32>)], ticket: Ticket) -> Step {
        let planned = self.check_delete_offsets().and_then(|()| {
            let mut room = Room::of_batch(self.config.batch_bytes_max);
            let is_subscribed = |topic: &str| self.is_subscribed_to(topic);
            self.offsets
                .plan_delete(&self.id, asked, &is_subscribed, &mut room)
        });
        planned_step(ticket, planned, Reply::DeleteOffsets)
    }

    fn check_delete_offsets(&self) -> Result<(), GroupError> {
        if !self.exists() {
            return Err(self.not_found("group"));
        }
        match &self.classic {
            Some(classic) if self.consumer.is_none() => classic.check_delete_offsets(),
            _ => Ok(()),
        }
    }

    /// Whether the members read a topic.
    pub(super) fn is_subscribed_to(&self, topic: &str) -> bool {
        match (&self.consumer, &self.classic) {
            (Some(consumer), _) => consumer.is_subscribed_to(topic),
            (None, Some(classic)) => classic.is_subscribed_to(topic),
            (None, None) => false,
        }
    }

    /// From when on the retention of offsets counts (Kafka's `offsetExpirationCondition` of each kind).
    pub(super) fn offset_expiry(&self) -> Expiry {
        let classic = match (&self.consumer, &self.classic) {
            (None, Some(classic)) => classic,
            _ => return Expiry::SinceCommit,
        };
        if classic.protocol_type().is_none() {
            return Expiry::SinceCommit;
        }
        if classic.is_empty() {
            return match classic.state_since() {
                Timestamp::NONE => Expiry::SinceCommit,
                since => Expiry::Since(since),
            };
        }
        let topics_are_known =
            classic.uses_consumer_protocol() && classic.subscribed_topics().is_some();
        match classic.is_stable() && topics_are_known {
            true => Expiry::SinceCommit,
            false => Expiry::Never,
        }
    }
}

fn planned_step(
    ticket: Ticket,
    planned: Result<Planned, GroupError>,
    reply: impl FnOnce(Result<Vec<Result<(), GroupError>>, GroupError>) -> Reply,
) -> Step {
    match planned {
        Ok((records, results)) => Step {
            records,
            replies: vec![(ticket, reply(Ok(results)))],
        },
        Err(error) => Step::reply(ticket, reply(Err(error))),
    }
}
