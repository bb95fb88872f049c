//! The statistics' paths: their shape, their range, what is refused.

use std::time::Duration;

use api::{AppState, Options, app};
use insta::assert_snapshot;

use crate::ask::{clock, example, get, router};
use crate::fake::Fake;

#[tokio::test]
async fn a4_statistics_of_a_customer() {
    let router = router(&example());
    assert_snapshot!(get(&router, "/customers/cust_1/stats?from_date=2024-09-29").await.shown(), @r#"
    200 application/json
    {"total_requests":5,
     "successful_requests":3,
     "failed_requests":2,
     "uptime":60.0,
     "average_latency":0.84,
     "median_latency":0.7,
     "p99_latency":1.476,
     "customer_id":"cust_1",
     "from":"2024-09-29T00:00:00Z",
     "to":"2024-10-01T00:00:00Z",
     "as_of":"2024-09-30T09:15:35.600Z",
     "lag_seconds":0.4,
     "method":"cells",
     "daily":[{"date":"2024-09-29",
     "total_requests":2,
     "successful_requests":1,
     "failed_requests":1,
     "uptime":50.0,
     "average_latency":1.0,
     "median_latency":1.0,
     "p99_latency":1.49},{"date":"2024-09-30",
     "total_requests":3,
     "successful_requests":2,
     "failed_requests":1,
     "uptime":66.66667,
     "average_latency":0.73333,
     "median_latency":0.7,
     "p99_latency":0.896}]}
    "#);
}

#[tokio::test]
async fn a4_statistics_of_all_customers() {
    let router = router(&example());
    let answer = get(&router, "/customers/stats?from_date=2024-09-30").await;
    assert_snapshot!(answer.shown(), @r#"
    200 application/json
    {"total_requests":4,
     "successful_requests":3,
     "failed_requests":1,
     "uptime":75.0,
     "average_latency":0.575,
     "median_latency":0.65,
     "p99_latency":0.894,
     "from":"2024-09-30T00:00:00Z",
     "to":"2024-10-01T00:00:00Z",
     "as_of":"2024-09-30T09:15:35.600Z",
     "lag_seconds":0.4,
     "method":"cells",
     "daily":[{"date":"2024-09-30",
     "total_requests":4,
     "successful_requests":3,
     "failed_requests":1,
     "uptime":75.0,
     "average_latency":0.575,
     "median_latency":0.65,
     "p99_latency":0.894}]}
    "#);
    let original = get(&router, "/customers/customer/stats/all?from_date=2024-09-30").await;
    assert_eq!(original.shown(), answer.shown(), "the original's path is the same");
}

#[tokio::test]
async fn a4_requests_without_latency_have_null() {
    let fake = Fake::new();
    fake.add("c", "2024-09-30T00:00:00Z", 200, None).set_as_of(None);
    assert_snapshot!(get(&router(&fake), "/customers/c/stats?from_date=2024-09-30").await.shown(), @r#"
    200 application/json
    {"total_requests":1,
     "successful_requests":1,
     "failed_requests":0,
     "uptime":100.0,
     "average_latency":null,
     "median_latency":null,
     "p99_latency":null,
     "customer_id":"c",
     "from":"2024-09-30T00:00:00Z",
     "to":"2024-10-01T00:00:00Z",
     "as_of":null,
     "lag_seconds":null,
     "method":"cells",
     "daily":[{"date":"2024-09-30",
     "total_requests":1,
     "successful_requests":1,
     "failed_requests":0,
     "uptime":100.0,
     "average_latency":null,
     "median_latency":null,
     "p99_latency":null}]}
    "#);
}

#[tokio::test]
async fn a_range_is_whole_days_from_the_asked_one_to_today() {
    let fake = Fake::new();
    fake.add("c", "2024-09-28T23:59:59Z", 200, 1_000)
        .add("c", "2024-09-29T00:00:00Z", 200, 2_000)
        .add("c", "2024-09-30T23:59:59Z", 200, 3_000)
        .add("c", "2024-10-01T00:00:00Z", 200, 4_000);
    let router = router(&fake);
    for (query, requests, from) in [
        ("from_date=1970-01-01", 3, "1970-01-01T00:00:00Z"),
        ("from_date=0001-01-01", 3, "1970-01-01T00:00:00Z"),
        ("from_date=2024-09-28", 3, "2024-09-28T00:00:00Z"),
        ("from_date=2024-09-29", 2, "2024-09-29T00:00:00Z"),
        ("from_date=2024-09-30", 1, "2024-09-30T00:00:00Z"),
        ("from=2024-09-30", 1, "2024-09-30T00:00:00Z"),
    ] {
        let answer = get(&router, &format!("/customers/c/stats?{query}")).await.json();
        assert_eq!(answer["total_requests"], requests, "{query}: {answer}");
        assert_eq!(
            (&answer["from"], &answer["to"]),
            (&from.into(), &"2024-10-01T00:00:00Z".into()),
            "{query}"
        );
    }
}

#[tokio::test]
async fn what_is_older_than_the_retention_is_not_counted() {
    let fake = Fake::new();
    fake.add("c", "2024-09-20T12:00:00Z", 200, 1_000).add("c", "2024-09-29T00:00:00Z", 200, 2_000);
    let options = Options { retention: Some(Duration::from_secs(86_400)), ..Options::default() };
    let router = app(AppState::new(fake, clock(), options, service::Stop::never()));
    let answer = get(&router, "/customers/c/stats?from_date=1970-01-01").await.json();
    assert_eq!((&answer["total_requests"], &answer["from"]), (&1.into(), &"2024-09-29T00:00:00Z".into()));
}

#[tokio::test]
async fn a4_no_requests_in_the_range_is_404_with_the_lag() {
    let fake = example();
    let router = router(&fake);
    let nobody = get(&router, "/customers/cust_9/stats?from_date=2024-09-29").await;
    nobody.problem(404, "no-data");
    assert_snapshot!(nobody.shown(), @r#"
    404 application/problem+json
    {"type":"urn:problem-type:tailgauge:no-data",
     "title":"No requests in this range",
     "status":404,
     "detail":"no requests of customer `cust_9` from 2024-09-29 on",
     "instance":"/customers/cust_9/stats",
     "as_of":"2024-09-30T09:15:35.600Z",
     "lag_seconds":0.4}
    "#);
    fake.set_as_of(None);
    let unknown = get(&router, "/customers/cust_8/stats?from_date=2024-09-29").await.problem(404, "no-data");
    assert!(unknown["lag_seconds"].is_null() && unknown["as_of"].is_null(), "{unknown}");

    let empty = self::router(&Fake::new());
    for path in ["/customers/stats", "/customers/customer/stats/all"] {
        let nothing = get(&empty, &format!("{path}?from_date=2024-09-29")).await.problem(404, "no-data");
        assert_eq!(nothing["lag_seconds"], 0.4, "{nothing}");
    }
}

#[tokio::test]
async fn a4_a_faulty_date_is_422_and_named() {
    let fake = example();
    let router = router(&fake);
    assert_snapshot!(get(&router, "/customers/cust_1/stats?from_date=2024-13-01").await.shown(), @r#"
    422 application/problem+json
    {"type":"urn:problem-type:tailgauge:invalid-parameter",
     "title":"A parameter is missing or has an invalid value",
     "status":422,
     "detail":"from_date: `2024-13-01` is not a date of the calendar",
     "instance":"/customers/cust_1/stats",
     "errors":[{"parameter":"from_date",
     "detail":"`2024-13-01` is not a date of the calendar"}]}
    "#);
    for path in [
        "/customers/cust_1/stats",
        "/customers/stats",
        "/customers/customer/stats/all",
        "/customers/%FF/stats",
    ] {
        for (query, parameter) in [
            ("", "from_date"),
            ("?", "from_date"),
            ("?from_date=yesterday", "from_date"),
            ("?from_date=2024-10-01", "from_date"),
            ("?from_date=%202024-09-01", "from_date"),
            ("?from_date=2024-09-01&from_date=2024-09-01", "from_date"),
            ("?from_date=2024-09-01&from=2024-09-01", "from_date"),
            ("?from_date=2024-09-01&until=2024-09-02", "until"),
        ] {
            let problem = get(&router, &format!("{path}{query}")).await.problem(422, "invalid-parameter");
            assert_eq!(problem["errors"][0]["parameter"], parameter, "{path}{query}: {problem}");
        }
    }
    assert!(fake.asked().is_empty(), "no store is asked for a faulty date");
}
