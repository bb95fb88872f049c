//! `verify`: an intact store is intact, and whatever is changed by hand is named by second and customer.

use serde_json::Value;
use store::influx::fake::{FakeInflux, FieldValue, Point};

use crate::harness::{Bench, eventually, lines};

/// What `verify` prints for a person, and its exit code.
fn verify(bench: &Bench, code: i32) -> String {
    String::from_utf8(bench.expect(&["verify"], code).stdout).expect("UTF-8")
}

/// What `verify --json` prints.
fn differences(bench: &Bench) -> Vec<Value> {
    let output = bench.run(&["verify", "--json"]);
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let values: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect();
    assert_eq!(output.status.code(), Some(i32::from(!values.is_empty())), "{text}");
    values
}

/// The one difference that there is.
fn the_difference(bench: &Bench) -> Value {
    let mut all = differences(bench);
    assert_eq!(all.len(), 1, "{all:#?}");
    all.remove(0)
}

fn stored(lines_from: usize, lines_to: usize) -> (FakeInflux, Bench) {
    let influx = FakeInflux::start().expect("a free port");
    let bench = Bench::on(&influx);
    bench.append(&lines(lines_from, lines_to));
    bench.expect(&["--once"], 0);
    (influx, bench)
}

/// The request that `lines` makes for this number: its time tells the second.
fn nth(influx: &FakeInflux, n: usize) -> Point {
    let line = lines(n, n + 1);
    let stamp = line.get(..19).expect("a stamp");
    let second = chrono::NaiveDateTime::parse_from_str(stamp, "%Y-%m-%d %H:%M:%S").expect("a stamp");
    let second = second.and_utc().timestamp();
    let mut points = influx.points("api_requests");
    points.retain(|point| point.time_nanos.div_euclid(1_000_000_000) == second);
    assert_eq!(points.len(), 1, "one line a second");
    points.remove(0)
}

#[test]
fn an_intact_store_is_intact() {
    let (influx, bench) = stored(0, 3000);
    bench.append("not a line\n\n");
    bench.expect(&["--once"], 0);
    let text = verify(&bench, 0);
    assert!(
        text.contains("verify: 0 differences; 1 files with 3000 requests and 2 rejected lines"),
        "{text}"
    );
    assert!(text.contains("3000 requests are in influxdb"), "{text}");
    assert_eq!(differences(&bench), Vec::<Value>::new());
    assert_eq!(influx.counts().changed_points, 0);
}

#[test]
fn b5_a_point_that_was_deleted_is_named() {
    let (influx, bench) = stored(0, 3000);
    let gone = nth(&influx, 1234);
    influx.retain(|point| *point != gone);
    insta::assert_snapshot!(verify(&bench, 1).lines().next().unwrap_or_default(), @"2026-09-14T16:20:34Z cust_2 (source main): missing: status 200, duration 0.234, path /api/v1/resource2 [api.log:67870]");
    let difference = the_difference(&bench);
    assert_eq!(difference["kind"], "missing");
    assert_eq!(difference["second"], "2026-09-14T16:20:34Z");
    assert_eq!(difference["customer"], "cust_2");
    assert_eq!(difference["expected"]["duration"], 0.234);
}

#[test]
fn b5_each_value_that_was_changed_is_named() {
    for (field, value) in [
        ("duration", FieldValue::Float(9.5)),
        ("duration", FieldValue::Float(0.234_000_000_000_000_07)),
        ("status_code", FieldValue::Integer(201)),
        ("request_path", FieldValue::Text("/other".to_owned())),
    ] {
        let (influx, bench) = stored(1000, 1500);
        let mut point = nth(&influx, 1234);
        let time = point.time_nanos;
        let text = match &value {
            FieldValue::Float(value) => format!("{value}"),
            FieldValue::Integer(value) => format!("{value}i"),
            FieldValue::Text(value) => format!("\"{value}\""),
            FieldValue::Boolean(value) => format!("{value}"),
        };
        let body = format!("api_requests,customer_id=cust_2,success=1 {field}={text} {time}");
        influx.write_by_hand(&body).expect("line protocol");
        point.fields.insert(field.to_owned(), value);
        assert_eq!(nth(&influx, 1234), point);
        let difference = the_difference(&bench);
        assert_eq!((&difference["kind"], &difference["customer"]), (&"changed".into(), &"cust_2".into()));
        assert_eq!(difference["second"], "2026-09-14T16:20:34Z");
        assert_ne!(difference["expected"], difference["found"], "{difference:#}");
    }
}

