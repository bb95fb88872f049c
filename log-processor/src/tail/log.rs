//! One followed log: its path, the generations that are open, and what is known of the others. Finds rotations and truncations; reads nothing of the lines themselves.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use store::embedded::{GenerationId, GenerationState, NewGeneration};

use super::books::{Books, Ended};
use super::identity::Opening;
use super::known::{Known, recognise};
use super::siblings::{self, FileId, FileState, Sibling};
use super::splitter::Splitter;
use crate::counters::Counters;
use crate::lines::{Generation, TailMarker};
use crate::settings::StartAt;

/// How long a file that was renamed away must be silent before its unfinished last line is taken and it is let go (design section 12: within 15 s).
const QUIET: Duration = Duration::from_secs(10);
/// How often the siblings are looked through although nothing seems to have happened: somebody may still write to a file that was let go.
const SCAN_EVERY: Duration = Duration::from_secs(10);
/// How many bytes before the place of reading are compared when a file has changed.
const RECENT_BYTES: usize = 256;

/// A generation with its file open.
#[derive(Debug)]
pub struct Open {
    /// As the later rooms know it.
    pub generation: Arc<Generation>,
    /// Its file: kept open, so that neither renaming nor deleting loses what is unread.
    pub file: File,
    /// Which file.
    pub file_id: FileId,
    /// Where it was last found.
    pub path: PathBuf,
    /// Its bytes into lines.
    pub splitter: Splitter,
    /// The bytes just before the place of reading.
    pub recent: Vec<u8>,
    /// The marker of the place up to which lines were handed on.
    pub marker: TailMarker,
    /// Its size at the last look.
    pub size: u64,
    /// It stands at the log's own path: the one that grows.
    pub active: bool,
}

