//! Routes: a range in stretches, latencies by bucket, tables of customers. HTTP only.

use axum::extract::State;
use axum::http::HeaderMap;

use super::answers::{Fresh, LatencyV1, SeriesV1, points};
use super::hurt::{HurtV1, Rank};
use super::parameters::TOP_DEFAULT;
use super::tables::CustomersV1;
use super::{
    Answer, Asked, CompareParameter, GranularityParameter, Of, OrderParameters, PageParameters,
    PercentilesParameter, RangeParameters, V1Failures,
};
use crate::AppState;
use crate::query::{Parameters, PathCustomer};
use crate::scope::Scope;

const SERIES: [&str; 4] = ["percentiles", "compare", "granularity", "fill"];
const LATENCY: [&str; 1] = ["granularity"];
const CUSTOMERS: [&str; 6] = ["percentiles", "sort", "order", "q", "limit", "cursor"];
const HURT: [&str; 2] = ["sort", "limit"];

/// What stands where there were no requests.
#[derive(Debug, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "only described here; read by `parameters`, which gives better errors")]
pub(crate) struct FillParameter {
    /// Stretches without requests: `null` (they are there; shares and latencies are null), `zero` (latencies are 0), `none` (they are left out).
    #[param(pattern = "^(null|zero|none)$", default = "null", example = "null")]
    fill: Option<String>,
}

/// Which customers.
#[derive(Debug, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "only described here; read by `parameters`, which gives better errors")]
pub(crate) struct SearchParameter {
    /// Only customers whose id holds this text, in upper or lower case.
    #[param(example = "cust")]
    q: Option<String>,
}

/// How the hurt are ranked.
#[derive(Debug, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "only described here; read by `parameters`, which gives better errors")]
pub(crate) struct HurtParameters {
    /// `drop`: by how much less available the service is to them than in the period before. `share`: by their share of all server errors. `evidence`: by the share of
    /// their requests that surely fails (`error_share_at_least`), so that one failure of few requests is not taken for an outage.
    #[param(pattern = "^(drop|share|evidence)$", default = "drop", example = "drop")]
    sort: Option<String>,
    /// The most rows.
    #[param(minimum = 1, maximum = 1000, default = 20, example = 20)]
    limit: Option<u16>,
}

/// All customers in stretches of time.
///
/// Each stretch is told exactly, by itself. Without `granularity` the finest is taken of which there are at most 750.
#[utoipa::path(
    get,
    path = "/v1/series",
    tag = "statistics v1",
    params(RangeParameters, GranularityParameter, PercentilesParameter, CompareParameter, FillParameter),
    responses((status = 200, description = "The series", content((Fresh<SeriesV1> = "application/json"), (String = "text/csv"), (String = "application/x-ndjson"))), V1Failures)
)]
pub(super) async fn series(
    State(state): State<AppState>,
    scope: Scope,
    parameters: Parameters,
    headers: HeaderMap,
) -> Answer {
    let asked = Asked::new(&state, &parameters, &headers, &SERIES)?;
    series_answer(asked, Of::everybody(&scope)?).await
}

/// One customer in stretches of time.
///
/// As for all customers.
#[utoipa::path(
    get,
    path = "/v1/customers/{id}/series",
    tag = "statistics v1",
    params(("id" = String, Path, description = "The customer's id, percent-encoded", example = "cust_1"), RangeParameters, GranularityParameter, PercentilesParameter, CompareParameter, FillParameter),
    responses((status = 200, description = "The series", content((Fresh<SeriesV1> = "application/json"), (String = "text/csv"), (String = "application/x-ndjson"))), V1Failures)
)]
pub(super) async fn customer_series(
    State(state): State<AppState>,
    scope: Scope,
    customer: PathCustomer,
    parameters: Parameters,
    headers: HeaderMap,
) -> Answer {
    let asked = Asked::new(&state, &parameters, &headers, &SERIES)?;
    series_answer(asked, Of::one(&scope, customer)).await
}

async fn series_answer(asked: Asked<'_>, of: Of) -> Answer {
    let (percentiles, fill) = (asked.parameters.percentiles()?, asked.parameters.fill()?);
    let period = asked.parameters.period(asked.moment)?;
    let buckets = asked.moment.buckets(&period, asked.parameters.granularity()?)?;
    let backend = asked.state.backend();
    let (found, now) = backend.series(&of.subject, &buckets.bounds, &percentiles).await?;
    of.check(&asked, found.known, found.freshness, now)?;
    let mut made = found.freshness;
    let previous = match period.previous {
        None => None,
        Some(range) => {
            let buckets = asked.moment.buckets_of(range, buckets.granularity, period.zone)?;
            let (previous, _) = backend.series(&of.subject, &buckets.bounds, &percentiles).await?;
            made.as_of_micros = made.as_of_micros.min(previous.freshness.as_of_micros);
            Some(points(&buckets.bounds, &previous.answer, &percentiles, fill, period.zone))
        }
    };
    let data = points(&buckets.bounds, &found.answer, &percentiles, fill, period.zone);
    let about = of.about(&period, found.method);
    let answer = SeriesV1::new(&buckets, data, previous, &percentiles, period.zone, about);
    Ok(asked.reply(&answer, made, now, None))
}

