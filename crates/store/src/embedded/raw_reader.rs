//! Answers from the raw requests that the ledger keeps: the newest ones of a customer, and all of them by path. How many are kept, RAW_REQUESTS_MAX and
//! RAW_REQUESTS_AGE say; every answer says what range that is.

use rusqlite::{Connection, OptionalExtension, Row};
use stats::TimeRange;

use super::customers::Customer;
use super::fault::Fault;
use super::meta::Meta;
use super::reader::freshness;
use crate::questions::{PageInMaking, PathCells};
use crate::{PATH_REQUESTS_MAX, Paths, PathsQuery, RawRow, RequestsPage, RequestsQuery};

const NANOS_PER_SECOND: i64 = 1_000_000_000;

/// The newest requests of a customer that are wanted. Costs as many rows as have to be looked at to find them.
pub(super) fn requests(
    connection: &Connection,
    meta: &Meta,
    query: &RequestsQuery,
) -> Result<RequestsPage, Fault> {
    let customer = Customer::read(connection, &query.customer)?;
    let covered = covered(connection, query.range)?;
    let mut page = PageInMaking::new(query.after, query.limit);
    if let Some(customer) = &customer {
        let mut statement = connection.prepare_cached(
            "SELECT time_nanos, status, latency_micros, path FROM request
             WHERE customer = ?1 AND time_nanos >= ?2 AND time_nanos <= ?3
             ORDER BY time_nanos DESC, status DESC, latency_micros DESC, path DESC",
        )?;
        let (from, before) = nanos(query.range);
        let newest = query.after.map_or(before, |place| place.time_nanos.saturating_add(1).min(before)) - 1;
        let mut rows = statement.query((customer.number, from, newest))?;
        while let Some(row) = rows.next()? {
            let row = raw_row(row)?;
            if query.filter.takes(&row) && !page.push(row) {
                break;
            }
        }
    }
    let (requests, next) = page.finish();
    Ok(RequestsPage { requests, next, covered, known: customer.is_some(), freshness: freshness(meta) })
}

/// A customer's requests by path.
pub(super) fn paths(connection: &Connection, meta: &Meta, query: &PathsQuery) -> Result<Paths, Fault> {
    let customer = Customer::read(connection, &query.customer)?;
    let mut covered = covered(connection, query.range)?;
    let mut cells = PathCells::default();
    if let Some(customer) = &customer {
        let mut statement = connection.prepare_cached(
            "SELECT time_nanos, status, latency_micros, path FROM request
             WHERE customer = ?1 AND time_nanos >= ?2 AND time_nanos < ?3 ORDER BY time_nanos DESC",
        )?;
        let (from, before) = nanos(query.range);
        let mut rows = statement.query((customer.number, from, before))?;
        let mut counted = 0;
        while let Some(row) = rows.next()? {
            let row = raw_row(row)?;
            let second = row.time_nanos.div_euclid(NANOS_PER_SECOND);
            // Enough were looked at; only whole seconds are counted.
            if counted >= PATH_REQUESTS_MAX && second < covered.from_second {
                break;
            }
            counted += 1;
            if counted == PATH_REQUESTS_MAX {
                covered.from_second = second;
            }
            cells.count(row.path.as_deref(), row.status, row.latency_micros);
        }
    }
    let (paths, other) = cells.measures(&query.percentiles);
    Ok(Paths { paths, other, covered, known: customer.is_some(), freshness: freshness(meta) })
}

/// A range in nanoseconds: the first in it, and the first behind it.
fn nanos(range: TimeRange) -> (i64, i64) {
    let nanos = |second: i64| second.saturating_mul(NANOS_PER_SECOND);
    (nanos(range.from_second), nanos(range.to_second))
}

/// What of a range is kept one by one: rows are dropped in the order in which they came, so from the time of the oldest on. A log that is not in order of
/// time may have lines before it, and may lack some behind it.
fn covered(connection: &Connection, range: TimeRange) -> Result<TimeRange, Fault> {
    let mut statement =
        connection.prepare_cached("SELECT time_nanos FROM request ORDER BY number LIMIT 1")?;
    let oldest: Option<i64> = statement.query_row([], |row| row.get(0)).optional()?;
    let from_second = oldest.map_or(range.to_second, |nanos| nanos.div_euclid(NANOS_PER_SECOND));
    Ok(TimeRange {
        from_second: from_second.clamp(range.from_second, range.to_second.max(range.from_second)),
        ..range
    })
}

fn raw_row(row: &Row<'_>) -> Result<RawRow, Fault> {
    let (time_nanos, status): (i64, i64) = (row.get(0)?, row.get(1)?);
    let latency_micros: Option<i64> = row.get(2)?;
    let status = u16::try_from(status).ok().filter(|status| (100..600).contains(status));
    let status = status
        .ok_or_else(|| Fault::Damaged(format!("the raw request at {time_nanos}: its status is none")))?;
    Ok(RawRow {
        time_nanos,
        status,
        latency_micros: latency_micros.map(i64::cast_unsigned),
        path: row.get(3)?,
    })
}
