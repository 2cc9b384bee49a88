//! Damaged requests by the thousand through every decoder: none panics, none asks for more memory
//! than a small frame can justify. In a binary of its own, because it counts allocations.

// Counting what is allocated needs an allocator of our own, which is unsafe by its trait.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use milena::protocol::fetch::FetchRequest;
use milena::protocol::messages::{self, Request};
use milena::protocol::produce::ProduceRequest;
use milena::protocol::{api_key, decode_body, encode_request, parse_request, supported_versions};

/// Damaged bodies per request, over all its versions.
const ROUNDS: usize = 4000;
/// What decoding one small frame may ask for at once. Frames here are below 64 KiB.
const ALLOCATION_BYTES_MAX: usize = 8 << 20;

thread_local! {
    static LARGEST: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: every call is passed on unchanged to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LARGEST.with(|largest| largest.set(largest.get().max(layout.size())));
        // SAFETY: the caller's promises are those System asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: `pointer` came from System with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        LARGEST.with(|largest| largest.set(largest.get().max(size)));
        // SAFETY: `pointer` came from System with this layout.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A small generator (splitmix64), the same in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    fn damage(&mut self, bytes: &[u8]) -> Bytes {
        let mut bytes = bytes.to_vec();
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len());
            match self.below(7) {
                0 => bytes.truncate(at),
                1 => {
                    let length = self.below(40);
                    let more = (0..length).map(|_| self.next() as u8);
                    let more: Vec<u8> = more.collect();
                    bytes.splice(at..at, more);
                }
                2 => {
                    // Lengths and counts at their extremes.
                    let extreme: &[u8] = match self.below(5) {
                        0 => &[0x7f, 0xff, 0xff, 0xff],
                        1 => &[0xff, 0xff, 0xff, 0xff, 0x0f],
                        2 => &[0x80, 0, 0, 0],
                        3 => &[0, 0x0f, 0x42, 0x40],
                        _ => &[0xc1, 0x84, 0x3d],
                    };
                    let end = (at + extreme.len()).min(bytes.len());
                    bytes.splice(at..end, extreme.iter().copied());
                }
                3 => {
                    let zeros = vec![0; self.below(2000)];
                    bytes.splice(at..at, zeros);
                }
                4 => bytes.insert(at, 2),
                _ if !bytes.is_empty() => bytes[at] ^= 1 << self.below(8),
                _ => {}
            }
        }
        bytes.truncate(60_000);
        bytes.into()
    }
}

/// Runs a decoder on damaged versions of `start` and of whatever it accepted.
fn torture(name: &str, seed: u64, rounds: usize, start: Bytes, decode: impl Fn(Bytes) -> bool) {
    let mut random = Random(seed);
    let mut kept = vec![start];
    for _ in 0..rounds {
        let from = random.below(kept.len());
        let frame = random.damage(&kept[from]);
        LARGEST.with(|largest| largest.set(0));
        let outcome = catch_unwind(AssertUnwindSafe(|| decode(frame.clone())));
        let largest = LARGEST.with(Cell::get);
        let accepted = outcome.unwrap_or_else(|_| panic!("{name} panics on {frame:02x?}"));
        assert!(
            largest <= ALLOCATION_BYTES_MAX,
            "{name} asks for {largest} bytes on {} bytes: {:02x?}",
            frame.len(),
            &frame[..frame.len().min(64)]
        );
        if accepted && kept.len() < 64 {
            kept.push(frame);
        }
    }
}

fn torture_request<R: Request + Default>(key: i16) {
    let (low, high) = supported_versions(key).expect("a request we know");
    let rounds = ROUNDS / usize::try_from(high - low + 1).expect("not empty");
    for version in low..=high {
        let Ok(frame) = encode_request(1, version, Some("me"), &R::default()) else {
            panic!("{} {version} has no default", R::NAME);
        };
        let body = parse_request(frame.slice(4..)).expect("we wrote it").body;
        let seed = (key as u64) << 16 | version as u64;
        torture(R::NAME, seed, rounds, body, |body| {
            decode_body::<R>(body, version).is_ok()
        });
    }
}

