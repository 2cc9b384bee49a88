//! What must be true of a log beside its mirror, at every moment and after every start.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use bytes::BytesMut;

use super::mirror::{Aborted, Fault, Kept, Mirror};
use super::place::Place;
use crate::model::{LeaderEpoch, Offset, ProducerId, Timestamp};
use crate::record::{BatchHeader, batches, verify_crc};
use crate::storage::disk::Disk;
use crate::storage::disk::seeded::{Random, SeededDisk};
use crate::storage::{Log, LogConfig, LogReader, ReadError, RecoveryInput};

/// Fails with a sentence unless something is so.
macro_rules! demand {
    ($holds:expr, $($sentence:tt)*) => {
        if !$holds {
            return Err(format!($($sentence)*));
        }
    };
}
pub(super) use demand;

/// Any offset is below it.
const NO_BOUND: Offset = Offset(i64::MAX);

/// The cheap ones, behind every step.
pub(super) fn always(place: &Place) -> Result<(), Fault> {
    let (Some(log), mirror) = (&place.log, &place.mirror) else {
        return Ok(());
    };
    let offsets = (log.log_start_offset().0, log.log_end_offset().0);
    let due = (mirror.start, mirror.end);
    demand!(offsets == due, "the log is {offsets:?}, not {due:?}");
    let shown = (
        log.reader().log_start_offset().0,
        log.reader().log_end_offset().0,
    );
    demand!(shown == due, "readers see {shown:?}, not {due:?}");
    let known = log.recovery_point().0;
    let flushed = mirror.flushed.max(mirror.start);
    demand!(
        known <= flushed,
        "the recovery point is {known}, flushed is {flushed}"
    );
    Ok(())
}

/// Reads everything there is, a few bytes at a time.
pub(super) fn read_all(reader: &LogReader, random: &mut Random) -> Result<Vec<Kept>, Fault> {
    let mut from = reader.log_start_offset();
    let mut found: Vec<Kept> = Vec::new();
    while from < reader.log_end_offset() {
        let bytes_max = random.pick(&[1, 100, 1_000, 100_000]);
        let plan = reader.plan(from, bytes_max, NO_BOUND, true);
        let plan = plan.map_err(|error| format!("reading at {from}: {error}"))?;
        demand!(plan.next_offset() > from, "no progress behind {from}");
        let mut bytes = BytesMut::new();
        let read = plan.read(&mut bytes);
        read.map_err(|error| format!("reading at {from}: {error}"))?;
        found.extend(parse(&bytes)?);
        from = plan.next_offset();
    }
    Ok(found)
}

/// Whole batches, nothing else.
fn parse(bytes: &[u8]) -> Result<Vec<Kept>, Fault> {
    let mut found = Vec::new();
    let mut walk = batches(bytes);
    for batch in walk.by_ref() {
        let (header, bytes) = batch.map_err(|error| format!("a reader got garbage: {error}"))?;
        let offset = header.base_offset;
        demand!(
            verify_crc(bytes),
            "a reader got a damaged batch at {offset}"
        );
        found.push(bare(header, bytes));
    }
    demand!(walk.rest().is_empty(), "a reader got a part of a batch");
    Ok(found)
}

fn bare(header: BatchHeader, bytes: &[u8]) -> Kept {
    Kept {
        header,
        bytes: bytes.to_vec().into(),
        timestamps: Vec::new(),
        commits: None,
    }
}

/// Whether readers get exactly what is in the mirror.
pub(super) fn content(place: &Place, random: &mut Random) -> Result<(), Fault> {
    let Some(log) = &place.log else {
        return Ok(());
    };
    let found = read_all(&log.reader(), random)?;
    same(&found, place.mirror.visible())
}

fn same<'a>(found: &[Kept], due: impl Iterator<Item = &'a Kept>) -> Result<(), Fault> {
    let mut found = found.iter();
    for kept in due {
        let at = (kept.base(), kept.next());
        match found.next() {
            Some(found) if found.bytes == kept.bytes => {}
            Some(found) => return Err(format!("at {at:?} there is {:?}", found.header)),
            None => return Err(format!("{at:?} is not there")),
        }
    }
    match found.next() {
        None => Ok(()),
        Some(more) => Err(format!("nobody appended {:?}", more.header)),
    }
}

