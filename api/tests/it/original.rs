//! The cases of the original exercise's own tests, by name, asked of the real binary over a real ledger.

use serde_json::Value;
use tempfile::TempDir;

use crate::ledger::{Writer, line, now};
use crate::program::Program;

struct Case {
    api: Program,
    _state: TempDir,
}

/// An api over a ledger of these lines.
fn over(lines: impl IntoIterator<Item = String>) -> Case {
    let state = TempDir::new().expect("a temporary folder");
    Writer::open(state.path()).store(lines);
    Case { api: Program::start(state.path()), _state: state }
}

/// Requests of a customer on one day: status and seconds of each.
fn requests(customer: &str, all: &[(u16, &str)]) -> Vec<String> {
    let numbered = all.iter().enumerate();
    numbered
        .map(|(n, (status, seconds))| {
            line(&format!("2024-09-29 10:00:{:02}", n % 60), customer, *status, seconds)
        })
        .collect()
}

fn example() -> Case {
    let mut lines =
        requests("cust_1", &[(200, "0.5"), (500, "1.5"), (201, "0.7"), (302, "0.9"), (404, "0.6")]);
    lines.extend(requests("cust_2", &[(200, "0.1"), (503, "0.3")]));
    over(lines)
}

fn stats(case: &Case, customer: &str) -> Value {
    case.api.stats(customer, "2024-09-29")
}

#[test]
fn total_requests() {
    assert_eq!(stats(&example(), "cust_1")["total_requests"], 5);
}

#[test]
fn successful_and_failed_requests() {
    let answer = stats(&example(), "cust_1");
    assert_eq!((&answer["successful_requests"], &answer["failed_requests"]), (&3.into(), &2.into()));
}

#[test]
fn uptime() {
    assert_eq!(stats(&example(), "cust_1")["uptime"], 60.0);
}

#[test]
fn uptime_is_rounded_to_five_decimals() {
    assert_eq!(stats(&over(requests("c", &[(200, "1"), (200, "1"), (500, "1")])), "c")["uptime"], 66.66667);
}

#[test]
fn average_latency() {
    assert_eq!(stats(&example(), "cust_1")["average_latency"], 0.84);
}

#[test]
fn median_latency_of_an_odd_number() {
    assert_eq!(stats(&example(), "cust_1")["median_latency"], 0.7);
}

#[test]
fn median_latency_of_an_even_number() {
    assert_eq!(stats(&example(), "cust_2")["median_latency"], 0.2);
}

#[test]
fn p99_latency_of_fewer_than_100_values() {
    // Between the closest ranks, at 0.99 * 4 = 3.96: 0.9 + 0.96 * (1.5 - 0.9).
    assert_eq!(stats(&example(), "cust_1")["p99_latency"], 1.476);
}

#[test]
fn p99_latency_of_more_than_100_values() {
    // 0.001, 0.002, … 0.200: at 0.99 * 199 = 197.01 lies 0.19801.
    let latencies: Vec<String> = (1..=200).map(|millis| format!("0.{millis:03}")).collect();
    let all: Vec<(u16, &str)> = latencies.iter().map(|seconds| (200, seconds.as_str())).collect();
    let answer = stats(&over(requests("c", &all)), "c");
    assert_eq!((&answer["total_requests"], &answer["p99_latency"]), (&200.into(), &0.19801.into()));
}

#[test]
fn single_request() {
    let answer = stats(&over(requests("c", &[(200, "0.772")])), "c");
    for (key, expected) in [
        ("total_requests", Value::from(1)),
        ("successful_requests", 1.into()),
        ("failed_requests", 0.into()),
        ("uptime", 100.0.into()),
        ("average_latency", 0.772.into()),
        ("median_latency", 0.772.into()),
        ("p99_latency", 0.772.into()),
    ] {
        assert_eq!(answer[key], expected, "{key}");
    }
}

#[test]
fn all_requests_failed() {
    let answer = stats(&over(requests("c", &[(400, "0.2"), (500, "0.4"), (199, "0.6")])), "c");
    assert_eq!(
        (&answer["uptime"], &answer["failed_requests"], &answer["average_latency"]),
        (&0.0.into(), &3.into(), &0.4.into())
    );
}

#[test]
fn no_data_is_404() {
    let case = example();
    for path in
        ["/customers/cust_3/stats?from_date=1970-01-01", "/customers/cust_1/stats?from_date=2024-09-30"]
    {
        let (status, problem) = case.api.json(path);
        assert_eq!((status, &problem["title"]), (404, &"No requests in this range".into()), "{path}");
        assert!(problem["lag_seconds"].as_f64().is_some_and(|lag| (0.0..60.0).contains(&lag)), "{problem}");
    }
}

#[test]
fn bad_date_is_422() {
    let case = example();
    for date in ["yesterday", "2024-13-01", "2024-02-30", "29-09-2024", "2024-9-29", ""] {
        let (status, problem) = case.api.json(&format!("/customers/cust_1/stats?from_date={date}"));
        assert_eq!(
            (status, &problem["errors"][0]["parameter"]),
            (422, &"from_date".into()),
            "{date}: {problem}"
        );
    }
}

#[test]
fn future_date_is_422_and_today_is_not() {
    let case = example();
    // The day may change between the question and the answer; the day after tomorrow is in the future either way.
    for date in ["9999-12-31".to_owned(), (now() + chrono::Days::new(2)).format("%F").to_string()] {
        let (status, problem) = case.api.json(&format!("/customers/cust_1/stats?from_date={date}"));
        assert_eq!(
            (status, &problem["errors"][0]["parameter"]),
            (422, &"from_date".into()),
            "{date}: {problem}"
        );
    }
    let today = now().format("%F");
    assert_eq!(
        case.api.get(&format!("/customers/cust_1/stats?from_date={today}")).0,
        404,
        "a date, but no data"
    );
}

#[test]
fn missing_date_is_422() {
    let (status, problem) = example().api.json("/customers/cust_1/stats");
    assert_eq!((status, &problem["errors"][0]["parameter"]), (422, &"from_date".into()), "{problem}");
}

#[test]
fn all_customers() {
    let case = example();
    for path in ["/customers/stats", "/customers/customer/stats/all"] {
        let (status, answer) = case.api.json(&format!("{path}?from_date=1970-01-01"));
        assert_eq!(status, 200, "{answer}");
        assert_eq!(
            (&answer["total_requests"], &answer["successful_requests"]),
            (&7.into(), &4.into()),
            "{path}"
        );
        assert_eq!(
            (&answer["median_latency"], &answer["average_latency"]),
            (&0.6.into(), &0.65714.into()),
            "{path}"
        );
        assert!(
            answer.get("customer_id").is_none() && answer["daily"].as_array().map(Vec::len) == Some(1),
            "{path}"
        );
    }
}

#[test]
fn all_customers_without_data_is_404() {
    let (status, problem) = example().api.json("/customers/customer/stats/all?from_date=2024-09-30");
    assert_eq!(status, 404, "{problem}");
}

#[test]
fn welcome_and_docs() {
    let case = example();
    assert_eq!(case.api.json("/").1["name"], "Tailgauge");
    assert!(case.api.get("/docs/").1.contains("swagger-ui"));
}
