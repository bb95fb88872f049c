//! Single requests as JSON has them, and the cursors of their pages. Pure.

use serde::Serialize;
use stats::TimeRange;
use store::{RawRow, RequestPlace};
use utoipa::ToSchema;

use super::answers::About;
use crate::format::Rows;
use crate::grammar::Zone;

/// One request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
pub(crate) struct RequestRow {
    /// When, on the clock of `tz`, as exactly as the log says it.
    #[schema(example = "2024-09-30T09:15:34Z")]
    time: String,
    /// HTTP status.
    #[schema(example = 404)]
    status: u16,
    /// Latency in seconds; null when the log has none.
    #[schema(example = 0.6, required = true)]
    latency: Option<f64>,
    /// Path; null when the log has none.
    #[schema(example = "/api/v1/resource1", required = true)]
    path: Option<String>,
}

/// A page of requests.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct RequestsV1 {
    /// Newest first.
    data: Vec<RequestRow>,
    /// Where the next page begins: give it as `cursor`. Null on the last page.
    #[schema(required = true)]
    next_cursor: Option<String>,
    covered: Covered,
    #[serde(flatten)]
    about: About,
}

/// What of the range is kept one by one. Nothing is missing behind `from` where the log is in order of time.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct Covered {
    #[schema(example = "2024-09-29T00:00:00Z")]
    from: String,
    #[schema(example = "2024-10-01T00:00:00Z")]
    to: String,
}

impl Covered {
    pub(crate) fn new(range: TimeRange, zone: Zone) -> Self {
        Self { from: zone.rfc3339(range.from_second), to: zone.rfc3339(range.to_second) }
    }
}

impl RequestsV1 {
    pub(crate) fn new(page: &store::RequestsPage, zone: Zone, about: About) -> Self {
        let row = |row: &RawRow| RequestRow {
            time: zone.rfc3339(row.time_nanos.div_euclid(1_000_000_000)),
            status: row.status,
            latency: row.latency_micros.map(|micros| micros as f64 / 1e6),
            path: row.path.clone(),
        };
        Self {
            data: page.requests.iter().map(row).collect(),
            next_cursor: page.next.map(write_place),
            covered: Covered::new(page.covered, zone),
            about,
        }
    }

    pub(crate) fn next_cursor(&self) -> Option<&str> {
        self.next_cursor.as_deref()
    }
}

impl Rows for RequestsV1 {
    type Row = RequestRow;
    fn rows(&self) -> &[RequestRow] {
        &self.data
    }
    fn blank(&self) -> Option<RequestRow> {
        Some(RequestRow::default())
    }
}

/// The cursor of the page after a place.
fn write_place(place: RequestPlace) -> String {
    format!("r{}.{}", place.time_nanos, place.given)
}

/// The place of a cursor.
pub(crate) fn read_place(text: &str) -> Option<RequestPlace> {
    let (time, given) = text.strip_prefix('r')?.split_once('.')?;
    let place = RequestPlace { time_nanos: time.parse().ok()?, given: given.parse().ok()? };
    // One form for each place: no signs, no leading zeros.
    (write_place(place) == text).then_some(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_as_it_was_written_and_nothing_else_is() {
        for place in [
            RequestPlace { time_nanos: 1_727_687_734_000_000_017, given: 2 },
            RequestPlace { time_nanos: -5, given: 0 },
        ] {
            assert_eq!(read_place(&write_place(place)), Some(place));
        }
        for text in [
            "",
            "r",
            "r1",
            "r1.",
            "r.1",
            "1.1",
            "r+1.1",
            "r01.1",
            "r1.-1",
            "r1.1 ",
            "r99999999999999999999.1",
        ] {
            assert_eq!(read_place(text), None, "{text}");
        }
    }
}
