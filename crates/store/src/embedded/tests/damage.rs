//! Damage is found, named, and never answered from; what a newer program wrote is left alone.

use std::path::Path;

use rusqlite::Connection;

use super::support::*;
use crate::embedded::{EmbeddedStats, LEDGER_FILE, Ledger, LedgerError, LedgerView, check_cells};
use crate::{ReadError, StatsStore};

fn damage(dir: &Path, sql: &str) {
    let connection = Connection::open(dir.join(LEDGER_FILE)).unwrap();
    let changed = connection.execute(sql, []).unwrap();
    assert!(changed > 0, "{sql}");
}

fn ledger_with_lines(dir: &Path) {
    let (mut ledger, id) = with_generation(dir);
    apply(&mut ledger, id, &[request(NOW, "cust_1", 200, 1_000), request(NOW, "cust_2", 500, 2_000)]);
    ledger.add_lost_bytes("main", "truncated", 5).unwrap();
    ledger.commit(Some(1), NOW).unwrap();
}

#[test]
fn a_damaged_position_or_total_is_refused() {
    for (sql, named) in [
        (
            "UPDATE generation SET settled_offset = settled_offset + 1",
            "the position of generation 1 (/var/log/api.log)",
        ),
        ("UPDATE generation SET key_start = key_start + 1", "the position of generation 1"),
        ("UPDATE generation SET head_fingerprint = 'ff'", "the position of generation 1"),
        ("UPDATE generation SET head_length = NULL", "the position of generation 1"),
        ("UPDATE generation SET state = 'finished'", "the position of generation 1"),
        ("UPDATE generation SET state = 'odd'", "its state is unknown"),
        ("UPDATE generation SET path = x'2F'", "the position of generation 1 (/)"),
        ("UPDATE generation SET size_bytes = 0, tail_marker = 0", "the position of generation 1"),
        ("UPDATE generation SET id = 2", "the position of generation 2"),
        ("UPDATE generation SET source = 2", "its source is unknown"),
        ("UPDATE source SET name = 'edge'", "the row of source \"edge\""),
        ("UPDATE counter SET value = value + 1 WHERE name = 'lines_stored'", "the counter lines_stored"),
        ("UPDATE counter SET reason = 'other' WHERE name = 'lost_bytes'", "the counter lost_bytes"),
        ("UPDATE counter SET value = value + 1 WHERE name = 'raw_edge'", "the counter raw_edge"),
        ("DELETE FROM counter WHERE name = 'raw_edge'", "what it says of the raw requests"),
        ("UPDATE customer SET requests = 9 WHERE id = 'cust_1'", "the row of customer \"cust_1\""),
        (
            "UPDATE cell SET blob = x'00' WHERE kind = 2 AND customer = 0",
            "all customers for the day 2025-10-09",
        ),
        ("DELETE FROM cell WHERE kind = 2", "its customers have 2 requests together, and its days have 0"),
        ("DELETE FROM customer WHERE id = 'cust_2'", "its customers have 1 requests together"),
        ("DELETE FROM counter WHERE name = 'lines_stored'", "0 lines were stored"),
        ("DELETE FROM meta", "its own row is missing"),
        ("UPDATE meta SET commit_number = commit_number - 1", "the ledger's own row"),
        ("UPDATE meta SET as_of_micros = NULL", "the ledger's own row"),
        ("UPDATE meta SET quarters_from_second = 0", "the ledger's own row"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        ledger_with_lines(dir.path());
        damage(dir.path(), sql);
        match Ledger::open(dir.path(), options(), NOW) {
            Err(LedgerError::Damaged { what, .. }) => assert!(what.contains(named), "{sql}: {what}"),
            other => panic!("{sql}: {other:?}"),
        }
    }
}

#[test]
fn the_view_refuses_a_damaged_position() {
    let dir = tempfile::tempdir().unwrap();
    ledger_with_lines(dir.path());
    damage(dir.path(), "UPDATE generation SET settled_offset = settled_offset + 1");
    let refused = LedgerView::open(dir.path());
    assert!(matches!(refused, Err(LedgerError::Damaged { .. })), "{refused:?}");
}

#[test]
fn a_damaged_cell_is_named_by_customer_and_window() {
    let of_day = "kind = 2 AND customer = (SELECT number FROM customer WHERE id = 'cust_1')";
    for (change, what) in [
        ("blob = CAST(substr(blob, 1, 4) || x'07' || substr(blob, 6) AS BLOB)", "its checksum does not hold"),
        ("checksum = checksum + 1", "its checksum does not hold"),
        ("blob = x''", "its checksum does not hold"),
        ("customer = 77", "the row of customer"),
        ("start_second = start_second - 86400", "2025-10-08T00:00Z"),
        ("source = 9", "its checksum does not hold"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        ledger_with_lines(dir.path());
        damage(dir.path(), &format!("UPDATE cell SET {change} WHERE {of_day}"));
        if change.starts_with("customer") {
            damage(dir.path(), "UPDATE customer SET number = 77 WHERE id = 'cust_1'");
        }
        let reader = EmbeddedStats::new(dir.path());
        match ask(&reader, Some("cust_1"), EVER) {
            Err(ReadError::Damaged(told)) => {
                assert!(told.contains(what), "{change}: {told}");
                assert!(told.contains("cust_1"), "{change}: {told}");
            }
            other => panic!("{change}: {other:?}"),
        }
        // the others are not affected
        assert_eq!(ask(&reader, Some("cust_2"), EVER).unwrap().total.requests, 1);
    }
}

#[test]
fn a_damaged_cell_stops_the_commit_that_would_add_to_it() {
    let dir = tempfile::tempdir().unwrap();
    ledger_with_lines(dir.path());
    damage(dir.path(), "UPDATE cell SET blob = x'010000' WHERE kind = 1 AND customer = 0");
    let mut ledger = open(dir.path());
    let id = ledger.generations("main").unwrap()[0].id;
    apply(&mut ledger, id, &[request(NOW, "cust_1", 200, 1)]);
    match ledger.commit(None, NOW) {
        Err(LedgerError::Damaged { what, .. }) => insta::assert_snapshot!(
            what,
            @r#"the statistics of all customers for the quarter-hour 2025-10-09T08:00Z: its checksum does not hold"#
        ),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_customer_row_that_is_damaged_meanwhile_stops_the_segment() {
    let dir = tempfile::tempdir().unwrap();
    ledger_with_lines(dir.path());
    let mut ledger = open(dir.path());
    let id = ledger.generations("main").unwrap()[0].id;
    damage(dir.path(), "UPDATE customer SET requests = 9 WHERE id = 'cust_1'");
    let lines = segment(id, settled(&ledger, id), &[request(NOW, "cust_1", 200, 1)]);
    let refused = ledger.apply(&lines);
    assert!(matches!(refused, Err(LedgerError::Damaged { .. })), "{refused:?}");
    assert_eq!(ledger.totals().lines_stored, 2, "nothing of the segment was applied");
}

/// Not through SQL: bytes of the file itself.
#[test]
fn a_flipped_bit_in_the_file_is_found() {
    let dir = tempfile::tempdir().unwrap();
    ledger_with_lines(dir.path());
    let path = dir.path().join(LEDGER_FILE);
    let blob: Vec<u8> = Connection::open(&path)
        .unwrap()
        .query_row("SELECT blob FROM cell WHERE kind = 2 AND customer = 1", [], |row| row.get(0))
        .unwrap();
    let whole = std::fs::read(&path).unwrap();
    let places: Vec<usize> =
        (0..whole.len() - blob.len()).filter(|at| whole[*at..].starts_with(&blob)).collect();
    assert!(!places.is_empty());
    for bit in 0..blob.len() * 8 {
        let mut flipped = whole.clone();
        for place in &places {
            flipped[place + bit / 8] ^= 1 << (bit % 8);
        }
        std::fs::write(&path, &flipped).unwrap();
        let answer = ask(&EmbeddedStats::new(dir.path()), Some("cust_1"), EVER);
        assert!(matches!(answer, Err(ReadError::Damaged(_))), "bit {bit}: {answer:?}");
    }
}

#[test]
fn a_file_that_is_no_ledger_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(LEDGER_FILE);
    std::fs::write(&path, [b'x'; 5_000]).unwrap();
    let refused = Ledger::open(dir.path(), options(), NOW);
    assert!(matches!(refused, Err(LedgerError::Damaged { .. })), "{refused:?}");
    let reader = EmbeddedStats::new(dir.path());
    let refused = block_on(reader.version());
    assert!(matches!(refused, Err(ReadError::Damaged(_))), "{refused:?}");

    std::fs::remove_file(&path).unwrap();
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE songs (title TEXT)").unwrap();
    match Ledger::open(dir.path(), options(), NOW) {
        Err(LedgerError::Damaged { what, .. }) => assert!(what.contains("another program"), "{what}"),
        other => panic!("{other:?}"),
    }
    let refused = block_on(reader.version());
    assert!(matches!(refused, Err(ReadError::Misconfigured { .. })), "{refused:?}");
}

#[test]
fn a_newer_schema_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    ledger_with_lines(dir.path());
    Connection::open(dir.path().join(LEDGER_FILE)).unwrap().pragma_update(None, "user_version", 99).unwrap();
    for refused in
        [Ledger::open(dir.path(), options(), NOW).map(|_| ()), LedgerView::open(dir.path()).map(|_| ())]
    {
        assert!(matches!(refused, Err(LedgerError::Newer { found: 99, .. })), "{refused:?}");
    }
    match block_on(EmbeddedStats::new(dir.path()).version()) {
        Err(ReadError::Misconfigured { fix, .. }) => assert!(fix.contains("newer api"), "{fix}"),
        other => panic!("{other:?}"),
    }
}

/// A ledger with one damaged day was opened as if nothing were, and the first to ask for that customer met it.
#[test]
fn the_check_finds_every_damaged_cell_and_names_customer_and_window() {
    for (sql, named) in [
        (
            "UPDATE cell SET blob = zeroblob(20) WHERE kind = 2 AND customer = 1",
            "customer \"cust_1\" for the day 2025-10-09",
        ),
        (
            "UPDATE cell SET checksum = 0 WHERE kind = 1 AND customer = 2",
            "customer \"cust_2\" for the quarter-hour 2025-10-09T08:00Z",
        ),
        (
            "UPDATE cell SET blob = x'' WHERE kind = 0 AND customer = 0",
            "all customers for the minute 2025-10-09T08:00Z",
        ),
        (
            "UPDATE cell SET start_second = 0 WHERE kind = 0 AND customer = 1",
            "customer \"cust_1\" for the minute 1970-01-01",
        ),
        (
            "DELETE FROM cell WHERE kind = 2 AND customer = 2",
            "customer \"cust_2\" has 1 requests, and its days have 0",
        ),
        ("DELETE FROM customer WHERE id = 'cust_1'", "customer number 1 has statistics, but no row"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        ledger_with_lines(dir.path());
        // Cells of 3 customers (all of them together among them) in 3 kinds of window.
        assert_eq!(check_cells(dir.path(), || true).unwrap(), Some(9));
        damage(dir.path(), sql);
        match check_cells(dir.path(), || true) {
            Err(LedgerError::Damaged { what, .. }) => assert!(what.contains(named), "{sql}: {what}"),
            other => panic!("{sql}: {other:?}"),
        }
    }
}

/// Every page is seen, and while a processor commits no sound ledger is called damaged.
#[test]
fn the_check_sees_every_page_of_a_ledger_that_grows_meanwhile() {
    let dir = tempfile::tempdir().unwrap();
    let (mut ledger, id) = with_generation(dir.path());
    let lines: Vec<_> = (0..6_000).map(|n| request(NOW - n % 80, &format!("cust_{n}"), 200, 1)).collect();
    apply(&mut ledger, id, &lines);
    ledger.commit(None, NOW).unwrap();
    let cells: u64 = ledger
        .connection()
        .query_row("SELECT count(*) FROM cell", [], |row| row.get::<_, i64>(0))
        .unwrap()
        .cast_unsigned();
    assert!(cells > 3 * 6_000);
    assert_eq!(check_cells(dir.path(), || true).unwrap(), Some(cells));
    assert_eq!(check_cells(dir.path(), || false).unwrap(), None);
    let commits = std::cell::Cell::new(0_usize);
    let ledger = std::cell::RefCell::new(ledger);
    let commit = || {
        let at = commits.replace(commits.get() + 1) % 50;
        apply(&mut ledger.borrow_mut(), id, &lines[at * 100..(at + 1) * 100]);
        ledger.borrow_mut().commit(None, NOW).unwrap();
        true
    };
    assert_eq!(check_cells(dir.path(), commit).unwrap(), Some(cells), "the same cells, with more in them");
    assert!(commits.get() >= 5, "{} commits", commits.get());
    drop(ledger);
    damage(dir.path(), "UPDATE cell SET checksum = checksum + 1 WHERE kind = 0 AND customer = 6000");
    let refused = check_cells(dir.path(), || true);
    assert!(matches!(refused, Err(LedgerError::Damaged { .. })), "{refused:?}");
}

/// A ledger whose file was emptied was taken for a new one: everything would have been read again from the beginning, beside an InfluxDB or an api that know better.
#[test]
fn an_emptied_ledger_is_no_new_one() {
    let dir = tempfile::tempdir().unwrap();
    ledger_with_lines(dir.path());
    let path = dir.path().join(LEDGER_FILE);
    std::fs::write(&path, "").unwrap();
    let asked = [
        Ledger::open(dir.path(), options(), NOW).map(|_| ()),
        LedgerView::open(dir.path()).map(|_| ()),
        Ledger::open(dir.path(), options(), NOW).map(|_| ()),
    ];
    for refused in asked {
        match refused {
            Err(LedgerError::Damaged { what, .. }) => assert!(what.contains("it is empty"), "{what}"),
            other => panic!("{other:?}"),
        }
    }
    let refused = block_on(EmbeddedStats::new(dir.path()).version());
    assert!(matches!(refused, Err(ReadError::Damaged(_))), "{refused:?}");
    // Moved away, as the words say, it makes room for a new one, whatever else lies there.
    std::fs::remove_file(&path).unwrap();
    assert_eq!(open(dir.path()).commit_number(), 0);
}

/// A customer that the index did not lead to was a new customer: its requests were told of half, twice.
#[test]
fn a_customer_missing_in_the_index_is_damage() {
    let dir = tempfile::tempdir().unwrap();
    ledger_with_lines(dir.path());
    let path = dir.path().join(LEDGER_FILE);
    let mut file = std::fs::read(&path).unwrap();
    let places: Vec<usize> = (0..file.len()).filter(|at| file[*at..].starts_with(b"cust_2")).collect();
    // In each place but the row's own, which its number stands before: the index keeps it behind.
    let connection = Connection::open(&path).unwrap();
    let root: usize = connection
        .query_row(
            "SELECT rootpage FROM sqlite_schema WHERE name = 'sqlite_autoindex_customer_1'",
            [],
            |row| row.get::<_, u32>(0),
        )
        .unwrap() as usize;
    drop(connection);
    let page = (root - 1) * 4096..root * 4096;
    let in_index: Vec<usize> = places.into_iter().filter(|at| page.contains(at)).collect();
    let [at] = in_index[..] else { panic!("{in_index:?}") };
    file[at + 5] = b'7';
    std::fs::write(&path, &file).unwrap();
    match Ledger::open(dir.path(), options(), NOW) {
        Err(LedgerError::Damaged { what, .. }) => {
            assert!(what.contains("missing from index") && what.contains("customer"), "{what}")
        }
        other => panic!("{other:?}"),
    }
}
