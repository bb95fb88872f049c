//! What a client is told when there is no answer, and what it is not told.

use std::time::Duration;

use api::{AppState, Options, app};
use axum::body::Body;
use axum::http::Request;
use insta::assert_snapshot;
use store::ReadError;

use crate::ask::{clock, example, get, get_with, router, send};

const STATS: &str = "/customers/cust_1/stats?from_date=2024-09-29";
const DATA: [&str; 4] = [
    STATS,
    "/customers/stats?from_date=2024-09-29",
    "/customers/customer/stats/all?from_date=2024-09-29",
    "/customers",
];

/// Words of the private cause, none of which may reach a client.
const SECRETS: [&str; 4] = ["10.0.0.7", "s3cr3t", "cell", "token"];

fn away(retry_after: Option<Duration>) -> ReadError {
    ReadError::Away { why: "http://10.0.0.7:8086 refused s3cr3t".to_owned(), retry_after }
}

#[tokio::test]
async fn a4_a_store_that_is_away_is_503_with_retry_after() {
    let fake = example();
    let router = router(&fake);
    fake.fails(away(None));
    let answer = get(&router, STATS).await;
    assert_snapshot!(answer.shown(), @r#"
    503 application/problem+json
    {"type":"urn:problem-type:tailgauge:store-unavailable",
     "title":"The store is unavailable at the moment",
     "status":503,
     "detail":"the statistics cannot be read at the moment; ask again later",
     "instance":"/customers/cust_1/stats"}
    "#);
    for (retry_after, header) in [
        (None, "2"),
        (Some(Duration::from_secs(7)), "7"),
        (Some(Duration::from_millis(1200)), "2"),
        (Some(Duration::ZERO), "1"),
        (Some(Duration::MAX), "3600"),
    ] {
        fake.fails(away(retry_after));
        for path in DATA {
            let answer = get(&router, path).await;
            answer.problem(503, "store-unavailable");
            assert_eq!(answer.header("retry-after"), header, "{path}");
        }
    }
}

#[tokio::test]
async fn a2_no_5xx_carries_internal_text() {
    let fake = example();
    let router = router(&fake);
    for (error, status, kind) in [
        (away(None), 503, "store-unavailable"),
        (
            ReadError::Misconfigured {
                why: "401 for token s3cr3t at 10.0.0.7".to_owned(),
                fix: "set the token".to_owned(),
            },
            503,
            "store-unavailable",
        ),
        (ReadError::Damaged("cell of cust_1 at 10.0.0.7".to_owned()), 500, "internal"),
    ] {
        fake.fails(error.clone());
        for path in DATA {
            let answer = get(&router, path).await;
            answer.problem(status, kind);
            assert_eq!(answer.header("retry-after").is_empty(), status == 500, "{path}: {error}");
            for secret in SECRETS {
                assert!(!answer.text().contains(secret), "{path}: {}", answer.text());
            }
        }
        let ready = get(&router, "/readyz").await;
        ready.problem(503, "not-ready");
        assert!(SECRETS.iter().all(|secret| !ready.text().contains(secret)), "{}", ready.text());
    }
}

#[tokio::test]
async fn a4_a_panic_is_500_and_the_next_answer_is_given() {
    let fake = example();
    let router = router(&fake);
    fake.panics(true);
    assert_snapshot!(get(&router, STATS).await.shown(), @r#"
    500 application/problem+json
    {"type":"urn:problem-type:tailgauge:internal",
     "title":"Internal error",
     "status":500,
     "detail":"the answer could not be made; the reason is in the log of the api",
     "instance":"/customers/cust_1/stats"}
    "#);
    get(&router, "/customers").await.problem(500, "internal");
    assert_eq!(get(&router, "/livez").await.status, 200);
    let answer = get(&router, STATS).await;
    assert!(!answer.text().contains("secret") && !answer.header("x-request-id").is_empty());
    fake.panics(false);
    assert_eq!(get(&router, STATS).await.status, 200, "nothing of the panic is kept");
}

#[tokio::test]
async fn a4_before_the_first_line_there_is_no_data_yet() {
    let fake = example();
    fake.fails(ReadError::NoDataYet { why: "no /var/lib/s3cr3t/ledger.db".to_owned() });
    let router = router(&fake);
    let answer = get(&router, STATS).await;
    assert_snapshot!(answer.shown(), @r#"
    404 application/problem+json
    {"type":"urn:problem-type:tailgauge:no-data-yet",
     "title":"No data yet",
     "status":404,
     "detail":"no request has been stored here so far",
     "instance":"/customers/cust_1/stats"}
    "#);
    for path in DATA {
        get(&router, path).await.problem(404, "no-data-yet");
    }
    assert_snapshot!(get(&router, "/readyz").await.shown(), @r#"
    503 application/problem+json
    {"type":"urn:problem-type:tailgauge:not-ready",
     "title":"Not ready",
     "status":503,
     "detail":"no request has been stored here so far",
     "instance":"/readyz"}
    "#);
    assert_eq!(get(&router, "/livez").await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_does_not_answer_is_503_in_time() {
    let fake = example();
    fake.close_gate();
    let options = Options { request_deadline: Duration::from_secs(10), ..Options::default() };
    let router = app(AppState::new(fake.clone(), clock(), options, service::Stop::never()));
    let started = tokio::time::Instant::now();
    for path in DATA {
        let answer = get(&router, path).await;
        answer.problem(503, "store-too-slow");
        assert_eq!(answer.header("retry-after"), "5");
    }
    assert_eq!(started.elapsed().as_secs(), 40, "ten seconds each");
    fake.gate.add_permits(10);
    assert_eq!(get(&router, STATS).await.status, 200, "and it can answer later");
}

#[tokio::test]
async fn a4_an_unknown_path_and_a_wrong_method_are_problems() {
    let router = router(&example());
    assert_snapshot!(get(&router, "/customer/1").await.shown(), @r#"
    404 application/problem+json
    {"type":"urn:problem-type:tailgauge:no-such-path",
     "title":"No such path",
     "status":404,
     "detail":"nothing is served at this path; `/` lists what is, `/docs` explains it",
     "instance":"/customer/1"}
    "#);
    for path in ["/customers/", "/favicon.ico", "/docs/nothing.js", "//", "/livez/", "/%00"] {
        let answer = get(&router, path).await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("content-type")),
            (404, "application/problem+json"),
            "{path}"
        );
    }
    for (method, path) in [
        ("POST", STATS),
        ("DELETE", "/customers"),
        ("PUT", "/livez"),
        ("BREW", "/"),
        ("OPTIONS", "/metrics"),
        ("PATCH", "/openapi.json"),
        ("POST", "/docs/"),
    ] {
        let request = Request::builder().method(method).uri(path).body(Body::empty()).expect(path);
        let answer = send(&router, request).await;
        answer.problem(405, "method-not-allowed");
        assert_eq!(answer.header("allow"), "GET,HEAD", "{method} {path}");
    }
    let request = Request::post(STATS).body(Body::empty()).expect(STATS);
    assert_snapshot!(send(&router, request).await.shown(), @r#"
    405 application/problem+json
    {"type":"urn:problem-type:tailgauge:method-not-allowed",
     "title":"Method not allowed",
     "status":405,
     "detail":"POST is not possible here; every path answers GET",
     "instance":"/customers/cust_1/stats"}
    "#);
}

#[tokio::test]
async fn a_huge_body_is_413() {
    let router = router(&example());
    let request = Request::get(STATS).header("content-length", 10_000_000).body(Body::empty()).expect(STATS);
    let answer = send(&router, request).await;
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (413, "application/problem+json"));
}

#[tokio::test]
async fn every_answer_has_a_request_id() {
    let router = router(&example());
    let own = get_with(&router, STATS, &[("x-request-id", "client-4711")]).await;
    assert_eq!(own.header("x-request-id"), "client-4711");
    let mut made = Vec::new();
    for path in [STATS, "/nowhere", "/livez", "/customers?limit=0", STATS] {
        made.push(get(&router, path).await.header("x-request-id").to_owned());
    }
    for unusable in ["", "two words", &"x".repeat(129), "caf\u{e9}"] {
        made.push(
            get_with(&router, STATS, &[("x-request-id", unusable)]).await.header("x-request-id").to_owned(),
        );
    }
    made.push(
        get_with(&router, STATS, &[("x-request-id", "a"), ("x-request-id", "b")])
            .await
            .header("x-request-id")
            .to_owned(),
    );
    for id in &made {
        assert!(id.len() == 24 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
        assert_eq!(made.iter().filter(|other| *other == id).count(), 1, "{id}");
    }
}

#[tokio::test]
async fn every_answer_is_guarded() {
    let router = router(&example());
    for path in [STATS, "/", "/nowhere", "/livez", "/customers?limit=0", "/metrics", "/openapi.json"] {
        let answer = get(&router, path).await;
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("referrer-policy"), "no-referrer", "{path}");
        assert_eq!(
            answer.header("content-security-policy"),
            "default-src 'none'; frame-ancestors 'none'",
            "{path}"
        );
    }
}
