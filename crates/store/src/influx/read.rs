//! The side that answers: statistics from the raw requests, one question per answer. What the storage engine can count it counts; latencies come as they are, and
//! are counted here by the same histogram as in the ledger, so that both stores give equal answers to the last digit. Nothing here knows HTTP or CSV.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use logline::LATENCY_MAX_MICROS;
use stats::{Cell, SECONDS_PER_DAY};

use super::config::{ConfigError, InfluxConfig};
use super::csv::{AnswerError, Row};
use super::flux::{self, Params};
use super::http::Http;
use super::query::{AskError, ask};
use super::schema::{processors, requests};
use crate::{
    CustomerRow, CustomersPage, CustomersQuery, DataVersion, DayStats, Freshness, Method, ReadError, Stats,
    StatsQuery, StatsStore,
};

/// InfluxDB 2 as the api sees it.
#[derive(Clone)]
pub struct InfluxStats {
    http: Http,
    org: String,
    bucket: String,
    url: String,
    retention: Option<Duration>,
    scripts: Arc<Scripts>,
    clock: Arc<dyn Fn() -> SystemTime + Send + Sync>,
    /// The freshness that was last read, and when: true of every answer that is asked for after it.
    last_freshness: Arc<Mutex<Option<(SystemTime, Freshness)>>>,
}

#[derive(Debug)]
struct Scripts {
    one_customer: String,
    all_customers: String,
    customers: String,
    freshness: String,
}

/// How long a freshness may serve for further answers: it is true of them, only older than it need be.
const FRESHNESS_KEPT: Duration = Duration::from_millis(500);

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
                freshness: flux::freshness_script(),
            }),
            clock: Arc::new(clock),
            last_freshness: Arc::default(),
        })
    }

    async fn ask(
        &self,
        script: &str,
        params: Params,
        on_row: impl FnMut(&Row<'_>) -> Result<(), AnswerError>,
    ) -> Result<(), AskError> {
        ask(&self.http, &self.org, script, params.text("bucket", &self.bucket), on_row).await
    }

    /// The bucket may keep more than the retention, and drops by shards of some days; what is older is not counted all the same, as in the embedded store.
    fn first_kept_second(&self) -> i64 {
        let since = (self.clock)().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        stats::first_kept_second(i64::try_from(since.as_secs()).unwrap_or(i64::MAX), self.retention)
    }

    async fn ask_freshness(&self) -> Result<Freshness, ReadError> {
        let asked = (self.clock)();
        let mut heartbeats = Heartbeats::default();
        let params = Params::default().every_second();
        self.ask(&self.scripts.freshness, params, |row| heartbeats.take(row)).await?;
        let freshness = heartbeats.freshness();
        *self.last_freshness.lock().unwrap_or_else(PoisonError::into_inner) = Some((asked, freshness));
        Ok(freshness)
    }

    /// A freshness that was read before this moment. It must not be read after the requests, nor along with them: a batch could be stored in between, and the
    /// answer would claim lines that it does not have.
    async fn freshness_before_now(&self) -> Result<Freshness, ReadError> {
        let last = *self.last_freshness.lock().unwrap_or_else(PoisonError::into_inner);
        let now = (self.clock)();
        match last {
            Some((asked, freshness)) if now.duration_since(asked).is_ok_and(|age| age <= FRESHNESS_KEPT) => {
                Ok(freshness)
            }
            _ => self.ask_freshness().await,
        }
    }
}

impl StatsStore for InfluxStats {
    /// The clock's whole second: InfluxDB has no number that grows with every write.
    async fn version(&self) -> Result<DataVersion, ReadError> {
        let since = (self.clock)().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Ok(DataVersion(since.as_secs()))
    }

    async fn version_with_freshness(&self) -> Result<(DataVersion, Freshness), ReadError> {
        Ok((self.version().await?, Freshness::default()))
    }

    async fn freshness(&self) -> Result<Freshness, ReadError> {
        self.ask_freshness().await
    }

    async fn stats(&self, query: &StatsQuery) -> Result<Stats, ReadError> {
        let freshness = self.freshness_before_now().await?;
        let mut days = Days::default();
        // An empty range is an error in Flux and holds nothing.
        if let Some(range) = flux::reachable(query.range) {
            let params = Params::default().second("start", range.from_second).second("stop", range.to_second);
            let (script, params) = match &query.customer {
                Some(id) => (&self.scripts.one_customer, params.text("customer", id)),
                None => (&self.scripts.all_customers, params),
            };
            self.ask(script, params, |row| days.take(row)).await?;
        }
        let (total, daily) = days.summaries();
        Ok(Stats { total, daily, covered: query.range, method: Method::Raw, freshness })
    }

