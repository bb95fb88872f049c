//! The list of customers: pages, cursors, what is refused.

use insta::assert_snapshot;

use crate::ask::{example, get, router};
use crate::fake::Fake;

#[tokio::test]
async fn a4_a_page_of_customers() {
    let router = router(&example());
    assert_snapshot!(get(&router, "/customers").await.shown(), @r#"
    200 application/json
    {"data":[{"customer_id":"cust_1",
     "requests":5,
     "last_seen":"2024-09-30T09:15:34Z"},{"customer_id":"cust_2",
     "requests":1,
     "last_seen":"2024-09-30T07:00:00Z"}],
     "next_cursor":null,
     "as_of":"2024-09-30T09:15:35.600Z",
     "lag_seconds":0.4}
    "#);
    let first = get(&router, "/customers?limit=1").await;
    assert_snapshot!(first.shown(), @r#"
    200 application/json
    {"data":[{"customer_id":"cust_1",
     "requests":5,
     "last_seen":"2024-09-30T09:15:34Z"}],
     "next_cursor":"MWN1c3RfMQ",
     "as_of":"2024-09-30T09:15:35.600Z",
     "lag_seconds":0.4}
    "#);
    assert_snapshot!(first.header("link"), @r#"</customers?limit=1&cursor=MWN1c3RfMQ>; rel="next""#);
    assert_eq!(get(&router, "/customers").await.header("link"), "");
}

#[tokio::test]
async fn the_pages_join_without_hole_or_overlap() {
    let fake = Fake::new();
    let mut ids: Vec<String> = (0..23).map(|number| format!("cust \u{e9}/{number}?&=")).collect();
    for id in &ids {
        fake.add(id, "2024-09-30T00:00:00Z", 200, 1);
    }
    ids.sort();
    let router = router(&fake);
    for limit in [1, 2, 5, 22, 23, 24] {
        let mut seen = Vec::new();
        let mut path = format!("/customers?limit={limit}");
        loop {
            let page = get(&router, &path).await;
            let rows = page.json()["data"].as_array().expect("rows").clone();
            assert!(rows.len() <= limit && !rows.is_empty(), "{path}");
            seen.extend(rows.iter().map(|row| row["customer_id"].as_str().expect("an id").to_owned()));
            let Some(next) = page.header("link").strip_suffix(">; rel=\"next\"") else { break };
            path = next.strip_prefix('<').expect("a link").to_owned();
            let cursor = page.json()["next_cursor"].as_str().expect("a cursor").to_owned();
            assert_eq!(path, format!("/customers?limit={limit}&cursor={cursor}"));
        }
        assert_eq!(seen, ids, "limit {limit}");
    }
}

#[tokio::test]
async fn an_empty_list_is_an_answer() {
    assert_snapshot!(get(&router(&Fake::new()), "/customers").await.shown(), @r#"
    200 application/json
    {"data":[],
     "next_cursor":null,
     "as_of":"2024-09-30T09:15:35.600Z",
     "lag_seconds":0.4}
    "#);
}

#[tokio::test]
async fn a_faulty_page_is_422_and_named() {
    let fake = example();
    let router = router(&fake);
    for (query, parameter) in [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=ten", "limit"),
        ("limit=5&limit=5", "limit"),
        ("cursor=", "cursor"),
        ("cursor=cust_1", "cursor"),
        ("cursor=MQ&limit=5", "cursor"),
        ("page=2", "page"),
    ] {
        let problem = get(&router, &format!("/customers?{query}")).await.problem(422, "invalid-parameter");
        assert_eq!(problem["errors"][0]["parameter"], parameter, "{query}: {problem}");
    }
    assert!(fake.asked().is_empty());
}
