//! The ledger read back for `log-processor verify`: cells window by window, and the raw requests that are kept. All from the one state that a [`LedgerView`] sees;
//! judges nothing.

use std::collections::BTreeMap;

use stats::{Cell, WindowKind};

use super::cells::{ALL_CUSTOMERS, CellKey, CustomerNumber};
use super::customers::Customer;
use super::fault::Fault;
use super::raw_kept::{self, RawKept};
use super::view::LedgerView;
use super::{GenerationId, LedgerError, cell_rows};

const NANOS_PER_SECOND: i64 = 1_000_000_000;

/// The raw requests that are kept, in numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawExtent {
    /// How many.
    pub requests: u64,
    /// How many are missing that the ledger has not dropped itself.
    pub gaps: u64,
    /// The oldest and the newest time among them, nanoseconds since 1970.
    pub times_nanos: Option<(i64, i64)>,
    /// None are kept (RAW_REQUESTS_MAX=0), so none is missing.
    pub is_off: bool,
    /// The place in a generation's file from which on all are kept, where that is not its beginning.
    pub from_offsets: BTreeMap<GenerationId, u64>,
    /// Requests with a time before that may have been dropped or left out, for their age or with their customer; nanoseconds since 1970.
    pub oldest_nanos: i64,
}

/// A raw request as it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawRequest<'a> {
    /// Which generation it came from.
    pub generation: GenerationId,
    /// Customer; empty when the ledger knows none of that number.
    pub customer: &'a str,
    /// Time with place, nanoseconds since 1970.
    pub time_nanos: i64,
    /// HTTP status.
    pub status: i64,
    /// Latency in microseconds, if the log has one.
    pub latency_micros: Option<i64>,
    /// Path, if the log has one.
    pub path: Option<&'a str>,
}

/// A cell as it is kept.
#[derive(Debug)]
pub struct StoredCell {
    /// Whose; None = all customers together.
    pub customer: Option<String>,
    /// What; the words of the damage when it cannot be read.
    pub cell: Result<Cell, String>,
}

impl LedgerView {
    /// From which second on cells of a kind are kept.
    pub fn cells_kept_from(&self, kind: WindowKind) -> i64 {
        match kind {
            WindowKind::Minute => self.meta().kept_from.minutes,
            WindowKind::Quarter => self.meta().kept_from.quarters,
            WindowKind::Day => self.meta().kept_from.days,
        }
    }

    /// All cells of a source in one window, in the order of the customers' numbers.
    ///
    /// # Errors
    /// The ledger cannot be read. Damaged cells are among the cells.
    pub fn cells(
        &self,
        source: &str,
        kind: WindowKind,
        start_second: i64,
    ) -> Result<Vec<StoredCell>, LedgerError> {
        self.read_cells(source, kind, start_second).map_err(|fault| self.told(fault))
    }

    fn read_cells(
        &self,
        source: &str,
        kind: WindowKind,
        start_second: i64,
    ) -> Result<Vec<StoredCell>, Fault> {
        let Some(index) = self.sources().iter().position(|name| name == source) else { return Ok(vec![]) };
        let source = i64::try_from(index + 1).expect("few sources");
        let connection = self.connection();
        let mut statement = connection.prepare_cached(
            "SELECT customer, blob, checksum FROM cell WHERE kind = ?1 AND start_second = ?2 AND source = ?3 ORDER BY customer",
        )?;
        let mut rows = statement.query((kind as u8, start_second, source))?;
        let mut cells = Vec::new();
        while let Some(row) = rows.next()? {
            let customer: CustomerNumber = row.get(0)?;
            let key = CellKey { kind, start_second, customer, source };
            let cell = match cell_rows::from_row(connection, key, row, 1) {
                Ok(cell) => Ok(cell),
                Err(Fault::Damaged(what)) => Err(what),
                Err(other) => return Err(other),
            };
            let customer = if customer == ALL_CUSTOMERS {
                None
            } else {
                let known = Customer::read_number(connection, customer)?;
                Some(known.map_or_else(|| format!("number {customer}"), |customer| customer.id))
            };
            cells.push(StoredCell { customer, cell });
        }
        Ok(cells)
    }

    /// The raw requests that are kept, in numbers.
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub fn raw_extent(&self) -> Result<RawExtent, LedgerError> {
        self.read_raw_extent().map_err(|fault| self.told(fault))
    }

    fn read_raw_extent(&self) -> Result<RawExtent, Fault> {
        let connection = self.connection();
        let kept = RawKept::read(connection)?;
        let days_from = self.meta().kept_from.days.saturating_mul(NANOS_PER_SECOND);
        let (requests, oldest, newest) = connection.query_row(
            "SELECT count(*), min(time_nanos), max(time_nanos) FROM request",
            [],
            |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Option<i64>>(1)?, row.get(2)?)),
        )?;
        Ok(RawExtent {
            requests: requests.cast_unsigned(),
            gaps: raw_kept::missing(connection, &kept)?,
            times_nanos: oldest.zip(newest),
            is_off: kept.is_off,
            oldest_nanos: kept.old_before_nanos.max(days_from),
            from_offsets: kept.from_offsets,
        })
    }

    /// The raw requests with a time in `[from_nanos, to_nanos)`, in any order.
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub fn raw_requests(
        &self,
        from_nanos: i64,
        to_nanos: i64,
        visit: impl FnMut(RawRequest<'_>),
    ) -> Result<(), LedgerError> {
        self.read_raw_requests(from_nanos, to_nanos, visit).map_err(|fault| self.told(fault))
    }

    fn read_raw_requests(
        &self,
        from_nanos: i64,
        to_nanos: i64,
        mut visit: impl FnMut(RawRequest<'_>),
    ) -> Result<(), Fault> {
        let mut statement = self.connection().prepare_cached(
            "SELECT request.generation, customer.id, time_nanos, status, latency_micros, path
             FROM request LEFT JOIN customer ON customer.number = request.customer
             WHERE time_nanos >= ?1 AND time_nanos < ?2",
        )?;
        let mut rows = statement.query((from_nanos, to_nanos))?;
        while let Some(row) = rows.next()? {
            let text = |column: usize| -> Result<Option<&str>, Fault> {
                let value = row.get_ref(column)?;
                value.as_str_or_null().map_err(|_| Fault::Damaged("a raw request's text is none".to_owned()))
            };
            visit(RawRequest {
                generation: GenerationId(row.get(0)?),
                customer: text(1)?.unwrap_or_default(),
                time_nanos: row.get(2)?,
                status: row.get(3)?,
                latency_micros: row.get(4)?,
                path: text(5)?,
            });
        }
        Ok(())
    }
}
