//! The one integration-test binary: the house's own rules, and the rooms together.

mod binary;
mod codec_differential;
mod damage;
mod disks;
mod embedded;
mod embedded_alone;
mod embedded_host;
mod groups;
mod history;
mod hostile;
mod house;
mod kill;
mod kill_client;
mod retention;
mod server;
mod strange;
