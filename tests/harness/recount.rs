//! An independent recount of log files: reads every line, keeps every value, sorts, and works the figures out by their definitions. Slow and plain on
//! purpose, and with no code in common with the programs.
//!
//! The definitions: success is a status from 200 to 399; uptime is successes in percent; a quantile q of n sorted values lies at place q * (n - 1),
//! linear between its neighbours; seconds and percents are rounded to 5 decimals. A day is a day of the stamps, UTC.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;

/// One request, as far as it is counted.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Request {
    /// `2024-09-14`: dates of this form are in order as texts are.
    date: [u8; 10],
    success: bool,
    micros: u64,
}

/// The seven figures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figures {
    /// Requests.
    pub total_requests: u64,
    /// Of them with a status from 200 to 399.
    pub successful_requests: u64,
    /// The others.
    pub failed_requests: u64,
    /// Percent.
    pub uptime: f64,
    /// Seconds.
    pub average_latency: f64,
    /// Seconds.
    pub median_latency: f64,
    /// Seconds.
    pub p99_latency: f64,
}

/// What log files hold.
#[derive(Clone, Debug, Default)]
pub struct Recount {
    customers: BTreeMap<String, Vec<Request>>,
    lines: u64,
}

impl Recount {
    /// Of files of which every line is a good one.
    pub fn of_files<P: AsRef<Path>>(paths: impl IntoIterator<Item = P>) -> Recount {
        let mut recount = Recount::default();
        for path in paths {
            let path = path.as_ref();
            let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            recount.add_text(&bytes);
        }
        recount
    }

    /// Of lines of which every one is a good one.
    pub fn of_text(text: &[u8]) -> Recount {
        let mut recount = Recount::default();
        recount.add_text(text);
        recount
    }

    fn add_text(&mut self, text: &[u8]) {
        let text = text.strip_suffix(b"\n").unwrap_or(text);
        if !text.is_empty() {
            text.split(|byte| *byte == b'\n').for_each(|line| self.add_line(line));
        }
    }

    fn add_line(&mut self, line: &[u8]) {
        let text = std::str::from_utf8(line).expect("a good line is UTF-8");
        let text = text.strip_suffix('\r').unwrap_or(text);
        let fields: Vec<&str> = text.split(' ').collect();
        let [date, _time, customer, _path, status, seconds] = fields[..] else {
            panic!("not a good line: {text:?}")
        };
        let status: u16 = status.parse().expect("a good line has a status");
        let request = Request {
            date: date.as_bytes().try_into().expect("a good line begins with a date"),
            success: (200..=399).contains(&status),
            micros: micros(seconds),
        };
        match self.customers.get_mut(customer) {
            Some(requests) => requests.push(request),
            None => drop(self.customers.insert(customer.to_owned(), vec![request])),
        }
        self.lines += 1;
    }

    /// Adds those of more files.
    pub fn add_files<P: AsRef<Path>>(&mut self, paths: impl IntoIterator<Item = P>) {
        for (customer, mut requests) in Recount::of_files(paths).customers {
            self.lines += requests.len() as u64;
            self.customers.entry(customer).or_default().append(&mut requests);
        }
    }

    /// For each customer: requests, successes, and the sum of the latencies in microseconds.
    pub fn sums(&self) -> BTreeMap<String, (u64, u64, u64)> {
        let sum = |requests: &Vec<Request>| {
            let successes = requests.iter().filter(|request| request.success).count() as u64;
            (requests.len() as u64, successes, requests.iter().map(|request| request.micros).sum())
        };
        self.customers.iter().map(|(customer, requests)| (customer.clone(), sum(requests))).collect()
    }

    /// How many lines there are.
    pub fn lines(&self) -> u64 {
        self.lines
    }

    /// All customers, in byte order.
    pub fn customers(&self) -> Vec<&str> {
        self.customers.keys().map(String::as_str).collect()
    }

    /// How many requests a customer has made.
    pub fn requests_of(&self, customer: &str) -> u64 {
        self.customers.get(customer).map_or(0, |requests| requests.len() as u64)
    }

    /// All dates, in order.
    pub fn dates(&self) -> Vec<String> {
        let dates: BTreeSet<[u8; 10]> =
            self.customers.values().flatten().map(|request| request.date).collect();
        dates.into_iter().map(|date| String::from_utf8_lossy(&date).into_owned()).collect()
    }

    /// The figures of a customer (of all together without one) from a date on. None without requests.
    pub fn figures(&self, customer: Option<&str>, from_date: &str) -> Option<Figures> {
        figures(self.chosen(customer, from_date))
    }

    /// The same by day; days without requests are absent.
    pub fn daily(&self, customer: Option<&str>, from_date: &str) -> BTreeMap<String, Figures> {
        let mut days: BTreeMap<[u8; 10], Vec<&Request>> = BTreeMap::new();
        for request in self.chosen(customer, from_date) {
            days.entry(request.date).or_default().push(request);
        }
        let day = |(date, requests): ([u8; 10], Vec<&Request>)| {
            (String::from_utf8_lossy(&date).into_owned(), figures(requests).expect("a day with requests"))
        };
        days.into_iter().map(day).collect()
    }

    fn chosen(&self, customer: Option<&str>, from_date: &str) -> Vec<&Request> {
        let of_whom = self.customers.iter().filter(|(id, _)| customer.is_none_or(|customer| customer == *id));
        let all = of_whom.flat_map(|(_, requests)| requests);
        all.filter(|request| request.date.as_slice() >= from_date.as_bytes()).collect()
    }

