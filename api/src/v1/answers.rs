//! What the api's first version answers, made from exact measures. Pure: no I/O, no clock. Rounding is `stats`' business; here numbers get their names.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use stats::{Measures, Percentile, TimeRange, percent};
use store::{RawRow, RequestPlace};
use utoipa::ToSchema;

use crate::answers::{FreshnessFields, MethodField};
use crate::format::Rows;
use crate::grammar::{Buckets, Fill, Period, Zone};
use crate::questions::{EDGE_BUCKETS, EDGES_MICROS, Minutes};

/// The figures of some requests. Shares are in percent, latencies in seconds, both rounded to 5 decimals; what cannot be said without requests is null.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
pub(crate) struct Figures {
    /// Requests.
    #[schema(example = 5)]
    total_requests: u64,
    /// Requests with a status from 200 to 399.
    #[schema(example = 3)]
    successful_requests: u64,
    /// All other requests.
    #[schema(example = 2)]
    failed_requests: u64,
    /// Share of requests with a status from 200 to 399, as in the original exercise: a client's own mistakes (4xx) count as downtime.
    #[schema(example = 60.0, required = true, minimum = 0, maximum = 100)]
    uptime: Option<f64>,
    /// Share of requests with a status below 500: what the server is answerable for.
    #[schema(example = 80.0, required = true, minimum = 0, maximum = 100)]
    availability: Option<f64>,
    /// Mean latency; null when no request has a latency.
    #[schema(example = 0.84, required = true)]
    average_latency: Option<f64>,
    /// Median latency.
    #[schema(example = 0.7, required = true)]
    median_latency: Option<f64>,
    /// 99th percentile of the latency.
    #[schema(example = 1.476, required = true)]
    p99_latency: Option<f64>,
    /// Greatest latency.
    #[schema(example = 1.5, required = true)]
    max_latency: Option<f64>,
    /// Requests by status class.
    status: StatusClasses,
    /// The percentiles that were asked for, by name.
    #[schema(value_type = std::collections::BTreeMap<String, Option<f64>>, example = json!({"p50": 0.7, "p95": 1.38, "p99": 1.476}))]
    latency: Quantiles,
}

/// Requests by status class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct StatusClasses {
    #[serde(rename = "1xx")]
    #[schema(example = 0)]
    informational: u64,
    #[serde(rename = "2xx")]
    #[schema(example = 2)]
    success: u64,
    #[serde(rename = "3xx")]
    #[schema(example = 1)]
    redirection: u64,
    #[serde(rename = "4xx")]
    #[schema(example = 1)]
    client_error: u64,
    #[serde(rename = "5xx")]
    #[schema(example = 1)]
    server_error: u64,
}

/// Percentiles in seconds by their names, in the order in which they were asked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Quantiles(Vec<(Percentile, Option<f64>)>);

impl Serialize for Quantiles {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (percentile, seconds) in &self.0 {
            map.serialize_entry(&format!("p{percentile}"), seconds)?;
        }
        map.end()
    }
}

impl Figures {
    pub(crate) fn new(measures: &Measures, percentiles: &[Percentile]) -> Self {
        let [informational, success, redirection, client_error, server_error] = measures.classes;
        Self {
            total_requests: measures.requests,
            successful_requests: measures.successes,
            failed_requests: measures.requests - measures.successes,
            uptime: measures.uptime(),
            availability: measures.availability(),
            average_latency: measures.mean_seconds(),
            median_latency: measures.median_seconds(),
            p99_latency: measures.p99_seconds(),
            max_latency: measures.max_seconds(),
            status: StatusClasses { informational, success, redirection, client_error, server_error },
            latency: Quantiles(percentiles.iter().copied().zip(measures.quantiles_seconds()).collect()),
        }
    }

    /// The figures of no requests, with the columns that an answer's rows have.
    fn none(percentiles: &[Percentile]) -> Self {
        Self::new(
            &Measures { quantiles_nanos: vec![None; percentiles.len()], ..Measures::default() },
            percentiles,
        )
    }

