//! What processors have said of their sources, and what follows from it for an answer: how fresh it is, and whether it can be made from the statistics. Asks nothing.

use std::collections::BTreeMap;

use stats::{SECONDS_PER_DAY, WindowKind, WindowsKept, tile_stretches};

use super::csv::{AnswerError, Row};
use super::registry::StatisticsFields;
use super::schema::processors;
use crate::{Freshness, Statistics};

const DAY_MICROS: i64 = SECONDS_PER_DAY * 1_000_000;
/// Statistics that are further behind the requests do not answer: their processor cannot publish, or is killed again and again, and nobody should wait for it.
const LACK_MAX_MICROS: i64 = 60_000_000;
/// While the requests answer, statistics must come closer than that to take over: whoever asks again should not be told of a much earlier instant than before.
const LACK_TO_RETURN_MICROS: i64 = 5_000_000;

/// The last heartbeats of all sources.
#[derive(Debug, Default)]
pub(super) struct Heartbeats {
    by_source: BTreeMap<String, Heartbeat>,
}

#[derive(Debug, Default)]
struct Heartbeat {
    at_micros: Option<i64>,
    as_of_micros: Option<i64>,
    released: bool,
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
            processors::RELEASED => heartbeat.released = row.parse("_value")?,
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
        self.least(Heartbeat::requests_as_of)
    }

    /// What the statistics are worth, if every source has them, and its as_of tells what they lack. `None` otherwise, and when nobody has said anything: then the requests know more.
    /// `before`: what was said when it was asked last.
    pub(super) fn cells(&self, before: Option<Said>) -> Option<CellsState> {
        let newest = self.newest();
        let from_requests = before.is_some_and(|said| said.cells.is_none());
        let lack_max = if from_requests { LACK_TO_RETURN_MICROS } else { LACK_MAX_MICROS };
        let (mut quarters_from, mut days_from) = (i64::MIN, 0);
        for heartbeat in self.by_source.values() {
            let Statistics::Published { quarters_from_second, days_from_second, .. } = heartbeat.statistics()
            else {
                return None;
            };
            let tells = if heartbeat.released {
                heartbeat.lack() == Some(0)
            } else {
                heartbeat.is_recent(newest) && heartbeat.lack().is_some_and(|lack| lack <= lack_max)
            };
            if !tells {
                return None;
            }
            quarters_from = quarters_from.max(quarters_from_second);
            days_from = days_from.max(days_from_second);
        }
        let freshness = self.least(Heartbeat::statistics_as_of);
        // Until they were whole for the first time they may be any part of it.
        freshness.as_of_micros.map(|_| CellsState {
            freshness,
            quarters_from_second: quarters_from,
            days_from_second: days_from,
        })
    }

    /// The least of the sources that were alive on the last day that any was: a log that was given up long ago holds nothing back, and after a long stop the answer is
    /// still the instant of the stop.
    fn least(&self, as_of_micros: impl Fn(&Heartbeat) -> Option<i64>) -> Freshness {
        let newest = self.newest();
        let recent = self.by_source.values().filter(|heartbeat| heartbeat.is_recent(newest));
        let as_of: Option<Vec<i64>> = recent.map(as_of_micros).collect();
        // A source that cannot say yet leaves all of it unsaid.
        Freshness { as_of_micros: as_of.and_then(|as_of| as_of.into_iter().min()) }
    }

    fn newest(&self) -> i64 {
        self.by_source.values().filter_map(|heartbeat| heartbeat.at_micros).max().unwrap_or(i64::MIN)
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

    fn requests_as_of(&self) -> Option<i64> {
        self.as_of_micros.filter(|as_of| *as_of != processors::AS_OF_UNKNOWN)
    }

    fn statistics_as_of(&self) -> Option<i64> {
        match self.statistics() {
            Statistics::Published { as_of_micros, .. } => as_of_micros,
            Statistics::NeedRebuild | Statistics::Incomplete => None,
        }
    }

    /// How far the statistics are behind the requests; `None` while they were never whole.
    fn lack(&self) -> Option<i64> {
        let statistics = self.statistics_as_of()?;
        Some(self.requests_as_of().map_or(0, |requests| requests.saturating_sub(statistics).max(0)))
    }

    /// Whether its as_of counts in the answer's.
    fn is_recent(&self, newest_micros: i64) -> bool {
        self.at_micros.is_some_and(|at| at >= newest_micros.saturating_sub(DAY_MICROS))
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
            as_of_micros: Some(as_of),
            released: false,
            statistics: StatisticsFields::of(worth, as_of, quarters_from),
            newest: (50, 0),
            newest_of_statistics: (50, 0),
        }
    }

    /// The statements of one source, as_of of its requests and of its statistics being these.
    fn one(requests: i64, cells: i64, released: bool) -> Heartbeats {
        let source =
            Heartbeat { as_of_micros: Some(requests), released, ..said(processors::PUBLISHED, cells, 0) };
        Heartbeats { by_source: BTreeMap::from([("main".to_owned(), source)]) }
    }

    /// Whether its statistics answer.
    fn answers(requests: i64, cells: i64, released: bool) -> bool {
        one(requests, cells, released).cells(None).is_some()
    }

    #[test]
    fn cells_take_over_from_the_requests_when_they_are_as_fresh() {
        let after = |was_raw: bool, lack: i64| {
            let cells = (!was_raw).then_some(CellsState::NOTHING);
            let before = Said { requests: Freshness::default(), cells };
            one(50 * HOUR, 50 * HOUR - lack, false).cells(Some(before)).is_some()
        };
        assert!(after(true, LACK_TO_RETURN_MICROS) && !after(true, LACK_TO_RETURN_MICROS + 1));
        assert!(after(false, LACK_MAX_MICROS), "who was told of them is told on");
    }

    #[test]
    fn cells_that_were_never_whole_do_not_answer() {
        for requests in [50 * HOUR, processors::AS_OF_UNKNOWN] {
            for released in [false, true] {
                assert!(!answers(requests, processors::AS_OF_UNKNOWN, released), "{requests} {released}");
            }
        }
        assert!(answers(processors::AS_OF_UNKNOWN, 40 * HOUR, false), "as_of tells how far they are");
    }

    #[test]
    fn cells_that_nobody_will_make_whole_do_not_answer() {
        assert!(answers(50 * HOUR, 50 * HOUR - LACK_MAX_MICROS, false), "soon");
        assert!(
            !answers(50 * HOUR, 50 * HOUR - LACK_MAX_MICROS - 1, false),
            "a publisher that does not come through"
        );
        assert!(answers(50 * HOUR, 50 * HOUR, true), "let go with all of it published");
        assert!(!answers(50 * HOUR, 50 * HOUR - 1, true), "let go before the last of it was published");
    }

    #[test]
    fn what_a_source_lacks_whose_as_of_does_not_count_any_more_is_found_in_the_requests() {
        let check = |released, cells_as_of, expected| {
            let old = Heartbeat {
                at_micros: Some(20 * HOUR),
                as_of_micros: Some(20 * HOUR),
                released,
                ..said(processors::PUBLISHED, cells_as_of, 0)
            };
            let by_source = [("old", old), ("main", said(processors::PUBLISHED, 50 * HOUR, 0))];
            let by_source = by_source.into_iter().map(|(name, said)| (name.to_owned(), said)).collect();
            let cells = Heartbeats { by_source }.cells(None);
            assert_eq!(cells.map(|cells| cells.freshness.as_of_micros), expected, "{released} {cells_as_of}");
        };
        check(true, 20 * HOUR, Some(Some(50 * HOUR)));
        check(true, 20 * HOUR - 1, None);
        // Killed for good: nobody knows what it had stored and not published.
        check(false, 20 * HOUR, None);
    }

    #[test]
    fn answers_are_made_of_cells_only_where_every_source_has_all_of_them() {
        let check = |heartbeats: Vec<Heartbeat>, expected: Option<(Option<i64>, i64, i64)>| {
            let by_source =
                heartbeats.into_iter().enumerate().map(|(n, said)| (n.to_string(), said)).collect();
            let cells = Heartbeats { by_source }.cells(None);
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
