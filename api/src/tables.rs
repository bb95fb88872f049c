//! Tables of all customers: kept while they hold, renewed in the background, so that a page of customers is never kept waiting by the counting of ten thousand. What is
//! given is never older than its own `as_of` says, and a table that nobody asks for costs nothing.

use std::hash::Hash;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Tables kept at once: each is some hundred bytes for each customer.
const TABLES_MAX: usize = 32;
/// A table that nobody asked for goes after this time.
const KEEP_UNASKED: Duration = Duration::from_secs(300);
/// A table this young is given without another thought.
const YOUNG: Duration = Duration::from_millis(900);
/// Renewing takes at most this part of the time: one in this many.
const RENEW_PART: u32 = 10;
/// A table older than this is not given any more; whoever asks waits for the next.
const OLD: Duration = Duration::from_secs(60);

/// A table in its place.
#[derive(Debug)]
pub(crate) struct Held<M, T> {
    pub(crate) table: T,
    /// What it was made of: while that is the same, so is the table.
    mark: M,
    since: Instant,
    took: Duration,
}

struct Slot<M, T> {
    held: Mutex<Option<Arc<Held<M, T>>>>,
    /// Taken while somebody makes the table and others wait for it.
    making: tokio::sync::Mutex<()>,
    renewing: AtomicBool,
}

/// Tables by what was asked for.
pub(crate) struct Tables<Q, M, T> {
    slots: moka::sync::Cache<Q, Arc<Slot<M, T>>>,
}

/// Whether a held table may be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    Give,
    GiveAndRenew,
    Make,
}

impl<M: PartialEq, T> Held<M, T> {
    fn usable(&self, mark: &M, now: Instant) -> Use {
        let age = now.saturating_duration_since(self.since);
        if self.mark == *mark || age < YOUNG.max(self.took * RENEW_PART) {
            Use::Give
        } else if age < OLD.max(self.took * (RENEW_PART + 5)) {
            Use::GiveAndRenew
        } else {
            Use::Make
        }
    }
}

impl<M, T> Slot<M, T> {
    fn held(&self) -> Option<Arc<Held<M, T>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn put(&self, table: T, mark: M, began: Instant) -> Arc<Held<M, T>> {
        let held = Arc::new(Held { table, mark, since: began, took: began.elapsed() });
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&held));
        held
    }
}

/// Says that renewing is over, also when it panicked.
struct Renewing<M, T>(Arc<Slot<M, T>>);

impl<M, T> Drop for Renewing<M, T> {
    fn drop(&mut self) {
        self.0.renewing.store(false, Ordering::Release);
    }
}

impl<Q, M, T> Tables<Q, M, T>
where
    Q: Hash + Eq + Send + Sync + 'static,
    M: PartialEq + Send + Sync + 'static,
    T: Send + Sync + 'static,
{
    pub(crate) fn new() -> Self {
        let slots =
            moka::sync::Cache::builder().max_capacity(TABLES_MAX as u64).time_to_idle(KEEP_UNASKED).build();
        Self { slots }
    }

    /// The table for a question, made of what `mark` says: the held one, renewed behind its back when it has grown old, or a new one.
    pub(crate) async fn get<E: Send + 'static>(
        &self,
        question: Q,
        mark: M,
        make: impl Future<Output = Result<T, E>> + Send + 'static,
    ) -> Result<Arc<Held<M, T>>, E> {
        let empty = || Slot {
            held: Mutex::new(None),
            making: tokio::sync::Mutex::new(()),
            renewing: AtomicBool::new(false),
        };
        let slot = self.slots.get_with(question, || Arc::new(empty()));
        let usable = |slot: &Slot<M, T>| slot.held().map(|held| (held.usable(&mark, Instant::now()), held));
        match usable(&slot) {
            Some((Use::Give, held)) => return Ok(held),
            Some((Use::GiveAndRenew, held)) => {
                if !slot.renewing.swap(true, Ordering::AcqRel) {
                    let renewing = Renewing(slot);
                    tokio::spawn(async move {
                        let began = Instant::now();
                        // A fault is told to those who wait for an answer.
                        if let Ok(table) = make.await {
                            renewing.0.put(table, mark, began);
                        }
                    });
                }
                return Ok(held);
            }
            Some((Use::Make, _)) | None => {}
        }
        let _making = slot.making.lock().await;
        match usable(&slot) {
            Some((Use::Give | Use::GiveAndRenew, held)) => Ok(held),
            Some((Use::Make, _)) | None => {
                let began = Instant::now();
                let table = make.await?;
                Ok(slot.put(table, mark, began))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_renewed_the_more_seldom_the_dearer_it_is() {
        let since = Instant::now();
        for (took, age, mark, expected) in [
            (1, 0, 1, Use::Give),
            (1, 999_000, 1, Use::Give),
            (1, 800, 2, Use::Give),
            (1, 1_000, 2, Use::GiveAndRenew),
            (1, 61_000, 2, Use::Make),
            (1_000, 9_000, 2, Use::Give),
            (1_000, 11_000, 2, Use::GiveAndRenew),
            (10_000, 99_000, 2, Use::Give),
            (10_000, 120_000, 2, Use::GiveAndRenew),
            (10_000, 151_000, 2, Use::Make),
        ] {
            let held = Held { table: (), mark: 1, since, took: Duration::from_millis(took) };
            let now = since + Duration::from_millis(age);
            assert_eq!(held.usable(&mark, now), expected, "took {took} ms, {age} ms ago, mark {mark}");
        }
    }

    #[tokio::test]
    async fn many_who_ask_at_once_wait_for_one_table() {
        let tables = Arc::new(Tables::<&str, u32, u32>::new());
        let made = Arc::new(std::sync::atomic::AtomicU32::new(0));
        let ask = || {
            let (tables, made) = (Arc::clone(&tables), Arc::clone(&made));
            tokio::spawn(async move {
                let make = async move {
                    tokio::task::yield_now().await;
                    Ok::<_, ()>(made.fetch_add(1, Ordering::SeqCst))
                };
                tables.get("a", 1, make).await.expect("made").table
            })
        };
        let asked: Vec<_> = (0..50).map(|_| ask()).collect();
        for answer in asked {
            assert_eq!(answer.await.expect("no panic"), 0);
        }
    }
}
