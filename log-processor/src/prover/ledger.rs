//! A ledger in memory with the promises of the real one: what was applied is durable with the next commit, whole or not at all. A crash takes back what was not committed; a power
//! cut also the last commits, as far as the last one that was written through. Checks K1 and C1 with each segment, and that InfluxDB has what is called settled.

use std::collections::BTreeMap;
use std::path::Path;

use store::KeyStart;
use store::embedded::{
    GenerationId, GenerationRecord, GenerationState, Head, LedgerError, LedgerTotals, NewGeneration, Pending,
    PublishedCells, SettledSegment, StoreMemory,
};

use super::files::whole_lines;
use super::world::{Sim, World, violated};
use crate::ledger_port::{LedgerPort, Time};
use crate::tail::disk::Clock;

/// What a commit holds.
#[derive(Clone, Debug, Default)]
pub(super) struct Books {
    pub(super) generations: BTreeMap<i64, GenerationRecord>,
    /// Where reading of each generation began.
    from: BTreeMap<i64, u64>,
    pub(super) totals: LedgerTotals,
    commit_number: u64,
    /// Stored and rejected lines: how often each.
    pub(super) cells: BTreeMap<u32, u32>,
    pub(super) rejects: BTreeMap<u32, u32>,
    rejected_unknown: u64,
}

/// The commits on disk, the last one last, each with whether it was written through.
#[derive(Clone, Debug)]
pub(super) struct Kept(Vec<(Books, bool)>);

impl Default for Kept {
    fn default() -> Self {
        Kept(vec![(Books::default(), true)])
    }
}

impl Kept {
    pub(super) fn last(&self) -> &Books {
        &self.0.last().expect("there is always one").0
    }

    /// The power goes: some of the last commits with it, but for those that were written through.
    pub(super) fn power_cut(&mut self, lost: usize) {
        for _ in 0..lost {
            if self.0.len() > 1 && !self.0.last().expect("more than one").1 {
                self.0.pop();
            }
        }
    }

    fn push(&mut self, books: Books, through: bool) {
        for (id, record) in &self.last().generations {
            let now = books.generations.get(id).map(|now| now.seen.settled_offset);
            if now.is_none_or(|now| now < record.seen.settled_offset) {
                violated(
                    "K1",
                    format!(
                        "the mark of generation {id} goes back from {} to {now:?}",
                        record.seen.settled_offset
                    ),
                );
            }
        }
        if through {
            self.0.clear();
        }
        self.0.push((books, through));
    }
}

impl Books {
    /// What this ledger has of a line.
    pub(super) fn counted(&self, id: u32) -> u32 {
        self.cells.get(&id).unwrap_or(&0) + self.rejects.get(&id).unwrap_or(&0)
    }

    /// K2: positions, cells and totals tell the same.
    pub(super) fn check(&self) {
        let settled: u64 =
            self.generations.iter().map(|(id, record)| record.seen.settled_offset - self.from[id]).sum();
        let cells: u64 = self.cells.values().map(|count| u64::from(*count)).sum();
        let rejects: u64 =
            self.rejects.values().map(|count| u64::from(*count)).sum::<u64>() + self.rejected_unknown;
        let totals = &self.totals;
        let rejected: u64 = totals.rejected.values().sum();
        if (settled, cells, rejects) != (totals.bytes_settled, totals.lines_stored, rejected) {
            violated(
                "K2",
                format!("{settled} bytes, {cells} cells, {rejects} rejects; the totals say {totals:?}"),
            );
        }
    }
}

/// The ledger of one life.
#[derive(Debug)]
pub(super) struct ModelLedger {
    sim: Sim,
    now: Books,
    /// A generation was let go since the last commit.
    let_go: bool,
    dirty: bool,
}

impl ModelLedger {
    pub(super) fn open(sim: &Sim) -> Self {
        let now = sim.world().kept.last().clone();
        Self { sim: sim.clone(), now, let_go: false, dirty: false }
    }

    fn record(&mut self, id: GenerationId) -> &mut GenerationRecord {
        self.now.generations.get_mut(&id.0).expect("a generation's id comes from this ledger")
    }

    fn unavailable(&self) -> Result<(), LedgerError> {
        let mut world = self.sim.world();
        let percent = world.plan.ledger_error_percent;
        if world.chance.percent(percent) && !world.quiet {
            return Err(LedgerError::Unavailable { path: "ledger.db".into(), why: "no space".to_owned() });
        }
        Ok(())
    }

    fn write(&mut self, through: bool) -> Result<u64, LedgerError> {
        self.sim.step(format_args!("commit"));
        self.unavailable()?;
        self.now.commit_number += 1;
        self.now.check();
        self.sim.world().kept.push(self.now.clone(), through);
        (self.let_go, self.dirty) = (false, false);
        self.sim.step(format_args!("committed{}", if through { ", written through" } else { "" }));
        Ok(self.now.commit_number)
    }

    fn count(&mut self, world: &World, segment: &SettledSegment) {
        for request in segment.requests.iter() {
            let text = |(from, length): (u32, u16)| {
                let from = from as usize;
                String::from_utf8_lossy(&segment.bytes[from..from + usize::from(length)]).into_owned()
            };
            let customer = text(request.customer);
            let id = world.oracle.by_path(&text(request.path), &customer);
            let source = &self.now.generations[&segment.generation.0].seen.source;
            if !world.plan.embedded && !world.holds(source, &customer, request.time_nanos, id) {
                violated("K1", format!("line {id} is called settled, and the store does not have it"));
            }
            *self.now.cells.entry(id).or_default() += 1;
        }
        for reject in &segment.rejects {
            *self.now.totals.rejected.entry(reject.reason).or_default() += 1;
            match world.oracle.identify(&reject.line) {
                Some(id) => *self.now.rejects.entry(id).or_default() += 1,
                None => self.now.rejected_unknown += 1,
            }
        }
    }
}

