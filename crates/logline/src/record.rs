//! The record: one API request as values that cannot be wrong (L3). Nothing here reads or writes text lines.

use crate::Reason;

/// The longest customer id, in bytes of UTF-8.
pub const CUSTOMER_ID_MAX_BYTES: usize = 256;
/// The longest request path, in bytes of UTF-8.
pub const REQUEST_PATH_MAX_BYTES: usize = 8192;
/// The greatest latency, in microseconds: one day.
pub const LATENCY_MAX_MICROS: u64 = 86_400_000_000;

/// One API request, borrowed from the line it was parsed from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// When the request was logged.
    pub time: LogTime,
    /// Who asked.
    pub customer: CustomerId<'a>,
    /// What was asked; formats without a path have none.
    pub path: Option<RequestPath<'a>>,
    /// The answer's HTTP status.
    pub status: Status,
    /// How long the answer took; formats without a latency have none (never 0).
    pub latency: Option<Latency>,
}

/// An instant as the log wrote it, in UTC, years 1970 to 2261.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LogTime {
    /// Whole seconds since 1970-01-01T00:00:00Z.
    pub second: i64,
    /// Nanoseconds within the second: 0 in logs with whole seconds.
    pub nanos: u32,
    /// The local time occurred twice or not at all in the log's zone (`LOG_TIMEZONE`): one reading was chosen.
    pub ambiguous: bool,
}

/// A customer's id: 1 to 256 bytes of UTF-8, no control characters (C0, DEL, C1), no trailing backslash.
// As bytes, since most ids go on as bytes and never become a text: to make one of ASCII that was looked at already would be a tenth of the parser's time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CustomerId<'a>(&'a [u8]);

/// A request's path: 1 to 8192 bytes of UTF-8, no control characters (C0, DEL, C1), no trailing backslash.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RequestPath<'a>(&'a [u8]);

/// An HTTP status, 100 to 599.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status(u16);

/// A latency in whole microseconds, 0 to one day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Latency(u64);

impl LogTime {
    /// 1970-01-01T00:00:00Z, the first second that a log can have.
    pub const SECOND_MIN: i64 = 0;
    /// 2261-12-31T23:59:59Z, the last one: nanoseconds since 1970 still fit into an `i64` with room to spare.
    pub const SECOND_MAX: i64 = 9_214_646_399;

    /// A whole second, read without doubt: 1970 to 2261, else [`Reason::Time`].
    pub fn from_second(second: i64) -> Result<Self, Reason> {
        if (Self::SECOND_MIN..=Self::SECOND_MAX).contains(&second) {
            Ok(Self { second, nanos: 0, ambiguous: false })
        } else {
            Err(Reason::Time)
        }
    }
}

impl<'a> CustomerId<'a> {
    /// Checks an id. Errors: [`Reason::Customer`] for its length or a trailing backslash, [`Reason::ControlCharacter`].
    ///
    /// A space is allowed here: the default line format cannot carry one, but other formats and the api can.
    pub fn new(id: &'a str) -> Result<Self, Reason> {
        check_text(id, CUSTOMER_ID_MAX_BYTES, Reason::Customer).map(|()| Self(id.as_bytes()))
    }

    /// An id whose rules the parser has already checked, together with those of the whole line.
    #[inline]
    pub(crate) fn checked(bytes: &'a [u8]) -> Self {
        debug_assert!(
            std::str::from_utf8(bytes).is_ok_and(|text| Self::new(text).is_ok()),
            "L3: the parser let an impossible customer id through: {bytes:?}"
        );
        Self(bytes)
    }

    /// The id's text.
    pub fn as_str(self) -> &'a str {
        text(self.0)
    }

    /// The id's text as bytes, which costs nothing.
    #[inline]
    pub fn as_bytes(self) -> &'a [u8] {
        self.0
    }
}

impl<'a> RequestPath<'a> {
    /// Checks a path. Errors: [`Reason::Path`] for its length or a trailing backslash, [`Reason::ControlCharacter`].
    pub fn new(path: &'a str) -> Result<Self, Reason> {
        check_text(path, REQUEST_PATH_MAX_BYTES, Reason::Path).map(|()| Self(path.as_bytes()))
    }

    /// A path whose rules the parser has already checked, together with those of the whole line.
    #[inline]
    pub(crate) fn checked(bytes: &'a [u8]) -> Self {
        debug_assert!(
            std::str::from_utf8(bytes).is_ok_and(|text| Self::new(text).is_ok()),
            "L3: the parser let an impossible path through: {bytes:?}"
        );
        Self(bytes)
    }

