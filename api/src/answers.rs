//! The JSON that clients see, made from a store's exact values. Pure: no I/O, no clock; what is rounded for people is rounded here or in
//! `stats::figures`, nowhere else.

use chrono::DateTime;
use serde::Serialize;
use stats::{Figures, Summary};
use store::{CustomersPage, Freshness, Method, Stats};
use utoipa::ToSchema;

use crate::query::write_cursor;

/// The original's seven figures.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct FiguresFields {
    /// Requests.
    #[schema(example = 5)]
    total_requests: u64,
    /// Requests with a status from 200 to 399.
    #[schema(example = 3)]
    successful_requests: u64,
    /// All other requests.
    #[schema(example = 2)]
    failed_requests: u64,
    /// Successful requests in percent of all, rounded to 5 decimals.
    #[schema(example = 60.0, minimum = 0, maximum = 100)]
    uptime: f64,
    /// Mean latency in seconds, rounded to 5 decimals; null when no request has a latency.
    #[schema(example = 0.84, required = true)]
    average_latency: Option<f64>,
    /// Median latency in seconds, linear between closest ranks.
    #[schema(example = 0.7, required = true)]
    median_latency: Option<f64>,
    /// 99th percentile of the latency in seconds, linear between closest ranks.
    #[schema(example = 1.476, required = true)]
    p99_latency: Option<f64>,
}

/// How fresh an answer is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
pub(crate) struct FreshnessFields {
    /// Every line that was in the log at this instant is in the answer; null before a processor has said so.
    #[schema(example = "2024-09-30T09:15:35.123Z", required = true)]
    as_of: Option<String>,
    /// How long ago that was, in seconds.
    #[schema(example = 0.4, required = true)]
    lag_seconds: Option<f64>,
}

impl FreshnessFields {
    pub(crate) fn as_of(&self) -> Option<&str> {
        self.as_of.as_deref()
    }

    pub(crate) fn lag_seconds(&self) -> Option<f64> {
        self.lag_seconds
    }
}

/// How an answer was made: `cells` from sums and histograms kept per customer and window (counts are exact; quantiles are exact for whole
/// milliseconds, else at most 0.0122 % off), `raw` from the single requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum MethodField {
    Cells,
    Raw,
}

/// One day (UTC).
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct DayFields {
    /// The day.
    #[schema(example = "2024-09-29")]
    date: String,
    #[serde(flatten)]
    figures: FiguresFields,
}

/// What is known of the requests of one customer, or of all.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct StatsAnswer {
    #[serde(flatten)]
    figures: FiguresFields,
    /// The customer; absent when the answer speaks of all customers together.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "cust_1")]
    customer_id: Option<String>,
    /// First instant that is counted.
    #[schema(example = "2024-09-29T00:00:00Z")]
    from: String,
    /// First instant that is not counted any more.
    #[schema(example = "2024-10-01T00:00:00Z")]
    to: String,
    #[serde(flatten)]
    freshness: FreshnessFields,
    /// How the answer was made.
    method: MethodField,
    /// The days that have requests, in order.
    daily: Vec<DayFields>,
}

/// One customer in the list.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct CustomerFields {
    /// The customer's id, exactly as the log has it.
    #[schema(example = "cust_1")]
    customer_id: String,
    /// All requests that are kept.
    #[schema(example = 5)]
    requests: u64,
    /// Time of the newest request.
    #[schema(example = "2024-09-30T09:15:34Z")]
    last_seen: String,
}

/// A page of customers, in ascending byte order of the id.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct CustomersAnswer {
    data: Vec<CustomerFields>,
    /// Where the next page begins: give it as `cursor`. Null on the last page.
    #[schema(required = true)]
    next_cursor: Option<String>,
    #[serde(flatten)]
    freshness: FreshnessFields,
}

impl From<Figures> for FiguresFields {
    fn from(figures: Figures) -> Self {
        Self {
            total_requests: figures.total_requests,
            successful_requests: figures.successful_requests,
            failed_requests: figures.failed_requests,
            uptime: figures.uptime,
            average_latency: figures.average_latency,
            median_latency: figures.median_latency,
            p99_latency: figures.p99_latency,
        }
    }
}

