//! The write side against the stand-in.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use logline::{CustomerId, Latency, LogTime, Record, RequestPath, Status};

use super::*;
use crate::influx::Gzip;
use crate::influx::fake::{Answer, FakeInflux, Fault};
use crate::{KeyStart, Statistics, point_time_nanos};

const PATIENCE: Duration = Duration::from_secs(20);

fn store(fake: &FakeInflux, change: impl FnOnce(&mut InfluxConfig)) -> InfluxRequests {
    let mut config =
        InfluxConfig::new(&fake.url(), "my org", "my/bucket&co", "secret-token").expect("good settings");
    change(&mut config);
    InfluxRequests::new(config).expect("http needs no certificates")
}

/// A body of `count` requests of one second, told apart by their place alone.
fn body(store: &InfluxRequests, count: u64) -> Bytes {
    let mut body = Vec::new();
    for offset in 0..count {
        let time = LogTime { second: 1_726_330_535, nanos: 0, ambiguous: false };
        let record = Record {
            time,
            customer: CustomerId::new("cust_5").expect("a customer"),
            path: Some(RequestPath::new("/api/v1/resource4").expect("a path")),
            status: Status::new(200).expect("a status"),
            latency: Some(Latency::from_micros(772_000).expect("a latency")),
        };
        let time_nanos = point_time_nanos(time, KeyStart(17), offset * 60);
        store.encode(&PlacedRequest { source: "main", record, time_nanos }, &mut body);
    }
    Bytes::from(body)
}

#[tokio::test]
async fn i2_the_same_body_twice_changes_nothing() {
    let fake = FakeInflux::start().expect("started");
    fake.rule(|rules| rules.token = Some("secret-token".to_owned()));
    let store = store(&fake, |_| {});
    let body = body(&store, 1000);
    assert_eq!(store.write(body.clone()).await, Ok(()));
    assert_eq!(fake.count("api_requests"), 1000, "1,000 requests of one second are 1,000 points");
    assert_eq!(store.write(body).await, Ok(()));
    let counts = fake.counts();
    assert_eq!((counts.points, counts.repeated_points, counts.changed_points), (1000, 1000, 0));
}

#[tokio::test]
async fn bodies_are_compressed_where_it_was_asked_for() {
    for (gzip, expected) in [(Gzip::On, true), (Gzip::Off, false), (Gzip::Auto, false)] {
        let fake = FakeInflux::start().expect("started");
        fake.on_write(move |seen| {
            assert_eq!(seen.gzip, expected);
            Fault::None
        });
        let store = store(&fake, |config| config.gzip = gzip);
        assert_eq!(store.write(body(&store, 100)).await, Ok(()), "{gzip:?}");
        assert_eq!(fake.count("api_requests"), 100, "{gzip:?}");
    }
}

fn later(trouble: &Result<(), Trouble>) -> Option<Duration> {
    match trouble {
        Err(Trouble::TryLater { after, why }) => {
            assert!(!why.contains("secret"), "{why}");
            *after
        }
        other => panic!("expected TryLater, not {other:?}"),
    }
}

