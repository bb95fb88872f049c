//! The read side beside a writer: absent, replaced, in the middle of commits.

use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicBool, Ordering};

use stats::SECONDS_PER_DAY;

use super::recount;
use super::support::*;
use crate::embedded::{EmbeddedStats, LEDGER_FILE, LedgerView};
use crate::{CustomersQuery, Method, ReadError, StatsStore};

#[test]
fn without_a_ledger_there_is_no_data_yet() {
    let dir = tempfile::tempdir().unwrap();
    let reader = EmbeddedStats::new(dir.path());
    for answer in [block_on(reader.version()).map(|_| ()), ask(&reader, None, EVER).map(|_| ())] {
        assert!(matches!(answer, Err(ReadError::NoDataYet { .. })), "{answer:?}");
    }
    std::fs::write(dir.path().join(LEDGER_FILE), b"").unwrap();
    let answer = block_on(reader.version());
    assert!(matches!(answer, Err(ReadError::NoDataYet { .. })), "{answer:?}");
    // it comes into being
    let ledger = open(dir.path());
    assert_eq!(ask(&reader, None, EVER).unwrap().total.requests, 0);
    drop(ledger);
    assert_eq!(ask(&reader, Some("cust_1"), EVER).unwrap().daily, []);
}

#[test]
fn a_replaced_ledger_is_noticed() {
    for asked_in_between in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let (mut ledger, id) = with_generation(dir.path());
        apply(&mut ledger, id, &[request(NOW, "cust_1", 200, 1)]);
        ledger.commit(None, NOW).unwrap();
        let reader = EmbeddedStats::new(dir.path());
        let version = block_on(reader.version()).unwrap();
        assert_eq!(ask(&reader, None, EVER).unwrap().total.requests, 1);
        let number = ledger.commit_number();
        drop(ledger);
        for name in ["ledger.db", "ledger.db-wal", "ledger.db-shm"] {
            std::fs::rename(dir.path().join(name), dir.path().join(format!("old-{name}"))).unwrap();
        }
        if asked_in_between {
            assert!(matches!(block_on(reader.version()), Err(ReadError::NoDataYet { .. })));
        }
        let (mut ledger, _) = with_generation(dir.path());
        while ledger.commit_number() < number {
            ledger.commit(None, NOW).unwrap();
        }
        assert_ne!(block_on(reader.version()).unwrap(), version, "the same number of another ledger");
        assert_eq!(ask(&reader, None, EVER).unwrap().total.requests, 0);
    }
}

#[test]
fn answers_are_of_one_commit_while_the_processor_writes() {
    const LINES_PER_COMMIT: u64 = 10;
    const COMMITS: u64 = 200;
    let dir = tempfile::tempdir().unwrap();
    let (mut ledger, id) = with_generation(dir.path());
    let done = AtomicBool::new(false);
    let reader = EmbeddedStats::new(dir.path());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for commit in 0..COMMITS {
                let lines: Vec<_> = (0..LINES_PER_COMMIT)
                    .map(|line| {
                        let second = NOW - i64::try_from(commit * 7_000 + line).unwrap();
                        request(second, &format!("cust_{}", line % 2), 200, 1_000)
                    })
                    .collect();
                apply(&mut ledger, id, &lines);
                ledger.commit(Some(i64::try_from(commit).unwrap()), NOW).unwrap();
            }
            done.store(true, Ordering::Release);
        });
        let (mut last, mut changes) = (0, 0);
        loop {
            let finished = done.load(Ordering::Acquire);
            let all = ask(&reader, None, EVER).unwrap();
            let requests = all.total.requests;
            assert!(requests >= last && requests.is_multiple_of(LINES_PER_COMMIT), "{last}, then {requests}");
            changes += u64::from(requests > last);
            last = requests;
            assert_eq!(requests, all.daily.iter().map(|day| day.summary.requests).sum::<u64>());
            if requests > 0 {
                let commit = i64::try_from(requests / LINES_PER_COMMIT).unwrap() - 1;
                assert_eq!(all.freshness.as_of_micros, Some(commit), "sums and freshness of the same commit");
                let half = ask(&reader, Some("cust_1"), EVER).unwrap();
                assert!(half.total.requests.is_multiple_of(LINES_PER_COMMIT / 2));
            }
            let view = LedgerView::open(dir.path()).unwrap().unwrap();
            let settled = view.generations()[0].seen.settled_offset;
            assert_eq!(view.totals().bytes_settled, settled, "position and sums of the same commit");
            assert_eq!(view.totals().lines_stored * 24, settled);
            if finished {
                break;
            }
        }
        assert_eq!(last, COMMITS * LINES_PER_COMMIT);
        assert!(changes > 1, "the reader saw commits in between");
    });
}

