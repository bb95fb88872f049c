//! Route: a share link for a customer. HTTP only; tokens are `keys`' matter.

use axum::Json;
use axum::extract::State;
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::IntoResponse;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Answer, V1Failures};
use crate::AppState;
use crate::answers::instant;
use crate::error::{ApiError, Kind};
use crate::key_command::{seconds, share_page};
use crate::query::{Parameters, PathCustomer};
use crate::scope::Scope;

/// How long a link opens, unless `for` says otherwise.
const FOR_DEFAULT: &str = "7d";

/// What opens one customer's data for a while.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ShareV1 {
    /// The only customer whose data it opens.
    #[schema(example = "cust_1")]
    customer_id: String,
    /// Give it as `share=` to any path of that customer.
    #[schema(example = "AAAAAGb6vvhjdXN0XzE.hG0cS8QqC1")]
    token: String,
    /// The address of that customer's page behind the host.
    #[schema(example = "/?customer=cust_1&share=AAAAAGb6vvhjdXN0XzE.hG0cS8QqC1")]
    page: String,
    /// When it ends.
    #[schema(example = "2024-10-07T09:15:36Z")]
    expires: String,
}

/// How long a link opens.
#[derive(Debug, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "only described here; read below")]
pub(crate) struct ShareParameters {
    /// How long the link opens, such as `12h` or `30d`, at most ten years.
    #[param(default = "7d", example = "7d", pattern = r"^\d{1,9}[smhdw]$")]
    r#for: Option<String>,
}

/// A share link for one customer.
///
/// Only who may see everything can make one; it opens that customer's data and nothing else, until it ends. A link cannot be taken back before: another API_SHARE_SECRET ends them all.
#[utoipa::path(
    get,
    path = "/v1/customers/{id}/share",
    tag = "customers v1",
    params(("id" = String, Path, description = "The customer's id, percent-encoded", example = "cust_1"), ShareParameters),
    responses((status = 200, description = "The token", body = ShareV1), V1Failures)
)]
pub(super) async fn share(
    State(state): State<AppState>,
    scope: Scope,
    customer: PathCustomer,
    parameters: Parameters,
    _headers: HeaderMap,
) -> Answer {
    scope.everybody()?;
    parameters.only(&["for"])?;
    let span = parameters.one(&["for"])?.unwrap_or(FOR_DEFAULT);
    let seconds = seconds(span)
        .ok_or_else(|| ApiError::parameter("for", "expected a time such as 12h or 30d, at most ten years"))?;
    let one = scope.one(&customer);
    let until_second = state.now_micros().div_euclid(1_000_000) + seconds;
    let token = state.guard().keys.share(one.id(), until_second).filter(|_| !one.id().is_empty());
    let token = token.ok_or_else(|| {
        ApiError::new(
            Kind::UnknownCustomer,
            "there are no share links here: API_SHARE_SECRET is not set, or no customer can have this id",
        )
    })?;
    let answer = ShareV1 {
        customer_id: one.id().to_owned(),
        page: share_page(one.id(), &token),
        token,
        expires: instant(until_second),
    };
    let mut response = Json(answer).into_response();
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}
