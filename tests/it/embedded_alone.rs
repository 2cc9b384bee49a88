//! What a host notices of brokers that it has started and stopped: nothing.
//!
//! Threads, descriptors, signals and output belong to a process, so the test here runs its other
//! half, which is ignored otherwise, in a process of its own.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use milena::broker::{Broker, BrokerHandle, Environment};
use milena::config::ServerConfig;
use milena::model::Offset;
use milena::storage::disk::{Disk, MemoryDisk};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::binary::{Client, request, until};

const API_VERSIONS: i16 = 18;
const LIVES: usize = 20;

#[test]
fn a_host_has_nothing_left_of_brokers_that_stopped_and_heard_nothing_of_them() {
    let output = Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "--ignored", "--test-threads=1", "--nocapture"])
        .arg("embedded_alone::a_host")
        .env_remove("RUST_LOG")
        .output()
        .expect("it runs");
    let printed = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{printed}{errors}");
    assert_eq!(errors, "");
    let of_the_test = [
        "running 1 test",
        "test embedded_alone::a_host ... ok",
        "test result: ok. 1",
    ];
    let lines: Vec<&str> = printed.lines().filter(|line| !line.is_empty()).collect();
    assert_eq!(lines.len(), of_the_test.len(), "{printed}");
    for (line, begin) in lines.iter().zip(of_the_test) {
        assert!(line.starts_with(begin), "{printed}");
    }
}

/// What a process has: threads, descriptors, and the signals it catches.
fn belongings() -> (usize, usize, String) {
    let count = |path| fs::read_dir(path).expect("Linux").count();
    let status = fs::read_to_string("/proc/self/status").expect("Linux");
    let caught = status.lines().find(|line| line.starts_with("SigCgt"));
    (
        count("/proc/self/task"),
        count("/proc/self/fd"),
        caught.unwrap_or_default().to_owned(),
    )
}

async fn use_it(broker: &BrokerHandle) {
    let _ = broker.create_topic("t", 3, &[]).await;
    for index in 0..3 {
        let partition = broker.partition("t", index);
        let value = vec![b'x'; 100_000];
        let appended = partition.append_record(None, Some(&value)).await;
        let offset = appended.expect("it is stored");
        let read = partition.read(offset, 1).await.expect("it is there");
        assert_eq!(read.next_offset, offset + 1);
    }
    let mut connection = broker.connect().expect("it runs");
    let asked = connection.write_all(&request(API_VERSIONS, 0, &[])).await;
    asked.expect("it reads");
    connection.read_u32().await.expect("it answers");
    let address = broker.add_listener("127.0.0.1:0").await.expect("a port");
    let asked =
        tokio::task::spawn_blocking(move || Client::connect(address).ask(API_VERSIONS, 0, &[]));
    asked.await.expect("it answers");
}

fn config_in(directory: &Path) -> ServerConfig {
    let directory = directory.to_str().expect("text");
    ServerConfig::embedded(&[("log.dirs", directory), ("milena.data.threads", "2")])
        .expect("a configuration")
}

#[test]
#[ignore = "counts what the whole process has; the test above runs it alone"]
fn a_host() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let disk = Arc::new(MemoryDisk::volatile());
    let in_memory = Environment {
        disk: Arc::clone(&disk) as Arc<dyn Disk>,
        ..Environment::system()
    };
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().to_owned();
    let config = || config_in(&path);
    let one_life = |number: usize| {
        let environment = match number % 2 {
            0 => in_memory.clone(),
            _ => Environment::system(),
        };
        runtime.block_on(async {
            let broker = Broker::spawn(config(), environment)
                .await
                .expect("it starts");
            use_it(&broker).await;
            broker.stop().await.expect("it stops");
        });
    };
    // What the runtime and the standard library set up once stays.
    one_life(0);
    one_life(1);
    let before = belongings();
    for number in 0..LIVES {
        one_life(number);
    }
    until("the threads to be gone", || {
        (belongings() == before).then_some(())
    });

    let dropped = runtime.block_on(Broker::spawn(config(), Environment::system()));
    let dropped = dropped.expect("it starts");
    runtime.block_on(use_it(&dropped));
    assert_ne!(belongings(), before, "the count would notice");
    drop(dropped);
    until("a dropped broker to be gone", || {
        (belongings() == before).then_some(())
    });
    let mark = path.join(".kafka_cleanshutdown");
    assert!(mark.exists(), "it stopped cleanly");

    in_a_system(config());
    until("the system to be gone", || {
        (belongings() == before).then_some(())
    });
    drop(in_memory);
    assert_eq!(Arc::strong_count(&disk), 1, "nobody holds the data");
    assert_eq!(log::max_level(), log::LevelFilter::Off);
    log::set_boxed_logger(Box::new(Host)).expect("the host's logger is the first");
}

/// A life in an actix `System` of the host's, over the directory of brokers before.
fn in_a_system(config: ServerConfig) {
    let life = async move {
        let broker = Broker::start(config, Environment::system()).await;
        let broker = broker.expect("it starts");
        let offsets = broker.partition("t", 0).offsets().await;
        assert_ne!(
            offsets.expect("here").end,
            Offset(0),
            "what was written is there"
        );
        use_it(&broker).await;
        broker.stop().await.expect("it stops");
    };
    let host = std::thread::spawn(|| actix::System::new().block_on(life));
    host.join().expect("it did not panic");
}

/// A logger of the host's.
struct Host;

impl log::Log for Host {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        false
    }

    fn log(&self, _: &log::Record<'_>) {}

    fn flush(&self) {}
}
