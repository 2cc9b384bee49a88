//! The actor of one led partition of `__consumer_offsets`: loads its groups, hands them questions,
//! and puts their records into the log.
//!
//! A [`host`](super::host) starts it when this broker leads the partition and ends it when it no
//! longer does. Invariant: a group is either in the map, or nothing of it is in the log; a question
//! that comes before everything is loaded is told so.

use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use tokio::sync::oneshot;

use super::appends::Appends;
use super::group::{GroupActor, GroupParts};
use super::loading::{LoadError, Loaded, load};
use super::messages::{
    AskGroup, Committed, Configure, Expire, FromGroup, Handle, ListGroups, NotStored, Retire,
    TopicsChanged, Word,
};
use super::surroundings::{GroupPlace, Surroundings};
use crate::actors::gather::{Slot, gather};
use crate::actors::observe::PanicWatch;
use crate::actors::partition_messages::{
    Append, AppendReply, HighWatermarkMoved, Listen, Look, PartitionKey, WriteError,
};
use crate::coordination::Ticket;
use crate::coordination::group::Group;
use crate::coordination::messages::{GroupError, Reply, Request, Summary};
use crate::model::{CONSUMER_OFFSETS, Offset};
use crate::replication::Acks;

/// How long a shard whose partition is offline waits before it looks again.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// The same of one whose log is damaged, which it reads up to there each time.
const LOOK_AGAIN_AT_DAMAGE: Duration = Duration::from_secs(60);
/// The longest id a group may have: what the keys of its records can say.
const GROUP_ID_BYTES_MAX: usize = i16::MAX as usize;
/// How long a list waits for a group whose log is slow.
const LIST_PATIENCE: Duration = Duration::from_secs(5);

enum State {
    Loading,
    Serving,
    /// Its log cannot be read.
    Unavailable,
}

/// A group, and how many questions it was handed.
struct Resident {
    actor: Addr<GroupActor>,
    forwarded: u64,
}

/// See the module.
pub struct GroupShardActor {
    key: PartitionKey,
    around: Rc<Surroundings>,
    state: State,
    groups: HashMap<Arc<str>, Resident>,
    appends: Appends,
    high_watermark: Offset,
    /// Up to where the log was read when it was loaded.
    loaded_end: Offset,
    /// To be loaded anew as soon as nothing is on its way into the log.
    reload_wanted: bool,
    /// How often it was loaded.
    loads: u32,
    /// Dropped when the first load has ended.
    first_load: Option<oneshot::Sender<()>>,
    /// Groups that wait for a commit, by offset.
    waiting: VecDeque<(Offset, Addr<GroupActor>)>,
    _watch: PanicWatch,
}

impl GroupShardActor {
    /// The shard of a partition that this broker leads; `first_load` is dropped when its first load
    /// has ended.
    pub(super) fn new(
        key: PartitionKey,
        around: Rc<Surroundings>,
        first_load: oneshot::Sender<()>,
    ) -> GroupShardActor {
        let settings = &around.settings;
        let name = format!("shard of {CONSUMER_OFFSETS}-{}", key.1);
        GroupShardActor {
            key,
            state: State::Loading,
            groups: HashMap::new(),
            appends: Appends::new(settings.codec, bytes_max(&around)),
            high_watermark: Offset::ZERO,
            loaded_end: Offset::ZERO,
            reload_wanted: false,
            loads: 0,
            first_load: Some(first_load),
            waiting: VecDeque::new(),
            _watch: PanicWatch::new(name, Arc::clone(&settings.on_panic)),
            around,
        }
    }

    fn load(&mut self, ctx: &mut Context<Self>) {
        let (mut slots, views) = gather(1);
        let looks = slots.pop().map(|slot| {
            let look = Look {
                current_epoch: None,
                any_replica: false,
                slot,
            };
            (self.key, look)
        });
        let listener = ctx.address().recipient();
        let partitions = &self.around.partitions;
        partitions.send(vec![(self.key, Listen { listener })]);
        partitions.send(looks.into_iter().collect());
        let (settings, image) = (self.around.settings.clone(), self.around.image());
        let work = async move {
            match views.all().await.pop().flatten() {
                Some(Ok(view)) => {
                    let high_watermark = view.high_watermark;
                    let loaded = load(view, settings, image).await?;
                    Ok((loaded, high_watermark))
                }
                Some(Err(_)) | None => Err(LoadError::Absent),
            }
        };
        ctx.spawn(
            work.into_actor(self)
                .map(|outcome, shard, ctx| match outcome {
                    Ok((loaded, high_watermark)) => shard.serve(loaded, high_watermark, ctx),
                    Err(error) => shard.look_again(&error, ctx),
                }),
        );
    }

