//! Tail: looks at the followed files and hands on whole lines with their place, in order, within the memory budget. One thread of its own, since it blocks on files.
//!
//! A look: see which files there are (`log`), read each open generation to its end in turns (so that a flooded file does not starve the others), and then say that
//! everything readable at the beginning of the look was handed on.

pub mod books;
pub mod identity;
pub mod known;
pub mod log;
pub mod siblings;
pub mod splitter;
pub mod starts;

use std::io;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::Utc;
use logline::{LineParser, Zone};
use store::RequestStore;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use crate::account::Account;
use crate::health::{Concern, Health, Severity};
use crate::lines::{Lines, count_lines};
use crate::report::FileReport;
use crate::sources::Sources;
use crate::span::Span;
use crate::wake::Wake;
use books::Ended;
use identity::{Opening, marker_of};
use known::Known;
use log::{Interrupted, Log, Surroundings};
use splitter::Piece;
use starts::Starts;

/// One read. Large enough that the system call is cheap beside its work, small enough that turns are short.
const BLOCK_BYTES: usize = 256 << 10;
/// A look at least that often, whatever notify says (T2).
pub const LOOK_EVERY: Duration = Duration::from_secs(1);
/// While a rotation or a silent last line is awaited in a run that drains and ends.
const DRAIN_LOOK_EVERY: Duration = Duration::from_millis(100);

/// When tail ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// With the program.
    Follow,
    /// At the end of the files; `take_last` takes an unfinished last line too.
    Drain {
        /// `--final`
        take_last: bool,
    },
}

/// How tail ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Drained {
    /// Unfinished last lines that were left where they are: path, place and length in bytes.
    pub unfinished: Vec<(std::path::PathBuf, u64, u64)>,
    /// Followed paths where there was no file.
    pub missing: Vec<std::path::PathBuf>,
}

/// Tail.
#[derive(Debug)]
pub struct Tail<S> {
    /// Which paths are followed.
    pub sources: Sources,
    /// Hints to look.
    pub wake: Wake,
    /// Decides starts.
    pub starts: Starts<S>,
    /// What logs need.
    pub with: Surroundings,
    /// Where lines go.
    pub lines: mpsc::Sender<Lines>,
    /// Bytes of lines that may be on their way.
    pub budget: Arc<Semaphore>,
    /// All of it, for the one piece that is larger.
    pub budget_bytes: usize,
    /// The account of lines.
    pub account: Arc<Account>,
    /// Readiness.
    pub health: Arc<Health>,
    /// What is told of the files.
    pub files: Arc<Mutex<Vec<FileReport>>>,
    /// Ends reading.
    pub stop: CancellationToken,
    /// Given when lines may be handed on: the store was reached and the sources are ours.
    pub cleared: CancellationToken,
    /// Whether the followed paths were looked up before: those found later were not there at the start.
    pub found_once: bool,
    /// Where waiting happens.
    pub runtime: Handle,
    /// When to end.
    pub mode: Mode,
}

impl<S: RequestStore> Tail<S> {
    /// Works until the program stops, or the files are drained.
    pub fn run(mut self) -> Drained {
        let mut logs = Vec::new();
        let mut block = vec![0; BLOCK_BYTES];
        let mut hinted = true;
        let drained = loop {
            match self.look(&mut logs, &mut block, hinted) {
                Err(Ended) => break Drained::default(),
                Ok(rest) => {
                    if let (Mode::Drain { take_last }, true) = (self.mode, rest) {
                        match self.end(&mut logs, take_last) {
                            Ok(drained) => break drained,
                            Err(Ended) => break Drained::default(),
                        }
                    }
                }
            }
            let longest = if self.mode == Mode::Follow { LOOK_EVERY } else { DRAIN_LOOK_EVERY };
            hinted = self.wake.wait(longest);
            if self.stop.is_cancelled() {
                break Drained::default();
            }
        };
        // A generation may have grown since it was last written down; the ledger remembers how far, to know a loss when its file is gone at the next start.
        for open in logs.iter().flat_map(|log: &Log| &log.open) {
            let seen = self.with.books.seen(open.generation.id, open.path.clone(), open.file_id, open.size);
            if seen == Err(Ended) {
                break; // The bookkeeper has ended and has said why.
            }
        }
        drained
    }