/// What a log needs from its surroundings.
#[derive(Debug)]
pub struct Surroundings {
    /// The line to the bookkeeper.
    pub books: Books,
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
    /// Files that were met and are not to be opened, with their state then: met again only when it has changed.
    met: HashMap<FileId, FileState>,
    /// Nothing is known of it and its files were never listed: what is found now was there at the first start (START_AT).
    first: bool,
    last_scan: Option<Instant>,
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
            met: HashMap::new(),
            first,
            last_scan: None,
            missing_said: false,
        }
    }

    /// Looks at the files: follows rotations, notices truncation and growth. True when something is to be read.
    pub fn look(&mut self, with: &Surroundings) -> Result<bool, Interrupted> {
        let active = siblings::sibling(&self.path).map_err(|error| self.io(error))?;
        let followed = self.open.iter().find(|open| open.active).map(|open| open.file_id);
        let moved = active.as_ref().map(|file| file.id) != followed;
        let due = self.last_scan.is_none_or(|last| last.elapsed() >= SCAN_EVERY);
        self.say_missing(active.is_none());
        if moved || due {
            self.last_scan = self.scan(with)?.then(Instant::now);
        }
        let mut grown = false;
        let mut cut = Vec::new();
        for (index, open) in self.open.iter_mut().enumerate() {
            let size = open.file.metadata().map_err(|error| Interrupted::Io(open.path.clone(), error))?.len();
            if size == open.size && size == open.splitter.read_offset() {
                continue;
            }
            if size < open.splitter.read_offset()
                || !open.is_unchanged().map_err(|error| Interrupted::Io(open.path.clone(), error))?
            {
                cut.push(index);
                continue;
            }
            open.size = size;
            grown |= size > open.splitter.read_offset();
        }
        for index in cut.into_iter().rev() {
            self.truncated(index, with)?;
            grown = true;
        }
        Ok(grown)
    }

    fn say_missing(&mut self, missing: bool) {
        if missing && !self.missing_said && self.open.is_empty() {
            tracing::warn!(file = %self.path.display(), source = &*self.source, "no such file, waiting for it");
        }
        self.missing_said = missing;
    }

    /// Goes through the files on disk, oldest first, and opens what is to be read. False when a rotation kept changing them: the next look tries again.
    fn scan(&mut self, with: &Surroundings) -> Result<bool, Interrupted> {
        let first = self.first;
        let Some(files) = siblings::list(&self.path).map_err(|error| self.io(error))? else {
            return Ok(false);
        };
        for open in &mut self.open {
            let found = files.iter().find(|sibling| sibling.id == open.file_id);
            let active = found.is_some_and(|sibling| sibling.path == self.path);
            if open.active && !active {
                with.counters.rotations.inc();
            }
            open.active = active;
            if let Some(sibling) = found.filter(|sibling| sibling.path != open.path) {
                open.path.clone_from(&sibling.path);
                with.books.seen(open.generation.id, open.path.clone(), open.file_id, open.size)?;
            }
        }
        for sibling in &files {
            if self.open.iter().any(|open| open.file_id == sibling.id)
                || self.met.get(&sibling.id) == Some(&sibling.state)
            {
                continue;
            }
            if !self.meet(sibling, first, with)? {
                return Ok(false);
            }
            if self.open.iter().all(|open| open.file_id != sibling.id) {
                self.met.insert(sibling.id, sibling.state);
            }
        }
        self.met.retain(|id, _| files.iter().any(|sibling| sibling.id == *id));
        if !files.is_empty() {
            self.give_up_the_gone(with)?;
        }
        self.first = false;
        Ok(true)
    }

    /// Meets a file that is not open. False when it was renamed in the meantime.
    fn meet(&mut self, sibling: &Sibling, first: bool, with: &Surroundings) -> Result<bool, Interrupted> {
        let io = |error| Interrupted::Io(sibling.path.clone(), error);
        let file = match File::open(&sibling.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(io(error)),
        };
        let metadata = file.metadata().map_err(io)?;
        if (metadata.dev(), metadata.ino()) != sibling.id {
            return Ok(false);
        }
        let opening = Opening::read(&file, with.salt).map_err(io)?;
        let active = sibling.path == self.path;
        match recognise(&self.known, &file, metadata.len(), sibling.id, &opening).map_err(io)? {
            Some(id) if self.open.iter().any(|open| open.generation.id == id) => {} // A copy of what we follow.
            Some(id) => {
                let index =
                    self.known.iter().position(|known| known.id == id).expect("recognised among them");
                let known = &self.known[index];
                if !known.skipped && (active || !known.finished || metadata.len() > known.handed) {
                    self.reopen(index, file, sibling, metadata.len(), active, with)?;
                }
            }
            None => {
                let old = first && !active && with.start_at != StartAt::History;
                let from = match with.start_at {
                    StartAt::End if first && active => end_of_last_line(&file, metadata.len()).map_err(io)?,
                    _ => 0,
                };
                if old {
                    self.skip(sibling, &opening, metadata.len(), with)?;
                } else {
                    self.begin(file, sibling, metadata.len(), from, active, with)?;
                }
            }
        }
        Ok(true)
    }

    /// A file that was there before the first start and is not to be read: remembered, so that it is never taken for a new one.
    fn skip(
        &mut self,
        sibling: &Sibling,
        opening: &Opening,
        size: u64,
        with: &Surroundings,
    ) -> Result<(), Interrupted> {
        let id = with.books.begin(self.new_generation(sibling, size, GenerationState::Skipped), None)?;
        let head = opening.head();
        if let Some(head) = &head {
            with.books.start(id, head.clone(), super::identity::hashed_start(head))?;
        }
        with.books.skipped(&self.source, size)?;
        tracing::info!(file = %sibling.path.display(), bytes = size, "older than the first start, not read (START_AT=history would)");
        let marker = (0, 0);
        self.known.push(Known {
            id,
            head,
            start: None,
            handed: size,
            marker,
            file: sibling.id,
            size,
            skipped: true,
            finished: true,
        });
        Ok(())
    }

    fn begin(
        &mut self,
        file: File,
        sibling: &Sibling,
        size: u64,
        from: u64,
        active: bool,
        with: &Surroundings,
    ) -> Result<(), Interrupted> {
        let id = with.books.begin(self.new_generation(sibling, from, GenerationState::Open), None)?;
        if from > 0 {
            with.books.skipped(&self.source, from)?;
        }
        let marker = (0, 0);
        self.known.push(Known {
            id,
            head: None,
            start: None,
            handed: from,
            marker,
            file: sibling.id,
            size,
            skipped: false,
            finished: false,
        });
        tracing::info!(file = %sibling.path.display(), source = &*self.source, from, "following");
        self.push_open(id, None, file, sibling, from, marker, size, active);
        Ok(())
    }

    fn reopen(
        &mut self,
        index: usize,
        file: File,
        sibling: &Sibling,
        size: u64,
        active: bool,
        with: &Surroundings,
    ) -> Result<(), Interrupted> {
        let known = &mut self.known[index];
        known.file = sibling.id;
        known.finished = false;
        let (id, handed, marker, start) = (known.id, known.handed, known.marker, known.start);
        with.books.begin(self.new_generation(sibling, handed, GenerationState::Open), Some(id))?;
        with.books.seen(id, sibling.path.clone(), sibling.id, size)?;
        tracing::info!(file = %sibling.path.display(), source = &*self.source, from = handed, "going on");
        self.push_open(id, start, file, sibling, handed, marker, size, active);
        Ok(())
    }

    #[expect(clippy::too_many_arguments, reason = "the fields of one struct, filled in one place")]
    fn push_open(
        &mut self,
        id: GenerationId,
        start: Option<store::KeyStart>,
        file: File,
        sibling: &Sibling,
        from: u64,
        marker: TailMarker,
        size: u64,
        active: bool,
    ) {
        let generation =
            Arc::new(Generation { id, source: Arc::clone(&self.source), start: OnceLock::new() });
        if let Some(start) = start {
            generation.start.set(start).expect("just made");
        }
        let splitter = Splitter::new(from);
        let open = Open {
            generation,
            file,
            file_id: sibling.id,
            path: sibling.path.clone(),
            splitter,
            recent: Vec::new(),
            marker,
            size,
            active,
        };
        self.open.push(open);
    }

    fn new_generation(
        &self,
        sibling: &Sibling,
        settled_offset: u64,
        state: GenerationState,
    ) -> NewGeneration {
        NewGeneration {
            source: self.source.to_string(),
            path: sibling.path.clone(),
            device: sibling.id.0,
            inode: sibling.id.1,
            settled_offset,
            state,
        }
    }

    /// Generations of the ledger whose files are gone: what of them was seen and never read is lost, and counted.
    fn give_up_the_gone(&mut self, with: &Surroundings) -> Result<(), Interrupted> {
        for known in &mut self.known {
            if known.finished || self.open.iter().any(|open| open.generation.id == known.id) {
                continue;
            }
            known.finished = true;
            let lost = known.size.saturating_sub(known.handed);
            if lost > 0 {
                tracing::error!(
                    source = &*self.source,
                    bytes = lost,
                    generation = known.id.0,
                    "a file was removed before it was read to its end"
                );
                with.books.lost(&self.source, "removed", lost)?;
            }
            with.books.finish(known.id, known.handed)?;
        }
        Ok(())
    }

    /// A file became shorter, or other bytes stand where lines were read: what comes now is a new generation. The rest of the old one may live on in a copy
    /// (copytruncate); where no copy is found, the bytes that were seen and not read are lost, and counted.
    fn truncated(&mut self, index: usize, with: &Surroundings) -> Result<(), Interrupted> {
        with.counters.truncations.inc();
        let open = self.open.remove(index);
        self.note(&open);
        let id = open.generation.id;
        tracing::info!(file = %open.path.display(), source = &*self.source, "truncated: its content is a new generation");
        if let Some(known) = self.known.iter_mut().find(|known| known.id == id) {
            known.finished = false; // The scan either finds a copy or gives it up.
        }
        self.met.clear(); // What was a copy of a followed file may now be all that is left of it.
        self.last_scan = self.scan(with)?.then(Instant::now);
        Ok(())
    }

    /// Whether the files kept changing at the last look, so that some of them may not be known yet.
    pub fn is_unsettled(&self) -> bool {
        self.last_scan.is_none()
    }

    /// Lets go of files that were renamed away, are read to their end and have been silent: their unfinished last line was taken before.
    pub fn let_go(&mut self, with: &Surroundings) -> Result<(), Interrupted> {
        let mut index = 0;
        while index < self.open.len() {
            if self.open[index].is_over() && self.open[index].splitter.unfinished_bytes() == 0 {
                let open = self.open.remove(index);
                self.note(&open);
                let handed = open.splitter.handed_offset();
                if let Some(known) = self.known.iter_mut().find(|known| known.id == open.generation.id) {
                    known.finished = true;
                }
                self.met.remove(&open.file_id);
                with.books.finish(open.generation.id, handed)?;
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
            known.handed = open.splitter.handed_offset();
            known.marker = open.marker;
            known.size = known.size.max(open.size);
        }
    }

    fn io(&self, error: io::Error) -> Interrupted {
        Interrupted::Io(self.path.clone(), error)
    }
}