    /// The same with latencies of 0 where there are none.
    fn with_zero_latencies(mut self) -> Self {
        for latency in [
            &mut self.average_latency,
            &mut self.median_latency,
            &mut self.p99_latency,
            &mut self.max_latency,
        ] {
            latency.get_or_insert(0.0);
        }
        self.latency.0.iter_mut().for_each(|(_, latency)| {
            latency.get_or_insert(0.0);
        });
        self
    }
}

/// How quantiles are made.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct QuantileRule {
    /// Between which values a quantile lies.
    #[schema(value_type = String, example = "linear between closest ranks")]
    rule: &'static str,
    /// The greatest error, in percent of a latency. Whole milliseconds, and all latencies below 16.384 ms, are exact.
    #[schema(example = 0.01221)]
    max_error_percent: f64,
}

const QUANTILES: QuantileRule =
    QuantileRule { rule: "linear between closest ranks", max_error_percent: 0.01221 };

/// What an answer is about, and how it was made.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct About {
    /// The customer; absent when the answer speaks of all customers together.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "cust_1")]
    customer_id: Option<String>,
    /// First instant that is counted, on the clock of `tz`.
    #[schema(example = "2024-09-29T00:00:00Z")]
    from: String,
    /// First instant that is not counted any more.
    #[schema(example = "2024-10-01T00:00:00Z")]
    to: String,
    /// The time zone that days and hours follow.
    #[schema(value_type = String, example = "UTC")]
    tz: &'static str,
    /// Whether older requests than `from` were asked for, which the retention no longer keeps.
    #[schema(example = false)]
    clipped_by_retention: bool,
    /// How the answer was made.
    method: MethodField,
    /// How quantiles are made.
    quantiles: QuantileRule,
}

impl About {
    pub(crate) fn new(customer: Option<&str>, period: &Period, method: store::Method) -> Self {
        Self {
            customer_id: customer.map(str::to_owned),
            from: period.zone.rfc3339(period.range.from_second),
            to: period.zone.rfc3339(period.range.to_second),
            tz: period.zone.name(),
            clipped_by_retention: period.clipped,
            method: method.into(),
            quantiles: QUANTILES,
        }
    }

    /// The same of the range that the buckets really cover.
    fn of_bounds(mut self, bounds: &[i64], zone: Zone) -> Self {
        if let (Some(first), Some(last)) = (bounds.first(), bounds.last()) {
            (self.from, self.to) = (zone.rfc3339(*first), zone.rfc3339(*last));
        }
        self
    }
}

/// An answer as it is written, with its freshness.
#[derive(Debug, ToSchema)]
#[allow(dead_code, reason = "only described here; `format` writes it")]
pub(crate) struct Fresh<A> {
    #[serde(flatten)]
    answer: A,
    #[serde(flatten)]
    freshness: FreshnessFields,
}

/// A range as a whole.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct StatsV1 {
    #[serde(flatten)]
    figures: Figures,
    /// Share of minutes with traffic that were up: fewer than 5 % of their requests ended in a status of 500 or more. Null without traffic, and where the range begins before the
    /// last 47 hours, for which minutes are kept.
    #[schema(example = 80.0, required = true, minimum = 0, maximum = 100)]
    uptime_minutes: Option<f64>,
    /// Minutes with traffic.
    #[schema(example = 5, required = true)]
    minutes_with_traffic: Option<u64>,
    /// The period before, of the same length; with `compare=previous` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false)]
    previous: Option<PreviousFigures>,
    #[serde(flatten)]
    about: About,
}

/// The figures of the period before.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct PreviousFigures {
    #[schema(example = "2024-09-27T00:00:00Z")]
    from: String,
    #[schema(example = "2024-09-29T00:00:00Z")]
    to: String,
    #[serde(flatten)]
    figures: Figures,
}

impl StatsV1 {
    pub(crate) fn new(
        measures: &Measures,
        minutes: Option<Minutes>,
        previous: Option<(TimeRange, &Measures, Zone)>,
        percentiles: &[Percentile],
        about: About,
    ) -> Self {
        Self {
            figures: Figures::new(measures, percentiles),
            uptime_minutes: minutes.and_then(|minutes| percent(minutes.up, minutes.with_traffic)),
            minutes_with_traffic: minutes.map(|minutes| minutes.with_traffic),
            previous: previous.map(|(range, measures, zone)| PreviousFigures {
                from: zone.rfc3339(range.from_second),
                to: zone.rfc3339(range.to_second),
                figures: Figures::new(measures, percentiles),
            }),
            about,
        }
    }
}

