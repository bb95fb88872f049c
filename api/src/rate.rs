//! How often each key may ask: a bucket of requests that fills steadily. The time comes in. Which key asks is the guard's matter.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A key that was quiet may ask that many seconds' worth at once: a page of a dashboard opens with a dozen questions.
const BURST_SECONDS: f64 = 2.0;
/// So many askers are remembered; more are forgotten, the full buckets first, which loses nothing.
const ASKERS_MAX: usize = 10_000;

/// Buckets by asker.
#[derive(Debug)]
pub(crate) struct RateLimit<A> {
    /// Requests a second; 0 is no limit.
    rate: f64,
    buckets: Mutex<HashMap<A, Bucket>>,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    left: f64,
    since: Instant,
}

impl<A: Hash + Eq> RateLimit<A> {
    pub(crate) fn new(requests_per_second: u32) -> Self {
        Self { rate: f64::from(requests_per_second), buckets: Mutex::default() }
    }

    /// Takes a request of an asker; the error says how long to wait.
    pub(crate) fn take(&self, asker: A, now: Instant) -> Result<(), Duration> {
        if self.rate <= 0.0 {
            return Ok(());
        }
        let full = self.rate * BURST_SECONDS;
        let filled = |bucket: &Bucket| {
            let since = now.saturating_duration_since(bucket.since).as_secs_f64();
            (bucket.left + since * self.rate).min(full)
        };
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= ASKERS_MAX && !buckets.contains_key(&asker) {
            buckets.retain(|_, bucket| filled(bucket) < full);
            if buckets.len() >= ASKERS_MAX {
                buckets.clear();
            }
        }
        let bucket = buckets.entry(asker).or_insert(Bucket { left: full, since: now });
        *bucket = Bucket { left: filled(bucket), since: now };
        if bucket.left < 1.0 {
            return Err(Duration::from_secs_f64((1.0 - bucket.left) / self.rate));
        }
        bucket.left -= 1.0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_asker_has_a_bucket_that_fills() {
        let limit = RateLimit::new(2);
        let start = Instant::now();
        for _ in 0..4 {
            assert_eq!(limit.take("a", start), Ok(()));
        }
        assert_eq!(limit.take("a", start), Err(Duration::from_millis(500)));
        assert_eq!(limit.take("b", start), Ok(()), "another one is not touched");
        assert_eq!(limit.take("a", start + Duration::from_millis(500)), Ok(()));
        assert!(limit.take("a", start + Duration::from_millis(500)).is_err());
        // Not fuller than full.
        let later = start + Duration::from_secs(100);
        assert_eq!((0..9).filter(|_| limit.take("a", later).is_ok()).count(), 4);
    }

    #[test]
    fn no_limit_is_none_and_memory_is_bounded() {
        let none = RateLimit::new(0);
        assert!((0..1000).all(|_| none.take("a", Instant::now()).is_ok()));
        let limit = RateLimit::new(1);
        let now = Instant::now();
        for asker in 0..3 * ASKERS_MAX {
            limit.take(asker, now).expect("the first of each");
        }
        assert!(limit.buckets.lock().expect("not poisoned").len() <= ASKERS_MAX);
    }
}
