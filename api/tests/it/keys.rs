//! Who may see what: keys, share links, and that nobody sees another customer's data, in any path, form, stream, cache or error.

use api::keys::{Keys, NewKey};
use api::{Access, AppState, Options, app};
use axum::Router;
use axum::body::Body;
use axum::http::Request;
use insta::assert_snapshot;
use service::Stop;

use crate::ask::{Answer, NOW_MICROS, clock, example, get, get_with, send};
use crate::fake::Fake;
use crate::program::{Program, run};

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const NOW: i64 = NOW_MICROS / 1_000_000;

struct House {
    fake: Fake,
    router: Router,
    admin: String,
    one: String,
    keys: Keys,
}

/// An api with a key for everything, one for cust_1, and share links.
fn house(requests_per_second: u32) -> House {
    let fake = example();
    let (admin, one) =
        (NewKey::generate(None).expect("bytes"), NewKey::generate(Some("cust_1")).expect("bytes"));
    let keys = Keys::parse(&format!("{}\n{}", admin.entry, one.entry)).expect("entries");
    let keys = keys.sharing(SECRET).expect("a secret");
    let access = Access { keys: keys.clone(), requests_per_second, cors_origins: Vec::new() };
    let state = AppState::guarded(fake.clone(), clock(), Options::default(), Stop::never(), access);
    House { fake, router: app(state), admin: admin.key, one: one.key, keys }
}

impl House {
    async fn with(&self, key: &str, path: &str) -> Answer {
        get_with(&self.router, path, &[("authorization", &format!("Bearer {key}"))]).await
    }
}

/// Every path that speaks of one customer, but the streams.
const OF_ONE: [&str; 6] = [
    "/customers/ID/stats?from_date=2024-09-29",
    "/v1/customers/ID/stats?from=2024-09-29",
    "/v1/customers/ID/series?from=2024-09-29&format=csv",
    "/v1/customers/ID/latency?from=2024-09-29",
    "/v1/customers/ID/paths?from=2024-09-29&format=ndjson",
    "/v1/customers/ID/requests?from=2024-09-29",
];
/// Every path that speaks of all.
const OF_ALL: [&str; 12] = [
    "/customers",
    "/customers/stats?from_date=2024-09-29",
    "/customers/customer/stats/all?from_date=2024-09-29",
    "/v1/stats",
    "/v1/series",
    "/v1/latency",
    "/v1/customers",
    "/v1/hurt",
    "/v1/live",
    "/v1/pipeline",
    "/v1/rejects",
    "/metrics",
];

