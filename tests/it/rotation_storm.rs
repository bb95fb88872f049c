//! Three logs at once, written as fast as can be and rotated many times a second: no line is lost, none counts twice.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use system_tests::groups::{heavy, scaled};
use system_tests::recount::Recount;
use system_tests::stack::Stack;
use system_tests::{grouped, tell};

use crate::both::{Bench, Store, on_both_stores};

/// Each log with the name of its source in InfluxDB: raw points of `main` carry none.
const LOGS: [(&str, &str); 3] = [("api.log", ""), ("shop.log", "shop"), ("far.log", "far")];
const ROTATE_BYTES: u64 = 5_000_000;
const DEADLINE: Duration = Duration::from_secs(300);

on_both_stores!(every_line_of_three_logs_in_a_rotation_storm_counts_once);

fn every_line_of_three_logs_in_a_rotation_storm_counts_once(store: Store) {
    let _turn = heavy();
    for _ in 0..scaled("SYSTEM_TESTS_STORM_RUNS", 1, 5) {
        storm(store, scaled("SYSTEM_TESTS_STORM_LINES", 600_000, 2_000_000));
    }
}

fn storm(store: Store, lines: u64) {
    let mut bench = Bench::on(store);
    bench.stack.set("LOG_FILE_PATH", &LOGS.map(|(log, _)| log).join(","));
    let stack = &bench.stack;
    let share = |log: usize| lines / 3 + u64::from((log as u64) < lines % 3);
    let processor = stack.processor();
    processor.until_ready(Duration::from_secs(30), true);
    let begun = Instant::now();
    let generators: Vec<_> = (0..LOGS.len())
        .map(|log| {
            stack.generator(&[
                ("LOG_FILE_PATH", LOGS[log].0),
                ("LOG_SEED", &log.to_string()),
                ("LOG_INTERVAL_SECONDS", "0"),
                ("LOG_ROTATE_BYTES", &ROTATE_BYTES.to_string()),
                ("MAX_LOGS_TO_GENERATE", &share(log).to_string()),
            ])
        })
        .collect();
    for generator in generators {
        assert_eq!(generator.wait(DEADLINE), 0);
    }
    let written = begun.elapsed();
    stack.until_stored(DEADLINE, lines);
    let settled = begun.elapsed();
    assert_eq!(processor.program.stop(), 0);
    stack.assert_account(lines, 0);
    bench.assert_requests(lines);

    let rotations: usize = LOGS.map(|(log, _)| stack.generations(log).len() - 1).iter().sum();
    assert!(rotations as u64 > lines / 150_000, "{rotations} rotations are no storm");
    tell(&format!(
        "{}: {} lines and {rotations} rotations written in {written:.1?}, settled after {settled:.1?}",
        store.name(),
        grouped(lines),
    ));
    let recount = recount(stack);
    assert_eq!(recount.lines(), lines);
    stack.api().assert_equal(&recount, &["1970-01-01"]);
    if let Some(influx) = &bench.influx {
        let by_source: BTreeMap<String, u64> =
            LOGS.iter().enumerate().map(|(log, (_, source))| ((*source).to_owned(), share(log))).collect();
        assert_eq!(influx.requests_by("source"), by_source);
        read_again(&mut bench, lines);
    }
}

/// Without its ledger, and told to read rotated files too, it makes the very same points again.
fn read_again(bench: &mut Bench, lines: u64) {
    bench.stack.remove("state");
    bench.stack.set("START_AT", "history");
    bench.stack.once();
    bench.stack.assert_account(lines, 0);
    bench.assert_requests(lines);
}

fn recount(stack: &Stack) -> Recount {
    Recount::of_files(LOGS.iter().flat_map(|(log, _)| stack.generations(log)))
}
