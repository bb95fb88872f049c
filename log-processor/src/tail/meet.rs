//! How a log judges a file that is not open: which generation it holds, whether it is to be read, and from where.

use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use store::embedded::{GenerationState, NewGeneration};

use super::disk::{FileStat, LogFile, read_full};
use super::gzip::{self, Decompressed, Gzip};
use super::identity::{MARKER_MAX_BYTES, Opening, bytes_of_marker, hashed_start, marker_of};
use super::known::{Known, recognise};
use super::log::{Interrupted, Log, Surroundings};
use super::open::{COMPARED_BYTES, Open, age};
use super::siblings::Sibling;
use super::splitter::Splitter;
use crate::lines::Generation;
use crate::settings::StartAt;

/// How long a compressed file that ends in the middle is waited for: somebody may still be writing it.
const GZIP_PATIENCE: Duration = Duration::from_secs(15);

/// What came of meeting a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Met {
    /// It is open now.
    Opened,
    /// It is not to be read, as long as it does not change.
    Judged,
    /// It was renamed, removed or changed in the meantime: look at all of them again.
    Moved,
    /// It is a compressed file that somebody is still writing.
    Unfinished,
}

/// A file ready to be read.
struct Ready {
    file: Box<dyn LogFile>,
    stat: FileStat,
}