#[test]
fn b5_a_point_that_no_line_makes_is_named() {
    let (influx, bench) = stored(0, 100);
    let time = nth(&influx, 50).time_nanos + 1;
    let body = format!(
        "api_requests,customer_id=nobody,success=1 duration=1,status_code=200i,request_path=\"/x\" {time}"
    );
    influx.write_by_hand(&body).expect("line protocol");
    let difference = the_difference(&bench);
    assert_eq!((&difference["kind"], &difference["customer"]), (&"unexpected".into(), &"nobody".into()));
    // Under the key of a line, but of another customer: both are named.
    let (influx, bench) = stored(0, 100);
    let point = nth(&influx, 50);
    influx.retain(|other| *other != point);
    let body = format!(
        "api_requests,customer_id=nobody,success=1 duration=1,status_code=200i,request_path=\"/x\" {}",
        point.time_nanos
    );
    influx.write_by_hand(&body).expect("line protocol");
    let mut kinds: Vec<String> =
        differences(&bench).iter().map(|difference| difference["kind"].to_string()).collect();
    kinds.sort();
    assert_eq!(kinds, ["\"missing\"", "\"unexpected\""]);
}

#[test]
fn an_emptied_store_misses_everything_and_shows_the_first() {
    let (influx, bench) = stored(0, 500);
    influx.retain(|point| point.measurement != "api_requests");
    let text = verify(&bench, 1);
    assert_eq!(text.lines().filter(|line| line.contains(": missing: ")).count(), 20, "{text}");
    assert!(text.contains("500 differences in all") && text.contains("(500 missing)"), "{text}");
    assert_eq!(differences(&bench).len(), 500);
}

#[test]
fn what_cannot_be_judged_is_said_with_its_number() {
    let (_influx, bench) = stored(0, 300);
    bench.rename("api.log", "api.log.1");
    bench.append(&lines(300, 400));
    bench.expect(&["--once"], 0);
    assert!(verify(&bench, 0).contains("2 files with 400 requests"));
    // A file that is gone, and lines that are not settled yet.
    std::fs::remove_file(bench.path("api.log.1")).expect("removed");
    bench.append(&lines(400, 405));
    let text = verify(&bench, 0);
    assert!(text.contains("1 files with 100 requests"), "{text}");
    assert!(text.contains("not judged: 1 files that were settled and are gone"), "{text}");
    let unsettled = lines(400, 405).len();
    assert!(text.contains(&format!("not judged: {unsettled} bytes that are not settled yet")), "{text}");
}

#[test]
fn a_compressed_file_is_the_same_file() {
    let (influx, bench) = stored(0, 300);
    bench.rename("api.log", "api.log.1");
    bench.append(&lines(300, 400));
    bench.expect(&["--once"], 0);
    let gzip = std::process::Command::new("gzip").arg(bench.path("api.log.1")).status();
    assert!(gzip.expect("gzip is there").success());
    assert!(verify(&bench, 0).contains("2 files with 400 requests"));
    let gone = nth(&influx, 150);
    influx.retain(|point| *point != gone);
    let difference = the_difference(&bench);
    assert_eq!((&difference["kind"], &difference["file"]), (&"missing".into(), &"api.log.1.gz".into()));
}

#[test]
fn without_a_ledger_the_stores_journal_tells_which_file_is_which() {
    let (influx, bench) = stored(0, 300);
    bench.rename("api.log", "api.log.1");
    bench.append(&lines(300, 400));
    bench.expect(&["--once"], 0);
    std::fs::remove_dir_all(bench.path("state")).expect("removed");
    assert!(verify(&bench, 0).contains("2 files with 400 requests"));
    let gone = nth(&influx, 350);
    influx.retain(|point| *point != gone);
    assert_eq!(the_difference(&bench)["customer"], "cust_0");
}

