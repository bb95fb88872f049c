//! The questions of the api's first version, each asked of the store for one subject, its answer kept for as long as it holds. Cells become measures here, so that what is
//! kept is small; what people see is made in `v1::answers`.

use std::hash::Hash;
use std::sync::Arc;

use stats::{Cell, Measures, Minutes, Percentile, TimeRange, bucket_value};
use store::{
    CellsQuery, Freshness, Method, Paths, PathsQuery, ReadError, RequestFilter, RequestPlace, RequestsPage,
    RequestsQuery, Table, TableQuery, WholeQuery,
};

use crate::backend::Backend;
use crate::cache::{Kept, VersionedCache};
use crate::error::ApiError;
use crate::grammar::{Period, RangeTexts};
use crate::metrics::Metrics;
use crate::scope::{Everybody, One, Subject};
use crate::tables::{Held, Tables};
use crate::v1::Rankings;

/// Upper ends of the buckets of a latency histogram, in microseconds; the last bucket has none.
pub(crate) const EDGES_MICROS: [u64; 25] = [
    1_000, 2_000, 3_000, 5_000, 7_500, 10_000, 15_000, 20_000, 30_000, 50_000, 75_000, 100_000, 150_000,
    200_000, 300_000, 500_000, 750_000, 1_000_000, 1_500_000, 2_000_000, 3_000_000, 5_000_000, 7_500_000,
    10_000_000, 30_000_000,
];
/// Buckets of a latency histogram.
pub(crate) const EDGE_BUCKETS: usize = EDGES_MICROS.len() + 1;

/// An answer with what is known about it.
#[derive(Clone, Debug)]
pub(crate) struct Found<A> {
    pub(crate) answer: A,
    /// Whether the customer is known at all.
    pub(crate) known: bool,
    pub(crate) method: Method,
    pub(crate) freshness: Freshness,
}

/// A range as a whole.
#[derive(Clone, Debug)]
pub(crate) struct Whole {
    pub(crate) measures: Measures,
    /// Minutes with traffic, and those of them that were up; None where minutes are not kept.
    pub(crate) minutes: Option<Minutes>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct WholeQuestion {
    query: WholeQuery,
    percentiles: Vec<Percentile>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct SeriesQuestion {
    subject: Subject,
    bounds: Vec<i64>,
    percentiles: Vec<Percentile>,
}

/// What makes two tables the same one at two moments: how it was asked for, not when.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct TableKey {
    /// The range in the words of the request.
    range: String,
    percentiles: Vec<Percentile>,
}

impl TableKey {
    pub(crate) fn new(texts: RangeTexts<'_>, percentiles: &[Percentile]) -> Self {
        let RangeTexts { from, to, tz, compare } = texts;
        Self { range: format!("{from:?} {to:?} {tz:?} {compare}"), percentiles: percentiles.to_vec() }
    }
}

/// A table, its range, and the same customers in the period before.
#[derive(Debug)]
pub(crate) struct Customers<P> {
    pub(crate) period: P,
    pub(crate) table: Table,
    pub(crate) previous: Option<Table>,
    /// Who of them is hurt; made of the table when somebody asks.
    pub(crate) rankings: Rankings,
}

type Histograms = Vec<[u64; EDGE_BUCKETS]>;
type TableMark = (store::DataVersion, Period);
/// A table in its place.
pub(crate) type HeldCustomers = Held<TableMark, Customers<Period>>;

/// Everything that is kept.
pub(crate) struct KeptAnswers {
    whole: VersionedCache<WholeQuestion, Found<Whole>>,
    series: VersionedCache<SeriesQuestion, Found<Vec<Measures>>>,
    histograms: VersionedCache<SeriesQuestion, Found<Histograms>>,
    requests: VersionedCache<RequestsQuery, RequestsPage>,
    paths: VersionedCache<PathsQuery, Paths>,
    tables: Tables<TableKey, TableMark, Customers<Period>>,
}

impl KeptAnswers {
    pub(crate) fn new(max_bytes: u64, metrics: &Arc<Metrics>) -> Self {
        let share = max_bytes / 5;
        Self {
            whole: VersionedCache::new(share, Arc::clone(metrics)),
            series: VersionedCache::new(share, Arc::clone(metrics)),
            histograms: VersionedCache::new(share, Arc::clone(metrics)),
            requests: VersionedCache::new(share, Arc::clone(metrics)),
            paths: VersionedCache::new(share, Arc::clone(metrics)),
            tables: Tables::new(),
        }
    }
}

impl Backend {
    /// The answer to a question at the data's version of now, and how fresh it is at least.
    async fn at_this_version<Q, A>(
        &self,
        cache: &VersionedCache<Q, A>,
        question: Q,
        make: impl Future<Output = Result<A, ReadError>>,
    ) -> Result<(Arc<A>, Freshness), ApiError>
    where
        Q: Hash + Eq + Clone + Send + Sync + 'static,
        A: Kept,
    {
        let found = async {
            let (version, fresh) = self.version().await?;
            Ok((cache.get(question, version, make).await?, fresh))
        };
        self.checked(found.await)
    }

