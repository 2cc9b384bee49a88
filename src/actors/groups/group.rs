//! The actor of one group: `coordination::group` with a mailbox, a log and one timer.
//!
//! Its shard hands it questions and takes the records of its steps. Invariant: the machine is given
//! nothing while the leader's log takes the records of a step, so that it never plans on a state the
//! log might refuse; and a reply leaves only when everything appended before it is committed.

use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use actix::prelude::*;
use tokio::sync::oneshot;

use super::messages::{
    AppendRecords, Committed, Configure, Expire, FromGroup, Handle, NotStored, Retire, Stored,
    TopicsChanged, Word,
};
use super::surroundings::{GroupPlace, Surroundings};
use crate::actors::gather::Slot;
use crate::actors::observe::PanicWatch;
use crate::coordination::group::Group;
use crate::coordination::messages::{GroupError, Reply};
use crate::coordination::{Step, Ticket};
use crate::model::{Moment, Offset};

/// Replies that wait for a commit.
struct Held {
    /// They may be given when records are committed up to here.
    until: Offset,
    /// When who waits is told that it did not work.
    deadline: Moment,
    replies: Vec<(Slot<Reply>, Reply)>,
}

/// What a group's actor is made of.
pub(super) struct GroupParts {
    pub(super) id: Arc<str>,
    /// The machine: new, or with its log replayed.
    pub(super) group: Group,
    pub(super) around: Rc<Surroundings>,
    pub(super) shard: Recipient<FromGroup>,
    /// Which load of the shard made it.
    pub(super) load: u32,
    /// Up to where the log was read.
    pub(super) appended: Offset,
    pub(super) committed: Offset,
    pub(super) place: GroupPlace,
}

/// See the module.
pub(super) struct GroupActor {
    id: Arc<str>,
    group: Group,
    around: Rc<Surroundings>,
    shard: Recipient<FromGroup>,
    load: u32,
    callers: HashMap<Ticket, Slot<Reply>>,
    /// How many questions it was asked; the next one's ticket.
    handled: u64,
    /// The end of what it appended, or loaded.
    appended: Offset,
    committed: Offset,
    /// Oldest first.
    held: VecDeque<Held>,
    /// The one real timer of this actor and the moment it fires.
    timer: Option<(Moment, SpawnHandle)>,
    _place: GroupPlace,
    _watch: PanicWatch,
}

impl GroupActor {
    pub(super) fn new(parts: GroupParts) -> GroupActor {
        let on_panic = Arc::clone(&parts.around.settings.on_panic);
        GroupActor {
            id: parts.id,
            group: parts.group,
            around: parts.around,
            shard: parts.shard,
            load: parts.load,
            callers: HashMap::new(),
            handled: 0,
            appended: parts.appended,
            committed: parts.committed,
            held: VecDeque::new(),
            timer: None,
            _place: parts.place,
            _watch: PanicWatch::new("group", on_panic),
        }
    }

    /// Carries out one step: append, replay, and hold the replies for the commit.
    ///
    /// The mailbox rests while the leader's log takes the records. It does not rest for the commit.
    fn carry_out(&mut self, step: Step, ctx: &mut Context<Self>) {
        let Step { records, replies } = step;
        if records.is_empty() {
            self.give(replies);
            return self.settle(ctx);
        }
        let (done, stored) = oneshot::channel();
        self.say(Word::Append(AppendRecords {
            records,
            group: ctx.address(),
            done,
        }));
        let stored = stored.into_actor(self);
        ctx.wait(stored.map(move |outcome, actor, ctx| match outcome {
            Ok(Ok(stored)) => actor.store(&stored, replies, ctx),
            Ok(Err(why @ (NotStored::TooLarge | NotStored::Failed))) => {
                actor.refuse(why, replies, ctx);
            }
            // Dropping the callers answers them all: this broker no longer coordinates the group.
            Ok(Err(NotStored::NotLeader)) | Err(_) => ctx.stop(),
        }));
    }

    fn say(&self, word: Word) {
        let load = self.load;
        self.shard.do_send(FromGroup { load, word });
    }

    fn store(&mut self, stored: &Stored, replies: Vec<(Ticket, Reply)>, ctx: &mut Context<Self>) {
        for record in &stored.records {
            self.group.replay(record);
        }
        self.appended = stored.end;
        self.commit(stored.high_watermark);
        self.give(replies);
        self.settle(ctx);
    }

    /// The log did not take a step: nothing of it has happened.
    fn refuse(&mut self, why: NotStored, replies: Vec<(Ticket, Reply)>, ctx: &mut Context<Self>) {
        let error = match why {
            NotStored::TooLarge => GroupError::TooLarge,
            NotStored::Failed | NotStored::NotLeader => GroupError::CoordinatorNotAvailable,
        };
        let failed = |(ticket, _)| (ticket, Reply::Failed(error.clone()));
        self.give(replies.into_iter().map(failed).collect());
        // Records of this step would meet the same log again, and again.
        let step = self.group.handle_append_failed(self.around.now());
        self.give(step.replies);
        self.settle(ctx);
    }