#[test]
fn lines_that_were_skipped_or_refused_are_not_missed() {
    let influx = FakeInflux::start().expect("a free port");
    influx.rule(|rules| rules.refuse_lines_with = Some("resource3".to_owned()));
    let mut bench = Bench::on(&influx);
    bench.set("START_AT", "end");
    bench.append_to("api.log.1", lines(0, 50).as_bytes());
    bench.append(&lines(50, 100));
    bench.expect(&["--once"], 0);
    bench.append(&lines(100, 140));
    bench.expect(&["--once"], 0);
    assert_eq!(bench.status()["rejected"]["refused"], 10);
    let text = verify(&bench, 0);
    assert!(text.contains("1 files with 30 requests and 10 rejected lines"), "{text}");
    let skipped = lines(0, 100).len();
    assert!(text.contains(&format!("{skipped} bytes that were not to be read (START_AT)")), "{text}");
}

#[test]
fn it_works_while_a_processor_runs_and_takes_lines_in_flight_for_nothing() {
    let influx = FakeInflux::start().expect("a free port");
    let bench = Bench::on(&influx);
    bench.append(&lines(0, 1000));
    let running = bench.start();
    bench.until_stored(1000);
    influx.on_write(|seen| {
        if seen.body.contains("api_requests") {
            store::influx::fake::Fault::Withhold { store: true }
        } else {
            store::influx::fake::Fault::None
        }
    });
    bench.append(&lines(1000, 2000));
    eventually("lines are stored and not acknowledged", || {
        let stored = influx.count("api_requests");
        if stored == 2000 { Ok(()) } else { Err(format!("{stored} points")) }
    });
    let text = verify(&bench, 0);
    assert!(text.contains("1 files with 1000 requests"), "{text}");
    influx.on_write(|_| store::influx::fake::Fault::None);
    influx.release();
    bench.until_stored(2000);
    assert!(verify(&bench, 0).contains("1 files with 2000 requests"));
    assert_eq!(running.stop(), 0);
}

#[test]
fn a_store_that_can_only_be_written_cannot_be_verified_and_that_is_said() {
    let influx = FakeInflux::start().expect("a free port");
    let mut bench = Bench::on(&influx);
    bench.set("INFLUXDB_WRITE_ONLY", "true");
    let output = bench.expect(&["verify"], 2);
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(log.contains("INFLUXDB_WRITE_ONLY=true"), "{log}");
}

/// Changes the ledger by hand.
fn sql(bench: &Bench, statement: &str) {
    let connection = rusqlite::Connection::open(bench.path("state/ledger.db")).expect("it is SQLite");
    assert!(connection.execute(statement, []).expect("SQL") > 0, "{statement}");
}

#[test]
fn b5_embedded_raw_requests_that_were_changed_or_removed_are_named() {
    let mut bench = Bench::new();
    bench.set("RAW_REQUESTS_AGE", "0");
    bench.append(&lines(0, 3000));
    bench.expect(&["--once"], 0);
    let text = verify(&bench, 0);
    assert!(text.contains("statistics cells"), "{text}");
    sql(&bench, "UPDATE request SET latency_micros = 9500000 WHERE number = 1235");
    let text = verify(&bench, 1);
    assert!(text.contains("2026-09-14T16:20:34Z cust_2 (source main): changed: duration should be 0.234 and is 9.5 [api.log:67870]"), "{text}");
    sql(&bench, "DELETE FROM request WHERE number = 1235");
    let text = verify(&bench, 1);
    assert!(text.contains("2026-09-14T16:20:34Z cust_2 (source main): missing"), "{text}");
    assert!(text.contains("1 raw requests were removed"), "{text}");
}

#[test]
fn b5_embedded_cells_that_were_changed_or_removed_are_named() {
    let bench = Bench::new();
    bench.append(&lines(0, 3000));
    bench.expect(&["--once"], 0);
    sql(&bench, "UPDATE cell SET blob = zeroblob(9) WHERE kind = 2 AND customer = 3");
    let text = verify(&bench, 1);
    assert!(text.contains("2026-09-14T00:00:00Z cust_2 (source main): the day's statistics"), "{text}");
    assert!(text.contains("its checksum does not hold"), "{text}");
    sql(&bench, "DELETE FROM cell WHERE kind = 2 AND customer = 3");
    assert!(verify(&bench, 1).contains("the ledger has none"));
}

