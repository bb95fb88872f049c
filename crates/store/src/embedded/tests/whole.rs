//! Ranges as a whole, with their minutes: asked again and again while lines of any age come, each is what its minutes say one by one.

use proptest::prelude::*;
use rusqlite::Connection;
use stats::{Minutes, SECONDS_PER_DAY as DAY};

use super::support::*;
use crate::embedded::{EmbeddedStats, LEDGER_FILE, Ledger};
use crate::{ReadError, StatsStore, Whole, WholeQuery};

fn ask(reader: &EmbeddedStats, query: &WholeQuery) -> Whole {
    block_on(reader.whole(query)).unwrap()
}

fn second_source(ledger: &mut Ledger) -> crate::embedded::GenerationId {
    let id = ledger.add_generation(&new_generation("edge", "/var/log/edge.log")).unwrap();
    let head = crate::embedded::Head { fingerprint: "f".repeat(32), length_bytes: 60 };
    ledger.set_start(id, &head, START).unwrap();
    id
}

/// How many seconds before now, whose, whether it fails.
type Lines = Vec<(i64, u8, bool)>;

#[derive(Clone, Debug)]
enum Step {
    Lines(bool, Lines),
    Later(i64),
    /// Minutes before now from and to which, of whom, with minutes or without.
    Ask(i64, i64, Option<u8>, bool),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let ago = prop_oneof![4 => 0..1000_i64, 1 => -900..0_i64, 2 => 0..47 * 3600_i64, 1 => 0..4 * DAY];
    let lines = prop::collection::vec((ago, 0..4_u8, any::<bool>()), 1..40);
    let asked = (0..46 * 60_i64, 1..30 * 60_i64, prop::option::of(0..5_u8), any::<bool>());
    let day = (prop::option::of(0..5_u8), any::<bool>());
    prop::collection::vec(
        prop_oneof![
            4 => (any::<bool>(), lines).prop_map(|(edge, lines)| Step::Lines(edge, lines)),
            1 => prop_oneof![0..120_i64, 0..2000_i64].prop_map(Step::Later),
            4 => asked.prop_map(|(from, length, who, minutes)| Step::Ask(from + 1, from + 1 - length, who, minutes)),
            3 => day.prop_map(|(who, minutes)| Step::Ask(24 * 60, -1, who, minutes)),
        ],
        1..40,
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn a_range_as_a_whole_is_the_sum_of_its_minutes(steps in steps()) {
        let dir = tempfile::tempdir().unwrap();
        let (mut ledger, main) = with_generation(dir.path());
        let edge = second_source(&mut ledger);
        let (mut now, reader) = (NOW, EmbeddedStats::new(dir.path()));
        for step in steps {
            match step {
                Step::Lines(at_edge, lines) => {
                    let line = |(ago, who, fails): &(i64, u8, bool)| {
                        request(now - ago, &format!("cust_{who}"), if *fails { 503 } else { 200 }, 7)
                    };
                    let (source, id) = if at_edge { ("edge", edge) } else { ("main", main) };
                    apply_of(&mut ledger, source, id, &lines.iter().map(line).collect::<Vec<_>>());
                    ledger.commit(Some(now * 1_000_000), now).unwrap();
                }
                Step::Later(seconds) => now += seconds,
                Step::Ask(from, to, who, by_minutes) => {
                    ledger.commit(None, now).unwrap();
                    let minute = now.div_euclid(60) * 60;
                    let range = range(minute - from * 60, minute - to * 60);
                    let query = WholeQuery { customer: who.map(|who| format!("cust_{who}")), range, by_minutes };
                    let by_each = block_on(reader.cells(&query.as_cells())).unwrap();
                    prop_assert_eq!(ask(&reader, &query), query.answer_of(&by_each), "{:?}", query);
                }
            }
        }
    }
}

/// An answer of the last day looked for each of its 1,440 minutes: 2.7 ms of processor time, most of what the api spent.
#[test]
fn minutes_of_a_day_are_read_once_and_again_where_late_lines_came() {
    let dir = tempfile::tempdir().unwrap();
    let (mut ledger, id) = with_generation(dir.path());
    let lines: Vec<Line> = (0..200)
        .map(|n| request(NOW - 80_000 + n * 400, "cust_1", if n % 10 == 0 { 500 } else { 200 }, 5))
        .collect();
    apply(&mut ledger, id, &lines);
    ledger.commit(None, NOW).unwrap();
    let reader = EmbeddedStats::new(dir.path());
    let query =
        WholeQuery { customer: Some("cust_1".to_owned()), range: range(NOW - DAY, NOW), by_minutes: true };
    assert_eq!(ask(&reader, &query).minutes, Some(Minutes { with_traffic: 200, up: 180 }));

    // Whoever reads these minutes again notices.
    let connection = Connection::open(dir.path().join(LEDGER_FILE)).unwrap();
    let sql = "UPDATE cell SET checksum = checksum + 1 WHERE kind = 0 AND start_second < ?1";
    assert!(connection.execute(sql, [NOW - 3600]).unwrap() > 100);
    apply(&mut ledger, id, &[request(NOW - 300, "cust_1", 500, 5)]);
    ledger.commit(None, NOW).unwrap();
    let again = ask(&reader, &query);
    assert_eq!(again.minutes, Some(Minutes { with_traffic: 201, up: 180 }));
    assert_eq!(again.cell.requests, 201);

    apply(&mut ledger, id, &[request(NOW - 40_000, "cust_1", 200, 5)]);
    let late = ledger.commit(None, NOW);
    // The minute of the late line itself is spoilt, too, if it had one: then the ledger says so; else the reader does, of its neighbours.
    let found = block_on(reader.whole(&query));
    assert!(late.is_err() || matches!(found, Err(ReadError::Damaged(_))), "{late:?} {found:?}");
}
