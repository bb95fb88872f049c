//! The trail of a generation behind the frontier: its last settled bytes, from which the tail marker is made, and how far apart the lines of one second stand. Pure: no ledger, no clock.

use std::collections::{HashSet, VecDeque};
use std::ops::Range;

use store::embedded::{SettledSegment, StoredRequest};

use crate::tail::identity::mark_segment;

/// Keys repeat after so many bytes of one second: `time_ns = second * 1e9 + (start + offset) mod 1e9`.
const WRAP_BYTES: u64 = 1_000_000_000;
/// Which seconds occur is remembered for stretches of so many bytes.
const STRETCH_BYTES: u64 = 16 << 20;
/// So many seconds of one generation are counted; where there are more, its lines are in no order at all.
const SECONDS_MAX: usize = 10_000;
const NANOS: i64 = 1_000_000_000;

/// What is remembered of a generation.
#[derive(Debug, Default)]
pub struct Trail {
    last_bytes: Vec<u8>,
    seconds: SecondSpans,
}

impl Trail {
    /// A segment is passed, in file order. Returns how many seconds span a gigabyte or more since it.
    pub fn pass(&mut self, segment: &mut SettledSegment) -> u64 {
        mark_segment(&mut self.last_bytes, segment);
        let line = |request: &StoredRequest| {
            let customer = request.customer.0 as usize;
            let start = memchr::memrchr(b'\n', &segment.bytes[..customer]).map_or(0, |newline| newline + 1);
            segment.start_offset + start as u64
        };
        let spans = segment.requests.iter().filter(|request| {
            let about = segment.start_offset + u64::from(request.customer.0);
            self.seconds.note(request.time_nanos, about, || line(request))
        });
        spans.count() as u64
    }
}

/// How far apart the lines of one second stand in a generation. Exact for lines in the order of their times. Of a line that comes late it is known which seconds stand a gigabyte and more before it, from the
/// first to the last, but not whether each of them does.
#[derive(Debug, Default)]
struct SecondSpans {
    /// The newest second, and where its first line stands.
    newest: Option<(i64, u64)>,
    /// Where each stretch begins, and the first and last second in it; no older ones than are needed.
    stretches: VecDeque<(u64, i64, i64)>,
    /// The first and last second of all that stands a gigabyte behind.
    behind: Option<(i64, i64)>,
    counted: HashSet<i64>,
    /// The times of the second of the last line, and up to where nothing is to be noted of another line of it.
    last: Range<i64>,
    calm_until: u64,
}

impl SecondSpans {
    /// A line of this time stands at `about`, or begins a little before it; `line` tells where exactly. True when its second spans too much since this line.
    #[inline]
    fn note(&mut self, time_nanos: i64, about: u64, line: impl FnOnce() -> u64) -> bool {
        if self.last.contains(&time_nanos) && about < self.calm_until {
            return false; // Nearly always: another line of the second that was just there.
        }
        let second = time_nanos.div_euclid(NANOS);
        let spans = self.note_slowly(second, line());
        self.last = second * NANOS..(second + 1) * NANOS;
        self.calm_until = match (self.newest, self.stretches.back()) {
            (Some((_, first)), Some((begins, ..))) if self.behind.is_none() => {
                (begins + STRETCH_BYTES).min(first + WRAP_BYTES)
            }
            _ => 0, // In a file of more than a gigabyte every line counts.
        };
        spans
    }

    fn note_slowly(&mut self, second: i64, offset: u64) -> bool {
        match self.stretches.back_mut() {
            Some((begins, from, to)) if offset < *begins + STRETCH_BYTES => {
                (*from, *to) = ((*from).min(second), (*to).max(second));
            }
            _ => self.stretches.push_back((offset, second, second)),
        }
        while let Some((begins, from, to)) = self.stretches.front().copied()
            && begins + WRAP_BYTES <= offset
        {
            let (first, last) = self.behind.unwrap_or((from, to));
            self.behind = Some((first.min(from), last.max(to)));
            self.stretches.pop_front();
        }
        let spans = match self.newest {
            Some((newest, first)) if newest == second => offset >= first + WRAP_BYTES,
            Some((newest, _)) if second < newest => {
                self.behind.is_some_and(|(first, last)| (first..=last).contains(&second))
            }
            _ => {
                self.newest = Some((second, offset));
                false
            }
        };
        spans && self.counted.len() < SECONDS_MAX && self.counted.insert(second)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// How many seconds span too much.
    fn spans(lines: &[(i64, u64)]) -> usize {
        let mut seconds = SecondSpans::default();
        // What stands before the customer, a time.
        lines.iter().filter(|(second, at)| seconds.note(second * NANOS + 123, at + 20, || *at)).count()
    }

    #[test]
    fn a_second_spans_a_gigabyte_exactly_when_keys_can_repeat() {
        let wrap = WRAP_BYTES;
        assert_eq!(spans(&[(7, 0), (7, wrap - 1)]), 0);
        assert_eq!(spans(&[(7, 0), (7, wrap)]), 1);
        assert_eq!(spans(&[(7, 55), (7, wrap + 54), (8, wrap + 55), (8, 2 * wrap + 54)]), 0);
        assert_eq!(spans(&[(7, 55), (7, wrap + 55), (7, wrap + 99), (7, 5 * wrap)]), 1, "each second once");
        assert_eq!(spans(&[(7, 0), (7, wrap), (8, wrap + 60), (8, 2 * wrap + 60)]), 2);
        let in_order: Vec<(i64, u64)> = (0..300).map(|n| (n as i64 / 3, n * 50_000_000)).collect();
        assert_eq!(spans(&in_order), 0, "fifteen gigabytes, none of a second");
    }

    #[test]
    fn a_line_that_comes_a_gigabyte_late_is_noticed() {
        let lines = |late: i64| {
            let mut lines: Vec<(i64, u64)> = (0..40).map(|n| (100 + n, n as u64 * 50_000_000)).collect();
            lines.push((late, 2_000_000_000));
            lines
        };
        assert_eq!(spans(&lines(105)), 1);
        assert_eq!(spans(&lines(130)), 0, "half a gigabyte late");
        assert_eq!(spans(&lines(99)), 0, "nothing of that second was there");
    }

    proptest! {
        /// Lines in the order of their times, some beside it in their own stretch: as a plain table of each second's first line counts.
        #[test]
        fn lines_in_order_are_counted_as_by_a_table(steps in prop::collection::vec((0i64..2, 1u64..400_000_000), 1..80)) {
            let (mut second, mut at) = (0, 0);
            let lines: Vec<(i64, u64)> = steps.iter().map(|(ahead, bytes)| { second += ahead; at += bytes; (second, at) }).collect();
            let mut firsts = std::collections::HashMap::new();
            let mut too_far = HashSet::new();
            for (second, at) in &lines {
                if at - *firsts.entry(*second).or_insert(*at) >= WRAP_BYTES {
                    too_far.insert(*second);
                }
            }
            prop_assert_eq!(spans(&lines), too_far.len());
        }
    }
}
