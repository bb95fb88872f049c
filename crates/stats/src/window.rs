//! Windows of time: minute, quarter-hour, day (UTC), and how a range of time is tiled by them. No counts here.

use std::time::Duration;

/// Seconds of a day.
pub const SECONDS_PER_DAY: i64 = 86_400;

/// The lengths of window that are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum WindowKind {
    /// One minute, kept 48 hours, for live charts.
    Minute = 0,
    /// A quarter of an hour, kept 90 days.
    Quarter = 1,
    /// A day UTC, kept as long as anything is.
    Day = 2,
}

/// One window: its length and its first second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Window {
    /// Its length.
    pub kind: WindowKind,
    /// Its first second since 1970, a multiple of its length.
    pub start_second: i64,
}

/// A half-open range of time in seconds since 1970: `[from, to)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TimeRange {
    /// The first second in it.
    pub from_second: i64,
    /// The first second after it.
    pub to_second: i64,
}

/// The first second of the day (UTC) of a second.
pub fn day_of(second: i64) -> i64 {
    WindowKind::Day.window_of(second).start_second
}

/// The first second that is kept under a retention: 00:00 UTC of the day that holds `now - retention`. The one rule for what the processor takes, what both stores keep
/// and where the api's answers begin.
///
/// Nothing younger than the retention is ever refused or dropped, and a day goes only when all of it is older. So every day that is answered has all of its
/// requests; a cut within a day would show the rest of it as if that were the day.
pub fn first_kept_second(now_second: i64, retention: Option<Duration>) -> i64 {
    retention.map_or(i64::MIN, |kept| {
        let age = i64::try_from(kept.as_secs()).unwrap_or(i64::MAX);
        day_of(now_second.saturating_sub(age).max(-TimeRange::FAR))
    })
}

impl WindowKind {
    /// Its length in seconds.
    pub const fn seconds(self) -> i64 {
        match self {
            WindowKind::Minute => 60,
            WindowKind::Quarter => 900,
            WindowKind::Day => SECONDS_PER_DAY,
        }
    }

    /// The window of this length that holds a second.
    pub fn window_of(self, second: i64) -> Window {
        Window { kind: self, start_second: self.floor(second) }
    }

    /// The greatest multiple of the length that is not after a second.
    pub fn floor(self, second: i64) -> i64 {
        second - second.rem_euclid(self.seconds())
    }

    /// The least multiple of the length that is not before a second.
    pub fn ceil(self, second: i64) -> i64 {
        let start = self.floor(second);
        if start == second { second } else { start + self.seconds() }
    }
}

impl Window {
    /// The seconds in it.
    pub fn range(self) -> TimeRange {
        TimeRange { from_second: self.start_second, to_second: self.start_second + self.kind.seconds() }
    }
}

/// A run of windows of one length without hole: (kind, first start, end).
pub(crate) type Run = (WindowKind, i64, i64);

impl TimeRange {
    /// No second is further from 1970 than this, in either direction, so that no sum below can overflow: 273 million years.
    const FAR: i64 = SECONDS_PER_DAY * 100_000_000_000;

    /// Whether no second is in it.
    pub fn is_empty(self) -> bool {
        self.to_second <= self.from_second
    }

    /// The windows that tile the range: whole days, and quarter-hours at the edges as long as those are kept (`quarters_from_second`:
    /// the oldest second for which quarter-hours exist). Edges finer than what is kept are widened outward; the second
    /// value is the range that is really covered. Returned as contiguous runs: (kind, first start, end).
    ///
    /// A quarter-hour is used only if its first second is kept. An empty range has no windows and covers itself.
    pub fn tile(self, quarters_from_second: i64) -> (Vec<(WindowKind, i64, i64)>, TimeRange) {
        if self.is_empty() {
            return (Vec::new(), self);
        }
        let from = WindowKind::Quarter.floor(self.from_second.clamp(-Self::FAR, Self::FAR));
        let to = WindowKind::Quarter.ceil(self.to_second.clamp(-Self::FAR, Self::FAR)).max(from);
        let (first_midnight, last_midnight) = (WindowKind::Day.ceil(from), WindowKind::Day.floor(to));

        let mut runs = Vec::with_capacity(3);
        if first_midnight > last_midnight {
            // between two neighbouring midnights
            push(&mut runs, edge(from, to, quarters_from_second));
        } else {
            push(&mut runs, edge(from, first_midnight, quarters_from_second));
            push(&mut runs, (WindowKind::Day, first_midnight, last_midnight));
            push(&mut runs, edge(last_midnight, to, quarters_from_second));
        }
        let from_second = runs.first().map_or(from, |run| run.1);
        let to_second = runs.last().map_or(to, |run| run.2);
        (runs, TimeRange { from_second, to_second })
    }
}