impl Rows for StatsV1 {
    type Row = StatsV1;
    fn rows(&self) -> &[StatsV1] {
        std::slice::from_ref(self)
    }
    fn blank(&self) -> Option<StatsV1> {
        None
    }
}

/// One stretch of a series.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct Point {
    /// Its first instant, on the clock of `tz`.
    #[schema(example = "2024-09-29T00:00:00Z")]
    start: String,
    #[serde(flatten)]
    figures: Figures,
}

/// A range in stretches of equal length.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct SeriesV1 {
    /// The length of a stretch: 1m, 15m, 1h, 1d.
    #[schema(value_type = String, example = "1d")]
    granularity: &'static str,
    /// The stretches in order of time.
    data: Vec<Point>,
    /// Those of the period before; with `compare=previous` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false)]
    previous: Option<Vec<Point>>,
    #[serde(flatten)]
    about: About,
    #[serde(skip)]
    percentiles: Vec<Percentile>,
}

/// Stretches as points.
pub(crate) fn points(
    bounds: &[i64],
    measures: &[Measures],
    percentiles: &[Percentile],
    fill: Fill,
    zone: Zone,
) -> Vec<Point> {
    let filled =
        measures.iter().zip(bounds).filter(|(measures, _)| fill != Fill::None || measures.requests > 0);
    let point = |(measures, start): (&Measures, &i64)| {
        let figures = Figures::new(measures, percentiles);
        let figures = if fill == Fill::Zero { figures.with_zero_latencies() } else { figures };
        Point { start: zone.rfc3339(*start), figures }
    };
    filled.map(point).collect()
}

impl SeriesV1 {
    pub(crate) fn new(
        buckets: &Buckets,
        data: Vec<Point>,
        previous: Option<Vec<Point>>,
        percentiles: &[Percentile],
        zone: Zone,
        about: About,
    ) -> Self {
        let about = about.of_bounds(&buckets.bounds, zone);
        Self {
            granularity: buckets.granularity.name(),
            data,
            previous,
            about,
            percentiles: percentiles.to_vec(),
        }
    }
}

impl Rows for SeriesV1 {
    type Row = Point;
    fn rows(&self) -> &[Point] {
        &self.data
    }
    fn blank(&self) -> Option<Point> {
        Some(Point { start: String::new(), figures: Figures::none(&self.percentiles) })
    }
}

/// Latencies of one bucket in one stretch.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
pub(crate) struct LatencyBucket {
    /// First instant of the stretch, on the clock of `tz`.
    #[schema(example = "2024-09-29T00:00:00Z")]
    start: String,
    /// The bucket holds latencies above this, in seconds.
    #[schema(example = 0.5)]
    above: f64,
    /// … up to this one; null for the last bucket, which has no end.
    #[schema(example = 0.75, required = true)]
    up_to: Option<f64>,
    /// Requests.
    #[schema(example = 2)]
    requests: u64,
}

/// The latencies of a range.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct LatencyV1 {
    /// The length of a stretch, if the range was to be told in stretches.
    #[schema(value_type = Option<String>, example = "1h", required = true)]
    granularity: Option<&'static str>,
    /// By stretch, and within it by latency; every bucket of every stretch is there.
    data: Vec<LatencyBucket>,
    #[serde(flatten)]
    about: About,
}

impl LatencyV1 {
    pub(crate) fn new(
        granularity: Option<&'static str>,
        bounds: &[i64],
        histograms: &[[u64; EDGE_BUCKETS]],
        zone: Zone,
        about: About,
    ) -> Self {
        let seconds = |micros: u64| micros as f64 / 1e6;
        let buckets = bounds.iter().zip(histograms).flat_map(|(start, counts)| {
            let start = zone.rfc3339(*start);
            counts.iter().enumerate().map(move |(number, requests)| LatencyBucket {
                start: start.clone(),
                above: number.checked_sub(1).map_or(0.0, |below| seconds(EDGES_MICROS[below])),
                up_to: EDGES_MICROS.get(number).copied().map(seconds),
                requests: *requests,
            })
        });
        Self { granularity, data: buckets.collect(), about: about.of_bounds(bounds, zone) }
    }
}

