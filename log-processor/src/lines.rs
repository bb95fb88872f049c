//! What travels: lines with their place (`Lines`), batches of them, and batches that settled. No logic beyond cutting lines at a newline.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use bytes::Bytes;
use store::KeyStart;
use store::embedded::{GenerationId, SettledSegment};
use tokio::sync::OwnedSemaphorePermit;

use crate::span::Span;

/// One generation of a followed log, as the rooms after tail know it.
#[derive(Debug)]
pub struct Generation {
    /// Its row in the ledger.
    pub id: GenerationId,
    /// Its log's source.
    pub source: Arc<str>,
    /// Its place in the key sequence: decided, and durable in ledger and store, before its first valid line leaves tail.
    pub start: OnceLock<KeyStart>,
}

/// Hash and length of the bytes before a place in a file, by which the file is known again ([`store::embedded::GenerationRecord::tail_marker`]).
pub type TailMarker = (u64, u64);

/// What the bytes of a piece are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Whole lines, each ending in `\n` (the last one of a finished generation may lack it).
    Lines,
    /// The first bytes of one line that is longer than a line may be; the span covers all of it.
    TooLong,
}

/// Whole lines of one generation with their place (T1).
#[derive(Clone, Debug)]
pub struct Lines {
    /// Whose lines.
    pub generation: Arc<Generation>,
    /// Where they are.
    pub span: Span,
    /// Their bytes.
    pub bytes: Bytes,
    /// What the bytes are.
    pub content: Content,
    /// How many lines.
    pub count: usize,
    /// These bytes' share of the memory budget; returns to it when the frontier has passed all clones.
    pub budget: Arc<OwnedSemaphorePermit>,
}

/// Lines that travel together to a worker.
#[derive(Debug)]
pub struct Batch {
    /// Pieces in the order in which tail read them.
    pub pieces: Vec<Lines>,
    /// Lines in all pieces.
    pub lines: usize,
    /// Bytes in all pieces.
    pub bytes: usize,
    /// When its first line was read.
    pub since: Instant,
}

/// A piece whose every line is stored or rejected.
#[derive(Debug)]
pub struct Settled {
    /// Where.
    pub span: Span,
    /// What becomes of it in the ledger.
    pub segment: SettledSegment,
    /// How many lines.
    pub lines: usize,
    /// Held until the frontier has passed the piece.
    pub budget: Arc<OwnedSemaphorePermit>,
}

impl Lines {
    /// Splits off the first `count` lines. Needs `0 < count < self.count`.
    pub fn split_lines(self, count: usize) -> (Lines, Lines) {
        assert!(count > 0 && count < self.count, "B1: a cut of {count} of {} lines", self.count);
        let cut =
            memchr::memchr_iter(b'\n', &self.bytes).nth(count - 1).expect("`count` newlines are in it") + 1;
        let (first, second) = self.span.split_at(self.span.start + cut as u64);
        let head = Lines { span: first, bytes: self.bytes.slice(..cut), count, ..self.clone() };
        let tail = Lines { span: second, bytes: self.bytes.slice(cut..), count: self.count - count, ..self };
        (head, tail)
    }
}

/// How many lines these bytes hold; a last one without its newline counts.
pub fn count_lines(bytes: &[u8]) -> usize {
    memchr::memchr_iter(b'\n', bytes).count()
        + usize::from(!bytes.is_empty() && bytes[bytes.len() - 1] != b'\n')
}
