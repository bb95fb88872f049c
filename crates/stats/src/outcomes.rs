//! Many requests into a cell at once: what a cell needs of each in one word, and the table in which they are counted. What a cell is, and how one request is counted, is said
//! in `cell`; this is the same, a few times faster.

use logline::LATENCY_MAX_MICROS;

use crate::Cell;
use crate::bucket::{BUCKET_MAX, bucket_of};
use crate::histogram::{Entry, count_runs};

/// Status class and latency of a request, and the latency's bucket, which is worked out only once however many cells count it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// 0 to 4 for 1xx to 5xx.
    class: u8,
    /// Bucket above [`LATENCY_BITS`] bits of microseconds.
    latency: u64,
}

const LATENCY_BITS: u32 = 37;
const LATENCY_MASK: u64 = (1 << LATENCY_BITS) - 1;
const NO_LATENCY: u64 = u64::MAX;

impl Outcome {
    /// Of a status from 100 to 599, and a latency of at most a day if there is one (a longer one counts as a day).
    #[inline]
    pub fn new(status: u16, latency_micros: Option<u64>) -> Self {
        const {
            assert!(LATENCY_MAX_MICROS < LATENCY_MASK && BUCKET_MAX < 1 << (u64::BITS - LATENCY_BITS));
        }
        debug_assert!((100..600).contains(&status), "L3: status {status}");
        let latency = latency_micros.map_or(NO_LATENCY, |micros| {
            let micros = micros.min(LATENCY_MAX_MICROS);
            u64::from(bucket_of(micros)) << LATENCY_BITS | micros
        });
        Self { class: (status / 100).clamp(1, 5) as u8 - 1, latency }
    }

    /// As a number below eight and one of 64 bits, to be kept.
    #[inline]
    pub fn to_parts(self) -> (u8, u64) {
        (self.class, self.latency)
    }

    /// From what [`Outcome::to_parts`] gave.
    #[inline]
    pub fn from_parts(class: u8, latency: u64) -> Self {
        Self { class: class.min(4), latency }
    }
}

/// Latencies below this bucket, of 49 s and less, are counted in a table.
const TABLE_BUCKETS: usize = 1 << 17;
/// Fewer requests than that are sorted: walking through the table would take longer.
const TABLE_MIN: usize = 512;
/// What is counted beside the buckets.
#[derive(Debug, Default)]
struct Sums {
    /// Of five; eight need no check.
    classes: [u64; 8],
    latency_micros: u64,
    greatest_micros: u64,
}

impl Sums {
    /// Adds a request; returns its latency's bucket.
    #[inline]
    fn add(&mut self, outcome: Outcome) -> Option<usize> {
        self.classes[usize::from(outcome.class % 8)] += 1;
        if outcome.latency == NO_LATENCY {
            return None;
        }
        let micros = outcome.latency & LATENCY_MASK;
        self.latency_micros = self.latency_micros.saturating_add(micros);
        self.greatest_micros = self.greatest_micros.max(micros);
        Some((outcome.latency >> LATENCY_BITS) as usize)
    }
}

/// Counts requests into cells. Keeps its table from one cell to the next, so one should be kept too.
#[derive(Debug, Default)]
pub struct Counter {
    /// Count by bucket; all zero between two cells. Made when first needed.
    table: Vec<u32>,
    /// A bit for each place of the table that is not zero, so that those that are need not be looked at.
    taken: Vec<u64>,
    /// Buckets that are sorted.
    sorted: Vec<u32>,
    entries: Vec<Entry>,
}

impl Counter {
    /// Makes its table now, not when it is needed first.
    pub fn take_memory(&mut self) {
        self.table.resize(TABLE_BUCKETS, 0);
        self.taken.resize(TABLE_BUCKETS / 64, 0);
    }