#[test]
fn edges_of_a_range_are_quarter_hours_while_they_are_kept_and_days_before() {
    let dir = tempfile::tempdir().unwrap();
    let (mut ledger, id) = with_generation(dir.path());
    let old = NOW - 200 * SECONDS_PER_DAY;
    let lines: Vec<_> = (0..2_000)
        .map(|n| request([NOW - n * 97, old - n * 61][usize::from(n % 2 == 0)], "cust_1", 200, 1_000))
        .collect();
    apply(&mut ledger, id, &lines);
    ledger.commit(None, NOW).unwrap();
    let reader = EmbeddedStats::new(dir.path());
    for (from, to, covered_from, covered_to) in [
        (NOW - 900, NOW, NOW - 900, NOW),
        (NOW - 901, NOW - 1, NOW - 1_800, NOW),
        (NOW - SECONDS_PER_DAY, NOW, NOW - SECONDS_PER_DAY, NOW),
        // 08:00 on an old day: widened to the whole day
        (old, NOW, old - 8 * 3_600, NOW),
        (old - SECONDS_PER_DAY, old, old - 32 * 3_600, old + 16 * 3_600),
    ] {
        let stats = ask(&reader, Some("cust_1"), range(from, to)).unwrap();
        assert_eq!(stats.covered, range(covered_from, covered_to));
        assert_eq!(stats.method, Method::Cells);
        assert!(stats.total.requests > 0);
        assert_answers(&reader, &lines, Some("cust_1"), range(from, to));
        assert_answers(&reader, &lines, None, range(from, to));
    }
}

/// A window costs one seek, whatever the number of customers before and after the one that is asked for.
#[test]
fn each_customer_of_many_is_found_in_each_window() {
    let dir = tempfile::tempdir().unwrap();
    let (mut ledger, id) = with_generation(dir.path());
    let lines: Vec<_> = (0..3_000)
        .map(|n| {
            request(
                NOW - (n * n) % 700 * 9_000,
                &format!("cust_{}", n * 7 % 101),
                200,
                1_000 + n.unsigned_abs(),
            )
        })
        .collect();
    for part in lines.chunks(500) {
        apply(&mut ledger, id, part);
        ledger.commit(None, NOW).unwrap();
    }
    let reader = EmbeddedStats::new(dir.path());
    for customer in 0..101 {
        assert_answers(&reader, &lines, Some(&format!("cust_{customer}")), EVER);
        let part = range(NOW - 60 * SECONDS_PER_DAY, NOW - 3 * SECONDS_PER_DAY);
        assert_answers(&reader, &lines, Some(&format!("cust_{customer}")), part);
    }
    let requests = recount::select(&lines, Some("cust_1010"), EVER);
    assert!(requests.is_empty());
    assert_answers(&reader, &lines, Some("cust_1010"), EVER);
}

#[test]
fn customers_come_in_order_of_bytes_page_by_page() {
    let dir = tempfile::tempdir().unwrap();
    let (mut ledger, id) = with_generation(dir.path());
    let mut ids = ["a", "B", "ä", "z", "aa", "a\"", "€", "cust_1", "cust_10", "cust_2"];
    apply(&mut ledger, id, &ids.map(|id| request(NOW, id, 200, 1)));
    ledger.commit(Some(3), NOW).unwrap();
    let reader = EmbeddedStats::new(dir.path());
    ids.sort_unstable();
    let listed: Vec<_> = all_customers(&reader).into_iter().map(|row| row.id).collect();
    assert_eq!(listed, ids);
    let page = |after: Option<&str>, limit: usize| {
        let page =
            block_on(reader.customers(&CustomersQuery { after: after.map(str::to_owned), limit })).unwrap();
        (page.customers.into_iter().map(|row| row.id).collect::<Vec<_>>(), page.more)
    };
    assert_eq!(page(None, 10), (ids.map(str::to_owned).to_vec(), false));
    assert_eq!(page(None, 0), (vec![], true));
    assert_eq!(page(Some("cust_10"), 1), (vec!["cust_2".to_owned()], true));
    assert_eq!(
        page(Some("cust_1~"), 1),
        (vec!["cust_2".to_owned()], true),
        "after an id that does not exist"
    );
    assert_eq!(page(Some("€"), 5), (vec![], false));
}

/// A reader of the group needs nothing that is not there, even if it may not write the directory.
#[test]
fn the_files_stay_for_readers_of_the_group() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("state");
    drop(with_generation(&dir));
    let mode = |name: &str| std::fs::metadata(dir.join(name)).unwrap().permissions().mode() & 0o7777;
    assert_eq!(std::fs::metadata(&dir).unwrap().permissions().mode() & 0o7777, 0o2770);
    for name in ["ledger.db", "ledger.db-wal", "ledger.db-shm"] {
        assert_eq!(mode(name), 0o660, "{name}");
    }
    let wal = std::fs::metadata(dir.join("ledger.db-wal")).unwrap();
    assert_eq!(wal.len(), 0, "all of it was moved into the file");
}
