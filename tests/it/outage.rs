//! InfluxDB is away for a while: nothing is lost, nothing counts twice, memory stays what it was, and readiness tells the truth.

use std::time::{Duration, Instant};

use system_tests::groups::{Group, heavy, left_out, scaled};
use system_tests::influx::CATCH_UP;
use system_tests::stack::{Processor, days_ago};
use system_tests::tell;
use system_tests::wait::PATIENCE;

use crate::both::{Bench, Store};

/// Design section 12: not ready within 5 s of the store failing.
const TOLD_WITHIN: Duration = Duration::from_secs(5);
/// The bound on memory, in percent, against the time before the outage, which is as long: a minute in the long form.
const MEMORY_MAY_GROW_PERCENT: u64 = 5;

#[test]
#[ignore = "a whole-system test: ./start.sh test runs it"]
fn x1_an_outage_loses_nothing_and_doubles_nothing_and_takes_no_memory() {
    if left_out(Group::InfluxDb) {
        return;
    }
    let _turn = heavy();
    let away = Duration::from_secs(scaled("SYSTEM_TESTS_OUTAGE_SECONDS", 15, 60));
    let mut bench = Bench::on(Store::InfluxDb);
    let stack = &bench.stack;
    let influx = bench.influx.as_mut().expect("it is on InfluxDB");
    // 5,000 lines a second and nothing to catch up with: the rooms are far from what they do after the outage.
    let processor = stack.processor();
    let generator = stack.generator(&[("LOG_BATCH_SIZE", "500"), ("LOG_INTERVAL_SECONDS", "0.1")]);
    processor.until_ready(PATIENCE, true);
    highest_memory_kib(&processor, away, |_| {});
    let before = processor.program.peak_rss_kib();

    influx.stop();
    let stopped = Instant::now();
    let answer = processor.until_ready(TOLD_WITHIN, false);
    let told_after = stopped.elapsed();
    assert_eq!(processor.get("/livez").status, 200, "it lives, it only waits");
    let problems = answer.json()["problems"].to_string();
    assert!(problems.contains("connection"), "it says what is wrong: {problems}"); // None, or one that broke.
    let during = highest_memory_kib(&processor, away, |processor| {
        assert_eq!(processor.get("/readyz").status, 503, "it is not ready while the store is away");
    });
    let settled = stack.status()["lines_stored"].as_u64().expect("a count");

    influx.start_again();
    let started = Instant::now();
    processor.until_ready(PATIENCE, true);
    let ready_after = started.elapsed();
    assert_eq!(generator.stop(), 0);
    let recount = stack.recount();
    stack.until_stored(CATCH_UP, recount.lines());
    let caught_up_after = started.elapsed();
    let peak = processor.program.peak_rss_kib();
    tell(&format!(
        "not ready {told_after:.1?} after the store failed, ready {ready_after:.1?} after it was back, {} lines of backlog \
         settled after {caught_up_after:.1?}; memory in KiB: {before} at most before, {during} during, {peak} at most in all",
        recount.lines() - settled
    ));
    assert_eq!(processor.program.stop(), 0);
    stack.assert_account(recount.lines(), 0);
    bench.assert_requests(recount.lines());
    bench.stack.api().assert_equal(&recount, &["1970-01-01", &days_ago(0)]);
    let bound = before * (100 + MEMORY_MAY_GROW_PERCENT) / 100;
    assert!(during <= bound && peak <= bound, "memory grew from {before} to {during} and {peak} KiB");
}

/// The most memory that it holds during a time, with a check at each look.
fn highest_memory_kib(processor: &Processor, time: Duration, check: impl Fn(&Processor)) -> u64 {
    let begun = Instant::now();
    let mut highest = 0;
    while begun.elapsed() < time {
        check(processor);
        highest = highest.max(processor.program.rss_kib());
        // The time itself is what is measured here.
        std::thread::sleep(Duration::from_millis(100));
    }
    highest
}
