//! ConsumerGroupHeartbeat: joining, staying, leaving (Kafka's `consumerGroupHeartbeat` and
//! `consumerGroupLeave` of `GroupMetadataManager`).

use std::sync::Arc;

use super::plan::Plan;
use super::reconcile::Reconciliation;
use super::state::{Member, expression_of};
use crate::coordination::messages::{ConsumerHeartbeat, ConsumerHeartbeatReply, GroupError};
use crate::model::TopicId;
use crate::protocol::consumer_offsets::{Assignment, MemberState, MemberValue, Record};

/// The epoch of a member that wants to join.
pub(super) const JOINING: i32 = 0;
/// The epoch of a member that leaves.
pub(super) const LEAVING: i32 = -1;
/// The epoch of a static member that leaves and will be back.
pub(super) const AWAY: i32 = -2;

/// Refuses what no group could be asked (Kafka's `throwIfConsumerGroupHeartbeatRequestIsInvalid`).
pub(super) fn validate(
    request: &ConsumerHeartbeat,
    assignors: &[Arc<str>],
) -> Result<(), GroupError> {
    let refuse = |why: &str| Err(GroupError::InvalidRequest(why.to_owned()));
    let is_empty = |text: &Option<Arc<str>>| text.as_ref().is_some_and(|text| text.is_empty());
    if request.member_id.is_empty() && request.member_epoch != JOINING {
        return refuse("MemberId can't be empty.");
    }
    if is_empty(&request.instance_id) {
        return refuse("InstanceId can't be empty.");
    }
    if is_empty(&request.rack_id) {
        return refuse("RackId can't be empty.");
    }
    if request.member_epoch == JOINING {
        if request
            .rebalance_timeout_ms
            .is_none_or(|timeout| timeout == -1)
        {
            return refuse("RebalanceTimeoutMs must be provided in first request.");
        }
        if request.owned.as_ref().is_none_or(|owned| !owned.is_empty()) {
            return refuse("TopicPartitions must be empty when (re-)joining.");
        }
        if request.subscribed_topics.is_none() && request.subscribed_regex.is_none() {
            return refuse(
                "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining.",
            );
        }
    } else if request.member_epoch == AWAY && request.instance_id.is_none() {
        return refuse("InstanceId can't be null.");
    } else if request.member_epoch < AWAY {
        return refuse("MemberEpoch is invalid.");
    }
    match &request.server_assignor {
        Some(assignor) if !assignors.contains(assignor) => {
            Err(GroupError::UnsupportedAssignor(format!(
                "ServerAssignor {assignor} is not supported. Supported assignors: {}.",
                assignors.join(", ")
            )))
        }
        _ => Ok(()),
    }
}

/// What a member has after the step, for its answer and its timers.
pub(super) struct Outcome {
    /// The member's id.
    pub(super) id: Arc<str>,
    /// The member as it will be.
    pub(super) member: Member,
    /// Whether where it stands was recorded.
    pub(super) is_reconciled: bool,
    /// Whether its partitions are news to it.
    pub(super) has_news: bool,
}

/// Where a member comes from, before its wishes are looked at.
pub(super) struct Arrival {
    /// As it is now, or as it starts.
    pub(super) member: Member,
    /// The wishes the group counts for it so far; `None` if it is new.
    pub(super) known: Option<Arc<MemberValue>>,
}

/// What of a heartbeat or a join concerns where the member stands.
pub(super) struct Progress<'a> {
    pub(super) subscription_changed: bool,
    pub(super) owned: Option<&'a Assignment>,
}

