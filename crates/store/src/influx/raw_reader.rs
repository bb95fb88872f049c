//! Raw requests of a customer out of their points, newest first. A point's fields come apart and are put together here, one slice of time after the other, so that memory is bounded by
//! what lies in a slice, and no more is asked for than is wanted.

use std::collections::HashMap;

use stats::TimeRange;

use super::csv::{AnswerError, Row};
use super::flux::{self, Params};
use super::read::{InfluxStats, micros};
use super::schema::requests;
use crate::questions::{PageInMaking, PathCells};
use crate::{PATH_REQUESTS_MAX, Paths, PathsQuery, RawRow, ReadError, RequestsPage, RequestsQuery};

const NANOS_PER_SECOND: i64 = 1_000_000_000;
/// The newest slice, in seconds: a busy customer's page is in it.
const FIRST_SLICE_SECONDS: i64 = 60;
/// Slices with fewer requests than that are followed by longer ones.
const FEW: usize = 10_000;
/// Slices with more requests than that are followed by shorter ones.
const MANY: usize = 100_000;

impl InfluxStats {
    /// The newest requests of a customer that are wanted.
    pub(super) async fn read_requests(&self, query: &RequestsQuery) -> Result<RequestsPage, ReadError> {
        let freshness = self.freshness_before_now().await?;
        let mut page = PageInMaking::new(query.after, query.limit);
        let covered = self.kept_of(query.range);
        let until = query.after.map_or(covered.to_second, |place| {
            covered.to_second.min(place.time_nanos.div_euclid(NANOS_PER_SECOND) + 1)
        });
        let mut found = false;
        let mut slices = Slices::back_from(until, covered.from_second);
        'slices: while let Some(slice) = slices.next() {
            let rows = self.read_slice(&query.customer, slice).await?;
            slices.had(rows.len());
            found |= !rows.is_empty();
            for row in rows {
                let given = query.after.is_some_and(|place| row.time_nanos > place.time_nanos);
                if !given && query.filter.takes(&row) && !page.push(row) {
                    break 'slices;
                }
            }
        }
        let known = found || self.is_known(Some(&query.customer)).await?;
        let (requests, next) = page.finish();
        Ok(RequestsPage { requests, next, covered, known, freshness })
    }

    /// A customer's requests by path.
    pub(super) async fn read_paths(&self, query: &PathsQuery) -> Result<Paths, ReadError> {
        let freshness = self.freshness_before_now().await?;
        let mut covered = self.kept_of(query.range);
        let mut cells = PathCells::default();
        let mut counted = 0;
        let mut slices = Slices::back_from(covered.to_second, covered.from_second);
        while let Some(slice) = slices.next() {
            let rows = self.read_slice(&query.customer, slice).await?;
            slices.had(rows.len());
            counted += rows.len();
            for row in rows {
                cells.count(row.path.as_deref(), row.status, row.latency_micros);
            }
            if counted >= PATH_REQUESTS_MAX {
                covered.from_second = slice.from_second;
                break;
            }
        }
        let known = counted > 0 || self.is_known(Some(&query.customer)).await?;
        let (paths, other) = cells.measures(&query.percentiles);
        Ok(Paths { paths, other, covered, known, freshness })
    }

    /// What of a range the store keeps.
    fn kept_of(&self, range: TimeRange) -> TimeRange {
        let to_second = range.to_second.max(range.from_second);
        TimeRange { from_second: range.from_second.max(self.first_kept_second()).min(to_second), to_second }
    }

    /// The requests of a customer in a slice of time, newest first.
    async fn read_slice(&self, customer: &str, slice: TimeRange) -> Result<Vec<RawRow>, ReadError> {
        let Some(range) = flux::reachable(slice) else { return Ok(Vec::new()) };
        let params = Params::default()
            .second("start", range.from_second)
            .second("stop", range.to_second)
            .text("customer", customer);
        let mut points: HashMap<(i64, String), Parts> = HashMap::new();
        self.ask(&self.scripts.raw, params, |row| take(&mut points, row)).await?;
        // A point that is being stored may show some of its fields first: without its status it is not there yet.
        let whole = points.into_iter().filter_map(|((time_nanos, _), parts)| {
            Some(RawRow {
                time_nanos,
                status: parts.status?,
                latency_micros: parts.latency_micros,
                path: parts.path,
            })
        });
        let mut rows: Vec<RawRow> = whole.collect();
        rows.sort_unstable_by(|a, b| b.cmp(a));
        Ok(rows)
    }
}

#[derive(Debug, Default)]
struct Parts {
    status: Option<u16>,
    latency_micros: Option<u64>,
    path: Option<String>,
}

fn take(points: &mut HashMap<(i64, String), Parts>, row: &Row<'_>) -> Result<(), AnswerError> {
    let (second, nanos) = row.time("_time")?;
    let tags = format!(
        "{} {}",
        row.get(requests::SUCCESS).unwrap_or_default(),
        row.get(requests::SOURCE).unwrap_or_default()
    );
    let parts = points.entry((second * NANOS_PER_SECOND + i64::from(nanos), tags)).or_default();
    match row.require("_field")? {
        requests::STATUS_CODE => parts.status = Some(row.parse("_value")?),
        requests::DURATION => parts.latency_micros = Some(micros(row.parse("_value")?)?),
        _ => parts.path = Some(row.require("_value")?.to_owned()),
    }
    Ok(())
}

/// Slices of a range, back from its end: the fewer requests they hold, the longer the next one.
#[derive(Debug)]
struct Slices {
    until_second: i64,
    from_second: i64,
    length_seconds: i64,
}

impl Slices {
    fn back_from(until_second: i64, from_second: i64) -> Self {
        Self { until_second, from_second, length_seconds: FIRST_SLICE_SECONDS }
    }

    fn next(&mut self) -> Option<TimeRange> {
        let to_second = self.until_second;
        let from_second = to_second.saturating_sub(self.length_seconds).max(self.from_second);
        self.until_second = from_second;
        (from_second < to_second).then_some(TimeRange { from_second, to_second })
    }

    /// How many requests the last slice had.
    fn had(&mut self, requests: usize) {
        self.length_seconds = if requests < FEW {
            self.length_seconds.saturating_mul(8)
        } else if requests > MANY {
            (self.length_seconds / 4).max(1)
        } else {
            self.length_seconds
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_join_and_end_with_the_range() {
        let mut slices = Slices::back_from(1_000_000, -5);
        let (mut until, mut lengths) = (1_000_000, Vec::new());
        for had in [0, 50_000, 200_000, 0, 0, 0, 0, 0, 0] {
            let Some(slice) = slices.next() else { break };
            assert_eq!(slice.to_second, until);
            until = slice.from_second;
            lengths.push(slice.to_second - slice.from_second);
            slices.had(had);
        }
        assert_eq!(lengths, [60, 480, 480, 120, 960, 7_680, 61_440, 491_520, 437_265]);
        assert_eq!((until, slices.next()), (-5, None));
        assert_eq!(Slices::back_from(7, 7).next(), None);
    }
}
