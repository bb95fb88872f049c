//! One question to InfluxDB: a script and its values out, rows back as they arrive. One call, one request, one attempt (I4).

use reqwest::Method;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use serde_json::json;

use super::csv::{AnnotatedCsv, AnswerError, Row};
use super::flux::Params;
use super::http::{Http, Refusal};
use crate::{ReadError, Trouble};

/// Why a question has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum AskError {
    /// No answer came.
    Unreachable(String),
    /// Another status than 200.
    Refused(Refusal),
    /// It began to answer.
    Answer(AnswerError),
}

/// Asks `script` with `params`, and gives each row of the answer to `on_row`.
pub(super) async fn ask(
    http: &Http,
    org: &str,
    script: &str,
    params: Params,
    mut on_row: impl FnMut(&Row<'_>) -> Result<(), AnswerError>,
) -> Result<(), AskError> {
    let question = json!({
        "type": "flux",
        "query": script,
        "extern": params.into_extern(),
        "dialect": { "header": true, "delimiter": ",", "annotations": ["datatype", "group", "default"] },
    });
    let mut response = http
        .request(Method::POST, "api/v2/query", &[("org", org)])
        .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
        .header(ACCEPT, HeaderValue::from_static("application/csv"))
        .body(question.to_string())
        .send()
        .await
        .map_err(|error| AskError::Unreachable(http.say_error(error)))?;
    if response.status() != reqwest::StatusCode::OK {
        return Err(AskError::Refused(http.refusal(response).await));
    }
    let mut reader = AnnotatedCsv::new();
    while let Some(chunk) =
        response.chunk().await.map_err(|error| AskError::Unreachable(http.say_error(error)))?
    {
        reader.feed(&chunk, &mut on_row).map_err(AskError::Answer)?;
    }
    reader.finish(&mut on_row).map_err(AskError::Answer)
}

/// What to do about a question of the processor that has no answer.
impl From<AskError> for Trouble {
    fn from(error: AskError) -> Trouble {
        match error {
            AskError::Unreachable(why) => Trouble::TryLater { why, after: None },
            // The server failed in the middle of it: nobody's settings are at fault.
            AskError::Answer(error) => Trouble::TryLater { why: error.to_string(), after: None },
            AskError::Refused(refusal) => match super::trouble::trouble(refusal) {
                // A question holds nobody's lines: whatever is refused about it, no line is at fault.
                Trouble::Refused { why } | Trouble::TooLarge { why } => Trouble::Misconfigured {
                    why,
                    fix: "check that INFLUXDB_URL is the address of an InfluxDB 2 that answers Flux"
                        .to_owned(),
                },
                trouble => trouble.of_our_own(),
            },
        }
    }
}

/// What to say about a question of the api that has no answer.
impl From<AskError> for ReadError {
    fn from(error: AskError) -> ReadError {
        match error {
            AskError::Unreachable(why) => ReadError::Away { why, retry_after: None },
            AskError::Answer(AnswerError::Failed(why)) => {
                ReadError::Away { why: format!("the query failed: {why}"), retry_after: None }
            }
            AskError::Answer(error @ AnswerError::Malformed(_)) => ReadError::Damaged(error.to_string()),
            // A bucket is made by the processor before its first write (or hidden from this token, which the operator sees by the name in this text).
            AskError::Refused(refusal)
                if refusal.status.as_u16() == 404 && refusal.raw_words.contains("could not find bucket") =>
            {
                ReadError::NoDataYet { why: refusal.words }
            }
            refused @ AskError::Refused(_) => match Trouble::from(refused) {
                Trouble::TryLater { why, after } => ReadError::Away { why, retry_after: after },
                Trouble::Misconfigured { why, fix } | Trouble::Unexplained { why, fix } => {
                    ReadError::Misconfigured { why, fix }
                }
                Trouble::TooLarge { why } | Trouble::Refused { why } => {
                    ReadError::Away { why, retry_after: None }
                }
            },
        }
    }
}
