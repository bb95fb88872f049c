//! A store in memory: counts the requests it was given with the same arithmetic as the real ones, and remembers what it was asked.
//! It can be away, slow, or panic.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use stats::{Cell, TimeRange, day_of};
use store::{
    Cells, CellsQuery, CustomerRow, CustomersPage, CustomersQuery, DataVersion, DayStats, Freshness, Method,
    Paths, PathsQuery, RawRow, ReadError, RequestPlace, RequestsPage, RequestsQuery, Stats, StatsQuery,
    StatsStore, Table, TableQuery, TableRow,
};
use tokio::sync::Semaphore;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    Stats(StatsQuery),
    Customers(CustomersQuery),
    Cells(CellsQuery),
    Table(TableQuery),
    Requests(RequestsQuery),
    Paths(PathsQuery),
}

impl Asked {
    /// The customer of the question; None = everybody.
    pub(crate) fn customer(&self) -> Option<&str> {
        match self {
            Asked::Stats(StatsQuery { customer, .. }) | Asked::Cells(CellsQuery { customer, .. }) => {
                customer.as_deref()
            }
            Asked::Requests(RequestsQuery { customer, .. }) | Asked::Paths(PathsQuery { customer, .. }) => {
                Some(customer)
            }
            Asked::Customers(_) | Asked::Table(_) => None,
        }
    }
}

struct Request {
    customer: String,
    second: i64,
    status: u16,
    latency_micros: Option<u64>,
    path: &'static str,
}

struct Inside {
    requests: Vec<Request>,
    version: u64,
    exact: bool,
    as_of_micros: Option<i64>,
    error: Option<ReadError>,
    panics: bool,
    asked: Vec<Asked>,
    /// How often the version was looked at.
    looks: u32,
}

#[derive(Clone)]
pub(crate) struct Fake {
    inside: Arc<Mutex<Inside>>,
    /// Each question takes one permit before it is answered.
    pub(crate) gate: Arc<Semaphore>,
}

impl Fake {
    /// As fresh as 0.4 s before [`crate::ask::NOW_MICROS`].
    pub(crate) fn new() -> Self {
        let inside = Inside {
            requests: Vec::new(),
            version: 1,
            exact: true,
            as_of_micros: Some(crate::ask::NOW_MICROS - 400_000),
            error: None,
            panics: false,
            asked: Vec::new(),
            looks: 0,
        };
        Self { inside: Arc::new(Mutex::new(inside)), gate: Arc::new(Semaphore::new(Semaphore::MAX_PERMITS)) }
    }

    /// One more request, committed at once.
    pub(crate) fn add(
        &self,
        customer: &str,
        time: &str,
        status: u16,
        latency_micros: impl Into<Option<u64>>,
    ) -> &Self {
        self.add_path(customer, time, status, latency_micros, "/api/v1/resource1")
    }

    /// The same on a path.
    pub(crate) fn add_path(
        &self,
        customer: &str,
        time: &str,
        status: u16,
        latency_micros: impl Into<Option<u64>>,
        path: &'static str,
    ) -> &Self {
        let second = chrono::DateTime::parse_from_rfc3339(time).expect(time).timestamp();
        let mut inside = self.inside();
        let latency_micros = latency_micros.into();
        inside.requests.push(Request { customer: customer.to_owned(), second, status, latency_micros, path });
        inside.version += 1;
        drop(inside);
        self
    }

    pub(crate) fn fails(&self, error: impl Into<Option<ReadError>>) {
        self.inside().error = error.into();
    }

    pub(crate) fn panics(&self, panics: bool) {
        self.inside().panics = panics;
    }

    /// As with InfluxDB: the version is only a second.
    pub(crate) fn version_is_a_second(&self) {
        self.inside().exact = false;
    }

    pub(crate) fn set_version(&self, version: u64) {
        self.inside().version = version;
    }

    pub(crate) fn set_as_of(&self, micros: Option<i64>) {
        self.inside().as_of_micros = micros;
    }

    /// From now on each question waits for a permit of the gate.
    pub(crate) fn close_gate(&self) {
        self.gate.forget_permits(Semaphore::MAX_PERMITS);
    }

