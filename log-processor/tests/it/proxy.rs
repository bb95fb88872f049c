//! A proxy before the store that answers 400 in words of its own: for one line, for everything, by chance. No good line is ever dropped for it, and one bad line stops nothing for long.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::harness::{Bench, Running, eventually, lines};
use store::influx::fake::{Answer, FakeInflux, Fault, SeenWrite};

fn influx() -> FakeInflux {
    FakeInflux::start().expect("a free port")
}

/// What a proxy says that does not like a request.
fn no() -> Fault {
    Fault::Answer(Answer::new(400, "<html><h1>400 Bad Request</h1></html>").with("Content-Type", "text/html"))
}

fn is_requests(seen: &SeenWrite<'_>) -> bool {
    seen.body.starts_with("api_requests")
}

const POISON: &str = "2026-09-14 16:15:35 cust_5 /poison/../etc/passwd 200 0.772\n";

#[test]
fn one_line_that_a_proxy_refuses_is_rejected_alone() {
    let influx = influx();
    influx.on_write(|seen| if seen.body.contains("/poison") { no() } else { Fault::None });
    let bench = Bench::on(&influx);
    bench.append(&lines(0, 2000));
    bench.append(POISON);
    bench.append(&lines(2000, 4999));
    bench.expect(&["--once"], 0);
    assert_eq!(influx.count("api_requests"), 4999);
    assert_eq!(influx.counts().changed_points, 0);
    let status = bench.status();
    assert_eq!((&status["lines_stored"], &status["rejected"]["refused"]), (&4999.into(), &1.into()));
    let reject = &bench.rejects()[0];
    assert_eq!(reject["offset"], lines(0, 2000).len());
    assert!(reject["line"].as_str().is_some_and(|line| line.contains("/poison")));
}

/// Alone in its batch: a line that was taken before stands for the others.
#[test]
fn a_line_that_a_proxy_refuses_is_rejected_in_a_batch_of_its_own_too() {
    let influx = influx();
    influx.on_write(|seen| if seen.body.contains("/poison") { no() } else { Fault::None });
    let bench = Bench::on(&influx);
    bench.append(&lines(0, 10));
    let processor = bench.start();
    bench.until_stored(10);
    bench.append(POISON);
    bench.until("it is rejected", |status| {
        status["rejected"]["refused"] == 1 && status["lines_in_flight"] == 0
    });
    bench.append(&lines(10, 20));
    bench.until_stored(20);
    assert_eq!(influx.count("api_requests"), 20);
    assert_eq!(processor.stop(), 0);
}

fn until_ready(processor: &Running, code: u16) -> String {
    eventually(&format!("/readyz says {code}"), || {
        let (found, body) = processor.get("/readyz");
        if found == code && !body.contains("has not been reached") { Ok(body) } else { Err(body) }
    })
}

/// Before anything was taken, and after it; with lines that it will refuse for ever among them.
#[test]
fn a_proxy_that_refuses_everything_is_waited_for() {
    for taken_before in [0, 100] {
        let influx = influx();
        let bench = Bench::on(&influx);
        bench.append(&lines(0, taken_before));
        let processor = bench.start();
        bench.until_stored(taken_before as u64);
        influx.on_write(|seen| if is_requests(seen) { no() } else { Fault::None });
        bench.append(&lines(taken_before, 1000));
        bench.append(POISON);
        let words = until_ready(&processor, 503);
        assert!(words.contains("400") && words.contains("INFLUXDB_URL"), "{words}");
        let (begun, before) = (Instant::now(), influx.counts().writes);
        while begun.elapsed() < Duration::from_secs(8) {
            assert_eq!(processor.get("/readyz").0, 503);
            std::thread::sleep(Duration::from_millis(100));
        }
        let writes = influx.counts().writes - before;
        assert!(writes < 60, "{writes} writes in eight seconds to something that refuses everything");
        assert_eq!(bench.status()["lines_rejected"], 0);
        influx.on_write(|seen| if seen.body.contains("/poison") { no() } else { Fault::None });
        let status = bench.until("all but one line are stored", |status| status["lines_stored"] == 1000);
        assert!(status["rejected"]["refused"].as_u64().unwrap_or(0) <= 1, "{status:#}");
        let status = bench.until("one is rejected", |status| status["rejected"]["refused"] == 1);
        assert_eq!((&status["lines_read"], &status["lines_in_flight"]), (&1001.into(), &0.into()));
        until_ready(&processor, 200);
        assert_eq!(influx.count("api_requests"), 1000);
        assert_eq!(processor.stop(), 0);
    }
}

/// Three bodies in ten, whatever is in them: drawn by a fixed sequence. Batches of few lines, so that many lines are refused alone.
#[test]
fn x1_a_proxy_that_refuses_by_chance_costs_no_line() {
    let influx = influx();
    let mut state = 7_u64;
    let mut refused_alone = HashMap::<String, u32>::new();
    let (sender, seen_alone) = std::sync::mpsc::channel();
    influx.on_write(move |seen| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        if !is_requests(seen) || (state >> 33) % 10 >= 3 {
            return Fault::None;
        }
        if seen.body.lines().count() == 1 {
            *refused_alone.entry(seen.body.to_owned()).or_default() += 1;
            sender.send(refused_alone.len()).expect("the test listens");
        }
        no()
    });
    let mut bench = Bench::on(&influx);
    bench.set("STREAM_MAX_SIZE", "3");
    bench.append(&lines(0, 150));
    bench.expect(&["--once"], 0);
    assert_eq!(influx.count("api_requests"), 150);
    assert_eq!(influx.counts().changed_points, 0);
    let status = bench.status();
    assert_eq!((&status["lines_stored"], &status["lines_rejected"]), (&150.into(), &0.into()));
    let lines_refused_alone = seen_alone.try_iter().last().unwrap_or(0);
    assert!(lines_refused_alone >= 5, "only {lines_refused_alone} lines were refused alone");
}
