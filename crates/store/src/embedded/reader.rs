//! The read side of the embedded store: statistics for the api, from the cells of the ledger, while the processor writes it. Every answer
//! is made from one state of the ledger, as some commit left it.

use std::path::Path;
use std::sync::Arc;

use rusqlite::Connection;
use stats::{Cell, TimeRange, day_of};
use xxhash_rust::xxh3::xxh3_64;

use super::cell_rows;
use super::cells::ALL_CUSTOMERS;
use super::customers::Customer;
use super::fault::Fault;
use super::ledger::LEDGER_FILE;
use super::meta::Meta;
use super::pool::Pool;
use super::tables::{self, Sums};
use super::whole::{self, KnownMinutes};
use super::{questions, raw_reader};
use crate::{
    Cells, CellsQuery, CustomerRow, CustomersPage, CustomersQuery, DataVersion, DayStats, Freshness, Method,
    Paths, PathsQuery, ReadError, RequestsPage, RequestsQuery, Stats, StatsQuery, StatsStore, Table,
    TableQuery, Whole, WholeQuery,
};

/// Answers from the ledger in STATE_DIR, which may come into being, or be replaced by another one, at any time.
#[derive(Clone, Debug)]
pub struct EmbeddedStats {
    pool: Arc<Pool>,
    sums: Arc<Sums>,
    minutes: Arc<KnownMinutes>,
}

impl EmbeddedStats {
    /// Opens nothing yet.
    pub fn new(state_dir: &Path) -> Self {
        Self { pool: Pool::new(state_dir.join(LEDGER_FILE)), sums: Arc::default(), minutes: Arc::default() }
    }

    /// An answer made from the ledger's row about itself, and more.
    async fn answer<T: Send + 'static>(
        &self,
        make: impl FnOnce(&Connection, &Meta) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, ReadError> {
        let answer = self
            .pool
            .answer(|connection| match Meta::read(connection)? {
                Some(meta) => make(connection, &meta).map(Some),
                None => Ok(None),
            })
            .await?;
        answer.ok_or_else(|| ReadError::NoDataYet {
            why: format!("the processor has not written anything to {} yet", self.pool.path().display()),
        })
    }
}

impl StatsStore for EmbeddedStats {
    async fn version(&self) -> Result<DataVersion, ReadError> {
        self.answer(|_, meta| Ok(version(meta))).await
    }

    async fn freshness(&self) -> Result<Freshness, ReadError> {
        self.answer(|_, meta| Ok(freshness(meta))).await
    }

    async fn version_with_freshness(&self) -> Result<(DataVersion, Freshness), ReadError> {
        self.answer(|_, meta| Ok((version(meta), freshness(meta)))).await
    }

    async fn stats(&self, query: &StatsQuery) -> Result<Stats, ReadError> {
        let query = query.clone();
        self.answer(move |connection, meta| stats(connection, meta, &query)).await
    }

    async fn customers(&self, query: &CustomersQuery) -> Result<CustomersPage, ReadError> {
        let query = query.clone();
        self.answer(move |connection, meta| customers(connection, meta, &query)).await
    }

    async fn cells(&self, query: &CellsQuery) -> Result<Cells, ReadError> {
        let query = query.clone();
        self.answer(move |connection, meta| questions::cells(connection, meta, &query)).await
    }

    async fn whole(&self, query: &WholeQuery) -> Result<Whole, ReadError> {
        let (query, known) = (query.clone(), Arc::clone(&self.minutes));
        self.answer(move |connection, meta| whole::whole(connection, meta, &query, &known)).await
    }

    async fn table(&self, query: &TableQuery) -> Result<Table, ReadError> {
        let (query, sums) = (query.clone(), Arc::clone(&self.sums));
        self.answer(move |connection, meta| tables::table(connection, meta, &query, &sums)).await
    }

    async fn requests(&self, query: &RequestsQuery) -> Result<RequestsPage, ReadError> {
        let query = query.clone();
        self.answer(move |connection, meta| raw_reader::requests(connection, meta, &query)).await
    }

    async fn paths(&self, query: &PathsQuery) -> Result<Paths, ReadError> {
        let query = query.clone();
        self.answer(move |connection, meta| raw_reader::paths(connection, meta, &query)).await
    }

    fn renews_tables(&self) -> bool {
        true
    }

    fn describe(&self) -> String {
        format!("embedded {}", self.pool.path().display())
    }
}

pub(super) fn freshness(meta: &Meta) -> Freshness {
    Freshness { as_of_micros: meta.as_of_micros }
}

/// Another ledger in the same place has other answers at the same commit number.
fn version(meta: &Meta) -> DataVersion {
    let mut bytes = meta.ledger_id.clone().into_bytes();
    bytes.extend_from_slice(&meta.commit_number.to_le_bytes());
    DataVersion(xxh3_64(&bytes))
}

fn stats(connection: &Connection, meta: &Meta, query: &StatsQuery) -> Result<Stats, Fault> {
    let (runs, covered) = query.range.tile(meta.kept_from.quarters);
    let customer = match &query.customer {
        None => Some(ALL_CUSTOMERS),
        Some(id) => Customer::read(connection, id)?.map(|customer| customer.number),
    };
    let mut days = Days::default();
    if let Some(customer) = customer {
        for (kind, from_second, to_second) in runs {
            let windows = TimeRange { from_second, to_second };
            cell_rows::for_each(connection, kind, windows, customer, |start, cell| days.add(start, cell))?;
        }
    }
    days.close();
    Ok(Stats {
        total: days.total.summary(),
        daily: days.closed,
        covered,
        method: Method::Cells,
        freshness: freshness(meta),
    })
}

/// Sums up cells that come in order of time, by day and in total.
#[derive(Debug, Default)]
struct Days {
    total: Cell,
    open: Option<(i64, Cell)>,
    closed: Vec<DayStats>,
}

impl Days {
    fn add(&mut self, start_second: i64, cell: Cell) {
        let day_second = day_of(start_second);
        match &mut self.open {
            Some((open, sum)) if *open == day_second => sum.merge(&cell),
            _ => {
                self.close();
                self.open = Some((day_second, cell));
            }
        }
    }

    fn close(&mut self) {
        // A rebuild can leave cells that hold nothing.
        if let Some((day_second, cell)) = self.open.take().filter(|(_, cell)| !cell.is_empty()) {
            self.total.merge(&cell);
            self.closed.push(DayStats { day_second, summary: cell.summary() });
        }
    }
}

fn customers(connection: &Connection, meta: &Meta, query: &CustomersQuery) -> Result<CustomersPage, Fault> {
    let mut statement = connection.prepare_cached(
        "SELECT number, id, requests, last_seen_second, checksum FROM customer
         WHERE id > ?1 AND requests > 0 ORDER BY id LIMIT ?2",
    )?;
    let after = query.after.as_deref().unwrap_or_default();
    let one_more = i64::try_from(query.limit).unwrap_or(i64::MAX).saturating_add(1);
    let mut rows = statement.query((after, one_more))?;
    let mut page = CustomersPage { customers: Vec::new(), more: false, freshness: freshness(meta) };
    while let Some(row) = rows.next()? {
        if page.customers.len() == query.limit {
            page.more = true;
            break;
        }
        let Customer { id, requests, last_seen_second, .. } = Customer::from_row(row)?;
        page.customers.push(CustomerRow { id, requests, last_seen_second });
    }
    Ok(page)
}
