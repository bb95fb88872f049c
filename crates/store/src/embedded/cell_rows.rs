//! Cells as rows: read with their checksum, written with it. Damage is named by customer and window.

use rusqlite::{Connection, OptionalExtension, Row};
use stats::{Cell, TimeRange, WindowKind};

use super::cells::{ALL_CUSTOMERS, CellKey, CustomerNumber, PendingCells};
use super::checksum;
use super::customers::Customer;
use super::fault::Fault;
use super::meta::KeptFrom;
use super::unpublished;

/// Reads a cell out of `blob, checksum` at columns `column` and `column + 1` of a row that is known to be the row of `key`.
pub(super) fn from_row(
    connection: &Connection,
    key: CellKey,
    row: &Row<'_>,
    column: usize,
) -> Result<Cell, Fault> {
    let blob = row.get_ref(column)?.as_blob().map_err(|_| damaged(connection, key, "its blob is none"))?;
    let stored: i64 = row.get(column + 1)?;
    if stored != checksum::of_cell(key, blob) {
        return Err(damaged(connection, key, "its checksum does not hold"));
    }
    Cell::decode(blob).map_err(|error| damaged(connection, key, &error.to_string()))
}

/// Visits one customer's cells of one kind in order of time. Costs one seek for each window in which anybody had requests, however
/// long the range is.
pub(super) fn for_each(
    connection: &Connection,
    kind: WindowKind,
    windows: TimeRange,
    customer: CustomerNumber,
    mut visit: impl FnMut(i64, Cell),
) -> Result<(), Fault> {
    for_each_with_checksum(connection, kind, windows, customer, |start, cell, _| visit(start, cell))
}

/// The same with the checksums of the rows.
pub(super) fn for_each_with_checksum(
    connection: &Connection,
    kind: WindowKind,
    windows: TimeRange,
    customer: CustomerNumber,
    mut visit: impl FnMut(i64, Cell, i64),
) -> Result<(), Fault> {
    let mut statement = connection.prepare_cached(
        "SELECT start_second, customer, source, blob, checksum FROM cell
         WHERE kind = ?1 AND (start_second, customer) >= (?2, ?3)
         ORDER BY start_second, customer, source",
    )?;
    let mut seek_second = windows.from_second;
    while seek_second < windows.to_second {
        let mut rows = statement.query((kind as u8, seek_second, customer))?;
        seek_second = loop {
            let Some(row) = rows.next()? else { return Ok(()) };
            let (start_second, found): (i64, CustomerNumber) = (row.get(0)?, row.get(1)?);
            if start_second >= windows.to_second {
                return Ok(());
            }
            match found.cmp(&customer) {
                std::cmp::Ordering::Less => break start_second,
                std::cmp::Ordering::Greater => break start_second.saturating_add(kind.seconds()),
                std::cmp::Ordering::Equal => {
                    let key = CellKey { kind, start_second, customer, source: row.get(2)? };
                    visit(start_second, from_row(connection, key, row, 3)?, row.get(4)?);
                }
            }
        };
    }
    Ok(())
}

/// Visits the cells of one kind of every single customer, in order of time.
pub(super) fn for_each_customer(
    connection: &Connection,
    kind: WindowKind,
    windows: TimeRange,
    mut visit: impl FnMut(CustomerNumber, Cell),
) -> Result<(), Fault> {
    let mut statement = connection.prepare_cached(
        "SELECT start_second, customer, source, blob, checksum FROM cell
         WHERE kind = ?1 AND start_second >= ?2 AND start_second < ?3",
    )?;
    let mut rows = statement.query((kind as u8, windows.from_second, windows.to_second))?;
    while let Some(row) = rows.next()? {
        let customer: CustomerNumber = row.get(1)?;
        if customer != ALL_CUSTOMERS {
            let key = CellKey { kind, start_second: row.get(0)?, customer, source: row.get(2)? };
            visit(customer, from_row(connection, key, row, 3)?);
        }
    }
    Ok(())
}

/// Adds what is pending to what is stored. `marked`: the number of this commit, when changed cells are marked for their publication.
pub(super) fn add(
    connection: &Connection,
    pending: &mut PendingCells,
    kept_from: &KeptFrom,
    marked: Option<i64>,
) -> Result<(), Fault> {
    let mut select = connection.prepare_cached(
        "SELECT blob, checksum FROM cell WHERE kind = ?1 AND start_second = ?2 AND customer = ?3 AND source = ?4",
    )?;
    let mut insert = connection.prepare_cached(
        "INSERT INTO cell (blob, checksum, kind, start_second, customer, source) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    let mut update = connection.prepare_cached(
        "UPDATE cell SET blob = ?1, checksum = ?2 WHERE kind = ?3 AND start_second = ?4 AND customer = ?5 AND source = ?6",
    )?;
    let mut blob = Vec::new();
    let mut counter = std::mem::take(&mut pending.counter);
    let written = pending.for_each_cell(kept_from, |key, observations| {
        let stored = select
            .query_row((key.kind as u8, key.start_second, key.customer, key.source), |row| {
                Ok(from_row(connection, key, row, 0))
            })
            .optional()?
            .transpose()?;
        let write = if stored.is_some() { &mut update } else { &mut insert };
        let mut cell = stored.unwrap_or_default();
        counter.count(&mut cell, observations.iter().map(|observation| observation.outcome()));
        blob.clear();
        cell.encode(&mut blob);
        let checksum = checksum::of_cell(key, &blob);
        write.execute((
            blob.as_slice(),
            checksum,
            key.kind as u8,
            key.start_second,
            key.customer,
            key.source,
        ))?;
        marked.map_or(Ok(()), |commit| unpublished::mark(connection, key, commit))
    });
    pending.counter = counter;
    written
}

/// The fault of a damaged cell, naming customer and window.
fn damaged(connection: &Connection, key: CellKey, what: &str) -> Fault {
    let customer = if key.customer == ALL_CUSTOMERS {
        "all customers".to_owned()
    } else {
        match Customer::read_number(connection, key.customer) {
            Ok(Some(customer)) => format!("customer {:?}", customer.id),
            _ => format!("customer number {}", key.customer),
        }
    };
    let window = match key.kind {
        WindowKind::Minute => "minute",
        WindowKind::Quarter => "quarter-hour",
        WindowKind::Day => "day",
    };
    let start = chrono::DateTime::from_timestamp(key.start_second, 0)
        .map_or_else(|| key.start_second.to_string(), |start| start.format("%Y-%m-%dT%H:%MZ").to_string());
    Fault::Damaged(format!("the statistics of {customer} for the {window} {start}: {what}"))
}
