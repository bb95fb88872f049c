//! Which ranges of time are compared at once: counted first, so that whatever a log is like, one range holds no more requests than fit into memory. Pure.

use std::collections::BTreeMap;
use std::ops::Range;

/// An hour, in nanoseconds: the first step of counting.
pub(crate) const HOUR_NANOS: i64 = 3_600_000_000_000;
/// How much finer each further step is.
const FINER: i64 = 3600;

/// Requests counted by time, in steps of one length.
#[derive(Clone, Debug)]
pub(crate) struct Counts {
    range: Range<i64>,
    step_nanos: i64,
    by_step: BTreeMap<i64, u64>,
}

/// A range of time and how many requests are in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    /// From the first nanosecond to the one behind the last.
    pub(crate) range: Range<i64>,
    /// Requests.
    pub(crate) requests: u64,
}

impl Counts {
    /// Counts whatever comes, by the hour.
    pub(crate) fn by_hour() -> Self {
        Self { range: i64::MIN..i64::MAX, step_nanos: HOUR_NANOS, by_step: BTreeMap::new() }
    }

    /// Counts what lies in a window that turned out too large, by finer steps; `None` when there are none: a single nanosecond.
    pub(crate) fn finer(&self, window: &Window) -> Option<Self> {
        (self.step_nanos > 1).then(|| Self {
            range: window.range.clone(),
            step_nanos: (self.step_nanos / FINER).max(1),
            by_step: BTreeMap::new(),
        })
    }

    /// The range that is counted.
    pub(crate) fn range(&self) -> Range<i64> {
        self.range.clone()
    }

    /// Counts one request.
    pub(crate) fn add(&mut self, time_nanos: i64) {
        *self.by_step.entry(time_nanos.div_euclid(self.step_nanos)).or_default() += 1;
    }

    /// Windows in order of time, without hole between them, each of at most `most` requests, except where one step alone has more.
    pub(crate) fn windows(&self, most: u64) -> Vec<Window> {
        let mut windows: Vec<Window> = Vec::new();
        for (step, requests) in &self.by_step {
            let from = (step * self.step_nanos).max(self.range.start);
            let to = ((step + 1) * self.step_nanos).min(self.range.end);
            match windows.last_mut() {
                Some(last) if last.requests + requests <= most => {
                    last.range.end = to;
                    last.requests += requests;
                }
                last => {
                    let from = last.map_or(from, |last| last.range.end);
                    // A hole before a step belongs to it: what lies there was put there by somebody else.
                    windows.push(Window { range: from..to, requests: *requests });
                }
            }
        }
        if let (Some(first), Some(last)) = (windows.first().map(|w| w.range.start), windows.last_mut()) {
            if self.range.end != i64::MAX {
                last.range.end = self.range.end;
            }
            if self.range.start != i64::MIN {
                debug_assert!(first >= self.range.start);
                windows[0].range.start = self.range.start;
            }
        }
        windows
    }
}

#[cfg(test)]
mod tests {
    //! Windows join, hold everything once, and are small.

    use super::*;
    use proptest::prelude::*;

    #[test]
    fn hours_are_put_together_up_to_the_limit() {
        let mut counts = Counts::by_hour();
        for (hour, requests) in [(0, 3), (1, 3), (5, 4), (6, 20), (7, 1)] {
            (0..requests).for_each(|nanos| counts.add(hour * HOUR_NANOS + nanos));
        }
        let windows = counts.windows(10);
        let shown: Vec<_> = windows
            .iter()
            .map(|window| (window.range.start / HOUR_NANOS, window.range.end / HOUR_NANOS, window.requests))
            .collect();
        assert_eq!(shown, [(0, 6, 10), (6, 7, 20), (7, 8, 1)]);
    }

    #[test]
    fn nothing_makes_no_window() {
        assert_eq!(Counts::by_hour().windows(10), []);
    }

    proptest! {
        #[test]
        fn every_request_is_in_one_window(times in prop::collection::vec(0_i64..5 * HOUR_NANOS, 0..200), most in 1_u64..50) {
            let mut counts = Counts::by_hour();
            times.iter().for_each(|time| counts.add(*time));
            let mut waiting: Vec<(Counts, Window)> =
                counts.windows(most).into_iter().rev().map(|window| (counts.clone(), window)).collect();
            let mut done: Vec<Window> = Vec::new();
            while let Some((counts, window)) = waiting.pop() {
                let inside = times.iter().filter(|time| window.range.contains(time)).count() as u64;
                prop_assert_eq!(inside, window.requests);
                match counts.finer(&window).filter(|_| window.requests > most) {
                    None => done.push(window),
                    Some(mut finer) => {
                        times.iter().filter(|time| window.range.contains(time)).for_each(|time| finer.add(*time));
                        let windows = finer.windows(most);
                        prop_assert_eq!(windows[0].range.start, window.range.start);
                        prop_assert_eq!(windows[windows.len() - 1].range.end, window.range.end);
                        waiting.extend(windows.into_iter().rev().map(|window| (finer.clone(), window)));
                    }
                }
            }
            prop_assert!(done.windows(2).all(|pair| pair[0].range.end == pair[1].range.start));
            prop_assert_eq!(done.iter().map(|window| window.requests).sum::<u64>(), times.len() as u64);
        }
    }
}