    /// One look at all logs. True when everything that was there is handed on and nothing is awaited.
    fn look(&mut self, logs: &mut Vec<Log>, block: &mut [u8], hinted: bool) -> Result<bool, Ended> {
        self.with.counters.looks.inc();
        let as_of_micros = Utc::now().timestamp_micros();
        self.find_logs(logs)?;
        let mut trouble = None;
        let mut grown = false;
        for log in logs.iter_mut() {
            match log.look(&self.with) {
                Ok(more) => grown |= more,
                Err(Interrupted::Ended) => return Err(Ended),
                Err(Interrupted::Io(path, error)) => trouble = Some((path, error)),
            }
        }
        if grown && !hinted {
            self.with.counters.notify_missed.inc();
        }
        let mut more = true;
        while more {
            more = false;
            for log in logs.iter_mut() {
                match self.turn(log, block) {
                    Ok(unread) => more |= unread,
                    Err(Interrupted::Ended) => return Err(Ended),
                    Err(Interrupted::Io(path, error)) => trouble = Some((path, error)),
                }
            }
        }
        self.report(logs);
        match trouble {
            Some((path, error)) => {
                let why = format!("{}: {error}", path.display());
                self.health.raise(Concern::Log, Severity::NeedsAction, &why);
                Ok(false)
            }
            None => {
                self.health.clear(Concern::Log);
                let marks = logs
                    .iter()
                    .flat_map(|log| &log.open)
                    .map(|open| (open.generation.id, open.splitter.handed_offset()));
                self.with.books.look(as_of_micros, marks.collect())?;
                // Files that were renamed away with an unfinished last line are awaited until they are silent.
                let over = |open: &log::Open| open.active || open.splitter.unfinished_bytes() == 0;
                Ok(logs.iter().all(|log| !log.is_unsettled() && log.open.iter().all(over)))
            }
        }
    }

    /// Paths that are followed and not yet known as logs.
    fn find_logs(&mut self, logs: &mut Vec<Log>) -> Result<(), Ended> {
        let at_start = !std::mem::replace(&mut self.found_once, true);
        for (source, path) in self.sources.paths() {
            self.wake.watch(&path);
            if !logs.iter().any(|log| log.path == path) {
                let known = self.with.books.known(&source)?.iter().map(Known::from_record).collect();
                logs.push(Log::new(source.into(), path, known, at_start));
            }
        }
        Ok(())
    }

