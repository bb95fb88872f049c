//! What the program counts of itself, as Prometheus reads it (OpenMetrics text). No label holds a customer.

use std::sync::atomic::Ordering;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use store::ReadError;

use crate::AppState;
use crate::error::ApiError;
use crate::scope::Scope;

/// Seconds: OpenTelemetry's buckets for HTTP servers, and three finer ones, since kept answers take well under a millisecond.
const DURATION_BUCKETS: [f64; 17] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

/// The route of requests that match none.
const NO_ROUTE: &str = "none";

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: &'static str,
    route: String,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StoreErrorLabels {
    kind: StoreErrorKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
#[allow(non_camel_case_types, reason = "the names are the label's values")]
enum StoreErrorKind {
    no_data_yet,
    away,
    misconfigured,
    damaged,
}

/// All metrics of the program.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Histogram, fn() -> Histogram>,
    cache_hits: Counter,
    cache_misses: Counter,
    store_errors: Family<StoreErrorLabels, Counter>,
    raw_questions: Counter,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::default();
        let requests =
            Family::new_with_constructor((|| Histogram::new(DURATION_BUCKETS)) as fn() -> Histogram);
        let (cache_hits, cache_misses) = (Counter::default(), Counter::default());
        let (store_errors, raw_questions) = (Family::default(), Counter::default());
        registry.register("http_server_request_duration_seconds", "How long answers took", requests.clone());
        registry.register(
            "tailgauge_api_cache_hits",
            "Answers that were kept or being made already",
            cache_hits.clone(),
        );
        registry.register("tailgauge_api_cache_misses", "Answers made anew", cache_misses.clone());
        registry.register(
            "tailgauge_api_store_errors",
            "Questions that the store could not answer",
            store_errors.clone(),
        );
        registry.register(
            "tailgauge_api_raw_questions",
            "Answers made from every single request, because the statistics do not hold all of them",
            raw_questions.clone(),
        );
        let build = Info::new(vec![("program", "api"), ("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("tailgauge_build", "What runs here", build);
        Self { registry, requests, cache_hits, cache_misses, store_errors, raw_questions }
    }

    pub(crate) fn cache_asked(&self, hit: bool) {
        if hit {
            self.cache_hits.inc()
        } else {
            self.cache_misses.inc()
        };
    }

    pub(crate) fn store_failed(&self, error: &ReadError) {
        let kind = match error {
            ReadError::NoDataYet { .. } => StoreErrorKind::no_data_yet,
            ReadError::Away { .. } => StoreErrorKind::away,
            ReadError::Misconfigured { .. } => StoreErrorKind::misconfigured,
            // The client's doing, not the store's.
            ReadError::NotKept { .. } => return,
            ReadError::Damaged(_) => StoreErrorKind::damaged,
        };
        self.store_errors.get_or_create(&StoreErrorLabels { kind }).inc();
    }

    /// `raw_questions`: as the store has counted them.
    fn text(&self, raw_questions: u64) -> String {
        self.raw_questions.inner().store(raw_questions, Ordering::Relaxed);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry)
            .expect("a string takes everything");
        text
    }
}

/// Times every request.
pub(crate) async fn measure(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let method = known_method(request.method());
    let route = request.extensions().get::<MatchedPath>().map_or(NO_ROUTE, MatchedPath::as_str).to_owned();
    let started = Instant::now();
    let response = next.run(request).await;
    let labels = RequestLabels { method, route, status: response.status().as_u16() };
    state.metrics().requests.get_or_create(&labels).observe(started.elapsed().as_secs_f64());
    response
}

/// A client can send any method; only the known ones become label values.
fn known_method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        Method::PATCH => "PATCH",
        Method::TRACE => "TRACE",
        Method::CONNECT => "CONNECT",
        _ => "_OTHER",
    }
}

/// Metrics for Prometheus.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "operation",
    responses((status = 200, description = "OpenMetrics text", body = String, content_type = "application/openmetrics-text"))
)]
pub(crate) async fn metrics(State(state): State<AppState>, scope: Scope) -> Result<Response, ApiError> {
    scope.everybody()?;
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    let text = state.metrics().text(state.backend().raw_questions());
    Ok(([(header::CONTENT_TYPE, content_type)], text).into_response())
}