    /// The path's text.
    pub fn as_str(self) -> &'a str {
        text(self.0)
    }

    /// The path's text as bytes, which costs nothing.
    #[inline]
    pub fn as_bytes(self) -> &'a [u8] {
        self.0
    }
}

impl std::fmt::Debug for CustomerId<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("CustomerId").field(&self.as_str()).finish()
    }
}

impl std::fmt::Debug for RequestPath<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("RequestPath").field(&self.as_str()).finish()
    }
}

fn text(checked: &[u8]) -> &str {
    std::str::from_utf8(checked).expect("L3: it was UTF-8 when it was checked")
}

impl Status {
    /// Checks a status: 100 to 599, else [`Reason::Status`].
    #[inline]
    pub fn new(code: u16) -> Result<Self, Reason> {
        if (100..600).contains(&code) { Ok(Self(code)) } else { Err(Reason::Status) }
    }
    /// The status as a number.
    #[inline]
    pub fn code(self) -> u16 {
        self.0
    }
    /// Whether the request counts as successful: 200 to 399.
    #[inline]
    pub fn is_success(self) -> bool {
        (200..400).contains(&self.0)
    }
}

impl Latency {
    /// Checks a latency: at most one day, else [`Reason::Duration`].
    #[inline]
    pub fn from_micros(micros: u64) -> Result<Self, Reason> {
        if micros <= LATENCY_MAX_MICROS { Ok(Self(micros)) } else { Err(Reason::Duration) }
    }
    /// Whole microseconds.
    #[inline]
    pub fn micros(self) -> u64 {
        self.0
    }
}

/// The rules that customer ids and paths share. The length comes first: an over-long text is named as such whatever it holds.
fn check_text(text: &str, max_bytes: usize, reason: Reason) -> Result<(), Reason> {
    if text.is_empty() || text.len() > max_bytes {
        return Err(reason);
    }
    if text.chars().any(char::is_control) {
        return Err(Reason::ControlCharacter);
    }
    // a line protocol that ends a tag in a backslash escapes the separator behind it: stores differ in what they make of it
    if text.ends_with('\\') {
        return Err(reason);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn l3_customers_and_paths_obey_their_rules() {
        let long = "é".repeat(128);
        let over = format!("{long}x");
        for (text, expected) in [
            ("c", None),
            ("cust_5", None),
            ("a b", None),
            (r"a\b", None),
            ("\u{a0}\u{200b}", None),
            (long.as_str(), None),
            ("", Some(Reason::Customer)),
            (over.as_str(), Some(Reason::Customer)),
            ("c\\", Some(Reason::Customer)),
            ("a\tb", Some(Reason::ControlCharacter)),
            ("a\0", Some(Reason::ControlCharacter)),
            ("\u{7f}", Some(Reason::ControlCharacter)),
            ("\u{80}", Some(Reason::ControlCharacter)),
            ("\u{9f}", Some(Reason::ControlCharacter)),
        ] {
            assert_eq!(CustomerId::new(text).err(), expected, "{text:?}");
            if text.len() <= 256 {
                let expected = expected.map(|r| if r == Reason::Customer { Reason::Path } else { r });
                assert_eq!(RequestPath::new(text).err(), expected, "{text:?}");
            }
        }
        assert!(RequestPath::new(&"p".repeat(8192)).is_ok());
        assert_eq!(RequestPath::new(&"p".repeat(8193)), Err(Reason::Path));
    }

    #[test]
    fn l3_numbers_obey_their_rules() {
        for code in 0..=1000 {
            let status = Status::new(code);
            assert_eq!(status.is_ok(), (100..=599).contains(&code), "{code}");
            if let Ok(status) = status {
                assert_eq!(status.code(), code);
                assert_eq!(status.is_success(), (200..=399).contains(&code), "{code}");
            }
        }
        assert_eq!(Latency::from_micros(0).map(Latency::micros), Ok(0));
        assert_eq!(Latency::from_micros(86_400_000_000).map(Latency::micros), Ok(86_400_000_000));
        assert_eq!(Latency::from_micros(86_400_000_001), Err(Reason::Duration));
        assert_eq!(LogTime::from_second(-1), Err(Reason::Time));
        assert_eq!(LogTime::from_second(9_214_646_400), Err(Reason::Time));
        assert_eq!(LogTime::from_second(9_214_646_399).map(|time| time.second), Ok(9_214_646_399));
    }
}