#[test]
fn embedded_requests_that_were_dropped_for_their_number_are_not_missed() {
    let mut bench = Bench::new();
    bench.set("RAW_REQUESTS_MAX", "100");
    bench.set("RAW_REQUESTS_AGE", "0");
    bench.append(&lines(0, 1000));
    bench.expect(&["--once"], 0);
    let text = verify(&bench, 0);
    assert!(text.contains("100 requests are in the ledger as they should be"), "{text}");
    sql(&bench, "UPDATE request SET status = 201 WHERE number = (SELECT min(number) + 50 FROM request)");
    assert_eq!(the_difference(&bench)["kind"], "changed");
}

#[test]
fn f3_embedded_raw_requests_that_were_removed_from_the_oldest_end_are_named() {
    let mut bench = Bench::new();
    bench.set("RAW_REQUESTS_AGE", "0");
    bench.append(&lines(0, 3800));
    bench.expect(&["--once"], 0);
    assert!(verify(&bench, 0).contains("3800 requests are in the ledger as they should be"));
    sql(&bench, "DELETE FROM request WHERE number = (SELECT min(number) FROM request)");
    let text = verify(&bench, 1);
    assert!(text.contains("2026-09-14T16:00:00Z cust_0 (source main): missing"), "{text}");
    assert!(text.contains("1 raw requests were removed"), "{text}");
    sql(&bench, "DELETE FROM request");
    let text = verify(&bench, 1);
    assert!(text.contains("2026-09-14T16:00:00Z cust_0 (source main): missing"), "{text}");
    assert!(text.contains("3800 missing"), "{text}");
    assert!(text.contains("0 requests are in the ledger as they should be"), "{text}");
}

#[test]
fn f4_embedded_raw_requests_that_the_retention_dropped_are_not_missed() {
    let mut bench = Bench::new();
    bench.set("RAW_REQUESTS_AGE", "0");
    let of = |customer: &str, days: i64, lines: usize| {
        let time = chrono::Utc::now() - chrono::Duration::days(days);
        format!("{} {customer} /api 200 0.001\n", time.format("%Y-%m-%d %H:%M:%S")).repeat(lines)
    };
    bench.append(&[of("n1", 1, 50), of("o1", 60, 50), of("n1", 1, 50)].concat());
    bench.expect(&["--once"], 0);
    assert!(verify(&bench, 0).contains("150 requests are in the ledger as they should be"));
    bench.set("RETENTION", "30d");
    bench.append(&of("n1", 1, 1));
    bench.expect(&["--once"], 0);
    let text = verify(&bench, 0);
    assert!(text.contains("101 requests are in the ledger as they should be"), "{text}");
    // They stay dropped when older ones are kept again.
    bench.set("RETENTION", "0");
    assert!(verify(&bench, 0).contains("101 requests are in the ledger as they should be"));
    sql(&bench, "DELETE FROM request WHERE number = 101");
    let text = verify(&bench, 1);
    assert!(text.contains("n1 (source main): missing"), "{text}");
    assert!(text.contains("1 raw requests were removed"), "{text}");
}

#[test]
fn f3_embedded_the_first_request_behind_those_that_were_dropped_for_their_number_is_named() {
    let mut bench = Bench::new();
    bench.set("RAW_REQUESTS_MAX", "100");
    bench.set("RAW_REQUESTS_AGE", "0");
    bench.append(&lines(0, 1000));
    bench.expect(&["--once"], 0);
    let text = verify(&bench, 0);
    assert!(text.contains("100 requests are in the ledger as they should be"), "{text}");
    sql(&bench, "DELETE FROM request WHERE number = (SELECT min(number) FROM request)");
    let text = verify(&bench, 1);
    assert!(text.contains("2026-09-14T16:15:00Z cust_4 (source main): missing"), "{text}");
}
