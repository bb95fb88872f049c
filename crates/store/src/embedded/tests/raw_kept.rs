//! Which raw requests are kept: the ledger knows what it has dropped, so whatever else is missing is noticed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;
use rusqlite::Connection;

use super::support::*;
use crate::embedded::{GenerationId, Head, LEDGER_FILE, Ledger, LedgerOptions, LedgerView, RawExtent};

const DAY: i64 = 86_400;

fn extent(dir: &Path) -> RawExtent {
    LedgerView::open(dir).unwrap().unwrap().raw_extent().unwrap()
}

fn by_hand(dir: &Path, sql: &str) {
    Connection::open(dir.join(LEDGER_FILE)).unwrap().execute_batch(sql).unwrap();
}

fn days(days: i64) -> Duration {
    Duration::from_secs((days * DAY).unsigned_abs())
}

fn keeps_all_ages() -> LedgerOptions {
    LedgerOptions { raw_requests_age: days(10_000), ..options() }
}

#[test]
fn f3_requests_that_are_removed_from_the_oldest_end_are_missing() {
    for (sql, gaps) in [
        ("DELETE FROM request WHERE number = (SELECT min(number) FROM request)", 1),
        ("DELETE FROM request WHERE number = (SELECT max(number) FROM request)", 1),
        ("DELETE FROM request", 20),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let (mut ledger, id) = with_generation(dir.path());
        apply(&mut ledger, id, &vec![request(NOW, "cust_1", 200, 1); 20]);
        ledger.commit(None, NOW).unwrap();
        assert_eq!(extent(dir.path()).gaps, 0);
        by_hand(dir.path(), sql);
        assert_eq!(extent(dir.path()).gaps, gaps, "{sql}");
        assert_eq!(extent(dir.path()).from_offsets, BTreeMap::new(), "nothing was dropped: {sql}");
        // What comes later is not taken for it.
        apply(&mut ledger, id, &vec![request(NOW, "cust_1", 200, 1); 20]);
        ledger.commit(None, NOW + 600).unwrap();
        assert_eq!(extent(dir.path()).gaps, gaps, "{sql}");
    }
}

#[test]
fn f4_requests_of_a_customer_who_falls_out_of_the_retention_are_not_missing() {
    let dir = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::open(dir.path(), keeps_all_ages(), NOW).unwrap();
    let id = ledger.add_generation(&new_generation("main", "/var/log/api.log")).unwrap();
    let young = vec![request(NOW - DAY, "n1", 200, 1); 50];
    let old = vec![request(NOW - 60 * DAY, "o1", 200, 1); 50];
    apply(&mut ledger, id, &[&young[..], &old[..], &young[..]].concat());
    ledger.commit(None, NOW).unwrap();
    drop(ledger);
    let keep = LedgerOptions { retention: Some(days(30)), ..keeps_all_ages() };
    let mut ledger = Ledger::open(dir.path(), keep, NOW).unwrap();
    ledger.commit(None, NOW).unwrap();
    let found = extent(dir.path());
    assert_eq!((found.requests, found.gaps), (100, 0));
    assert!(found.oldest_nanos > (NOW - 60 * DAY) * 1_000_000_000, "their lines are not expected");
    by_hand(dir.path(), "DELETE FROM request WHERE number = 101");
    assert_eq!(extent(dir.path()).gaps, 1, "the first one behind them");
}

#[test]
fn of_an_older_ledger_only_what_goes_later_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    let (mut ledger, id) = with_generation(dir.path());
    apply(&mut ledger, id, &vec![request(NOW, "cust_1", 200, 1); 20]);
    ledger.commit(None, NOW).unwrap();
    drop(ledger);
    by_hand(
        dir.path(),
        "DROP TABLE request_dropped; DROP TABLE request_segment; DELETE FROM counter WHERE name LIKE 'raw%';
         DELETE FROM request WHERE number IN (1, 2, 7, 8, 9); PRAGMA user_version = 2;",
    );
    let mut ledger = open(dir.path());
    assert_eq!((extent(dir.path()).requests, extent(dir.path()).gaps), (15, 0));
    let from = settled(&ledger, id);
    assert_eq!(extent(dir.path()).from_offsets, BTreeMap::from([(id, from)]));
    apply(&mut ledger, id, &vec![request(NOW, "cust_1", 200, 1); 20]);
    ledger.commit(None, NOW).unwrap();
    by_hand(dir.path(), "DELETE FROM request WHERE number IN (3, 25)");
    assert_eq!(extent(dir.path()).gaps, 2);
    assert_eq!(extent(dir.path()).from_offsets, BTreeMap::from([(id, from)]));
}

