//! The ledger as the processor sees it: apply settled segments in file order, commit, go on after a crash. One thread owns it; every call blocks.
//!
//! What is applied is held in memory until a commit has succeeded, so a commit that failed can be tried again, and a crash at any instant
//! leaves exactly what the last commit wrote (K2).
//!
//! # When to commit
//! A commit reads and writes each cell that changed once, so it costs by cells, not by requests: about 3 to 5 microseconds a small cell, 20 to
//! 40 a day's cell of a busy customer. Few lines are committed at once; under load the next commit waits for some multiple of
//! what the last one took, so that the ledger's thread stays mostly free; and [`Ledger::pending`] bounds the memory whatever the clock says:
//! at 8 MiB (250,000 requests, or 80,000 with raw ones) waiting longer gains nothing. A commit now and then is needed even when no lines come,
//! because only commits drop what has grown old.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, TransactionBehavior};

use super::cells::{Observation, PendingCells};
use super::customers::{CustomerIndex, Customers};
use super::fault::Fault;
use super::generations::Generations;
use super::loaded::Loaded;
use super::lock::ProcessorLock;
use super::meta::{KeptFrom, Meta};
use super::raw::PendingRaw;
use super::rejects::PendingRejects;
use super::sources::Sources;
use super::unpublished;
use super::{
    GenerationId, GenerationRecord, GenerationState, Head, LedgerError, LedgerOptions, LedgerTotals,
    NewGeneration, Pending, SettledSegment, StoredRequest, cell_rows, counters, retention, schema,
};
use crate::KeyStart;

/// Name of the ledger's file in STATE_DIR.
pub const LEDGER_FILE: &str = "ledger.db";
/// How often what has grown old is looked for, in seconds.
const PRUNE_EVERY_SECONDS: i64 = 300;
const NANOS_PER_SECOND: i64 = 1_000_000_000;

/// The processor's ledger, opened for writing: `STATE_DIR/ledger.db` (WAL, synchronous=NORMAL) under an exclusive lock on `STATE_DIR/processor.lock`.
#[derive(Debug)]
pub struct Ledger {
    pub(super) path: PathBuf,
    pub(super) options: LedgerOptions,
    pub(super) connection: Connection,
    pub(super) meta: Meta,
    now_second: i64,
    pruned_second: Option<i64>,
    pub(super) sources: Sources,
    generations: Generations,
    pub(super) customers: Customers,
    cells: PendingCells,
    rejects: PendingRejects,
    raw: PendingRaw,
    pub(super) totals: LedgerTotals,
    pub(super) committed_totals: LedgerTotals,
    /// The customers of the segment that is being applied.
    resolved: Vec<CustomerIndex>,
    // Last, so that it is let go after the connection was closed.
    _lock: ProcessorLock,
}

impl Ledger {
    /// Opens or makes the ledger. `now_second` is the clock (seconds since 1970), for retention.
    ///
    /// # Errors
    /// Another processor has it, a newer program wrote it, it is damaged, or the disk does not let us.
    pub fn open(state_dir: &Path, options: LedgerOptions, now_second: i64) -> Result<Ledger, LedgerError> {
        schema::create_directory(state_dir).map_err(|error| LedgerError::Unavailable {
            path: state_dir.to_path_buf(),
            why: error.to_string(),
        })?;
        let lock = ProcessorLock::take(state_dir)?;
        let path = state_dir.join(LEDGER_FILE);
        let mut connection = schema::open_for_writing(&path)?;
        let loaded = Loaded::read(&connection, &options, now_second);
        let Loaded { meta, sources, generations, totals, raw_kept } =
            loaded.map_err(|fault| fault.into_ledger_error(&path))?;
        unpublished::prepare(&mut connection, options.publishes_cells, meta.commit_number)
            .map_err(|fault| fault.into_ledger_error(&path))?;
        Ok(Ledger {
            customers: Customers::new(meta.next_customer),
            raw: PendingRaw::new(&options, raw_kept, &generations),
            cells: PendingCells::default(),
            rejects: PendingRejects::default(),
            committed_totals: totals.clone(),
            resolved: Vec::new(),
            pruned_second: None,
            path,
            options,
            connection,
            meta,
            now_second,
            sources,
            generations,
            totals,
            _lock: lock,
        })
    }