impl Log {
    /// Meets a file that is not open.
    pub(super) fn meet(
        &mut self,
        sibling: &Sibling,
        first: bool,
        with: &Surroundings,
    ) -> Result<Met, Interrupted> {
        let io = |error| Interrupted::Io(sibling.path.clone(), error);
        let file = match with.disk.open(&sibling.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Met::Moved),
            Err(error) => return Err(io(error)),
        };
        let stat = file.stat().map_err(io)?;
        if stat.id != sibling.stat.id {
            return Ok(Met::Moved);
        }
        let mut ready = if sibling.gzip {
            match self.unpack(file, sibling, with).map_err(io)? {
                Ok(ready) => ready,
                Err(met) => return Ok(met),
            }
        } else {
            Ready { file, stat }
        };
        let active = sibling.path == self.path;
        let opening = Opening::read(&mut *ready.file, with.salt).map_err(io)?;
        match recognise(&self.known, &mut *ready.file, ready.stat, &opening, active).map_err(io)? {
            Some(id) => {
                if let Some(open) = self.open.iter_mut().find(|open| open.generation.id == id) {
                    if open.has_copy(&mut *ready.file, ready.stat.size).map_err(io)? {
                        return Ok(Met::Judged); // A copy of what we follow.
                    }
                    if open.is_cut().map_err(io)? {
                        return Ok(Met::Moved); // Its truncation comes first; this may be the copy that was made before.
                    }
                    // It begins in the same way, but goes on differently: another generation.
                    return self.begin(ready, sibling, 0, with);
                }
                let index =
                    self.known.iter().position(|known| known.id == id).expect("recognised among them");
                let known = &self.known[index];
                if known.skipped || !(active || !known.finished || ready.stat.size > known.handed) {
                    return Ok(Met::Judged);
                }
                if ready.stat.size > known.size
                    && self.stands_elsewhere(index, ready.stat, with).map_err(io)?
                {
                    return self.begin(ready, sibling, 0, with); // It begins in the same way, and is no copy: it is longer.
                }
                self.reopen(index, ready, sibling, with)
            }
            None => self.meet_new(ready, sibling, &opening, first, with),
        }
    }

    /// Whether a generation's own file, which is another than this one, is still there with all that we know of it.
    fn stands_elsewhere(&self, index: usize, stat: FileStat, with: &Surroundings) -> io::Result<bool> {
        let known = &self.known[index];
        let own = |file: &&Sibling| file.stat.id == known.file && file.stat.id != stat.id && !file.gzip;
        let Some(own) = self.present.iter().find(own) else { return Ok(false) };
        let mut file = match with.disk.open(&own.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        let stat = file.stat()?;
        let opening = Opening::read(&mut *file, with.salt)?;
        Ok(stat.id == known.file && known.is(&mut *file, stat, &opening)?)
    }

    /// Meets a file that holds no generation that we know.
    fn meet_new(
        &mut self,
        mut ready: Ready,
        sibling: &Sibling,
        opening: &Opening,
        first: bool,
        with: &Surroundings,
    ) -> Result<Met, Interrupted> {
        let active = sibling.path == self.path;
        if first && !active && with.start_at != StartAt::History {
            self.skip(ready, sibling, opening, with)?;
            return Ok(Met::Judged);
        }
        let from = if first && active && with.start_at == StartAt::End {
            end_of_last_line(&mut *ready.file, ready.stat.size)
                .map_err(|error| Interrupted::Io(sibling.path.clone(), error))?
        } else {
            0
        };
        self.begin(ready, sibling, from, with)
    }

    /// A compressed file as one of its decompressed bytes; or what is to be done with it instead.
    fn unpack(
        &self,
        mut file: Box<dyn LogFile>,
        sibling: &Sibling,
        with: &Surroundings,
    ) -> io::Result<Result<Ready, Met>> {
        if self.was_read_before(&mut *file, sibling, with)? {
            return Ok(Err(Met::Judged));
        }
        let why = match gzip::inspect(&mut *file)? {
            Gzip::Whole(length) => {
                let file = Decompressed::new(file, length)?;
                let stat = file.stat()?;
                return Ok(Ok(Ready { file: Box::new(file), stat }));
            }
            Gzip::Unfinished if age(with.disk.clock(), sibling.stat) < GZIP_PATIENCE => {
                return Ok(Err(Met::Unfinished));
            }
            Gzip::Unfinished => "it ends in the middle".to_owned(),
            Gzip::Damaged(why) => why,
        };
        with.counters.gzip_damaged.inc();
        tracing::error!(file = %sibling.path.display(), why, "a compressed log cannot be read: nothing is taken from it");
        Ok(Err(Met::Judged))
    }

    /// Whether a compressed file holds a generation that was read to its end: known from its beginning and its length, without reading all of it.
    fn was_read_before(
        &self,
        file: &mut dyn LogFile,
        sibling: &Sibling,
        with: &Surroundings,
    ) -> io::Result<bool> {
        let Some(hint) = gzip::length_hint(file)? else { return Ok(false) };
        let fits =
            |known: &&Known| known.skipped || known.finished && known.handed % (1 << 32) == u64::from(hint);
        let mut candidates = self.known.iter().filter(fits).peekable();
        if candidates.peek().is_none() {
            return Ok(false);
        }
        let mut file = Decompressed::new(with.disk.open(&sibling.path)?, u64::from(hint))?;
        let Ok(opening) = Opening::read(&mut file, with.salt) else { return Ok(false) };
        Ok(candidates.any(|known| known.head.as_ref().is_some_and(|head| opening.begins_with(head))))
    }

    /// A file that was there before the first start and is not to be read: remembered, so that it is never taken for a new one.
    fn skip(
        &mut self,
        mut ready: Ready,
        sibling: &Sibling,
        opening: &Opening,
        with: &Surroundings,
    ) -> Result<(), Interrupted> {
        let stat = ready.stat;
        let id = with.books.begin(self.new_generation(sibling, stat.size, GenerationState::Skipped), None)?;
        let head = opening.head();
        if let Some(head) = &head {
            with.books.start(id, head.clone(), hashed_start(head))?;
        }
        with.books.skipped(&self.source, stat.size)?;
        tracing::info!(file = %sibling.path.display(), bytes = stat.size, "older than the first start, not read (START_AT=history would)");
        let mut last = vec![0; MARKER_MAX_BYTES.min(usize::try_from(stat.size).unwrap_or(MARKER_MAX_BYTES))];
        let from = stat.size - last.len() as u64;
        let read = read_full(&mut *ready.file, &mut last, from)
            .map_err(|error| Interrupted::Io(sibling.path.clone(), error))?;
        let marker = marker_of(&last[..read]);
        let new = Known::new(id, stat, stat.size);
        self.known.push(Known { head, marker, skipped: true, finished: true, ..new });
        Ok(())
    }

    /// A generation that was met before it had a valid line turns out to hold one that we know, read and left: a file that was truncated and filled with the very same lines
    /// (design section 12: it counts once). True when it was.
    pub(super) fn is_known_again(
        &mut self,
        at: usize,
        opening: &Opening,
        with: &Surroundings,
    ) -> Result<bool, Interrupted> {
        let open = &self.open[at];
        let own = open.generation.id;
        let stat = open.file.stat().map_err(|error| Interrupted::Io(open.path.clone(), error))?;
        let others: Vec<Known> = self
            .known
            .iter()
            .filter(|known| known.id != own && known.handed > 0 && known.head.is_some() && !known.skipped)
            // One whose own file still stands there is another, however equal.
            .filter(|known| {
                known.file == stat.id || self.present.iter().all(|file| file.stat.id != known.file)
            })
            .cloned()
            .collect();
        let open = &mut self.open[at];
        let found = recognise(&others, &mut *open.file, stat, opening, open.active)
            .map_err(|error| Interrupted::Io(open.path.clone(), error))?;
        let Some(id) = found.filter(|id| self.open.iter().all(|open| open.generation.id != *id)) else {
            return Ok(false);
        };
        let open = self.open.remove(at);
        if let Some(known) = self.known.iter_mut().find(|known| known.id == own) {
            known.finished = true;
        }
        with.books.finish(own, 0)?;
        let index = self.known.iter().position(|known| known.id == id).expect("recognised among them");
        let sibling = Sibling { path: open.path, stat, gzip: open.gzip };
        self.reopen(index, Ready { file: open.file, stat }, &sibling, with)?;
        Ok(true)
    }

    fn begin(
        &mut self,
        ready: Ready,
        sibling: &Sibling,
        from: u64,
        with: &Surroundings,
    ) -> Result<Met, Interrupted> {
        let id = with.books.begin(self.new_generation(sibling, from, GenerationState::Open), None)?;
        if from > 0 {
            with.books.skipped(&self.source, from)?;
        }
        let known = Known::new(id, ready.stat, from);
        tracing::info!(file = %sibling.path.display(), source = &*self.source, from, "following");
        self.push_open(&known, ready, sibling, (Vec::new(), Vec::new()));
        self.known.push(known);
        Ok(Met::Opened)
    }

    fn reopen(
        &mut self,
        index: usize,
        mut ready: Ready,
        sibling: &Sibling,
        with: &Surroundings,
    ) -> Result<Met, Interrupted> {
        let known = &mut self.known[index];
        let recent = bytes_of_marker(&mut *ready.file, known.handed, known.marker)
            .map_err(|error| Interrupted::Io(sibling.path.clone(), error))?;
        let Some(recent) = recent else { return Ok(Met::Moved) }; // Changed since it was recognised.
        let mut compared = (Vec::new(), Vec::new());
        if !sibling.gzip {
            // As much of its beginning as was certainly read: what comes behind may still be written.
            let length =
                usize::try_from(known.handed).map_or(COMPARED_BYTES, |handed| handed.min(COMPARED_BYTES));
            let mut first = vec![0; length];
            let read = read_full(&mut *ready.file, &mut first, 0)
                .map_err(|error| Interrupted::Io(sibling.path.clone(), error))?;
            if read < length {
                return Ok(Met::Moved);
            }
            compared = (recent, first);
        }
        known.file = ready.stat.id;
        known.finished = false;
        let known = known.clone();
        let generation = self.new_generation(sibling, known.handed, GenerationState::Open);
        with.books.begin(generation, Some(known.id))?;
        with.books.seen(known.id, sibling.path.clone(), ready.stat.id, ready.stat.size)?;
        tracing::info!(file = %sibling.path.display(), source = &*self.source, from = known.handed, "going on");
        self.push_open(&known, ready, sibling, compared);
        Ok(Met::Opened)
    }

    /// Adds an open generation; `recent` and `first` are the bytes before its place and at its beginning.
    fn push_open(
        &mut self,
        known: &Known,
        ready: Ready,
        sibling: &Sibling,
        (recent, first): (Vec<u8>, Vec<u8>),
    ) {
        let start = known.start.map_or_else(OnceLock::new, OnceLock::from);
        let generation = Generation { id: known.id, source: Arc::clone(&self.source), start };
        self.open.push(Open {
            generation: Arc::new(generation),
            file: ready.file,
            stat: ready.stat,
            certain_size: ready.stat.size,
            path: sibling.path.clone(),
            splitter: Splitter::new(known.handed),
            handed: known.handed,
            marker: known.marker,
            active: sibling.path == self.path,
            gzip: sibling.gzip,
            recent,
            first,
        });
    }

    fn new_generation(
        &self,
        sibling: &Sibling,
        settled_offset: u64,
        state: GenerationState,
    ) -> NewGeneration {
        let (device, inode) = sibling.stat.id;
        let (source, path) = (self.source.to_string(), sibling.path.clone());
        NewGeneration { source, path, device, inode, settled_offset, state }
    }
}

/// The place after the last newline.
fn end_of_last_line(file: &mut dyn LogFile, size: u64) -> io::Result<u64> {
    let mut block = vec![0; 64 << 10];
    let mut end = size;
    while end > 0 {
        let from = end.saturating_sub(block.len() as u64);
        let length = usize::try_from(end - from).expect("a block");
        let read = read_full(file, &mut block[..length], from)?;
        if let Some(newline) = memchr::memrchr(b'\n', &block[..read]) {
            return Ok(from + newline as u64 + 1);
        }
        end = from;
    }
    Ok(0)
}
