//! Answers kept for as long as they hold: one version of the data. It knows neither stores nor HTTP.
//!
//! The key is (question, data version), so an answer is never given for another version. Those who ask the same at the same time wait for one
//! computation (single flight). Errors are not kept. The answer of the version before goes when there is a new one.

use std::hash::{BuildHasher as _, Hash, RandomState};
use std::sync::Arc;
use std::time::Duration;

use moka::future::Cache;
use moka::policy::EvictionPolicy;
use store::{DataVersion, ReadError};

use crate::metrics::Metrics;

/// Answers of versions that are over are not asked for again; they go after this time.
const KEEP_UNASKED: Duration = Duration::from_secs(60);
/// Questions whose last version is known; the earlier answers of others go by time.
const QUESTIONS_MAX: u64 = 20_000;

/// What can be kept.
pub(crate) trait Kept: Send + Sync + 'static {
    /// About how much memory it takes.
    fn size_bytes(&self) -> usize;
}

/// Answers by question and data version.
pub(crate) struct VersionedCache<Q, A> {
    answers: Cache<(Q, DataVersion), Arc<A>>,
    /// By a question's hash, which is smaller than many a question: one that shares it costs nothing but the answer's early end.
    last_versions: moka::sync::Cache<u64, DataVersion>,
    hasher: RandomState,
    metrics: Arc<Metrics>,
}

impl<Q: Hash + Eq + Clone + Send + Sync + 'static, A: Kept> VersionedCache<Q, A> {
    pub(crate) fn new(max_bytes: u64, metrics: Arc<Metrics>) -> Self {
        let answers = Cache::builder()
            .max_capacity(max_bytes)
            .weigher(|_, answer: &Arc<A>| u32::try_from(answer.size_bytes()).unwrap_or(u32::MAX))
            // Least recently used, not least frequently: what was popular under an earlier version must not keep new answers out.
            .eviction_policy(EvictionPolicy::lru())
            .time_to_idle(KEEP_UNASKED)
            .build();
        let last_versions =
            moka::sync::Cache::builder().max_capacity(QUESTIONS_MAX).time_to_idle(KEEP_UNASKED).build();
        Self { answers, last_versions, hasher: RandomState::new(), metrics }
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
        if entry.is_fresh() {
            self.forget_before(&entry.key().0, version).await;
        }
        Ok(entry.into_value())
    }

    /// Lets the answer of the version before go: a log that grows has ten versions a second, and each answer would stay for a minute.
    async fn forget_before(&self, question: &Q, version: DataVersion) {
        let hash = self.hasher.hash_one(question);
        let before = self.last_versions.get(&hash);
        self.last_versions.insert(hash, version);
        if let Some(before) = before.filter(|before| *before != version) {
            self.answers.invalidate(&(question.clone(), before)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Kept for u64 {
        fn size_bytes(&self) -> usize {
            1
        }
    }

    /// Memory grew by the answers of each version, until the budget was used up or a minute had passed.
    #[tokio::test]
    async fn of_each_question_only_the_last_version_is_kept() {
        let cache = VersionedCache::new(1 << 20, Arc::new(Metrics::new()));
        for version in 0..500 {
            for question in 0..3_u64 {
                let answer = cache.get(question, DataVersion(version), async { Ok(version) }).await;
                assert_eq!(*answer.expect("made"), version);
                // Kept.
                let again = cache.get(question, DataVersion(version), async { panic!("it is there") }).await;
                assert_eq!(*again.expect("kept"), version);
            }
        }
        cache.answers.run_pending_tasks().await;
        assert_eq!(cache.answers.entry_count(), 3);
    }
}
