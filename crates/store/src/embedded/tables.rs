//! Tables of all customers. What earlier questions read of windows that have not changed since is kept, merged by customer, so that a table is renewed from the windows
//! that changed and those that came: of ten thousand customers and thirty days a few ten thousand cells instead of a million.
//!
//! Whether a window has changed is told by the checksums of its cells of all customers together: every request of the window is counted in one of them, in the commit that counts it for
//! its customer. All is looked at in one snapshot with what is read, so a table is as exact as one that is made anew.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use rusqlite::Connection;
use stats::{Cell, TimeRange, Window, WindowKind};
use xxhash_rust::xxh3::xxh3_64;

use super::cell_rows;
use super::cells::{ALL_CUSTOMERS, CustomerNumber};
use super::customers::Customer;
use super::fault::Fault;
use super::meta::Meta;
use super::questions::tiled;
use super::reader::freshness;
use crate::{Method, Table, TableQuery, TableRow};

/// So many sums are kept: of the ranges that people look at, each with the one before it.
const SUMS_MAX: usize = 8;
/// A sum of more bytes is not kept: the table is made anew each time.
const SUM_MAX_BYTES: usize = 64 << 20;
/// All that are kept together take no more.
const SUMS_MAX_BYTES: usize = 128 << 20;
/// When so many windows have come that a sum does not hold, a new one is made.
const NEW_MAX: usize = 4;
/// The windows at the end of a range change with every commit: those that end within its last minute, or after it, are read each time.
const NEWEST_SECONDS: i64 = 60;
/// Windows that were seen to change are left out of the next sum, up to that many; where more do, nobody knows which will be next.
const CHANGING_MAX: usize = 16;

/// The beginning of a day behind every request: a log's years end with 2261.
const END_OF_TIME_SECOND: i64 = 9_223_372_800;

/// A window by kind and start, and what its cells of all customers say.
type Fingerprints = BTreeMap<(WindowKind, i64), u64>;

/// Values by customer.
type ByCustomer<T> = HashMap<CustomerNumber, T, RandomState>;

/// Cells of some windows, merged by customer.
#[derive(Debug)]
struct Sum {
    ledger_id: String,
    windows: Fingerprints,
    /// Where each customer's encoded cell is in `blobs`.
    places: ByCustomer<Range<usize>>,
    blobs: Vec<u8>,
    /// Windows of the range that it does not hold, for they change or leave it soon.
    left_out: usize,
}

/// The sums that are kept, the one that was used last at the end.
#[derive(Debug, Default)]
pub(super) struct Sums {
    kept: Mutex<Vec<Arc<Sum>>>,
}

/// All customers that have requests in a range.
pub(super) fn table(
    connection: &Connection,
    meta: &Meta,
    query: &TableQuery,
    sums: &Sums,
) -> Result<Table, Fault> {
    let mut windows = Fingerprints::new();
    for (kind, from_second, to_second) in tiled(connection, meta, query.range)? {
        fingerprints(connection, kind, TimeRange { from_second, to_second }, &mut windows)?;
    }
    let (sum, mut beside) = match sums.best(&meta.ledger_id, &windows) {
        Ok(sum) => {
            windows.retain(|window, _| !sum.windows.contains_key(window));
            (Some(sum), ByCustomer::default())
        }
        Err(changed) => {
            let lasting = worth_keeping(&windows, &changed, query.range.to_second);
            let mut cells = ByCustomer::default();
            merge(connection, lasting.keys(), &mut cells)?;
            windows.retain(|window, _| !lasting.contains_key(window));
            sums.keep(Sum::of(&mut cells, &meta.ledger_id, lasting, without_minutes(&windows)));
            (None, cells)
        }
    };
    merge(connection, windows.keys(), &mut beside)?;
    let behind = if query.newcomers { Some(behind(connection, meta, query.range)?) } else { None };
    let (rows, newcomers) = rows(connection, query, sum.as_deref(), beside, behind)?;
    Ok(Table { rows, newcomers, method: Method::Cells, freshness: freshness(meta) })
}

/// How many requests each customer has behind a range: mostly none, when it ends now.
fn behind(connection: &Connection, meta: &Meta, range: TimeRange) -> Result<ByCustomer<u64>, Fault> {
    let mut behind = ByCustomer::default();
    let from_second = range.to_second.max(range.from_second);
    let rest = TimeRange { from_second, to_second: END_OF_TIME_SECOND.max(from_second) };
    for (kind, from_second, to_second) in tiled(connection, meta, rest)? {
        let windows = TimeRange { from_second, to_second };
        cell_rows::for_each_customer(connection, kind, windows, |customer, cell| {
            *behind.entry(customer).or_default() += cell.requests;
        })?;
    }
    Ok(behind)
}

