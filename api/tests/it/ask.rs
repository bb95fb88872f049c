//! Asking a router, and showing an answer as a client sees it.

use std::sync::Arc;

use api::{AppState, Clock, Options, app};
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use bytes::Bytes;
use http_body_util::BodyExt;
use tower::ServiceExt;

use crate::fake::Fake;

/// 2024-09-30T09:15:36Z.
pub(crate) const NOW_MICROS: i64 = 1_727_687_736_000_000;

/// Five requests of cust_1 on two days, one of cust_2: the numbers of the original's example.
pub(crate) fn example() -> Fake {
    let fake = Fake::new();
    fake.add("cust_1", "2024-09-29T10:00:00Z", 200, 500_000)
        .add("cust_1", "2024-09-29T11:00:00Z", 500, 1_500_000)
        .add("cust_1", "2024-09-30T08:00:00Z", 201, 700_000)
        .add("cust_1", "2024-09-30T08:00:00Z", 302, 900_000)
        .add("cust_1", "2024-09-30T09:15:34Z", 404, 600_000)
        .add("cust_2", "2024-09-30T07:00:00Z", 200, 100_000);
    fake
}

pub(crate) fn clock() -> Clock {
    Arc::new(|| NOW_MICROS)
}

pub(crate) fn router(fake: &Fake) -> Router {
    app(AppState::new(fake.clone(), clock(), Options::default(), service::Stop::never()))
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("visible ASCII"))
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("UTF-8")
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// Status, content type and body, one key a line.
    pub(crate) fn shown(&self) -> String {
        let body = self.text().replace(",\"", ",\n \"");
        format!("{} {}\n{body}", self.status.as_u16(), self.header("content-type"))
    }

    /// Asserts what holds for every answer that is not given: a problem that nobody keeps.
    pub(crate) fn problem(&self, status: u16, kind: &str) -> serde_json::Value {
        let problem = self.json();
        assert_eq!(self.status.as_u16(), status, "{problem}");
        assert_eq!(self.header("content-type"), "application/problem+json", "{problem}");
        assert_eq!(self.header("cache-control"), "no-store", "{problem}");
        assert_eq!(problem["type"], format!("urn:problem-type:tailgauge:{kind}"), "{problem}");
        assert_eq!(problem["status"], status, "{problem}");
        for text in ["title", "detail", "instance"] {
            assert!(problem[text].as_str().is_some_and(|text| !text.is_empty()), "{text}: {problem}");
        }
        problem
    }
}

pub(crate) async fn send(router: &Router, request: Request<Body>) -> Answer {
    let response = router.clone().oneshot(request).await.expect("a router never fails");
    let (parts, body) = response.into_parts();
    let body = body.collect().await.expect("a whole body").to_bytes();
    Answer { status: parts.status, headers: parts.headers, body }
}

pub(crate) async fn get(router: &Router, path: &str) -> Answer {
    get_with(router, path, &[]).await
}

pub(crate) async fn get_with(router: &Router, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = Request::builder().uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    send(router, request.body(Body::empty()).expect(path)).await
}
