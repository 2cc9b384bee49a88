//! The shell in stopped time, with rooms that take their time.

use std::sync::Mutex;

use super::*;
use crate::metadata::MetadataRecord;
use crate::model::Uuid;

type Diary = Arc<Mutex<Vec<String>>>;

/// Acts on a change for a while, and writes down when it is done.
struct Room {
    name: &'static str,
    takes: Duration,
    diary: Diary,
    published: Arc<ArcSwap<Image>>,
}

impl Actor for Room {
    type Context = Context<Self>;
}

impl Handler<MetadataChanged> for Room {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, changed: MetadataChanged, _: &mut Context<Self>) -> Self::Result {
        let (name, takes, diary) = (self.name, self.takes, Arc::clone(&self.diary));
        let published = Arc::clone(&self.published);
        Box::pin(async move {
            tokio::time::sleep(takes).await;
            let topics: Vec<&str> = changed
                .delta
                .topics_created
                .iter()
                .map(|topic| &*topic.name)
                .collect();
            let seen = published.load().version;
            let line = format!("{name} has {}, readers see {seen}", topics.join("+"));
            diary.lock().unwrap().push(line);
        })
    }
}

struct Rooms {
    metadata: Addr<MetadataActor>,
    published: Arc<ArcSwap<Image>>,
    diary: Diary,
    rooms: Vec<Addr<Room>>,
}

#[derive(Message)]
#[rtype(result = "()")]
struct Leave;

impl Handler<Leave> for Room {
    type Result = ();
    fn handle(&mut self, _: Leave, ctx: &mut Context<Self>) {
        ctx.stop();
    }
}

fn start() -> Rooms {
    tokio::time::pause();
    let published: Arc<ArcSwap<Image>> = Arc::default();
    let diary = Diary::default();
    let room = |name, takes| {
        let room = Room {
            name,
            takes: Duration::from_millis(takes),
            diary: Arc::clone(&diary),
            published: Arc::clone(&published),
        };
        room.start()
    };
    let rooms = vec![room("directories", 3), room("host 1", 5), room("host 2", 2)];
    let stages = rooms.chunks(1).take(1).chain(std::iter::once(&rooms[1..]));
    let stages = stages.map(|stage| stage.iter().map(|r| r.clone().recipient()).collect());
    let metadata = MetadataActor::new(
        Arc::clone(&published),
        stages.collect(),
        PanicWatch::new("metadata", Arc::new(|_| {})),
    );
    Rooms {
        metadata: metadata.start(),
        published,
        diary,
        rooms,
    }
}

fn topic(number: u8, name: &str) -> MetadataRecord {
    MetadataRecord::Topic {
        name: name.to_owned(),
        id: Uuid([number; 16]),
    }
}

impl Rooms {
    async fn commit(&self, index: u64, records: Vec<MetadataRecord>) {
        let records = records.into();
        self.metadata
            .send(Committed { index, records })
            .await
            .unwrap();
    }

    async fn published(&self, index: u64) {
        self.metadata.send(AwaitPublished(index)).await.unwrap();
    }

    fn diary(&self) -> Vec<String> {
        std::mem::take(&mut *self.diary.lock().unwrap())
    }
}

#[actix::test]
async fn readers_see_a_topic_last_and_rooms_in_the_order_of_their_stages() {
    let rooms = start();
    rooms.commit(1, vec![topic(1, "a")]).await;
    assert_eq!(rooms.published.load().version, 0);
    rooms.published(1).await;
    assert_eq!(
        rooms.diary(),
        [
            "directories has a, readers see 0",
            "host 2 has a, readers see 0",
            "host 1 has a, readers see 0",
        ]
    );
    assert!(rooms.published.load().topic("a").is_some());
}

#[actix::test]
async fn what_is_committed_during_a_publication_is_published_together() {
    let rooms = start();
    for (index, name) in [(1, "a"), (2, "b"), (3, "c"), (4, "d")] {
        rooms.commit(index, vec![topic(index as u8, name)]).await;
    }
    rooms.published(4).await;
    let diary = rooms.diary();
    let of_directories: Vec<&String> = diary
        .iter()
        .filter(|line| line.starts_with("directories"))
        .collect();
    assert_eq!(
        of_directories,
        [
            "directories has a, readers see 0",
            "directories has b+c+d, readers see 1"
        ]
    );
}

#[actix::test]
async fn an_entry_that_concerns_no_room_is_published_at_once() {
    let rooms = start();
    rooms.commit(1, Vec::new()).await;
    rooms
        .commit(2, vec![MetadataRecord::ProducerIds { next: 1000 }])
        .await;
    rooms.published(2).await;
    assert_eq!(rooms.published.load().next_producer_id, 1000);
    assert_eq!(rooms.diary(), Vec::<String>::new());
}

#[actix::test]
async fn an_entry_told_twice_counts_once() {
    let rooms = start();
    rooms.commit(2, vec![topic(1, "a")]).await;
    rooms.commit(1, vec![topic(2, "older")]).await;
    rooms.published(2).await;
    assert!(rooms.published.load().topic("older").is_none());
}

#[actix::test]
async fn a_room_that_is_gone_does_not_stop_the_others() {
    let rooms = start();
    rooms.rooms[0].send(Leave).await.unwrap();
    rooms.commit(1, vec![topic(1, "a")]).await;
    rooms.published(1).await;
    assert_eq!(rooms.diary().len(), 2);
    assert_eq!(rooms.published.load().version, 1);
}

#[actix::test]
async fn a_snapshot_replaces_everything() {
    let rooms = start();
    rooms
        .commit(1, vec![topic(1, "old"), topic(2, "both")])
        .await;
    rooms.published(1).await;
    rooms.diary();
    let records = vec![topic(2, "both"), topic(3, "new")].into();
    let snapshot = SnapshotInstalled { index: 9, records };
    rooms.metadata.send(snapshot).await.unwrap();
    rooms.published(9).await;
    let image = rooms.published.load();
    assert!(image.topic("old").is_none() && image.topic("new").is_some());
    assert_eq!(rooms.diary()[0], "directories has new, readers see 1");
}