impl LedgerPort for ModelLedger {
    fn generations(&self, source: &str) -> Result<Vec<GenerationRecord>, LedgerError> {
        Ok(self.now.generations.values().filter(|record| record.seen.source == source).cloned().collect())
    }

    fn add_generation(&mut self, generation: &NewGeneration) -> Result<GenerationId, LedgerError> {
        let id = self.now.generations.last_key_value().map_or(1, |(id, _)| id + 1);
        let record = GenerationRecord {
            id: GenerationId(id),
            seen: generation.clone(),
            head: None,
            start: None,
            tail_marker: 0,
            tail_marker_length: 0,
            size_bytes: generation.settled_offset,
        };
        self.now.from.insert(id, generation.settled_offset);
        self.now.generations.insert(id, record);
        self.dirty = true;
        Ok(GenerationId(id))
    }

    fn note_start(&mut self, id: GenerationId, head: &Head, start: KeyStart) {
        let record = self.record(id);
        let set = record.head.get_or_insert_with(|| head.clone()) == head
            && *record.start.get_or_insert(start) == start;
        assert!(set, "X1: generation {} would change its place in the keys", id.0);
        self.dirty = true;
    }

    fn make_durable(&mut self) -> Result<(), LedgerError> {
        self.write(true).map(|_| ())
    }

    fn update_generation(
        &mut self,
        id: GenerationId,
        path: &Path,
        device_inode: (u64, u64),
        size_bytes: u64,
        state: GenerationState,
    ) -> Result<(), LedgerError> {
        let record = self.record(id);
        let let_go = record.seen.state != GenerationState::Finished && state == GenerationState::Finished;
        record.seen.path = path.to_path_buf();
        (record.seen.device, record.seen.inode) = device_inode;
        record.seen.state = state;
        record.size_bytes = record.size_bytes.max(size_bytes);
        self.let_go |= let_go;
        self.dirty = true;
        Ok(())
    }

    fn note_beginning(&mut self, id: GenerationId, (hash, length): (u64, u64)) {
        let record = self.record(id);
        if record.seen.settled_offset == 0 {
            (record.tail_marker, record.tail_marker_length) = (hash, length);
        }
        self.dirty = true;
    }

    fn add_lost_bytes(&mut self, source: &str, reason: &str, bytes: u64) -> Result<(), LedgerError> {
        *self.now.totals.lost_bytes.entry((source.to_owned(), reason.to_owned())).or_default() += bytes;
        self.dirty = true;
        Ok(())
    }

    fn add_skipped_bytes(&mut self, source: &str, bytes: u64) -> Result<(), LedgerError> {
        *self.now.totals.skipped_bytes.entry(source.to_owned()).or_default() += bytes;
        self.dirty = true;
        Ok(())
    }

    fn apply(&mut self, segment: &SettledSegment) -> Result<(), LedgerError> {
        self.unavailable()?;
        let settled = self.record(segment.generation).seen.settled_offset;
        if segment.start_offset != settled || segment.start_offset >= segment.end_offset {
            let (id, start, end) = (segment.generation.0, segment.start_offset, segment.end_offset);
            violated(
                "K1",
                format!("generation {id} is settled up to {settled}, and the segment is {start}..{end}"),
            );
        }
        let unfinished = usize::from(segment.bytes.last().is_some_and(|byte| *byte != b'\n'));
        let lines = whole_lines(&segment.bytes).count() + unfinished;
        if lines != segment.requests.len() + segment.rejects.len() {
            let (stored, rejected) = (segment.requests.len(), segment.rejects.len());
            violated("C1", format!("{lines} lines became {stored} stored and {rejected} rejected"));
        }
        let sim = self.sim.clone();
        self.count(&sim.world(), segment);
        self.now.totals.lines_stored += segment.requests.len() as u64;
        self.now.totals.bytes_settled += segment.end_offset - segment.start_offset;
        let record = self.record(segment.generation);
        record.seen.settled_offset = segment.end_offset;
        record.size_bytes = record.size_bytes.max(segment.end_offset);
        (record.tail_marker, record.tail_marker_length) = segment.tail_marker;
        self.dirty = true;
        Ok(())
    }

    fn commit(&mut self, _as_of_micros: Option<i64>, _now_second: i64) -> Result<u64, LedgerError> {
        self.write(self.let_go)
    }

    fn set_as_of(&mut self, _as_of_micros: i64) -> Result<(), LedgerError> {
        if self.dirty {
            violated("K2", "freshness is told before what it is of was committed");
        }
        Ok(())
    }

    fn set_store_memory(
        &mut self,
        _source: &str,
        _memory: StoreMemory,
        _publish_again: bool,
    ) -> Result<(), LedgerError> {
        Ok(())
    }

    fn clear_published(&mut self, _cells: &PublishedCells) -> Result<(), LedgerError> {
        unreachable!("nobody publishes here")
    }

    fn totals(&self) -> LedgerTotals {
        self.now.totals.clone()
    }

    fn pending(&self) -> Pending {
        Pending::default()
    }

    fn commit_number(&self) -> u64 {
        self.now.commit_number
    }

    fn as_of_micros(&self) -> Option<i64> {
        None
    }
}

/// The clock of the world.
#[derive(Debug)]
pub(super) struct SimTime(pub(super) Sim);

impl Time for SimTime {
    fn now(&self) -> Clock {
        self.0.world().clock()
    }

    fn pause(&self, length: std::time::Duration) {
        self.0.pass(length);
        self.0.step(format_args!("the ledger pauses"));
    }
}