/// The windows of a run that hold requests. One seek for each.
fn fingerprints(
    connection: &Connection,
    kind: WindowKind,
    windows: TimeRange,
    found: &mut Fingerprints,
) -> Result<(), Fault> {
    let mut statement = connection.prepare_cached(
        "SELECT start_second, customer, source, checksum FROM cell
         WHERE kind = ?1 AND start_second >= ?2 AND start_second < ?3
         ORDER BY start_second, customer, source",
    )?;
    let mut seek_second = windows.from_second;
    loop {
        let mut rows = statement.query((kind as u8, seek_second, windows.to_second))?;
        let (mut window, mut checksums) = (None, Vec::new());
        while let Some(row) = rows.next()? {
            let (start_second, customer): (i64, CustomerNumber) = (row.get(0)?, row.get(1)?);
            if customer != ALL_CUSTOMERS || window.is_some_and(|window| window != start_second) {
                window = window.or(Some(start_second));
                break;
            }
            window = Some(start_second);
            for number in [row.get::<_, i64>(2)?, row.get(3)?] {
                checksums.extend_from_slice(&number.to_le_bytes());
            }
        }
        let Some(start_second) = window else { return Ok(()) };
        if checksums.is_empty() {
            let range = Window { kind, start_second }.range();
            return Err(Fault::Damaged(format!(
                "the statistics of all customers from {} on",
                range.from_second
            )));
        }
        found.insert((kind, start_second), xxh3_64(&checksums));
        seek_second = start_second + kind.seconds();
    }
}

/// Of the windows of a range those that a sum should hold: not the newest, not those that were seen to change, and no minutes, which leave the range soon.
fn worth_keeping(
    windows: &Fingerprints,
    changed: &BTreeSet<(WindowKind, i64)>,
    to_second: i64,
) -> Fingerprints {
    let is_newest = |(kind, start): &(WindowKind, i64)| start + kind.seconds() > to_second - NEWEST_SECONDS;
    let is_quiet = |window: &(WindowKind, i64)| changed.len() > CHANGING_MAX || !changed.contains(window);
    let lasts =
        |window: &(WindowKind, i64)| window.0 != WindowKind::Minute && !is_newest(window) && is_quiet(window);
    windows.iter().filter(|(window, _)| lasts(window)).map(|(window, said)| (*window, *said)).collect()
}

fn without_minutes(windows: &Fingerprints) -> usize {
    windows.keys().filter(|(kind, _)| *kind != WindowKind::Minute).count()
}

/// Adds the cells of windows, by customer.
fn merge<'a>(
    connection: &Connection,
    windows: impl Iterator<Item = &'a (WindowKind, i64)>,
    by_number: &mut ByCustomer<Cell>,
) -> Result<(), Fault> {
    for &(kind, start_second) in windows {
        let window = Window { kind, start_second }.range();
        cell_rows::for_each_customer(connection, kind, window, |customer, cell| {
            by_number.entry(customer).or_default().merge(&cell);
        })?;
    }
    Ok(())
}

