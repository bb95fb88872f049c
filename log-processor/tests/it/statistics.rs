//! The statistics that are published into InfluxDB are a recount of the requests that it holds, whatever crashes and whatever answers get lost; and nothing waits for them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use stats::{Cell, WindowKind};
use store::influx::fake::{Answer, FakeInflux, Fault, FieldValue, Point, SeenWrite};

use crate::harness::{Bench, PATIENCE, eventually, lines};

/// By customer (None: all), kind of window and its start in seconds.
type Cells = BTreeMap<(Option<String>, String, i64), Cell>;

fn integer(point: &Point, name: &str) -> i64 {
    match point.fields.get(name) {
        Some(FieldValue::Integer(value)) => *value,
        other => panic!("{name} is {other:?} in {point:?}"),
    }
}

fn text<'a>(point: &'a Point, name: &str) -> &'a str {
    match point.fields.get(name) {
        Some(FieldValue::Text(value)) => value,
        other => panic!("{name} is {other:?} in {point:?}"),
    }
}

/// What the requests in the store make.
fn recounted(influx: &FakeInflux) -> Cells {
    let mut cells = Cells::new();
    for point in influx.points("api_requests") {
        let status = u16::try_from(integer(&point, "status_code")).expect("a status");
        let Some(FieldValue::Float(seconds)) = point.fields.get("duration") else { panic!("{point:?}") };
        let micros = (seconds * 1e6).round() as u64;
        let second = point.time_nanos.div_euclid(1_000_000_000);
        for customer in [None, Some(point.tags["customer_id"].clone())] {
            for (kind, window) in [(WindowKind::Quarter, "15m"), (WindowKind::Day, "1d")] {
                let start = kind.window_of(second).start_second;
                let key = (customer.clone(), window.to_owned(), start);
                cells.entry(key).or_default().observe(status, Some(micros));
            }
        }
    }
    cells.values_mut().for_each(Cell::settle);
    cells
}

/// The statistics in the store; every field of a point says the same.
fn published(influx: &FakeInflux) -> Cells {
    let points = ["api_stats", "api_stats_all"].into_iter().flat_map(|name| influx.points(name));
    let cell = |point: Point| {
        let cell = Cell::decode(&BASE64.decode(text(&point, "h")).expect("base64")).expect("a cell");
        let fields =
            ["n", "ok", "sum_us", "max_us", "c1", "c2", "c3", "c4", "c5"].map(|name| integer(&point, name));
        let [c1, c2, c3, c4, c5] = cell.classes;
        let (sum, max) = (cell.latency_sum_micros, cell.latency_max_micros);
        let expected = [cell.requests, cell.successes, sum, max, c1, c2, c3, c4, c5];
        assert_eq!(fields, expected.map(u64::cast_signed), "{point:?}");
        let customer = point.tags.get("customer_id").cloned();
        ((customer, point.tags["window"].clone(), point.time_nanos / 1_000_000_000), cell)
    };
    points.map(cell).collect()
}

/// What is to be read when they differ.
fn requests(cells: Cells) -> BTreeMap<(Option<String>, String, i64), u64> {
    cells.into_iter().map(|(key, cell)| (key, cell.requests)).collect()
}

fn assert_whole(influx: &FakeInflux) {
    assert!(
        published(influx) == recounted(influx),
        "{:?} and {:?}",
        requests(published(influx)),
        requests(recounted(influx))
    );
}

/// What the last statement says.
fn said(influx: &FakeInflux) -> String {
    let points = influx.points("api_processors");
    let last = points.iter().max_by_key(|point| point.time_nanos).expect("a statement");
    text(last, "statistics").to_owned()
}

fn is_statistics(seen: &SeenWrite<'_>) -> bool {
    seen.body.starts_with("api_stats")
}

/// Lines stamped with this second.
fn lines_of_now(count: usize) -> String {
    let now = chrono::Utc::now().format("%Y-%m-%d %H:%M:%S");
    (0..count).map(|n| format!("{now} cust_{} /api/v1/resource4 200 0.{n:03}\n", n % 7)).collect()
}

