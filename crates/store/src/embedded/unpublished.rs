//! Cells that the store does not have as they are now: marked in the transaction that changes them, read for their publication while the processor writes, and cleared once the
//! store has confirmed the value that they still have. When what is sent is decided elsewhere.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension, Row, TransactionBehavior};
use stats::{SECONDS_PER_DAY, Window, WindowKind, day_of};

use super::cells::{ALL_CUSTOMERS, CellKey, CustomerNumber};
use super::counters::checksum;
use super::customers::Customer;
use super::fault::Fault;
use super::ledger::LEDGER_FILE;
use super::meta::Meta;
use super::sources::Sources;
use super::{LedgerError, cell_rows, schema};
use crate::StatisticsCell;

/// The kinds that are published. Minutes are for live charts from the ledger only.
const KINDS: [WindowKind; 2] = [WindowKind::Quarter, WindowKind::Day];
/// The counter that says: since it was written, no cell has changed without its mark.
const ALL_MARKED: &str = "cells_marked";
/// A window counts as current until that long after its end: its last lines are just arriving.
const CURRENT_SECONDS: i64 = 60;
const CACHE_KIB: u32 = 512; // SQLite's page cache: marks and cells are read in their order, once.
/// A value that InfluxDB takes is a megabyte at most; in base64 that is so many bytes of blob.
const BLOB_MAX_BYTES: usize = 700 << 10;

/// Whether a row of the table `counter` is ours.
pub(super) fn is_one(name: &str) -> bool {
    name == ALL_MARKED
}

/// Begins or ends the marking of cells. When it begins, all cells there are get their mark: nobody knows which of them were ever published.
pub(super) fn prepare(connection: &mut Connection, publishes: bool, commit: i64) -> Result<(), Fault> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let marked: Option<i64> = transaction
        .query_row("SELECT value FROM counter WHERE name = ?1", [ALL_MARKED], |row| row.get(0))
        .optional()?;
    match (publishes, marked) {
        (true, None) => {
            mark_cells(&transaction, "", commit)?;
            transaction.execute(
                "INSERT INTO counter (name, source, reason, value, checksum) VALUES (?1, '', '', 1, ?2)",
                (ALL_MARKED, checksum(ALL_MARKED, "", "", 1)),
            )?;
        }
        (false, Some(_)) => {
            transaction.execute("DELETE FROM unpublished", [])?;
            transaction.execute("DELETE FROM counter WHERE name = ?1", [ALL_MARKED])?;
        }
        (true, Some(_)) | (false, None) => return Ok(()),
    }
    Ok(transaction.commit()?)
}

/// Marks a cell that this commit changes.
pub(super) fn mark(connection: &Connection, key: CellKey, commit: i64) -> Result<(), Fault> {
    if !KINDS.contains(&key.kind) {
        return Ok(());
    }
    let mut statement = connection.prepare_cached(
        "INSERT INTO unpublished (kind, start_second, customer, source, since_commit, last_commit)
         VALUES (?1, ?2, ?3, ?4, ?5, ?5)
         ON CONFLICT (kind, start_second, customer, source) DO UPDATE SET last_commit = excluded.last_commit",
    )?;
    statement.execute((key.kind as u8, key.start_second, key.customer, key.source, commit))?;
    Ok(())
}

/// Marks every cell of a source.
pub(super) fn mark_all_of(connection: &Connection, source: i64, commit: i64) -> Result<(), Fault> {
    mark_cells(connection, &format!("AND source = {source}"), commit)
}

fn mark_cells(connection: &Connection, condition: &str, commit: i64) -> Result<(), Fault> {
    for kind in KINDS {
        // A cell that waits already keeps the commit since when it does.
        connection.execute(
            &format!(
                "INSERT INTO unpublished (kind, start_second, customer, source, since_commit, last_commit)
                 SELECT kind, start_second, customer, source, ?1, ?1 FROM cell WHERE kind = ?2 {condition}
                 ON CONFLICT (kind, start_second, customer, source) DO NOTHING"
            ),
            (commit, kind as u8),
        )?;
    }
    Ok(())
}

/// Forgets what the retention drops.
pub(super) fn forget_before(connection: &Connection, kind: WindowKind, second: i64) -> Result<(), Fault> {
    let mut statement =
        connection.prepare_cached("DELETE FROM unpublished WHERE kind = ?1 AND start_second < ?2")?;
    statement.execute((kind as u8, second))?;
    Ok(())
}

/// Takes the marks from cells that did not change after they were read for publication; the others wait since the commit after it.
pub(super) fn clear(connection: &mut Connection, published: &PublishedCells) -> Result<(), Fault> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    {
        let mut delete = transaction.prepare_cached(
            "DELETE FROM unpublished
             WHERE kind = ?1 AND start_second = ?2 AND customer = ?3 AND source = ?4 AND last_commit <= ?5",
        )?;
        let mut later = transaction.prepare_cached(
            "UPDATE unpublished SET since_commit = ?5 + 1
             WHERE kind = ?1 AND start_second = ?2 AND customer = ?3 AND source = ?4",
        )?;
        for key in &published.keys {
            let row = (key.kind as u8, key.start_second, key.customer, key.source, published.commit);
            if delete.execute(row)? == 0 {
                later.execute(row)?;
            }
        }
    }
    Ok(transaction.commit()?)
}

