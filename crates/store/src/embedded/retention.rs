//! What is dropped with time: minutes and quarter-hours after their span, whole days, customers and rejected lines with the retention.

use std::collections::BTreeMap;

use rusqlite::Connection;
use stats::WindowKind;

use super::cells::{ALL_CUSTOMERS, CellKey, CustomerNumber};
use super::customers::Customer;
use super::fault::Fault;
use super::meta::KeptFrom;
use super::{cell_rows, raw_kept, unpublished};

/// Drops what lies before the marks. Returns whether customers' rows were changed.
pub(super) fn prune(connection: &Connection, kept_from: KeptFrom) -> Result<bool, Fault> {
    let lessened = lessen_customers(connection, kept_from.days)?;
    let marks = [
        (WindowKind::Minute, kept_from.minutes),
        (WindowKind::Quarter, kept_from.quarters),
        (WindowKind::Day, kept_from.days),
    ];
    let mut statement =
        connection.prepare_cached("DELETE FROM cell WHERE kind = ?1 AND start_second < ?2")?;
    for (kind, from_second) in marks {
        statement.execute((kind as u8, from_second))?;
        unpublished::forget_before(connection, kind, from_second)?;
    }
    connection.prepare_cached("DELETE FROM reject WHERE rejected_second < ?1")?.execute([kept_from.days])?;
    Ok(lessened)
}

/// Takes the requests of the days that go from their customers; a customer without requests goes as well.
fn lessen_customers(connection: &Connection, days_from_second: i64) -> Result<bool, Fault> {
    let mut dropped = BTreeMap::<CustomerNumber, u64>::new();
    let mut statement = connection.prepare_cached(
        "SELECT start_second, customer, source, blob, checksum FROM cell
         WHERE kind = ?1 AND start_second < ?2 AND customer <> ?3",
    )?;
    let mut rows = statement.query((WindowKind::Day as u8, days_from_second, ALL_CUSTOMERS))?;
    while let Some(row) = rows.next()? {
        let key = CellKey {
            kind: WindowKind::Day,
            start_second: row.get(0)?,
            customer: row.get(1)?,
            source: row.get(2)?,
        };
        *dropped.entry(key.customer).or_default() += cell_rows::from_row(connection, key, row, 3)?.requests;
    }
    for (number, requests) in &dropped {
        let damaged = |what: &str| Fault::Damaged(format!("customer number {number} {what}"));
        let mut customer = Customer::read_number(connection, *number)?
            .ok_or_else(|| damaged("has statistics, but no row"))?;
        customer.requests = customer
            .requests
            .checked_sub(*requests)
            .ok_or_else(|| damaged("has fewer requests than its days"))?;
        if customer.requests == 0 {
            connection.prepare_cached("DELETE FROM customer WHERE number = ?1")?.execute([number])?;
            raw_kept::drop_customer(connection, *number)?;
        } else {
            customer.write(connection)?;
        }
    }
    Ok(!dropped.is_empty())
}
