//! A broker inside this program: no second process, no file, no socket until one is asked for.
//!
//! `cargo run --example embedded`

use std::error::Error;
use std::time::Duration;

use milena::broker::{Broker, Environment};
use milena::config::ServerConfig;
use milena::model::Offset;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // Everything in memory; `Environment::system()` keeps it in the files that `log.dirs` names.
    let config = ServerConfig::embedded(&[("num.partitions", "1")])?;
    let broker = Broker::spawn(config, Environment::in_memory()).await?;
    println!("a broker of cluster {} runs in here", broker.cluster_id());

    // Straight to a partition, without Kafka's wire in between.
    broker
        .create_topic("letters", 1, &[("retention.ms", "3600000")])
        .await?;
    let letters = broker.partition("letters", 0);
    let reader = tokio::spawn({
        let letters = letters.clone();
        async move {
            let read = letters
                .read_or_wait(Offset(0), 1 << 20, Duration::from_secs(5))
                .await?;
            Ok::<_, Box<dyn Error + Send + Sync>>(read.records()?)
        }
    });
    letters
        .append_record(Some(b"prague"), Some(b"dear Milena"))
        .await?;
    for record in reader.await?.map_err(|error| error.to_string())? {
        let value = record.value.unwrap_or_default();
        println!(
            "read at {}: {}",
            record.offset,
            String::from_utf8_lossy(&value)
        );
    }

    // Kafka's wire, without a socket: an ApiVersions request, version 0, and its answer.
    let mut connection = broker.connect()?;
    connection
        .write_all(&[0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 7, 0xff, 0xff])
        .await?;
    let size = connection.read_u32().await?;
    let mut answer = vec![0; size as usize];
    connection.read_exact(&mut answer).await?;
    println!("it can be asked {} kinds of questions", answer[9]);
    drop(connection);

    // Other programs reach it as well, once it listens.
    let address = broker.add_listener("127.0.0.1:0").await?;
    println!("kcat -b {address} -L would list it now");

    broker.stop().await?;
    println!("stopped, and nothing is left of it");
    Ok(())
}
