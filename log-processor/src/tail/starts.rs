//! The start of a generation: decided once, durable in the store and in the ledger before its first valid line leaves tail (X1).

use std::sync::Arc;

use chrono::Utc;
use store::embedded::Head;
use store::{KeyStart, RequestStore, StoredGeneration, Trouble};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::books::Ended;
use super::identity::{chained_start, hashed_start};
use super::known::Known;
use crate::health::Health;
use crate::patience::patiently;

/// Decides starts with the store's help.
#[derive(Debug)]
pub struct Starts<S> {
    /// The store that remembers them.
    pub store: Arc<S>,
    /// Who is told about trouble.
    pub health: Arc<Health>,
    /// Where the store's calls run.
    pub runtime: Handle,
    /// Ends the waiting.
    pub stop: CancellationToken,
    /// The store has no read side: starts are drawn from the head alone.
    pub hashed_only: bool,
}

impl<S: RequestStore> Starts<S> {
    /// The start of a generation with this head, remembered by the store. `known` are the source's other generations, oldest first.
    pub fn decide(&self, source: &str, head: &Head, known: &[Known]) -> Result<KeyStart, Ended> {
        if self.hashed_only {
            return Ok(hashed_start(head));
        }
        let stored = self.patiently(|| self.store.generations(source))?;
        let in_use = |start: KeyStart| known.iter().any(|known| known.start == Some(start));
        // A processor that has lost its ledger finds the start here that it once decided, and makes the same points again.
        let remembered = stored
            .iter()
            .filter(|generation| generation.head == head.fingerprint && !in_use(generation.start));
        if let Some(generation) = remembered.min_by_key(|generation| generation.first_seen_second) {
            tracing::info!(
                source,
                head = head.fingerprint,
                "generation known to the store, its points keep their keys"
            );
            return Ok(generation.start);
        }
        let newest = known
            .iter()
            .rev()
            .find_map(|known| known.start.filter(|_| !known.skipped).map(|start| (start, known.size)));
        let start = newest.map_or_else(|| hashed_start(head), |(before, size)| chained_start(before, size));
        let generation = StoredGeneration {
            source: source.to_owned(),
            head: head.fingerprint.clone(),
            start,
            first_seen_second: Utc::now().timestamp(),
        };
        self.patiently(|| self.store.register_generation(&generation))?;
        Ok(start)
    }

    /// Asks the store until it answers.
    fn patiently<T, F>(&self, ask: impl Fn() -> F) -> Result<T, Ended>
    where
        F: Future<Output = Result<T, Trouble>>,
    {
        self.runtime.block_on(patiently(&self.health, &self.stop, ask)).ok_or(Ended)
    }
}
