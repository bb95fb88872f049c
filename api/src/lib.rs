//! The api: statistics per customer over HTTP. [`app`] makes the router from an [`AppState`], [`serve`] serves it, `main.rs` puts them together.
//!
//! Handlers know HTTP and nothing of files, SQL or Flux (A1); a 5xx carries no internal text (A2); path and query values become types
//! before any other code sees them (A3); every JSON shape has an inline snapshot in the tests (A4).

mod answers;
mod backend;
mod beforehand;
mod cache;
mod conditional;
mod csv;
mod customers;
mod dashboard;
mod error;
mod format;
mod grammar;
mod guard;
mod health;
mod key_command;
pub mod keys;
mod live;
mod metrics;
mod openapi;
mod pipeline;
mod probe;
mod query;
mod questions;
mod rate;
mod request_id;
mod scope;
mod server;
pub mod settings;
mod shared_look;
mod tables;
mod trouble_log;
mod v1;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderName, HeaderValue, Method, Request, header};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::{Router, body::Body};
use service::Stop;
use store::{Freshness, StatsStore};
use tower::ServiceBuilder;
use tower::util::option_layer;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::cors::{AllowOrigin, CorsLayer};
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::request_id::{PropagateRequestIdLayer, SetRequestIdLayer};
use tower_http::set_header::SetResponseHeaderLayer;
use tower_http::trace::TraceLayer;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::answers::FreshnessFields;
use crate::backend::Backend;
use crate::grammar::Moment;
use crate::guard::Guard;
use crate::keys::Keys;
use crate::live::Live;
use crate::metrics::Metrics;
use crate::pipeline::Processor;
use crate::query::Calendar;
use crate::scope::Subject;
use crate::trouble_log::TroubleLog;

pub use crate::probe::Probe;
pub use crate::server::{Served, ServerLimits, serve};

/// The time now, in microseconds since 1970. Handed in, so that tests choose it.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// No path reads a body.
const REQUEST_BODY_MAX_BYTES: usize = 64 * 1024;

/// What can be chosen about answering.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Days before this age are not counted (whole days, as the processor drops them); None = all that is kept.
    pub retention: Option<Duration>,
    /// A request without an answer by then is told 503.
    pub request_deadline: Duration,
    /// Memory for kept answers.
    pub cache_max_bytes: u64,
}

impl Default for Options {
    /// Ten seconds: the longest that clients and proxies commonly wait. 32 MiB: some thousand answers with a year of days each.
    fn default() -> Self {
        Self { retention: None, request_deadline: Duration::from_secs(10), cache_max_bytes: 32 << 20 }
    }
}

/// Who may ask, how often, and from which pages.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// The keys; without any everyone may see everything.
    pub keys: Keys,
    /// Requests a second of each key; 0 is no limit.
    pub requests_per_second: u32,
    /// Origins of other sites whose pages may ask; none by default.
    pub cors_origins: Vec<HeaderValue>,
}

/// What handlers share.
#[derive(Clone)]
pub struct AppState(Arc<Inner>);

struct Inner {
    backend: Arc<Backend>,
    live: Arc<Live>,
    guard: Guard,
    processor: Option<Processor>,
    cors_origins: Vec<HeaderValue>,
    stop: Stop,
    metrics: Arc<Metrics>,
    clock: Clock,
    options: Options,
}

impl std::fmt::Debug for AppState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("AppState").field(&self.0.backend).finish()
    }
}

impl AppState {
    /// The state around a store, open to everyone. Live streams end with `stop`.
    pub fn new(store: impl StatsStore, clock: Clock, options: Options, stop: Stop) -> Self {
        Self::guarded(store, clock, options, stop, Access::default())
    }

    /// The same for those who have a key.
    pub fn guarded(
        store: impl StatsStore,
        clock: Clock,
        options: Options,
        stop: Stop,
        access: Access,
    ) -> Self {
        let metrics = Arc::new(Metrics::new());
        let backend = Arc::new(Backend::new(store, options.cache_max_bytes, Arc::clone(&metrics)));
        let guard = Guard::new(access.keys, access.requests_per_second);
        let cors_origins = access.cors_origins;
        Self(Arc::new(Inner {
            backend,
            live: Live::new(),
            guard,
            processor: None,
            cors_origins,
            stop,
            metrics,
            clock,
            options,
        }))
    }

    /// The same with the processor whose STATE_DIR this is: it is asked how it is doing, and its ledger which lines it rejected.
    #[must_use]
    pub fn beside(mut self, state_dir: &Path) -> Self {
        let inner = Arc::get_mut(&mut self.0).expect("nobody else has a state that is being made");
        inner.processor = Some(Processor::of(state_dir));
        self
    }

    /// Has tables of all customers made before anybody asks, until the stop, where the store can renew them cheaply. To be called within the runtime.
    pub fn make_tables_beforehand(&self) {
        if self.0.backend.store.renews_tables() {
            tokio::spawn(beforehand::keep(self.clone()));
        }
    }

    fn processor(&self) -> Option<&Processor> {
        self.0.processor.as_ref()
    }

