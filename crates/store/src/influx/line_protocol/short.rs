//! The line of nearly every request, put together in place. It makes the same bytes as the general way, and says when it cannot.

use super::{is_special_in_tag, is_special_in_text, part, requests};
use crate::PlacedRequest;

/// The greatest number of bytes that customer and path have together in a short line.
pub(super) const SHORT_TEXTS: usize = 72;
/// Room for a short line: its texts, and less than 112 bytes beside them.
const SHORT_LINE: usize = SHORT_TEXTS + 120;

/// What nearly every line is: a source of its own it has none, its texts are short and need no escape, its latency is below ten seconds and in whole milliseconds, its time has 19
/// digits. Put together in place, without asking at each part whether there is room; [`super::push_any`] makes the same bytes. False: it is another line, and what stands at the end of the
/// body means nothing.
#[inline]
pub(super) fn push_short(request: &PlacedRequest<'_>, body: &mut Vec<u8>) -> bool {
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
pub(super) fn digit(value: u32) -> u8 {
    b'0' + (value % 10) as u8
}

/// The eight digits of a number below 10^8, all at once: halves of four, of two, of one.
#[inline]
pub(super) fn eight_digits(number: u64) -> [u8; 8] {
    debug_assert!(number < 100_000_000, "{number} has more than eight digits");
    let fours = (number / 10_000) | ((number % 10_000) << 32);
    let hundreds = ((fours * 10_486) >> 20) & 0x0000_007f_0000_007f;
    let twos = hundreds | ((fours - 100 * hundreds) << 16);
    let tens = ((twos * 103) >> 10) & 0x000f_000f_000f_000f;
    let ones = tens | ((twos - 10 * tens) << 8);
    (ones | 0x3030_3030_3030_3030).to_le_bytes()
}
