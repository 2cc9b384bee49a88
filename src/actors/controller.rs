//! The controller's shell: plans through the machine, proposes to the quorum, answers when it is so.
//!
//! A request is planned at once, on top of everything planned before. Its records join the next
//! proposal; one proposal is under way at a time, so that whatever was asked meanwhile shares the
//! next flush. An answer waits until its records are committed and this node's readers see them.
//! Invariant: nobody is answered from what is only planned.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix::prelude::*;
use tokio::sync::oneshot;

use super::metadata::AwaitPublished;
use super::observe::PanicWatch;
use super::quorum_messages::{
    Committed, LeadershipChanged, LookForSpace, Propose, ProposeError, SnapshotInstalled,
};
use crate::metadata::controller::{Controller, Plan, Reply, Request};
use crate::metadata::{Image, MetadataRecord};
use crate::model::BrokerId;

/// A proposal takes a flush and a round trip; one that takes this long has an unknown fate.
const PROPOSE_DEADLINE: Duration = Duration::from_secs(30);
/// How long an answer waits for this node's readers, once its records are committed.
const PUBLICATION_DEADLINE: Duration = Duration::from_secs(10);
/// How long until the fate of a lost proposal is asked after once more.
const SETTLE_BACKOFF: Duration = Duration::from_secs(1);
/// How many records make a proposal full. A single plan may be larger: it is never split.
const PROPOSAL_RECORDS_MAX: usize = 20_000;
/// How many askers may wait; who comes then is told that the controller is busy.
const ASKERS_MAX: usize = 10_000;

/// Asks the controller. The asker brings the deadline; dropping the future takes nothing back.
#[derive(Debug, Message)]
#[rtype(result = "Result<Reply, ControllerUnavailable>")]
pub struct AskController(pub Request);

/// Answers once this node is the controller.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct AwaitLeadership;

/// Why the controller gave no reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ControllerUnavailable {
    /// Another node is the controller, or none. Nothing was changed.
    #[error("this node is not the controller")]
    NotController {
        /// Who is, if known.
        leader: Option<BrokerId>,
    },
    /// Too many wait already. Nothing was changed.
    #[error("the controller has too many requests to answer")]
    Busy,
    /// The disk of the metadata log is full. Nothing was changed.
    #[error("the disk of the metadata log is full; delete topics or make space, and try again")]
    Full,
    /// What was asked may take effect, or not.
    #[error("the fate of the change is not known")]
    Undecided,
}

type Outcome = Result<Reply, ControllerUnavailable>;
/// Somebody who waits, and the answer that is held back.
type Held = (oneshot::Sender<Outcome>, Reply);

/// Records that are proposed together, and who waits for them.
#[derive(Default)]
struct Batch {
    records: Vec<MetadataRecord>,
    held: Vec<Held>,
}

/// Whether plans may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// Another node leads.
    Follows { leader: Option<BrokerId> },
    /// This node leads, and nothing it does not know of is on its way into the log.
    Leads,
    /// This node leads, but a proposal was lost from sight: plans wait for an entry proposed after
    /// it, which cannot be committed before the fate of the lost one is sealed.
    Settles {
        /// The index of that entry, once it is committed.
        until: Option<u64>,
    },
}

/// How the controller learns that the disk of the metadata log is full.
pub struct Space {
    /// Set while it is.
    pub is_short: Arc<AtomicBool>,
    /// Looks whether it still is.
    pub quorum: Recipient<LookForSpace>,
}

/// See the module.
pub struct ControllerActor {
    /// None where the metadata log never fills a disk.
    space: Option<Space>,
    machine: Controller,
    quorum: Recipient<Propose>,
    publication: Recipient<AwaitPublished>,
    random: Box<dyn FnMut() -> [u8; 16]>,
    standing: Standing,
    /// Who waits for this node to lead.
    hopeful: Vec<oneshot::Sender<()>>,
    /// Rises when proposals under way stop counting: their answers come too late.
    reign: u64,
    /// The proposal under way.
    proposed: Option<Batch>,
    /// What is proposed next.
    pending: VecDeque<Batch>,
    /// Committed, but not yet replayed here: the quorum tells the two on different ways.
    committed: VecDeque<(u64, Vec<Held>)>,
    /// The index up to which the machine has replayed.
    replayed: u64,
    _watch: PanicWatch,
}

impl ControllerActor {
    /// With a disk that can be full: then nothing is begun that asks for more metadata.
    pub fn on_a_disk(mut self, space: Space) -> ControllerActor {
        self.space = Some(space);
        self
    }

    /// A controller that leads once the quorum says so. `random` gives sixteen random bytes.
    pub fn new(
        machine: Controller,
        quorum: Recipient<Propose>,
        publication: Recipient<AwaitPublished>,
        random: Box<dyn FnMut() -> [u8; 16]>,
        watch: PanicWatch,
    ) -> ControllerActor {
        ControllerActor {
            space: None,
            machine,
            quorum,
            publication,
            random,
            standing: Standing::Follows { leader: None },
            hopeful: Vec::new(),
            reign: 0,
            proposed: None,
            pending: VecDeque::new(),
            committed: VecDeque::new(),
            replayed: 0,
            _watch: watch,
        }
    }