#[tokio::test]
async fn i4_every_answer_is_one_attempt_with_its_meaning() {
    let fake = FakeInflux::start().expect("started");
    let store = store(&fake, |_| {});
    let body = body(&store, 3);
    let mut attempts = 0;
    let mut attempt = async |answer: Answer| {
        fake.fail_next(1, &Fault::Answer(answer));
        let result = store.write(body.clone()).await;
        attempts += 1;
        assert_eq!(fake.counts().writes, attempts, "one call is one attempt");
        result
    };
    assert_eq!(later(&attempt(Answer::busy(7)).await), Some(Duration::from_secs(7)));
    assert_eq!(later(&attempt(Answer::error(429, "too many requests", "slow down")).await), None);
    let dated = Answer::new(503, "")
        .with("Retry-After", "Sat, 21 Nov 2026 14:00:09 GMT")
        .with("Date", "Sat, 21 Nov 2026 14:00:00 GMT");
    assert_eq!(later(&attempt(dated).await), Some(Duration::from_secs(9)));
    assert_eq!(later(&attempt(Answer::error(500, "internal", "cache-max-memory-size exceeded")).await), None);
    assert!(matches!(attempt(Answer::too_large()).await, Err(Trouble::TooLarge { .. })));
    assert!(matches!(attempt(Answer::field_type_conflict()).await, Err(Trouble::Misconfigured { .. })));
    assert!(matches!(
        attempt(Answer::error(401, "unauthorized", "unauthorized access")).await,
        Err(Trouble::Misconfigured { .. })
    ));
    assert!(matches!(attempt(Answer::new(200, "<html>hello")).await, Err(Trouble::Misconfigured { .. })));
    let moved = attempt(Answer::new(308, "").with("Location", "https://elsewhere/api/v2/write")).await;
    assert!(matches!(moved, Err(Trouble::Misconfigured { why, .. }) if why.contains("https://elsewhere")));
    let refused =
        attempt(Answer::error(400, "invalid", "unable to parse 'x secret-token': missing fields")).await;
    assert!(matches!(refused, Err(Trouble::Refused { why }) if why.contains("unable to parse 'x ***'")));
    // Thousands of unreadable lines are all named: too much to read, and clear enough.
    let refused =
        attempt(Answer::error(400, "invalid", &"unable to parse 'x': missing fields\n".repeat(10_000))).await;
    assert!(matches!(&refused, Err(Trouble::Refused { why }) if why.len() < 1000), "{refused:?}");
    assert_eq!(fake.counts().points, 0);
    assert_eq!(store.write(body.clone()).await, Ok(()));
    assert_eq!(fake.counts().points, 3);
}

#[tokio::test]
async fn a_lost_acknowledgement_is_try_later_and_a_replay_changes_nothing() {
    let fake = FakeInflux::start().expect("started");
    let store = store(&fake, |config| config.request_timeout = Duration::from_millis(300));
    let body = body(&store, 10);
    for (fault, points) in [
        (Fault::Cut { store: false }, 0),
        (Fault::Withhold { store: false }, 0),
        (Fault::Cut { store: true }, 10),
        (Fault::Withhold { store: true }, 10),
    ] {
        fake.fail_next(1, &fault);
        assert_eq!(later(&store.write(body.clone()).await), None, "{fault:?}");
        fake.release();
        assert_eq!(fake.counts().points, points, "{fault:?}");
    }
    assert_eq!(store.write(body).await, Ok(()));
    assert_eq!((fake.counts().points, fake.counts().changed_points), (10, 0));
}

#[tokio::test]
async fn a_server_that_is_not_there_or_says_nothing_is_try_later_within_the_timeout() {
    let nobody = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = nobody.local_addr().expect("an address");
    let mut config = InfluxConfig::new(&format!("http://{address}"), "o", "b", "secret-token").expect("good");
    config.request_timeout = Duration::from_millis(300);
    let store = InfluxRequests::new(config).expect("good");
    let body = body(&store, 1);
    let begin = Instant::now();
    // Somebody listens, and never answers.
    assert_eq!(later(&store.write(body.clone()).await), None);
    assert!(begin.elapsed() < PATIENCE);
    drop(nobody);
    let refused = store.write(body).await;
    assert_eq!(later(&refused), None);
    assert!(refused.expect_err("refused").to_string().contains("no connection"));
    assert_eq!(later(&store.prepare().await), None);
}

#[tokio::test]
async fn a_stopped_server_comes_back_with_what_it_had() {
    let fake = FakeInflux::start().expect("started");
    let store = store(&fake, |_| {});
    let body = body(&store, 5);
    assert_eq!(store.write(body.clone()).await, Ok(()));
    fake.stop();
    assert_eq!(later(&store.write(body.clone()).await), None);
    fake.start_again().expect("the port is free again");
    assert_eq!(store.write(body).await, Ok(()));
    assert_eq!((fake.counts().points, fake.counts().repeated_points), (5, 5));
}

#[tokio::test]
async fn standing_rules_refuse_bodies() {
    let fake = FakeInflux::start().expect("started");
    let store = store(&fake, |_| {});
    let body = body(&store, 20);
    fake.rule(|rules| rules.body_max_bytes = Some(body.len() - 1));
    assert!(matches!(store.write(body.clone()).await, Err(Trouble::TooLarge { .. })));
    fake.rule(|rules| (rules.body_max_bytes, rules.refuse_lines_with) = (None, Some("resource4".to_owned())));
    assert!(
        matches!(store.write(body.clone()).await, Err(Trouble::Refused { why }) if why.contains("api_requests,customer_id=cust_5"))
    );
    fake.rule(|rules| (rules.refuse_lines_with, rules.field_type_conflict) = (None, true));
    assert!(matches!(store.write(body.clone()).await, Err(Trouble::Misconfigured { .. })));
    fake.rule(|rules| (rules.field_type_conflict, rules.bucket_missing) = (false, true));
    assert!(matches!(store.write(body.clone()).await, Err(Trouble::Misconfigured { .. })));
    assert_eq!(fake.counts().points, 0);
    assert_eq!(store.prepare().await, Ok(()), "creates the bucket");
    assert_eq!(store.write(body).await, Ok(()));
}

