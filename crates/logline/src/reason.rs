//! Why a line is rejected: the names that people and programs see. No parsing here.

/// Why a line is rejected. The names are those of `status --json` and `rejects --json`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Reason {
    /// Nothing between two newlines.
    Empty,
    /// Longer than 1 MiB.
    TooLong,
    /// Not UTF-8.
    InvalidUtf8,
    /// A C0 or C1 control character, NUL and `\r` among them, or DEL.
    ControlCharacter,
    /// Not six fields with single spaces between them.
    Fields,
    /// Not a date and time of the calendar, years 1970 to 2261.
    Time,
    /// An impossible customer id.
    Customer,
    /// An impossible path.
    Path,
    /// Not a status from 100 to 599.
    Status,
    /// Not a duration from 0 to 86,400 seconds.
    Duration,
    /// Older than RETENTION.
    Retention,
    /// The store refused this line alone.
    Refused,
}

/// A rejected line: why, and where in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("column {column}: expected {}", reason.expectation())]
pub struct ParseError {
    /// Why.
    pub reason: Reason,
    /// The byte at which the rule broke, counted from 1 over all bytes of the line. Where something is missing at the end of the
    /// line, the column just past it.
    pub column: usize,
}

impl Reason {
    /// All reasons, in the order in which they are shown.
    pub const ALL: [Reason; 12] = [
        Reason::Empty,
        Reason::TooLong,
        Reason::InvalidUtf8,
        Reason::ControlCharacter,
        Reason::Fields,
        Reason::Time,
        Reason::Customer,
        Reason::Path,
        Reason::Status,
        Reason::Duration,
        Reason::Retention,
        Reason::Refused,
    ];

    /// The reason's stable name, for instance `invalid_utf8`.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::Empty => "empty",
            Reason::TooLong => "too_long",
            Reason::InvalidUtf8 => "invalid_utf8",
            Reason::ControlCharacter => "control_character",
            Reason::Fields => "fields",
            Reason::Time => "time",
            Reason::Customer => "customer",
            Reason::Path => "path",
            Reason::Status => "status",
            Reason::Duration => "duration",
            Reason::Retention => "retention",
            Reason::Refused => "refused",
        }
    }

    /// The reason of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == name)
    }

    /// What was expected, for a person: one phrase.
    pub fn expectation(self) -> &'static str {
        match self {
            Reason::Empty => "a line that is not empty",
            Reason::TooLong => "a line of at most 1 MiB",
            Reason::InvalidUtf8 => "valid UTF-8",
            Reason::ControlCharacter => {
                "no control characters (NUL, tab, a carriage return inside the line, …)"
            }
            Reason::Fields => {
                "six fields with single spaces between them: `2024-09-14 16:15:35 cust_5 /api/v1/resource4 200 0.772`"
            }
            Reason::Time => {
                "a date and time of the calendar like `2024-09-14 16:15:35`, years 1970 to 2261, without fraction or zone"
            }
            Reason::Customer => "a customer id of 1 to 256 bytes that does not end in a backslash",
            Reason::Path => "a path of 1 to 8192 bytes that does not end in a backslash",
            Reason::Status => "a status from 100 to 599",
            Reason::Duration => {
                "a duration in seconds from 0 to 86400 like `0.772`, digits with an optional fraction"
            }
            Reason::Retention => "a time within RETENTION",
            Reason::Refused => "a line that the store accepts",
        }
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_stable_and_lead_back() {
        let names: Vec<_> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
        assert_eq!(
            names,
            [
                "empty",
                "too_long",
                "invalid_utf8",
                "control_character",
                "fields",
                "time",
                "customer",
                "path",
                "status",
                "duration",
                "retention",
                "refused"
            ]
        );
        for reason in Reason::ALL {
            assert_eq!(Reason::from_name(reason.as_str()), Some(reason));
        }
        assert_eq!(Reason::from_name("Empty"), None);
        assert_eq!(Reason::from_name(""), None);
    }

    #[test]
    fn errors_tell_the_column_and_what_was_expected() {
        let error = ParseError { reason: Reason::Status, column: 44 };
        assert_eq!(error.to_string(), "column 44: expected a status from 100 to 599");
    }
}