impl Plan<'_> {
    /// A heartbeat of a member that stays or joins. `metadata_is_stale`: the subscribed topics may
    /// have changed since their hash was recorded.
    pub(super) fn heartbeat(
        &mut self,
        request: &ConsumerHeartbeat,
        metadata_is_stale: bool,
    ) -> Result<Outcome, GroupError> {
        let id = match &request.member_id {
            id if id.is_empty() => Arc::from(request.fresh.to_string()),
            id => Arc::clone(id),
        };
        self.check_group(request, &id)?;
        let arrival = match &request.instance_id {
            Some(instance) => self.arrive_static(request, &id, instance)?,
            None => self.arrive(request, &id)?,
        };
        let mut member = arrival.member.clone();
        let value = updated(&member.value, request);
        let progress = Progress {
            subscription_changed: self.change_wishes(
                &id,
                &arrival,
                &mut member,
                value,
                metadata_is_stale,
            )?,
            owned: request.owned.as_ref(),
        };
        let (next, is_reconciled) = self.advance_member(&id, member, &progress)?;
        let is_full_request = request.rebalance_timeout_ms.is_some()
            && (request.subscribed_topics.is_some() || request.subscribed_regex.is_some())
            && request.owned.is_some();
        Ok(Outcome {
            has_news: request.member_epoch == JOINING
                || is_full_request
                || next.assigned != arrival.member.assigned,
            id,
            member: next,
            is_reconciled,
        })
    }

    fn check_group(&self, request: &ConsumerHeartbeat, id: &Arc<str>) -> Result<(), GroupError> {
        let state = self.context.state;
        if request.member_epoch != JOINING && state.is_gone() {
            return Err(group_not_found(self.context.group));
        }
        if state.members.len() >= self.context.config.consumer_members_max
            && !state.members.contains_key(id)
        {
            return Err(GroupError::GroupMaxSizeReached);
        }
        Ok(())
    }

    fn arrive(&self, request: &ConsumerHeartbeat, id: &Arc<str>) -> Result<Arrival, GroupError> {
        let Some(member) = self.context.state.members.get(id) else {
            if request.member_epoch != JOINING {
                return Err(GroupError::UnknownMemberId);
            }
            return Ok(Arrival {
                member: Member::new(),
                known: None,
            });
        };
        check_epoch(member, request)?;
        Ok(Arrival {
            member: member.clone(),
            known: Some(Arc::clone(&member.value)),
        })
    }

    fn arrive_static(
        &mut self,
        request: &ConsumerHeartbeat,
        id: &Arc<str>,
        instance: &Arc<str>,
    ) -> Result<Arrival, GroupError> {
        let state = self.context.state;
        let known = state
            .instances
            .get(instance)
            .and_then(|owner| Some((owner, state.members.get(owner)?)));
        let Some((owner, member)) = known else {
            if request.member_epoch != JOINING {
                return Err(GroupError::UnknownMemberId);
            }
            return self.arrive(request, id);
        };
        if request.member_epoch != JOINING {
            if owner != id {
                return Err(GroupError::FencedInstanceId);
            }
            check_epoch(member, request)?;
        } else if owner != id {
            if member.epoch != AWAY && !member.is_classic() {
                return Err(GroupError::UnreleasedInstanceId);
            }
            return Ok(self.replace_member(owner, member, id));
        }
        // The same client once more, having given up all it had: its answer was lost, or it was
        // fenced. Kafka answers UNRELEASED_INSTANCE_ID here, which ends such a client.
        let mut member = member.clone();
        if member.epoch == AWAY {
            (member.epoch, member.previous_epoch) = (0, 0);
        }
        Ok(Arrival {
            known: Some(Arc::clone(&member.value)),
            member,
        })
    }

    /// A static member comes back under another id: it takes over all the old one had.
    pub(super) fn replace_member(
        &mut self,
        owner: &Arc<str>,
        member: &Member,
        id: &Arc<str>,
    ) -> Arrival {
        let target = self.context.state.targets.get(owner);
        let target = target.map(|target| Assignment::clone(target));
        let taking_over = Member {
            epoch: 0,
            previous_epoch: 0,
            ..member.clone()
        };
        self.remove_member(owner);
        let group = self.group();
        self.records.push(Record::Member {
            group: Arc::clone(&group),
            member: Arc::clone(id),
            value: Some(MemberValue::clone(&taking_over.value)),
        });
        self.records.push(Record::TargetMember {
            group,
            member: Arc::clone(id),
            value: Some(target.unwrap_or_default()),
        });
        self.record_current(id, &taking_over);
        self.replaced = Some(Arc::clone(owner));
        Arrival {
            known: Some(Arc::clone(&taking_over.value)),
            member: taking_over,
        }
    }

    /// Gives a member new wishes, and the group a new epoch if that changes what it is subscribed
    /// to. Gives whether the member's subscription changed.
    pub(super) fn change_wishes(
        &mut self,
        id: &Arc<str>,
        arrival: &Arrival,
        member: &mut Member,
        value: MemberValue,
        metadata_is_stale: bool,
    ) -> Result<bool, GroupError> {
        let known = arrival.known.as_deref();
        let names_changed = match known {
            Some(known) => known.subscribed_topics != value.subscribed_topics,
            None => !value.subscribed_topics.is_empty(),
        };
        let old_expression = known.and_then(expression_of);
        let expression_changed = old_expression != expression_of(&value);
        if known != Some(&value) {
            self.records.push(Record::Member {
                group: self.group(),
                member: Arc::clone(id),
                value: Some(value.clone()),
            });
        }
        let resolved = self.change_expression(known, &value)?;
        let bump = names_changed || resolved;
        if bump || metadata_is_stale {
            let hash = self.metadata_hash(known, Some(&value));
            if bump || hash != self.context.state.metadata_hash {
                self.bump_epoch(hash);
            }
        }
        member.value = Arc::new(value);
        Ok(names_changed || expression_changed)
    }

    /// Brings a member towards its target. Gives the member as it will be, and whether that was
    /// recorded.
    pub(super) fn advance_member(
        &mut self,
        id: &Arc<str>,
        member: Member,
        progress: &Progress<'_>,
    ) -> Result<(Member, bool), GroupError> {
        let target = self.target(id, &member);
        self.reconcile(id, member, &target, progress)
    }

    /// See [`Plan::advance_member`], towards a target that is known.
    pub(super) fn reconcile(
        &mut self,
        id: &Arc<str>,
        member: Member,
        target: &super::target::Target,
        progress: &Progress<'_>,
    ) -> Result<(Member, bool), GroupError> {
        let topics: Vec<TopicId> = target
            .assignment
            .keys()
            .chain(member.assigned.topics())
            .copied()
            .collect();
        let subscribed = self.subscription_of(&member.value, topics.into_iter());
        let (state, replaced) = (self.context.state, self.replaced.as_ref());
        let next = Reconciliation {
            member: &member,
            target_epoch: target.epoch,
            target: &target.assignment,
            subscription_changed: progress.subscription_changed,
            owned: progress.owned,
        }
        .next(
            &mut |topic| subscribed.get(topic).copied().unwrap_or(false),
            &|topic, partition| {
                let owner = state.owner(topic, partition);
                owner.is_some_and(|owner| owner != id && Some(owner) != replaced)
            },
        )?;
        Ok(match next {
            Some(next) => {
                self.record_current(id, &next);
                (next, true)
            }
            None => (member, false),
        })
    }

    pub(super) fn record_current(&mut self, id: &Arc<str>, member: &Member) {
        self.records.push(Record::CurrentMember {
            group: self.group(),
            member: Arc::clone(id),
            value: Some(member.current()),
        });
    }

    /// A member that leaves. Gives its id, and whether it is only away.
    pub(super) fn find_leaving(&self, request: &ConsumerHeartbeat) -> Result<Arc<str>, GroupError> {
        let state = self.context.state;
        if state.is_gone() {
            return Err(group_not_found(self.context.group));
        }
        let owner = match &request.instance_id {
            None => Some(&request.member_id).filter(|id| state.members.contains_key(*id)),
            Some(instance) => state.instances.get(instance),
        };
        let owner = owner.ok_or(GroupError::UnknownMemberId)?;
        if request.instance_id.is_some() && *owner != request.member_id {
            return Err(GroupError::FencedInstanceId);
        }
        Ok(Arc::clone(owner))
    }

    /// A static member goes away for a while: it keeps what it has, at epoch zero, so that who
    /// comes back in its place may commit for it.
    pub(super) fn go_away(&mut self, id: &Arc<str>) {
        if let Some(member) = self.context.state.members.get(id) {
            let away = Member {
                epoch: AWAY,
                assigned: member.assigned.with_epochs_zero(),
                pending_revocation: super::owned::OwnedPartitions::default(),
                ..member.clone()
            };
            self.record_current(id, &away);
        }
    }
}

