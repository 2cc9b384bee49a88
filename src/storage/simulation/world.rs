//! A log directory with its logs on one disk, through lives that end well or badly.
//!
//! It does to them what a broker does: checkpoints as `LogDir` writes them, a new epoch after every
//! unclean start, a clean stop in its order. Invariant: what is judged after a start is what the
//! mirrors allowed before it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::checks::{self, demand, quietly};
use super::mirror::{Fault, Kept, Mirror};
use super::place::{Place, Wanted, name};
use super::script::{End, Flaw, Rules, Step};
use crate::model::{LeaderEpoch, Offset, Timestamp};
use crate::storage::closed_logs::{ClosedLogs, read_closed_logs, write_closed_logs};
use crate::storage::disk::seeded::{Random, SeededDisk};
use crate::storage::disk::{Disk, OpenMode};
use crate::storage::log_dir::{
    CleanShutdown, current_directory_name, take_clean_shutdown, write_clean_shutdown,
};
use crate::storage::{Checkpoints, Log, LogConfig, RecoveryInput, StorageError};

/// What is broken on purpose, to see that it is noticed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Broken {
    Nothing,
    /// The disk answers flushes of files without doing them.
    FileFlushes,
    /// The same of directories.
    DirectoryFlushes,
    /// An unclean start gives no new epoch.
    NoNewEpoch,
    /// A flush counts when it begins.
    EarlyAnswers,
}

/// See the module.
#[derive(Debug)]
pub(super) struct World {
    disk: SeededDisk,
    /// For what is looked at, never for what is done.
    random: Random,
    now: i64,
    config: Arc<LogConfig>,
    pub(super) places: Vec<Place>,
    /// What the checkpoint files say.
    written: Checkpoints,
    /// What they said of logs that could not be opened.
    carried: Checkpoints,
    end: End,
    unclean: bool,
    broken: Broken,
}

const DIRECTORY: &str = "/data";
/// Starts that are tried when one is cut off by the next crash.
const STARTS_MAX: usize = 20;

impl World {
    pub(super) fn new(seed: u64, rules: &Rules, broken: Broken) -> Result<World, Fault> {
        let disk = SeededDisk::new(seed);
        disk.lie(
            broken == Broken::FileFlushes,
            broken == Broken::DirectoryFlushes,
        );
        let places = (0..rules.logs).map(|at| {
            let name = name(at);
            let path = Path::new(DIRECTORY).join(current_directory_name(&name));
            Place::new(name, path)
        });
        let mut world = World {
            disk,
            random: Random::new(!seed),
            now: 1_000_000,
            config: Arc::new(config(rules)),
            places: places.collect(),
            written: Checkpoints::default(),
            carried: Checkpoints::default(),
            end: End::Kill,
            unclean: false,
            broken,
        };
        let made = world.disk.create_dir_all(Path::new(DIRECTORY));
        made.and_then(|()| world.disk.sync_dir(Path::new("/")))
            .map_err(|error| error.to_string())?;
        world.start()?;
        Ok(world)
    }

    /// Does a step and checks everything.
    pub(super) fn step(&mut self, step: &Step) -> Result<(), Fault> {
        self.now += 10;
        self.act(step)?;
        if self.disk.has_ended() {
            return self.crash(self.end);
        }
        for place in &self.places {
            checks::always(place)?;
        }
        if self.random.percent(15) {
            let random = &mut self.random;
            if let Some(place) = self.places.get(random.index(self.places.len())) {
                quietly(&self.disk, || {
                    checks::content(place, random)?;
                    checks::answers(place, random)
                })?;
            }
        }
        Ok(())
    }

    /// The end of a run: everything is repaired, stopped and looked at.
    pub(super) fn finish(&mut self) -> Result<(), Fault> {
        self.disk.repair();
        self.step(&Step::CleanStop { together: false })?;
        for end in [End::PowerLoss, End::Kill] {
            self.check_all()?;
            self.step(&Step::Crash(end))?;
        }
        self.check_all()
    }

