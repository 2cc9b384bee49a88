//! The values that say who has which partitions, and is to have which
//! (`ConsumerGroupTargetAssignmentMemberValue.json`, `ConsumerGroupCurrentMemberAssignmentValue.json`).

use std::collections::BTreeMap;

use bytes::{BufMut, BytesMut};

use super::consumer_value::VERSION;
use super::{Assignment, CurrentMemberValue, MemberState};
use crate::model::TopicId;
use crate::protocol::ProtocolError;
use crate::protocol::cursor::Cursor;
use crate::protocol::writer::put_count;

/// The epochs of a topic's partitions (Kafka 4.3).
const EPOCHS_TAG: u32 = 0;
/// An id, a count, tagged fields.
const TOPIC_BYTES_MIN: usize = 18;

pub(super) fn parse_target(bytes: &[u8]) -> Result<Assignment, ProtocolError> {
    let mut cursor = Cursor::new(bytes);
    super::version(&mut cursor, VERSION)?;
    let (assignment, _) = parse_topics(&mut cursor)?;
    cursor.skip_tagged_fields()?;
    Ok(assignment)
}

pub(super) fn put_target(
    buffer: &mut BytesMut,
    assignment: &Assignment,
) -> Result<(), ProtocolError> {
    buffer.put_i16(VERSION);
    put_topics(buffer, assignment, &Assignment::new())?;
    super::put_no_tags(buffer);
    Ok(())
}

pub(super) fn parse_current(bytes: &[u8]) -> Result<CurrentMemberValue, ProtocolError> {
    let mut cursor = Cursor::new(bytes);
    super::version(&mut cursor, VERSION)?;
    let member_epoch = cursor.i32()?;
    let previous_member_epoch = cursor.i32()?;
    let state = match cursor.i8()? {
        0 => MemberState::Stable,
        1 => MemberState::UnrevokedPartitions,
        2 => MemberState::UnreleasedPartitions,
        other => MemberState::Unknown(other),
    };
    let (assigned, assigned_epochs) = parse_topics(&mut cursor)?;
    let (pending_revocation, pending_revocation_epochs) = parse_topics(&mut cursor)?;
    cursor.skip_tagged_fields()?;
    Ok(CurrentMemberValue {
        member_epoch,
        previous_member_epoch,
        state,
        assigned,
        pending_revocation,
        assigned_epochs,
        pending_revocation_epochs,
    })
}

pub(super) fn put_current(
    buffer: &mut BytesMut,
    value: &CurrentMemberValue,
) -> Result<(), ProtocolError> {
    buffer.put_i16(VERSION);
    buffer.put_i32(value.member_epoch);
    buffer.put_i32(value.previous_member_epoch);
    buffer.put_i8(match value.state {
        MemberState::Stable => 0,
        MemberState::UnrevokedPartitions => 1,
        MemberState::UnreleasedPartitions => 2,
        MemberState::Unknown(other) => other,
    });
    put_topics(buffer, &value.assigned, &value.assigned_epochs)?;
    put_topics(
        buffer,
        &value.pending_revocation,
        &value.pending_revocation_epochs,
    )?;
    super::put_no_tags(buffer);
    Ok(())
}

/// Topics with their partitions, and the epochs of those topics that have them. A topic that comes
/// twice is taken as it came last, a partition that comes twice too, as in Kafka's maps.
fn parse_topics(cursor: &mut Cursor<'_>) -> Result<(Assignment, Assignment), ProtocolError> {
    let mut assignment = Assignment::new();
    let mut epochs_by_topic = Assignment::new();
    for _ in 0..cursor.count(true, TOPIC_BYTES_MIN)? {
        let id = cursor.uuid()?;
        let partitions = cursor.numbers(true)?;
        let mut epochs = None;
        cursor.tagged_fields(|tag, field| {
            if tag == EPOCHS_TAG {
                epochs = parse_epochs(field)?;
            }
            Ok(())
        })?;
        let (partitions, epochs) = in_order(partitions, epochs);
        assignment.insert(id, partitions);
        match epochs {
            Some(epochs) => epochs_by_topic.insert(id, epochs),
            None => epochs_by_topic.remove(&id),
        };
    }
    Ok((assignment, epochs_by_topic))
}

fn parse_epochs(field: &mut Cursor<'_>) -> Result<Option<Vec<i32>>, ProtocolError> {
    match field.nullable_count(true, 4)? {
        Some(count) => (0..count)
            .map(|_| field.i32())
            .collect::<Result<_, _>>()
            .map(Some),
        None => Ok(None),
    }
}

/// Sorts partitions, and their epochs with them; epochs that do not fit the partitions are dropped.
fn in_order(partitions: Vec<i32>, epochs: Option<Vec<i32>>) -> (Vec<i32>, Option<Vec<i32>>) {
    match epochs {
        Some(epochs) if epochs.len() == partitions.len() => {
            let pairs: BTreeMap<i32, i32> = partitions.into_iter().zip(epochs).collect();
            let (partitions, epochs) = pairs.into_iter().unzip();
            (partitions, Some(epochs))
        }
        _ => {
            let mut partitions = partitions;
            partitions.sort_unstable();
            partitions.dedup();
            (partitions, None)
        }
    }
}

fn put_topics(
    buffer: &mut BytesMut,
    assignment: &Assignment,
    epochs: &BTreeMap<TopicId, Vec<i32>>,
) -> Result<(), ProtocolError> {
    put_count(buffer, true, assignment.len())?;
    for (id, partitions) in assignment {
        buffer.put_slice(&id.0);
        put_numbers(buffer, partitions)?;
        match epochs.get(id) {
            Some(epochs) if epochs.len() == partitions.len() => {
                let mut field = BytesMut::with_capacity(5 + 4 * epochs.len());
                put_numbers(&mut field, epochs)?;
                super::put_tag(buffer, EPOCHS_TAG, &field)?;
            }
            _ => super::put_no_tags(buffer),
        }
    }
    Ok(())
}

fn put_numbers(buffer: &mut BytesMut, numbers: &[i32]) -> Result<(), ProtocolError> {
    put_count(buffer, true, numbers.len())?;
    numbers.iter().for_each(|number| buffer.put_i32(*number));
    Ok(())
}
