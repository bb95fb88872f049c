//! Patience with a store that is asked something: the same question again until it answers, trouble told to `health`, given up when the program stops.

use std::time::{Duration, Instant};

use store::Trouble;
use tokio_util::sync::CancellationToken;

use crate::health::{Concern, Health, Severity, StoreWay};
use crate::retry::Backoff;

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
                stop.run_until_cancelled(tokio::time::sleep(tell(&way, &mut backoff, &trouble))).await?
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
