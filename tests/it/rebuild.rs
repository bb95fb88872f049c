//! `rebuild`: a processor that has lost its ledger, and files that it had counted, has statistics of all that InfluxDB holds again; and goes on counting without doubling anything.

use system_tests::groups::{Group, left_out};
use system_tests::stack::{LOG, Stack, days_ago};
use system_tests::wait::{PATIENCE, eventually, holds};

use crate::both::{Bench, Store};

/// Lines of the last days, with their history, and the file renamed.
fn write(stack: &Stack, seed: &str, rotated: &str) {
    let settings = [
        ("LOG_PROFILE", "seed"),
        ("LOG_SEED", seed),
        ("LOG_INTERVAL_SECONDS", "0"),
        ("MAX_LOGS_TO_GENERATE", "6000"),
    ];
    stack.generate(&settings);
    stack.once();
    if !rotated.is_empty() {
        stack.rename(LOG, rotated);
    }
}

#[test]
#[ignore = "a whole-system test: ./start.sh test runs it"]
fn x1_a_lost_ledger_has_all_statistics_again() {
    if left_out(Group::InfluxDb) {
        return;
    }
    let mut bench = Bench::on(Store::InfluxDb);
    bench.stack.announce("in use by another processor");
    let stack = &bench.stack;
    write(stack, "1", "api.log.2");
    write(stack, "2", "api.log.1");
    write(stack, "3", "");
    let recount = stack.recount();
    let dates = ["1970-01-01", &days_ago(20), &days_ago(1), &days_ago(0)];
    // The ledger is lost, and the oldest file with its lines.
    std::fs::remove_dir_all(stack.path("state")).expect("removed");
    std::fs::rename(stack.path("api.log.2"), stack.path("kept")).expect("renamed");
    stack.once();
    let api = stack.api();
    let method = || api.stats(None, "1970-01-01").json()["method"].clone();
    assert_eq!(method(), "raw", "statistics that lack a file do not answer");
    api.assert_equal(&recount, &dates);

    // It counts what is there, the second time as the first; and a running processor is in its way.
    let processor = stack.processor();
    processor.until_ready(PATIENCE, true);
    stack.run("log-processor", &["rebuild"], &[], 4);
    assert_eq!(processor.program.stop(), 0);
    for _ in 0..2 {
        let output = stack.run("log-processor", &["rebuild"], &[], 0);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(text.contains("rebuild: 6000 lines of 1 files were sent"), "{text}");
        assert!(text.contains("source `main`: 18000 requests"), "{text}");
        eventually(PATIENCE, "statistics answer", || holds(method() == "cells", || api.page()));
        let raw_questions = api.raw_questions();
        api.assert_equal(&recount, &dates);
        assert_eq!(api.raw_questions(), raw_questions, "made of statistics");
    }

    // It goes on where it was.
    let processor = stack.processor();
    let generator = stack.generator(&[("LOG_BATCH_SIZE", "50"), ("LOG_INTERVAL_SECONDS", "0.05")]);
    stack.until(PATIENCE, "more is stored", |status| status["lines_stored"].as_u64() > Some(8_000));
    assert_eq!(generator.stop(), 0);
    let lines = stack.recount().lines() - 6000; // This ledger has not read the rotated files.
    stack.until(PATIENCE, "all is stored", |status| status["lines_stored"] == lines);
    stack.until(PATIENCE, "and published", |status| status["statistics"]["commit"] == status["commit"]);
    assert_eq!(processor.program.stop(), 0);
    std::fs::rename(stack.path("kept"), stack.path("api.log.2")).expect("renamed");
    let recount = stack.recount();
    eventually(PATIENCE, "statistics tell of all", || {
        let answer = api.stats(None, "1970-01-01").json();
        let whole = answer["total_requests"] == recount.lines() && answer["method"] == "cells";
        holds(whole, || format!("{answer:#}"))
    });
    api.assert_equal(&recount, &dates);
    bench.assert_requests(recount.lines());
    assert_eq!(
        stack.verify(&[]).status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&stack.verify(&[]).stdout)
    );

    // The file is back in its place, where this ledger finds it new; and one request is half a century old.
    stack.append("1971-01-01 00:00:00 cust_7 /api/v1/resource4 200 0.772\n");
    stack.once();
    stack.run("log-processor", &["rebuild"], &[], 0);
    let recount = stack.recount();
    eventually(PATIENCE, "statistics tell of it", || {
        let answer = api.stats(None, "1970-01-01").json();
        let whole = answer["total_requests"] == recount.lines() && answer["method"] == "cells";
        holds(whole, || format!("{answer:#}"))
    });
    api.assert_equal(&recount, &dates);
}
