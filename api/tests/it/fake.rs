//! A store in memory: counts the requests it was given with the same arithmetic as the real ones, and remembers what it was asked.
//! It can be away, slow, or panic.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use stats::{Cell, TimeRange, day_of};
use store::{
    CustomerRow, CustomersPage, CustomersQuery, DataVersion, DayStats, Freshness, Method, ReadError, Stats,
    StatsQuery, StatsStore,
};
use tokio::sync::Semaphore;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    Stats(StatsQuery),
    Customers(CustomersQuery),
}

struct Request {
    customer: String,
    second: i64,
    status: u16,
    latency_micros: Option<u64>,
}

struct Inside {
    requests: Vec<Request>,
    version: u64,
    exact: bool,
    as_of_micros: Option<i64>,
    error: Option<ReadError>,
    panics: bool,
    asked: Vec<Asked>,
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
        let second = chrono::DateTime::parse_from_rfc3339(time).expect(time).timestamp();
        let mut inside = self.inside();
        let latency_micros = latency_micros.into();
        inside.requests.push(Request { customer: customer.to_owned(), second, status, latency_micros });
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
        let inside = self.checked()?;
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

    fn describe(&self) -> String {
        "memory".to_owned()
    }
}