    fn check_all(&mut self) -> Result<(), Fault> {
        for at in 0..self.places.len() {
            self.replay(at)?;
            let place = &self.places[at];
            checks::content(place, &mut self.random)?;
            checks::answers(place, &mut self.random)?;
        }
        Ok(())
    }

    fn act(&mut self, step: &Step) -> Result<(), Fault> {
        match *step {
            Step::Append { log, .. }
            | Step::Run { log, .. }
            | Step::EndTransaction { log, .. }
            | Step::Follow { log, .. } => self.write(log % self.places.len(), step),
            Step::Checkpoint => {
                self.write_checkpoints(false);
                Ok(())
            }
            Step::Wait { ms } => {
                self.now += ms;
                Ok(())
            }
            Step::CleanStop { together } => self.stop(together),
            Step::Crash(end) => self.crash(end),
            Step::CrashAfter { calls, end } => {
                self.end = end;
                self.disk.end_after(calls);
                Ok(())
            }
            Step::Fail(fault) => {
                self.disk.fail(fault);
                Ok(())
            }
            Step::LimitSpace { bytes } => {
                self.disk.limit_space(Some(bytes));
                Ok(())
            }
            Step::Repair => {
                self.disk.repair();
                Ok(())
            }
            _ => self.tend(step),
        }
    }

    fn write(&mut self, log: usize, step: &Step) -> Result<(), Fault> {
        let (now, disk) = (self.now, &self.disk);
        let place = &mut self.places[log];
        let plain = Wanted {
            producer: 0,
            records: 1,
            bytes: 0,
            codec: usize::MAX,
            flaw: Flaw::Sound,
        };
        match *step {
            Step::Append {
                producer,
                records,
                bytes,
                codec,
                flaw,
                ..
            } => {
                let wanted = Wanted {
                    producer,
                    records,
                    bytes,
                    codec,
                    flaw,
                };
                place.append(&wanted, now, disk)
            }
            Step::Run {
                producer,
                batches,
                bytes,
                ..
            } => {
                let wanted = Wanted {
                    producer,
                    bytes,
                    ..plain
                };
                place.run(&wanted, batches, now, disk)
            }
            Step::EndTransaction {
                producer,
                commit,
                bumps,
                ..
            } => place.end_transaction((producer, commit, bumps), now, disk),
            Step::Follow { batches, bytes, .. } => {
                let wanted = Wanted { bytes, ..plain };
                place.follow(&wanted, batches, now, disk)
            }
            _ => Ok(()),
        }
    }

    fn tend(&mut self, step: &Step) -> Result<(), Fault> {
        let (now, disk, count) = (self.now, &self.disk, self.places.len());
        let place = |log: usize| log % count;
        match *step {
            Step::Roll { log } => self.places[place(log)].roll(now),
            Step::BeginFlush { log } => {
                let place = &mut self.places[place(log)];
                place.begin_flush();
                if self.broken == Broken::EarlyAnswers && place.flushing.is_some() {
                    place.mirror.flushed = place.mirror.end;
                }
            }
            Step::EndFlush { log } => self.places[place(log)].end_flush(disk)?,
            Step::CloseIdle { log } => {
                if let Some(log) = &mut self.places[place(log)].log {
                    // What it may not do shows in the checks behind every step.
                    let _ = log.close_idle();
                }
            }
            Step::CutBack { log, share } => {
                let place = &mut self.places[place(log)];
                let offset = place.mirror.end - place.mirror.at_share(share, place.mirror.end)
                    + place.mirror.start;
                place.truncate(offset, now, disk)?;
                self.checkpoint_cut(log);
            }
            Step::TruncateFully { log, ahead } => {
                let place = &mut self.places[place(log)];
                let offset = (place.mirror.end + ahead).max(place.mirror.start);
                place.truncate_fully(offset, disk);
                self.checkpoint_cut(log);
            }
            Step::DeleteRecords { log, share } => {
                let place = &mut self.places[place(log)];
                let before = place.mirror.at_share(share, place.mirror.high_watermark);
                place.delete_records(before)?;
            }
            Step::HighWatermark { log, share } => {
                let place = &mut self.places[place(log)];
                place.raise_high_watermark(place.mirror.at_share(share, place.mirror.end));
            }
            Step::Tidy { log } => self.places[place(log)].tidy(now, disk)?,
            Step::Unlink { log } => self.places[place(log)].unlink(disk),
            Step::NextEpoch { log } => self.places[place(log)].next_epoch(),
            Step::ReadAt { log, share, bytes } => self.read(place(log), share, bytes)?,
            Step::Hold { log, share, bytes } => self.hold(place(log), share, bytes)?,
            Step::Replay { log } => self.replay(place(log))?,
            _ => {}
        }
        Ok(())
    }

