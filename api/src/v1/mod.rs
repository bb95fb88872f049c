//! The first version of the api, additive to the original's paths: routes, and what they share. HTTP only (A1): values come typed from `parameters`, answers from
//! `answers` and `tables`, data from the backend, which is asked for a subject that only a scope makes (A5).

mod answers;
mod figures;
mod hurt;
mod live;
mod me;
mod others;
mod parameters;
mod pipeline;
mod raw;
mod rejects;
mod requests;
mod share;
mod statistics;
mod tables;
mod whole;

use axum::http::HeaderMap;
use axum::response::Response;
use store::Freshness;
use utoipa::{IntoParams, IntoResponses, OpenApi};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::AppState;
use crate::answers::FreshnessFields;
use crate::error::{ApiError, Kind, Problem};
use crate::format::{self, Format, Rows};
use crate::grammar::{Moment, Period};
use crate::query::{Parameters, PathCustomer};
use crate::scope::{Scope, Subject};

pub(crate) use hurt::Rankings;

type Answer = Result<Response, ApiError>;

/// All its routes.
pub(crate) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::with_openapi(Schemas::openapi())
        .routes(routes!(whole::stats))
        .routes(routes!(whole::customer_stats))
        .routes(routes!(statistics::series))
        .routes(routes!(statistics::customer_series))
        .routes(routes!(statistics::latency))
        .routes(routes!(statistics::customer_latency))
        .routes(routes!(statistics::customers))
        .routes(routes!(statistics::hurt))
        .routes(routes!(requests::requests))
        .routes(routes!(requests::paths))
        .routes(routes!(pipeline::pipeline))
        .routes(routes!(rejects::rejects))
        .routes(routes!(me::me))
        .routes(routes!(share::share))
        .routes(routes!(live::live))
        .routes(routes!(live::customer_live))
}

/// What the answers' schemas refer to; the derives collect only the answers themselves.
#[derive(OpenApi)]
#[openapi(components(schemas(
    figures::Figures,
    figures::StatusClasses,
    answers::QuantileRule,
    answers::About,
    answers::PreviousFigures,
    answers::Point,
    answers::LatencyBucket,
    raw::RequestRow,
    raw::Covered,
    tables::CustomerRowV1,
    others::OthersV1,
    tables::PathRow,
    hurt::HurtRow,
    me::Opens,
    pipeline::ProcessorV1,
    pipeline::FollowedFile,
    rejects::RejectV1,
)))]
struct Schemas;

/// Everything that a handler is given, read and checked in one place.
struct Asked<'a> {
    state: &'a AppState,
    headers: &'a HeaderMap,
    parameters: &'a Parameters,
    moment: Moment,
    format: Format,
}

impl<'a> Asked<'a> {
    /// `own`: the parameters of the path besides those that every path takes.
    fn new(
        state: &'a AppState,
        parameters: &'a Parameters,
        headers: &'a HeaderMap,
        own: &[&str],
    ) -> Result<Self, ApiError> {
        parameters.v1(own)?;
        Ok(Self { state, headers, parameters, moment: state.moment(), format: parameters.format(headers)? })
    }

    /// The answer, as fresh as it was made and as its version is at least.
    fn reply(&self, answer: &impl Rows, made: Freshness, now: Freshness, next: Option<String>) -> Response {
        format::reply(self.headers, self.format, answer, &self.fresh(made, now), next)
    }

    fn fresh(&self, made: Freshness, now: Freshness) -> FreshnessFields {
        self.state.fresh(Freshness { as_of_micros: made.as_of_micros.max(now.as_of_micros) })
    }

    /// The same for a customer who is not there and for one whom this key may not see.
    fn unknown(&self, customer: &PathCustomer, made: Freshness, now: Freshness) -> ApiError {
        let detail = match customer.id() {
            Some(id) => format!("no customer `{id}` has requests here"),
            None => "no customer can have this id".to_owned(),
        };
        ApiError::new(Kind::UnknownCustomer, detail).with_freshness(self.fresh(made, now))
    }
}

/// Of whom a question is: the subject for the backend, and the id for the answer.
struct Of {
    subject: Subject,
    customer: Option<PathCustomer>,
}

impl Of {
    fn everybody(scope: &Scope) -> Result<Self, ApiError> {
        Ok(Self { subject: scope.everybody()?.into(), customer: None })
    }

    fn one(scope: &Scope, customer: PathCustomer) -> Self {
        Self { subject: scope.one(&customer).into(), customer: Some(customer) }
    }

    /// A customer that nobody knows is a 404; without any request at all, the statistics of everybody are those of nothing.
    fn check(&self, asked: &Asked<'_>, known: bool, made: Freshness, now: Freshness) -> Result<(), ApiError> {
        match &self.customer {
            Some(customer) if !known => Err(asked.unknown(customer, made, now)),
            _ => Ok(()),
        }
    }

    fn id(&self) -> Option<&str> {
        self.customer.as_ref().and_then(PathCustomer::id)
    }

    fn about(&self, period: &Period, method: store::Method) -> answers::About {
        answers::About::new(self.id(), period, method)
    }
}

