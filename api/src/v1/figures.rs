//! The figures of some requests as JSON has them. Pure; rounding is `stats`' business.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use stats::{Measures, Percentile};
use utoipa::ToSchema;

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
    pub(super) fn none(percentiles: &[Percentile]) -> Self {
        Self::new(
            &Measures { quantiles_nanos: vec![None; percentiles.len()], ..Measures::default() },
            percentiles,
        )
    }

    /// The same with latencies of 0 where there are none.
    pub(super) fn with_zero_latencies(mut self) -> Self {
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
