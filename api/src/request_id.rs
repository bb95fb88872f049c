//! Every request has an id that its answer repeats and its log lines carry: the client's own, if it is fit for a log line, else one of ours.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use tower_http::request_id::{MakeRequestId, RequestId};

/// The header that holds it.
pub(crate) const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// The longest id taken from a client, in bytes.
const MAX_BYTES: usize = 128;

/// Makes ids: a number drawn once for the process, and a running one.
#[derive(Clone, Debug)]
pub(crate) struct Sequence {
    process: u64,
    next: Arc<AtomicU32>,
}

impl Sequence {
    pub(crate) fn new() -> Self {
        // The standard library's only source of randomness: enough to tell processes apart.
        Self { process: RandomState::new().hash_one(0), next: Arc::default() }
    }
}

impl MakeRequestId for Sequence {
    fn make_request_id<B>(&mut self, _request: &axum::http::Request<B>) -> Option<RequestId> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let id = format!("{:016x}{number:08x}", self.process);
        Some(RequestId::new(HeaderValue::try_from(id).expect("hex digits")))
    }
}

/// Removes a client's id that is not one short word of visible ASCII.
pub(crate) async fn drop_unusable(mut request: Request, next: Next) -> Response {
    let fit = |id: &HeaderValue| {
        (1..=MAX_BYTES).contains(&id.len()) && id.as_bytes().iter().all(u8::is_ascii_graphic)
    };
    let headers = request.headers_mut();
    let mut ids = headers.get_all(HEADER).iter();
    if !(ids.next().is_some_and(fit) && ids.next().is_none()) {
        headers.remove(HEADER);
    }
    next.run(request).await
}
