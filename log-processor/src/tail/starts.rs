//! The start of a generation: decided once, durable in the store and in the ledger before its first valid line leaves tail (X1).

use store::embedded::Head;
use store::{KeyStart, StoredGeneration};

use super::identity::{chained_start, hashed_start};
use super::known::Known;
use super::ports::{Ended, Journal};
use crate::mutation::{Mutation, mutated};

/// How large a generation is taken to be of which only the store knows, after the ledger was lost.
const SIZE_IF_UNKNOWN_BYTES: u64 = 256 << 20;

/// Decides starts with the store's help.
#[derive(Debug)]
pub struct Starts {
    /// The store that remembers them.
    pub journal: Box<dyn Journal>,
    /// The store has no read side: starts are drawn from the head alone.
    pub hashed_only: bool,
}

impl Starts {
    /// The start of a generation with this head, remembered by the store. `known` are the source's other generations, oldest first.
    pub fn decide(
        &self,
        source: &str,
        head: &Head,
        known: &[Known],
        now_second: i64,
    ) -> Result<KeyStart, Ended> {
        if self.hashed_only {
            return Ok(hashed_start(head));
        }
        let stored = self.journal.generations(source)?;
        let in_use = |start: KeyStart| known.iter().any(|known| !known.skipped && known.start == Some(start));
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
        // Beyond all others: those of the ledger with their sizes, and those that only the store remembers.
        let beyond_known = known
            .iter()
            .filter(|known| !known.skipped)
            .filter_map(|known| known.start.map(|start| chained_start(start, known.size)));
        let beyond_stored = stored
            .iter()
            .filter(|generation| !in_use(generation.start))
            .map(|generation| chained_start(generation.start, SIZE_IF_UNKNOWN_BYTES));
        let start = if mutated(Mutation::HashedStart) {
            hashed_start(head)
        } else {
            beyond_known.chain(beyond_stored).max().unwrap_or_else(|| hashed_start(head))
        };
        if mutated(Mutation::StartNotInJournal) {
            return Ok(start);
        }
        self.journal.register(&StoredGeneration {
            source: source.to_owned(),
            head: head.fingerprint.clone(),
            start,
            first_seen_second: now_second,
        })?;
        Ok(start)
    }
}
