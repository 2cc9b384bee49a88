//! The other side of the wire: requests we send, and answers we read. For the client, for the
//! channels between brokers, and for tests.

use bytes::{Bytes, BytesMut};
use kafka_wire::{KafkaRequest, KafkaResponse, OutboundFrameLimits};
use kafka_wire_core::ApiVersion;

use super::api_key;
use super::error::ProtocolError;
use super::frame::decode_body;
use super::messages::StrBytes;
use super::reader::Reader;

/// Encodes a request with size and header in front.
///
/// # Errors
/// [`ProtocolError::Unencodable`] if the version has no field for something the request says.
pub fn encode_request<R: KafkaRequest>(
    correlation_id: i32,
    api_version: i16,
    client_id: Option<&str>,
    request: &R,
) -> Result<Bytes, ProtocolError> {
    let mut buffer = BytesMut::new();
    kafka_wire::encode_request(
        &mut buffer,
        correlation_id,
        client_id.map(StrBytes::from),
        request,
        ApiVersion::new(api_version),
        OutboundFrameLimits::new(i32::MAX as usize),
    )
    .map_err(|error| ProtocolError::Unencodable(format!("{}: {error}", R::NAME)))?;
    Ok(buffer.freeze())
}

/// Reads an answer (without the size in front): its correlation id and body.
///
/// # Errors
/// [`ProtocolError::Malformed`] as [`decode_body`].
pub fn decode_response<A: KafkaResponse>(
    frame: Bytes,
    api_version: i16,
) -> Result<(i32, A), ProtocolError> {
    let mut reader = Reader::new(frame);
    let correlation_id = reader.i32()?;
    let flexible = A::is_flexible(ApiVersion::new(api_version));
    if flexible && A::API_KEY.value() != api_key::API_VERSIONS {
        reader.skip_tagged_fields()?;
    }
    Ok((
        correlation_id,
        decode_body(reader.into_rest(), api_version)?,
    ))
}
