//! /livez, /readyz and /metrics. Tells what others know; decides nothing.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use std::sync::atomic::AtomicU64;

use crate::counters::Counters;
use crate::report::{FileReport, Status};

type Labels = Vec<(String, String)>;

/// What is served.
pub struct Served {
    /// The status now.
    pub status: Box<dyn Fn() -> Status + Send + Sync>,
    /// Lost bytes by source and reason, and bytes read, which the status does not split.
    pub lost: Box<dyn Fn() -> Vec<(String, String, u64)> + Send + Sync>,
    /// What is counted as it happens.
    pub counters: Arc<Counters>,
}

impl std::fmt::Debug for Served {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Served").field("counters", &self.counters).finish_non_exhaustive()
    }
}

/// The routes.
pub fn router(served: Arc<Served>) -> Router {
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(served)
}

async fn readyz(State(served): State<Arc<Served>>) -> impl IntoResponse {
    let status = (served.status)();
    let code = if status.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = serde_json::json!({ "ready": status.ready, "problems": status.problems, "lag_seconds": status.lag_seconds, "lag_bytes": status.lag_bytes });
    (code, [(header::CONTENT_TYPE, "application/json")], format!("{body}\n"))
}

async fn metrics(State(served): State<Arc<Served>>) -> impl IntoResponse {
    let mut text = String::new();
    encode(&mut text, &registry(&served)).expect("a String takes everything");
    ([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text)
}

/// All metrics at this instant. Made anew for each scrape, so that what is told of the lines is one consistent account.
fn registry(served: &Served) -> Registry {
    let status = (served.status)();
    let mut registry = Registry::with_prefix("tailgauge");
    let version = Info::new(vec![("version".to_owned(), env!("CARGO_PKG_VERSION").to_owned())]);
    registry.register("build", "The program", version);
    served.counters.register(&mut registry);
    let mut counter = |name: &str, help: &str, value: u64| {
        let counter: Counter = Counter::default();
        counter.inc_by(value);
        registry.register(name, help, counter);
    };
    counter("lines_read", "Lines read, earlier runs included", status.lines_read);
    counter("lines_stored", "Lines stored", status.lines_stored);
    counter("bytes_settled", "Bytes settled", status.bytes_settled);
    counter("skipped_bytes", "Bytes skipped on purpose (START_AT)", status.skipped_bytes);
    counter(
        "future_time_lines",
        "Stored lines with a time more than 5 minutes ahead of the clock",
        status.future_time,
    );
    counter(
        "ambiguous_time_lines",
        "Stored lines whose local time occurred twice or never",
        status.ambiguous_time,
    );
    let rejected: Family<Labels, Counter> = Family::default();
    for (reason, lines) in &status.rejected {
        rejected.get_or_create(&vec![("reason".to_owned(), reason.clone())]).inc_by(*lines);
    }
    registry.register("lines_rejected", "Lines rejected, by reason", rejected);
    let lost: Family<Labels, Counter> = Family::default();
    for (source, reason, bytes) in (served.lost)() {
        lost.get_or_create(&vec![("source".to_owned(), source), ("reason".to_owned(), reason)]).inc_by(bytes);
    }
    registry.register("lost_bytes", "Bytes proven unreadable", lost);
    gauges(&mut registry, &status);
    registry
}

fn gauges(registry: &mut Registry, status: &Status) {
    let mut gauge = |name: &str, help: &str, value: f64| {
        let gauge: Gauge<f64, AtomicU64> = Gauge::default();
        gauge.set(value);
        registry.register(name, help, gauge);
    };
    gauge("ready", "Whether the processor does its work", f64::from(u8::from(status.ready)));
    gauge("lines_in_flight", "Lines read and not settled", count(status.lines_in_flight));
    gauge("tail_lag_bytes", "Bytes of the followed files that are not settled", count(status.lag_bytes));
    gauge(
        "freshness_seconds",
        "Age of the data: everything older was settled; NaN before the first look",
        status.lag_seconds.unwrap_or(f64::NAN),
    );
    gauge("in_flight_bytes", "Bytes of lines between reading and settling", count(status.bytes_in_flight));
    gauge(
        "checkpoint_age_seconds",
        "Time since the ledger last held everything that had settled; rises while it cannot be written or the store takes nothing",
        status.checkpoint_age_seconds.unwrap_or(f64::NAN),
    );
    if let Some(statistics) = &status.statistics {
        gauge(
            "statistics_waiting_cells",
            "Windows of customers that wait for their publication, counted up to a million",
            count(statistics.waiting_cells),
        );
        gauge(
            "statistics_freshness_seconds",
            "Age of the statistics in the store: everything older is in them; NaN before all of it was",
            statistics.lag_seconds.unwrap_or(f64::NAN),
        );
    }
    files(registry, status);
}

/// What is told of each file.
fn files(registry: &mut Registry, status: &Status) {
    let mut each = |name: &str, help: &str, value: fn(&FileReport) -> f64| {
        let family: Family<Labels, Gauge<f64, AtomicU64>> = Family::default();
        for file in &status.files {
            let labels = vec![
                ("source".to_owned(), file.source.clone()),
                ("path".to_owned(), file.path.display().to_string()),
            ];
            family.get_or_create(&labels).set(value(file));
        }
        registry.register(name, help, family);
    };
    each("file_size_bytes", "Size of a followed file", |file| count(file.size));
    each("file_read_offset_bytes", "Place in a followed file before which everything was read", |file| {
        count(file.read_offset)
    });
    each(
        "file_settled_offset_bytes",
        "Place in a followed file before which everything is settled",
        |file| count(file.settled_offset),
    );
    each("file_lag_bytes", "Bytes of a followed file that are not settled", |file| {
        count(file.size.saturating_sub(file.settled_offset))
    });
    each(
        "file_lag_seconds",
        "For how long the oldest unsettled line of a followed file has been there",
        |file| file.lag_seconds,
    );
}

/// A count as a gauge's number; exact up to 2^53.
#[expect(clippy::cast_precision_loss, reason = "a gauge's number is a float by its format")]
fn count(value: u64) -> f64 {
    value as f64
}
