//! The ledger from the outside: commit, crash, go on, and what it must refuse.

use std::path::Path;

use logline::Reason;

use super::support::*;
use crate::embedded::{
    EmbeddedStats, GenerationId, GenerationState, Head, Ledger, LedgerError, LedgerOptions, LedgerView,
    RejectedLines,
};
use crate::{Freshness, KeyStart, StatsStore};

#[test]
fn k2_a_crash_leaves_the_last_commit() {
    let dir = tempfile::tempdir().unwrap();
    let (mut ledger, id) = with_generation(dir.path());
    apply(&mut ledger, id, &[request(NOW - 5, "cust_1", 200, 100_000), request(NOW - 3, "cust_2", 500, 7)]);
    assert_eq!(ledger.commit(Some(1_000_000), NOW).unwrap(), ledger.commit_number());
    let (mark, totals, number) = (settled(&ledger, id), ledger.totals(), ledger.commit_number());
    apply(&mut ledger, id, &[request(NOW - 2, "cust_1", 200, 100_000)]);
    assert_eq!(ledger.totals().lines_stored, 3);
    drop(ledger);

    let ledger = open(dir.path());
    assert_eq!((settled(&ledger, id), ledger.totals(), ledger.commit_number()), (mark, totals, number));
}

#[test]
fn each_commit_has_the_next_number() {
    let dir = tempfile::tempdir().unwrap();
    let (mut ledger, id) = with_generation(dir.path());
    let first = ledger.commit_number();
    assert_eq!(ledger.commit(None, NOW).unwrap(), first + 1);
    apply(&mut ledger, id, &[request(NOW, "cust_1", 200, 1)]);
    assert_eq!(ledger.commit(None, NOW).unwrap(), first + 2);
    let id_before = ledger.id().to_owned();
    drop(ledger);
    let ledger = open(dir.path());
    assert_eq!((ledger.commit_number(), ledger.id()), (first + 2, id_before.as_str()));
}

#[test]
#[should_panic(expected = "K1: generation 1 is settled up to byte 24")]
fn k1_the_same_segment_twice_panics() {
    let dir = tempfile::tempdir().unwrap();
    let (mut ledger, id) = with_generation(dir.path());
    let once = segment(id, 0, &[request(NOW, "cust_1", 200, 1)]);
    ledger.apply(&once).unwrap();
    ledger.apply(&once).unwrap();
}

#[test]
#[should_panic(expected = "K1: generation 1 is settled up to byte 0, and the segment is 1..25")]
fn k1_a_hole_panics() {
    let dir = tempfile::tempdir().unwrap();
    let (mut ledger, id) = with_generation(dir.path());
    ledger.apply(&segment(id, 1, &[request(NOW, "cust_1", 200, 1)])).unwrap();
}

#[test]
fn a_second_processor_is_refused_with_the_pid_of_the_first() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(dir.path());
    match Ledger::open(dir.path(), options(), NOW) {
        Err(LedgerError::InUse { pid, .. }) => assert_eq!(pid, std::process::id()),
        other => panic!("{other:?}"),
    }
    drop(ledger);
    open(dir.path());
}

#[test]
fn generations_last_with_all_they_are_known_by() {
    let dir = tempfile::tempdir().unwrap();
    let (mut ledger, id) = with_generation(dir.path());
    let other = ledger.add_generation(&new_generation("edge", "/var/log/edge.log")).unwrap();
    assert!(other > id, "ids grow in the order in which generations were first seen");
    apply(&mut ledger, id, &[request(NOW, "cust_1", 200, 1)]);
    let path = Path::new("/var/log/api.log.1");
    ledger.update_generation(id, path, (8, 9), 5_000, GenerationState::Finished).unwrap();
    ledger.update_generation(id, path, (8, 9), 4_000, GenerationState::Finished).unwrap();
    let before = [ledger.generations("main").unwrap(), ledger.generations("edge").unwrap()];
    ledger.commit(None, NOW).unwrap();
    drop(ledger);

    let ledger = open(dir.path());
    let after = [ledger.generations("main").unwrap(), ledger.generations("edge").unwrap()];
    assert_eq!(format!("{before:?}"), format!("{after:?}"));
    let record = &after[0][0];
    assert_eq!((record.start, record.size_bytes, record.seen.settled_offset), (Some(START), 5_000, 24));
    assert_eq!((record.seen.state, record.seen.inode), (GenerationState::Finished, 9));
    assert_eq!((after[1][0].head.clone(), after[1][0].start), (None, None));
    assert!(ledger.generations("nobody").unwrap().is_empty());
}

