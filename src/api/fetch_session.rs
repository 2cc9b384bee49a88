//! Fetch sessions (KIP-227): what a client fetches, remembered, so that it need not be sent or
//! answered again when nothing changed.
//!
//! `api::fetch` begins every Fetch here and learns which partitions to read, in which order; when
//! they are read it finishes here and learns which of them to answer. One cache per data arbiter: a
//! client that comes back on another one is told the session is unknown and fetches in full.
//! Invariant: never more than `slots` sessions nor more than `partitions_max` partitions in all.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use crate::model::{ErrorCode, LeaderEpoch, Moment, Offset};
use crate::protocol::TopicKey;

mod session;

#[cfg(test)]
mod tests;

use session::Session;

/// How long a session is safe from being evicted for a bigger one, and how long an unused one is
/// kept when its slot is wanted (`ServerConfigs.MIN_INCREMENTAL_FETCH_SESSION_EVICTION_MS`).
pub const EVICTION_AGE: Duration = Duration::from_secs(120);

const NO_SESSION: i32 = 0;
const INITIAL_EPOCH: i32 = 0;
const FINAL_EPOCH: i32 = -1;

/// A partition as the request names it: its topic by name before Fetch v13, by id since.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PartitionKey {
    /// The topic.
    pub topic: TopicKey,
    /// The partition's index.
    pub partition: i32,
}

/// What is asked of one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionAsk {
    /// The leader epoch the client believes in; `LeaderEpoch::NONE` when it does not say.
    pub current_leader_epoch: LeaderEpoch,
    /// Where to read from. Unchecked: it may be negative.
    pub fetch_offset: Offset,
    /// The epoch of the last record the client has; `LeaderEpoch::NONE` when it does not say.
    pub last_fetched_epoch: LeaderEpoch,
    /// A follower's log start offset; `Offset::NONE` from consumers.
    pub log_start_offset: Offset,
    /// The most bytes wanted of this partition.
    pub max_bytes: i32,
}

/// One Fetch request, as far as sessions care.
#[derive(Debug, Clone)]
pub struct SessionRequest {
    /// The session, or 0.
    pub session_id: i32,
    /// 0 opens a session, -1 wants none, anything else continues one.
    pub session_epoch: i32,
    /// Whether the request's version names topics by id.
    pub uses_topic_ids: bool,
    /// Whether a broker asks: its sessions are kept before those of consumers.
    pub from_follower: bool,
    /// The partitions named in the request.
    pub partitions: Vec<(PartitionKey, PartitionAsk)>,
    /// The partitions to forget.
    pub forgotten: Vec<PartitionKey>,
}

/// What to read for one Fetch. Handed back to [`FetchSessions::finish`].
#[derive(Debug)]
pub struct FetchContext {
    kind: Kind,
    /// The partitions to read, in the order in which they share the request's limits.
    pub partitions: Vec<(PartitionKey, PartitionAsk)>,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Sessionless,
    Full {
        uses_topic_ids: bool,
        privileged: bool,
    },
    Incremental {
        session_id: i32,
        epoch: i32,
    },
}

/// What came of reading one partition.
#[derive(Debug, Clone, Copy)]
pub struct PartitionOutcome {
    /// How many bytes of records the answer carries.
    pub records_bytes: usize,
    /// The answer's high watermark.
    pub high_watermark: Offset,
    /// The answer's log start offset.
    pub log_start_offset: Offset,
    /// The answer's error.
    pub error: ErrorCode,
    /// Whether the answer must be sent whatever else: it names a preferred replica or a diverging
    /// epoch.
    pub redirects: bool,
}

/// How to answer one Fetch.
#[derive(Debug, PartialEq, Eq)]
pub struct Finished {
    /// The answer's session id.
    pub session_id: i32,
    /// The answer's top-level error. When it is one, no partition is answered.
    pub error: ErrorCode,
    /// For each partition of the context, in its order, whether it is answered.
    pub include: Vec<bool>,
}

/// Why a session cannot be continued. The client then fetches in full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// There is no such session (any more).
    #[error("the fetch session is unknown")]
    UnknownSession,
    /// The epoch is not the next one: an answer or a request was lost.
    #[error("the fetch session epoch is not the next one")]
    WrongEpoch,
    /// The session was opened with topic names and continued with ids, or the other way round.
    #[error("the fetch session mixes topic names and ids")]
    MixedTopicIds,
}

