//! The side that answers: what the api asks of a store. Values are exact ([`stats::Summary`]); rounding and HTTP are the caller's.

use stats::{Summary, TimeRange, WindowKind};
use std::time::Duration;

use crate::questions::kind_in_words;
use crate::{
    Cells, CellsQuery, Paths, PathsQuery, RequestsPage, RequestsQuery, Table, TableQuery, Whole, WholeQuery,
};

/// What statistics are asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StatsQuery {
    /// One customer, by exact id, or all customers together.
    pub customer: Option<String>,
    /// The range of request times.
    pub range: TimeRange,
}

/// The statistics of a range, and of each day (UTC) in it.
#[derive(Clone, Debug, PartialEq)]
pub struct Stats {
    /// All requests of the range; `requests` is 0 when there were none.
    pub total: Summary,
    /// One entry for each day with requests, in order of time.
    pub daily: Vec<DayStats>,
    /// The range really covered: the asked one, widened where only coarser windows are kept.
    pub covered: TimeRange,
    /// How the answer was made.
    pub method: Method,
    /// How fresh it is.
    pub freshness: Freshness,
}

/// One day's statistics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DayStats {
    /// The day's first second, UTC, since 1970.
    pub day_second: i64,
    /// Its requests.
    pub summary: Summary,
}

/// How an answer was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// From the ledger's cells.
    Cells,
    /// From the raw requests.
    Raw,
}

/// How fresh an answer is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Freshness {
    /// Every line that was readable at this instant is in the answer; microseconds since 1970. None before a processor has said so.
    pub as_of_micros: Option<i64>,
}

/// Changes whenever an answer of the store may have changed; equal versions mean equal answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DataVersion(pub u64);

/// Which customers are asked for, in ascending byte order of their id.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CustomersQuery {
    /// Only ids after this one (exclusive).
    pub after: Option<String>,
    /// At most that many.
    pub limit: usize,
}

/// A page of customers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CustomersPage {
    /// In ascending byte order of the id.
    pub customers: Vec<CustomerRow>,
    /// Whether there are customers after the last one of this page.
    pub more: bool,
    /// How fresh it is.
    pub freshness: Freshness,
}

/// One customer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CustomerRow {
    /// The id.
    pub id: String,
    /// All requests that are kept.
    pub requests: u64,
    /// The whole second of the newest request, since 1970.
    pub last_seen_second: i64,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// There is no ledger, bucket or data yet: nothing was ever stored here.
    #[error("no data yet: {why}")]
    NoDataYet {
        /// What is missing.
        why: String,
    },
    /// The store is away or too slow: ask again later (503).
    #[error("{why}")]
    Away {
        /// What happened.
        why: String,
        /// When to ask again, if known.
        retry_after: Option<Duration>,
    },
    /// Token, organization, bucket or schema version are wrong (503 for the client, an ERROR for the operator).
    #[error("{why}; {fix}")]
    Misconfigured {
        /// What happened.
        why: String,
        /// What to do about it.
        fix: String,
    },
    /// A bound was asked for that lies within a window that is not kept in parts.
    #[error("only whole {} are kept at the second {second}", kind_in_words(*kind))]
    NotKept {
        /// The bound.
        second: i64,
        /// The shortest windows that are kept there.
        kind: WindowKind,
    },
    /// What is stored cannot be read: named by customer and window.
    #[error("{0}")]
    Damaged(String),
}

/// What the api asks of a store. Implemented by `influx::InfluxStats` and `embedded::EmbeddedStats`.
pub trait StatsStore: Send + Sync + 'static {
    /// The data's version now; cheap.
    fn version(&self) -> impl Future<Output = Result<DataVersion, ReadError>> + Send;

    /// How fresh the data is now; reaches the store, and cheap. Every answer of a version looked up after this call holds every line it speaks of.
    fn freshness(&self) -> impl Future<Output = Result<Freshness, ReadError>> + Send;

    /// The data's version now, and how fresh every answer of that version is at least. The freshness is looked up first: what it speaks of is then
    /// in the version. A store whose version can stay the same while lines come in (InfluxDB: it is a second of the clock) can promise no freshness here
    /// (None inside); its answers bring their own.
    fn version_with_freshness(
        &self,
    ) -> impl Future<Output = Result<(DataVersion, Freshness), ReadError>> + Send {
        async {
            let freshness = self.freshness().await?;
            Ok((self.version().await?, freshness))
        }
    }

    /// Statistics of a range.
    fn stats(&self, query: &StatsQuery) -> impl Future<Output = Result<Stats, ReadError>> + Send;

    /// A page of customers.
    fn customers(
        &self,
        query: &CustomersQuery,
    ) -> impl Future<Output = Result<CustomersPage, ReadError>> + Send;

    /// One cell for each stretch of time.
    fn cells(&self, query: &CellsQuery) -> impl Future<Output = Result<Cells, ReadError>> + Send;

    /// A range as a whole, and if wanted how many of its minutes had traffic and were up.
    fn whole(&self, query: &WholeQuery) -> impl Future<Output = Result<Whole, ReadError>> + Send {
        async { Ok(query.answer_of(&self.cells(&query.as_cells()).await?)) }
    }

    /// All customers that have requests in a range.
    fn table(&self, query: &TableQuery) -> impl Future<Output = Result<Table, ReadError>> + Send;

    /// Raw requests of a customer, newest first, as far as they are kept.
    fn requests(&self, query: &RequestsQuery)
    -> impl Future<Output = Result<RequestsPage, ReadError>> + Send;

    /// A customer's requests by path, as far as they are kept one by one.
    fn paths(&self, query: &PathsQuery) -> impl Future<Output = Result<Paths, ReadError>> + Send;

    /// How often an answer had to be made from the single requests. None where that is never needed.
    fn raw_questions(&self) -> u64 {
        0
    }

    /// Whether it keeps statistics of minutes; where it does not, minutes are made from the single requests, and cost what these are.
    fn keeps_minutes(&self) -> bool {
        true
    }

    /// Whether a table that was asked for before is renewed from what changed since: then it is worth making before anybody asks.
    fn renews_tables(&self) -> bool {
        false
    }

    /// A short name for logs and readiness, without secrets.
    fn describe(&self) -> String;
}
