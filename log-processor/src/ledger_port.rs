//! What the bookkeeper asks of its ledger and of its clock: traits, so that the same bookkeeper also works on a ledger and a clock that a test has made up. Decides nothing.

use std::fmt::Debug;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use store::KeyStart;
use store::embedded::{
    GenerationId, GenerationRecord, GenerationState, Head, Ledger, LedgerError, LedgerTotals, NewGeneration,
    Pending, PublishedCells, SettledSegment, StoreMemory,
};

use crate::tail::disk::Clock;

/// A ledger; what each call does is said at [`Ledger`].
#[expect(missing_docs, reason = "the ledger's own methods, described there")]
#[expect(clippy::missing_errors_doc, reason = "the ledger's own methods, described there")]
pub trait LedgerPort: Debug {
    fn generations(&self, source: &str) -> Result<Vec<GenerationRecord>, LedgerError>;
    fn add_generation(&mut self, generation: &NewGeneration) -> Result<GenerationId, LedgerError>;
    fn note_start(&mut self, id: GenerationId, head: &Head, start: KeyStart);
    fn make_durable(&mut self) -> Result<(), LedgerError>;
    fn update_generation(
        &mut self,
        id: GenerationId,
        path: &Path,
        device_inode: (u64, u64),
        size_bytes: u64,
        state: GenerationState,
    ) -> Result<(), LedgerError>;
    fn note_beginning(&mut self, id: GenerationId, beginning: (u64, u64));
    fn add_lost_bytes(&mut self, source: &str, reason: &str, bytes: u64) -> Result<(), LedgerError>;
    fn add_skipped_bytes(&mut self, source: &str, bytes: u64) -> Result<(), LedgerError>;
    fn apply(&mut self, segment: &SettledSegment) -> Result<(), LedgerError>;
    fn commit(&mut self, as_of_micros: Option<i64>, now_second: i64) -> Result<u64, LedgerError>;
    fn set_as_of(&mut self, as_of_micros: i64) -> Result<(), LedgerError>;
    fn set_store_memory(
        &mut self,
        source: &str,
        memory: StoreMemory,
        publish_again: bool,
    ) -> Result<(), LedgerError>;
    fn clear_published(&mut self, cells: &PublishedCells) -> Result<(), LedgerError>;
    fn totals(&self) -> LedgerTotals;
    fn pending(&self) -> Pending;
    fn commit_number(&self) -> u64;
    fn as_of_micros(&self) -> Option<i64>;
}

impl LedgerPort for Ledger {
    fn generations(&self, source: &str) -> Result<Vec<GenerationRecord>, LedgerError> {
        self.generations(source)
    }

    fn add_generation(&mut self, generation: &NewGeneration) -> Result<GenerationId, LedgerError> {
        self.add_generation(generation)
    }

    fn note_start(&mut self, id: GenerationId, head: &Head, start: KeyStart) {
        self.note_start(id, head, start);
    }

    fn make_durable(&mut self) -> Result<(), LedgerError> {
        self.make_durable()
    }

    fn update_generation(
        &mut self,
        id: GenerationId,
        path: &Path,
        device_inode: (u64, u64),
        size_bytes: u64,
        state: GenerationState,
    ) -> Result<(), LedgerError> {
        self.update_generation(id, path, device_inode, size_bytes, state)
    }

    fn note_beginning(&mut self, id: GenerationId, beginning: (u64, u64)) {
        self.note_beginning(id, beginning);
    }

    fn add_lost_bytes(&mut self, source: &str, reason: &str, bytes: u64) -> Result<(), LedgerError> {
        self.add_lost_bytes(source, reason, bytes)
    }

    fn add_skipped_bytes(&mut self, source: &str, bytes: u64) -> Result<(), LedgerError> {
        self.add_skipped_bytes(source, bytes)
    }

    fn apply(&mut self, segment: &SettledSegment) -> Result<(), LedgerError> {
        self.apply(segment)
    }

    fn commit(&mut self, as_of_micros: Option<i64>, now_second: i64) -> Result<u64, LedgerError> {
        self.commit(as_of_micros, now_second)
    }

    fn set_as_of(&mut self, as_of_micros: i64) -> Result<(), LedgerError> {
        self.set_as_of(as_of_micros)
    }

    fn set_store_memory(
        &mut self,
        source: &str,
        memory: StoreMemory,
        publish_again: bool,
    ) -> Result<(), LedgerError> {
        self.set_store_memory(source, memory, publish_again)
    }

    fn clear_published(&mut self, cells: &PublishedCells) -> Result<(), LedgerError> {
        self.clear_published(cells)
    }

    fn totals(&self) -> LedgerTotals {
        self.totals()
    }

    fn pending(&self) -> Pending {
        self.pending()
    }

    fn commit_number(&self) -> u64 {
        self.commit_number()
    }

    fn as_of_micros(&self) -> Option<i64> {
        self.as_of_micros()
    }
}

/// A clock that can also be waited on.
pub trait Time: Debug {
    /// The time now.
    fn now(&self) -> Clock;
    /// Waits.
    fn pause(&self, length: Duration);
}

/// The machine's own.
#[derive(Debug)]
pub struct RealTime {
    begun: Instant,
}

impl Default for RealTime {
    fn default() -> Self {
        Self { begun: Instant::now() }
    }
}

impl Time for RealTime {
    fn now(&self) -> Clock {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Clock { wall_nanos: i64::try_from(wall.as_nanos()).unwrap_or(i64::MAX), uptime: self.begun.elapsed() }
    }

    fn pause(&self, length: Duration) {
        std::thread::sleep(length);
    }
}
