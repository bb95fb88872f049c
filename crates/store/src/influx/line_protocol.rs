//! Line protocol: points to bytes. Tags and fields go in the order of their names. Pure; nothing here knows HTTP.
//!
//! Whatever a [`Record`](logline::Record) can hold comes out as exactly one line that InfluxDB takes, and reads back as it was: control characters and
//! trailing backslashes (which line protocol cannot carry) are ruled out by the record's own types.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use logline::Latency;
use stats::WindowKind;

mod short;

use short::{digit, push_short};

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
