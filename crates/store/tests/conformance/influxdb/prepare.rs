//! Reaching a server before the first write: fresh, set up, behind another door.

use std::time::Duration;

use store::influx::fake::{Answer, FakeInflux};
use store::influx::testing::{Options, RealInflux};
use store::influx::{InfluxConfig, InfluxRequests, Onboarding};
use store::{RequestStore, Trouble};

/// Without an account to set it up with, a fresh server is a setting that is missing; with one it is set up, once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fresh_server_is_set_up_when_an_account_is_given() {
    // `start` goes through prepare() with an account; what it set up is there.
    let influx = RealInflux::start(Options::default()).await;
    let script = "buckets() |> filter(fn: (r) => r.name == \"first-bucket\") |> keep(columns: [\"name\", \"retentionPeriod\"])";
    assert_eq!(influx.flux(script).await.len(), 1);
    let mut again = influx.config("first-bucket");
    again.onboarding =
        Some(Onboarding { username: "other".to_owned(), password: "another-password".to_owned() });
    let store = InfluxRequests::new(again).expect("good settings");
    assert_eq!(store.prepare().await, Ok(()), "a server that is set up stays as it is");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_bucket_is_made_with_its_retention_and_the_days_at_its_edge() {
    let influx = RealInflux::shared().await;
    for (retention, expected) in [(Some(Duration::from_secs(45 * 86_400)), "4060800000000000"), (None, "0")] {
        let mut config = influx.unused();
        let bucket = config.bucket.clone();
        config.retention = retention;
        assert_eq!(InfluxRequests::new(config).expect("good settings").prepare().await, Ok(()));
        let script = format!("buckets() |> filter(fn: (r) => r.name == {bucket:?})");
        let found = influx.flux(&script).await;
        assert_eq!(
            found.iter().map(|row| row["retentionPeriod"].as_str()).collect::<Vec<_>>(),
            [expected],
            "{bucket}"
        );
    }
}

/// What answers is no InfluxDB, or a broken one: a trouble with words, never a panic.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strange_answers_are_troubles() {
    let strangers: [(&str, Answer, &str); 6] = [
        ("/health", Answer::new(200, "<html>welcome"), "misconfigured"),
        ("/health", Answer::new(404, "no such page"), "misconfigured"),
        (
            "/health",
            Answer::new(503, "{\"name\":\"influxdb\",\"status\":\"fail\",\"message\":\"warming up\"}"),
            "later",
        ),
        ("/ready", Answer::error(503, "unavailable", "starting"), "later"),
        ("/api/v2/buckets", Answer::error(500, "internal", "boltdb is closed"), "later"),
        ("/api/v2/buckets", Answer::new(200, "{\"buckets\": 7"), "fine"),
    ];
    for (path, answer, expected) in strangers {
        let fake = FakeInflux::start().expect("started");
        let shown = format!("{path} {answer:?}");
        fake.rule(|rules| rules.instead.push((path.to_owned(), answer)));
        let config = InfluxConfig::new(&fake.url(), "org", "bucket", "secret-token").expect("good settings");
        let prepared = InfluxRequests::new(config).expect("good settings").prepare().await;
        let found = match prepared {
            Ok(()) => "fine",
            Err(Trouble::TryLater { .. }) => "later",
            Err(Trouble::Misconfigured { .. }) => "misconfigured",
            Err(other) => panic!("{shown}: {other:?}"),
        };
        assert_eq!(found, expected, "{shown}");
    }
}
