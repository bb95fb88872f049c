//! The forms of values: text -> value, pure. Which setting has which form is declared elsewhere.

use std::net::SocketAddr;
use std::time::Duration;

/// A whole number in a range; digits only.
pub(super) fn whole(text: &str, min: u64, max: u64) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok().filter(|number| (min..=max).contains(number))
}

/// Seconds with an optional fraction, exact to the nanosecond (further digits are cut off).
pub(super) fn seconds(text: &str, max: u64) -> Option<Duration> {
    let (integer, fraction) = text.split_once('.').unwrap_or((text, "0"));
    if text.is_empty() || fraction.is_empty() || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let second = whole(if integer.is_empty() { "0" } else { integer }, 0, max)?;
    let nanos = fraction
        .bytes()
        .chain(std::iter::repeat(b'0'))
        .take(9)
        .fold(0_u32, |nanos, digit| nanos * 10 + u32::from(digit - b'0'));
    Some(Duration::new(second, nanos)).filter(|duration| *duration <= Duration::from_secs(max))
}

/// true/false, 1/0, yes/no, on/off, in any case.
pub(super) fn flag(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Some(true),
        "false" | "0" | "no" | "off" => Some(false),
        _ => None,
    }
}

/// `IP:port`, `[IPv6]:port` or `localhost:port`.
pub(super) fn address(text: &str) -> Option<SocketAddr> {
    match text.strip_prefix("localhost:") {
        Some(port) => format!("127.0.0.1:{port}").parse().ok(),
        None => text.parse().ok(),
    }
}

/// `45d`, `12h`, `1d12h`; the outer `None` is a fault, the inner one is "none" (`0`).
pub(super) fn age(text: &str) -> Option<Option<Duration>> {
    if text == "0" {
        return Some(None);
    }
    let mut total = 0_u64;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number = whole(rest.get(..digits)?, 0, u64::MAX)?;
        let unit = match rest.as_bytes().get(digits)? {
            b's' => 1,
            b'm' => 60,
            b'h' => 3_600,
            b'd' => 86_400,
            b'w' => 604_800,
            _ => return None,
        };
        total = total.checked_add(number.checked_mul(unit)?)?;
        rest = &rest[digits + 1..];
    }
    (!text.is_empty()).then_some((total > 0).then_some(Duration::from_secs(total)))
}

/// Values between commas, trimmed, empty ones left out.
pub(super) fn list(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
}

/// The word of the list that the text is, in any case.
pub(super) fn one_of(text: &str, words: &[&'static str]) -> Option<&'static str> {
    words.iter().copied().find(|word| word.eq_ignore_ascii_case(text))
}
