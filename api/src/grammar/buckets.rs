//! A range in buckets of equal length on the zone's clock: minutes, quarter-hours, hours, days. Hours and days follow the clock through its changes.

use stats::{TimeRange, tile_stretches};

use super::range::refusal;
use super::zone::days_after;
use super::{Fault, Moment, Period, Zone, shortened};

/// The length of buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Granularity {
    Minute,
    Quarter,
    Hour,
    Day,
}

/// A range in buckets: `bounds` has one more than there are buckets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Buckets {
    pub(crate) granularity: Granularity,
    pub(crate) bounds: Vec<i64>,
}

/// Up to so many buckets are chosen by `auto`: more than a chart has points to draw with.
const AUTO_MAX: i64 = 750;
/// No answer has more buckets: all quarter-hours that are kept, and all days of a log from 1970 on, are fewer.
const BUCKETS_MAX: usize = 25_000;

const ALL: [Granularity; 4] =
    [Granularity::Minute, Granularity::Quarter, Granularity::Hour, Granularity::Day];

impl Granularity {
    /// Reads a length; None is `auto`.
    pub(crate) fn parse(text: &str) -> Result<Option<Self>, Fault> {
        if text == "auto" {
            return Ok(None);
        }
        let found = ALL.into_iter().find(|granularity| granularity.name() == text);
        found.map(Some).ok_or_else(|| {
            Fault::new("granularity", format!("`{}` is none of auto, 1m, 15m, 1h, 1d", shortened(text)))
        })
    }

    /// As it is written.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Granularity::Minute => "1m",
            Granularity::Quarter => "15m",
            Granularity::Hour => "1h",
            Granularity::Day => "1d",
        }
    }

    /// Its usual length: a day whose clocks change has another.
    fn seconds(self) -> i64 {
        match self {
            Granularity::Minute => 60,
            Granularity::Quarter => 900,
            Granularity::Hour => 3600,
            Granularity::Day => 86_400,
        }
    }

    /// The beginning of the bucket that holds a second.
    fn floor(self, second: i64, zone: Zone) -> i64 {
        if self == Granularity::Day {
            return zone.day_start(zone.date_of(second));
        }
        second - (second + zone.offset_seconds(second)).rem_euclid(self.seconds())
    }

    /// The beginning of the bucket after the one that begins there.
    fn next(self, start: i64, zone: Zone) -> i64 {
        if self == Granularity::Day {
            let date = zone.date_of(start);
            // A day that the zone skipped is none.
            return (1..4)
                .map(|days| zone.day_start(days_after(date, days)))
                .find(|next| *next > start)
                .expect("no zone skipped three days");
        }
        let whole = start + self.seconds();
        // Where the clock changes by a part of an hour, the buckets follow it: the one in which it changes is shorter.
        let aligned = self.floor(whole, zone);
        let same_clock = zone.offset_seconds(aligned) == zone.offset_seconds(whole);
        if aligned > start && same_clock { aligned } else { whole }
    }
}

impl Moment {
    /// The buckets of a period; `granularity` None chooses the finest that are not too many. Ends that are not between two buckets are moved outward.
    pub(crate) fn buckets(
        &self,
        period: &Period,
        granularity: Option<Granularity>,
    ) -> Result<Buckets, Fault> {
        if let Some(granularity) = granularity {
            return self.buckets_of(period.range, granularity, period.zone);
        }
        let length = period.range.to_second - period.range.from_second;
        let mut last = None;
        let dear = |granularity| granularity == Granularity::Minute && !self.minutes_are_cheap(period.range);
        for granularity in ALL.into_iter().filter(|granularity| !dear(*granularity)) {
            if length / granularity.seconds() <= AUTO_MAX || granularity == Granularity::Day {
                match self.buckets_of(period.range, granularity, period.zone) {
                    Ok(buckets) => return Ok(buckets),
                    Err(fault) => last = Some(fault),
                }
            }
        }
        Err(last.expect("days were tried"))
    }

    /// The buckets of a range.
    pub(crate) fn buckets_of(
        &self,
        range: TimeRange,
        granularity: Granularity,
        zone: Zone,
    ) -> Result<Buckets, Fault> {
        let fault = |detail: String| Fault::new("granularity", detail);
        if (range.to_second - range.from_second) / granularity.seconds() > BUCKETS_MAX as i64 {
            let name = granularity.name();
            return Err(fault(format!(
                "{name}: more than {BUCKETS_MAX} buckets; ask for longer ones or a shorter range"
            )));
        }
        let mut start = granularity.floor(range.from_second, zone);
        // What the retention has dropped is in no bucket.
        let mut bounds = vec![start.max(self.first_second()).min(range.from_second)];
        while start < range.to_second {
            start = granularity.next(start, zone);
            bounds.push(start);
        }
        tile_stretches(&bounds, self.kept())
            .map_err(|not_kept| fault(format!("{}: {}", granularity.name(), refusal(not_kept, zone))))?;
        Ok(Buckets { granularity, bounds })
    }
}
