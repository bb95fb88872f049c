//! What an answer costs by the number of requests and of customers: stores made of cells, asked through the api as shipped, over HTTP, one question at a time. No figure when the api does not
//! count what was put in, or does not answer from the statistics.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, ensure};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use stats::SECONDS_PER_DAY;
use store::influx::testing::{Options, RealInflux};

use crate::cells::{DAYS, Spread};
use crate::made;
use crate::program::Store;
use crate::run::Bench;
use crate::shipped::{Answer, Api};
use crate::table;

/// The ranges that the api makes tables of beforehand.
const USUAL: [&str; 4] = ["-1h", "-24h", "-7d", "-30d"];
/// Tables of other ranges: each begins a day later than the one before it, so none can be made of what was read for another.
const OTHERS: i64 = 3;
/// Of more customers not every row is looked at, but the number of rows, and the sum of all.
const ROWS_LOOKED_AT: u64 = 10_000;
const PAGE_ROWS: u64 = 1_000;

/// Times of one kind of question, in milliseconds.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Times {
    /// How often it was asked.
    pub asked: usize,
    /// Median.
    pub p50_millis: f64,
    /// 99th percentile, by nearest rank: the greatest of up to a hundred.
    pub p99_millis: f64,
}

impl Times {
    fn of(mut millis: Vec<f64>) -> Self {
        millis.sort_by(f64::total_cmp);
        let rank = |part: usize| (millis.len() * part).div_ceil(100).saturating_sub(1);
        let at = |part| millis.get(rank(part)).copied().unwrap_or(f64::NAN);
        Self { asked: millis.len(), p50_millis: at(50), p99_millis: at(99) }
    }
}

/// A store of one size.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Size {
    /// `embedded` or `influxdb`.
    pub store: String,
    /// Requests in it.
    pub requests: u64,
    /// Customers among whom they were spread.
    pub customers: u64,
    /// How long making it took.
    pub made_seconds: f64,
    /// Bytes on disk.
    pub disk_bytes: Option<u64>,
    /// Days of single customers.
    pub customer_days: u64,
    /// One customer, 30 days: another one each time.
    pub one_customer: Times,
    /// The same again.
    pub one_customer_again: Times,
    /// One customer's month by the hour.
    pub series: Times,
    /// A page of customers of a usual range for the first time, with the waiting for it.
    pub usual_first_millis: f64,
    /// Pages of the usual ranges, by p99.
    pub usual: Times,
    /// Pages of other ranges, by p99.
    pub other: Times,
    /// Greatest memory of the api.
    pub api_peak_rss_bytes: u64,
}

impl Bench {
    pub(crate) fn sizes(&mut self) -> anyhow::Result<()> {
        let program = self.program("api")?;
        for store in self.asked.stores.clone() {
            for customers in self.asked.customers.clone() {
                for requests in self.asked.requests.clone() {
                    table::complain(&format!("{store}: {requests} requests of {customers} customers"));
                    let now = Utc::now().timestamp();
                    let spread = Spread::new(requests, customers, now, self.asked.fault);
                    let size = Making { program: &program, spread, now, questions: self.asked.questions };
                    let size = match store.as_str() {
                        "embedded" => size.embedded()?,
                        _ => size.influx()?,
                    };
                    // One at a time: a long run that is stopped has said what it had.
                    table::complain(&render(std::slice::from_ref(&size)));
                    self.sizes.push(size);
                }
            }
        }
        Ok(())
    }
}

struct Making<'a> {
    program: &'a Path,
    spread: Spread,
    now: i64,
    questions: u32,
}

