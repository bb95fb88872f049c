//! Whether the program lives, whether it can answer, and what it is.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::error::ApiError;
use crate::{AppState, dashboard};

/// Product name, as the welcome says it.
const NAME: &str = "Tailgauge";

/// Where everything is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Welcome {
    #[schema(example = "Tailgauge")]
    name: &'static str,
    #[schema(example = "0.1.0")]
    version: &'static str,
    links: Links,
}

/// The paths that are served.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Links {
    customer_stats: &'static str,
    all_customers_stats: &'static str,
    customers: &'static str,
    docs: &'static str,
    openapi: &'static str,
    livez: &'static str,
    readyz: &'static str,
    metrics: &'static str,
}

/// A probe's answer.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Health {
    /// `alive` or `ready`.
    #[schema(example = "ready")]
    status: &'static str,
}

/// What this is and where everything is.
///
/// A browser, which asks for `text/html`, is given the dashboard.
#[utoipa::path(get, path = "/", tag = "operation", responses((status = 200, description = "Name, version, paths", content((Welcome = "application/json"), (String = "text/html")))))]
pub(crate) async fn welcome(headers: HeaderMap) -> Response {
    if let Some(page) = dashboard::page(&headers) {
        return page;
    }
    let links = Links {
        customer_stats: "/customers/{id}/stats?from_date=YYYY-MM-DD",
        all_customers_stats: "/customers/stats?from_date=YYYY-MM-DD",
        customers: "/customers",
        docs: "/docs",
        openapi: "/openapi.json",
        livez: "/livez",
        readyz: "/readyz",
        metrics: "/metrics",
    };
    let mut response =
        Json(Welcome { name: NAME, version: env!("CARGO_PKG_VERSION"), links }).into_response();
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("Accept, Accept-Encoding"));
    response
}

/// The process serves.
#[utoipa::path(get, path = "/livez", tag = "operation", responses((status = 200, description = "Alive", body = Health)))]
pub(crate) async fn livez() -> Response {
    uncached(Health { status: "alive" })
}

/// The store can be reached and has data.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "operation",
    responses((status = 200, description = "Ready", body = Health), crate::openapi::NotReady)
)]
pub(crate) async fn readyz(State(state): State<AppState>) -> Result<Response, ApiError> {
    match state.backend().freshness().await {
        Ok(_) => Ok(uncached(Health { status: "ready" })),
        Err(error) => Err(error.into_not_ready()),
    }
}

fn uncached(health: Health) -> Response {
    let mut response = Json(health).into_response();
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
