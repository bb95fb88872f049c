//! Marks of cells that wait for their publication: none is missing, none is taken too early, and where nothing is published there are none.

use std::path::Path;

use super::support::{NOW, apply, open, options, request, with_generation};
use crate::embedded::{
    Confirmed, GenerationId, Ledger, LedgerOptions, PieceLimit, Scope, Selection, StoreMemory, Unpublished,
    UnpublishedCells,
};

fn publishing(state_dir: &Path) -> (Ledger, GenerationId) {
    let (ledger, id) = with_generation(state_dir);
    drop(ledger);
    (publishes(state_dir), id)
}

fn publishes(state_dir: &Path) -> Ledger {
    Ledger::open(state_dir, LedgerOptions { publishes_cells: true, ..options() }, NOW).unwrap()
}

fn selection() -> Selection {
    Selection { sent: vec!["main".to_owned()], ..Selection::default() }
}

fn read(state_dir: &Path, scope: Scope) -> UnpublishedCells {
    let limit = PieceLimit { bytes: 1 << 20, cells: 1000 };
    Unpublished::open(state_dir).unwrap().read(scope, None, &selection(), limit).unwrap()
}

/// Customer, length of the window and number of requests of what waits.
fn waiting(state_dir: &Path, scope: Scope) -> Vec<(Option<String>, i64, u64)> {
    let cells = read(state_dir, scope).cells.into_iter();
    cells.map(|cell| (cell.customer, cell.window.kind.seconds(), cell.cell.requests)).collect()
}

fn is_through(state_dir: &Path, commit: u64) -> bool {
    Unpublished::open(state_dir).unwrap().is_published_through(commit).unwrap()
}

const DAY: i64 = 86_400;

#[test]
fn a_cell_waits_until_the_value_that_it_still_has_is_published() {
    let dir = tempfile::tempdir().unwrap();
    let (mut ledger, id) = publishing(dir.path());
    apply(&mut ledger, id, &[request(NOW, "a", 200, 5), request(NOW - 2 * DAY, "a", 200, 5)]);
    let first = ledger.commit(None, NOW).unwrap();
    let current = Scope::Current(NOW);
    let expected = |n| {
        vec![(None, 900, n), (Some("a".to_owned()), 900, n), (None, DAY, n), (Some("a".to_owned()), DAY, n)]
    };
    assert_eq!(waiting(dir.path(), current), expected(1));
    assert_eq!(waiting(dir.path(), Scope::Older(NOW)), expected(1));

    // It changes while it is on its way: the answer is about a value that it does not have any more.
    let on_its_way = read(dir.path(), current).to_clear;
    apply(&mut ledger, id, &[request(NOW, "a", 200, 5)]);
    let second = ledger.commit(None, NOW).unwrap();
    ledger.clear_published(&on_its_way).unwrap();
    assert_eq!(waiting(dir.path(), current), expected(2));
    assert!(!is_through(dir.path(), first), "the older ones");
    ledger.clear_published(&read(dir.path(), Scope::Older(NOW)).to_clear).unwrap();
    assert!(is_through(dir.path(), first) && !is_through(dir.path(), second));
    ledger.clear_published(&read(dir.path(), current).to_clear).unwrap();
    assert!(is_through(dir.path(), second));
    assert_eq!(waiting(dir.path(), current), []);
}

#[test]
fn a_window_is_current_until_a_minute_after_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let (mut ledger, id) = publishing(dir.path());
    apply(&mut ledger, id, &[request(NOW, "a", 200, 5)]);
    ledger.commit(None, NOW).unwrap();
    let quarters = |now| {
        let of = |scope| waiting(dir.path(), scope).iter().filter(|(_, seconds, _)| *seconds == 900).count();
        (of(Scope::Current(now)), of(Scope::Older(now)))
    };
    for (now, expected) in [(NOW - DAY, (2, 0)), (NOW, (2, 0)), (NOW + 959, (2, 0)), (NOW + 960, (0, 2))] {
        assert_eq!(quarters(now), expected, "{}", now - NOW);
    }
}

#[test]
fn all_cells_are_marked_when_publication_begins_and_none_where_there_is_none() {
    let dir = tempfile::tempdir().unwrap();
    let (mut ledger, id) = with_generation(dir.path());
    apply(&mut ledger, id, &[request(NOW, "a", 200, 5)]);
    ledger.commit(None, NOW).unwrap();
    let marks = |ledger: &Ledger| {
        ledger
            .connection()
            .query_row("SELECT count(*) FROM unpublished", [], |row| row.get::<_, i64>(0))
            .unwrap()
    };
    assert_eq!(marks(&ledger), 0);
    drop(ledger);
    for _ in 0..2 {
        let ledger = publishes(dir.path());
        assert_eq!(marks(&ledger), 4);
    }
    let mut ledger = open(dir.path());
    apply(&mut ledger, id, &[request(NOW, "b", 200, 5)]);
    ledger.commit(None, NOW).unwrap();
    assert_eq!(marks(&ledger), 0);
    drop(ledger);
    // What changed meanwhile is not forgotten.
    assert_eq!(marks(&publishes(dir.path())), 6);
}

#[test]
fn k2_a_store_that_is_known_again_gets_all_cells_again() {
    let dir = tempfile::tempdir().unwrap();
    let (mut ledger, id) = publishing(dir.path());
    apply(&mut ledger, id, &[request(NOW, "a", 200, 5)]);
    ledger.commit(None, NOW).unwrap();
    ledger.clear_published(&read(dir.path(), Scope::Current(NOW)).to_clear).unwrap();
    let confirmed = Some(Confirmed { mark_nanos: 5, commit: 1 });
    let memory = StoreMemory { anchor: confirmed, last: confirmed };
    ledger.set_store_memory("main", memory, false).unwrap();
    assert_eq!(waiting(dir.path(), Scope::Current(NOW)), []);
    ledger.set_store_memory("main", memory, true).unwrap();
    assert_eq!(waiting(dir.path(), Scope::Current(NOW)).len(), 4);
    assert_eq!(ledger.store_memory().unwrap()["main"], memory);
}

#[test]
fn sources_and_windows_that_are_not_sent_lose_their_marks_and_unknown_sources_wait() {
    let dir = tempfile::tempdir().unwrap();
    let (mut ledger, id) = publishing(dir.path());
    apply(&mut ledger, id, &[request(NOW, "a", 200, 5)]);
    ledger.commit(None, NOW).unwrap();
    let unpublished = Unpublished::open(dir.path()).unwrap();
    let limit = PieceLimit { bytes: 1, cells: 3 };
    let read = |selection: &Selection| unpublished.read(Scope::Current(NOW), None, selection, limit).unwrap();
    let unknown = read(&Selection::default());
    assert_eq!((unknown.cells.len(), unknown.to_clear.len(), unknown.unjudged.len()), (0, 0, 1));
    let dropped = read(&Selection { dropped: vec!["main".to_owned()], ..Selection::default() });
    assert_eq!((dropped.cells.len(), dropped.to_clear.len()), (0, 3));
    let too_old = read(&Selection { before_second: NOW + 1, ..selection() });
    assert_eq!((too_old.cells.len(), too_old.to_clear.len()), (0, 3));
    assert_eq!((too_old.incomplete_before, dropped.incomplete_before), (NOW - 8 * 3600 + DAY, 0));
    // Piece by piece, each once.
    let (mut after, mut cells) = (None, 0);
    loop {
        let piece = unpublished.read(Scope::Current(NOW), after, &selection(), limit).unwrap();
        cells += piece.cells.len();
        after = piece.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(cells, 4);
}
