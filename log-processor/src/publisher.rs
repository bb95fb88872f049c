//! Publishes the ledger's statistics into the store: one thread, one request in flight. It reads the ledger beside the bookkeeper, sends what [`crate::publication`] says is due, and has the bookkeeper
//! take the marks of what was cleanly answered. It holds no line and nobody waits for it, so delivery is never delayed; its memory is one piece (`PIECE`).

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Sender, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use chrono::Utc;
use store::embedded::{
    Cursor, LedgerError, LedgerState, PieceLimit, Scope, Selection, Unpublished, UnpublishedCells,
};
use store::{RequestStore, Trouble};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::account::Account;
use crate::counters::Counters;
use crate::health::{Concern, Severity, StoreWay};
use crate::last_words::{Endings, GivenUp, LastWords};
use crate::ownership::Heartbeat;
use crate::patience::tell;
use crate::publication::{Pace, Published, first_published_second};
use crate::retry::Backoff;
use crate::to_ledger::Durable;
use crate::to_ledger::ToLedger;

/// What one request holds. In line protocol, with names and numbers, it stays below the megabyte that a proxy may take.
const PIECE: PieceLimit = PieceLimit { bytes: 128 << 10, cells: 1000 };
/// The store rests for as long as it took a piece; while lines are on their way to it, for that many times as long: they go first.
const REST_WHILE_BUSY: u32 = 5;
/// How often the store is asked for how long it keeps its points.
const KEEPS_EVERY: Duration = Duration::from_secs(600);
/// How often it is looked whether anything is new, if nobody says so.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// So far the waiting cells are counted.
pub(crate) const WAITING_MAX: u32 = 1_000_000;

/// The room.
#[derive(Debug)]
pub struct Publisher<S> {
    /// Store, readiness, what was judged of the sources and what is durable: what is published is told by it.
    pub heartbeat: Heartbeat<S>,
    /// Whether lines are on their way.
    pub account: Arc<Account>,
    /// Metrics.
    pub counters: Arc<Counters>,
    /// Where it tells what is published.
    pub published: watch::Sender<Published>,
    /// The bookkeeper.
    pub to_ledger: Sender<ToLedger>,
    /// Where the ledger lies.
    pub state_dir: PathBuf,
    /// What ends it.
    pub endings: Endings,
}

/// Why a round was not finished.
#[derive(Debug)]
enum Stopped {
    /// The store did not take it, or nobody knows.
    Trouble(Trouble),
    /// Patience or time is over.
    GivenUp,
    /// The ledger cannot be read.
    Ledger(LedgerError),
}

impl From<GivenUp> for Stopped {
    fn from(_: GivenUp) -> Self {
        Stopped::GivenUp
    }
}

impl From<LedgerError> for Stopped {
    fn from(error: LedgerError) -> Self {
        Stopped::Ledger(error)
    }
}

impl<S: RequestStore> Publisher<S> {
    /// Publishes until everything is settled and published; whether nothing is left. Blocks: it has a thread of its own.
    pub fn run(self, runtime: &Handle) -> bool {
        match self.begins(runtime).and_then(|begins| if begins { self.rounds(runtime) } else { Ok(()) }) {
            Ok(()) => true,
            Err(Stopped::Ledger(error)) => {
                self.heartbeat.health.raise(Concern::Statistics, Severity::NeedsAction, &error.to_string());
                false
            }
            Err(Stopped::GivenUp | Stopped::Trouble(_)) => {
                self.tell_what_is_left();
                false
            }
        }
    }

    /// For whoever wonders why answers take longer while no processor runs.
    fn tell_what_is_left(&self) {
        let waiting =
            Unpublished::open(&self.state_dir).and_then(|unpublished| unpublished.waiting(WAITING_MAX));
        if let Some(cells) = waiting.ok().filter(|cells| *cells > 0) {
            tracing::warn!(
                cells,
                "not all statistics were published before the stop; the next start does it, until then answers are made from single requests"
            );
        }
    }

    /// Waits until the sources are ours; false when nothing is left to be done before that.
    fn begins(&self, runtime: &Handle) -> Result<bool, Stopped> {
        let Endings { cleared, settled, stop, leaves_nothing, .. } = &self.endings;
        let cleared_first = |ends: CancellationToken| async move {
            tokio::select! { biased; () = cleared.cancelled() => true, () = ends.cancelled() => false }
        };
        if runtime.block_on(cleared_first(settled.clone())) {
            return Ok(true);
        }
        // Nothing had to be read, so nobody waits for the store; but statistics may wait from before.
        if !leaves_nothing || Unpublished::open(&self.state_dir)?.waiting(1)? == 0 {
            return Ok(false);
        }
        if runtime.block_on(cleared_first(stop.clone())) { Ok(true) } else { Err(Stopped::GivenUp) }
    }

