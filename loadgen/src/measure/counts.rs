//! How often each time was seen, for a thread that counts a million of them a second.
//!
//! The buckets are exactly those of an `HdrHistogram` of 3 digits, so adding them up there loses
//! nothing; only counting is done here, in a quarter of its instructions.

/// Times below it have a bucket each; from there on every power of two has half as many.
const EXACT: usize = 1 << EXACT_BITS;
/// 2,048 buckets tell times apart to a thousandth: 3 digits.
const EXACT_BITS: u32 = 11;
const HALF: usize = EXACT / 2;

/// Counts by time, in nanoseconds. It grows when a time is the first of its power of two, 4 KiB for
/// each, so a thread in its steady state does not allocate.
#[derive(Clone, Default, Debug)]
pub(crate) struct Counts(Vec<u32>);

impl Counts {
    /// Counts one time. A bucket that is full stays so.
    #[inline]
    pub(crate) fn record(&mut self, ns: u64) {
        let bucket = bucket(ns);
        match self.0.get_mut(bucket) {
            Some(count) => *count = count.saturating_add(1),
            None => self.grow(bucket),
        }
    }

    #[cold]
    fn grow(&mut self, bucket: usize) {
        let buckets = (bucket + 1).next_multiple_of(HALF);
        self.0.reserve_exact(buckets - self.0.len());
        self.0.resize(buckets, 0);
        self.0[bucket] = 1;
    }

    /// As if nothing had been seen; the buckets stay.
    pub(crate) fn forget(&mut self) {
        self.0.fill(0);
    }

    /// The times that were seen, each the longest of its bucket, with their counts.
    pub(crate) fn seen(&self) -> impl Iterator<Item = (u64, u32)> {
        let seen = self.0.iter().enumerate().filter(|(_, count)| **count > 0);
        seen.map(|(bucket, &count)| (longest(bucket), count))
    }

    /// Buckets there are, 4 bytes each.
    #[cfg(test)]
    pub(crate) fn buckets(&self) -> usize {
        self.0.len()
    }

    /// As if one time had been seen so often.
    #[cfg(test)]
    pub(crate) fn set(&mut self, ns: u64, count: u32) {
        self.record(ns);
        self.0[bucket(ns)] = count;
    }
}

#[inline]
fn bucket(ns: u64) -> usize {
    let power = EXACT_BITS - 1;
    let shift = (ns | (EXACT as u64 - 1)).ilog2() - power;
    shift as usize * HALF + (ns >> shift) as usize
}

fn longest(bucket: usize) -> u64 {
    let shift = (bucket / HALF).saturating_sub(1);
    let place = (bucket - shift * HALF) as u64;
    ((place + 1) << shift) - 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use hdrhistogram::Histogram;
    use proptest::prelude::*;

    proptest! {
        /// The crate's histogram finds the same buckets, whatever the times.
        #[test]
        fn buckets_are_those_of_the_histogram(
            times in proptest::collection::vec((any::<u64>(), 0u32..60), 1..200),
        ) {
            let mut counts = Counts::default();
            let mut histogram = Histogram::<u64>::new(3).unwrap();
            for (any, shift) in times {
                let ns = (any >> shift).min(crate::measure::MAX_NS);
                counts.record(ns);
                histogram.record(ns).unwrap();
            }
            let recorded = histogram.iter_recorded();
            let expected: Vec<_> =
                recorded.map(|v| (v.value_iterated_to(), v.count_at_value() as u32)).collect();
            prop_assert_eq!(counts.seen().collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn edges_of_buckets() {
        for (ns, expected) in [(0, 0), (2047, 2047), (2048, 2049), (2049, 2049), (4095, 4095)] {
            assert_eq!(longest(bucket(ns)), expected, "{ns} ns");
        }
        assert_eq!(longest(bucket(4096)), 4099);
    }

    #[test]
    fn a_full_bucket_stays_full() {
        let mut counts = Counts::default();
        counts.set(7, u32::MAX);
        counts.record(7);
        assert_eq!(counts.seen().collect::<Vec<_>>(), [(7, u32::MAX)]);
    }
}