impl Open {
    /// Whether the bytes just before the place of reading are still the same: one small read, when the size has changed.
    fn is_unchanged(&self) -> io::Result<bool> {
        let mut bytes = [0; RECENT_BYTES];
        let bytes = &mut bytes[..self.recent.len()];
        match self.file.read_exact_at(bytes, self.splitter.read_offset() - self.recent.len() as u64) {
            Ok(()) => Ok(bytes == self.recent),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Keeps the last bytes that were read.
    pub fn remember(&mut self, data: &[u8]) {
        if data.len() >= RECENT_BYTES {
            self.recent.clear();
            self.recent.extend_from_slice(&data[data.len() - RECENT_BYTES..]);
        } else {
            self.recent.extend_from_slice(data);
            let surplus = self.recent.len().saturating_sub(RECENT_BYTES);
            self.recent.drain(..surplus);
        }
    }

    /// Whether it was renamed away or removed, is read to its end, and nobody has written to it for a while.
    pub fn is_over(&self) -> bool {
        let silent = || {
            let modified = self.file.metadata().and_then(|metadata| metadata.modified());
            modified.is_ok_and(|modified| {
                SystemTime::now().duration_since(modified).is_ok_and(|age| age >= QUIET)
            })
        };
        !self.active && self.splitter.read_offset() >= self.size && silent()
    }
}

/// The place after the last newline.
fn end_of_last_line(file: &File, size: u64) -> io::Result<u64> {
    let mut block = vec![0; 64 << 10];
    let mut end = size;
    while end > 0 {
        let from = end.saturating_sub(block.len() as u64);
        let part = &mut block[..usize::try_from(end - from).expect("a block")];
        file.read_exact_at(part, from)?;
        if let Some(newline) = memchr::memrchr(b'\n', part) {
            return Ok(from + newline as u64 + 1);
        }
        end = from;
    }
    Ok(0)
}
