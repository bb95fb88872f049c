//! The requests of a source as InfluxDB holds them, counted anew into cells: for `rebuild`. Nothing is kept here beyond the stretch that is asked for.

use std::collections::BTreeMap;

use stats::{Cell, WindowKind};

use super::csv::{AnswerError, Row};
use super::flux::{self, Params};
use super::query::ask;
use super::questions::{count_field, settle};
use super::schema::{requests, source_value};
use super::write::InfluxRequests;
use crate::Trouble;

/// The cells of the customers of one window; that of all customers together is their sum.
pub type CellsOfCustomers = BTreeMap<String, CountedCell>;

/// Cells of some windows, by kind and first second.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CountedWindows {
    /// Minutes.
    pub minutes: BTreeMap<i64, CellsOfCustomers>,
    /// Quarter-hours.
    pub quarters: BTreeMap<i64, CellsOfCustomers>,
}

/// A cell, and the newest request in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CountedCell {
    /// What was counted.
    pub cell: Cell,
    /// Seconds since 1970.
    pub last_second: i64,
}

impl CountedCell {
    /// Adds another one.
    pub fn merge(&mut self, other: &CountedCell) {
        self.cell.merge(&other.cell);
        self.last_second = self.last_second.max(other.last_second);
    }
}

impl InfluxRequests {
    /// The first and the last second of a source's requests from a second on; `None` if there are none.
    ///
    /// # Errors
    /// The store does not answer, or not as it should.
    pub async fn stored_span(&self, source: &str, from_second: i64) -> Result<Option<(i64, i64)>, Trouble> {
        let config = self.config();
        let params = Params::default()
            .text("bucket", &config.bucket)
            .text("source", &source_value(source))
            .second("start", from_second)
            .second("stop", i64::MAX);
        let script = flux::stored_span_script(source == requests::MAIN_SOURCE);
        let mut span: Option<(i64, i64)> = None;
        let on_row = |row: &Row<'_>| {
            let second = row.time("_time")?.0;
            let (first, last) = span.unwrap_or((second, second));
            span = Some((first.min(second), last.max(second)));
            Ok(())
        };
        ask(self.http(), &config.org, &script, params, on_row).await?;
        Ok(span)
    }

    /// Counts the requests of a source in `[from_second, to_second)`, of which both are whole quarter-hours. `minutes`: whether minutes are wanted, too.
    ///
    /// # Errors
    /// The store does not answer; or it holds a request that no log of ours makes.
    pub async fn recount(
        &self,
        source: &str,
        (from_second, to_second): (i64, i64),
        minutes: bool,
    ) -> Result<CountedWindows, Trouble> {
        let config = self.config();
        let params = Params::default()
            .text("bucket", &config.bucket)
            .text("source", &source_value(source))
            .second("start", from_second)
            .second("stop", to_second);
        let script = flux::stored_outcomes_script(source == requests::MAIN_SOURCE);
        let mut counted = CountedWindows::default();
        let on_row = |row: &Row<'_>| {
            let second = row.time("_time")?.0;
            let customer = row.require(requests::CUSTOMER_ID)?;
            let of = |kind: WindowKind, windows: &mut BTreeMap<i64, CellsOfCustomers>| {
                let window = windows.entry(kind.window_of(second).start_second).or_default();
                if !window.contains_key(customer) {
                    window.insert(customer.to_owned(), CountedCell::default());
                }
                count(window.get_mut(customer).expect("just put there"), second, row)
            };
            if minutes {
                of(WindowKind::Minute, &mut counted.minutes)?;
            }
            of(WindowKind::Quarter, &mut counted.quarters)
        };
        ask(self.http(), &config.org, &script, params, on_row).await?;
        for window in counted.minutes.values_mut().chain(counted.quarters.values_mut()) {
            window.values_mut().for_each(|counted| settle(&mut counted.cell));
            window.retain(|_, counted| !counted.cell.is_empty());
        }
        Ok(counted)
    }
}

/// Counts one field of a request.
fn count(counted: &mut CountedCell, second: i64, row: &Row<'_>) -> Result<(), AnswerError> {
    let is_status = row.require("_field")? == requests::STATUS_CODE;
    count_field(&mut counted.cell, row, is_status)?;
    if is_status {
        counted.last_second = counted.last_second.max(second);
    }
    Ok(())
}
