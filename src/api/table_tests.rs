//! What is promised is what a stock Kafka 4.3 broker promises, and frames that are not understood.

use bytes::Bytes;

use super::*;
use crate::api::dispatch::FrontDesk;
use crate::api::peer::Connection;
use crate::api::testing_tests::Desk;
use crate::net::Service;
use crate::protocol::supported_versions;

/// (key, lowest, highest) as a live Kafka 4.3.1 answers ApiVersions.
const STOCK: &[(i16, i16, i16)] = &[
    (0, 0, 13),
    (1, 4, 18),
    (2, 1, 11),
    (3, 0, 13),
    (8, 2, 10),
    (9, 1, 10),
    (10, 0, 6),
    (11, 0, 9),
    (12, 0, 4),
    (13, 0, 5),
    (14, 0, 5),
    (15, 0, 6),
    (16, 0, 5),
    (18, 0, 4),
    (19, 2, 7),
    (20, 1, 6),
    (21, 0, 2),
    (22, 0, 5),
    (23, 2, 4),
    (32, 1, 4),
    (33, 0, 2),
    (34, 1, 2),
    (35, 1, 5),
    (37, 0, 3),
    (42, 0, 2),
    (44, 0, 1),
    (47, 0, 0),
    (55, 0, 2),
    (57, 0, 2),
    (60, 0, 2),
    (61, 0, 0),
    (68, 0, 1),
    (69, 0, 1),
    (74, 0, 1),
    (75, 0, 0),
];

#[test]
fn every_row_promises_the_range_of_a_stock_broker() {
    for row in API_TABLE {
        let promised = (row.key, row.advertised_min, row.max);
        assert!(STOCK.contains(&promised), "{}: {promised:?}", row.name);
        let (min, max) = supported_versions(row.key).unwrap();
        assert!(min <= row.min && row.max <= max, "{}: codec", row.name);
    }
}

#[test]
fn rows_are_in_order_of_their_keys_and_found_by_them() {
    assert!(API_TABLE.is_sorted_by(|a, b| a.key < b.key));
    for row in API_TABLE {
        assert_eq!(find(row.key).map(|found| found.name), Some(row.name));
    }
    assert!(find(-1).is_none() && find(4).is_none() && find(i16::MAX).is_none());
}

fn frame(hex: &str) -> Bytes {
    let digits: String = hex.split_whitespace().collect();
    (0..digits.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap())
        .collect::<Vec<u8>>()
        .into()
}

#[test]
fn a_frame_that_is_not_understood_closes_the_connection() {
    let desk = Desk::new();
    for (what, hex) in [
        ("unknown request", "7fff 0000 00000001 0003 61736b"),
        ("unknown version", "0003 0063 00000001 0003 61736b"),
        (
            "produce of an old version",
            "0000 0002 00000001 0003 61736b ffff 0001 00000000 00000000",
        ),
        ("cut off", "0003 000c 00000001"),
        ("one byte", "00"),
        ("nothing", ""),
        (
            "a count of 2147483647",
            "0003 0001 00000001 0003 61736b 7fffffff",
        ),
        (
            "a request among controllers",
            "0034 0000 00000001 0003 61736b 00",
        ),
        (
            "a huge number of tags",
            "0003 000c 00000001 0003 61736b ffffffff0f",
        ),
    ] {
        let outcome = desk.send(frame(hex));
        assert!(matches!(outcome, Reply::Close(_)), "{what}: {outcome:?}");
    }
    assert_eq!(desk.controller.asked.get(), 0);
}

#[test]
fn a_client_without_an_id_is_served() {
    let desk = Desk::new();
    let outcome = desk.send(frame("0003 0001 00000001 ffff 00000000"));
    assert!(matches!(outcome, Reply::Respond(_)), "{outcome:?}");
}

#[test]
fn only_produce_may_be_taken_before_earlier_requests_are_answered() {
    let gateway = Rc::clone(&Desk::new().gateway);
    let desk = FrontDesk::new(gateway, Connection::anonymous("PLAINTEXT", "127.0.0.1"));
    assert!(desk.may_pipeline(&[0, 0, 0, 9]));
    assert!(!desk.may_pipeline(&[0, 1, 0, 9]));
    assert!(!desk.may_pipeline(&[0]) && !desk.may_pipeline(&[]));
}

#[test]
fn no_body_whatever_ends_the_desk() {
    let desk = Desk::new();
    let mut seed = 0x9e37_79b9_u32;
    for row in API_TABLE {
        for version in row.min..=row.max {
            for length in [0usize, 1, 3, 8, 21, 60] {
                let mut bytes = vec![0, row.key as u8];
                bytes.extend(version.to_be_bytes());
                bytes.extend([0, 0, 0, 1, 0xff, 0xff]);
                for _ in 0..length {
                    seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    bytes.push((seed >> 24) as u8 & 0x0f);
                }
                desk.send(bytes.into());
            }
        }
    }
}
