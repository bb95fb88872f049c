//! The store as the handlers see it: any [`StatsStore`], its answers kept while they hold, its errors turned into what a client is told.

use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use stats::TimeRange;
use store::{
    Cells, CellsQuery, CustomersPage, CustomersQuery, DataVersion, Freshness, Paths, PathsQuery, ReadError,
    RequestsPage, RequestsQuery, Stats, StatsQuery, StatsStore, Table, TableQuery, Whole, WholeQuery,
};

use crate::answers::{CustomersAnswer, StatsAnswer};
use crate::cache::{Kept, VersionedCache};
use crate::conditional::EntityTag;
use crate::error::{ApiError, Kind, Severity, internal};
use crate::metrics::Metrics;
use crate::questions::KeptAnswers;
use crate::scope::{Everybody, Subject};
use crate::shared_look::SharedLook;
use crate::trouble_log::TroubleLog;

/// When to ask again after the store could not be reached and did not say when.
const RETRY_AFTER_AWAY: Duration = Duration::from_secs(2);
/// When to ask again after the store refused us: an operator has to change something first.
const RETRY_AFTER_MISCONFIGURED: Duration = Duration::from_secs(30);

/// [`StatsStore`] as an object, so that router and handlers are one program for every store.
pub(crate) trait AnyStore: Send + Sync {
    fn version_with_freshness(&self) -> BoxFuture<'_, Result<(DataVersion, Freshness), ReadError>>;
    fn freshness(&self) -> BoxFuture<'_, Result<Freshness, ReadError>>;
    fn stats<'a>(&'a self, query: &'a StatsQuery) -> BoxFuture<'a, Result<Stats, ReadError>>;
    fn customers<'a>(&'a self, query: &'a CustomersQuery) -> BoxFuture<'a, Result<CustomersPage, ReadError>>;
    fn cells<'a>(&'a self, query: &'a CellsQuery) -> BoxFuture<'a, Result<Cells, ReadError>>;
    fn whole<'a>(&'a self, query: &'a WholeQuery) -> BoxFuture<'a, Result<Whole, ReadError>>;
    fn table<'a>(&'a self, query: &'a TableQuery) -> BoxFuture<'a, Result<Table, ReadError>>;
    fn requests<'a>(&'a self, query: &'a RequestsQuery) -> BoxFuture<'a, Result<RequestsPage, ReadError>>;
    fn paths<'a>(&'a self, query: &'a PathsQuery) -> BoxFuture<'a, Result<Paths, ReadError>>;
    fn raw_questions(&self) -> u64;
    fn keeps_minutes(&self) -> bool;
    fn renews_tables(&self) -> bool;
    fn describe(&self) -> String;
}

impl<S: StatsStore> AnyStore for S {
    fn version_with_freshness(&self) -> BoxFuture<'_, Result<(DataVersion, Freshness), ReadError>> {
        Box::pin(StatsStore::version_with_freshness(self))
    }
    fn freshness(&self) -> BoxFuture<'_, Result<Freshness, ReadError>> {
        Box::pin(StatsStore::freshness(self))
    }
    fn stats<'a>(&'a self, query: &'a StatsQuery) -> BoxFuture<'a, Result<Stats, ReadError>> {
        Box::pin(StatsStore::stats(self, query))
    }
    fn customers<'a>(&'a self, query: &'a CustomersQuery) -> BoxFuture<'a, Result<CustomersPage, ReadError>> {
        Box::pin(StatsStore::customers(self, query))
    }
    fn cells<'a>(&'a self, query: &'a CellsQuery) -> BoxFuture<'a, Result<Cells, ReadError>> {
        Box::pin(StatsStore::cells(self, query))
    }
    fn whole<'a>(&'a self, query: &'a WholeQuery) -> BoxFuture<'a, Result<Whole, ReadError>> {
        Box::pin(StatsStore::whole(self, query))
    }
    fn table<'a>(&'a self, query: &'a TableQuery) -> BoxFuture<'a, Result<Table, ReadError>> {
        Box::pin(StatsStore::table(self, query))
    }
    fn requests<'a>(&'a self, query: &'a RequestsQuery) -> BoxFuture<'a, Result<RequestsPage, ReadError>> {
        Box::pin(StatsStore::requests(self, query))
    }
    fn paths<'a>(&'a self, query: &'a PathsQuery) -> BoxFuture<'a, Result<Paths, ReadError>> {
        Box::pin(StatsStore::paths(self, query))
    }
    fn raw_questions(&self) -> u64 {
        StatsStore::raw_questions(self)
    }
    fn keeps_minutes(&self) -> bool {
        StatsStore::keeps_minutes(self)
    }
    fn renews_tables(&self) -> bool {
        StatsStore::renews_tables(self)
    }
    fn describe(&self) -> String {
        StatsStore::describe(self)
    }
}

/// A kept answer: what it says without its freshness, its tag, and how fresh it was when it was made.
#[derive(Debug)]
pub(crate) struct Made<A> {
    /// None: there is nothing to say (no requests in the range).
    pub(crate) answer: Option<A>,
    pub(crate) tag: EntityTag,
    freshness: Freshness,
}

/// An answer and how fresh it is.
type Found<A> = Result<(Arc<Made<A>>, Freshness), ApiError>;

/// What a look at the store's version finds.
type Version = Result<(DataVersion, Freshness), Arc<ReadError>>;

/// The store with its cache.
pub(crate) struct Backend {
    pub(crate) store: Arc<dyn AnyStore>,
    versions: SharedLook<Version>,
    stats: VersionedCache<StatsQuery, Made<StatsAnswer>>,
    customers: VersionedCache<CustomersQuery, Made<CustomersAnswer>>,
    pub(crate) kept: KeptAnswers,
    metrics: Arc<Metrics>,
    pub(crate) trouble_log: TroubleLog,
}