/// A part of a day as quarter-hours, or if those are not all kept, its whole day. An empty part stays empty.
fn edge(from: i64, to: i64, quarters_from_second: i64) -> Run {
    if from >= to {
        (WindowKind::Quarter, from, from)
    } else if from >= quarters_from_second {
        (WindowKind::Quarter, from, to)
    } else {
        (WindowKind::Day, WindowKind::Day.floor(from), WindowKind::Day.ceil(to))
    }
}

/// Appends a run, joined with the last one if it goes on with the same windows.
pub(crate) fn push(runs: &mut Vec<Run>, (kind, start, end): Run) {
    if start == end {
        return;
    }
    match runs.last_mut() {
        Some(last) if last.0 == kind => {
            debug_assert_eq!(last.2, start, "windows join without hole or overlap");
            last.2 = end;
        }
        _ => runs.push((kind, start, end)),
    }
}

#[cfg(test)]
mod tests {
    use super::WindowKind::{Day, Quarter};
    use super::*;
    use proptest::prelude::*;

    const D: i64 = SECONDS_PER_DAY;
    const H: i64 = 3600;

    fn check(from: i64, to: i64, quarters_from: i64, runs: &[Run], covered: (i64, i64)) {
        let tiled = TimeRange { from_second: from, to_second: to }.tile(quarters_from);
        assert_eq!(tiled, (runs.to_vec(), TimeRange { from_second: covered.0, to_second: covered.1 }));
    }

    #[test]
    fn days_inside_and_quarters_at_the_edges() {
        check(0, D, 0, &[(Day, 0, D)], (0, D));
        check(0, 3 * D, 0, &[(Day, 0, 3 * D)], (0, 3 * D));
        check(0, D + H, 0, &[(Day, 0, D), (Quarter, D, D + H)], (0, D + H));
        check(
            H,
            2 * D + H,
            0,
            &[(Quarter, H, D), (Day, D, 2 * D), (Quarter, 2 * D, 2 * D + H)],
            (H, 2 * D + H),
        );
        check(H, 2 * H, 0, &[(Quarter, H, 2 * H)], (H, 2 * H));
        // over midnight without a whole day: one run
        check(D - H, D + H, 0, &[(Quarter, D - H, D + H)], (D - H, D + H));
        // before 1970
        check(-D, H, -D, &[(Day, -D, 0), (Quarter, 0, H)], (-D, H));
    }

    #[test]
    fn edges_are_widened_outward() {
        check(H + 1, H + 2, 0, &[(Quarter, H, H + 900)], (H, H + 900));
        check(H - 1, H + 1, 0, &[(Quarter, H - 900, H + 900)], (H - 900, H + 900));
        check(1, D, 0, &[(Day, 0, D)], (0, D));
        check(1, D - 1, 0, &[(Day, 0, D)], (0, D));
        check(D - 1, D, 0, &[(Quarter, D - 900, D)], (D - 900, D));
    }

    #[test]
    fn days_stand_in_for_quarters_that_are_no_longer_kept() {
        check(H, 2 * H, D, &[(Day, 0, D)], (0, D));
        check(H, 2 * D + H, D, &[(Day, 0, 2 * D), (Quarter, 2 * D, 2 * D + H)], (0, 2 * D + H));
        check(H, 2 * D + H, 9 * D, &[(Day, 0, 3 * D)], (0, 3 * D));
        check(D - H, D + H, D, &[(Day, 0, D), (Quarter, D, D + H)], (0, D + H));
        // kept from within the edge's own day
        check(6 * H, D, 6 * H, &[(Quarter, 6 * H, D)], (6 * H, D));
        check(6 * H, D, 6 * H + 1, &[(Day, 0, D)], (0, D));
        check(6 * H, D, i64::MAX, &[(Day, 0, D)], (0, D));
    }