#[tokio::test]
async fn without_a_key_nothing_is_told() {
    let house = house(0);
    for path in OF_ONE.iter().chain(&OF_ALL).chain(&[
        "/v1/customers/ID/live",
        "/v1/customers/ID/share",
        "/v1/me",
        "/nowhere",
    ]) {
        let path = path.replace("ID", "cust_1");
        for headers in [
            &[][..],
            &[("authorization", "Bearer tg_wrong")],
            &[("authorization", "Basic dXNlcjpwYXNz")],
            &[("authorization", "")],
            &[("x-api-key", "")],
            &[("x-api-key", &house.admin), ("authorization", "Bearer tg_wrong")],
            &[("x-api-key", &house.admin), ("x-api-key", &house.one)],
        ] {
            let answer = get_with(&house.router, &path, headers).await;
            answer.problem(401, "unauthorized");
            assert_eq!(answer.header("www-authenticate"), "Bearer realm=\"tailgauge\"", "{path}");
        }
    }
    assert_eq!(house.fake.asked(), [], "the store was not asked");
    for open in
        ["/", "/livez", "/readyz", "/openapi.json", "/docs/", "/dashboard/app.js", "/dashboard/app.css"]
    {
        assert_eq!(get(&house.router, open).await.status, 200, "{open}");
    }
    assert_snapshot!(get(&house.router, "/v1/stats").await.shown(), @r#"
    401 application/problem+json
    {"type":"urn:problem-type:tailgauge:unauthorized",
     "title":"A valid key is needed",
     "status":401,
     "detail":"send a valid key as `Authorization: Bearer KEY` or `X-API-Key: KEY`, or use a share link that is not over",
     "instance":"/v1/stats"}
    "#);
}

/// A proxy's own `Authorization` must not shut out who needs no key.
#[tokio::test]
async fn where_no_key_is_needed_none_is_looked_at() {
    let router = crate::ask::router(&example());
    for header in [("authorization", "Basic dXNlcjpwYXNz"), ("authorization", "Bearer x"), ("x-api-key", "y")]
    {
        assert_eq!(get_with(&router, "/v1/stats", &[header]).await.status, 200, "{header:?}");
    }
    get(&router, "/v1/customers/cust_1/stats?share=x").await.problem(401, "unauthorized");
}

#[tokio::test]
async fn a_key_for_everything_opens_everything() {
    let house = house(0);
    for path in OF_ONE.iter().chain(&OF_ALL).filter(|path| !path.ends_with("live")) {
        let path = path.replace("ID", "cust_2");
        assert_eq!(house.with(&house.admin, &path).await.status, 200, "{path}");
        assert_eq!(
            get_with(&house.router, &path, &[("x-api-key", &house.admin)]).await.status,
            200,
            "{path}"
        );
    }
}

/// What a customer's key or link must see of a path: its own data; of others exactly what it sees of those who are not there.
#[tokio::test]
async fn a5_a_customer_sees_its_own_data_and_nothing_else() {
    let house = house(0);
    let token = house.keys.share("cust_1", NOW + 60).expect("a secret");
    for path in OF_ONE {
        let of = |id: &str| path.replace("ID", id);
        // What an administrator has seen is in the cache, and its tag is known.
        let seen = house.with(&house.admin, &of("cust_2")).await;
        assert_eq!(seen.status, 200, "{path}");
        let before = house.fake.asked().len();
        let own = house.with(&house.one, &of("cust_1")).await;
        assert_eq!(own.status, 200, "{path}: {}", own.text());
        let bearer = format!("Bearer {}", house.one);
        let shown = [("authorization", bearer.as_str()), ("if-none-match", seen.header("etag"))];
        let other = get_with(&house.router, &of("cust_2"), &shown).await;
        let nobody = get_with(&house.router, &of("cust_9"), &shown).await;
        assert_eq!(other.status, 404, "{path}");
        assert_eq!(other.text().replace("cust_2", "cust_9"), nobody.text(), "{path}");
        for header in ["etag", "cache-control", "vary", "content-length"] {
            assert_eq!(other.headers.get(header), nobody.headers.get(header), "{path}: {header}");
        }
        for odd in ["cust_1%20", "Cust_1", "cust_1%00", "cust_1%2F", "%63ust_2"] {
            assert_eq!(house.with(&house.one, &of(odd)).await.status, 404, "{path}: {odd}");
        }
        let asked = house.fake.asked();
        let strangers: Vec<_> = asked[before..]
            .iter()
            .filter(|asked| !["cust_1", ""].contains(&asked.customer().unwrap_or("everybody")))
            .collect();
        assert!(strangers.is_empty(), "A5: {path} asked the store for {strangers:?}");
        if path.starts_with("/v1") {
            let separator = if path.contains('?') { '&' } else { '?' };
            let link = |id: &str| format!("{}{separator}share={token}", of(id));
            let shared = get(&house.router, &link("cust_1")).await;
            assert_eq!((shared.status.as_u16(), &shared.body), (200, &own.body), "{path}");
            assert_eq!(get(&house.router, &link("cust_2")).await.status, 404, "{path}");
        }
    }
    for path in OF_ALL {
        house.with(&house.one, path).await.problem(403, "forbidden");
    }
    house.with(&house.one, "/v1/customers/cust_1/share").await.problem(403, "forbidden");
    house.with(&house.one, "/v1/customers/cust_2/live").await.problem(404, "unknown-customer");
    get(&house.router, &format!("/v1/customers/cust_2/live?share={token}"))
        .await
        .problem(404, "unknown-customer");
    get(&house.router, &format!("/v1/live?share={token}")).await.problem(403, "forbidden");
}

/// What a page asks first.
#[tokio::test]
async fn who_asks_is_told_what_its_key_or_link_opens() {
    let house = house(0);
    assert_snapshot!(house.with(&house.admin, "/v1/me").await.shown(), @r#"
    200 application/json
    {"scope":"everything",
     "customer_id":null,
     "expires":null,
     "key_needed":true,
     "can_share":true}
    "#);
    let one = house.with(&house.one, "/v1/me").await;
    assert_snapshot!(one.shown(), @r#"
    200 application/json
    {"scope":"customer",
     "customer_id":"cust_1",
     "expires":null,
     "key_needed":true,
     "can_share":false}
    "#);
    assert_eq!(one.header("cache-control"), "no-store");
    let token = house.keys.share("cust_1", NOW + 60).expect("a secret");
    assert_snapshot!(get(&house.router, &format!("/v1/me?share={token}")).await.shown(), @r#"
    200 application/json
    {"scope":"customer",
     "customer_id":"cust_1",
     "expires":"2024-09-30T09:16:36Z",
     "key_needed":true,
     "can_share":false}
    "#);
    let over = house.keys.share("cust_1", NOW).expect("a secret");
    get(&house.router, &format!("/v1/me?share={over}")).await.problem(401, "unauthorized");
    get(&house.router, "/v1/me").await.problem(401, "unauthorized");
    house.with("tg_wrong", "/v1/me").await.problem(401, "unauthorized");
    house.with(&house.one, "/v1/me?customer_id=cust_2").await.problem(422, "invalid-parameter");
    assert_eq!(house.fake.asked(), [], "the store was not asked");
    let open = get(&crate::ask::router(&example()), "/v1/me").await.json();
    assert_eq!(
        (&open["scope"], &open["key_needed"], &open["can_share"]),
        (&"everything".into(), &false.into(), &false.into())
    );
}

#[tokio::test]
async fn links_are_made_by_who_may_see_everything_and_end() {
    let house = house(0);
    let made = house.with(&house.admin, "/v1/customers/cust_1/share?for=1h").await;
    assert_eq!((made.status.as_u16(), made.header("cache-control")), (200, "no-store"));
    assert_eq!(
        (made.json()["expires"].as_str(), made.json()["customer_id"].as_str()),
        (Some("2024-09-30T10:15:36Z"), Some("cust_1"))
    );
    let token = made.json()["token"].as_str().expect("a token").to_owned();
    assert_eq!(made.json()["page"], format!("/?customer=cust_1&share={token}"));
    assert_eq!(get(&house.router, &format!("/v1/customers/cust_1/stats?share={token}")).await.status, 200);
    for wrong in ["0h", "x", "1y", "99999d", ""] {
        house
            .with(&house.admin, &format!("/v1/customers/cust_1/share?for={wrong}"))
            .await
            .problem(422, "invalid-parameter");
    }
    let over = house.keys.share("cust_1", NOW).expect("a secret");
    for token in [over.as_str(), "", "x.y", &token[1..], &format!("{token}&share={token}")] {
        let path = format!("/v1/customers/cust_1/stats?share={token}");
        get(&house.router, &path).await.problem(401, "unauthorized");
    }
}

#[tokio::test]
async fn a_stream_of_a_link_ends_with_the_link() {
    use http_body_util::BodyExt;
    let house = house(0);
    // Open at the clock of the tests, and over at the next tick of a clock that has gone on.
    let late = std::sync::Arc::new(std::sync::atomic::AtomicI64::new(NOW_MICROS));
    let time = std::sync::Arc::clone(&late);
    let clock: api::Clock = std::sync::Arc::new(move || time.load(std::sync::atomic::Ordering::SeqCst));
    let access = Access { keys: house.keys.clone(), ..Access::default() };
    let router = app(AppState::guarded(house.fake.clone(), clock, Options::default(), Stop::never(), access));
    let token = house.keys.share("cust_1", NOW + 5).expect("a secret");
    let request =
        Request::builder().uri(format!("/v1/customers/cust_1/live?share={token}")).body(Body::empty());
    let response = tower::ServiceExt::oneshot(router, request.expect("a request")).await.expect("an answer");
    assert_eq!(response.status(), 200);
    let mut body = response.into_body();
    assert!(body.frame().await.is_some(), "the first event");
    late.store(NOW_MICROS + 5_000_000, std::sync::atomic::Ordering::SeqCst);
    let deadline = std::time::Duration::from_secs(10);
    while tokio::time::timeout(deadline, body.frame()).await.expect("it ends in time").is_some() {}
}

#[tokio::test]
async fn each_key_may_ask_so_often() {
    let house = house(2);
    for _ in 0..4 {
        assert_eq!(house.with(&house.one, "/v1/customers/cust_1/stats").await.status, 200);
    }
    let refused = house.with(&house.one, "/v1/customers/cust_1/stats").await;
    refused.problem(429, "too-many-requests");
    assert_eq!(refused.header("retry-after"), "1");
    assert_eq!(house.with(&house.admin, "/v1/stats").await.status, 200, "another key is not touched");
    assert_eq!(get(&house.router, "/livez").await.status, 200);
}

#[tokio::test]
async fn other_sites_may_ask_only_where_they_are_listed() {
    let asked = async |origins: &[&'static str], origin: &str| {
        let cors_origins =
            origins.iter().map(|origin| axum::http::HeaderValue::from_static(origin)).collect();
        let access = Access { cors_origins, ..Access::default() };
        let router = app(AppState::guarded(example(), clock(), Options::default(), Stop::never(), access));
        let preflight = Request::builder().method("OPTIONS").uri("/v1/stats").header("origin", origin);
        let preflight =
            preflight.header("access-control-request-method", "GET").body(Body::empty()).expect("a request");
        let allowed = send(&router, preflight).await.header("access-control-allow-origin").to_owned();
        let answer = get_with(&router, "/v1/stats", &[("origin", origin)]).await;
        (allowed, answer.header("access-control-allow-origin").to_owned())
    };
    let both = |text: &str| (text.to_owned(), text.to_owned());
    assert_eq!(asked(&[], "https://a.example").await, both(""));
    assert_eq!(asked(&["https://a.example"], "https://a.example").await, both("https://a.example"));
    assert_eq!(asked(&["https://a.example"], "https://b.example").await, both(""));
}

#[tokio::test]
async fn answers_carry_the_headers_that_protect() {
    let house = house(0);
    for path in ["/v1/stats", "/", "/docs/", "/nowhere"] {
        let answer = house.with(&house.admin, path).await;
        assert_eq!(
            (
                answer.header("x-content-type-options"),
                answer.header("x-frame-options"),
                answer.header("referrer-policy")
            ),
            ("nosniff", "DENY", "no-referrer"),
            "{path}"
        );
        let policy = answer.header("content-security-policy");
        assert!(
            policy.contains("frame-ancestors 'none'") && !policy.contains("script-src 'unsafe"),
            "{path}: {policy}"
        );
    }
}

#[test]
fn the_command_makes_keys_that_open_and_the_log_never_holds_one() {
    let folder = tempfile::tempdir().expect("a folder");
    crate::ledger::Writer::open(folder.path()).store([crate::ledger::line(
        "2024-09-29 10:00:00",
        "cust_1",
        200,
        "0.5",
    )]);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    let made = run(folder.path(), &["key", "new", "--customer", "cust_1"], &[]);
    let (key, note) = (text(made.stdout).trim().to_owned(), text(made.stderr));
    let entry = note.lines().last().expect("the entry");
    assert!(key.starts_with("tg_") && !note.contains(&key), "{note}");
    let file = folder.path().join("keys");
    std::fs::write(&file, format!("# cust_1\n{entry}\n")).expect("written");
    let link = run(
        folder.path(),
        &["key", "share", "--customer", "cust_1", "--for", "1h"],
        &[("API_SHARE_SECRET", SECRET)],
    );
    let page = text(link.stderr).lines().last().expect("the page").to_owned();
    let link = text(link.stdout).trim().to_owned();
    assert_eq!(page, link.replace("/v1/customers/cust_1/stats?", "/?customer=cust_1&"));
    let state = folder.path().to_str().expect("a path");
    let settings = [
        ("STATE_DIR", state),
        ("API_KEYS_FILE", file.to_str().expect("a path")),
        ("API_SHARE_SECRET", SECRET),
        ("LOGGING_LEVEL", "trace"),
    ];
    let api = Program::start_with(folder.path(), &settings);
    assert_eq!(api.get("/v1/customers/cust_1/stats").0, 401);
    assert_eq!(api.get(&link).0, 200, "{link}");
    let headers = [("authorization", format!("Bearer {key}"))];
    assert_eq!(api.get_with("/v1/customers/cust_1/stats", &headers).0, 200);
    assert_eq!(api.get_with("/v1/customers/cust_2/stats", &headers).0, 404);
    let (_, _, log) = api.stop();
    let token = link.split('=').next_back().expect("a token");
    for secret in [key.as_str(), &key[3..], token, SECRET, &entry[7..71]] {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
    let shown = run(folder.path(), &["--print-config"], &settings);
    assert!(!text(shown.stdout).contains(SECRET));
    let refused = run(folder.path(), &["key", "share", "--customer", "cust_1"], &[]);
    assert_eq!(refused.status.code(), Some(2));
}
