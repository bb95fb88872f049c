//! One followed log: its path, the generations that are open, and what is known of the others. Follows rotations and notices truncation; how a single file is judged is in `meet`.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::disk::{Disk, FileId, FileStat};
use super::known::Known;
use super::meet::Met;
use super::open::{Got, Open};
use super::ports::{Books, Ended};
use super::siblings::{self, Folder, Sibling};
use crate::counters::Counters;
use crate::mutation::{Mutation, mutated};
use crate::settings::StartAt;
use crate::to_ledger::Lost;

/// What a log needs from its surroundings.
#[derive(Debug)]
pub struct Surroundings {
    /// Where the files are, and the clock.
    pub disk: Arc<dyn Disk>,
    /// The bookkeeper.
    pub books: Box<dyn Books>,
    /// Metrics.
    pub counters: Arc<Counters>,
    /// LOG_SALT as a number.
    pub salt: u64,
    /// What to do with files present at the first start.
    pub start_at: StartAt,
}

/// Why a look ended early.
#[derive(Debug)]
pub enum Interrupted {
    /// The program is stopping.
    Ended,
    /// The file system said no; the next look tries again.
    Io(PathBuf, io::Error),
}

impl From<Ended> for Interrupted {
    fn from(_: Ended) -> Self {
        Interrupted::Ended
    }
}

/// A followed log.
#[derive(Debug)]
pub struct Log {
    /// Its source.
    pub source: Arc<str>,
    /// Its path.
    pub path: PathBuf,
    /// Generations whose files are open, oldest first.
    pub open: Vec<Open>,
    /// All generations, oldest first.
    pub known: Vec<Known>,
    /// When it last grew, by the clock's uptime.
    pub grown_at: Duration,
    /// Files that were met and are not to be opened, with what was known of them then: met again only when that has changed.
    pub(super) met: HashMap<FileId, FileStat>,
    /// Nothing is known of it and its files were never listed: what is found now was there at the first start (START_AT).
    first: bool,
    /// The files at the last scan, finished or not.
    pub(super) present: Vec<Sibling>,
    /// The files at the last scan; `None` when it has to be done (again).
    listing: Option<Vec<(PathBuf, FileId)>>,
    missing_said: bool,
}

impl Log {
    /// A log with what the ledger knows of it. `at_start`: it is followed since the program's start, not found later by a glob.
    pub fn new(source: Arc<str>, path: PathBuf, known: Vec<Known>, at_start: bool) -> Self {
        let first = at_start && known.is_empty();
        Self {
            source,
            path,
            open: Vec::new(),
            known,
            grown_at: Duration::ZERO,
            met: HashMap::new(),
            first,
            present: Vec::new(),
            listing: None,
            missing_said: false,
        }
    }

    /// Looks at the path and the open files: follows a rotation, notices truncation and growth. True when something is to be read.
    pub fn look(&mut self, with: &Surroundings) -> Result<bool, Interrupted> {
        let active = with.disk.stat(&self.path).map_err(|error| self.io(error))?;
        let followed = self.open.iter().find(|open| open.active).map(|open| open.stat.id);
        self.say_missing(active.is_none());
        if self.listing.is_none() || active.map(|file| file.id) != followed {
            let scanned = self.scan(with);
            if matches!(scanned, Err(Interrupted::Ended)) {
                return scanned.map(|()| false);
            }
            // What was found before may be old by now. A file that cannot be read keeps nobody from the others.
            let looked = self.look_at_open(None, with);
            return scanned.and(looked);
        }
        self.look_at_open(active, with)
    }

    /// Looks through the siblings although nothing seems to have happened: somebody may have written to a file that was let go, or brought one.
    pub fn reconcile(&mut self, folder: &Folder, with: &Surroundings) -> Result<(), Interrupted> {
        let files = folder.siblings(&*with.disk, &self.path).map_err(|error| self.io(error))?;
        let known = |file: &Sibling| {
            mutated(Mutation::NoLateWrites)
                || self.open.iter().any(|open| open.stat.id == file.stat.id)
                || self.met.get(&file.stat.id) == Some(&file.stat)
        };
        if self.listing.as_ref() != Some(&names_and_files(&files)) || !files.iter().all(known) {
            self.scan(with)?;
        }
        Ok(())
    }

