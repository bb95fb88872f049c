//! What the store has confirmed to know of this ledger, durable beside the rest: a store that does not know it any more was wiped, or restored from an older copy. Rows of
//! the table `counter`, each with its checksum. The part of the ledger that follows from the store's answers.

use std::collections::BTreeMap;

use rusqlite::{Connection, TransactionBehavior};

use super::LedgerError;
use super::counters::checksum;
use super::fault::Fault;
use super::ledger::Ledger;
use super::unpublished::{self, PublishedCells};

/// A statement ([`crate::Owner`]) that the store has confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Confirmed {
    /// Its place.
    pub mark_nanos: i64,
    /// The commit number that it told at least.
    pub commit: u64,
}

/// What the store has confirmed about one source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreMemory {
    /// A statement that is never overwritten.
    pub anchor: Option<Confirmed>,
    /// The last one.
    pub last: Option<Confirmed>,
}

const MARK: &str = "store_mark";
const COMMIT: &str = "store_commit";
const ANCHOR: &str = "anchor";
const LAST: &str = "last";

/// Whether a row of the table is one of these.
pub(super) fn is_one(name: &str) -> bool {
    matches!(name, MARK | COMMIT)
}

/// Reads all of them, by source.
pub(super) fn read(connection: &Connection) -> Result<BTreeMap<String, StoreMemory>, Fault> {
    let mut statement = connection.prepare_cached(
        "SELECT source, mark.reason, mark.value, told.value, mark.checksum, told.checksum
         FROM counter AS mark JOIN counter AS told USING (source)
         WHERE mark.name = ?1 AND told.name = ?2 AND told.reason = mark.reason",
    )?;
    let mut rows = statement.query((MARK, COMMIT))?;
    let mut all: BTreeMap<String, StoreMemory> = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let (source, which): (String, String) = (row.get(0)?, row.get(1)?);
        let (mark_nanos, commit): (i64, i64) = (row.get(2)?, row.get(3)?);
        let holds = row.get::<_, i64>(4)? == checksum(MARK, &source, &which, mark_nanos)
            && row.get::<_, i64>(5)? == checksum(COMMIT, &source, &which, commit);
        let memory = all.entry(source.clone()).or_default();
        let confirmed = Some(Confirmed { mark_nanos, commit: commit.cast_unsigned() });
        match which.as_str() {
            ANCHOR if holds => memory.anchor = confirmed,
            LAST if holds => memory.last = confirmed,
            _ => return Err(Fault::Damaged(format!("what the store has confirmed about {source:?}"))),
        }
    }
    Ok(all)
}

/// Writes what was confirmed about one source, within the caller's transaction.
pub(super) fn write(connection: &Connection, source: &str, memory: StoreMemory) -> Result<(), Fault> {
    let mut statement = connection.prepare_cached(
        "INSERT OR REPLACE INTO counter (name, source, reason, value, checksum) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    for (which, confirmed) in [(ANCHOR, memory.anchor), (LAST, memory.last)] {
        let Some(Confirmed { mark_nanos, commit }) = confirmed else { continue };
        for (name, value) in [(MARK, mark_nanos), (COMMIT, commit.cast_signed())] {
            statement.execute((name, source, which, value, checksum(name, source, which, value)))?;
        }
    }
    Ok(())
}

impl Ledger {
    /// What the store has confirmed, by source.
    ///
    /// # Errors
    /// The ledger cannot be read, or it is damaged.
    pub fn store_memory(&self) -> Result<BTreeMap<String, StoreMemory>, LedgerError> {
        read(&self.connection).map_err(|fault| fault.into_ledger_error(&self.path))
    }

    /// Remembers what the store has confirmed about a source. Durable at once (a power cut may take it back); does not change the commit number. `publish_again`: the store's
    /// statistics of the source cannot be relied on, so all of its cells are marked, in the same transaction: a store that is known again is one that gets everything.
    ///
    /// # Errors
    /// As [`Ledger::commit`].
    pub fn set_store_memory(
        &mut self,
        source: &str,
        memory: StoreMemory,
        publish_again: bool,
    ) -> Result<(), LedgerError> {
        let number = self.sources.number(source).filter(|_| publish_again && self.options.publishes_cells);
        let commit = self.meta.commit_number;
        let written = (|| {
            let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            write(&transaction, source, memory)?;
            if let Some(number) = number {
                unpublished::mark_all_of(&transaction, number, commit)?;
            }
            Ok(transaction.commit()?)
        })();
        written.map_err(|fault: Fault| fault.into_ledger_error(&self.path))
    }

    /// Takes the marks from cells that were published as they were at some commit, and did not change since. Durable at once; does not change the commit number.
    ///
    /// # Errors
    /// As [`Ledger::commit`].
    pub fn clear_published(&mut self, published: &PublishedCells) -> Result<(), LedgerError> {
        unpublished::clear(&mut self.connection, published)
            .map_err(|fault| fault.into_ledger_error(&self.path))
    }
}
