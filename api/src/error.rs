//! What a client is told when there is no answer: RFC 9457 problems. A problem has a public text and, apart from it, a private cause that
//! only the log sees (A2). Nothing here knows stores or queries.

use std::any::Any;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::AppState;
use crate::answers::FreshnessFields;
use crate::grammar::Fault;

/// The kinds of problem, each with one status, one `type` and one title.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    InvalidParameter,
    NoData,
    NoDataYet,
    UnknownCustomer,
    Unauthorized,
    Forbidden,
    NotAcceptable,
    TooManyRequests,
    NoSuchPath,
    MethodNotAllowed,
    NotReady,
    StoreUnavailable,
    StoreTooSlow,
    Internal,
    /// What a layer below answered without a problem of its own.
    Plain(StatusCode),
}

impl Kind {
    fn status(self) -> StatusCode {
        match self {
            Kind::InvalidParameter => StatusCode::UNPROCESSABLE_ENTITY,
            Kind::Unauthorized => StatusCode::UNAUTHORIZED,
            Kind::Forbidden => StatusCode::FORBIDDEN,
            Kind::NotAcceptable => StatusCode::NOT_ACCEPTABLE,
            Kind::TooManyRequests => StatusCode::TOO_MANY_REQUESTS,
            Kind::NoData | Kind::NoDataYet | Kind::UnknownCustomer | Kind::NoSuchPath => {
                StatusCode::NOT_FOUND
            }
            Kind::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Kind::NotReady | Kind::StoreUnavailable | Kind::StoreTooSlow => StatusCode::SERVICE_UNAVAILABLE,
            Kind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Kind::Plain(status) => status,
        }
    }

    fn type_and_title(self) -> (&'static str, &'static str) {
        match self {
            Kind::InvalidParameter => (
                "urn:problem-type:tailgauge:invalid-parameter",
                "A parameter is missing or has an invalid value",
            ),
            Kind::NoData => ("urn:problem-type:tailgauge:no-data", "No requests in this range"),
            Kind::UnknownCustomer => ("urn:problem-type:tailgauge:unknown-customer", "No such customer"),
            Kind::Unauthorized => ("urn:problem-type:tailgauge:unauthorized", "A valid key is needed"),
            Kind::Forbidden => ("urn:problem-type:tailgauge:forbidden", "This key does not open that"),
            Kind::NotAcceptable => ("urn:problem-type:tailgauge:not-acceptable", "No such format"),
            Kind::TooManyRequests => ("urn:problem-type:tailgauge:too-many-requests", "Too many requests"),
            Kind::NoDataYet => ("urn:problem-type:tailgauge:no-data-yet", "No data yet"),
            Kind::NoSuchPath => ("urn:problem-type:tailgauge:no-such-path", "No such path"),
            Kind::MethodNotAllowed => ("urn:problem-type:tailgauge:method-not-allowed", "Method not allowed"),
            Kind::NotReady => ("urn:problem-type:tailgauge:not-ready", "Not ready"),
            Kind::StoreUnavailable => {
                ("urn:problem-type:tailgauge:store-unavailable", "The store is unavailable at the moment")
            }
            Kind::StoreTooSlow => {
                ("urn:problem-type:tailgauge:store-too-slow", "The store did not answer in time")
            }
            Kind::Internal => ("urn:problem-type:tailgauge:internal", "Internal error"),
            // RFC 9457 4.2.1: `about:blank` says no more than the status does, and then the title is the status' own phrase.
            Kind::Plain(status) => ("about:blank", status.canonical_reason().unwrap_or("Error")),
        }
    }
}

/// How much a cause matters to the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Severity {
    /// It may pass by itself.
    Passing,
    /// Someone must act.
    Act,
}

/// What really happened, for the log only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cause {
    pub(crate) text: String,
    pub(crate) severity: Severity,
}

