//! What the real server says to bad writes and bad settings, and what that means to us.

use bytes::Bytes;
use std::time::{Duration, SystemTime};
use store::influx::testing::{Options, RealInflux};
use store::influx::{InfluxConfig, InfluxRequests, InfluxStats, Token};
use store::{
    DataVersion, KeyStart, Owner, ReadError, RequestStore, Statistics, StatsQuery, StatsStore,
    StoredGeneration, Trouble,
};

use crate::cases::{ALL_TIME, ask};
use crate::log::{DAY_0, Log, request};
use crate::subject::encode;

fn requests(config: &InfluxConfig) -> InfluxRequests {
    InfluxRequests::new(config.clone()).expect("good settings")
}

fn body(store: &InfluxRequests, count: usize) -> Bytes {
    encode(store, &Log::of(vec![request(DAY_0, "a", 200, 772); count])).into()
}

async fn read(config: &InfluxConfig) -> Result<u64, ReadError> {
    let reader = InfluxStats::new(config).expect("good settings");
    reader.stats(&StatsQuery { customer: None, range: ALL_TIME }).await.map(|answer| answer.total.requests)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_settings_are_told_with_their_fix() {
    let influx = RealInflux::shared().await;
    let good = influx.fresh().await;
    let mut bad_token = good.clone();
    bad_token.token = Token::new("not-the-token").expect("a token");
    let mut bad_org = good.clone();
    bad_org.org = "no-such-org".to_owned();
    for (config, word) in [(&bad_token, "token"), (&bad_org, "organization")] {
        let store = requests(config);
        let written = store.write(body(&store, 3)).await;
        let Err(Trouble::Misconfigured { why, fix }) = written else { panic!("{written:?}") };
        assert!(fix.contains(word) && !why.contains("not-the-token"), "{why}; {fix}");
        let prepared = store.prepare().await;
        assert!(matches!(prepared, Err(Trouble::Misconfigured { .. })), "{prepared:?}");
        let answered = read(config).await;
        assert!(matches!(answered, Err(ReadError::Misconfigured { .. })), "{answered:?}");
        assert!(matches!(store.owner("main").await, Err(Trouble::Misconfigured { .. })));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_that_is_missing_is_no_data_yet_until_it_is_made() {
    let influx = RealInflux::shared().await;
    let config = influx.unused();
    assert!(matches!(read(&config).await, Err(ReadError::NoDataYet { .. })), "{:?}", read(&config).await);
    let store = requests(&config);
    let written = store.write(body(&store, 3)).await;
    assert!(matches!(written, Err(Trouble::Misconfigured { .. })), "{written:?}");
    assert_eq!(store.prepare().await, Ok(()));
    assert_eq!(store.prepare().await, Ok(()), "again, now that it is there");
    assert_eq!(store.write(body(&store, 3)).await, Ok(()));
    assert_eq!(read(&config).await, Ok(3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_unreadable_line_refuses_the_body_and_nothing_of_it_is_stored() {
    let influx = RealInflux::shared().await;
    let config = influx.fresh().await;
    let store = requests(&config);
    let mut bad = body(&store, 5).to_vec();
    bad.extend_from_slice(b"api_requests,customer_id= duration=1 1\n");
    let written = store.write(bad.into()).await;
    assert!(matches!(&written, Err(Trouble::Refused { why }) if why.contains("customer_id=")), "{written:?}");
    assert_eq!(influx.count(&config.bucket, "api_requests", "status_code").await, 0);
    assert_eq!(store.write(body(&store, 5)).await, Ok(()));
    assert_eq!(influx.count(&config.bucket, "api_requests", "status_code").await, 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_duration_that_is_already_an_integer_is_a_setting_and_nobodys_line() {
    let influx = RealInflux::shared().await;
    let config = influx.fresh().await;
    let store = requests(&config);
    let integer = format!("api_requests,customer_id=x,success=1 duration=1i {}\n", DAY_0 * 1_000_000_000);
    assert_eq!(store.write(integer.into()).await, Ok(()));
    let written = store.write(body(&store, 3)).await;
    let Err(Trouble::Misconfigured { why, fix }) = written else { panic!("{written:?}") };
    assert!(why.contains("field type conflict") && fix.contains("another bucket"), "{why}; {fix}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lines_older_than_the_buckets_retention_are_refused() {
    let influx = RealInflux::shared().await;
    let mut config = influx.unused();
    config.retention = Some(Duration::from_secs(10 * 86_400));
    let store = requests(&config);
    assert_eq!(store.prepare().await, Ok(()));
    let written = store.write(body(&store, 3)).await;
    assert!(matches!(&written, Err(Trouble::Refused { why }) if why.contains("retention")), "{written:?}");
    assert_eq!(read(&config).await, Ok(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn compressed_bodies_are_stored() {
    let influx = RealInflux::shared().await;
    let mut config = influx.fresh().await;
    config.gzip = store::influx::Gzip::On;
    let store = requests(&config);
    assert_eq!(store.write(body(&store, 5000)).await, Ok(()));
    assert_eq!(read(&config).await, Ok(5000));
    assert_eq!(
        ask(&InfluxStats::new(&config).expect("good settings"), Some("a"), ALL_TIME).await.total.requests,
        5000
    );
}

/// What was acknowledged is there after a restart of the server, and what could not be sent can be sent again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_is_try_later_and_loses_nothing() {
    let mut influx = RealInflux::start(Options::default()).await;
    let config = influx.fresh().await;
    let store = requests(&config);
    assert_eq!(store.write(body(&store, 10)).await, Ok(()));
    influx.stop();
    for trouble in [
        store.write(body(&store, 20)).await,
        store.prepare().await,
        store.generations("main").await.map(drop),
    ] {
        assert!(matches!(trouble, Err(Trouble::TryLater { .. })), "{trouble:?}");
    }
    assert!(matches!(read(&config).await, Err(ReadError::Away { .. })));
    influx.start_again().await;
    assert_eq!(read(&config).await, Ok(10));
    assert_eq!(store.write(body(&store, 20)).await, Ok(()));
    assert_eq!(read(&config).await, Ok(20), "the first ten came again and are the same points");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn generations_and_owners_are_found_again() {
    let influx = RealInflux::shared().await;
    let store = requests(&influx.fresh().await);
    assert_eq!(store.generations("main").await, Ok(Vec::new()));
    assert_eq!(store.owner("main").await, Ok(None));
    let generation = |head: &str, start, first_seen_second| StoredGeneration {
        source: "main".to_owned(),
        head: head.to_owned(),
        start: KeyStart(start),
        first_seen_second,
    };
    let expected = vec![
        generation("aa", u64::MAX - 3, DAY_0),
        generation("bb", 17, DAY_0 + 1),
        generation("cc", 1 << 62, DAY_0 + 2),
    ];
    for generation in expected.iter().rev().chain(&expected[..1]) {
        assert_eq!(store.register_generation(generation).await, Ok(()));
    }
    assert_eq!(
        store
            .register_generation(&StoredGeneration { source: "o,t h=r".to_owned(), ..expected[0].clone() })
            .await,
        Ok(())
    );
    assert_eq!(store.generations("main").await, Ok(expected));
    assert_eq!(store.generations("o,t h=r").await.expect("an answer").len(), 1);
    assert_eq!(store.generations("\" or true or \"").await, Ok(Vec::new()));

    let mut owner = Owner {
        source: "main".to_owned(),
        ledger: "a ledger, \"mine\"\\yours".to_owned(),
        commit: 41,
        heartbeat_micros: DAY_0 * 1_000_000 + 3_599_999_999,
        as_of_micros: None,
        released: false,
        statistics: Statistics::Incomplete,
        mark_nanos: DAY_0 * 1_000_000_000 + 1,
    };
    // A statement at the same place is overwritten; one behind it leaves it as it is.
    for (after_micros, as_of_micros, released) in [
        (0, None, false),
        (0, Some(1), true),
        (1, Some(2), false),
        (1, None, false),
        (3_600_000_000, Some(9), true),
    ] {
        owner.commit += 1;
        owner.heartbeat_micros += after_micros;
        owner.mark_nanos += after_micros;
        (owner.as_of_micros, owner.released) = (as_of_micros, released);
        assert_eq!(store.publish_owners(std::slice::from_ref(&owner)).await, Ok(()));
        assert_eq!(store.owner("main").await, Ok(Some(owner.clone())));
    }
    assert_eq!(store.owner("other").await, Ok(None));
    let first = DAY_0 * 1_000_000_000 + 1;
    let said = |from, to| {
        let statements = store.statements("main", from, to);
        async { statements.await.map(|owners| owners.iter().map(|owner| owner.commit).collect::<Vec<_>>()) }
    };
    assert_eq!(said(first, first + 1).await, Ok(vec![43]));
    assert_eq!(said(first, first + 3).await, Ok(vec![43, 44, 45]));
    assert_eq!(said(first + 1, owner.mark_nanos + 1).await, Ok(vec![44, 45, 46]));
    assert_eq!(said(first + 3, owner.mark_nanos).await, Ok(vec![]));
    assert_eq!(store.statements("other", first, first + 3).await, Ok(vec![]));
}

#[tokio::test]
async fn the_version_is_the_clocks_second() {
    let config = InfluxConfig::new("http://localhost:1", "o", "b", "t").expect("good settings");
    for (millis, expected) in [(1_000, 1), (1_999, 1), (2_000, 2)] {
        let reader =
            InfluxStats::with_clock(&config, move || SystemTime::UNIX_EPOCH + Duration::from_millis(millis));
        assert_eq!(reader.expect("good settings").version().await, Ok(DataVersion(expected)));
    }
}
