//! How a file is known again: by content first (head and tail marker), by inode only where there is no content to compare. Reads a few bytes, changes nothing.

use std::io;

use logline::{LineParser, Reason, Zone, strip_byte_order_mark};
use store::KeyStart;
use store::embedded::{Head, SettledSegment};
use xxhash_rust::xxh3::{xxh3_64, xxh3_128_with_seed};

use super::disk::{LogFile, read_full};
use super::splitter::Piece;
use crate::lines::{Content, TailMarker};

/// The head of a generation covers at most that many bytes.
pub const HEAD_MAX_BYTES: usize = 64 << 10;
/// The tail marker covers at most that many bytes.
pub const MARKER_MAX_BYTES: usize = 1024;
/// Left free between two generations in the key sequence: as much may still be written to a file after it was renamed.
const START_GAP_BYTES: u64 = 16 << 20;

/// The tail marker of a place, from the bytes that stand before it.
pub fn marker_of(bytes_before: &[u8]) -> TailMarker {
    let last = &bytes_before[bytes_before.len().saturating_sub(MARKER_MAX_BYTES)..];
    (xxh3_64(last), last.len() as u64)
}

/// Adds bytes to the last ones of a generation, from which its marker is made. `joined`: they follow without a hole. A marker of one short piece alone would hold in too many files.
pub fn extend_last_bytes(last: &mut Vec<u8>, bytes: &[u8], joined: bool) {
    let bytes = &bytes[bytes.len().saturating_sub(MARKER_MAX_BYTES)..];
    if !joined {
        last.clear();
    }
    last.drain(..(last.len() + bytes.len()).saturating_sub(MARKER_MAX_BYTES));
    last.extend_from_slice(bytes);
}

/// Marks the end of a segment; `last` are the last bytes before it.
pub fn mark_segment(last: &mut Vec<u8>, segment: &mut SettledSegment) {
    let joined = segment.end_offset - segment.start_offset == segment.bytes.len() as u64;
    let too_long = segment.rejects.first().is_some_and(|reject| reject.reason == Reason::TooLong);
    extend_last_bytes(last, if too_long { b"\n" } else { &segment.bytes }, joined);
    segment.tail_marker = marker_of(last);
}

/// Whether the bytes before `offset` are still those of the marker.
pub fn marker_holds(file: &mut dyn LogFile, offset: u64, marker: TailMarker) -> io::Result<bool> {
    Ok(bytes_of_marker(file, offset, marker)?.is_some())
}

/// The bytes before `offset`, if they are still those of the marker.
pub fn bytes_of_marker(
    file: &mut dyn LogFile,
    offset: u64,
    (hash, length): TailMarker,
) -> io::Result<Option<Vec<u8>>> {
    let (Some(from), Ok(length)) = (offset.checked_sub(length), usize::try_from(length)) else {
        return Ok(None);
    };
    if length > MARKER_MAX_BYTES {
        return Ok(None);
    }
    let mut bytes = vec![0; length];
    let read = read_full(file, &mut bytes, from)?;
    Ok((read == length && (length == 0 || xxh3_64(&bytes) == hash)).then_some(bytes))
}

/// The first bytes of a file, from which its head is known.
#[derive(Debug)]
pub struct Opening {
    bytes: Vec<u8>,
    salt: u64,
}

impl Opening {
    /// Reads them. `salt` (LOG_SALT) tells equal files apart on purpose.
    pub fn read(file: &mut dyn LogFile, salt: u64) -> io::Result<Self> {
        let mut bytes = vec![0; HEAD_MAX_BYTES];
        let length = read_full(file, &mut bytes, 0)?;
        bytes.truncate(length);
        Ok(Self { bytes, salt })
    }

    /// The head: up to the end of the first valid line, at most [`HEAD_MAX_BYTES`]. None while there is no valid line and the file is shorter than that.
    pub fn head(&self) -> Option<Head> {
        let mut parser = LineParser::new(Zone::Utc);
        let mut start = 0;
        for newline in memchr::memchr_iter(b'\n', &self.bytes) {
            let line = &self.bytes[start..newline];
            let text = if start == 0 { strip_byte_order_mark(line) } else { line };
            start = newline + 1;
            if parser.parse(text).is_ok() {
                return Some(self.head_of(start));
            }
        }
        (self.bytes.len() == HEAD_MAX_BYTES).then(|| self.head_of(HEAD_MAX_BYTES))
    }

    /// Whether a piece that was read stands in the file now, as far as this opening reaches.
    pub fn agrees_with(&self, piece: &Piece) -> bool {
        let from = usize::try_from(piece.start).unwrap_or(usize::MAX).min(self.bytes.len());
        // A piece behind a hole, and the beginning of a line that is too long, do not stand there as they are.
        let as_read = piece.content == Content::Lines && piece.bytes.len() as u64 == piece.end - piece.start;
        let shared = piece.bytes.len().min(self.bytes.len() - from);
        let shrunk = self.bytes.len() < HEAD_MAX_BYTES && shared < piece.bytes.len();
        !as_read || (!shrunk && self.bytes[from..from + shared] == piece.bytes[..shared])
    }

    /// Whether the file begins with this head.
    pub fn begins_with(&self, head: &Head) -> bool {
        usize::try_from(head.length_bytes)
            .is_ok_and(|length| length <= self.bytes.len() && self.head_of(length) == *head)
    }

    /// The head of a finished file whose last line has no newline and is its first valid one.
    pub fn whole(&self) -> Head {
        self.head_of(self.bytes.len())
    }

    fn head_of(&self, length: usize) -> Head {
        let fingerprint = xxh3_128_with_seed(&self.bytes[..length], self.salt);
        Head { fingerprint: format!("{fingerprint:032x}"), length_bytes: length as u64 }
    }
}

/// The start of the first generation of a source: its place in the key sequence is drawn from its content, so that a processor that has lost everything draws it again.
pub fn hashed_start(head: &Head) -> KeyStart {
    KeyStart(xxh3_64(head.fingerprint.as_bytes()) % 1_000_000_000)
}

/// The start of the generation that follows one of that start and size: chained starts never overlap.
pub fn chained_start(before: KeyStart, size_bytes: u64) -> KeyStart {
    KeyStart(before.0 + size_bytes + START_GAP_BYTES)
}

/// The number that LOG_SALT stands for; 0 for an empty one.
pub fn salt_of(text: &str) -> u64 {
    if text.is_empty() { 0 } else { xxh3_64(text.as_bytes()) }
}
