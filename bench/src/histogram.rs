//! A histogram of latencies with buckets less than one per cent wide.

use std::time::Duration;

/// Counts of durations, by nanoseconds.
///
/// Below 256 ns each nanosecond has a bucket; above that, each power of two is divided into 128
/// buckets.
pub struct Histogram {
    buckets: Vec<u64>,
    total: u64,
}

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram {
            buckets: vec![0; bucket(u64::MAX) + 1],
            total: 0,
        }
    }
}

impl Histogram {
    pub fn record(&mut self, latency: Duration) {
        let nanoseconds = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        self.buckets[bucket(nanoseconds)] += 1;
        self.total += 1;
    }

    /// The number of durations recorded.
    pub fn count(&self) -> u64 {
        self.total
    }

    /// Returns the latency that a `share` (0 to 1) of all do not exceed; zero for an empty
    /// histogram.
    pub fn quantile(&self, share: f64) -> Duration {
        let rank = ((self.total as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        let index = self.buckets.iter().position(|count| {
            seen += count;
            seen >= rank
        });
        Duration::from_nanos(index.map_or(0, middle))
    }
}

/// The shift keeps the leading bit and `BITS` below it, so each shift adds `1 << BITS` buckets.
fn bucket(nanoseconds: u64) -> usize {
    let shift = (u64::BITS - nanoseconds.leading_zeros()).saturating_sub(BITS + 1);
    ((shift as usize) << BITS) + (nanoseconds >> shift) as usize
}

/// Returns the middle value of a bucket.
fn middle(bucket: usize) -> u64 {
    let shift = (bucket >> BITS).saturating_sub(1);
    let lowest = ((bucket - (shift << BITS)) as u64) << shift;
    lowest + (1 << shift) / 2
}

/// Bits kept below the leading one.
const BITS: u32 = 7;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_follow_each_other_without_gaps() {
        for nanoseconds in 0..100_000 {
            let step = bucket(nanoseconds + 1) - bucket(nanoseconds);
            assert!(step <= 1, "at {nanoseconds}");
        }
    }

    #[test]
    fn a_bucket_stands_for_values_within_one_per_cent() {
        for nanoseconds in [0, 1, 255, 256, 1000, 123_456, 7_000_000_000, u64::MAX / 3] {
            let stands_for = middle(bucket(nanoseconds));
            assert!(
                stands_for.abs_diff(nanoseconds) <= nanoseconds / 100,
                "{nanoseconds} became {stands_for}"
            );
        }
    }

    #[test]
    fn quantiles_count_from_below() {
        let mut histogram = Histogram::default();
        (1..=100).for_each(|n| histogram.record(Duration::from_nanos(n)));
        assert_eq!(histogram.count(), 100);
        assert_eq!(histogram.quantile(0.5), Duration::from_nanos(50));
        assert_eq!(histogram.quantile(0.99), Duration::from_nanos(99));
        assert_eq!(histogram.quantile(1.0), Duration::from_nanos(100));
    }

    #[test]
    fn the_quantile_of_an_empty_histogram_is_zero() {
        assert_eq!(Histogram::default().quantile(0.5), Duration::ZERO);
    }
}
