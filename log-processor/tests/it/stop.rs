//! Stopping, and who else may run.

use std::time::{Duration, Instant};

use crate::harness::{Bench, PATIENCE, eventually, lines};
use store::influx::fake::{FakeInflux, Fault};

#[test]
fn sigterm_settles_what_is_in_flight_and_exits_0() {
    let influx = FakeInflux::start().expect("a free port");
    influx.on_write(|seen| {
        if seen.body.starts_with("api_requests") {
            Fault::Slow(Duration::from_millis(700))
        } else {
            Fault::None
        }
    });
    let mut bench = Bench::on(&influx);
    bench.set("STREAM_MAX_SIZE", "100");
    bench.append(&lines(0, 3000));
    let processor = bench.start();
    influx.wait_until(Duration::from_secs(30), |counts| counts.writes > 3).expect("it writes");
    assert_eq!(processor.stop(), 0);
    let status = bench.status();
    assert_eq!(status["lines_in_flight"], 0);
    assert_eq!(status["lines_read"], status["lines_stored"]);
    influx.on_write(|_| Fault::None);
    bench.expect(&["--once"], 0);
    assert_eq!(influx.count("api_requests"), 3000);
}

/// The deadline for lines in flight and the release of the sources, one after the other on the same silent store, made 35 s.
#[test]
fn a_stop_while_the_store_is_silent_ends_within_30_seconds_in_all() {
    let influx = FakeInflux::start().expect("a free port");
    let bench = Bench::on(&influx);
    bench.append(&lines(0, 100));
    let processor = bench.start();
    bench.until_stored(100);
    influx.on_write(|_| Fault::Withhold { store: false });
    let before = influx.counts().writes;
    bench.append(&lines(100, 200));
    influx.wait_until(PATIENCE, |counts| counts.writes > before).expect("it writes");
    let begun = Instant::now();
    assert_eq!(processor.stop(), 3);
    let took = begun.elapsed();
    assert!(took > Duration::from_secs(20), "it gave the store time: {took:?}");
    assert!(took < Duration::from_secs(30), "it took {took:?}");
    influx.release();
    influx.on_write(|_| Fault::None);
    bench.expect(&["--once"], 0);
    assert_eq!((influx.count("api_requests"), influx.counts().changed_points), (200, 0));
}

#[test]
fn a_stop_before_the_store_was_reached_is_3_when_there_is_something_to_read() {
    let influx = FakeInflux::start().expect("a free port");
    let bench = Bench::on(&influx);
    let stopped_in_an_outage = || {
        let processor = bench.start();
        eventually("it knows that the store is away", || {
            let (code, body) = processor.get("/readyz");
            if code == 503 && !body.contains("has not been reached") { Ok(()) } else { Err(body) }
        });
        processor.stop()
    };
    influx.stop();
    bench.append("");
    assert_eq!(stopped_in_an_outage(), 0, "nothing was there to be read");
    bench.append(&lines(0, 1000));
    assert_eq!(stopped_in_an_outage(), 3);
    influx.start_again().expect("the same port");
    bench.expect(&["--once"], 0);
    influx.stop();
    assert_eq!(stopped_in_an_outage(), 0, "everything was settled before");
    bench.append(&lines(1000, 1001));
    assert_eq!(stopped_in_an_outage(), 3);
    influx.start_again().expect("the same port");
    bench.expect(&["--once"], 0);
    assert_eq!(influx.count("api_requests"), 1001);
}

#[test]
fn a_drain_that_is_stopped_before_the_end_of_the_files_is_3() {
    let influx = FakeInflux::start().expect("a free port");
    influx.on_write(|seen| {
        if seen.body.starts_with("api_requests") {
            Fault::Slow(Duration::from_millis(50))
        } else {
            Fault::None
        }
    });
    let mut bench = Bench::on(&influx);
    bench.set("STREAM_MAX_SIZE", "1000");
    for from in (0..400_000).step_by(100_000) {
        bench.append(&lines(from, from + 100_000));
    }
    let processor = bench.start_with(&["--once"]);
    influx.wait_until(PATIENCE, |counts| counts.stored_writes > 5).expect("it writes");
    assert_eq!(processor.stop(), 3);
    influx.on_write(|_| Fault::None);
    bench.expect(&["--once"], 0);
    assert_eq!(influx.count("api_requests"), 400_000);
}

#[test]
fn a_second_processor_on_the_same_ledger_is_refused_with_the_pid_of_the_first() {
    let bench = Bench::new();
    bench.append(&lines(0, 10));
    let processor = bench.start();
    bench.until_stored(10);
    let output = bench.expect(&["--once"], 4);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains(&processor.pid().to_string()), "{text}");
    assert_eq!(processor.stop(), 0);
    bench.expect(&["--once"], 0);
}

#[test]
fn another_ledger_for_a_source_is_refused_while_its_owner_lives() {
    let influx = FakeInflux::start().expect("a free port");
    let bench = Bench::on(&influx);
    bench.append(&lines(0, 10));
    let processor = bench.start();
    bench.until_stored(10);
    eventually("the owner is known", || {
        if influx.count("api_processors") > 0 { Ok(()) } else { Err(String::new()) }
    });
    let mut other = Bench::on(&influx);
    other.set("LOG_FILE_PATH", bench.path("api.log").to_str().expect("UTF-8"));
    let output = other.expect(&["--once"], 4);
    assert!(String::from_utf8_lossy(&output.stderr).contains("is owned by ledger"));
    assert_eq!(processor.stop(), 0);
    other.expect(&["--once"], 0); // A clean stop lets the source go at once.
    assert_eq!(influx.count("api_requests"), 10);
}

#[test]
fn health_asks_the_running_processor() {
    let mut bench = Bench::new();
    bench.append(&lines(0, 10));
    let processor = bench.start();
    bench.until_stored(10);
    bench.set("METRICS_BIND", &processor.address());
    bench.expect(&["health"], 0);
    assert_eq!(processor.stop(), 0);
    bench.expect(&["health"], 1);
}

#[test]
fn sighup_goes_on_with_the_settings_as_they_are_now_and_loses_nothing() {
    let mut bench = Bench::new();
    bench.settings_file("LOG_FILE_PATH=api.log\n");
    bench.append(&lines(0, 100));
    bench.append_to("shop.log", lines(100, 150).as_bytes());
    let processor = bench.start();
    bench.until_stored(100);
    bench.settings_file("LOG_FILE_PATH=api.log,shop.log\n");
    processor.hang_up();
    bench.append(&lines(150, 160));
    bench.until_stored(160);
    bench.settings_file("LOG_FILE_PATH=api.log,shop.log\nWORKERS=none\n");
    processor.hang_up();
    eventually("the bad settings are told", || {
        let log = processor.log();
        if log.contains("WORKERS") && log.contains("going on with those of before") {
            Ok(())
        } else {
            Err(log)
        }
    });
    bench.settings_file("LOG_FILE_PATH=api.log,shop.log\n"); // For `status`, which reads them too.
    bench.append(&lines(160, 170));
    bench.until_stored(170);
    assert_eq!(processor.stop(), 0);
}
