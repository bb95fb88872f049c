//! Line protocol: points to bytes. Tags and fields go in the order of their names. Pure; nothing here knows HTTP.
//!
//! Whatever a [`Record`](logline::Record) can hold comes out as exactly one line that InfluxDB takes, and reads back as it was: control characters and
//! trailing backslashes (which line protocol cannot carry) are ruled out by the record's own types.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use logline::Latency;
use stats::WindowKind;

use super::schema::{generations, processors, requests, source_value, statistics};
use crate::{Owner, PlacedRequest, Statistics, StatisticsCell, StoredGeneration};

/// The parts of a request's line that never change, joined at compile time: one copy each instead of one for each name.
mod part {
    use super::super::schema::requests::{
        CUSTOMER_ID, DURATION, FAILED, MEASUREMENT, REQUEST_PATH, SOURCE, STATUS_CODE, SUCCEEDED, SUCCESS,
    };

    const fn length(texts: &[&str]) -> usize {
        let (mut length, mut index) = (0, 0);
        while index < texts.len() {
            length += texts[index].len();
            index += 1;
        }
        length
    }

    const fn join<const N: usize>(texts: &[&str]) -> [u8; N] {
        let (mut joined, mut at, mut index) = ([0; N], 0, 0);
        while index < texts.len() {
            let text = texts[index].as_bytes();
            let mut byte = 0;
            while byte < text.len() {
                joined[at] = text[byte];
                at += 1;
                byte += 1;
            }
            index += 1;
        }
        joined
    }

    macro_rules! part {
        ($name:ident = $($text:expr),+) => {
            pub(super) const $name: [u8; length(&[$($text),+])] = join(&[$($text),+]);
        };
    }
    part!(UP_TO_CUSTOMER = MEASUREMENT, ",", CUSTOMER_ID, "=");
    part!(UP_TO_SOURCE = ",", SOURCE, "=");
    part!(SUCCEEDED_TAG = ",", SUCCESS, "=", SUCCEEDED, " ");
    part!(FAILED_TAG = ",", SUCCESS, "=", FAILED, " ");
    part!(UP_TO_SECONDS = DURATION, "=");
    part!(UP_TO_PATH = REQUEST_PATH, "=\"");
    part!(UP_TO_STATUS = STATUS_CODE, "=");
    // What stands between the values of a short line, and after them.
    part!(SUCCEEDED_UP_TO_SECONDS = ",", SUCCESS, "=", SUCCEEDED, " ", DURATION, "=");
    part!(FAILED_UP_TO_SECONDS = ",", SUCCESS, "=", FAILED, " ", DURATION, "=");
    part!(SECONDS_TO_PATH = ",", REQUEST_PATH, "=\"");
    part!(PATH_TO_STATUS = "\",", STATUS_CODE, "=");
}

/// Appends a request's line.
#[inline]
pub(super) fn push_request(request: &PlacedRequest<'_>, body: &mut Vec<u8>) {
    let at = body.len();
    if !push_short(request, body) {
        body.truncate(at);
        push_any(request, body);
    }
}

/// The greatest number of bytes that customer and path have together in a short line.
const SHORT_TEXTS: usize = 72;
/// Room for a short line: its texts, and less than 112 bytes beside them.
const SHORT_LINE: usize = SHORT_TEXTS + 120;