    /// Reads one block of each open generation of a log. True when one of them has more.
    fn turn(&mut self, log: &mut Log, block: &mut [u8]) -> Result<bool, Interrupted> {
        let mut more = false;
        let mut pieces = Vec::new();
        for index in 0..log.open.len() {
            let open = &mut log.open[index];
            let read = match open.file.read_at(block, open.splitter.read_offset()) {
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                    more = true;
                    continue;
                }
                Err(error) => return Err(Interrupted::Io(open.path.clone(), error)),
            };
            open.splitter.push(&block[..read], &mut pieces);
            open.remember(&block[..read]);
            open.size = open.size.max(open.splitter.read_offset());
            more |= read == block.len();
            if read == 0 && open.is_over() {
                pieces.extend(open.splitter.finish());
            }
            for piece in pieces.drain(..) {
                self.hand_on(log, index, piece)?;
            }
        }
        log.let_go(&self.with)?;
        Ok(more)
    }

    /// Hands on one piece. Waits while the budget is spent: the file keeps the backlog.
    fn hand_on(&self, log: &mut Log, index: usize, piece: Piece) -> Result<(), Interrupted> {
        self.runtime.block_on(self.stop.run_until_cancelled(self.cleared.cancelled())).ok_or(Ended)?;
        self.ensure_start(log, index, &piece)?;
        let open = &mut log.open[index];
        let count =
            if piece.content == crate::lines::Content::TooLong { 1 } else { count_lines(&piece.bytes) };
        open.marker = if piece.content == crate::lines::Content::TooLong {
            marker_of(b"\n")
        } else {
            marker_of(&piece.bytes)
        };
        let weight =
            u32::try_from(piece.bytes.len().min(self.budget_bytes)).expect("the budget is far below 4 GiB");
        let span = Span::new(open.generation.id, piece.start, piece.end);
        let generation = Arc::clone(&open.generation);
        self.runtime.block_on(async {
            let budget = tokio::select! {
                permit = Arc::clone(&self.budget).acquire_many_owned(weight) => permit.map_err(|_| Ended)?,
                () = self.stop.cancelled() => return Err(Ended),
            };
            let bytes = piece.bytes.len();
            let lines = Lines {
                generation,
                span,
                bytes: piece.bytes,
                content: piece.content,
                count,
                budget: Arc::new(budget),
            };
            self.account.read(count, bytes);
            self.lines.send(lines).await.map_err(|_| Ended)
        })?;
        Ok(())
    }

    /// Decides the generation's start before its first valid line is handed on.
    fn ensure_start(&self, log: &mut Log, index: usize, piece: &Piece) -> Result<(), Interrupted> {
        let open = &log.open[index];
        if open.generation.start.get().is_some() {
            return Ok(());
        }
        let opening = Opening::read(&open.file, self.with.salt)
            .map_err(|error| Interrupted::Io(open.path.clone(), error))?;
        let Some(head) = opening.head().or_else(|| has_valid_line(piece).then(|| opening.whole())) else {
            return Ok(());
        };
        let id = open.generation.id;
        let others: Vec<Known> = log
            .known
            .iter()
            .filter(|known| known.id != id)
            .cloned()
            .map(|known| with_size_now(known, log))
            .collect();
        let start = self.starts.decide(&log.source, &head, &others)?;
        self.with.books.start(id, head.clone(), start)?;
        log.open[index].generation.start.set(start).expect("only tail sets it, and it was not set");
        if let Some(known) = log.known.iter_mut().find(|known| known.id == id) {
            known.head = Some(head);
            known.start = Some(start);
        }
        Ok(())
    }

    /// The files are drained: takes or names what is left of them.
    fn end(&self, logs: &mut [Log], take_last: bool) -> Result<Drained, Ended> {
        let mut drained = Drained::default();
        for log in logs.iter_mut() {
            if log.open.is_empty() {
                drained.missing.push(log.path.clone());
            }
            for index in 0..log.open.len() {
                let open = &mut log.open[index];
                let (path, place, bytes) =
                    (open.path.clone(), open.splitter.handed_offset(), open.splitter.unfinished_bytes());
                if bytes == 0 {
                    continue;
                }
                if !take_last {
                    drained.unfinished.push((path, place, bytes));
                    continue;
                }
                let piece = open.splitter.finish().expect("it has unfinished bytes");
                match self.hand_on(log, index, piece) {
                    Ok(()) => {}
                    Err(Interrupted::Ended) => return Err(Ended),
                    Err(Interrupted::Io(path, error)) => {
                        tracing::error!(file = %path.display(), %error, "the last line could not be read");
                        drained.unfinished.push((path, place, bytes));
                    }
                }
            }
        }
        Ok(drained)
    }

    fn report(&self, logs: &[Log]) {
        let reports = logs.iter().flat_map(|log| {
            let missing = log.open.is_empty().then(|| FileReport {
                path: log.path.clone(),
                source: log.source.to_string(),
                ..FileReport::default()
            });
            let open = log.open.iter().map(|open| FileReport {
                path: open.path.clone(),
                source: log.source.to_string(),
                size: open.size,
                settled_offset: 0,
                generation: Some(open.generation.id),
            });
            missing.into_iter().chain(open)
        });
        *self.files.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = reports.collect();
    }
}

/// A generation with the size that its open file has now: the next one's start lies beyond it.
fn with_size_now(mut known: Known, log: &Log) -> Known {
    if let Some(open) = log.open.iter().find(|open| open.generation.id == known.id) {
        let now = open.file.metadata().map_or(0, |metadata| metadata.len());
        known.size = known.size.max(open.size).max(now);
    }
    known
}

fn has_valid_line(piece: &Piece) -> bool {
    let mut parser = LineParser::new(Zone::Utc);
    piece.bytes.split(|byte| *byte == b'\n').any(|line| parser.parse(line).is_ok())
}
