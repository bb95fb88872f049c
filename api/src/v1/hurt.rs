//! Who is hurt: customers by how much less available the service is to them than it was, and by their share of all server errors, or by how many of their requests surely fail. So one customer's outage is not
//! hidden by the others. Pure.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::OnceLock;

use serde::Serialize;
use stats::{Measures, percent};
use store::Table;
use utoipa::ToSchema;

use super::answers::About;
use super::parameters::PAGE_MAX;
use super::raw::Covered;
use crate::answers::instant;
use crate::format::Rows;
use crate::grammar::{Fault, Period, shortened};
use crate::questions::Customers;

/// By what the hurt are ranked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Rank {
    /// By their own drop in availability.
    #[default]
    Drop,
    /// By their share of all server errors.
    Share,
    /// By the share of their requests that surely fails.
    Evidence,
}

impl Rank {
    pub(crate) fn parse(text: &str) -> Result<Self, Fault> {
        match text {
            "drop" => Ok(Rank::Drop),
            "share" => Ok(Rank::Share),
            "evidence" => Ok(Rank::Evidence),
            _ => Err(Fault::new("sort", format!("`{}` is none of drop, share, evidence", shortened(text)))),
        }
    }
}

/// One hurt customer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
pub(crate) struct HurtRow {
    /// The customer's id, exactly as the log has it.
    #[schema(example = "cust_1")]
    customer_id: String,
    /// Requests in the range.
    #[schema(example = 5)]
    total_requests: u64,
    /// Requests with a status of 500 or more.
    #[schema(example = 1)]
    server_errors: u64,
    /// Their share of all customers' server errors, in percent.
    #[schema(example = 100.0, required = true)]
    share_of_errors: Option<f64>,
    /// Share of requests with a status below 500, in percent.
    #[schema(example = 80.0, required = true)]
    availability: Option<f64>,
    /// The same in the period before; null without requests in it.
    #[schema(example = 100.0, required = true)]
    previous_availability: Option<f64>,
    /// How many percentage points availability is below that of the period before; negative when it is above. Of a customer without requests then: below 100 %.
    #[schema(example = 20.0, required = true)]
    availability_drop: Option<f64>,
    /// At least that share of their requests ends in a status of 500 or more, in percent, as far as so many can tell: the lower bound of the 95 % Wilson interval. One failure of three is little evidence, thirty of ninety are much.
    #[schema(example = 3.62241, required = true)]
    error_share_at_least: Option<f64>,
    /// 99th percentile of the latency, in seconds.
    #[schema(example = 1.476, required = true)]
    p99_latency: Option<f64>,
    /// Time of the newest request of all.
    #[schema(example = "2024-09-30T09:15:34Z")]
    last_seen: String,
}

/// The hurt customers of a range.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct HurtV1 {
    /// The most hurt first. Customers without a server error are none.
    data: Vec<HurtRow>,
    /// Hurt customers, whether shown or not.
    #[schema(example = 1)]
    total_hurt: u64,
    /// Customers with requests in the range.
    #[schema(example = 2)]
    total_customers: u64,
    /// Server errors of all customers.
    #[schema(example = 1)]
    server_errors: u64,
    /// The period before, which is compared with.
    previous: Covered,
    #[serde(flatten)]
    about: About,
}

/// What a table says of the hurt, ranked. Worked out by the first who asks, for each rank once: a table serves many.
#[derive(Debug, Default)]
pub(crate) struct Rankings([OnceLock<Ranking>; 3]);

#[derive(Debug)]
struct Ranking {
    /// The most hurt, as many as are ever shown.
    rows: Vec<HurtRow>,
    total: u64,
    server_errors: u64,
}

impl Rankings {
    fn by(&self, rank: Rank, table: &Table, previous: Option<&Table>) -> &Ranking {
        self.0[rank as usize].get_or_init(|| Ranking::new(rank, table, previous))
    }
}

