//! Welcome, probes, metrics.

use insta::assert_snapshot;
use store::ReadError;

use crate::ask::{example, get, router};

#[tokio::test]
async fn a4_the_welcome_names_every_path() {
    let router = router(&example());
    let welcome = get(&router, "/").await;
    assert_snapshot!(welcome.shown(), @r#"
    200 application/json
    {"name":"Tailgauge",
     "version":"0.1.0",
     "links":{"customer_stats":"/customers/{id}/stats?from_date=YYYY-MM-DD",
     "all_customers_stats":"/customers/stats?from_date=YYYY-MM-DD",
     "customers":"/customers",
     "docs":"/docs",
     "openapi":"/openapi.json",
     "livez":"/livez",
     "readyz":"/readyz",
     "metrics":"/metrics"}}
    "#);
    for link in welcome.json()["links"].as_object().expect("links").values() {
        let path =
            link.as_str().expect("a path").replace("{id}", "cust_1").replace("YYYY-MM-DD", "2024-09-29");
        assert!([200, 308].contains(&get(&router, &path).await.status.as_u16()), "{path}");
    }
}

#[tokio::test]
async fn a4_probes() {
    let fake = example();
    let router = router(&fake);
    assert_snapshot!(get(&router, "/livez").await.shown(), @r#"
    200 application/json
    {"status":"alive"}
    "#);
    assert_snapshot!(get(&router, "/readyz").await.shown(), @r#"
    200 application/json
    {"status":"ready"}
    "#);
    fake.fails(ReadError::Away { why: "gone".to_owned(), retry_after: None });
    assert_eq!(get(&router, "/livez").await.status, 200);
    let not_ready = get(&router, "/readyz").await;
    assert_snapshot!(not_ready.shown(), @r#"
    503 application/problem+json
    {"type":"urn:problem-type:tailgauge:not-ready",
     "title":"Not ready",
     "status":503,
     "detail":"the store cannot be reached; the reason is in the log of the api",
     "instance":"/readyz"}
    "#);
    assert_eq!(not_ready.header("retry-after"), "2");
    for path in ["/livez", "/readyz"] {
        assert_eq!(get(&router, path).await.header("cache-control"), "no-store");
    }
}

#[tokio::test]
async fn metrics_count_by_route_and_name_no_customer() {
    let fake = example();
    let router = router(&fake);
    for path in [
        "/customers/cust_1/stats?from_date=2024-09-29",
        "/customers/cust_2/stats?from_date=2024-09-29",
        "/customers/cust_9/stats?from_date=2024-09-29",
        "/nowhere",
        "/elsewhere",
    ] {
        get(&router, path).await;
    }
    fake.fails(ReadError::Away { why: "gone".to_owned(), retry_after: None });
    get(&router, "/customers").await;
    let brew =
        axum::http::Request::builder().method("BREW").uri("/").body(axum::body::Body::empty()).expect("/");
    crate::ask::send(&router, brew).await;
    let metrics = get(&router, "/metrics").await;
    assert_eq!(metrics.header("content-type"), "application/openmetrics-text; version=1.0.0; charset=utf-8");
    for line in [
        "http_server_request_duration_seconds_count{method=\"GET\",route=\"/customers/{id}/stats\",status=\"200\"} 2",
        "http_server_request_duration_seconds_count{method=\"GET\",route=\"/customers/{id}/stats\",status=\"404\"} 1",
        "http_server_request_duration_seconds_count{method=\"GET\",route=\"none\",status=\"404\"} 2",
        "http_server_request_duration_seconds_count{method=\"GET\",route=\"/customers\",status=\"503\"} 1",
        "http_server_request_duration_seconds_count{method=\"_OTHER\",route=\"/\",status=\"405\"} 1",
        "tailgauge_api_store_errors_total{kind=\"away\"} 1",
        &format!("tailgauge_build_info{{program=\"api\",version=\"{}\"}} 1", env!("CARGO_PKG_VERSION")),
        "# EOF",
    ] {
        assert!(
            metrics.text().lines().any(|found| found == line),
            "{line} is missing in\n{}",
            metrics.text()
        );
    }
    assert!(!metrics.text().contains("cust_"), "{}", metrics.text());
}