    fn serve(&mut self, loaded: Loaded, high_watermark: Offset, ctx: &mut Context<Self>) {
        if loaded.records > 0 {
            log::info!(
                "{CONSUMER_OFFSETS}-{}: {} groups loaded from {} records",
                self.key.1,
                loaded.groups.len(),
                loaded.records
            );
        }
        self.high_watermark = self.high_watermark.max(high_watermark);
        self.loaded_end = loaded.end;
        self.state = State::Serving;
        self.first_load = None;
        for (id, group) in loaded.groups {
            let place = self.around.settings.quota.place_loaded();
            self.move_in(id, group, place, ctx);
        }
    }

    fn look_again(&mut self, error: &LoadError, ctx: &mut Context<Self>) {
        if matches!(self.state, State::Loading) {
            log::error!(
                "{CONSUMER_OFFSETS}-{}: its groups cannot be loaded: {error}",
                self.key.1
            );
        }
        self.state = State::Unavailable;
        self.first_load = None;
        let wait = match error {
            LoadError::Damaged { .. } => LOOK_AGAIN_AT_DAMAGE,
            LoadError::Absent | LoadError::Read(_) | LoadError::Threads(_) => LOOK_AGAIN,
        };
        ctx.run_later(wait, GroupShardActor::load);
    }

    fn move_in(&mut self, id: Arc<str>, group: Group, place: GroupPlace, ctx: &Context<Self>) {
        let actor = GroupActor::new(GroupParts {
            id: Arc::clone(&id),
            group,
            around: Rc::clone(&self.around),
            shard: ctx.address().recipient(),
            load: self.loads,
            appended: self.loaded_end,
            committed: self.high_watermark,
            place,
        });
        let actor = actor.start();
        if self.high_watermark < self.loaded_end {
            self.waiting.push_front((self.loaded_end, actor.clone()));
        }
        let forwarded = 0;
        self.groups.insert(id, Resident { actor, forwarded });
    }

    /// Hands a question to its group, which is made if the question may make one.
    fn ask(&mut self, question: AskGroup, ctx: &mut Context<Self>) {
        let AskGroup {
            group: id,
            request,
            slot,
        } = question;
        let resident = self.groups.get(&id);
        if resident.is_some_and(|resident| !resident.actor.connected()) {
            return self.reload(&id, ctx);
        }
        if resident.is_none() {
            if id.len() > GROUP_ID_BYTES_MAX {
                return slot.answer(Reply::Failed(GroupError::InvalidGroupId));
            }
            if !may_create(&request) {
                return slot.answer(self.answer_of_nobody(id, request));
            }
            let Some(place) = self.around.settings.quota.place() else {
                return slot.answer(Reply::Failed(GroupError::TooManyGroups));
            };
            let group = Group::new(Arc::clone(&id), self.around.group_config(&id));
            self.move_in(Arc::clone(&id), group, place, ctx);
        }
        if let Some(resident) = self.groups.get_mut(&id) {
            resident.forwarded += 1;
            resident.actor.do_send(Handle { request, slot });
        }
    }

    /// A group's actor panicked, and what it held with it. The log has all that counts: everybody
    /// is sent away, and comes back to groups that are right again.
    fn reload(&mut self, id: &str, ctx: &mut Context<Self>) {
        log::error!(
            "{CONSUMER_OFFSETS}-{}: the groups are loaded anew, because the actor of {id} is gone",
            self.key.1
        );
        self.state = State::Loading;
        self.loads = self.loads.wrapping_add(1);
        self.tell_all(&Retire);
        self.groups.clear();
        self.waiting.clear();
        self.appends.forget_waiting();
        self.reload_wanted = self.appends.is_under_way();
        if !self.reload_wanted {
            self.load(ctx);
        }
    }

