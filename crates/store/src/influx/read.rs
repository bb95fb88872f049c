//! The side that answers, one question per answer: from the statistics that processors publish, and where these do not hold everything, from the raw requests. Of those the storage engine counts
//! what it can; latencies come as they are, and are counted here by the same histogram as in the ledger, so that all give equal answers to the last digit. Never a part of both: nothing can be
//! counted twice. Nothing here knows HTTP or CSV.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use logline::LATENCY_MAX_MICROS;
use stats::TimeRange;

use super::config::{ConfigError, InfluxConfig};
use super::csv::{AnswerError, Row};
use super::days::Days;
use super::flux::{self, Params};
use super::heartbeats::{CellsState, Heartbeats, Said};
use super::http::Http;
use super::query::{AskError, ask};
use super::questions::params_of;
use super::registry::has_requests;
use super::schema::requests;
use crate::{
    Cells, CellsQuery, CustomerRow, CustomersPage, CustomersQuery, DataVersion, Freshness, Method, Paths,
    PathsQuery, ReadError, RequestsPage, RequestsQuery, Stats, StatsQuery, StatsStore, Table, TableQuery,
};

/// InfluxDB 2 as the api sees it.
#[derive(Clone)]
pub struct InfluxStats {
    http: Http,
    org: String,
    bucket: String,
    url: String,
    retention: Option<Duration>,
    pub(super) scripts: Arc<Scripts>,
    clock: Arc<dyn Fn() -> SystemTime + Send + Sync>,
    /// What processors last said, and when it was read: true of every answer that is asked for after it.
    last_said: Arc<Mutex<Option<(SystemTime, Said)>>>,
    /// The sources that have requests, and when they were looked up. Locked while they are: one looks, the others wait for it.
    sources: Arc<tokio::sync::Mutex<Option<LookedUp>>>,
    raw_questions: Arc<AtomicU64>,
}

/// Names, and when they were looked up.
type LookedUp = (SystemTime, BTreeSet<String>);

#[derive(Debug)]
pub(super) struct Scripts {
    one_customer: String,
    all_customers: String,
    customers: String,
    /// By the number of runs of windows, from one.
    pub(super) cells_of_one: [String; 3],
    pub(super) cells_of_all: [String; 3],
    pub(super) table_of_cells: [String; 3],
    customers_of_days: String,
    sources: String,
    freshness: String,
    pub(super) points_of_one: String,
    pub(super) points_of_all: String,
    pub(super) table: String,
    /// Of one customer, and of anybody.
    pub(super) known: [String; 2],
    pub(super) in_days: [String; 2],
    pub(super) raw: String,
    /// By windows, and by points.
    pub(super) customers_by: [String; 2],
}

/// How long a freshness may serve for further answers: it is true of them, only older than it need be.
const FRESHNESS_KEPT: Duration = Duration::from_millis(500);
/// How often it is looked up which sources have requests: one that no processor speaks for has no statistics, so answers must be made from the requests.
const SOURCES_KEPT: Duration = Duration::from_secs(60);
/// How long answers hold that are made from statistics, which processors publish once a second; those made from requests cost more, and hold a second.
const CELLS_VERSION_MILLIS: u128 = 250;

impl InfluxStats {
    /// Answers from the InfluxDB in `config`. Asks nothing yet. Errors name the setting that cannot work.
    pub fn new(config: &InfluxConfig) -> Result<InfluxStats, ConfigError> {
        InfluxStats::with_clock(config, SystemTime::now)
    }

