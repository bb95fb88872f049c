//! Routes: a customer's requests one by one, and by path. HTTP only.

use axum::extract::State;
use axum::http::HeaderMap;

use super::answers::{About, Fresh};
use super::parameters::{PAGE_DEFAULT, TOP_DEFAULT};
use super::raw::RequestsV1;
use super::tables::PathsV1;
use super::{
    Answer, Asked, OrderParameters, PageParameters, PercentilesParameter, RangeParameters, V1Failures,
};
use crate::AppState;
use crate::keys::encoded_id;
use crate::query::{Parameters, PathCustomer};
use crate::scope::Scope;

const REQUESTS: [&str; 5] = ["status", "path", "min_latency", "limit", "cursor"];
const PATHS: [&str; 4] = ["percentiles", "sort", "order", "limit"];

/// Which requests.
#[derive(Debug, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "only described here; read by `parameters`, which gives better errors")]
pub(crate) struct FilterParameters {
    /// Only requests of this status class.
    #[param(pattern = "^[1-5]xx$", example = "4xx")]
    status: Option<String>,
    /// Only requests of exactly this path.
    #[param(example = "/api/v1/resource1")]
    path: Option<String>,
    /// Only requests that took at least that many seconds, with at most six decimals.
    #[param(example = "0.1", pattern = r"^\d{1,5}(\.\d{1,6})?$")]
    min_latency: Option<String>,
}

/// The most paths.
#[derive(Debug, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "only described here; read by `parameters`, which gives better errors")]
pub(crate) struct LimitParameter {
    /// The most rows.
    #[param(minimum = 1, maximum = 1000, default = 20, example = 20)]
    limit: Option<u16>,
}

/// A customer's requests, newest first.
///
/// As far as they are kept one by one: `covered` says from when on. The embedded store keeps the newest of all customers (RAW_REQUESTS_MAX, RAW_REQUESTS_AGE), InfluxDB all.
#[utoipa::path(
    get,
    path = "/v1/customers/{id}/requests",
    tag = "customers v1",
    params(("id" = String, Path, description = "The customer's id, percent-encoded", example = "cust_1"), RangeParameters, FilterParameters, PageParameters),
    responses((status = 200, description = "A page of requests; `Link` names the next one", content((Fresh<RequestsV1> = "application/json"), (String = "text/csv"), (String = "application/x-ndjson"))), V1Failures)
)]
pub(super) async fn requests(
    State(state): State<AppState>,
    scope: Scope,
    customer: PathCustomer,
    parameters: Parameters,
    headers: HeaderMap,
) -> Answer {
    let asked = Asked::new(&state, &parameters, &headers, &REQUESTS)?;
    let (filter, after, limit) = (parameters.filter()?, parameters.place()?, parameters.limit(PAGE_DEFAULT)?);
    let period = parameters.period(asked.moment)?;
    let one = scope.one(&customer);
    let (page, now) = state.backend().requests(&one, period.range, filter, after, limit).await?;
    if !page.known {
        return Err(asked.unknown(&customer, page.freshness, now));
    }
    let about = About::new(customer.id(), &period, store::Method::Raw);
    let answer = RequestsV1::new(&page, period.zone, about);
    let next = answer.next_cursor().map(|cursor| {
        let path = format!("/v1/customers/{}/requests", encoded_id(one.id()));
        parameters.with_cursor(&path, cursor)
    });
    Ok(asked.reply(&answer, page.freshness, now, next))
}

/// A customer's requests by path.
///
/// How many, how many failed, how fast, for each path; as far as requests are kept one by one: `covered` says from when on.
#[utoipa::path(
    get,
    path = "/v1/customers/{id}/paths",
    tag = "customers v1",
    params(("id" = String, Path, description = "The customer's id, percent-encoded", example = "cust_1"), RangeParameters, PercentilesParameter, OrderParameters, LimitParameter),
    responses((status = 200, description = "The paths", content((Fresh<PathsV1> = "application/json"), (String = "text/csv"), (String = "application/x-ndjson"))), V1Failures)
)]
pub(super) async fn paths(
    State(state): State<AppState>,
    scope: Scope,
    customer: PathCustomer,
    parameters: Parameters,
    headers: HeaderMap,
) -> Answer {
    let asked = Asked::new(&state, &parameters, &headers, &PATHS)?;
    let percentiles = parameters.percentiles()?;
    let (order, limit) = (parameters.order("path", &percentiles)?, parameters.limit(TOP_DEFAULT)?);
    let period = parameters.period(asked.moment)?;
    let one = scope.one(&customer);
    let (paths, now) = state.backend().paths(&one, period.range, &percentiles).await?;
    if !paths.known {
        return Err(asked.unknown(&customer, paths.freshness, now));
    }
    let about = About::new(customer.id(), &period, store::Method::Raw);
    let answer = PathsV1::new(&paths, order, limit, &percentiles, period.zone, about);
    Ok(asked.reply(&answer, paths.freshness, now, None))
}
