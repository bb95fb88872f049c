//! The description of the api: the OpenAPI document, what its operations share, and the page that shows it. Everything is inside the binary.

use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{IntoParams, IntoResponses, Modify, OpenApi};

use crate::answers::{
    CustomerFields, CustomersAnswer, DayFields, FiguresFields, FreshnessFields, MethodField, StatsAnswer,
};
use crate::error::{ParameterFault, Problem};

/// What the document says apart from its operations.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Tailgauge",
        description = "Per-customer statistics of the requests in an access log: how many, what uptime, how fast. Exact, and as fresh as `as_of` says.\n\n\
            Errors are problems (RFC 9457, `application/problem+json`). Answers carry an `ETag`; send it back as `If-None-Match` to be told 304 when nothing has changed.",
        license(name = "Apache-2.0 OR MIT", identifier = "Apache-2.0 OR MIT"),
    ),
    // What the answers' schemas refer to; the derives collect only the answers themselves.
    components(schemas(FiguresFields, FreshnessFields, DayFields, MethodField, CustomerFields, ParameterFault)),
    modifiers(&Keys),
    // Without API_KEYS no key is needed.
    security((), ("bearer" = []), ("key" = [])),
    servers((url = "/", description = "This server")),
    tags(
        (name = "statistics", description = "Requests, uptime and latency"),
        (name = "customers", description = "Who asks"),
        (name = "operation", description = "Health and metrics")
    )
)]
pub(crate) struct Description;

/// How a key is sent.
struct Keys;

impl Modify for Keys {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let components = document.components.get_or_insert_default();
        let bearer = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("A key as `api key new` makes it"));
        components.add_security_scheme("bearer", SecurityScheme::Http(bearer.build()));
        components.add_security_scheme(
            "key",
            SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new("X-API-Key"))),
        );
    }
}

/// The query of the statistics.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "only described here; read by `query`, which gives better errors")]
pub(crate) struct FromDate {
    /// First day to count (UTC), not in the future. `1970-01-01` counts everything. `from` is another name for it.
    #[param(example = "2024-09-29", format = "date", pattern = r"^\d{4}-\d{2}-\d{2}$")]
    from_date: String,
}

/// The query of the list of customers.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "only described here; read by `query`, which gives better errors")]
pub(crate) struct Page {
    /// Customers on a page.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<u16>,
    /// Where the page begins: `next_cursor` of the page before.
    cursor: Option<String>,
}