    pub(crate) fn looks(&self) -> u32 {
        self.inside().looks
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.inside().asked.clone()
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn checked(&self) -> Result<MutexGuard<'_, Inside>, ReadError> {
        let inside = self.inside();
        assert!(!inside.panics, "a secret of the store");
        match &inside.error {
            Some(error) => Err(error.clone()),
            None => Ok(inside),
        }
    }

    async fn pass_gate(&self) {
        self.gate.acquire().await.expect("never closed").forget();
    }
}

impl StatsStore for Fake {
    async fn version(&self) -> Result<DataVersion, ReadError> {
        Ok(DataVersion(self.checked()?.version))
    }

    async fn version_with_freshness(&self) -> Result<(DataVersion, Freshness), ReadError> {
        let mut inside = self.checked()?;
        inside.looks += 1;
        let as_of_micros = inside.as_of_micros.filter(|_| inside.exact);
        Ok((DataVersion(inside.version), Freshness { as_of_micros }))
    }

    async fn freshness(&self) -> Result<Freshness, ReadError> {
        Ok(Freshness { as_of_micros: self.checked()?.as_of_micros })
    }

    async fn stats(&self, query: &StatsQuery) -> Result<Stats, ReadError> {
        self.inside().asked.push(Asked::Stats(query.clone()));
        self.pass_gate().await;
        let inside = self.checked()?;
        let TimeRange { from_second, to_second } = query.range;
        let mut total = Cell::default();
        let mut days = BTreeMap::<i64, Cell>::new();
        for request in &inside.requests {
            let wanted = query.customer.as_ref().is_none_or(|customer| *customer == request.customer);
            if wanted && (from_second..to_second).contains(&request.second) {
                total.observe(request.status, request.latency_micros);
                days.entry(day_of(request.second))
                    .or_default()
                    .observe(request.status, request.latency_micros);
            }
        }
        let daily = days.iter().map(|(day, cell)| DayStats { day_second: *day, summary: cell.summary() });
        Ok(Stats {
            total: total.summary(),
            daily: daily.collect(),
            covered: query.range,
            method: Method::Cells,
            freshness: Freshness { as_of_micros: inside.as_of_micros },
        })
    }

    async fn customers(&self, query: &CustomersQuery) -> Result<CustomersPage, ReadError> {
        self.inside().asked.push(Asked::Customers(query.clone()));
        self.pass_gate().await;
        let inside = self.checked()?;
        let mut rows = BTreeMap::<&str, (u64, i64)>::new();
        for request in &inside.requests {
            let row = rows.entry(&request.customer).or_insert((0, i64::MIN));
            *row = (row.0 + 1, row.1.max(request.second));
        }
        let after = |id: &str| query.after.as_deref().is_none_or(|after| id > after);
        let mut customers: Vec<CustomerRow> = rows
            .into_iter()
            .filter(|(id, _)| after(id))
            .map(|(id, (requests, last_seen_second))| CustomerRow {
                id: id.to_owned(),
                requests,
                last_seen_second,
            })
            .collect();
        let more = customers.len() > query.limit;
        customers.truncate(query.limit);
        Ok(CustomersPage { customers, more, freshness: Freshness { as_of_micros: inside.as_of_micros } })
    }

    async fn cells(&self, query: &CellsQuery) -> Result<Cells, ReadError> {
        self.inside().asked.push(Asked::Cells(query.clone()));
        self.pass_gate().await;
        let inside = self.checked()?;
        let of = |request: &&Request| query.customer.as_ref().is_none_or(|id| *id == request.customer);
        let cell = |stretch: &[i64]| {
            let mut cell = Cell::default();
            for request in inside.requests.iter().filter(of) {
                if (stretch[0]..stretch[1]).contains(&request.second) {
                    cell.observe(request.status, request.latency_micros);
                }
            }
            cell.settle();
            cell
        };
        Ok(Cells {
            cells: query.bounds.windows(2).map(cell).collect(),
            known: inside.requests.iter().any(|request| of(&request)),
            method: Method::Cells,
            freshness: Freshness { as_of_micros: inside.as_of_micros },
        })
    }

