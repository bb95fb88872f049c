//! What processors have said of their sources, and what follows from it for an answer: how fresh it is, and whether it can be made from the statistics. Asks nothing.

use std::collections::BTreeMap;

use stats::{SECONDS_PER_DAY, WindowKind, WindowsKept, tile_stretches};

use super::csv::{AnswerError, Row};
use super::registry::StatisticsFields;
use super::schema::processors;
use crate::{Freshness, Statistics};

/// The last heartbeats of all sources.
#[derive(Debug, Default)]
pub(super) struct Heartbeats {
    by_source: BTreeMap<String, Heartbeat>,
}

#[derive(Debug, Default)]
struct Heartbeat {
    at_micros: Option<i64>,
    as_of_micros: Option<i64>,
    statistics: StatisticsFields,
    /// The place of the newest field, and of the newest that speaks of statistics: a statement of a version that knows no statistics vouches for none.
    newest: (i64, u32),
    newest_of_statistics: (i64, u32),
}

/// What the statistics of all sources together are worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CellsState {
    /// How fresh they are.
    pub(super) freshness: Freshness,
    /// Quarter-hours from this second on are complete.
    pub(super) quarters_from_second: i64,
    /// Days from this second on are complete.
    pub(super) days_from_second: i64,
}

/// What processors say.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Said {
    /// How fresh the requests are.
    pub(super) requests: Freshness,
    /// What the statistics are worth, where they hold everything.
    pub(super) cells: Option<CellsState>,
}

impl CellsState {
    /// What they are worth while nobody has said or stored anything.
    pub(super) const NOTHING: CellsState = CellsState {
        freshness: Freshness { as_of_micros: None },
        quarters_from_second: i64::MAX,
        days_from_second: 0,
    };

    /// The windows that make exactly these stretches; None where only the requests can tell them.
    pub(super) fn windows_of(&self, bounds: &[i64]) -> Option<Vec<(WindowKind, i64, i64)>> {
        // What the bucket is about to drop has no statistics any more; the requests that are left of it can be counted.
        if bounds.first().is_some_and(|first| (*first).max(0) < self.days_from_second) {
            return None;
        }
        // Minutes are not published.
        let kept =
            WindowsKept { minutes_from_second: i64::MAX, quarters_from_second: self.quarters_from_second };
        tile_stretches(bounds, kept).ok()
    }
}

impl Heartbeats {
    pub(super) fn take(&mut self, row: &Row<'_>) -> Result<(), AnswerError> {
        let heartbeat = self.by_source.entry(row.require(processors::SOURCE)?.to_owned()).or_default();
        let time = row.time("_time")?;
        heartbeat.newest = heartbeat.newest.max(time);
        match row.require("_field")? {
            processors::HEARTBEAT_US => heartbeat.at_micros = Some(row.parse("_value")?),
            processors::AS_OF_US => heartbeat.as_of_micros = Some(row.parse("_value")?),
            field => {
                if heartbeat.statistics.take(field, row)? {
                    heartbeat.newest_of_statistics = heartbeat.newest_of_statistics.max(time);
                }
            }
        }
        Ok(())
    }

    /// Whether nobody has ever said anything.
    pub(super) fn is_empty(&self) -> bool {
        self.by_source.is_empty()
    }

    /// The sources that are spoken of.
    pub(super) fn sources(&self) -> impl Iterator<Item = &str> {
        self.by_source.keys().map(String::as_str)
    }

    /// How fresh the requests are.
    pub(super) fn freshness(&self) -> Freshness {
        self.least(|heartbeat| heartbeat.as_of_micros.filter(|as_of| *as_of != processors::AS_OF_UNKNOWN))
    }

    /// What the statistics are worth, if they hold all that was ever counted: those of every source do. `None` too when nobody has said anything, and while they have never been whole
    /// although the requests have: then the requests know more.
    pub(super) fn cells(&self) -> Option<CellsState> {
        let (mut quarters_from, mut days_from) = (i64::MIN, 0);
        for heartbeat in self.by_source.values() {
            let Statistics::Published { quarters_from_second, days_from_second, .. } = heartbeat.statistics()
            else {
                return None;
            };
            quarters_from = quarters_from.max(quarters_from_second);
            days_from = days_from.max(days_from_second);
        }
        let freshness = self.least(|heartbeat| match heartbeat.statistics() {
            Statistics::Published { as_of_micros, .. } => as_of_micros,
            Statistics::NeedRebuild | Statistics::Incomplete => None,
        });
        let never_whole = freshness.as_of_micros.is_none() && self.freshness().as_of_micros.is_some();
        let holds = !self.by_source.is_empty() && !never_whole;
        holds.then_some(CellsState {
            freshness,
            quarters_from_second: quarters_from,
            days_from_second: days_from,
        })
    }

    /// The least of the sources that were alive on the last day that any was: a log that was given up long ago holds nothing back, and after a long stop the answer is
    /// still the instant of the stop.
    fn least(&self, as_of_micros: impl Fn(&Heartbeat) -> Option<i64>) -> Freshness {
        const DAY_MICROS: i64 = SECONDS_PER_DAY * 1_000_000;
        let newest =
            self.by_source.values().filter_map(|heartbeat| heartbeat.at_micros).max().unwrap_or(i64::MIN);
        let alive = self.by_source.values().filter(|heartbeat| {
            heartbeat.at_micros.is_some_and(|at| at >= newest.saturating_sub(DAY_MICROS))
        });
        let as_of: Option<Vec<i64>> = alive.map(as_of_micros).collect();
        // A source that cannot say yet leaves all of it unsaid.
        Freshness { as_of_micros: as_of.and_then(|as_of| as_of.into_iter().min()) }
    }
}

