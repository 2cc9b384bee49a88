//! Which sockets are opened, and under which addresses clients are told of them.
//!
//! Called by `config::server_config`. Invariant: a listener that comes out of here is served as its
//! protocol says; what cannot be served is refused, and controller listeners stay closed.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use super::error::ConfigError;
use super::values::StaticValues;

/// How a listener's bytes are protected and its users known (Kafka's `SecurityProtocol`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SecurityProtocol {
    /// Open, anonymous.
    Plaintext,
    /// TLS.
    Ssl,
    /// Open, with SASL users.
    SaslPlaintext,
    /// TLS, with SASL users.
    SaslSsl,
}

impl SecurityProtocol {
    const ALL: [SecurityProtocol; 4] = [
        SecurityProtocol::Plaintext,
        SecurityProtocol::Ssl,
        SecurityProtocol::SaslPlaintext,
        SecurityProtocol::SaslSsl,
    ];

    /// Kafka's name of it.
    pub const fn name(self) -> &'static str {
        match self {
            SecurityProtocol::Plaintext => "PLAINTEXT",
            SecurityProtocol::Ssl => "SSL",
            SecurityProtocol::SaslPlaintext => "SASL_PLAINTEXT",
            SecurityProtocol::SaslSsl => "SASL_SSL",
        }
    }

    /// Kafka's number of it, as broker registrations carry it.
    pub const fn wire(self) -> i16 {
        match self {
            SecurityProtocol::Plaintext => 0,
            SecurityProtocol::Ssl => 1,
            SecurityProtocol::SaslPlaintext => 2,
            SecurityProtocol::SaslSsl => 3,
        }
    }

    fn of(name: &str) -> Option<SecurityProtocol> {
        SecurityProtocol::ALL
            .into_iter()
            .find(|protocol| protocol.name().eq_ignore_ascii_case(name))
    }
}

/// A host and a port.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Address {
    /// A name or an address, without brackets. Empty, for a socket to open: every address.
    pub host: String,
    /// The port. 0, for a socket to open: the system chooses; in an advertised address: as bound.
    pub port: u16,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// One listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// Its name, in capitals.
    pub name: String,
    /// Where to listen.
    pub bind: Address,
    /// What clients are told; its port is 0 when that of `bind` is and nothing else was asked for.
    pub advertised: Address,
    /// Its protocol.
    pub protocol: SecurityProtocol,
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.name, self.bind)
    }
}

/// All listeners of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listeners {
    /// Those that are opened; at least one, but for a broker inside another program.
    pub open: Vec<Listener>,
    /// Those of the quorum, which are accepted and not opened.
    pub controller: Vec<Listener>,
    /// The name of the one through which brokers talk to each other; one of `open`, if there are any.
    pub inter_broker: String,
}

/// Reads and judges every key about listeners. `host_name` is the machine's, advertised for a
/// listener on every address. `may_be_none` takes an empty list for what it says.
pub(super) fn listeners(
    values: &StaticValues,
    host_name: &str,
    may_be_none: bool,
) -> Result<Listeners, ConfigError> {
    let binds = named_addresses(values, "listeners")?;
    refuse_shared_ports(values, &binds)?;
    let advertised = named_addresses(values, "advertised.listeners")?;
    for (name, address) in &advertised {
        refuse_unreachable("advertised.listeners", name, address)?;
        if !binds.iter().any(|(bound, _)| bound == name) {
            return Err(ConfigError::combination(format!(
                "advertised.listeners names {name}://{address}, and listeners has no {name}; add it there or take it out here"
            )));
        }
    }
    let controllers = controller_names(values, &binds)?;
    let (mut open, mut controller) = (Vec::new(), Vec::new());
    for (name, bind) in binds {
        let told = advertised.iter().find(|(told, _)| *told == name);
        let listener = Listener {
            advertised: told_address(&name, &bind, told.map(|(_, address)| address), host_name)?,
            protocol: protocol(values, &name, controllers.contains(&name))?,
            name,
            bind,
        };
        if controllers.contains(&listener.name) {
            controller.push(listener);
        } else {
            refuse_unprotected(&listener)?;
            open.push(listener);
        }
    }
    if open.is_empty() && controller.is_empty() && may_be_none {
        return Ok(Listeners {
            open,
            controller,
            inter_broker: SecurityProtocol::Plaintext.name().to_owned(),
        });
    }
    if open.is_empty() {
        return Err(ConfigError::combination(format!(
            "{} holds controller listeners only; add one for clients, for example PLAINTEXT://127.0.0.1:9092",
            values.named("listeners")
        )));
    }
    let inter_broker = inter_broker(values, &open, &controllers)?;
    Ok(Listeners {
        open,
        controller,
        inter_broker,
    })
}

