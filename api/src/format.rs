//! The forms of an answer: JSON, CSV, NDJSON, chosen by `format=` or `Accept`. Knows how answers are written, nothing of what they say.

use axum::http::header::{ACCEPT, CONTENT_TYPE, LINK, VARY};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::Response;
use serde::Serialize;

use crate::answers::FreshnessFields;
use crate::conditional::{self, EntityTag};
use crate::csv;
use crate::error::{ApiError, Kind};
use crate::grammar::shortened;

/// How an answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Json,
    Csv,
    Ndjson,
}

/// What depends on these headers of a request: the form, and whether it may be seen.
pub(crate) const VARIES: &str = "Accept, Accept-Encoding, Authorization, X-API-Key";

const AS_OF: HeaderName = HeaderName::from_static("tailgauge-as-of");
const LAG_SECONDS: HeaderName = HeaderName::from_static("tailgauge-lag-seconds");

/// An answer that can be written as rows.
pub(crate) trait Rows: Serialize {
    /// A row: an object of plain values and such objects.
    type Row: Serialize;

    /// The rows.
    fn rows(&self) -> &[Self::Row];

    /// A row of nothing, which says the columns when there are no rows.
    fn blank(&self) -> Option<Self::Row>;
}

impl Format {
    /// The form that is asked for. JSON when nothing is said about it.
    pub(crate) fn choose(parameter: Option<&str>, headers: &HeaderMap) -> Result<Self, ApiError> {
        match parameter {
            Some("json") => return Ok(Format::Json),
            Some("csv") => return Ok(Format::Csv),
            Some("ndjson") => return Ok(Format::Ndjson),
            Some(other) => {
                let detail = format!("`{}` is none of json, csv, ndjson", shortened(other));
                return Err(ApiError::parameter("format", detail));
            }
            None => {}
        }
        let accepts: Vec<&str> =
            headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
        let accepts = accepts.join(",");
        if accepts.trim().is_empty() {
            return Ok(Format::Json);
        }
        accepted(&accepts).ok_or_else(|| {
            let detail = "answers are written as application/json, text/csv and application/x-ndjson";
            ApiError::new(Kind::NotAcceptable, detail)
        })
    }

    fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Format::Json => "application/json",
            Format::Csv => "text/csv; charset=utf-8",
            Format::Ndjson => "application/x-ndjson",
        })
    }

    /// The answer in this form, without its freshness.
    fn write(self, answer: &impl Rows) -> String {
        let json = |value: &dyn erased::Json| value.json();
        match self {
            Format::Json => json(answer),
            Format::Ndjson => answer.rows().iter().map(|row| json(row) + "\n").collect(),
            Format::Csv => {
                let rows: Vec<String> = answer.rows().iter().map(|row| json(row)).collect();
                csv::write(answer.blank().map(|row| json(&row)).as_deref(), &rows)
            }
        }
    }
}

/// Serialization behind one name, so that the closure above takes any type.
mod erased {
    pub(super) trait Json {
        fn json(&self) -> String;
    }
    impl<T: serde::Serialize> Json for T {
        fn json(&self) -> String {
            serde_json::to_string(self).expect("answers hold strings and finite numbers only")
        }
    }
}

/// The best of what an `Accept` takes (RFC 9110, 12.5.1); among equals JSON first. None when it takes none of ours.
fn accepted(accept: &str) -> Option<Format> {
    let quality = |format: Format| {
        let name = match format {
            Format::Json => "application/json",
            Format::Csv => "text/csv",
            Format::Ndjson => "application/x-ndjson",
        };
        let kind = name.split('/').next().unwrap_or_default();
        // The most precise range that names it counts.
        let mut best: Option<(u8, u16)> = None;
        for range in accept.split(',') {
            let mut parts = range.split(';').map(str::trim);
            let media = parts.next().unwrap_or_default().to_ascii_lowercase();
            let precision = match media.as_str() {
                media if media == name || (format == Format::Ndjson && media == "application/ndjson") => 2,
                media if media.strip_suffix("/*") == Some(kind) => 1,
                "*/*" => 0,
                _ => continue,
            };
            let q = parts
                .find_map(|part| part.strip_prefix("q=").or(part.strip_prefix("Q=")))
                .map_or(1000, thousandths);
            if best.is_none_or(|(most, _)| precision > most) {
                best = Some((precision, q));
            }
        }
        best.map_or(0, |(_, q)| q)
    };
    let mut best = (0, None);
    for format in [Format::Json, Format::Csv, Format::Ndjson] {
        let q = quality(format);
        if q > best.0 {
            best = (q, Some(format));
        }
    }
    best.1
}

/// `0.8` in thousandths; what is no weight is none.
fn thousandths(q: &str) -> u16 {
    let weight: f32 = q.parse().unwrap_or(0.0);
    if (0.0..=1.0).contains(&weight) { (weight * 1000.0).round() as u16 } else { 0 }
}

/// The answer as it is asked for, with its tag and its freshness; 304 when the client has it already. `next` is the address of the next page.
pub(crate) fn reply(
    request: &HeaderMap,
    format: Format,
    answer: &impl Rows,
    freshness: &FreshnessFields,
    next: Option<String>,
) -> Response {
    let mut body = format.write(answer);
    let tag = EntityTag::of_text(&body, format.content_type().to_str().unwrap_or_default());
    if format == Format::Json {
        // One object, whose last members are those that are never the same twice.
        let fresh = serde_json::to_string(freshness).expect("plain data");
        body.truncate(body.len() - 1);
        body.push(',');
        body.push_str(&fresh[1..]);
    }
    let mut response = conditional::answer_text(request, &tag, body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, format.content_type());
    headers.insert(VARY, HeaderValue::from_static(VARIES));
    if let Some(as_of) = freshness.as_of().and_then(|as_of| HeaderValue::try_from(as_of).ok()) {
        headers.insert(AS_OF, as_of);
    }
    if let Some(lag) = freshness.lag_seconds().and_then(|lag| HeaderValue::try_from(lag.to_string()).ok()) {
        headers.insert(LAG_SECONDS, lag);
    }
    if let Some(next) = next.and_then(|next| HeaderValue::try_from(format!("<{next}>; rel=\"next\"")).ok()) {
        headers.insert(LINK, next);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_best_accepted_form_is_chosen() {
        for (accept, expected) in [
            ("*/*", Some(Format::Json)),
            ("application/json", Some(Format::Json)),
            ("text/csv", Some(Format::Csv)),
            ("TEXT/CSV;charset=utf-8", Some(Format::Csv)),
            ("application/x-ndjson", Some(Format::Ndjson)),
            ("application/ndjson", Some(Format::Ndjson)),
            ("text/*", Some(Format::Csv)),
            ("text/html, application/xhtml+xml, */*;q=0.8", Some(Format::Json)),
            ("text/csv;q=0.5, application/json;q=0.4", Some(Format::Csv)),
            ("text/csv;q=0, */*", Some(Format::Json)),
            ("application/json;q=0, text/csv;q=0, */*;q=0.1", Some(Format::Ndjson)),
            ("text/html", None),
            ("application/json;q=0", None),
            ("text/csv;q=nan", None),
            (",;,", None),
        ] {
            assert_eq!(accepted(accept), expected, "{accept}");
        }
    }

    proptest! {
        #[test]
        fn no_accept_makes_it_panic(accept in ".*") {
            accepted(&accept);
        }
    }
}
