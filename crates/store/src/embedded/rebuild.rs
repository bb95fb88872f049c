//! Cells that are put in the place of those that were counted: made again from the requests that a store holds, for a ledger that has not counted all of them. One transaction, however long it
//! takes: readers see the cells of before until its end, and a process that dies changes nothing. Where the cells come from is the caller's.

use std::collections::HashSet;
use std::path::Path;

use rusqlite::{OptionalExtension, Transaction, TransactionBehavior};
use stats::{Cell, SECONDS_PER_DAY, WindowKind};

use super::cells::{ALL_CUSTOMERS, CellKey, CustomerNumber};
use super::customers::Customers;
use super::fault::Fault;
use super::ledger::Ledger;
use super::meta::Meta;
use super::{LedgerError, LedgerTotals, cell_rows, checksum, counters, unpublished};

const KINDS: [WindowKind; 3] = [WindowKind::Minute, WindowKind::Quarter, WindowKind::Day];

/// The cells of one source while they are put in place. Dropped, it has changed nothing.
#[derive(Debug)]
pub struct Rebuild<'a> {
    transaction: Transaction<'a>,
    path: &'a Path,
    customers: Changing<'a>,
    meta: &'a mut Meta,
    totals: &'a mut LedgerTotals,
    committed_totals: &'a mut LedgerTotals,
    next: Meta,
    source: i64,
    /// Whether cells that change are marked for their publication.
    marks: bool,
    /// The cells of the current day that were put.
    put: HashSet<CellKey>,
    /// Requests of the days, as they were and as they are now.
    before: u64,
    after: u64,
}

/// Customers whose rows are changed behind the back of their memory: at the end they are read anew, whatever became of the transaction.
#[derive(Debug)]
struct Changing<'a>(&'a mut Customers);

impl Drop for Changing<'_> {
    fn drop(&mut self) {
        self.0.committed(true);
    }
}

impl Ledger {
    /// Begins to put other cells in the place of a source's. `None` if the ledger has never heard of the source. Nothing may be pending.
    ///
    /// # Errors
    /// The ledger cannot be written.
    pub fn rebuild(&mut self, source: &str) -> Result<Option<Rebuild<'_>>, LedgerError> {
        assert_eq!(self.pending().requests, 0, "K2: what was applied is committed before cells are replaced");
        let Some(source) = self.sources.number(source) else { return Ok(None) };
        let marks = self.options.publishes_cells;
        let Ledger { connection, path, customers, meta, totals, committed_totals, .. } = self;
        let begun = connection.transaction_with_behavior(TransactionBehavior::Immediate);
        let transaction = begun.map_err(|error| Fault::from(error).into_ledger_error(path))?;
        let next = Meta { commit_number: meta.commit_number + 1, ..meta.clone() };
        let put = HashSet::new();
        Ok(Some(Rebuild {
            transaction,
            path,
            customers: Changing(customers),
            meta,
            totals,
            committed_totals,
            next,
            source,
            marks,
            put,
            before: 0,
            after: 0,
        }))
    }
}

