//! An instant as people write it: a date, an RFC 3339 time, a time back from now, or now. Nothing is resolved here.

use chrono::{DateTime, NaiveDate};

use super::shortened;

/// An instant, not yet on the axis of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Instant {
    /// The moment of the request, less that many seconds.
    Ago(i64),
    /// The beginning of a day of the zone.
    Day(NaiveDate),
    /// A second since 1970, and whether a fraction of it has passed.
    At { second: i64, fraction: bool },
}

/// No time back from now is longer: 300 years reach before every log line.
const AGO_MAX_SECONDS: i64 = 300 * 366 * 86_400;
/// The first and the last second that a log line can have, with a margin of a day for zones.
const SECONDS: std::ops::RangeInclusive<i64> = -86_400..=9_214_732_800;

impl Instant {
    /// Reads an instant; the error says what was expected.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let form = || {
            let hint = if text.contains('T') && text.contains(' ') {
                " (a `+` in an address is written %2B)"
            } else {
                ""
            };
            format!(
                "`{}` is none of a date (2024-09-29), an RFC 3339 time (2024-09-29T10:00:00Z), a time back from now (-15m, -24h, -7d), now{hint}",
                shortened(text)
            )
        };
        if text == "now" {
            return Ok(Instant::Ago(0));
        }
        if let Some(ago) = text.strip_prefix('-') {
            return ago_seconds(ago).map(Instant::Ago).ok_or_else(form);
        }
        match text.len() {
            10 => day(text).map_or_else(|| Err(form()), |day| day.map(Instant::Day)),
            _ => at(text).unwrap_or_else(|| Err(form())),
        }
    }
}

/// `90m`: whole seconds, minutes, hours, days (of 24 hours) or weeks.
fn ago_seconds(text: &str) -> Option<i64> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let unit = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        "w" => 7 * 86_400,
        _ => return None,
    };
    let fits = (1..=10).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    let seconds = fits.then(|| digits.parse::<i64>().ok()).flatten()?.checked_mul(unit)?;
    (seconds <= AGO_MAX_SECONDS).then_some(seconds)
}

/// `2024-09-29`. None for another form, an error for a day that the calendar does not have.
fn day(text: &str) -> Option<Result<NaiveDate, String>> {
    let bytes = text.as_bytes();
    let digits = |range: std::ops::Range<usize>| {
        let digits = text.get(range)?;
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse::<u32>().ok()).flatten()
    };
    if bytes.get(4) != Some(&b'-') || bytes.get(7) != Some(&b'-') {
        return None;
    }
    let (year, month, day) = (digits(0..4)?, digits(5..7)?, digits(8..10)?);
    let date = i32::try_from(year).ok().and_then(|year| NaiveDate::from_ymd_opt(year, month, day));
    Some(match date {
        None => Err(format!("`{text}` is not a date of the calendar")),
        Some(date) => {
            in_reach(date.and_time(chrono::NaiveTime::MIN).and_utc().timestamp(), text).map(|()| date)
        }
    })
}

/// `2024-09-29T10:00:00.5+02:00`. None for another form, an error for a time out of reach.
fn at(text: &str) -> Option<Result<Instant, String>> {
    // Chrono would take a space for the T, and more.
    let strict = text.len() <= 40 && text.is_ascii() && matches!(text.as_bytes().get(10), Some(b'T' | b't'));
    let time = DateTime::parse_from_rfc3339(text).ok().filter(|_| strict)?;
    let (second, fraction) = (time.timestamp(), time.timestamp_subsec_nanos() > 0);
    Some(in_reach(second, text).map(|()| Instant::At { second, fraction }))
}

fn in_reach(second: i64, text: &str) -> Result<(), String> {
    // What is before 1970 means "from the beginning".
    if second > *SECONDS.end() {
        return Err(format!("`{}` is after the year 2261, in which all logs end", shortened(text)));
    }
    Ok(())
}
