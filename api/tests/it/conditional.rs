//! ETag, If-None-Match, caching headers, compression.

use std::io::Read;

use crate::ask::{Answer, example, get, get_with, router};
use crate::fake::Fake;

const STATS: &str = "/customers/cust_1/stats?from_date=2024-09-29";
const PATHS: [&str; 4] = [
    STATS,
    "/customers/stats?from_date=2024-09-29",
    "/customers/customer/stats/all?from_date=2024-09-29",
    "/customers?limit=1",
];

fn assert_headers(answer: &Answer, path: &str) {
    assert_eq!(answer.header("cache-control"), "private, max-age=0, must-revalidate", "{path}");
    assert_eq!(answer.header("vary"), "Accept, Accept-Encoding, Authorization, X-API-Key", "{path}");
    assert_eq!(answer.headers.get_all("vary").iter().count(), 1, "{path}");
    assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
}

#[tokio::test]
async fn an_answer_has_a_strong_tag_and_is_not_sent_twice() {
    let router = router(&example());
    for path in PATHS {
        let answer = get(&router, path).await;
        let tag = answer.header("etag");
        assert!(tag.starts_with('"') && tag.ends_with('"') && tag.len() > 10, "{path}: {tag}");
        assert_headers(&answer, path);
        for list in
            [tag, "*", &format!("W/{tag}"), &format!("\"other\", {tag}"), &format!("\"a,b\" , W/{tag},\"c\"")]
        {
            let unchanged = get_with(&router, path, &[("if-none-match", list)]).await;
            assert_eq!((unchanged.status.as_u16(), unchanged.body.len()), (304, 0), "{path}: {list}");
            assert_eq!(unchanged.header("etag"), tag, "{path}: {list}");
            assert_headers(&unchanged, path);
        }
        for list in ["\"other\"", "", "nonsense", &tag[1..]] {
            assert_eq!(
                get_with(&router, path, &[("if-none-match", list)]).await.status,
                200,
                "{path}: {list}"
            );
        }
        let two_lines = [("if-none-match", "\"other\""), ("if-none-match", tag)];
        assert_eq!(get_with(&router, path, &two_lines).await.status, 304, "{path}: in the second line");
    }
}

#[tokio::test]
async fn a_tag_follows_the_data_and_the_question_but_not_the_freshness() {
    let fake = example();
    let router = router(&fake);
    let tag = async |path: &str| get(&router, path).await.header("etag").to_owned();
    let mut tags: Vec<String> = Vec::new();
    for path in [
        STATS,
        "/customers/cust_2/stats?from_date=2024-09-29",
        "/customers/cust_1/stats?from_date=2024-09-30",
        "/customers/stats?from_date=2024-09-29",
        "/customers",
        "/customers?limit=1",
    ] {
        tags.push(tag(path).await);
    }
    let mut distinct = tags.clone();
    distinct.sort();
    distinct.dedup();
    assert_eq!(distinct.len(), tags.len(), "{tags:?}");

    fake.set_as_of(Some(crate::ask::NOW_MICROS));
    assert_eq!(tag(STATS).await, tags[0], "only fresher");
    assert_eq!(tag("/customers/cust_1/stats?from=2024-09-29").await, tags[0], "the same question");
    fake.add("cust_2", "2024-09-30T09:00:00Z", 200, 1);
    assert_eq!(tag(STATS).await, tags[0], "a new version with the same numbers for this customer");
    fake.add("cust_1", "2024-09-30T09:00:00Z", 200, 1);
    assert_ne!(tag(STATS).await, tags[0], "new numbers");
}

#[tokio::test]
async fn a_tag_of_lost_and_rebuilt_data_vouches_for_nothing() {
    let before = Fake::new();
    before.add("cust_1", "2024-09-30T09:00:00Z", 200, 1);
    let after = Fake::new();
    after.add("cust_1", "2024-09-30T09:00:00Z", 500, 1);
    let tag = get(&router(&before), STATS).await.header("etag").to_owned();
    let answer = get_with(&router(&after), STATS, &[("if-none-match", &tag)]).await;
    assert_eq!(answer.status, 200, "equal versions of two ledgers are not equal data");
}

#[tokio::test]
async fn a_missing_answer_has_no_tag_and_any_tag_does_not_make_it_304() {
    let router = router(&example());
    let missing =
        get_with(&router, "/customers/cust_9/stats?from_date=2024-09-29", &[("if-none-match", "*")]).await;
    missing.problem(404, "no-data");
    assert_eq!(missing.header("etag"), "");
}

#[tokio::test]
async fn a_compressed_answer_says_the_same_under_a_weak_tag() {
    let router = router(&example());
    let plain = get(&router, STATS).await;
    let packed = get_with(&router, STATS, &[("accept-encoding", "gzip")]).await;
    assert_eq!(packed.header("content-encoding"), "gzip");
    assert_eq!(packed.header("etag"), format!("W/{}", plain.header("etag")));
    assert_headers(&packed, STATS);
    let mut text = String::new();
    flate2::read::GzDecoder::new(&packed.body[..]).read_to_string(&mut text).expect("gzip");
    assert_eq!(text, plain.text());
    let unchanged =
        get_with(&router, STATS, &[("accept-encoding", "gzip"), ("if-none-match", packed.header("etag"))])
            .await;
    assert_eq!(unchanged.status, 304);
}

#[tokio::test]
async fn head_is_get_without_the_body() {
    let router = router(&example());
    for path in PATHS.into_iter().chain(["/", "/livez", "/readyz", "/metrics", "/openapi.json", "/docs/"]) {
        let request = axum::http::Request::head(path).body(axum::body::Body::empty()).expect(path);
        let head = crate::ask::send(&router, request).await;
        let whole = get(&router, path).await;
        assert_eq!((head.status, head.body.len()), (whole.status, 0), "{path}");
        assert_eq!(head.header("etag"), whole.header("etag"), "{path}");
    }
}
