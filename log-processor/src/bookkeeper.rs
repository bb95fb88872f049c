//! The bookkeeper: the one thread that owns the ledger. It moves the frontier, applies what it passes in file order, and commits. Everything that becomes durable goes
//! through here, so position and statistics can never disagree (K2).

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::Duration;

use store::embedded::{BatchRequests, GenerationId, GenerationState, LedgerError};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::account::Account;
use crate::counters::Counters;
use crate::frontier::Frontier;
use crate::health::{Concern, Health, Severity};
use crate::ledger_port::{LedgerPort, RealTime, Time};
use crate::lines::Settled;
use crate::mutation::{Mutation, mutated};
use crate::statements::Statements;
use crate::to_ledger::{Durable, Lost, ToLedger, answer};
use crate::trail::Trail;

/// What may wait in memory for a commit, whatever the last one cost.
pub(crate) const COMMIT_BYTES: usize = 8 << 20;
/// The longest that applied lines wait for their commit while lines keep coming.
const COMMIT_AGE: Duration = Duration::from_millis(500);
/// The ledger's thread spends at most a fifth of its time on commits while lines keep coming: a commit rests for that many times what the last one took.
const COMMIT_REST: u32 = 4;
/// A silent ledger is committed that often all the same, since what has become too old is dropped with a commit.
const COMMIT_SILENT: Duration = Duration::from_secs(300);
/// How long the ledger rests after it could not be written.
const LEDGER_PAUSE: Duration = Duration::from_millis(500);
/// How often the freshness of a silent log is noted.
const AS_OF_EVERY: Duration = Duration::from_millis(900);

/// How the bookkeeper ended.
#[derive(Debug)]
pub enum Ended {
    /// Everything it was given is durable.
    Saved,
    /// The ledger could not be written until the stop's deadline, or it is damaged.
    Unsaved,
}

/// What the bookkeeper shares with others.
#[derive(Debug)]
pub struct Surroundings {
    /// The account of lines.
    pub account: Arc<Account>,
    /// Readiness.
    pub health: Arc<Health>,
    /// Metrics.
    pub counters: Arc<Counters>,
    /// Settled and durable marks, for `status`.
    pub settled: Arc<std::sync::Mutex<HashMap<GenerationId, u64>>>,
    /// Where durability is told.
    pub durable: watch::Sender<Durable>,
    /// What the store has confirmed: made durable here.
    pub statements: Arc<Statements>,
    /// Ends all patience.
    pub give_up: CancellationToken,
}

/// A generation that is finished once everything of it has settled.
#[derive(Debug)]
struct Finishing {
    end: u64,
    path: PathBuf,
    device_inode: (u64, u64),
    lost: Option<Lost>,
}

/// The bookkeeper.
#[derive(Debug)]
pub struct Bookkeeper<L, T> {
    ledger: L,
    time: T,
    frontier: Frontier,
    surroundings: Surroundings,
    finishing: HashMap<GenerationId, Finishing>,
    seen: HashMap<GenerationId, (PathBuf, (u64, u64))>,
    /// Marks that moved since the last commit: told once they are durable.
    moved: HashMap<GenerationId, u64>,
    /// What is remembered of what has settled.
    trails: HashMap<GenerationId, Trail>,
    /// The oldest look whose places have not all settled: when, and up to where each generation was handed on.
    look: Option<(i64, HashMap<GenerationId, u64>)>,
    /// All later looks together.
    next_look: Option<(i64, HashMap<GenerationId, u64>)>,
    as_of_micros: Option<i64>,
    /// Instants are uptimes of `time`.
    as_of_noted: Duration,
    dirty: bool,
    last_commit: Duration,
    last_commit_took: Duration,
}

impl<L: LedgerPort> Bookkeeper<L, RealTime> {
    /// A bookkeeper with the machine's own clock.
    pub fn real(ledger: L, surroundings: Surroundings) -> Self {
        Self::new(ledger, RealTime::default(), surroundings)
    }
}

impl<L: LedgerPort, T: Time> Bookkeeper<L, T> {
    /// A bookkeeper for an open ledger.
    pub fn new(ledger: L, time: T, surroundings: Surroundings) -> Self {
        let now = time.now().uptime;
        let as_of_micros = ledger.as_of_micros();
        Self {
            ledger,
            time,
            frontier: Frontier::default(),
            surroundings,
            finishing: HashMap::new(),
            seen: HashMap::new(),
            moved: HashMap::new(),
            trails: HashMap::new(),
            look: None,
            next_look: None,
            as_of_micros,
            as_of_noted: now,
            dirty: false,
            last_commit: now,
            last_commit_took: Duration::ZERO,
        }
    }

    /// Works until everyone who could tell it something is gone, then commits the rest.
    pub fn run(mut self, messages: &Receiver<ToLedger>) -> Ended {
        match self.work(messages).and_then(|()| self.commit()).and_then(|()| self.save_as_of()) {
            Ok(()) => Ended::Saved,
            Err(error) => {
                self.surroundings.health.raise(Concern::Ledger, Severity::NeedsAction, &error.to_string());
                Ended::Unsaved
            }
        }
    }

