//! Tables of all customers: kept while they hold, and made anew behind the back of those who keep asking, so that a page of customers is rarely kept waiting by the counting of ten
//! thousand. A table that nobody has asked for lately is made anew before it is given: no page is older than [`AGE_MAX`], or three times as long as its table takes to make.

use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Tables kept at once: each is some hundred bytes for each customer.
const TABLES_MAX: usize = 32;
/// A table that nobody asked for goes after this time.
const KEEP_UNASKED: Duration = Duration::from_secs(300);
/// A table this young is given without another thought.
const YOUNG: Duration = Duration::from_millis(900);
/// Making anew what is asked for all the time takes one part in this many of the time, as long as the table does not grow too old meanwhile.
const RENEW_PART: u32 = 10;
/// A table older than this is not given any more; whoever asks waits for the next.
pub(crate) const AGE_MAX: Duration = Duration::from_secs(5);
/// The same where making one takes long: so many times as long. Less, and a table would be too old when it is made.
const AGE_MAX_MAKINGS: u32 = 3;

/// A table in its place.
#[derive(Debug)]
pub(crate) struct Held<M, T> {
    pub(crate) table: T,
    /// What it was made of: while that is the same, so is the table.
    mark: M,
    /// When its making began: what it says is no younger.
    since: Instant,
    took: Duration,
}

struct Slot<M, T> {
    held: Mutex<Option<Arc<Held<M, T>>>>,
    /// Taken while the table is made.
    making: Arc<tokio::sync::Mutex<()>>,
}

/// Tables by what was asked for.
pub(crate) struct Tables<Q, M, T> {
    slots: moka::sync::Cache<Q, Arc<Slot<M, T>>>,
    /// When anybody asked for any of them the last time; at first, when they began.
    asked: Mutex<tokio::time::Instant>,
}

/// Whether a held table may be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    Give,
    GiveAndRenew,
    Make,
}

impl<M: PartialEq, T> Held<M, T> {
    /// What it was made of.
    pub(crate) fn mark(&self) -> &M {
        &self.mark
    }

    fn usable(&self, mark: &M, now: Instant) -> Use {
        let age = now.saturating_duration_since(self.since);
        let age_max = AGE_MAX.max(self.took * AGE_MAX_MAKINGS);
        // From half of its greatest age on, so that who keeps asking has the next one in time.
        let renew_from = YOUNG.max((self.took * RENEW_PART).min(age_max / 2));
        if self.mark == *mark || age < renew_from {
            Use::Give
        } else if age < age_max {
            Use::GiveAndRenew
        } else {
            Use::Make
        }
    }
}

impl<M, T> Slot<M, T> {
    fn empty() -> Arc<Self> {
        Arc::new(Self { held: Mutex::new(None), making: Arc::default() })
    }

    fn held(&self) -> Option<Arc<Held<M, T>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn put(&self, table: T, mark: M, began: Instant) -> Arc<Held<M, T>> {
        let held = Arc::new(Held { table, mark, since: began, took: began.elapsed() });
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&held));
        held
    }
}

/// A table in the making, by a task of its own: it comes to its end also when nobody waits for it any more.
type Making<M, T, E> = tokio::task::JoinHandle<Result<Arc<Held<M, T>>, E>>;

/// `alone` is given back when the table is there, or failed.
fn spawn_making<M, T, E>(
    slot: Arc<Slot<M, T>>,
    alone: tokio::sync::OwnedMutexGuard<()>,
    mark: M,
    make: impl Future<Output = Result<T, E>> + Send + 'static,
) -> Making<M, T, E>
where
    M: Send + Sync + 'static,
    T: Send + Sync + 'static,
    E: Send + 'static,
{
    tokio::spawn(async move {
        let _alone = alone;
        let began = Instant::now();
        Ok(slot.put(make.await?, mark, began))
    })
}

