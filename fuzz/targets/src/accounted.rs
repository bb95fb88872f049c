//! From bytes to the account of lines: splitter and reading, however the bytes arrive. Lines in = stored + rejected, each at its place.

use log_processor::lines::Content;
use log_processor::reading::{Place, TimeLimits, line_ranges, read_line};
use log_processor::tail::splitter::{Bounds, Piece, Splitter};
use logline::{LineParser, Reason, strip_byte_order_mark};
use store::{KeyStart, point_time_nanos};

use crate::plain;

pub use crate::line::TOKENS;

/// This byte, which no UTF-8 has, stands for many of the byte before it: so a short input can make a line that is too long, or a hole.
const MANY: u8 = 0xFE;
/// With the product's bounds a line that is too long is a megabyte, and few can be tried; with small ones, in the same proportion, as many as of others.
const SMALL: Bounds = Bounds { line_bytes: 1024, hole_bytes: 64 };
/// Where the generation begins in the key sequence.
const START: KeyStart = KeyStart(123_456_789);
/// Lines older than this are rejected.
const OLDEST_SECOND: i64 = 946_684_800;

/// What became of a line: its place, and the time of its point or why it was rejected.
type Outcome = (u64, Result<i64, Reason>);

/// The first four bytes say how the rest is cut on its way in.
pub fn accounted(bytes: &[u8]) {
    let Some((cuts, body)) = bytes.split_first_chunk::<4>() else { return };
    holds(body, *cuts, Bounds::default());
}

/// The same with a line that is too long, or a long hole, in it.
pub fn accounted_long(bytes: &[u8]) {
    let Some((cuts, body)) = bytes.split_first_chunk::<4>() else { return };
    let bounds = Bounds::default();
    if let Some(file) = unfold(body, bounds) {
        holds(&file, *cuts, bounds);
    }
}

/// The same with small bounds. In the way in which lines of a file are too long, only shorter.
pub fn accounted_bounds(bytes: &[u8]) {
    let Some((cuts, body)) = bytes.split_first_chunk::<4>() else { return };
    let unfolded = unfold(body, SMALL);
    let file = unfolded.as_deref().unwrap_or(body);
    // A hole behind a byte order mark is the one that is not known as a hole: nobody writes it.
    if !file.starts_with(b"\xef\xbb\xbf\0") {
        holds(file, *cuts, SMALL);
    }
}

fn holds(file: &[u8], cuts: [u8; 4], bounds: Bounds) {
    let expected = plainly(file, bounds);
    let pieces = |parts: &[&[u8]]| pieces(parts, bounds);
    let outcomes = |pieces: &[Piece]| outcomes(pieces, bounds);
    let whole = outcomes(&pieces(&[file]));
    assert_eq!(whole, expected, "C1: lines in are not lines stored and rejected");
    let parts = cut(file, u32::from_le_bytes(cuts));
    assert_eq!(
        outcomes(&pieces(&parts)),
        expected,
        "T1: cut into {} parts the lines are others",
        parts.len()
    );
}

/// None when nothing in it stands for much: that would be a short input.
fn unfold(body: &[u8], bounds: Bounds) -> Option<Vec<u8>> {
    let at = body.iter().position(|byte| *byte == MANY)?;
    let (before, after) = body.split_at(at);
    let last = *before.last().filter(|last| **last != b'\n')?;
    let mut file = before.to_vec();
    file.resize(at + bounds.line_bytes + 4096, last);
    file.extend_from_slice(&after[1..]);
    Some(file)
}

/// Cuts at places that a number decides: some parts are empty, some hold much.
fn cut(file: &[u8], mut number: u32) -> Vec<&[u8]> {
    let mut parts = Vec::new();
    let mut rest = file;
    while !rest.is_empty() {
        number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let length = match number >> 28 {
            0..4 => (number >> 8) as usize % 3,
            4..10 => (number >> 8) as usize % 40,
            _ => (number >> 8) as usize % 0x8_0000,
        };
        let (part, after) = rest.split_at(length.min(rest.len()));
        parts.push(part);
        rest = after;
    }
    parts
}