impl Rows for LatencyV1 {
    type Row = LatencyBucket;
    fn rows(&self) -> &[LatencyBucket] {
        &self.data
    }
    fn blank(&self) -> Option<LatencyBucket> {
        Some(LatencyBucket::default())
    }
}

/// One request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
pub(crate) struct RequestRow {
    /// When, on the clock of `tz`, as exactly as the log says it.
    #[schema(example = "2024-09-30T09:15:34Z")]
    time: String,
    /// HTTP status.
    #[schema(example = 404)]
    status: u16,
    /// Latency in seconds; null when the log has none.
    #[schema(example = 0.6, required = true)]
    latency: Option<f64>,
    /// Path; null when the log has none.
    #[schema(example = "/api/v1/resource1", required = true)]
    path: Option<String>,
}

/// A page of requests.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct RequestsV1 {
    /// Newest first.
    data: Vec<RequestRow>,
    /// Where the next page begins: give it as `cursor`. Null on the last page.
    #[schema(required = true)]
    next_cursor: Option<String>,
    covered: Covered,
    #[serde(flatten)]
    about: About,
}

/// What of the range is kept one by one. Nothing is missing behind `from` where the log is in order of time.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct Covered {
    #[schema(example = "2024-09-29T00:00:00Z")]
    from: String,
    #[schema(example = "2024-10-01T00:00:00Z")]
    to: String,
}

impl Covered {
    pub(crate) fn new(range: TimeRange, zone: Zone) -> Self {
        Self { from: zone.rfc3339(range.from_second), to: zone.rfc3339(range.to_second) }
    }
}

impl RequestsV1 {
    pub(crate) fn new(page: &store::RequestsPage, zone: Zone, about: About) -> Self {
        let row = |row: &RawRow| RequestRow {
            time: zone.rfc3339(row.time_nanos.div_euclid(1_000_000_000)),
            status: row.status,
            latency: row.latency_micros.map(|micros| micros as f64 / 1e6),
            path: row.path.clone(),
        };
        Self {
            data: page.requests.iter().map(row).collect(),
            next_cursor: page.next.map(write_place),
            covered: Covered::new(page.covered, zone),
            about,
        }
    }

    pub(crate) fn next_cursor(&self) -> Option<&str> {
        self.next_cursor.as_deref()
    }
}

impl Rows for RequestsV1 {
    type Row = RequestRow;
    fn rows(&self) -> &[RequestRow] {
        &self.data
    }
    fn blank(&self) -> Option<RequestRow> {
        Some(RequestRow::default())
    }
}

/// The cursor of the page after a place.
fn write_place(place: RequestPlace) -> String {
    format!("r{}.{}", place.time_nanos, place.given)
}

/// The place of a cursor.
pub(crate) fn read_place(text: &str) -> Option<RequestPlace> {
    let (time, given) = text.strip_prefix('r')?.split_once('.')?;
    let place = RequestPlace { time_nanos: time.parse().ok()?, given: given.parse().ok()? };
    // One form for each place: no signs, no leading zeros.
    (write_place(place) == text).then_some(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_as_it_was_written_and_nothing_else_is() {
        for place in [
            RequestPlace { time_nanos: 1_727_687_734_000_000_017, given: 2 },
            RequestPlace { time_nanos: -5, given: 0 },
        ] {
            assert_eq!(read_place(&write_place(place)), Some(place));
        }
        for text in [
            "",
            "r",
            "r1",
            "r1.",
            "r.1",
            "1.1",
            "r+1.1",
            "r01.1",
            "r1.-1",
            "r1.1 ",
            "r99999999999999999999.1",
        ] {
            assert_eq!(read_place(text), None, "{text}");
        }
    }
}
