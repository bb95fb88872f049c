//! A plain parser of the default line format: slow, obviously right, and written from the rules alone. The fast one must agree with it on
//! every line.

use chrono::{NaiveDate, NaiveTime};
use logline::{LineParser, Reason};

/// A request with everything owned: second, customer, path, status, microseconds.
pub(crate) type Request = (i64, String, String, u16, u64);

/// What the fast parser says of a line, in the plain one's form.
pub(crate) fn fast(parser: &mut LineParser, line: &[u8]) -> Result<Request, Reason> {
    let record = parser.parse(line).map_err(|error| {
        // a column counts bytes of this very line, or the place just past its end
        assert!((1..=line.len() + 1).contains(&error.column), "{error:?} in {} bytes", line.len());
        error.reason
    })?;
    assert_eq!((record.time.nanos, record.time.ambiguous), (0, false));
    Ok((
        record.time.second,
        record.customer.as_str().to_owned(),
        record.path.expect("the format has a path").as_str().to_owned(),
        record.status.code(),
        record.latency.expect("the format has a latency").micros(),
    ))
}

/// Parses a line in UTC.
pub(crate) fn parse(line: &[u8]) -> Result<Request, Reason> {
    let mut line = line.to_vec();
    while line.first() == Some(&0) {
        line.remove(0);
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    if line.is_empty() {
        return Err(Reason::Empty);
    }
    if line.len() > 1024 * 1024 {
        return Err(Reason::TooLong);
    }
    // what is not UTF-8 becomes a replacement character, which is no control character
    if String::from_utf8_lossy(&line).chars().any(char::is_control) {
        return Err(Reason::ControlCharacter);
    }
    let text = String::from_utf8(line).map_err(|_| Reason::InvalidUtf8)?;

    let fields: Vec<&str> = text.split(' ').collect();
    let [date, time, customer, path, status, duration] = fields[..] else {
        return Err(if stamp_has_too_much(&fields) { Reason::Time } else { Reason::Fields });
    };
    let second = second_of(date, time).ok_or(Reason::Time)?;
    let fits = |text: &str, max| (1..=max).contains(&text.len()) && !text.ends_with('\\');
    if !fits(customer, 256) {
        return Err(Reason::Customer);
    }
    if !fits(path, 8192) {
        return Err(Reason::Path);
    }
    let digits = |text: &str| text.chars().all(|c| c.is_ascii_digit());
    if status.len() != 3
        || !digits(status)
        || !('1'..='5').contains(&status.chars().next().expect("three digits"))
    {
        return Err(Reason::Status);
    }
    let micros = micros_of(duration).ok_or(Reason::Duration)?;
    Ok((second, customer.to_owned(), path.to_owned(), status.parse().expect("three digits"), micros))
}

fn stamp_has_too_much(fields: &[&str]) -> bool {
    match fields {
        [stamp, _, _, _, _] => {
            let iso = stamp.replacen('t', "T", 1);
            iso.split_once('T').is_some_and(|(date, _)| second_of(date, "00:00:00").is_some())
        }
        [date, time, zone, _, _, _, _] => {
            let offset = zone.strip_prefix('+').or(zone.strip_prefix('-'));
            let offset = offset
                .is_some_and(|rest| !rest.is_empty() && rest.chars().all(|c| "0123456789:".contains(c)));
            second_of(date, time).is_some() && (offset || ["Z", "UTC", "GMT"].contains(zone))
        }
        _ => false,
    }
}

fn second_of(date: &str, time: &str) -> Option<i64> {
    let shape =
        |text: &str| text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect::<String>();
    if shape(date) != "0000-00-00" || shape(time) != "00:00:00" || time.ends_with("60") {
        return None;
    }
    let (date, time) = (date.parse::<NaiveDate>().ok()?, time.parse::<NaiveTime>().ok()?);
    let first = NaiveDate::from_ymd_opt(1970, 1, 1)?;
    let last = NaiveDate::from_ymd_opt(2261, 12, 31)?;
    (first <= date && date <= last).then(|| date.and_time(time).and_utc().timestamp())
}

fn micros_of(text: &str) -> Option<u64> {
    let (whole, fraction) =
        text.split_once('.').map_or((text, None), |(whole, fraction)| (whole, Some(fraction)));
    let fraction_digits = fraction.unwrap_or("0");
    for digits in [whole, fraction_digits] {
        if digits.is_empty() || !digits.chars().all(|c| c.is_ascii_digit()) {
            return None;
        }
    }
    let whole: u128 = match whole.trim_start_matches('0') {
        "" => 0,
        digits => digits.parse().unwrap_or(u128::MAX),
    };
    let nothing_behind = fraction_digits.chars().all(|c| c == '0');
    if whole > 86_400 || (whole == 86_400 && !nothing_behind) {
        return None;
    }
    let seven: u128 = format!("{fraction_digits:0<7}")[..7].parse().expect("seven digits");
    let micros = whole * 1_000_000 + (seven + 5) / 10;
    Some(u64::try_from(micros).expect("at most a day"))
}
