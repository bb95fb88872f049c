//! When statistics are published: what is due at an instant, what an answer means for those that follow, and what the store is told of it all. Pure; clock, ledger and store come from outside.

use std::time::Duration;

use store::Statistics;
use store::embedded::LedgerState;

use crate::to_ledger::Durable;

/// Windows that are going on are published that often at most.
const CURRENT_EVERY: Duration = Duration::from_secs(1);
/// Older windows, which late lines change, are published that often at most.
const OLDER_EVERY: Duration = Duration::from_secs(10);
/// So many bytes of older windows at most each time; the rest waits for the next.
const OLDER_BYTES: usize = 16 << 20;
/// What was sent without a clean answer may still arrive, in the place of what is sent after it, for that long.
const UNCLEAR: Duration = Duration::from_secs(15);
/// A bucket refuses what is older than it keeps, to the second and by its own clock.
const KEPT_MARGIN_SECONDS: i64 = 3600;

/// When what is due. Instants are uptimes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pace {
    current_begun: Option<Duration>,
    older_begun: Option<Duration>,
    /// Older windows are being published: so many bytes more.
    older_left: Option<usize>,
    unclear_until: Duration,
}

impl Pace {
    /// The next windows that are going on may be published from this instant on.
    pub fn current_due(&self) -> Duration {
        self.current_begun.map_or(Duration::ZERO, |begun| begun + CURRENT_EVERY)
    }

    /// Older windows may be published from this instant on.
    pub fn older_due(&self) -> Duration {
        if self.older_left.is_some() {
            return self.unclear_until;
        }
        self.older_begun.map_or(Duration::ZERO, |begun| begun + OLDER_EVERY).max(self.unclear_until)
    }

    /// Those that are going on are published now.
    pub fn begin_current(&mut self, now: Duration) {
        self.current_begun = Some(now);
    }

    /// Older ones are published now: from the beginning (true), or on from where it was interrupted.
    pub fn begin_older(&mut self, now: Duration) -> bool {
        if self.older_left.is_some() {
            return false;
        }
        (self.older_begun, self.older_left) = (Some(now), Some(OLDER_BYTES));
        true
    }

    /// So many bytes of older windows were sent; whether there may be more of them now.
    pub fn sent_older(&mut self, bytes: usize) -> bool {
        self.older_left = self.older_left.and_then(|left| left.checked_sub(bytes)).filter(|left| *left > 0);
        self.older_left.is_some()
    }

    /// There are no more older windows. If there were none at all, the next may go at once.
    pub fn end_older(&mut self, any: bool) {
        let begun_now = self.older_left.take() == Some(OLDER_BYTES);
        if begun_now && !any {
            self.older_begun = None;
        }
    }

    /// Nobody knows what became of what was sent up to now.
    pub fn unclear(&mut self, now: Duration) {
        self.unclear_until = now + UNCLEAR;
        self.older_left = None;
    }

    /// Whether a clean answer to what was sent at this instant is the last word: nothing sent before can arrive after it.
    pub fn is_clean(&self, sent: Duration) -> bool {
        sent >= self.unclear_until
    }
}

/// What has been published so far, for those who tell others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Published {
    /// Everything up to this commit is in the store.
    pub through: Option<LedgerState>,
    /// Days before this second are not complete: the store did not take all of their windows. 0 where it did.
    pub from_second: i64,
    /// Cells that wait; counted up to a million.
    pub waiting: u64,
}

impl Published {
    /// What the statistics of a source are worth, given what was judged of them at the start.
    pub fn statistics(&self, judged: Statistics, durable: &Durable) -> Statistics {
        let said = match judged {
            Statistics::Published { as_of_micros, .. } => as_of_micros,
            Statistics::NeedRebuild | Statistics::Incomplete => None,
        };
        match (judged, self.through) {
            (Statistics::NeedRebuild, _) | (_, None) => judged,
            (_, Some(_)) => Statistics::Published {
                // What was said before this run is still true, and may be newer than what the ledger had noted.
                as_of_micros: self.as_of_micros(durable).max(said),
                quarters_from_second: self.through.map_or(0, |through| through.quarters_from_second),
                days_from_second: self.from_second,
            },
        }
    }

    /// Every line that was readable at this instant is in what was published. While nothing is new, that moves on with the ledger.
    pub fn as_of_micros(&self, durable: &Durable) -> Option<i64> {
        let through = self.through?;
        let silent = durable.as_of_micros.filter(|_| durable.commit == through.commit);
        through.as_of_micros.max(silent)
    }
}