    #[test]
    fn empty_ranges_have_no_windows_and_far_ones_do_not_overflow() {
        check(5, 5, 0, &[], (5, 5));
        check(9, 5, 0, &[], (9, 5));
        let (runs, _) = TimeRange { from_second: i64::MIN, to_second: i64::MAX }.tile(i64::MIN);
        assert_eq!(runs, [(Day, -TimeRange::FAR, TimeRange::FAR)]);
        let (runs, _) = TimeRange { from_second: i64::MAX - 1, to_second: i64::MAX }.tile(0);
        assert_eq!(runs, []);
    }

    #[test]
    fn a_window_holds_its_seconds_and_no_other() {
        for kind in [WindowKind::Minute, Quarter, Day] {
            for second in [-D - 1, -1, 0, 59, 60, 899, 900, 1_726_330_535] {
                let range = kind.window_of(second).range();
                assert!((range.from_second..range.to_second).contains(&second));
                assert_eq!(range.from_second % kind.seconds(), 0);
                assert_eq!(range.to_second - range.from_second, kind.seconds());
            }
        }
        assert_eq!(day_of(-1), -D);
        assert_eq!(day_of(D), D);
    }

    /// RETENTION=12h at 17:00 refused all lines, 2d one of 47 hours, and 1d ten minutes after midnight one of 23:59.
    #[test]
    fn retention_refuses_only_what_is_older_and_keeps_whole_days() {
        let kept = |now, hours: u64| first_kept_second(now, Some(Duration::from_secs(hours * 3600)));
        let today = 20_000 * D;
        for (now, hours, expected) in [
            (today + 17 * H, 12, today),
            (today + 17 * H, 48, today - 2 * D),
            (today + 600, 24, today - D),
            (today, 24, today - D),
            (today - 1, 24, today - 2 * D),
            (today, 1, today - D),
            (today + H, 1, today),
            (today + 5, 45 * 24, today - 45 * D),
        ] {
            assert_eq!(kept(now, hours), expected, "{hours} h at {now}");
        }
        assert_eq!(first_kept_second(today, None), i64::MIN);
        assert_eq!(first_kept_second(today, Some(Duration::MAX)), -TimeRange::FAR);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn retention_keeps_what_is_young_enough_and_less_than_a_day_more(now in 0_i64..9_000_000_000, seconds in 0_u64..90 * 86_400) {
            let kept = first_kept_second(now, Some(Duration::from_secs(seconds)));
            let oldest = now - i64::try_from(seconds).expect("small");
            prop_assert!(kept <= oldest && oldest < kept + D);
            prop_assert_eq!(kept.rem_euclid(D), 0);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn tiles_join_and_cover_what_was_asked(
            from in -3 * D..3 * D, length in 1..6 * D, quarters_from in -4 * D..10 * D,
        ) {
            let asked = TimeRange { from_second: from, to_second: from + length };
            let (runs, covered) = asked.tile(quarters_from);
            prop_assert!(covered.from_second <= asked.from_second && covered.to_second >= asked.to_second);
            let mut next = covered.from_second;
            for &(kind, start, end) in &runs {
                prop_assert_eq!(start, next, "a hole or an overlap");
                prop_assert!(end > start);
                prop_assert_eq!((start % kind.seconds(), end % kind.seconds()), (0, 0));
                prop_assert!(kind == Day || (kind == Quarter && start >= quarters_from));
                next = end;
            }
            prop_assert_eq!(next, covered.to_second);
            // no wider than needed: by less than a quarter-hour where quarters are kept, else by less than a day
            let slack = |second| if second >= quarters_from { 900 } else { D };
            prop_assert!(asked.from_second - covered.from_second < slack(Quarter.floor(asked.from_second)));
            prop_assert!(covered.to_second - asked.to_second < D);
            if day_of(asked.to_second - 1) >= quarters_from {
                prop_assert!(covered.to_second - asked.to_second < 900);
            }
            // whole days are never taken apart
            for &(kind, start, end) in &runs {
                let day = Day.ceil(start);
                prop_assert!(kind == Day || day + D > end, "a whole day as quarter-hours");
            }
        }
    }
}
