//! The seven figures that people see, from exact sums. The only place where numbers are rounded. No counting here.

/// Exact sums and quantiles of some requests. Two stores that hold the same requests make equal summaries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Requests.
    pub requests: u64,
    /// Requests with a status from 200 to 399.
    pub successes: u64,
    /// Requests that have a latency.
    pub latencies: u64,
    /// Sum of the latencies, in microseconds.
    pub latency_sum_micros: u64,
    /// Median latency in nanoseconds, linear between closest ranks.
    pub median_nanos: Option<u64>,
    /// 99th percentile of the latency in nanoseconds, linear between closest ranks.
    pub p99_nanos: Option<u64>,
}

/// The original's seven figures. Floats are rounded to 5 decimals; no latency is `None`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figures {
    /// Requests.
    pub total_requests: u64,
    /// Requests with a status from 200 to 399.
    pub successful_requests: u64,
    /// The others.
    pub failed_requests: u64,
    /// Successes in percent of the requests.
    pub uptime: f64,
    /// Mean latency in seconds.
    pub average_latency: Option<f64>,
    /// Median latency in seconds.
    pub median_latency: Option<f64>,
    /// 99th percentile of the latency in seconds.
    pub p99_latency: Option<f64>,
}

const MICROS_PER_SECOND: u128 = 1_000_000;
const NANOS_PER_SECOND: u128 = 1_000_000_000;

impl Summary {
    /// The seven figures; `None` without requests. Each float is the one nearest to the exact ratio, then rounded to 5 decimals of its
    /// exact binary value, ties to even: what Python's `round(x, 5)` gives.
    pub fn figures(&self) -> Option<Figures> {
        if self.requests == 0 {
            return None;
        }
        debug_assert!(self.successes <= self.requests, "more successes than requests: {self:?}");
        Some(Figures {
            total_requests: self.requests,
            successful_requests: self.successes,
            failed_requests: self.requests.saturating_sub(self.successes),
            uptime: percent(self.successes, self.requests)?,
            average_latency: mean_seconds(self.latency_sum_micros, self.latencies),
            median_latency: self.median_nanos.map(seconds),
            p99_latency: self.p99_nanos.map(seconds),
        })
    }
}

/// A part in percent of the whole; None of nothing.
pub fn percent(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| round_to_5_decimals(ratio(u128::from(part) * 100, u128::from(whole))))
}

/// Nanoseconds as seconds.
pub(crate) fn seconds(nanos: u64) -> f64 {
    round_to_5_decimals(ratio(u128::from(nanos), NANOS_PER_SECOND))
}

/// The mean in seconds of so many latencies; None of none.
pub(crate) fn mean_seconds(sum_micros: u64, latencies: u64) -> Option<f64> {
    let mean = || ratio(u128::from(sum_micros), u128::from(latencies) * MICROS_PER_SECOND);
    (latencies > 0).then(|| round_to_5_decimals(mean()))
}

/// The float nearest to `numerator / denominator`, ties to even. The denominator is not 0.
///
/// Converting both to floats first would round three times where they exceed 2^53.
fn ratio(numerator: u128, denominator: u128) -> f64 {
    const EXACT: u128 = 1 << f64::MANTISSA_DIGITS;
    if numerator <= EXACT && denominator <= EXACT {
        return numerator as f64 / denominator as f64;
    }
    // A quotient of more than 54 bits, with its lowest bit set if anything is left over, is rounded by the one conversion below
    // as the exact ratio would be. The shift suffices for every sum of 64 bits over fewer than 2^52 requests.
    let wanted = (56 + denominator.ilog2()).saturating_sub(numerator.checked_ilog2().unwrap_or(0));
    let shift = wanted.min(numerator.leading_zeros()).min(127);
    let shifted = numerator << shift;
    let quotient = (shifted / denominator) | u128::from(!shifted.is_multiple_of(denominator));
    // a power of two: exact
    quotient as f64 / (1_u128 << shift) as f64
}

/// Rounds the exact binary value to 5 decimals, ties to even, and takes the float nearest to that: Python's `round(x, 5)`.
///
/// The product with 10^5 is off by a part in 2^53 at most, so unless it is that near to a tie the nearest whole number is the right one, and both it and 10^5 are exact: one division
/// gives the nearest float. What is nearer to a tie, or too large, is left to the text, which costs twenty times as much.
fn round_to_5_decimals(value: f64) -> f64 {
    const DECIMALS: f64 = 1e5;
    let scaled = value * DECIMALS;
    let whole = scaled.round();
    let from_tie = 0.5 - (scaled - whole).abs();
    if scaled.abs() < 1e15 && from_tie > scaled.abs() * f64::EPSILON {
        return whole / DECIMALS;
    }
    format!("{value:.5}").parse().expect("a formatted float is a float")
}

#[cfg(test)]
mod tests;
