//! `log-processor verify` on real stores: intact after kills, rotations and replays; what is deleted or changed by hand is named by second and customer.

use std::time::Duration;

use serde_json::Value;
use system_tests::groups::heavy;
use system_tests::influx::Influx;
use system_tests::stack::{Stack, lines};
use system_tests::wait::PATIENCE;

use crate::both::{Bench, Store, on_both_stores};

/// The differences that `verify --json` prints.
fn differences(stack: &Stack) -> Vec<Value> {
    let output = stack.verify(&["--json"]);
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let differences: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect();
    assert_eq!(output.status.code(), Some(i32::from(!differences.is_empty())), "{text}");
    differences
}

/// Asserts that verify finds so many requests, and no difference.
fn assert_intact(stack: &Stack, requests: u64) {
    let output = stack.verify(&[]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains(&format!("with {requests} requests")), "{requests}: {text}");
}

/// Kind, second and customer of the differences.
fn told(differences: &[Value]) -> Vec<(&str, &str, &str)> {
    differences
        .iter()
        .map(|difference| {
            let text = |name: &str| difference[name].as_str().unwrap_or_default();
            (text("kind"), text("second"), text("customer"))
        })
        .collect()
}

/// Line 1234 of `lines`: its second, and its customer. Its status is 500.
const SECOND: &str = "2026-09-14T16:20:34Z";
const CUSTOMER: &str = "cust_2";

on_both_stores!(b5_what_is_deleted_or_changed_by_hand_is_named);

fn b5_what_is_deleted_or_changed_by_hand_is_named(store: Store) {
    let mut bench = Bench::on(store);
    // The lines are older than raw requests are kept.
    bench.stack.set("RAW_REQUESTS_AGE", "0");
    bench.stack.append(lines(0, 3000));
    bench.stack.once();
    assert_intact(&bench.stack, 3000);
    match &bench.influx {
        Some(influx) => by_hand_in_influxdb(influx, &bench.stack),
        None => by_hand_in_the_ledger(&bench.stack),
    }
}

fn by_hand_in_influxdb(influx: &Influx, stack: &Stack) {
    let of_the_second = format!(
        r#"from(bucket: "requests") |> range(start: {SECOND}, stop: 2026-09-14T16:20:35Z)
           |> filter(fn: (r) => r._measurement == "api_requests" and r._field == "duration")"#
    );
    let rows = influx.flux(&of_the_second);
    assert_eq!(rows.len(), 1, "{rows:?}");
    let time: chrono::DateTime<chrono::Utc> = rows[0]["_time"].parse().expect("a time");
    let nanos = time.timestamp_nanos_opt().expect("in range");
    let write = |fields: &str| {
        let line = format!("api_requests,customer_id={CUSTOMER},success=0 {fields} {nanos}");
        assert_eq!(influx.write(&line).status, 204);
    };
    for field in ["duration=9.5", "status_code=201i", "request_path=\"/other\""] {
        write(field);
        assert_eq!(told(&differences(stack)), [("changed", SECOND, CUSTOMER)], "{field}");
        write("duration=0.234,status_code=500i,request_path=\"/api/v1/resource2\"");
        assert_eq!(told(&differences(stack)), []);
    }
    influx.delete_between("api_requests", SECOND, "2026-09-14T16:20:35Z");
    assert_eq!(told(&differences(stack)), [("missing", SECOND, CUSTOMER)]);
}

fn by_hand_in_the_ledger(stack: &Stack) {
    let sql = |statement: &str| {
        let connection = rusqlite::Connection::open(stack.path("state/ledger.db")).expect("it is SQLite");
        assert_eq!(connection.execute(statement, []).expect("SQL"), 1, "{statement}");
    };
    for (change, back) in [
        ("latency_micros = 9500000", "latency_micros = 234000"),
        ("path = '/other'", "path = '/api/v1/resource2'"),
    ] {
        sql(&format!("UPDATE request SET {change} WHERE number = 1235"));
        assert_eq!(told(&differences(stack)), [("changed", SECOND, CUSTOMER)], "{change}");
        sql(&format!("UPDATE request SET {back} WHERE number = 1235"));
        assert_eq!(told(&differences(stack)), []);
    }
    sql("DELETE FROM request WHERE number = 1235");
    assert_eq!(told(&differences(stack)), [("missing", SECOND, CUSTOMER), ("removed", "", "")]);
    sql("DELETE FROM cell WHERE kind = 2 AND customer = 3");
    let cell = ("cell", "2026-09-14T00:00:00Z", CUSTOMER);
    assert!(told(&differences(stack)).contains(&cell));
}

on_both_stores!(x1_b5_a_store_is_intact_after_kills_and_rotations);

fn x1_b5_a_store_is_intact_after_kills_and_rotations(store: Store) {
    let _turn = heavy();
    let mut bench = Bench::on(store);
    bench.stack.set("STREAM_MAX_SIZE", "500");
    let per_batch = if store == Store::Embedded { "400" } else { "100" };
    let generator = bench.stack.generator(&[
        ("LOG_BATCH_SIZE", per_batch),
        ("LOG_INTERVAL_SECONDS", "0.02"),
        ("LOG_ROTATE_BYTES", "500000"),
    ]);
    for _ in 0..4 {
        let before = bench.stack.status()["lines_stored"].as_u64().expect("a count");
        let processor = bench.stack.processor();
        bench.stack.until(PATIENCE, "it makes progress", |status| {
            status["lines_stored"].as_u64() >= Some(before + 2000)
        });
        // While it runs, with lines in flight and files that are renamed.
        let running = bench.stack.verify(&[]);
        let text = String::from_utf8_lossy(&running.stdout).into_owned();
        assert_eq!(running.status.code(), Some(0), "{text}\n{}", String::from_utf8_lossy(&running.stderr));
        processor.program.kill();
    }
    assert_eq!(generator.stop(), 0);
    let recount = bench.stack.recount();
    let processor = bench.stack.processor();
    bench.stack.until_stored(Duration::from_secs(180), recount.lines());
    assert_eq!(processor.program.stop(), 0);
    assert_intact(&bench.stack, recount.lines());
}