    /// Whoever cuts a log back notes it before anything is appended behind: an old recovery point
    /// would vouch for bytes that are not those that were flushed.
    fn checkpoint_cut(&mut self, log: usize) {
        if !self.write_checkpoints(true) {
            let count = self.places.len();
            self.places[log % count].log = None;
        }
    }

    fn read(&mut self, at: usize, share: i64, bytes: usize) -> Result<(), Fault> {
        let place = &self.places[at];
        let from = place.mirror.at_share(share, place.mirror.end);
        quietly(&self.disk, || checks::read(place, from, bytes))?;
        for (plan, due) in self.places[at].held.drain(..) {
            let mut bytes = bytes::BytesMut::new();
            let read = quietly(&self.disk, || plan.read(&mut bytes));
            let fine = read.is_ok() && bytes == due;
            demand!(fine, "a reader in the middle gets other bytes: {read:?}");
        }
        Ok(())
    }

    fn hold(&mut self, at: usize, share: i64, bytes: usize) -> Result<(), Fault> {
        let place = &mut self.places[at];
        let Some(log) = &place.log else {
            return Ok(());
        };
        let from = place.mirror.at_share(share, place.mirror.end);
        let (reader, mut due) = (log.reader(), bytes::BytesMut::new());
        let plan = quietly(&self.disk, || {
            let plan = reader.plan(Offset(from), bytes, Offset(i64::MAX), true);
            let plan = plan.map_err(|error| error.to_string())?;
            plan.read(&mut due).map_err(|error| error.to_string())?;
            Ok::<_, Fault>(plan)
        })?;
        place.held.push((plan, due.to_vec()));
        Ok(())
    }

    fn replay(&mut self, at: usize) -> Result<(), Fault> {
        let place = &self.places[at];
        let online = place.log.as_ref().is_some_and(|log| !log.is_poisoned());
        if !online {
            return Ok(());
        }
        checks::replay(place, &self.disk, &self.config, self.now, &mut self.random)
    }

    /// What the checkpoints should say now, as `LogDir` puts them together.
    fn checkpoints(&self) -> Checkpoints {
        let mut checkpoints = self.carried.clone();
        for place in &self.places {
            let Some(log) = &place.log else { continue };
            if log.log_end_offset() == Offset::ZERO {
                continue;
            }
            let name = || place.name.clone();
            checkpoints
                .recovery_points
                .insert(name(), log.recovery_point());
            let high_watermark = Offset(place.mirror.high_watermark);
            checkpoints.high_watermarks.insert(name(), high_watermark);
            if log.log_start_offset() > Offset::ZERO {
                checkpoints
                    .log_starts
                    .insert(name(), log.log_start_offset());
            }
        }
        checkpoints
    }

    /// Whether they were written.
    fn write_checkpoints(&mut self, force: bool) -> bool {
        let current = self.checkpoints();
        let before = (!force).then_some(&self.written);
        let written = current.write(before, &self.disk, Path::new(DIRECTORY));
        for place in &mut self.places {
            let start = current.log_starts.get(&place.name).copied();
            let start = start.unwrap_or_default().0;
            place.mirror.start_max = place.mirror.start_max.max(start);
            if written.is_ok() && !self.disk.has_ended() {
                place.mirror.floor = start;
            }
        }
        if written.is_ok() {
            self.written = current;
        }
        written.is_ok()
    }