/// What nearly every line is: a source of its own it has none, its texts are short and need no escape, its latency is below ten seconds and in whole milliseconds, its time has 19
/// digits. Put together in place, without asking at each part whether there is room; [`push_any`] makes the same bytes. False: it is another line, and what stands at the end of the
/// body means nothing.
#[inline]
fn push_short(request: &PlacedRequest<'_>, body: &mut Vec<u8>) -> bool {
    const MICROS: u64 = 10_000_000;
    const NINETEEN_DIGITS: i64 = 1_000_000_000_000_000_000;
    let record = &request.record;
    let (Some(path), Some(latency)) = (record.path, record.latency) else { return false };
    let (customer, path, micros) = (record.customer.as_bytes(), path.as_bytes(), latency.micros());
    let is_short = customer.len() + path.len() <= SHORT_TEXTS
        && micros < MICROS
        && micros.is_multiple_of(1000)
        && request.time_nanos >= NINETEEN_DIGITS
        && request.source == requests::MAIN_SOURCE
        && !has_special(customer, SPECIAL_IN_TAG)
        && !has_special(path, SPECIAL_IN_TEXT);
    if !is_short {
        return false;
    }
    let at = body.len();
    body.extend_from_slice(&TEMPLATE);
    let line = body[at..].first_chunk_mut::<SHORT_LINE>().expect("it was just added");
    let mut end = put_text(line, part::UP_TO_CUSTOMER.len(), customer);
    end = put(
        line,
        end,
        if record.status.is_success() { &part::SUCCEEDED_UP_TO_SECONDS } else { &part::FAILED_UP_TO_SECONDS },
    );
    let millis = (micros / 1000) as usize;
    let [tenths, hundredths, thousandths, length] = THREE_DIGITS[millis % 1000];
    put(line, end, &[b'0' + (millis / 1000) as u8, b'.', tenths, hundredths, thousandths]);
    end += usize::from(length);
    end = put(line, end, &part::SECONDS_TO_PATH);
    end = put_text(line, end, path);
    end = put(line, end, &part::PATH_TO_STATUS);
    let [hundreds, tens, ones, _] = THREE_DIGITS[usize::from(record.status.code()) % 1000];
    end = put(line, end, &[hundreds, tens, ones, b'i', b' ']);
    let nanos = request.time_nanos.cast_unsigned();
    // Three digits, eight, and eight: an i64 has 19.
    let [first, second, third, _] = THREE_DIGITS[(nanos / 10_000_000_000_000_000) as usize % 1000];
    end = put(line, end, &[first, second, third]);
    let sixteen = nanos % 10_000_000_000_000_000;
    end = put(line, end, &eight_digits(sixteen / 100_000_000));
    end = put(line, end, &eight_digits(sixteen % 100_000_000));
    end = put(line, end, b"\n");
    body.truncate(at + end);
    true
}

/// How a short line begins.
const TEMPLATE: [u8; SHORT_LINE] = {
    let mut template = [0; SHORT_LINE];
    let mut at = 0;
    while at < part::UP_TO_CUSTOMER.len() {
        template[at] = part::UP_TO_CUSTOMER[at];
        at += 1;
    }
    template
};

/// The digits of every number below 1000; and how long a number of seconds `0.xyz` with these decimals is without the zeros at its end.
static THREE_DIGITS: [[u8; 4]; 1000] = {
    let mut table = [[0; 4]; 1000];
    let mut number = 0_usize;
    while number < 1000 {
        let length = if number == 0 {
            1
        } else if number.is_multiple_of(100) {
            3
        } else if number.is_multiple_of(10) {
            4
        } else {
            5
        };
        let (hundreds, tens, ones) = (number / 100, number / 10 % 10, number % 10);
        table[number] = [b'0' + hundreds as u8, b'0' + tens as u8, b'0' + ones as u8, length];
        number += 1;
    }
    table
};

/// Puts a part in its place; returns the place behind it.
#[inline]
fn put<const N: usize>(line: &mut [u8; SHORT_LINE], at: usize, part: &[u8; N]) -> usize {
    line[at..at + N].copy_from_slice(part);
    at + N
}

