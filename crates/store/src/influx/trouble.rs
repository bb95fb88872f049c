//! What an answer to a write means: stored, or one kind of [`Trouble`]. A pure table; nothing here sends or waits.

use reqwest::StatusCode;

use super::http::Refusal;
use crate::Trouble;

/// Reads an answer that was not 204. What is nobody's fault but the settings' is told with its fix, and nothing is dropped for it.
pub(super) fn trouble(refusal: Refusal) -> Trouble {
    let Refusal { status, words, raw_words, is_json, retry_after, location } = refusal;
    let said = if words.is_empty() {
        format!("InfluxDB answered {status}")
    } else {
        format!("InfluxDB answered {status}: {words}")
    };
    let misconfigured = |fix: &str| Trouble::Misconfigured { why: said.clone(), fix: fix.to_owned() };
    match status.as_u16() {
        400 if is_json => Trouble::Refused { why: said },
        // A 400 that is not in InfluxDB's words is a proxy's or a stranger's (plain http on an https port, say): dropping lines for it could lose them all.
        400 => Trouble::Unexplained {
            why: said,
            fix:
                "check that INFLUXDB_URL is the address of an InfluxDB 2, and what a proxy before it refuses"
                    .to_owned(),
        },
        401 => misconfigured("check the token (DOCKER_INFLUXDB_INIT_ADMIN_TOKEN)"),
        403 => misconfigured("give the token leave to write this bucket"),
        404 => misconfigured(
            "check organization and bucket, and that INFLUXDB_URL is the address of an InfluxDB",
        ),
        413 => Trouble::TooLarge { why: said },
        422 if raw_words.contains("field type conflict") => misconfigured(
            "a field of this measurement was stored with another type before; use another bucket, or remove what other programs wrote into this measurement",
        ),
        422 => Trouble::Refused { why: said },
        408 | 425 | 429 | 500.. => Trouble::TryLater { why: said, after: retry_after },
        300..400 => Trouble::Misconfigured {
            why: format!(
                "InfluxDB answered {status}, a redirect to {}",
                location.as_deref().unwrap_or("nowhere")
            ),
            fix: "set INFLUXDB_URL to the address that really answers".to_owned(),
        },
        // Also a 2xx that is no 204: whoever said so did not say that the points are stored.
        _ => misconfigured("check that INFLUXDB_URL is the address of an InfluxDB 2"),
    }
}

/// The one answer that means: stored, durable and queryable.
pub(super) fn is_stored(status: StatusCode) -> bool {
    status == StatusCode::NO_CONTENT
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn kind(status: u16, words: &str, is_json: bool) -> &'static str {
        let refusal = Refusal {
            status: StatusCode::from_u16(status).expect("a status"),
            // What is shown decides nothing: with a token such as `t` there is not much left of it.
            words: words.replace('t', "***"),
            raw_words: words.to_owned(),
            is_json,
            retry_after: Some(Duration::from_secs(3)),
            location: None,
        };
        match trouble(refusal) {
            Trouble::TryLater { after, .. } => {
                assert_eq!(after, Some(Duration::from_secs(3)), "{status}: Retry-After is passed on");
                "later"
            }
            Trouble::Misconfigured { fix, .. } => {
                assert!(!fix.is_empty());
                "misconfigured"
            }
            Trouble::Unexplained { fix, .. } => {
                assert!(!fix.is_empty());
                "unexplained"
            }
            Trouble::TooLarge { .. } => "too large",
            Trouble::Refused { why } => {
                assert!(why.contains(&words.replace('t', "***")), "{why}");
                "refused"
            }
        }
    }

    #[test]
    fn answers_are_told_apart_by_what_must_be_done_next() {
        for (status, words, is_json, expected) in [
            (400, "unable to parse 'x'", true, "refused"),
            (400, "<html>The plain HTTP request was sent to HTTPS port", false, "unexplained"),
            (400, "", false, "unexplained"),
            (401, "unauthorized access", true, "misconfigured"),
            (403, "forbidden", true, "misconfigured"),
            (404, "bucket \"x\" not found", true, "misconfigured"),
            (405, "", false, "misconfigured"),
            (408, "", false, "later"),
            (413, "", false, "too large"),
            (
                422,
                "partial write: field type conflict: input field \"duration\" … dropped=1",
                true,
                "misconfigured",
            ),
            (422, "points beyond retention policy dropped=1", true, "refused"),
            (425, "", false, "later"),
            (429, "", false, "later"),
            (500, "cache-max-memory-size exceeded", true, "later"),
            (502, "<html>", false, "later"),
            (503, "", false, "later"),
            (504, "", false, "later"),
            (507, "", false, "later"),
            (200, "<html>welcome", false, "misconfigured"),
            (202, "", false, "misconfigured"),
            (301, "", false, "misconfigured"),
            (307, "", false, "misconfigured"),
            (418, "", false, "misconfigured"),
        ] {
            assert_eq!(kind(status, words, is_json), expected, "{status} {words}");
        }
    }

    #[test]
    fn only_204_means_stored() {
        let stored: Vec<u16> =
            (100..600).filter(|code| StatusCode::from_u16(*code).is_ok_and(is_stored)).collect();
        assert_eq!(stored, [204]);
    }
}