    /// A clean stop in the broker's order, and the next start.
    fn stop(&mut self, together: bool) -> Result<(), Fault> {
        if let Err(error) = self.leave(together) {
            log::debug!("the stop is not a clean one: {error}");
        }
        if self.disk.has_ended() {
            return Ok(());
        }
        // A flush that was under way may end after everything else.
        for place in &self.places {
            if let Some(flushing) = place.flushing.as_ref().filter(|_| self.random.percent(30)) {
                let _ = flushing.job.run();
            }
        }
        if self.disk.has_ended() {
            return Ok(());
        }
        self.crash(End::Kill)
    }

    fn leave(&mut self, together: bool) -> Result<(), StorageError> {
        let directory = Path::new(DIRECTORY);
        let (mut closed, mut failed) = (ClosedLogs::new(), None);
        for place in &mut self.places {
            match place.close(together, &self.disk) {
                Ok(Some(log)) => {
                    closed.insert(place.name.clone(), log);
                }
                Ok(None) => {}
                Err(error) => failed = Some(error),
            }
        }
        if together {
            let lock = self.disk.open(&directory.join(".lock"), OpenMode::Create)?;
            self.disk.sync_all(lock.as_ref())?;
            let online = self.places.iter_mut().filter(|place| place.log.is_some());
            for place in online.filter(|place| place.mirror.visible().next().is_some()) {
                place.mirror.flushed = place.mirror.end;
            }
        }
        let mut checkpoints = self.checkpoints();
        for place in self.places.iter().filter(|_| together && failed.is_none()) {
            let points = &mut checkpoints.recovery_points;
            if let (Some(point), Some(log)) = (points.get_mut(&place.name), &place.log) {
                *point = log.log_end_offset();
            }
        }
        checkpoints.write(None, &self.disk, directory)?;
        for place in &mut self.places {
            let start = checkpoints.log_starts.get(&place.name).copied();
            place.mirror.floor = start.unwrap_or_default().0;
        }
        let digest = write_closed_logs(&self.disk, directory, closed)?;
        match failed {
            Some(error) => Err(error),
            None if self.unclean => Ok(()),
            None => write_clean_shutdown(&self.disk, directory, 1, Some(digest)),
        }
    }

    fn crash(&mut self, end: End) -> Result<(), Fault> {
        self.end_life(end);
        self.begin()
    }

    /// After a flush that failed, what is in memory is not what the device has, and later flushes
    /// do not make it so: the machine is started anew, not the process alone.
    fn end_life(&mut self, end: End) {
        let end = match self.disk.failed_to_flush() {
            true => End::PowerLoss,
            false => end,
        };
        match end {
            End::PowerLoss => self.disk.lose_power(),
            End::Kill => self.disk.end_process(),
        }
        for place in &mut self.places {
            place.log = None;
            if end == End::PowerLoss {
                place.ended = End::PowerLoss;
            }
        }
    }

    /// The next life, until one gets through its start.
    fn begin(&mut self) -> Result<(), Fault> {
        for place in &mut self.places {
            place.log = None;
            place.flushing = None;
            place.deleted.clear();
            place.held.clear();
        }
        for _ in 0..STARTS_MAX {
            if self.random.percent(25) {
                self.disk.end_after(self.random.below(40));
            }
            self.start()?;
            if !self.disk.has_ended() {
                // Nothing of it is left for later.
                self.disk.end_after(u64::MAX);
                return self.settle();
            }
            let end = match self.random.percent(50) {
                true => End::PowerLoss,
                false => End::Kill,
            };
            self.end_life(end);
        }
        Err("it never starts".to_owned())
    }

