//! A time zone by its IANA name: when its days begin. Days follow it through the changes of its clocks.

use chrono::offset::LocalResult;
use chrono::{DateTime, Days, NaiveDate, Offset, TimeDelta, TimeZone};
use chrono_tz::Tz;

use super::{Fault, shortened};

/// A time zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Zone(Tz);

/// Clocks jump by whole quarter-hours; a day whose midnight they skip begins at the first of these that exists.
const STEP_MINUTES: i64 = 15;

impl Zone {
    pub(crate) const UTC: Zone = Zone(Tz::UTC);

    /// Reads an IANA name, exactly.
    pub(crate) fn parse(name: &str) -> Result<Self, Fault> {
        name.parse().map(Zone).map_err(|_| {
            let detail = format!(
                "`{}` is not a time zone of the IANA list, such as UTC or Europe/Berlin",
                shortened(name)
            );
            Fault::new("tz", detail)
        })
    }

    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        self.0.name()
    }

    /// The second in which a day begins: the first whose date it is. A day that the zone skipped begins where the next one does.
    pub(super) fn day_start(self, date: NaiveDate) -> i64 {
        let mut local = date.and_time(chrono::NaiveTime::MIN);
        let end = local + TimeDelta::hours(36);
        while local < end {
            match self.0.from_local_datetime(&local) {
                LocalResult::Single(time) | LocalResult::Ambiguous(time, _) => return time.timestamp(),
                LocalResult::None => local += TimeDelta::minutes(STEP_MINUTES),
            }
        }
        // No zone ever skipped more than a day.
        date.and_time(chrono::NaiveTime::MIN).and_utc().timestamp()
    }

    /// The date of a second.
    pub(super) fn date_of(self, second: i64) -> NaiveDate {
        self.local(second).date_naive()
    }

    /// How far its clocks are ahead of UTC at a second.
    pub(super) fn offset_seconds(self, second: i64) -> i64 {
        i64::from(self.local(second).offset().fix().local_minus_utc())
    }

    /// A second as its clocks show it, with their offset.
    pub(crate) fn rfc3339(self, second: i64) -> String {
        let local = self.local(second);
        let zulu = local.offset().fix().local_minus_utc() == 0;
        local.format(if zulu { "%Y-%m-%dT%H:%M:%SZ" } else { "%Y-%m-%dT%H:%M:%S%:z" }).to_string()
    }

    fn local(self, second: i64) -> DateTime<Tz> {
        let utc = DateTime::from_timestamp(second, 0).expect("ranges end with the year 2261");
        utc.with_timezone(&self.0)
    }
}

/// The day so many days after another.
pub(super) fn days_after(date: NaiveDate, days: i64) -> NaiveDate {
    let moved = if days < 0 {
        date.checked_sub_days(Days::new(days.unsigned_abs()))
    } else {
        date.checked_add_days(Days::new(days.unsigned_abs()))
    };
    moved.expect("ranges lie within the years 1677 to 2262")
}
