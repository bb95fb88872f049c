//! Cells of stretches of time, and the table of all customers: out of the statistics that processors publish where whole windows make the answer, else out of the single requests, which are
//! counted by the ledger's own arithmetic. Never out of a part of both. Nothing here knows HTTP or CSV.

use std::collections::{BTreeMap, BTreeSet};

use stats::{Cell, TimeRange, WindowKind};

use super::csv::{AnswerError, Row};
use super::days::window_cell;
use super::flux::{self, Params};
use super::heartbeats::CellsState;
use super::line_protocol::window_value;
use super::read::{InfluxStats, micros};
use super::schema::requests;
use crate::questions::stretch_of;
use crate::{Cells, CellsQuery, Freshness, Method, ReadError, Table, TableQuery, TableRow};

/// Of more customers it is not told how many are new: who was there before costs as much as the table itself, for ten thousand a second or two of InfluxDB's time.
pub(super) const NEWCOMERS_CUSTOMERS_MAX: usize = 1_000;

/// Windows of one length without hole: their length, the first one's beginning, the last one's end.
type Run = (WindowKind, i64, i64);
/// Customers in the making: their cells, and the newest second of each.
type Found = BTreeMap<String, (Cell, Option<i64>)>;

impl InfluxStats {
    /// One cell for each stretch.
    pub(super) async fn read_cells(&self, query: &CellsQuery) -> Result<Cells, ReadError> {
        let said = self.said_before_now().await?;
        match said.cells.and_then(|state| Some((state, state.windows_of(&query.bounds)?))) {
            Some((state, runs)) => self.cells_of_windows(query, state, &runs).await,
            None => self.cells_of_requests(query, said.requests).await,
        }
    }