#[tokio::test]
async fn generations_and_owner_are_found_again() {
    let fake = FakeInflux::start().expect("started");
    let store = store(&fake, |_| {});
    assert_eq!(store.generations("main").await, Ok(Vec::new()));
    assert_eq!(store.owner("main").await, Ok(None));

    let generation = |source: &str, head: &str, start, first_seen_second| StoredGeneration {
        source: source.to_owned(),
        head: head.to_owned(),
        start: KeyStart(start),
        first_seen_second,
    };
    let second = generation("main", "bb", u64::MAX, 200);
    let first = generation("main", "aa", 5, 100);
    for generation in [&second, &first, &generation("other", "cc", 9, 50)] {
        assert_eq!(store.register_generation(generation).await, Ok(()));
    }
    assert_eq!(store.generations("main").await, Ok(vec![first, second]));

    let mut owner = Owner {
        source: "main".to_owned(),
        ledger: "led,g\"er".to_owned(),
        commit: 3,
        heartbeat_micros: 1_726_330_535_000_001,
        as_of_micros: None,
        released: false,
        statistics: Statistics::Incomplete,
        mark_nanos: 1_726_330_535_000_000_001,
    };
    for step in 0..3 {
        owner.commit += 1;
        owner.mark_nanos += step;
        owner.heartbeat_micros += 3_600_000_000;
        owner.as_of_micros = (step > 0).then_some(owner.heartbeat_micros - 5);
        owner.released = step == 2;
        assert_eq!(store.publish_owners(std::slice::from_ref(&owner)).await, Ok(()));
        assert_eq!(store.owner("main").await, Ok(Some(owner.clone())));
    }
    assert_eq!(store.owner("other").await, Ok(None));
    let last = owner.mark_nanos;
    let commits = |statements: Vec<Owner>| statements.iter().map(|owner| owner.commit).collect::<Vec<_>>();
    // The first was overwritten by none, the second stands behind it, the third behind that.
    assert_eq!(store.statements("main", last - 3, last + 1).await.map(commits), Ok(vec![4, 5, 6]));
    assert_eq!(store.statements("main", last, last + 1).await, Ok(vec![owner]));
    assert_eq!(store.statements("main", last + 1, last + 2).await, Ok(vec![]));
    assert_eq!(store.statements("other", 0, i64::MAX).await, Ok(vec![]));
}

#[tokio::test]
async fn a_store_that_can_only_be_written_is_asked_only_whether_it_is_there() {
    let fake = FakeInflux::start().expect("started");
    let store = store(&fake, |config| config.write_only = true);
    assert_eq!(store.prepare().await, Ok(()));
    assert_eq!(store.generations("main").await, Ok(Vec::new()));
    assert_eq!(store.owner("main").await, Ok(None));
    assert_eq!(fake.counts().requests, 1, "is anybody there");
    fake.rule(|rules| rules.instead.push(("/health".to_owned(), Answer::new(404, "what?"))));
    assert_eq!(store.prepare().await, Ok(()), "whatever it says to that");
    assert_eq!(store.write(body(&store, 1)).await, Ok(()));
    fake.stop();
    assert!(matches!(store.prepare().await, Err(Trouble::TryLater { .. })));
}

#[tokio::test]
async fn a_base_path_is_kept() {
    let fake = FakeInflux::start().expect("started");
    let config = InfluxConfig::new(&format!("{}/v1/influxdb/", fake.url()), "o", "b", "t").expect("good");
    let store = InfluxRequests::new(config).expect("good");
    assert_eq!(store.prepare().await, Ok(()));
    assert_eq!(store.write(body(&store, 2)).await, Ok(()));
    assert_eq!(fake.count("api_requests"), 2);
    assert_eq!(store.describe(), format!("influxdb {}/v1/influxdb", fake.url()));
}
