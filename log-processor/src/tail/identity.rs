//! How a file is known again: by content first (its head, which is in `opening`, and its tail marker), by inode only where there is no content to compare. Reads a few bytes, changes nothing.

use std::io;

use logline::Reason;
use store::KeyStart;
use store::embedded::{Head, SettledSegment};
use xxhash_rust::xxh3::xxh3_64;

use super::disk::{LogFile, read_full};
use crate::lines::TailMarker;

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
    // Of a line that was passed over because of its length only the beginning is here; one just over the limit is here as it stands in the file.
    let first = segment.rejects.first();
    let too_long = !joined && first.is_some_and(|reject| reject.reason == Reason::TooLong);
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