impl FreshnessFields {
    /// `as_of` with milliseconds, rounded down so that it never promises more than was said; the lag is never negative, even when the
    /// processor's host has a clock ahead of ours.
    pub(crate) fn new(freshness: Freshness, now_micros: i64) -> Self {
        let Some(as_of) = freshness.as_of_micros.and_then(DateTime::from_timestamp_micros) else {
            return Self::default();
        };
        let lag_micros = now_micros.saturating_sub(as_of.timestamp_micros()).max(0);
        let lag_millis = (lag_micros + 500) / 1000;
        Self {
            as_of: Some(as_of.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()),
            // Whole milliseconds divided once: the float nearest to three decimals.
            lag_seconds: Some(lag_millis as f64 / 1000.0),
        }
    }
}

impl From<Method> for MethodField {
    fn from(method: Method) -> Self {
        match method {
            Method::Cells => MethodField::Cells,
            Method::Raw => MethodField::Raw,
        }
    }
}

impl StatsAnswer {
    /// The answer without its freshness, which is not the same twice; None when there are no requests.
    pub(crate) fn new(customer: Option<&str>, stats: &Stats) -> Option<Self> {
        let days = stats.daily.iter().filter_map(|day| Some((day.day_second, figures(&day.summary)?)));
        Some(Self {
            figures: figures(&stats.total)?,
            customer_id: customer.map(str::to_owned),
            from: instant(stats.covered.from_second),
            to: instant(stats.covered.to_second),
            freshness: FreshnessFields::default(),
            method: stats.method.into(),
            daily: days.map(|(day, figures)| DayFields { date: date(day), figures }).collect(),
        })
    }

    /// The answer with its freshness.
    pub(crate) fn with(&self, freshness: FreshnessFields) -> Self {
        Self { freshness, ..self.clone() }
    }

    /// About how much memory it takes.
    pub(crate) fn size_bytes(&self) -> usize {
        const DATE_BYTES: usize = 10;
        size_of::<Self>() + self.daily.len() * (size_of::<DayFields>() + DATE_BYTES)
    }
}

impl CustomersAnswer {
    /// The page without its freshness.
    pub(crate) fn new(page: &CustomersPage) -> Self {
        let last = page.customers.last().filter(|_| page.more);
        let fields = |row: &store::CustomerRow| CustomerFields {
            customer_id: row.id.clone(),
            requests: row.requests,
            last_seen: instant(row.last_seen_second),
        };
        Self {
            data: page.customers.iter().map(fields).collect(),
            next_cursor: last.map(|row| write_cursor(&row.id)),
            freshness: FreshnessFields::default(),
        }
    }

    /// The page with its freshness.
    pub(crate) fn with(&self, freshness: FreshnessFields) -> Self {
        Self { freshness, ..self.clone() }
    }

    /// Where the next page begins, if there is one.
    pub(crate) fn next_cursor(&self) -> Option<&str> {
        self.next_cursor.as_deref()
    }

    /// About how much memory it takes.
    pub(crate) fn size_bytes(&self) -> usize {
        const TIME_BYTES: usize = 20;
        let row = |row: &CustomerFields| size_of::<CustomerFields>() + row.customer_id.len() + TIME_BYTES;
        size_of::<Self>() + self.data.iter().map(row).sum::<usize>()
    }
}

fn figures(summary: &Summary) -> Option<FiguresFields> {
    summary.figures().map(FiguresFields::from)
}

/// A whole second as RFC 3339 writes it.
pub(crate) fn instant(second: i64) -> String {
    at(second).format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// The date (UTC) of a second.
pub(crate) fn date(second: i64) -> String {
    at(second).format("%Y-%m-%d").to_string()
}

fn at(second: i64) -> DateTime<chrono::Utc> {
    DateTime::from_timestamp(second, 0).expect("log times are from 1970 to 2261")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn freshness_is_rounded_without_promising_too_much() {
        let fields = |as_of, now| {
            let fields = FreshnessFields::new(Freshness { as_of_micros: as_of }, now);
            (fields.as_of.unwrap_or_default(), fields.lag_seconds)
        };
        let as_of = 1_727_687_735_123_999;
        assert_eq!(fields(Some(as_of), as_of + 400_001), ("2024-09-30T09:15:35.123Z".to_owned(), Some(0.4)));
        assert_eq!(fields(Some(as_of), as_of + 400_500).1, Some(0.401));
        assert_eq!(fields(Some(as_of), as_of - 5_000_000).1, Some(0.0), "a clock ahead of ours");
        assert_eq!(fields(None, as_of), (String::new(), None));
        assert_eq!(fields(Some(i64::MAX), 0), (String::new(), None));
    }
}