    /// The store's short name, for the log.
    pub fn store(&self) -> String {
        self.0.backend.describe()
    }

    fn backend(&self) -> &Arc<Backend> {
        &self.0.backend
    }

    /// Listens to a subject's ticks; None when all places are taken.
    fn listen(&self, subject: &Subject, write: live::Write) -> Option<live::Listener> {
        self.0.live.listen(subject, &self.0.backend, &self.0.clock, write)
    }

    fn guard(&self) -> &Guard {
        &self.0.guard
    }

    fn stop(&self) -> Stop {
        self.0.stop.clone()
    }

    fn clock(&self) -> Clock {
        Arc::clone(&self.0.clock)
    }

    fn now_micros(&self) -> i64 {
        (self.0.clock)()
    }

    fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    fn trouble_log(&self) -> &TroubleLog {
        &self.0.backend.trouble_log
    }

    fn request_deadline(&self) -> Duration {
        self.0.options.request_deadline
    }

    /// The moment of a question.
    fn moment(&self) -> Moment {
        let moment = Moment::new(self.now_micros().div_euclid(1_000_000), self.0.options.retention);
        if self.0.backend.keeps_minutes() { moment } else { moment.without_minutes() }
    }

    /// The days that can be asked for now.
    fn calendar(&self) -> Calendar {
        Calendar::new((self.0.clock)().div_euclid(1_000_000), self.0.options.retention)
    }

    /// Freshness as an answer of this moment tells it.
    fn fresh(&self, freshness: Freshness) -> FreshnessFields {
        FreshnessFields::new(freshness, (self.0.clock)())
    }
}

/// All paths, with everything around them.
pub fn app(state: AppState) -> Router {
    let (paths, document) = OpenApiRouter::with_openapi(openapi::Description::openapi())
        .routes(routes!(customers::customer_stats))
        .routes(routes!(customers::all_stats))
        .routes(routes!(customers::all_stats_original))
        .routes(routes!(customers::customers))
        .routes(routes!(health::welcome))
        .routes(routes!(health::livez))
        .routes(routes!(health::readyz))
        .routes(routes!(metrics::metrics))
        .merge(v1::routes())
        .split_for_parts();
    // From the outside in: what stands first sees the request first and the answer last.
    let around = ServiceBuilder::new()
        .layer(from_fn(request_id::drop_unusable))
        .layer(SetRequestIdLayer::x_request_id(request_id::Sequence::new()))
        .layer(PropagateRequestIdLayer::x_request_id())
        .layer(TraceLayer::new_for_http().make_span_with(span).on_failure(()))
        .layer(from_fn_with_state(state.clone(), metrics::measure))
        .layer(header_unless_set(header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .layer(header_unless_set(header::REFERRER_POLICY, "no-referrer"))
        .layer(header_unless_set(
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; frame-ancestors 'none'",
        ))
        .layer(header_unless_set(header::X_FRAME_OPTIONS, "DENY"))
        .layer(option_layer(cors(&state)))
        .layer(from_fn(conditional::weaken_tag_of_compressed))
        .layer(CompressionLayer::new())
        .layer(from_fn_with_state(state.clone(), error::render_problems))
        .layer(CatchPanicLayer::custom(error::panicked))
        .layer(from_fn_with_state(state.clone(), error::end_in_time))
        .layer(from_fn_with_state(state.clone(), guard::guard))
        .layer(RequestBodyLimitLayer::new(REQUEST_BODY_MAX_BYTES));
    paths
        .merge(openapi::routes(&document))
        .merge(dashboard::routes())
        .fallback(error::no_such_path)
        .method_not_allowed_fallback(error::no_such_method)
        .layer(around)
        .with_state(state)
}

/// Pages of other sites may ask only where they are listed; preflights need no key.
fn cors(state: &AppState) -> Option<CorsLayer> {
    let origins = &state.0.cors_origins;
    let names = |names: [&'static str; 6]| names.map(HeaderName::from_static);
    (!origins.is_empty()).then(|| {
        CorsLayer::new()
            .allow_origin(AllowOrigin::list(origins.iter().cloned()))
            .allow_methods([Method::GET, Method::HEAD])
            .allow_headers([header::AUTHORIZATION, guard::API_KEY, header::IF_NONE_MATCH, header::ACCEPT])
            .expose_headers(names([
                "etag",
                "link",
                "retry-after",
                "x-request-id",
                "tailgauge-as-of",
                "tailgauge-lag-seconds",
            ]))
            .max_age(Duration::from_secs(600))
    })
}

fn header_unless_set(name: HeaderName, value: &'static str) -> SetResponseHeaderLayer<HeaderValue> {
    SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value))
}

/// What log lines of a request have in common. The query stays out: it may come to hold what no log should.
fn span(request: &Request<Body>) -> tracing::Span {
    let id = request.headers().get(request_id::HEADER).and_then(|id| id.to_str().ok()).unwrap_or_default();
    tracing::info_span!("request", method = %request.method(), path = request.uri().path(), id)
}
