use proptest::prelude::*;

use super::*;

/// One thing that happens to a log.
#[derive(Debug, Clone)]
enum Step {
    Append { records: usize, size: usize },
    Idempotent { records: usize },
    Retry,
    Flush,
    Idle,
    Close,
    Kill,
    LosePower { kept: usize },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1..5_usize, 0..200_usize).prop_map(|(records, size)| Step::Append { records, size }),
        3 => (1..4_usize).prop_map(|records| Step::Idempotent { records }),
        1 => Just(Step::Retry),
        1 => Just(Step::Flush),
        1 => Just(Step::Idle),
        1 => Just(Step::Close),
        1 => Just(Step::Kill),
        1 => (0..400_usize).prop_map(|kept| Step::LosePower { kept }),
    ]
}

/// A log and what should be in it.
struct Model {
    bench: Bench,
    values: Vec<String>,
    batches: Vec<ValidBatch>,
    sequence: i32,
    /// The producer's newest batch and its first offset.
    newest: Option<(ValidBatch, Offset)>,
}

impl Model {
    fn append(&mut self, batch: &ValidBatch, values: Vec<String>) {
        let appended = self.bench.append(batch);
        assert!(!appended.duplicate);
        assert_eq!(appended.first_offset.0, self.values.len() as i64);
        self.values.extend(values);
        self.batches.push(batch.clone());
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Append { records, size } => {
                let values: Vec<String> = (0..*records)
                    .map(|n| format!("{}{}", self.values.len() + n, "x".repeat(*size)))
                    .collect();
                let texts: Vec<&str> = values.iter().map(String::as_str).collect();
                self.append(&batch(&texts), values);
            }
            Step::Idempotent { records } => {
                let values: Vec<String> = (0..*records)
                    .map(|n| format!("p{}", self.values.len() + n))
                    .collect();
                let texts: Vec<&str> = values.iter().map(String::as_str).collect();
                let batch = batch_of(7, self.sequence, &texts);
                let first = Offset(self.values.len() as i64);
                self.append(&batch, values);
                self.sequence += *records as i32;
                self.newest = Some((batch, first));
            }
            Step::Retry => {
                if let Some((batch, first)) = &self.newest {
                    let appended = self.bench.append(batch);
                    assert!(appended.duplicate);
                    assert_eq!(appended.first_offset, *first);
                }
            }
            Step::Flush => self.bench.flush(),
            Step::Idle => self.bench.log.close_idle().unwrap(),
            Step::Close => {
                let report = self.bench.close_and_reopen();
                assert_eq!(report.segments_scanned, 0);
            }
            Step::Kill => {
                let report = self.bench.kill_and_reopen();
                assert_eq!((report.bytes_cut, report.set_aside.len()), (0, 0));
            }
            Step::LosePower { kept } => self.lose_power(*kept),
        }
    }

    /// What was flushed stays, of the rest a prefix may.
    fn lose_power(&mut self, kept: usize) {
        let flushed = self.bench.log.recovery_point();
        self.bench
            .disk
            .lose_power(&mut |path, appended| match path.extension() {
                Some(kind) if kind == "log" => kept.min(appended),
                _ => appended / 2,
            });
        self.bench.kill_and_reopen();
        let end = self.bench.log.log_end_offset();
        assert!(end >= flushed, "{end} of {flushed}");
        assert!(end.0 as usize <= self.values.len());
        self.values.truncate(end.0 as usize);
        self.newest = None;
        // The producer goes on where the log says it is.
        let known = self.bench.log.producers().get(ProducerId(7));
        self.sequence = known.map_or(self.sequence, |entry| entry.last_sequence() + 1);
    }

    fn check(&self, bytes_max: usize, from: usize) {
        let expected: Vec<(i64, String)> = (0..).zip(self.values.iter().cloned()).collect();
        assert_eq!(self.bench.read_all(bytes_max), expected);
        let from = from % (self.values.len() + 1);
        let reader = self.bench.log.reader();
        let plan = reader
            .plan(Offset(from as i64), bytes_max, Offset(i64::MAX), true)
            .unwrap();
        let found = records_of(&plan);
        let first = found.iter().position(|(offset, _)| *offset == from as i64);
        assert_eq!(first.is_some(), from < self.values.len());
        for (offset, value) in found {
            assert_eq!(value, self.values[offset as usize]);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn every_record_is_read_once_and_in_order_whatever_happened(
        steps in prop::collection::vec(step(), 1..40),
        segment_bytes in 1000..4000_u64,
        index_interval_bytes in 0..600_u64,
        bytes_max in 1..5000_usize,
        from in 0..1000_usize,
    ) {
        let mut model = Model {
            bench: Bench::new(LogConfig {
                segment_bytes,
                index_interval_bytes,
                ..LogConfig::default()
            }),
            values: Vec::new(),
            batches: Vec::new(),
            sequence: 0,
            newest: None,
        };
        for step in &steps {
            model.step(step);
            model.check(bytes_max, from);
        }
    }

    #[test]
    fn producers_are_the_sum_of_the_batches(
        sequences in prop::collection::vec((0..3_i64, 1..4_usize), 1..40),
        segment_bytes in 300..2000_u64,
    ) {
        let mut bench = Bench::new(LogConfig { segment_bytes, ..LogConfig::default() });
        let mut next = [0; 3];
        for (producer, records) in sequences {
            let sequence = &mut next[producer as usize];
            let values = vec!["x"; records];
            bench.append(&batch_of(producer, *sequence, &values));
            *sequence += records as i32;
        }
        let before = bench.log.producers().clone();
        for name in bench.names() {
            if name.ends_with(".snapshot") {
                bench.disk.remove_file(&path(&name)).unwrap();
            }
        }
        bench.kill_and_reopen();
        prop_assert_eq!(bench.log.producers(), &before);
    }
}
