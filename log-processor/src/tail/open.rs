//! A generation whose file is open: reading it on, and noticing that the file under it has become another. Which files are opened is decided in `log`.

use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::disk::{Clock, FileId, FileStat, LogFile, read_full};
use super::opening::First;
use super::ports::{Books, Ended};
use super::splitter::Splitter;
use crate::lines::{Generation, TailMarker};
use crate::mutation::{Mutation, mutated};

/// How long a file that was renamed away must be silent before its unfinished last line is taken and it is let go (design section 12: within 15 s).
pub const QUIET: Duration = Duration::from_secs(10);
/// A file changed so lately can have been changed again without another time of change: the times of files are coarse.
const YOUNG: Duration = Duration::from_secs(2);
/// How many bytes before the place of reading, and at the beginning of the file, are compared with each read.
pub const COMPARED_BYTES: usize = 1024;
/// How many bytes at the end of a file are compared with those of another to know whether one is a copy of the other.
const COPY_BYTES: usize = 4096;

/// A generation with its file open.
#[derive(Debug)]
pub struct Open {
    /// As the later rooms know it.
    pub generation: Arc<Generation>,
    /// Its file: kept open, so that neither renaming nor deleting loses what is unread.
    pub file: Box<dyn LogFile>,
    /// What was known of it at the last look.
    pub stat: FileStat,
    /// Its greatest size while it certainly held this generation: what was seen just before a truncation was noticed can be the size of what came after it.
    pub certain_size: u64,
    /// It had been changed just before the last look: it could be changed again then without its times telling.
    pub was_young: bool,
    /// Where it was last found.
    pub path: PathBuf,
    /// Its bytes into lines.
    pub splitter: Splitter,
    /// The place up to which lines were handed on.
    pub handed: u64,
    /// The marker of that place.
    pub marker: TailMarker,
    /// The last bytes that were handed on, from which the marker is made.
    pub last_bytes: Vec<u8>,
    /// It stands at the log's own path: the one that grows.
    pub active: bool,
    /// It is a compressed file, which was found whole: it neither grows nor changes.
    pub gzip: bool,
    /// The bytes just before the place of reading; none in a compressed file.
    pub recent: Vec<u8>,
    /// The first bytes of the file, as far as they were seen; none in a compressed file.
    pub first: First,
}

/// What a read came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Got {
    /// The next bytes, and where in the block they are.
    Bytes(Range<usize>),
    /// There are no more.
    End,
    /// The file is shorter than it was, or other bytes stand where lines were read: it is another generation now.
    Cut,
}

