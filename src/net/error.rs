//! What can go wrong before there is a connection.

use std::io;
use std::net::SocketAddr;

/// Why a listener could not be opened; the broker ends with one sentence about it.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// Somebody else listens there.
    #[error("{address} is in use by another process")]
    AddressInUse {
        /// Where it was tried.
        address: SocketAddr,
    },
    /// No network interface has that address.
    #[error("{address} is no address of this machine")]
    NotOurs {
        /// Where it was tried.
        address: SocketAddr,
    },
    /// The operating system refuses for another reason.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// Where it was tried.
        address: SocketAddr,
        /// What the operating system says.
        source: io::Error,
    },
}
