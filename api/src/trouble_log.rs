//! One line in the log for a trouble, however many requests meet it: when it begins, now and then while it lasts, and when it is over.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::error::{Cause, Severity};

/// A trouble that lasts is mentioned again after that long.
const REPEAT_AFTER: Duration = Duration::from_secs(30);

/// The trouble that the store is in, if any, as far as the log has told it.
#[derive(Debug, Default)]
pub(crate) struct TroubleLog {
    /// Whether `current` is Some, so that good answers need no lock.
    in_trouble: AtomicBool,
    current: Mutex<Option<Trouble>>,
}

#[derive(Debug)]
struct Trouble {
    cause: Cause,
    said_at: Instant,
    /// Answers that failed for this cause since it was last said.
    unsaid: u64,
}

impl TroubleLog {
    /// Logs the cause of a failed answer, unless that was done just now.
    pub(crate) fn report(&self, cause: &Cause) {
        if let Some(unsaid) = self.note(cause, Instant::now()) {
            match cause.severity {
                Severity::Passing => {
                    tracing::warn!(cause = cause.text, more_since_last = unsaid, "no answer")
                }
                Severity::Act => tracing::error!(cause = cause.text, more_since_last = unsaid, "no answer"),
            }
        }
    }

    /// Says that the store answers again, if it did not before.
    pub(crate) fn recovered(&self) {
        if self.in_trouble.load(Ordering::Relaxed) && self.lock().take().is_some() {
            self.in_trouble.store(false, Ordering::Relaxed);
            tracing::info!("the store answers again");
        }
    }

    /// Whether the cause is to be said now; then with the number of answers that failed unsaid.
    fn note(&self, cause: &Cause, now: Instant) -> Option<u64> {
        let mut current = self.lock();
        if let Some(trouble) = current.as_mut()
            && trouble.cause == *cause
            && now.saturating_duration_since(trouble.said_at) < REPEAT_AFTER
        {
            trouble.unsaid += 1;
            return None;
        }
        let unsaid = current.as_ref().map_or(0, |trouble| trouble.unsaid);
        *current = Some(Trouble { cause: cause.clone(), said_at: now, unsaid: 0 });
        self.in_trouble.store(true, Ordering::Relaxed);
        Some(unsaid)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Trouble>> {
        self.current.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cause(text: &str) -> Cause {
        Cause { text: text.to_owned(), severity: Severity::Passing }
    }

    #[test]
    fn a_trouble_is_said_once_then_now_and_then_and_a_new_one_at_once() {
        let log = TroubleLog::default();
        let start = Instant::now();
        assert_eq!(log.note(&cause("away"), start), Some(0));
        assert_eq!(log.note(&cause("away"), start), None);
        assert_eq!(log.note(&cause("away"), start + REPEAT_AFTER / 2), None);
        assert_eq!(log.note(&cause("away"), start + REPEAT_AFTER), Some(2));
        assert_eq!(log.note(&cause("slow"), start + REPEAT_AFTER), Some(0));
        log.recovered();
        assert_eq!(
            log.note(&cause("slow"), start + REPEAT_AFTER),
            Some(0),
            "after a recovery it is news again"
        );
    }
}