impl Open {
    /// Reads the next block. The bytes before it are read along and compared, and those at the beginning of the file after it, so that what somebody else has written after a
    /// truncation is never taken for the continuation of what was there, whenever it happens.
    pub fn read(&mut self, block: &mut [u8]) -> io::Result<Got> {
        let place = self.splitter.read_offset();
        let before = self.recent.len();
        let read = loop {
            match self.file.read_at(block, place - before as u64) {
                Ok(read) => break read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        };
        if read <= before {
            // Nothing new. A read may come back short for other reasons than the end of the file.
            return Ok(if read < before && self.is_cut()? { Got::Cut } else { Got::End });
        }
        if block[..before] != self.recent && !mutated(Mutation::NoCompareBefore) {
            return Ok(Got::Cut);
        }
        if !mutated(Mutation::NoCompareAfter) && !self.first.stands_in(&mut *self.file)? {
            return Ok(Got::Cut);
        }
        self.certain_size = self.certain_size.max(self.stat.size).max(place + (read - before) as u64);
        if !self.gzip {
            self.recent.clear();
            self.recent.extend_from_slice(&block[read.saturating_sub(COMPARED_BYTES)..read]);
            self.first.extend(place, &block[before..read]);
        }
        Ok(Got::Bytes(before..read))
    }

    /// Whether other bytes, or none, stand just before the place of reading or at the beginning of the file.
    pub fn is_cut(&mut self) -> io::Result<bool> {
        let mut bytes = [0; COMPARED_BYTES];
        let bytes = &mut bytes[..self.recent.len()];
        let from = self.splitter.read_offset() - bytes.len() as u64;
        let is_as_before =
            read_full(&mut *self.file, bytes, from)? == bytes.len() && *bytes == self.recent[..];
        Ok(!is_as_before || !self.first.stands_in(&mut *self.file)?)
    }

    /// Looks at the file without reading on: whether it was cut ([`Got::Cut`]), has more ([`Got::Bytes`], of no bytes) or not.
    pub fn look(&mut self, clock: Clock) -> io::Result<Got> {
        self.look_at(None, clock)
    }

    /// The same; `now` is what was learnt of the file just now, so that it need not be asked again.
    pub fn look_at(&mut self, now: Option<FileStat>, clock: Clock) -> io::Result<Got> {
        if self.gzip {
            return Ok(if self.splitter.read_offset() < self.stat.size {
                Got::Bytes(0..0)
            } else {
                Got::End
            });
        }
        let stat = match now {
            Some(now) => now,
            None => self.file.stat()?,
        };
        let is_young = age(clock, stat) < YOUNG;
        let changed = stat != self.stat || is_young || self.was_young;
        self.was_young = is_young;
        let place = self.splitter.read_offset();
        if mutated(Mutation::NoTruncation) {
            self.stat = stat;
            return Ok(if stat.size > place { Got::Bytes(0..0) } else { Got::End });
        }
        // A file that shrank was cut behind its beginning, or holds something else.
        let doubtful = stat.size < self.stat.size || (stat.size == place && changed);
        if stat.size < place || (doubtful && self.is_cut()?) {
            return Ok(Got::Cut);
        }
        self.stat = stat;
        Ok(if stat.size > place { Got::Bytes(0..0) } else { Got::End })
    }

    /// Its size in bytes as it is told.
    pub fn size(&self) -> u64 {
        self.stat.size.max(self.splitter.read_offset())
    }

    /// Its file, if that has the size of what is read.
    pub fn file_id(&self) -> Option<FileId> {
        (!self.gzip).then_some(self.stat.id)
    }

    /// Tells the books where it is and how large; and, while nothing of it was handed on, by what it can be known again.
    pub fn tell_seen(&self, books: &dyn Books) -> Result<(), Ended> {
        let id = self.generation.id;
        books.seen(id, self.path.clone(), self.stat.id, self.certain_size)?;
        match self.beginning() {
            (_, 0) => Ok(()),
            beginning => books.beginning(id, beginning),
        }
    }

    /// By what it can be known again while nothing of it was handed on: its first bytes, as far as they were seen.
    pub fn beginning(&self) -> TailMarker {
        if self.handed > 0 || self.generation.start.get().is_some() { (0, 0) } else { self.first.mark() }
    }

    /// Whether it was renamed away or removed, is read to its end, and nobody has written to it for a while. Only then it is closed: a file that was deleted takes its room on the disk for so long, and no longer; one with
    /// unread bytes is never closed by a timer, since nobody could read them again.
    pub fn is_over(&self, clock: Clock) -> bool {
        if mutated(Mutation::DropRotatedOnTimer) {
            return !self.active && age(clock, self.stat) >= Duration::from_secs(1);
        }
        !self.active
            && self.splitter.read_offset() >= self.stat.size
            && (self.gzip || age(clock, self.stat) >= QUIET)
    }

    /// Whether another file holds what this one holds: a copy, perhaps one that is still being made. What is longer than this file is no copy of it.
    pub fn has_copy(&mut self, other: &mut dyn LogFile, size: u64) -> io::Result<bool> {
        let length = if self.gzip { self.stat.size } else { self.file.stat()?.size };
        has_copy(&mut *self.file, length, other, size)
    }
}

/// Whether a file of this length, which begins as another one does, holds all of the other one's `size` bytes, as its last ones tell.
pub fn has_copy(file: &mut dyn LogFile, length: u64, other: &mut dyn LogFile, size: u64) -> io::Result<bool> {
    let from = size.saturating_sub(COPY_BYTES as u64);
    let compared = usize::try_from(size - from).expect("at most 4 KiB");
    let (mut ours, mut theirs) = ([0; COPY_BYTES], [0; COPY_BYTES]);
    let ours_read = read_full(file, &mut ours[..compared], from)?;
    let theirs_read = read_full(other, &mut theirs[..compared], from)?;
    Ok(size <= length && ours_read == compared && ours[..ours_read] == theirs[..theirs_read])
}

/// Whether a time lies so shortly back that another change can have it too.
pub fn is_young(clock: Clock, nanos: i64) -> bool {
    clock.wall_nanos.saturating_sub(nanos) < i64::try_from(YOUNG.as_nanos()).expect("seconds")
}

/// How long ago a file was changed; zero when its time lies ahead.
pub fn age(clock: Clock, stat: FileStat) -> Duration {
    Duration::from_nanos(u64::try_from(clock.wall_nanos.saturating_sub(stat.modified_nanos)).unwrap_or(0))
}
