//! Why a line that the parser did not accept is rejected: the reason and the column, in the order of precedence that `LineParser`
//! documents. Only rejected lines come here, so this code is plain rather than fast. It decides nothing: what it is given is rejected.

use crate::LineParser;
use crate::reason::{ParseError, Reason};
use crate::record::{CUSTOMER_ID_MAX_BYTES, REQUEST_PATH_MAX_BYTES};

/// What breaks a rule, at which byte of the text, from 0.
type Fault = (Reason, usize);

/// Explains a rejected line, without the NUL bytes before it and without its line end.
#[cold]
pub(crate) fn explain(text: &[u8]) -> ParseError {
    let (reason, at) = whole_line(text)
        .or_else(|| six_fields(text))
        .or_else(|| first_bad_field(text))
        // every field is right by itself: in its zone the stamp lies outside the years that can be kept
        .unwrap_or((Reason::Time, 0));
    ParseError { reason, column: at + 1 }
}

/// What is wrong whatever the fields are.
fn whole_line(text: &[u8]) -> Option<Fault> {
    if text.is_empty() {
        return Some((Reason::Empty, 0));
    }
    if text.len() > LineParser::LINE_MAX_BYTES {
        return Some((Reason::TooLong, LineParser::LINE_MAX_BYTES));
    }
    if let Some(at) = control_character(text) {
        return Some((Reason::ControlCharacter, at));
    }
    std::str::from_utf8(text).err().map(|error| (Reason::InvalidUtf8, error.valid_up_to()))
}

/// The first C0 control, DEL, or C1 control (in UTF-8: C2 80 to C2 9F; C2 never stands inside another character).
fn control_character(text: &[u8]) -> Option<usize> {
    text.iter().enumerate().position(|(at, &byte)| {
        byte.is_ascii_control() || (byte == 0xC2 && matches!(text.get(at + 1), Some(0x80..=0x9F)))
    })
}

/// What is wrong with the number of fields.
fn six_fields(text: &[u8]) -> Option<Fault> {
    let count = text.iter().filter(|&&byte| byte == b' ').count() + 1;
    let mut fields = text.split(|&byte| byte == b' ');
    // a line can have a million fields: only the first six matter
    let fields: [&[u8]; 6] = std::array::from_fn(|_| fields.next().unwrap_or_default());
    let is_date = |date: &[u8]| wrong_date(date).is_none();
    match count {
        6 => None,
        // the form of ISO 8601, date and time in one field
        5 if fields[0].len() > 10 && is_date(&fields[0][..10]) && matches!(fields[0][10], b'T' | b't') => {
            Some((Reason::Time, 10))
        }
        // a zone behind the time, in a field of its own
        7 if is_date(fields[0]) && wrong_clock(fields[1]).is_none() && is_zone(fields[2]) => {
            Some((Reason::Time, 20))
        }
        0..6 => Some((Reason::Fields, text.len())),
        _ => {
            // a space too many: at the beginning, beside another one, or the sixth
            let sixth = fields.iter().map(|field| field.len() + 1).sum::<usize>() - 1;
            let double = text.windows(2).position(|pair| pair == b"  ").map_or(sixth, |at| at + 1);
            Some((Reason::Fields, if text[0] == b' ' { 0 } else { sixth.min(double) }))
        }
    }
}

/// `Z`, `UTC`, `GMT`, or an offset like `+0200`, `-03:00`.
fn is_zone(field: &[u8]) -> bool {
    match field {
        b"Z" | b"UTC" | b"GMT" => true,
        [b'+' | b'-', offset @ ..] => {
            !offset.is_empty() && offset.iter().all(|b| b.is_ascii_digit() || *b == b':')
        }
        _ => false,
    }
}