    /// Takes the directory into use and opens all logs; those that cannot be are offline.
    fn start(&mut self) -> Result<(), Fault> {
        let taken = self.take().or_else(|error| {
            if self.disk.has_ended() {
                return Ok(None);
            }
            // A broker that cannot read its directory does not start. Somebody repairs it.
            self.disk.repair();
            match self.take() {
                Ok(taken) => Ok(taken.map(|(_, checkpoints)| (None, checkpoints))),
                Err(_) if self.disk.has_ended() => Ok(None),
                Err(again) => Err(format!("it does not start: {error}, {again}")),
            }
        })?;
        let Some((clean, checkpoints)) = taken else {
            return Ok(());
        };
        self.unclean = false;
        let digest = clean.and_then(|clean| clean.closed_logs);
        let mut closed = digest.map_or_else(ClosedLogs::new, |digest| {
            read_closed_logs(&self.disk, Path::new(DIRECTORY), digest)
        });
        self.carried = checkpoints.clone();
        for at in 0..self.places.len() {
            let closed = closed.remove(&self.places[at].name);
            let opened = self.open(at, clean.is_some(), &checkpoints, closed);
            if self.disk.has_ended() {
                return Ok(());
            }
            let place = &mut self.places[at];
            match opened {
                Ok((mut log, was_there)) => {
                    if !was_there {
                        // Checkpoints may be of an earlier topic of the name.
                        place.mirror.floor = 0;
                    }
                    if clean.is_none() && self.broken != Broken::NoNewEpoch {
                        place.epoch += 1;
                    }
                    log.assign_epoch(LeaderEpoch(place.epoch));
                    place.log = Some(log);
                    self.carried.recovery_points.remove(&place.name);
                    self.carried.log_starts.remove(&place.name);
                    self.carried.high_watermarks.remove(&place.name);
                }
                Err(error) if matches!(error, StorageError::Corrupt { .. }) => {
                    return Err(format!("{} does not open: {error}", place.name));
                }
                Err(_) => {
                    self.unclean = true;
                    // It takes no part in this life, but what it is in is still its epoch.
                    place.epoch += 1;
                }
            }
        }
        self.written = checkpoints;
        self.check_recovery_points();
        Ok(())
    }

    /// A log that ends before the recovery point that was noted is not appended to before that is
    /// corrected: the next recovery would believe what comes there without looking at it.
    fn check_recovery_points(&mut self) {
        let written = &self.written.recovery_points;
        let ends_before = |place: &Place| {
            let end = place.log.as_ref().map(Log::log_end_offset);
            let point = written.get(&place.name);
            end.zip(point).is_some_and(|(end, point)| end < *point)
        };
        let wrong: Vec<usize> = (0..self.places.len())
            .filter(|at| ends_before(&self.places[*at]))
            .collect();
        if !wrong.is_empty() && !self.write_checkpoints(false) {
            for at in wrong {
                self.places[at].log = None;
                self.unclean = true;
            }
        }
    }

    fn take(&self) -> Result<Option<(Option<CleanShutdown>, Checkpoints)>, StorageError> {
        let directory = Path::new(DIRECTORY);
        let clean = take_clean_shutdown(&self.disk, directory)?;
        let checkpoints = Checkpoints::read(&self.disk, directory, |_| {})?;
        Ok(Some((clean, checkpoints)))
    }

    fn open(
        &self,
        at: usize,
        clean_shutdown: bool,
        checkpoints: &Checkpoints,
        closed: Option<crate::storage::ClosedLog>,
    ) -> Result<(Log, bool), StorageError> {
        let place = &self.places[at];
        let disk: Arc<dyn Disk> = Arc::new(self.disk.clone());
        let now = Timestamp(self.now);
        let path: &PathBuf = &place.path;
        let was_there = disk.exists(path)?;
        let input = match was_there {
            false => RecoveryInput::unknown(),
            true => {
                let told = |offset: Option<&Offset>| offset.copied().unwrap_or(Offset::ZERO);
                RecoveryInput {
                    recovery_point: told(checkpoints.recovery_points.get(&place.name)),
                    log_start_offset: told(checkpoints.log_starts.get(&place.name)),
                    clean_shutdown,
                    ..RecoveryInput::unknown()
                }
            }
        };
        let config = || Arc::clone(&self.config);
        if let Some(closed) = closed
            && let Some(log) = Log::reopen(
                Arc::clone(&disk),
                path.clone(),
                config(),
                &input,
                &closed,
                now,
            )?
        {
            return Ok((log, was_there));
        }
        let opened = Log::open(disk, path.clone(), config(), &input, now);
        opened.map(|(log, _)| (log, was_there))
    }

