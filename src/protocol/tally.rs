//! Keeps the announced counts of an answer honest: the counts stand in front of what they count,
//! so an encoder that is given more or less must not send what it wrote.

use super::error::ProtocolError;

/// How many topics, and partitions of the topic at hand, are still to come.
pub(crate) struct Tally {
    topics_left: usize,
    partitions_left: usize,
    in_topic: bool,
}

impl Tally {
    pub(crate) fn new(topics: usize) -> Tally {
        Tally {
            topics_left: topics,
            partitions_left: 0,
            in_topic: false,
        }
    }

    fn wrong(what: &str) -> ProtocolError {
        ProtocolError::Unencodable(format!("{what} than announced"))
    }

    /// Begins a topic; answers whether one before it has to be closed.
    pub(crate) fn begin_topic(&mut self, partitions: usize) -> Result<bool, ProtocolError> {
        if self.partitions_left > 0 {
            return Err(Tally::wrong("fewer partitions"));
        }
        self.topics_left = self
            .topics_left
            .checked_sub(1)
            .ok_or_else(|| Tally::wrong("more topics"))?;
        self.partitions_left = partitions;
        Ok(std::mem::replace(&mut self.in_topic, true))
    }

    /// Counts one partition of the topic at hand.
    pub(crate) fn partition(&mut self) -> Result<(), ProtocolError> {
        self.partitions_left = self
            .partitions_left
            .checked_sub(1)
            .ok_or_else(|| Tally::wrong("more partitions"))?;
        Ok(())
    }

    /// Ends the answer; answers whether a topic has to be closed.
    pub(crate) fn finish(&mut self) -> Result<bool, ProtocolError> {
        if self.partitions_left > 0 || self.topics_left > 0 {
            return Err(Tally::wrong("fewer topics or partitions"));
        }
        Ok(std::mem::replace(&mut self.in_topic, false))
    }
}