#[test]
fn a_generation_may_start_at_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let mut ledger = open(dir.path());
    let mut generation = new_generation("main", "/var/log/api.log");
    (generation.settled_offset, generation.state) = (77, GenerationState::Skipped);
    let id = ledger.add_generation(&generation).unwrap();
    ledger.add_skipped_bytes("main", 77).unwrap();
    ledger.add_lost_bytes("main", "truncated", 5).unwrap();
    ledger.add_lost_bytes("main", "truncated", 6).unwrap();
    ledger.apply(&segment(id, 77, &[request(NOW, "cust_1", 200, 1)])).unwrap();
    ledger.commit(None, NOW).unwrap();
    let totals = ledger.totals();
    assert_eq!(totals.skipped_bytes["main"], 77);
    assert_eq!(totals.lost_bytes[&("main".to_owned(), "truncated".to_owned())], 11);
    assert_eq!(totals.bytes_settled, 24);
    drop(ledger);
    assert_eq!(open(dir.path()).totals(), totals);
}

#[test]
fn x1_a_start_is_durable_at_once_and_set_once() {
    let dir = tempfile::tempdir().unwrap();
    let (mut ledger, id) = with_generation(dir.path());
    let head = ledger.generations("main").unwrap()[0].head.clone().unwrap();
    ledger.set_start(id, &head, START).unwrap();
    drop(ledger);
    let ledger = open(dir.path());
    assert_eq!(ledger.generations("main").unwrap()[0].start, Some(START));
}

#[test]
#[should_panic(expected = "X1: generation 1 would change its place")]
fn x1_another_start_panics() {
    let dir = tempfile::tempdir().unwrap();
    let (mut ledger, id) = with_generation(dir.path());
    let head = Head { fingerprint: "0123456789abcdef0123456789abcdef".to_owned(), length_bytes: 60 };
    ledger.set_start(id, &head, KeyStart(START.0 + 1)).unwrap();
}

#[test]
fn a_set_start_that_failed_can_be_tried_again() {
    let dir = tempfile::tempdir().unwrap();
    let (mut ledger, _) = with_generation(dir.path());
    let id = ledger.add_generation(&new_generation("main", &"x".repeat(100_000))).unwrap();
    let head = Head { fingerprint: "00".repeat(16), length_bytes: 9 };
    fill_disk(&ledger);
    let refused = ledger.set_start(id, &head, KeyStart(5));
    assert!(matches!(refused, Err(LedgerError::Unavailable { .. })), "{refused:?}");
    free_disk(&ledger);
    ledger.set_start(id, &head, KeyStart(5)).unwrap();
    drop(ledger);
    assert_eq!(open(dir.path()).generations("main").unwrap()[1].start, Some(KeyStart(5)));
}

#[test]
fn a_full_disk_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (mut ledger, id) = with_generation(dir.path());
    let lines = |from: i64| -> Vec<Line> {
        (from..from + 500)
            .map(|n| request(NOW - n, &format!("cust_{n}"), 200, n.unsigned_abs()))
            .chain([Line::Rejected(Reason::Fields)])
            .collect()
    };
    apply(&mut ledger, id, &lines(0));
    fill_disk(&ledger);
    let mut all = lines(0);
    for from in [500_i64, 1_000] {
        let refused = ledger.commit(Some(5), NOW);
        assert!(matches!(refused, Err(LedgerError::Unavailable { .. })), "{refused:?}");
        assert_eq!(ledger.totals().lines_stored, from.unsigned_abs());
        apply(&mut ledger, id, &lines(from));
        all.extend(lines(from));
    }
    free_disk(&ledger);
    ledger.commit(Some(6), NOW).unwrap();
    let reader = EmbeddedStats::new(dir.path());
    assert_answers(&reader, &all, None, EVER);
    assert_answers(&reader, &all, Some("cust_1234"), EVER);
    let kept: i64 =
        ledger.connection().query_row("SELECT count(*) FROM request", [], |row| row.get(0)).unwrap();
    assert_eq!(kept, 1_000, "the newest raw requests of all that were tried again");
    let view = LedgerView::open(dir.path()).unwrap().unwrap();
    assert_eq!(view.rejects().unwrap().len(), 3);
}