macro_rules! every_request {
    ($($key:ident $request:ident,)*) => {
        #[test]
        fn no_damaged_body_makes_a_decoder_panic_or_reserve_what_is_not_there() {
            $(torture_request::<messages::$request>(api_key::$key);)*
        }
    };
}

every_request! {
    PRODUCE ProduceRequest,
    FETCH FetchRequest,
    LIST_OFFSETS ListOffsetsRequest,
    METADATA MetadataRequest,
    OFFSET_COMMIT OffsetCommitRequest,
    OFFSET_FETCH OffsetFetchRequest,
    FIND_COORDINATOR FindCoordinatorRequest,
    JOIN_GROUP JoinGroupRequest,
    HEARTBEAT HeartbeatRequest,
    LEAVE_GROUP LeaveGroupRequest,
    SYNC_GROUP SyncGroupRequest,
    DESCRIBE_GROUPS DescribeGroupsRequest,
    LIST_GROUPS ListGroupsRequest,
    SASL_HANDSHAKE SaslHandshakeRequest,
    API_VERSIONS ApiVersionsRequest,
    CREATE_TOPICS CreateTopicsRequest,
    DELETE_TOPICS DeleteTopicsRequest,
    DELETE_RECORDS DeleteRecordsRequest,
    INIT_PRODUCER_ID InitProducerIdRequest,
    OFFSET_FOR_LEADER_EPOCH OffsetForLeaderEpochRequest,
    ADD_PARTITIONS_TO_TXN AddPartitionsToTxnRequest,
    ADD_OFFSETS_TO_TXN AddOffsetsToTxnRequest,
    END_TXN EndTxnRequest,
    TXN_OFFSET_COMMIT TxnOffsetCommitRequest,
    DESCRIBE_CONFIGS DescribeConfigsRequest,
    ALTER_CONFIGS AlterConfigsRequest,
    INCREMENTAL_ALTER_CONFIGS IncrementalAlterConfigsRequest,
    CREATE_PARTITIONS CreatePartitionsRequest,
    DESCRIBE_CLUSTER DescribeClusterRequest,
    DESCRIBE_TOPIC_PARTITIONS DescribeTopicPartitionsRequest,
    DESCRIBE_LOG_DIRS DescribeLogDirsRequest,
    DESCRIBE_PRODUCERS DescribeProducersRequest,
    DESCRIBE_QUORUM DescribeQuorumRequest,
    UPDATE_FEATURES UpdateFeaturesRequest,
    LIST_CONFIG_RESOURCES ListConfigResourcesRequest,
    SASL_AUTHENTICATE SaslAuthenticateRequest,
}

#[test]
fn no_damaged_body_upsets_the_decoders_written_by_hand() {
    for version in 3..=13 {
        let request = messages::ProduceRequest::default();
        let frame = encode_request(1, version, None, &request).expect("encodes");
        let body = parse_request(frame.slice(4..)).expect("we wrote it").body;
        torture("Produce", version as u64, ROUNDS / 4, body, |body| {
            ProduceRequest::decode(body, version).is_ok()
        });
    }
    for version in 4..=18 {
        let request = messages::FetchRequest::default();
        let frame = encode_request(1, version, None, &request).expect("encodes");
        let body = parse_request(frame.slice(4..)).expect("we wrote it").body;
        torture("Fetch", version as u64, ROUNDS / 4, body, |body| {
            FetchRequest::decode(body, version).is_ok()
        });
    }
}

#[test]
fn no_damaged_frame_upsets_the_reading_of_heads() {
    for version in [0, 3, 9, 12] {
        let request = messages::MetadataRequest::default();
        let version = version.min(12);
        let frame = encode_request(1, version, Some("somebody"), &request).expect("encodes");
        torture(
            "a head",
            version as u64,
            ROUNDS,
            frame.slice(4..),
            |frame| parse_request(frame).is_ok(),
        );
    }
}
