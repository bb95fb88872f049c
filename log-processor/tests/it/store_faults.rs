//! What the store does to us (design section 9): nothing is lost, nothing is counted twice, and readiness tells the truth.

use std::fs;
use std::time::{Duration, Instant};

use crate::harness::{Bench, eventually, lines};
use store::influx::fake::{Answer, FakeInflux, Fault};

fn influx() -> FakeInflux {
    FakeInflux::start().expect("a free port")
}

#[test]
fn x1_a_store_that_refuses_stalls_and_cuts_gets_every_line_once() {
    let influx = influx();
    let faults = [
        Fault::Answer(Answer::error(500, "internal error", "cache-max-memory-size exceeded")),
        Fault::Cut { store: false },
        Fault::Cut { store: true },
        Fault::StoreAndAnswer(Answer::error(503, "unavailable", "later")),
        Fault::Slow(Duration::from_millis(300)),
    ];
    let mut round = 0;
    influx.on_write(move |seen| {
        let _ = seen;
        round += 1;
        if round % 2 == 0 { faults[round / 2 % faults.len()].clone() } else { Fault::None }
    });
    let mut bench = Bench::on(&influx);
    bench.set("STREAM_MAX_SIZE", "500");
    bench.append(&lines(0, 10_000));
    bench.expect(&["--once"], 0);
    assert_eq!(influx.count("api_requests"), 10_000);
    assert_eq!(influx.counts().changed_points, 0);
    assert!(influx.counts().repeated_points > 0, "some lines were sent again");
    assert_eq!(bench.status()["lines_stored"], 10_000);
}

#[test]
fn x1_killed_with_acknowledgements_withheld_it_replays_the_same_points() {
    let influx = influx();
    let mut bench = Bench::on(&influx);
    bench.set("STREAM_MAX_SIZE", "200");
    bench.append(&lines(0, 3000));
    for round in 0..4 {
        let before = influx.counts().stored_writes;
        let mut writes = 0;
        influx.on_write(move |seen| {
            if !seen.body.starts_with("api_requests") {
                return Fault::None;
            }
            writes += 1;
            if writes > 3 { Fault::Withhold { store: true } } else { Fault::None }
        });
        let processor = bench.start();
        influx
            .wait_until(Duration::from_secs(30), |counts| counts.stored_writes >= before + 6)
            .expect("writes are withheld");
        processor.kill();
        influx.release();
        bench.append(&lines(3000 + round * 100, 3100 + round * 100));
    }
    influx.on_write(|_| Fault::None);
    bench.expect(&["--once"], 0);
    assert_eq!(influx.count("api_requests"), 3400);
    assert_eq!(influx.counts().changed_points, 0);
    assert!(influx.counts().repeated_points > 0, "the kills replayed lines");
    assert_eq!(bench.status()["lines_stored"], 3400);
}

#[test]
fn retry_after_is_honoured() {
    let influx = influx();
    let begun = Instant::now();
    let mut first = true;
    influx.on_write(move |seen| {
        if seen.body.starts_with("api_requests") && std::mem::take(&mut first) {
            Fault::Answer(Answer::busy(2))
        } else {
            Fault::None
        }
    });
    let bench = Bench::on(&influx);
    bench.append(&lines(0, 10));
    bench.expect(&["--once"], 0);
    assert!(begun.elapsed() >= Duration::from_secs(2), "it came back after {:?}", begun.elapsed());
    assert_eq!(influx.count("api_requests"), 10);
}

#[test]
fn a_poisoned_line_is_isolated_and_rejected_alone() {
    let influx = influx();
    influx.rule(|rules| rules.refuse_lines_with = Some("/poison".to_owned()));
    let bench = Bench::on(&influx);
    bench.append(&lines(0, 2000));
    bench.append("2026-09-14 16:15:35 cust_5 /poison 200 0.772\n");
    bench.append(&lines(2000, 4999));
    bench.expect(&["--once"], 0);
    assert_eq!(influx.count("api_requests"), 4999);
    let status = bench.status();
    assert_eq!((&status["lines_stored"], &status["rejected"]["refused"]), (&4999.into(), &1.into()));
    let reject = &bench.rejects()[0];
    assert_eq!(reject["offset"], lines(0, 2000).len());
    assert!(reject["line"].as_str().is_some_and(|line| line.contains("/poison")));
}

#[test]
fn a_body_that_is_too_large_is_sent_in_halves() {
    let influx = influx();
    influx.rule(|rules| rules.body_max_bytes = Some(20_000));
    let bench = Bench::on(&influx);
    bench.append(&lines(0, 5000));
    bench.expect(&["--once"], 0);
    assert_eq!(influx.count("api_requests"), 5000);
}