/// The last step of a transaction fails: everything was written, and nothing of it counts.
#[test]
fn a_commit_that_fails_at_its_end_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (mut ledger, id) = with_generation(dir.path());
    let lines = [request(NOW, "cust_1", 200, 5), request(NOW - 9, "cust_2", 500, 6)];
    apply(&mut ledger, id, &lines);
    let refuse = "PRAGMA foreign_keys = ON;
        CREATE TEMP TABLE parent (id INTEGER PRIMARY KEY);
        CREATE TEMP TABLE child (parent REFERENCES parent (id) DEFERRABLE INITIALLY DEFERRED);
        CREATE TEMP TRIGGER refuse AFTER INSERT ON main.meta BEGIN INSERT INTO child VALUES (1); END;";
    ledger.connection().execute_batch(refuse).unwrap();
    let (number, totals) = (ledger.commit_number(), ledger.totals());
    for _ in 0..2 {
        let refused = ledger.commit(Some(7), NOW).unwrap_err();
        assert!(refused.to_string().contains("FOREIGN KEY constraint failed"), "{refused}");
        assert_eq!((ledger.commit_number(), ledger.totals()), (number, totals.clone()));
        assert_cells(dir.path(), &[]);
    }
    ledger.connection().execute_batch("DROP TRIGGER refuse").unwrap();
    assert_eq!(ledger.commit(Some(7), NOW).unwrap(), number + 1);
    assert_cells(dir.path(), &lines);
    drop(ledger);
    assert_eq!(open(dir.path()).totals(), totals);
}

#[test]
fn a_heartbeat_says_how_fresh_and_changes_no_version() {
    let dir = tempfile::tempdir().unwrap();
    let (mut ledger, id) = with_generation(dir.path());
    let reader = EmbeddedStats::new(dir.path());
    let fresh = |reader: &EmbeddedStats| block_on(reader.freshness()).unwrap();
    assert_eq!(fresh(&reader), Freshness { as_of_micros: None });
    ledger.commit(Some(10), NOW).unwrap();
    let (number, version) = (ledger.commit_number(), block_on(reader.version()).unwrap());
    ledger.set_as_of(20).unwrap();
    assert_eq!(fresh(&reader), Freshness { as_of_micros: Some(20) });
    assert_eq!((ledger.commit_number(), block_on(reader.version()).unwrap()), (number, version));
    // while lines wait, an answer would lack them
    apply(&mut ledger, id, &[request(NOW, "cust_1", 200, 1)]);
    ledger.set_as_of(30).unwrap();
    assert_eq!(fresh(&reader), Freshness { as_of_micros: Some(20) });
    ledger.commit(None, NOW).unwrap();
    assert_eq!(fresh(&reader), Freshness { as_of_micros: Some(20) }, "None leaves what was said");
    assert_ne!(block_on(reader.version()).unwrap(), version);
}

#[test]
fn rejects_are_counted_all_and_kept_in_part() {
    let dir = tempfile::tempdir().unwrap();
    let (mut ledger, id) = with_generation(dir.path());
    let many = vec![Line::Rejected(Reason::Empty); 1_500];
    apply(&mut ledger, id, &many);
    apply(&mut ledger, id, &[Line::Rejected(Reason::Time), Line::Rejected(Reason::Retention)]);
    ledger.commit(None, NOW).unwrap();
    apply(&mut ledger, id, &many[..700]);
    ledger.commit(None, NOW + 1).unwrap();
    let rejected = ledger.totals().rejected;
    assert_eq!(
        (rejected[&Reason::Empty], rejected[&Reason::Time], rejected[&Reason::Retention]),
        (2_200, 1, 1)
    );

    let reader = RejectedLines::new(dir.path());
    let newest = |reasons: &[Reason], most| block_on(reader.newest(reasons, most)).unwrap().unwrap();
    drop(ledger);

    let view = LedgerView::open(dir.path()).unwrap().unwrap();
    let rejects = view.rejects().unwrap();
    let mut of_empty: Vec<_> =
        rejects.iter().filter(|reject| reject.reason == Reason::Empty).cloned().collect();
    of_empty.reverse();
    assert_eq!(newest(&[Reason::Empty], 1_000), of_empty);
    let of_all = newest(&Reason::ALL, 2);
    assert_eq!(of_all[..2], of_empty[..2]);
    assert_eq!(of_all[2..].iter().map(|reject| reject.reason).collect::<Vec<_>>(), [Reason::Time]);
    let nowhere = RejectedLines::new(&dir.path().join("nowhere"));
    assert_eq!(block_on(nowhere.newest(&Reason::ALL, 2)), Ok(None));
    let of = |reason: Reason| rejects.iter().filter(|reject| reject.reason == reason).count();
    assert_eq!((of(Reason::Empty), of(Reason::Time), of(Reason::Retention)), (1_000, 1, 0));
    let last = rejects.last().unwrap();
    let mark = view.generations()[0].seen.settled_offset;
    assert_eq!((last.offset, last.rejected_second), (mark - 13, NOW + 1), "the newest are kept");
    assert_eq!((last.source.as_str(), last.path.as_path()), ("main", Path::new("/var/log/api.log")));
    assert_eq!((last.line.as_slice(), last.detail.as_str()), (b"what is this".as_slice(), "a test"));
}

