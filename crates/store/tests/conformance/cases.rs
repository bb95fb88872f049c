//! What every store must do. Each case is given an empty one.

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use stats::{Summary, TimeRange};
use store::{CustomerRow, CustomersQuery, ReadError, Stats, StatsQuery, StatsStore};

use crate::log::{DAY, DAY_0, Latencies, Log, Request, request, requests};
use crate::recount::recount;
use crate::subject::Subject;

pub(crate) const ALL_TIME: TimeRange =
    TimeRange { from_second: DAY_0 - 1000 * DAY, to_second: DAY_0 + 1000 * DAY };

pub(crate) fn range(from_second: i64, to_second: i64) -> TimeRange {
    TimeRange { from_second, to_second }
}

pub(crate) async fn ask(reader: &impl StatsStore, customer: Option<&str>, range: TimeRange) -> Stats {
    let query = StatsQuery { customer: customer.map(str::to_owned), range };
    reader.stats(&query).await.unwrap_or_else(|error| panic!("{customer:?} {range:?}: {error}"))
}

/// The ranges that every random log is asked for: all of it, some days, quarter-hours, and none of it.
pub(crate) fn ranges() -> Vec<TimeRange> {
    vec![
        ALL_TIME,
        range(DAY_0, DAY_0 + 9 * DAY),
        range(DAY_0 + DAY, DAY_0 + 4 * DAY),
        range(DAY_0 + DAY - 900, DAY_0 + DAY + 900),
        range(DAY_0 + 6 * DAY + 4 * 3600 + 900, ALL_TIME.to_second),
        range(DAY_0 + 100 * DAY, DAY_0 + 101 * DAY),
    ]
}

pub(crate) const CUSTOMERS: [Option<&str>; 5] =
    [None, Some("cust_1"), Some("cust_10"), Some("é"), Some("nobody")];

/// Fixed draws from a strategy: the same in every run.
pub(crate) fn draws<T>(strategy: impl Strategy<Value = T>, count: usize) -> Vec<T> {
    let mut runner = TestRunner::deterministic();
    (0..count).map(|_| strategy.new_tree(&mut runner).expect("a value").current()).collect()
}

/// Six random logs, one after the other into the same store: after each, every answer is the recount of all so far.
pub(crate) async fn answers_are_an_exact_recount(mut subject: impl Subject) {
    let mut stored: Vec<Request> = Vec::new();
    for (number, requests) in draws(requests(Latencies::Exact), 6).into_iter().enumerate() {
        let log = Log::of(requests).from("main", 1_000_000 * number as u64);
        subject.store(&log).await;
        stored.extend(log.requests);
        let reader = subject.reader();
        for range in ranges() {
            for customer in CUSTOMERS {
                let answer = ask(&reader, customer, range).await;
                let (total, daily) = recount(stored.iter(), range, customer);
                assert_eq!(answer.total, total, "after log {number}: {customer:?} {range:?}");
                assert_eq!(answer.daily, daily, "after log {number}: {customer:?} {range:?}");
                assert_eq!(answer.covered, range);
            }
        }
    }
    assert!(stored.len() > 500, "only {} requests were drawn", stored.len());
}

pub(crate) async fn x1_a_thousand_identical_lines_of_a_second_are_a_thousand(mut subject: impl Subject) {
    let log = Log::of(vec![request(DAY_0 + 5, "cust_5", 200, 772); 1000]);
    subject.store(&log).await;
    let answer = ask(&subject.reader(), Some("cust_5"), ALL_TIME).await;
    let expected = Summary {
        requests: 1000,
        successes: 1000,
        latencies: 1000,
        latency_sum_micros: 772_000_000,
        median_nanos: Some(772_000_000),
        p99_nanos: Some(772_000_000),
    };
    assert_eq!(answer.total, expected);
}

pub(crate) async fn i2_a_replay_changes_nothing(mut subject: impl Subject) {
    let requests = draws(requests(Latencies::Exact), 1).remove(0);
    let log = Log::of(requests);
    subject.store(&log).await;
    let reader = subject.reader();
    let before = ask(&reader, None, ALL_TIME).await;
    // The same log, and one that was cut short and then went on.
    let half = Log { requests: log.requests[..log.requests.len() / 2].to_vec(), ..log.clone() };
    for again in [&log, &half, &log] {
        subject.store(again).await;
        assert_eq!(ask(&reader, None, ALL_TIME).await.total, before.total);
    }
    assert_eq!(before.total.requests, log.requests.len() as u64);
}

/// Ids that line protocol, CSV, Flux, SQL and URLs have ways to misread.
pub(crate) const ODD_IDS: [&str; 34] = [
    "a",
    "A",
    "a,b",
    "a\\,b",
    "a=b",
    "a b",
    " a",
    "a ",
    "a\\b",
    "\\a",
    "a\\\\b",
    "a\\ b",
    "a\\=b",
    "\"a\"",
    "a\"b,c\"d",
    "'a'",
    "$",
    "${x}",
    "a${params.bucket}",
    "{",
    "}{",
    "#group",
    "_value",
    "é",
    "e\u{301}",
    "漢字",
    "😀",
    "a\u{200b}",
    "\u{feff}a",
    "%2C",
    "a' OR '1'='1",
    "\" or r.customer_id != \"",
    "cust_1\") |> drop(columns: [\"x\"]) //",
    "; DROP TABLE customers; --",
];

