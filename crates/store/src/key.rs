//! The identity of a request in a store: the digits of its time below the log's own precision carry its place in the log (X1).

use logline::LogTime;

/// Where a generation of a log (one file's life between two rotations) starts in the sequence of all bytes of its source, in bytes. Decided once, when the
/// generation is first seen, and kept for ever; two generations of a source never overlap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyStart(pub u64);

/// The time under which a request is kept, in nanoseconds since 1970: `second * 1e9 + (start + offset) mod 1e9` for logs of whole seconds. Logs with finer stamps keep
/// their milliseconds, and six digits of place below.
///
/// `offset` is the place of the line's first byte in its generation. The same line at the same place always has the same time (I2).
#[inline]
pub fn point_time_nanos(time: LogTime, start: KeyStart, offset: u64) -> i64 {
    let place = start.0.wrapping_add(offset);
    let below = if time.nanos == 0 {
        place % 1_000_000_000
    } else {
        u64::from(time.nanos) / 1_000_000 * 1_000_000 + place % 1_000_000
    };
    time.second * 1_000_000_000 + i64::try_from(below).expect("below 1e9")
}
