//! Random histories of a compacted topic, cleaned again and again, with crashes between, against a
//! list of everything that was ever appended.

use super::*;
use crate::storage::disk::seeded::{Random, SeededDisk};
use crate::storage::producer_state::{ProducerEntry, ProducerStates};

const RETENTION_MS: i64 = 5_000;

/// A record as it was appended.
#[derive(Debug, Clone)]
struct Appended {
    record: Seen,
    /// The producer whose transaction it is part of, while that is open.
    open: Option<i64>,
    aborted: bool,
    /// When a cleaning first knew that it was the latest of its key.
    cleaned_at: Option<i64>,
    /// When its segment was first written again.
    written_at: Option<i64>,
}

struct World {
    random: Random,
    disk: SeededDisk,
    table: Table,
    now: i64,
    all: Vec<Appended>,
    /// Next sequences of producers; transactional ones from 10 on, with whether they are inside one.
    producers: BTreeMap<i64, (i32, bool)>,
    rounds: usize,
}

impl World {
    fn new(seed: u64) -> World {
        let mut random = Random::new(seed);
        let disk = SeededDisk::new(random.next());
        let config = LogConfig {
            segment_bytes: random.pick(&[500, 900, 2500, 10_000]),
            index_interval_bytes: random.pick(&[1, 100, 4096]),
            min_compaction_lag_ms: random.pick(&[0, 0, 700]),
            max_compaction_lag_ms: random.pick(&[i64::MAX, i64::MAX, 3000]),
            delete_retention_ms: RETENTION_MS,
            compacts: true,
            deletes: false,
            ..LogConfig::default()
        };
        let mut table = Table::new(Arc::new(disk.clone()), config);
        table.map = OffsetMap::new(24 * random.pick(&[12, 40, 4000]), 0.9, [7; 16]);
        World {
            random,
            disk,
            table,
            now: 1_000_000,
            all: Vec::new(),
            producers: BTreeMap::new(),
            rounds: 0,
        }
    }

    fn append(&mut self) {
        let random = &mut self.random;
        let mut builder = BatchBuilder::new().codec(random.pick(&Codec::ALL));
        let producer = random.pick(&[-1, -1, 1, 2, 10, 11, 12]);
        let mut open = None;
        if producer > 0 {
            let (sequence, inside) = self.producers.entry(producer).or_default();
            builder = builder.producer(ProducerId(producer), ProducerEpoch(0), *sequence);
            if producer >= 10 {
                builder = builder.transactional();
                *inside = true;
                open = Some(producer);
            }
        }
        if random.percent(10) {
            builder = builder.log_append_time(Timestamp(self.now));
        }
        let count = 1 + random.index(6);
        for _ in 0..count {
            let key = format!("key {}", random.index(9));
            let value = vec![b'v'; random.index(60)];
            let value = (!random.percent(25)).then_some(&value[..]);
            let headers: [(&[u8], Option<&[u8]>); 2] = [(b"h", Some(b"1")), (b"i", None)];
            let headers = &headers[..random.index(3)];
            let key = (!random.percent(2)).then_some(key.as_bytes());
            let time = Timestamp(self.now - random.below(50).cast_signed());
            builder.append(time, key, value, headers);
        }
        if let Some((sequence, _)) = self.producers.get_mut(&producer) {
            *sequence += i32::try_from(count).unwrap();
        }
        let batch = valid(builder);
        let appended = self.table.append(&batch, self.now);
        let header = BatchHeader {
            base_offset: appended.first_offset,
            ..batch.header
        };
        let records = records_of(&header, &batch.bytes).into_iter();
        self.all.extend(records.map(|record| Appended {
            record,
            open,
            aborted: false,
            cleaned_at: None,
            written_at: None,
        }));
    }

    fn end_transaction(&mut self) {
        let inside: Vec<i64> = self
            .producers
            .iter()
            .filter(|(_, p)| p.1)
            .map(|(id, _)| *id)
            .collect();
        if inside.is_empty() {
            return;
        }
        let producer = self.random.pick(&inside);
        let committed = self.random.percent(50);
        self.table
            .append(&marker(producer, committed, self.now), self.now);
        self.producers.get_mut(&producer).unwrap().1 = false;
        for record in self.all.iter_mut().filter(|r| r.open == Some(producer)) {
            record.open = None;
            record.aborted = !committed;
        }
    }

    fn clean(&mut self) {
        let bases: Vec<i64> = {
            let view = self.table.log.shared.view();
            view.segments.iter().map(|s| s.base_offset.0).collect()
        };
        match self.table.clean(self.now) {
            Ok(Some(round)) => {
                self.rounds += 1;
                let until = round.until.0;
                let written = bases.iter().find(|base| **base >= until).copied();
                self.note_cleaned(until, written.unwrap_or(i64::MAX));
                self.check_gone(until);
            }
            Ok(None) => {}
            Err(CleaningError::MapTooSmall { .. }) => {
                self.table.map = OffsetMap::new(24 * 4000, 0.9, [7; 16]);
            }
            Err(error) => panic!("{error}"),
        }
    }