fn until_whole(influx: &FakeInflux) {
    eventually("everything is published", || {
        if published(influx) == recounted(influx) { Ok(()) } else { Err(format!("{:?}", influx.counts())) }
    });
}

#[test]
fn a_run_that_drains_leaves_nothing_unpublished() {
    let influx = FakeInflux::start().expect("a free port");
    let bench = Bench::on(&influx);
    bench.append(&lines(0, 5000));
    bench.expect(&["--once"], 0);
    assert_whole(&influx);
    assert_eq!(said(&influx), "published");
    assert!(influx.count("api_stats") >= 14 && influx.count("api_stats_all") >= 2);
    // Late lines among them, and nothing new.
    bench.append(&lines(100, 900));
    bench.expect(&["--once"], 0);
    assert_whole(&influx);
    // Nothing new: nothing is sent again.
    influx.on_write(|seen| if is_statistics(seen) { Fault::Withhold { store: true } } else { Fault::None });
    bench.expect(&["--once"], 0);
}

#[test]
fn k2_kills_and_lost_answers_leave_no_statistics_behind() {
    let influx = FakeInflux::start().expect("a free port");
    let bench = Bench::on(&influx);
    for round in 0..6_usize {
        let mut number = round;
        influx.on_write(move |seen| {
            if !is_statistics(seen) {
                return Fault::None;
            }
            number += 1;
            match number % 4 {
                0 => Fault::Cut { store: true },
                2 => Fault::Cut { store: false },
                _ => Fault::None,
            }
        });
        bench.append(&lines(round * 500, round * 500 + 500));
        let running = bench.start();
        bench.until("some are stored", |status| status["lines_stored"].as_u64() > Some(round as u64 * 500));
        running.kill();
    }
    influx.on_write(|_| Fault::None);
    let running = bench.start();
    bench.until_stored(3000);
    until_whole(&influx);
    // What may have been on its way when it was killed is sent once more, fifteen seconds later; then it is the last word.
    bench.until("nothing waits", |status| status["statistics"]["waiting_cells"] == 0);
    assert_eq!(running.stop(), 0);
    assert_eq!(said(&influx), "published");
    assert_whole(&influx);
}

/// The numbers of one field in the statements of a body.
fn told(body: &str, field: &str) -> Vec<i64> {
    let number =
        |line: &str| line.split([',', ' ']).find_map(|part| part.strip_prefix(field)).map(str::to_owned);
    let statements = body.lines().filter(|line| line.starts_with("api_processors"));
    let numbers = statements.filter_map(number);
    numbers.map(|number| number.trim_end_matches('i').parse().expect("an integer")).collect()
}

/// A log without news is as fresh as the last look at it, and the ledger notes that only now and then.
#[test]
fn as_of_does_not_go_back_with_a_kill() {
    const FIELDS: [&str; 2] = ["as_of_us=", "statistics_as_of_us="];
    let influx = FakeInflux::start().expect("a free port");
    let bench = Bench::on(&influx);
    let newest = Arc::new(Mutex::new([i64::MIN; 2]));
    let back = Arc::new(Mutex::new(Vec::new()));
    let (seen_newest, seen_back) = (Arc::clone(&newest), Arc::clone(&back));
    influx.on_write(move |seen| {
        let mut newest = seen_newest.lock().expect("no panic");
        for (field, newest) in FIELDS.iter().zip(newest.iter_mut()) {
            for as_of in told(seen.body, field) {
                if as_of < *newest {
                    seen_back.lock().expect("no panic").push((*field, *newest - as_of));
                }
                *newest = as_of.max(*newest);
            }
        }
        Fault::None
    });
    bench.append(&lines(0, 500));
    let mut stands = [0; 2];
    for _ in 0..3 {
        let running = bench.start();
        eventually("both are said, and move on without news", || {
            let newest = *newest.lock().expect("no panic");
            let moved = newest[0] > stands[0] + 3_000_000 && newest[1] > stands[1].max(0);
            if moved { Ok(()) } else { Err(format!("{newest:?} after {stands:?}")) }
        });
        stands = *newest.lock().expect("no panic");
        running.kill();
    }
    assert_eq!(*back.lock().expect("no panic"), [], "microseconds by which it went back");
}

