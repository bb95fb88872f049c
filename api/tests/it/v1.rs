//! The first version of the api: its answers in every form, its pages, its words for what cannot be answered.

use axum::Router;
use insta::assert_snapshot;
use serde_json::{Value, json};
use store::ReadError;

use crate::ask::{example, get, get_with, router};
use crate::fake::Fake;

/// The example with a second path, and an outage of cust_2 of this morning.
fn incident() -> Fake {
    let fake = example();
    fake.add_path("cust_1", "2024-09-30T09:00:00Z", 200, 250_000, "/orders")
        .add("cust_2", "2024-09-29T08:00:00Z", 200, 100_000)
        .add("cust_2", "2024-09-30T09:01:00Z", 503, None)
        .add("cust_2", "2024-09-30T09:01:01Z", 503, None);
    fake
}

async fn json_of(router: &Router, path: &str) -> Value {
    let answer = get(router, path).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer.json()
}

#[tokio::test]
async fn a4_v1_statistics_of_a_customer() {
    let router = router(&example());
    assert_snapshot!(get(&router, "/v1/customers/cust_1/stats?from=2024-09-29&percentiles=50,99.9&compare=previous").await.shown(), @r#"
    200 application/json
    {"total_requests":5,
     "successful_requests":3,
     "failed_requests":2,
     "uptime":60.0,
     "availability":80.0,
     "average_latency":0.84,
     "median_latency":0.7,
     "p99_latency":1.476,
     "max_latency":1.5,
     "status":{"1xx":0,
     "2xx":2,
     "3xx":1,
     "4xx":1,
     "5xx":1},
     "latency":{"p50":0.7,
     "p99.9":1.4976},
     "uptime_minutes":75.0,
     "minutes_with_traffic":4,
     "previous":{"from":"2024-09-27T14:30:00Z",
     "to":"2024-09-29T00:00:00Z",
     "total_requests":0,
     "successful_requests":0,
     "failed_requests":0,
     "uptime":null,
     "availability":null,
     "average_latency":null,
     "median_latency":null,
     "p99_latency":null,
     "max_latency":null,
     "status":{"1xx":0,
     "2xx":0,
     "3xx":0,
     "4xx":0,
     "5xx":0},
     "latency":{"p50":null,
     "p99.9":null}},
     "customer_id":"cust_1",
     "from":"2024-09-29T00:00:00Z",
     "to":"2024-09-30T09:30:00Z",
     "tz":"UTC",
     "clipped_by_retention":false,
     "method":"cells",
     "quantiles":{"rule":"linear between closest ranks",
     "max_error_percent":0.01221},
     "as_of":"2024-09-30T09:15:35.600Z",
     "lag_seconds":0.4}
    "#);
    // without traffic nothing is 100 %
    assert_snapshot!(get(&router, "/v1/customers/cust_1/stats?from=2024-09-01&to=2024-09-02").await.shown(), @r#"
    200 application/json
    {"total_requests":0,
     "successful_requests":0,
     "failed_requests":0,
     "uptime":null,
     "availability":null,
     "average_latency":null,
     "median_latency":null,
     "p99_latency":null,
     "max_latency":null,
     "status":{"1xx":0,
     "2xx":0,
     "3xx":0,
     "4xx":0,
     "5xx":0},
     "latency":{"p50":null,
     "p95":null,
     "p99":null},
     "uptime_minutes":null,
     "minutes_with_traffic":null,
     "customer_id":"cust_1",
     "from":"2024-09-01T00:00:00Z",
     "to":"2024-09-02T00:00:00Z",
     "tz":"UTC",
     "clipped_by_retention":false,
     "method":"cells",
     "quantiles":{"rule":"linear between closest ranks",
     "max_error_percent":0.01221},
     "as_of":"2024-09-30T09:15:35.600Z",
     "lag_seconds":0.4}
    "#);
}

#[tokio::test]
async fn a4_v1_series() {
    let router = router(&example());
    assert_snapshot!(get(&router, "/v1/customers/cust_1/series?from=2024-09-29&to=2024-10-01&granularity=1d&percentiles=95&tz=Europe/Berlin&fill=none").await.shown(), @r#"
    200 application/json
    {"granularity":"1d",
     "data":[{"start":"2024-09-29T00:00:00+02:00",
     "total_requests":2,
     "successful_requests":1,
     "failed_requests":1,
     "uptime":50.0,
     "availability":50.0,
     "average_latency":1.0,
     "median_latency":1.0,
     "p99_latency":1.49,
     "max_latency":1.5,
     "status":{"1xx":0,
     "2xx":1,
     "3xx":0,
     "4xx":0,
     "5xx":1},
     "latency":{"p95":1.45}},{"start":"2024-09-30T00:00:00+02:00",
     "total_requests":3,
     "successful_requests":2,
     "failed_requests":1,
     "uptime":66.66667,
     "availability":100.0,
     "average_latency":0.73333,
     "median_latency":0.7,
     "p99_latency":0.896,
     "max_latency":0.9,
     "status":{"1xx":0,
     "2xx":1,
     "3xx":1,
     "4xx":1,
     "5xx":0},
     "latency":{"p95":0.88}}],
     "customer_id":"cust_1",
     "from":"2024-09-29T00:00:00+02:00",
     "to":"2024-10-01T00:00:00+02:00",
     "tz":"Europe/Berlin",
     "clipped_by_retention":false,
     "method":"cells",
     "quantiles":{"rule":"linear between closest ranks",
     "max_error_percent":0.01221},
     "as_of":"2024-09-30T09:15:35.600Z",
     "lag_seconds":0.4}
    "#);
    for (fill, expected) in [("null", (4, json!(null))), ("zero", (4, json!(0.0))), ("none", (2, json!(0.5)))]
    {
        let series = json_of(&router, &format!("/v1/customers/cust_1/series?from=2024-09-29T10:00:00Z&to=2024-09-29T11:15:00Z&granularity=15m&fill={fill}")).await;
        let points = series["data"].as_array().expect("points");
        let last_but_first = &points[usize::from(fill != "none")];
        assert_eq!(
            (points.len() - usize::from(fill != "none"), &last_but_first["average_latency"]),
            (expected.0, &expected.1),
            "{fill}"
        );
        assert_eq!(last_but_first["uptime"].is_null(), fill != "none", "{fill}");
    }
    let series = json_of(&router, "/v1/series?from=-2h&to=-1h&compare=previous").await;
    assert_eq!(
        (series["granularity"].as_str(), series["data"].as_array().map(Vec::len)),
        (Some("1m"), Some(61))
    );
    assert_eq!(series["previous"].as_array().map(Vec::len), Some(61));
}

#[tokio::test]
async fn a4_v1_latency() {
    let router = router(&example());
    let latency = json_of(&router, "/v1/customers/cust_1/latency?from=2024-09-29").await;
    let buckets = latency["data"].as_array().expect("buckets");
    let counted: Vec<(Value, Value, u64)> = buckets
        .iter()
        .map(|bucket| {
            (bucket["above"].clone(), bucket["up_to"].clone(), bucket["requests"].as_u64().expect("a number"))
        })
        .filter(|bucket| bucket.2 > 0)
        .collect();
    let expected = [
        (json!(0.3), json!(0.5), 1),
        (json!(0.5), json!(0.75), 2),
        (json!(0.75), json!(1.0), 1),
        (json!(1.0), json!(1.5), 1),
    ];
    assert_eq!(counted, expected);
    assert_eq!(
        (buckets.len(), &buckets[25]["up_to"], &latency["granularity"]),
        (26, &Value::Null, &Value::Null)
    );
    let map = json_of(&router, "/v1/latency?from=2024-09-29&to=2024-10-01&granularity=1d").await;
    assert_eq!((map["data"].as_array().map(Vec::len), map["granularity"].as_str()), (Some(52), Some("1d")));
}

#[tokio::test]
async fn a4_v1_customers_come_in_pages_in_any_order() {
    let router = router(&incident());
    let first = get(
        &router,
        "/v1/customers?from=2024-09-29&sort=availability&order=asc&limit=1&q=CUST&percentiles=50",
    )
    .await;
    assert_snapshot!(first.shown(), @r#"
    200 application/json
    {"data":[{"customer_id":"cust_2",
     "last_seen":"2024-09-30T09:01:01Z",
     "total_requests":4,
     "successful_requests":2,
     "failed_requests":2,
     "uptime":50.0,
     "availability":50.0,
     "average_latency":0.1,
     "median_latency":0.1,
     "p99_latency":0.1,
     "max_latency":0.1,
     "status":{"1xx":0,
     "2xx":2,
     "3xx":0,
     "4xx":0,
     "5xx":2},
     "latency":{"p50":0.1}}],
     "total_customers":2,
     "new_customers":2,
     "next_cursor":"dAEAAAAAAABJQGN1c3RfMg",
     "others":{"customers":1,
     "last_seen":"2024-09-30T09:15:34Z",
     "total_requests":6,
     "successful_requests":4,
     "failed_requests":2,
     "uptime":66.66667,
     "availability":83.33333,
     "average_latency":0.74167,
     "median_latency":null,
     "p99_latency":null,
     "max_latency":1.5,
     "status":{"1xx":0,
     "2xx":3,
     "3xx":1,
     "4xx":1,
     "5xx":1},
     "latency":{"p50":null}},
     "from":"2024-09-29T00:00:00Z",
     "to":"2024-09-30T09:16:00Z",
     "tz":"UTC",
     "clipped_by_retention":false,
     "method":"cells",
     "quantiles":{"rule":"linear between closest ranks",
     "max_error_percent":0.01221},
     "as_of":"2024-09-30T09:15:35.600Z",
     "lag_seconds":0.4}
    "#);
    let cursor = first.json()["next_cursor"].as_str().expect("a next page").to_owned();
    let next = format!(
        "/v1/customers?from=2024-09-29&sort=availability&order=asc&limit=1&q=CUST&percentiles=50&cursor={cursor}"
    );
    assert_eq!(first.header("link"), format!("<{next}>; rel=\"next\""));
    let second = get(&router, &next).await;
    assert_eq!(second.json()["data"][0]["customer_id"], "cust_1");
    assert_eq!((second.json()["next_cursor"].clone(), second.header("link")), (Value::Null, ""));
}

#[tokio::test]
async fn a4_v1_hurt_tells_who_has_an_outage() {
    let router = router(&incident());
    assert_snapshot!(get(&router, "/v1/hurt?from=-24h").await.shown(), @r#"
    200 application/json
    {"data":[{"customer_id":"cust_2",
     "total_requests":3,
     "server_errors":2,
     "share_of_errors":66.66667,
     "availability":33.33333,
     "previous_availability":100.0,
     "availability_drop":66.66667,
     "error_share_at_least":20.76596,
     "p99_latency":0.1,
     "last_seen":"2024-09-30T09:01:01Z"},{"customer_id":"cust_1",
     "total_requests":6,
     "server_errors":1,
     "share_of_errors":33.33333,
     "availability":83.33333,
     "previous_availability":null,
     "availability_drop":16.66667,
     "error_share_at_least":3.00534,
     "p99_latency":1.47,
     "last_seen":"2024-09-30T09:15:34Z"}],
     "total_hurt":2,
     "total_customers":2,
     "server_errors":3,
     "previous":{"from":"2024-09-28T09:00:00Z",
     "to":"2024-09-29T09:15:00Z"},
     "from":"2024-09-29T09:15:00Z",
     "to":"2024-09-30T09:30:00Z",
     "tz":"UTC",
     "clipped_by_retention":false,
     "method":"cells",
     "quantiles":{"rule":"linear between closest ranks",
     "max_error_percent":0.01221},
     "as_of":"2024-09-30T09:15:35.600Z",
     "lag_seconds":0.4}
    "#);
    let by_share = json_of(&router, "/v1/hurt?from=2024-09-29&sort=share&limit=1").await;
    assert_eq!(
        (by_share["data"][0]["customer_id"].as_str(), by_share["total_hurt"].as_u64()),
        (Some("cust_2"), Some(2))
    );
    // Two of three are more evidence than one of six.
    let by_evidence = json_of(&router, "/v1/hurt?from=2024-09-29&sort=evidence&limit=1").await;
    assert_eq!(by_evidence["data"][0]["customer_id"].as_str(), Some("cust_2"));
}

#[tokio::test]
async fn new_customers_are_told_of_ranges_that_reach_up_to_now() {
    let fake = incident();
    fake.add("cust_3", "2024-09-30T09:10:00Z", 200, 100_000);
    let router = router(&fake);
    for (query, expected) in [
        ("from=-15m", json!(1)),
        ("from=-15m&q=cust_1&limit=1", json!(1)),
        ("from=2024-09-30", json!(1)),
        ("from=-7d", json!(3)),
        ("from=-7d&to=2024-10-01", json!(3)),
        // It has ended: what came since is not looked through.
        ("from=2024-09-29&to=2024-09-30", Value::Null),
    ] {
        let page = json_of(&router, &format!("/v1/customers?{query}")).await;
        assert_eq!(page["new_customers"], expected, "{query}");
    }
}

#[tokio::test]
async fn a4_v1_requests_and_paths() {
    let router = router(&incident());
    let first = get(&router, "/v1/customers/cust_1/requests?from=2024-09-29&limit=2&tz=Europe/Berlin").await;
    assert_snapshot!(first.shown(), @r#"
    200 application/json
    {"data":[{"time":"2024-09-30T11:15:34+02:00",
     "status":404,
     "latency":0.6,
     "path":"/api/v1/resource1"},{"time":"2024-09-30T11:00:00+02:00",
     "status":200,
     "latency":0.25,
     "path":"/orders"}],
     "next_cursor":"r1727686800000000006.1",
     "covered":{"from":"2024-09-29T00:00:00+02:00",
     "to":"2024-09-30T11:16:00+02:00"},
     "customer_id":"cust_1",
     "from":"2024-09-29T00:00:00+02:00",
     "to":"2024-09-30T11:16:00+02:00",
     "tz":"Europe/Berlin",
     "clipped_by_retention":false,
     "method":"raw",
     "quantiles":{"rule":"linear between closest ranks",
     "max_error_percent":0.01221},
     "as_of":"2024-09-30T09:15:35.600Z",
     "lag_seconds":0.4}
    "#);
    let next = first.header("link").trim_start_matches('<').split('>').next().expect("an address").to_owned();
    let mut times = 2;
    let mut address = next;
    loop {
        let page = get(&router, &address).await;
        assert_eq!(page.status, 200, "{address}: {}", page.text());
        times += page.json()["data"].as_array().map_or(0, Vec::len);
        match page.header("link").trim_start_matches('<').split('>').next() {
            Some(next) if !next.is_empty() => address = next.to_owned(),
            _ => break,
        }
    }
    assert_eq!(times, 6);
    let filtered = json_of(
        &router,
        "/v1/customers/cust_1/requests?from=2024-09-29&status=2xx&min_latency=0.3&path=/api/v1/resource1",
    )
    .await;
    assert_eq!(filtered["data"].as_array().map(Vec::len), Some(2));
    assert_snapshot!(get(&router, "/v1/customers/cust_1/paths?from=2024-09-29&limit=1&percentiles=95").await.shown(), @r#"
    200 application/json
    {"data":[{"path":"/api/v1/resource1",
     "share_of_requests":83.33333,
     "total_requests":5,
     "successful_requests":3,
     "failed_requests":2,
     "uptime":60.0,
     "availability":80.0,
     "average_latency":0.84,
     "median_latency":0.7,
     "p99_latency":1.476,
     "max_latency":1.5,
     "status":{"1xx":0,
     "2xx":2,
     "3xx":1,
     "4xx":1,
     "5xx":1},
     "latency":{"p95":1.38}}],
     "total_paths":2,
     "counted_requests":6,
     "covered":{"from":"2024-09-29T00:00:00Z",
     "to":"2024-09-30T09:16:00Z"},
     "customer_id":"cust_1",
     "from":"2024-09-29T00:00:00Z",
     "to":"2024-09-30T09:16:00Z",
     "tz":"UTC",
     "clipped_by_retention":false,
     "method":"raw",
     "quantiles":{"rule":"linear between closest ranks",
     "max_error_percent":0.01221},
     "as_of":"2024-09-30T09:15:35.600Z",
     "lag_seconds":0.4}
    "#);
}

#[tokio::test]
async fn every_answer_comes_as_json_csv_and_ndjson() {
    let router = router(&incident());
    assert_snapshot!(get(&router, "/v1/customers/cust_1/requests?from=2024-09-29&status=4xx&format=csv").await.text(), @r#"
    time,status,latency,path
    2024-09-30T09:15:34Z,404,0.6,/api/v1/resource1
    "#);
    let csv = get_with(&router, "/v1/customers?from=2024-09-29", &[("accept", "text/csv")]).await;
    assert_eq!(
        (csv.header("content-type"), csv.header("tailgauge-lag-seconds")),
        ("text/csv; charset=utf-8", "0.4")
    );
    assert_eq!(csv.header("vary"), "Accept, Accept-Encoding, Authorization, X-API-Key");
    assert_snapshot!(csv.text(), @r#"
    customer_id,last_seen,total_requests,successful_requests,failed_requests,uptime,availability,average_latency,median_latency,p99_latency,max_latency,status.1xx,status.2xx,status.3xx,status.4xx,status.5xx,latency.p50,latency.p95,latency.p99
    cust_1,2024-09-30T09:15:34Z,6,4,2,66.66667,83.33333,0.74167,0.65,1.47,1.5,0,3,1,1,1,0.65,1.35,1.47
    cust_2,2024-09-30T09:01:01Z,4,2,2,50.0,50.0,0.1,0.1,0.1,0.1,0,2,0,0,2,0.1,0.1,0.1
    "#);
    let empty = get(&router, "/v1/customers?from=2024-08-01&to=2024-08-02&format=csv").await;
    assert_eq!(empty.text().lines().next(), csv.text().lines().next(), "the same columns without rows");
    let lines = get(&router, "/v1/series?from=2024-09-29&granularity=1d&format=ndjson").await;
    assert_eq!((lines.header("content-type"), lines.text().lines().count()), ("application/x-ndjson", 2));
    for (header, parameter, status) in
        [("text/html", "", 406), ("text/csv", "&format=json", 200), ("*/*", "&format=xml", 422)]
    {
        let asked = format!("/v1/stats?from=-1h{parameter}");
        assert_eq!(
            get_with(&router, &asked, &[("accept", header)]).await.status,
            status,
            "{header} {parameter}"
        );
    }
}

#[tokio::test]
async fn forms_have_tags_of_their_own_and_304_when_nothing_changed() {
    let fake = example();
    let router = router(&fake);
    let mut tags = Vec::new();
    for form in ["json", "csv", "ndjson"] {
        let asked = format!("/v1/stats?from=2024-09-29&format={form}");
        let tag = get(&router, &asked).await.header("etag").to_owned();
        let again = get_with(&router, &asked, &[("if-none-match", &tag)]).await;
        assert_eq!((again.status.as_u16(), again.body.len()), (304, 0), "{form}");
        tags.push(tag);
    }
    fake.add("cust_1", "2024-09-30T09:15:35Z", 200, 1);
    let changed = get_with(&router, "/v1/stats?from=2024-09-29", &[("if-none-match", &tags[0])]).await;
    assert_eq!(changed.status, 200);
    tags.sort();
    tags.dedup();
    assert_eq!(tags.len(), 3);
}

#[tokio::test]
async fn who_is_not_there_is_a_404_and_what_is_no_parameter_a_422() {
    let router = router(&example());
    for path in ["stats", "series", "latency", "paths", "requests", "live"] {
        let answer = get(&router, &format!("/v1/customers/nobody/{path}")).await;
        let problem = answer.problem(404, "unknown-customer");
        assert_eq!(problem["detail"], "no customer `nobody` has requests here", "{path}");
        get(&router, &format!("/v1/customers/%ff/{path}")).await.problem(404, "unknown-customer");
        let asked = format!("/v1/customers/cust_1/{path}?nonsense=1");
        get(&router, &asked).await.problem(422, "invalid-parameter");
    }
    for asked in [
        "/v1/stats?from=2024-09-29&from=2024-09-29",
        "/v1/stats?granularity=1h",
        "/v1/series?granularity=2h",
        "/v1/series?from=-72h&granularity=1m",
        "/v1/customers?sort=nothing",
        "/v1/customers?limit=0",
        "/v1/customers?limit=1001",
        "/v1/customers?cursor=MWE",
        "/v1/customers/cust_1/requests?cursor=r1",
        "/v1/customers/cust_1/requests?status=200",
        "/v1/customers/cust_1/requests?path=",
        "/v1/stats?from=2024-01-01&tz=Europe/Berlin",
        "/v1/stats?tz=",
        "/v1/stats?compare=-7d",
        "/v1/hurt?compare=previous",
    ] {
        let problem = get(&router, asked).await.problem(422, "invalid-parameter");
        assert!(
            problem["errors"][0]["parameter"].as_str().is_some_and(|name| asked.contains(name)),
            "{asked}: {problem}"
        );
    }
}

#[tokio::test]
async fn a2_a_fault_of_the_store_tells_nothing_of_it() {
    let fake = example();
    let router = router(&fake);
    for (error, status, kind) in [
        (ReadError::Away { why: "10.0.0.7 is down".to_owned(), retry_after: None }, 503, "store-unavailable"),
        (ReadError::Damaged("cell of cust_1 at 10.0.0.7".to_owned()), 500, "internal"),
        (ReadError::NoDataYet { why: "no 10.0.0.7".to_owned() }, 404, "no-data-yet"),
        (
            ReadError::NotKept { second: 1_727_687_700, kind: stats::WindowKind::Day },
            422,
            "invalid-parameter",
        ),
    ] {
        fake.fails(error);
        for path in [
            "/v1/stats",
            "/v1/series",
            "/v1/customers/cust_1/paths",
            "/v1/customers/cust_1/requests",
            "/v1/hurt",
            "/v1/live",
        ] {
            let answer = get(&router, path).await;
            answer.problem(status, kind);
            assert!(!answer.text().contains("10.0.0.7"), "{path}: {}", answer.text());
        }
    }
}

#[tokio::test]
async fn numbers_agree_in_every_answer() {
    let router = router(&incident());
    let stats = json_of(&router, "/v1/stats?from=2024-09-29").await;
    let total = stats["total_requests"].as_u64();
    let sum = |list: &Value, key: &str| {
        list.as_array().expect("rows").iter().map(|row| row[key].as_u64()).sum::<Option<u64>>()
    };
    let customers = json_of(&router, "/v1/customers?from=2024-09-29").await;
    let series = json_of(&router, "/v1/series?from=2024-09-29&granularity=1h").await;
    let original = json_of(&router, "/customers/stats?from_date=2024-09-29").await;
    assert_eq!(sum(&customers["data"], "total_requests"), total);
    assert_eq!(sum(&series["data"], "total_requests"), total);
    for key in [
        "total_requests",
        "successful_requests",
        "failed_requests",
        "uptime",
        "average_latency",
        "median_latency",
        "p99_latency",
    ] {
        assert_eq!(original[key], stats[key], "{key}");
    }
}
