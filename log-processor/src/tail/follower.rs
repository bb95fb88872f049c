//! The core of tail: which logs are looked at when, and reading them in turns, so that a flooded file does not starve the others. One step after the other, without
//! waiting for anything but the rooms around it; the thread that waits is in `tail`.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use store::embedded::GenerationId;

use super::blocks::Blocks;
use super::disk::FileId;
use super::log::{Interrupted, Log, Surroundings};
use super::look::Look;
use super::open::Got;
use super::ports::{Ended, Handed, Outlet, Watch};
use super::siblings::{Folder, FolderTimes, folder_of};
use super::starts::Starts;
use crate::health::Health;
use crate::mutation::{Mutation, mutated};
use crate::report::FileReports;
use crate::sources::Sources;
use crate::wake::Hints;

/// So few logs are all looked at in every step, whatever the hints say.
const FEW_LOGS: usize = 64;
/// Every log is looked at that often, whatever notify says (T2).
pub const LOOK_EVERY: Duration = Duration::from_secs(1);
/// At most so many silent logs are looked at within [`LOOK_EVERY`]; beyond, the silent ones take turns, and only those that grew lately are looked at every time.
const SILENT_LOGS_A_LOOK: usize = 1000;
/// A log that has not grown for that long is silent.
const SILENT_AFTER: Duration = Duration::from_secs(10);
/// How often folders are read for siblings and new logs although nothing seems to have happened.
const RECONCILE_EVERY: Duration = Duration::from_secs(10);
/// The same where there are many logs, since it costs as much as there are files.
const RECONCILE_MANY_EVERY: Duration = Duration::from_secs(60);

/// The core of tail.
#[derive(Debug)]
pub struct Follower {
    /// Which paths are followed.
    pub sources: Sources,
    /// What logs need.
    pub with: Surroundings,
    /// Decides starts.
    pub starts: Starts,
    /// Where lines go.
    pub outlet: Box<dyn Outlet>,
    /// Who gives hints about paths.
    pub watch: Box<dyn Watch>,
    /// The ledger is empty: START_AT decides about the files that are there.
    pub first_start: bool,
    /// Readiness.
    pub health: Arc<Health>,
    /// What is told of the files.
    pub files: Arc<FileReports>,
    /// What it is doing.
    pub state: State,
}

/// What a follower is doing.
#[derive(Debug, Default)]
pub struct State {
    pub(super) logs: Vec<Log>,
    pub(super) by_path: HashMap<PathBuf, usize>,
    /// Paths that are no logs of their own: another log's file, under a name that does not say so.
    pub(super) others: HashMap<PathBuf, FileId>,
    /// Logs with something to read.
    busy: BTreeSet<usize>,
    /// Logs that could not be read at their last look, and why.
    pub(super) trouble: HashMap<usize, String>,
    /// Logs with files that were renamed away.
    pub(super) rotated: BTreeSet<usize>,
    /// Logs that grew lately, and those whose files were not all known when they were last looked at: of thousands mostly few.
    pub(super) lively: BTreeSet<usize>,
    pub(super) unsettled: BTreeSet<usize>,
    /// Where the silent logs' turn is, and when its round began.
    silent_turn: usize,
    round_began_micros: i64,
    pub(super) looked_at: Option<Duration>,
    reconciled_at: Option<Duration>,
    /// The look that is not handed on to its end.
    pub(super) look: Option<Look>,
    /// Places up to which lines were handed on since the books were told.
    pub(super) moved: HashMap<GenerationId, u64>,
    blocks: Blocks,
    /// Lines that wait until the starts of their generations are durable, and whether there are such starts.
    pub(super) waiting: Vec<Handed>,
    pub(super) waiting_bytes: usize,
    pub(super) undurable: bool,
    /// The folders of the logs.
    pub(super) folder_times: FolderTimes,
}

/// What a step came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// There is more to be read at once.
    pub busy: bool,
    /// Something had grown although no hint had said so; `Some(false)`: what had grown was announced.
    pub unannounced: Option<bool>,
}

impl State {
    /// Reads so many bytes at once.
    #[cfg(test)]
    pub(crate) fn reading(block_bytes: usize) -> Self {
        Self::with_memory(Blocks::of(block_bytes))
    }

    /// Reads into these blocks.
    pub fn with_memory(blocks: Blocks) -> Self {
        Self { blocks, ..Self::default() }
    }
}

