//! What can be wrong with bytes from the network, or with an answer to be put on it.

/// Why a frame could not be read or written. Whoever sent such a frame is not answered: Kafka
/// closes the connection (`InvalidRequestException` in its `SocketServer`).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// The bytes are no message of the version they claim: cut off, too long, a negative or
    /// impossible length, text that is not UTF-8, tagged fields out of order.
    #[error("malformed message: {0}")]
    Malformed(String),
    /// The codec does not know this version of this request.
    #[error("version {api_version} of request {api_key} is not known")]
    UnsupportedVersion {
        /// The request's number.
        api_key: i16,
        /// The version it claims.
        api_version: i16,
    },
    /// An answer holds something that its version cannot express: a fault of ours.
    #[error("the answer cannot be written: {0}")]
    Unencodable(String),
}

impl ProtocolError {
    /// A fault in what was read, and where in the frame.
    pub(crate) fn malformed(what: &str, position: usize) -> ProtocolError {
        ProtocolError::Malformed(format!("{what} at byte {position}"))
    }
}
