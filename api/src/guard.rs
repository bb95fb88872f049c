//! Who may see what: the guard before every path finds the scope of a request and hands it on. Which keys there are is `keys`' matter.

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::Response;

use crate::AppState;
use crate::scope::Scope;

/// Until when what a request opened may stay open: the end of a share link, in microseconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Until(pub(crate) Option<i64>);

impl Until {
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

/// Finds the scope of a request.
pub(crate) async fn guard(State(_state): State<AppState>, mut request: Request, next: Next) -> Response {
    request.extensions_mut().insert(Scope::Everything);
    next.run(request).await
}
