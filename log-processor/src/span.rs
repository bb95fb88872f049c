//! Spans: half-open ranges of bytes in one generation of a log. Arithmetic only.

use store::embedded::GenerationId;

/// The bytes `[start, end)` of one generation; never empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Whose bytes.
    pub generation: GenerationId,
    /// The place of the first byte.
    pub start: u64,
    /// The place after the last byte.
    pub end: u64,
}

impl Span {
    /// A span; panics when it is empty (B1).
    pub fn new(generation: GenerationId, start: u64, end: u64) -> Self {
        assert!(start < end, "B1: an empty span: {generation:?} {start}..{end}");
        Self { generation, start, end }
    }

    /// How many bytes it covers.
    pub fn length_bytes(&self) -> u64 {
        self.end - self.start
    }

    /// Cuts it at `place`, which lies inside.
    pub fn split_at(self, place: u64) -> (Span, Span) {
        (Span::new(self.generation, self.start, place), Span::new(self.generation, place, self.end))
    }
}