/// Reads a list of `NAME://host:port`.
fn named_addresses(
    values: &StaticValues,
    key: &str,
) -> Result<Vec<(String, Address)>, ConfigError> {
    let mut found: Vec<(String, Address)> = Vec::new();
    for entry in values.list(key) {
        let (name, address) = named_address(&entry).ok_or_else(|| {
            ConfigError::combination(format!(
                "{key} holds {entry}, which is not NAME://host:port with a port up to 65535, for example PLAINTEXT://127.0.0.1:9092; correct it"
            ))
        })?;
        if found.iter().any(|(other, _)| *other == name) {
            return Err(ConfigError::combination(format!(
                "{key} holds {name} twice; give each listener a name of its own"
            )));
        }
        found.push((name, address));
    }
    Ok(found)
}

fn named_address(text: &str) -> Option<(String, Address)> {
    let (name, rest) = text.split_once("://")?;
    let (host, port) = rest.rsplit_once(':')?;
    let host = match host.strip_prefix('[') {
        Some(inner) => inner.strip_suffix(']')?,
        None => host,
    };
    let port = port.parse().ok()?;
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-._%:".contains(letter);
    if name.is_empty() || !host.chars().all(plain) {
        return None;
    }
    Some((
        name.to_ascii_uppercase(),
        Address {
            host: host.to_owned(),
            port,
        },
    ))
}

/// Two listeners may share a port only when one is on an IPv4 and the other on an IPv6 address.
fn refuse_shared_ports(
    values: &StaticValues,
    binds: &[(String, Address)],
) -> Result<(), ConfigError> {
    let family = |address: &Address| address.host.parse::<IpAddr>().ok().map(|ip| ip.is_ipv4());
    for (index, (name, address)) in binds.iter().enumerate() {
        let clash = binds.iter().take(index).find(|(_, other)| {
            let families = (family(address), family(other));
            let apart = matches!(families, (Some(one), Some(two)) if one != two);
            address.port != 0 && other.port == address.port && !apart
        });
        if let Some((other, _)) = clash {
            return Err(ConfigError::combination(format!(
                "{} gives {other} and {name} the same port {}; give each listener a port of its own",
                values.named("listeners"),
                address.port
            )));
        }
    }
    Ok(())
}

fn is_every_address(host: &str) -> bool {
    host.is_empty()
        || host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_unspecified())
}

fn refuse_unreachable(key: &str, name: &str, address: &Address) -> Result<(), ConfigError> {
    if !address.host.is_empty() && is_every_address(&address.host) {
        return Err(ConfigError::combination(format!(
            "{key} would tell clients to connect to {name}://{address}, which is no address of a machine; set advertised.listeners to one that clients reach"
        )));
    }
    Ok(())
}

/// What clients are told about a listener.
fn told_address(
    name: &str,
    bind: &Address,
    told: Option<&Address>,
    host_name: &str,
) -> Result<Address, ConfigError> {
    let mut address = told.unwrap_or(bind).clone();
    refuse_unreachable("listeners", name, &address)?;
    if address.host.is_empty() {
        address.host = host_name.to_owned();
    }
    Ok(address)
}

/// The names of controller listeners. One that is not among the listeners is refused, as in Kafka.
fn controller_names(
    values: &StaticValues,
    binds: &[(String, Address)],
) -> Result<Vec<String>, ConfigError> {
    let names: Vec<String> = values
        .list("controller.listener.names")
        .iter()
        .map(|name| name.to_ascii_uppercase())
        .collect();
    let missing = |name: &&String| !binds.iter().any(|(bound, _)| bound == *name);
    if let Some(name) = names.iter().find(missing) {
        return Err(ConfigError::combination(format!(
            "controller.listener.names={name} names no listener of {}; add {name}://:9093 there or take the name out here",
            values.named("listeners")
        )));
    }
    Ok(names)
}