impl std::fmt::Debug for Backend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Backend").field("store", &self.store.describe()).finish_non_exhaustive()
    }
}

impl Backend {
    /// `cache_max_bytes` bounds the memory of all kept answers.
    pub(crate) fn new(store: impl StatsStore, cache_max_bytes: u64, metrics: Arc<Metrics>) -> Self {
        Self {
            store: Arc::new(store),
            versions: SharedLook::default(),
            stats: VersionedCache::new(cache_max_bytes / 4, Arc::clone(&metrics)),
            customers: VersionedCache::new(cache_max_bytes / 4, Arc::clone(&metrics)),
            kept: KeptAnswers::new(cache_max_bytes / 2, &metrics),
            metrics,
            trouble_log: TroubleLog::default(),
        }
    }

    /// Statistics of a range, and how fresh they are.
    pub(crate) async fn stats(&self, subject: &Subject, range: TimeRange) -> Found<StatsAnswer> {
        let query = StatsQuery { customer: subject.id().map(str::to_owned), range };
        let asked = query.clone();
        let make = async {
            let stats = self.store.stats(&asked).await?;
            let answer = StatsAnswer::new(asked.customer.as_deref(), &stats);
            Ok(Made { tag: EntityTag::of(&answer), answer, freshness: stats.freshness })
        };
        self.kept_or_made(&self.stats, query, make).await
    }

    /// A page of customers, and how fresh it is.
    pub(crate) async fn customers(&self, _: Everybody, query: CustomersQuery) -> Found<CustomersAnswer> {
        let asked = query.clone();
        let make = async {
            let page = self.store.customers(&asked).await?;
            let answer = Some(CustomersAnswer::new(&page));
            Ok(Made { tag: EntityTag::of(&answer), answer, freshness: page.freshness })
        };
        self.kept_or_made(&self.customers, query, make).await
    }

    async fn kept_or_made<Q, A>(
        &self,
        cache: &VersionedCache<Q, Made<A>>,
        query: Q,
        make: impl Future<Output = Result<Made<A>, ReadError>>,
    ) -> Found<A>
    where
        Q: Hash + Eq + Clone + Send + Sync + 'static,
        Made<A>: Kept,
    {
        let found = async {
            let (version, fresh_now) = self.version().await?;
            let made = cache.get(query, version, make).await?;
            // Both hold for this answer: what every answer of the version is at least, and what it was itself when it was made.
            let freshness =
                Freshness { as_of_micros: fresh_now.as_of_micros.max(made.freshness.as_of_micros) };
            Ok((made, freshness))
        };
        self.checked(found.await)
    }

    /// The data's version of now, and how fresh it is at least.
    pub(crate) async fn version(&self) -> Version {
        let store = Arc::clone(&self.store);
        let look = move || {
            let store = Arc::clone(&store);
            async move { store.version_with_freshness().await.map_err(Arc::new) }
        };
        self.versions.look(look).await
    }

    /// How fresh the data is now. Reaches the store, so it also tells whether the store can be reached.
    pub(crate) async fn freshness(&self) -> Result<Freshness, ApiError> {
        self.checked(self.store.freshness().await.map_err(Arc::new))
    }

    /// Whether minutes cost no more than other windows.
    pub(crate) fn keeps_minutes(&self) -> bool {
        self.store.keeps_minutes()
    }

    /// How often an answer had to be made from the single requests.
    pub(crate) fn raw_questions(&self) -> u64 {
        self.store.raw_questions()
    }

    /// The store's short name, for the log.
    pub(crate) fn describe(&self) -> String {
        self.store.describe()
    }

    pub(crate) fn checked<T>(&self, result: Result<T, Arc<ReadError>>) -> Result<T, ApiError> {
        match result {
            Ok(value) => {
                self.trouble_log.recovered();
                Ok(value)
            }
            Err(error) => {
                self.metrics.store_failed(&error);
                Err(told(&error))
            }
        }
    }
}

impl<A: Kept> Kept for Made<A> {
    fn size_bytes(&self) -> usize {
        size_of::<Self>() + self.answer.as_ref().map_or(0, Kept::size_bytes)
    }
}

impl Kept for StatsAnswer {
    fn size_bytes(&self) -> usize {
        self.size_bytes()
    }
}

impl Kept for CustomersAnswer {
    fn size_bytes(&self) -> usize {
        self.size_bytes()
    }
}

/// What a client is told of a store's error, with the cause apart from it.
fn told(error: &ReadError) -> ApiError {
    let unavailable = || {
        ApiError::new(Kind::StoreUnavailable, "the statistics cannot be read at the moment; ask again later")
    };
    match error {
        ReadError::NoDataYet { .. } => {
            ApiError::new(Kind::NoDataYet, "no request has been stored here so far")
        }
        ReadError::Away { retry_after, .. } => unavailable()
            .with_retry_after(retry_after.unwrap_or(RETRY_AFTER_AWAY))
            .with_cause(Severity::Passing, error.to_string()),
        ReadError::Misconfigured { .. } => unavailable()
            .with_retry_after(RETRY_AFTER_MISCONFIGURED)
            .with_cause(Severity::Act, error.to_string()),
        // The api asks for what is kept by its own clock; the processor's may be ahead of it.
        ReadError::NotKept { .. } => ApiError::parameter("from", format!("cannot be told exactly: {error}")),
        ReadError::Damaged(_) => internal(format!("damaged: {error}")),
    }
}