    async fn cells_of_windows(
        &self,
        query: &CellsQuery,
        state: CellsState,
        runs: &[Run],
    ) -> Result<Cells, ReadError> {
        let bounds = &query.bounds;
        let customer = query.customer.as_deref();
        let mut cells = vec![Cell::default(); bounds.len().saturating_sub(1)];
        let reads = reads_of(runs);
        if !reads.is_empty() {
            let params = params_of(&reads);
            let (script, params) = match customer {
                Some(id) => (&self.scripts.cells_of_one[reads.len() - 1], params.text("customer", id)),
                None => (&self.scripts.cells_of_all[reads.len() - 1], params),
            };
            let take = |row: &Row<'_>| {
                let start = row.time("_time")?.0;
                if is_wanted(runs, kind_of(row, &reads)?, start) {
                    let stretch = stretch_of(bounds, start).expect("runs lie within the stretches");
                    cells[stretch].merge(&window_cell(row)?);
                }
                Ok(())
            };
            self.ask(script, params, take).await?;
        }
        cells.iter_mut().for_each(Cell::settle);
        let known = cells.iter().any(|cell| !cell.is_empty()) || self.is_in_days(customer, state).await?;
        Ok(Cells { cells, known, method: Method::Cells, freshness: state.freshness })
    }

    async fn cells_of_requests(&self, query: &CellsQuery, freshness: Freshness) -> Result<Cells, ReadError> {
        let bounds = &query.bounds;
        let mut cells = vec![Cell::default(); bounds.len().saturating_sub(1)];
        let whole = bounds.first().zip(bounds.last());
        let whole = whole.map(|(from, to)| TimeRange { from_second: *from, to_second: *to });
        // An empty range is an error in Flux and holds nothing.
        if let Some(range) = whole.and_then(flux::reachable) {
            let params = Params::default().second("start", range.from_second).second("stop", range.to_second);
            let (script, params) = match &query.customer {
                Some(id) => (&self.scripts.points_of_one, params.text("customer", id)),
                None => (&self.scripts.points_of_all, params),
            };
            let take = |row: &Row<'_>| {
                let second = row.time("_time")?.0;
                stretch_of(bounds, second).map_or(Ok(()), |stretch| count(&mut cells[stretch], row))
            };
            self.made_from_requests();
            self.ask(script, params, take).await?;
        }
        cells.iter_mut().for_each(settle);
        let known =
            cells.iter().any(|cell| !cell.is_empty()) || self.is_known(query.customer.as_deref()).await?;
        Ok(Cells { cells, known, method: Method::Raw, freshness })
    }

    /// Whether there is any request of a customer, or of anybody.
    pub(super) async fn is_known(&self, customer: Option<&str>) -> Result<bool, ReadError> {
        let params = Params::default().second("start", self.first_kept_second()).second("stop", i64::MAX);
        let (script, params) = match customer {
            Some(id) => (&self.scripts.known[0], params.text("customer", id)),
            None => (&self.scripts.known[1], params),
        };
        let mut known = false;
        self.ask(script, params, |_| {
            known = true;
            Ok(())
        })
        .await?;
        Ok(known)
    }

    /// Whether any day has a request of a customer, or of anybody.
    async fn is_in_days(&self, customer: Option<&str>, state: CellsState) -> Result<bool, ReadError> {
        let params = Params::default().second("start", self.first_day_second(state)).second("stop", i64::MAX);
        let (script, params) = match customer {
            Some(id) => (&self.scripts.in_days[0], params.text("customer", id)),
            None => (&self.scripts.in_days[1], params),
        };
        let mut known = false;
        self.ask(script, params, |row| {
            known |= row.parse::<u64>("_value")? > 0;
            Ok(())
        })
        .await?;
        Ok(known)
    }

    /// All customers that have requests in a range.
    pub(super) async fn read_table(&self, query: &TableQuery) -> Result<Table, ReadError> {
        let said = self.said_before_now().await?;
        let TimeRange { from_second, to_second } = query.range;
        let bounds = [from_second, to_second.max(from_second)];
        let windows = said.cells.and_then(|state| Some((state, state.windows_of(&bounds)?)));
        let windows_state = windows.as_ref().map(|(state, _)| *state);
        let (found, method, freshness) = match windows {
            Some((state, runs)) => {
                (self.table_of_windows(state, &runs).await?, Method::Cells, state.freshness)
            }
            None => (self.table_of_requests(query.range).await?, Method::Raw, said.requests),
        };
        let before = match windows_state {
            _ if !query.newcomers || found.len() > NEWCOMERS_CUSTOMERS_MAX => None,
            Some(state) => Some(self.before_by_windows(state, from_second).await?),
            None => Some(self.before_by_requests(from_second).await?),
        };
        let row = |(id, (mut cell, last_seen)): (String, (Cell, Option<i64>))| {
            settle(&mut cell);
            // Stored between the parts of the question: not complete, so not yet here.
            let last_seen_second = last_seen.filter(|_| !cell.is_empty())?;
            Some(TableRow { id, last_seen_second, measures: cell.measures(&query.percentiles) })
        };
        let rows: Vec<TableRow> = found.into_iter().filter_map(row).collect();
        let newcomers =
            before.map(|before| rows.iter().filter(|row| !before.contains(&row.id)).count() as u64);
        Ok(Table { rows, newcomers, method, freshness })
    }

    /// Who has requests before an instant, by the windows that end there. Asked after the table: what is stored between the two can only be a late request, and makes nobody new.
    async fn before_by_windows(
        &self,
        state: CellsState,
        to_second: i64,
    ) -> Result<BTreeSet<String>, ReadError> {
        let mut before = BTreeSet::new();
        // No request is older.
        let first = self.first_day_second(state).max(0);
        let day = WindowKind::Day.floor(to_second);
        if first < to_second {
            // From a second earlier, at which no window begins: an empty range is an error in Flux.
            let days = (WindowKind::Day, first.min(day) - 1, day);
            let quarters = (WindowKind::Quarter, day - 1, to_second);
            let take = |row: &Row<'_>| {
                if row.parse::<u64>("_value")? > 0 {
                    before.insert(row.require(requests::CUSTOMER_ID)?.to_owned());
                }
                Ok(())
            };
            self.ask(&self.scripts.customers_by[0], params_of(&[days, quarters]), take).await?;
        }
        Ok(before)
    }

    /// The same by the single requests.
    async fn before_by_requests(&self, to_second: i64) -> Result<BTreeSet<String>, ReadError> {
        let mut before = BTreeSet::new();
        let from_second = self.first_kept_second().max(0);
        if let Some(range) = flux::reachable(TimeRange { from_second, to_second }) {
            let params = Params::default().second("start", range.from_second).second("stop", range.to_second);
            let take = |row: &Row<'_>| {
                before.insert(row.require(requests::CUSTOMER_ID)?.to_owned());
                Ok(())
            };
            self.ask(&self.scripts.customers_by[1], params, take).await?;
        }
        Ok(before)
    }

    async fn table_of_windows(&self, state: CellsState, runs: &[Run]) -> Result<Found, ReadError> {
        let reads = reads_of(runs);
        let mut found = Found::new();
        if !reads.is_empty() {
            let params =
                params_of(&reads).second("first", self.first_day_second(state)).second("last", i64::MAX);
            let take = |row: &Row<'_>| {
                let (cell, last_seen) = customer_of(&mut found, row)?;
                if row.result() == flux::LAST {
                    *last_seen = (*last_seen).max(Some(row.parse("_value")?));
                } else {
                    cell.merge(&window_cell(row)?);
                }
                Ok(())
            };
            self.ask(&self.scripts.table_of_cells[reads.len() - 1], params, take).await?;
        }
        Ok(found)
    }

    async fn table_of_requests(&self, range: TimeRange) -> Result<Found, ReadError> {
        let mut found = Found::new();
        if let Some(range) = flux::reachable(range) {
            let params = Params::default()
                .second("start", range.from_second)
                .second("stop", range.to_second)
                .second("first", self.first_kept_second())
                .second("last", i64::MAX);
            let take = |row: &Row<'_>| {
                let (cell, last_seen) = customer_of(&mut found, row)?;
                if row.result() == flux::LAST {
                    *last_seen = (*last_seen).max(Some(row.time("_time")?.0));
                    return Ok(());
                }
                count(cell, row)
            };
            self.made_from_requests();
            self.ask(&self.scripts.table, params, take).await?;
        }
        Ok(found)
    }
}

