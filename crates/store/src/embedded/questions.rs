//! Answers from the ledger's cells of stretches of time, each made from one state of the ledger. All customers are `tables`', raw requests `raw_reader`'s.

use rusqlite::{Connection, OptionalExtension};
use stats::{Cell, TimeRange, WindowKind, WindowsKept, tile_stretches};

use super::cell_rows;
use super::cells::ALL_CUSTOMERS;
use super::customers::Customer;
use super::fault::Fault;
use super::meta::Meta;
use super::reader::freshness;
use crate::questions::stretch_of;
use crate::{Cells, CellsQuery, Method};

/// Windows of a kind without hole: (kind, first start, end).
pub(super) type Run = (WindowKind, i64, i64);

pub(super) fn kept(meta: &Meta) -> WindowsKept {
    WindowsKept { minutes_from_second: meta.kept_from.minutes, quarters_from_second: meta.kept_from.quarters }
}

/// How a range is told exactly. The quarter-hour in which it ends is taken as a whole, instead of up to fourteen minutes of it, when nobody has requests behind that end: a range up to now mostly ends so.
pub(super) fn tiled(connection: &Connection, meta: &Meta, range: TimeRange) -> Result<Vec<Run>, Fault> {
    let TimeRange { from_second, to_second } = range;
    let bounds = [from_second, to_second.max(from_second)];
    let mut runs = tile_stretches(&bounds, kept(meta)).map_err(Fault::NotKept)?;
    if let Some((WindowKind::Minute, from, to)) = runs.last_mut() {
        let quarter = WindowKind::Quarter.window_of(*to - 1).range();
        let rest = TimeRange { from_second: *to, to_second: quarter.to_second };
        if *from <= quarter.from_second && !has_minutes(connection, rest)? {
            *to = quarter.from_second;
            runs.retain(|(_, from, to)| from < to);
            runs.push((WindowKind::Quarter, quarter.from_second, quarter.to_second));
        }
    }
    Ok(runs)
}

fn has_minutes(connection: &Connection, range: TimeRange) -> Result<bool, Fault> {
    let mut statement = connection.prepare_cached(
        "SELECT 1 FROM cell WHERE kind = ?1 AND start_second >= ?2 AND start_second < ?3 LIMIT 1",
    )?;
    let of = (WindowKind::Minute as u8, range.from_second, range.to_second);
    Ok(statement.query_row(of, |_| Ok(())).optional()?.is_some())
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

/// Whether there is any request of anybody.
pub(super) fn any_customer(connection: &Connection) -> Result<bool, Fault> {
    let mut statement = connection.prepare_cached("SELECT 1 FROM customer LIMIT 1")?;
    Ok(statement.query_row([], |_| Ok(())).optional()?.is_some())
}