    /// The ledger's id, made with it.
    pub fn id(&self) -> &str {
        &self.meta.ledger_id
    }

    /// Number of the last commit; grows by one with each.
    pub fn commit_number(&self) -> u64 {
        self.meta.commit_number.cast_unsigned()
    }

    /// Every line that was readable at this instant is in the last commit, microseconds since 1970; `None` before that was ever so.
    pub fn as_of_micros(&self) -> Option<i64> {
        self.meta.as_of_micros
    }

    /// All generations of a source, oldest first, as they are with what was applied and not yet committed.
    ///
    /// # Errors
    /// None now; a ledger that keeps them on disk only may have to read.
    pub fn generations(&self, source: &str) -> Result<Vec<GenerationRecord>, LedgerError> {
        Ok(self.generations.records().filter(|record| record.seen.source == source).cloned().collect())
    }

    /// Remembers a generation (durable with the next commit).
    ///
    /// # Errors
    /// As [`Ledger::generations`].
    pub fn add_generation(&mut self, generation: &NewGeneration) -> Result<GenerationId, LedgerError> {
        let source = self.sources.resolve(&generation.source);
        let id = self.generations.add(generation, source);
        self.raw.begin_at(id, generation.settled_offset);
        Ok(id)
    }

    /// Notes head and start of a generation. Before the first line is sent they must be durable: [`Ledger::make_durable`].
    /// Set once; a second call with other values is a bug and panics.
    pub fn note_start(&mut self, id: GenerationId, head: &Head, start: KeyStart) {
        self.generations.change(id, |record| {
            let set = record.head.get_or_insert_with(|| head.clone()) == head
                && *record.start.get_or_insert(start) == start;
            assert!(set, "X1: generation {} would change its place in the keys: {record:?}", id.0);
        });
    }

    /// Commits all that was noted and applied so that even a power cut does not take it back.
    ///
    /// # Errors
    /// As [`Ledger::commit`]; the same call may be tried again.
    pub fn make_durable(&mut self) -> Result<(), LedgerError> {
        self.write(None, self.now_second, true).map(|_| ())
    }

    /// [`Ledger::note_start`], made durable at once.
    ///
    /// # Errors
    /// As [`Ledger::make_durable`].
    pub fn set_start(&mut self, id: GenerationId, head: &Head, start: KeyStart) -> Result<(), LedgerError> {
        self.note_start(id, head, start);
        self.make_durable()
    }

    /// Updates where a generation was last found, its greatest size, and its state (durable with the next commit; a commit after which a
    /// generation is [`GenerationState::Finished`] for the first time survives a power cut).
    ///
    /// # Errors
    /// As [`Ledger::generations`].
    pub fn update_generation(
        &mut self,
        id: GenerationId,
        path: &Path,
        device_inode: (u64, u64),
        size_bytes: u64,
        state: GenerationState,
    ) -> Result<(), LedgerError> {
        self.generations.change(id, |record| {
            record.seen.path = path.to_path_buf();
            (record.seen.device, record.seen.inode) = device_inode;
            record.seen.state = state;
            record.size_bytes = record.size_bytes.max(size_bytes);
        });
        Ok(())
    }

    /// Notes hash and length of the first bytes of a generation of which nothing is settled, by which it is known again (durable with the next commit).
    pub fn note_beginning(&mut self, id: GenerationId, beginning: (u64, u64)) {
        self.generations.note_beginning(id, beginning);
    }

    /// Counts bytes proven unreadable (durable with the next commit).
    ///
    /// # Errors
    /// As [`Ledger::generations`].
    pub fn add_lost_bytes(&mut self, source: &str, reason: &str, bytes: u64) -> Result<(), LedgerError> {
        *self.totals.lost_bytes.entry((source.to_owned(), reason.to_owned())).or_default() += bytes;
        Ok(())
    }