pub(crate) async fn i3_odd_ids_are_found_by_their_exact_text_and_never_a_neighbour(
    mut subject: impl Subject,
) {
    let mut requests = Vec::new();
    for (number, id) in ODD_IDS.iter().enumerate() {
        // Each has its own count and its own latency.
        let one =
            Request { path: Some(format!("/{id}/x")), ..request(DAY_0 + 5, id, 200, 100 + number as u64) };
        requests.extend(std::iter::repeat_n(one, number + 1));
    }
    subject.store(&Log::of(requests)).await;
    let reader = subject.reader();
    for (number, id) in ODD_IDS.iter().enumerate() {
        let total = ask(&reader, Some(id), ALL_TIME).await.total;
        assert_eq!(total.requests, number as u64 + 1, "{id:?}");
        assert_eq!(total.median_nanos, Some((100 + number as u64) * 1_000_000), "{id:?}");
    }
    // What nearly is one of them is none of them.
    for id in [
        "",
        "a,",
        "a,b,c",
        "b",
        "\"",
        "x",
        "a\\",
        "*",
        "%",
        ".*",
        "true",
        "a\0",
        "\n",
        "a\nb",
        "${",
        "\" or true or \"\" == \"",
    ] {
        assert_eq!(ask(&reader, Some(id), ALL_TIME).await.total, Summary::default(), "{id:?}");
    }
    let mut expected: Vec<&str> = ODD_IDS.to_vec();
    expected.sort_unstable();
    let page = reader.customers(&CustomersQuery { after: None, limit: 1000 }).await.expect("a page");
    assert_eq!(page.customers.iter().map(|row| row.id.as_str()).collect::<Vec<_>>(), expected);
}

pub(crate) async fn ranges_are_half_open(mut subject: impl Subject) {
    let edge = DAY_0 + DAY;
    let requests =
        vec![request(edge - 1, "a", 200, 1), request(edge, "a", 200, 2), request(edge + 899, "a", 500, 3)];
    subject.store(&Log::of(requests)).await;
    let reader = subject.reader();
    for (range, expected) in [
        (range(edge - 900, edge), 1),
        (range(edge, edge + 900), 2),
        (range(edge - 900, edge + 900), 3),
        (range(edge + 900, edge + 1800), 0),
        (range(edge, edge), 0),
        (range(edge + 900, edge - 900), 0),
    ] {
        assert_eq!(ask(&reader, Some("a"), range).await.total.requests, expected, "{range:?}");
    }
    let by_day = ask(&reader, Some("a"), range(edge - 900, edge + 900)).await.daily;
    let by_day: Vec<(i64, u64)> = by_day.iter().map(|day| (day.day_second, day.summary.requests)).collect();
    assert_eq!(by_day, [(edge - DAY, 1), (edge, 2)]);
}

pub(crate) async fn days_without_requests_are_absent(mut subject: impl Subject) {
    let requests = vec![
        request(DAY_0, "a", 200, 1),
        request(DAY_0 + 3 * DAY, "b", 200, 2),
        request(DAY_0 + 7 * DAY, "a", 200, 3),
    ];
    subject.store(&Log::of(requests)).await;
    let reader = subject.reader();
    let days = async |customer| {
        let daily = ask(&reader, customer, ALL_TIME).await.daily;
        daily.iter().map(|day| (day.day_second - DAY_0) / DAY).collect::<Vec<_>>()
    };
    assert_eq!(days(Some("a")).await, [0, 7]);
    assert_eq!(days(Some("b")).await, [3]);
    assert_eq!(days(None).await, [0, 3, 7]);
}

pub(crate) async fn an_unknown_customer_and_an_empty_range_have_no_requests(mut subject: impl Subject) {
    subject.store(&Log::of(vec![request(DAY_0, "a", 200, 1)])).await;
    let reader = subject.reader();
    for (customer, range) in [
        (Some("b"), ALL_TIME),
        (Some("a"), range(DAY_0 + DAY, DAY_0 + 2 * DAY)),
        (None, range(DAY_0 - 2 * DAY, DAY_0)),
    ] {
        let answer = ask(&reader, customer, range).await;
        assert_eq!((answer.total, answer.daily.len()), (Summary::default(), 0), "{customer:?} {range:?}");
    }
}

pub(crate) async fn an_empty_store_has_no_requests(subject: impl Subject) {
    let reader = subject.reader();
    let query = StatsQuery { customer: None, range: ALL_TIME };
    match reader.stats(&query).await {
        Ok(answer) => assert_eq!((answer.total, answer.freshness.as_of_micros), (Summary::default(), None)),
        Err(error) => assert!(matches!(error, ReadError::NoDataYet { .. }), "{error}"),
    }
    match reader.customers(&CustomersQuery { after: None, limit: 10 }).await {
        Ok(page) => assert!(page.customers.is_empty() && !page.more),
        Err(error) => assert!(matches!(error, ReadError::NoDataYet { .. }), "{error}"),
    }
}