impl Follower {
    /// Looks at what is due and reads one block of every open generation that has more.
    pub fn step(&mut self, hints: &Hints) -> Result<Step, Ended> {
        let clock = self.with.disk.clock();
        let due = |last: Option<Duration>, every| {
            last.is_none_or(|last| clock.uptime.saturating_sub(last) >= every)
        };
        let few = self.state.logs.len() <= FEW_LOGS;
        let look_due = due(self.state.looked_at, LOOK_EVERY);
        let reconcile_due =
            due(self.state.reconciled_at, if few { RECONCILE_EVERY } else { RECONCILE_MANY_EVERY });
        if hints.everything || hints.names || reconcile_due || (few && look_due) {
            self.find_logs()?;
        }
        let all = hints.everything || self.state.logs.len() <= FEW_LOGS;
        if all || look_due {
            self.state.looked_at = Some(clock.uptime);
            self.with.counters.looks.inc();
        }
        if all || self.state.silent_turn == 0 {
            self.state.round_began_micros = clock.wall_nanos / 1000;
        }
        let (chosen, round_ended) = if all {
            ((0..self.state.logs.len()).collect(), true)
        } else {
            self.choose(hints, look_due, clock.uptime)
        };
        let unannounced = self.look(&chosen, hints)?;
        if reconcile_due || hints.everything || (few && self.folders_changed(clock)?) {
            self.state.reconciled_at = Some(clock.uptime);
            self.reconcile()?;
        }
        // Files that are not all known may hold anything.
        if round_ended && self.state.unsettled.is_empty() && self.state.look.is_none() {
            self.state.look = Some(self.begin_look(self.state.round_began_micros));
        }
        self.read_round()?;
        self.end_look()?;
        Ok(Step { busy: !self.state.busy.is_empty(), unannounced })
    }

    /// Tells the books how large the open generations are.
    pub fn tell_seen(&self) -> Result<(), Ended> {
        let opens = self.state.logs.iter().flat_map(|log| &log.open);
        for open in opens {
            open.tell_seen(&*self.with.books)?;
        }
        Ok(())
    }

    /// The logs, each with the generations that are open now.
    pub fn logs(&self) -> &[Log] {
        &self.state.logs
    }

    /// Where there are many logs: those that were hinted at, those that grew lately, and some of the silent ones in turn.
    /// True when with these every log has been looked at.
    fn choose(&mut self, hints: &Hints, look_due: bool, uptime: Duration) -> (BTreeSet<usize>, bool) {
        let mut chosen: BTreeSet<usize> =
            hints.paths.iter().filter_map(|path| self.state.by_path.get(path).copied()).collect();
        chosen.extend(self.state.trouble.keys());
        if look_due {
            let logs = &self.state.logs;
            self.state.lively.retain(|index| uptime.saturating_sub(logs[*index].grown_at) < SILENT_AFTER);
            chosen.extend(self.state.lively.iter().chain(&self.state.unsettled));
            let from = self.state.silent_turn;
            let to = (from + SILENT_LOGS_A_LOOK).min(self.state.logs.len());
            chosen.extend(from..to);
            self.state.silent_turn = if to == self.state.logs.len() { 0 } else { to };
        }
        (chosen, look_due && self.state.silent_turn == 0)
    }

    /// Looks at some logs. Says whether something had grown without a hint.
    fn look(&mut self, chosen: &BTreeSet<usize>, hints: &Hints) -> Result<Option<bool>, Ended> {
        let mut unannounced = None;
        let new: Vec<usize> =
            chosen.iter().copied().filter(|index| self.state.logs[*index].is_unsettled()).collect();
        if new.len() > 1 {
            self.for_each_in_its_folder(&new, |log, folder, with| log.first_scan(folder, with))?;
        }
        for &index in chosen {
            let log = &mut self.state.logs[index];
            let was_busy = self.state.busy.contains(&index);
            match log.look(&self.with) {
                Ok(grown) => {
                    self.state.trouble.remove(&index);
                    if grown {
                        self.state.busy.insert(index);
                        self.state.lively.insert(index);
                    }
                    if grown && !was_busy {
                        let hinted = hints.everything || hints.paths.contains(&log.path);
                        unannounced = Some(unannounced.unwrap_or(false) | !hinted);
                    }
                }
                Err(interrupted) => {
                    // One of its files; the others are read on.
                    if log.has_more() {
                        self.state.busy.insert(index);
                        self.state.lively.insert(index);
                    }
                    self.note_trouble(index, interrupted)?;
                }
            }
            self.report(index);
        }
        self.tell_trouble();
        Ok(unannounced)
    }