    /// The same with a clock from outside.
    pub fn with_clock(
        config: &InfluxConfig,
        clock: impl Fn() -> SystemTime + Send + Sync + 'static,
    ) -> Result<InfluxStats, ConfigError> {
        if config.write_only {
            return Err(ConfigError::WriteOnly { url: config.url.to_string() });
        }
        Ok(InfluxStats {
            http: Http::new(config)?,
            org: config.org.clone(),
            bucket: config.bucket.clone(),
            url: config.url.to_string(),
            retention: config.retention,
            scripts: Arc::new(Scripts {
                one_customer: flux::stats_script(true),
                all_customers: flux::stats_script(false),
                customers: flux::customers_script(),
                cells_of_one: [1, 2, 3].map(|runs| flux::cells_script(runs, true)),
                cells_of_all: [1, 2, 3].map(|runs| flux::cells_script(runs, false)),
                table_of_cells: [1, 2, 3].map(flux::table_of_cells_script),
                customers_of_days: flux::customers_of_days_script(),
                sources: flux::sources_script(),
                freshness: flux::freshness_script(),
                points_of_one: flux::points_script(true),
                points_of_all: flux::points_script(false),
                table: flux::table_script(),
                known: [true, false].map(flux::known_script),
                in_days: [true, false].map(flux::known_of_days_script),
                raw: flux::raw_script(),
                customers_by: [flux::customers_before_script(), flux::customers_of_points_script()],
            }),
            clock: Arc::new(clock),
            last_said: Arc::default(),
            sources: Arc::default(),
            raw_questions: Arc::default(),
        })
    }

