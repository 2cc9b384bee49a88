//! A broker with an actix `System` of its own, on a thread of its own.
//!
//! Called by `Broker::spawn`. Invariant: the thread ends with the broker, and the owner is told after
//! the `System` has ended.

use std::thread;

use tokio::sync::oneshot;

use super::running::keep;
use super::{Broker, BrokerHandle, Environment, StartError};
use crate::config::ServerConfig;

/// Starts the thread and, on it, the broker.
pub(super) async fn spawn(
    config: ServerConfig,
    environment: Environment,
) -> Result<BrokerHandle, StartError> {
    let (tell, told) = oneshot::channel();
    let thread = thread::Builder::new()
        .name("milena".to_owned())
        .spawn(move || run(config, environment, tell))
        .map_err(StartError::Threads)?;
    match told.await {
        Ok(Ok(handle)) => Ok(BrokerHandle {
            thread: Some(thread),
            ..handle
        }),
        Ok(Err(error)) => {
            let _ = thread.join();
            Err(error)
        }
        Err(_) => Err(StartError::Threads(std::io::Error::other(
            "the broker's thread panicked",
        ))),
    }
}

fn run(
    config: ServerConfig,
    environment: Environment,
    tell: oneshot::Sender<Result<BrokerHandle, StartError>>,
) {
    let system = actix_rt::System::new();
    let last = system.block_on(async move {
        match Broker::begin(config, environment).await {
            Err(error) => Err((tell, error)),
            Ok((handle, running, orders)) => {
                // An owner that does not wait any more has dropped the handle: the broker stops.
                let _ = tell.send(Ok(handle));
                Ok(keep(running, orders).await)
            }
        }
    });
    drop(system);
    // Whoever has gone meanwhile need not know.
    match last {
        Ok(Some((told, result))) => drop(told.send(result)),
        Ok(None) => {}
        Err((tell, error)) => drop(tell.send(Err(error))),
    }
}
