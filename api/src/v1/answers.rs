//! What the api's first version answers, made from exact measures. Pure: no I/O, no clock. Rounding is `stats`' business; here numbers get their names.

use serde::Serialize;
use stats::{Measures, Minutes, Percentile, TimeRange, percent};
use utoipa::ToSchema;

use super::figures::Figures;
use crate::answers::{FreshnessFields, MethodField};
use crate::format::Rows;
use crate::grammar::{Buckets, Fill, Period, Zone};
use crate::questions::{EDGE_BUCKETS, EDGES_MICROS};

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
