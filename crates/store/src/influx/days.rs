//! Days in the making, out of the rows of an answer: of single requests, or of the statistics of windows. Asks nothing.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use stats::{Cell, SECONDS_PER_DAY};

use super::csv::{AnswerError, Row};
use super::flux;
use super::read::micros;
use super::schema::requests;
use crate::DayStats;

/// The cell that a row of the statistics of a window brings.
pub(super) fn window_cell(row: &Row<'_>) -> Result<Cell, AnswerError> {
    let malformed = |why: &dyn fmt::Display| {
        let at = row.get("_time").unwrap_or_default();
        AnswerError::Malformed(format!("the statistics of a window at {at}: {why}"))
    };
    let blob = BASE64.decode(row.require("_value")?).map_err(|error| malformed(&error))?;
    Cell::decode(&blob).map_err(|error| malformed(&error))
}

/// Days in the making: the counts and latencies of an answer's rows, which come in any order.
#[derive(Debug, Default)]
pub(super) struct Days {
    /// By the day's first second. The status classes of cells made from requests are not asked for, and not shown.
    cells: BTreeMap<i64, Cell>,
    /// The day of the last row and its date as text: rows of a day follow each other.
    last_date: (String, i64),
}

impl Days {
    pub(super) fn take(&mut self, row: &Row<'_>) -> Result<(), AnswerError> {
        let day = self.day_of(row)?;
        let cell = self.cells.entry(day).or_default();
        if row.result() == flux::REQUESTS {
            let count: u64 = row.parse("_value")?;
            cell.requests += count;
            if row.require(requests::SUCCESS)? == requests::SUCCEEDED {
                cell.successes += count;
            }
        } else {
            cell.observe_latency(micros(row.parse("_value")?)?);
        }
        Ok(())
    }

    /// Adds the cell of a window and source.
    pub(super) fn take_cell(&mut self, row: &Row<'_>) -> Result<(), AnswerError> {
        let day = self.day_of(row)?;
        let cell = window_cell(row)?;
        self.cells.entry(day).or_default().merge(&cell);
        Ok(())
    }

    /// The first second of the day of a row's `_time`, which is RFC 3339 in UTC.
    fn day_of(&mut self, row: &Row<'_>) -> Result<i64, AnswerError> {
        const DATE_LENGTH: usize = "2024-09-14".len();
        let date = row.require("_time")?.get(..DATE_LENGTH).unwrap_or_default();
        if date != self.last_date.0 {
            let day = date
                .parse::<chrono::NaiveDate>()
                .map_err(|_| AnswerError::Malformed(format!("a row at {date:?}")))?;
            let since = day.signed_duration_since(chrono::NaiveDate::default()).num_days();
            self.last_date = (date.to_owned(), since * SECONDS_PER_DAY);
        }
        Ok(self.last_date.1)
    }

    /// The whole range, and each day with requests.
    pub(super) fn summaries(self) -> (stats::Summary, Vec<DayStats>) {
        let mut total = Cell::default();
        let mut daily = Vec::new();
        for (day_second, mut cell) in self.cells {
            cell.settle();
            // A latency whose request was stored between the two halves of the question is not counted yet.
            if cell.requests > 0 {
                total.merge(&cell);
                daily.push(DayStats { day_second, summary: cell.summary() });
            }
        }
        (total.summary(), daily)
    }
}
