//! The zone of stamps that carry none: from local seconds to seconds since 1970 (UTC), at no cost per line. No text of lines here.

use chrono::{DateTime, MappedLocalTime, Offset, TimeZone};
use chrono_tz::Tz;

/// The zone of stamps that carry none. Clock changes are known until the year 2100; from then on zones keep their standard time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Zone {
    /// UTC.
    #[default]
    Utc,
    /// A zone of the IANA database.
    Named(Tz),
}

/// An unknown zone name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a time zone of the IANA database (for example `Europe/Berlin`)")]
pub struct ZoneError(pub String);

impl std::str::FromStr for Zone {
    type Err = ZoneError;

    fn from_str(name: &str) -> Result<Self, ZoneError> {
        match name.parse::<Tz>() {
            // the same clock, and the one that needs no look-up
            Ok(Tz::UTC | Tz::Etc__UTC) => Ok(Zone::Utc),
            Ok(tz) => Ok(Zone::Named(tz)),
            Err(_) => Err(ZoneError(name.to_owned())),
        }
    }
}

/// How a local time is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reading {
    /// Local time minus UTC, in seconds.
    pub(crate) offset: i32,
    /// The local time occurs twice or never.
    pub(crate) ambiguous: bool,
}

impl Zone {
    /// Reads a local time, given as the seconds since 1970 that it would be in UTC.
    ///
    /// A time that occurs twice is read with the first of its two offsets, so as the earlier instant. A time that never occurs is read
    /// with the later offset, the one after the gap: 02:30 in the hour that Berlin skips is taken for summer time, 00:30 UTC, when clocks showed 01:30. So of the two instants
    /// that an offset could mean, it is the earlier one both times.
    pub(crate) fn read(self, local_second: i64) -> Reading {
        let Zone::Named(tz) = self else { return Reading { offset: 0, ambiguous: false } };
        let local = DateTime::from_timestamp(local_second, 0)
            .expect("years 1970 to 2261 are within chrono's")
            .naive_utc();
        match tz.offset_from_local_datetime(&local) {
            MappedLocalTime::Single(offset) => {
                Reading { offset: offset.fix().local_minus_utc(), ambiguous: false }
            }
            MappedLocalTime::Ambiguous(first, _) => {
                Reading { offset: first.fix().local_minus_utc(), ambiguous: true }
            }
            MappedLocalTime::None => Reading { offset: offset_after_gap(tz, local_second), ambiguous: true },
        }
    }
}

/// The offset after the gap that holds a local time.
///
/// The clock jumped at the instant T from offset a to a greater b, and T + a <= local < T + b. The offset at `local` taken as UTC is one
/// of the two. If it is a, then local - a is not before T and has b; if it is b, then local - b is before T and has a. Either
/// way both are known, and b is the greater.
fn offset_after_gap(tz: Tz, local_second: i64) -> i32 {
    let offset_at = |second: i64| {
        let utc = DateTime::from_timestamp(second, 0).expect("within a day of 1970 to 2261").naive_utc();
        tz.offset_from_utc_datetime(&utc).fix().local_minus_utc()
    };
    let one = offset_at(local_second);
    let other = offset_at(local_second - i64::from(one));
    one.max(other)
}

/// Remembers how hours are read: logs repeat hours, and looking a zone up takes longer than parsing a line.
///
/// 1024 hours are remembered, each in the place of its number modulo 1024, so a log in any order over a month (the `seed` profile) is read
/// without looking anything up.
#[derive(Clone, Debug, Default)]
pub(crate) struct ZoneCache {
    zone: Zone,
    /// By hour number modulo its length; empty for UTC, which needs none.
    hours: Vec<CachedHour>,
}

#[derive(Clone, Copy, Debug)]
struct CachedHour {
    /// Hours since 1970, local. `i64::MIN` = nothing remembered.
    hour: i64,
    /// How every second of the hour is read; None = not all in the same way, so each is looked up.
    reading: Option<Reading>,
}

const SECONDS_PER_HOUR: i64 = 3600;
const CACHED_HOURS: usize = 1024;

impl ZoneCache {
    pub(crate) fn new(zone: Zone) -> Self {
        let hours = match zone {
            Zone::Utc => Vec::new(),
            Zone::Named(_) => vec![CachedHour { hour: i64::MIN, reading: None }; CACHED_HOURS],
        };
        Self { zone, hours }
    }

    /// Reads a local time, as [`Zone::read`] does.
    #[inline]
    pub(crate) fn read(&mut self, local_second: i64) -> Reading {
        if self.hours.is_empty() {
            return Reading { offset: 0, ambiguous: false };
        }
        let hour = local_second.div_euclid(SECONDS_PER_HOUR);
        let place = usize::try_from(hour.rem_euclid(CACHED_HOURS as i64)).expect("less than 1024");
        if self.hours[place].hour != hour {
            self.hours[place] = CachedHour { hour, reading: reading_of_hour(self.zone, hour) };
        }
        match self.hours[place].reading {
            Some(reading) => reading,
            None => self.zone.read(local_second),
        }
    }
}

/// How every second of an hour is read, if all are read in the same way. The first and the last second tell: a clock change inside the hour gives them
/// different offsets, or doubt to one and not to the other, as long as no zone changes its clock twice within an hour.
fn reading_of_hour(zone: Zone, hour: i64) -> Option<Reading> {
    let first = zone.read(hour * SECONDS_PER_HOUR);
    let last = zone.read(hour * SECONDS_PER_HOUR + SECONDS_PER_HOUR - 1);
    (first == last).then_some(first)
}
