//! One look at the data's version for all who ask at the same time. Whoever comes while one is under way waits for the next, so nobody is told what was so before they asked.
//! It knows nothing of what is looked at.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// Those who wait for the next look.
pub(crate) struct SharedLook<A> {
    state: Arc<Mutex<State<A>>>,
}

struct State<A> {
    /// A look is under way.
    looking: bool,
    waiting: Vec<oneshot::Sender<A>>,
}

impl<A> Default for SharedLook<A> {
    fn default() -> Self {
        Self { state: Arc::new(Mutex::new(State { looking: false, waiting: Vec::new() })) }
    }
}

impl<A: Clone + Send + 'static> SharedLook<A> {
    /// What a look that begins after this call finds.
    pub(crate) async fn look<F>(&self, look: impl Fn() -> F + Send + 'static) -> A
    where
        F: Future<Output = A> + Send + 'static,
    {
        let (sender, found) = oneshot::channel();
        let begins = {
            let mut state = lock(&self.state);
            state.waiting.push(sender);
            !std::mem::replace(&mut state.looking, true)
        };
        if begins {
            // A task of its own: who asked first may go away, the others still wait.
            let looking = Looking { state: Arc::clone(&self.state), over: false };
            tokio::spawn(looking.for_all(look));
        }
        found.await.expect("a look ends with an answer")
    }
}

/// Who looks for all. One that panics takes those who wait with it, and not those who come later.
struct Looking<A> {
    state: Arc<Mutex<State<A>>>,
    over: bool,
}

impl<A: Clone> Looking<A> {
    /// Looks until nobody waits.
    async fn for_all<F: Future<Output = A>>(mut self, look: impl Fn() -> F) {
        while let Some((last, others)) = self.next() {
            let found = look().await;
            for one in others {
                // Who has gone away misses nothing.
                drop(one.send(found.clone()));
            }
            drop(last.send(found));
        }
    }

    /// Those who wait now; None when nobody does, and it is over.
    fn next(&mut self) -> Option<(oneshot::Sender<A>, Vec<oneshot::Sender<A>>)> {
        let mut state = lock(&self.state);
        let mut waiting = std::mem::take(&mut state.waiting);
        let last = waiting.pop();
        state.looking = last.is_some();
        self.over = last.is_none();
        last.map(|last| (last, waiting))
    }
}

impl<A> Drop for Looking<A> {
    fn drop(&mut self) {
        if !self.over {
            let mut state = lock(&self.state);
            state.looking = false;
            state.waiting.clear();
        }
    }
}

fn lock<A>(state: &Mutex<State<A>>) -> MutexGuard<'_, State<A>> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use futures::FutureExt as _;
    use tokio::sync::Semaphore;

    use super::*;

    /// Looks that end when they are let, and are numbered as they begin.
    struct Bench {
        shared: SharedLook<u32>,
        begun: Arc<AtomicU32>,
        ends: Arc<Semaphore>,
    }

    impl Bench {
        fn new() -> Self {
            Self { shared: SharedLook::default(), begun: Arc::default(), ends: Arc::new(Semaphore::new(0)) }
        }

        fn ask(&self) -> impl Future<Output = u32> {
            let (begun, ends) = (Arc::clone(&self.begun), Arc::clone(&self.ends));
            self.shared.look(move || {
                let number = begun.fetch_add(1, Ordering::SeqCst) + 1;
                let ends = Arc::clone(&ends);
                async move {
                    ends.acquire().await.expect("open").forget();
                    number
                }
            })
        }

        async fn until_begun(&self, number: u32) {
            while self.begun.load(Ordering::SeqCst) < number {
                tokio::task::yield_now().await;
            }
        }
    }

    #[tokio::test]
    async fn who_comes_during_a_look_shares_the_next_one() {
        let bench = Bench::new();
        let mut first = Box::pin(bench.ask());
        assert_eq!(first.as_mut().now_or_never(), None);
        bench.until_begun(1).await;
        let mut later: Vec<_> = (0..50).map(|_| Box::pin(bench.ask())).collect();
        assert!(later.iter_mut().all(|one| one.as_mut().now_or_never().is_none()));
        bench.ends.add_permits(1);
        assert_eq!(first.await, 1);
        bench.until_begun(2).await;
        assert!(later.iter_mut().all(|one| one.as_mut().now_or_never().is_none()), "not what was before");
        bench.ends.add_permits(1);
        for one in later {
            assert_eq!(one.await, 2);
        }
        bench.ends.add_permits(1);
        assert_eq!(bench.ask().await, 3, "nothing is kept");
    }

    #[tokio::test]
    async fn a_look_that_panics_stops_nobody_who_comes_later() {
        let bench = Bench::new();
        let failing = bench.shared.look(|| async { panic!("as announced") });
        let failed = std::panic::AssertUnwindSafe(failing).catch_unwind().await;
        assert!(failed.is_err());
        bench.ends.add_permits(1);
        assert_eq!(bench.ask().await, 1);
    }

    #[tokio::test]
    async fn who_asked_first_and_goes_away_leaves_the_others_their_answer() {
        let bench = Bench::new();
        let mut first = Box::pin(bench.ask());
        assert_eq!(first.as_mut().now_or_never(), None);
        bench.until_begun(1).await;
        let mut second = Box::pin(bench.ask());
        assert_eq!(second.as_mut().now_or_never(), None);
        drop(first);
        bench.ends.add_permits(2);
        assert_eq!(second.await, 2);
    }
}