/// The same bytes at the same place in two logs are two requests; so are those of two generations.
pub(crate) async fn several_sources_are_summed(mut subject: impl Subject) {
    let log = Log::of(vec![request(DAY_0 + 5, "a", 200, 100), request(DAY_0 + 5, "a", 500, 300)]);
    for (source, start) in [("main", 0), ("eu", 0), ("us 1,=", 0), ("main", 17 << 20)] {
        subject.store(&log.clone().from(source, start)).await;
    }
    let total = ask(&subject.reader(), Some("a"), ALL_TIME).await.total;
    assert_eq!((total.requests, total.successes, total.latency_sum_micros), (8, 4, 1_600_000));
    assert_eq!(total.median_nanos, Some(200_000_000));
}

/// An absent latency is unavailable, never 0.
pub(crate) async fn latencies_and_paths_may_be_absent(mut subject: impl Subject) {
    let bare =
        |second, customer: &str| Request { path: None, micros: None, ..request(second, customer, 200, 0) };
    let requests = vec![
        bare(DAY_0, "bare"),
        bare(DAY_0 + 1, "mixed"),
        request(DAY_0 + 2, "mixed", 404, 500),
        bare(DAY_0 + DAY, "mixed"),
    ];
    subject.store(&Log::of(requests)).await;
    let reader = subject.reader();
    let only_counts = Summary { requests: 1, successes: 1, ..Summary::default() };
    assert_eq!(ask(&reader, Some("bare"), ALL_TIME).await.total, only_counts);
    let mixed = ask(&reader, Some("mixed"), ALL_TIME).await;
    assert_eq!(
        (mixed.total.requests, mixed.total.latencies, mixed.total.median_nanos),
        (3, 1, Some(500_000_000))
    );
    assert_eq!(mixed.daily[1].summary, only_counts);
}

pub(crate) async fn customers_come_in_pages_in_byte_order(mut subject: impl Subject) {
    let mut requests = vec![
        request(DAY_0 + 100, "b", 200, 1),
        request(DAY_0 + 99, "b", 500, 1),
        request(DAY_0 - 400 * DAY, "a", 200, 1),
    ];
    requests.extend(["c", "B", "é", "cust_10", "cust_2"].map(|id| request(DAY_0, id, 200, 1)));
    subject.store(&Log::of(requests)).await;
    let reader = subject.reader();
    let row =
        |id: &str, requests, last_seen_second| CustomerRow { id: id.to_owned(), requests, last_seen_second };
    let expected = vec![
        row("B", 1, DAY_0),
        row("a", 1, DAY_0 - 400 * DAY),
        row("b", 2, DAY_0 + 100),
        row("c", 1, DAY_0),
        row("cust_10", 1, DAY_0),
        row("cust_2", 1, DAY_0),
        row("é", 1, DAY_0),
    ];
    for limit in [1, 2, 3, 7, 100] {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = reader.customers(&CustomersQuery { after, limit }).await.expect("a page");
            assert!(page.customers.len() <= limit);
            found.extend(page.customers);
            assert_eq!(page.more, found.len() < expected.len(), "limit {limit}");
            if !page.more {
                break;
            }
            after = found.last().map(|row: &CustomerRow| row.id.clone());
        }
        assert_eq!(found, expected, "limit {limit}");
    }
    // From between two ids, and from behind the last.
    let after = async |after: &str| {
        let page = reader
            .customers(&CustomersQuery { after: Some(after.to_owned()), limit: 2 })
            .await
            .expect("a page");
        page.customers.into_iter().map(|row| row.id).collect::<Vec<_>>()
    };
    assert_eq!(after("cust_1").await, ["cust_10", "cust_2"]);
    assert!(after("zzzz\u{ffff}").await.len() <= 1);
    assert_eq!(after("\u{10ffff}").await, Vec::<String>::new());
}

pub(crate) async fn the_answer_is_as_fresh_as_the_processor_said(mut subject: impl Subject) {
    subject.store(&Log::of(vec![request(DAY_0, "a", 200, 1)])).await;
    let as_of = (DAY_0 + 100) * 1_000_000 + 7;
    subject.heartbeat("main", as_of).await;
    let reader = subject.reader();
    assert_eq!(reader.freshness().await.expect("an answer").as_of_micros, Some(as_of));
    assert_eq!(ask(&reader, Some("a"), ALL_TIME).await.freshness.as_of_micros, Some(as_of));
    let page = reader.customers(&CustomersQuery { after: None, limit: 1 }).await.expect("a page");
    assert_eq!(page.freshness.as_of_micros, Some(as_of));
    subject.heartbeat("main", as_of + 1).await;
    assert_eq!(reader.freshness().await.expect("an answer").as_of_micros, Some(as_of + 1));
}
