//! What people may want to know of some requests: exact sums and chosen quantiles, and from them shares and seconds. Rounding is `figures`' business.

use crate::figures::{mean_seconds, percent, seconds};
use crate::{Cell, Percentile};

/// Exact sums and quantiles of some requests. Two stores that hold the same requests make equal measures.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Measures {
    /// Requests.
    pub requests: u64,
    /// Requests with a status from 200 to 399.
    pub successes: u64,
    /// Requests by status class: 1xx, 2xx, 3xx, 4xx, 5xx.
    pub classes: [u64; 5],
    /// Requests that have a latency.
    pub latencies: u64,
    /// Sum of the latencies, in microseconds.
    pub latency_sum_micros: u64,
    /// The greatest latency, in microseconds.
    pub latency_max_micros: u64,
    /// The median and the 99th percentile in nanoseconds, linear between closest ranks.
    pub usual_nanos: [Option<u64>; 2],
    /// The percentiles that were asked for, in their order.
    pub quantiles_nanos: Vec<Option<u64>>,
}

impl Cell {
    /// The measures of its requests, with these percentiles.
    pub fn measures(&self, percentiles: &[Percentile]) -> Measures {
        let [median, p99] =
            self.histogram.quantiles_nanos([Percentile::P50.fraction(), Percentile::P99.fraction()]);
        let quantile = |percentile: Percentile| match percentile {
            Percentile::P50 => median,
            Percentile::P99 => p99,
            other => {
                let (numerator, denominator) = other.fraction();
                self.histogram.quantile_nanos(numerator, denominator)
            }
        };
        Measures {
            requests: self.requests,
            successes: self.successes,
            classes: self.classes,
            latencies: self.histogram.count(),
            latency_sum_micros: self.latency_sum_micros,
            latency_max_micros: self.latency_max_micros,
            usual_nanos: [median, p99],
            quantiles_nanos: percentiles.iter().copied().map(quantile).collect(),
        }
    }
}

impl Measures {
    /// Adds what can be added up of other requests. The quantiles stay as they are: those of all do not follow from those of parts.
    pub fn add_sums(&mut self, other: &Measures) {
        self.requests = self.requests.saturating_add(other.requests);
        self.successes = self.successes.saturating_add(other.successes);
        for (class, more) in self.classes.iter_mut().zip(other.classes) {
            *class = class.saturating_add(more);
        }
        self.latencies = self.latencies.saturating_add(other.latencies);
        self.latency_sum_micros = self.latency_sum_micros.saturating_add(other.latency_sum_micros);
        self.latency_max_micros = self.latency_max_micros.max(other.latency_max_micros);
    }

    /// Requests with a status of 500 or more.
    pub fn server_errors(&self) -> u64 {
        self.classes[4]
    }

    /// Requests with a status from 200 to 399, in percent of all; None without requests.
    pub fn uptime(&self) -> Option<f64> {
        percent(self.successes, self.requests)
    }

    /// Requests with a status below 500, in percent of all; None without requests.
    pub fn availability(&self) -> Option<f64> {
        percent(self.requests - self.server_errors(), self.requests)
    }

    /// Mean latency in seconds.
    pub fn mean_seconds(&self) -> Option<f64> {
        mean_seconds(self.latency_sum_micros, self.latencies)
    }

    /// Greatest latency in seconds.
    pub fn max_seconds(&self) -> Option<f64> {
        (self.latencies > 0).then(|| seconds(self.latency_max_micros.saturating_mul(1000)))
    }

    /// Median latency in seconds.
    pub fn median_seconds(&self) -> Option<f64> {
        self.usual_nanos[0].map(seconds)
    }

    /// 99th percentile of the latency in seconds.
    pub fn p99_seconds(&self) -> Option<f64> {
        self.usual_nanos[1].map(seconds)
    }

    /// The percentiles that were asked for, in seconds.
    pub fn quantiles_seconds(&self) -> Vec<Option<f64>> {
        self.quantiles_nanos.iter().map(|nanos| nanos.map(seconds)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measures_are_those_of_the_seven_figures_and_more() {
        let mut cell = Cell::default();
        for (status, micros) in [
            (200, Some(500_000)),
            (500, Some(1_500_000)),
            (201, Some(700_000)),
            (404, None),
            (302, Some(900_000)),
        ] {
            cell.observe(status, micros);
        }
        let measures = cell.measures(&[Percentile::P95, Percentile::P50]);
        let figures = cell.summary().figures().expect("requests");
        assert_eq!(measures.uptime(), Some(figures.uptime));
        assert_eq!(measures.availability(), Some(80.0));
        assert_eq!(measures.mean_seconds(), figures.average_latency);
        assert_eq!(
            (measures.median_seconds(), measures.p99_seconds()),
            (figures.median_latency, figures.p99_latency)
        );
        assert_eq!(measures.quantiles_seconds(), [Some(1.41), figures.median_latency]);
        assert_eq!(measures.max_seconds(), Some(1.5));
    }

    #[test]
    fn sums_of_parts_are_those_of_the_whole() {
        let (mut parts, mut whole) = (Measures::default(), Cell::default());
        for requests in
            [&[(200, Some(3)), (404, None)][..], &[], &[(503, Some(7)), (101, Some(1)), (302, None)]]
        {
            let mut part = Cell::default();
            for (status, micros) in requests {
                part.observe(*status, *micros);
                whole.observe(*status, *micros);
            }
            part.settle();
            parts.add_sums(&part.measures(&[]));
        }
        whole.settle();
        assert_eq!(parts, Measures { usual_nanos: [None; 2], ..whole.measures(&[]) });
    }

    #[test]
    fn no_requests_have_no_shares_and_no_latency() {
        let none = Cell::default().measures(&[Percentile::P99]);
        assert_eq!(
            (none.uptime(), none.availability(), none.mean_seconds(), none.max_seconds()),
            (None, None, None, None)
        );
        assert_eq!(none.quantiles_seconds(), [None]);
    }
}
