//! Cells of stretches of time, and the table of all customers, out of the raw points: what arrives is counted by the ledger's own arithmetic. Nothing here knows HTTP or CSV.

use std::collections::BTreeMap;

use stats::{Cell, TimeRange};

use super::csv::{AnswerError, Row};
use super::flux::{self, Params};
use super::read::{InfluxStats, micros};
use super::schema::requests;
use crate::questions::stretch_of;
use crate::{Cells, CellsQuery, Method, ReadError, Table, TableQuery, TableRow};

impl InfluxStats {
    /// One cell for each stretch.
    pub(super) async fn read_cells(&self, query: &CellsQuery) -> Result<Cells, ReadError> {
        let freshness = self.freshness_before_now().await?;
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
            Some(id) => (&self.scripts.one_known, params.text("customer", id)),
            None => (&self.scripts.any_known, params),
        };
        let mut known = false;
        self.ask(script, params, |_| {
            known = true;
            Ok(())
        })
        .await?;
        Ok(known)
    }

    /// All customers that have requests in a range.
    pub(super) async fn read_table(&self, query: &TableQuery) -> Result<Table, ReadError> {
        let freshness = self.freshness_before_now().await?;
        let mut found: BTreeMap<String, (Cell, Option<i64>)> = BTreeMap::new();
        if let Some(range) = flux::reachable(query.range) {
            let params = Params::default()
                .second("start", range.from_second)
                .second("stop", range.to_second)
                .second("first", self.first_kept_second())
                .second("last", i64::MAX);
            let take = |row: &Row<'_>| {
                let id = row.require(requests::CUSTOMER_ID)?;
                if !found.contains_key(id) {
                    found.insert(id.to_owned(), Default::default());
                }
                let (cell, last_seen) = found.get_mut(id).expect("just put there");
                if row.result() == flux::LAST {
                    *last_seen = (*last_seen).max(Some(row.time("_time")?.0));
                    return Ok(());
                }
                count(cell, row)
            };
            self.made_from_requests();
            self.ask(&self.scripts.table, params, take).await?;
        }
        let row = |(id, (mut cell, last_seen)): (String, (Cell, Option<i64>))| {
            settle(&mut cell);
            // Stored between the parts of the question: not complete, so not yet here.
            let last_seen_second = last_seen.filter(|_| !cell.is_empty())?;
            Some(TableRow { id, last_seen_second, measures: cell.measures(&query.percentiles) })
        };
        Ok(Table { rows: found.into_iter().filter_map(row).collect(), method: Method::Raw, freshness })
    }
}

/// Counts a row of [`flux::REQUESTS`] or [`flux::LATENCIES`].
fn count(cell: &mut Cell, row: &Row<'_>) -> Result<(), AnswerError> {
    if row.result() == flux::REQUESTS {
        let status: u16 = row.parse("_value")?;
        if !(100..600).contains(&status) {
            return Err(AnswerError::Malformed(format!("a stored status of {status}")));
        }
        cell.observe(status, None);
    } else {
        let micros = micros(row.parse("_value")?)?;
        cell.latency_sum_micros = cell.latency_sum_micros.saturating_add(micros);
        cell.latency_max_micros = cell.latency_max_micros.max(micros);
        cell.histogram.observe(micros);
    }
    Ok(())
}

/// Ends the counting. A latency whose request was stored between the two halves of the question is not counted yet.
fn settle(cell: &mut Cell) {
    if cell.is_empty() {
        *cell = Cell::default();
    }
    cell.settle();
}
