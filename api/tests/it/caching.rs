//! The cache: one computation for all who ask the same at once, and never an answer of another version.

use axum::Router;
use store::ReadError;
use tokio::task::JoinSet;

use crate::ask::{Answer, NOW_MICROS, example, get, router};
use crate::fake::Fake;

const STATS: &str = "/customers/cust_1/stats?from_date=2024-09-29";

/// So many ask the same at the same time; the store answers once all of them wait.
async fn at_once(fake: &Fake, router: &Router, path: &'static str, count: usize) -> Vec<Answer> {
    fake.close_gate();
    let before = fake.asked().len();
    let mut asking = JoinSet::new();
    for _ in 0..count {
        let router = router.clone();
        asking.spawn(async move { get(&router, path).await });
    }
    // On this single-threaded runtime everyone has come as far as possible when the queue has been passed this often.
    for _ in 0..10 * count {
        tokio::task::yield_now().await;
    }
    assert!(fake.asked().len() > before, "somebody waits for the store");
    fake.gate.add_permits(tokio::sync::Semaphore::MAX_PERMITS);
    asking.join_all().await
}

#[tokio::test]
async fn those_who_ask_at_once_share_one_computation() {
    for path in [
        STATS,
        "/customers/stats?from_date=2024-09-29",
        "/customers?limit=2",
        "/customers/cust_9/stats?from_date=2024-09-29",
    ] {
        let fake = example();
        let router = router(&fake);
        let answers = at_once(&fake, &router, path, 50).await;
        assert_eq!(fake.asked().len(), 1, "{path}");
        assert!(fake.looks() <= 3, "{path}: {} looks at the version for 50 questions", fake.looks());
        assert!(answers.iter().all(|answer| answer.body == answers[0].body), "{path}");
        get(&router, path).await;
        assert_eq!(fake.asked().len(), 1, "{path}: kept");
    }
}

#[tokio::test]
async fn the_computation_goes_on_when_the_one_who_began_it_leaves() {
    let fake = example();
    let router = router(&fake);
    fake.close_gate();
    let first = tokio::spawn({
        let router = router.clone();
        async move { get(&router, STATS).await }
    });
    while fake.asked().is_empty() {
        tokio::task::yield_now().await;
    }
    let second = tokio::spawn(async move { get(&router, STATS).await });
    tokio::task::yield_now().await;
    first.abort();
    assert!(first.await.is_err_and(|error| error.is_cancelled()));
    fake.gate.add_permits(10);
    assert_eq!(second.await.expect("an answer").status, 200);
}

#[tokio::test]
async fn a_new_version_is_a_new_answer() {
    let fake = example();
    let router = router(&fake);
    assert_eq!(get(&router, STATS).await.json()["total_requests"], 5);
    fake.add("cust_1", "2024-09-30T09:00:00Z", 200, 1);
    assert_eq!(get(&router, STATS).await.json()["total_requests"], 6);
    get(&router, STATS).await;
    assert_eq!(fake.asked().len(), 2);

    let page = "/customers";
    assert_eq!(get(&router, page).await.json()["data"].as_array().map(Vec::len), Some(2));
    fake.add("cust_3", "2024-09-30T09:00:00Z", 200, 1);
    assert_eq!(get(&router, page).await.json()["data"].as_array().map(Vec::len), Some(3));
}

#[tokio::test]
async fn a_404_is_kept_no_longer_than_the_version() {
    let fake = example();
    let router = router(&fake);
    let path = "/customers/cust_9/stats?from_date=2024-09-29";
    get(&router, path).await.problem(404, "no-data");
    get(&router, path).await.problem(404, "no-data");
    assert_eq!(fake.asked().len(), 1);
    fake.add("cust_9", "2024-09-30T09:00:00Z", 200, 1);
    assert_eq!(get(&router, path).await.status, 200);
}

