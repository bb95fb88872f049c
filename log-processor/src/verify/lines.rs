//! The lines of a file, read as the processor reads them: the same splitter, the same parser, the same keys. A first pass notes which times stand where; later passes read
//! only the stretches that are asked for.

use std::collections::{HashSet, VecDeque};
use std::io;
use std::ops::Range;

use logline::{LineParser, Zone};
use store::embedded::GenerationId;

use super::files::Part;
use super::plan::Counts;
use crate::lines::{Content, count_lines};
use crate::reading::{GoodLine, Place, TimeLimits, line_ranges, read_line};
use crate::tail::disk::{FileId, LogFile, read_full};
use crate::tail::splitter::{Piece, Splitter};

const BLOCK_BYTES: usize = 256 << 10;
/// A stretch of a file is about that long: what is read again to find the lines of one time.
const STRETCH_BYTES: u64 = 4 << 20;
const NANOS_PER_SECOND: i64 = 1_000_000_000;

/// A stretch of a file: whole lines, and the times in them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stretch {
    /// Index of the file among the judged ones of its source.
    pub(crate) part: usize,
    /// The place of its first byte.
    pub(crate) start: u64,
    /// The place behind its last byte.
    pub(crate) end: u64,
    /// The seconds of the first and the last of its requests, by time; none without requests.
    pub(crate) seconds: Option<(i64, i64)>,
}

impl Stretch {
    /// Whether a request in it can have a time in this range of nanoseconds.
    pub(crate) fn meets(&self, range: &Range<i64>) -> bool {
        self.seconds.is_some_and(|(first, last)| {
            first.saturating_mul(NANOS_PER_SECOND) < range.end
                && last.saturating_add(1).saturating_mul(NANOS_PER_SECOND) > range.start
        })
    }
}

/// What a first pass over a file has found.
#[derive(Clone, Debug, Default)]
pub(crate) struct Survey {
    /// Its stretches, in order.
    pub(crate) stretches: Vec<Stretch>,
    /// Lines that make a point.
    pub(crate) requests: u64,
    /// Lines that are rejected for what they are.
    pub(crate) rejected: u64,
    /// Lines older than the retention now: they may have been stored once, and may be gone.
    pub(crate) beyond_retention: u64,
    /// Lines that the store has refused alone, by the ledger's word.
    pub(crate) refused: u64,
}

/// Reads lines of files.
#[derive(Debug)]
pub(crate) struct LineReader {
    parser: LineParser,
    limits: TimeLimits,
    refused: HashSet<(GenerationId, u64)>,
    files: OpenFiles,
}

/// The files that were read last, open: a compressed one goes on from where it was.
#[derive(Debug, Default)]
struct OpenFiles(VecDeque<(FileId, Box<dyn LogFile>)>);

/// A line that makes a point, and where it stands.
#[derive(Debug)]
pub(crate) struct Line<'a> {
    /// The request.
    pub(crate) good: GoodLine<'a>,
    /// The place of its first byte.
    pub(crate) offset: u64,
}

impl LineReader {
    /// A reader. `refused`: the lines that the store has refused alone.
    pub(crate) fn new(zone: Zone, limits: TimeLimits, refused: HashSet<(GenerationId, u64)>) -> Self {
        Self { parser: LineParser::new(zone), limits, refused, files: OpenFiles::default() }
    }

    /// The first pass over a file: counts its requests by time.
    pub(crate) fn survey(&mut self, index: usize, part: &Part, counts: &mut Counts) -> io::Result<Survey> {
        let mut survey = Survey::default();
        let mut open = Stretch { part: index, start: part.from, end: part.from, seconds: None };
        let limits = self.limits;
        let mut files = std::mem::take(&mut self.files);
        let read = files.for_each_piece(part, part.from..part.end, |piece| {
            let lines = if piece.content == Content::TooLong { 1 } else { count_lines(&piece.bytes) } as u64;
            let mut good = 0;
            self.for_each_line_of(part, &piece, TimeLimits { oldest: i64::MIN, ..limits }, |line| {
                good += 1;
                let time_nanos = line.good.request.time_nanos;
                let second = time_nanos.div_euclid(NANOS_PER_SECOND);
                if second < limits.oldest {
                    survey.beyond_retention += 1;
                    return;
                }
                let (first, last) = open.seconds.unwrap_or((second, second));
                open.seconds = Some((first.min(second), last.max(second)));
                survey.requests += 1;
                counts.add(time_nanos);
            });
            survey.rejected += lines - good;
            open.end = piece.end;
            if open.end - open.start >= STRETCH_BYTES {
                survey.stretches.push(open);
                open = Stretch { start: open.end, seconds: None, ..open };
            }
        });
        self.files = files;
        read?;
        if open.end > open.start {
            survey.stretches.push(open);
        }
        let refused = self.refused.iter().filter(|(generation, _)| Some(*generation) == part.generation);
        survey.refused = refused.count() as u64;
        survey.rejected -= survey.refused.min(survey.rejected);
        Ok(survey)
    }

