//! Percentiles of samples in nanoseconds.

use serde_json::{Value, json};

/// The sample below which this part (0 to 1) of all lie; 0 of none. Sorts.
pub(crate) fn percentile(samples: &mut [u64], part: f64) -> u64 {
    if samples.is_empty() {
        return 0;
    }
    samples.sort_unstable();
    let last = samples.len() - 1;
    let place = (last as f64 * part).round() as usize;
    samples[place.min(last)]
}

/// Count, p50, p99, p99.9 and the largest, in microseconds.
pub(crate) fn summary(samples: &mut [u64]) -> Value {
    let mut at = |part| percentile(samples, part) as f64 / 1e3;
    let (p50, p99, p999, max) = (at(0.5), at(0.99), at(0.999), at(1.0));
    json!({"samples": samples.len(), "p50_us": p50, "p99_us": p99, "p999_us": p999, "max_us": max})
}
