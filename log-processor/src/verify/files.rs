//! Which files on disk hold which generation, and up to which byte that was settled: what can be judged, and, with its number, what cannot. Reads the beginnings of files;
//! changes nothing, and takes no lock: a processor may run and rotations may happen meanwhile.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use store::embedded::{GenerationId, GenerationRecord, GenerationState, LedgerView};
use store::{KeyStart, StoredGeneration};

use crate::tail::disk::{Disk, FileId, LogFile, RealDisk, read_full};
use crate::tail::gzip::{self, Decompressed, Gzip};
use crate::tail::known::{Known, recognise};
use crate::tail::opening::Opening;
use crate::tail::siblings::{self, Sibling};

/// How many bytes behind a generation's last known byte may still hold lines that were stored since: the gap that is left between two generations.
const MARGIN_BYTES: u64 = 16 << 20;
/// How often a listing is read again when files were renamed between listing and opening.
const TRIES: usize = 20;

/// A file whose lines are judged.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    /// Its log's source.
    pub(crate) source: Arc<str>,
    /// The log's own path.
    pub(crate) log: PathBuf,
    /// Where it was found.
    pub(crate) path: PathBuf,
    /// Which file.
    pub(crate) file: FileId,
    /// How many bytes a compressed file holds; none of a file that is not compressed.
    pub(crate) unpacked_bytes: Option<u64>,
    /// Its row in the ledger, if there is one.
    pub(crate) generation: Option<GenerationId>,
    /// Its place in the key sequence; none while no valid line of it was read.
    pub(crate) start: Option<KeyStart>,
    /// The place of the first byte that was read (START_AT).
    pub(crate) from: u64,
    /// The place up to which every line is settled.
    pub(crate) end: u64,
}

/// Places in the key sequence of a source, of which nothing can be said: `[start, end)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unjudged {
    /// The first place.
    pub(crate) start: u64,
    /// The place behind the last.
    pub(crate) end: u64,
}

/// What was found of one source.
#[derive(Clone, Debug, Default)]
pub(crate) struct Found {
    /// Files whose lines are judged, oldest first.
    pub(crate) parts: Vec<Part>,
    /// Places of which nothing can be said.
    pub(crate) unjudged: Vec<Unjudged>,
    /// Generations that were settled and whose files are gone, and how many bytes of them were settled.
    pub(crate) gone: (u64, u64),
    /// Bytes that are there and not settled yet.
    pub(crate) unsettled_bytes: u64,
    /// Bytes of files that were not to be read (START_AT).
    pub(crate) skipped_bytes: u64,
    /// Compressed files that end in the middle or are damaged.
    pub(crate) damaged: u64,
}

impl Found {
    /// Whether every line that was ever stored of this source is in `parts`.
    pub(crate) fn is_complete(&self) -> bool {
        self.gone.0 == 0
    }
}

/// A file on disk, open and recognised by its opening.
struct Candidate {
    sibling: Sibling,
    file: Box<dyn LogFile>,
    size: u64,
    unpacked_bytes: Option<u64>,
    opening: Opening,
}

/// What the ledger says of one source.
pub(crate) struct Books<'a> {
    /// Its generations, oldest first.
    pub(crate) records: Vec<&'a GenerationRecord>,
    /// Bytes skipped on purpose (START_AT).
    pub(crate) skipped_bytes: u64,
}

impl<'a> Books<'a> {
    /// Those of a source.
    pub(crate) fn of(view: &'a LedgerView, source: &str) -> Self {
        let records = view.generations().iter().filter(|record| record.seen.source == source).collect();
        let skipped_bytes = view.totals().skipped_bytes.get(source).copied().unwrap_or_default();
        Self { records, skipped_bytes }
    }