    pub(super) async fn ask(
        &self,
        script: &str,
        params: Params,
        on_row: impl FnMut(&Row<'_>) -> Result<(), AnswerError>,
    ) -> Result<(), AskError> {
        ask(&self.http, &self.org, script, params.text("bucket", &self.bucket), on_row).await
    }

    /// The bucket may keep more than the retention, and drops by shards of some days; what is older is not counted all the same, as in the embedded store.
    pub(super) fn first_kept_second(&self) -> i64 {
        let since = (self.clock)().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        stats::first_kept_second(i64::try_from(since.as_secs()).unwrap_or(i64::MAX), self.retention)
    }

    /// The first day whose statistics count.
    pub(super) fn first_day_second(&self, state: CellsState) -> i64 {
        let days_from = state.days_from_second;
        self.first_kept_second().max(if days_from > 0 { days_from } else { i64::MIN })
    }

    async fn ask_said(&self) -> Result<Said, ReadError> {
        let asked = (self.clock)();
        let mut heartbeats = Heartbeats::default();
        let params = Params::default().every_second();
        self.ask(&self.scripts.freshness, params, |row| heartbeats.take(row)).await?;
        let before = self.last_said().map(|(_, said)| said);
        let mut said = Said { requests: heartbeats.freshness(), cells: heartbeats.cells(before) };
        if said.cells.is_some() || heartbeats.is_empty() {
            let spoken_for = self.all_are_spoken_for(&heartbeats).await?;
            // Where nothing is stored there is nothing to look through.
            said.cells =
                said.cells.or(heartbeats.is_empty().then_some(CellsState::NOTHING)).filter(|_| spoken_for);
        }
        *self.last_said.lock().unwrap_or_else(PoisonError::into_inner) = Some((asked, said));
        Ok(said)
    }

    /// What was said before this moment. It must not be read after the requests or statistics, nor along with them: a batch could be stored in between, and the
    /// answer would claim lines that it does not have.
    pub(super) async fn said_before_now(&self) -> Result<Said, ReadError> {
        match self.last_said() {
            Some((asked, said)) if self.is_younger(asked, FRESHNESS_KEPT) => Ok(said),
            _ => self.ask_said().await,
        }
    }

    /// As [`InfluxStats::said_before_now`], of the requests.
    pub(super) async fn freshness_before_now(&self) -> Result<Freshness, ReadError> {
        Ok(self.said_before_now().await?.requests)
    }

    fn last_said(&self) -> Option<(SystemTime, Said)> {
        *self.last_said.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_younger(&self, then: SystemTime, age: Duration) -> bool {
        (self.clock)().duration_since(then).is_ok_and(|past| past <= age)
    }

    /// Whether every source that has requests has a processor's word.
    async fn all_are_spoken_for(&self, heartbeats: &Heartbeats) -> Result<bool, ReadError> {
        let mut sources = self.sources.lock().await;
        let kept = |found: &BTreeSet<String>| if found.is_empty() { FRESHNESS_KEPT } else { SOURCES_KEPT };
        if sources.as_ref().is_none_or(|(looked, found)| !self.is_younger(*looked, kept(found))) {
            let looked = (self.clock)();
            let mut found = BTreeSet::new();
            self.ask(&self.scripts.sources, Params::default().every_second(), |row| {
                found.insert(row.require("_value")?.to_owned());
                Ok(())
            })
            .await?;
            let main = requests::MAIN_SOURCE;
            // Its requests carry no name that could be looked up.
            if !heartbeats.sources().any(|source| source == main)
                && has_requests(&self.http, &self.org, &self.bucket, main).await?
            {
                found.insert(main.to_owned());
            }
            *sources = Some((looked, found));
        }
        let (_, found) = sources.as_ref().expect("just looked up");
        Ok(found.iter().all(|found| heartbeats.sources().any(|source| source == found)))
    }

    /// Notes that an answer is made from the single requests.
    pub(super) fn made_from_requests(&self) {
        self.raw_questions.fetch_add(1, Ordering::Relaxed);
    }

    /// Statistics from the cells of the windows that tile the range.
    async fn stats_of_cells(&self, query: &StatsQuery, state: CellsState) -> Result<Stats, ReadError> {
        let range = flux::reachable(query.range).unwrap_or(TimeRange { from_second: 0, to_second: 0 });
        let (runs, covered) = range.tile(state.quarters_from_second);
        let mut days = Days::default();
        if !runs.is_empty() {
            let params = params_of(&runs);
            let (script, params) = match &query.customer {
                Some(id) => (&self.scripts.cells_of_one[runs.len() - 1], params.text("customer", id)),
                None => (&self.scripts.cells_of_all[runs.len() - 1], params),
            };
            self.ask(script, params, |row| days.take_cell(row)).await?;
        }
        let (total, daily) = days.summaries();
        // What InfluxDB cannot reach has no windows: it is covered, by nothing.
        let covered = if range == query.range { covered } else { query.range };
        Ok(Stats { total, daily, covered, method: Method::Cells, freshness: state.freshness })
    }

    /// Statistics from every single request of the range.
    async fn stats_of_requests(&self, query: &StatsQuery, freshness: Freshness) -> Result<Stats, ReadError> {
        let mut days = Days::default();
        // An empty range is an error in Flux and holds nothing.
        if let Some(range) = flux::reachable(query.range) {
            let params = Params::default().second("start", range.from_second).second("stop", range.to_second);
            let (script, params) = match &query.customer {
                Some(id) => (&self.scripts.one_customer, params.text("customer", id)),
                None => (&self.scripts.all_customers, params),
            };
            self.made_from_requests();
            self.ask(script, params, |row| days.take(row)).await?;
        }
        let (total, daily) = days.summaries();
        Ok(Stats { total, daily, covered: query.range, method: Method::Raw, freshness })
    }
}

impl StatsStore for InfluxStats {
    /// The clock: InfluxDB has no number that grows with every write.
    async fn version(&self) -> Result<DataVersion, ReadError> {
        let since = (self.clock)().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let holds = self.last_said().is_some_and(|(_, said)| said.cells.is_some());
        let unit = if holds { CELLS_VERSION_MILLIS } else { 1000 };
        Ok(DataVersion(u64::try_from(since.as_millis() / unit).unwrap_or(u64::MAX)))
    }

    async fn version_with_freshness(&self) -> Result<(DataVersion, Freshness), ReadError> {
        Ok((self.version().await?, Freshness::default()))
    }

    async fn freshness(&self) -> Result<Freshness, ReadError> {
        let said = self.ask_said().await?;
        Ok(said.cells.map_or(said.requests, |cells| cells.freshness))
    }

    async fn stats(&self, query: &StatsQuery) -> Result<Stats, ReadError> {
        let said = self.said_before_now().await?;
        match said.cells {
            // What the bucket is about to drop has no statistics any more; the requests that are left of it can be counted.
            Some(state) if query.range.from_second.max(0) >= state.days_from_second => {
                self.stats_of_cells(query, state).await
            }
            _ => self.stats_of_requests(query, said.requests).await,
        }
    }

    fn raw_questions(&self) -> u64 {
        self.raw_questions.load(Ordering::Relaxed)
    }

    fn keeps_minutes(&self) -> bool {
        false
    }

    async fn customers(&self, query: &CustomersQuery) -> Result<CustomersPage, ReadError> {
        let said = self.said_before_now().await?;
        let mut found: BTreeMap<String, (u64, i64)> = BTreeMap::new();
        let start = said.cells.map_or(self.first_kept_second(), |state| self.first_day_second(state));
        let params = Params::default().second("start", start).second("stop", i64::MAX);
        let (script, freshness) = match said.cells {
            Some(state) => (&self.scripts.customers_of_days, state.freshness),
            None => {
                self.made_from_requests();
                (&self.scripts.customers, said.requests)
            }
        };
        self.ask(script, params, |row| {
            let id = row.require(requests::CUSTOMER_ID)?;
            if query.after.as_deref().is_some_and(|after| id <= after) {
                return Ok(());
            }
            let entry = match found.get_mut(id) {
                Some(entry) => entry,
                None => found.entry(id.to_owned()).or_insert((0, i64::MIN)),
            };
            match row.result() {
                flux::REQUESTS => entry.0 += row.parse::<u64>("_value")?,
                _ if said.cells.is_some() => entry.1 = entry.1.max(row.parse("_value")?),
                _ => entry.1 = entry.1.max(row.time("_time")?.0),
            }
            Ok(())
        })
        .await?;
        // Stored between the two halves of the question: not complete, so not yet here.
        found.retain(|_, (requests, last_seen)| *requests > 0 && *last_seen != i64::MIN);
        let more = found.len() > query.limit;
        let customers = found
            .into_iter()
            .take(query.limit)
            .map(|(id, (requests, last_seen_second))| CustomerRow { id, requests, last_seen_second })
            .collect();
        Ok(CustomersPage { customers, more, freshness })
    }

    async fn cells(&self, query: &CellsQuery) -> Result<Cells, ReadError> {
        self.read_cells(query).await
    }

    async fn table(&self, query: &TableQuery) -> Result<Table, ReadError> {
        self.read_table(query).await
    }

    async fn requests(&self, query: &RequestsQuery) -> Result<RequestsPage, ReadError> {
        self.read_requests(query).await
    }

    async fn paths(&self, query: &PathsQuery) -> Result<Paths, ReadError> {
        self.read_paths(query).await
    }

    fn describe(&self) -> String {
        format!("influxdb {}", self.url)
    }
}

impl fmt::Debug for InfluxStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InfluxStats")
            .field("url", &self.url)
            .field("bucket", &self.bucket)
            .finish_non_exhaustive()
    }
}