/// Windows that begin before this second are not published into a store that keeps its points for that long: of the first that is, all of it is kept.
pub fn first_published_second(now_second: i64, keeps_for: Option<Duration>) -> i64 {
    let Some(kept) = keeps_for else { return 0 };
    let kept = i64::try_from(kept.as_secs()).unwrap_or(i64::MAX);
    let oldest = now_second.saturating_sub(kept).saturating_add(KEPT_MARGIN_SECONDS).max(0);
    stats::day_of(oldest.saturating_add(stats::SECONDS_PER_DAY - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn windows_that_are_going_on_are_due_each_second_and_older_ones_each_ten() {
        let mut pace = Pace::default();
        assert_eq!((pace.current_due(), pace.older_due()), (s(0), s(0)));
        pace.begin_current(s(100));
        assert!(pace.begin_older(s(100)));
        assert_eq!((pace.current_due(), pace.older_due()), (s(101), s(0)), "older ones are going on");
        assert!(pace.sent_older(OLDER_BYTES - 1));
        assert!(!pace.begin_older(s(101)), "on from where it was");
        assert!(!pace.sent_older(1), "the budget is used up");
        assert_eq!(pace.older_due(), s(110));
        assert!(pace.begin_older(s(110)));
        pace.end_older(true);
        assert_eq!(pace.older_due(), s(120));
        assert!(pace.begin_older(s(120)));
        pace.end_older(false);
        assert_eq!(pace.older_due(), s(0), "there were none: the next go at once");
    }

    #[test]
    fn an_unclear_answer_is_followed_by_fifteen_seconds_in_which_no_answer_is_the_last_word() {
        let mut pace = Pace::default();
        assert!(pace.is_clean(s(0)));
        assert!(pace.begin_older(s(10)));
        pace.unclear(s(12));
        assert_eq!(pace.older_due(), s(27));
        assert!(!pace.is_clean(s(26)) && pace.is_clean(s(27)));
        pace.unclear(s(20));
        assert!(!pace.is_clean(s(34)) && pace.is_clean(s(35)));
        assert!(pace.begin_older(s(35)), "from the beginning");
    }

    #[test]
    fn the_store_is_told_no_more_than_what_it_has() {
        let through = LedgerState { commit: 7, as_of_micros: Some(70), quarters_from_second: 900 };
        let durable = |commit, as_of| Durable { commit, as_of_micros: Some(as_of), at_micros: None };
        let nothing = Published::default();
        let old =
            Statistics::Published { as_of_micros: Some(1), quarters_from_second: 2, days_from_second: 3 };
        for judged in [Statistics::NeedRebuild, Statistics::Incomplete, old] {
            assert_eq!(nothing.statistics(judged, &durable(7, 75)), judged);
        }
        let all = Published { through: Some(through), from_second: 5, waiting: 0 };
        assert_eq!(all.statistics(Statistics::NeedRebuild, &durable(7, 75)), Statistics::NeedRebuild);
        for judged in [Statistics::Incomplete, old] {
            let of = |as_of_micros| Statistics::Published {
                as_of_micros: Some(as_of_micros),
                quarters_from_second: 900,
                days_from_second: 5,
            };
            assert_eq!(all.statistics(judged, &durable(7, 75)), of(75), "a silent log");
            assert_eq!(all.statistics(judged, &durable(8, 80)), of(70), "commit 8 is not there yet");
        }
        let later =
            Statistics::Published { as_of_micros: Some(72), quarters_from_second: 2, days_from_second: 3 };
        let of_statistics = |statistics| match statistics {
            Statistics::Published { as_of_micros, .. } => as_of_micros,
            other => panic!("{other:?}"),
        };
        assert_eq!(of_statistics(all.statistics(later, &durable(8, 80))), Some(72), "never back");
    }

    #[test]
    fn only_days_that_are_kept_as_a_whole_are_published() {
        const DAY: i64 = 86_400;
        let now = 20_000 * DAY + 7200;
        assert_eq!(first_published_second(now, None), 0);
        assert_eq!(first_published_second(now, Some(s(7 * 86_400))), (20_000 - 6) * DAY);
        assert_eq!(first_published_second(20_000 * DAY - 3600, Some(s(7 * 86_400))), (20_000 - 7) * DAY);
        assert_eq!(first_published_second(now, Some(s(3600))), 20_001 * DAY, "no day at all");
        assert_eq!(first_published_second(now, Some(Duration::MAX)), 0);
    }
}
