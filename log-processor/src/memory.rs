//! The memory that lines take on their way: its bounds, and what of it is taken at the start. Nothing is kept here.
//!
//! A store that goes away fills the budget, and one that comes back makes every room work as fast as it can. A run that follows logs into a store that can go away takes the
//! memory for that when it starts, so that an outage needs none that was not there before: whoever gives a machine its memory sees at once how much it is.

use std::sync::Arc;

use store::embedded::{Ledger, RequestMemory};

use crate::batch::Limits;
use crate::bookkeeper::COMMIT_BYTES;
use crate::settings::{Settings, StoreChoice};
use crate::tail::Mode;
use crate::tail::blocks::{BLOCK_BYTES, Blocks};

/// Bytes of lines between tail and the frontier. Enough to keep the workers busy while a store takes a second; the file keeps the rest.
pub const BUDGET_BYTES: usize = 4 << 20;
/// A short line. Of longer ones fewer are under way, and what is made of each takes as much memory.
const LINE_BYTES: usize = 55;
/// What is sent for such a line, with room for a longer customer, path or name of the log.
const SENT_LINE_BYTES: usize = 144;
/// All bodies together take no more than that from the start, however many workers there are.
const BODIES_BYTES: usize = 4 << 20;
/// What may wait for a commit, but for a quarter, which takes more than 390,000 lines a second or commits that take half a second.
const LEDGER_BYTES: usize = COMMIT_BYTES / 4 * 3;
/// The block that is read into, the one that few lines are copied into, and what copies leave free at the ends of theirs.
const MORE_BLOCKS: usize = 4;

/// How much memory the rooms use, and when they take it.
#[derive(Clone, Copy, Debug)]
pub struct WorkingMemory {
    /// From the start, or when it is needed first.
    from_start: bool,
    /// Short lines in a full batch.
    batch_lines: usize,
}

impl WorkingMemory {
    /// Of a run.
    pub fn of(settings: &Settings, mode: Mode) -> Self {
        // The store in the ledger does not go away; and who drains files is at full speed at once.
        let can_go_away = matches!(settings.store, StoreChoice::Influx(_));
        Self::new(settings.limits, mode == Mode::Follow && can_go_away)
    }

    /// For batches within these limits.
    fn new(limits: Limits, from_start: bool) -> Self {
        Self { from_start, batch_lines: limits.lines.min(limits.bytes / LINE_BYTES).max(1) }
    }

    /// What files are read into.
    pub fn blocks(self) -> Blocks {
        let count = if self.from_start { BUDGET_BYTES.div_ceil(BLOCK_BYTES) + MORE_BLOCKS } else { 0 };
        Blocks::default().with_in_memory(count)
    }

    /// What parsed requests are kept in until the ledger has counted them.
    pub fn requests(self) -> Arc<RequestMemory> {
        let memory =
            RequestMemory::of(BUDGET_BYTES.div_ceil(LINE_BYTES * self.batch_lines), self.batch_lines);
        Arc::new(if self.from_start { memory.in_memory() } else { memory })
    }

    /// Bytes of a body for which each of the workers has memory from the start.
    pub fn body_bytes(self, workers: usize) -> usize {
        if self.from_start {
            (self.batch_lines * SENT_LINE_BYTES).min(BODIES_BYTES / workers.max(1))
        } else {
            0
        }
    }

    /// What waits in the ledger for a commit.
    pub fn take_for(self, ledger: &mut Ledger) {
        if self.from_start {
            ledger.take_memory(LEDGER_BYTES);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_is_taken_at_the_start_is_bounded_whatever_the_limits_of_a_batch_are() {
        for lines in [1, 500, 5000, 100_000] {
            let limits = Limits { lines, bytes: 1 << 20, age: Duration::from_secs(1) };
            let memory = WorkingMemory::new(limits, true);
            assert!((1..=20_000).contains(&memory.batch_lines), "{memory:?}");
            for workers in [1, 4, 64] {
                assert!(workers * memory.body_bytes(workers) <= BODIES_BYTES, "{memory:?}");
            }
            assert_eq!(WorkingMemory::new(limits, false).body_bytes(4), 0);
        }
    }
}