/// One faulty parameter of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct ParameterFault {
    /// Name of the parameter.
    #[schema(example = "from_date")]
    parameter: String,
    /// What is wrong with it and what was expected.
    #[schema(example = "`2024-13-01` is not a date of the calendar; expected YYYY-MM-DD")]
    detail: String,
}

/// Why a request has no answer: kind and public text, and apart from them the private cause.
#[derive(Clone, Debug)]
pub(crate) struct ApiError(Box<Parts>);

#[derive(Clone, Debug)]
struct Parts {
    kind: Kind,
    detail: String,
    errors: Vec<ParameterFault>,
    freshness: Option<FreshnessFields>,
    retry_after: Option<Duration>,
    cause: Option<Cause>,
}

/// A problem as RFC 9457 writes it (`application/problem+json`).
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Problem<'a> {
    /// The kind of problem, stable, for programs. `about:blank` means no more than the status.
    #[schema(example = "urn:problem-type:tailgauge:invalid-parameter")]
    r#type: &'a str,
    /// The kind of problem, for people.
    #[schema(example = "A parameter is missing or has an invalid value")]
    title: &'a str,
    /// The HTTP status.
    #[schema(example = 422)]
    status: u16,
    /// What happened this time.
    #[schema(example = "from_date: `2024-13-01` is not a date of the calendar; expected YYYY-MM-DD")]
    detail: &'a str,
    /// The path that was asked for.
    #[schema(example = "/customers/cust_1/stats")]
    instance: &'a str,
    /// The faulty parameters, if that is the problem.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    #[schema(required = false)]
    errors: &'a [ParameterFault],
    /// How fresh the data is in which nothing was found (404 only); null before a processor has said so.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "2024-09-30T09:15:35.123Z")]
    as_of: Option<Option<&'a str>>,
    /// How long ago that was, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<f64>, example = 0.4)]
    lag_seconds: Option<Option<f64>>,
}

impl ApiError {
    pub(crate) fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self(Box::new(Parts {
            kind,
            detail: detail.into(),
            errors: Vec::new(),
            freshness: None,
            retry_after: None,
            cause: None,
        }))
    }

    /// A parameter is missing or has an invalid value (422).
    pub(crate) fn parameter(name: impl Into<String>, detail: impl Into<String>) -> Self {
        let fault = ParameterFault { parameter: name.into(), detail: detail.into() };
        let mut error = Self::new(Kind::InvalidParameter, format!("{}: {}", fault.parameter, fault.detail));
        error.0.errors.push(fault);
        error
    }

    pub(crate) fn with_freshness(mut self, freshness: FreshnessFields) -> Self {
        self.0.freshness = Some(freshness);
        self
    }

    pub(crate) fn with_retry_after(mut self, after: Duration) -> Self {
        self.0.retry_after = Some(after);
        self
    }

    pub(crate) fn with_cause(mut self, severity: Severity, text: impl Into<String>) -> Self {
        self.0.cause = Some(Cause { text: text.into(), severity });
        self
    }

    /// The same trouble as a readiness probe tells it: 503 whatever it is, with the reason in public words.
    pub(crate) fn into_not_ready(mut self) -> Self {
        let must_act = self.0.cause.as_ref().is_some_and(|cause| cause.severity == Severity::Act);
        let instead = match self.0.kind {
            Kind::NoDataYet => None,
            Kind::Internal => Some("what is stored cannot be read; the reason is in the log of the api"),
            _ if must_act => Some(
                "the store refuses this program or is set up wrongly; the reason is in the log of the api",
            ),
            _ => Some("the store cannot be reached; the reason is in the log of the api"),
        };
        if let Some(detail) = instead {
            self.0.detail = detail.to_owned();
        }
        self.0.kind = Kind::NotReady;
        self.0.retry_after.get_or_insert(RETRY_AFTER_NOT_READY);
        self
    }

    fn render(&self, instance: &str) -> Response {
        let status = self.0.kind.status();
        let (r#type, title) = self.0.kind.type_and_title();
        let problem = Problem {
            r#type,
            title,
            status: status.as_u16(),
            detail: &self.0.detail,
            instance,
            errors: &self.0.errors,
            as_of: self.0.freshness.as_ref().map(FreshnessFields::as_of),
            lag_seconds: self.0.freshness.as_ref().map(FreshnessFields::lag_seconds),
        };
        let body = serde_json::to_vec(&problem).expect("a problem holds strings and finite numbers only");
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        // A 404 may be right only for this version of the data, and nothing else here is worth keeping either.
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(after) = self.0.retry_after {
            // Whole seconds, rounded up: never sooner than was asked for.
            let seconds = after.as_millis().div_ceil(1000).clamp(1, 3600);
            headers.insert(
                header::RETRY_AFTER,
                HeaderValue::from(u64::try_from(seconds).expect("at most 3600")),
            );
        }
        response
    }
}