    fn work(&mut self, messages: &Receiver<ToLedger>) -> Result<(), LedgerError> {
        loop {
            let message = match messages.try_recv() {
                Ok(message) => message,
                Err(TryRecvError::Disconnected) => return Ok(()),
                Err(TryRecvError::Empty) => {
                    // Nobody waits: few lines become visible at once. A costly commit pays itself back in quiet time first.
                    let due = self
                        .dirty
                        .then(|| self.last_commit + (self.last_commit_took * COMMIT_REST).min(COMMIT_AGE));
                    match due.map(|due| due.saturating_sub(self.time.now().uptime)) {
                        Some(Duration::ZERO) => {
                            self.commit()?;
                            continue;
                        }
                        wait => match messages.recv_timeout(wait.unwrap_or(Duration::from_secs(3600))) {
                            Ok(message) => message,
                            Err(RecvTimeoutError::Timeout) => continue,
                            Err(RecvTimeoutError::Disconnected) => return Ok(()),
                        },
                    }
                }
            };
            self.take(message)?;
            let since = self.since(self.last_commit);
            let rested = since >= COMMIT_AGE.max(self.last_commit_took * COMMIT_REST);
            if self.dirty && (rested || self.ledger.pending().bytes >= COMMIT_BYTES) {
                self.commit()?;
            }
        }
    }

    /// Does what one message says.
    pub(crate) fn take(&mut self, message: ToLedger) -> Result<(), LedgerError> {
        match message {
            ToLedger::Settled(pieces) => return self.settle(pieces),
            ToLedger::Begin { generation, known, reply } => {
                let settled = generation.settled_offset;
                let id = match known {
                    Some(id) => id,
                    None => {
                        self.dirty = true;
                        self.persist(|ledger| ledger.add_generation(&generation))?
                    }
                };
                self.finishing.remove(&id);
                self.seen.insert(id, (generation.path, (generation.device, generation.inode)));
                if generation.state == GenerationState::Open && self.frontier.settled(id).is_none() {
                    self.frontier.begin(id, settled);
                    self.tell_mark(id, settled);
                }
                answer(&reply, id);
            }
            ToLedger::Known { source, reply } => {
                let known = self.persist(|ledger| ledger.generations(&source))?;
                // One that is not found again is finished under the name and number that it had.
                for record in &known {
                    let seen = (record.seen.path.clone(), (record.seen.device, record.seen.inode));
                    self.seen.entry(record.id).or_insert(seen);
                }
                answer(&reply, known);
            }
            ToLedger::Start { id, head, start } => {
                self.ledger.note_start(id, &head, start);
                self.dirty = true;
            }
            ToLedger::Durable { reply } => {
                self.persist(L::make_durable)?;
                self.tell_settled();
                answer(&reply, ());
            }
            ToLedger::Commit { reply } => {
                self.commit().and_then(|()| self.save_confirmed())?;
                answer(&reply, ());
            }
            ToLedger::Published { cells, reply } => {
                self.persist(|ledger| ledger.clear_published(&cells))?;
                answer(&reply, ());
            }
            ToLedger::Seen { id, path, device_inode, size_bytes } => {
                self.seen.insert(id, (path.clone(), device_inode));
                self.persist(|ledger| {
                    ledger.update_generation(id, &path, device_inode, size_bytes, GenerationState::Open)
                })?;
                self.dirty = true;
            }
            ToLedger::Beginning { id, beginning } => {
                self.ledger.note_beginning(id, beginning);
                self.dirty = true;
            }
            ToLedger::Finish { id, end, lost } => {
                let (path, device_inode) = self.seen.get(&id).cloned().unwrap_or_default();
                self.finishing.insert(id, Finishing { end, path, device_inode, lost });
                self.finish_settled()?;
            }
            ToLedger::Skipped { source, bytes } => {
                self.persist(|ledger| ledger.add_skipped_bytes(&source, bytes))?;
                self.dirty = true;
            }
            ToLedger::Look { as_of_micros, moved } => {
                self.dirty |= self.since(self.last_commit) >= COMMIT_SILENT;
                let look = if self.look.is_none() { &mut self.look } else { &mut self.next_look };
                let look = look.get_or_insert_default();
                look.0 = as_of_micros;
                look.1.extend(moved);
            }
        }
        self.note_look()
    }

    fn settle(&mut self, pieces: Vec<Settled>) -> Result<(), LedgerError> {
        let mut passed = Vec::new();
        for piece in pieces {
            self.frontier.settle(piece, |piece| passed.push(piece));
        }
        for mut piece in passed {
            let wraps = self.trails.entry(piece.span.generation).or_default().pass(&mut piece.segment);
            self.surroundings.counters.key_wraps.inc_by(wraps);
            if mutated(Mutation::PositionWithoutCells) {
                piece.segment.requests = BatchRequests::default();
            }
            if mutated(Mutation::CellsTwice) {
                piece.segment.requests = piece.segment.requests.repeat(2).into();
            }
            self.dirty = true;
            self.persist(|ledger| ledger.apply(&piece.segment))?;
            self.moved.insert(piece.span.generation, piece.span.end);
        }
        self.finish_settled()?;
        self.note_look()
    }