    /// `active`: what was found at the log's path just now.
    fn look_at_open(&mut self, active: Option<FileStat>, with: &Surroundings) -> Result<bool, Interrupted> {
        let clock = with.disk.clock();
        let (mut grown, mut trouble) = (false, None);
        let (mut cut, mut stale) = (Vec::new(), Vec::new());
        for (index, open) in self.open.iter_mut().enumerate() {
            let at_path = active.filter(|file| file.id == open.stat.id);
            match open.look_at(at_path, clock) {
                Ok(Got::Cut) => cut.push(index),
                Ok(Got::Bytes(_)) => grown = true,
                Ok(Got::End) => {}
                Err(error) => {
                    // The server of a network file system has forgotten the open file, not what it holds: it is found again by its content.
                    if error.kind() == io::ErrorKind::StaleNetworkFileHandle {
                        stale.push(index);
                    }
                    trouble = trouble.or_else(|| Some(Interrupted::Io(open.path.clone(), error)));
                }
            }
        }
        if cut.is_empty() {
            stale.into_iter().rev().for_each(|index| self.put_back(index));
        }
        for index in cut.into_iter().rev() {
            self.truncated(index, with)?;
            grown = true;
        }
        if grown {
            self.grown_at = clock.uptime;
        }
        trouble.map_or(Ok(grown), Err)
    }

    fn say_missing(&mut self, missing: bool) {
        if missing && !self.missing_said && self.open.is_empty() {
            tracing::warn!(file = %self.path.display(), source = &*self.source, "no such file (or it is no regular one), waiting for it");
        }
        self.missing_said = missing;
    }

    /// Goes through the files on disk, oldest first, and opens what is to be read. When a rotation keeps changing them, the next look tries again.
    fn scan(&mut self, with: &Surroundings) -> Result<(), Interrupted> {
        self.listing = None;
        match siblings::list(&*with.disk, &self.path).map_err(|error| self.io(error))? {
            Some(files) => self.go_through(&files, with),
            None => Ok(()),
        }
    }

    /// The first scan of one log among many, with a folder that was read for all of them. Only where that is certain to be right: the log has no siblings there, and nothing
    /// is known of it but this file; every other log is scanned by itself, with its folder read until two looks agree.
    pub fn first_scan(&mut self, folder: &Folder, with: &Surroundings) -> Result<(), Interrupted> {
        let files = folder.siblings(&*with.disk, &self.path).map_err(|error| self.io(error))?;
        let of_this_file =
            |known: &Known| known.finished || files.iter().any(|file| file.stat.id == known.file);
        if self.listing.is_none()
            && files.len() <= 1
            && self.open.is_empty()
            && self.known.iter().all(of_this_file)
        {
            self.go_through(&files, with)?;
        }
        Ok(())
    }

    fn go_through(&mut self, files: &[Sibling], with: &Surroundings) -> Result<(), Interrupted> {
        let first = self.first;
        self.present = files.to_vec();
        self.follow_renames(files, with)?;
        let clock = with.disk.clock();
        let (mut again, mut unreadable) = (false, None);
        // Files in which a generation was last seen come first: of a file and its copy, the file goes on.
        let (same, others): (Vec<&Sibling>, Vec<&Sibling>) = files.iter().partition(|sibling| {
            self.known.iter().any(|known| !known.finished && known.file == sibling.stat.id)
        });
        for sibling in same.into_iter().chain(others) {
            if self.open.iter().any(|open| open.stat.id == sibling.stat.id)
                || self.met.get(&sibling.stat.id) == Some(&sibling.stat)
            {
                continue;
            }
            match self.meet(sibling, first, with) {
                // One that cannot be read holds no other up.
                Err(Interrupted::Io(path, error)) => {
                    unreadable = unreadable.or_else(|| Some((sibling.path.clone(), path, error)));
                }
                Err(ended) => return Err(ended),
                Ok(Met::Opened) => {}
                Ok(Met::Judged) => {
                    // One that was changed just now can change again without its times telling.
                    if sibling.gzip || super::open::age(clock, sibling.stat) >= super::open::QUIET {
                        self.met.insert(sibling.stat.id, sibling.stat);
                    }
                }
                Ok(Met::Moved) => return Ok(()),
                Ok(Met::Unfinished) => again = true,
            }
        }
        self.met.retain(|id, _| files.iter().any(|sibling| sibling.stat.id == *id));
        if let Some((unread, path, error)) = unreadable {
            // What comes while a rotated file cannot be read is not older than the first start.
            self.first &= unread == self.path;
            return Err(Interrupted::Io(path, error)); // What is missing may be in it.
        }
        if again {
            return Ok(()); // What is missing may be in the file that is not finished.
        }
        if !files.is_empty() {
            self.give_up_the_gone(with)?;
        }
        self.first = false;
        self.listing = Some(names_and_files(files));
        Ok(())
    }

    /// Open files keep their generation under whatever name they have now.
    fn follow_renames(&mut self, files: &[Sibling], with: &Surroundings) -> Result<(), Interrupted> {
        for open in &mut self.open {
            let found = files.iter().find(|sibling| sibling.stat.id == open.stat.id);
            let active = found.is_some_and(|sibling| sibling.path == self.path);
            if open.active && !active {
                with.counters.rotations.inc();
            }
            open.active = active;
            if let Some(sibling) = found.filter(|sibling| sibling.path != open.path) {
                open.path.clone_from(&sibling.path);
                open.tell_seen(&*with.books)?;
            }
        }
        Ok(())
    }