    async fn cells(&self, subject: &Subject, bounds: Vec<i64>) -> Result<store::Cells, ReadError> {
        self.store.cells(&CellsQuery { customer: subject.id().map(str::to_owned), bounds }).await
    }

    /// A range as a whole; `by_minutes`: also its minutes.
    pub(crate) async fn whole(
        &self,
        subject: &Subject,
        range: TimeRange,
        by_minutes: bool,
        percentiles: &[Percentile],
    ) -> Result<(Arc<Found<Whole>>, Freshness), ApiError> {
        let query = WholeQuery { customer: subject.id().map(str::to_owned), range, by_minutes };
        let question = WholeQuestion { query: query.clone(), percentiles: percentiles.to_vec() };
        let make = async {
            let found = self.store.whole(&query).await?;
            let answer = Whole { measures: found.cell.measures(percentiles), minutes: found.minutes };
            Ok(Found { answer, known: found.known, method: found.method, freshness: found.freshness })
        };
        self.at_this_version(&self.kept.whole, question, make).await
    }

    /// The stretches between bounds.
    pub(crate) async fn series(
        &self,
        subject: &Subject,
        bounds: &[i64],
        percentiles: &[Percentile],
    ) -> Result<(Arc<Found<Vec<Measures>>>, Freshness), ApiError> {
        let (bounds, percentiles) = (bounds.to_vec(), percentiles.to_vec());
        let question = SeriesQuestion {
            subject: subject.clone(),
            bounds: bounds.clone(),
            percentiles: percentiles.clone(),
        };
        let make = async {
            let cells = self.cells(subject, bounds).await?;
            let series = cells.cells.iter().map(|cell| cell.measures(&percentiles)).collect();
            Ok(cells_found(&cells, series))
        };
        self.at_this_version(&self.kept.series, question, make).await
    }

    /// The latencies of stretches, by [`EDGES_MICROS`].
    pub(crate) async fn histograms(
        &self,
        subject: &Subject,
        bounds: &[i64],
    ) -> Result<(Arc<Found<Histograms>>, Freshness), ApiError> {
        let bounds = bounds.to_vec();
        let question =
            SeriesQuestion { subject: subject.clone(), bounds: bounds.clone(), percentiles: Vec::new() };
        let make = async {
            let cells = self.cells(subject, bounds).await?;
            Ok(cells_found(&cells, cells.cells.iter().map(by_edges).collect()))
        };
        self.at_this_version(&self.kept.histograms, question, make).await
    }

    /// A page of a customer's raw requests.
    pub(crate) async fn requests(
        &self,
        one: &One,
        range: TimeRange,
        filter: RequestFilter,
        after: Option<RequestPlace>,
        limit: usize,
    ) -> Result<(Arc<RequestsPage>, Freshness), ApiError> {
        let query = RequestsQuery { customer: one.id().to_owned(), range, filter, after, limit };
        let asked = query.clone();
        self.at_this_version(&self.kept.requests, query, async { self.store.requests(&asked).await }).await
    }

    /// A customer's requests by path.
    pub(crate) async fn paths(
        &self,
        one: &One,
        range: TimeRange,
        percentiles: &[Percentile],
    ) -> Result<(Arc<Paths>, Freshness), ApiError> {
        let query = PathsQuery { customer: one.id().to_owned(), range, percentiles: percentiles.to_vec() };
        let asked = query.clone();
        self.at_this_version(&self.kept.paths, query, async { self.store.paths(&asked).await }).await
    }

    /// All customers of a period, as of some moments ago at most, and how fresh that is: while nothing changes, as fresh as everything is.
    pub(crate) async fn table(
        &self,
        _: Everybody,
        key: TableKey,
        period: Period,
    ) -> Result<(Arc<HeldCustomers>, Freshness), ApiError> {
        let found = async {
            let (version, fresh_now) = self.version().await?;
            let make = self.make_table(&key, period);
            let held = self.kept.tables.get(key, (version, period), make).await.map_err(Arc::new)?;
            let made = held.table.table.freshness.as_of_micros;
            let is_of_now = held.mark().0 == version;
            let as_of_micros = if is_of_now { fresh_now.as_of_micros.max(made) } else { made };
            Ok((held, Freshness { as_of_micros }))
        };
        self.checked(found.await)
    }