    fn rounds(&self, runtime: &Handle) -> Result<(), Stopped> {
        // What the store is known to have forgotten is marked before anything is called complete.
        self.ask(|reply| ToLedger::Commit { reply })?;
        let unpublished = Unpublished::open(&self.state_dir)?;
        let mut pace = Pace::default();
        if unpublished.waiting(1)? > 0 {
            // A processor may have died while some of it was on its way.
            pace.unclear(Duration::ZERO);
        }
        let rounds = Rounds {
            publisher: self,
            runtime,
            unpublished,
            begun: Instant::now(),
            pace,
            older: None,
            limit: PIECE,
            selection: Selection::default(),
            keeps_asked: None,
            said_too_large: false,
            incomplete_before: self.heartbeat.statements.days_from_second(),
            backoff: Backoff::default(),
            last_words: LastWords::of(self.endings.clone()),
        };
        rounds.run()
    }

    /// Asks the bookkeeper, who outlives this room, and waits for the answer.
    fn ask<V>(&self, message: impl FnOnce(SyncSender<V>) -> ToLedger) -> Result<V, Stopped> {
        let (reply, answer) = sync_channel(1);
        self.to_ledger.send(message(reply)).map_err(|_| Stopped::GivenUp)?;
        answer.recv().map_err(|_| Stopped::GivenUp)
    }
}

/// The room at work.
struct Rounds<'a, S> {
    publisher: &'a Publisher<S>,
    runtime: &'a Handle,
    unpublished: Unpublished,
    /// Instants are uptimes since then.
    begun: Instant,
    pace: Pace,
    /// The place up to which older windows were published, while they are.
    older: Option<Cursor>,
    /// Halved when the store takes no such body.
    limit: PieceLimit,
    selection: Selection,
    keeps_asked: Option<Duration>,
    said_too_large: bool,
    /// Days before this second lack what came when the store did not take them any more.
    incomplete_before: i64,
    backoff: Backoff,
    last_words: LastWords,
}