impl Making<'_> {
    fn embedded(self) -> anyhow::Result<Size> {
        let folder = tempfile::tempdir().context("a temporary folder")?;
        let state = folder.path().join("ledger");
        let begun = Instant::now();
        let customer_days = made::ledger(&self.spread, &state, self.now)?;
        let made_seconds = begun.elapsed().as_secs_f64();
        let disk_bytes = Some(made::bytes_on_disk(&state)?);
        let size =
            Size { store: "embedded".to_owned(), made_seconds, disk_bytes, customer_days, ..Size::default() };
        self.ask(folder.path(), &Store::Embedded { raw_requests: 0 }, size)
    }

    fn influx(self) -> anyhow::Result<Size> {
        let runtime = tokio::runtime::Runtime::new().context("a runtime")?;
        // A server for each: no other bucket's series are in its memory.
        let influx = runtime.block_on(RealInflux::start(Options::default()));
        let config = runtime.block_on(influx.fresh());
        let on_disk = || influx.data_dir().map(made::bytes_on_disk).transpose();
        let (before, begun) = (on_disk()?, Instant::now());
        let customer_days = made::bucket(&self.spread, &runtime, &config, self.now)?;
        let made_seconds = begun.elapsed().as_secs_f64();
        // Without what a server keeps that holds nothing.
        let disk_bytes = on_disk()?.zip(before).map(|(after, before)| after.saturating_sub(before));
        let store = Store::Influx {
            url: influx.url().to_owned(),
            org: influx.org().to_owned(),
            token: influx.token().to_owned(),
            bucket: config.bucket.clone(),
        };
        let folder = tempfile::tempdir().context("a temporary folder")?;
        let size =
            Size { store: "influxdb".to_owned(), made_seconds, disk_bytes, customer_days, ..Size::default() };
        self.ask(folder.path(), &store, size)
    }

    fn ask(&self, folder: &Path, store: &Store, mut size: Size) -> anyhow::Result<Size> {
        let mut api = Api::start(self.program, folder, store)?;
        size.requests = self.spread.requests();
        size.customers = self.spread.asked_customers();
        self.check_sums(&mut api)?;
        (size.one_customer, size.one_customer_again) = self.one_customer(&mut api)?;
        size.series = self.series(&mut api)?;
        (size.usual_first_millis, size.usual) = self.usual_tables(&mut api)?;
        let mut millis = Vec::new();
        for days in 1..=OTHERS {
            let path = format!("/v1/customers?from={}&sort=p99_latency&limit=50", self.day(days));
            let answer = api.answer(&path)?;
            from_cells(&answer)?;
            millis.push(answer.millis);
        }
        size.other = Times::of(millis);
        size.api_peak_rss_bytes = api.peak_rss_bytes()?;
        api.stop()?;
        Ok(size)
    }

    /// A day of the thirty, as the api reads it.
    fn day(&self, days: i64) -> String {
        let second = self.spread.first_day() + days * SECONDS_PER_DAY;
        DateTime::from_timestamp(second, 0).map_or_else(String::new, |day| day.format("%Y-%m-%d").to_string())
    }

    /// The requests of all, by the statistics of all and by the rows of all customers.
    fn check_sums(&self, api: &mut Api) -> anyhow::Result<()> {
        let (from, requests) = (self.day(0), self.spread.requests());
        let all = from_cells(&api.answer(&format!("/v1/stats?from={from}"))?)?;
        equal("requests of all together", number(&all, "total_requests")?, requests)?;
        let (mut cursor, mut rows, mut sum) = (String::new(), 0, 0);
        loop {
            let limit = if self.spread.customers() > ROWS_LOOKED_AT { 1 } else { PAGE_ROWS };
            let page = from_cells(&api.answer(&format!("/v1/customers?from={from}&limit={limit}{cursor}"))?)?;
            equal("customers", number(&page, "total_customers")?, self.spread.customers())?;
            if self.spread.customers() > ROWS_LOOKED_AT {
                return Ok(());
            }
            for row in page["data"].as_array().context("rows")? {
                rows += 1;
                sum += number(row, "total_requests")?;
            }
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        equal("rows of customers", rows, self.spread.customers())?;
        equal("requests of the customers", sum, requests)
    }

    /// Customers to be asked for, each with the day to begin with: different pairs, so that no answer is there already. The first of a customer begins with the first day.
    fn whom(&self, questions: u32) -> impl Iterator<Item = (u32, i64)> {
        let customers = u32::try_from(self.spread.customers()).unwrap_or(u32::MAX);
        let step = (customers / questions).max(1);
        (0..questions).map(move |question| {
            let place = question * step;
            (place % customers, i64::from(place / customers) % (DAYS - 1))
        })
    }

    fn one_customer(&self, api: &mut Api) -> anyhow::Result<(Times, Times)> {
        let mut first = Vec::new();
        for (customer, day) in self.whom(self.questions) {
            let path = format!("/customers/{}/stats?from_date={}", Spread::id(customer), self.day(day));
            let answer = api.answer(&path)?;
            let body = from_cells(&answer)?;
            if day == 0 {
                let requests = number(&body, "total_requests")?;
                equal(
                    &format!("requests of {}", Spread::id(customer)),
                    requests,
                    self.spread.requests_of(customer),
                )?;
            }
            first.push(answer.millis);
        }
        let path = format!("/customers/{}/stats?from_date={}", Spread::id(0), self.day(0));
        api.answer(&path)?;
        let again =
            (0..self.questions).map(|_| Ok(api.answer(&path)?.millis)).collect::<anyhow::Result<_>>()?;
        Ok((Times::of(first), Times::of(again)))
    }

    fn series(&self, api: &mut Api) -> anyhow::Result<Times> {
        let mut millis = Vec::new();
        for (customer, day) in self.whom(self.questions.div_ceil(3)) {
            let id = Spread::id(customer);
            let answer =
                api.answer(&format!("/v1/customers/{id}/series?from={}&granularity=1h", self.day(day)))?;
            let body = from_cells(&answer)?;
            if day == 0 {
                let points = body["data"].as_array().context("points")?;
                let sum = points
                    .iter()
                    .map(|point| number(point, "total_requests"))
                    .sum::<anyhow::Result<u64>>()?;
                equal(&format!("requests in the hours of {id}"), sum, self.spread.requests_of(customer))?;
            }
            millis.push(answer.millis);
        }
        Ok(Times::of(millis))
    }

    /// The slowest first page, then pages of each range in turn, in either order.
    fn usual_tables(&self, api: &mut Api) -> anyhow::Result<(f64, Times)> {
        let (mut first, mut millis) = (0.0_f64, Vec::new());
        for round in 0..=self.questions.div_ceil(12) {
            for range in USUAL {
                let order = if round % 2 == 0 { "desc" } else { "asc" };
                let path = format!("/v1/customers?from={range}&sort=p99_latency&order={order}&limit=50");
                let answer = api.answer(&path)?;
                from_cells(&answer)?;
                if round == 0 {
                    first = first.max(answer.millis);
                } else {
                    millis.push(answer.millis);
                }
            }
        }
        Ok((first, Times::of(millis)))
    }
}