    fn note_cleaned(&mut self, until: i64, written: i64) {
        for record in &mut self.all {
            if record.record.offset < until {
                record.cleaned_at.get_or_insert(self.now);
            }
            if record.record.offset < written {
                record.written_at.get_or_insert(self.now);
            }
        }
    }

    /// The latest decided record of each key, of those before `until`.
    fn latest(&self, until: i64) -> BTreeMap<Vec<u8>, &Appended> {
        let mut latest = BTreeMap::new();
        for record in self.all.iter().filter(|r| r.record.offset < until) {
            if record.aborted || record.open.is_some() {
                continue;
            }
            if let Some(key) = &record.record.key {
                latest.insert(key.clone(), record);
            }
        }
        latest
    }

    /// A tombstone whose time was over is gone behind a round.
    fn check_gone(&self, until: i64) {
        let there = self.table.read_all();
        for record in self
            .latest(until)
            .values()
            .filter(|r| r.record.value.is_none())
        {
            let over = record
                .cleaned_at
                .is_some_and(|at| at + RETENTION_MS <= self.now);
            let found = there.iter().any(|seen| seen.offset == record.record.offset);
            assert!(
                !over || !found,
                "a tombstone at {} stays",
                record.record.offset
            );
        }
    }

    fn check(&mut self) {
        let there = self.table.read_all();
        self.check_records(&there);
        self.check_tombstones(&there);
        self.check_tables(&there);
        let from = self
            .random
            .below(self.table.log.log_end_offset().0.unsigned_abs() + 1);
        let from = Offset(from.cast_signed());
        let bytes_max = self.random.pick(&[1, 100, 700, 100_000]);
        let expected: Vec<Seen> = there
            .iter()
            .filter(|r| r.offset >= from.0)
            .cloned()
            .collect();
        assert_eq!(self.table.read(from, bytes_max), expected);
        let time = self.now - self.random.below(3000).cast_signed();
        let found = self
            .table
            .log
            .reader()
            .offset_for_timestamp(Timestamp(time))
            .unwrap();
        let found = found.map(|found| found.offset.0);
        let data = there.iter().find(|r| r.timestamp >= time).map(|r| r.offset);
        // A marker may be in front of it.
        assert!(
            found <= data || data.is_none(),
            "{found:?} is behind {data:?}"
        );
    }

    /// What is there was appended, exactly so.
    fn check_records(&self, there: &[Seen]) {
        let by_offset: BTreeMap<i64, &Seen> = self
            .all
            .iter()
            .map(|r| (r.record.offset, &r.record))
            .collect();
        for record in there {
            assert_eq!(by_offset[&record.offset], record);
        }
    }

    fn check_tombstones(&self, there: &[Seen]) {
        for record in self.latest(i64::MAX).values() {
            let time_left = record
                .written_at
                .is_none_or(|at| self.now < at + RETENTION_MS);
            let must_be = record.record.value.is_some() || time_left;
            let found = there.iter().any(|seen| seen.offset == record.record.offset);
            assert!(found || !must_be, "{:?} is gone at {}", record, self.now);
        }
    }

    fn check_tables(&self, there: &[Seen]) {
        let aborted = |seen: &Seen| {
            let known = self.all.iter().find(|r| r.record.offset == seen.offset);
            known.is_none_or(|known| known.aborted)
        };
        let uncommitted: Vec<Seen> = there
            .iter()
            .filter(|seen| !aborted(seen))
            .cloned()
            .collect();
        let all = self
            .all
            .iter()
            .filter(|r| !r.aborted)
            .map(|r| r.record.clone());
        assert_eq!(table_of(&uncommitted), table_of(&all.collect::<Vec<_>>()));
        let stable = self.table.stable().0;
        let committed = self.table.read_committed(600).into_iter();
        let committed: Vec<Seen> = committed.filter(|seen| seen.offset < stable).collect();
        assert!(!committed.iter().any(aborted), "an aborted record is read");
        let all = self
            .all
            .iter()
            .filter(|r| !r.aborted && r.record.offset < stable);
        let all: Vec<Seen> = all.map(|r| r.record.clone()).collect();
        assert_eq!(table_of(&committed), table_of(&all));
    }