    /// Gives replies, now or when what was appended before them is committed.
    fn give(&mut self, replies: Vec<(Ticket, Reply)>) {
        let slots = replies.into_iter();
        let slots =
            slots.filter_map(|(ticket, reply)| Some((self.callers.remove(&ticket)?, reply)));
        if self.committed >= self.appended {
            return slots.for_each(|(slot, reply)| slot.answer(reply));
        }
        let replies: Vec<_> = slots.collect();
        match self.held.back_mut() {
            _ if replies.is_empty() => {}
            Some(last) if last.until == self.appended => last.replies.extend(replies),
            _ => self.held.push_back(Held {
                until: self.appended,
                deadline: self.around.clock.now() + self.around.settings.commit_timeout,
                replies,
            }),
        }
    }

    /// Records are committed up to here: who waited for that is answered.
    fn commit(&mut self, high_watermark: Offset) {
        self.committed = self.committed.max(high_watermark);
        for (slot, reply) in self.release(|held| held.until <= high_watermark) {
            slot.answer(reply);
        }
    }

    /// Nobody waits longer than `offsets.commit.timeout.ms`. What was asked for may still happen.
    fn give_up_waiting(&mut self, now: Moment) {
        for (slot, _) in self.release(|held| held.deadline <= now) {
            slot.answer(Reply::Failed(GroupError::CoordinatorNotAvailable));
        }
    }

    /// Takes what was held first, as long as it is to be released.
    fn release(&mut self, is_due: impl Fn(&Held) -> bool) -> Vec<(Slot<Reply>, Reply)> {
        let due = self.held.iter().take_while(|held| is_due(held)).count();
        let due = self.held.drain(..due);
        due.flat_map(|held| held.replies).collect()
    }

    /// After a step: the timer, and word to the shard if nothing is left.
    fn settle(&mut self, ctx: &mut Context<Self>) {
        self.rearm(ctx);
        if self.callers.is_empty() {
            // The memory of a join of a thousand members.
            if self.callers.capacity() > 16 {
                self.callers = HashMap::new();
            }
            if self.held.is_empty() && self.group.is_gone() {
                self.say(Word::Gone {
                    group: Arc::clone(&self.id),
                    handled: self.handled,
                });
            }
        }
    }

    /// Sees to it that the timer fires no later than the next deadline.
    ///
    /// A deadline that moved back leaves the timer as it is: it fires, finds nothing due, and is
    /// armed anew. So a heartbeat, which only ever postpones, costs no timer.
    fn rearm(&mut self, ctx: &mut Context<Self>) {
        let held = self.held.front().map(|held| held.deadline);
        let Some(at) = self.group.next_timeout().into_iter().chain(held).min() else {
            return;
        };
        if let Some((armed, timer)) = self.timer {
            if armed <= at {
                return;
            }
            ctx.cancel_future(timer);
        }
        let wait = self.around.clock.until(at);
        let timer = ctx.run_later(wait, GroupActor::on_timer);
        self.timer = Some((at, timer));
    }

    fn on_timer(&mut self, ctx: &mut Context<Self>) {
        self.timer = None;
        let now = self.around.now();
        self.give_up_waiting(now.moment);
        let due = self.group.next_timeout();
        if due.is_none_or(|due| due > now.moment) {
            return self.settle(ctx);
        }
        let step = self.group.handle_timeout(now, &self.around.topics());
        self.carry_out(step, ctx);
    }
}

impl Actor for GroupActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        let step = self.group.handle_loaded(self.around.now());
        self.carry_out(step, ctx);
    }
}

impl Handler<Handle> for GroupActor {
    type Result = ();

    fn handle(&mut self, Handle { request, slot }: Handle, ctx: &mut Context<Self>) {
        let ticket = Ticket(self.handled);
        self.handled += 1;
        let topics = self.around.topics();
        let now = self.around.now();
        let mut step = self.group.handle(now, request, ticket, &topics);
        // The usual case, a heartbeat answered at once, never enters the map.
        if step.records.is_empty()
            && step.replies.len() == 1
            && self.committed >= self.appended
            && let Some((_, reply)) = step.replies.pop_if(|(answered, _)| *answered == ticket)
        {
            slot.answer(reply);
            return self.settle(ctx);
        }
        self.callers.insert(ticket, slot);
        self.carry_out(step, ctx);
    }
}

impl Handler<Committed> for GroupActor {
    type Result = ();

    fn handle(&mut self, Committed(high_watermark): Committed, ctx: &mut Context<Self>) {
        self.commit(high_watermark);
        self.settle(ctx);
    }
}

impl Handler<TopicsChanged> for GroupActor {
    type Result = ();

    fn handle(&mut self, TopicsChanged(deleted): TopicsChanged, ctx: &mut Context<Self>) {
        let (now, topics) = (self.around.now(), self.around.topics());
        let step = self.group.handle_topics_changed(now, &topics, &deleted);
        self.carry_out(step, ctx);
    }
}

impl Handler<Expire> for GroupActor {
    type Result = ();

    fn handle(&mut self, _: Expire, ctx: &mut Context<Self>) {
        let step = self.group.handle_expiry(self.around.now());
        self.carry_out(step, ctx);
    }
}

impl Handler<Configure> for GroupActor {
    type Result = ();

    fn handle(&mut self, Configure(config): Configure, ctx: &mut Context<Self>) {
        self.group.set_config(config);
        self.settle(ctx);
    }
}

impl Handler<Retire> for GroupActor {
    type Result = ();

    fn handle(&mut self, _: Retire, ctx: &mut Context<Self>) {
        ctx.stop();
    }
}
