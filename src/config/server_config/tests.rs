//! Configurations that load, and the sentence of each that does not.

use std::path::PathBuf;

use expect_test::{Expect, expect};

use super::*;
use crate::config::{Address, SecurityProtocol};

/// What a KRaft quick-start file of Kafka 4.3 holds, in our own layout.
const KAFKA_QUICK_START: &str = "\
process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=localhost:9093
listeners=PLAINTEXT://:9092,CONTROLLER://:9093
inter.broker.listener.name=PLAINTEXT
advertised.listeners=PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,\\
    SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL
num.network.threads=3
num.io.threads=8
socket.send.buffer.bytes=102400
socket.receive.buffer.bytes=102400
socket.request.max.bytes=104857600
log.dirs=/tmp/kraft-combined-logs
num.partitions=1
num.recovery.threads.per.data.dir=1
offsets.topic.replication.factor=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
log.retention.hours=168
log.segment.bytes=1073741824
log.retention.check.interval.ms=300000
";

fn load(text: &str) -> Result<ServerConfig, ConfigError> {
    ServerConfig::load(Sources {
        file: Some(("server.properties", text.as_bytes())),
        overrides: &[],
        host_name: "box.example.org",
    })
}

fn notices(config: &ServerConfig) -> String {
    let lines = config.notices.iter().map(|notice| match notice {
        Notice::Told(text) => format!("told: {text}\n"),
        Notice::Warned(text) => format!("warned: {text}\n"),
    });
    lines.collect()
}

/// Loads each text, which must be refused, and puts the sentences below each other.
#[track_caller]
fn refused(texts: &[&str], expected: Expect) {
    let sentences: String = texts
        .iter()
        .map(|text| match load(text) {
            Ok(_) => format!("accepted: {text}\n"),
            Err(error) => format!("{error}\n"),
        })
        .collect();
    expected.assert_eq(&sentences);
}

#[test]
fn nothing_at_all_is_a_broker_on_loopback() {
    let config = ServerConfig::of(&[]).unwrap();
    assert_eq!(config.node.id, BrokerId(1));
    assert_eq!(config.listeners.open.len(), 1);
    assert_eq!(
        config.listeners.open[0].to_string(),
        "PLAINTEXT://127.0.0.1:9092"
    );
    assert_eq!(config.listeners.inter_broker, "PLAINTEXT");
    assert_eq!(
        config.log_dirs.directories,
        [PathBuf::from("./milena-data")]
    );
    assert_eq!(config.log_dirs.metadata, PathBuf::from("./milena-data"));
    assert_eq!(config.notices, []);
}