/// A read at some offset, with some limits: whole batches of the mirror, from the right one on.
pub(super) fn read(place: &Place, from: i64, bytes_max: usize) -> Result<(), Fault> {
    let Some(log) = &place.log else {
        return Ok(());
    };
    let bound = place.mirror.high_watermark;
    for bound in [NO_BOUND, Offset(bound)] {
        let plan = log.reader().plan(Offset(from), bytes_max, bound, true);
        let plan = plan.map_err(|error| format!("reading at {from}: {error}"))?;
        let mut bytes = BytesMut::new();
        let read = plan.read(&mut bytes);
        read.map_err(|error| format!("reading at {from}: {error}"))?;
        let found = parse(&bytes)?;
        let inside = |kept: &&Kept| kept.next() > from && kept.base() < bound.0;
        let due = place.mirror.visible().filter(inside).take(found.len());
        same(&found, due)?;
        let more = place
            .mirror
            .visible()
            .find(inside)
            .is_some_and(|kept| kept.next() <= bound.0);
        demand!(
            !found.is_empty() || !more,
            "nothing is read at {from} below {bound}"
        );
        let small = found.len() < 2 || bytes.len() <= bytes_max;
        demand!(
            small,
            "{} bytes where {bytes_max} were asked for",
            bytes.len()
        );
    }
    let behind = Offset(place.mirror.end + 1);
    let refused = log.reader().plan(behind, bytes_max, NO_BOUND, true);
    let refused = matches!(refused, Err(ReadError::OffsetOutOfRange { .. }));
    demand!(refused, "an offset behind the end is answered");
    Ok(())
}

/// What the indexes answer.
pub(super) fn answers(place: &Place, random: &mut Random) -> Result<(), Fault> {
    let (Some(log), mirror) = (&place.log, &place.mirror) else {
        return Ok(());
    };
    let reader = log.reader();
    epochs(&reader, mirror)?;
    let all = mirror.visible().flat_map(|kept| {
        let offsets = kept.base()..;
        kept.timestamps.iter().copied().zip(offsets)
    });
    let times: Vec<(i64, i64)> = all.filter(|(_, offset)| *offset >= mirror.start).collect();
    for _ in 0..3 {
        let Some((time, _)) = times.get(random.index(times.len())) else {
            break;
        };
        let target = time + 1 - 2 * i64::from(random.percent(50));
        let due = times.iter().find(|(time, _)| *time >= target);
        let found = reader.offset_for_timestamp(Timestamp(target));
        let found = found.map_err(|error| format!("searching {target}: {error}"))?;
        let found = found.map(|found| (found.timestamp.0, found.offset.0));
        demand!(
            found.as_ref() == due,
            "{target} is at {due:?}, found at {found:?}"
        );
    }
    if !log.is_poisoned() {
        transactions(&reader, mirror, random)?;
    }
    producers(log, mirror)
}

fn epochs(reader: &LogReader, mirror: &Mirror) -> Result<(), Fault> {
    let known: BTreeSet<i32> = mirror.visible().map(Kept::epoch).collect();
    for epoch in known {
        let due = mirror.end_of_epoch(epoch).max(mirror.start);
        let found = reader.end_offset_for_epoch(LeaderEpoch(epoch));
        let found = found.map(|(epoch, end)| (epoch.0, end.0));
        demand!(
            found == Some((epoch, due)),
            "epoch {epoch} ends at {due}, {found:?} was found"
        );
    }
    for kept in mirror.visible() {
        let offset = Offset(kept.base().max(mirror.start));
        let (found, due) = (reader.epoch_for(offset), kept.epoch());
        demand!(
            found == Some(LeaderEpoch(due)),
            "{offset} was written in {due}, {found:?} was found"
        );
    }
    Ok(())
}

fn transactions(reader: &LogReader, mirror: &Mirror, random: &mut Random) -> Result<(), Fault> {
    let aborted = mirror.producers().1;
    let length = (mirror.end - mirror.start).unsigned_abs();
    let from = mirror.start + i64::try_from(random.below(length + 1)).unwrap_or(0);
    let upper = from + i64::try_from(random.below(length + 1)).unwrap_or(0);
    let found = reader.aborted_transactions(Offset(from), Offset(upper));
    let found = found.map_err(|error| format!("aborted transactions: {error}"))?;
    let seen = |aborted: &&Aborted| {
        let mut records = aborted.records.iter();
        records.any(|(base, next)| *base < upper && *next > from)
    };
    for due in aborted.iter().filter(seen) {
        let told = found.iter().any(|found| {
            let exact = found.first_offset.0 == due.first || due.first < mirror.start;
            exact && found.producer_id.0 == due.producer && found.last_offset.0 == due.last
        });
        demand!(told, "{due:?} is not told between {from} and {upper}");
    }
    // An entry is there before its marker, which may not come.
    for told in found.iter().filter(|told| told.last_offset.0 < mirror.end) {
        let known = aborted.iter().any(|aborted| {
            aborted.producer == told.producer_id.0 && aborted.last == told.last_offset.0
        });
        demand!(known, "nobody aborted {told:?}");
    }
    Ok(())
}