fn group_not_found(group: &str) -> GroupError {
    GroupError::GroupIdNotFound(format!("Consumer group {group} not found."))
}

/// Refuses an epoch that is neither the member's nor, from a member that missed an answer, the one
/// before.
fn check_epoch(member: &Member, request: &ConsumerHeartbeat) -> Result<(), GroupError> {
    let received = request.member_epoch;
    let missed_an_answer = || {
        let owned = request.owned.as_ref();
        received == member.previous_epoch && owned.is_some_and(|o| member.assigned.includes(o))
    };
    if received == JOINING || received == member.epoch {
        return Ok(());
    }
    let order = if received > member.epoch {
        "greater"
    } else {
        "smaller"
    };
    if received < member.epoch && missed_an_answer() {
        return Ok(());
    }
    Err(GroupError::FencedMemberEpoch(format!(
        "The consumer group member has a {order} member epoch ({received}) than the one known by the group coordinator ({}). The member must abandon all its partitions and rejoin.",
        member.epoch
    )))
}

/// A member's wishes with what a heartbeat changes of them.
fn updated(known: &MemberValue, request: &ConsumerHeartbeat) -> MemberValue {
    let topics = request.subscribed_topics.as_ref().map(|topics| {
        let mut topics = topics.clone();
        topics.sort_unstable();
        topics.dedup();
        topics
    });
    let expression = match &request.subscribed_regex {
        Some(expression) if expression.is_empty() => None,
        Some(expression) => Some(Arc::clone(expression)),
        None => known.subscribed_regex.clone(),
    };
    let or = |new: &Option<Arc<str>>, old: &Option<Arc<str>>| new.clone().or_else(|| old.clone());
    MemberValue {
        instance_id: or(&request.instance_id, &known.instance_id),
        rack_id: or(&request.rack_id, &known.rack_id),
        client_id: Arc::clone(&request.client.id),
        client_host: Arc::clone(&request.client.host),
        subscribed_topics: topics.unwrap_or_else(|| known.subscribed_topics.clone()),
        subscribed_regex: expression,
        rebalance_timeout_ms: request
            .rebalance_timeout_ms
            .filter(|timeout| *timeout != -1)
            .unwrap_or(known.rebalance_timeout_ms),
        server_assignor: or(&request.server_assignor, &known.server_assignor),
        classic: None,
    }
}

