//! A customer is found by the exact id, whatever it is made of, and never by another.

use axum::Router;
use proptest::prelude::*;
use store::StatsQuery;

use crate::ask::{Answer, get, router};
use crate::fake::{Asked, Fake};

/// Every byte percent-encoded.
fn encoded(id: &str) -> String {
    id.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

async fn ask(router: &Router, segment: &str) -> Answer {
    get(router, &format!("/customers/{segment}/stats?from_date=1970-01-01")).await
}

/// The customer that the store was asked for.
async fn asked_for(fake: &Fake, segment: &str) -> Option<String> {
    let before = fake.asked().len();
    ask(&router(fake), segment).await.problem(404, "no-data");
    match fake.asked().get(before..) {
        Some([Asked::Stats(StatsQuery { customer, .. })]) => customer.clone(),
        Some([]) => None,
        other => panic!("{segment}: {other:?}"),
    }
}

#[tokio::test]
async fn a_segment_is_decoded_exactly_once() {
    for (segment, id) in [
        ("cust_1", "cust_1"),
        ("cust%5F1", "cust_1"),
        ("a%2Fb", "a/b"),
        ("a%2fb", "a/b"),
        ("%2E%2E", ".."),
        ("a%252Fb", "a%2Fb"),
        ("a+b", "a+b"),
        ("a%20b", "a b"),
        ("a%3Fb%23c", "a?b#c"),
        ("$%7Bid%7D", "${id}"),
        ("a,b=c;d", "a,b=c;d"),
        ("it's", "it's"),
        ("back%5Cslash", "back\\slash"),
        ("%C3%A9", "\u{e9}"),
        ("e%CC%81", "e\u{301}"),
        ("%F0%9F%A6%80", "\u{1f980}"),
        ("%C2%A0", "\u{a0}"),
        ("stats", "stats"),
        ("customer", "customer"),
        ("%25", "%"),
        ("100%", "100%"),
        ("%zz", "%zz"),
    ] {
        assert_eq!(asked_for(&Fake::new(), segment).await.as_deref(), Some(id), "{segment}");
    }
}

#[tokio::test]
async fn what_looks_like_code_arrives_verbatim() {
    for id in [
        "\" or r.customer_id != \"",
        "x\") |> drop(columns: [\"_value\"]) //",
        "'; DROP TABLE cell; --",
        "' OR '1'='1",
        "${env.TOKEN}",
        "{{7*7}}",
        "a\\\"b",
        "cust_1,success=1 duration=0",
        "../../livez",
        "%00",
    ] {
        assert_eq!(asked_for(&Fake::new(), &encoded(id)).await.as_deref(), Some(id));
    }
}

#[tokio::test]
async fn an_id_that_no_customer_can_have_is_404_and_the_store_is_asked_for_nobody() {
    let longest = "x".repeat(256);
    assert_eq!(asked_for(&Fake::new(), &longest).await.as_deref(), Some(longest.as_str()));
    for segment in [
        "",
        "",
        "%FF",
        "a%C3",
        "%ED%A0%80",
        "%00",
        "a%0Ab",
        "%7F",
        "%C2%85",
        "a%5C",
        &"x".repeat(257),
        &encoded(&"é".repeat(129)),
    ] {
        assert_eq!(asked_for(&Fake::new(), segment).await.as_deref(), Some(""), "{segment}");
    }
}

#[tokio::test]
async fn the_fixed_paths_win_only_as_a_whole() {
    let fake = Fake::new();
    let router = router(&fake);
    for (path, customer) in [
        ("/customers/stats", None),
        ("/customers/customer/stats/all", None),
        ("/customers/customer/stats", Some("customer")),
        ("/customers/stats/stats", Some("stats")),
        ("/customers/all/stats", Some("all")),
        ("/customers/customers/stats", Some("customers")),
    ] {
        get(&router, &format!("{path}?from_date=1970-01-01")).await.problem(404, "no-data");
        let Some(Asked::Stats(query)) = fake.asked().pop() else { panic!("{path}") };
        assert_eq!(query.customer.as_deref(), customer, "{path}");
    }
    for path in ["/customers/a/b/stats", "/customers/a", "/customers/a/stats/", "/customers/a/stats/all"] {
        get(&router, &format!("{path}?from_date=1970-01-01")).await.problem(404, "no-such-path");
    }
}

#[tokio::test]
async fn neighbours_are_told_apart() {
    let fake = Fake::new();
    let ids = [
        "a",
        "A",
        "a ",
        " a",
        "a/",
        "a%",
        "a%20",
        "\u{e9}",
        "e\u{301}",
        "a\u{200b}",
        "a,",
        "a\"",
        "$a",
        "${a}",
    ];
    for (number, id) in (1..).zip(ids) {
        for _ in 0..number {
            fake.add(id, "2024-09-30T00:00:00Z", 200, 1);
        }
    }
    let router = router(&fake);
    for (number, id) in (1..).zip(ids) {
        let answer = ask(&router, &encoded(id)).await.json();
        assert_eq!(
            (&answer["customer_id"], &answer["total_requests"]),
            (&id.into(), &number.into()),
            "{id:?}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_possible_id_is_found(id in "[^\\p{Cc}\\\\]{1,60}") {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        prop_assert_eq!(runtime.block_on(asked_for(&Fake::new(), &encoded(&id))), Some(id));
    }
}
