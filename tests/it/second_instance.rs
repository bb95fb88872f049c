//! Two processors for one log: the second is refused, and says who was first.

use std::time::{Duration, Instant};

use system_tests::groups::{Group, left_out};
use system_tests::recount::Recount;
use system_tests::stack::lines;
use system_tests::wait::PATIENCE;

use crate::both::{Bench, Store, on_both_stores};

/// Design section 12: the exit code of a refusal, and how long it may take.
const REFUSED: i32 = 4;
const REFUSED_WITHIN: Duration = Duration::from_secs(20);

on_both_stores!(a_second_processor_on_the_same_ledger_is_refused_with_the_pid_of_the_first);

fn a_second_processor_on_the_same_ledger_is_refused_with_the_pid_of_the_first(store: Store) {
    let mut bench = Bench::on(store);
    bench.stack.append(lines(0, 100));
    let processor = bench.stack.processor();
    bench.stack.until_stored(PATIENCE, 100);
    bench.stack.announce("the ledger cannot be used");
    let begun = Instant::now();
    let output = bench.stack.run("log-processor", &["--once"], &[], REFUSED);
    assert!(begun.elapsed() < REFUSED_WITHIN);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains(&processor.program.pid().to_string()), "{told}");

    // The first one has not noticed anything.
    bench.stack.append(lines(100, 200));
    bench.stack.until_stored(PATIENCE, 200);
    assert_eq!(processor.program.stop(), 0);
    bench.assert_requests(200);
    // After its end nobody is refused any more.
    bench.stack.append(lines(200, 300));
    bench.stack.once();
    bench.stack.assert_account(300, 0);
    bench.assert_requests(300);
}

#[test]
#[ignore = "a whole-system test: ./start.sh test runs it"]
fn a_second_ledger_for_a_source_in_influxdb_is_refused_while_the_first_lives_and_not_after() {
    if left_out(Group::InfluxDb) {
        return;
    }
    let mut bench = Bench::on(Store::InfluxDb);
    bench.stack.append(lines(0, 100));
    let processor = bench.stack.processor();
    bench.stack.until_stored(PATIENCE, 100);
    let ledger = processor.program.logged_after("ledger=");
    let ledger = ledger.trim_matches('"').to_owned();
    assert!(!ledger.is_empty());
    bench.stack.announce("refused");
    let begun = Instant::now();
    let output = bench.stack.run("log-processor", &["--once"], &[("STATE_DIR", "other")], REFUSED);
    let took = begun.elapsed();
    assert!(took < REFUSED_WITHIN, "refused only after {took:?}");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains(&ledger), "it names the ledger {ledger}: {told}");
    bench.stack.append(lines(100, 200));
    bench.stack.until_stored(PATIENCE, 200);

    // An owner that died without a word is waited for, and then followed.
    processor.program.kill();
    bench.stack.set("STATE_DIR", "other");
    let begun = Instant::now();
    bench.stack.once();
    assert!(begun.elapsed() < Duration::from_secs(40), "{:?}", begun.elapsed());
    bench.stack.assert_account(200, 0);
    bench.assert_requests(200);
    bench.stack.api().assert_equal(&Recount::of_text(lines(0, 200).as_bytes()), &["1970-01-01"]);
}
