//! Brokers come, are fenced, and go (Kafka's `ClusterControlManager`).

use std::sync::Arc;

use super::Planner;
use super::features::{FEATURES, METADATA_VERSION};
use super::requests::BrokerRegistration;
use crate::metadata::image::BrokerImage;
use crate::metadata::records::MetadataRecord;
use crate::metadata::refusal::Refusal;
use crate::model::BrokerId;

impl Planner<'_, '_> {
    /// Registers a broker that starts; answers with its broker epoch. The same run asking again
    /// keeps its epoch. The first broker of a cluster finalizes the cluster's features.
    pub(super) fn register_broker(
        &mut self,
        registration: BrokerRegistration,
    ) -> Result<i64, Refusal> {
        let broker = registration.broker;
        if broker.0 < 0 {
            return Err(Refusal::InvalidRequest(format!(
                "{broker} is no broker id: it must not be negative."
            )));
        }
        let epoch = self.epoch_for(&registration)?;
        self.write(MetadataRecord::RegisterBroker {
            id: broker,
            incarnation: registration.incarnation,
            broker_epoch: epoch,
            endpoints: registration.endpoints,
            rack: registration.rack,
            directories: registration.directories,
        });
        if !self.image().features.contains_key(METADATA_VERSION) {
            for (name, _, level) in FEATURES {
                self.write(MetadataRecord::FeatureLevel {
                    name: (*name).to_owned(),
                    level: *level,
                });
            }
        }
        if registration.unclean {
            // Others in sync surely have every acknowledged record; this broker may have lost some.
            self.take_out(broker, true);
            if self.leads_any(broker) {
                self.write(MetadataRecord::RaiseLeaderEpochs { broker });
            }
        }
        self.take_out_of_offline_directories(broker);
        self.bring_in(broker);
        Ok(epoch)
    }

    fn epoch_for(&self, registration: &BrokerRegistration) -> Result<i64, Refusal> {
        let known = self.image().brokers.get(&registration.broker);
        if let Some(known) = known.filter(|known| known.incarnation == registration.incarnation) {
            return Ok(known.broker_epoch);
        }
        let epochs = self
            .image()
            .brokers
            .values()
            .map(|broker| broker.broker_epoch);
        epochs
            .max()
            .unwrap_or(0)
            .checked_add(1)
            .ok_or_else(|| Refusal::Exhausted("No broker epoch is left.".to_owned()))
    }

    fn leads_any(&self, broker: BrokerId) -> bool {
        self.image()
            .topics
            .values()
            .flat_map(|topic| &topic.partitions)
            .any(|partition| partition.leader == broker)
    }

    pub(super) fn fence_broker(&mut self, broker: BrokerId, fenced: bool) -> Result<(), Refusal> {
        if self.registered(broker)?.fenced == fenced {
            return Ok(());
        }
        self.write(MetadataRecord::FenceBroker { id: broker, fenced });
        if fenced {
            self.take_out(broker, false);
        } else {
            self.bring_in(broker);
        }
        Ok(())
    }

    pub(super) fn unregister_broker(&mut self, broker: BrokerId) -> Result<(), Refusal> {
        self.registered(broker)?;
        self.take_out(broker, false);
        self.write(MetadataRecord::UnregisterBroker { id: broker });
        Ok(())
    }

    /// The registration of a broker.
    pub(super) fn registered(&self, broker: BrokerId) -> Result<Arc<BrokerImage>, Refusal> {
        self.image().brokers.get(&broker).cloned().ok_or_else(|| {
            Refusal::BrokerIdNotRegistered(format!(
                "Broker ID {broker} is not currently registered"
            ))
        })
    }
}
