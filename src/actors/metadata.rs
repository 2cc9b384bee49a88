//! Follows the metadata log and publishes each new image, once everybody who must act on it has.
//!
//! The quorum tells it every committed entry; it replays them, works out the delta, tells the rooms
//! stage by stage (log directories, partitions, shards) and swaps the image that `api` routes by
//! last, so that the door never promises what the rooms do not have. What is committed during a
//! publication is in the next one. Invariant: the published image is never ahead of the listeners.

use std::mem;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use arc_swap::ArcSwap;
use tokio::sync::oneshot;

use super::observe::PanicWatch;
use super::quorum_messages::{Committed, SnapshotInstalled};
use crate::metadata::{Delta, Image, Touched};

/// A room that has not acted on a change by then is published over: what it does not have yet it
/// answers for as unavailable.
const LISTENER_DEADLINE: Duration = Duration::from_secs(300);

/// The metadata changed: whoever is told acts on it before answering.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct MetadataChanged {
    /// What it is now.
    pub image: Arc<Image>,
    /// What changed.
    pub delta: Arc<Delta>,
}

/// Answers once an image that holds the log up to this index is published.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct AwaitPublished(pub u64);

/// See the module.
pub struct MetadataActor {
    /// What the log holds, with what is not published yet.
    image: Image,
    /// What readers see.
    published: Arc<ArcSwap<Image>>,
    /// Where `image` may differ from the one published last.
    changes: Changes,
    publishing: bool,
    /// Who is told, stage after stage; all of one stage at once.
    stages: Vec<Vec<Recipient<MetadataChanged>>>,
    waiting: Vec<(u64, oneshot::Sender<()>)>,
    _watch: PanicWatch,
}

/// What to compare at the next publication.
enum Changes {
    Touched(Touched),
    Everything,
}

impl Default for Changes {
    fn default() -> Changes {
        Changes::Touched(Touched::default())
    }
}

impl MetadataActor {
    /// An actor that publishes into `published`, which holds the empty image, and tells `stages`.
    pub fn new(
        published: Arc<ArcSwap<Image>>,
        stages: Vec<Vec<Recipient<MetadataChanged>>>,
        watch: PanicWatch,
    ) -> MetadataActor {
        MetadataActor {
            image: Image::default(),
            published,
            changes: Changes::default(),
            publishing: false,
            stages,
            waiting: Vec::new(),
            _watch: watch,
        }
    }

    /// Starts a publication, unless one is under way: it will start the next.
    fn publish(&mut self, ctx: &mut Context<Self>) {
        let before = self.published.load_full();
        if self.publishing || before.version == self.image.version {
            return;
        }
        let image = Arc::new(self.image.clone());
        let delta = match mem::take(&mut self.changes) {
            Changes::Touched(touched) => touched.delta(&before, &image),
            Changes::Everything => Delta::between(&before, &image),
        };
        self.publishing = true;
        let told = tell(self.stages.clone(), Arc::clone(&image), delta);
        ctx.spawn(told.into_actor(self).map(move |(), actor, ctx| {
            actor.publishing = false;
            actor.store(image);
            actor.publish(ctx);
        }));
    }

    fn store(&mut self, image: Arc<Image>) {
        let version = image.version;
        self.published.store(image);
        for (_, waiter) in self.waiting.extract_if(.., |(index, _)| *index <= version) {
            // Who hung up does not wait any more.
            let _ = waiter.send(());
        }
    }
}

/// Tells each stage, and waits until all of it has acted before the next is told.
async fn tell(stages: Vec<Vec<Recipient<MetadataChanged>>>, image: Arc<Image>, delta: Delta) {
    if delta.is_empty() {
        return;
    }
    let delta = Arc::new(delta);
    for stage in stages {
        // All of a stage are told before the first is waited for.
        let tellings: Vec<_> = stage
            .iter()
            .map(|listener| {
                listener.send(MetadataChanged {
                    image: Arc::clone(&image),
                    delta: Arc::clone(&delta),
                })
            })
            .collect();
        for telling in tellings {
            match tokio::time::timeout(LISTENER_DEADLINE, telling).await {
                Ok(Ok(())) => {}
                // Its panic was reported where it happened, or the broker is stopping.
                Ok(Err(_)) => log::error!("a room that follows the metadata is gone"),
                Err(_) => log::error!(
                    "a room has not acted on metadata version {} within {} s",
                    image.version,
                    LISTENER_DEADLINE.as_secs()
                ),
            }
        }
    }
}

impl Actor for MetadataActor {
    type Context = Context<Self>;
}

impl Handler<Committed> for MetadataActor {
    type Result = ();

    fn handle(&mut self, committed: Committed, ctx: &mut Context<Self>) {
        if committed.index <= self.image.version {
            return;
        }
        for record in committed.records.iter() {
            if let Changes::Touched(touched) = &mut self.changes {
                touched.note(&self.image, record);
            }
            self.image.replay(record);
        }
        self.image.version = committed.index;
        self.publish(ctx);
    }
}

impl Handler<SnapshotInstalled> for MetadataActor {
    type Result = ();

    fn handle(&mut self, snapshot: SnapshotInstalled, ctx: &mut Context<Self>) {
        self.image = Image::of_records(snapshot.records.iter());
        self.image.version = snapshot.index;
        self.changes = Changes::Everything;
        self.publish(ctx);
    }
}

impl Handler<AwaitPublished> for MetadataActor {
    type Result = ResponseFuture<()>;

    fn handle(
        &mut self,
        AwaitPublished(index): AwaitPublished,
        _: &mut Context<Self>,
    ) -> Self::Result {
        let (told, published) = oneshot::channel();
        if self.published.load().version >= index {
            let _ = told.send(());
        } else {
            self.waiting.push((index, told));
        }
        Box::pin(async move {
            // An actor that is gone publishes nothing more; the asker has its own deadline.
            let _ = published.await;
        })
    }
}

#[cfg(test)]
#[path = "metadata_tests.rs"]
mod tests;
