//! Tables of all customers: asked again and again while lines of any age come, each is what a reader that has never been asked makes.

use proptest::prelude::*;
use rusqlite::Connection;
use stats::{Percentile, SECONDS_PER_DAY as DAY, TimeRange};

use super::support::*;
use crate::embedded::{EmbeddedStats, LEDGER_FILE};
use crate::{CellsQuery, StatsStore, TableQuery, TableRow};

const QUARTER: i64 = 900;

fn rows(reader: &EmbeddedStats, range: TimeRange) -> Vec<TableRow> {
    let percentiles = vec![Percentile::parse("95").unwrap()];
    block_on(reader.table(&TableQuery { range, percentiles, newcomers: false })).unwrap().rows
}

#[derive(Clone, Debug)]
enum Step {
    /// Requests: how many seconds before now, whose, how long they took.
    Lines(Vec<(i64, u8, u64)>),
    /// Time goes on.
    Later(i64),
    /// Which of the ranges is asked for.
    Ask(usize),
}

fn ranges(now: i64) -> [TimeRange; 5] {
    let from = |ago: i64, window: i64| (now - ago).div_euclid(window) * window;
    let to = now - now.rem_euclid(60) + 60;
    [
        range(from(3600, 60), to),
        range(from(DAY, 60), to),
        range(from(7 * DAY, QUARTER), to),
        range(from(30 * DAY, QUARTER), to),
        range(from(20 * DAY, DAY), from(10 * DAY, DAY)),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let ago = prop_oneof![6 => 0..600_i64, 1 => -900..0_i64, 2 => 0..2 * DAY, 1 => 0..31 * DAY];
    let lines = prop::collection::vec((ago, 0..12_u8, 0..3_000_000_u64), 1..40);
    let later = prop_oneof![0..120_i64, 0..2000_i64, Just(DAY)];
    prop::collection::vec(
        prop_oneof![3 => lines.prop_map(Step::Lines), 2 => later.prop_map(Step::Later), 6 => (0..5_usize).prop_map(Step::Ask)],
        1..40,
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn a_table_that_was_renewed_equals_one_that_is_made_anew(steps in steps()) {
        let dir = tempfile::tempdir().unwrap();
        let (mut ledger, id) = with_generation(dir.path());
        let (mut now, asked_often) = (NOW, EmbeddedStats::new(dir.path()));
        for step in steps {
            match step {
                Step::Lines(lines) => {
                    let line = |(ago, who, micros): &(i64, u8, u64)| {
                        request(now - ago, &format!("cust_{who}"), if micros % 9 == 0 { 503 } else { 200 }, *micros)
                    };
                    apply(&mut ledger, id, &lines.iter().map(line).collect::<Vec<_>>());
                    ledger.commit(Some(now * 1_000_000), now).unwrap();
                }
                Step::Later(seconds) => now += seconds,
                Step::Ask(which) => {
                    // What the retention has dropped of short windows is not asked for by the api either.
                    ledger.commit(None, now).unwrap();
                    let range = ranges(now)[which];
                    let fresh = rows(&EmbeddedStats::new(dir.path()), range);
                    let of_rows: u64 = fresh.iter().map(|row| row.measures.requests).sum();
                    let query = CellsQuery { customer: None, bounds: vec![range.from_second, range.to_second] };
                    let of_all = &block_on(asked_often.cells(&query)).unwrap().cells[0];
                    prop_assert_eq!(of_rows, of_all.requests, "lines behind the end are none of the range");
                    prop_assert_eq!(rows(&asked_often, range), fresh, "{:?}", range);
                }
            }
        }
    }
}

/// Spoils the cell of a customer, but not that of all customers together, so that whoever reads it notices.
fn spoil(dir: &std::path::Path, start_second: i64) {
    let connection = Connection::open(dir.join(LEDGER_FILE)).unwrap();
    let sql = "UPDATE cell SET checksum = checksum + 1 WHERE start_second = ?1 AND customer <> 0";
    assert!(connection.execute(sql, [start_second]).unwrap() > 0);
}

#[test]
fn windows_that_have_not_changed_are_not_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let (mut ledger, id) = with_generation(dir.path());
    let today = NOW.div_euclid(DAY) * DAY;
    let lines: Vec<Line> = (0..30)
        .flat_map(|day| (0..5).map(move |who| request(NOW - day * DAY, &format!("cust_{who}"), 200, 5)))
        .collect();
    apply(&mut ledger, id, &lines);
    ledger.commit(None, NOW).unwrap();
    let (reader, month) = (EmbeddedStats::new(dir.path()), range(today - 29 * DAY, NOW + 60));
    assert_eq!(rows(&reader, month)[3].measures.requests, 30);

    spoil(dir.path(), today - 20 * DAY);
    apply(&mut ledger, id, &[request(NOW, "cust_3", 200, 5), request(NOW, "cust_new", 200, 5)]);
    ledger.commit(None, NOW).unwrap();
    let renewed = rows(&reader, month);
    assert_eq!(renewed.iter().map(|row| row.measures.requests).collect::<Vec<_>>(), [30, 30, 30, 31, 30, 1]);

    // A late line changes another day: what was kept does not hold any more, and the damage is met.
    apply(&mut ledger, id, &[request(NOW - 12 * DAY, "cust_3", 200, 5)]);
    ledger.commit(None, NOW).unwrap();
    let query = TableQuery { range: month, percentiles: Vec::new(), newcomers: false };
    assert!(block_on(reader.table(&query)).is_err());
}

#[test]
fn a_window_to_which_late_lines_go_on_coming_is_left_out_of_what_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let (mut ledger, id) = with_generation(dir.path());
    let today = NOW.div_euclid(DAY) * DAY;
    let late = NOW - 12 * DAY;
    let lines: Vec<Line> = (0..30).map(|day| request(NOW - day * DAY, "cust_1", 200, 5)).collect();
    apply(&mut ledger, id, &lines);
    ledger.commit(None, NOW).unwrap();
    let (reader, month) = (EmbeddedStats::new(dir.path()), range(today - 29 * DAY, NOW + 60));
    let mut requests = 30;
    for round in 0..4 {
        assert_eq!(rows(&reader, month)[0].measures.requests, requests, "round {round}");
        apply(&mut ledger, id, &[request(late, "cust_1", 200, 5)]);
        ledger.commit(None, NOW).unwrap();
        requests += 1;
        if round == 1 {
            // From now on only the late day and the newest windows are read.
            assert_eq!(rows(&reader, month)[0].measures.requests, requests);
            spoil(dir.path(), today - 20 * DAY);
        }
    }
}
