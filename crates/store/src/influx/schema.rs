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

/// The statistics: one point for each customer, source and window, at the window's first instant, overwritten in place by the running totals.
pub(super) mod statistics {
    /// Measurement: of one customer.
    pub(in crate::influx) const MEASUREMENT: &str = "api_stats";
    /// Measurement: of all customers together, without the tag [`CUSTOMER_ID`]. One of its own, so that no customer's id can be taken for it, and a sum over all customers of
    /// [`MEASUREMENT`] counts nothing twice.
    pub(in crate::influx) const ALL_MEASUREMENT: &str = "api_stats_all";
    /// Tag: the customer's id.
    pub(in crate::influx) const CUSTOMER_ID: &str = "customer_id";
    /// Tag: the log's source, `main` too.
    pub(in crate::influx) const SOURCE: &str = "source";
    /// Tag: [`QUARTER`] or [`DAY`].
    pub(in crate::influx) const WINDOW: &str = "window";
    /// Fields: requests by status class, integers, 1xx to 5xx.
    pub(in crate::influx) const CLASSES: [&str; 5] = ["c1", "c2", "c3", "c4", "c5"];
    /// Field: the ledger's blob in base64: all of the other fields and the histogram. The only one that answers are made of.
    pub(in crate::influx) const BLOB: &str = "h";
    /// Field: the second of the customer's newest request, integer; only in the days of customers, and only in the day that it lies in.
    pub(in crate::influx) const LAST_SEEN_S: &str = "last_seen_s";
    /// Field: the greatest latency in microseconds, integer.
    pub(in crate::influx) const MAX_US: &str = "max_us";
    /// Field: requests, integer.
    pub(in crate::influx) const REQUESTS: &str = "n";
    /// Field: requests with a status from 200 to 399, integer.
    pub(in crate::influx) const SUCCESSES: &str = "ok";
    /// Field: sum of the latencies in microseconds, integer.
    pub(in crate::influx) const SUM_US: &str = "sum_us";

    /// A quarter of an hour.
    pub(in crate::influx) const QUARTER: &str = "15m";
    /// A day, UTC.
    pub(in crate::influx) const DAY: &str = "1d";
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
    /// Field: what the statistics of the source are worth, string: [`PUBLISHED`], [`INCOMPLETE`] or [`NEED_REBUILD`].
    pub(in crate::influx) const STATISTICS: &str = "statistics";
    /// Field: until when everything readable is in the statistics, microseconds since 1970, integer; [`AS_OF_UNKNOWN`] as above. Always written.
    pub(in crate::influx) const STATISTICS_AS_OF_US: &str = "statistics_as_of_us";
    /// Field: days from this second on are complete, integer; 0 where the bucket took all of their windows. Always written.
    pub(in crate::influx) const DAYS_FROM_S: &str = "days_from_s";
    /// Field: quarter-hours from this second on are complete, integer. Always written.
    pub(in crate::influx) const QUARTERS_FROM_S: &str = "quarters_from_s";

    /// All that the source's ledger has counted is in [`super::statistics`].
    pub(in crate::influx) const PUBLISHED: &str = "published";
    /// Not all of it is yet.
    pub(in crate::influx) const INCOMPLETE: &str = "incomplete";
    /// Another ledger has counted a part of the source.
    pub(in crate::influx) const NEED_REBUILD: &str = "need_rebuild";

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
