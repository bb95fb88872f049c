//! Route: how the log is being read. HTTP only; who asks the processor is `crate::pipeline`.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::IntoResponse;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Answer, V1Failures};
use crate::AppState;
use crate::error::internal;
use crate::query::Parameters;
use crate::scope::Scope;

/// How the log is being read.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct PipelineV1 {
    /// Whether a processor answers beside this api.
    #[schema(example = true)]
    running: bool,
    /// What it says of itself; null when none answers: then nothing is known.
    #[schema(required = true)]
    processor: Option<ProcessorV1>,
}

/// What a processor says of itself, as `log-processor status --json` does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct ProcessorV1 {
    /// Lines read: stored, rejected and in flight, earlier runs included.
    #[schema(example = 6)]
    lines_read: u64,
    /// Lines stored.
    #[schema(example = 6)]
    lines_stored: u64,
    /// Lines rejected.
    #[schema(example = 0)]
    lines_rejected: u64,
    /// Lines rejected, by reason.
    rejected: BTreeMap<String, u64>,
    /// Lines read and not settled.
    #[schema(example = 0)]
    lines_in_flight: u64,
    /// Bytes settled.
    #[schema(example = 360)]
    bytes_settled: u64,
    /// Bytes of the followed files that are not settled.
    #[schema(example = 0)]
    lag_bytes: u64,
    /// Age of the data; null before the first look has settled.
    #[schema(example = 0.4, required = true)]
    lag_seconds: Option<f64>,
    /// Bytes proven unreadable, by reason.
    lost_bytes: BTreeMap<String, u64>,
    /// Bytes skipped on purpose (START_AT).
    #[schema(example = 0)]
    skipped_bytes: u64,
    /// Stored lines whose time was ahead of the clock by more than 5 minutes.
    #[schema(example = 0)]
    future_time: u64,
    /// Stored lines whose local time occurred twice or never.
    #[schema(example = 0)]
    ambiguous_time: u64,
    /// Where requests are kept.
    #[schema(example = "embedded")]
    store: String,
    /// Whether it does its work.
    #[schema(example = true)]
    ready: bool,
    /// What keeps it from that.
    problems: Vec<String>,
    /// Number of the ledger's last commit.
    #[schema(example = 3)]
    commit: u64,
    /// The followed files.
    files: Vec<FollowedFile>,
}

/// A followed file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct FollowedFile {
    /// Its path.
    #[schema(example = "/var/log/api.log")]
    path: String,
    /// Its source.
    #[schema(example = "main")]
    source: String,
    /// Its size in bytes.
    #[schema(example = 360)]
    size: u64,
    /// Every byte before this place was read.
    #[serde(default)]
    #[schema(example = 360)]
    read_offset: u64,
    /// Every line before this place is settled.
    #[schema(example = 360)]
    settled_offset: u64,
}

/// How the log is being read.
///
/// Asked of the processor that shares STATE_DIR with this api, at this moment: every line read is stored, rejected or in flight.
#[utoipa::path(
    get,
    path = "/v1/pipeline",
    tag = "operation",
    responses((status = 200, description = "The processor's status", body = PipelineV1), V1Failures)
)]
pub(super) async fn pipeline(
    State(state): State<AppState>,
    scope: Scope,
    parameters: Parameters,
    _headers: HeaderMap,
) -> Answer {
    // Paths of files are for who may see everything.
    scope.everybody()?;
    parameters.only(&["share"])?;
    let status = match state.processor() {
        Some(processor) => processor.status().await,
        None => None,
    };
    let processor = status
        .map(|status| serde_json::from_str::<ProcessorV1>(&status))
        .transpose()
        .map_err(|error| internal(format!("the processor's status is not as expected: {error}")))?;
    let mut response = Json(PipelineV1 { running: processor.is_some(), processor }).into_response();
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}