/// What is read for these runs: themselves if a script has room for them, else all quarter-hours and all days that they lie between. What is not of a run is left out then ([`is_wanted`]).
fn reads_of(runs: &[Run]) -> Vec<Run> {
    let hull = |kind| {
        let mut of_kind = runs.iter().filter(|run| run.0 == kind);
        let first = of_kind.next()?;
        Some((kind, first.1, of_kind.next_back().unwrap_or(first).2))
    };
    let reads = if runs.len() <= flux::RUNS.len() {
        runs.to_vec()
    } else {
        [WindowKind::Quarter, WindowKind::Day].into_iter().filter_map(hull).collect()
    };
    // An empty range is an error in Flux and holds nothing.
    let is_reachable =
        |run: &Run| flux::reachable(TimeRange { from_second: run.1, to_second: run.2 }).is_some();
    reads.into_iter().filter(is_reachable).collect()
}

/// The values of up to three reads.
pub(super) fn params_of(reads: &[Run]) -> Params {
    let mut params = Params::default();
    for ((kind, from, to), (start, stop, window)) in reads.iter().zip(flux::RUNS) {
        params = params.second(start, *from).second(stop, *to).text(window, window_value(*kind));
    }
    params
}

/// The length of a row's window, by the name of its result.
fn kind_of(row: &Row<'_>, reads: &[Run]) -> Result<WindowKind, AnswerError> {
    let read = flux::RUNS.iter().zip(reads).find(|((_, _, window), _)| *window == row.result());
    read.map(|(_, (kind, ..))| *kind)
        .ok_or_else(|| AnswerError::Malformed(format!("a result of the name {:?}", row.result())))
}

