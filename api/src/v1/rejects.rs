//! Route: samples of rejected lines, from the ledger that keeps them, and how such a line becomes a text that can be looked at. HTTP only; counts are `pipeline`'s.

use axum::Json;
use axum::extract::State;
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::IntoResponse;
use logline::Reason;
use serde::Serialize;
use store::{KeptReject, ReadError};
use utoipa::{IntoParams, ToSchema};

use super::{Answer, V1Failures};
use crate::AppState;
use crate::answers::instant;
use crate::error::{ApiError, Kind, Severity, internal};
use crate::grammar::{Fault, shortened};
use crate::query::Parameters;
use crate::scope::Scope;

/// Of a sample so much is shown; `log-processor rejects` prints all that is kept.
const LINE_MAX_BYTES: usize = 256;
/// Lines of each reason, unless `limit` says otherwise.
const PER_REASON_DEFAULT: usize = 5;
/// The most lines of each reason.
const PER_REASON_MAX: usize = 100;

/// Which samples.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "only described here; read below, which gives better errors")]
pub(crate) struct RejectsParameters {
    /// Only lines rejected for this reason.
    #[param(
        pattern = "^(empty|too_long|invalid_utf8|control_character|fields|time|customer|path|status|duration|retention|refused)$",
        example = "status"
    )]
    reason: Option<String>,
    /// The most lines of each reason.
    #[param(minimum = 1, maximum = 100, default = 5, example = 5)]
    limit: Option<u8>,
}

/// Samples of rejected lines.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RejectsV1 {
    /// Whether a processor's ledger is in this api's STATE_DIR. Where none is, nothing is known here: `log-processor rejects` prints the lines where the processor runs.
    #[schema(example = true)]
    known: bool,
    /// The newest of each reason, the newest first. The ledger keeps the newest 1,000 of each reason (of `retention` none).
    data: Vec<RejectV1>,
}

/// A rejected line.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RejectV1 {
    /// Why, as `/v1/pipeline` counts it.
    #[schema(example = "status")]
    reason: &'static str,
    /// What was wrong, and where in the line; may be empty.
    #[schema(example = "column 45: expected a status from 100 to 599")]
    detail: String,
    /// Its first 256 bytes. Control characters, other characters that cannot be seen, and backslashes are written as `\n`, `\u{1b}`, `\\`; bytes that are no UTF-8 as `\xff`.
    #[schema(example = "2024-09-30 09:15:30 cust_1 /api/v1/resource1 099 0.5")]
    line: String,
    /// Whether it may have been longer.
    #[schema(example = false)]
    cut: bool,
    /// The source of its log.
    #[schema(example = "main")]
    source: String,
    /// Where its log was last found.
    #[schema(example = "/var/log/api.log")]
    file: String,
    /// The place of its first byte.
    #[schema(example = 360)]
    offset: u64,
    /// When it was rejected.
    #[schema(example = "2024-09-30T09:15:31Z")]
    rejected_at: String,
}

/// Samples of rejected lines.
///
/// The newest lines of each reason, from the ledger of the processor that shares STATE_DIR with this api, whichever store it uses. They are text of strangers: to be shown as text. How many there were is in `/v1/pipeline`.
#[utoipa::path(
    get,
    path = "/v1/rejects",
    tag = "operation",
    params(RejectsParameters),
    responses((status = 200, description = "The samples", body = RejectsV1), V1Failures)
)]
pub(super) async fn rejects(
    State(state): State<AppState>,
    scope: Scope,
    parameters: Parameters,
    _headers: HeaderMap,
) -> Answer {
    // A line names any customer, and the file: for who may see everything.
    scope.everybody()?;
    parameters.only(&["reason", "limit", "share"])?;
    let reasons = match parameters.one(&["reason"])? {
        Some(name) => vec![reason(name)?],
        None => Reason::ALL.to_vec(),
    };
    let per_reason = parameters.limit_to(PER_REASON_DEFAULT, PER_REASON_MAX)?;
    let kept = match state.processor() {
        Some(processor) => processor.rejected_lines().newest(&reasons, per_reason).await.map_err(told)?,
        None => None,
    };
    let known = kept.is_some();
    let data = kept.unwrap_or_default().into_iter().map(RejectV1::new).collect();
    let mut response = Json(RejectsV1 { known, data }).into_response();
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

fn reason(name: &str) -> Result<Reason, Fault> {
    Reason::from_name(name).ok_or_else(|| {
        let all: Vec<&str> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
        Fault::new("reason", format!("`{}` is none of {}", shortened(name), all.join(", ")))
    })
}

/// The ledger's trouble is not the store's: statistics may well be answered.
fn told(error: ReadError) -> ApiError {
    let severity = match error {
        ReadError::Damaged(_) | ReadError::NotKept { .. } => {
            return internal(format!("rejected lines: {error}"));
        }
        ReadError::Misconfigured { .. } => Severity::Act,
        ReadError::Away { .. } | ReadError::NoDataYet { .. } => Severity::Passing,
    };
    let detail = "the ledger cannot be read at the moment; `log-processor rejects` prints the lines where the processor runs";
    ApiError::new(Kind::StoreUnavailable, detail).with_cause(severity, format!("rejected lines: {error}"))
}

impl RejectV1 {
    fn new(kept: KeptReject) -> Self {
        let shown = &kept.line[..kept.line.len().min(LINE_MAX_BYTES)];
        Self {
            reason: kept.reason.as_str(),
            detail: kept.detail,
            line: visible(shown),
            cut: kept.line.len() > shown.len(),
            source: kept.source,
            file: kept.path.display().to_string(),
            offset: kept.offset,
            rejected_at: instant(kept.rejected_second),
        }
    }
}

/// Bytes as a text in which everything can be seen, and no two different lines look the same.
fn visible(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '"' | '\'' => text.push(character),
                other => text.extend(other.escape_debug()),
            }
        }
        for byte in chunk.invalid() {
            text += &format!("\\x{byte:02x}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_cannot_be_seen_is_written_so_that_it_can() {
        for (bytes, shown) in [
            (&b"2024-09-30 09:15:30 cust_1 /a 200 0.5"[..], "2024-09-30 09:15:30 cust_1 /a 200 0.5"),
            (b"a\tb\r\n\0\x1b[31m\x7f", r"a\tb\r\n\0\u{1b}[31m\u{7f}"),
            (b"it's \"quoted\" \\n", r#"it's "quoted" \\n"#),
            ("é 日本 \u{a0}\u{202e}\u{200b}\u{85}".as_bytes(), r"é 日本 \u{a0}\u{202e}\u{200b}\u{85}"),
            (b"<script>alert(1)</script>", "<script>alert(1)</script>"),
            (b"\xff\xfea\xe2\x82", r"\xff\xfea\xe2\x82"),
            (b"", ""),
        ] {
            assert_eq!(visible(bytes), shown);
        }
    }

    proptest! {
        #[test]
        fn a_text_shows_everything_and_tells_lines_apart(a in any::<Vec<u8>>(), b in any::<Vec<u8>>()) {
            prop_assert!(!visible(&a).chars().any(char::is_control));
            prop_assert_eq!(visible(&a) == visible(&b), a == b);
        }
    }
}
