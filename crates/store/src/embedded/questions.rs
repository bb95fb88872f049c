//! Answers from the ledger's cells of stretches of time, each made from one state of the ledger. All customers are `tables`', raw requests `raw_reader`'s.

use rusqlite::{Connection, OptionalExtension};
use stats::{Cell, TimeRange, WindowsKept, tile_stretches};

use super::cell_rows;
use super::cells::ALL_CUSTOMERS;
use super::customers::Customer;
use super::fault::Fault;
use super::meta::Meta;
use super::reader::freshness;
use crate::questions::stretch_of;
use crate::{Cells, CellsQuery, Method};

pub(super) fn kept(meta: &Meta) -> WindowsKept {
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

fn any_customer(connection: &Connection) -> Result<bool, Fault> {
    let mut statement = connection.prepare_cached("SELECT 1 FROM customer LIMIT 1")?;
    Ok(statement.query_row([], |_| Ok(())).optional()?.is_some())
}