impl Rebuild<'_> {
    /// Whether cells of a window are kept at all.
    pub fn is_kept(&self, kind: WindowKind, start_second: i64) -> bool {
        let from = if kind == WindowKind::Day {
            self.next.kept_from.days
        } else {
            self.next.kept_from.first_of(kind)
        };
        start_second >= from
    }

    /// Days from this second on are kept.
    pub fn kept_from_second(&self) -> i64 {
        self.next.kept_from.days
    }

    /// The requests that the ledger has of the source in a day.
    ///
    /// # Errors
    /// The ledger cannot be read, or the cell is damaged.
    pub fn requests_of_day(&self, day_second: i64) -> Result<u64, LedgerError> {
        let key = CellKey {
            kind: WindowKind::Day,
            start_second: day_second,
            customer: ALL_CUSTOMERS,
            source: self.source,
        };
        let there = self.read(key).map_err(|fault| fault.into_ledger_error(self.path))?;
        Ok(there.map_or(0, |cell| cell.requests))
    }

    fn read(&self, key: CellKey) -> Result<Option<Cell>, Fault> {
        let mut select = self.transaction.prepare_cached(
            "SELECT blob, checksum FROM cell WHERE kind = ?1 AND start_second = ?2 AND customer = ?3 AND source = ?4",
        )?;
        let row = (key.kind as u8, key.start_second, key.customer, key.source);
        let there = select.query_row(row, |row| Ok(cell_rows::from_row(&self.transaction, key, row, 0)));
        there.optional()?.transpose()
    }

    /// Puts a cell in its place: of one customer, or of all together. `last_second`: the newest request in it.
    ///
    /// # Errors
    /// The ledger cannot be written, or the cell that is there is damaged.
    pub fn put(
        &mut self,
        kind: WindowKind,
        start_second: i64,
        customer: Option<(&str, i64)>,
        cell: &Cell,
    ) -> Result<(), LedgerError> {
        self.try_put(kind, start_second, customer, cell).map_err(|fault| fault.into_ledger_error(self.path))
    }

    fn try_put(
        &mut self,
        kind: WindowKind,
        start_second: i64,
        customer: Option<(&str, i64)>,
        cell: &Cell,
    ) -> Result<(), Fault> {
        let index =
            customer.map(|(id, _)| self.customers.0.resolve(&self.transaction, id.as_bytes())).transpose()?;
        let number = index.map_or(ALL_CUSTOMERS, |index| self.customers.0.get(index).number);
        let key = CellKey { kind, start_second, customer: number, source: self.source };
        let before = self.write(key, cell)?;
        self.put.insert(key);
        if kind == WindowKind::Day {
            match (index, customer) {
                (Some(index), Some((_, last_second))) => {
                    self.customers.0.recount(index, before, cell.requests, last_second);
                }
                _ => (self.before, self.after) = (self.before + before, self.after + cell.requests),
            }
        }
        Ok(())
    }

    /// Writes a cell and marks it for its publication, if there is any; the requests of the one that was there.
    fn write(&self, key: CellKey, cell: &Cell) -> Result<u64, Fault> {
        let before = self.read(key)?;
        let mut blob = Vec::new();
        cell.encode(&mut blob);
        self.transaction
            .prepare_cached(
                "INSERT OR REPLACE INTO cell (kind, start_second, customer, source, blob, checksum) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute((
                key.kind as u8,
                key.start_second,
                key.customer,
                key.source,
                blob.as_slice(),
                checksum::of_cell(key, &blob),
            ))?;
        if self.marks {
            unpublished::mark(&self.transaction, key, self.next.commit_number)?;
        }
        Ok(before.map_or(0, |cell| cell.requests))
    }

    /// A day is over: cells of it that were not put have no requests any more. They stay, empty, so that the store's are emptied too.
    ///
    /// # Errors
    /// As [`Rebuild::put`].
    pub fn end_day(&mut self, day_second: i64) -> Result<(), LedgerError> {
        self.empty_the_others(day_second).map_err(|fault| fault.into_ledger_error(self.path))
    }

    fn empty_the_others(&mut self, day_second: i64) -> Result<(), Fault> {
        let put = std::mem::take(&mut self.put);
        let mut others = Vec::new();
        for kind in KINDS {
            let mut select = self.transaction.prepare_cached(
                "SELECT start_second, customer FROM cell WHERE kind = ?1 AND start_second >= ?2 AND start_second < ?3 AND source = ?4",
            )?;
            let mut rows =
                select.query((kind as u8, day_second, day_second + SECONDS_PER_DAY, self.source))?;
            while let Some(row) = rows.next()? {
                let (start_second, customer): (i64, CustomerNumber) = (row.get(0)?, row.get(1)?);
                let key = CellKey { kind, start_second, customer, source: self.source };
                if !put.contains(&key) {
                    others.push(key);
                }
            }
        }
        for key in others {
            let before = self.write(key, &Cell::default())?;
            match (key.kind, key.customer) {
                (WindowKind::Day, ALL_CUSTOMERS) => self.before += before,
                (WindowKind::Day, number) => {
                    if let Some(index) = self.customers.0.resolve_number(&self.transaction, number)? {
                        self.customers.0.recount(index, before, 0, i64::MIN);
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Commits all of it: the requests that the days had, and have now.
    ///
    /// # Errors
    /// The ledger cannot be written; nothing has changed.
    pub fn commit(self) -> Result<(u64, u64), LedgerError> {
        let path = self.path;
        self.try_commit().map_err(|fault| fault.into_ledger_error(path))
    }

    fn try_commit(self) -> Result<(u64, u64), Fault> {
        let mut totals = self.totals.clone();
        // The ledger holds more requests than it has stored itself: whoever opens it must know.
        totals.rebuilt_requests += self.after.saturating_sub(self.before);
        let next = Meta { next_customer: self.customers.0.next_number(), ..self.next };
        self.customers.0.write(&self.transaction)?;
        counters::write(&self.transaction, self.committed_totals, &totals)?;
        next.write(&self.transaction)?;
        self.transaction.commit()?;
        *self.meta = next;
        *self.totals = totals.clone();
        *self.committed_totals = totals;
        Ok((self.before, self.after))
    }
}