/// A customer is new whose requests all lie in the range or behind it: one snapshot tells how many there are in all, and there.
fn rows(
    connection: &Connection,
    query: &TableQuery,
    sum: Option<&Sum>,
    mut beside: ByCustomer<Cell>,
    behind: Option<ByCustomer<u64>>,
) -> Result<(Vec<TableRow>, Option<u64>), Fault> {
    // In the order in which the rows lie, and sorted here: by the index of ids each row would be looked for by itself.
    let mut statement =
        connection.prepare_cached("SELECT number, id, requests, last_seen_second, checksum FROM customer")?;
    let mut found = statement.query([])?;
    let mut rows = Vec::new();
    let mut newcomers = behind.as_ref().map(|_| 0);
    let mut of_sum = 0;
    while let Some(row) = found.next()? {
        let number: CustomerNumber = row.get(0)?;
        let mut cell = beside.remove(&number);
        if let Some(mut sum) = sum.and_then(|sum| sum.cell(number)) {
            of_sum += 1;
            // Few are added to many: the other way round nearly every bucket would be a new one.
            if let Some(cell) = cell {
                sum.merge(&cell);
            }
            cell = Some(sum);
        }
        // A rebuild can leave cells that hold nothing.
        if let Some(cell) = cell.filter(|cell| !cell.is_empty()) {
            let Customer { id, last_seen_second, requests, .. } = Customer::from_row(row)?;
            if let Some((newcomers, behind)) = newcomers.as_mut().zip(behind.as_ref()) {
                let since = cell.requests + behind.get(&number).copied().unwrap_or_default();
                *newcomers += u64::from(since == requests);
            }
            rows.push(TableRow { id, last_seen_second, measures: cell.measures(&query.percentiles) });
        }
    }
    let rest = beside.into_keys().next();
    let rest = rest.or_else(|| sum.filter(|sum| sum.places.len() > of_sum)?.places.keys().next().copied());
    match rest {
        None => {
            rows.sort_unstable_by(|a, b| a.id.cmp(&b.id));
            Ok((rows, newcomers))
        }
        Some(number) => Err(Fault::Damaged(format!("customer number {number} has statistics, but no row"))),
    }
}

impl Sum {
    /// What these cells of these windows are as a sum. `None` when there is nothing to keep, or too much.
    fn of(
        cells: &mut ByCustomer<Cell>,
        ledger_id: &str,
        windows: Fingerprints,
        left_out: usize,
    ) -> Option<Sum> {
        let (mut places, mut blobs) =
            (ByCustomer::with_capacity_and_hasher(cells.len(), RandomState::default()), Vec::new());
        for (number, cell) in cells {
            let begin = blobs.len();
            cell.settle();
            cell.encode(&mut blobs);
            places.insert(*number, begin..blobs.len());
            if blobs.len() > SUM_MAX_BYTES {
                return None;
            }
        }
        blobs.shrink_to_fit();
        let ledger_id = ledger_id.to_owned();
        (!places.is_empty()).then_some(Sum { ledger_id, windows, places, blobs, left_out })
    }

    /// About how much memory it takes.
    fn size_bytes(&self) -> usize {
        self.blobs.len() + self.places.capacity() * size_of::<(CustomerNumber, Range<usize>)>()
    }

    fn cell(&self, number: CustomerNumber) -> Option<Cell> {
        let place = self.places.get(&number)?;
        Some(Cell::decode(&self.blobs[place.clone()]).expect("it was encoded here"))
    }

    /// The windows of which it holds something else than there is now.
    fn changed(&self, windows: &Fingerprints) -> BTreeSet<(WindowKind, i64)> {
        let is_other = |(window, said): &(&(WindowKind, i64), &u64)| windows.get(window) != Some(said);
        self.windows.iter().filter(is_other).map(|(window, _)| *window).collect()
    }
}

impl Sums {
    /// The sum that holds most of these windows as they are. If none will do: which windows were seen to change, where one has changed in few.
    fn best(&self, ledger_id: &str, windows: &Fingerprints) -> Result<Arc<Sum>, BTreeSet<(WindowKind, i64)>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|sum| sum.ledger_id == ledger_id);
        let lasting = without_minutes(windows);
        let best = kept
            .iter()
            .enumerate()
            .filter(|(_, sum)| sum.changed(windows).is_empty())
            .filter(|(_, sum)| lasting - sum.windows.len() <= sum.left_out + NEW_MAX)
            .max_by_key(|(_, sum)| sum.windows.len());
        if let Some((index, _)) = best {
            let sum = kept.remove(index);
            kept.push(Arc::clone(&sum));
            return Ok(sum);
        }
        // Of the same range a moment ago: windows that left it have not changed, they are gone.
        let changed = kept.iter().map(|sum| {
            let mut changed = sum.changed(windows);
            changed.retain(|window| windows.contains_key(window));
            changed
        });
        Err(changed.filter(|changed| !changed.is_empty()).min_by_key(BTreeSet::len).unwrap_or_default())
    }

    fn keep(&self, sum: Option<Sum>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sum) = sum {
            let bytes = |kept: &[Arc<Sum>]| kept.iter().map(|sum| sum.size_bytes()).sum::<usize>();
            while !kept.is_empty()
                && (kept.len() >= SUMS_MAX || bytes(&kept) + sum.size_bytes() > SUMS_MAX_BYTES)
            {
                kept.remove(0);
            }
            kept.push(Arc::new(sum));
        }
    }
}
