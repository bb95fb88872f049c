//! Requests that are counted but not committed yet, and the cells that a commit makes of them: of each customer, and of all customers
//! together. Pure: nothing here knows SQL.

use stats::{Counter, Outcome, WindowKind};

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

/// One request in 16 bytes, since a commit may be far away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Observation {
    /// Status class above [`MINUTE_BITS`] bits of the minute.
    minute: u32,
    customer: CustomerNumber,
    latency: u64,
}

const MINUTE_BITS: u32 = 28;
const MINUTE_MASK: u32 = (1 << MINUTE_BITS) - 1;

impl Observation {
    /// Takes what a cell needs of a request. `second` is within the years that a log can have.
    #[inline]
    pub(super) fn new(
        second: i64,
        customer: CustomerNumber,
        status: u16,
        latency_micros: Option<u64>,
    ) -> Self {
        let minute = u32::try_from(second.div_euclid(SECONDS_PER_MINUTE)).unwrap_or(u32::MAX);
        assert!(minute <= MINUTE_MASK, "L3: years 1970 to 2261");
        let (class, latency) = Outcome::new(status, latency_micros).to_parts();
        Self { minute: u32::from(class) << MINUTE_BITS | minute, customer, latency }
    }

    #[inline]
    fn minute(self) -> u32 {
        self.minute & MINUTE_MASK
    }

    /// What a cell counts.
    #[inline]
    pub(super) fn outcome(self) -> Outcome {
        Outcome::from_parts((self.minute >> MINUTE_BITS) as u8, self.latency)
    }
}

/// Requests since the last commit, by source.
#[derive(Debug, Default)]
pub(super) struct PendingCells {
    by_source: Vec<(i64, Vec<Observation>)>,
    /// Memory for the first source that comes.
    spare: Vec<Observation>,
    /// Where they are sorted; kept from one commit to the next.
    sorted: Vec<Observation>,
    /// What counts them into cells.
    pub(super) counter: Counter,
}

impl PendingCells {
    /// Bytes of memory that wait, with what a commit needs beside them.
    pub(super) fn bytes(&self) -> usize {
        2 * size_of::<Observation>()
            * self.by_source.iter().map(|(_, observations)| observations.len()).sum::<usize>()
    }

    /// Has the memory for so many bytes, as [`PendingCells::bytes`] counts them, from the start.
    pub(super) fn take_memory(&mut self, bytes: usize) {
        let any = Observation { minute: 1, customer: 1, latency: 1 };
        for room in [&mut self.spare, &mut self.sorted] {
            // Written, since the system gives memory only where something is written.
            *room = std::hint::black_box(vec![any; bytes / (2 * size_of::<Observation>())]);
            room.clear();
        }
        self.counter.take_memory();
    }

    /// Counts requests of a source.
    pub(super) fn extend(&mut self, source: i64, observations: impl Iterator<Item = Observation>) {
        let index = self.by_source.iter().position(|(known, _)| *known == source).unwrap_or_else(|| {
            self.by_source.push((source, std::mem::take(&mut self.spare)));
            self.by_source.len() - 1
        });
        self.by_source[index].1.extend(observations);
    }

