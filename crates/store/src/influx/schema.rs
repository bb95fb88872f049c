//! The names of everything that is kept in InfluxDB (I1): no other file spells a measurement, tag or field. Nothing here encodes or asks.

use std::borrow::Cow;

/// A source as the value of a tag: what line protocol cannot carry (control characters, a backslash at the end), and file names can hold, becomes `_`.
pub(super) fn source_value(source: &str) -> Cow<'_, str> {
    if !source.ends_with('\\') && !source.contains(char::is_control) {
        return Cow::Borrowed(source);
    }
    let mut value = source.replace(char::is_control, "_");
    if value.ends_with('\\') {
        value.pop();
        value.push('_');
    }
    Cow::Owned(value)
}

/// The requests: one point each.
pub(super) mod requests {
    /// Measurement.
    pub(in crate::influx) const MEASUREMENT: &str = "api_requests";
    /// Tag: the customer's id.
    pub(in crate::influx) const CUSTOMER_ID: &str = "customer_id";
    /// Tag: which log it came from. Points of [`MAIN_SOURCE`] carry none.
    pub(in crate::influx) const SOURCE: &str = "source";
    /// Tag: [`SUCCEEDED`] or [`FAILED`].
    pub(in crate::influx) const SUCCESS: &str = "success";
    /// Field: latency in seconds, float. Absent when the log has none.
    pub(in crate::influx) const DURATION: &str = "duration";
    /// Field: path, string. Absent when the log has none.
    pub(in crate::influx) const REQUEST_PATH: &str = "request_path";
    /// Field: HTTP status, integer. Every point has it.
    pub(in crate::influx) const STATUS_CODE: &str = "status_code";

    /// A status from 200 to 399.
    pub(in crate::influx) const SUCCEEDED: &str = "1";
    /// Any other status.
    pub(in crate::influx) const FAILED: &str = "0";
    /// The source of the default log.
    pub(in crate::influx) const MAIN_SOURCE: &str = "main";
}

/// The generations of the logs: one point each, at the time when it was first seen (whole seconds).
pub(super) mod generations {
    /// Measurement.
    pub(in crate::influx) const MEASUREMENT: &str = "api_log_generations";
    /// Tag: the log's source, `main` too.
    pub(in crate::influx) const SOURCE: &str = "source";
    /// Tag: fingerprint of the generation's head, hex.
    pub(in crate::influx) const HEAD: &str = "head";
    /// Field: the generation's place in the sequence of all bytes of its source. The 64 bits of a `u64` read as a signed integer, since that is
    /// what InfluxDB has: starts beyond 2^63 (an exabyte of log, or the hash of a first head) look negative there and come back whole.
    pub(in crate::influx) const START: &str = "start";
}

/// Who writes a source's points: statements of processors. A heartbeat overwrites the one before it for a while, then leaves it as it is and goes on behind it, so that a store
/// that lost something is found out: it no longer knows a statement that it once confirmed.
pub(super) mod processors {
    /// Measurement.
    pub(in crate::influx) const MEASUREMENT: &str = "api_processors";
    /// Tag: the log's source, `main` too.
    pub(in crate::influx) const SOURCE: &str = "source";
    /// Field: until when everything readable is stored, microseconds since 1970, integer; [`AS_OF_UNKNOWN`] before the first look has settled.
    /// Always written, so that the newest point alone tells everything.
    pub(in crate::influx) const AS_OF_US: &str = "as_of_us";
    /// Field: the ledger's commit number, integer.
    pub(in crate::influx) const COMMIT: &str = "commit";
    /// Field: time of the heartbeat, microseconds since 1970, integer.
    pub(in crate::influx) const HEARTBEAT_US: &str = "heartbeat_us";
    /// Field: the ledger's id, string.
    pub(in crate::influx) const LEDGER: &str = "ledger";
    /// Field: it stopped cleanly, boolean.
    pub(in crate::influx) const RELEASED: &str = "released";

    /// See [`AS_OF_US`].
    pub(in crate::influx) const AS_OF_UNKNOWN: i64 = -1;
}

#[cfg(test)]
mod tests {
    use super::source_value;

    #[test]
    fn a_source_is_a_value_that_line_protocol_can_carry() {
        for (source, expected) in [
            ("eu", "eu"),
            ("a,b c", "a,b c"),
            ("a\\b", "a\\b"),
            ("a\\", "a_"),
            ("a\nx f=1 1", "a_x f=1 1"),
            ("\u{85}\\", "__"),
        ] {
            assert_eq!(source_value(source), expected);
        }
    }
}
