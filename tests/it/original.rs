//! The cases of the original exercise's own tests that concern more than one program. Those about answers are in api/tests/it/original.rs; the list of all
//! is in tests/README.md.

use std::time::{Duration, Instant};

use system_tests::groups::{Group, heavy, left_out};
use system_tests::influx::BUCKET;
use system_tests::proxy::Treatment;
use system_tests::recount::Recount;
use system_tests::stack::{LOG, Stack, lines};
use system_tests::wait::PATIENCE;

use crate::both::{Bench, Store};

#[test]
#[ignore = "a whole-system test: ./start.sh test runs it"]
fn log_line_format() {
    if left_out(Group::Native) {
        return;
    }
    for profile in ["seed", "realistic"] {
        let stack = Stack::embedded();
        stack.generate(&[
            ("LOG_PROFILE", profile),
            ("MAX_LOGS_TO_GENERATE", "2000"),
            ("LOG_INTERVAL_SECONDS", "0"),
        ]);
        let log = std::fs::read_to_string(stack.path(LOG)).expect("the log is UTF-8");
        assert_eq!(log.lines().count(), 2000);
        for line in log.lines() {
            let shape: String =
                line.chars().map(|letter| if letter.is_ascii_digit() { '0' } else { letter }).collect();
            let fields: Vec<&str> = shape.split(' ').collect();
            let [date, time, customer, path, status, seconds] = fields[..] else { panic!("{line:?}") };
            assert_eq!((date, time, status), ("0000-00-00", "00:00:00", "000"), "{line:?}");
            assert!(customer.starts_with("cust_0") && path.starts_with("/api/"), "{line:?}");
            assert!(seconds.starts_with("0") && seconds.trim_start_matches('0') == ".000", "{line:?}");
        }
    }
}

#[test]
#[ignore = "a whole-system test: ./start.sh test runs it"]
fn generator_rate() {
    if left_out(Group::Native) {
        return;
    }
    let _turn = heavy();
    let stack = Stack::embedded();
    let begun = Instant::now();
    // 500 lines every quarter of a second: the last of 4,000 falls due after 1.75 s.
    stack.generate(&[
        ("LOG_BATCH_SIZE", "500"),
        ("LOG_INTERVAL_SECONDS", "0.25"),
        ("MAX_LOGS_TO_GENERATE", "4000"),
    ]);
    let took = begun.elapsed();
    assert!((Duration::from_millis(1700)..Duration::from_secs(4)).contains(&took), "{took:?}");
}

#[test]
#[ignore = "a whole-system test: ./start.sh test runs it"]
fn generator_stops_after_the_lines_asked_for() {
    if left_out(Group::Native) {
        return;
    }
    let stack = Stack::embedded();
    stack.generate(&[("LOG_INTERVAL_SECONDS", "0"), ("MAX_LOGS_TO_GENERATE", "12345")]);
    assert_eq!(stack.recount().lines(), 12_345);
}

#[test]
#[ignore = "a whole-system test: ./start.sh test runs it"]
fn batch_by_size() {
    if left_out(Group::InfluxDb) {
        return;
    }
    let mut bench = Bench::behind_a_proxy(Store::InfluxDb);
    bench.stack.set("STREAM_MAX_SIZE", "50");
    bench.stack.append(lines(0, 1010));
    bench.stack.once();
    let counts = bench.proxy.as_ref().expect("it is behind one").counts();
    // All are there at once, so all batches but the last can be full.
    assert_eq!((counts.largest_write, counts.points, counts.repeated_points), (50, 1010, 0), "{counts:?}");
    assert!((21..=25).contains(&counts.writes), "{counts:?}");
    bench.assert_requests(1010);
}

#[test]
#[ignore = "a whole-system test: ./start.sh test runs it"]
fn batch_by_time() {
    if left_out(Group::InfluxDb) {
        return;
    }
    let mut bench = Bench::behind_a_proxy(Store::InfluxDb);
    bench.stack.set("STREAM_MAX_WAIT_TIME_IN_SECONDS", "2");
    let proxy = bench.proxy.as_ref().expect("it is behind one");
    proxy.treat(|number| if number == 1 { Treatment::StoreAndWithhold } else { Treatment::Pass });
    let processor = bench.stack.processor();
    bench.stack.append(lines(0, 1));
    proxy.until(PATIENCE, "the first line is on its way at once", |counts| counts.withheld == 1);
    // While something is on its way, lines wait for more of them, but not for ever.
    let begun = Instant::now();
    bench.stack.append(lines(1, 4));
    let counts = proxy.until(PATIENCE, "lines that fill no batch leave", |counts| counts.stored_writes == 2);
    let waited = begun.elapsed();
    assert!((Duration::from_millis(1900)..Duration::from_secs(10)).contains(&waited), "{waited:?}");
    assert_eq!((counts.points, counts.largest_write), (4, 3), "together");
    proxy.release();
    bench.stack.until_stored(PATIENCE, 4);
    assert_eq!(processor.program.stop(), 0);
    bench.assert_requests(4);
}

#[test]
#[ignore = "a whole-system test: ./start.sh test runs it"]
fn malformed_line() {
    if left_out(Group::Native) {
        return;
    }
    let stack = Stack::embedded();
    stack.append(lines(0, 3) + "this is no request\n" + &lines(3, 5));
    stack.once();
    stack.assert_account(5, 1);
    assert_eq!(stack.rejects()[0]["line"], "this is no request");
    stack.api().assert_equal(&Recount::of_text(lines(0, 5).as_bytes()), &["1970-01-01"]);
}

#[test]
#[ignore = "a whole-system test: ./start.sh test runs it"]
fn storage_round_trip() {
    if left_out(Group::InfluxDb) {
        return;
    }
    let bench = Bench::on(Store::InfluxDb);
    bench.stack.append("2024-09-14 16:15:35 cust_5 /api/v1/resource4 200 0.772\n");
    bench.stack.once();
    // The original's schema: what was written for it can be read by what was written for it.
    let influx = bench.influx.as_ref().expect("it is on InfluxDB");
    let rows = influx.flux(&format!(
        r#"from(bucket: "{BUCKET}") |> range(start: 2024-09-14T16:15:35Z, stop: 2024-09-14T16:15:36Z)
            |> filter(fn: (r) => r._measurement == "api_requests")
            |> pivot(rowKey: ["_time"], columnKey: ["_field"], valueColumn: "_value")"#
    ));
    assert_eq!(rows.len(), 1, "{rows:?}");
    for (column, expected) in [
        ("customer_id", "cust_5"),
        ("success", "1"),
        ("duration", "0.772"),
        ("status_code", "200"),
        ("request_path", "/api/v1/resource4"),
    ] {
        assert_eq!(rows[0].get(column).map(String::as_str), Some(expected), "{column}");
    }
    let answer = bench.stack.api().stats(Some("cust_5"), "2024-09-14").json();
    assert_eq!(
        (&answer["total_requests"], &answer["average_latency"]),
        (&1.into(), &0.772.into()),
        "{answer:#}"
    );
}