#[test]
fn a_quick_start_file_of_kafka_is_accepted_as_it_is() {
    let config = load(KAFKA_QUICK_START).unwrap();
    assert_eq!(config.listeners.open.len(), 1);
    assert_eq!(config.listeners.controller.len(), 1);
    assert_eq!(
        config.listeners.open[0].advertised.to_string(),
        "localhost:9092"
    );
    expect![[r#"
        told: controller listener CONTROLLER://:9093 is accepted and not opened: one node's quorum is inside it, and no other node has to reach it
        told: listener PLAINTEXT://:9092 listens on every address, and clients are told localhost:9092; set advertised.listeners if they do not reach that
    "#]]
    .assert_eq(&notices(&config));
}

#[test]
fn the_file_we_ship_loads_without_a_remark_and_says_only_defaults() {
    let text = include_str!("../../../config/server.properties");
    let config = load(text).unwrap();
    assert_eq!(notices(&config), "");
    let bare = ServerConfig::of(&[]).unwrap();
    let lines = |config: &ServerConfig| -> Vec<String> {
        let lines = config.values.listing();
        lines
            .filter(|line| !line.starts_with("log.retention.ms"))
            .collect()
    };
    assert_eq!(lines(&config), lines(&bare));
}

#[test]
fn overrides_outrank_the_file_and_later_lines_earlier_ones() {
    let overrides = [("num.partitions".to_owned(), "7".to_owned())];
    let config = ServerConfig::load(Sources {
        file: Some(("a.properties", b"num.partitions=3\nnode.id=4\nnode.id=5\n")),
        overrides: &overrides,
        host_name: "box",
    })
    .unwrap();
    assert_eq!((config.topics.partitions, config.node.id), (7, BrokerId(5)));
    expect![[r#"
        warned: a.properties, line 3: node.id is set again, and this value counts, not that of a.properties, line 2
    "#]]
    .assert_eq(&notices(&config));
}

#[test]
fn an_empty_host_is_advertised_as_the_machine() {
    let config = load("listeners=PLAINTEXT://:0").unwrap();
    let told = Address {
        host: "box.example.org".to_owned(),
        port: 0,
    };
    assert_eq!(config.listeners.open[0].advertised, told);
}

#[test]
fn listeners_have_any_names_and_their_own_advertised_addresses() {
    let config = load(
        "listeners=inside://10.0.0.1:9092,OUTSIDE://[::1]:9092\n\
         advertised.listeners=OUTSIDE://[2001:db8::1]:19092\n\
         listener.security.protocol.map=INSIDE:PLAINTEXT,outside:plaintext\n\
         inter.broker.listener.name=INSIDE",
    )
    .unwrap();
    let told: Vec<String> = config
        .listeners
        .open
        .iter()
        .map(|listener| format!("{} {}", listener.name, listener.advertised))
        .collect();
    assert_eq!(
        told,
        ["INSIDE 10.0.0.1:9092", "OUTSIDE [2001:db8::1]:19092"]
    );
    assert_eq!(
        config.listeners.open[1].protocol,
        SecurityProtocol::Plaintext
    );
}

#[test]
fn unknown_keys_are_warned_of_with_the_nearest_one() {
    let config = load(
        "log.dris=/x\nzookeeper.connect=a:2181\nmy.own=1\nlistener.name.a.max.connections=1\n",
    )
    .unwrap();
    expect![[r#"
        warned: server.properties, line 1: no key is called log.dris, and it does nothing; was log.dirs meant?
        warned: server.properties, line 2: zookeeper.connect does nothing: Kafka 4 and Milena need no ZooKeeper
        warned: server.properties, line 3: no key is called my.own, and it does nothing; config/reference.md lists them all
        warned: server.properties, line 4: listener.name.a.max.connections does nothing: keys of a single listener are not built yet, set the key without its prefix
    "#]]
    .assert_eq(&notices(&config));
}

#[test]
fn the_strongest_alias_counts_in_the_unit_of_its_key() {
    let retention = |text: &str| load(text).unwrap().values.text("log.retention.ms").unwrap();
    assert_eq!(retention(""), "604800000");
    assert_eq!(retention("log.retention.hours=1"), "3600000");
    assert_eq!(
        retention("log.retention.hours=1\nlog.retention.minutes=2"),
        "120000"
    );
    assert_eq!(
        retention("log.retention.minutes=2\nlog.retention.ms=3"),
        "3"
    );
    assert_eq!(retention("log.retention.hours=-1"), "-1");
}

#[test]
fn log_dir_and_broker_id_are_older_names() {
    let config = load("log.dir=/old\nbroker.id=9").unwrap();
    assert_eq!(config.log_dirs.directories, [PathBuf::from("/old")]);
    assert_eq!(config.node.id, BrokerId(9));
    assert_eq!(
        config.values.explicit().get("node.id").map(String::as_str),
        Some("9")
    );
}

#[test]
fn partitions_are_spread_over_several_directories() {
    let config = load("log.dirs=/a, /b\nmetadata.log.dir=/m").unwrap();
    assert_eq!(
        config.log_dirs.directories,
        [PathBuf::from("/a"), PathBuf::from("/b")]
    );
    assert_eq!(config.log_dirs.metadata, PathBuf::from("/m"));
}

#[test]
fn secrets_are_hidden_where_values_are_shown() {
    let config = load("ssl.keystore.password=hunter2").unwrap();
    let listing: Vec<String> = config.values.listing().collect();
    assert!(listing.contains(&"ssl.keystore.password = [hidden]".to_owned()));
    assert!(listing.contains(&"ssl.key.password = null".to_owned()));
    assert!(!listing.concat().contains("hunter2"));
}

#[test]
fn limits_per_address_are_read() {
    let config =
        load("max.connections.per.ip.overrides=127.0.0.1:200,[::ffff:10.0.0.1]:3,::1:4").unwrap();
    let text = format!("{:?}", config.limits.connections_per_ip_overrides);
    assert_eq!(text, "{10.0.0.1: 3, 127.0.0.1: 200, ::1: 4}");
}

#[test]
fn no_limit_is_written_as_minus_one() {
    let config = load("queued.max.request.bytes=-1\nconnections.max.idle.ms=-1").unwrap();
    assert_eq!(config.limits.queued_request_bytes_max, None);
    assert_eq!(config.limits.connection_idle_ms_max, None);
}

#[test]
fn bad_values_are_refused_with_key_value_and_way_out() {
    refused(
        &[
            "num.partitions=0",
            "node.id=-1",
            "broker.id=-7",
            "message.max.bytes=1MB",
            "auto.create.topics.enable=yes",
            "compression.type=brotli",
            "log.cleanup.policy=delete,tidy",
            "log.dirs= , ",
            "log.dirs=/a,/a",
            "a=\\u12",
            "delegation.token.secret.key=hunter2",
        ],
        expect![[r#"
            server.properties, line 1: Invalid value 0 for configuration num.partitions: Value must be at least 1
            server.properties, line 1: Invalid value -1 for configuration node.id: Value must be at least 0
            broker.id=-7 is negative; set node.id to 0 or more
            server.properties, line 1: Invalid value 1MB for configuration message.max.bytes: Not a number of type INT
            server.properties, line 1: Invalid value yes for configuration auto.create.topics.enable: Expected value to be either true or false
            server.properties, line 1: Invalid value brotli for configuration compression.type: String must be one of: uncompressed, zstd, lz4, snappy, gzip, producer
            server.properties, line 1: Invalid value tidy for configuration log.cleanup.policy: String must be one of: compact, delete
            server.properties, line 1: Invalid value [] for configuration log.dirs: List must not be empty
            log.dirs=/a,/a names /a twice; name each directory once
            server.properties, line 1: \u12 is not \u and four hexadecimal digits
            server.properties, line 1: Invalid value [hidden] for configuration delegation.token.secret.key: Delegation tokens are not built yet; leave it out.
        "#]],
    );
}

#[test]
fn what_is_not_built_is_refused_rather_than_pretended() {
    refused(
        &[
            "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "remote.log.storage.system.enable=true",
            "process.roles=broker",
            "controller.quorum.voters=1@a:9093,2@b:9093",
            "controller.quorum.bootstrap.servers=a:9093,b:9093",
            "listeners=SSL://:9093\nsecurity.inter.broker.protocol=SSL",
            "listeners=PLAINTEXT://:9092,OUT://:9093\nlistener.security.protocol.map=PLAINTEXT:PLAINTEXT,OUT:SASL_SSL",
            "replica.selector.class=org.apache.kafka.common.replica.RackAwareReplicaSelector",
        ],
        expect![[r#"
            server.properties, line 1: Invalid value org.apache.kafka.metadata.authorizer.StandardAuthorizer for configuration authorizer.class.name: Authorization is not built yet, and a broker that seems to enforce it would be worse than none; leave it out.
            server.properties, line 1: Invalid value true for configuration remote.log.storage.system.enable: Tiered storage is not built yet; leave it out.
            process.roles=broker leaves out controller, and clusters of several nodes are not built yet; use process.roles=broker,controller
            controller.quorum.voters names node 2 beside this node 1, and clusters of several nodes are not built yet; leave it out
            controller.quorum.bootstrap.servers=a:9093,b:9093 names several controllers, and clusters of several nodes are not built yet; leave it out
            listener SSL://:9093 has the protocol SSL, which is not built yet; serve it as PLAINTEXT on a network you trust, or take it out
            listener OUT://:9093 has the protocol SASL_SSL, which is not built yet; serve it as PLAINTEXT on a network you trust, or take it out
            server.properties, line 1: Invalid value org.apache.kafka.common.replica.RackAwareReplicaSelector for configuration replica.selector.class: Java classes cannot be loaded; leave it out.
        "#]],
    );
}

#[test]
fn impossible_listeners_are_refused() {
    refused(
        &[
            "listeners=PLAINTEXT",
            "listeners=PLAINTEXT://:70000",
            "listeners=PLAINTEXT://0.0.0.0:9092",
            "advertised.listeners=PLAINTEXT://[::]:9092",
            "advertised.listeners=OUTSIDE://a:9092",
            "listeners=PLAINTEXT://:9092,PLAINTEXT://:9093",
            "listeners=A://:9092,B://127.0.0.1:9092",
            "listeners=A://:9092",
            "listener.security.protocol.map=A:TLS",
            "controller.listener.names=CONTROLLER",
            "controller.listener.names=PLAINTEXT",
            "inter.broker.listener.name=INSIDE",
            "inter.broker.listener.name=PLAINTEXT\nsecurity.inter.broker.protocol=PLAINTEXT",
            "listeners=PLAINTEXT://:9092,CONTROLLER://:9093\ncontroller.listener.names=CONTROLLER\ninter.broker.listener.name=CONTROLLER",
        ],
        expect![[r#"
            listeners holds PLAINTEXT, which is not NAME://host:port with a port up to 65535, for example PLAINTEXT://127.0.0.1:9092; correct it
            listeners holds PLAINTEXT://:70000, which is not NAME://host:port with a port up to 65535, for example PLAINTEXT://127.0.0.1:9092; correct it
            listeners would tell clients to connect to PLAINTEXT://0.0.0.0:9092, which is no address of a machine; set advertised.listeners to one that clients reach
            advertised.listeners would tell clients to connect to PLAINTEXT://[::]:9092, which is no address of a machine; set advertised.listeners to one that clients reach
            advertised.listeners names OUTSIDE://a:9092, and listeners has no OUTSIDE; add it there or take it out here
            listeners holds PLAINTEXT twice; give each listener a name of its own
            listeners=A://:9092,B://127.0.0.1:9092 gives A and B the same port 9092; give each listener a port of its own
            listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL does not say which protocol listener A speaks; add A:PLAINTEXT to it
            listener.security.protocol.map holds A:TLS, which is not NAME:PROTOCOL with PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL; correct it
            controller.listener.names=CONTROLLER names no listener of listeners=PLAINTEXT://127.0.0.1:9092; add CONTROLLER://:9093 there or take the name out here
            listeners=PLAINTEXT://127.0.0.1:9092 holds controller listeners only; add one for clients, for example PLAINTEXT://127.0.0.1:9092
            inter.broker.listener.name=INSIDE names no listener of listeners=PLAINTEXT://127.0.0.1:9092; name one of them
            inter.broker.listener.name=PLAINTEXT and security.inter.broker.protocol=PLAINTEXT are both set; leave one of them out
            inter.broker.listener.name=CONTROLLER is a controller listener; name one of the others
        "#]],
    );
}

#[test]
fn values_that_do_not_go_together_are_refused() {
    refused(
        &[
            "node.id=1\nbroker.id=2",
            "queued.max.request.bytes=1000",
            "max.connections.per.ip=0",
            "max.connections.per.ip.overrides=somewhere:5",
            "log.retention.minutes=0",
            "connections.max.idle.ms=50",
            "group.consumer.session.timeout.ms=70000",
            "controller.quorum.voters=one",
        ],
        expect![[r#"
            node.id=1 and broker.id=2 are the same thing with two values; leave broker.id out
            socket.request.max.bytes=104857600 is above queued.max.request.bytes=1000; lower the first or raise the second
            max.connections.per.ip=0 lets nobody in; raise it, or name addresses in max.connections.per.ip.overrides
            max.connections.per.ip.overrides holds somewhere:5, which is not address:count, for example 127.0.0.1:200; correct it
            log.retention.ms=0 would keep nothing; set -1 for ever, or at least 1
            connection.failed.authentication.delay.ms=100 is not below connections.max.idle.ms=50; lower the first or raise the second
            group.consumer.session.timeout.ms=70000 is above group.consumer.max.session.timeout.ms=60000; lower the first or raise the second
            controller.quorum.voters holds one, which is not id@host:port; correct it or leave it out
        "#]],
    );
}

#[test]
fn every_default_passes_its_own_key() {
    for table in [
        keys::broker_table(),
        keys::dynamic_only_table(),
        keys::topic_table(),
        keys::group_table(),
        keys::client_metrics_table(),
    ] {
        for key in table.iter() {
            if let Some(default) = key.default {
                assert_eq!(check_value(key, default), Ok(()), "{}", key.name);
            }
            assert!(
                key.documentation.ends_with('.'),
                "{} has no sentence",
                key.name
            );
        }
    }
}

#[test]
fn synonyms_and_aliases_name_keys_that_exist_with_the_same_bounds() {
    let brokers = keys::broker_table();
    let others = [keys::topic_table(), keys::group_table()];
    for key in others.iter().flat_map(|table| table.iter()) {
        let Some(synonym) = key.broker_synonym else {
            continue;
        };
        let broker = brokers.get(synonym).expect(synonym);
        assert_eq!(broker.config_type, key.config_type, "{}", key.name);
        if !key.name.starts_with("share.") {
            assert_eq!(broker.allowed, key.allowed, "{}", key.name);
        }
    }
    for alias in brokers.iter().flat_map(|key| key.aliases) {
        assert!(brokers.get(alias.0).is_some(), "{}", alias.0);
    }
}

#[test]
fn the_tables_have_as_many_keys_as_a_kafka_4_3_broker_describes() {
    // The latter Kafka has without describing it.
    let ours = |name: &str| name.starts_with("milena.") || name == "log.initial.task.delay.ms";
    let broker = keys::broker_table()
        .iter()
        .filter(|key| !ours(key.name))
        .count();
    let counts = (
        broker,
        keys::topic_table().iter().count(),
        keys::group_table().iter().count(),
    );
    assert_eq!(counts, (340, 33, 17));
}

#[test]
fn booleans_are_kept_as_readers_compare_them() {
    let config = load("auto.create.topics.enable=FALSE").unwrap();
    assert!(!config.topics.auto_create);
    let tables = config.tables();
    let text = tables.static_broker.get("auto.create.topics.enable");
    assert_eq!(text.map(String::as_str), Some("false"));
}
