//! A bucket that is deleted and made anew on a real InfluxDB is noticed, and whole again after `replay`; `kill -9` is never taken for it.

use std::time::Duration;

use system_tests::groups::{Group, heavy, left_out};
use system_tests::stack::{Processor, Stack, lines};
use system_tests::wait::{PATIENCE, eventually, holds};

use crate::both::{Bench, Store};

const WORDS: &str = "the store no longer knows what it had confirmed";

fn bench() -> Bench {
    let mut bench = Bench::on(Store::InfluxDb);
    bench.stack.announce(WORDS);
    bench
}

/// Waits until it is not ready because the store was wiped.
fn until_noticed(processor: &Processor) {
    eventually(PATIENCE, "the loss is noticed", || {
        let answer = processor.get("/readyz");
        holds(answer.status == 503 && answer.text().contains(WORDS), || answer.text())
    });
}

fn replay_and_verify(stack: &Stack, requests: u64) {
    stack.run("log-processor", &["replay"], &[], 0);
    let output = stack.verify(&[]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains(&format!("with {requests} requests")), "{text}");
}

#[test]
#[ignore = "a whole-system test: ./start.sh test runs it"]
fn x1_a_bucket_made_anew_while_it_was_stopped() {
    if left_out(Group::InfluxDb) {
        return;
    }
    let bench = bench();
    let (stack, influx) = (&bench.stack, bench.influx.as_ref().expect("InfluxDB"));
    stack.append(lines(0, 1000));
    stack.once();
    stack.rename("api.log", "api.log.1");
    stack.append(lines(1000, 1500));
    stack.once();
    influx.renew_bucket();
    stack.append(lines(1500, 1600));
    let processor = stack.processor();
    until_noticed(&processor);
    assert_eq!(influx.requests(), 0);
    assert_eq!(stack.status()["lines_stored"], 1500);
    assert_eq!(processor.program.stop(), 3); // There are lines that it could not hand on.
    replay_and_verify(stack, 1500);
    let processor = stack.processor();
    stack.until_stored(PATIENCE, 1600);
    processor.until_ready(PATIENCE, true);
    assert_eq!(processor.program.stop(), 0);
    stack.assert_account(1600, 0);
    bench.assert_requests(1600);
    stack.api().assert_equal(&stack.recount(), &["1970-01-01"]);
}

#[test]
#[ignore = "a whole-system test: ./start.sh test runs it"]
fn x1_a_bucket_made_anew_under_a_running_processor() {
    if left_out(Group::InfluxDb) {
        return;
    }
    let mut bench = bench();
    // The moment in which there is no bucket.
    bench.stack.announce("concern=Writing");
    bench.stack.announce("concern=Presence");
    bench.stack.announce("concern=Asking");
    let (stack, influx) = (&bench.stack, bench.influx.as_ref().expect("InfluxDB"));
    stack.append(lines(0, 1000));
    let processor = stack.processor();
    stack.until_stored(PATIENCE, 1000);
    influx.renew_bucket();
    until_noticed(&processor);
    stack.append(lines(1000, 1100));
    stack.until(PATIENCE, "the lines wait", |status| status["lines_in_flight"] == 100);
    processor.program.kill();
    replay_and_verify(stack, 1000);
    stack.once();
    stack.assert_account(1100, 0);
    bench.assert_requests(1100);
}

#[test]
#[ignore = "a whole-system test: ./start.sh test runs it"]
fn k2_kills_under_load_are_no_loss_of_the_store() {
    if left_out(Group::InfluxDb) {
        return;
    }
    let _turn = heavy();
    let bench = Bench::on(Store::InfluxDb);
    let stack = &bench.stack;
    let generator = stack.generator(&[("LOG_BATCH_SIZE", "100"), ("LOG_INTERVAL_SECONDS", "0.02")]);
    for _ in 0..10 {
        let before = stack.status()["lines_stored"].as_u64().expect("a count");
        let processor = stack.processor();
        stack.until(PATIENCE, "it makes progress", |status| {
            status["lines_stored"].as_u64() > Some(before + 300)
        });
        // An ERROR in its log would fail the test: none was announced.
        processor.program.kill();
    }
    assert_eq!(generator.stop(), 0);
    let recount = stack.recount();
    let processor = stack.processor();
    stack.until_stored(Duration::from_secs(180), recount.lines());
    processor.until_ready(PATIENCE, true);
    assert_eq!(processor.program.stop(), 0);
    bench.assert_requests(recount.lines());
}
