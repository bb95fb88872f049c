//! Requests that look alike are requests all the same, and a log that is read again is the same log.

use system_tests::recount::Recount;
use system_tests::stack::lines;

use crate::both::{Bench, Store, on_both_stores};

on_both_stores!(a_thousand_identical_lines_in_one_second_count_a_thousand);

fn a_thousand_identical_lines_in_one_second_count_a_thousand(store: Store) {
    let bench = Bench::on(store);
    let stack = &bench.stack;
    let log = lines(8, 9).repeat(1000);
    stack.append(&log);
    stack.once();
    bench.assert_requests(1000);
    stack.assert_account(1000, 0);
    let recount = Recount::of_text(log.as_bytes());
    stack.api().assert_equal(&recount, &["1970-01-01"]);

    // Nothing new, then nothing known any more: the same lines are the same requests.
    stack.once();
    bench.assert_requests(1000);
    stack.remove("state");
    stack.once();
    bench.assert_requests(1000);
    stack.assert_account(1000, 0);
    stack.api().assert_equal(&recount, &["1970-01-01"]);
}
