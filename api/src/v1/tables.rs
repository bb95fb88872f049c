//! Rows of customers and paths: made, searched, sorted and cut into pages. Pure.

use std::cmp::Ordering;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use stats::{Measures, Percentile, percent};
use store::{Paths, Table, TableRow};
use utoipa::ToSchema;

use super::answers::About;
use super::figures::Figures;
use super::others::{Others, OthersV1};
use super::raw::Covered;
use crate::answers::instant;
use crate::format::Rows;
use crate::grammar::{Fault, Zone, shortened};

/// By what rows are sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Column {
    Name,
    LastSeen,
    Total,
    Successful,
    Failed,
    Uptime,
    Availability,
    Average,
    Median,
    P99,
    Max,
    Class(usize),
    Quantile(usize),
}

/// A column and a direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Order {
    pub(crate) column: Column,
    pub(crate) descending: bool,
}

/// The columns by their names; the percentiles that were asked for are columns, too.
const COLUMNS: [(&str, Column); 15] = [
    ("last_seen", Column::LastSeen),
    ("total_requests", Column::Total),
    ("successful_requests", Column::Successful),
    ("failed_requests", Column::Failed),
    ("uptime", Column::Uptime),
    ("availability", Column::Availability),
    ("average_latency", Column::Average),
    ("median_latency", Column::Median),
    ("p99_latency", Column::P99),
    ("max_latency", Column::Max),
    ("status.1xx", Column::Class(0)),
    ("status.2xx", Column::Class(1)),
    ("status.3xx", Column::Class(2)),
    ("status.4xx", Column::Class(3)),
    ("status.5xx", Column::Class(4)),
];

/// The value of a row in a column. Rows without one come last in either direction.
type Key = Option<f64>;

impl Order {
    /// Reads `sort` and `order`. `name`: the column of the rows' names.
    pub(crate) fn parse(
        sort: Option<&str>,
        order: Option<&str>,
        name: &str,
        percentiles: &[Percentile],
    ) -> Result<Self, Fault> {
        let sort = sort.unwrap_or("total_requests");
        let quantile = || {
            let asked = sort.strip_prefix("latency.p")?;
            percentiles.iter().position(|percentile| percentile.to_string() == asked).map(Column::Quantile)
        };
        let known = COLUMNS.iter().find(|(column, _)| *column == sort).map(|(_, column)| *column);
        let column = if sort == name {
            Some(Column::Name)
        } else {
            known.filter(|column| name == "customer_id" || *column != Column::LastSeen).or_else(quantile)
        };
        let column = column.ok_or_else(|| {
            let detail = format!(
                "`{}` is no column of this table: expected {name}, total_requests, availability, p99_latency, status.5xx or another number of its rows",
                shortened(sort)
            );
            Fault::new("sort", detail)
        })?;
        let descending = match order {
            None => column != Column::Name,
            Some("asc") => false,
            Some("desc") => true,
            Some(other) => {
                return Err(Fault::new("order", format!("`{}` is neither asc nor desc", shortened(other))));
            }
        };
        Ok(Self { column, descending })
    }

    fn key(self, measures: &Measures, last_seen_second: i64) -> Key {
        // Numbers of requests above 2^53 would compare as equal; a log of that many lines is 500 petabytes long.
        let count = |number: u64| Some(number as f64);
        match self.column {
            Column::Name => None,
            Column::LastSeen => Some(last_seen_second as f64),
            Column::Total => count(measures.requests),
            Column::Successful => count(measures.successes),
            Column::Failed => count(measures.requests - measures.successes),
            Column::Uptime => measures.uptime(),
            Column::Availability => measures.availability(),
            Column::Average => measures.mean_seconds(),
            Column::Median => measures.usual_nanos[0].map(|nanos| nanos as f64),
            Column::P99 => measures.usual_nanos[1].map(|nanos| nanos as f64),
            Column::Max => measures.max_seconds(),
            Column::Class(class) => count(measures.classes[class]),
            Column::Quantile(number) => measures.quantiles_nanos[number].map(|nanos| nanos as f64),
        }
    }

