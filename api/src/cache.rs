//! Answers kept for as long as they hold: one version of the data. It knows neither stores nor HTTP.
//!
//! The key is (question, data version), so an answer is never given for another version. Those who ask the same at the same time wait for one
//! computation (single flight). Errors are not kept.

use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use moka::future::Cache;
use moka::policy::EvictionPolicy;
use store::{DataVersion, ReadError};

use crate::metrics::Metrics;

/// Answers of versions that are over are not asked for again; they go after this time.
const KEEP_UNASKED: Duration = Duration::from_secs(60);

/// What can be kept.
pub(crate) trait Kept: Send + Sync + 'static {
    /// About how much memory it takes.
    fn size_bytes(&self) -> usize;
}

/// Answers by question and data version.
pub(crate) struct VersionedCache<Q, A> {
    answers: Cache<(Q, DataVersion), Arc<A>>,
    metrics: Arc<Metrics>,
}

impl<Q: Hash + Eq + Send + Sync + 'static, A: Kept> VersionedCache<Q, A> {
    pub(crate) fn new(max_bytes: u64, metrics: Arc<Metrics>) -> Self {
        let answers = Cache::builder()
            .max_capacity(max_bytes)
            .weigher(|_, answer: &Arc<A>| u32::try_from(answer.size_bytes()).unwrap_or(u32::MAX))
            // Least recently used, not least frequently: what was popular under an earlier version must not keep new answers out.
            .eviction_policy(EvictionPolicy::lru())
            .time_to_idle(KEEP_UNASKED)
            .build();
        Self { answers, metrics }
    }

    /// The answer to a question at a version: the kept one, the one that is being made, or a new one.
    pub(crate) async fn get(
        &self,
        question: Q,
        version: DataVersion,
        make: impl Future<Output = Result<A, ReadError>>,
    ) -> Result<Arc<A>, Arc<ReadError>> {
        let entry = self
            .answers
            .entry((question, version))
            .or_try_insert_with(async { make.await.map(Arc::new) })
            .await?;
        self.metrics.cache_asked(!entry.is_fresh());
        Ok(entry.into_value())
    }
}