impl Heartbeat {
    fn statistics(&self) -> Statistics {
        if self.newest_of_statistics == self.newest {
            self.statistics.statistics()
        } else {
            Statistics::NeedRebuild
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000_000;

    #[test]
    fn freshness_is_the_least_of_the_sources_of_the_last_day() {
        let check = |sources: &[(i64, Option<i64>)], expected: Option<i64>| {
            let mut heartbeats = Heartbeats::default();
            for (index, (at, as_of)) in sources.iter().enumerate() {
                let heartbeat =
                    Heartbeat { at_micros: Some(*at), as_of_micros: *as_of, ..Heartbeat::default() };
                heartbeats.by_source.insert(index.to_string(), heartbeat);
            }
            assert_eq!(heartbeats.freshness().as_of_micros, expected, "{sources:?}");
        };
        check(&[], None);
        check(&[(50 * HOUR, Some(49 * HOUR))], Some(49 * HOUR));
        check(&[(50 * HOUR, Some(49 * HOUR)), (40 * HOUR, Some(39 * HOUR))], Some(39 * HOUR));
        check(&[(50 * HOUR, Some(49 * HOUR)), (20 * HOUR, Some(19 * HOUR))], Some(49 * HOUR));
        check(&[(50 * HOUR, Some(49 * HOUR)), (50 * HOUR, Some(processors::AS_OF_UNKNOWN))], None);
        check(&[(50 * HOUR, None)], None);
    }

    #[test]
    fn stretches_are_made_of_whole_windows_or_not_at_all() {
        use WindowKind::{Day, Quarter};
        const D: i64 = SECONDS_PER_DAY;
        let state = |quarters_from_second, days_from_second| CellsState {
            quarters_from_second,
            days_from_second,
            ..CellsState::NOTHING
        };
        for (state, bounds, expected) in [
            (
                state(0, 0),
                vec![900, D, 2 * D + 900],
                Some(vec![(Quarter, 900, D), (Day, D, 2 * D), (Quarter, 2 * D, 2 * D + 900)]),
            ),
            (state(0, 0), vec![900, 1800, 2700], Some(vec![(Quarter, 900, 2700)])),
            (state(0, 0), vec![900, 1860], None),
            (state(0, 0), vec![901, 1800], None),
            (state(D, 0), vec![900, D], None),
            (state(D, 0), vec![0, D, D + 900], Some(vec![(Day, 0, D), (Quarter, D, D + 900)])),
            (state(2 * D, D), vec![0, 2 * D], None),
            (state(2 * D, D), vec![D, 2 * D], Some(vec![(Day, D, 2 * D)])),
            (state(0, 0), vec![-D, D], Some(vec![(Day, -D, D)])),
            (state(0, D), vec![], Some(vec![])),
            (CellsState::NOTHING, vec![0, D], Some(vec![(Day, 0, D)])),
            (CellsState::NOTHING, vec![0, 900], None),
        ] {
            assert_eq!(state.windows_of(&bounds), expected, "{state:?} {bounds:?}");
        }
    }

    fn said(worth: &str, as_of: i64, quarters_from: i64) -> Heartbeat {
        Heartbeat {
            at_micros: Some(50 * HOUR),
            as_of_micros: Some(50 * HOUR),
            statistics: StatisticsFields::of(worth, as_of, quarters_from),
            newest: (50, 0),
            newest_of_statistics: (50, 0),
        }
    }

    #[test]
    fn cells_that_were_never_whole_do_not_answer_where_the_requests_were() {
        let of = |requests: i64, cells: i64| {
            let source = Heartbeat { as_of_micros: Some(requests), ..said(processors::PUBLISHED, cells, 0) };
            Heartbeats { by_source: BTreeMap::from([("main".to_owned(), source)]) }.cells()
        };
        assert_eq!(of(50 * HOUR, -1), None, "a processor that was stopped before it had published");
        let both_begin = of(processors::AS_OF_UNKNOWN, -1).expect("cells are as good as requests");
        assert_eq!(both_begin.freshness.as_of_micros, None);
        assert!(of(50 * HOUR, 40 * HOUR).is_some(), "as_of tells how far they are");
    }

    #[test]
    fn answers_are_made_of_cells_only_where_every_source_has_all_of_them() {
        let check = |heartbeats: Vec<Heartbeat>, expected: Option<(Option<i64>, i64, i64)>| {
            let by_source =
                heartbeats.into_iter().enumerate().map(|(n, said)| (n.to_string(), said)).collect();
            let cells = Heartbeats { by_source }.cells();
            assert_eq!(
                cells.map(|cells| (
                    cells.freshness.as_of_micros,
                    cells.quarters_from_second,
                    cells.days_from_second
                )),
                expected
            );
        };
        let published = || said(processors::PUBLISHED, 40 * HOUR, 900);
        check(vec![], None);
        check(vec![published()], Some((Some(40 * HOUR), 900, 450)));
        check(
            vec![published(), said(processors::PUBLISHED, 39 * HOUR, 0)],
            Some((Some(39 * HOUR), 900, 450)),
        );
        check(vec![published(), said(processors::INCOMPLETE, -1, 0)], None);
        check(vec![published(), said(processors::NEED_REBUILD, -1, 0)], None);
        check(vec![published(), said("something newer", 1, 0)], None);
        // an earlier version has spoken since
        check(vec![Heartbeat { newest: (51, 0), ..published() }], None);
    }
}