    /// Lets all logs look through their siblings.
    fn reconcile(&mut self) -> Result<(), Ended> {
        let all: Vec<usize> = (0..self.state.logs.len()).collect();
        self.for_each_in_its_folder(&all, |log, folder, with| log.reconcile(folder, with))?;
        for index in all {
            if self.state.logs[index].has_more() {
                self.state.busy.insert(index);
            }
            self.report(index);
        }
        self.tell_trouble();
        Ok(())
    }

    /// Does something with some logs and their folders, each of which is read once.
    fn for_each_in_its_folder(
        &mut self,
        logs: &[usize],
        act: impl Fn(&mut Log, &Folder, &Surroundings) -> Result<(), Interrupted>,
    ) -> Result<(), Ended> {
        let mut folders: HashMap<PathBuf, Folder> = HashMap::new();
        for &index in logs {
            let path = folder_of(&self.state.logs[index].path).to_owned();
            let folder = match folders.entry(path) {
                Entry::Occupied(read) => read.into_mut(),
                Entry::Vacant(unread) => match Folder::read(&*self.with.disk, unread.key()) {
                    Ok(folder) => unread.insert(folder),
                    Err(error) => {
                        let interrupted = Interrupted::Io(unread.key().clone(), error);
                        self.note_trouble(index, interrupted)?;
                        continue;
                    }
                },
            };
            if let Err(interrupted) = act(&mut self.state.logs[index], folder, &self.with) {
                self.note_trouble(index, interrupted)?;
            }
        }
        Ok(())
    }

    /// Every busy log has a turn.
    fn read_round(&mut self) -> Result<(), Ended> {
        for index in std::mem::take(&mut self.state.busy) {
            match self.turn(index) {
                Ok(true) => {
                    self.state.busy.insert(index);
                }
                Ok(false) => {}
                Err(interrupted) => self.note_trouble(index, interrupted)?,
            }
            self.report(index);
        }
        for index in self.state.rotated.clone() {
            if let Err(interrupted) = self.finish_over(index) {
                self.note_trouble(index, interrupted)?;
            }
            self.report(index);
        }
        self.send()?;
        self.tell_trouble();
        Ok(())
    }

    /// Reads one block of each open generation of a log. True when one of them may have more.
    fn turn(&mut self, index: usize) -> Result<bool, Interrupted> {
        let mut more = false;
        let mut at = 0;
        while at < self.state.logs[index].open.len() {
            let open = &mut self.state.logs[index].open[at];
            let mut block = self.state.blocks.take();
            let got = open.read(&mut block).map_err(|error| Interrupted::Io(open.path.clone(), error));
            let block = self.state.blocks.lend(block);
            let got = match got {
                Ok(got) => got,
                Err(interrupted) => {
                    self.note_trouble(index, interrupted)?;
                    at += 1;
                    continue;
                }
            };
            match got {
                Got::Cut => {
                    self.state.logs[index].truncated(at, &self.with)?;
                    return Ok(true); // The open generations are others now.
                }
                Got::Bytes(range) => {
                    more |= range.end == block.len() || open.gzip;
                    let mut pieces = Vec::new();
                    open.splitter.push_block(&block, range, &mut self.state.blocks, &mut pieces);
                    drop(block);
                    for piece in pieces {
                        if !self.hand_on(index, at, piece)? {
                            return Ok(true);
                        }
                    }
                }
                Got::End if mutated(Mutation::UnfinishedLineAtEnd) => {
                    if let Some(piece) = open.splitter.finish()
                        && !self.hand_on(index, at, piece)?
                    {
                        return Ok(true);
                    }
                }
                Got::End => {}
            }
            at += 1;
        }
        Ok(more)
    }

    /// Whether everything that was there, and could be read, is handed on, and nothing is awaited.
    pub fn is_at_rest(&self) -> bool {
        // Files that were renamed away with an unfinished last line are awaited until they are silent.
        let over = |open: &super::open::Open| open.active || open.splitter.unfinished_bytes() == 0;
        self.state.busy.is_empty()
            && self.state.logs.iter().enumerate().all(|(index, log)| {
                self.state.trouble.contains_key(&index)
                    || !log.is_unsettled() && !log.has_more() && log.open.iter().all(over)
            })
    }
}