    /// Counts bytes skipped on purpose (durable with the next commit).
    ///
    /// # Errors
    /// As [`Ledger::generations`].
    pub fn add_skipped_bytes(&mut self, source: &str, bytes: u64) -> Result<(), LedgerError> {
        *self.totals.skipped_bytes.entry(source.to_owned()).or_default() += bytes;
        Ok(())
    }

    /// Applies one settled segment: position, cells, rejects, raw requests. Visible to readers and durable with the next commit. Asserts K1: the segment starts where the
    /// generation's settled mark is.
    ///
    /// # Errors
    /// A customer could not be looked up; then nothing of the segment was applied, and the same call may be tried again.
    pub fn apply(&mut self, segment: &SettledSegment) -> Result<(), LedgerError> {
        let (record, source) = self.generations.get(segment.generation);
        assert!(
            segment.start_offset == record.seen.settled_offset && segment.start_offset < segment.end_offset,
            "K1: generation {} is settled up to byte {}, and the segment is {}..{}",
            segment.generation.0,
            record.seen.settled_offset,
            segment.start_offset,
            segment.end_offset,
        );
        self.resolve_customers(segment).map_err(|fault| fault.into_ledger_error(&self.path))?;
        // From here on nothing can fail.
        self.count_requests(segment, source);
        self.raw.push(segment, &self.resolved, self.now_second);
        for reject in &segment.rejects {
            *self.totals.rejected.entry(reject.reason).or_default() += 1;
            self.rejects.push(segment.generation, reject);
        }
        self.totals.lines_stored += segment.requests.len() as u64;
        self.totals.bytes_settled += segment.end_offset - segment.start_offset;
        self.totals.future_time += segment.future_time;
        self.totals.ambiguous_time += segment.ambiguous_time;
        self.generations.change(segment.generation, |record| {
            record.seen.settled_offset = segment.end_offset;
            record.size_bytes = record.size_bytes.max(segment.end_offset);
            (record.tail_marker, record.tail_marker_length) = segment.tail_marker;
        });
        Ok(())
    }

    fn resolve_customers(&mut self, segment: &SettledSegment) -> Result<(), Fault> {
        self.resolved.clear();
        self.resolved.reserve(segment.requests.len());
        for StoredRequest { customer: (from, length), .. } in segment.requests.iter() {
            let from = *from as usize;
            let id = &segment.bytes[from..from + usize::from(*length)];
            self.resolved.push(self.customers.resolve(&self.connection, id)?);
        }
        Ok(())
    }

    fn count_requests(&mut self, segment: &SettledSegment, source: i64) {
        let Self { customers, cells, resolved, .. } = self;
        let requests = segment.requests.iter().zip(resolved);
        let observations = requests.map(|(request, customer)| {
            let second = request.time_nanos.div_euclid(NANOS_PER_SECOND);
            let number = customers.count(*customer, second);
            let latency = (request.latency_micros != u64::MAX).then_some(request.latency_micros);
            Observation::new(second, number, request.status, latency)
        });
        cells.extend(source, observations);
    }

    /// Commits everything applied so far in one transaction and returns the new commit number. `as_of_micros`: every line readable at this instant is in it;
    /// `None` leaves what was last said.
    /// After an error the same call may be tried again: nothing that was applied is forgotten while the process lives.
    ///
    /// # Errors
    /// The disk is full or unwritable, or a row that has to be changed is damaged. The transaction was rolled back.
    pub fn commit(&mut self, as_of_micros: Option<i64>, now_second: i64) -> Result<u64, LedgerError> {
        self.write(as_of_micros, now_second, self.generations.any_let_go())
    }

