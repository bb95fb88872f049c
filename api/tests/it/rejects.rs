//! Samples of rejected lines, from a real ledger.

use std::path::Path;

use api::{AppState, Options, app};
use axum::Router;
use insta::assert_snapshot;
use logline::Reason;
use service::Stop;

use crate::ask::{NOW_MICROS, clock, example, get};
use crate::ledger::Writer;

const NOW: i64 = NOW_MICROS / 1_000_000;

fn beside(state_dir: &Path) -> Router {
    app(AppState::new(example(), clock(), Options::default(), Stop::never()).beside(state_dir))
}

/// The example beside a ledger with one rejected line.
pub(crate) fn router(state_dir: &Path) -> Router {
    let line = b"2024-09-30 09:15:30 cust_1 /api/v1/resource1 099 0.5";
    let detail = "column 46: expected a status from 100 to 599";
    Writer::open(state_dir).reject(NOW - 5, &[(Reason::Status, detail, line)]);
    beside(state_dir)
}

#[tokio::test]
async fn a4_v1_rejects_shows_the_newest_of_each_reason_and_hides_nothing_in_them() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut ledger = Writer::open(folder.path());
    let long = "x".repeat(900);
    ledger.reject(NOW - 9, &[(Reason::Fields, "first", b"old"), (Reason::Empty, "", b"")]);
    ledger.reject(
        NOW - 5,
        &[
            (Reason::Fields, "second", b"<b onclick='x()'>\x1b[31m\tred \xff"),
            (Reason::Fields, "third", long.as_bytes()),
        ],
    );
    let router = beside(folder.path());
    let newest = get(&router, "/v1/rejects?limit=1").await.shown().replace(&"x".repeat(256), "<256 x>");
    assert_snapshot!(newest, @r#"
    200 application/json
    {"known":true,
     "data":[{"reason":"empty",
     "detail":"",
     "line":"",
     "cut":false,
     "source":"main",
     "file":"/var/log/api_requests.log",
     "offset":4,
     "rejected_at":"2024-09-30T09:15:27Z"},{"reason":"fields",
     "detail":"third",
     "line":"<256 x>",
     "cut":true,
     "source":"main",
     "file":"/var/log/api_requests.log",
     "offset":34,
     "rejected_at":"2024-09-30T09:15:31Z"}]}
    "#);
    let of_one = get(&router, "/v1/rejects?reason=fields&limit=2").await.json();
    let lines: Vec<&str> =
        of_one["data"].as_array().expect("rows").iter().filter_map(|row| row["line"].as_str()).collect();
    assert_eq!(lines, [&"x".repeat(256), r"<b onclick='x()'>\u{1b}[31m\tred \xff"]);
    assert_eq!(get(&router, "/v1/rejects").await.json()["data"].as_array().map(Vec::len), Some(4));
    // While the processor goes on.
    ledger.reject(NOW, &[(Reason::Status, "", b"new")]);
    assert_eq!(get(&router, "/v1/rejects?reason=status").await.json()["data"][0]["line"], "new");
    for (query, wrong) in
        [("reason=nothing", "reason"), ("limit=101", "limit"), ("limit=0", "limit"), ("from=-1h", "from")]
    {
        let problem = get(&router, &format!("/v1/rejects?{query}")).await.problem(422, "invalid-parameter");
        assert_eq!(problem["errors"][0]["parameter"], wrong);
    }
}

#[tokio::test]
async fn without_a_ledger_nothing_is_known_of_rejected_lines() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let answer = get(&beside(folder.path()), "/v1/rejects").await;
    assert_eq!((answer.text(), answer.header("cache-control")), (r#"{"known":false,"data":[]}"#, "no-store"));
    let nowhere = get(&crate::ask::router(&example()), "/v1/rejects").await;
    assert_eq!(nowhere.text(), answer.text());
}

#[tokio::test]
async fn a_ledger_that_cannot_be_read_is_said_and_is_not_the_store() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join(store::embedded::LEDGER_FILE), vec![b'n'; 4096]).expect("a file");
    let router = beside(folder.path());
    get(&router, "/v1/rejects").await.problem(500, "internal");
    assert_eq!(get(&router, "/v1/stats").await.status, 200);
}
