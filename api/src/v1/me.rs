//! Route: what the key or link of a request opens. HTTP only; who is let in is `guard`'s matter.

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
use crate::guard::Until;
use crate::query::Parameters;
use crate::scope::Scope;

/// What the key or link of a request opens.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MeV1 {
    /// `everything`, or one `customer`.
    scope: Opens,
    /// The only customer whose data it opens; null when it opens everything.
    #[schema(example = "cust_1", required = true)]
    customer_id: Option<String>,
    /// When a link ends; null for a key, and where no key is needed.
    #[schema(example = "2024-10-07T09:15:36Z", required = true)]
    expires: Option<String>,
    /// Whether this api asks for keys at all.
    #[schema(example = true)]
    key_needed: bool,
    /// Whether share links can be made with it.
    #[schema(example = false)]
    can_share: bool,
}

/// How much is opened.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Opens {
    /// The data of everybody.
    Everything,
    /// The data of one customer.
    Customer,
}

/// What the key or link of this request opens.
///
/// For a page or program that was given one: whose data it may ask for, and until when. Without keys everyone may ask for everything.
#[utoipa::path(
    get,
    path = "/v1/me",
    tag = "operation",
    responses((status = 200, description = "What it opens", body = MeV1), V1Failures)
)]
pub(super) async fn me(
    State(state): State<AppState>,
    scope: Scope,
    until: Until,
    parameters: Parameters,
    _headers: HeaderMap,
) -> Answer {
    parameters.only(&["share"])?;
    let keys = &state.guard().keys;
    let (scope, customer_id) = match scope {
        Scope::Everything => (Opens::Everything, None),
        Scope::Customer(id) => (Opens::Customer, Some(id)),
    };
    let answer = MeV1 {
        can_share: customer_id.is_none() && keys.can_share(),
        key_needed: keys.are_needed(),
        expires: until.second().map(instant),
        scope,
        customer_id,
    };
    let mut response = Json(answer).into_response();
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}
