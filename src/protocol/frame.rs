//! A request's head, its body, and the frame of an answer.
//!
//! The head is read even of requests that are not known, because an ApiVersions request of an
//! unknown version must be answered (KIP-511) while everything else unknown closes the connection.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_wire::{API_DESCRIPTORS, ApiDescriptor, KafkaMessage, KafkaResponse};
use kafka_wire_core::{ApiKey, ApiVersion, DecodeLimits, Decoder};

use super::api_key;
use super::error::ProtocolError;
use super::messages::StrBytes;
use super::reader::Reader;
use super::response::Response;

/// The most elements one array of a request may have; Kafka 4.4 refuses more as well.
pub const ARRAY_ELEMENTS_MAX: usize = 1_000_000;
/// The most tagged fields one structure may have; Kafka 4.4 refuses more as well.
pub const TAGGED_FIELDS_MAX: usize = 10_000;
/// The largest body given to the message decoder. Decoded structs are up to forty times as large
/// as their shortest encoding, so the limit of a frame (100 MiB) would not bound memory. Produce,
/// the only large request, has a decoder of its own that copies nothing; all that is asked of
/// 100,000 partitions fits into half of this.
const BODY_BYTES_MAX: usize = 8 * 1024 * 1024;
/// The size in front of every frame.
const SIZE_BYTES: usize = 4;

/// What stands in front of every request, and the undecoded rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestHead {
    /// Which request (see [`api_key`]).
    pub api_key: i16,
    /// In which version.
    pub api_version: i16,
    /// Chosen by the client, repeated in the answer.
    pub correlation_id: i32,
    /// How the client calls itself.
    pub client_id: Option<StrBytes>,
    /// Whether the codec knows this version of this request. If not, only the first three fields
    /// were read and `body` is whatever followed them.
    pub known: bool,
    /// The body, a slice of the frame.
    pub body: Bytes,
}

/// Reads the head of a frame (without the size in front): header version 1, or 2 if the version
/// is a flexible one.
///
/// # Errors
/// [`ProtocolError::Malformed`] if the frame is too short or the header is not well-formed.
pub fn parse_request(frame: Bytes) -> Result<RequestHead, ProtocolError> {
    let mut reader = Reader::new(frame);
    let api_key = reader.i16()?;
    let api_version = reader.i16()?;
    let correlation_id = reader.i32()?;
    let flexible = flexibility(api_key, api_version);
    let client_id = match flexible {
        Some(flexible) => {
            let client_id = reader.nullable_string_legacy()?;
            if flexible {
                reader.skip_tagged_fields()?;
            }
            client_id
        }
        None => None,
    };
    Ok(RequestHead {
        api_key,
        api_version,
        correlation_id,
        client_id,
        known: flexible.is_some(),
        body: reader.into_rest(),
    })
}

/// Whether the version of the request is a flexible one (KIP-482); `None` if it is not known.
fn flexibility(api_key: i16, api_version: i16) -> Option<bool> {
    match api_key {
        api_key::PRODUCE => (3..=13).contains(&api_version).then_some(api_version >= 9),
        api_key::FETCH => (4..=18).contains(&api_version).then_some(api_version >= 12),
        _ => {
            let version = ApiVersion::new(api_version);
            let api = descriptor(api_key)?;
            api.supported_versions
                .contains(version)
                .then(|| api.flexible_versions.is_some_and(|v| v.contains(version)))
        }
    }
}

fn descriptor(api_key: i16) -> Option<&'static ApiDescriptor> {
    let place = API_DESCRIPTORS
        .binary_search_by_key(&ApiKey::new(api_key), |api| api.api_key)
        .ok()?;
    API_DESCRIPTORS.get(place)
}

/// The versions of a request that the codec knows, lowest and highest, if it knows the request.
/// What a broker advertises is the table of `api`, which must lie within.
pub fn supported_versions(api_key: i16) -> Option<(i16, i16)> {
    let versions = descriptor(api_key)?.supported_versions;
    Some((versions.min().value(), versions.max().value()))
}

/// The limits under which a body is decoded; strings and byte fields are bounded by the frame.
fn limits(length: usize) -> DecodeLimits {
    let mut limits = DecodeLimits::default();
    limits.max_frame_bytes = length;
    limits.max_string_bytes = length;
    limits.max_bytes_bytes = length;
    limits.max_tag_bytes = length;
    limits.max_total_tag_bytes = length;
    limits.max_array_elements = ARRAY_ELEMENTS_MAX;
    limits.max_tagged_fields = TAGGED_FIELDS_MAX;
    limits
}

/// Decodes a body, request or answer, in the version of its head.
///
/// # Errors
/// [`ProtocolError::UnsupportedVersion`] if the message has no such version,
/// [`ProtocolError::Malformed`] if it is not well-formed, or exceeds a limit. Bytes left over are ignored, as
/// Kafka does: librdkafka sends three too many with some of its Metadata requests.
pub fn decode_body<M: KafkaMessage>(body: Bytes, api_version: i16) -> Result<M, ProtocolError> {
    let version = ApiVersion::new(api_version);
    if !M::supports(version) {
        return Err(ProtocolError::Malformed(format!(
            "{} has no version {api_version}",
            M::NAME
        )));
    }
    if body.len() > BODY_BYTES_MAX {
        return Err(ProtocolError::Malformed(format!(
            "{} of {} bytes is larger than {BODY_BYTES_MAX}",
            M::NAME,
            body.len()
        )));
    }
    let malformed = |error: kafka_wire_core::DecodeError| {
        ProtocolError::Malformed(format!("{}: {error}", M::NAME))
    };
    let limits = limits(body.len());
    let mut decoder = Decoder::new(body, limits).map_err(malformed)?;
    let message = M::decode(&mut decoder, version).map_err(malformed)?;
    Ok(message)
}

/// Encodes an answer with size and header in front. The header of ApiVersions is always the oldest
/// one, because a client reads it before it knows which versions the broker speaks.
///
/// # Errors
/// [`ProtocolError::Unencodable`] if the answer says something its version has no field for, or is
/// larger than a frame can be.
pub fn encode_response<A: KafkaResponse>(
    correlation_id: i32,
    api_version: i16,
    answer: &A,
) -> Result<Response, ProtocolError> {
    let version = ApiVersion::new(api_version);
    let unencodable = |error: kafka_wire_core::EncodeError| {
        ProtocolError::Unencodable(format!("{}: {error}", A::NAME))
    };
    let tagged = A::API_KEY.value() != api_key::API_VERSIONS && A::is_flexible(version);
    let body_length = answer.encoded_len(version).map_err(unencodable)?;
    let length = body_length + 4 + usize::from(tagged);
    let size = i32::try_from(length)
        .map_err(|_| ProtocolError::Unencodable(format!("{} of {length} bytes", A::NAME)))?;
    let mut buffer = BytesMut::with_capacity(SIZE_BYTES + length);
    buffer.put_i32(size);
    buffer.put_i32(correlation_id);
    if tagged {
        buffer.put_u8(0);
    }
    let mut encoder = kafka_wire_core::Encoder::new(&mut buffer);
    answer.encode(&mut encoder, version).map_err(unencodable)?;
    if buffer.len() != SIZE_BYTES + length {
        return Err(ProtocolError::Unencodable(format!(
            "{} was measured wrongly",
            A::NAME
        )));
    }
    Ok(Response::from_bytes(buffer.freeze()))
}
