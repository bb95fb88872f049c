//! The parser of the default log line, on bytes. It never panics on any bytes (L2) and never allocates.
//!
//! This file decides whether a line is valid, as fast as it can; why it is not is found out afterwards by `explain`.

use chrono::NaiveDate;

use crate::explain::explain;
use crate::reason::ParseError;
use crate::record::{CUSTOMER_ID_MAX_BYTES, LATENCY_MAX_MICROS, REQUEST_PATH_MAX_BYTES};
use crate::zone::{Zone, ZoneCache};
use crate::{CustomerId, Latency, LogTime, Record, RequestPath, Status};

/// Parses lines `2024-09-14 16:15:35 cust_5 /api/v1/resource4 200 0.772`. Keeps the last date's arithmetic: one per worker.
///
/// **The line.** A run of NUL bytes at its beginning (the hole that a copytruncate leaves) is skipped, and a `\r` at its end belongs to
/// the line end. What remains is split at every single space and must give six fields: date, time, customer, path, status, duration in
/// seconds. Durations with more than six decimals are rounded to microseconds, half up.
///
/// **The reason** of a line that breaks several rules is the first that holds of:
/// 1. `empty`, `too_long`;
/// 2. `control_character`: one anywhere in the line (then the line is likely no log line at all);
/// 3. `invalid_utf8`: anywhere in the line;
/// 4. `time`: the stamp makes the number of fields differ from six: `2024-09-14T16:15:35 …` (one field), `… 16:15:35 +02:00 cust …` (three);
/// 5. `fields`: not six of them. An empty field counts as one: two spaces between time and path are an empty customer, and one too many
///    spaces elsewhere make seven fields;
/// 6. of the six fields the first one that is wrong: `time`, `customer`, `path`, `status` or `duration`.
#[derive(Clone, Debug)]
pub struct LineParser {
    zone: ZoneCache,
    /// Dates that were parsed, each in its place of [`date_place`]: lines of a log mostly share theirs with the line before, and those of a month in any
    /// order share them with some line before.
    dates: [CachedDate; 64],
}

#[derive(Clone, Copy, Debug)]
struct CachedDate {
    text: [u8; 10],
    /// The day's first second since 1970, in the zone's local time.
    second: i64,
}

impl Default for LineParser {
    fn default() -> Self {
        Self::new(Zone::default())
    }
}

impl LineParser {
    /// The longest line, in bytes without its line end and without the NUL bytes before it.
    pub const LINE_MAX_BYTES: usize = 1 << 20;

    /// A parser for stamps of that zone.
    pub fn new(zone: Zone) -> Self {
        // true in any place, though looked for in one only
        let known = CachedDate { text: *b"1970-01-01", second: 0 };
        Self { zone: ZoneCache::new(zone), dates: [known; 64] }
    }