    /// The producers are known again, from snapshots as well as from what is left of their batches.
    fn reopen(&mut self) {
        let before = self.table.log.producers().clone();
        let clean = self.random.percent(50);
        self.table.flush();
        self.table.reopen(clean, self.now);
        assert_eq!(known(self.table.log.producers()), known(&before));
        if self.random.percent(50) {
            self.table.log.close().unwrap();
            for entry in self.disk.list(&directory()).unwrap_or_default() {
                if entry.name.ends_with(".snapshot") {
                    self.disk
                        .remove_file(&directory().join(&entry.name))
                        .unwrap();
                }
            }
            self.table.reopen(true, self.now);
            let after = self.table.log.producers();
            for (id, known) in before.iter() {
                let found = after.get(id).unwrap();
                assert_eq!(found.last_sequence(), known.last_sequence());
                assert_eq!(found.producer_epoch, known.producer_epoch);
                assert_eq!(
                    found.transaction_first_offset,
                    known.transaction_first_offset
                );
                let last =
                    |entry: &ProducerEntry| entry.last_batch().map(|batch| batch.last_offset);
                assert_eq!(last(found), last(known));
            }
        }
    }

    /// A round that is cut off, and a start behind it.
    fn crash(&mut self) {
        self.table.flush();
        let before = self.table.log.producers().clone();
        self.disk.end_after(self.random.below(120));
        let bases: Vec<i64> = {
            let view = self.table.log.shared.view();
            view.segments.iter().map(|s| s.base_offset.0).collect()
        };
        let round = self.table.clean(self.now);
        if let Ok(Some(round)) = &round {
            // It may have ended before the last of it was done, but then the next one does it.
            let written = bases.iter().find(|base| **base >= round.until.0).copied();
            self.note_cleaned(round.until.0, written.unwrap_or(i64::MAX));
        } else {
            // Some groups may be in place.
            self.note_cleaned(0, i64::MAX);
        }
        match self.random.percent(50) {
            true => self.disk.lose_power(),
            false => self.disk.end_process(),
        }
        self.table.reopen(false, self.now);
        assert_eq!(last_known(self.table.log.producers()), last_known(&before));
    }

    /// Cleaning what is clean changes nothing any more.
    fn settle(&mut self) {
        let mut rounds = 0;
        loop {
            self.table.map = OffsetMap::new(24 * 4000, 0.9, [9; 16]);
            self.table.checkpoint = None;
            let Some(round) = self.table.clean(self.now).unwrap() else {
                return;
            };
            let written = i64::MAX;
            self.note_cleaned(round.until.0, written);
            self.check();
            if round.replaced == 0 {
                return;
            }
            rounds += 1;
            assert!(rounds < 12, "cleaning never comes to an end");
        }
    }

    fn step(&mut self) {
        self.now += self.random.below(200).cast_signed();
        match self.random.below(100) {
            0..60 => self.append(),
            60..75 => self.end_transaction(),
            75..80 => drop(self.table.log.roll(Timestamp(self.now)).unwrap()),
            80..90 => {
                self.clean();
                self.check();
            }
            90..93 => {
                self.now += self
                    .random
                    .below(2 * RETENTION_MS.unsigned_abs())
                    .cast_signed()
            }
            93..97 => {
                self.reopen();
                self.check();
            }
            _ => {
                self.crash();
                self.check();
            }
        }
    }
}

/// What is known of producers, but for the times of batches, which no snapshot holds.
fn known(states: &ProducerStates) -> BTreeMap<ProducerId, Vec<i64>> {
    let of = |entry: &ProducerEntry| {
        let batches = entry.recent().iter();
        let batches = batches.flat_map(|b| [b.last_sequence.into(), b.last_offset.0]);
        let mut all: Vec<i64> = batches.collect();
        all.push(entry.producer_epoch.0.into());
        all.push(entry.coordinator_epoch.into());
        all.extend(entry.transaction_first_offset.map(|offset| offset.0));
        all.push(entry.last_timestamp.0);
        all
    };
    states.iter().map(|(id, entry)| (id, of(entry))).collect()
}

/// The same, of the last batches only: the others are known from snapshots, which may be lost.
fn last_known(states: &ProducerStates) -> BTreeMap<ProducerId, Vec<i64>> {
    let mut all = known(states);
    for (id, known) in &mut all {
        let older = states
            .get(*id)
            .map_or(0, |entry| entry.recent().len().saturating_sub(1));
        known.drain(..2 * older);
    }
    all
}

fn run(seed: u64) {
    let mut world = World::new(seed);
    for _ in 0..150 {
        world.step();
    }
    world.settle();
}

#[test]
fn a_compacted_log_is_the_same_table_as_the_whole_one() {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let from = number("MILENA_SEED_FROM").unwrap_or(0);
    for seed in from..from + number("MILENA_SEEDS").unwrap_or(25) {
        let ran = std::panic::catch_unwind(|| run(seed));
        assert!(ran.is_ok(), "seed {seed} failed");
    }
}