/// Which marked cells are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Of windows that are going on at this second, have just ended, or lie ahead.
    Current(i64),
    /// Of windows before those.
    Older(i64),
}

impl Scope {
    /// The starts of the windows of a kind: from, and before which.
    fn starts(self, kind: WindowKind) -> (i64, i64) {
        // A window is over when its end, its start plus its length, lies that far back.
        let over = |now: i64| now - CURRENT_SECONDS - kind.seconds() + 1;
        match self {
            Scope::Current(now) => (over(now), i64::MAX),
            Scope::Older(now) => (i64::MIN, over(now)),
        }
    }
}

/// The place after which reading goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor(CellKey);

/// Cells as they were at a commit, for [`super::Ledger::clear_published`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PublishedCells {
    keys: Vec<CellKey>,
    commit: i64,
}

impl PublishedCells {
    /// How many.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

/// How much is read at once: of at least one cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PieceLimit {
    /// About so many bytes of blobs.
    pub bytes: usize,
    /// So many cells.
    pub cells: usize,
}

/// Some marked cells.
#[derive(Debug)]
pub struct UnpublishedCells {
    /// As the store takes them.
    pub cells: Vec<StatisticsCell>,
    /// What may lose its mark once these are confirmed: these, and those that need not be sent.
    pub to_clear: PublishedCells,
    /// Cells that no value of the store can hold; they keep their marks.
    pub too_large: u64,
    /// The end of the last day with a window that the store does not take any more; 0 if there was none.
    pub incomplete_before: i64,
    /// Sources that are in neither list, and have cells that wait.
    pub unjudged: BTreeSet<String>,
    /// Where to go on; `None` at the end.
    pub next: Option<Cursor>,
}

/// What a commit left, as far as an answer has to know it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LedgerState {
    /// The commit's number.
    pub commit: u64,
    /// Every line that was readable at this instant is in it; microseconds since 1970.
    pub as_of_micros: Option<i64>,
    /// Quarter-hours from this second on are complete.
    pub quarters_from_second: i64,
}

/// What is sent of what is marked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Windows that begin before this second: the store takes none so old. 0 where it takes all.
    pub before_second: i64,
    /// Sources that are sent.
    pub sent: Vec<String>,
    /// Sources that are not, of which this ledger has counted only a part. Cells of other sources wait.
    pub dropped: Vec<String>,
}

/// The marked cells of a ledger, read while the processor writes it.
#[derive(Debug)]
pub struct Unpublished {
    path: PathBuf,
    connection: Connection,
}

impl Unpublished {
    /// Opens the ledger of a STATE_DIR for reading. A processor has opened it before.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn open(state_dir: &Path) -> Result<Self, LedgerError> {
        let path = state_dir.join(LEDGER_FILE);
        let opened = schema::open_for_reading(&path, CACHE_KIB);
        let connection = opened.map_err(|fault| fault.into_ledger_error(&path))?;
        Ok(Self { path, connection })
    }

    /// What the last commit left.
    ///
    /// # Errors
    /// The ledger cannot be read, or it is damaged.
    pub fn state(&self) -> Result<LedgerState, LedgerError> {
        let meta = Meta::read(&self.connection).map_err(|fault| fault.into_ledger_error(&self.path))?;
        Ok(meta.map_or_else(LedgerState::default, |meta| LedgerState {
            commit: meta.commit_number.cast_unsigned(),
            as_of_micros: meta.as_of_micros,
            quarters_from_second: meta.kept_from.quarters,
        }))
    }

    /// Whether no mark is left of this commit or an earlier one.
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub fn is_published_through(&self, commit: u64) -> Result<bool, LedgerError> {
        let waits = self
            .connection
            .prepare_cached("SELECT 1 FROM unpublished WHERE since_commit <= ?1 LIMIT 1")
            .and_then(|mut statement| statement.exists([commit.cast_signed()]));
        waits.map(|waits| !waits).map_err(|error| Fault::from(error).into_ledger_error(&self.path))
    }

    /// How many cells wait, counted up to `most`.
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub fn waiting(&self, most: u32) -> Result<u64, LedgerError> {
        let counted = self
            .connection
            .prepare_cached("SELECT count(*) FROM (SELECT 1 FROM unpublished LIMIT ?1)")
            .and_then(|mut statement| statement.query_row([most], |row| row.get::<_, i64>(0)));
        counted.map(i64::cast_unsigned).map_err(|error| Fault::from(error).into_ledger_error(&self.path))
    }

    /// The next marked cells of a scope, as one commit left them.
    ///
    /// # Errors
    /// The ledger cannot be read, or a cell is damaged.
    pub fn read(
        &self,
        scope: Scope,
        after: Option<Cursor>,
        selection: &Selection,
        limit: PieceLimit,
    ) -> Result<UnpublishedCells, LedgerError> {
        let read = || -> Result<_, Fault> {
            let state = self.connection.unchecked_transaction()?;
            let sources = Sources::read(&state)?;
            let mut found = UnpublishedCells {
                cells: Vec::new(),
                to_clear: PublishedCells {
                    keys: Vec::new(),
                    commit: Meta::read(&state)?.map_or(0, |meta| meta.commit_number),
                },
                too_large: 0,
                incomplete_before: 0,
                unjudged: BTreeSet::new(),
                next: None,
            };
            let mut bytes = 0;
            let marked = marked(&state, scope, after, limit.cells)?;
            let keys = marked.len();
            for key in marked {
                let source = sources.name(key.source).ok_or_else(|| {
                    Fault::Damaged(format!("the cells of source number {}: it is unknown", key.source))
                })?;
                let is_one_of = |sources: &[String]| sources.iter().any(|one| one == source);
                let too_old = key.start_second < selection.before_second;
                if too_old {
                    found.incomplete_before =
                        found.incomplete_before.max(day_of(key.start_second) + SECONDS_PER_DAY);
                }
                let drops = too_old || is_one_of(&selection.dropped);
                found.next = Some(Cursor(key));
                if !drops && !is_one_of(&selection.sent) {
                    found.unjudged.insert(source.to_owned());
                    continue;
                }
                let cell = if drops { None } else { read_cell(&state, key, source)? };
                if let Some(cell) = cell {
                    if cell.blob.len() > BLOB_MAX_BYTES {
                        found.too_large += 1;
                        continue;
                    }
                    bytes += cell.blob.len();
                    found.cells.push(cell);
                }
                found.to_clear.keys.push(key);
                if bytes >= limit.bytes {
                    return Ok(found);
                }
            }
            if keys < limit.cells {
                found.next = None;
            }
            Ok(found)
        };
        read().map_err(|fault| fault.into_ledger_error(&self.path))
    }
}

