//! Whom a member's request concerns: the classic protocol, the consumer protocol, or the change from
//! one to the other.

use std::sync::Arc;

use crate::coordination::messages::{
    ConsumerHeartbeat, GroupError, Identity, Join, JoinRefused, Leaving, Reply, Sync,
};
use crate::coordination::topics::Topics;
use crate::coordination::{Now, Step, Ticket};

use super::Group;

/// How many protocols a member may bring. Clients have a handful; each is compared with those of
/// every other member.
const PROTOCOLS_MAX: usize = 100;
/// The longest name a record of a group can say, and answers of old versions too.
const NAME_BYTES_MAX: usize = i16::MAX as usize;
/// What a member's id has behind the name of its client or instance.
const ID_SUFFIX_BYTES: usize = 37;

/// Refuses a member that could never be written down, before others wait for it. Kafka lets it in,
/// and fails the whole group when its leader syncs.
fn check_size(join: &Join, batch_bytes_max: usize) -> Result<(), GroupError> {
    let refuse = |what: &str| Err(GroupError::InvalidRequest(what.to_owned()));
    let is_short = |name: &str| name.len() <= NAME_BYTES_MAX - ID_SUFFIX_BYTES;
    let mut names = join.protocols.iter().map(|(name, _)| name);
    if !is_short(&join.client.id)
        || !join.instance_id.as_deref().is_none_or(is_short)
        || !is_short(&join.protocol_type)
        || !names.all(|name| is_short(name))
    {
        return refuse("a name of the member or of its protocols is too long");
    }
    if join.protocols.len() > PROTOCOLS_MAX {
        return refuse("the member names too many protocols");
    }
    let is_large = |(_, metadata): &(_, bytes::Bytes)| metadata.len() > batch_bytes_max;
    match join.protocols.iter().any(is_large) {
        true => refuse("the member's metadata is larger than a record may be"),
        false => Ok(()),
    }
}

impl Group {
    pub(super) fn join(
        &mut self,
        now: Now,
        join: Join,
        ticket: Ticket,
        topics: &dyn Topics,
    ) -> Step {
        if let Err(error) = check_size(&join, self.config.batch_bytes_max) {
            let member_id = join.member_id;
            let refused = Err(JoinRefused { error, member_id });
            return Step::reply(ticket, Reply::Join(refused));
        }
        if let Some(consumer) = &mut self.consumer
            && !consumer.is_empty()
        {
            let step = consumer.handle_join(now, &self.config, &join, ticket, topics);
            self.note_downgrade();
            return step;
        }
        let config = Arc::clone(&self.config);
        let step = self
            .classic_or_new()
            .handle_join(now, &config, join, ticket);
        self.in_place_of_empty_consumer_group(step)
    }

    /// Tombstones of an empty consumer group go in front of what makes the group classic.
    fn in_place_of_empty_consumer_group(&self, step: Step) -> Step {
        let stays = self.classic.as_ref().is_some_and(|it| it.is_known());
        match &self.consumer {
            Some(consumer) if stays || !step.records.is_empty() => Step {
                records: consumer.tombstones(),
                replies: Vec::new(),
            }
            .then(step),
            _ => step,
        }
    }

    pub(super) fn sync(
        &mut self,
        now: Now,
        sync: Sync,
        ticket: Ticket,
        topics: &dyn Topics,
    ) -> Step {
        if let Some(consumer) = &mut self.consumer {
            return consumer.handle_sync(now, &self.config, &sync, ticket, topics);
        }
        match &mut self.classic {
            Some(classic) => classic.handle_sync(now, sync, ticket),
            None => Step::reply(ticket, Reply::Sync(Err(GroupError::UnknownMemberId))),
        }
    }

    pub(super) fn heartbeat(&mut self, now: Now, identity: Identity, ticket: Ticket) -> Step {
        if let Some(consumer) = &mut self.consumer {
            return consumer.handle_classic_heartbeat(now, &self.config, &identity, ticket);
        }
        match &mut self.classic {
            Some(classic) => classic.handle_heartbeat(now, &identity, ticket),
            None => Step::reply(ticket, Reply::Heartbeat(Err(GroupError::UnknownMemberId))),
        }
    }

    pub(super) fn leave(
        &mut self,
        now: Now,
        leaving: Vec<Leaving>,
        ticket: Ticket,
        topics: &dyn Topics,
    ) -> Step {
        if let Some(consumer) = &mut self.consumer {
            let step = consumer.handle_leave(now, &self.config, &leaving, ticket, topics);
            self.note_downgrade();
            return step;
        }
        match &mut self.classic {
            Some(classic) => classic.handle_leave(now, &leaving, ticket),
            // Kafka tells each member that it is unknown, not the caller that the group is.
            None => {
                let results = leaving.iter().map(|_| Err(GroupError::UnknownMemberId));
                Step::reply(ticket, Reply::Leave(Ok(results.collect())))
            }
        }
    }

    pub(super) fn consumer_heartbeat(
        &mut self,
        now: Now,
        heartbeat: ConsumerHeartbeat,
        ticket: Ticket,
        topics: &dyn Topics,
    ) -> Step {
        let joins = heartbeat.member_epoch == 0;
        if self.consumer.is_none() && !joins {
            let error = self.not_found("consumer group");
            return Step::reply(ticket, Reply::ConsumerHeartbeat(Err(error)));
        }
        if self.consumer.is_none() && self.classic.as_ref().is_some_and(|it| !it.is_empty()) {
            return self.upgrade(now, &heartbeat, ticket, topics);
        }
        let config = Arc::clone(&self.config);
        let step = self
            .consumer_or_new()
            .handle_heartbeat(now, &config, &heartbeat, ticket, topics);
        self.note_downgrade();
        match self.classic_tombstone() {
            Some(tombstone) if !step.records.is_empty() => Step {
                records: vec![tombstone],
                replies: Vec::new(),
            }
            .then(step),
            _ => step,
        }
    }
}
