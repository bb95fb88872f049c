//! Ranges of time: from texts and the time now to whole windows that every store can tell exactly. An instant is widened outward to the windows that are kept
//! there, and the answer says so; a day is never widened: it is exact, or refused.

use std::time::Duration;

use stats::{
    NotKept, SECONDS_PER_DAY, TimeRange, WindowKind, WindowsKept, first_kept_second, tile_stretches,
};

use super::instant::Instant;
use super::zone::days_after;
use super::{Fault, Zone};

/// Minutes are kept for 48 hours; the hour less is for what passes between question and answer, and clocks that differ.
const MINUTES_SECONDS: i64 = 47 * 3600;
/// Of ranges no longer than that minutes are told also where they are made from the single requests: an hour, widened.
const MINUTES_FROM_REQUESTS_SECONDS: i64 = 90 * 60;
/// Ends of ranges no longer than that are told to the minute there, too.
const SHORT_SECONDS: i64 = 30 * 60;
/// Quarter-hours are kept for 90 days, by the processor's clock.
const QUARTERS_SECONDS: i64 = 90 * SECONDS_PER_DAY - 900;
/// The range when nothing is said about it.
const FROM_DEFAULT: &str = "-24h";
const TO_DEFAULT: &str = "now";

/// The moment of a question: what ranges are made of besides their texts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    now_second: i64,
    first_second: i64,
    /// Whether minutes cost no more than other windows.
    minutes: bool,
}

/// What was written about a range.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RangeTexts<'a> {
    pub(crate) from: Option<&'a str>,
    pub(crate) to: Option<&'a str>,
    pub(crate) tz: Option<&'a str>,
    /// Whether the period before is wanted, too.
    pub(crate) compare: bool,
}

/// A range that can be answered exactly, and if wanted the one before it, of the same length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Period {
    pub(crate) range: TimeRange,
    pub(crate) previous: Option<TimeRange>,
    pub(crate) zone: Zone,
    /// Whether the retention cut its beginning off.
    pub(crate) clipped: bool,
    /// Whether it ends now, or later.
    pub(crate) reaches_now: bool,
}

impl Moment {
    /// No log line is older than 1970, or than the first day of the retention.
    pub(crate) fn new(now_second: i64, retention: Option<Duration>) -> Self {
        Self { now_second, first_second: first_kept_second(now_second, retention).max(0), minutes: true }
    }

    /// The same before a store that makes minutes from the single requests: ends of ranges are widened to quarter-hours, and minutes are told of short ranges only, or when they are asked for.
    pub(crate) fn without_minutes(self) -> Self {
        Self { minutes: false, ..self }
    }

    /// From when on windows can be relied on, whichever store is asked.
    pub(crate) fn kept(&self) -> WindowsKept {
        WindowsKept {
            minutes_from_second: WindowKind::Minute.ceil(self.now_second - MINUTES_SECONDS),
            quarters_from_second: WindowKind::Quarter.ceil(self.now_second - QUARTERS_SECONDS),
        }
    }

    /// The first second of which anything can be there.
    pub(super) fn first_second(&self) -> i64 {
        self.first_second
    }

    /// Whether a range can be told minute by minute.
    pub(crate) fn has_minutes(&self, range: TimeRange) -> bool {
        range.from_second >= self.kept().minutes_from_second && self.minutes_are_cheap(range)
    }

    /// Whether it costs little to tell a range minute by minute.
    pub(super) fn minutes_are_cheap(&self, range: TimeRange) -> bool {
        self.minutes || range.to_second - range.from_second <= MINUTES_FROM_REQUESTS_SECONDS
    }