    async fn table(&self, query: &TableQuery) -> Result<Table, ReadError> {
        self.inside().asked.push(Asked::Table(query.clone()));
        self.pass_gate().await;
        let inside = self.checked()?;
        let mut cells = BTreeMap::<&str, (Cell, i64)>::new();
        for request in &inside.requests {
            let row = cells.entry(&request.customer).or_insert((Cell::default(), i64::MIN));
            row.1 = row.1.max(request.second);
            if (query.range.from_second..query.range.to_second).contains(&request.second) {
                row.0.observe(request.status, request.latency_micros);
            }
        }
        let rows =
            cells.into_iter().filter(|(_, (cell, _))| !cell.is_empty()).map(|(id, (mut cell, seen))| {
                cell.settle();
                TableRow {
                    id: id.to_owned(),
                    last_seen_second: seen,
                    measures: cell.measures(&query.percentiles),
                }
            });
        let freshness = Freshness { as_of_micros: inside.as_of_micros };
        let rows: Vec<TableRow> = rows.collect();
        let is_new = |row: &&TableRow| {
            let mut of_it = inside.requests.iter().filter(|request| request.customer == row.id);
            of_it.all(|request| request.second >= query.range.from_second)
        };
        let newcomers = query.newcomers.then(|| rows.iter().filter(is_new).count() as u64);
        Ok(Table { rows, newcomers, method: Method::Cells, freshness })
    }

    async fn requests(&self, query: &RequestsQuery) -> Result<RequestsPage, ReadError> {
        self.inside().asked.push(Asked::Requests(query.clone()));
        self.pass_gate().await;
        let inside = self.checked()?;
        let of = |request: &&Request| request.customer == query.customer;
        let mut rows: Vec<RawRow> = inside
            .requests
            .iter()
            .enumerate()
            .filter(|(_, request)| of(request))
            .filter(|(_, request)| (query.range.from_second..query.range.to_second).contains(&request.second))
            .map(|(place, request)| RawRow {
                time_nanos: request.second * 1_000_000_000 + i64::try_from(place).expect("few"),
                status: request.status,
                latency_micros: request.latency_micros,
                path: Some(request.path.to_owned()),
            })
            .filter(|row| query.filter.takes(row))
            .filter(|row| query.after.is_none_or(|after| row.time_nanos < after.time_nanos))
            .collect();
        rows.sort_unstable_by(|a, b| b.cmp(a));
        let more = rows.len() > query.limit;
        rows.truncate(query.limit);
        let next =
            rows.last().filter(|_| more).map(|row| RequestPlace { time_nanos: row.time_nanos, given: 1 });
        Ok(RequestsPage {
            next,
            requests: rows,
            covered: query.range,
            known: inside.requests.iter().any(|request| of(&request)),
            freshness: Freshness { as_of_micros: inside.as_of_micros },
        })
    }

    async fn paths(&self, query: &PathsQuery) -> Result<Paths, ReadError> {
        self.inside().asked.push(Asked::Paths(query.clone()));
        self.pass_gate().await;
        let inside = self.checked()?;
        let mut cells = BTreeMap::<Option<String>, Cell>::new();
        let of = |request: &&Request| request.customer == query.customer;
        for request in inside.requests.iter().filter(of) {
            if (query.range.from_second..query.range.to_second).contains(&request.second) {
                let cell = cells.entry(Some(request.path.to_owned())).or_default();
                cell.observe(request.status, request.latency_micros);
            }
        }
        Ok(Paths {
            paths: cells.into_iter().map(|(path, cell)| (path, cell.measures(&query.percentiles))).collect(),
            other: Cell::default().measures(&query.percentiles),
            covered: query.range,
            known: inside.requests.iter().any(|request| of(&request)),
            freshness: Freshness { as_of_micros: inside.as_of_micros },
        })
    }

    fn renews_tables(&self) -> bool {
        true
    }

    fn describe(&self) -> String {
        "memory".to_owned()
    }
}