    /// The order of two rows: by the column, those of equal value by name.
    fn compare(self, a: (Key, &str), b: (Key, &str)) -> Ordering {
        let by_name =
            if self.column == Column::Name && self.descending { b.1.cmp(a.1) } else { a.1.cmp(b.1) };
        let by_key = match (a.0, b.0) {
            (Some(a), Some(b)) if self.descending => b.total_cmp(&a),
            (Some(a), Some(b)) => a.total_cmp(&b),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => Ordering::Equal,
        };
        by_key.then(by_name)
    }
}

/// Where a page of customers begins: behind this row, whether it is still there or not.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Behind {
    key: Key,
    id: String,
}

/// First byte of every cursor of these pages, so that it is told apart from others.
const CURSOR_FORM: u8 = b't';

impl Behind {
    fn write(&self) -> String {
        let mut bytes = vec![CURSOR_FORM, u8::from(self.key.is_some())];
        bytes.extend(self.key.unwrap_or_default().to_bits().to_le_bytes());
        bytes.extend(self.id.as_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    pub(crate) fn read(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (head, id) = bytes.split_at_checked(10)?;
        let key = f64::from_bits(u64::from_le_bytes(head[2..].try_into().ok()?));
        let key = match (head[0], head[1]) {
            (CURSOR_FORM, 1) => Some(key),
            (CURSOR_FORM, 0) => None,
            _ => return None,
        };
        let id = std::str::from_utf8(id).ok()?;
        logline::CustomerId::new(id).ok()?;
        Some(Self { key, id: id.to_owned() })
    }
}

/// One customer in a range.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct CustomerRowV1 {
    /// The customer's id, exactly as the log has it.
    #[schema(example = "cust_1")]
    customer_id: String,
    /// Time of the newest request of all, in the range or not.
    #[schema(example = "2024-09-30T09:15:34Z")]
    last_seen: String,
    #[serde(flatten)]
    figures: Figures,
}

/// A page of customers that have requests in a range.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct CustomersV1 {
    /// The customers in the order that was asked for.
    data: Vec<CustomerRowV1>,
    /// Customers on all pages: in the range, and found by the search if there is one.
    #[schema(example = 2)]
    total_customers: u64,
    /// Customers of the range, found by the search or not, whose first request of all that are kept lies in it. Null when the range ends before now, and with InfluxDB of more than 1,000 customers.
    #[schema(example = 2, required = true)]
    new_customers: Option<u64>,
    /// Where the next page begins: give it as `cursor`. Null on the last page.
    #[schema(required = true)]
    next_cursor: Option<String>,
    others: OthersV1,
    #[serde(flatten)]
    about: About,
    #[serde(skip)]
    percentiles: Vec<Percentile>,
}

/// Which page of which customers.
#[derive(Clone, Debug)]
pub(crate) struct CustomersAsked {
    pub(crate) order: Order,
    /// In lower case.
    pub(crate) search: Option<String>,
    pub(crate) behind: Option<Behind>,
    pub(crate) limit: usize,
    pub(crate) percentiles: Vec<Percentile>,
}

impl CustomersV1 {
    pub(crate) fn new(table: &Table, asked: &CustomersAsked, about: About) -> Self {
        let order = asked.order;
        let mut others = Others::default();
        let found = |row: &&TableRow| {
            let found =
                asked.search.as_ref().is_none_or(|search| row.id.to_lowercase().contains(search.as_str()));
            if !found {
                others.add(row);
            }
            found
        };
        let mut keyed: Vec<(Key, &TableRow)> = table
            .rows
            .iter()
            .filter(found)
            .map(|row| (order.key(&row.measures, row.last_seen_second), row))
            .collect();
        let total_customers = keyed.len() as u64;
        if let Some(behind) = &asked.behind {
            keyed.retain(|(key, row)| {
                order.compare((*key, &row.id), (behind.key, &behind.id)) == Ordering::Greater
            });
        }
        let compare =
            |a: &(Key, &TableRow), b: &(Key, &TableRow)| order.compare((a.0, &a.1.id), (b.0, &b.1.id));
        let more = keyed.len() > asked.limit;
        if more {
            // Only the page has to be in order.
            keyed.select_nth_unstable_by(asked.limit, compare);
            keyed.drain(asked.limit..).for_each(|(_, row)| others.add(row));
        }
        keyed.sort_unstable_by(compare);
        let last = keyed.last().filter(|_| more);
        let next_cursor = last.map(|(key, row)| Behind { key: *key, id: row.id.clone() }.write());
        let row = |(_, row): &(Key, &TableRow)| CustomerRowV1 {
            customer_id: row.id.clone(),
            last_seen: instant(row.last_seen_second),
            figures: Figures::new(&row.measures, &asked.percentiles),
        };
        let data = keyed.iter().map(row).collect();
        let others = others.told(&asked.percentiles);
        let (new_customers, percentiles) = (table.newcomers, asked.percentiles.clone());
        Self { data, total_customers, new_customers, next_cursor, others, about, percentiles }
    }

