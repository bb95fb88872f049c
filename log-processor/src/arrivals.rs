//! How long the oldest unsettled byte of a file has been waiting. Pure: sizes and times come from outside.

use std::collections::VecDeque;

/// So many instants are kept for a file. When there are more, every second one is forgotten: the answer then errs to the older side, by one interval at most.
const MARKS_MAX: usize = 32;

/// When the bytes of a file that are not settled were first seen.
#[derive(Clone, Debug, Default)]
pub struct Arrivals {
    /// All bytes before `end` had been seen at `at_micros`; both ascend.
    marks: VecDeque<Mark>,
    settled: u64,
}

#[derive(Clone, Copy, Debug)]
struct Mark {
    end: u64,
    at_micros: i64,
}

impl Arrivals {
    /// The file was seen to have this size.
    pub fn saw(&mut self, size: u64, now_micros: i64) {
        if size <= self.marks.back().map_or(self.settled, |mark| mark.end) {
            return;
        }
        self.marks.push_back(Mark { end: size, at_micros: now_micros });
        if self.marks.len() > MARKS_MAX {
            // Of two neighbours the earlier time and the farther end stay.
            let pairs: Vec<Mark> = self.marks.drain(..).collect();
            let joined = |pair: &[Mark]| Mark { end: pair[pair.len() - 1].end, ..pair[0] };
            self.marks = pairs.chunks(2).map(joined).collect();
        }
    }

    /// Since when the byte at `settled` has been there, if there is one that was seen.
    pub fn waiting_since(&mut self, settled: u64) -> Option<i64> {
        self.settled = self.settled.max(settled);
        while self.marks.front().is_some_and(|mark| mark.end <= settled) {
            self.marks.pop_front();
        }
        self.marks.front().map(|mark| mark.at_micros)
    }
}

#[cfg(test)]
mod tests {
    //! The age of the oldest byte that waits.

    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_oldest_byte_that_is_not_settled_tells_the_age() {
        let mut arrivals = Arrivals::default();
        assert_eq!(arrivals.waiting_since(0), None);
        arrivals.saw(100, 1_000);
        arrivals.saw(100, 2_000);
        arrivals.saw(300, 3_000);
        assert_eq!(arrivals.waiting_since(0), Some(1_000));
        assert_eq!(arrivals.waiting_since(99), Some(1_000));
        assert_eq!(arrivals.waiting_since(100), Some(3_000));
        assert_eq!(arrivals.waiting_since(300), None);
        arrivals.saw(300, 4_000);
        assert_eq!(arrivals.waiting_since(300), None, "nothing new was seen");
        arrivals.saw(301, 5_000);
        assert_eq!(arrivals.waiting_since(300), Some(5_000));
    }

    proptest! {
        /// With as many looks as there may be, the age is never too small, and too large by less than the forgotten looks lie apart.
        #[test]
        fn an_age_errs_to_the_older_side_only(steps in prop::collection::vec((1_u64..50, 1_i64..1000), 1..300), settled_part in 0.0_f64..1.0) {
            let (mut arrivals, mut size, mut now, mut seen) = (Arrivals::default(), 0, 0, vec![]);
            for (grown, later) in steps {
                size += grown;
                now += later;
                arrivals.saw(size, now);
                seen.push((size, now));
            }
            #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place somewhere in the file")]
            let settled = (size as f64 * settled_part) as u64;
            let exact = seen.iter().find(|(end, _)| *end > settled).map(|(_, at)| *at);
            let told = arrivals.waiting_since(settled);
            prop_assert_eq!(told.is_some(), exact.is_some());
            prop_assert!(told <= exact);
            prop_assert!(arrivals.marks.len() <= MARKS_MAX);
        }
    }
}
