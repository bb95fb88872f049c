//! Answers from the ledger's cells: of stretches of time, and of all customers. Each is made from one state of the ledger. Raw requests are `raw_reader`'s.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension};
use stats::{Cell, TimeRange, WindowsKept, tile_stretches};

use super::cell_rows;
use super::cells::{ALL_CUSTOMERS, CustomerNumber};
use super::customers::Customer;
use super::fault::Fault;
use super::meta::Meta;
use super::reader::freshness;
use crate::questions::stretch_of;
use crate::{Cells, CellsQuery, Method, Table, TableQuery, TableRow};

fn kept(meta: &Meta) -> WindowsKept {
    WindowsKept { minutes_from_second: meta.kept_from.minutes, quarters_from_second: meta.kept_from.quarters }
}

/// One cell for each stretch. Costs no more than the windows that hold requests, however many stretches there are.
pub(super) fn cells(connection: &Connection, meta: &Meta, query: &CellsQuery) -> Result<Cells, Fault> {
    let runs = tile_stretches(&query.bounds, kept(meta)).map_err(Fault::NotKept)?;
    let customer = match &query.customer {
        None => any_customer(connection)?.then_some(ALL_CUSTOMERS),
        Some(id) => Customer::read(connection, id)?.map(|customer| customer.number),
    };
    let mut cells = vec![Cell::default(); query.bounds.len().saturating_sub(1)];
    if let Some(customer) = customer {
        for (kind, from_second, to_second) in runs {
            let windows = TimeRange { from_second, to_second };
            cell_rows::for_each(connection, kind, windows, customer, |start, cell| {
                let stretch = stretch_of(&query.bounds, start).expect("runs lie within the stretches");
                cells[stretch].merge(&cell);
            })?;
        }
    }
    Ok(Cells { cells, known: customer.is_some(), method: Method::Cells, freshness: freshness(meta) })
}

/// All customers that have requests in a range: one walk over the cells of the range.
pub(super) fn table(connection: &Connection, meta: &Meta, query: &TableQuery) -> Result<Table, Fault> {
    let TimeRange { from_second, to_second } = query.range;
    let runs =
        tile_stretches(&[from_second, to_second.max(from_second)], kept(meta)).map_err(Fault::NotKept)?;
    let mut by_number: HashMap<CustomerNumber, Cell> = HashMap::new();
    for (kind, from_second, to_second) in runs {
        let windows = TimeRange { from_second, to_second };
        cell_rows::for_each_customer(connection, kind, windows, |customer, cell| {
            by_number.entry(customer).or_default().merge(&cell);
        })?;
    }
    let mut statement = connection.prepare_cached(
        "SELECT number, id, requests, last_seen_second, checksum FROM customer ORDER BY id",
    )?;
    let mut found = statement.query([])?;
    let mut rows = Vec::with_capacity(by_number.len());
    while let Some(row) = found.next()? {
        let number: CustomerNumber = row.get(0)?;
        if let Some(cell) = by_number.remove(&number) {
            let Customer { id, last_seen_second, .. } = Customer::from_row(row)?;
            rows.push(TableRow { id, last_seen_second, measures: cell.measures(&query.percentiles) });
        }
    }
    match by_number.keys().next() {
        None => Ok(Table { rows, method: Method::Cells, freshness: freshness(meta) }),
        Some(number) => Err(Fault::Damaged(format!("customer number {number} has statistics, but no row"))),
    }
}

fn any_customer(connection: &Connection) -> Result<bool, Fault> {
    let mut statement = connection.prepare_cached("SELECT 1 FROM customer LIMIT 1")?;
    Ok(statement.query_row([], |_| Ok(())).optional()?.is_some())
}