/// The cache of sessions.
#[derive(Debug)]
pub struct FetchSessions {
    slots: usize,
    partitions_max: usize,
    partitions: usize,
    sessions: HashMap<i32, Session>,
    last_used: BTreeSet<(Moment, i32)>,
    /// What a follower's session may push out: sessions of consumers, and old ones.
    evictable_by_followers: BTreeSet<Worth>,
    /// What anybody's session may push out: old ones.
    evictable_by_all: BTreeSet<Worth>,
}

/// How much a session is worth keeping: followers' before consumers', big ones before small ones.
type Worth = (bool, usize, i32);

impl FetchSessions {
    /// A cache of at most `slots` sessions (`max.incremental.fetch.session.cache.slots`) that
    /// remember at most `partitions_max` partitions together.
    pub fn new(slots: usize, partitions_max: usize) -> FetchSessions {
        FetchSessions {
            slots,
            partitions_max,
            partitions: 0,
            sessions: HashMap::new(),
            last_used: BTreeSet::new(),
            evictable_by_followers: BTreeSet::new(),
            evictable_by_all: BTreeSet::new(),
        }
    }

    /// How many sessions there are (`NumIncrementalFetchSessions`).
    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    /// How many partitions they remember (`NumIncrementalFetchPartitionsCached`).
    pub fn partitions(&self) -> usize {
        self.partitions
    }

    /// Begins a Fetch: finds what to read.
    pub fn begin(
        &mut self,
        request: SessionRequest,
        now: Moment,
    ) -> Result<FetchContext, SessionError> {
        match request.session_epoch {
            INITIAL_EPOCH | FINAL_EPOCH => Ok(self.begin_full(request)),
            _ => self.begin_incremental(request, now),
        }
    }

    /// A full fetch closes the session it names, and opens another unless its epoch is final.
    fn begin_full(&mut self, request: SessionRequest) -> FetchContext {
        if request.session_id != NO_SESSION {
            self.remove(request.session_id);
        }
        let kind = if request.session_epoch == FINAL_EPOCH {
            Kind::Sessionless
        } else {
            Kind::Full {
                uses_topic_ids: request.uses_topic_ids,
                privileged: request.from_follower,
            }
        };
        FetchContext {
            kind,
            partitions: without_repeats(request.partitions),
        }
    }

    fn begin_incremental(
        &mut self,
        request: SessionRequest,
        now: Moment,
    ) -> Result<FetchContext, SessionError> {
        let session_id = request.session_id;
        let session = self
            .sessions
            .get(&session_id)
            .ok_or(SessionError::UnknownSession)?;
        if session.epoch != request.session_epoch {
            return Err(SessionError::WrongEpoch);
        }
        if session.uses_topic_ids != request.uses_topic_ids {
            return Err(SessionError::MixedTopicIds);
        }
        let Some(mut session) = self.remove(session_id) else {
            return Err(SessionError::UnknownSession);
        };
        session.update(&request.partitions, &request.forgotten);
        if session.len() == 0 {
            return Ok(FetchContext {
                kind: Kind::Sessionless,
                partitions: Vec::new(),
            });
        }
        if self.partitions.saturating_add(session.len()) > self.partitions_max {
            return Err(SessionError::UnknownSession);
        }
        session.epoch = next_epoch(session.epoch);
        let context = FetchContext {
            kind: Kind::Incremental {
                session_id,
                epoch: session.epoch,
            },
            partitions: session.asks().collect(),
        };
        self.insert(session_id, session, now);
        Ok(context)
    }

    /// Finishes a Fetch: decides what is answered and remembers it. `outcomes` has one entry per
    /// partition of the context, in its order; `random` is asked for new session ids.
    pub fn finish(
        &mut self,
        context: &FetchContext,
        outcomes: &[PartitionOutcome],
        now: Moment,
        random: &mut dyn FnMut() -> u32,
    ) -> Finished {
        let answer_all = |session_id| Finished {
            session_id,
            error: ErrorCode::None,
            include: vec![true; outcomes.len()],
        };
        match context.kind {
            Kind::Sessionless => answer_all(NO_SESSION),
            Kind::Full { .. } => answer_all(self.open(context, outcomes, now, random)),
            Kind::Incremental { session_id, epoch } => {
                self.finish_incremental(session_id, epoch, context, outcomes)
            }
        }
    }