    /// The same before anybody asks, on nobody's behalf: tells how many customers the table has, and gives nothing of it. A fault is told to those who ask.
    pub(crate) async fn table_beforehand(
        &self,
        key: TableKey,
        period: Period,
        version: store::DataVersion,
    ) -> Result<usize, ReadError> {
        let make = self.make_table(&key, period);
        let held = self.kept.tables.beforehand(key, (version, period), make).await?;
        Ok(held.map_or(0, |held| held.table.table.rows.len()))
    }

    /// How long nobody has asked for any table.
    pub(crate) fn tables_unasked(&self) -> std::time::Duration {
        self.kept.tables.unasked()
    }

    /// Forgets a table.
    pub(crate) fn forget_table(&self, key: &TableKey) {
        self.kept.tables.forget(key);
    }

    fn make_table(
        &self,
        key: &TableKey,
        period: Period,
    ) -> impl Future<Output = Result<Customers<Period>, ReadError>> + Send + 'static {
        let (store, percentiles) = (Arc::clone(&self.store), key.percentiles.clone());
        async move {
            let query = |range, newcomers| TableQuery { range, percentiles: percentiles.clone(), newcomers };
            // Who compares asks who is hurt, and not who is new.
            let newcomers = period.reaches_now && period.previous.is_none();
            let table = store.table(&query(period.range, newcomers)).await?;
            let previous = match period.previous {
                Some(range) => Some(store.table(&query(range, false)).await?),
                None => None,
            };
            Ok(Customers { period, table, previous, rankings: Rankings::default() })
        }
    }
}

fn cells_found<A>(cells: &store::Cells, answer: A) -> Found<A> {
    Found { answer, known: cells.known, method: cells.method, freshness: cells.freshness }
}

/// A cell's latencies by edges: a latency at an edge belongs to the bucket that ends there.
fn by_edges(cell: &Cell) -> [u64; EDGE_BUCKETS] {
    let mut counts = [0; EDGE_BUCKETS];
    for (bucket, count) in cell.histogram.buckets() {
        let micros = bucket_value(bucket);
        counts[EDGES_MICROS.partition_point(|edge| *edge < micros)] += count;
    }
    counts
}

const fn measures_bytes(measures: &Measures) -> usize {
    size_of::<Measures>() + measures.quantiles_nanos.len() * size_of::<Option<u64>>()
}

impl Kept for Found<Whole> {
    fn size_bytes(&self) -> usize {
        size_of::<Self>() + measures_bytes(&self.answer.measures)
    }
}

impl Kept for Found<Vec<Measures>> {
    fn size_bytes(&self) -> usize {
        // The question is as long as the answer.
        let bytes = |measures: &Measures| measures_bytes(measures) + size_of::<i64>();
        size_of::<Self>() + self.answer.iter().map(bytes).sum::<usize>()
    }
}

impl Kept for Found<Histograms> {
    fn size_bytes(&self) -> usize {
        size_of::<Self>() + self.answer.len() * (EDGE_BUCKETS + 1) * size_of::<u64>()
    }
}

impl Kept for RequestsPage {
    fn size_bytes(&self) -> usize {
        let row = |row: &store::RawRow| size_of::<store::RawRow>() + row.path.as_ref().map_or(0, String::len);
        size_of::<Self>() + self.requests.iter().map(row).sum::<usize>()
    }
}

impl Kept for Paths {
    fn size_bytes(&self) -> usize {
        let path = |(path, measures): &(Option<String>, Measures)| {
            path.as_ref().map_or(0, String::len) + measures_bytes(measures) + 32
        };
        size_of::<Self>() + self.paths.iter().map(path).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_take_what_ends_at_them() {
        let mut cell = Cell::default();
        for micros in [0, 1_000, 1_001, 1_000_000, 1_000_001, 86_400_000_000] {
            cell.observe(200, Some(micros));
        }
        let counts = by_edges(&cell);
        // 1.000001 s is kept as 1 s: what stands for its bucket
        assert_eq!((counts[0], counts[1], counts[17], counts[25]), (2, 1, 2, 1));
        assert_eq!(counts.iter().sum::<u64>(), 6);
    }
}