/// Whether a window is of one of these runs, which follow each other in time.
fn is_wanted(runs: &[Run], kind: WindowKind, start: i64) -> bool {
    let next = runs.partition_point(|(_, _, to)| *to <= start);
    runs.get(next).is_some_and(|run| run.0 == kind && run.1 <= start)
}

/// The customer of a row.
fn customer_of<'a>(found: &'a mut Found, row: &Row<'_>) -> Result<&'a mut (Cell, Option<i64>), AnswerError> {
    let id = row.require(requests::CUSTOMER_ID)?;
    // Looked up before it is owned: most are there already.
    if !found.contains_key(id) {
        found.insert(id.to_owned(), Default::default());
    }
    Ok(found.get_mut(id).expect("just put there"))
}

/// Counts a row of [`flux::REQUESTS`] or [`flux::LATENCIES`].
fn count(cell: &mut Cell, row: &Row<'_>) -> Result<(), AnswerError> {
    count_field(cell, row, row.result() == flux::REQUESTS)
}

/// Counts the status of a request, which is the request itself, or its latency.
pub(super) fn count_field(cell: &mut Cell, row: &Row<'_>, is_status: bool) -> Result<(), AnswerError> {
    if !is_status {
        cell.observe_latency(micros(row.parse("_value")?)?);
        return Ok(());
    }
    let status: u16 = row.parse("_value")?;
    if !(100..600).contains(&status) {
        return Err(AnswerError::Malformed(format!("a stored status of {status}")));
    }
    cell.observe(status, None);
    Ok(())
}

/// Ends the counting. A latency whose request was stored between the two halves of the question is not counted yet.
pub(super) fn settle(cell: &mut Cell) {
    if cell.is_empty() {
        *cell = Cell::default();
    }
    cell.settle();
}

#[cfg(test)]
mod tests {
    use super::*;
    use WindowKind::{Day, Quarter};
    use proptest::prelude::*;
    use stats::{SECONDS_PER_DAY as D, WindowsKept, tile_stretches};

    #[test]
    fn many_runs_are_read_as_all_windows_between_them() {
        let three = [(Quarter, 900, D), (Day, D, 2 * D), (Quarter, 2 * D, 2 * D + 900)];
        assert_eq!(reads_of(&three), three);
        let more = [three[0], three[1], three[2], (Day, 3 * D, 5 * D)];
        assert_eq!(reads_of(&more), [(Quarter, 900, 2 * D + 900), (Day, D, 5 * D)]);
        assert_eq!(reads_of(&[(Day, i64::MIN / 2, i64::MIN / 4)]), [], "nothing can lie there");
    }

    proptest! {
        /// Whatever is read, each second of the stretches is counted once, and none outside.
        #[test]
        fn each_window_of_the_stretches_is_wanted_once(mut bounds in prop::collection::vec(-200_i64..600, 2..12)) {
            bounds.sort_unstable();
            let bounds: Vec<i64> = bounds.into_iter().map(|quarter| quarter * 900).collect();
            let kept = WindowsKept { minutes_from_second: i64::MAX, quarters_from_second: i64::MIN };
            let runs = tile_stretches(&bounds, kept).expect("whole quarter-hours");
            let mut seconds_by_stretch = vec![0; bounds.len() - 1];
            for (kind, from, to) in reads_of(&runs) {
                let mut start = from;
                while start < to {
                    if is_wanted(&runs, kind, start) {
                        seconds_by_stretch[stretch_of(&bounds, start).expect("within")] += kind.seconds();
                    }
                    start += kind.seconds();
                }
            }
            let lengths: Vec<i64> = bounds.windows(2).map(|stretch| stretch[1] - stretch[0]).collect();
            prop_assert_eq!(seconds_by_stretch, lengths);
        }
    }
}