impl From<Fault> for ApiError {
    fn from(fault: Fault) -> Self {
        ApiError::parameter(fault.parameter, fault.detail)
    }
}

impl IntoResponse for ApiError {
    /// Hands the error on to [`render_problems`], which knows the request.
    fn into_response(self) -> Response {
        let mut response = self.0.kind.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// Writes every error below it as a problem, and logs a private cause: the one place where either is done.
pub(crate) async fn render_problems(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let instance = request.uri().path().to_owned();
    let mut response = next.run(request).await;
    let status = response.status();
    let error = match response.extensions_mut().remove::<ApiError>() {
        Some(error) => error,
        None if status.is_client_error() || status.is_server_error() => {
            ApiError::new(Kind::Plain(status), status.canonical_reason().unwrap_or("error").to_lowercase())
        }
        None => return response,
    };
    match &error.0.cause {
        Some(cause) if error.0.kind == Kind::Internal => tracing::error!(cause = cause.text, "no answer"),
        Some(cause) => state.trouble_log().report(cause),
        None => {}
    }
    let mut problem = error.render(&instance);
    // What the layer below knows better: the methods of a 405, how to be let in of a 401.
    for name in [header::ALLOW, header::WWW_AUTHENTICATE] {
        if let Some(value) = response.headers_mut().remove(&name) {
            problem.headers_mut().insert(name, value);
        }
    }
    problem
}

/// The answer when a handler panicked. The panic itself goes to the log as the cause.
pub(crate) fn panicked(panic: Box<dyn Any + Send + 'static>) -> Response {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("a panic without text");
    internal(format!("a handler panicked: {text}")).into_response()
}

/// An error of ours (500): the client learns only that it happened.
pub(crate) fn internal(cause: impl Into<String>) -> ApiError {
    ApiError::new(Kind::Internal, "the answer could not be made; the reason is in the log of the api")
        .with_cause(Severity::Act, cause)
}

/// The answer to a path that is not served.
pub(crate) async fn no_such_path() -> ApiError {
    ApiError::new(Kind::NoSuchPath, "nothing is served at this path; `/` lists what is, `/docs` explains it")
}

/// The answer to a method that a path does not take.
pub(crate) async fn no_such_method(request: Request) -> ApiError {
    ApiError::new(
        Kind::MethodNotAllowed,
        format!("{} is not possible here; every path answers GET", request.method()),
    )
}

/// Ends a request that takes too long: nobody waits for a store that does not answer.
pub(crate) async fn end_in_time(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let deadline = state.request_deadline();
    match tokio::time::timeout(deadline, next.run(request)).await {
        Ok(response) => response,
        Err(_) => ApiError::new(Kind::StoreTooSlow, "there was no answer in time; ask again later")
            .with_retry_after(RETRY_AFTER_SLOW)
            .with_cause(
                Severity::Passing,
                format!("no answer of the store within {} s", deadline.as_secs_f64()),
            )
            .into_response(),
    }
}

/// When to probe again, unless the store said when.
const RETRY_AFTER_NOT_READY: Duration = Duration::from_secs(2);
/// When to ask again after the store was too slow.
const RETRY_AFTER_SLOW: Duration = Duration::from_secs(5);