/// The latencies of all customers, by bucket.
///
/// As one histogram, or with `granularity` as one for each stretch of time (a heat map).
#[utoipa::path(
    get,
    path = "/v1/latency",
    tag = "statistics v1",
    params(RangeParameters, GranularityParameter),
    responses((status = 200, description = "The histogram", content((Fresh<LatencyV1> = "application/json"), (String = "text/csv"), (String = "application/x-ndjson"))), V1Failures)
)]
pub(super) async fn latency(
    State(state): State<AppState>,
    scope: Scope,
    parameters: Parameters,
    headers: HeaderMap,
) -> Answer {
    let asked = Asked::new(&state, &parameters, &headers, &LATENCY)?;
    latency_answer(asked, Of::everybody(&scope)?).await
}

/// The latencies of one customer, by bucket.
///
/// As for all customers.
#[utoipa::path(
    get,
    path = "/v1/customers/{id}/latency",
    tag = "statistics v1",
    params(("id" = String, Path, description = "The customer's id, percent-encoded", example = "cust_1"), RangeParameters, GranularityParameter),
    responses((status = 200, description = "The histogram", content((Fresh<LatencyV1> = "application/json"), (String = "text/csv"), (String = "application/x-ndjson"))), V1Failures)
)]
pub(super) async fn customer_latency(
    State(state): State<AppState>,
    scope: Scope,
    customer: PathCustomer,
    parameters: Parameters,
    headers: HeaderMap,
) -> Answer {
    let asked = Asked::new(&state, &parameters, &headers, &LATENCY)?;
    latency_answer(asked, Of::one(&scope, customer)).await
}

async fn latency_answer(asked: Asked<'_>, of: Of) -> Answer {
    let period = asked.parameters.period(asked.moment)?;
    let (granularity, bounds) = match asked.parameters.granularity_if_any()? {
        None => (None, vec![period.range.from_second, period.range.to_second]),
        Some(granularity) => {
            let buckets = asked.moment.buckets(&period, granularity)?;
            (Some(buckets.granularity.name()), buckets.bounds)
        }
    };
    let (found, now) = asked.state.backend().histograms(&of.subject, &bounds).await?;
    of.check(&asked, found.known, found.freshness, now)?;
    let about = of.about(&period, found.method);
    let answer = LatencyV1::new(granularity, &bounds, &found.answer, period.zone, about);
    Ok(asked.reply(&answer, found.freshness, now, None))
}

/// The customers that have requests in a range, page by page.
///
/// Sorted by any column, searched by id. The table behind the pages is kept, and made anew in the background while it is asked for; it is never older than five seconds, or three times as long as it takes to make. `as_of` says how fresh it is.
#[utoipa::path(
    get,
    path = "/v1/customers",
    tag = "customers v1",
    params(RangeParameters, PercentilesParameter, OrderParameters, SearchParameter, PageParameters),
    responses((status = 200, description = "A page of customers; `Link` names the next one", content((Fresh<CustomersV1> = "application/json"), (String = "text/csv"), (String = "application/x-ndjson"))), V1Failures)
)]
pub(super) async fn customers(
    State(state): State<AppState>,
    scope: Scope,
    parameters: Parameters,
    headers: HeaderMap,
) -> Answer {
    let everybody = scope.everybody()?;
    let asked = Asked::new(&state, &parameters, &headers, &CUSTOMERS)?;
    let rows = parameters.customers(parameters.percentiles()?)?;
    let period = parameters.period(asked.moment)?;
    let key = parameters.table_key(&rows.percentiles, false)?;
    let (held, freshness) = state.backend().table(everybody, key, period).await?;
    let (period, table) = (&held.table.period, &held.table.table);
    let about = super::answers::About::new(None, period, table.method);
    let answer = CustomersV1::new(table, &rows, about);
    let next = answer.next_cursor().map(|cursor| parameters.with_cursor("/v1/customers", cursor));
    Ok(asked.reply(&answer, table.freshness, freshness, next))
}

/// Who is hurt.
///
/// Customers ranked by how much less available (status below 500) the service is to them than in the period before, or by their share of all server errors: so one customer's outage is not
/// hidden by the others.
#[utoipa::path(
    get,
    path = "/v1/hurt",
    tag = "customers v1",
    params(RangeParameters, HurtParameters),
    responses((status = 200, description = "The hurt customers", content((Fresh<HurtV1> = "application/json"), (String = "text/csv"), (String = "application/x-ndjson"))), V1Failures)
)]
pub(super) async fn hurt(
    State(state): State<AppState>,
    scope: Scope,
    parameters: Parameters,
    headers: HeaderMap,
) -> Answer {
    let everybody = scope.everybody()?;
    let asked = Asked::new(&state, &parameters, &headers, &HURT)?;
    let rank = parameters.one(&["sort"])?.map_or(Ok(Rank::default()), Rank::parse)?;
    let limit = parameters.limit(TOP_DEFAULT)?;
    let period = parameters.compared_period(asked.moment)?;
    let key = parameters.table_key(&[], true)?;
    let (held, freshness) = state.backend().table(everybody, key, period).await?;
    let found = &held.table;
    let about = super::answers::About::new(None, &found.period, found.table.method);
    let answer = HurtV1::new(found, rank, limit, about);
    Ok(asked.reply(&answer, found.table.freshness, freshness, None))
}