    /// Asserts that an answer of the api says the same: figures and days.
    pub fn assert_equal(&self, answer: &Value, customer: Option<&str>, from_date: &str) {
        let whose = format!("customer {customer:?} from {from_date}");
        let expected = self.figures(customer, from_date).unwrap_or_else(|| panic!("{whose} has no data"));
        let told = Figures::of(answer).unwrap_or_else(|| panic!("{whose}: no figures in {answer:#}"));
        assert!(told == expected, "{whose}: expected {expected:?}: {answer:#}");
        let days = answer["daily"].as_array().unwrap_or_else(|| panic!("{whose}: no days in {answer:#}"));
        let days: Vec<(String, Option<Figures>)> = days
            .iter()
            .map(|day| (day["date"].as_str().expect("a day has a date").to_owned(), Figures::of(day)))
            .collect();
        let expected = self.daily(customer, from_date);
        assert_eq!(days.len(), expected.len(), "{whose}: the days of {answer:#}");
        for ((date, told), (expected_date, expected)) in days.iter().zip(&expected) {
            let equal = date == expected_date && told.as_ref() == Some(expected);
            assert!(equal, "{whose}: {date} says {told:?}, expected {expected_date} {expected:?}");
        }
    }
}

impl Figures {
    /// The figures in an answer of the api.
    pub fn of(answer: &Value) -> Option<Figures> {
        Some(Figures {
            total_requests: answer["total_requests"].as_u64()?,
            successful_requests: answer["successful_requests"].as_u64()?,
            failed_requests: answer["failed_requests"].as_u64()?,
            uptime: answer["uptime"].as_f64()?,
            average_latency: answer["average_latency"].as_f64()?,
            median_latency: answer["median_latency"].as_f64()?,
            p99_latency: answer["p99_latency"].as_f64()?,
        })
    }
}

fn figures<'a>(requests: impl IntoIterator<Item = &'a Request>) -> Option<Figures> {
    let mut successes = 0;
    let mut micros = Vec::new();
    for request in requests {
        successes += u64::from(request.success);
        micros.push(request.micros);
    }
    let count = micros.len() as u64;
    if count == 0 {
        return None;
    }
    micros.sort_unstable();
    let sum: u64 = micros.iter().sum();
    Some(Figures {
        total_requests: count,
        successful_requests: successes,
        failed_requests: count - successes,
        uptime: rounded(successes as f64 * 100.0 / count as f64),
        average_latency: rounded(sum as f64 / (count as f64 * 1e6)),
        median_latency: quantile(&micros, 50),
        p99_latency: quantile(&micros, 99),
    })
}

/// The quantile of sorted microseconds, in seconds. In whole hundredths of a microsecond until the last division, so nothing is rounded on the way.
fn quantile(sorted: &[u64], percent: usize) -> f64 {
    let place = (sorted.len() - 1) * percent;
    let (below, rest) = (place / 100, (place % 100) as u64);
    let above = if rest == 0 { below } else { below + 1 };
    let hundredths = sorted[below] * (100 - rest) + sorted[above] * rest;
    rounded(hundredths as f64 / 1e8)
}

/// To 5 decimals.
fn rounded(value: f64) -> f64 {
    format!("{value:.5}").parse().expect("a number")
}

/// Seconds with an optional fraction, as microseconds; a seventh digit rounds half up.
fn micros(seconds: &str) -> u64 {
    let (whole, fraction) = seconds.split_once('.').unwrap_or((seconds, ""));
    let digit = |place: usize| fraction.as_bytes().get(place).map_or(0, |digit| u64::from(digit - b'0'));
    let whole: u64 = whole.parse().expect("a good line ends with seconds");
    let shown = (0..6).fold(whole, |value, place| value * 10 + digit(place));
    shown + u64::from(digit(6) >= 5)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &[u8] = b"2024-09-29 16:15:35 cust_1 /a 200 0.5\n\
        2024-09-29 16:15:36 cust_1 /a 500 1.5\n\
        2024-09-29 16:15:36 cust_2 /a 399 0.25\r\n\
        2024-09-30 00:00:00 cust_1 /a 201 0.7\n\
        2024-09-30 00:00:00 cust_1 /a 302 0.9\n\
        2024-09-30 00:00:00 cust_1 /a 404 0.6\n";

    #[test]
    fn the_figures_are_those_of_a_pocket_calculator() {
        let recount = Recount::of_text(LOG);
        let figures = recount.figures(Some("cust_1"), "1970-01-01").expect("five requests");
        assert_eq!((figures.total_requests, figures.successful_requests, figures.failed_requests), (5, 3, 2));
        assert_eq!((figures.uptime, figures.average_latency, figures.median_latency), (60.0, 0.84, 0.7));
        assert_eq!(figures.p99_latency, 1.476, "0.9 + 0.96 * (1.5 - 0.9)");
        assert_eq!(
            recount.figures(Some("cust_1"), "2024-09-30").map(|figures| figures.total_requests),
            Some(3)
        );
        assert_eq!(recount.figures(Some("cust_2"), "2024-09-30"), None);
        assert_eq!(recount.figures(None, "1970-01-01").map(|figures| figures.median_latency), Some(0.65));
        let days = recount.daily(Some("cust_1"), "1970-01-01");
        assert_eq!(days.keys().collect::<Vec<_>>(), ["2024-09-29", "2024-09-30"]);
        assert_eq!(days["2024-09-29"].average_latency, 1.0);
        assert_eq!((recount.lines(), recount.customers()), (6, vec!["cust_1", "cust_2"]));
    }

    #[test]
    fn seconds_are_exact_microseconds() {
        for (text, expected) in [
            ("0", 0),
            ("1", 1_000_000),
            ("0.772", 772_000),
            ("12.000001", 12_000_001),
            ("0.0000005", 1),
            ("0.00000049", 0),
            ("86400", 86_400_000_000),
        ] {
            assert_eq!(micros(text), expected, "{text}");
        }
    }
}
