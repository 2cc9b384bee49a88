//! What ApiVersions tells, against answers of a live Kafka 4.3.1.

use super::*;
use crate::api::testing_tests::Desk;
use crate::metadata::controller::{
    FeatureUpdate, METADATA_VERSION, METADATA_VERSION_MAX, Request, UpgradeType,
};
use crate::net::Reply;

fn introduce(name: &str, version: &str) -> ApiVersionsRequest {
    message!(ApiVersionsRequest {
        client_software_name: name.into(),
        client_software_version: version.into(),
    })
}

#[test]
fn an_unknown_version_is_answered_in_version_0_with_error_35_and_its_own_range() {
    for version in [5i16, 9, -1, i16::MAX] {
        let mut frame = vec![0x00, 0x12];
        frame.extend(version.to_be_bytes());
        frame.extend([0, 0, 0, 7, 0, 3, b'a', b's', b'k', 0]);
        let Reply::Respond(response) = Desk::new().send(frame.into()) else {
            panic!("closed");
        };
        assert_eq!(
            response.read_to_bytes().unwrap(),
            [
                0, 0, 0, 16, 0, 0, 0, 7, 0x00, 0x23, 0, 0, 0, 1, 0x00, 0x12, 0, 0, 0, 4
            ],
            "{version}"
        );
    }
}

#[test]
fn every_version_lists_the_table_and_only_what_it_can_carry() {
    let desk = Desk::new();
    desk.controller.plan(Request::UpdateFeatures {
        updates: vec![FeatureUpdate {
            feature: METADATA_VERSION.to_owned(),
            level: METADATA_VERSION_MAX,
            upgrade_type: UpgradeType::Upgrade,
        }],
        validate_only: false,
    });
    for version in 0..=4 {
        let request = match version {
            0..=2 => ApiVersionsRequest::default(),
            _ => introduce("librdkafka", "2.15.0-rc1"),
        };
        let answer: ApiVersionsResponse = desk.ask(version, request);
        let keys: Vec<i16> = answer.api_keys.iter().map(|row| row.api_key).collect();
        let table: Vec<i16> = table::API_TABLE.iter().map(|row| row.key).collect();
        assert_eq!((answer.error_code, keys), (0, table), "{version}");
        let supported: Vec<_> = answer
            .supported_features
            .iter()
            .map(|feature| (&*feature.name, feature.min_version, feature.max_version))
            .collect();
        let finalized: Vec<_> = answer
            .finalized_features
            .iter()
            .map(|f| (&*f.name, f.min_version_level, f.max_version_level))
            .collect();
        if version < 3 {
            assert!(supported.is_empty() && finalized.is_empty());
        } else {
            // Clients of version 3 cannot read a feature whose lowest level is 0.
            let all = [("group.version", 0, 1), ("metadata.version", 7, 30)];
            assert_eq!(supported, all[usize::from(version < 4)..]);
            assert_eq!(
                finalized,
                [("group.version", 1, 1), ("metadata.version", 30, 30)]
            );
            let epoch = i64::try_from(desk.gateway.image.load().version).unwrap();
            assert_eq!(answer.finalized_features_epoch, epoch);
            assert!(!answer.zk_migration_ready);
        }
    }
}

#[test]
fn a_client_that_misnames_itself_is_refused_and_learns_nothing() {
    let desk = Desk::new();
    for (name, version) in [
        ("-bad name-", "1"),
        ("", ""),
        ("ask", ""),
        ("ask", "1."),
        (".ask", "1"),
        ("käse", "1"),
    ] {
        let answer: ApiVersionsResponse = desk.ask(3, introduce(name, version));
        assert_eq!(
            (answer.error_code, answer.api_keys.len()),
            (42, 0),
            "{name}"
        );
        assert_eq!(answer.finalized_features_epoch, -1);
        assert_eq!(desk.connection.software(), None);
    }
}

#[test]
fn how_a_client_calls_itself_is_remembered_for_its_connection() {
    let desk = Desk::new();
    let _: ApiVersionsResponse = desk.ask(4, introduce("apache-kafka-java", "4.3.1"));
    let software = desk.connection.software().unwrap();
    assert_eq!(&*software.name, "apache-kafka-java");
    assert_eq!(&*software.version, "4.3.1");
}
