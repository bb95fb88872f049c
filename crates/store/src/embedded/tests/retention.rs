//! What goes with time, and what must not.

use std::time::Duration;

use rusqlite::Connection;
use stats::{SECONDS_PER_DAY, day_of};

use super::support::*;
use crate::embedded::{EmbeddedStats, LEDGER_FILE, Ledger, LedgerOptions, LedgerView};
use logline::Reason;

fn days(days: i64) -> Duration {
    Duration::from_secs(u64::try_from(days * SECONDS_PER_DAY).unwrap())
}

fn starts(dir: &std::path::Path, kind: i64) -> Vec<i64> {
    let connection = Connection::open(dir.join(LEDGER_FILE)).unwrap();
    let mut statement =
        connection.prepare("SELECT DISTINCT start_second FROM cell WHERE kind = ?1 ORDER BY 1").unwrap();
    let rows = statement.query_map([kind], |row| row.get(0)).unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}

#[test]
fn minutes_and_quarter_hours_go_after_their_span_and_days_stay() {
    let dir = tempfile::tempdir().unwrap();
    let (mut ledger, id) = with_generation(dir.path());
    let lines: Vec<_> = (0..120).map(|n| request(NOW - n * 86_400 - 30, "cust_1", 200, 1_000)).collect();
    apply(&mut ledger, id, &lines);
    ledger.commit(None, NOW).unwrap();
    assert_eq!(starts(dir.path(), 0), [NOW - 86_400 - 60, NOW - 60]);
    assert_eq!(starts(dir.path(), 1).len(), 90);
    assert_eq!(starts(dir.path(), 2).len(), 120);

    // one minute before the older minute is 48 hours old, and when it is
    ledger.commit(None, NOW + 86_399).unwrap();
    assert_eq!(
        starts(dir.path(), 0).len(),
        2 - usize::from((NOW + 86_399 - 48 * 3_600) / 60 * 60 > NOW - 86_460)
    );
    ledger.commit(None, NOW + 3 * 86_400).unwrap();
    assert_eq!(starts(dir.path(), 0), [0_i64; 0]);
    assert_eq!(starts(dir.path(), 1).len(), 87);
    assert_eq!(starts(dir.path(), 2).len(), 120);
    assert_answers(&EmbeddedStats::new(dir.path()), &lines, Some("cust_1"), EVER);
    assert_answers(&EmbeddedStats::new(dir.path()), &lines, None, EVER);
    assert_cells(dir.path(), &lines);
}

#[test]
fn whole_days_go_at_the_edge_with_their_customers() {
    let dir = tempfile::tempdir().unwrap();
    let keep = LedgerOptions { retention: Some(days(3)), ..options() };
    let mut ledger = Ledger::open(dir.path(), keep, NOW).unwrap();
    let id = ledger.add_generation(&new_generation("main", "/var/log/api.log")).unwrap();
    let edge = day_of(NOW) - 3 * 86_400;
    let gone = [request(edge - 1, "cust_1", 200, 1_000), request(edge - 86_400, "cust_2", 500, 2_000)];
    let kept = [request(edge, "cust_1", 404, 3_000), request(NOW, "cust_3", 200, 4_000)];
    apply(&mut ledger, id, &[&gone[..], &kept[..], &[Line::Rejected(Reason::Time)]].concat());
    ledger.commit(None, NOW).unwrap();
    // the first commit looks for what is old, as every one after some minutes does
    let reader = EmbeddedStats::new(dir.path());
    for customer in [None, Some("cust_1"), Some("cust_2"), Some("cust_3")] {
        assert_answers(&reader, &kept, customer, EVER);
    }
    let listed: Vec<_> = all_customers(&reader).into_iter().map(|row| (row.id, row.requests)).collect();
    assert_eq!(listed, [("cust_1".to_owned(), 1), ("cust_3".to_owned(), 1)]);
    assert_eq!(ledger.totals().lines_stored, 4, "totals are since ever");

    // a customer that went can come back
    apply(&mut ledger, id, &[request(NOW, "cust_2", 200, 5_000)]);
    ledger.commit(None, NOW + 1).unwrap();
    let kept = [&kept[..], &[request(NOW, "cust_2", 200, 5_000)]].concat();
    for customer in [None, Some("cust_1"), Some("cust_2"), Some("cust_3")] {
        assert_answers(&reader, &kept, customer, EVER);
    }
    let number = |id: &str| -> i64 {
        let sql = "SELECT number FROM customer WHERE id = ?1";
        ledger.connection().query_row(sql, [id], |row| row.get(0)).unwrap()
    };
    assert_eq!(number("cust_2"), 4, "numbers are not given twice");

    // four days later: everything but the totals
    ledger.commit(None, NOW + 4 * 86_400).unwrap();
    assert_answers(&reader, &[], None, EVER);
    assert_eq!(all_customers(&reader), []);
    assert_eq!(LedgerView::open(dir.path()).unwrap().unwrap().rejects().unwrap(), []);
    let left: i64 =
        ledger.connection().query_row("SELECT count(*) FROM request", [], |row| row.get(0)).unwrap();
    assert_eq!(left, 0);
}

#[test]
fn old_raw_requests_go() {
    let dir = tempfile::tempdir().unwrap();
    let (mut ledger, id) = with_generation(dir.path());
    let lines: Vec<_> = (0..6).map(|n| request(NOW - (6 - n) * 86_400, "cust_1", 200, 1)).collect();
    apply(&mut ledger, id, &lines);
    ledger.commit(None, NOW).unwrap();
    let left = |ledger: &Ledger| -> i64 {
        ledger.connection().query_row("SELECT count(*) FROM request", [], |row| row.get(0)).unwrap()
    };
    assert_eq!(left(&ledger), 6);
    ledger.commit(None, NOW + 3 * 86_400).unwrap();
    assert_eq!(left(&ledger), 4);
    ledger.commit(None, NOW + 30 * 86_400).unwrap();
    assert_eq!(left(&ledger), 0);
}

/// A clock that was set back brings nothing back, and takes nothing away.
#[test]
fn marks_never_move_back() {
    let dir = tempfile::tempdir().unwrap();
    let (mut ledger, id) = with_generation(dir.path());
    let lines: Vec<_> = (0..10).map(|n| request(NOW - n * 43_200, "cust_1", 200, 1_000)).collect();
    apply(&mut ledger, id, &lines);
    ledger.commit(None, NOW).unwrap();
    ledger.commit(None, NOW + 100 * 86_400).unwrap();
    ledger.commit(None, NOW).unwrap();
    apply(&mut ledger, id, &lines);
    ledger.commit(None, NOW).unwrap();
    assert_eq!((starts(dir.path(), 0), starts(dir.path(), 1)), (vec![], vec![]));
    let twice = [&lines[..], &lines[..]].concat();
    assert_cells(dir.path(), &twice);
    let reader = EmbeddedStats::new(dir.path());
    assert_answers(&reader, &twice, Some("cust_1"), EVER);
    assert_answers(&reader, &twice, Some("cust_1"), range(NOW - 86_400, NOW));
}
