//! What a page of customers leaves out, in one row: exact sums, so that the rows of a page, those of the pages before it and this one are all customers. Pure.

use serde::Serialize;
use stats::{Measures, Percentile};
use store::TableRow;
use utoipa::ToSchema;

use super::figures::Figures;
use crate::answers::instant;

/// All customers of the range that are neither on this page nor on a page before it: those that the search leaves out, and those of the pages that follow. Shares and the mean are made of the
/// sums. The median and the percentiles are null: those of several customers together do not follow from those of each.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct OthersV1 {
    /// How many customers they are.
    #[schema(example = 1)]
    customers: u64,
    /// Time of their newest request of all, in the range or not; null when there are none.
    #[schema(example = "2024-09-30T07:00:00Z", required = true)]
    last_seen: Option<String>,
    #[serde(flatten)]
    figures: Figures,
}

/// Customers being put together.
#[derive(Debug, Default)]
pub(super) struct Others {
    customers: u64,
    last_seen_second: Option<i64>,
    sums: Measures,
}

impl Others {
    pub(super) fn add(&mut self, row: &TableRow) {
        self.customers += 1;
        self.last_seen_second = self.last_seen_second.max(Some(row.last_seen_second));
        self.sums.add_sums(&row.measures);
    }

    pub(super) fn told(mut self, percentiles: &[Percentile]) -> OthersV1 {
        self.sums.quantiles_nanos = vec![None; percentiles.len()];
        OthersV1 {
            customers: self.customers,
            last_seen: self.last_seen_second.map(instant),
            figures: Figures::new(&self.sums, percentiles),
        }
    }
}
