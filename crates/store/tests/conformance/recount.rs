//! The independent recount: every request kept, everything sorted and divided in plain whole numbers.

use stats::{Summary, TimeRange};
use store::DayStats;

use crate::log::{DAY, Request};

/// What a store must say about these requests.
pub(crate) fn recount<'a>(
    requests: impl Iterator<Item = &'a Request>,
    range: TimeRange,
    customer: Option<&str>,
) -> (Summary, Vec<DayStats>) {
    let within: Vec<&Request> = requests
        .filter(|request| (range.from_second..range.to_second).contains(&request.second))
        .filter(|request| customer.is_none_or(|customer| request.customer == customer))
        .collect();
    let mut days: Vec<i64> = within.iter().map(|request| request.second / DAY * DAY).collect();
    days.sort_unstable();
    days.dedup();
    let daily = days
        .into_iter()
        .map(|day_second| {
            let of_day = within.iter().copied().filter(|request| request.second / DAY * DAY == day_second);
            DayStats { day_second, summary: summary(of_day.collect()) }
        })
        .collect();
    (summary(within), daily)
}

fn summary(requests: Vec<&Request>) -> Summary {
    let mut micros: Vec<u64> = requests.iter().filter_map(|request| request.micros).collect();
    micros.sort_unstable();
    Summary {
        requests: requests.len() as u64,
        successes: requests.iter().filter(|request| request.status >= 200 && request.status < 400).count()
            as u64,
        latencies: micros.len() as u64,
        latency_sum_micros: micros.iter().sum(),
        median_nanos: percentile_nanos(&micros, 50),
        p99_nanos: percentile_nanos(&micros, 99),
    }
}

/// NumPy's default: between the two closest ranks, in proportion. In hundredths of a microsecond nothing is ever rounded.
fn percentile_nanos(sorted: &[u64], percent: usize) -> Option<u64> {
    let last = sorted.len().checked_sub(1)?;
    let (rank, hundredths) = (last * percent / 100, (last * percent % 100) as u64);
    let (below, above) = (sorted[rank], sorted[(rank + 1).min(last)]);
    Some((below * 100 + (above - below) * hundredths) * 10)
}

#[test]
fn percentiles_as_numpy_gives_them() {
    let micros: Vec<u64> = (1..=101).map(|value| value * 1000).collect();
    assert_eq!(percentile_nanos(&micros, 99), Some(100_000_000));
    assert_eq!(percentile_nanos(&micros[..100], 50), Some(50_500_000));
    assert_eq!(percentile_nanos(&[700_000, 300_000, 1_000_000][..1], 99), Some(700_000_000));
    assert_eq!(percentile_nanos(&[1, 2], 99), Some(1_990));
    assert_eq!(percentile_nanos(&[], 50), None);
}
