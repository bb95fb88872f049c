//! Cells that are put in the place of others: whole or not at all, and the ledger stays one that opens and goes on.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use stats::{Cell, SECONDS_PER_DAY as DAY, WindowKind};

use super::recount;
use super::support::{
    EVER, Line, NOW, all_customers, apply, assert_answers, options, range, request, with_generation,
};
use crate::embedded::{EmbeddedStats, Ledger, LedgerOptions, Unpublished, check_cells};

/// Puts all cells that these lines make.
fn put(ledger: &mut Ledger, lines: &[Line], commit: bool) {
    let mut cells = BTreeMap::<_, (Cell, i64)>::new();
    for request in recount::select(lines, None, EVER) {
        for kind in [WindowKind::Minute, WindowKind::Quarter, WindowKind::Day] {
            let start_second = kind.window_of(request.second).start_second;
            for customer in [None, Some(request.customer.clone())] {
                let (cell, last) = cells.entry((kind as u8, start_second, customer)).or_default();
                cell.observe(request.status, request.latency_micros);
                *last = request.second.max(*last);
            }
        }
    }
    let days: BTreeSet<i64> =
        cells.keys().map(|(_, second, _)| WindowKind::Day.window_of(*second).start_second).collect();
    let mut rebuild = ledger.rebuild("main").expect("a ledger").expect("a source");
    for day in days {
        let of_day = cells.iter().filter(|((_, second, _), _)| (day..day + DAY).contains(second));
        for ((kind, second, customer), (cell, last)) in of_day {
            let kind = [WindowKind::Minute, WindowKind::Quarter, WindowKind::Day][usize::from(*kind)];
            if rebuild.is_kept(kind, *second) {
                rebuild.put(kind, *second, customer.as_deref().map(|id| (id, *last)), cell).expect("put");
            }
        }
        rebuild.end_day(day).expect("ended");
    }
    if commit {
        rebuild.commit().expect("committed");
    }
}

fn assert_all(state_dir: &Path, lines: &[Line]) {
    let reader = EmbeddedStats::new(state_dir);
    for customer in [None, Some("a"), Some("b"), Some("c")] {
        for range in
            [range(NOW - 10 * DAY, NOW + DAY), range(NOW - 3600, NOW + 900), range(NOW - 120, NOW + 60)]
        {
            assert_answers(&reader, lines, customer, range);
        }
    }
    let requests: BTreeMap<String, u64> =
        all_customers(&reader).into_iter().map(|row| (row.id, row.requests)).collect();
    let mut expected = BTreeMap::<String, u64>::new();
    for request in recount::select(lines, None, EVER) {
        *expected.entry(request.customer.clone()).or_default() += 1;
    }
    assert_eq!(requests, expected);
    check_cells(state_dir, || true).expect("an undamaged ledger");
}

fn open(state_dir: &Path) -> Ledger {
    Ledger::open(state_dir, LedgerOptions { publishes_cells: true, ..options() }, NOW).expect("a ledger")
}

#[test]
fn k2_other_cells_take_the_place_of_those_that_were_counted_whole_or_not_at_all() {
    let dir = tempfile::tempdir().expect("a folder");
    let state_dir = dir.path();
    let (mut ledger, id) = with_generation(state_dir);
    let counted =
        vec![request(NOW, "a", 200, 5), request(NOW - DAY, "b", 200, 7), request(NOW - 60, "b", 500, 9)];
    apply(&mut ledger, id, &counted);
    ledger.commit(None, NOW).expect("committed");
    drop(ledger);

    // What the store has: more of one, another customer, and one request less, on a day that has others.
    let mut stored: Vec<Line> = (0..40).map(|n| request(NOW - n * 50, "a", 200, 11)).collect();
    stored.extend([request(NOW - 3 * DAY, "c", 404, 1), request(NOW - DAY, "b", 200, 7)]);
    let mut ledger = open(state_dir);
    put(&mut ledger, &stored, false);
    assert_all(state_dir, &counted);
    put(&mut ledger, &stored, true);
    assert_all(state_dir, &stored);
    let commit = ledger.commit_number();
    assert!(
        !Unpublished::open(state_dir).expect("a ledger").is_published_through(commit).expect("an answer")
    );
    drop(ledger);

    // It opens, and goes on counting where it was.
    let mut ledger = open(state_dir);
    let more =
        [request(NOW + 1, "a", 200, 5), request(NOW + 2, "d", 200, 5), request(NOW - DAY, "b", 200, 5)];
    apply(&mut ledger, id, &more);
    ledger.commit(None, NOW).expect("committed");
    stored.extend(more);
    assert_all(state_dir, &stored);
    // And once more, of the same.
    put(&mut ledger, &stored, true);
    assert_all(state_dir, &stored);
    drop(ledger);
    drop(open(state_dir));
}

#[test]
fn a_source_that_was_never_heard_of_has_no_cells() {
    let dir = tempfile::tempdir().expect("a folder");
    let (mut ledger, _) = with_generation(dir.path());
    assert!(ledger.rebuild("other").expect("a ledger").is_none());
}

#[test]
fn where_nothing_is_published_nothing_waits_to_be() {
    let dir = tempfile::tempdir().expect("a folder");
    let state_dir = dir.path();
    let (mut ledger, _) = with_generation(state_dir);
    let lines = vec![request(NOW, "a", 200, 5), request(NOW - DAY, "b", 200, 7)];
    put(&mut ledger, &lines, true);
    assert_all(state_dir, &lines);
    assert_eq!(Unpublished::open(state_dir).expect("a ledger").waiting(9).expect("a number"), 0);
    // From the day on that it is published elsewhere, all of it waits.
    drop(ledger);
    drop(open(state_dir));
    assert_eq!(Unpublished::open(state_dir).expect("a ledger").waiting(9).expect("a number"), 8);
}
