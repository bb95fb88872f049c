//! Stretches of time, each to be counted by itself and exactly: how they are tiled from the windows that are kept. No counts here.

use crate::WindowKind;
use crate::window::{Run, push};

/// From when on windows shorter than a day are kept. Days always are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowsKept {
    /// The oldest second for which minutes exist.
    pub minutes_from_second: i64,
    /// The oldest second for which quarter-hours exist.
    pub quarters_from_second: i64,
}

/// A bound that lies within a window that is not kept in parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotKept {
    /// The bound.
    pub second: i64,
    /// The shortest windows that are kept there.
    pub kind: WindowKind,
}

impl WindowsKept {
    /// The shortest windows that are kept of a second.
    pub fn finest_at(self, second: i64) -> WindowKind {
        if second >= self.minutes_from_second {
            WindowKind::Minute
        } else if second >= self.quarters_from_second {
            WindowKind::Quarter
        } else {
            WindowKind::Day
        }
    }
}

/// Tiles the stretches between neighbouring bounds (in ascending order), each for itself, with the longest windows that fit: a day (UTC), within it
/// quarter-hours, within those minutes. Returned as runs (kind, first start, end); those of the same kind that join are one, whether they are of one stretch or of two.
///
/// # Errors
/// A bound that needs windows that are not kept there: nothing is ever widened here.
pub fn tile_stretches(bounds: &[i64], kept: WindowsKept) -> Result<Vec<(WindowKind, i64, i64)>, NotKept> {
    let mut tiling = Tiling { kept, runs: Vec::new() };
    for stretch in bounds.windows(2) {
        debug_assert!(stretch[0] <= stretch[1], "bounds in ascending order");
        tiling.tile(WindowKind::Day, stretch[0], stretch[1])?;
    }
    Ok(tiling.runs)
}

struct Tiling {
    kept: WindowsKept,
    runs: Vec<Run>,
}

impl Tiling {
    /// Whole windows of a kind inside, shorter ones at the edges.
    fn tile(&mut self, kind: WindowKind, from: i64, to: i64) -> Result<(), NotKept> {
        if from >= to {
            return Ok(());
        }
        let (first, last) = (kind.ceil(from), kind.floor(to));
        if first >= last {
            return self.shorter(kind, from, to);
        }
        self.shorter(kind, from, first)?;
        push(&mut self.runs, (kind, first, last));
        self.shorter(kind, last, to)
    }

    fn shorter(&mut self, kind: WindowKind, from: i64, to: i64) -> Result<(), NotKept> {
        if from >= to {
            return Ok(());
        }
        // One of the two does not lie between windows of this kind.
        let within = if kind.floor(from) == from { to } else { from };
        let not_kept = NotKept { second: within, kind: self.kept.finest_at(from) };
        match kind {
            WindowKind::Day if from >= self.kept.quarters_from_second => {
                self.tile(WindowKind::Quarter, from, to)
            }
            WindowKind::Quarter if from >= self.kept.minutes_from_second => {
                self.tile(WindowKind::Minute, from, to)
            }
            _ => Err(not_kept),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::WindowKind::{Day, Minute, Quarter};
    use super::*;
    use crate::SECONDS_PER_DAY as D;
    use proptest::prelude::*;

    const ALL: WindowsKept = WindowsKept { minutes_from_second: i64::MIN, quarters_from_second: i64::MIN };
    const H: i64 = 3600;

    #[test]
    fn the_longest_windows_that_fit() {
        for (bounds, runs) in [
            (vec![0, D], vec![(Day, 0, D)]),
            (vec![0, D, 3 * D], vec![(Day, 0, 3 * D)]),
            (vec![60, 120], vec![(Minute, 60, 120)]),
            (vec![0, 60, 120, 180], vec![(Minute, 0, 180)]),
            (vec![840, 1860], vec![(Minute, 840, 900), (Quarter, 900, 1800), (Minute, 1800, 1860)]),
            (vec![H, D + H], vec![(Quarter, H, D + H)]),
            (
                vec![D - 900, 2 * D + 60],
                vec![(Quarter, D - 900, D), (Day, D, 2 * D), (Minute, 2 * D, 2 * D + 60)],
            ),
            (vec![5, 5], vec![]),
            (vec![5], vec![]),
            (vec![], vec![]),
        ] {
            assert_eq!(tile_stretches(&bounds, ALL), Ok(runs), "{bounds:?}");
        }
    }

    #[test]
    fn a_bound_within_what_is_not_kept_in_parts_is_told() {
        let kept = WindowsKept { minutes_from_second: 10 * D, quarters_from_second: 5 * D };
        for (bounds, second, kind) in [
            (vec![H, D], H, Day),
            (vec![0, H], H, Day),
            (vec![0, D, D + 60], D + 60, Day),
            (vec![6 * D, 6 * D + 60], 6 * D + 60, Quarter),
            (vec![6 * D + 60, 7 * D], 6 * D + 60, Quarter),
            (vec![11 * D, 11 * D + 1], 11 * D + 1, Minute),
        ] {
            assert_eq!(tile_stretches(&bounds, kept), Err(NotKept { second, kind }), "{bounds:?}");
        }
        assert!(tile_stretches(&[5 * D + 900, 10 * D + 60], kept).is_ok());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn runs_join_and_cover_the_stretches_exactly(mut bounds in prop::collection::vec(-3 * 1440_i64..3 * 1440, 2..9)) {
            bounds.sort_unstable();
            bounds.dedup();
            let bounds: Vec<i64> = bounds.into_iter().map(|minute| minute * 60).collect();
            let runs = tile_stretches(&bounds, ALL).expect("whole minutes");
            let mut next = bounds[0];
            for (kind, from, to) in runs {
                prop_assert_eq!(from, next);
                prop_assert!(from < to && from % kind.seconds() == 0 && to % kind.seconds() == 0);
                // no window reaches over a bound
                let mut start = from;
                while start < to {
                    prop_assert!(!bounds.iter().any(|bound| start < *bound && *bound < start + kind.seconds()));
                    start += kind.seconds();
                }
                next = to;
            }
            prop_assert_eq!(next, *bounds.last().expect("some"));
        }
    }
}