    /// Visits every cell that changes once, with the requests that are new in it: for each source, kind by kind, in the order of the keys.
    /// Of each kind only windows that are kept are visited.
    pub(super) fn for_each_cell<E>(
        &mut self,
        kept_from: &KeptFrom,
        mut visit: impl FnMut(CellKey, &[Observation]) -> Result<(), E>,
    ) -> Result<(), E> {
        let Self { by_source, sorted, .. } = self;
        for (source, observations) in by_source {
            let minutes = range_of(observations, |observation| observation.minute());
            let customers = range_of(observations, |observation| observation.customer);
            // The customers once for all kinds: what sorts the windows afterwards keeps their order.
            sort_by(observations, sorted, customers, |observation| observation.customer);
            std::mem::swap(observations, sorted);
            for kind in [WindowKind::Minute, WindowKind::Quarter, WindowKind::Day] {
                sort_by_window(observations, sorted, kind, minutes);
                let window_of = |observation: &Observation| {
                    kind.window_of(i64::from(observation.minute()) * SECONDS_PER_MINUTE).start_second
                };
                let from_second = kept_from.first_of(kind);
                let dropped = sorted.partition_point(|observation| window_of(observation) < from_second);
                let mut rest = &sorted[dropped..];
                while let Some(first) = rest.first() {
                    let start_second = window_of(first);
                    let end_minute = (start_second + kind.seconds()) / SECONDS_PER_MINUTE;
                    let (window, later) =
                        rest.split_at(rest.partition_point(|next| i64::from(next.minute()) < end_minute));
                    rest = later;
                    let key = |customer| CellKey { kind, start_second, customer, source: *source };
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

/// Sorts by window, keeping the order of those in one window. The lengths are constants here, because dividing by a variable takes ten times as long.
fn sort_by_window(
    observations: &[Observation],
    sorted: &mut Vec<Observation>,
    kind: WindowKind,
    (first, last): (u32, u32),
) {
    const QUARTER: u32 = minutes(WindowKind::Quarter);
    const DAY: u32 = minutes(WindowKind::Day);
    match kind {
        WindowKind::Minute => {
            sort_by(observations, sorted, (first, last), |observation| observation.minute())
        }
        WindowKind::Quarter => {
            sort_by(observations, sorted, (first / QUARTER, last / QUARTER), |observation| {
                observation.minute() / QUARTER
            });
        }
        WindowKind::Day => {
            sort_by(observations, sorted, (first / DAY, last / DAY), |observation| {
                observation.minute() / DAY
            });
        }
    }
}

const fn minutes(kind: WindowKind) -> u32 {
    (kind.seconds() / SECONDS_PER_MINUTE) as u32
}

/// The least and the greatest of some numbers.
fn range_of(observations: &[Observation], number: impl Fn(&Observation) -> u32) -> (u32, u32) {
    observations.iter().fold((u32::MAX, 0), |(least, greatest), observation| {
        let number = number(observation);
        (least.min(number), greatest.max(number))
    })
}

/// Sorts into `sorted` by a number within a range, keeping the order of equal ones: by counting where the numbers lie close together, as those of customers and of neighbouring
/// windows do, which takes a fraction of the time of comparing.
fn sort_by(
    observations: &[Observation],
    sorted: &mut Vec<Observation>,
    (least, greatest): (u32, u32),
    number: impl Fn(&Observation) -> u32,
) {
    sorted.clear();
    sorted.extend_from_slice(observations);
    if least >= greatest {
        return;
    }
    let numbers = (greatest - least) as usize + 1;
    if numbers > 2 * observations.len() {
        return sorted.sort_by_key(number);
    }
    let mut places = vec![0_u32; numbers];
    for observation in observations {
        places[(number(observation) - least) as usize] += 1;
    }
    let mut next = 0;
    for place in &mut places {
        next += std::mem::replace(place, next);
    }
    for observation in observations {
        let place = &mut places[(number(observation) - least) as usize];
        sorted[*place as usize] = *observation;
        *place += 1;
    }
}

#[cfg(test)]
mod tests {
    use logline::LATENCY_MAX_MICROS;

    use super::*;
    use stats::Cell;

    fn count_in(cell: &mut Cell, observations: &[Observation]) {
        Counter::default().count(cell, observations.iter().map(|observation| observation.outcome()));
    }

    #[test]
    fn an_observation_loses_nothing_that_a_cell_needs() {
        const YEAR_2261_ENDS: i64 = 9_214_646_400;
        for second in [0, 59, 60, 1_759_996_800, YEAR_2261_ENDS - 1] {
            for status in [100, 204, 399, 400, 599] {
                for latency in [None, Some(0), Some(1), Some(LATENCY_MAX_MICROS)] {
                    let observation = Observation::new(second, CustomerNumber::MAX, status, latency);
                    let (mut cell, mut expected) = (Cell::default(), Cell::default());
                    count_in(&mut cell, &[observation]);
                    expected.observe(status, latency);
                    assert_eq!(cell, expected);
                    assert_eq!(
                        i64::from(observation.minute()) * 60,
                        WindowKind::Minute.window_of(second).start_second
                    );
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

    #[test]
    fn cells_are_those_of_a_plain_sort_however_far_apart_requests_are() {
        let mut state = 1_u64;
        let mut below = move |bound: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % bound
        };
        for (requests, seconds, customers) in [
            (1, 1, 1),
            (50, 100, 3),
            (50, 9_000_000_000, 4_000_000_000),
            (3000, 40 * 86_400, 10),
            (3000, 120, 2000),
        ] {
            let all: Vec<(i64, u32, u64)> = (0..requests)
                .map(|_| {
                    let second = i64::try_from(below(seconds)).unwrap();
                    (second, 1 + u32::try_from(below(customers)).unwrap(), below(1_000_000))
                })
                .collect();
            let kept_from = KeptFrom { minutes: 60 * 60, quarters: 0, days: i64::MIN };
            let mut expected = std::collections::BTreeMap::<_, Cell>::new();
            for (second, customer, latency) in &all {
                for kind in [WindowKind::Minute, WindowKind::Quarter, WindowKind::Day] {
                    let start_second = kind.window_of(*second).start_second;
                    if start_second < kept_from.first_of(kind) {
                        continue;
                    }
                    for customer in [ALL_CUSTOMERS, *customer] {
                        let key = CellKey { kind, start_second, customer, source: 7 };
                        expected.entry(key).or_default().observe(200, Some(*latency));
                    }
                }
            }
            let mut pending = PendingCells::default();
            pending.extend(
                7,
                all.iter().map(|(second, customer, latency)| {
                    Observation::new(*second, *customer, 200, Some(*latency))
                }),
            );
            // Twice, as when a commit failed and is tried again.
            for _ in 0..2 {
                let mut found = Vec::new();
                pending
                    .for_each_cell(&kept_from, |key, observations| {
                        let mut cell = Cell::default();
                        count_in(&mut cell, observations);
                        found.push((key, cell));
                        Ok::<_, std::convert::Infallible>(())
                    })
                    .unwrap_or_else(|never| match never {});
                assert_eq!(found, expected.clone().into_iter().collect::<Vec<_>>());
            }
        }
    }
}