/// A body whose answer got lost may arrive after the next one. It must not be the last word.
#[test]
fn what_arrives_late_is_written_over() {
    let influx = FakeInflux::start().expect("a free port");
    let bench = Bench::on(&influx);
    let (sender, receiver) = std::sync::mpsc::channel();
    let mut cut = false;
    influx.on_write(move |seen| {
        if is_statistics(seen) && !std::mem::replace(&mut cut, true) {
            sender.send(seen.body.to_owned()).expect("somebody waits");
            return Fault::Cut { store: false };
        }
        Fault::None
    });
    bench.append(&lines_of_now(100));
    let running = bench.start();
    let late = receiver.recv_timeout(PATIENCE).expect("statistics");
    bench.append(&lines_of_now(100));
    bench.until_stored(200);
    until_whole(&influx);
    influx.write_by_hand(&late).expect("line protocol");
    assert!(published(&influx) != recounted(&influx));
    until_whole(&influx);
    assert_eq!(running.stop(), 0);
}

/// Delivery goes on while the store does not answer a single body of statistics, and the run ends in time.
#[test]
fn nothing_waits_for_statistics() {
    let influx = FakeInflux::start().expect("a free port");
    let bench = Bench::on(&influx);
    influx.on_write(|seen| if is_statistics(seen) { Fault::Withhold { store: false } } else { Fault::None });
    bench.append(&lines(0, 1000));
    let running = bench.start();
    bench.until_stored(1000);
    for round in 1..5 {
        bench.append(&lines(round * 1000, round * 1000 + 1000));
        bench.until_stored(round as u64 * 1000 + 1000);
    }
    let status = bench.until("the statistics wait", |status| status["statistics"]["lag_seconds"].is_null());
    assert!(status["lag_seconds"].is_number());
    assert_eq!(running.stop(), 0);
    assert_eq!(influx.count("api_stats"), 0);
    // Who stops says what is left.
    let left = &bench.status()["statistics"];
    assert!(left["lag_seconds"].is_null() && left["waiting_cells"].as_u64() > Some(0), "{left}");
    influx.on_write(|_| Fault::None);
    bench.expect(&["--once"], 0);
    assert_whole(&influx);
    let left = &bench.status()["statistics"];
    assert!(left["lag_seconds"].is_number() && left["waiting_cells"] == 0, "{left}");
}

#[test]
fn a_run_that_drains_publishes_whatever_the_store_answers_first() {
    let influx = FakeInflux::start().expect("a free port");
    let bench = Bench::on(&influx);
    let mut number = 0;
    influx.on_write(move |seen| {
        number += usize::from(is_statistics(seen));
        match number {
            1 if is_statistics(seen) => Fault::Answer(Answer::error(503, "unavailable", "later")),
            2 if is_statistics(seen) => Fault::Cut { store: true },
            _ => Fault::None,
        }
    });
    bench.append(&lines(0, 300));
    bench.expect(&["--once"], 0);
    assert_whole(&influx);
}

/// The cells of a ledger that took a source over lack what another one has counted.
#[test]
fn a_source_that_was_taken_over_is_not_published() {
    let influx = FakeInflux::start().expect("a free port");
    let bench = Bench::on(&influx);
    bench.append(&lines(0, 100));
    bench.expect(&["--once"], 0);
    std::fs::remove_dir_all(bench.path("state")).expect("removed");
    std::fs::remove_file(bench.path("api.log")).expect("removed");
    bench.append(&lines(100, 150));
    let stats = influx.points("api_stats");
    for _ in 0..2 {
        bench.expect(&["--once"], 0);
        assert_eq!(said(&influx), "need_rebuild");
        assert_eq!(influx.points("api_stats"), stats);
    }
    assert_eq!(influx.count("api_requests"), 150);
}