impl Ranking {
    fn new(rank: Rank, table: &Table, previous: Option<&Table>) -> Self {
        let before: HashMap<&str, &Measures> = previous
            .iter()
            .flat_map(|table| &table.rows)
            .map(|row| (row.id.as_str(), &row.measures))
            .collect();
        let server_errors = table.rows.iter().map(|row| row.measures.server_errors()).sum();
        // Who has no server error is wholly available, which is no drop whatever was before.
        let hurt = table.rows.iter().filter(|row| row.measures.server_errors() > 0);
        let mut rows: Vec<HurtRow> = hurt
            .map(|row| {
                let availability = row.measures.availability();
                let previous_availability =
                    before.get(row.id.as_str()).and_then(|measures| measures.availability());
                HurtRow {
                    customer_id: row.id.clone(),
                    total_requests: row.measures.requests,
                    server_errors: row.measures.server_errors(),
                    share_of_errors: percent(row.measures.server_errors(), server_errors),
                    availability,
                    previous_availability,
                    availability_drop: availability
                        .map(|now| rounded(previous_availability.unwrap_or(100.0) - now)),
                    error_share_at_least: sure_percent(row.measures.server_errors(), row.measures.requests),
                    p99_latency: row.measures.p99_seconds(),
                    last_seen: instant(row.last_seen_second),
                }
            })
            .collect();
        let by = |row: &HurtRow| match rank {
            Rank::Drop => (row.availability_drop, row.share_of_errors),
            Rank::Share => (row.share_of_errors, row.availability_drop),
            Rank::Evidence => (row.error_share_at_least, row.share_of_errors),
        };
        let descending = |a: Option<f64>, b: Option<f64>| b.partial_cmp(&a).unwrap_or(Ordering::Equal);
        rows.sort_by(|a, b| {
            let ((a1, a2), (b1, b2)) = (by(a), by(b));
            descending(a1, b1).then(descending(a2, b2)).then_with(|| a.customer_id.cmp(&b.customer_id))
        });
        let total = rows.len() as u64;
        rows.truncate(PAGE_MAX);
        Self { rows, total, server_errors }
    }
}

impl HurtV1 {
    pub(crate) fn new(found: &Customers<Period>, rank: Rank, limit: usize, about: About) -> Self {
        let ranking = found.rankings.by(rank, &found.table, found.previous.as_ref());
        let previous = found.period.previous.unwrap_or(found.period.range);
        Self {
            data: ranking.rows.iter().take(limit).cloned().collect(),
            total_hurt: ranking.total,
            total_customers: found.table.rows.len() as u64,
            server_errors: ranking.server_errors,
            previous: Covered::new(previous, found.period.zone),
            about,
        }
    }
}

/// The lower bound of the 95 % Wilson interval of a share, in percent with 5 decimals; null of nothing.
fn sure_percent(part: u64, whole: u64) -> Option<f64> {
    if whole == 0 {
        return None;
    }
    if part == 0 {
        return Some(0.0);
    }
    const Z: f64 = 1.959_963_984_540_054;
    let (n, share) = (whole as f64, part as f64 / whole as f64);
    let z2 = Z * Z;
    let middle = share + z2 / (2.0 * n);
    let half = Z * (share * (1.0 - share) / n + z2 / (4.0 * n * n)).sqrt();
    Some(rounded(((middle - half) / (1.0 + z2 / n)).clamp(0.0, 1.0) * 100.0))
}

/// The difference of two shares of 5 decimals has 5 decimals.
fn rounded(difference: f64) -> f64 {
    (difference * 1e5).round() / 1e5
}

impl Rows for HurtV1 {
    type Row = HurtRow;
    fn rows(&self) -> &[HurtRow] {
        &self.data
    }
    fn blank(&self) -> Option<HurtRow> {
        Some(HurtRow::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_is_the_lower_bound_of_wilsons_interval() {
        assert_eq!(sure_percent(0, 0), None);
        assert_eq!(sure_percent(0, 50), Some(0.0));
        // Figures of the interval as published (Newcombe 1998, table I, method 3): 81 of 263, 15 of 148, 1 of 29.
        for (part, whole, lower) in [(81, 263, 25.53), (15, 148, 6.24), (1, 29, 0.61)] {
            let found = sure_percent(part, whole).expect("a share");
            assert!((found - lower).abs() < 0.006, "{part} of {whole}: {found}");
        }
        let few = sure_percent(1, 3).expect("a share");
        let many = sure_percent(30, 90).expect("a share");
        assert!(few < many && many < 100.0 / 3.0, "{few} {many}");
    }
}