    /// What a group that is not there answers.
    fn answer_of_nobody(&self, id: Arc<str>, request: Request) -> Reply {
        let config = self.around.group_config(&id);
        let mut group = Group::new(id, config);
        let (now, topics) = (self.around.now(), self.around.topics());
        let mut step = group.handle(now, request, Ticket(0), &topics);
        match step.replies.pop() {
            Some((_, reply)) if step.records.is_empty() => reply,
            // Only questions that make groups are answered otherwise.
            _ => Reply::Failed(GroupError::CoordinatorNotAvailable),
        }
    }

    fn append_next(&mut self, ctx: &mut Context<Self>) {
        let Some(batch) = self.appends.next() else {
            return;
        };
        let (slots, appended) = gather(1);
        let deadline = self.around.clock.now() + self.around.settings.commit_timeout;
        let append = slots.into_iter().map(|slot| {
            let append = Append {
                batch: batch.clone(),
                acks: Acks::Appended,
                deadline,
                slot,
            };
            (self.key, append)
        });
        self.around.partitions.send(append.collect());
        let appended = appended.all().into_actor(self);
        ctx.spawn(appended.map(|mut replies, shard, ctx| {
            shard.settle(replies.pop().flatten());
            if std::mem::take(&mut shard.reload_wanted) {
                shard.load(ctx);
            }
            shard.append_next(ctx);
        }));
    }

    fn settle(&mut self, reply: Option<AppendReply>) {
        match reply {
            Some(Ok(stored)) => {
                let waiting = self.appends.stored(stored.base_offset, self.high_watermark);
                self.waiting.extend(waiting);
            }
            Some(Err(WriteError::Refused(_) | WriteError::Ended(_))) => {
                self.appends.failed(NotStored::NotLeader);
            }
            Some(Err(error @ WriteError::Log(_))) => {
                log::warn!(
                    "{CONSUMER_OFFSETS}-{}: what groups decided cannot be stored: {error}",
                    self.key.1
                );
                self.appends.failed(NotStored::Failed);
            }
            None => self.appends.failed(NotStored::Failed),
        }
    }

    /// Forgets a group of which nothing is left, unless it was asked again meanwhile.
    fn forget(&mut self, id: &Arc<str>, handled: u64) {
        let idle = |resident: &Resident| resident.forwarded == handled;
        if self.groups.get(id).is_some_and(idle)
            && let Some(resident) = self.groups.remove(id)
        {
            resident.actor.do_send(Retire);
        }
    }

    fn tell_all<M>(&self, message: &M)
    where
        M: Message<Result = ()> + Clone + Send + 'static,
        GroupActor: Handler<M>,
    {
        for resident in self.groups.values() {
            resident.actor.do_send(message.clone());
        }
    }

    fn list(&mut self, slot: Slot<Result<Vec<Summary>, GroupError>>, ctx: &mut Context<Self>) {
        let (slots, replies) = gather(self.groups.len());
        for (resident, slot) in self.groups.values_mut().zip(slots) {
            resident.forwarded += 1;
            resident.actor.do_send(Handle {
                request: Request::Summarize,
                slot,
            });
        }
        let work = async move {
            let replies = tokio::time::timeout(LIST_PATIENCE, replies.all()).await;
            let Ok(replies) = replies else {
                // A list that leaves out groups which are there would be believed.
                return slot.answer(Err(GroupError::CoordinatorNotAvailable));
            };
            let replies = replies.into_iter().flatten();
            let summaries = replies.filter_map(|reply| match reply {
                Reply::Summarize(summary) => summary,
                _ => None,
            });
            slot.answer(Ok(summaries.collect()));
        };
        ctx.spawn(work.into_actor(self));
    }
}

/// Whether a question to a group that is not there may make it.
fn may_create(request: &Request) -> bool {
    match request {
        Request::Join(_) | Request::ConsumerHeartbeat(_) | Request::CommitOffsets(_) => true,
        Request::Sync(_)
        | Request::Heartbeat(_)
        | Request::Leave(_)
        | Request::FetchOffsets(_)
        | Request::DeleteOffsets(_)
        | Request::DescribeClassic
        | Request::DescribeConsumer
        | Request::Summarize
        | Request::Delete => false,
    }
}