    /// Parses one line without its `\n` (a `\r` before it belongs to the line end and is allowed). A run of NUL bytes before
    /// the line, the hole that a copytruncate leaves, is skipped.
    #[inline(always)]
    pub fn parse<'a>(&mut self, line: &'a [u8]) -> Result<Record<'a>, ParseError> {
        match self.accept(line.strip_suffix(b"\r").unwrap_or(line)) {
            Some(record) => Ok(record),
            None => self.parse_behind_hole(line),
        }
    }

    /// Parses a line that may have NUL bytes before it, and tells why it is rejected if it is.
    #[cold]
    fn parse_behind_hole<'a>(&mut self, line: &'a [u8]) -> Result<Record<'a>, ParseError> {
        let hole = line.iter().position(|&byte| byte != 0).unwrap_or(line.len());
        let text = &line[hole..];
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        self.accept(text).ok_or_else(|| {
            let ParseError { reason, column } = explain(text);
            ParseError { reason, column: hole + column }
        })
    }

    /// The record of a valid line. None says nothing about why.
    #[inline(always)]
    fn accept<'a>(&mut self, text: &'a [u8]) -> Option<Record<'a>> {
        if text.len() > Self::LINE_MAX_BYTES {
            return None;
        }
        let (stamp, rest) = text.split_first_chunk::<20>()?;
        let time = self.stamp(stamp)?;

        let spaces = two_spaces(rest)?;
        let (fields, rest) = (&rest[..spaces.second], &rest[spaces.second + 1..]);
        let path_length = spaces.second - spaces.first - 1;
        if spaces.first == 0
            || spaces.first > CUSTOMER_ID_MAX_BYTES
            || path_length == 0
            || path_length > REQUEST_PATH_MAX_BYTES
        {
            return None;
        }
        if fields[spaces.first - 1] == b'\\' || fields[spaces.second - 1] == b'\\' {
            return None;
        }
        // Nothing special is printable ASCII, and so UTF-8 without control characters.
        if spaces.special && std::str::from_utf8(fields).ok()?.chars().any(char::is_control) {
            return None;
        }
        let (customer, path) = (&fields[..spaces.first], &fields[spaces.first + 1..]);

        let (status, duration) = rest.split_first_chunk::<4>()?;
        Some(Record {
            time,
            customer: CustomerId::checked(customer),
            path: Some(RequestPath::checked(path)),
            status: status_and_space(*status)?,
            latency: Some(duration_micros(duration)?),
        })
    }

    /// The instant of `2024-09-14 16:15:35 ` with the space behind it.
    #[inline(always)]
    fn stamp(&mut self, stamp: &[u8; 20]) -> Option<LogTime> {
        let (date, rest) = stamp.split_first_chunk::<10>().expect("20 bytes hold 10");
        let (clock, end) = rest[1..].split_first_chunk::<8>().expect("9 bytes hold 8");
        let known = &mut self.dates[date_place(date)];
        if known.text != *date {
            *known = CachedDate { text: *date, second: date_second(date)? };
        }
        let day_second = known.second;
        if rest[0] != b' ' || end[0] != b' ' {
            return None;
        }
        let local = day_second + clock_second(*clock)?;
        let reading = self.zone.read(local);
        let second = local - i64::from(reading.offset);
        // in a zone other than UTC the first hours of 1970 or the last of 2261 can lie outside those years
        (LogTime::SECOND_MIN..=LogTime::SECOND_MAX).contains(&second).then_some(LogTime {
            second,
            nanos: 0,
            ambiguous: reading.ambiguous,
        })
    }
}

/// Where a date is remembered: 64 places, no two of neighbouring months share one.
fn date_place(date: &[u8; 10]) -> usize {
    let [_, _, _, _, _, _, month, _, tens, ones] = *date;
    usize::from(month % 2 * 32 + (tens % 4 * 10 + ones % 16) % 32)
}

/// The first second of a date `2024-09-14`, years 1970 to 2261.
fn date_second(text: &[u8; 10]) -> Option<i64> {
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = *text else { return None };
    let year = two_digits([y1, y2])? * 100 + two_digits([y3, y4])?;
    let (month, day) = (two_digits([m1, m2])?, two_digits([d1, d2])?);
    if !(1970..=2261).contains(&year) {
        return None;
    }
    let date = NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, month, day)?;
    Some(i64::from(date.to_epoch_days()) * 86_400)
}

fn two_digits([tens, ones]: [u8; 2]) -> Option<u32> {
    (tens.is_ascii_digit() && ones.is_ascii_digit())
        .then(|| u32::from(tens - b'0') * 10 + u32::from(ones - b'0'))
}

/// The seconds since midnight of `16:15:35`; no second 60. All eight bytes are checked at once.
#[inline]
fn clock_second(clock: [u8; 8]) -> Option<i64> {
    // Its own characters taken away, a digit is left as 0 to 9 and a colon as 0; what is added then sets the high bit of everything greater.
    let rest = u64::from_le_bytes(clock) ^ u64::from_le_bytes(*b"00:00:00");
    let above = rest.wrapping_add(u64::from_le_bytes([0x76, 0x76, 0x7f, 0x76, 0x76, 0x7f, 0x76, 0x76]));
    // A byte that carries into its neighbour has its high bit set itself.
    if (rest | above) & 0x8080_8080_8080_8080 != 0 {
        return None;
    }
    let two = |at: u32| (rest >> at & 0xf) * 10 + (rest >> (at + 8) & 0xf);
    let (hour, minute, second) = (two(0), two(24), two(48));
    (hour < 24 && minute < 60 && second < 60).then(|| (hour * 3600 + minute * 60 + second).cast_signed())
}