fn pieces(parts: &[&[u8]], bounds: Bounds) -> Vec<Piece> {
    let mut splitter = Splitter::bounded(0, bounds);
    let mut pieces = Vec::new();
    let mut pushed = 0;
    for part in parts {
        splitter.push(part, &mut pieces);
        pushed += part.len() as u64;
        assert_eq!(splitter.read_offset(), pushed, "T1: another place than the bytes that came in");
        assert_eq!(splitter.handed_offset(), pieces.last().map_or(0, |piece| piece.end));
    }
    pieces.extend(splitter.finish());
    let joined =
        pieces.iter().try_fold(0, |end, piece| (piece.start == end && piece.end > end).then_some(piece.end));
    assert_eq!(joined, Some(pushed), "T1: a hole or an overlap between pieces");
    pieces
}

/// Whether a line is longer than these bounds allow, by the parser's rule: without a byte order mark, NULs before it, and a carriage return.
fn is_too_long(line: &[u8], offset: u64, bounds: Bounds) -> bool {
    let line = if offset == 0 { strip_byte_order_mark(line) } else { line };
    let hole = line.iter().take_while(|byte| **byte == 0).count();
    let line = &line[hole..];
    line.strip_suffix(b"\r").unwrap_or(line).len() > bounds.line_bytes
}

fn outcomes(pieces: &[Piece], bounds: Bounds) -> Vec<Outcome> {
    let mut parser = LineParser::default();
    let limits = TimeLimits { oldest: OLDEST_SECOND, future: i64::MAX };
    let mut outcomes = Vec::new();
    for piece in pieces {
        if piece.content == Content::TooLong {
            outcomes.push((piece.start, Err(Reason::TooLong)));
            continue;
        }
        for (start, end) in line_ranges(&piece.bytes) {
            let place = Place { source: "main", start: Some(START), offset: piece.start + start as u64 };
            if is_too_long(&piece.bytes[start..end], place.offset, bounds) {
                outcomes.push((place.offset, Err(Reason::TooLong)));
                continue;
            }
            let outcome = match read_line(&piece.bytes, start..end, place, &mut parser, limits) {
                Ok(line) => {
                    let stored = line.stored(&piece.bytes);
                    let (from, length) = stored.customer;
                    let customer = &piece.bytes[from as usize..][..usize::from(length)];
                    assert_eq!(
                        customer,
                        line.request.record.customer.as_str().as_bytes(),
                        "another customer in the ledger"
                    );
                    Ok(stored.time_nanos)
                }
                Err(reject) => {
                    assert_eq!(reject.offset, place.offset, "a rejected line has another place");
                    Err(reject.reason)
                }
            };
            outcomes.push((place.offset, outcome));
        }
    }
    outcomes
}

/// The same from the rules alone: split at newlines, every line by the plain parser.
fn plainly(file: &[u8], bounds: Bounds) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    let mut offset = 0;
    for line in file.split_inclusive(|byte| *byte == b'\n') {
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        let text = if offset == 0 { strip_byte_order_mark(text) } else { text };
        // Cheap, since the plain parser takes its time with a long line.
        let hole = text.iter().take_while(|byte| **byte == 0).count();
        let outcome = match plain::parse(&text[hole..]) {
            _ if is_too_long(line.strip_suffix(b"\n").unwrap_or(line), offset, bounds) => {
                Err(Reason::TooLong)
            }
            Ok((second, ..)) if second < OLDEST_SECOND => Err(Reason::Retention),
            Ok((second, ..)) => {
                let time = logline::LogTime { second, nanos: 0, ambiguous: false };
                Ok(point_time_nanos(time, START, offset))
            }
            Err(reason) => Err(reason),
        };
        outcomes.push((offset, outcome));
        offset += line.len() as u64;
    }
    outcomes
}
