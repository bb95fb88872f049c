//! Routes: a range as a whole. HTTP only.

use axum::extract::State;
use axum::http::HeaderMap;

use super::answers::{Fresh, StatsV1};
use super::{Answer, Asked, CompareParameter, Of, PercentilesParameter, RangeParameters, V1Failures};
use crate::AppState;
use crate::query::{Parameters, PathCustomer};
use crate::scope::Scope;

const OWN: [&str; 2] = ["percentiles", "compare"];

/// All customers in a range.
///
/// Requests, three uptimes, latencies. `uptime`: share of requests with a status from 200 to 399. `availability`: share with a status below 500. `uptime_minutes`: share of minutes with traffic in which
/// fewer than 5 % of the requests ended in a status of 500 or more. Without traffic all three are null.
#[utoipa::path(
    get,
    path = "/v1/stats",
    tag = "statistics v1",
    params(RangeParameters, PercentilesParameter, CompareParameter),
    responses((status = 200, description = "The statistics", content((Fresh<StatsV1> = "application/json"), (String = "text/csv"), (String = "application/x-ndjson"))), V1Failures)
)]
pub(super) async fn stats(
    State(state): State<AppState>,
    scope: Scope,
    parameters: Parameters,
    headers: HeaderMap,
) -> Answer {
    let asked = Asked::new(&state, &parameters, &headers, &OWN)?;
    answer(asked, Of::everybody(&scope)?).await
}

/// One customer in a range.
///
/// As for all customers.
#[utoipa::path(
    get,
    path = "/v1/customers/{id}/stats",
    tag = "statistics v1",
    params(("id" = String, Path, description = "The customer's id exactly as the log has it, percent-encoded (`/` as `%2F`)", example = "cust_1"), RangeParameters, PercentilesParameter, CompareParameter),
    responses((status = 200, description = "The statistics", content((Fresh<StatsV1> = "application/json"), (String = "text/csv"), (String = "application/x-ndjson"))), V1Failures)
)]
pub(super) async fn customer_stats(
    State(state): State<AppState>,
    scope: Scope,
    customer: PathCustomer,
    parameters: Parameters,
    headers: HeaderMap,
) -> Answer {
    let asked = Asked::new(&state, &parameters, &headers, &OWN)?;
    answer(asked, Of::one(&scope, customer)).await
}

async fn answer(asked: Asked<'_>, of: Of) -> Answer {
    let percentiles = asked.parameters.percentiles()?;
    let period = asked.parameters.period(asked.moment)?;
    let backend = asked.state.backend();
    let by_minutes = asked.moment.has_minutes(period.range);
    let (found, now) = backend.whole(&of.subject, period.range, by_minutes, &percentiles).await?;
    of.check(&asked, found.known, found.freshness, now)?;
    let mut made = found.freshness;
    let previous = match period.previous {
        None => None,
        Some(range) => {
            let (previous, _) = backend.whole(&of.subject, range, false, &percentiles).await?;
            // What both say is only as fresh as the older one.
            made.as_of_micros = made.as_of_micros.min(previous.freshness.as_of_micros);
            Some((range, previous))
        }
    };
    let previous = previous.as_ref().map(|(range, found)| (*range, &found.answer.measures, period.zone));
    let whole = &found.answer;
    let about = of.about(&period, found.method);
    let answer = StatsV1::new(&whole.measures, whole.minutes, previous, &percentiles, about);
    Ok(asked.reply(&answer, made, now, None))
}
