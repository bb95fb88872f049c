//! The history that LOG_BACKFILL_DAYS asks for: the seconds of its lines, in time order, following the rhythm of the days.

use super::dice::Dice;
use super::rhythm;

/// Lines of a day of history: thinned, since what follows may be thousands in a second.
pub(crate) const LINES_PER_DAY: u64 = 20_000;
/// Lines of the whole history at most; longer ones have fewer a day.
pub(crate) const LINES_MAX: u64 = 1_000_000;

const MINUTE: i64 = 60;

/// The seconds of the history's lines, oldest first.
#[derive(Debug)]
pub(crate) struct History {
    dice: Dice,
    /// Lines of the whole history.
    lines: u64,
    /// What all its minutes' busyness adds up to.
    total: u64,
    /// What the busyness of the minutes before `next_minute` adds up to. Never above `total`.
    passed: u64,
    next_minute: i64,
    end_minute: i64,
    /// Seconds of the minute before `next_minute` that are still to come, latest first.
    pending: Vec<i64>,
}

impl History {
    /// The history of that many days before `start`: [`LINES_PER_DAY`] lines for each, at most [`LINES_MAX`] and `most` in all.
    pub(crate) fn new(seed: u64, start: i64, days: u64, most: u64) -> Self {
        let lines = (days * LINES_PER_DAY).min(LINES_MAX).min(most);
        // Whole minutes, the last one over before the start.
        let end_minute = start.div_euclid(MINUTE);
        let minutes = i64::try_from(days * 1440).expect("the days are limited to some years");
        let next_minute = end_minute - minutes;
        let total = (next_minute..end_minute).map(busyness).sum();
        Self {
            dice: Dice::new(seed, 3),
            lines,
            total,
            passed: 0,
            next_minute,
            end_minute,
            pending: Vec::new(),
        }
    }

    /// How many lines it has in all.
    pub(crate) fn lines(&self) -> u64 {
        self.lines
    }

    /// How many lines come before a point of the summed busyness.
    fn lines_before(&self, passed: u64) -> u64 {
        let product = u128::from(self.lines) * u128::from(passed) / u128::from(self.total);
        u64::try_from(product).expect("a part of the lines")
    }
}

impl Iterator for History {
    type Item = i64;

    fn next(&mut self) -> Option<i64> {
        while self.pending.is_empty() {
            if self.next_minute == self.end_minute {
                return None;
            }
            let before = self.passed;
            self.passed += busyness(self.next_minute);
            for _ in self.lines_before(before)..self.lines_before(self.passed) {
                self.pending.push(self.next_minute * MINUTE + i64::from(self.dice.below(60)));
            }
            self.pending.sort_unstable_by(|left, right| right.cmp(left));
            self.next_minute += 1;
        }
        self.pending.pop()
    }
}

fn busyness(minute: i64) -> u64 {
    u64::from(rhythm::busyness(minute * MINUTE))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Monday, 2024-09-16 12:34:56.
    const START: i64 = 1_726_490_096;

    #[test]
    fn history_is_in_order_complete_and_before_the_start() {
        for (days, most, expected) in [
            (0, 9, 0),
            (1, u64::MAX, 20_000),
            (7, u64::MAX, 140_000),
            (7, 1000, 1000),
            (3, 0, 0),
            (100, u64::MAX, 1_000_000),
        ] {
            let history = History::new(42, START, days, most);
            assert_eq!(history.lines(), expected);
            let seconds: Vec<i64> = history.collect();
            assert_eq!(seconds.len() as u64, expected);
            assert!(seconds.is_sorted());
            if let (Some(first), Some(last)) = (seconds.first(), seconds.last()) {
                let days = i64::try_from(days).expect("few days");
                assert!(
                    *first >= START - days * 86_400 - MINUTE && *first < START - days * 86_400 + 3600,
                    "{first}"
                );
                assert!(*last < START && *last > START - 3600, "{last}");
            }
        }
    }

    #[test]
    fn history_follows_the_day() {
        let count = |hour: i64| {
            let seconds = History::new(42, START, 7, u64::MAX);
            seconds.filter(|second| second.rem_euclid(86_400) / 3600 == hour).count()
        };
        let (night, noon) = (count(3), count(11));
        assert!(noon > 5 * night && noon < 6 * night, "noon {noon}, night {night}");
    }
}