/// The first of the six fields that is wrong.
fn first_bad_field(text: &[u8]) -> Option<Fault> {
    let mut start = 0;
    for (number, field) in text.split(|&byte| byte == b' ').enumerate() {
        let fault = match number {
            0 => wrong_date(field).map(|at| (Reason::Time, at)),
            1 => wrong_clock(field).map(|at| (Reason::Time, at)),
            2 => wrong_text(field, CUSTOMER_ID_MAX_BYTES).map(|at| (Reason::Customer, at)),
            3 => wrong_text(field, REQUEST_PATH_MAX_BYTES).map(|at| (Reason::Path, at)),
            4 => wrong_status(field).map(|at| (Reason::Status, at)),
            _ => wrong_duration(field).map(|at| (Reason::Duration, at)),
        };
        if let Some((reason, at)) = fault {
            return Some((reason, start + at));
        }
        start += field.len() + 1;
    }
    None
}

/// The first byte that differs from a pattern in which `0` stands for any digit; a missing byte counts as different.
fn differs(field: &[u8], pattern: &[u8]) -> Option<usize> {
    let fits =
        |(byte, wanted): (&u8, &u8)| if *wanted == b'0' { byte.is_ascii_digit() } else { byte == wanted };
    let same = field.iter().zip(pattern).take_while(|pair| fits(*pair)).count();
    (same < pattern.len() || field.len() > pattern.len()).then_some(same)
}

fn number(digits: &[u8]) -> u32 {
    digits.iter().fold(0, |number, digit| number * 10 + u32::from(digit - b'0'))
}

fn wrong_date(field: &[u8]) -> Option<usize> {
    if let Some(at) = differs(field, b"0000-00-00") {
        return Some(at);
    }
    let (year, month, day) = (number(&field[..4]), number(&field[5..7]), number(&field[8..]));
    if !(1970..=2261).contains(&year) {
        return Some(0);
    }
    if !(1..=12).contains(&month) {
        return Some(5);
    }
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    (!(1..=days).contains(&day)).then_some(8)
}

fn wrong_clock(field: &[u8]) -> Option<usize> {
    differs(field, b"00:00:00").or_else(|| {
        let limits = [(0, 24), (3, 60), (6, 60)];
        limits.into_iter().find(|&(at, limit)| number(&field[at..at + 2]) >= limit).map(|(at, _)| at)
    })
}

fn wrong_text(field: &[u8], max_bytes: usize) -> Option<usize> {
    if field.is_empty() {
        Some(0)
    } else if field.len() > max_bytes {
        Some(max_bytes)
    } else {
        field.ends_with(b"\\").then(|| field.len() - 1)
    }
}

fn wrong_status(field: &[u8]) -> Option<usize> {
    match field.iter().position(|byte| !byte.is_ascii_digit()) {
        Some(at) => Some(at),
        None => (!matches!(field, [b'1'..=b'5', _, _])).then_some(0),
    }
}

fn wrong_duration(field: &[u8]) -> Option<usize> {
    let digits = |from: usize| field[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let whole = digits(0);
    if whole == 0 {
        return Some(0);
    }
    if whole == field.len() || field[whole] == b'.' {
        let fraction = if whole == field.len() { 0 } else { digits(whole + 1) };
        let end = if whole == field.len() { whole } else { whole + 1 + fraction };
        if end < field.len() {
            return Some(end);
        }
        if whole < field.len() && fraction == 0 {
            return Some(whole);
        }
        return too_long_a_time(&field[..whole], &field[whole..]).then_some(0);
    }
    Some(whole)
}

/// Whether digits with an optional fraction exceed 86,400.
fn too_long_a_time(whole: &[u8], fraction: &[u8]) -> bool {
    let zeros = whole.iter().take_while(|digit| **digit == b'0').count();
    let whole = &whole[zeros..];
    let limit = b"86400";
    whole.len() > limit.len()
        || (whole.len() == limit.len() && whole > limit)
        || (whole == limit && fraction.iter().any(|byte| matches!(byte, b'1'..=b'9')))
}