#[derive(Clone, Debug)]
enum Step {
    /// Lines of one of two files: how old each is, in days, which tells its customer as well.
    Lines(usize, Vec<i64>),
    Commit,
    /// Some minutes later, so that the ledger looks for what is old.
    Later,
    /// With other bounds: how many are kept, and how many days.
    Restart(u64, i64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0_usize..2, prop::collection::vec(prop_oneof![4 => Just(0_i64), 1 => 1_i64..9], 1..30)).prop_map(|(file, ages)| Step::Lines(file, ages)),
        3 => Just(Step::Commit),
        1 => Just(Step::Later),
        1 => (prop_oneof![Just(0_u64), 1_u64..60], 1_i64..12).prop_map(|(most, age)| Step::Restart(most, age)),
    ];
    prop::collection::vec(step, 1..25)
}

/// A line that was applied.
struct Applied {
    generation: GenerationId,
    offset: u64,
    time_nanos: i64,
}

fn check(dir: &Path, lines: &[Applied], retention: bool) {
    let found = extent(dir);
    assert_eq!(found.gaps, 0, "{found:?}");
    let mut there = BTreeSet::new();
    let view = LedgerView::open(dir).unwrap().unwrap();
    view.raw_requests(i64::MIN, i64::MAX, |raw| {
        there.insert((raw.generation, raw.time_nanos));
    })
    .unwrap();
    for line in lines {
        let from = found.from_offsets.get(&line.generation).copied().unwrap_or_default();
        let must = !found.is_off && line.offset >= from && line.time_nanos >= found.oldest_nanos;
        let is_there = there.contains(&(line.generation, line.time_nanos));
        assert!(is_there || !must, "byte {} is dropped, and expected: {found:?}", line.offset);
        if !retention && line.time_nanos >= found.oldest_nanos {
            assert!(must || !is_there, "byte {} is there, and not expected: {found:?}", line.offset);
        }
    }
}

fn run(steps: Vec<Step>, retention: bool) {
    let dir = tempfile::tempdir().unwrap();
    let with = |most: u64, age: i64| LedgerOptions {
        raw_requests_max: most,
        raw_requests_age: days(age),
        retention: retention.then(|| days(4)),
        ..options()
    };
    let mut ledger = Ledger::open(dir.path(), with(40, 100), NOW).unwrap();
    let ids = ["/var/log/a.log", "/var/log/b.log"].map(|path| {
        let id = ledger.add_generation(&new_generation("main", path)).unwrap();
        ledger.set_start(id, &Head { fingerprint: path.to_owned(), length_bytes: 9 }, START).unwrap();
        id
    });
    let (mut now, mut lines) = (NOW, Vec::new());
    for step in steps {
        match step {
            Step::Lines(file, ages) => {
                let made: Vec<_> =
                    ages.iter().map(|age| request(now - age * DAY, &format!("c{age}"), 200, 1)).collect();
                let segment = segment(ids[file], settled(&ledger, ids[file]), &made);
                lines.extend(segment.requests.iter().map(|request| Applied {
                    generation: ids[file],
                    offset: segment.start_offset + u64::from(request.customer.0),
                    time_nanos: request.time_nanos,
                }));
                ledger.apply(&segment).unwrap();
                continue;
            }
            Step::Commit => {}
            Step::Later => now += DAY,
            Step::Restart(most, age) => {
                ledger.commit(None, now).unwrap();
                drop(ledger);
                ledger = Ledger::open(dir.path(), with(most, age), now).unwrap();
            }
        }
        ledger.commit(None, now).unwrap();
        check(dir.path(), &lines, retention);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_the_ledger_keeps_is_what_it_says_that_it_keeps(steps in steps()) {
        run(steps, false);
    }

    #[test]
    fn what_the_ledger_drops_with_the_retention_is_never_expected(steps in steps()) {
        run(steps, true);
    }
}