/// The same for a text, which is copied in two pieces of a fixed length that may overlap: cheaper than a call that first asks how long it is.
#[inline(always)]
fn put_text(line: &mut [u8; SHORT_LINE], at: usize, text: &[u8]) -> usize {
    fn in_two<const N: usize>(to: &mut [u8], text: &[u8]) -> bool {
        let (Some(first), Some(last)) = (text.first_chunk::<N>(), text.last_chunk::<N>()) else {
            return false;
        };
        to[..N].copy_from_slice(first);
        to[text.len() - N..].copy_from_slice(last);
        true
    }
    let to = &mut line[at..at + text.len()];
    match text.len() {
        16..=32 => in_two::<16>(to, text),
        8..=15 => in_two::<8>(to, text),
        4..=7 => in_two::<4>(to, text),
        _ => {
            to.copy_from_slice(text);
            true
        }
    };
    at + text.len()
}

const SPECIAL_IN_TAG: u8 = 1;
const SPECIAL_IN_TEXT: u8 = 2;

/// Which bytes must be escaped where.
static SPECIAL: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = if is_special_in_tag(byte as u8) { SPECIAL_IN_TAG } else { 0 }
            | if is_special_in_text(byte as u8) { SPECIAL_IN_TEXT } else { 0 };
        byte += 1;
    }
    table
};

/// Whether a byte of a text must be escaped. Texts are short: looking each byte up takes less than anything that has to start up first.
#[inline]
fn has_special(text: &[u8], place: u8) -> bool {
    text.iter().fold(0, |all, byte| all | SPECIAL[usize::from(*byte)]) & place != 0
}

#[inline]
fn digit(value: u32) -> u8 {
    b'0' + (value % 10) as u8
}

/// The eight digits of a number below 10^8, all at once: halves of four, of two, of one.
#[inline]
fn eight_digits(number: u64) -> [u8; 8] {
    debug_assert!(number < 100_000_000, "{number} has more than eight digits");
    let fours = (number / 10_000) | ((number % 10_000) << 32);
    let hundreds = ((fours * 10_486) >> 20) & 0x0000_007f_0000_007f;
    let twos = hundreds | ((fours - 100 * hundreds) << 16);
    let tens = ((twos * 103) >> 10) & 0x000f_000f_000f_000f;
    let ones = tens | ((twos - 10 * tens) << 8);
    (ones | 0x3030_3030_3030_3030).to_le_bytes()
}

/// Any line, part by part.
fn push_any(request: &PlacedRequest<'_>, body: &mut Vec<u8>) {
    let record = &request.record;
    let customer = record.customer.as_bytes();
    let path = record.path.map(|path| path.as_bytes());
    // The names and numbers of a line take less than 150 bytes; escapes, which are rare, may grow the body once more.
    body.reserve(customer.len() + path.map_or(0, <[u8]>::len) + request.source.len() + 160);

    body.extend_from_slice(&part::UP_TO_CUSTOMER);
    push_escaped(body, customer, is_special_in_tag);
    if request.source != requests::MAIN_SOURCE {
        body.extend_from_slice(&part::UP_TO_SOURCE);
        push_tag_value(body, &source_value(request.source));
    }
    if record.status.is_success() {
        body.extend_from_slice(&part::SUCCEEDED_TAG);
    } else {
        body.extend_from_slice(&part::FAILED_TAG);
    }
    if let Some(latency) = record.latency {
        body.extend_from_slice(&part::UP_TO_SECONDS);
        push_seconds(body, latency);
        body.push(b',');
    }
    if let Some(path) = path {
        body.extend_from_slice(&part::UP_TO_PATH);
        push_escaped(body, path, is_special_in_text);
        body.extend_from_slice(b"\",");
    }
    body.extend_from_slice(&part::UP_TO_STATUS);
    push_three_digits(body, u32::from(record.status.code()));
    body.push(b'i');
    push_time(body, request.time_nanos);
}

