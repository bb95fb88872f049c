//! Readiness: what keeps this processor from doing its work now, in words. Told by /readyz, `status` and the log; a change is logged once, here.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// An attempt that has had no answer for that long counts as a store that is away (design: not ready within 5 s).
const STALL: Duration = Duration::from_secs(4);

/// What can be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Concern {
    /// The store: away, or refusing us.
    Store,
    /// The ledger cannot be written.
    Ledger,
    /// The lines are not in the expected format.
    Input,
    /// A log cannot be read.
    Log,
    /// Another processor owns the source.
    Ownership,
    /// A file that fits LOG_FILE_PATH cannot be followed.
    Sources,
}

/// How bad it is, by consequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// It may pass by itself.
    Passing,
    /// Somebody must act.
    NeedsAction,
}

/// The readiness of the processor.
#[derive(Debug, Default)]
pub struct Health {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    store_reached: bool,
    concerns: BTreeMap<Concern, String>,
    attempts: BTreeMap<u64, Instant>,
    next_attempt: u64,
    last_store_success: Option<Instant>,
}

/// An attempt under way; ends when dropped.
#[derive(Debug)]
pub struct Attempt<'a> {
    health: &'a Health,
    id: u64,
}

impl Health {
    /// Notes trouble; logs it when it is new or has changed its words.
    pub fn raise(&self, concern: Concern, severity: Severity, why: &str) {
        let before = self.lock().concerns.insert(concern, why.to_owned());
        if before.as_deref() != Some(why) {
            match severity {
                Severity::Passing => {
                    tracing::warn!(concern = ?concern, why, "waiting; nothing is lost, the log keeps what is not settled")
                }
                Severity::NeedsAction => {
                    tracing::error!(concern = ?concern, why, "cannot go on until this is repaired; trying again slowly")
                }
            }
        }
    }

    /// Trouble is over.
    pub fn clear(&self, concern: Concern) {
        if self.lock().concerns.remove(&concern).is_some() {
            tracing::info!(concern = ?concern, "repaired, going on");
        }
    }

    /// The store has answered well.
    pub fn store_works(&self, now: Instant) {
        {
            let mut state = self.lock();
            state.store_reached = true;
            state.last_store_success = Some(now);
        }
        self.clear(Concern::Store);
    }

    /// When the store last answered well.
    pub fn last_store_success(&self) -> Option<Instant> {
        self.lock().last_store_success
    }

    /// An attempt begins.
    pub fn attempt(&self, now: Instant) -> Attempt<'_> {
        let mut state = self.lock();
        let id = state.next_attempt;
        state.next_attempt += 1;
        state.attempts.insert(id, now);
        Attempt { health: self, id }
    }

    /// Everything that keeps the processor from being ready; empty = ready.
    pub fn problems(&self, now: Instant) -> Vec<String> {
        let state = self.lock();
        let mut problems: Vec<String> = state.concerns.values().cloned().collect();
        if !state.store_reached && problems.is_empty() {
            problems.push("the store has not been reached yet".to_owned());
        }
        let oldest = state.attempts.values().min();
        if let Some(age) =
            oldest.map(|since| now.saturating_duration_since(*since)).filter(|age| *age >= STALL)
        {
            problems.push(format!("the store has not answered for {} s", age.as_secs()));
        }
        problems
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        self.health.lock().attempts.remove(&self.id);
    }
}