/// `max.message.bytes` of the offsets topic.
fn bytes_max(around: &Surroundings) -> usize {
    let settings = (around.settings.topics)(&around.image(), CONSUMER_OFFSETS);
    usize::try_from(settings.max_message_bytes).unwrap_or(0)
}

impl Actor for GroupShardActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        self.load(ctx);
        ctx.run_interval(self.around.settings.expiry_interval, |shard, _| {
            shard.tell_all(&Expire);
        });
    }
}

impl Handler<AskGroup> for GroupShardActor {
    type Result = ();

    fn handle(&mut self, question: AskGroup, ctx: &mut Context<Self>) {
        let refusal = match self.state {
            State::Serving => return self.ask(question, ctx),
            State::Loading => GroupError::LoadInProgress,
            State::Unavailable => GroupError::CoordinatorNotAvailable,
        };
        question.slot.answer(Reply::Failed(refusal));
    }
}

impl Handler<ListGroups> for GroupShardActor {
    type Result = ();

    fn handle(&mut self, ListGroups { slot }: ListGroups, ctx: &mut Context<Self>) {
        match self.state {
            State::Serving => self.list(slot, ctx),
            State::Loading => slot.answer(Err(GroupError::LoadInProgress)),
            State::Unavailable => slot.answer(Err(GroupError::CoordinatorNotAvailable)),
        }
    }
}

impl Handler<FromGroup> for GroupShardActor {
    type Result = ();

    fn handle(&mut self, message: FromGroup, ctx: &mut Context<Self>) {
        if message.load != self.loads {
            return;
        }
        match message.word {
            Word::Append(step) => {
                self.appends.push(step, self.around.clock.wall());
                self.append_next(ctx);
            }
            Word::Gone { group, handled } => self.forget(&group, handled),
        }
    }
}

impl Handler<HighWatermarkMoved> for GroupShardActor {
    type Result = ();

    fn handle(&mut self, moved: HighWatermarkMoved, _: &mut Context<Self>) {
        self.high_watermark = self.high_watermark.max(moved.0);
        let committed = self.high_watermark;
        let due = self.waiting.iter().take_while(|(end, _)| *end <= committed);
        let due = due.count();
        for (_, group) in self.waiting.drain(..due) {
            group.do_send(Committed(committed));
        }
    }
}

impl Handler<TopicsChanged> for GroupShardActor {
    type Result = ();

    fn handle(&mut self, changed: TopicsChanged, _: &mut Context<Self>) {
        self.tell_all(&changed);
    }
}

/// Configurations changed: of these groups, and perhaps of the offsets topic.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct ConfigsChanged(pub(super) Arc<[Arc<str>]>);

impl Handler<ConfigsChanged> for GroupShardActor {
    type Result = ();

    fn handle(&mut self, ConfigsChanged(groups): ConfigsChanged, _: &mut Context<Self>) {
        let bytes_max = bytes_max(&self.around);
        let all = std::mem::replace(&mut self.appends.bytes_max, bytes_max) != bytes_max;
        for (id, resident) in &self.groups {
            if all || groups.contains(id) {
                let config = self.around.group_config(id);
                resident.actor.do_send(Configure(config));
            }
        }
    }
}

/// This broker does not lead the partition any more.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Resign;

impl Handler<Resign> for GroupShardActor {
    type Result = ();

    fn handle(&mut self, _: Resign, ctx: &mut Context<Self>) {
        self.tell_all(&Retire);
        ctx.stop();
    }
}

/// A group's actor is lost, as by a panic.
#[cfg(test)]
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct LoseGroup(pub(super) &'static str);

#[cfg(test)]
impl Handler<LoseGroup> for GroupShardActor {
    type Result = ();

    fn handle(&mut self, LoseGroup(id): LoseGroup, _: &mut Context<Self>) {
        if let Some(resident) = self.groups.get(id) {
            resident.actor.do_send(Retire);
        }
    }
}