    /// Generations of the ledger whose files are gone: what of them was seen and never read is lost, and counted.
    fn give_up_the_gone(&mut self, with: &Surroundings) -> Result<(), Interrupted> {
        for known in &mut self.known {
            if known.finished || self.open.iter().any(|open| open.generation.id == known.id) {
                continue;
            }
            known.finished = true;
            let read = if mutated(Mutation::LostBytesTooMany) { 0 } else { known.handed };
            let lost = known.size.saturating_sub(read);
            let reason = if known.cut { "truncated" } else { "removed" };
            if lost > 0 {
                tracing::error!(
                    source = &*self.source,
                    bytes = lost,
                    generation = known.id.0,
                    "a file was {reason} before it was read to its end"
                );
            }
            let lost = (lost > 0 && !mutated(Mutation::LostBytesNotCounted)).then(|| Lost {
                source: Arc::clone(&self.source),
                reason,
                bytes: lost,
            });
            with.books.finish(known.id, known.handed, lost)?;
        }
        Ok(())
    }

    /// A file became shorter, or other bytes stand where lines were read: what comes now is a new generation. The rest of the old one may live on in a copy
    /// (copytruncate); where no copy is found, the bytes that were seen and not read are lost, and counted.
    pub fn truncated(&mut self, index: usize, with: &Surroundings) -> Result<(), Interrupted> {
        with.counters.truncations.inc();
        let open = self.open.remove(index);
        self.note(&open);
        let id = open.generation.id;
        tracing::info!(file = %open.path.display(), source = &*self.source, "truncated: its content is a new generation");
        if let Some(known) = self.known.iter_mut().find(|known| known.id == id) {
            known.finished = false; // The scan either finds a copy or gives it up.
            known.cut = true;
            known.skipped |= mutated(Mutation::NoCopyAfterTruncation);
        }
        self.met.clear(); // What was a copy of a followed file may now be all that is left of it.
        self.scan(with)?;
        if self.open.iter().any(|open| open.generation.id == id) {
            // What was written between the copy and the truncation is in neither; nobody can know how much that was.
            with.counters.copytruncate_windows.inc();
            tracing::info!(source = &*self.source, "its copy was found and is read to its end");
        }
        Ok(())
    }

    /// Lets go of an open file of which something was read and could not be handed on: the next look opens it again where it was handed on.
    pub fn put_back(&mut self, index: usize) {
        let open = self.open.remove(index);
        self.note(&open);
        self.met.clear(); // What was a copy of it may be all that is left of it by then.
        self.listing = None;
    }

    /// Whether an open file has bytes that were not read.
    pub fn has_more(&self) -> bool {
        self.open.iter().any(|open| open.splitter.read_offset() < open.stat.size)
    }

    /// Whether the files kept changing at the last look, so that some of them may not be known yet.
    pub fn is_unsettled(&self) -> bool {
        self.listing.is_none()
    }

    /// Lets go of files that were renamed away, are read to their end and have been silent: their unfinished last line was taken before.
    pub fn let_go(&mut self, with: &Surroundings) -> Result<(), Interrupted> {
        let clock = with.disk.clock();
        let mut index = 0;
        while index < self.open.len() {
            let dropped = mutated(Mutation::DropRenamed) && !self.open[index].active;
            let over = self.open[index].is_over(clock) && self.open[index].splitter.unfinished_bytes() == 0;
            if over || dropped {
                let open = self.open.remove(index);
                self.note(&open);
                let handed = open.handed;
                if let Some(known) = self.known.iter_mut().find(|known| known.id == open.generation.id) {
                    known.finished = true;
                }
                self.met.remove(&open.stat.id);
                open.tell_seen(&*with.books)?;
                with.books.finish(open.generation.id, handed, None)?;
                tracing::debug!(file = %open.path.display(), "read to its end and silent, let go");
            } else {
                index += 1;
            }
        }
        Ok(())
    }

    /// Writes down how far an open generation was handed on.
    pub fn note(&mut self, open: &Open) {
        if let Some(known) = self.known.iter_mut().find(|known| known.id == open.generation.id) {
            known.handed = open.handed;
            known.marker = open.marker;
            known.beginning = open.beginning();
            known.size = known.size.max(open.certain_size);
        }
    }

    fn io(&self, error: io::Error) -> Interrupted {
        Interrupted::Io(self.path.clone(), error)
    }
}

fn names_and_files(files: &[Sibling]) -> Vec<(PathBuf, FileId)> {
    files.iter().map(|file| (file.path.clone(), file.stat.id)).collect()
}
