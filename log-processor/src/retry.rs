//! Patience: how long to wait before the same bytes are tried again. Pure; randomness and time come from outside.

use std::time::Duration;

/// The first wait, before jitter.
const FIRST: Duration = Duration::from_millis(100);
/// The longest wait after a store that is away: short, so that a store that is back is used at once.
const LONGEST: Duration = Duration::from_secs(5);
/// The longest wait after a fault of configuration (design: at most 60 s); a person has to act first.
const LONGEST_MISCONFIGURED: Duration = Duration::from_secs(30);
/// A `Retry-After` beyond this is taken as this: a store that asks for a year has made a mistake.
const LONGEST_ASKED: Duration = Duration::from_secs(600);

/// Exponential back-off with full jitter above a floor of half.
#[derive(Debug, Default)]
pub struct Backoff {
    attempts: u32,
}

impl Backoff {
    /// The wait after one more failure of a store that is away. `random` is in [0, 1). A wait that the store asked for is kept, never shortened.
    pub fn after_trouble(&mut self, asked: Option<Duration>, random: f64) -> Duration {
        let wait = self.next(LONGEST, random);
        asked.map_or(wait, |asked| asked.min(LONGEST_ASKED).max(wait))
    }

    /// The wait after one more refusal that a person must repair.
    pub fn after_misconfiguration(&mut self, random: f64) -> Duration {
        self.attempts = self.attempts.max(4); // Begins at about a second: nothing repairs itself in milliseconds.
        self.next(LONGEST_MISCONFIGURED, random)
    }

    fn next(&mut self, longest: Duration, random: f64) -> Duration {
        let full = FIRST.saturating_mul(1 << self.attempts.min(16)).min(longest);
        self.attempts = self.attempts.saturating_add(1);
        full.mul_f64(0.5 + random.clamp(0.0, 1.0) / 2.0)
    }
}

#[cfg(test)]
mod tests {
    //! Waits grow, stay bounded, and honour what the store asked for.

    use super::*;

    #[test]
    fn waits_double_up_to_the_longest() {
        let mut backoff = Backoff::default();
        let waits: Vec<u128> = (0..8).map(|_| backoff.after_trouble(None, 1.0).as_millis()).collect();
        assert_eq!(waits, [100, 200, 400, 800, 1600, 3200, 5000, 5000]);
        assert_eq!(Backoff::default().after_trouble(None, 0.0).as_millis(), 50);
    }

    #[test]
    fn retry_after_is_never_shortened() {
        assert_eq!(
            Backoff::default().after_trouble(Some(Duration::from_secs(7)), 0.3),
            Duration::from_secs(7)
        );
        assert_eq!(Backoff::default().after_trouble(Some(Duration::MAX), 0.3), LONGEST_ASKED);
    }

    #[test]
    fn a_misconfiguration_is_tried_again_within_a_minute() {
        let mut backoff = Backoff::default();
        for _ in 0..100 {
            assert!(backoff.after_misconfiguration(1.0) <= Duration::from_secs(60));
        }
        assert!(Backoff::default().after_misconfiguration(0.0) >= Duration::from_millis(500));
    }
}
