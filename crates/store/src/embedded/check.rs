//! A look at every cell of a ledger, so that damage is found before somebody asks for just that customer and day. Reads only; a processor may work meanwhile.

use std::collections::HashMap;
use std::path::Path;

use rusqlite::{Connection, Row};
use stats::WindowKind;

use super::cell_rows;
use super::cells::{ALL_CUSTOMERS, CellKey, CustomerNumber};
use super::customers::Customer;
use super::fault::Fault;
use super::ledger::LEDGER_FILE;
use super::{LedgerError, schema};

/// SQLite's page cache: everything is read once.
const CACHE_KIB: u32 = 1024;
/// Cells read at once where a processor may go on in between. A look that lasts keeps the WAL from being used again.
const PAGE_CELLS: u32 = 4096;

/// Looks at every cell's checksum, whether each customer's days hold the requests of its row, and last at the file's structure: pages and indexes. Returns the number of cells, or `None` when `go_on` said
/// no before the end; it is asked every few thousand cells.
///
/// # Errors
/// A cell is damaged (named by customer and window), or the ledger cannot be read.
pub fn check_cells(state_dir: &Path, go_on: impl Fn() -> bool) -> Result<Option<u64>, LedgerError> {
    let path = state_dir.join(LEDGER_FILE);
    let check = || -> Result<Option<u64>, Fault> {
        let connection = schema::open_for_reading(&path, CACHE_KIB)?;
        let mut cells = 0;
        let whole = check_days(&connection, &mut cells, &go_on)?
            && check_pages(&connection, WindowKind::Quarter, &mut cells, &go_on)?
            && check_pages(&connection, WindowKind::Minute, &mut cells, &go_on)?;
        if whole {
            schema::check_structure(&connection, None)?;
        }
        Ok(whole.then_some(cells))
    };
    check().map_err(|fault| fault.into_ledger_error(&path))
}

/// All days, and the customers they belong to, in one state of the ledger.
fn check_days(connection: &Connection, cells: &mut u64, go_on: &impl Fn() -> bool) -> Result<bool, Fault> {
    let state = connection.unchecked_transaction()?;
    let mut requests = HashMap::<CustomerNumber, u64>::new();
    let mut statement = state.prepare(
        "SELECT start_second, customer, source, blob, checksum FROM cell WHERE kind = ?1
         ORDER BY start_second, customer, source",
    )?;
    let mut rows = statement.query([WindowKind::Day as u8])?;
    while let Some(row) = rows.next()? {
        let key = key_of(row, WindowKind::Day)?;
        let cell = cell_rows::from_row(&state, key, row, 3)?;
        if key.customer != ALL_CUSTOMERS {
            *requests.entry(key.customer).or_default() += cell.requests;
        }
        *cells += 1;
        if cells.is_multiple_of(u64::from(PAGE_CELLS)) && !go_on() {
            return Ok(false);
        }
    }
    let mut statement =
        state.prepare("SELECT number, id, requests, last_seen_second, checksum FROM customer")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let customer = Customer::from_row(row)?;
        let of_days = requests.remove(&customer.number).unwrap_or_default();
        if of_days != customer.requests {
            return Err(Fault::Damaged(format!(
                "customer {:?} has {} requests, and its days have {of_days}",
                customer.id, customer.requests
            )));
        }
    }
    match requests.keys().min() {
        Some(number) => Err(Fault::Damaged(format!("customer number {number} has statistics, but no row"))),
        None => Ok(true),
    }
}

/// All cells of a shorter kind, page by page.
fn check_pages(
    connection: &Connection,
    kind: WindowKind,
    cells: &mut u64,
    go_on: &impl Fn() -> bool,
) -> Result<bool, Fault> {
    let mut statement = connection.prepare(
        "SELECT start_second, customer, source, blob, checksum FROM cell
         WHERE kind = ?1 AND (start_second, customer, source) > (?2, ?3, ?4)
         ORDER BY start_second, customer, source LIMIT ?5",
    )?;
    let mut last = (i64::MIN, i64::MIN, i64::MIN);
    loop {
        if !go_on() {
            return Ok(false);
        }
        let mut rows = statement.query((kind as u8, last.0, last.1, last.2, PAGE_CELLS))?;
        let mut seen = 0_u32;
        while let Some(row) = rows.next()? {
            let key = key_of(row, kind)?;
            cell_rows::from_row(connection, key, row, 3)?;
            last = (key.start_second, i64::from(key.customer), key.source);
            seen += 1;
        }
        *cells += u64::from(seen);
        if seen < PAGE_CELLS {
            return Ok(true);
        }
    }
}

fn key_of(row: &Row<'_>, kind: WindowKind) -> Result<CellKey, Fault> {
    Ok(CellKey { kind, start_second: row.get(0)?, customer: row.get(1)?, source: row.get(2)? })
}