    async fn customers(&self, query: &CustomersQuery) -> Result<CustomersPage, ReadError> {
        let freshness = self.freshness_before_now().await?;
        let mut found: BTreeMap<String, (u64, i64)> = BTreeMap::new();
        let params = Params::default().second("start", self.first_kept_second()).second("stop", i64::MAX);
        self.ask(&self.scripts.customers, params, |row| {
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

/// Days in the making: the counts and latencies of an answer's rows, which come in any order.
#[derive(Debug, Default)]
struct Days {
    /// By the day's first second. The status classes of these cells are not asked for, and not shown.
    cells: BTreeMap<i64, Cell>,
    /// The day of the last row and its date as text: rows of a day follow each other.
    last_date: (String, i64),
}

impl Days {
    fn take(&mut self, row: &Row<'_>) -> Result<(), AnswerError> {
        let day = self.day_of(row)?;
        let cell = self.cells.entry(day).or_default();
        if row.result() == flux::REQUESTS {
            let count: u64 = row.parse("_value")?;
            cell.requests += count;
            if row.require(requests::SUCCESS)? == requests::SUCCEEDED {
                cell.successes += count;
            }
        } else {
            let micros = micros(row.parse("_value")?)?;
            cell.latency_sum_micros = cell.latency_sum_micros.saturating_add(micros);
            cell.latency_max_micros = cell.latency_max_micros.max(micros);
            cell.histogram.observe(micros);
        }
        Ok(())
    }

    /// The first second of the day of a row's `_time`, which is RFC 3339 in UTC.
    fn day_of(&mut self, row: &Row<'_>) -> Result<i64, AnswerError> {
        const DATE_LENGTH: usize = "2024-09-14".len();
        let date = row.require("_time")?.get(..DATE_LENGTH).unwrap_or_default();
        if date != self.last_date.0 {
            let day = date
                .parse::<chrono::NaiveDate>()
                .map_err(|_| AnswerError::Malformed(format!("a row at {date:?}")))?;
            let since = day.signed_duration_since(chrono::NaiveDate::default()).num_days();
            self.last_date = (date.to_owned(), since * SECONDS_PER_DAY);
        }
        Ok(self.last_date.1)
    }

    /// The whole range, and each day with requests.
    fn summaries(self) -> (stats::Summary, Vec<DayStats>) {
        let mut total = Cell::default();
        let mut daily = Vec::new();
        for (day_second, mut cell) in self.cells {
            cell.settle();
            // A latency whose request was stored between the two halves of the question is not counted yet.
            if cell.requests > 0 {
                total.merge(&cell);
                daily.push(DayStats { day_second, summary: cell.summary() });
            }
        }
        (total.summary(), daily)
    }
}

/// A stored duration as the whole microseconds that it was made from.
fn micros(seconds: f64) -> Result<u64, AnswerError> {
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

/// The last heartbeats of all sources.
#[derive(Debug, Default)]
struct Heartbeats {
    by_source: BTreeMap<String, Heartbeat>,
}

#[derive(Debug, Default)]
struct Heartbeat {
    at_micros: Option<i64>,
    as_of_micros: Option<i64>,
}

impl Heartbeats {
    fn take(&mut self, row: &Row<'_>) -> Result<(), AnswerError> {
        let heartbeat = self.by_source.entry(row.require(processors::SOURCE)?.to_owned()).or_default();
        match row.require("_field")? {
            processors::HEARTBEAT_US => heartbeat.at_micros = Some(row.parse("_value")?),
            _ => heartbeat.as_of_micros = Some(row.parse("_value")?),
        }
        Ok(())
    }

    /// The least of the sources that were alive on the last day that any was: a log that was given up long ago holds nothing back, and after a long stop the answer is
    /// still the instant of the stop.
    fn freshness(&self) -> Freshness {
        const DAY_MICROS: i64 = SECONDS_PER_DAY * 1_000_000;
        let newest =
            self.by_source.values().filter_map(|heartbeat| heartbeat.at_micros).max().unwrap_or(i64::MIN);
        let alive = self.by_source.values().filter(|heartbeat| {
            heartbeat.at_micros.is_some_and(|at| at >= newest.saturating_sub(DAY_MICROS))
        });
        let as_of: Option<Vec<i64>> = alive
            .map(|heartbeat| heartbeat.as_of_micros.filter(|as_of| *as_of != processors::AS_OF_UNKNOWN))
            .collect();
        // A source that cannot say yet leaves all of it unsaid.
        Freshness { as_of_micros: as_of.and_then(|as_of| as_of.into_iter().min()) }
    }
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

    #[test]
    fn freshness_is_the_least_of_the_sources_of_the_last_day() {
        const HOUR: i64 = 3_600_000_000;
        let check = |sources: &[(i64, Option<i64>)], expected: Option<i64>| {
            let mut heartbeats = Heartbeats::default();
            for (index, (at, as_of)) in sources.iter().enumerate() {
                let heartbeat = Heartbeat { at_micros: Some(*at), as_of_micros: *as_of };
                heartbeats.by_source.insert(index.to_string(), heartbeat);
            }
            assert_eq!(heartbeats.freshness().as_of_micros, expected, "{sources:?}");
        };
        check(&[], None);
        check(&[(50 * HOUR, Some(49 * HOUR))], Some(49 * HOUR));
        check(&[(50 * HOUR, Some(49 * HOUR)), (40 * HOUR, Some(39 * HOUR))], Some(39 * HOUR));
        check(&[(50 * HOUR, Some(49 * HOUR)), (20 * HOUR, Some(19 * HOUR))], Some(49 * HOUR));
        check(&[(50 * HOUR, Some(49 * HOUR)), (50 * HOUR, Some(processors::AS_OF_UNKNOWN))], None);
        check(&[(50 * HOUR, None)], None);
    }
}
