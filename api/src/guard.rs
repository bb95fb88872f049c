//! Who may see what: the guard before every path finds the scope of a request, or refuses it. Which keys there are is `keys`' matter, how often they may ask `rate`'s.

use std::time::Instant;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::AppState;
use crate::dashboard;
use crate::error::{ApiError, Kind, internal};
use crate::keys::{Asker, Keys, Opened};
use crate::query::Parameters;
use crate::rate::RateLimit;
use crate::scope::Scope;

/// The header of a key, besides `Authorization: Bearer`.
pub(crate) const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// Paths that tell nothing of anybody: they are open to everyone.
const OPEN: [&str; 5] = ["/", "/livez", "/readyz", "/openapi.json", "/docs"];

/// Who may ask, and how often.
#[derive(Debug)]
pub(crate) struct Guard {
    pub(crate) keys: Keys,
    rate: RateLimit<Asker>,
}

/// Until when what a request opened may stay open: the end of a share link, in microseconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Until(Option<i64>);

impl Until {
    /// The end, in seconds since 1970; None: it does not end.
    pub(crate) fn second(self) -> Option<i64> {
        self.0.map(|micros| micros.div_euclid(1_000_000))
    }

    /// Whether it is over at an instant.
    pub(crate) fn is_over(self, now_micros: i64) -> bool {
        self.0.is_some_and(|until| now_micros >= until)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Until {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(parts.extensions.get().copied().unwrap_or_default())
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Scope {
    type Rejection = ApiError;

    /// What the guard has found out about the request. Without a guard nothing may be seen.
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let scope = parts.extensions.get::<Scope>().cloned();
        scope.ok_or_else(|| internal("a path without a guard"))
    }
}

/// What a request shows to be let in.
#[derive(Debug, PartialEq, Eq)]
enum Shown<'a> {
    Key(&'a str),
    Link(String),
    Nothing,
    /// Two keys or two links: nobody should have to guess which one counts.
    Unclear,
}

impl Guard {
    pub(crate) fn new(keys: Keys, requests_per_second: u32) -> Self {
        Self { keys, rate: RateLimit::new(requests_per_second) }
    }

    /// What a request opens; None: everything, since no key is needed.
    fn admit(&self, shown: &Shown<'_>, now_second: i64, now: Instant) -> Result<Option<Opened>, ApiError> {
        let opened = match shown {
            Shown::Key(key) if self.keys.are_needed() => self.keys.open(key),
            Shown::Link(token) => self.keys.open_link(token, now_second),
            _ if !self.keys.are_needed() => return Ok(None),
            Shown::Key(_) | Shown::Nothing | Shown::Unclear => None,
        };
        // One answer for a wrong key, none, and a link that is over or forged.
        let refused = || {
            ApiError::new(
                Kind::Unauthorized,
                "send a valid key as `Authorization: Bearer KEY` or `X-API-Key: KEY`, or use a share link that is not over",
            )
        };
        let opened = opened.ok_or_else(refused)?;
        self.rate.take(opened.asker.clone(), now).map_err(|wait| {
            ApiError::new(Kind::TooManyRequests, "this key has asked too often; ask again later")
                .with_retry_after(wait)
        })?;
        Ok(Some(opened))
    }
}

/// Finds the scope of a request.
pub(crate) async fn guard(State(state): State<AppState>, mut request: Request, next: Next) -> Response {
    let path = request.uri().path();
    if OPEN.contains(&path) || path.starts_with("/docs/") || path.starts_with(dashboard::FOLDER) {
        return next.run(request).await;
    }
    let now_micros = state.now_micros();
    let parameters = Parameters::of(request.uri());
    let shown = shown(request.headers(), &parameters);
    match state.guard().admit(&shown, now_micros.div_euclid(1_000_000), Instant::now()) {
        Ok(opened) => {
            let extensions = request.extensions_mut();
            match opened {
                None => {
                    extensions.insert(Scope::Everything);
                }
                Some(Opened { scope, until_second, .. }) => {
                    extensions.insert(scope);
                    extensions.insert(Until(until_second.map(|second| second.saturating_mul(1_000_000))));
                }
            }
            next.run(request).await
        }
        Err(error) => {
            let mut response = error.into_response();
            if response.status() == axum::http::StatusCode::UNAUTHORIZED {
                response
                    .headers_mut()
                    .insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"tailgauge\""));
            }
            response
        }
    }
}

/// What a request shows: a header before a link, so that a link in an address does not shut out who has a key.
fn shown<'a>(headers: &'a HeaderMap, parameters: &Parameters) -> Shown<'a> {
    // Another scheme is somebody else's matter: a proxy's on the way.
    let bearer = headers.get_all(AUTHORIZATION).iter().filter_map(|value| {
        let (scheme, key) = value.to_str().ok()?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
    });
    // What is no text is no key either, and must not be passed over.
    let plain = headers.get_all(API_KEY).iter().map(|value| value.to_str().map_or("", str::trim));
    let mut keys = bearer.chain(plain);
    let (first, second) = (keys.next(), keys.next());
    match (first, second) {
        (None, _) => match parameters.one(&["share"]) {
            Ok(Some(token)) => Shown::Link(token.to_owned()),
            Ok(None) => Shown::Nothing,
            Err(_) => Shown::Unclear,
        },
        (Some(key), None) => Shown::Key(key),
        (Some(_), Some(_)) => Shown::Unclear,
    }
}
