//! How a log judges a file that is not open: which generation it holds, whether it is to be read, and from where.

use std::io;
use std::sync::{Arc, OnceLock};

use store::embedded::{GenerationState, NewGeneration};

use super::copies::is_part_of;
use super::disk::{FileStat, LogFile, read_full};
use super::identity::{MARKER_MAX_BYTES, bytes_of_marker, hashed_start, marker_of};
use super::known::{Known, recognise};
use super::log::{Interrupted, Log, Surroundings};
use super::open::{COMPARED_BYTES, Open};
use super::opening::{First, Opening};
use super::siblings::Sibling;
use super::splitter::Splitter;
use crate::lines::Generation;
use crate::mutation::{Mutation, mutated};
use crate::settings::StartAt;

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
pub(super) struct Ready {
    pub(super) file: Box<dyn LogFile>,
    pub(super) stat: FileStat,
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
        for open in &self.open {
            if let Some(known) = self.known.iter_mut().find(|known| known.id == open.generation.id) {
                (known.handed, known.marker) = (open.handed, open.marker);
                known.beginning = open.beginning();
            }
        }
        // Open ones that begin in the same way, but go on differently.
        let (mut different, mut excluded) = (false, Vec::new());
        let index = loop {
            let found = recognise(&self.known, &mut *ready.file, ready.stat, &opening, active, &excluded);
            let Some(id) = found.map_err(io)? else { break None };
            let Some(open) = self.open.iter_mut().find(|open| open.generation.id == id) else {
                let index =
                    self.known.iter().position(|known| known.id == id).expect("recognised among them");
                let known = &self.known[index];
                if sibling.gzip && known.head.is_none() && known.handed > 0 && known.marker.1 == 0 {
                    excluded.push(id); // A compressed file never was a log begun in its middle: the number was given again.
                    continue;
                }
                break Some(index);
            };
            // Its truncation comes first: this may be the copy that was made before.
            if open.is_cut().map_err(io)? {
                return Ok(Met::Moved);
            }
            if open.has_copy(&mut *ready.file, ready.stat.size).map_err(io)? {
                return Ok(Met::Judged);
            }
            if open.is_cut().map_err(io)? {
                return Ok(Met::Moved);
            }
            different = true;
            excluded.push(id);
        };
        let by_number = self.known.iter().position(|known| known.file == ready.stat.id && !known.finished);
        let by_content = index.filter(|index| !self.known[*index].finished);
        if by_number != by_content && !sibling.gzip {
            with.counters.identity_resets.inc();
        }
        // Known by its inode alone, without content: what has come into it since may be a copy.
        let by_inode = |index: usize| self.known[index].head.is_none() && self.known[index].handed == 0;
        if index.is_none_or(by_inode)
            && let Some(met) = self.meet_copy(&mut ready, sibling, &opening, with)?
        {
            return Ok(met);
        }
        let Some(index) = index else {
            if different {
                return self.begin(ready, sibling, &opening, 0, with);
            }
            return self.meet_new(ready, sibling, &opening, first, with);
        };
        let known = &self.known[index];
        if known.skipped || !(active || !known.finished || ready.stat.size > known.handed) {
            return Ok(Met::Judged);
        }
        let is_longer = ready.stat.size > known.size;
        if let Some(mut own) = self.own_file(index, ready.stat, with).map_err(io)? {
            if is_part_of(&mut *own, &mut ready).map_err(io)? {
                return Ok(Met::Judged); // A copy, perhaps one that is still being made.
            }
            if is_longer {
                return self.begin(ready, sibling, &opening, 0, with); // It begins in the same way, and is no copy: it is longer.
            }
        }
        self.reopen(index, ready, sibling, with)
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
        self.begin(ready, sibling, opening, from, with)
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
                let stands = self.present.iter().any(|file| file.stat.id == known.file);
                known.file == stat.id || known.cut || !stands
            })
            .cloned()
            .collect();
        let open = &mut self.open[at];
        let found = recognise(&others, &mut *open.file, stat, opening, open.active, &[])
            .map_err(|error| Interrupted::Io(open.path.clone(), error))?;
        let Some(id) = found.filter(|id| self.open.iter().all(|open| open.generation.id != *id)) else {
            return Ok(false);
        };
        let open = self.open.remove(at);
        if let Some(known) = self.known.iter_mut().find(|known| known.id == own) {
            known.finished = true;
        }
        with.books.finish(own, 0, None)?;
        let index = self.known.iter().position(|known| known.id == id).expect("recognised among them");
        let sibling = Sibling { path: open.path, stat, gzip: open.gzip };
        self.reopen(index, Ready { file: open.file, stat }, &sibling, with)?;
        Ok(true)
    }

    fn begin(
        &mut self,
        mut ready: Ready,
        sibling: &Sibling,
        opening: &Opening,
        from: u64,
        with: &Surroundings,
    ) -> Result<Met, Interrupted> {
        // What stands before that place, so that the file is known again though nothing of it is handed on.
        let length = from.min(COMPARED_BYTES as u64);
        let io = |error| Interrupted::Io(sibling.path.clone(), error);
        let recent = bytes_at(&mut *ready.file, from - length, length).map_err(io)?;
        let size = ready.stat.size;
        let first = first_bytes(&mut ready, sibling, opening, size).map_err(io)?;
        let (Some(recent), Some(first)) = (recent, first) else { return Ok(Met::Moved) };
        if from > 0 && recent.last() != Some(&b'\n') {
            return Ok(Met::Moved); // Truncated and filled again since that place was found.
        }
        let id = with.books.begin(self.new_generation(sibling, from, GenerationState::Open), None)?;
        if from > 0 {
            with.books.skipped(&self.source, from)?;
        }
        let marker = if from > 0 { marker_of(&recent) } else { (0, 0) };
        let known = Known { marker, ..Known::new(id, ready.stat, from) };
        tracing::info!(file = %sibling.path.display(), source = &*self.source, from, "following");
        self.push_open(&known, ready, sibling, (recent, first));
        // Mostly it is the only one, here and among the open; a vector that grows by itself takes room for four.
        self.known.reserve_exact(1);
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
        let mut compared = (Vec::new(), First::default());
        if !sibling.gzip {
            // As much of its beginning as was certainly read: what comes behind may still be written.
            // Its head too, though nothing of it may have been handed on: it is this generation's alone.
            let io = |error| Interrupted::Io(sibling.path.clone(), error);
            let head_bytes = known.head.as_ref().map_or(0, |head| head.length_bytes);
            // Of what was not read yet everything: it is all by which its truncation can be noticed.
            let unread = if known.handed == 0 && known.head.is_none() { ready.stat.size } else { 0 };
            let certain = known.handed.max(head_bytes).max(unread);
            let opening = Opening::read(&mut *ready.file, with.salt).map_err(io)?;
            let first = first_bytes(&mut ready, sibling, &opening, certain).map_err(io)?;
            let begins_so = known.head.as_ref().is_none_or(|head| opening.begins_with(head));
            let is_unread = known.handed == 0 && known.beginning.1 > 0;
            let as_seen = !is_unread || opening.begins_as_seen(known.beginning);
            let Some(first) = first.filter(|_| begins_so && as_seen) else {
                return Ok(Met::Moved);
            };
            compared = (recent, first);
        }
        known.file = ready.stat.id;
        known.finished = false;
        let known = known.clone();
        let generation = self.new_generation(sibling, known.handed, GenerationState::Open);
        with.books.begin(generation, Some(known.id))?;
        tracing::info!(file = %sibling.path.display(), source = &*self.source, from = known.handed, "going on");
        self.push_open(&known, ready, sibling, compared);
        self.open.last_mut().expect("it was added just now").tell_seen(&*with.books)?;
        Ok(Met::Opened)
    }

    /// Adds an open generation; `recent` and `first` are the bytes before its place and at its beginning.
    fn push_open(
        &mut self,
        known: &Known,
        ready: Ready,
        sibling: &Sibling,
        (recent, first): (Vec<u8>, First),
    ) {
        let start = known.start.map_or_else(OnceLock::new, OnceLock::from);
        // Those of its marker, as far as they are known.
        let last = usize::try_from(known.marker.1).map_or(0, |length| recent.len().saturating_sub(length));
        let last = &recent[last..];
        let again = mutated(Mutation::GzipFromStart) && sibling.gzip || mutated(Mutation::RestartFromStart);
        let handed = if again { 0 } else { known.handed };
        let generation = Generation { id: known.id, source: Arc::clone(&self.source), start };
        self.open.reserve_exact(1);
        self.open.push(Open {
            generation: Arc::new(generation),
            file: ready.file,
            stat: ready.stat,
            certain_size: ready.stat.size,
            was_young: true,
            path: sibling.path.clone(),
            splitter: Splitter::new(handed),
            handed,
            marker: known.marker,
            last_bytes: last.to_vec(),
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

/// The first bytes of a file before `end`, if it still begins as its opening does; none of a compressed file, which neither grows nor changes.
fn first_bytes(
    ready: &mut Ready,
    sibling: &Sibling,
    opening: &Opening,
    end: u64,
) -> io::Result<Option<First>> {
    if sibling.gzip {
        return Ok(Some(First::default()));
    }
    match opening.first_before(end) {
        Some(first) => Ok(first.stands_in(&mut *ready.file)?.then_some(first)),
        None => Ok(None),
    }
}

/// The bytes at a place, if there are that many.
fn bytes_at(file: &mut dyn LogFile, place: u64, length: u64) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = vec![0; usize::try_from(length).expect("a few")];
    let read = read_full(file, &mut bytes, place)?;
    Ok((read == bytes.len()).then_some(bytes))
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