/// Appends a generation's line. The digits below its second are those of its start: of two that begin alike within one second, neither takes the other's place.
pub(super) fn push_generation(generation: &StoredGeneration, body: &mut Vec<u8>) {
    push_name(body, generations::MEASUREMENT);
    push_tag(body, generations::HEAD, &generation.head);
    push_tag(body, generations::SOURCE, &source_value(&generation.source));
    body.push(b' ');
    push_integer_field(body, generations::START, generation.start.0.cast_signed());
    let below_second = i64::try_from(generation.start.0 % 1_000_000_000).expect("below a thousand million");
    push_time(body, generation.first_seen_second.saturating_mul(1_000_000_000).saturating_add(below_second));
}

/// Appends an owner's line.
pub(super) fn push_owner(owner: &Owner, body: &mut Vec<u8>) {
    push_name(body, processors::MEASUREMENT);
    push_tag(body, processors::SOURCE, &source_value(&owner.source));
    body.push(b' ');
    push_integer_field(body, processors::AS_OF_US, owner.as_of_micros.unwrap_or(processors::AS_OF_UNKNOWN));
    body.push(b',');
    push_integer_field(body, processors::COMMIT, i64::try_from(owner.commit).unwrap_or(i64::MAX));
    body.push(b',');
    let (worth, as_of_micros, quarters_from_second, days_from_second) = match owner.statistics {
        Statistics::NeedRebuild => (processors::NEED_REBUILD, None, 0, 0),
        Statistics::Incomplete => (processors::INCOMPLETE, None, 0, 0),
        Statistics::Published { as_of_micros, quarters_from_second, days_from_second } => {
            (processors::PUBLISHED, as_of_micros, quarters_from_second, days_from_second)
        }
    };
    push_integer_field(body, processors::DAYS_FROM_S, days_from_second);
    body.push(b',');
    push_integer_field(body, processors::HEARTBEAT_US, owner.heartbeat_micros);
    body.push(b',');
    push_string_field(body, processors::LEDGER, &owner.ledger);
    body.push(b',');
    push_integer_field(body, processors::QUARTERS_FROM_S, quarters_from_second);
    body.push(b',');
    push_name(body, processors::RELEASED);
    push_name(body, if owner.released { "=true," } else { "=false," });
    push_string_field(body, processors::STATISTICS, worth);
    body.push(b',');
    let as_of_micros = as_of_micros.unwrap_or(processors::AS_OF_UNKNOWN);
    push_integer_field(body, processors::STATISTICS_AS_OF_US, as_of_micros);
    push_time(body, owner.mark_nanos);
}

/// Appends the line of a window's statistics.
pub(super) fn push_statistics(point: &StatisticsCell, body: &mut Vec<u8>) {
    match &point.customer {
        Some(customer) => {
            push_name(body, statistics::MEASUREMENT);
            push_tag(body, statistics::CUSTOMER_ID, customer);
        }
        None => push_name(body, statistics::ALL_MEASUREMENT),
    }
    push_tag(body, statistics::SOURCE, &source_value(&point.source));
    push_tag(body, statistics::WINDOW, window_value(point.window.kind));
    body.push(b' ');
    let cell = &point.cell;
    let integer = |body: &mut Vec<u8>, key: &'static str, value: u64| {
        push_integer_field(body, key, i64::try_from(value).unwrap_or(i64::MAX));
        body.push(b',');
    };
    for (name, requests) in statistics::CLASSES.into_iter().zip(cell.classes) {
        integer(body, name, requests);
    }
    push_string_field(body, statistics::BLOB, &BASE64.encode(&point.blob));
    body.push(b',');
    if let Some(second) = point.last_seen_second.filter(|_| point.window.kind == WindowKind::Day) {
        push_integer_field(body, statistics::LAST_SEEN_S, second);
        body.push(b',');
    }
    integer(body, statistics::MAX_US, cell.latency_max_micros);
    integer(body, statistics::REQUESTS, cell.requests);
    integer(body, statistics::SUCCESSES, cell.successes);
    integer(body, statistics::SUM_US, cell.latency_sum_micros);
    body.pop();
    push_time(body, point.window.start_second.saturating_mul(1_000_000_000));
}