/// Nor are those of a ledger that finds requests which nobody has said anything about.
#[test]
fn requests_that_somebody_else_has_written_are_not_left_out() {
    let influx = FakeInflux::start().expect("a free port");
    let point = "api_requests,customer_id=cust_1,success=1 duration=0.1,request_path=\"/\",status_code=200i 1726330535000000000";
    influx.write_by_hand(point).expect("line protocol");
    let bench = Bench::on(&influx);
    bench.append(&lines(0, 100));
    bench.expect(&["--once"], 0);
    assert_eq!((said(&influx).as_str(), influx.count("api_stats")), ("need_rebuild", 0));
}

#[test]
fn a_store_that_was_wiped_gets_all_statistics_again() {
    for way in [&["replay"][..], &["--once", "--accept-store"]] {
        let influx = FakeInflux::start().expect("a free port");
        let bench = Bench::on(&influx);
        bench.append(&lines(0, 500));
        bench.expect(&["--once"], 0);
        let before = published(&influx);
        influx.retain(|_| false);
        bench.append(&lines(500, 501));
        bench.expect(&["--once"], 3);
        assert_eq!(influx.count("api_stats"), 0, "nothing before somebody has decided");
        bench.expect(way, 0);
        bench.expect(&["--once"], 0);
        let after = published(&influx);
        assert!(after.keys().eq(before.keys()), "{way:?}");
        assert_eq!(said(&influx), "published");
        if way == ["replay"] {
            assert_whole(&influx);
        }
    }
}

#[test]
fn statistics_of_a_restored_store_are_published_again() {
    let influx = FakeInflux::start().expect("a free port");
    let bench = Bench::on(&influx);
    let bodies = Arc::new(Mutex::new(Vec::new()));
    let taken = Arc::clone(&bodies);
    influx.on_write(move |seen| {
        taken.lock().expect("nobody panicked").push(seen.body.to_owned());
        Fault::None
    });
    bench.append(&lines(0, 100));
    bench.expect(&["--once"], 0);
    let copy = std::mem::take(&mut *bodies.lock().expect("nobody panicked"));
    bench.append(&lines(100, 200));
    bench.expect(&["--once"], 0);
    let whole = published(&influx);
    // As it was: what has changed since is gone, or is what it was.
    influx.retain(|_| false);
    for body in copy {
        influx.write_by_hand(&body).expect("line protocol");
    }
    assert!(published(&influx) != whole);
    bench.expect(&["replay"], 0);
    assert_eq!(said(&influx), "incomplete");
    bench.expect(&["--once"], 0);
    assert_eq!(said(&influx), "published");
    assert_whole(&influx);
}

/// A store that can only be written gets no statistics.
#[test]
fn a_store_that_is_only_written_gets_none() {
    let influx = FakeInflux::start().expect("a free port");
    let mut bench = Bench::on(&influx);
    bench.set("INFLUXDB_WRITE_ONLY", "true");
    bench.append(&lines(0, 100));
    bench.expect(&["--once"], 0);
    assert_eq!((influx.count("api_requests"), influx.count("api_stats")), (100, 0));
    assert!(bench.status().get("statistics").is_none());
}

/// A line of now is published within seconds, and the statement's word on it follows.
#[test]
fn lines_of_now_are_published_at_once() {
    let influx = FakeInflux::start().expect("a free port");
    let bench = Bench::on(&influx);
    bench.append("");
    let running = bench.start();
    eventually("it is ready", || match running.get("/readyz") {
        (200, _) => Ok(()),
        (code, body) => Err(format!("{code} {body}")),
    });
    for round in 0..3 {
        bench.append(&lines_of_now(round + 1));
        bench.until_stored((round + 1) as u64 * (round + 2) as u64 / 2);
        until_whole(&influx);
    }
    until_whole(&influx);
    bench.until("it is said", |status| status["statistics"]["lag_seconds"].as_f64() < Some(3.0));
    let (_, metrics) = running.get("/metrics");
    for name in
        ["statistics_waiting_cells 0", "statistics_freshness_seconds ", "statistics_published_cells_total "]
    {
        assert!(metrics.contains(&format!("tailgauge_{name}")), "{name}: {metrics}");
    }
    assert_eq!(running.stop(), 0);
}
