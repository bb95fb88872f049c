//! The oracle: keeps every request and counts anew for each question, with a plain sort.

use stats::{Summary, TimeRange, day_of, quantile_nanos_of_sorted};

use super::support::{Line, Request};
use crate::DayStats;

/// Statistics of requests, from nothing but the requests.
pub(super) fn summary<'a>(requests: impl IntoIterator<Item = &'a Request>) -> Summary {
    let requests: Vec<_> = requests.into_iter().collect();
    let mut latencies: Vec<u64> = requests.iter().filter_map(|request| request.latency_micros).collect();
    latencies.sort_unstable();
    Summary {
        requests: requests.len() as u64,
        successes: requests.iter().filter(|request| (200..400).contains(&request.status)).count() as u64,
        latencies: latencies.len() as u64,
        latency_sum_micros: latencies.iter().sum(),
        median_nanos: quantile_nanos_of_sorted(&latencies, 1, 2),
        p99_nanos: quantile_nanos_of_sorted(&latencies, 99, 100),
    }
}

/// The requests of a customer (or of all) in a range.
pub(super) fn select<'a>(lines: &'a [Line], customer: Option<&str>, range: TimeRange) -> Vec<&'a Request> {
    lines
        .iter()
        .filter_map(|line| match line {
            Line::Stored(request) => Some(request),
            Line::Rejected(_) => None,
        })
        .filter(|request| customer.is_none_or(|customer| request.customer == customer))
        .filter(|request| (range.from_second..range.to_second).contains(&request.second))
        .collect()
}

/// The same by day.
pub(super) fn daily(requests: &[&Request]) -> Vec<DayStats> {
    let mut days: Vec<i64> = requests.iter().map(|request| day_of(request.second)).collect();
    days.sort_unstable();
    days.dedup();
    let of_day = |day_second: i64| {
        summary(requests.iter().copied().filter(|request| day_of(request.second) == day_second))
    };
    days.into_iter().map(|day_second| DayStats { day_second, summary: of_day(day_second) }).collect()
}
