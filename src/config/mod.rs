//! Configuration: tables of keys, `.properties` files, and the [`ServerConfig`] they add up to.
//!
//! Stands above every room, because each room declares what it needs and only this one knows what
//! the keys are called. `cli` and embedding programs load; `broker` hands sections out. Invariant:
//! nothing in here opens a file or a socket.

mod error;
pub mod keys;
mod listeners;
pub mod properties;
pub mod reference;
mod removed;
mod rules;
mod server_config;
mod suggest;
mod values;

pub use error::ConfigError;
pub use listeners::{Address, Listener, Listeners, SecurityProtocol};
pub use server_config::{
    EngineConfig, LimitsConfig, LogDirsConfig, NodeConfig, Notice, QuorumConfig, ServerConfig,
    SocketConfig, Sources, TopicsConfig, UpkeepConfig,
};
pub use suggest::nearest;
pub use values::{Place, StaticValue, StaticValues};
