//! The keeper in stopped time, with a controller that answers when it likes.

use std::cell::Cell;
use std::rc::Rc;

use super::*;
use crate::actors::controller::ControllerUnavailable;
use crate::actors::partition_host::tests::bench::{Bench, NODE, topic_id};
use crate::model::Uuid;
use crate::storage::disk::MemoryDisk;

const TIMEOUT: Duration = Duration::from_secs(30);

/// Answers what is said of directories, if it answers; never what is said of replicas.
struct Controller {
    answers: bool,
}

impl Actor for Controller {
    type Context = Context<Self>;
}

impl Handler<AskController> for Controller {
    type Result = ResponseFuture<Result<Reply, ControllerUnavailable>>;

    fn handle(
        &mut self,
        AskController(request): AskController,
        _: &mut Context<Self>,
    ) -> Self::Result {
        match request {
            Request::ChangeDirectories { .. } if self.answers => {
                Box::pin(std::future::ready(Ok(Reply::ChangeDirectories(Ok(())))))
            }
            _ => Box::pin(std::future::pending()),
        }
    }
}

/// A keeper that has told its controller of nothing yet, and how often it ended the broker.
async fn keeper(answers: bool) -> (Addr<DirectoryKeeper>, Rc<Cell<usize>>) {
    let bench = Bench::start(Arc::new(MemoryDisk::new()), &[]).await;
    let ended = Rc::new(Cell::new(0));
    let counted = Rc::clone(&ended);
    let failures = Failures {
        metadata: PathBuf::from("/metadata"),
        timeout: TIMEOUT,
        end: Box::new(move |_| counted.set(counted.get() + 1)),
    };
    let watch = PanicWatch::new("keeper", Arc::new(|_| {}));
    let cordoned: CordonedSource = Arc::new(|_| Vec::new());
    let keeper = DirectoryKeeper::new(NODE, Arc::clone(&bench.dirs), cordoned, failures, watch);
    let keeper = keeper.start();
    let controller = Controller { answers }.start();
    keeper.do_send(TellTo(controller.recipient()));
    keeper.send(Registered(1)).await.unwrap();
    (keeper, ended)
}

const FAILED: DirectoryFailed = DirectoryFailed(Uuid([5; 16]));

#[actix::test]
async fn a_failed_directory_the_controller_knows_of_ends_nothing_whatever_else_is_owed() {
    tokio::time::pause();
    let (keeper, ended) = keeper(true).await;
    keeper.send(FAILED).await.unwrap();
    tokio::time::sleep(TIMEOUT / 2).await;
    // The controller takes its time with this one.
    let assign = Assign {
        key: (topic_id(1), 0),
        directory: Uuid([6; 16]),
    };
    keeper.do_send(assign);
    tokio::time::sleep(TIMEOUT).await;
    assert_eq!(ended.get(), 0);
}

#[actix::test]
async fn a_failed_directory_the_controller_does_not_hear_of_ends_the_broker() {
    tokio::time::pause();
    let (keeper, ended) = keeper(false).await;
    keeper.send(FAILED).await.unwrap();
    tokio::time::sleep(TIMEOUT - Duration::from_secs(1)).await;
    assert_eq!(ended.get(), 0);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(ended.get(), 1);
}