    fn unavailable(&self) -> Option<ControllerUnavailable> {
        let batches = self.pending.iter().chain(&self.proposed);
        let waiting: usize = batches.map(|batch| batch.held.len()).sum();
        match self.standing {
            Standing::Follows { leader } => Some(ControllerUnavailable::NotController { leader }),
            Standing::Settles { .. } => Some(ControllerUnavailable::Busy),
            Standing::Leads if waiting >= ASKERS_MAX => Some(ControllerUnavailable::Busy),
            Standing::Leads => None,
        }
    }

    /// Lets the answer to a plan wait for its records, and for all planned before.
    fn hold(&mut self, asker: oneshot::Sender<Outcome>, plan: Plan) {
        let held = (asker, plan.reply);
        if plan.records.is_empty() {
            let last = self.pending.back_mut().or(self.proposed.as_mut());
            let last = last.map(|batch| &mut batch.held);
            match last.or(self.committed.back_mut().map(|(_, held)| held)) {
                Some(waiting) => waiting.push(held),
                None => answer(vec![held]),
            }
            return;
        }
        let fits = |batch: &&mut Batch| {
            batch.records.len().saturating_add(plan.records.len()) <= PROPOSAL_RECORDS_MAX
        };
        match self.pending.back_mut().filter(fits) {
            Some(batch) => {
                batch.records.extend(plan.records);
                batch.held.push(held);
            }
            None => self.pending.push_back(Batch {
                records: plan.records,
                held: vec![held],
            }),
        }
    }

    /// Proposes what is pending, unless a proposal is under way.
    fn propose(&mut self, ctx: &mut Context<Self>) {
        if self.proposed.is_some() {
            return;
        }
        let Some(mut batch) = self.pending.pop_front() else {
            return;
        };
        let records = std::mem::take(&mut batch.records);
        self.proposed = Some(batch);
        self.send(records, ctx, |actor, result, ctx| {
            let held = actor.proposed.take().unwrap_or_default().held;
            match result {
                Ok(index) => {
                    actor.committed.push_back((index, held));
                    actor.release(ctx);
                    actor.propose(ctx);
                }
                Err(ProposeError::NotLeader { leader }) => {
                    refuse(held, ControllerUnavailable::NotController { leader });
                    actor.step_down(Standing::Follows { leader });
                }
                Err(ProposeError::Undecided) => {
                    refuse(held, ControllerUnavailable::Undecided);
                    actor.step_down(Standing::Settles { until: None });
                    actor.settle(ctx);
                }
            }
        });
    }

    /// Sends a proposal; `then` gets its result, unless the reign has ended meanwhile.
    fn send(
        &mut self,
        records: Vec<MetadataRecord>,
        ctx: &mut Context<Self>,
        then: impl FnOnce(&mut Self, Result<u64, ProposeError>, &mut Context<Self>) + 'static,
    ) {
        let reign = self.reign;
        let proposal = self.quorum.send(Propose(records)).into_actor(self);
        let proposal = proposal.timeout(PROPOSE_DEADLINE);
        ctx.spawn(proposal.map(move |result, actor, ctx| {
            if actor.reign != reign {
                return;
            }
            let result = match result {
                Ok(Ok(result)) => result,
                // The quorum is gone, or too slow: nobody knows what it has done.
                Ok(Err(_)) | Err(()) => Err(ProposeError::Undecided),
            };
            then(actor, result, ctx);
        }));
    }

    /// Answers what is committed and replayed, once this node's readers see it.
    fn release(&mut self, ctx: &mut Context<Self>) {
        while let Some((index, held)) = self.next_replayed() {
            let published = self
                .publication
                .send(AwaitPublished(index))
                .into_actor(self);
            let published = published.timeout(PUBLICATION_DEADLINE);
            ctx.spawn(published.map(move |result, _, _| {
                if !matches!(result, Ok(Ok(()))) {
                    log::warn!("metadata version {index} is committed but not yet published here");
                }
                answer(held);
            }));
        }
    }

    fn next_replayed(&mut self) -> Option<(u64, Vec<Held>)> {
        let (index, _) = self.committed.front()?;
        if *index > self.replayed {
            return None;
        }
        self.committed.pop_front()
    }

    /// Forgets every plan that is not committed, and tells those who wait.
    fn step_down(&mut self, standing: Standing) {
        self.reign += 1;
        self.standing = standing;
        self.machine.handle_lost_leadership();
        let leader = match standing {
            Standing::Follows { leader } => leader,
            Standing::Leads | Standing::Settles { .. } => None,
        };
        if let Some(proposed) = self.proposed.take() {
            refuse(proposed.held, ControllerUnavailable::Undecided);
        }
        for batch in self.pending.drain(..) {
            refuse(batch.held, ControllerUnavailable::NotController { leader });
        }
    }