/// The next keys of a scope.
fn marked(
    connection: &Connection,
    scope: Scope,
    after: Option<Cursor>,
    most: usize,
) -> Result<Vec<CellKey>, Fault> {
    let mut statement = connection.prepare_cached(
        "SELECT start_second, customer, source FROM unpublished
         WHERE kind = ?1 AND (start_second, customer, source) > (?2, ?3, ?4) AND start_second < ?5
         ORDER BY start_second, customer, source LIMIT ?6",
    )?;
    let mut keys: Vec<CellKey> = Vec::new();
    for kind in KINDS {
        let (from, to) = scope.starts(kind);
        let (start, customer, source) = match after {
            Some(Cursor(after)) if after.kind > kind => continue,
            Some(Cursor(after)) if after.kind == kind => (after.start_second, after.customer, after.source),
            // Sources are numbered from 1, so nothing lies between this place and the first window's.
            _ => (from, ALL_CUSTOMERS, i64::MIN),
        };
        let rest = i64::try_from(most - keys.len()).expect("a small number");
        let key = |row: &Row<'_>| {
            Ok(CellKey { kind, start_second: row.get(0)?, customer: row.get(1)?, source: row.get(2)? })
        };
        let rows = statement.query_map((kind as u8, start, customer, source, to, rest), key)?;
        for row in rows {
            keys.push(row?);
        }
    }
    Ok(keys)
}

/// A cell as the store takes it; `None` when the retention has dropped it.
fn read_cell(connection: &Connection, key: CellKey, source: &str) -> Result<Option<StatisticsCell>, Fault> {
    let mut statement = connection.prepare_cached(
        "SELECT blob, checksum FROM cell WHERE kind = ?1 AND start_second = ?2 AND customer = ?3 AND source = ?4",
    )?;
    let mut rows = statement.query((key.kind as u8, key.start_second, key.customer, key.source))?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let cell = cell_rows::from_row(connection, key, row, 0)?;
    let blob = row.get(0)?;
    let window = Window { kind: key.kind, start_second: key.start_second };
    let (customer, last_seen_second) = match customer_of(connection, key.customer)? {
        Some(customer) => {
            let within = window.range().from_second..window.range().to_second;
            let last_seen = within.contains(&customer.last_seen_second).then_some(customer.last_seen_second);
            (Some(customer.id), last_seen)
        }
        None => (None, None),
    };
    Ok(Some(StatisticsCell { customer, source: source.to_owned(), window, cell, blob, last_seen_second }))
}

/// The customer of a number; `None` for all customers together.
fn customer_of(connection: &Connection, number: CustomerNumber) -> Result<Option<Customer>, Fault> {
    if number == ALL_CUSTOMERS {
        return Ok(None);
    }
    let customer = Customer::read_number(connection, number)?;
    customer
        .map(Some)
        .ok_or_else(|| Fault::Damaged(format!("customer number {number} has statistics, but no row")))
}
