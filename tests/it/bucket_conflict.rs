//! A bucket in which `duration` is an integer already, because something else has written into the measurement.

use std::time::{Duration, Instant};

use system_tests::groups::{Group, left_out};
use system_tests::influx::CATCH_UP;
use system_tests::recount::Recount;
use system_tests::stack::lines;
use system_tests::wait::{PATIENCE, eventually, holds};

use crate::both::{Bench, Store};

/// Several heartbeats (one each 5 s) and probes (one each 2 s).
const HEARTBEATS: Duration = Duration::from_secs(12);
/// In the week of the lines: types are fixed per shard.
const FOREIGN_POINT: &str = "api_requests,customer_id=foreign,success=1 duration=5i,status_code=200i,request_path=\"/\" 1789403400000000000";

#[test]
#[ignore = "a whole-system test: ./start.sh test runs it"]
fn a_field_type_conflict_pauses_with_a_clear_error_and_drops_nothing() {
    if left_out(Group::InfluxDb) {
        return;
    }
    let mut bench = Bench::on(Store::InfluxDb);
    let influx = bench.influx.as_ref().expect("it is on InfluxDB");
    let answer = influx.write(FOREIGN_POINT);
    assert_eq!(answer.status, 204, "{}", answer.text());
    bench.stack.announce("field type conflict");
    let stack = &bench.stack;
    stack.append(lines(0, 1000));
    let processor = stack.processor();
    eventually(PATIENCE, "/readyz names the conflict and what to do", || {
        let answer = processor.get("/readyz");
        let text = answer.text();
        let clear = text.contains("field type conflict") && text.contains("use another bucket");
        holds(answer.status == 503 && clear, || text)
    });
    // Heartbeats and probes go on to be answered well, and must not be taken for requests: every look says the same.
    let begun = Instant::now();
    while begun.elapsed() < HEARTBEATS {
        let answer = processor.get("/readyz");
        assert!(answer.status == 503 && answer.text().contains("field type conflict"), "{}", answer.text());
        std::thread::sleep(Duration::from_millis(100));
    }
    let log = processor.program.log();
    assert!(!log.contains("repaired, going on"), "nothing is repaired yet:\n{log}");
    let errors = log.lines().filter(|line| line.contains("ERROR")).count();
    assert!(errors > 0 && errors <= 4, "said, and not over and over:\n{log}");
    assert_eq!(processor.get("/livez").status, 200);
    let status = stack.status();
    assert_eq!(
        ["lines_stored", "lines_rejected", "bytes_settled"].map(|name| status[name].as_u64()),
        [Some(0); 3],
        "nothing is stored and nothing is dropped: {status:#}"
    );

    // The foreign points are removed, as the error says: it goes on by itself.
    influx.delete("api_requests");
    stack.until_stored(CATCH_UP, 1000);
    processor.until_ready(PATIENCE, true);
    assert_eq!(processor.program.stop(), 0);
    stack.assert_account(1000, 0);
    bench.assert_requests(1000);
    stack.api().assert_equal(&Recount::of_text(lines(0, 1000).as_bytes()), &["1970-01-01"]);
}