/// A status and the space behind it. No leading zero, so no status below 100.
#[inline]
fn status_and_space(bytes: [u8; 4]) -> Option<Status> {
    let [hundreds @ b'1'..=b'5', tens @ b'0'..=b'9', ones @ b'0'..=b'9', b' '] = bytes else { return None };
    Status::new(u16::from(hundreds - b'0') * 100 + u16::from(tens - b'0') * 10 + u16::from(ones - b'0')).ok()
}

/// A duration in seconds, digits with an optional fraction, at most 86,400: in microseconds, the seventh decimal rounded half up.
#[inline]
fn duration_micros(text: &[u8]) -> Option<Latency> {
    /// More than any valid number of seconds, and far from overflow.
    const TOO_MANY: u64 = 1_000_000;
    const SCALE: [u64; 7] = [1_000_000, 100_000, 10_000, 1000, 100, 10, 1];

    // what nearly every line has, without loops
    if let [w @ b'0'..=b'9', b'.', a @ b'0'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9'] = *text {
        let [w, a, b, c] = [w, a, b, c].map(|digit| u64::from(digit - b'0'));
        return Latency::from_micros(w * 1_000_000 + a * 100_000 + b * 10_000 + c * 1000).ok();
    }
    let mut whole = 0;
    let mut digits = 0;
    while let Some(&byte @ b'0'..=b'9') = text.get(digits) {
        whole = (whole * 10 + u64::from(byte - b'0')).min(TOO_MANY);
        digits += 1;
    }
    if digits == 0 {
        return None;
    }
    let mut micros = whole * 1_000_000;
    match text.get(digits) {
        None => {}
        Some(b'.') => {
            let fraction = &text[digits + 1..];
            if fraction.is_empty() {
                return None;
            }
            let (kept, cut) = fraction.split_at(fraction.len().min(6));
            let mut value = 0;
            for &byte in kept {
                if !byte.is_ascii_digit() {
                    return None;
                }
                value = value * 10 + u64::from(byte - b'0');
            }
            micros += value * SCALE[kept.len()];
            if let Some(&seventh) = cut.first() {
                if !cut.iter().all(u8::is_ascii_digit) {
                    return None;
                }
                // the limit holds for what was written, not for what it is rounded to
                if micros >= LATENCY_MAX_MICROS && cut.iter().any(|&digit| digit != b'0') {
                    return None;
                }
                micros += u64::from(seventh >= b'5');
            }
        }
        Some(_) => return None,
    }
    Latency::from_micros(micros).ok()
}

/// Where the first two spaces are, and whether there may be something else than printable ASCII before the second.
struct TwoSpaces {
    first: usize,
    second: usize,
    special: bool,
}

/// Finds the first two spaces, eight bytes at a time.
#[inline(always)]
fn two_spaces(text: &[u8]) -> Option<TwoSpaces> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x80 * ONES;

    let mut first = None;
    let mut special = 0;
    let (words, tail) = text.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        // the high bit of a byte is set if it is not ASCII, or DEL, or below the space; carries can only add false alarms
        special |= (word | word.wrapping_add(ONES) | word.wrapping_sub(ONES * 0x20)) & HIGH;
        // the high bit of a byte is set if it is a space, exactly
        let other = word ^ (ONES * 0x20);
        let mut spaces = !(((other & !HIGH) + !HIGH) | other) & HIGH;
        while spaces != 0 {
            let at = index * 8 + (spaces.trailing_zeros() / 8) as usize;
            match first {
                None => first = Some(at),
                Some(first) => return Some(TwoSpaces { first, second: at, special: special != 0 }),
            }
            spaces &= spaces - 1;
        }
    }
    for (index, &byte) in tail.iter().enumerate() {
        special |= u64::from(!(0x20..0x7f).contains(&byte));
        if byte == b' ' {
            let at = words.len() * 8 + index;
            match first {
                None => first = Some(at),
                Some(first) => return Some(TwoSpaces { first, second: at, special: special != 0 }),
            }
        }
    }
    None
}

/// The bytes of a file's first line without the byte order mark that may stand there.
pub fn strip_byte_order_mark(line: &[u8]) -> &[u8] {
    line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(line)
}

#[cfg(test)]
mod tests;
