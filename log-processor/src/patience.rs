//! Patience with a store: the same question again until it answers, trouble told to `health`, given up when the program stops; and how long a rest between two attempts is.

use std::pin::Pin;
use std::time::{Duration, Instant};

use store::Trouble;
use tokio_util::sync::CancellationToken;

use crate::health::{Concern, Health, Severity, StoreWay};
use crate::retry::Backoff;

/// A rest is at least that long (or as long as was said, if that is less), whoever is answered meanwhile.
const SHORTEST_REST: Duration = Duration::from_millis(50);

/// Waits for some time; a test has its own.
pub type Wait = fn(Duration) -> Pin<Box<dyn Future<Output = ()> + Send>>;

/// Waits by the machine's clock.
pub fn really_wait(length: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(tokio::time::sleep(length))
}

/// Rests after trouble. A store that was away and now answers somebody is tried again at once: one batch that slept on while others settled behind it would hold the
/// frontier back, and their memory with it. What the store asked for (`Retry-After`) is kept, and so is the slow pace after a fault that a person must repair.
pub async fn rest(health: &Health, wait: Wait, trouble: &Trouble, length: Duration) {
    if !matches!(trouble, Trouble::TryLater { after: None, .. }) || length <= SHORTEST_REST {
        return wait(length).await;
    }
    // Listening begins before the wait: an answer in between is not missed.
    let answered = health.answered();
    wait(SHORTEST_REST).await;
    tokio::select! {
        () = wait(length - SHORTEST_REST) => {}
        () = answered => {}
    }
}

/// Asks until there is an answer; `None` when the program stops first.
pub async fn patiently<T, F>(health: &Health, stop: &CancellationToken, ask: impl Fn() -> F) -> Option<T>
where
    F: Future<Output = Result<T, Trouble>>,
{
    let mut backoff = Backoff::default();
    let way = health.store_way(Concern::Asking);
    loop {
        let attempt = way.attempt(Instant::now());
        let answer = stop.run_until_cancelled(ask()).await?;
        drop(attempt);
        match answer {
            Ok(value) => {
                way.works(Instant::now());
                return Some(value);
            }
            Err(trouble) => {
                let length = tell(&way, &mut backoff, &trouble);
                stop.run_until_cancelled(rest(health, really_wait, &trouble, length)).await?;
            }
        }
    }
}

/// Tells about trouble on a way to the store and says how long to wait.
pub fn tell(way: &StoreWay<'_>, backoff: &mut Backoff, trouble: &Trouble) -> Duration {
    match trouble {
        Trouble::TryLater { why, after } => {
            way.fails(Severity::Passing, why);
            backoff.after_trouble(*after, random())
        }
        other => {
            way.fails(Severity::NeedsAction, &other.to_string());
            backoff.after_misconfiguration(random())
        }
    }
}

/// A number in [0, 1) for jitter only: from the clock's lowest digits, no generator needed.
fn random() -> f64 {
    let nanos = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.subsec_nanos());
    f64::from(nanos.wrapping_mul(2_654_435_761) >> 8) / f64::from(1_u32 << 24)
}

#[cfg(test)]
mod tests {
    //! What ends a rest.

    use std::task::{Context, Poll, Waker};

    use super::*;

    /// A clock that has moved by the shortest rest and stands still from then on.
    fn stopped_clock(length: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        if length <= SHORTEST_REST { Box::pin(async {}) } else { Box::pin(std::future::pending()) }
    }

    fn is_over(trouble: &Trouble, length: Duration) -> bool {
        let health = Health::default();
        let mut resting = std::pin::pin!(rest(&health, stopped_clock, trouble, length));
        let mut context = Context::from_waker(Waker::noop());
        assert!(resting.as_mut().poll(&mut context).is_pending() || length <= SHORTEST_REST);
        health.store_way(Concern::Writing).works(Instant::now());
        length <= SHORTEST_REST || resting.as_mut().poll(&mut context) == Poll::Ready(())
    }

    /// After an outage one batch slept on for seconds while others settled behind it: memory grew by half.
    #[test]
    fn a_rest_is_over_when_the_store_answers_another() {
        let away = |after| Trouble::TryLater { why: "away".to_owned(), after };
        assert!(is_over(&away(None), Duration::from_secs(5)));
        assert!(is_over(&away(None), Duration::from_millis(20)), "a short rest only takes its time");
        assert!(!is_over(&away(Some(Duration::from_secs(1))), Duration::from_secs(5)), "Retry-After is kept");
        let wrong = Trouble::Misconfigured { why: "no token".to_owned(), fix: "set it".to_owned() };
        assert!(!is_over(&wrong, Duration::from_secs(5)), "somebody must act first");
    }
}