    /// Counts the requests of one range of time, by finer steps than before.
    pub(crate) fn count(&mut self, part: &Part, stretch: &Stretch, counts: &mut Counts) -> io::Result<()> {
        let range = counts.range();
        self.for_each_line(part, stretch, |line| {
            if range.contains(&line.good.request.time_nanos) {
                counts.add(line.good.request.time_nanos);
            }
        })
    }

    /// Visits the requests of a stretch, in the order of the file.
    pub(crate) fn for_each_line(
        &mut self,
        part: &Part,
        stretch: &Stretch,
        mut visit: impl FnMut(Line<'_>),
    ) -> io::Result<()> {
        let limits = self.limits;
        let mut files = std::mem::take(&mut self.files);
        let read = files.for_each_piece(part, stretch.start..stretch.end, |piece| {
            self.for_each_line_of(part, &piece, limits, &mut visit);
        });
        self.files = files;
        read
    }

    /// Visits all requests of a file, in its order; how many are older than the retention.
    pub(crate) fn read_whole(&mut self, part: &Part, mut visit: impl FnMut(Line<'_>)) -> io::Result<u64> {
        let limits = self.limits;
        let mut too_old = 0;
        let mut files = std::mem::take(&mut self.files);
        let read = files.for_each_piece(part, part.from..part.end, |piece| {
            self.for_each_line_of(part, &piece, TimeLimits { oldest: i64::MIN, ..limits }, |line| {
                if line.good.request.record.time.second < limits.oldest {
                    too_old += 1;
                } else {
                    visit(line);
                }
            });
        });
        self.files = files;
        read?;
        Ok(too_old)
    }

    fn for_each_line_of(
        &mut self,
        part: &Part,
        piece: &Piece,
        limits: TimeLimits,
        mut visit: impl FnMut(Line<'_>),
    ) {
        if piece.content == Content::TooLong || part.start.is_none() {
            return;
        }
        for (start, end) in line_ranges(&piece.bytes) {
            let offset = piece.start + start as u64;
            let refused = part.generation.is_some_and(|id| self.refused.contains(&(id, offset)));
            if refused {
                continue;
            }
            let place = Place { source: &part.source, start: part.start, offset };
            if let Ok(good) = read_line(&piece.bytes, start..end, place, &mut self.parser, limits) {
                visit(Line { good, offset });
            }
        }
    }
}

impl OpenFiles {
    const MOST: usize = 8;

    /// The part's file, open.
    fn open(&mut self, part: &Part) -> io::Result<&mut dyn LogFile> {
        let file = match self.0.iter().position(|(id, _)| *id == part.file) {
            Some(index) => self.0.remove(index).expect("just found there"),
            None => (part.file, part.open()?),
        };
        self.0.truncate(Self::MOST - 1);
        self.0.push_front(file);
        Ok(&mut *self.0[0].1)
    }

    /// Reads a range of a file, which begins at the beginning of a line, and visits its whole lines. What stands at the range's end without a newline was settled as a line.
    fn for_each_piece(
        &mut self,
        part: &Part,
        range: Range<u64>,
        mut visit: impl FnMut(Piece),
    ) -> io::Result<()> {
        let named =
            |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", part.path.display()));
        let file = self.open(part).map_err(named)?;
        let mut splitter = Splitter::new(range.start);
        let mut block = vec![0; BLOCK_BYTES];
        let mut pieces = Vec::new();
        while splitter.read_offset() < range.end {
            let rest = usize::try_from(range.end - splitter.read_offset()).unwrap_or(BLOCK_BYTES);
            let block = &mut block[..rest.min(BLOCK_BYTES)];
            let read = read_full(file, block, splitter.read_offset()).map_err(named)?;
            if read == 0 {
                let why = "it has become shorter while it was being read; run it again";
                return Err(named(io::Error::new(io::ErrorKind::UnexpectedEof, why)));
            }
            splitter.push(&block[..read], &mut pieces);
            pieces.drain(..).for_each(&mut visit);
        }
        if let Some(last) = splitter.finish() {
            visit(last);
        }
        Ok(())
    }
}
