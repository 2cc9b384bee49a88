//! Heads and frames: header versions, unknown requests, limits.

use bytes::{BufMut, Bytes, BytesMut};

use super::messages::{self, StrBytes};
use super::{
    ProtocolError, api_key, decode_body, decode_response, encode_request, encode_response,
    parse_request, supported_versions,
};
use crate::message;

fn head(api_key: i16, api_version: i16, rest: &[u8]) -> Bytes {
    let mut frame = BytesMut::new();
    frame.put_i16(api_key);
    frame.put_i16(api_version);
    frame.put_i32(42);
    frame.put_slice(rest);
    frame.freeze()
}

#[test]
fn plain_and_flexible_heads_are_read_up_to_the_body() {
    let plain = parse_request(head(api_key::METADATA, 1, b"\0\x02mebody")).expect("reads");
    assert_eq!(plain.client_id, Some(StrBytes::from("me")));
    assert_eq!((plain.known, &plain.body[..]), (true, &b"body"[..]));
    // The client id keeps its old form in flexible heads; one tagged field is skipped.
    let flexible = head(api_key::METADATA, 9, b"\0\x02me\x01\x05\x03xyzbody");
    let flexible = parse_request(flexible).expect("reads");
    assert_eq!(flexible.client_id, Some(StrBytes::from("me")));
    assert_eq!(&flexible.body[..], b"body");
    let nameless = parse_request(head(api_key::PRODUCE, 8, b"\xff\xffbody")).expect("reads");
    assert_eq!((nameless.client_id, nameless.correlation_id), (None, 42));
}

#[test]
fn unknown_requests_still_tell_who_is_to_be_answered() {
    for (key, version) in [
        (api_key::API_VERSIONS, 99),
        (api_key::API_VERSIONS, -1),
        (api_key::PRODUCE, 2),
        (api_key::FETCH, 19),
        (12_345, 0),
        (-1, 0),
    ] {
        let parsed = parse_request(head(key, version, b"whatever")).expect("reads");
        assert_eq!(
            (parsed.api_key, parsed.api_version, parsed.correlation_id),
            (key, version, 42)
        );
        assert_eq!((parsed.known, parsed.client_id), (false, None));
    }
}

#[test]
fn heads_that_are_cut_off_or_lie_are_refused() {
    for frame in [
        Bytes::new(),
        Bytes::from_static(b"\0\x12\0\x03\0\0\0"),
        head(api_key::METADATA, 1, b""),
        head(api_key::METADATA, 1, b"\0\x05me"),
        head(api_key::METADATA, 1, b"\xff\xfe"),
        head(api_key::METADATA, 1, b"\0\x01\xff"),
        head(api_key::METADATA, 9, b"\0\0\xff\xff\xff\xff\x0f"),
        head(api_key::METADATA, 9, b"\0\0\x01\x05\x7fxyz"),
    ] {
        let parsed = parse_request(frame.clone());
        assert!(
            matches!(parsed, Err(ProtocolError::Malformed(_))),
            "{frame:?}"
        );
    }
}

#[test]
fn the_answer_to_api_versions_has_the_oldest_head_and_others_that_of_their_version() {
    let versions = messages::ApiVersionsResponse::default();
    let flexible = encode_response(42, 3, &versions).expect("encodes");
    let flexible = flexible.read_to_bytes().expect("no files");
    // Error code 0 follows the correlation id at once: no tagged fields in the head.
    assert_eq!(flexible[4..11], [0, 0, 0, 42, 0, 0, 1]);
    let metadata = message!(messages::MetadataResponse {
        throttle_time_ms: 0x0102_0304
    });
    for (version, start) in [(8, &[0, 0, 0, 42, 1, 2][..]), (9, &[0, 0, 0, 42, 0, 1, 2])] {
        let frame = encode_response(42, version, &metadata).expect("encodes");
        let frame = frame.read_to_bytes().expect("no files");
        assert_eq!(frame[4..4 + start.len()], *start);
        assert_eq!(frame[..4], (frame.len() as u32 - 4).to_be_bytes());
        let body = Bytes::from(frame).slice(4..);
        let (id, back) =
            decode_response::<messages::MetadataResponse>(body, version).expect("reads");
        assert_eq!((id, back.throttle_time_ms), (42, 0x0102_0304));
    }
}

#[test]
fn a_request_we_send_is_read_back_and_bytes_after_it_are_ignored() {
    let topic = message!(messages::metadata_request::MetadataRequestTopic {
        name: Some(StrBytes::from("t"))
    });
    let request = message!(messages::MetadataRequest {
        topics: Some(vec![topic])
    });
    for version in 0..=13 {
        let mut request = request.clone();
        request.allow_auto_topic_creation = true;
        let frame = encode_request(7, version, Some("test"), &request).expect("encodes");
        let parsed = parse_request(frame.slice(4..)).expect("reads");
        assert_eq!((parsed.correlation_id, parsed.known), (7, true));
        assert_eq!(parsed.client_id, Some(StrBytes::from("test")));
        let back: messages::MetadataRequest =
            decode_body(parsed.body.clone(), version).expect("reads");
        assert_eq!(back.topics, request.topics);
        let longer = Bytes::from([&parsed.body[..], b"x"].concat());
        let back: messages::MetadataRequest = decode_body(longer, version).expect("reads");
        assert_eq!(back.topics, request.topics);
    }
}

#[test]
fn counts_without_bytes_behind_them_are_refused() {
    // Four bytes that once made a broker reserve 150 GB.
    let body = Bytes::from_static(b"\x7f\xff\xff\xff");
    assert!(decode_body::<messages::MetadataRequest>(body, 8).is_err());
    let body = Bytes::from_static(b"\0\x0f\x42\x40");
    assert!(decode_body::<messages::MetadataRequest>(body, 8).is_err());
}

#[test]
fn what_a_version_cannot_say_is_an_error_of_ours() {
    let answer = message!(messages::ProduceResponse {
        node_endpoints: vec![Default::default()]
    });
    assert!(matches!(
        encode_response(1, 9, &answer),
        Err(ProtocolError::Unencodable(_))
    ));
    assert_eq!(supported_versions(api_key::METADATA), Some((0, 13)));
    assert_eq!(supported_versions(4), None);
}