/// An answer that was made from the statistics.
fn from_cells(answer: &Answer) -> anyhow::Result<Value> {
    let body: Value = serde_json::from_slice(&answer.body).context("an answer in JSON")?;
    let method = &body["method"];
    ensure!(method == "cells", "an answer was not made from the statistics: its method is {method}");
    Ok(body)
}

fn number(body: &Value, name: &str) -> anyhow::Result<u64> {
    body[name].as_u64().with_context(|| format!("{name} in {body}"))
}

fn equal(what: &str, found: u64, expected: u64) -> anyhow::Result<()> {
    ensure!(found == expected, "{what}: {found} instead of {expected}");
    Ok(())
}

/// The sizes as a table in Markdown.
pub fn render(sizes: &[Size]) -> String {
    let mut text = "| store | requests | customers | made in | on disk | a customer-day | one customer, 30 days | the same again | by the hour | usual ranges, first | usual ranges | another range | api peak |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n".to_owned();
    let times = |times: &Times| format!("{:.2} / {:.2} ms", times.p50_millis, times.p99_millis);
    for size in sizes {
        let disk = size.disk_bytes.map(|bytes| bytes as f64);
        text.push_str(&format!(
            "| {} | {} | {} | {:.1} s | {} | {} | {} | {} | {} | {:.0} ms | {} | {} | {:.0} MB |\n",
            size.store,
            table::thousands(size.requests as f64),
            table::thousands(size.customers as f64),
            size.made_seconds,
            disk.map_or("–".to_owned(), |bytes| format!("{:.1} MB", bytes / 1e6)),
            disk.map_or("–".to_owned(), |bytes| format!(
                "{:.0} B",
                bytes / size.customer_days.max(1) as f64
            )),
            times(&size.one_customer),
            times(&size.one_customer_again),
            times(&size.series),
            size.usual_first_millis,
            times(&size.usual),
            times(&size.other),
            size.api_peak_rss_bytes as f64 / 1e6,
        ));
    }
    text.push_str("\nMedian / p99. Made of cells, not of lines. Wanted (p99): one customer < 5 ms embedded, < 25 ms InfluxDB, < 1 ms again; usual ranges < 50 ms; another range of 10,000 customers < 300 ms embedded, < 2 s InfluxDB.");
    text
}

/// A program as shipped.
impl Bench {
    pub(crate) fn program(&self, name: &str) -> anyhow::Result<PathBuf> {
        let folder = match &self.asked.programs {
            Some(folder) => folder.clone(),
            None => std::env::current_exe()?.parent().context("a folder")?.to_owned(),
        };
        let path = folder.join(name);
        ensure!(
            path.is_file(),
            "there is no {name} in {}: cargo build --release, or --programs FOLDER",
            folder.display()
        );
        Ok(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_is_not_made_from_the_statistics_is_refused() {
        let answer = |body: &str| Answer { status: 200, body: body.into(), millis: 1.0 };
        assert!(from_cells(&answer(r#"{"method":"cells"}"#)).is_ok());
        for body in [r#"{"method":"raw"}"#, "{}", "cells"] {
            assert!(from_cells(&answer(body)).is_err(), "{body}");
        }
    }

    #[test]
    fn times_are_of_the_nearest_rank() {
        let times = Times::of((1..=200).rev().map(f64::from).collect());
        assert_eq!((times.asked, times.p50_millis, times.p99_millis), (200, 100.0, 198.0));
        let one = Times::of(vec![7.0]);
        assert_eq!((one.p50_millis, one.p99_millis), (7.0, 7.0));
    }
}
