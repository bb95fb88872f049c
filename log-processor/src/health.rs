//! Readiness: what keeps this processor from doing its work now, in words. Told by /readyz, `status` and the log; a change is logged once, here.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

/// An attempt that has had no answer for that long counts as a store that is away (design: not ready within 5 s).
const STALL: Duration = Duration::from_secs(4);

/// What can be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Concern {
    /// The store takes no requests: it is away, or refuses them or us.
    Writing,
    /// The store does not answer what it is asked about logs and owners, or does not remember what it is told of them.
    Asking,
    /// The store does not answer when it is only asked whether it is there, or told that we are.
    Presence,
    /// The ledger cannot be written.
    Ledger,
    /// A part of the ledger is damaged.
    Damage,
    /// The lines are not in the expected format.
    Input,
    /// A log cannot be read.
    Log,
    /// Another processor owns the source.
    Ownership,
    /// A file that fits LOG_FILE_PATH cannot be followed.
    Sources,
    /// The store has forgotten what it once confirmed: it was wiped, or restored from an older copy.
    Wiped,
    /// What the store acknowledged does not read back.
    ReadBack,
    /// Statistics cannot be published: the store does not take them, or the ledger cannot be read.
    Statistics,
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
    /// Rings when the store has answered well, on any way.
    answered: Notify,
}

#[derive(Debug, Default)]
struct State {
    store_reached: bool,
    /// By what is wrong, and who says so: a way to the store, or 0 where there is only one to say it.
    concerns: BTreeMap<(Concern, u64), String>,
    attempts: BTreeMap<u64, Instant>,
    next_id: u64,
    last_store_success: Option<Instant>,
}

/// One way to the store: a body under way, a question, the heartbeat. Its trouble is its own and ends with its own success only: a store that takes heartbeats
/// may well refuse requests. When it is dropped it has nothing more to say.
#[derive(Debug)]
pub struct StoreWay<'a> {
    health: &'a Health,
    concern: Concern,
    id: u64,
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
        self.raise_of(concern, 0, severity, why);
    }

    /// As [`Health::raise`]; what another has said in the same words is not logged again.
    fn raise_of(&self, concern: Concern, id: u64, severity: Severity, why: &str) {
        let new = {
            let mut state = self.lock();
            let new = !state.of(concern).any(|known| known == why);
            state.concerns.insert((concern, id), why.to_owned());
            new
        };
        if new {
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
        self.clear_of(concern, 0);
    }

    fn clear_of(&self, concern: Concern, id: u64) {
        let over = {
            let mut state = self.lock();
            state.concerns.remove(&(concern, id)).is_some() && state.of(concern).next().is_none()
        };
        if over {
            tracing::info!(concern = ?concern, "repaired, going on");
        }
    }

    /// Whether this trouble is there now.
    pub fn has(&self, concern: Concern) -> bool {
        self.lock().of(concern).next().is_some()
    }

    /// A new way to the store, so far without trouble.
    pub fn store_way(&self, concern: Concern) -> StoreWay<'_> {
        StoreWay { health: self, concern, id: self.lock().new_id() }
    }

    /// Over when the store next answers well, on any way, after this call.
    pub fn answered(&self) -> Notified<'_> {
        self.answered.notified()
    }

    /// When the store last answered well.
    pub fn last_store_success(&self) -> Option<Instant> {
        self.lock().last_store_success
    }

    /// Whether the store lets us down now, on any way.
    pub fn store_is_away(&self, now: Instant) -> bool {
        let state = self.lock();
        let ways = [Concern::Writing, Concern::Asking, Concern::Presence];
        ways.into_iter().any(|concern| state.of(concern).next().is_some())
            || state.attempts.values().any(|since| now.saturating_duration_since(*since) >= STALL)
    }

    /// An attempt begins.
    pub fn attempt(&self, now: Instant) -> Attempt<'_> {
        let mut state = self.lock();
        let id = state.new_id();
        state.attempts.insert(id, now);
        Attempt { health: self, id }
    }

    /// Everything that keeps the processor from being ready; empty = ready.
    pub fn problems(&self, now: Instant) -> Vec<String> {
        let state = self.lock();
        let mut problems: Vec<String> = Vec::new();
        for why in state.concerns.values() {
            if !problems.contains(why) {
                problems.push(why.clone());
            }
        }
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

impl State {
    fn new_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    fn of(&self, concern: Concern) -> impl Iterator<Item = &String> {
        self.concerns.range((concern, 0)..=(concern, u64::MAX)).map(|(_, why)| why)
    }
}

impl StoreWay<'_> {
    /// The store has answered well on this way.
    pub fn works(&self, now: Instant) {
        {
            let mut state = self.health.lock();
            state.store_reached = true;
            state.last_store_success = Some(now);
        }
        self.health.clear_of(self.concern, self.id);
        self.health.answered.notify_waiters();
    }

    /// It has not; logged when that is new or has changed its words.
    pub fn fails(&self, severity: Severity, why: &str) {
        self.health.raise_of(self.concern, self.id, severity, why);
    }

    /// Whether its last word was trouble.
    pub fn is_failing(&self) -> bool {
        self.health.lock().concerns.contains_key(&(self.concern, self.id))
    }

    /// An attempt on it begins.
    pub fn attempt(&self, now: Instant) -> Attempt<'_> {
        self.health.attempt(now)
    }
}

impl Drop for StoreWay<'_> {
    fn drop(&mut self) {
        self.health.lock().concerns.remove(&(self.concern, self.id));
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        self.health.lock().attempts.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A heartbeat that the store took ended the trouble of requests that it refused: ready, and "repaired", every few seconds.
    #[test]
    fn trouble_on_one_way_to_the_store_ends_with_its_own_success_only() {
        let (health, now) = (Health::default(), Instant::now());
        let presence = health.store_way(Concern::Presence);
        let (one, other) = (health.store_way(Concern::Writing), health.store_way(Concern::Writing));
        assert_eq!(health.problems(now), ["the store has not been reached yet"]);
        presence.works(now);
        assert_eq!(health.problems(now), [""; 0]);
        one.fails(Severity::NeedsAction, "field type conflict");
        other.fails(Severity::NeedsAction, "field type conflict");
        presence.works(now);
        health.store_way(Concern::Asking).works(now);
        assert_eq!(health.problems(now), ["field type conflict"], "said once");
        other.works(now);
        assert_eq!(health.problems(now), ["field type conflict"], "another body's success is not this one's");
        one.works(now);
        assert_eq!(health.problems(now), [""; 0]);
        presence.fails(Severity::Passing, "no answer");
        one.works(now);
        assert_eq!(health.problems(now), ["no answer"]);
        drop(presence);
        assert_eq!(health.problems(now), [""; 0]);
    }
}