    /// Judges what there is after a start by what the mirrors allow, and goes on from there.
    fn settle(&mut self) -> Result<(), Fault> {
        for place in &mut self.places {
            let Some(log) = &mut place.log else { continue };
            let reader = log.reader();
            let end = std::mem::replace(&mut place.ended, End::Kill);
            let random = &mut self.random;
            let found = quietly(&self.disk, || checks::read_all(&reader, random))?;
            let offsets = (log.log_start_offset().0, log.log_end_offset().0);
            settle(&mut place.mirror, found, offsets, end)
                .map_err(|fault| format!("{} after {end:?}: {fault}", place.name))?;
            log.advance_high_watermark(Offset(place.mirror.high_watermark));
        }
        for at in 0..self.places.len() {
            let place = &self.places[at];
            checks::always(place)?;
            let random = &mut self.random;
            quietly(&self.disk, || checks::answers(place, random))?;
            self.replay(at)?;
        }
        Ok(())
    }
}

/// See [`World::settle`].
fn settle(
    mirror: &mut Mirror,
    found: Vec<Kept>,
    (start, end): (i64, i64),
    how: End,
) -> Result<(), Fault> {
    let known = |offset: i64| {
        let mut all = mirror.batches.iter().chain(&mirror.maybe);
        all.find(|kept| kept.base() == offset)
    };
    let mut settled = Vec::new();
    for batch in &found {
        let Some(kept) = known(batch.base()) else {
            return Err(format!("nobody appended {:?}", batch.header));
        };
        demand!(
            kept.bytes == batch.bytes,
            "{:?} became {:?}",
            kept.header,
            batch.header
        );
        settled.push(kept.clone());
    }
    demand!(
        start >= mirror.floor,
        "the start {start} is below the checkpoint's {}",
        mirror.floor
    );
    let nothing_kept = how == End::PowerLoss && mirror.flushed <= mirror.start;
    let start_max = mirror.start_max.max(mirror.start);
    demand!(
        start <= start_max || nothing_kept,
        "the start {start} is beyond {start_max}"
    );
    let mut due = match how {
        End::PowerLoss => mirror.flushed,
        End::Kill if mirror.visible().next().is_none() => mirror.floor,
        End::Kill => mirror.end,
    };
    if let Some(cut) = mirror.cut {
        due = due.min(mirror.boundary(cut));
    }
    demand!(
        end >= due,
        "it ends at {end}, and was to have what is below {due}"
    );
    let from = settled.iter().filter(|kept| kept.next() > mirror.start);
    let mut expected = None;
    for kept in from {
        let gap = expected.is_some_and(|expected| expected != kept.base());
        demand!(!gap, "a hole before {} of {start} to {end}", kept.base());
        expected = Some(kept.next());
    }
    let last = settled.last().map_or(start, Kept::next);
    demand!(last == end, "it ends at {end}, its batches at {last}");
    mirror.batches.retain(|kept| kept.next() <= start);
    for kept in settled {
        mirror.note_written(&kept)?;
        mirror.batches.push(kept);
    }
    mirror.maybe.clear();
    mirror.cut = None;
    (mirror.start, mirror.end) = (start, end);
    mirror.start_max = start;
    mirror.flushed = mirror.flushed.min(end);
    mirror.high_watermark = mirror.high_watermark.clamp(start, end);
    Ok(())
}

fn config(rules: &Rules) -> LogConfig {
    LogConfig {
        segment_bytes: rules.segment_bytes,
        segment_ms: rules.segment_ms,
        index_interval_bytes: rules.index_interval_bytes,
        index_bytes_max: rules.index_bytes_max,
        retention_ms: rules.retention_ms,
        retention_bytes: rules.retention_bytes,
        producer_id_expiration_ms: i64::MAX,
        ..LogConfig::default()
    }
}
