//! Requests that are counted but not committed yet, and the cells that a commit makes of them: of each customer, and of all customers
//! together. Pure: nothing here knows SQL.

use stats::{Cell, WindowKind};

use super::meta::KeptFrom;

/// Which cell: ordered as the table is, so that sorted cells are written from left to right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct CellKey {
    pub(super) kind: WindowKind,
    pub(super) start_second: i64,
    pub(super) customer: CustomerNumber,
    pub(super) source: i64,
}

/// A customer's number in the ledger.
pub(super) type CustomerNumber = u32;

/// The number under which all customers together are kept.
pub(super) const ALL_CUSTOMERS: CustomerNumber = 0;

/// So many sources keep their place among the pending ones over a commit.
const SOURCES_KEPT: usize = 16;
const SECONDS_PER_MINUTE: i64 = 60;
const LATENCY_BITS: u32 = 48;
const NO_LATENCY: u64 = (1 << LATENCY_BITS) - 1;

/// One request in 16 bytes, since a commit may be far away. In order of minute, then of customer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Observation {
    minute: u32,
    customer: CustomerNumber,
    /// Status above [`LATENCY_BITS`] bits of latency in microseconds.
    outcome: u64,
}

impl Observation {
    /// Takes what a cell needs of a request. `second` is within the years that a log can have.
    #[inline]
    pub(super) fn new(
        second: i64,
        customer: CustomerNumber,
        status: u16,
        latency_micros: Option<u64>,
    ) -> Self {
        let minute = u32::try_from(second.div_euclid(SECONDS_PER_MINUTE)).expect("L3: years 1970 to 2261");
        let latency = latency_micros.map_or(NO_LATENCY, |micros| micros.min(NO_LATENCY - 1));
        Self { minute, customer, outcome: u64::from(status) << LATENCY_BITS | latency }
    }

    /// The same request as if it were at another time.
    fn at(self, second: i64) -> Self {
        let minute = u32::try_from(second / SECONDS_PER_MINUTE).expect("a window starts after 1970");
        Self { minute, ..self }
    }

    fn start_second(self, kind: WindowKind) -> i64 {
        kind.window_of(i64::from(self.minute) * SECONDS_PER_MINUTE).start_second
    }

    /// Counts the request in a cell.
    #[inline]
    pub(super) fn count_in(self, cell: &mut Cell) {
        let latency = self.outcome & NO_LATENCY;
        let status = u16::try_from(self.outcome >> LATENCY_BITS).expect("16 bits above 48");
        cell.observe(status, (latency != NO_LATENCY).then_some(latency));
    }
}

/// Requests since the last commit, by source.
#[derive(Debug, Default)]
pub(super) struct PendingCells {
    by_source: Vec<(i64, Vec<Observation>)>,
}

impl PendingCells {
    /// Bytes of memory that wait, with what a commit needs beside them.
    pub(super) fn bytes(&self) -> usize {
        2 * size_of::<Observation>()
            * self.by_source.iter().map(|(_, observations)| observations.len()).sum::<usize>()
    }

    /// Counts requests of a source.
    pub(super) fn extend(&mut self, source: i64, observations: impl Iterator<Item = Observation>) {
        let index = self.by_source.iter().position(|(known, _)| *known == source).unwrap_or_else(|| {
            self.by_source.push((source, Vec::new()));
            self.by_source.len() - 1
        });
        self.by_source[index].1.extend(observations);
    }

    /// Visits every cell that changes once, with the requests that are new in it: for each source, kind by kind, in the order of the keys.
    /// Of each kind only windows that are kept are visited.
    pub(super) fn for_each_cell<E>(
        &self,
        kept_from: &KeptFrom,
        mut visit: impl FnMut(CellKey, &[Observation]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut sorted = Vec::new();
        for (source, observations) in &self.by_source {
            for kind in [WindowKind::Minute, WindowKind::Quarter, WindowKind::Day] {
                let from_second = kept_from.first_of(kind);
                sorted.clear();
                sorted.extend(observations.iter().filter_map(|observation| {
                    let start_second = observation.start_second(kind);
                    // The minute of the window's start stands for the window.
                    (start_second >= from_second).then(|| observation.at(start_second))
                }));
                sorted.sort_unstable_by_key(|observation| (observation.minute, observation.customer));
                for window in sorted.chunk_by(|a, b| a.minute == b.minute) {
                    let key = |customer: CustomerNumber| CellKey {
                        kind,
                        start_second: window[0].start_second(kind),
                        customer,
                        source: *source,
                    };
                    visit(key(ALL_CUSTOMERS), window)?;
                    for of_customer in window.chunk_by(|a, b| a.customer == b.customer) {
                        visit(key(of_customer[0].customer), of_customer)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// What was written is durable.
    pub(super) fn committed(&mut self) {
        // Few sources keep their memory for the next commit; of thousands only some have requests each time.
        self.by_source.truncate(SOURCES_KEPT);
        for (_, observations) in &mut self.by_source {
            observations.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use logline::LATENCY_MAX_MICROS;

    use super::*;

    #[test]
    fn an_observation_loses_nothing_that_a_cell_needs() {
        const YEAR_2261_ENDS: i64 = 9_214_646_400;
        for second in [0, 59, 60, 1_759_996_800, YEAR_2261_ENDS - 1] {
            for status in [100, 204, 399, 400, 599] {
                for latency in [None, Some(0), Some(1), Some(LATENCY_MAX_MICROS)] {
                    let observation = Observation::new(second, CustomerNumber::MAX, status, latency);
                    let (mut cell, mut expected) = (Cell::default(), Cell::default());
                    observation.count_in(&mut cell);
                    expected.observe(status, latency);
                    assert_eq!(cell, expected);
                    for kind in [WindowKind::Minute, WindowKind::Quarter, WindowKind::Day] {
                        assert_eq!(observation.start_second(kind), kind.window_of(second).start_second);
                    }
                }
            }
        }
    }

    #[test]
    fn cells_come_in_the_order_of_their_keys_and_each_once() {
        let mut pending = PendingCells::default();
        let at = |second, customer| Observation::new(second, customer, 200, None);
        pending.extend(1, [at(86_400 + 900, 2), at(5, 3), at(86_400 + 60, 1), at(86_400, 2)].into_iter());
        let kept_from = KeptFrom { minutes: 86_400 + 60, quarters: 86_400, days: i64::MIN };
        let mut seen = Vec::new();
        pending
            .for_each_cell(&kept_from, |key, observations| {
                seen.push((key.kind as u8, key.start_second, key.customer, observations.len()));
                Ok::<_, std::convert::Infallible>(())
            })
            .unwrap_or_else(|never| match never {});
        let (minute, quarter, day) = (0, 1, 2);
        assert_eq!(
            seen,
            [
                (minute, 86_460, 0, 1),
                (minute, 86_460, 1, 1),
                (minute, 87_300, 0, 1),
                (minute, 87_300, 2, 1),
                (quarter, 86_400, 0, 2),
                (quarter, 86_400, 1, 1),
                (quarter, 86_400, 2, 1),
                (quarter, 87_300, 0, 1),
                (quarter, 87_300, 2, 1),
                (day, 0, 0, 1),
                (day, 0, 3, 1),
                (day, 86_400, 0, 3),
                (day, 86_400, 1, 1),
                (day, 86_400, 2, 2),
            ]
        );
    }
}