    fn write(
        &mut self,
        as_of_micros: Option<i64>,
        now_second: i64,
        through_power_cut: bool,
    ) -> Result<u64, LedgerError> {
        self.now_second = now_second;
        let written = if through_power_cut {
            self.set_synchronous("FULL")
                .and_then(|()| self.transaction(as_of_micros))
                .and_then(|meta| self.set_synchronous("NORMAL").map(|()| meta))
        } else {
            self.transaction(as_of_micros)
        };
        written.map_err(|fault| fault.into_ledger_error(&self.path))?;
        Ok(self.commit_number())
    }

    fn set_synchronous(&self, level: &str) -> Result<(), Fault> {
        Ok(self.connection.pragma_update(None, "synchronous", level)?)
    }

    /// Writes all that changed; on success, and only then, forgets that it did.
    fn transaction(&mut self, as_of_micros: Option<i64>) -> Result<(), Fault> {
        let kept_from = KeptFrom::at(self.now_second, self.options.retention);
        // A day goes at midnight, not minutes later: the api's answers begin with the next one from then on.
        let prune = kept_from.days > self.meta.kept_from.days
            || self.pruned_second.is_none_or(|last| (self.now_second - last).abs() >= PRUNE_EVERY_SECONDS);
        let mut meta = self.meta.clone();
        meta.commit_number += 1;
        meta.as_of_micros = as_of_micros.or(meta.as_of_micros);
        meta.next_customer = self.customers.next_number();
        if prune {
            meta.kept_from = meta.kept_from.max(kept_from);
        }

        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        self.sources.write(&transaction)?;
        self.generations.write(&transaction)?;
        counters::write(&transaction, &self.committed_totals, &self.totals)?;
        self.customers.write(&transaction)?;
        let marked = self.options.publishes_cells.then_some(meta.commit_number);
        cell_rows::add(&transaction, &mut self.cells, &meta.kept_from, marked)?;
        self.rejects.write(&transaction, self.now_second)?;
        self.raw.write(&transaction, &self.customers)?;
        let mut forget_customers = false;
        if prune {
            forget_customers = retention::prune(&transaction, meta.kept_from)?;
        }
        self.raw.drop_old(&transaction, &self.generations, prune.then_some(self.now_second))?;
        meta.write(&transaction)?;
        transaction.commit()?;

        self.meta = meta;
        self.sources.committed();
        self.generations.committed();
        self.committed_totals = self.totals.clone();
        self.cells.committed();
        self.rejects.committed();
        self.raw.committed();
        self.customers.committed(forget_customers);
        if prune {
            self.pruned_second = Some(self.now_second);
        }
        Ok(())
    }

    /// Records only how fresh the data is (a heartbeat while the log is silent); does not change the commit number. While applied lines
    /// wait for a commit it does nothing, since an answer made now would lack them.
    ///
    /// # Errors
    /// As [`Ledger::commit`].
    pub fn set_as_of(&mut self, as_of_micros: i64) -> Result<(), LedgerError> {
        if self.totals != self.committed_totals {
            return Ok(());
        }
        let meta = Meta { as_of_micros: Some(as_of_micros), ..self.meta.clone() };
        meta.write(&self.connection).map_err(|fault| fault.into_ledger_error(&self.path))?;
        self.meta = meta;
        Ok(())
    }

    /// Totals, with what was applied and not yet committed.
    pub fn totals(&self) -> LedgerTotals {
        self.totals.clone()
    }

    /// Has memory for so many bytes that wait for a commit ([`Ledger::pending`]) from the start.
    pub fn take_memory(&mut self, bytes: usize) {
        self.cells.take_memory(bytes);
    }

    /// How much was applied and waits for a commit.
    pub fn pending(&self) -> Pending {
        Pending {
            requests: self.totals.lines_stored - self.committed_totals.lines_stored,
            bytes: self.cells.bytes() + self.raw.bytes(),
        }
    }
}

#[cfg(test)]
impl Ledger {
    /// For tests that fill the disk or damage rows.
    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        // Best effort: the WAL holds everything that was committed.
        if let Err(fault) = schema::last_checkpoint(&self.connection) {
            tracing::debug!(?fault, "the ledger's last checkpoint did not finish");
        }
    }
}