/// A fault of configuration: nothing is dropped, readiness says what to do, and once it is repaired everything arrives.
fn pauses_until_repaired(break_it: impl Fn(&FakeInflux), repair: impl Fn(&FakeInflux)) {
    let influx = influx();
    break_it(&influx);
    let bench = Bench::on(&influx);
    bench.append(&lines(0, 100));
    let processor = bench.start();
    eventually("not ready", || {
        let (code, body) = processor.get("/readyz");
        if code == 503 && !body.contains("has not been reached") {
            Ok(())
        } else {
            Err(format!("{code} {body}"))
        }
    });
    // For several heartbeats and probes, which the store may well take.
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(7) {
        let (code, body) = processor.get("/readyz");
        assert_eq!(code, 503, "{body}");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(!processor.log().contains("repaired, going on"), "nothing is repaired yet");
    assert_eq!(processor.get("/livez").0, 200);
    assert_eq!(influx.count("api_requests"), 0);
    assert_eq!(bench.status()["lines_rejected"], 0);
    assert!(processor.log().contains("ERROR") || processor.log().contains("WARN"));
    repair(&influx);
    bench.until_stored(100);
    eventually("ready", || {
        if processor.get("/readyz").0 == 200 { Ok(()) } else { Err(processor.get("/readyz").1) }
    });
    assert_eq!(influx.count("api_requests"), 100);
    assert_eq!(processor.stop(), 0);
}

#[test]
fn a_wrong_token_pauses_until_it_is_repaired() {
    pauses_until_repaired(
        |influx| influx.rule(|rules| rules.token = Some("other".to_owned())),
        |influx| influx.rule(|rules| rules.token = None),
    );
}

#[test]
fn a_field_type_conflict_pauses_until_it_is_repaired() {
    pauses_until_repaired(
        |influx| influx.rule(|rules| rules.field_type_conflict = true),
        |influx| influx.rule(|rules| rules.field_type_conflict = false),
    );
}

/// Only requests are refused; heartbeats and probes are answered, and say nothing about requests.
#[test]
fn requests_that_are_put_off_keep_it_from_being_ready() {
    for status in [429, 500, 503] {
        pauses_until_repaired(
            |influx| {
                influx.on_write(move |seen| {
                    let refused = Answer::error(status, "unavailable", "later");
                    if seen.body.starts_with("api_requests") { Fault::Answer(refused) } else { Fault::None }
                });
            },
            |influx| influx.on_write(|_| Fault::None),
        );
    }
}

#[test]
fn a_store_that_can_only_be_written_must_be_reached_and_take_requests_before_it_is_ready() {
    let influx = influx();
    influx.stop();
    let mut bench = Bench::on(&influx);
    bench.set("INFLUXDB_WRITE_ONLY", "true");
    bench.append("");
    let processor = bench.start();
    let until = |what: &str, code: u16| {
        eventually(what, || {
            let (found, body) = processor.get("/readyz");
            if found == code && !body.contains("has not been reached") { Ok(()) } else { Err(body) }
        });
    };
    until("not ready: nobody is there", 503);
    influx.start_again().expect("the same port");
    until("ready", 200);
    influx.on_write(|_| Fault::Answer(Answer::error(503, "unavailable", "later")));
    bench.append(&lines(0, 10));
    until("not ready: it takes no requests", 503);
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(3) {
        assert_eq!(processor.get("/readyz").0, 503);
        std::thread::sleep(Duration::from_millis(50));
    }
    influx.on_write(|_| Fault::None);
    until("ready again", 200);
    bench.until_stored(10);
    assert_eq!(processor.stop(), 0);
}

#[test]
fn a_missing_bucket_is_made() {
    let influx = influx();
    influx.rule(|rules| rules.bucket_missing = true);
    let bench = Bench::on(&influx);
    bench.append(&lines(0, 100));
    bench.expect(&["--once"], 0);
    assert_eq!(influx.count("api_requests"), 100);
}

#[test]
fn readiness_follows_an_outage_within_five_seconds() {
    let influx = influx();
    let bench = Bench::on(&influx);
    bench.append(&lines(0, 100));
    let processor = bench.start();
    bench.until_stored(100);
    eventually("ready", || {
        if processor.get("/readyz").0 == 200 { Ok(()) } else { Err(processor.get("/readyz").1) }
    });
    influx.stop();
    let begun = Instant::now();
    eventually("not ready", || if processor.get("/readyz").0 == 503 { Ok(()) } else { Err(String::new()) });
    assert!(begun.elapsed() < Duration::from_secs(5), "told after {:?}", begun.elapsed());
    bench.append(&lines(100, 5100));
    influx.start_again().expect("the same port");
    bench.until_stored(5100);
    eventually("ready", || {
        if processor.get("/readyz").0 == 200 { Ok(()) } else { Err(processor.get("/readyz").1) }
    });
    assert_eq!(influx.count("api_requests"), 5100);
    assert_eq!(influx.counts().changed_points, 0);
}

#[test]
fn metrics_tell_the_account() {
    let influx = influx();
    let bench = Bench::on(&influx);
    bench.append(&lines(0, 100));
    bench.append("bad\n");
    let processor = bench.start();
    bench.until_stored(100);
    let (code, metrics) = processor.get("/metrics");
    assert_eq!(code, 200);
    for line in [
        "tailgauge_lines_read_total 101",
        "tailgauge_lines_stored_total 100",
        "tailgauge_lines_rejected_total{reason=\"fields\"} 1",
        "tailgauge_lines_in_flight 0.0",
        "tailgauge_tail_lag_bytes 0.0",
    ] {
        assert!(metrics.contains(line), "{line} is missing in\n{metrics}");
    }
}

/// A metric that has no labels.
fn value_of(metrics: &str, name: &str) -> f64 {
    let line = metrics.lines().find_map(|line| line.strip_prefix(&format!("tailgauge_{name} ")));
    line.expect("the metric is there").parse().expect("its value is a number")
}

/// One metric of the file that the log's path names.
fn of_file(metrics: &str, name: &str) -> f64 {
    let prefix = format!("tailgauge_file_{name}{{");
    let line = metrics.lines().find(|line| line.starts_with(&prefix));
    let value = line.and_then(|line| line.rsplit(' ').next()).map(str::parse);
    value.expect("the metric is there").expect("its value is a number")
}

#[test]
fn the_lag_of_a_file_is_the_age_of_its_oldest_unsettled_line() {
    let influx = influx();
    let bench = Bench::on(&influx);
    bench.append(&lines(0, 100));
    let processor = bench.start();
    bench.until_stored(100);
    let lag = || {
        let (_, metrics) = processor.get("/metrics");
        let bytes = of_file(&metrics, "size_bytes") - of_file(&metrics, "settled_offset_bytes");
        assert!((of_file(&metrics, "lag_bytes") - bytes).abs() < 0.5, "{metrics}");
        of_file(&metrics, "lag_seconds")
    };
    assert!(lag() < 0.001, "everything is settled");
    bench.append("2024-09-14 16:15:35 cust_1 /unfin");
    eventually("the unfinished line is read", || {
        let (_, metrics) = processor.get("/metrics");
        let unread = of_file(&metrics, "size_bytes") - of_file(&metrics, "read_offset_bytes");
        if unread < 0.5 { Ok(()) } else { Err(metrics) }
    });
    assert!(lag() < 0.001, "a line without its end is not waited for");
    influx.stop();
    bench.append("ished 200 0.5\n");
    let begun = Instant::now();
    let first = eventually("it waits for the store", || {
        Some(lag()).filter(|lag| *lag > 0.0).ok_or("no lag".to_owned())
    });
    let later = eventually("it goes on waiting", || {
        Some(lag()).filter(|lag| *lag > first + 1.0).ok_or("no growth".to_owned())
    });
    assert!(later <= begun.elapsed().as_secs_f64() + 0.1, "{later} s of lag after {:?}", begun.elapsed());
    bench.append(&lines(100, 200));
    assert!(lag() >= later, "the oldest line tells the age, not the newest");
    let (_, metrics) = processor.get("/metrics");
    assert!(value_of(&metrics, "in_flight_bytes") > 0.0, "one line at least is on its way\n{metrics}");
    influx.start_again().expect("the same port");
    bench.until_stored(201);
    assert!(lag() < 0.001, "everything is settled");
    let (_, metrics) = processor.get("/metrics");
    assert!(value_of(&metrics, "in_flight_bytes") < 0.5, "{metrics}");
    assert!(
        value_of(&metrics, "checkpoint_age_seconds") < 30.0,
        "the ledger holds what has settled\n{metrics}"
    );
}

#[test]
fn a_file_whose_content_is_another_generations_is_counted_once() {
    let bench = Bench::new();
    bench.append(&lines(0, 100));
    let processor = bench.start();
    bench.until_stored(100);
    let resets = || value_of(&processor.get("/metrics").1, "identity_resets_total");
    bench.rename("api.log", "api.log.1");
    bench.append(&lines(100, 200));
    bench.until_stored(200);
    assert!(resets() < 0.5, "a rotation changes no file's content");
    fs::write(bench.path("api.log"), lines(300, 350)).expect("truncated and filled");
    bench.until_stored(250);
    assert!((resets() - 1.0).abs() < 0.5, "a truncation does: {}", resets());
}