#[test]
fn raw_requests_are_the_newest_young_ones() {
    let dir = tempfile::tempdir().unwrap();
    let keep = LedgerOptions { raw_requests_max: 10, ..options() };
    let mut ledger = Ledger::open(dir.path(), keep, NOW).unwrap();
    let id = ledger.add_generation(&new_generation("main", "/var/log/api.log")).unwrap();
    let mut commit = |lines: &[Line]| {
        apply(&mut ledger, id, lines);
        ledger.commit(None, NOW).unwrap();
        let mut statement = ledger
            .connection()
            .prepare("SELECT time_nanos / 1000000000, latency_micros, path FROM request ORDER BY number")
            .unwrap();
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
        rows.collect::<Result<Vec<(i64, Option<i64>, String)>, _>>().unwrap()
    };
    let row = |second: i64| (second, Some(5_i64), PATH.to_owned());
    let too_old = NOW - 8 * 86_400;
    let kept = commit(&[request(NOW - 9, "cust_1", 200, 5), request(too_old, "cust_1", 200, 5)]);
    assert_eq!(kept, [row(NOW - 9)]);
    let kept = commit(&(0..8).map(|n| request(NOW + n, "cust_2", 200, 5)).collect::<Vec<_>>());
    assert_eq!(kept, [vec![row(NOW - 9)], (0..8).map(|n| row(NOW + n)).collect()].concat());
    let kept = commit(&(0..3).map(|n| request(NOW - n, "cust_1", 200, 5)).collect::<Vec<_>>());
    assert_eq!(
        kept,
        [(1..8).map(|n| row(NOW + n)).collect(), (0..3).map(|n| row(NOW - n)).collect::<Vec<_>>()].concat()
    );
    let kept = commit(&(0..25).map(|n| request(NOW + n, "cust_3", 200, 5)).collect::<Vec<_>>());
    assert_eq!(kept, (15..25).map(|n| row(NOW + n)).collect::<Vec<_>>());
}

#[test]
fn the_view_shows_what_was_committed() {
    let dir = tempfile::tempdir().unwrap();
    assert!(LedgerView::open(&dir.path().join("nowhere")).unwrap().is_none());
    let (mut ledger, id) = with_generation(dir.path());
    ledger.add_generation(&new_generation("edge", "/var/log/edge.log")).unwrap();
    apply(&mut ledger, id, &[request(NOW, "cust_1", 200, 1)]);
    ledger.commit(Some(42), NOW).unwrap();
    let (totals, number) = (ledger.totals(), ledger.commit_number());
    apply(&mut ledger, id, &[request(NOW, "cust_1", 200, 1)]);

    let view = LedgerView::open(dir.path()).unwrap().unwrap();
    assert_eq!((view.totals(), view.commit_number(), view.id()), (&totals, number, ledger.id()));
    assert_eq!(view.as_of_micros(), Some(42));
    assert_eq!(view.sources(), ["main", "edge"]);
    let ids: Vec<GenerationId> = view.generations().iter().map(|generation| generation.id).collect();
    assert_eq!(ids, [id, GenerationId(2)]);
    ledger.commit(Some(43), NOW).unwrap();
    assert_eq!(view.commit_number(), number, "one state");
}