    /// The session may be gone or have moved on while its partitions were read.
    fn finish_incremental(
        &mut self,
        session_id: i32,
        epoch: i32,
        context: &FetchContext,
        outcomes: &[PartitionOutcome],
    ) -> Finished {
        let refuse = |error| Finished {
            session_id: NO_SESSION,
            error,
            include: vec![false; outcomes.len()],
        };
        match self.sessions.get_mut(&session_id) {
            None => refuse(ErrorCode::FetchSessionIdNotFound),
            Some(session) if session.epoch != epoch => refuse(ErrorCode::InvalidFetchSessionEpoch),
            Some(session) => Finished {
                session_id,
                error: ErrorCode::None,
                include: context
                    .partitions
                    .iter()
                    .zip(outcomes)
                    .map(|((key, _), outcome)| session.finish(key, outcome))
                    .collect(),
            },
        }
    }

    /// Opens a session if there is room or room can be made; else 0.
    fn open(
        &mut self,
        context: &FetchContext,
        outcomes: &[PartitionOutcome],
        now: Moment,
        random: &mut dyn FnMut() -> u32,
    ) -> i32 {
        let Kind::Full {
            uses_topic_ids,
            privileged,
        } = context.kind
        else {
            return NO_SESSION;
        };
        let size = context.partitions.len();
        if size == 0 || !self.make_room(privileged, size, now) {
            return NO_SESSION;
        }
        let mut session = Session::new(privileged, uses_topic_ids, now);
        session.epoch = next_epoch(INITIAL_EPOCH);
        for ((key, ask), outcome) in context.partitions.iter().zip(outcomes) {
            session.add(key.clone(), *ask, Some(outcome));
        }
        let session_id = self.unused_id(random);
        self.insert(session_id, session, now);
        session_id
    }

    fn unused_id(&self, random: &mut dyn FnMut() -> u32) -> i32 {
        loop {
            // The upper bit is cut off, so the number is never negative.
            let id = (random() >> 1) as i32;
            if id != NO_SESSION && !self.sessions.contains_key(&id) {
                return id;
            }
        }
    }

    fn make_room(&mut self, privileged: bool, size: usize, now: Moment) -> bool {
        if self.slots == 0 || size > self.partitions_max {
            return false;
        }
        let full = |cache: &FetchSessions| {
            cache.sessions.len() >= cache.slots
                || cache.partitions.saturating_add(size) > cache.partitions_max
        };
        while full(self) {
            let Some(victim) = self.victim(privileged, size, now) else {
                return false;
            };
            self.remove(victim);
        }
        true
    }

    /// Who gives way: a session nobody used for long, else one that is worth less than the new one.
    fn victim(&self, privileged: bool, size: usize, now: Moment) -> Option<i32> {
        let (used, id) = self.last_used.first()?;
        if now.since(*used) > EVICTION_AGE {
            return Some(*id);
        }
        let evictable = if privileged {
            &self.evictable_by_followers
        } else {
            &self.evictable_by_all
        };
        let worth = evictable.first()?;
        ((privileged, size, NO_SESSION) >= *worth).then_some(worth.2)
    }

    fn insert(&mut self, id: i32, mut session: Session, now: Moment) {
        session.used = now;
        let worth = (session.privileged, session.len(), id);
        let old = now.since(session.created) > EVICTION_AGE;
        if old || !session.privileged {
            self.evictable_by_followers.insert(worth);
        }
        if old {
            self.evictable_by_all.insert(worth);
        }
        self.last_used.insert((now, id));
        self.partitions = self.partitions.saturating_add(session.len());
        self.sessions.insert(id, session);
    }

    fn remove(&mut self, id: i32) -> Option<Session> {
        let session = self.sessions.remove(&id)?;
        let worth = (session.privileged, session.len(), id);
        self.evictable_by_followers.remove(&worth);
        self.evictable_by_all.remove(&worth);
        self.last_used.remove(&(session.used, id));
        self.partitions = self.partitions.saturating_sub(session.len());
        Some(session)
    }
}

/// The epoch after this one; it wraps to 1, because 0 opens a session.
fn next_epoch(epoch: i32) -> i32 {
    epoch.checked_add(1).unwrap_or(1)
}

/// A partition named twice is read once, at its first place with its last wishes, as in Kafka.
fn without_repeats(asks: Vec<(PartitionKey, PartitionAsk)>) -> Vec<(PartitionKey, PartitionAsk)> {
    let mut places: HashMap<PartitionKey, usize> = HashMap::with_capacity(asks.len());
    let mut kept: Vec<(PartitionKey, PartitionAsk)> = Vec::with_capacity(asks.len());
    for (key, ask) in asks {
        match places.get(&key) {
            Some(place) => {
                if let Some(entry) = kept.get_mut(*place) {
                    entry.1 = ask;
                }
            }
            None => {
                places.insert(key.clone(), kept.len());
                kept.push((key, ask));
            }
        }
    }
    kept
}