    /// Where reading of a generation began. Only the first one that was read can have begun in the middle: at what was skipped beyond the files that were skipped whole.
    fn from(&self, record: &GenerationRecord) -> u64 {
        let is_skipped = |record: &&&GenerationRecord| record.seen.state == GenerationState::Skipped;
        let first = self.records.iter().find(|record| !is_skipped(record));
        if first.is_none_or(|first| first.id != record.id) {
            return 0;
        }
        let whole: u64 =
            self.records.iter().filter(is_skipped).map(|record| record.seen.settled_offset).sum();
        self.skipped_bytes.saturating_sub(whole).min(record.seen.settled_offset)
    }
}

/// Finds the files of a log. With a ledger up to what it says is settled; without one by the store's journal, up to the last whole line.
pub(crate) fn find(
    source: &Arc<str>,
    log: &Path,
    books: Option<&Books<'_>>,
    journal: &[StoredGeneration],
    salt: u64,
) -> io::Result<Found> {
    let (mut candidates, damaged) = candidates(log, salt)?;
    let part = |candidate: &Candidate| Part {
        source: Arc::clone(source),
        log: log.to_owned(),
        path: candidate.sibling.path.clone(),
        file: candidate.sibling.stat.id,
        unpacked_bytes: candidate.unpacked_bytes,
        generation: None,
        start: None,
        from: 0,
        end: 0,
    };
    let mut found = match books {
        Some(books) => by_ledger(books, log, &mut candidates, part)?,
        None => by_journal(journal, &mut candidates, part)?,
    };
    found.damaged = damaged;
    let judged: HashSet<KeyStart> = found.parts.iter().filter_map(|part| part.start).collect();
    let mut starts: Vec<u64> = journal.iter().map(|generation| generation.start.0).collect();
    starts.sort_unstable();
    for (index, start) in starts.iter().enumerate().filter(|(_, start)| !judged.contains(&KeyStart(**start)))
    {
        // Without its ledger nobody knows how long it was: at most up to the next one.
        let end = starts[index + 1..].iter().find(|next| *next > start);
        let end = end.map_or(start.saturating_add(1_000_000_000), |next| *next);
        found.unjudged.push(Unjudged { start: *start, end });
    }
    Ok(found)
}

fn by_ledger(
    books: &Books<'_>,
    log: &Path,
    candidates: &mut [Candidate],
    part: impl Fn(&Candidate) -> Part,
) -> io::Result<Found> {
    let mut found = Found::default();
    let known: Vec<Known> = books.records.iter().map(|record| Known::from_record(record)).collect();
    let mut present = HashSet::new();
    for candidate in candidates {
        let (sibling, opening) = (&candidate.sibling, &candidate.opening);
        let stat = candidate.file.stat()?;
        let id = recognise(&known, &mut *candidate.file, stat, opening, sibling.path == log, &[])?;
        let Some(record) = id.and_then(|id| books.records.iter().find(|record| record.id == id)) else {
            found.unsettled_bytes += candidate.size;
            continue;
        };
        if !present.insert(record.id) {
            continue; // A copy of a file that is judged already.
        }
        if record.seen.state == GenerationState::Skipped {
            found.skipped_bytes += candidate.size;
            continue;
        }
        let (from, end) = (books.from(record), record.seen.settled_offset);
        found.skipped_bytes += from;
        found.unsettled_bytes += candidate.size.saturating_sub(end);
        if let Some(start) = record.start {
            let last = candidate.size.max(record.size_bytes);
            found.unjudged.push(Unjudged { start: start.0 + end, end: start.0 + last + MARGIN_BYTES });
        }
        found.parts.push(Part {
            generation: Some(record.id),
            start: record.start,
            from,
            end,
            ..part(candidate)
        });
    }
    for record in books.records.iter().filter(|record| !present.contains(&record.id)) {
        if record.seen.state == GenerationState::Skipped {
            continue;
        }
        if let Some(start) = record.start {
            let end = start.0 + record.size_bytes + MARGIN_BYTES;
            found.unjudged.push(Unjudged { start: start.0, end });
        }
        let settled = record.seen.settled_offset - books.from(record);
        if settled > 0 {
            found.gone = (found.gone.0 + 1, found.gone.1 + settled);
        }
    }
    Ok(found)
}