/// A kind of window as the value of its tag.
pub(super) fn window_value(kind: WindowKind) -> &'static str {
    match kind {
        WindowKind::Day => statistics::DAY,
        WindowKind::Quarter => statistics::QUARTER,
        WindowKind::Minute => unreachable!("minutes stay in the ledger"),
    }
}

/// A name of the schema, which needs no escape.
fn push_name(body: &mut Vec<u8>, name: &'static str) {
    body.extend_from_slice(name.as_bytes());
}

fn push_tag(body: &mut Vec<u8>, key: &'static str, value: &str) {
    body.push(b',');
    push_name(body, key);
    body.push(b'=');
    push_tag_value(body, value);
}

fn push_tag_value(body: &mut Vec<u8>, value: &str) {
    debug_assert!(!value.is_empty() && !value.ends_with('\\'), "no line protocol for the tag {value:?}");
    push_escaped(body, value.as_bytes(), is_special_in_tag);
}

const fn is_special_in_tag(byte: u8) -> bool {
    matches!(byte, b',' | b'=' | b' ')
}

/// A text between its quotes.
fn push_text(body: &mut Vec<u8>, text: &str) {
    push_escaped(body, text.as_bytes(), is_special_in_text);
}

const fn is_special_in_text(byte: u8) -> bool {
    matches!(byte, b'"' | b'\\')
}

fn push_string_field(body: &mut Vec<u8>, key: &'static str, value: &str) {
    push_name(body, key);
    body.extend_from_slice(b"=\"");
    push_text(body, value);
    body.push(b'"');
}

fn push_integer_field(body: &mut Vec<u8>, key: &'static str, value: i64) {
    push_name(body, key);
    body.push(b'=');
    body.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
    body.push(b'i');
}

fn push_time(body: &mut Vec<u8>, nanos: i64) {
    body.push(b' ');
    body.extend_from_slice(itoa::Buffer::new().format(nanos).as_bytes());
    body.push(b'\n');
}

/// Appends `text` with a backslash before every byte that is special. Ids and paths are short, so a plain loop finds out sooner than anything that has to start up first.
#[inline]
fn push_escaped(body: &mut Vec<u8>, text: &[u8], is_special: impl Fn(u8) -> bool + Copy) {
    let mut rest = text;
    // Without a branch for each byte: nearly all texts have nothing to escape.
    if !rest.iter().fold(false, |found, byte| found | is_special(*byte)) {
        body.extend_from_slice(rest);
        return;
    }
    while let Some(at) = rest.iter().position(|byte| is_special(*byte)) {
        body.extend_from_slice(&rest[..at]);
        body.extend_from_slice(&[b'\\', rest[at]]);
        rest = &rest[at + 1..];
    }
    body.extend_from_slice(rest);
}

/// Seconds in plain decimals, straight from the whole microseconds: the server parses the very number that the log had.
#[inline]
fn push_seconds(body: &mut Vec<u8>, latency: Latency) {
    let micros = latency.micros();
    match micros / 1_000_000 {
        seconds @ 0..10 => body.push(b'0' + u8::try_from(seconds).expect("a digit")),
        seconds => body.extend_from_slice(itoa::Buffer::new().format(seconds).as_bytes()),
    }
    let rest = u32::try_from(micros % 1_000_000).expect("below a million");
    if rest == 0 {
        return;
    }
    body.push(b'.');
    push_three_digits(body, rest / 1000);
    if !rest.is_multiple_of(1000) {
        push_three_digits(body, rest % 1000);
    }
    while body.last() == Some(&b'0') {
        body.pop();
    }
}

/// A number below 1000, with zeros in front.
#[inline]
fn push_three_digits(body: &mut Vec<u8>, number: u32) {
    debug_assert!(number < 1000, "{number} has more than three digits");
    body.extend_from_slice(&[digit(number / 100), digit(number / 10), digit(number)]);
}

#[cfg(test)]
mod tests;
