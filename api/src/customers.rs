//! The routes about customers: HTTP only (A1). Values come typed from `query`, answers from `backend`.

use axum::extract::State;
use axum::http::header::LINK;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use stats::TimeRange;

use crate::AppState;
use crate::answers::{CustomersAnswer, StatsAnswer, date};
use crate::conditional;
use crate::error::{ApiError, Kind};
use crate::openapi::{CustomersPageAnswer, Failures, StatsAnswers};
use crate::query::{Parameters, PathCustomer};
use crate::scope::{Scope, Subject};

type Answer = Result<Response, ApiError>;

/// Statistics of one customer.
///
/// Counts every request of the customer from `from_date` 00:00 UTC to the end of today (UTC), in total and by day. Latencies are in seconds.
#[utoipa::path(
    get,
    path = "/customers/{id}/stats",
    tag = "statistics",
    params(
        ("id" = String, Path, description = "The customer's id exactly as the log has it, percent-encoded (`/` as `%2F`)", example = "cust_1"),
        crate::openapi::FromDate,
    ),
    responses(StatsAnswers, Failures)
)]
pub(crate) async fn customer_stats(
    State(state): State<AppState>,
    scope: Scope,
    customer: PathCustomer,
    parameters: Parameters,
    headers: HeaderMap,
) -> Answer {
    let range = parameters.range(state.calendar())?;
    let subject = Subject::from(scope.one(&customer));
    stats(&state, &subject, Some(&customer), range, &headers).await
}

/// Statistics of all customers together.
#[utoipa::path(
    get,
    path = "/customers/stats",
    tag = "statistics",
    params(crate::openapi::FromDate),
    responses(StatsAnswers, Failures)
)]
pub(crate) async fn all_stats(
    State(state): State<AppState>,
    scope: Scope,
    parameters: Parameters,
    headers: HeaderMap,
) -> Answer {
    let everybody = scope.everybody()?;
    let range = parameters.range(state.calendar())?;
    stats(&state, &everybody.into(), None, range, &headers).await
}

/// Statistics of all customers together, under the path of the original exercise.
#[utoipa::path(
    get,
    path = "/customers/customer/stats/all",
    tag = "statistics",
    params(crate::openapi::FromDate),
    responses(StatsAnswers, Failures)
)]
pub(crate) async fn all_stats_original(
    state: State<AppState>,
    scope: Scope,
    parameters: Parameters,
    headers: HeaderMap,
) -> Answer {
    all_stats(state, scope, parameters, headers).await
}

/// The customers, page by page.
///
/// In ascending byte order of the id. The next page is named by `next_cursor`, and by the `Link` header.
#[utoipa::path(
    get,
    path = "/customers",
    tag = "customers",
    params(crate::openapi::Page),
    responses(CustomersPageAnswer, Failures)
)]
pub(crate) async fn customers(
    State(state): State<AppState>,
    scope: Scope,
    parameters: Parameters,
    headers: HeaderMap,
) -> Answer {
    let everybody = scope.everybody()?;
    let query = parameters.page()?;
    let limit = query.limit;
    let (made, freshness) = state.backend().customers(everybody, query).await?;
    let page: &CustomersAnswer = made.answer.as_ref().expect("a page, however empty, is an answer");
    let mut response = conditional::answer(&headers, &made.tag, &page.with(state.fresh(freshness)));
    if let Some(cursor) = page.next_cursor() {
        let link = format!("</customers?limit={limit}&cursor={cursor}>; rel=\"next\"");
        response.headers_mut().insert(LINK, HeaderValue::try_from(link).expect("base64url and digits"));
    }
    Ok(response)
}

async fn stats(
    state: &AppState,
    subject: &Subject,
    asked: Option<&PathCustomer>,
    range: TimeRange,
    headers: &HeaderMap,
) -> Answer {
    let (made, freshness) = state.backend().stats(subject, range).await?;
    let freshness = state.fresh(freshness);
    match &made.answer {
        Some(answer) => {
            let answer: StatsAnswer = answer.with(freshness);
            Ok(conditional::answer(headers, &made.tag, &answer))
        }
        None => {
            let from = date(range.from_second);
            let detail = match asked {
                Some(PathCustomer::Possible(id)) => format!("no requests of customer `{id}` from {from} on"),
                Some(PathCustomer::Impossible) => {
                    format!("no requests from {from} on: no customer can have this id")
                }
                None => format!("no requests from {from} on"),
            };
            Err(ApiError::new(Kind::NoData, detail).with_freshness(freshness))
        }
    }
}