/// The protocol of a listener. A controller listener that the map does not name is PLAINTEXT while
/// the map has its default, as in Kafka.
fn protocol(
    values: &StaticValues,
    name: &str,
    controller: bool,
) -> Result<SecurityProtocol, ConfigError> {
    const MAP: &str = "listener.security.protocol.map";
    for entry in values.list(MAP) {
        let found = entry.split_once(':').and_then(|(name, protocol)| {
            Some((name.trim(), SecurityProtocol::of(protocol.trim())?))
        });
        let Some((mapped, protocol)) = found else {
            return Err(ConfigError::combination(format!(
                "{MAP} holds {entry}, which is not NAME:PROTOCOL with PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL; correct it"
            )));
        };
        if mapped.eq_ignore_ascii_case(name) {
            return Ok(protocol);
        }
    }
    if controller && values.get_set(MAP).is_none() {
        return Ok(SecurityProtocol::Plaintext);
    }
    Err(ConfigError::combination(format!(
        "{} does not say which protocol listener {name} speaks; add {name}:PLAINTEXT to it",
        values.named(MAP)
    )))
}

fn refuse_unprotected(listener: &Listener) -> Result<(), ConfigError> {
    if listener.protocol == SecurityProtocol::Plaintext {
        return Ok(());
    }
    Err(ConfigError::combination(format!(
        "listener {listener} has the protocol {}, which is not built yet; serve it as PLAINTEXT on a network you trust, or take it out",
        listener.protocol.name()
    )))
}

/// The listener between brokers: by name, or the first with the protocol asked for.
fn inter_broker(
    values: &StaticValues,
    open: &[Listener],
    controllers: &[String],
) -> Result<String, ConfigError> {
    const NAME: &str = "inter.broker.listener.name";
    const PROTOCOL: &str = "security.inter.broker.protocol";
    let protocol = values.text(PROTOCOL).unwrap_or_default();
    let Some(name) = values.text(NAME) else {
        let found = open
            .iter()
            .find(|listener| listener.protocol.name().eq_ignore_ascii_case(&protocol));
        return found.map(|listener| listener.name.clone()).ok_or_else(|| {
            ConfigError::combination(format!(
                "{PROTOCOL}={protocol} is the protocol of no listener; add one to listeners, or set {NAME}"
            ))
        });
    };
    if values.get_set(PROTOCOL).is_some() {
        return Err(ConfigError::combination(format!(
            "{NAME}={name} and {PROTOCOL}={protocol} are both set; leave one of them out"
        )));
    }
    let name = name.trim().to_ascii_uppercase();
    if controllers.contains(&name) {
        return Err(ConfigError::combination(format!(
            "{NAME}={name} is a controller listener; name one of the others"
        )));
    }
    if !open.iter().any(|listener| listener.name == name) {
        return Err(ConfigError::combination(format!(
            "{NAME}={name} names no listener of {}; name one of them",
            values.named("listeners")
        )));
    }
    Ok(name)
}

/// Reads `address:count` pairs (`max.connections.per.ip.overrides`). IPv6 addresses are written as
/// they are: the count stands behind the last colon.
pub(super) fn overrides_per_ip(text: &str) -> Result<Vec<(IpAddr, u32)>, ConfigError> {
    let entries = text
        .split(',')
        .map(str::trim)
        .filter(|entry| !entry.is_empty());
    entries
        .map(|entry| {
            let found = entry.rsplit_once(':').and_then(|(host, count)| {
                let host = host.trim().trim_start_matches('[').trim_end_matches(']');
                Some((address_of(host)?, count.trim().parse().ok()?))
            });
            found.ok_or_else(|| {
                ConfigError::combination(format!(
                    "max.connections.per.ip.overrides holds {entry}, which is not address:count, for example 127.0.0.1:200; correct it"
                ))
            })
        })
        .collect()
}

/// An IPv4 address in IPv6 clothes is the same peer.
fn address_of(host: &str) -> Option<IpAddr> {
    let address: IpAddr = host.parse().ok()?;
    let mapped = match address {
        IpAddr::V6(v6) => Ipv6Addr::to_ipv4_mapped(&v6).map(IpAddr::V4),
        IpAddr::V4(_) => None,
    };
    Some(mapped.unwrap_or(address))
}
