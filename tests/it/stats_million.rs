//! A million lines with shuffled times: every customer's figures equal an exact recount, and every line is accounted for.

use system_tests::groups::{heavy, scaled};
use system_tests::stack::days_ago;
use system_tests::{grouped, tell};

use crate::both::{Bench, Store, on_both_stores};

/// Far below what either store takes even on a busy machine; what is expected of them is measured elsewhere.
const SLOWEST_LINES_PER_SECOND: [(&str, f64); 2] = [("embedded", 100_000.0), ("influxdb", 20_000.0)];

on_both_stores!(every_figure_of_a_million_shuffled_lines_equals_a_recount);

fn every_figure_of_a_million_shuffled_lines_equals_a_recount(store: Store) {
    let _turn = heavy();
    let bench = Bench::on(store);
    let stack = &bench.stack;
    let lines = scaled("SYSTEM_TESTS_MILLION", 1_000_000, 1_000_000);
    stack.generate(&[
        ("LOG_PROFILE", "seed"),
        ("LOG_INTERVAL_SECONDS", "0"),
        ("MAX_LOGS_TO_GENERATE", &lines.to_string()),
    ]);
    let took = stack.once();
    let rate = lines as f64 / took.as_secs_f64();
    let store = store.name();
    tell(&format!("{store}: {} lines in {took:.1?}, {} lines/s", grouped(lines), grouped(rate as u64)));

    stack.assert_account(lines, 0);
    bench.assert_requests(lines);
    let recount = stack.recount();
    assert_eq!((recount.lines(), recount.customers().len()), (lines, 50));
    let api = stack.api();
    api.assert_equal(&recount, &["1970-01-01", &days_ago(17), &days_ago(3), &days_ago(0)]);

    let slowest = SLOWEST_LINES_PER_SECOND.iter().find(|(name, _)| *name == store).expect("both are named").1;
    assert!(rate > slowest, "{store}: {rate:.0} lines/s");
}