    /// The windows to which the ends of a range are widened, the shortest first.
    fn edges(&self, asked: TimeRange) -> &'static [WindowKind] {
        let all = &[WindowKind::Minute, WindowKind::Quarter, WindowKind::Day];
        let is_short = asked.to_second - asked.from_second <= SHORT_SECONDS;
        if self.minutes || is_short { all } else { &all[1..] }
    }

    /// The range that texts mean.
    pub(crate) fn period(&self, texts: RangeTexts<'_>) -> Result<Period, Fault> {
        let zone = texts.tz.map_or(Ok(Zone::UTC), Zone::parse)?;
        let read = |name, text| Instant::parse(text).map_err(|wrong| Fault::new(name, wrong));
        let (from_text, to_text) = (texts.from.unwrap_or(FROM_DEFAULT), texts.to.unwrap_or(TO_DEFAULT));
        let (from, to) = (read("from", from_text)?, read("to", to_text)?);
        let asked =
            TimeRange { from_second: self.place(from, zone, false), to_second: self.place(to, zone, true) };
        if asked.from_second > self.now_second {
            return Err(Fault::new("from", format!("`{from_text}` is in the future")));
        }
        if asked.is_empty() {
            return Err(Fault::new(
                "to",
                format!("`{to_text}` is not after `{from_text}`, the beginning of the range"),
            ));
        }
        let days = [from, to].map(|instant| matches!(instant, Instant::Day(_)));
        let clipped = asked.from_second < self.first_second;
        let from_second = asked.from_second.max(self.first_second);
        // All of it is before the first that is kept: an empty range there.
        let asked = TimeRange { from_second, to_second: asked.to_second.max(from_second) };
        let clipped = clipped && self.first_second > 0;
        let (range, previous) = if texts.compare {
            let (range, previous) = self.with_previous(asked, days, zone)?;
            (range, Some(previous))
        } else {
            (self.widened(asked, [days[0] || clipped, days[1]], zone)?, None)
        };
        let reaches_now = range.to_second >= self.now_second;
        Ok(Period { range, previous, zone, clipped, reaches_now })
    }

    /// An instant as a second; a fraction counts as the second behind it where a range ends.
    fn place(&self, instant: Instant, zone: Zone, is_end: bool) -> i64 {
        match instant {
            Instant::Ago(seconds) => self.now_second - seconds,
            Instant::Day(date) => zone.day_start(date),
            Instant::At { second, fraction } => second + i64::from(fraction && is_end),
        }
    }

    /// The range brought to windows that are kept: ends that are fixed stay where they are, or are a fault.
    fn widened(&self, asked: TimeRange, fixed: [bool; 2], zone: Zone) -> Result<TimeRange, Fault> {
        let (kept, edges) = (self.kept(), self.edges(asked));
        let from_second = if fixed[0] {
            asked.from_second
        } else {
            kept.finest_at(asked.from_second).max(edges[0]).floor(asked.from_second)
        };
        let widened = edges.iter().map(|kind| kind.ceil(asked.to_second));
        let ends = if fixed[1] { vec![asked.to_second] } else { widened.collect() };
        let mut fault = None;
        for to_second in ends {
            match tile_stretches(&[from_second, to_second], kept) {
                Ok(_) => return Ok(TimeRange { from_second, to_second }),
                Err(not_kept) => fault = fault.or(Some(not_kept)),
            }
        }
        let not_kept = fault.expect("there is at least one end to try");
        let parameter = if not_kept.second == from_second { "from" } else { "to" };
        Err(Fault::new(parameter, refusal(not_kept, zone)))
    }

    /// The range and the one before it: both of the same length, both exact.
    fn with_previous(
        &self,
        asked: TimeRange,
        days: [bool; 2],
        zone: Zone,
    ) -> Result<(TimeRange, TimeRange), Fault> {
        let kept = self.kept();
        let mut fault = None;
        for kind in self.edges(asked) {
            let from_second = if days[0] { asked.from_second } else { kind.floor(asked.from_second) };
            let to_second = if days[1] { asked.to_second } else { kind.ceil(asked.to_second) };
            let before = if days == [true, true] {
                let (first, end) = (zone.date_of(from_second), zone.date_of(to_second));
                zone.day_start(days_after(first, first.signed_duration_since(end).num_days()))
            } else {
                from_second - (to_second - from_second)
            };
            match tile_stretches(&[before, from_second, to_second], kept) {
                Ok(_) => {
                    let range = |from_second, to_second| TimeRange { from_second, to_second };
                    return Ok((range(from_second, to_second), range(before, from_second)));
                }
                Err(not_kept) => fault = Some(not_kept),
            }
        }
        let not_kept = fault.expect("three kinds were tried");
        Err(Fault::new(
            "compare",
            format!("the period before cannot be told exactly: {}", refusal(not_kept, zone)),
        ))
    }
}

/// Why a bound cannot be answered exactly.
pub(super) fn refusal(not_kept: NotKept, zone: Zone) -> String {
    let NotKept { second, kind } = not_kept;
    let when = zone.rfc3339(second);
    match kind {
        WindowKind::Minute => format!("{when} is not a whole minute"),
        WindowKind::Quarter => format!(
            "{when} is not a quarter-hour (UTC), and that long ago single minutes are not kept any more (48 hours are)"
        ),
        WindowKind::Day => format!(
            "{when} is not the beginning of a day (UTC), and that long ago only whole days (UTC) are kept (quarter-hours for 90 days); tz=UTC can be answered"
        ),
    }
}