/// A producer that has batches in the log is known as they say.
fn producers(log: &Log, mirror: &Mirror) -> Result<(), Fault> {
    for (id, due) in mirror.producers().0 {
        let Some(found) = log.producers().get(ProducerId(id)) else {
            let gone = due.end <= mirror.start;
            demand!(gone, "producer {id} is forgotten: {due:?}");
            continue;
        };
        let sequence = found.last_sequence();
        let same = found.producer_epoch.0 == due.epoch
            && (sequence == due.last_sequence || due.records_end <= mirror.start);
        demand!(same, "producer {id} is {due:?}, not {found:?}");
        let open = found.transaction_first_offset.map(|offset| offset.0);
        let begun_below = due.open.is_some_and(|first| first < mirror.start);
        demand!(
            open == due.open || begun_below,
            "the transaction of {id} is {:?}, not {open:?}",
            due.open
        );
    }
    Ok(())
}

/// The offset in the name of a file of batches.
fn base_of(path: &Path) -> Option<i64> {
    let name = path.file_name()?.to_str()?;
    name.strip_suffix(".log")?.parse().ok()
}

fn first_needed(place: &Place, disk: &SeededDisk) -> i64 {
    let listed = quietly(disk, || disk.list(&place.path)).unwrap_or_default();
    let bases = listed
        .iter()
        .filter_map(|entry| base_of(Path::new(&entry.name)));
    let below = bases.filter(|base| *base <= place.mirror.start);
    below.max().unwrap_or(0)
}

/// What is only looked at meets no fault: those are for what is done.
pub(super) fn quietly<T>(disk: &SeededDisk, look: impl FnOnce() -> T) -> T {
    disk.pause_faults(true);
    let seen = look();
    disk.pause_faults(false);
    seen
}

/// Opens the log anew from its batches alone; its state and answers must be the same.
pub(super) fn replay(
    place: &Place,
    disk: &SeededDisk,
    config: &Arc<LogConfig>,
    now: i64,
    random: &mut Random,
) -> Result<(), Fault> {
    let (Some(log), mirror) = (&place.log, &place.mirror) else {
        return Ok(());
    };
    // What lies wholly below the start may be damaged: nobody flushes it any more.
    let first = first_needed(place, disk);
    let is_batches = |path: &Path| {
        let base = base_of(path).filter(|_| path.starts_with(&place.path));
        base.is_some_and(|base| base >= first)
    };
    let copy: Arc<dyn Disk> = Arc::new(disk.copy(is_batches));
    let input = RecoveryInput {
        log_start_offset: log.log_start_offset(),
        ..RecoveryInput::unknown()
    };
    let opened = Log::open(
        copy,
        place.path.clone(),
        Arc::clone(config),
        &input,
        Timestamp(now),
    );
    let (mut again, report) = opened.map_err(|error| format!("replay: {error}"))?;
    demand!(report.set_aside.is_empty(), "replay: {report:?}");
    again.advance_high_watermark(Offset(mirror.high_watermark));
    let offsets = (again.log_start_offset().0, again.log_end_offset().0);
    let due = (mirror.start, mirror.end);
    demand!(offsets == due, "a replay makes {offsets:?} of {due:?}");
    let open = |log: &Log| log.producers().first_undecided_offset();
    let (now, then) = (open(log), open(&again));
    let begun_below = now.is_some_and(|first| first.0 < mirror.start);
    demand!(
        now == then || begun_below,
        "the oldest transaction begins at {now:?}, not {then:?}"
    );
    let mut replayed = Place::new(place.name.clone(), place.path.clone());
    (replayed.mirror, replayed.log) = (mirror.clone(), Some(again));
    answers(&replayed, random).map_err(|fault| format!("after a replay {fault}"))
}
