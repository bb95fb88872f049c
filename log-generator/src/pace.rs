//! Pace: how many lines are due after how much time. Pure; it neither reads a clock nor waits.

use std::time::Duration;

/// `batch` lines at once every `interval`, the first at the start, `most` in all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pace {
    /// At least 1.
    pub(crate) batch: u64,
    /// Zero: as fast as it can.
    pub(crate) interval: Duration,
    /// No more lines than that; `u64::MAX` is endless.
    pub(crate) most: u64,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// So many lines are due. All that was missed is among them, so that the average rate is kept, and nothing that is not
    /// due yet.
    Write(u64),
    /// Nothing is due before that much time has passed since the start.
    WaitUntil(Duration),
    /// All lines are written.
    Done,
}

impl Pace {
    /// What is to be done when `elapsed` has passed and `written` lines are written.
    pub(crate) fn next(&self, elapsed: Duration, written: u64) -> Next {
        if written >= self.most {
            return Next::Done;
        }
        if self.interval.is_zero() {
            return Next::Write(self.most - written);
        }
        let batches = elapsed.as_nanos() / self.interval.as_nanos() + 1;
        let due = batches.saturating_mul(u128::from(self.batch)).min(u128::from(self.most));
        match u64::try_from(due).expect("at most `most`").saturating_sub(written) {
            0 => Next::WaitUntil(self.after_batches(written / self.batch)),
            due => Next::Write(due),
        }
    }

    /// How long after the start a line belongs by the pace, whatever the clock said: what a given start time goes on with.
    /// Without an interval every batch stands for one second.
    pub(crate) fn time_of(&self, line: u64) -> Duration {
        let nominal = if self.interval.is_zero() { Duration::from_secs(1) } else { self.interval };
        Self { interval: nominal, ..*self }.after_batches(line / self.batch)
    }

    fn after_batches(&self, batches: u64) -> Duration {
        let nanos = self.interval.as_nanos().saturating_mul(u128::from(batches));
        Duration::from_nanos_u128(nanos.min(Duration::MAX.as_nanos()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MILLISECOND: Duration = Duration::from_millis(1);

    fn check(pace: (u64, u32, u64), elapsed_ms: u32, written: u64, expected: Next) {
        let pace = Pace { batch: pace.0, interval: MILLISECOND * pace.1, most: pace.2 };
        assert_eq!(
            pace.next(MILLISECOND * elapsed_ms, written),
            expected,
            "{pace:?} at {elapsed_ms} ms, {written} written"
        );
    }

    #[test]
    fn lines_fall_due_by_batches() {
        let endless = (100, 1000, u64::MAX);
        check(endless, 0, 0, Next::Write(100));
        check(endless, 0, 100, Next::WaitUntil(MILLISECOND * 1000));
        check(endless, 999, 100, Next::WaitUntil(MILLISECOND * 1000));
        check(endless, 1000, 100, Next::Write(100));
        // A batch that was cut into pieces is completed before anything else.
        check(endless, 1500, 150, Next::Write(50));
        // Five seconds were missed: they are made up, no more.
        check(endless, 6700, 200, Next::Write(500));
        check(endless, 6700, 700, Next::WaitUntil(MILLISECOND * 7000));
        // Half a millisecond's worth of interval still keeps its rate.
        let fast = Pace { batch: 1, interval: Duration::from_micros(500), most: u64::MAX };
        assert_eq!(fast.next(MILLISECOND * 10, 0), Next::Write(21));
    }

    #[test]
    fn the_end_is_exact() {
        let short = (100, 1000, 250);
        check(short, 1000, 100, Next::Write(100));
        check(short, 9000, 200, Next::Write(50));
        check(short, 9000, 250, Next::Done);
        check((100, 0, 250), 0, 0, Next::Write(250));
        check((100, 0, 250), 0, 250, Next::Done);
        check((100, 0, u64::MAX), 5, 1 << 40, Next::Write(u64::MAX - (1 << 40)));
        check((100, 1000, 0), 0, 0, Next::Done);
    }

    #[test]
    fn a_line_has_its_time_by_the_pace() {
        let pace = Pace { batch: 10, interval: MILLISECOND * 250, most: u64::MAX };
        assert_eq!(pace.time_of(9), Duration::ZERO);
        assert_eq!(pace.time_of(40), Duration::from_secs(1));
        let unpaced = Pace { interval: Duration::ZERO, ..pace };
        assert_eq!(unpaced.time_of(40), Duration::from_secs(4));
        assert_eq!(unpaced.time_of(u64::MAX).as_secs(), u64::MAX / 10);
    }

    proptest! {
        /// Whatever the delays, the average rate is kept: after each look exactly the batches begun are written.
        #[test]
        fn lost_time_is_made_up(batch in 1_u64..500, interval_us in 1_u64..5_000_000, looks in prop::collection::vec(0_u64..9_000_000, 1..50)) {
            let pace = Pace { batch, interval: Duration::from_micros(interval_us), most: u64::MAX };
            let (mut now_us, mut written) = (0, 0);
            for wait_us in looks {
                now_us += wait_us;
                let elapsed = Duration::from_micros(now_us);
                match pace.next(elapsed, written) {
                    Next::Write(due) => written += due,
                    Next::WaitUntil(at) => prop_assert!(at > elapsed && at <= elapsed + pace.interval),
                    Next::Done => prop_assert!(false, "an endless pace is never done"),
                }
                prop_assert_eq!(written, (now_us / interval_us + 1) * batch);
            }
        }
    }
}