    /// Counts requests in a cell, as [`Cell::observe`] does one by one. Fewer than 2^32 at once.
    pub fn count(&mut self, cell: &mut Cell, outcomes: impl ExactSizeIterator<Item = Outcome>) {
        self.sorted.clear();
        self.entries.clear();
        let mut sums = Sums::default();
        if outcomes.len() < TABLE_MIN {
            let buckets = outcomes.filter_map(|outcome| sums.add(outcome));
            self.sorted.extend(buckets.map(|bucket| u32::try_from(bucket).expect("27 bits")));
        } else {
            self.count_in_table(outcomes, &mut sums);
        }
        if !self.sorted.is_empty() {
            // Behind all of the table, or alone.
            self.entries.extend(count_runs(&mut self.sorted));
        }
        let [c1, c2, c3, c4, c5, ..] = sums.classes;
        cell.add_counted(&[c1, c2, c3, c4, c5], sums.latency_micros, sums.greatest_micros, &self.entries);
    }

    fn count_in_table(&mut self, outcomes: impl Iterator<Item = Outcome>, sums: &mut Sums) {
        self.take_memory();
        let table = self.table.first_chunk_mut::<TABLE_BUCKETS>().expect("it has that length");
        let taken = self.taken.first_chunk_mut::<{ TABLE_BUCKETS / 64 }>().expect("it has that length");
        // Of its own, so that it stays in registers.
        let mut all = Sums::default();
        for outcome in outcomes {
            let Some(bucket) = all.add(outcome) else { continue };
            if bucket < TABLE_BUCKETS {
                table[bucket] += 1;
                taken[bucket / 64] |= 1 << (bucket % 64);
            } else {
                self.sorted.push(u32::try_from(bucket).expect("27 bits"));
            }
        }
        *sums = all;
        self.empty_table();
    }

    /// Moves the counts from the table to the entries.
    fn empty_table(&mut self) {
        for (index, taken) in self.taken.iter_mut().enumerate() {
            let mut rest = std::mem::take(taken);
            while rest != 0 {
                let bucket = index as u32 * 64 + rest.trailing_zeros();
                self.entries
                    .push(Entry::new(bucket, u64::from(std::mem::take(&mut self.table[bucket as usize]))));
                rest &= rest - 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(counter: &mut Counter, before: &[(u16, Option<u64>)], more: &[(u16, Option<u64>)]) {
        let mut expected = Cell::default();
        let mut cell = Cell::default();
        for &(status, latency) in before {
            expected.observe(status, latency);
            cell.observe(status, latency);
        }
        for &(status, latency) in more {
            expected.observe(status, latency);
        }
        let parts = more.iter().map(|(status, latency)| Outcome::new(*status, *latency).to_parts());
        let parts: Vec<_> = parts.collect();
        counter.count(&mut cell, parts.iter().map(|(class, latency)| Outcome::from_parts(*class, *latency)));
        assert_eq!(cell, expected);
        assert!(counter.table.iter().all(|count| *count == 0), "the table is empty again");
        assert!(counter.taken.iter().all(|taken| *taken == 0), "and so are its marks");
    }

    #[test]
    fn the_ends_of_the_table_are_counted() {
        let mut counter = Counter::default();
        let edge = (0..60_000_000).step_by(1000).find(|micros| bucket_of(*micros) as usize >= TABLE_BUCKETS);
        let edge = edge.expect("49 s");
        let ends = [0, 1, edge - 1000, edge - 1, edge, edge + 1000, LATENCY_MAX_MICROS, u64::MAX];
        let many: Vec<_> = ends.iter().cycle().take(TABLE_MIN).map(|end| (404, Some(*end))).collect();
        check(&mut counter, &[], &many);
        check(&mut counter, &many, &many[..8]);
        check(&mut counter, &many[..3], &[]);
        check(&mut counter, &[], &vec![(599, None); 2 * TABLE_MIN]);
    }

    fn requests(most: usize) -> impl Strategy<Value = Vec<(u16, Option<u64>)>> {
        let latency = prop_oneof![
            (0..3000_u64).prop_map(|millis| millis * 1000),
            0..20_000_u64,
            0..=LATENCY_MAX_MICROS
        ];
        prop::collection::vec((100..600_u16, prop::option::weighted(0.9, latency)), 0..most)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn many_at_once_are_counted_as_one_by_one(
            before in requests(300), few in requests(TABLE_MIN), many in requests(4 * TABLE_MIN),
        ) {
            let mut counter = Counter::default();
            check(&mut counter, &before, &many);
            check(&mut counter, &before, &few);
            check(&mut counter, &many, &few);
            check(&mut counter, &few, &many);
        }
    }
}