/// Whether a heartbeat of this member would change nothing, so that it can be answered at once.
pub(super) fn is_without_change(
    member: &Member,
    request: &ConsumerHeartbeat,
    target_epoch: i32,
) -> bool {
    let same = |new: &Option<Arc<str>>, old: &Option<Arc<str>>| new.is_none() || new == old;
    let value = &member.value;
    let expression = request.subscribed_regex.as_ref();
    request.member_epoch == member.epoch
        && member.state == MemberState::Stable
        && member.epoch == target_epoch
        && !member.is_classic()
        && request.server_assignor.is_none()
        && same(&request.rack_id, &value.rack_id)
        && same(&request.instance_id, &value.instance_id)
        && request.client.id == value.client_id
        && request.client.host == value.client_host
        && request
            .rebalance_timeout_ms
            .is_none_or(|timeout| timeout == -1 || timeout == value.rebalance_timeout_ms)
        && request.subscribed_topics.is_none()
        && expression.is_none_or(|e| value.subscribed_regex.as_ref() == Some(e))
}

/// The answer to a heartbeat.
pub(super) fn answer(outcome: &Outcome, heartbeat_interval_ms: i32) -> ConsumerHeartbeatReply {
    ConsumerHeartbeatReply {
        member_id: Arc::clone(&outcome.id),
        member_epoch: outcome.member.epoch,
        heartbeat_interval_ms,
        assignment: outcome
            .has_news
            .then(|| outcome.member.assigned.partitions()),
    }
}