    /// What was committed is told: nobody ever hears of a line that a crash could take back.
    fn tell_settled(&mut self) {
        for (id, settled) in std::mem::take(&mut self.moved) {
            self.tell_mark(id, settled);
        }
        self.surroundings.account.settled(self.ledger.totals());
    }

    fn tell_mark(&self, id: GenerationId, settled: u64) {
        let mut marks = self.surroundings.settled.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        marks.insert(id, settled);
    }

    /// Generations that were read to their end are finished once the frontier has arrived there.
    fn finish_settled(&mut self) -> Result<(), LedgerError> {
        let done: Vec<GenerationId> = self
            .finishing
            .iter()
            .filter(|(id, finishing)| {
                self.frontier.settled(**id).is_none_or(|settled| settled >= finishing.end)
            })
            .map(|(id, _)| *id)
            .collect();
        for id in done {
            let Finishing { end, path, device_inode, lost } =
                self.finishing.remove(&id).expect("it was just seen there");
            self.persist(|ledger| {
                ledger.update_generation(id, &path, device_inode, end, GenerationState::Finished)
            })?;
            // With the state, or a crash in between would count it again.
            if let Some(Lost { source, reason, bytes }) = lost {
                self.persist(|ledger| ledger.add_lost_bytes(&source, reason, bytes))?;
            }
            self.frontier.forget(id);
            self.trails.remove(&id);
            self.dirty = true;
        }
        Ok(())
    }

    /// The oldest look whose every place has settled says how fresh the data is.
    fn note_look(&mut self) -> Result<(), LedgerError> {
        while let Some((as_of, marks)) = &self.look {
            let settled = |(id, place): (&GenerationId, &u64)| {
                self.frontier.settled(*id).is_none_or(|settled| settled >= *place)
            };
            if !marks.iter().all(settled) {
                break;
            }
            self.as_of_micros = Some(*as_of);
            self.look = self.next_look.take();
        }
        if !self.dirty && self.since(self.as_of_noted) >= AS_OF_EVERY { self.save_as_of() } else { Ok(()) }
    }

    /// Makes durable and tells how fresh the data is.
    fn save_as_of(&mut self) -> Result<(), LedgerError> {
        if let Some(as_of) = self.as_of_micros {
            self.as_of_noted = self.time.now().uptime;
            self.persist(|ledger| ledger.set_as_of(as_of))?;
            self.tell();
        }
        self.save_confirmed()
    }

    /// Makes durable what was applied, if there is any.
    pub(crate) fn commit(&mut self) -> Result<(), LedgerError> {
        if !self.dirty {
            return Ok(());
        }
        let begun = self.time.now();
        let as_of = self.as_of_micros;
        let now_second = begun.wall_nanos.div_euclid(1_000_000_000);
        self.persist(|ledger| ledger.commit(as_of, now_second))?;
        self.tell_settled();
        self.dirty = false;
        self.last_commit = self.time.now().uptime;
        self.last_commit_took = self.since(begun.uptime);
        self.as_of_noted = self.last_commit;
        self.surroundings.counters.commit_seconds.observe(self.last_commit_took.as_secs_f64());
        self.tell();
        self.save_confirmed()
    }

    /// What the store has confirmed since the last time.
    fn save_confirmed(&mut self) -> Result<(), LedgerError> {
        for (source, memory, publish_again) in self.surroundings.statements.take_unsaved() {
            self.persist(|ledger| ledger.set_store_memory(&source, memory, publish_again))?;
        }
        Ok(())
    }

    fn since(&self, uptime: Duration) -> Duration {
        self.time.now().uptime.saturating_sub(uptime)
    }

    fn tell(&self) {
        let now_micros = self.time.now().wall_nanos / 1000;
        let durable = Durable::now(self.ledger.commit_number(), self.as_of_micros, now_micros);
        self.surroundings.durable.send_replace(durable);
    }

    /// Does something with the ledger; while it cannot be written (a full disk), tries again until the stop's deadline. Everything waits meanwhile, so nothing is lost.
    fn persist<V>(
        &mut self,
        mut act: impl FnMut(&mut L) -> Result<V, LedgerError>,
    ) -> Result<V, LedgerError> {
        loop {
            match act(&mut self.ledger) {
                Ok(value) => {
                    self.surroundings.health.clear(Concern::Ledger);
                    return Ok(value);
                }
                Err(error @ LedgerError::Unavailable { .. }) if !self.surroundings.give_up.is_cancelled() => {
                    self.surroundings.health.raise(
                        Concern::Ledger,
                        Severity::NeedsAction,
                        &error.to_string(),
                    );
                    self.time.pause(LEDGER_PAUSE);
                }
                Err(error) => return Err(error),
            }
        }
    }
}
