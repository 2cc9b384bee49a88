//! Blocks of producer ids: each is handed out once, ever (Kafka's `ProducerIdControlManager`).

use super::Planner;
use super::requests::ProducerIdBlock;
use crate::metadata::records::MetadataRecord;
use crate::metadata::refusal::Refusal;
use crate::model::BrokerId;

impl Planner<'_, '_> {
    pub(super) fn allocate_producer_ids(
        &mut self,
        broker: BrokerId,
        length: i32,
    ) -> Result<ProducerIdBlock, Refusal> {
        self.registered(broker)?;
        if length <= 0 {
            let sentence = format!("A block of {length} producer ids cannot be handed out.");
            return Err(Refusal::InvalidRequest(sentence));
        }
        let first = self.image().next_producer_id;
        let next = first.checked_add(i64::from(length)).ok_or_else(|| {
            Refusal::Exhausted("No producer id is left to be handed out.".to_owned())
        })?;
        self.write(MetadataRecord::ProducerIds { next });
        Ok(ProducerIdBlock { first, length })
    }
}
