//! Who asks: what a request knows of the connection it came on, and the one place where it is
//! allowed or refused.
//!
//! The connection's shell makes a [`Connection`] when it accepts a socket; the front desk makes a
//! [`Peer`] per request. Invariant: every request has a principal, from the first frame on.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use crate::protocol::messages::StrBytes;

/// Somebody, as Kafka writes it: `User:alice` (`KafkaPrincipal`).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Principal {
    /// The kind, `User` for everybody who connects.
    pub kind: Arc<str>,
    /// The name.
    pub name: Arc<str>,
}

impl Principal {
    /// Who has not authenticated, on listeners that do not ask for it.
    pub fn anonymous() -> Principal {
        Principal {
            kind: Arc::from("User"),
            name: Arc::from("ANONYMOUS"),
        }
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind, self.name)
    }
}

/// The program at the other end, as it introduced itself in ApiVersions v3+ (KIP-511).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientSoftware {
    /// For example `apache-kafka-java`.
    pub name: StrBytes,
    /// For example `4.3.1`.
    pub version: StrBytes,
}

/// What stays the same from one request of a connection to the next.
#[derive(Debug)]
pub struct Connection {
    /// The name of the listener that accepted it; Metadata answers with endpoints of this one.
    pub listener: Arc<str>,
    /// The address of the other end, without its port.
    pub client_host: Arc<str>,
    /// The same with a slash in front, as Kafka shows the hosts of a group's members.
    pub shown_host: Arc<str>,
    /// Who it speaks for.
    pub principal: Principal,
    software: RefCell<Option<ClientSoftware>>,
}

impl Connection {
    /// A connection on which nobody has authenticated.
    pub fn anonymous(listener: impl Into<Arc<str>>, client_host: impl Into<Arc<str>>) -> Self {
        let client_host = client_host.into();
        Connection {
            listener: listener.into(),
            shown_host: format!("/{client_host}").into(),
            client_host,
            principal: Principal::anonymous(),
            software: RefCell::new(None),
        }
    }

    /// The client's program, once it told.
    pub fn software(&self) -> Option<ClientSoftware> {
        self.software.borrow().clone()
    }

    /// Remembers what the client's program calls itself.
    pub fn introduce(&self, software: ClientSoftware) {
        *self.software.borrow_mut() = Some(software);
    }
}

/// Who sent one request.
#[derive(Debug, Clone)]
pub struct Peer {
    /// The connection it came on.
    pub connection: Rc<Connection>,
    /// The client id in the request's header.
    pub client_id: Option<StrBytes>,
}

/// What somebody wants to do (`AclOperation`); the number is its bit in authorized operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Operation {
    /// Read records, or a group's offsets.
    Read = 3,
    /// Write records.
    Write = 4,
    /// Create.
    Create = 5,
    /// Delete.
    Delete = 6,
    /// Change.
    Alter = 7,
    /// See that it exists.
    Describe = 8,
    /// What brokers do among themselves.
    ClusterAction = 9,
    /// See its configuration.
    DescribeConfigs = 10,
    /// Change its configuration.
    AlterConfigs = 11,
    /// Get a producer id.
    IdempotentWrite = 12,
}

/// What it is done to (`ResourcePattern`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource<'a> {
    /// The cluster as a whole.
    Cluster,
    /// A topic.
    Topic(&'a str),
    /// A group.
    Group(&'a str),
    /// A transactional id.
    TransactionalId(&'a str),
}

/// Every operation that makes sense for a topic (`AclEntry.supportedOperations`).
const TOPIC_OPERATIONS: &[Operation] = &[
    Operation::Read,
    Operation::Write,
    Operation::Create,
    Operation::Delete,
    Operation::Alter,
    Operation::Describe,
    Operation::DescribeConfigs,
    Operation::AlterConfigs,
];

/// Every operation that makes sense for a group.
const GROUP_OPERATIONS: &[Operation] = &[
    Operation::Read,
    Operation::Describe,
    Operation::Delete,
    Operation::DescribeConfigs,
    Operation::AlterConfigs,
];

/// Every operation that makes sense for the cluster.
const CLUSTER_OPERATIONS: &[Operation] = &[
    Operation::Create,
    Operation::Alter,
    Operation::Describe,
    Operation::ClusterAction,
    Operation::DescribeConfigs,
    Operation::AlterConfigs,
    Operation::IdempotentWrite,
];

/// "Not asked for", in fields of authorized operations.
pub const OPERATIONS_NOT_ASKED: i32 = i32::MIN;

/// Whether `peer` may do `operation` to `resource`.
///
/// Every handler asks here and nowhere else. There is no authorizer yet, so everybody may do
/// everything, as on a stock Kafka without `authorizer.class.name`.
pub fn authorize(_peer: &Peer, _operation: Operation, _resource: Resource<'_>) -> bool {
    true
}

/// The bits of everything `peer` may do to `resource`.
pub fn authorized_operations(peer: &Peer, resource: Resource<'_>) -> i32 {
    let operations = match resource {
        Resource::Cluster => CLUSTER_OPERATIONS,
        Resource::Topic(_) => TOPIC_OPERATIONS,
        Resource::Group(_) => GROUP_OPERATIONS,
        Resource::TransactionalId(_) => &[Operation::Describe, Operation::Write],
    };
    operations
        .iter()
        .filter(|operation| authorize(peer, **operation, resource))
        .fold(0, |bits, operation| bits | 1 << (*operation as u8))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_the_bits_a_live_kafka_answers() {
        let peer = Peer {
            connection: Rc::new(Connection::anonymous("PLAINTEXT", "127.0.0.1")),
            client_id: None,
        };
        assert_eq!(authorized_operations(&peer, Resource::Topic("t")), 3576);
        assert_eq!(authorized_operations(&peer, Resource::Cluster), 8096);
        assert_eq!(authorized_operations(&peer, Resource::Group("g")), 3400);
        assert_eq!(peer.connection.principal.to_string(), "User:ANONYMOUS");
    }
}
