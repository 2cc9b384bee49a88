//! Keys of listeners, sockets and connections. Read by `config::listeners` and
//! `config::server_config`.
//!
//! Invariant: every limit on connections is finite by default.

use super::entry::{NO_SASL, ONE_NODE, int, list, long, string, unset};
use crate::model::config_key::{ConfigKey, ConfigType};

const NOT_OPENED: &str =
    "Controller listeners are accepted and not opened: the quorum is inside this node.";

/// The keys.
pub(super) const KEYS: &[ConfigKey] = &[
    list("listeners", "PLAINTEXT://127.0.0.1:9092")
        .not_empty()
        .at_start_here()
        .doc("Where to listen: `NAME://host:port`, comma-separated. An empty host is every address, port 0 is chosen by the system.")
        .deviates("Default 127.0.0.1 where Kafka listens on every address."),
    unset("advertised.listeners", ConfigType::List)
        .doc("The addresses clients are told, by listener name; without it those of `listeners`, with the machine's name for an empty host.")
        .deviates("A listener it does not name is advertised under its own address; in Kafka it is not advertised."),
    string(
        "listener.security.protocol.map",
        "PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL",
    )
    .at_start_here()
    .doc("The security protocol of each listener name: `NAME:PROTOCOL`, comma-separated.")
    .deviates("A listener in use with a protocol other than PLAINTEXT is refused until security is built."),
    unset("inter.broker.listener.name", ConfigType::String)
        .doc("The listener through which brokers talk to each other; without it the first one whose protocol is `security.inter.broker.protocol`."),
    string("security.inter.broker.protocol", "PLAINTEXT")
        .one_of(&["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"])
        .doc("The protocol between brokers, when `inter.broker.listener.name` is not given.")
        .deviates("Only PLAINTEXT has a listener that serves it until security is built."),
    unset("controller.listener.names", ConfigType::List)
        .doc("The names of the listeners that serve the quorum of controllers.")
        .deviates(NOT_OPENED),
    unset("early.start.listeners", ConfigType::List)
        .doc("In Kafka, listeners that open before the authorizer is ready.")
        .deviates("Without effect: there is no authorizer to wait for."),
    int("socket.send.buffer.bytes", "102400")
        .at_least(-1)
        .doc("The send buffer of a client's socket (SO_SNDBUF); -1 leaves it to the system."),
    int("socket.receive.buffer.bytes", "-1")
        .at_least(-1)
        .doc("The receive buffer of a client's socket (SO_RCVBUF); -1 leaves it to the system.")
        .deviates("Default -1 where Kafka has 102400: the system's own tuning receives a large batch in a third of the calls."),
    int("socket.request.max.bytes", "104857600")
        .at_least(1)
        .doc("The largest request; a connection that announces a larger one is closed."),
    int("socket.listen.backlog.size", "50")
        .at_least(1)
        .doc("Connections the system may hold for us before they are accepted; the system has a limit of its own."),
    long("connections.max.idle.ms", "600000")
        .doc("A connection without a request for this long is closed; negative is never."),
    int("max.connections", "100000")
        .at_least(0)
        .at_start_here()
        .doc("Connections this broker holds at once; further ones wait until one ends.")
        .deviates("Default 100,000 where Kafka has no limit, and never more than leaves descriptors for logs under the limit of open files."),
    int("max.connections.per.ip", "50000")
        .at_least(0)
        .at_start_here()
        .doc("Connections one address may hold at once; 0 is allowed where `max.connections.per.ip.overrides` names who may.")
        .deviates("Default 50,000 where Kafka has no limit, so that one address cannot take every connection."),
    string("max.connections.per.ip.overrides", "")
        .at_start_here()
        .doc("Other limits for some addresses: `address:count`, comma-separated.")
        .deviates("Addresses only; Kafka also takes host names."),
    int("max.connection.creation.rate", "2147483647")
        .at_least(0)
        .at_start_here()
        .doc("New connections per second this broker takes.")
        .deviates("Without effect until quotas are built."),
    int("connection.failed.authentication.delay.ms", "100")
        .at_least(0)
        .doc("How long a connection that failed to authenticate is left waiting before it is closed.")
        .deviates(NO_SASL),
    long("connections.max.reauth.ms", "0")
        .doc("How long an authentication holds before the client must repeat it; 0 is for ever.")
        .deviates(NO_SASL),
    long("socket.connection.setup.timeout.ms", "10000")
        .doc("How long a connection to another broker may take to be made, the first time.")
        .deviates(ONE_NODE),
    long("socket.connection.setup.timeout.max.ms", "30000")
        .doc("How long a connection to another broker may take to be made, after many failures.")
        .deviates(ONE_NODE),
];
