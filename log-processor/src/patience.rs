//! Patience with a store that is asked something: the same question again until it answers, trouble told to `health`, given up when the program stops.

use std::time::{Duration, Instant};

use store::Trouble;
use tokio_util::sync::CancellationToken;

use crate::health::{Concern, Health, Severity};
use crate::retry::Backoff;

/// Asks until there is an answer; `None` when the program stops first.
pub async fn patiently<T, F>(health: &Health, stop: &CancellationToken, ask: impl Fn() -> F) -> Option<T>
where
    F: Future<Output = Result<T, Trouble>>,
{
    let mut backoff = Backoff::default();
    loop {
        let attempt = health.attempt(Instant::now());
        let answer = stop.run_until_cancelled(ask()).await?;
        drop(attempt);
        match answer {
            Ok(value) => {
                health.store_works(Instant::now());
                return Some(value);
            }
            Err(trouble) => {
                stop.run_until_cancelled(tokio::time::sleep(tell(health, &mut backoff, &trouble))).await?
            }
        }
    }
}

/// Tells `health` about trouble and says how long to wait.
pub fn tell(health: &Health, backoff: &mut Backoff, trouble: &Trouble) -> Duration {
    match trouble {
        Trouble::TryLater { why, after } => {
            health.raise(Concern::Store, Severity::Passing, why);
            backoff.after_trouble(*after, random())
        }
        other => {
            health.raise(Concern::Store, Severity::NeedsAction, &other.to_string());
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
