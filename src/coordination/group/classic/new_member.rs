//! Members that join for the first time: ids are given out (KIP-394) and members added.
//!
//! Called by `join`. Invariant: an id that was given out is pending until it is used, its session
//! ends, or it leaves; never both pending and a member's.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::member::{Member, duration};
use super::{ClassicGroup, Deadline, State, refuse_join};
use crate::coordination::config::GroupConfig;
use crate::coordination::messages::{GroupError, Join};
use crate::coordination::{Now, Step, Ticket};
use crate::model::Uuid;

/// How long a join of a new member may be parked. Its client has no id to send heartbeats with, and
/// may have gone; one that is still there joins anew. Kafka's figure, no key.
const NEW_MEMBER_JOIN_TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// How many ids one group gives out at once that are not used, whatever `group.max.size` says: each
/// costs its asker one small request and this broker memory for a session timeout.
pub(super) const PENDING_MEMBERS_MAX: usize = 10_000;

impl ClassicGroup {
    /// A join without a member id, of a member whose protocols fit.
    pub(super) fn join_new(
        &mut self,
        now: Now,
        config: &GroupConfig,
        join: Join,
        ticket: Ticket,
        step: &mut Step,
    ) {
        let member_id = new_member_id(&join);
        if self.members.contains(&member_id) || self.pending.contains(&member_id) {
            // The randomness that was handed in repeats itself. The client will ask again.
            refuse_join(ticket, GroupError::UnknownMemberId, Arc::from(""), step);
            return;
        }
        let instance_id = join.instance_id.as_deref();
        match instance_id.and_then(|instance_id| self.members.of_instance(instance_id)) {
            Some(old) => {
                let old = old.clone();
                self.replace_static_member(now, &old, member_id, join, ticket, step);
            }
            None if instance_id.is_none() && join.requires_known_member_id => {
                self.give_out(now, config, member_id, &join, ticket, step);
            }
            None => self.add_member(now, config, member_id, join, ticket, step),
        }
    }

    /// An id comes back that was given out.
    pub(super) fn join_pending(
        &mut self,
        now: Now,
        config: &GroupConfig,
        join: Join,
        ticket: Ticket,
        step: &mut Step,
    ) {
        let member_id = join.member_id.clone();
        if join.instance_id.is_some() {
            let sentence = "this member id was given to a dynamic member, not to a static one";
            let error = GroupError::InvalidRequest(sentence.to_owned());
            refuse_join(ticket, error, member_id, step);
            return;
        }
        self.add_member(now, config, member_id, join, ticket, step);
    }

    /// Tells a dynamic member its id and to ask again with it, so that a client that gives up and
    /// asks anew does not leave members behind.
    fn give_out(
        &mut self,
        now: Now,
        config: &GroupConfig,
        member_id: Arc<str>,
        join: &Join,
        ticket: Ticket,
        step: &mut Step,
    ) {
        let taken = match self.state {
            State::PreparingRebalance => self.members.joining(),
            _ => self.members.len(),
        };
        let room = config
            .members_max
            .saturating_sub(taken)
            .min(PENDING_MEMBERS_MAX);
        if self.pending.len() >= room {
            refuse_join(ticket, GroupError::GroupMaxSizeReached, Arc::from(""), step);
            return;
        }
        self.pending.insert(member_id.clone());
        self.deadlines.set(
            Deadline::Session(member_id.clone()),
            now.moment + duration(join.session_timeout_ms),
        );
        refuse_join(ticket, GroupError::MemberIdRequired, member_id, step);
    }

    fn add_member(
        &mut self,
        now: Now,
        config: &GroupConfig,
        member_id: Arc<str>,
        join: Join,
        ticket: Ticket,
        step: &mut Step,
    ) {
        if let Some(initial) = &mut self.initial {
            initial.has_new_member = true;
        }
        if self.members.is_empty() {
            self.protocol_type = Some(join.protocol_type);
        }
        self.pending.remove(&member_id);
        self.members.insert(Member {
            id: member_id.clone(),
            instance_id: join.instance_id,
            client: join.client,
            rebalance_timeout_ms: join.rebalance_timeout_ms,
            session_timeout_ms: join.session_timeout_ms,
            protocols: join.protocols,
            assignment: Bytes::new(),
            join: Some(ticket),
            sync: None,
            is_new: true,
        });
        self.deadlines.set(
            Deadline::Session(member_id),
            now.moment + NEW_MEMBER_JOIN_TIMEOUT,
        );
        if self.state == State::Empty {
            self.begin_initial_rebalance(now, config.initial_rebalance_delay);
        } else {
            self.rebalance_or_complete(now, step);
        }
    }
}

/// `client.id-UUID`, of a static member `group.instance.id-UUID`.
fn new_member_id(join: &Join) -> Arc<str> {
    let prefix = join.instance_id.as_ref().unwrap_or(&join.client.id);
    let mut id = String::with_capacity(prefix.len() + 37);
    id.push_str(prefix);
    id.push('-');
    push_canonical(&mut id, join.fresh);
    Arc::from(id)
}

/// The sixteen bytes as Java's `UUID.toString` writes them.
fn push_canonical(text: &mut String, Uuid(bytes): Uuid) {
    for (place, byte) in bytes.iter().enumerate() {
        if matches!(place, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        let _ = write!(text, "{byte:02x}");
    }
}