/// A stored duration as the whole microseconds that it was made from.
pub(super) fn micros(seconds: f64) -> Result<u64, AnswerError> {
    let micros = (seconds * 1e6).round();
    #[expect(clippy::cast_precision_loss, reason = "a day in microseconds is below 2^53")]
    let longest = LATENCY_MAX_MICROS as f64;
    if !(0.0..=longest).contains(&micros) {
        return Err(AnswerError::Malformed(format!("a stored duration of {seconds} seconds")));
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole, from 0 to a day")]
    let micros = micros as u64;
    Ok(micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_durations_are_the_microseconds_they_were_made_from() {
        for (seconds, expected) in [
            (0.0, 0),
            (0.000_001, 1),
            (0.772, 772_000),
            (1.027_499_999_999_999_9, 1_027_500),
            (86_400.0, 86_400_000_000),
            (86_399.999_999, 86_399_999_999),
        ] {
            assert_eq!(micros(seconds), Ok(expected), "{seconds}");
        }
        for seconds in [-0.1, f64::NAN, f64::INFINITY, 86_401.0] {
            assert!(micros(seconds).is_err(), "{seconds}");
        }
    }

    #[test]
    fn every_microsecond_comes_back_as_itself() {
        for micros_in in (0..LATENCY_MAX_MICROS).step_by(7_777_777).chain(0..50_000) {
            let text = format!("{}.{:06}", micros_in / 1_000_000, micros_in % 1_000_000);
            assert_eq!(micros(text.parse().expect("a number")), Ok(micros_in));
        }
    }
}