    /// Finds out what became of a lost proposal: an empty entry comes after it in the log.
    fn settle(&mut self, ctx: &mut Context<Self>) {
        if self.standing != (Standing::Settles { until: None }) {
            return;
        }
        self.send(Vec::new(), ctx, |actor, result, ctx| match result {
            Ok(index) => {
                actor.standing = Standing::Settles { until: Some(index) };
                actor.lead_if_settled();
            }
            Err(ProposeError::NotLeader { leader }) => {
                actor.step_down(Standing::Follows { leader });
            }
            Err(ProposeError::Undecided) => {
                ctx.run_later(SETTLE_BACKOFF, |actor, ctx| actor.settle(ctx));
            }
        });
    }

    fn lead_if_settled(&mut self) {
        if let Standing::Settles { until: Some(index) } = self.standing
            && index <= self.replayed
        {
            self.standing = Standing::Leads;
        }
    }

    fn replayed_to(&mut self, index: u64, ctx: &mut Context<Self>) {
        self.replayed = index;
        self.lead_if_settled();
        self.release(ctx);
    }
}

fn answer(held: Vec<Held>) {
    for (asker, reply) in held {
        // The asker may have hung up; that is its right.
        let _ = asker.send(Ok(reply));
    }
}

fn refuse(held: Vec<Held>, why: ControllerUnavailable) {
    for (asker, _) in held {
        let _ = asker.send(Err(why));
    }
}

impl Actor for ControllerActor {
    type Context = Context<Self>;
}

impl Handler<AskController> for ControllerActor {
    type Result = ResponseFuture<Outcome>;

    fn handle(
        &mut self,
        AskController(request): AskController,
        ctx: &mut Context<Self>,
    ) -> Self::Result {
        if let Some(why) = self.unavailable() {
            return Box::pin(std::future::ready(Err(why)));
        }
        if let Some(space) = &self.space
            && grows(&request)
            && space.is_short.load(Ordering::Acquire)
        {
            space.quorum.do_send(LookForSpace);
            return Box::pin(std::future::ready(Err(ControllerUnavailable::Full)));
        }
        let (asker, outcome) = oneshot::channel();
        let plan = self.machine.handle(request, &mut self.random);
        self.hold(asker, plan);
        self.propose(ctx);
        // A sender that is dropped went down with this actor.
        Box::pin(async move {
            outcome
                .await
                .unwrap_or(Err(ControllerUnavailable::Undecided))
        })
    }
}

/// Whether a request asks for more metadata than there was, so that it can wait for space. Others are
/// small, and some of them make space.
fn grows(request: &Request) -> bool {
    matches!(
        request,
        Request::CreateTopics { .. }
            | Request::CreatePartitions { .. }
            | Request::AlterConfigs { .. }
            | Request::UpdateFeatures { .. }
    )
}

impl Handler<Committed> for ControllerActor {
    type Result = ();

    fn handle(&mut self, committed: Committed, ctx: &mut Context<Self>) {
        if committed.index <= self.replayed {
            return;
        }
        for record in committed.records.iter() {
            self.machine.replay(record);
        }
        self.replayed_to(committed.index, ctx);
    }
}

impl Handler<SnapshotInstalled> for ControllerActor {
    type Result = ();

    fn handle(&mut self, snapshot: SnapshotInstalled, ctx: &mut Context<Self>) {
        self.machine
            .handle_loaded(Image::of_records(snapshot.records.iter()));
        self.replayed_to(snapshot.index, ctx);
    }
}

impl Handler<LeadershipChanged> for ControllerActor {
    type Result = ();

    fn handle(&mut self, changed: LeadershipChanged, _: &mut Context<Self>) {
        let standing = if changed.leads {
            Standing::Leads
        } else {
            Standing::Follows {
                leader: changed.leader,
            }
        };
        // Also when it leads again: what it proposed in an earlier reign is not its own any more.
        if self.standing != standing {
            self.step_down(standing);
        }
        if changed.leads {
            for hopeful in self.hopeful.drain(..) {
                // Who hung up does not wait any more.
                let _ = hopeful.send(());
            }
        }
    }
}

impl Handler<AwaitLeadership> for ControllerActor {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: AwaitLeadership, _: &mut Context<Self>) -> Self::Result {
        let (told, leads) = oneshot::channel();
        match self.standing {
            Standing::Follows { .. } => self.hopeful.push(told),
            Standing::Leads | Standing::Settles { .. } => drop(told),
        }
        Box::pin(async move {
            // An actor that is gone never leads; the asker has its own deadline.
            let _ = leads.await;
        })
    }
}

#[cfg(test)]
#[path = "controller_tests.rs"]
mod tests;
