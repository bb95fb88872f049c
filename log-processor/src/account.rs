//! The account of every line (C1): lines read = stored + rejected + in flight, at every instant. No clock, no I/O.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use logline::Reason;
use store::embedded::LedgerTotals;

/// Where every line that tail handed on is now.
#[derive(Debug)]
pub struct Account {
    entries: Mutex<Entries>,
}

/// The account at one instant.
#[derive(Clone, Debug, Default)]
pub struct Entries {
    /// Lines handed on by tail, those of earlier runs that settled included.
    pub lines_read: u64,
    /// Everything that settled, as the ledger counts it.
    pub settled: LedgerTotals,
    /// Bytes handed on by tail in this run.
    pub bytes_read: u64,
    /// Lines stored in this run, for the first-lines check.
    pub stored_this_run: u64,
    /// Lines rejected in this run.
    pub rejected_this_run: u64,
    /// One rejected line of this run, for a person: the first.
    pub example: Option<String>,
}

impl Account {
    /// The account of a processor that starts with these totals in its ledger.
    pub fn new(settled: LedgerTotals) -> Self {
        let lines_read = settled.lines_stored + settled.rejected.values().sum::<u64>();
        Self { entries: Mutex::new(Entries { lines_read, settled, ..Entries::default() }) }
    }

    /// Tail hands on lines.
    pub fn read(&self, lines: usize, bytes: usize) {
        let mut entries = self.lock();
        entries.lines_read += lines as u64;
        entries.bytes_read += bytes as u64;
    }

    /// The ledger has passed some; `totals` are its totals now.
    pub fn settled(&self, totals: LedgerTotals) {
        let mut entries = self.lock();
        let before = std::mem::replace(&mut entries.settled, totals);
        entries.stored_this_run += entries.settled.lines_stored - before.lines_stored;
        entries.rejected_this_run += total(&entries.settled.rejected) - total(&before.rejected);
        assert!(
            entries.settled_lines() <= entries.lines_read,
            "C1: more lines settled than read: {entries:?}"
        );
    }

    /// Keeps the first rejected line as an example.
    pub fn example(&self, make: impl FnOnce() -> String) {
        let mut entries = self.lock();
        if entries.example.is_none() {
            entries.example = Some(make());
        }
    }

    /// The account now.
    pub fn entries(&self) -> Entries {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        // Nothing panics between two entries of one change, so a poisoned account is still right.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entries {
    /// Lines stored or rejected.
    pub fn settled_lines(&self) -> u64 {
        self.settled.lines_stored + total(&self.settled.rejected)
    }

    /// Lines read and not settled.
    pub fn lines_in_flight(&self) -> u64 {
        self.lines_read - self.settled_lines()
    }
}

fn total(rejected: &BTreeMap<Reason, u64>) -> u64 {
    rejected.values().sum()
}