/// The range and the form of an answer.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "only described here; read by `parameters`, which gives better errors")]
pub(crate) struct RangeParameters {
    /// First instant to count: a date (00:00 in `tz`), an RFC 3339 time, a time back from now (`-15m`, `-24h`, `-7d`, `-2w`), or `now`. Instants are widened outward to whole minutes (quarter-hours, days,
    /// the older they are), and the answer's `from` says so; dates are exact.
    #[param(default = "-24h", example = "2024-09-29")]
    from: Option<String>,
    /// First instant not to count any more, in the same forms: the range is half-open.
    #[param(default = "now", example = "2024-10-01")]
    to: Option<String>,
    /// The time zone (IANA) that dates, days and hours follow, through its changes of clocks.
    #[param(default = "UTC", example = "UTC")]
    tz: Option<String>,
    /// `json`, `csv` or `ndjson`; else `Accept` decides.
    #[param(pattern = "^(json|csv|ndjson)$", example = "json")]
    format: Option<String>,
}

/// Which percentiles.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "only described here; read by `parameters`, which gives better errors")]
pub(crate) struct PercentilesParameter {
    /// Percentiles of the latency, from 0 to 100 with at most three decimals.
    #[param(
        default = "50,95,99",
        example = "50,95,99",
        pattern = r"^\d{1,3}(\.\d{1,3})?(,\d{1,3}(\.\d{1,3})?){0,19}$"
    )]
    percentiles: Option<String>,
}

/// Whether to compare.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "only described here; read by `parameters`, which gives better errors")]
pub(crate) struct CompareParameter {
    /// `previous`: also the period before, of the same length (of as many days, when the range is one of days).
    #[param(pattern = "^(previous|none)$", default = "none", example = "previous")]
    compare: Option<String>,
}

/// The length of stretches.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "only described here; read by `parameters`, which gives better errors")]
pub(crate) struct GranularityParameter {
    /// The length of a stretch. Minutes are kept for 48 hours, quarter-hours and hours for 90 days, days (UTC) for as long as anything is. The range is widened outward to whole stretches.
    #[param(pattern = "^(auto|1m|15m|1h|1d)$", example = "1d")]
    granularity: Option<String>,
}

/// How many rows, and which page of them.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "only described here; read by `parameters`, which gives better errors")]
pub(crate) struct PageParameters {
    /// The most rows.
    #[param(minimum = 1, maximum = 1000, example = 2)]
    limit: Option<u16>,
    /// Where the page begins: `next_cursor` of the page before, with all other parameters as they were.
    cursor: Option<String>,
}

/// How rows are ordered.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "only described here; read by `parameters`, which gives better errors")]
pub(crate) struct OrderParameters {
    /// A column of the rows: their name, `last_seen` (of customers), a figure such as `availability` or `p99_latency`, `status.5xx`, or one of the percentiles that are asked for, such as `latency.p95`. Rows
    /// without a value come last.
    #[param(default = "total_requests", example = "p99_latency")]
    sort: Option<String>,
    /// Descending unless rows are sorted by name.
    #[param(pattern = "^(asc|desc)$", example = "desc")]
    order: Option<String>,
}

/// What every path of this version can answer instead.
#[derive(IntoResponses)]
#[allow(dead_code, reason = "only described here")]
pub(crate) enum V1Failures {
    /// Nothing has changed since the answer named by `If-None-Match`
    #[response(status = 304)]
    NotModified,
    /// A key is needed, and there is none, or none that is valid
    #[response(status = 401, content_type = "application/problem+json", headers(("WWW-Authenticate" = String, description = "Bearer")))]
    Unauthorized(#[to_schema] Problem<'static>),
    /// The key opens the data of one customer, and this path speaks of all
    #[response(status = 403, content_type = "application/problem+json")]
    Forbidden(#[to_schema] Problem<'static>),
    /// No such customer, or none that this key may see; or no data yet
    #[response(status = 404, content_type = "application/problem+json", example = json!({
        "type": "urn:problem-type:tailgauge:unknown-customer", "title": "No such customer", "status": 404,
        "detail": "no customer `cust_9` has requests here", "instance": "/v1/customers/cust_9/stats",
        "as_of": "2024-09-30T09:15:35.123Z", "lag_seconds": 0.4
    }))]
    NotFound(#[to_schema] Problem<'static>),
    /// `Accept` takes none of the forms that there are
    #[response(status = 406, content_type = "application/problem+json")]
    NotAcceptable(#[to_schema] Problem<'static>),
    /// A parameter is unknown, repeated, or has a value that cannot be answered exactly
    #[response(status = 422, content_type = "application/problem+json")]
    Unprocessable(#[to_schema] Problem<'static>),
    /// This key has asked too often; `Retry-After` says when to ask again
    #[response(status = 429, content_type = "application/problem+json", headers(("Retry-After" = u32, description = "Seconds")))]
    TooManyRequests(#[to_schema] Problem<'static>),
    /// The answer could not be made
    #[response(status = 500, content_type = "application/problem+json")]
    Internal(#[to_schema] Problem<'static>),
    /// The store is away or too slow; `Retry-After` says when to ask again
    #[response(status = 503, content_type = "application/problem+json", headers(("Retry-After" = u32, description = "Seconds")))]
    Unavailable(#[to_schema] Problem<'static>),
}
