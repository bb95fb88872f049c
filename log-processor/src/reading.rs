//! One line of a log to the request that is stored for it, or to a rejected line: the one code for it, used by the workers, by `verify` and by `replay`. Pure: no files, no
//! clock, no store.

use std::ops::Range;
use std::time::Duration;

use logline::{LineParser, ParseError, Reason, strip_byte_order_mark};
use store::embedded::{Reject, StoredRequest};
use store::{KeyStart, PlacedRequest, point_time_nanos};

/// Stored lines ahead of the clock by more than this are counted `future_time`.
pub const FUTURE_SECONDS: i64 = 300;
/// How much of a rejected line is kept.
pub const REJECT_KEPT_BYTES: usize = 1024;

/// Where a line stands.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// Its log's source.
    pub source: &'a str,
    /// Its generation's place in the key sequence; decided before its first valid line is read.
    pub start: Option<KeyStart>,
    /// The place of its first byte in the generation.
    pub offset: u64,
}

/// What is judged by the clock.
#[derive(Clone, Copy, Debug)]
pub struct TimeLimits {
    /// The oldest second that is kept.
    pub oldest: i64,
    /// Seconds after this one are counted `future_time`.
    pub future: i64,
}

impl TimeLimits {
    /// The limits at an instant.
    pub fn at(clock_second: i64, retention: Option<Duration>) -> Self {
        Self {
            oldest: stats::first_kept_second(clock_second, retention),
            future: clock_second + FUTURE_SECONDS,
        }
    }
}

/// A line that is to be stored.
#[derive(Debug)]
pub struct GoodLine<'a> {
    /// As the store takes it.
    pub request: PlacedRequest<'a>,
    /// It is far ahead of the clock.
    pub future: bool,
}

impl GoodLine<'_> {
    /// As the ledger takes it: with places in the piece's bytes, which must be those that it was read from.
    #[inline(always)]
    pub fn stored(&self, bytes: &[u8]) -> StoredRequest {
        let PlacedRequest { record, time_nanos, .. } = self.request;
        StoredRequest {
            customer: place_in(bytes, record.customer.as_bytes()),
            path: record.path.map_or((0, 0), |path| place_in(bytes, path.as_bytes())),
            status: record.status.code(),
            latency_micros: record.latency.map_or(u64::MAX, |latency| latency.micros()),
            time_nanos,
        }
    }
}

/// The ranges of the lines in some bytes, each without its newline; a last one without newline counts.
pub fn line_ranges(bytes: &[u8]) -> impl Iterator<Item = (usize, usize)> + '_ {
    let mut start = 0;
    memchr::memchr_iter(b'\n', bytes).chain(std::iter::once(bytes.len())).filter_map(move |end| {
        let range = (start, end);
        start = end + 1;
        // The end of the bytes is the end of a line only when no newline stands there.
        (range.0 < bytes.len()).then_some(range)
    })
}

/// Reads the line that stands at `range` in the bytes of a piece.
// Always: it is the loop of the workers, and its result is larger than what it reads.
#[inline(always)]
pub fn read_line<'a>(
    bytes: &'a [u8],
    range: Range<usize>,
    place: Place<'a>,
    parser: &mut LineParser,
    limits: TimeLimits,
) -> Result<GoodLine<'a>, Reject> {
    let offset = place.offset;
    let line = &bytes[range];
    let text = if offset == 0 { strip_byte_order_mark(line) } else { line };
    let record = parser.parse(text).map_err(|error| unreadable(offset, error, line))?;
    if record.time.second < limits.oldest {
        return Err(too_old(offset, line));
    }
    let start = place.start.expect("tail decides the start before a valid line leaves it");
    let time_nanos = point_time_nanos(record.time, start, offset);
    let request = PlacedRequest { source: place.source, record, time_nanos };
    Ok(GoodLine { request, future: record.time.second > limits.future })
}

#[cold]
fn unreadable(offset: u64, error: ParseError, line: &[u8]) -> Reject {
    let detail = format!("column {}: expected {}", error.column, error.reason.expectation());
    reject(offset, error.reason, detail, line)
}

#[cold]
fn too_old(offset: u64, line: &[u8]) -> Reject {
    reject(offset, Reason::Retention, Reason::Retention.expectation().to_owned(), line)
}

/// Where a text that was borrowed from `bytes` stands in them.
#[inline]
fn place_in(bytes: &[u8], text: &[u8]) -> (u32, u16) {
    let from = text.as_ptr().addr() - bytes.as_ptr().addr();
    let place = u32::try_from(from).expect("a piece is far below 4 GiB");
    (place, u16::try_from(text.len()).expect("customer and path are below 64 KiB"))
}

/// A rejected line, with as much of it as is kept.
pub fn reject(offset: u64, reason: Reason, detail: String, line: &[u8]) -> Reject {
    Reject { offset, reason, detail, line: line[..line.len().min(REJECT_KEPT_BYTES)].to_vec() }
}