async fn made<M, T, E>(making: Making<M, T, E>) -> Result<Arc<Held<M, T>>, E> {
    match making.await {
        Ok(made) => made,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The program is stopping, and with it whoever waits here.
            Err(_) => std::future::pending().await,
        },
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
        Self { slots, asked: Mutex::new(tokio::time::Instant::now()) }
    }

    /// Makes the table for a question before anybody asks, unless it is there as it would be made or somebody is making it; gives what is there then.
    pub(crate) async fn beforehand<E: Send + 'static>(
        &self,
        question: Q,
        mark: M,
        make: impl Future<Output = Result<T, E>> + Send + 'static,
    ) -> Result<Option<Arc<Held<M, T>>>, E> {
        let slot = self.slots.get_with(question, Slot::empty);
        let held = slot.held();
        if held.as_ref().is_some_and(|held| held.mark == mark) {
            return Ok(held);
        }
        match Arc::clone(&slot.making).try_lock_owned() {
            Ok(alone) => made(spawn_making(slot, alone, mark, make)).await.map(Some),
            Err(_) => Ok(held),
        }
    }

    /// How long nobody has asked for any table.
    pub(crate) fn unasked(&self) -> Duration {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }

    /// Forgets a table.
    pub(crate) fn forget(&self, question: &Q) {
        self.slots.invalidate(question);
    }

    /// The table for a question, made of what `mark` says: the held one, renewed behind its back when it is no longer young, or a new one.
    pub(crate) async fn get<E: Send + 'static>(
        &self,
        question: Q,
        mark: M,
        make: impl Future<Output = Result<T, E>> + Send + 'static,
    ) -> Result<Arc<Held<M, T>>, E> {
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner) = tokio::time::Instant::now();
        let slot = self.slots.get_with(question, Slot::empty);
        let usable = || slot.held().map(|held| (held.usable(&mark, Instant::now()), held));
        match usable() {
            Some((Use::Give, held)) => return Ok(held),
            Some((Use::GiveAndRenew, held)) => {
                if let Ok(alone) = Arc::clone(&slot.making).try_lock_owned() {
                    // A fault is told to those who wait for an answer.
                    drop(spawn_making(slot, alone, mark, make));
                }
                return Ok(held);
            }
            Some((Use::Make, _)) | None => {}
        }
        let alone = Arc::clone(&slot.making).lock_owned().await;
        match usable() {
            Some((Use::Give | Use::GiveAndRenew, held)) => Ok(held),
            Some((Use::Make, _)) | None => made(spawn_making(slot, alone, mark, make)).await,
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
            (1, 4_900, 2, Use::GiveAndRenew),
            (1, 5_000, 2, Use::Make),
            (200, 1_900, 2, Use::Give),
            (200, 2_000, 2, Use::GiveAndRenew),
            (1_000, 2_400, 2, Use::Give),
            (1_000, 2_500, 2, Use::GiveAndRenew),
            (1_000, 5_000, 2, Use::Make),
            (10_000, 14_000, 2, Use::Give),
            (10_000, 15_000, 2, Use::GiveAndRenew),
            (10_000, 29_000, 2, Use::GiveAndRenew),
            (10_000, 30_000, 2, Use::Make),
        ] {
            let held = Held { table: (), mark: 1, since, took: Duration::from_millis(took) };
            let now = since + Duration::from_millis(age);
            assert_eq!(held.usable(&mark, now), expected, "took {took} ms, {age} ms ago, mark {mark}");
        }
    }

    /// Makes whatever was held look that much older.
    fn grow_older(tables: &Tables<&'static str, u32, u32>, question: &'static str, by: Duration) {
        let slot = tables.slots.get(question).expect("a table");
        let held = slot.held().expect("held");
        let since = held.since.checked_sub(by).expect("an earlier instant");
        let older = Held { table: held.table, mark: held.mark, since, took: held.took };
        *slot.held.lock().expect("not poisoned") = Some(Arc::new(older));
    }

    /// The first page after a pause was a table of any age up to a minute: it was given once more, and made anew behind the back of whoever asked.
    #[tokio::test]
    async fn the_first_page_after_a_pause_is_not_the_old_one() {
        let tables = Tables::<&str, u32, u32>::new();
        let ask =
            async |mark| tables.get("a", mark, async move { Ok::<_, ()>(mark) }).await.expect("made").table;
        assert_eq!(ask(1).await, 1);
        assert_eq!(ask(2).await, 1, "a young one is given");
        grow_older(&tables, "a", AGE_MAX);
        assert_eq!(ask(3).await, 3);
    }

    #[tokio::test]
    async fn a_table_comes_to_its_end_when_nobody_waits_for_it_any_more() {
        let tables = Arc::new(Tables::<&str, u32, u32>::new());
        let gate = Arc::new(tokio::sync::Semaphore::new(0));
        let make = {
            let gate = Arc::clone(&gate);
            async move {
                gate.acquire().await.expect("open").forget();
                Ok::<_, ()>(1)
            }
        };
        let asking = tables.get("a", 1, make);
        tokio::select! {
            biased;
            _ = asking => panic!("the gate is shut"),
            () = tokio::task::yield_now() => {}
        }
        gate.add_permits(1);
        // Waits for the one in the making; it would fail if it were made again.
        let found = tables.get("a", 1, async { Err("made twice") }).await.expect("made once");
        assert_eq!(found.table, 1);
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
                    Ok::<_, ()>(made.fetch_add(1, std::sync::atomic::Ordering::SeqCst))
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