#[derive(IntoResponses)]
#[allow(dead_code, reason = "only described here")]
pub(crate) enum StatsAnswers {
    /// The statistics
    #[response(status = 200, example = json!({
        "total_requests": 5, "successful_requests": 3, "failed_requests": 2, "uptime": 60.0,
        "average_latency": 0.84, "median_latency": 0.7, "p99_latency": 1.476,
        "customer_id": "cust_1", "from": "2024-09-29T00:00:00Z", "to": "2024-10-01T00:00:00Z",
        "as_of": "2024-09-30T09:15:35.123Z", "lag_seconds": 0.4, "method": "cells",
        "daily": [{
            "date": "2024-09-29", "total_requests": 5, "successful_requests": 3, "failed_requests": 2, "uptime": 60.0,
            "average_latency": 0.84, "median_latency": 0.7, "p99_latency": 1.476
        }]
    }))]
    Found(#[to_schema] StatsAnswer),
    /// Nothing has changed since the answer named by `If-None-Match`
    #[response(status = 304)]
    NotModified,
    /// `from_date` is missing, repeated, not a date or in the future
    #[response(status = 422, content_type = "application/problem+json")]
    Unprocessable(#[to_schema] Problem<'static>),
}

#[derive(IntoResponses)]
#[allow(dead_code, reason = "only described here")]
pub(crate) enum CustomersPageAnswer {
    /// A page of customers
    #[response(status = 200, example = json!({
        "data": [{ "customer_id": "cust_1", "requests": 5, "last_seen": "2024-09-30T09:15:34Z" }],
        "next_cursor": "MWN1c3RfMQ", "as_of": "2024-09-30T09:15:35.123Z", "lag_seconds": 0.4
    }))]
    Found(#[to_schema] CustomersAnswer),
    /// Nothing has changed since the answer named by `If-None-Match`
    #[response(status = 304)]
    NotModified,
    /// `limit` or `cursor` is invalid
    #[response(status = 422, content_type = "application/problem+json")]
    Unprocessable(#[to_schema] Problem<'static>),
}

/// What every data path can answer instead.
#[derive(IntoResponses)]
#[allow(dead_code, reason = "only described here")]
pub(crate) enum Failures {
    /// No requests in the range, or no data yet
    #[response(status = 404, content_type = "application/problem+json", example = json!({
        "type": "urn:problem-type:tailgauge:no-data", "title": "No requests in this range", "status": 404,
        "detail": "no requests of customer `cust_9` from 2024-09-29 on", "instance": "/customers/cust_9/stats",
        "as_of": "2024-09-30T09:15:35.123Z", "lag_seconds": 0.4
    }))]
    NotFound(#[to_schema] Problem<'static>),
    /// The answer could not be made
    #[response(status = 500, content_type = "application/problem+json", example = json!({
        "type": "urn:problem-type:tailgauge:internal", "title": "Internal error", "status": 500,
        "detail": "the answer could not be made; the reason is in the log of the api", "instance": "/customers/cust_1/stats"
    }))]
    Internal(#[to_schema] Problem<'static>),
    /// The store is away or too slow; `Retry-After` says when to ask again
    #[response(status = 503, content_type = "application/problem+json", headers(("Retry-After" = u32, description = "Seconds")), example = json!({
        "type": "urn:problem-type:tailgauge:store-unavailable", "title": "The store is unavailable at the moment", "status": 503,
        "detail": "the statistics cannot be read at the moment; ask again later", "instance": "/customers/cust_1/stats"
    }))]
    Unavailable(#[to_schema] Problem<'static>),
}

#[derive(IntoResponses)]
#[allow(dead_code, reason = "only described here")]
pub(crate) enum NotReady {
    /// The store cannot be reached, or has no data yet
    #[response(status = 503, content_type = "application/problem+json", headers(("Retry-After" = u32, description = "Seconds")), example = json!({
        "type": "urn:problem-type:tailgauge:not-ready", "title": "Not ready", "status": 503,
        "detail": "no request has been stored here so far", "instance": "/readyz"
    }))]
    Unavailable(#[to_schema] Problem<'static>),
}

/// Scripts, styles and pictures come from this server alone; inline styles are Swagger UI's own, `data:` its icons.
const PAGE_POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'self'";

/// `none` keeps Swagger UI from sending the document's address to an online validator.
static PAGE: LazyLock<Arc<utoipa_swagger_ui::Config<'static>>> =
    LazyLock::new(|| Arc::new(utoipa_swagger_ui::Config::from("/openapi.json").validator_url("none")));

/// The document at `/openapi.json` and its page at `/docs`.
pub(crate) fn routes<S: Clone + Send + Sync + 'static>(document: &utoipa::openapi::OpenApi) -> Router<S> {
    let json: Arc<str> = document.to_pretty_json().expect("the document is plain data").into();
    Router::new()
        .route(
            "/openapi.json",
            get(async move || ([(header::CONTENT_TYPE, "application/json")], json.to_string())),
        )
        .route("/docs", get(async || Redirect::permanent("/docs/")))
        .route("/docs/", get(async || page_file("index.html")))
        .route("/docs/{*file}", get(async |Path(file): Path<String>| page_file(&file)))
}

fn page_file(path: &str) -> Response {
    match utoipa_swagger_ui::serve(path, Arc::clone(&PAGE)) {
        Ok(Some(file)) => {
            let mut response = file.bytes.into_owned().into_response();
            let headers = response.headers_mut();
            if let Ok(content_type) = HeaderValue::try_from(file.content_type) {
                headers.insert(header::CONTENT_TYPE, content_type);
            }
            headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(PAGE_POLICY));
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("max-age=3600"));
            response
        }
        Ok(None) => StatusCode::NOT_FOUND.into_response(),
        Err(error) => crate::error::internal(format!("{path}: {error}")).into_response(),
    }
}