    pub(crate) fn next_cursor(&self) -> Option<&str> {
        self.next_cursor.as_deref()
    }
}

impl Rows for CustomersV1 {
    type Row = CustomerRowV1;
    fn rows(&self) -> &[CustomerRowV1] {
        &self.data
    }
    fn blank(&self) -> Option<CustomerRowV1> {
        let none = Measures { quantiles_nanos: vec![None; self.percentiles.len()], ..Measures::default() };
        let figures = Figures::new(&none, &self.percentiles);
        Some(CustomerRowV1 { customer_id: String::new(), last_seen: String::new(), figures })
    }
}

/// One path.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct PathRow {
    /// The path; null for requests without one.
    #[schema(example = "/api/v1/resource1", required = true)]
    path: Option<String>,
    /// Share of the requests that were counted, in percent.
    #[schema(example = 80.0, required = true)]
    share_of_requests: Option<f64>,
    #[serde(flatten)]
    figures: Figures,
}

/// A customer's paths.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct PathsV1 {
    /// The first ones in the order that was asked for.
    data: Vec<PathRow>,
    /// Different paths.
    #[schema(example = 2)]
    total_paths: u64,
    /// Requests that were counted: those of `covered`.
    #[schema(example = 5)]
    counted_requests: u64,
    covered: Covered,
    #[serde(flatten)]
    about: About,
    #[serde(skip)]
    percentiles: Vec<Percentile>,
}

impl PathsV1 {
    pub(crate) fn new(
        paths: &Paths,
        order: Order,
        limit: usize,
        percentiles: &[Percentile],
        zone: Zone,
        about: About,
    ) -> Self {
        let counted_requests =
            paths.paths.iter().map(|(_, measures)| measures.requests).sum::<u64>() + paths.other.requests;
        let mut keyed: Vec<(Key, &(Option<String>, Measures))> =
            paths.paths.iter().map(|path| (order.key(&path.1, 0), path)).collect();
        fn name(path: &Option<String>) -> &str {
            path.as_deref().unwrap_or_default()
        }
        keyed.sort_unstable_by(|a, b| order.compare((a.0, name(&a.1.0)), (b.0, name(&b.1.0))));
        let row = |(_, (path, measures)): &(Key, &(Option<String>, Measures))| PathRow {
            path: path.clone(),
            share_of_requests: percent(measures.requests, counted_requests),
            figures: Figures::new(measures, percentiles),
        };
        Self {
            data: keyed.iter().take(limit).map(row).collect(),
            total_paths: paths.paths.len() as u64,
            counted_requests,
            covered: Covered::new(paths.covered, zone),
            about,
            percentiles: percentiles.to_vec(),
        }
    }
}

impl Rows for PathsV1 {
    type Row = PathRow;
    fn rows(&self) -> &[PathRow] {
        &self.data
    }
    fn blank(&self) -> Option<PathRow> {
        let none = Measures { quantiles_nanos: vec![None; self.percentiles.len()], ..Measures::default() };
        Some(PathRow { path: None, share_of_requests: None, figures: Figures::new(&none, &self.percentiles) })
    }
}

#[cfg(test)]
mod tests;
