//! Which transactions a cleaning has met: so that the records of aborted ones go, and a marker stays
//! as long as records of its transaction do (Kafka's `CleanedTransactionMetadata`).
//!
//! Owned by one walk over a log from its beginning, batch by batch.

use std::collections::{HashMap, HashSet};

use crate::model::{Offset, ProducerId};
use crate::record::{BatchHeader, ControlType};
use crate::storage::transaction_index::AbortedTransaction;

/// An aborted transaction the walk is inside of.
#[derive(Debug)]
struct Ongoing {
    transaction: AbortedTransaction,
    has_batches: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Transactions {
    /// Aborted ones, by their first offsets.
    aborted: Vec<AbortedTransaction>,
    /// How many of those the walk has come to.
    reached: usize,
    ongoing_aborted: HashMap<ProducerId, Ongoing>,
    ongoing_committed: HashSet<ProducerId>,
}

/// What becomes of a marker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Marker {
    /// It stays; when it ended an aborted transaction, the index has that, too.
    Stays(Option<AbortedTransaction>),
    /// Nothing of its transaction is left: it may go when its time is over. An entry of the index
    /// that it had goes now, if it had one.
    MayGo {
        /// Whether the index had an entry.
        was_indexed: bool,
    },
}

impl Transactions {
    /// A walk over a log with these aborted transactions.
    pub(crate) fn new(mut aborted: Vec<AbortedTransaction>) -> Transactions {
        aborted.sort_unstable_by_key(|transaction| transaction.first_offset);
        Transactions {
            aborted,
            ..Transactions::default()
        }
    }

    fn reach(&mut self, offset: Offset) {
        while let Some(next) = self.aborted.get(self.reached)
            && next.first_offset <= offset
        {
            self.ongoing_aborted
                .entry(next.producer_id)
                .or_insert(Ongoing {
                    transaction: *next,
                    has_batches: false,
                });
            self.reached += 1;
        }
    }

    /// The walk has come to a batch of records; says whether its transaction was aborted.
    pub(crate) fn on_records(&mut self, header: &BatchHeader) -> bool {
        self.reach(header.last_offset());
        if !header.is_transactional() {
            return false;
        }
        match self.ongoing_aborted.get_mut(&header.producer_id) {
            Some(ongoing) => {
                ongoing.has_batches = true;
                true
            }
            None => {
                self.ongoing_committed.insert(header.producer_id);
                false
            }
        }
    }

    /// The walk has come to a control batch, whose record is of this type; none when it is empty.
    pub(crate) fn on_control(
        &mut self,
        header: &BatchHeader,
        control: Option<ControlType>,
    ) -> Marker {
        self.reach(header.last_offset());
        match control {
            // It was cleaned before, so all of it may go.
            None => Marker::MayGo { was_indexed: false },
            Some(ControlType::Abort) => match self.ongoing_aborted.remove(&header.producer_id) {
                Some(ongoing) if ongoing.has_batches => Marker::Stays(Some(ongoing.transaction)),
                other => Marker::MayGo {
                    was_indexed: other.is_some(),
                },
            },
            Some(ControlType::Commit) => match self.ongoing_committed.remove(&header.producer_id) {
                true => Marker::Stays(None),
                false => Marker::MayGo { was_indexed: false },
            },
            Some(_) => Marker::Stays(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ProducerEpoch, Timestamp};
    use crate::record::EndTransactionMarker;

    fn header(producer: i64, offset: i64) -> BatchHeader {
        let marker = EndTransactionMarker {
            committed: true,
            coordinator_epoch: 0,
        };
        let bytes = marker.batch(ProducerId(producer), ProducerEpoch(0), Timestamp(0));
        BatchHeader {
            base_offset: Offset(offset),
            ..BatchHeader::parse(&bytes.unwrap()).unwrap()
        }
    }

    fn aborted(producer: i64, first: i64, last: i64) -> AbortedTransaction {
        AbortedTransaction {
            producer_id: ProducerId(producer),
            first_offset: Offset(first),
            last_offset: Offset(last),
            last_stable_offset: Offset(last + 1),
        }
    }

    #[test]
    fn only_what_lies_inside_an_aborted_transaction_is_aborted() {
        let mut walk = Transactions::new(vec![aborted(1, 10, 12), aborted(1, 3, 5)]);
        let abort = Some(ControlType::Abort);
        assert!(!walk.on_records(&header(1, 2)));
        assert!(walk.on_records(&header(1, 3)));
        assert!(!walk.on_records(&header(2, 4)));
        let stays = Marker::Stays(Some(aborted(1, 3, 5)));
        assert_eq!(walk.on_control(&header(1, 5), abort), stays);
        assert!(!walk.on_records(&header(1, 6)));
        let stays = Marker::Stays(None);
        let commit = Some(ControlType::Commit);
        assert_eq!(walk.on_control(&header(1, 7), commit), stays);
        // Its records are gone already.
        let gone = Marker::MayGo { was_indexed: true };
        assert_eq!(walk.on_control(&header(1, 12), abort), gone);
        let gone = Marker::MayGo { was_indexed: false };
        assert_eq!(walk.on_control(&header(1, 13), commit), gone);
        assert_eq!(walk.on_control(&header(1, 14), None), gone);
    }
}