/// As a processor does that has lost its ledger: of several generations with one head the file that comes first has the start that was registered first.
fn by_journal(
    journal: &[StoredGeneration],
    candidates: &mut [Candidate],
    part: impl Fn(&Candidate) -> Part,
) -> io::Result<Found> {
    let mut found = Found::default();
    let mut taken = HashSet::new();
    for candidate in candidates {
        let head = candidate.opening.head();
        let mut of_head = journal.iter().filter(|generation| {
            head.as_ref().is_some_and(|head| head.fingerprint == generation.head)
                && !taken.contains(&generation.start)
        });
        let Some(generation) = of_head.next() else {
            found.unsettled_bytes += candidate.size;
            continue;
        };
        taken.insert(generation.start);
        let end = end_of_last_line(&mut *candidate.file, candidate.size)?;
        found.unsettled_bytes += candidate.size - end;
        let start = generation.start;
        found.unjudged.push(Unjudged { start: start.0 + end, end: start.0 + candidate.size + MARGIN_BYTES });
        found.parts.push(Part { start: Some(start), end, ..part(candidate) });
    }
    Ok(found)
}

/// The files that are there, and how many compressed ones cannot be read.
fn candidates(log: &Path, salt: u64) -> io::Result<(Vec<Candidate>, u64)> {
    let disk = RealDisk::default();
    'again: for _ in 0..TRIES {
        let Some(siblings) = siblings::list(&disk, log)? else { continue };
        let (mut candidates, mut damaged) = (Vec::new(), 0);
        for sibling in siblings {
            let Some(mut file) = open(&sibling.path, sibling.stat.id)? else { continue 'again };
            let mut unpacked_bytes = None;
            if sibling.gzip {
                let Gzip::Whole(length) = gzip::inspect(&mut *file)? else {
                    damaged += 1;
                    continue;
                };
                unpacked_bytes = Some(length);
                file = Box::new(Decompressed::new(file, length)?);
            }
            let opening = Opening::read(&mut *file, salt)?;
            let size = file.stat()?.size;
            candidates.push(Candidate { sibling, file, size, unpacked_bytes, opening });
        }
        return Ok((candidates, damaged));
    }
    Err(io::Error::other(format!("the files of {} kept being renamed; run it again", log.display())))
}

/// Opens a file; `None` when another file stands there now.
fn open(path: &Path, id: FileId) -> io::Result<Option<Box<dyn LogFile>>> {
    let file = match RealDisk::default().open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    Ok((file.stat()?.id == id).then_some(file))
}

impl Part {
    /// Opens the file again, wherever it was renamed to since.
    pub(crate) fn open(&self) -> io::Result<Box<dyn LogFile>> {
        let file = self.find()?;
        match self.unpacked_bytes {
            Some(length) => Ok(Box::new(Decompressed::new(file, length)?)),
            None => Ok(file),
        }
    }

    fn find(&self) -> io::Result<Box<dyn LogFile>> {
        if let Some(file) = open(&self.path, self.file)? {
            return Ok(file);
        }
        for _ in 0..TRIES {
            let siblings = siblings::list(&RealDisk::default(), &self.log)?.unwrap_or_default();
            let Some(sibling) = siblings.iter().find(|sibling| sibling.stat.id == self.file) else { break };
            if let Some(file) = open(&sibling.path, self.file)? {
                return Ok(file);
            }
        }
        Err(io::Error::new(
            io::ErrorKind::NotFound,
            "it was removed or compressed while it was being read; run it again",
        ))
    }
}

/// The place after the last newline.
fn end_of_last_line(file: &mut dyn LogFile, size: u64) -> io::Result<u64> {
    let mut block = vec![0; 64 << 10];
    let mut end = size;
    while end > 0 {
        let from = end.saturating_sub(block.len() as u64);
        let part = &mut block[..usize::try_from(end - from).expect("a block")];
        let read = read_full(file, part, from)?;
        if let Some(newline) = memchr::memrchr(b'\n', &part[..read]) {
            return Ok(from + newline as u64 + 1);
        }
        end = from;
    }
    Ok(0)
}