#[tokio::test]
async fn an_answer_begun_under_an_earlier_version_is_not_given_to_who_asks_later() {
    let fake = example();
    let router = router(&fake);
    fake.close_gate();
    let slow = tokio::spawn({
        let router = router.clone();
        async move { get(&router, STATS).await }
    });
    while fake.asked().is_empty() {
        tokio::task::yield_now().await;
    }
    fake.set_version(1000);
    let later = tokio::spawn(async move { get(&router, STATS).await });
    while fake.asked().len() < 2 {
        tokio::task::yield_now().await;
    }
    fake.gate.add_permits(10);
    assert_eq!(
        (slow.await.expect("an answer").status, later.await.expect("an answer").status),
        (200.try_into().unwrap(), 200.try_into().unwrap())
    );
}

#[tokio::test]
async fn errors_are_not_kept() {
    let fake = example();
    let router = router(&fake);
    for error in [
        ReadError::Away { why: "refused".to_owned(), retry_after: None },
        ReadError::Damaged("customer 1".to_owned()),
        ReadError::NoDataYet { why: "no ledger".to_owned() },
    ] {
        fake.fails(error);
        assert_ne!(get(&router, STATS).await.status, 200);
        fake.fails(None);
        assert_eq!(get(&router, STATS).await.status, 200);
    }
}

#[tokio::test]
async fn freshness_is_of_the_moment_not_of_the_cache() {
    let fake = example();
    let router = router(&fake);
    assert_eq!(get(&router, STATS).await.json()["lag_seconds"], 0.4);
    fake.set_as_of(Some(NOW_MICROS - 100_000));
    let answer = get(&router, STATS).await.json();
    assert_eq!((&answer["as_of"], &answer["lag_seconds"]), (&"2024-09-30T09:15:35.900Z".into(), &0.1.into()));
    assert_eq!(fake.asked().len(), 1, "a kept answer with a new freshness");
}

/// While no lines came, a table's as_of stood still at the moment of its making.
#[tokio::test]
async fn a_table_of_all_customers_is_as_fresh_as_its_version() {
    const TABLE: &str = "/v1/customers?from=-24h";
    let fake = example();
    let router = router(&fake);
    assert_eq!(get(&router, TABLE).await.json()["lag_seconds"], 0.4);
    fake.set_as_of(Some(NOW_MICROS - 100_000));
    assert_eq!(get(&router, TABLE).await.json()["lag_seconds"], 0.1);
    // Something changed: the table, which is young enough to be given, says nothing of it.
    fake.set_version(100);
    fake.set_as_of(Some(NOW_MICROS));
    assert_eq!(get(&router, TABLE).await.json()["lag_seconds"], 0.4);
}

#[tokio::test]
async fn where_the_version_is_only_a_second_a_kept_answer_keeps_its_freshness() {
    let fake = example();
    fake.version_is_a_second();
    let router = router(&fake);
    assert_eq!(get(&router, STATS).await.json()["lag_seconds"], 0.4);
    // More lines came in that second; the kept answer lacks them and must not claim them.
    fake.add("cust_1", "2024-09-30T09:00:00Z", 200, 1).set_as_of(Some(NOW_MICROS));
    fake.set_version(100);
    let first = get(&router, STATS).await.json();
    assert_eq!((&first["total_requests"], &first["lag_seconds"]), (&6.into(), &0.0.into()));
    fake.add("cust_1", "2024-09-30T09:00:00Z", 200, 1).set_as_of(Some(NOW_MICROS + 1_000_000));
    fake.set_version(100);
    let kept = get(&router, STATS).await.json();
    assert_eq!((&kept["total_requests"], &kept["as_of"]), (&6.into(), &"2024-09-30T09:15:36.000Z".into()));
}

#[tokio::test]
async fn hits_and_misses_are_counted() {
    let fake = example();
    let router = router(&fake);
    at_once(&fake, &router, STATS, 10).await;
    get(&router, STATS).await;
    let metrics = get(&router, "/metrics").await;
    assert!(metrics.text().contains("tailgauge_api_cache_hits_total 10\n"), "{}", metrics.text());
    assert!(metrics.text().contains("tailgauge_api_cache_misses_total 1\n"), "{}", metrics.text());
}