impl<S: RequestStore> Rounds<'_, S> {
    fn now(&self) -> Duration {
        self.begun.elapsed()
    }

    fn run(mut self) -> Result<(), Stopped> {
        let health = Arc::clone(&self.publisher.heartbeat.health);
        let way = health.store_way(Concern::Statistics);
        loop {
            if self.last_words.begin() {
                self.publisher.ask(|reply| ToLedger::Commit { reply })?;
                // A round that was interrupted goes on behind what has changed since: the last one begins anew.
                self.older = None;
            }
            let is_last = self.last_words.have_begun();
            // A store that was wiped gets nothing until somebody has decided what to do.
            if health.has(Concern::Wiped) {
                self.rest(Duration::from_secs(1))?;
                continue;
            }
            let state = self.unpublished.state()?;
            let is_whole = match self.round(&way, is_last) {
                Ok(is_whole) => is_whole,
                Err(Stopped::Trouble(Trouble::TooLarge { .. })) if self.limit.cells > 1 => {
                    self.limit = PieceLimit { bytes: self.limit.bytes / 2, cells: self.limit.cells / 2 };
                    self.older = None;
                    continue;
                }
                Err(Stopped::Trouble(trouble)) => {
                    self.pace.unclear(self.now());
                    self.older = None;
                    self.tell(None)?;
                    let pause = tell(&way, &mut self.backoff, &trouble);
                    self.rest(pause)?;
                    continue;
                }
                Err(stopped) => return Err(stopped),
            };
            self.backoff = Backoff::default();
            let is_through = self.unpublished.is_published_through(state.commit)?;
            self.tell(is_through.then_some(state))?;
            // Whoever could change anything has ended before the last round began.
            if is_last && is_whole {
                return Ok(());
            }
            self.wait(is_through)?;
        }
    }

    /// Publishes what is due. Whether that was everything, and the store's last word on it.
    fn round(&mut self, way: &StoreWay<'_>, is_last: bool) -> Result<bool, Stopped> {
        self.look_what_is_kept()?;
        (self.selection.sent, self.selection.dropped) =
            self.publisher.heartbeat.statements.published_and_not();
        let now_second = Utc::now().timestamp();
        let begun = self.now();
        self.pace.begin_current(begun);
        let mut after = None;
        loop {
            let piece =
                self.unpublished.read(Scope::Current(now_second), after, &self.selection, self.limit)?;
            after = piece.next;
            self.send(piece, way, is_last)?;
            if after.is_none() {
                break;
            }
        }
        let is_due = self.now() >= self.pace.older_due() || is_last && self.pace.is_clean(self.now());
        if !is_due {
            return Ok(false);
        }
        if self.pace.begin_older(self.now()) {
            self.older = None;
        }
        let mut anything = false;
        loop {
            let piece =
                self.unpublished.read(Scope::Older(now_second), self.older, &self.selection, self.limit)?;
            self.older = piece.next;
            let bytes = self.send(piece, way, is_last)?;
            anything |= bytes > 0;
            if self.older.is_none() {
                self.pace.end_older(anything);
                return Ok(self.pace.is_clean(begun));
            }
            // The budget is used up, or windows that are going on have their turn.
            if !self.pace.sent_older(bytes) || !is_last && self.now() >= self.pace.current_due() {
                return Ok(false);
            }
        }
    }

    /// Sends a piece; after a clean answer its marks are taken, and the store has rest. Returns the bytes of its blobs.
    fn send(&mut self, piece: UnpublishedCells, way: &StoreWay<'_>, is_last: bool) -> Result<usize, Stopped> {
        if piece.too_large > 0 && !std::mem::replace(&mut self.said_too_large, true) {
            tracing::error!(
                cells = piece.too_large,
                "statistics of windows with too many different latencies for the store wait; as_of stays behind"
            );
        }
        for source in &piece.unjudged {
            let heartbeat = &self.publisher.heartbeat;
            self.patiently(heartbeat.judge_late(source))?.map_err(Stopped::Trouble)?;
        }
        self.incomplete_before = self.incomplete_before.max(piece.incomplete_before);
        let bytes = piece.cells.iter().map(|cell| cell.blob.len()).sum();
        let sent = self.now();
        if !piece.cells.is_empty() {
            let attempt = way.attempt(Instant::now());
            let answer = self.patiently(self.publisher.heartbeat.store.publish_statistics(&piece.cells))?;
            drop(attempt);
            answer.map_err(Stopped::Trouble)?;
            way.works(Instant::now());
            self.publisher.counters.statistics_published.inc_by(piece.cells.len() as u64);
        }
        let took = self.now().saturating_sub(sent);
        if self.pace.is_clean(sent) && !piece.to_clear.is_empty() {
            let cells = piece.to_clear;
            self.publisher.ask(|reply| ToLedger::Published { cells, reply })?;
        }
        if !is_last && bytes > 0 {
            let busy = self.publisher.account.entries().lines_in_flight() > 0;
            self.rest(took * if busy { REST_WHILE_BUSY } else { 1 })?;
        }
        Ok(bytes)
    }

    /// Asks now and then for how long the store keeps its points.
    fn look_what_is_kept(&mut self) -> Result<(), Stopped> {
        if self.keeps_asked.is_some_and(|asked| self.now() < asked + KEEPS_EVERY) {
            return Ok(());
        }
        let keeps = self.patiently(self.publisher.heartbeat.store.keeps_for())?.map_err(Stopped::Trouble)?;
        self.selection.before_second = first_published_second(Utc::now().timestamp(), keeps);
        self.keeps_asked = Some(self.now());
        Ok(())
    }

    /// Tells what is published; `through` if all of a commit is.
    fn tell(&self, through: Option<LedgerState>) -> Result<(), Stopped> {
        let waiting = if through.is_some() { 0 } else { self.unpublished.waiting(WAITING_MAX)? };
        self.publisher.published.send_modify(|published| {
            published.through = through.or(published.through);
            published.from_second = self.incomplete_before;
            published.waiting = waiting;
        });
        Ok(())
    }

    /// Waits until the next round: for the pace, and while nothing waits, for something new.
    fn wait(&self, is_through: bool) -> Result<(), Stopped> {
        let mut durable = self.publisher.heartbeat.durable.clone();
        durable.mark_unchanged();
        let commit = self.publisher.published.borrow().through.map(|through| through.commit);
        self.idly(async {
            // The as_of of a silent log moves without a commit: nothing to publish.
            let is_new = |durable: &Durable| !is_through || Some(durable.commit) != commit;
            tokio::select! {
                _ = durable.wait_for(is_new) => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            tokio::time::sleep(self.pace.current_due().saturating_sub(self.now())).await;
        })
    }

    fn rest(&self, length: Duration) -> Result<(), Stopped> {
        self.idly(tokio::time::sleep(length))
    }

    /// Waits between two rounds.
    fn idly(&self, something: impl Future<Output = ()>) -> Result<(), Stopped> {
        Ok(self.runtime.block_on(self.last_words.idly(something))?)
    }

    /// Waits for something as long as there is patience.
    fn patiently<V>(&self, something: impl Future<Output = V>) -> Result<V, Stopped> {
        Ok(self.runtime.block_on(self.last_words.patiently(something))?)
    }
}
