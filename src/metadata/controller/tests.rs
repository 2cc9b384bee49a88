//! The machine alone, request by request, against the answers a Kafka 4.3 broker gave.

mod brokers_tests;
mod configs_tests;
mod directories_tests;
mod property_tests;
mod topics_tests;

use super::*;
use crate::config::keys::{broker_table, client_metrics_table, group_table, topic_table};
use crate::metadata::refusal::Refusal;
use crate::metadata::{ConfigResource, ResourceKind};
use crate::model::Uuid;

/// A controller, the log its plans make, and a source of numbers instead of randomness.
pub(super) struct Cluster {
    pub(super) controller: Controller,
    pub(super) log: Vec<MetadataRecord>,
    counter: u64,
}

pub(super) fn tables() -> ConfigTables {
    ConfigTables {
        topic: topic_table().into(),
        broker: broker_table().into(),
        group: group_table().into(),
        client_metrics: client_metrics_table().into(),
        ..ConfigTables::default()
    }
}

impl Cluster {
    /// A cluster of brokers 1 to `brokers`, each alive.
    pub(super) fn of(brokers: i32) -> Cluster {
        let controller = Controller::new(ControllerConfig {
            tables: tables(),
            node: BrokerId(1),
            num_partitions: 1,
            default_replication_factor: 1,
            log_dirs: vec!["/a".to_owned(), "/b".to_owned()],
        });
        let mut cluster = Cluster {
            controller,
            log: Vec::new(),
            counter: 0,
        };
        for broker in 1..=brokers {
            cluster.ask(register(broker, 1, false));
        }
        cluster
    }

    /// Plans without committing.
    pub(super) fn plan(&mut self, request: Request) -> Plan {
        let counter = &mut self.counter;
        let mut random = || {
            *counter += 1;
            let mut bytes = [0; 16];
            bytes[8..].copy_from_slice(&counter.to_be_bytes());
            bytes[..8].copy_from_slice(&counter.wrapping_mul(0x9e37_79b9).to_le_bytes());
            bytes
        };
        self.controller.handle(request, &mut random)
    }

    pub(super) fn commit(&mut self, records: &[MetadataRecord]) {
        for record in records {
            self.controller.replay(record);
            self.log.push(record.clone());
        }
    }

    /// Plans and commits.
    pub(super) fn ask(&mut self, request: Request) -> Reply {
        let plan = self.plan(request);
        self.commit(&plan.records);
        plan.reply
    }

    pub(super) fn create(&mut self, topics: Vec<NewTopic>) -> Vec<Result<CreatedTopic, Refusal>> {
        let request = Request::CreateTopics {
            topics,
            validate_only: false,
        };
        match self.ask(request) {
            Reply::CreateTopics(results) => results,
            other => panic!("not an answer to CreateTopics: {other:?}"),
        }
    }

    /// Creates one topic, which must succeed.
    pub(super) fn topic(&mut self, topic: NewTopic) -> CreatedTopic {
        let mut results = self.create(vec![topic]);
        results.pop().expect("one answer").expect("created")
    }

    pub(super) fn image(&self) -> &Image {
        self.controller.committed()
    }
}

pub(super) fn topic(name: &str, partitions: i32, replication_factor: i16) -> NewTopic {
    NewTopic {
        name: name.to_owned(),
        partitions,
        replication_factor,
        ..NewTopic::default()
    }
}

pub(super) fn ids(numbers: &[i32]) -> Vec<BrokerId> {
    numbers.iter().copied().map(BrokerId).collect()
}

pub(super) fn register(broker: i32, run: u8, unclean: bool) -> Request {
    let broker_byte = u8::try_from(broker).expect("few brokers");
    Request::RegisterBroker(BrokerRegistration {
        broker: BrokerId(broker),
        incarnation: Uuid([run; 16]),
        endpoints: Vec::new(),
        rack: None,
        directories: vec![Uuid([broker_byte; 16])],
        unclean,
    })
}

pub(super) fn resource(kind: ResourceKind, name: &str) -> ConfigResource {
    ConfigResource {
        kind,
        name: name.to_owned(),
    }
}
