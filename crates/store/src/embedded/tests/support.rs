//! What the tests of the ledger share: lines, segments made of them, and an exact recount.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use logline::{LogTime, Reason};
use rusqlite::Connection;
use stats::{Cell, TimeRange, WindowKind};

use super::recount;
use crate::embedded::{
    EmbeddedStats, GenerationId, GenerationState, Head, LEDGER_FILE, Ledger, LedgerOptions, NewGeneration,
    Reject, SettledSegment, StoredRequest,
};
use crate::{
    CustomerRow, CustomersQuery, KeyStart, ReadError, Stats, StatsQuery, StatsStore, point_time_nanos,
};

/// 2025-10-09T08:00:00Z, the clock of the tests.
pub(super) const NOW: i64 = 1_759_996_800;
pub(super) const START: KeyStart = KeyStart(123_456_789_012);

/// A line of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Line {
    Stored(Request),
    Rejected(Reason),
}

/// A valid line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) second: i64,
    pub(super) customer: String,
    pub(super) status: u16,
    pub(super) latency_micros: Option<u64>,
}

pub(super) fn request(second: i64, customer: &str, status: u16, latency_micros: u64) -> Line {
    Line::Stored(Request {
        second,
        customer: customer.to_owned(),
        status,
        latency_micros: Some(latency_micros),
    })
}

pub(super) const PATH: &str = "/api/v1/resource4";

/// The segment of some consecutive lines.
pub(super) fn segment(generation: GenerationId, start_offset: u64, lines: &[Line]) -> SettledSegment {
    let mut bytes = Vec::new();
    let (mut requests, mut rejects) = (Vec::new(), Vec::new());
    for line in lines {
        let at = bytes.len();
        let offset = start_offset + at as u64;
        match line {
            Line::Stored(request) => {
                bytes.extend_from_slice(request.customer.as_bytes());
                let path_at = bytes.len();
                bytes.extend_from_slice(PATH.as_bytes());
                let time = LogTime { second: request.second, nanos: 0, ambiguous: false };
                requests.push(StoredRequest {
                    customer: (at.try_into().unwrap(), request.customer.len().try_into().unwrap()),
                    path: (path_at.try_into().unwrap(), PATH.len().try_into().unwrap()),
                    status: request.status,
                    latency_micros: request.latency_micros.unwrap_or(u64::MAX),
                    time_nanos: point_time_nanos(time, START, offset),
                });
            }
            Line::Rejected(reason) => {
                bytes.extend_from_slice(b"what is this");
                rejects.push(Reject {
                    offset,
                    reason: *reason,
                    detail: "a test".to_owned(),
                    line: b"what is this".to_vec(),
                });
            }
        }
        bytes.push(b'\n');
    }
    let end_offset = start_offset + bytes.len() as u64;
    SettledSegment {
        generation,
        start_offset,
        end_offset,
        bytes: Bytes::from(bytes),
        requests: requests.into(),
        rejects,
        future_time: 0,
        ambiguous_time: 0,
        tail_marker: (end_offset ^ 0xABCD, end_offset.min(64)),
    }
}

pub(super) fn options() -> LedgerOptions {
    LedgerOptions {
        retention: None,
        raw_requests_max: 1_000,
        raw_requests_age: Duration::from_secs(7 * 86_400),
        publishes_cells: false,
    }
}

pub(super) fn open(state_dir: &Path) -> Ledger {
    Ledger::open(state_dir, options(), NOW).unwrap()
}

pub(super) fn new_generation(source: &str, path: &str) -> NewGeneration {
    NewGeneration {
        source: source.to_owned(),
        path: path.into(),
        device: 7,
        inode: u64::MAX,
        settled_offset: 0,
        state: GenerationState::Open,
    }
}

/// A ledger with one generation of `main`.
pub(super) fn with_generation(state_dir: &Path) -> (Ledger, GenerationId) {
    let mut ledger = open(state_dir);
    let id = ledger.add_generation(&new_generation("main", "/var/log/api.log")).unwrap();
    let head = Head { fingerprint: "0123456789abcdef0123456789abcdef".to_owned(), length_bytes: 60 };
    ledger.set_start(id, &head, START).unwrap();
    (ledger, id)
}

/// Applies lines where the generation's mark is.
pub(super) fn apply(ledger: &mut Ledger, id: GenerationId, lines: &[Line]) {
    apply_of(ledger, "main", id, lines);
}

/// The same to a generation of any source.
pub(super) fn apply_of(ledger: &mut Ledger, source: &str, id: GenerationId, lines: &[Line]) {
    let generations = ledger.generations(source).unwrap();
    let mark = generations.iter().find(|generation| generation.id == id).unwrap().seen.settled_offset;
    ledger.apply(&segment(id, mark, lines)).unwrap();
}

pub(super) fn settled(ledger: &Ledger, id: GenerationId) -> u64 {
    let generations = ledger.generations("main").unwrap();
    generations.iter().find(|generation| generation.id == id).unwrap().seen.settled_offset
}

/// Runs what the api would await.
pub(super) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(future)
}

/// Asserts that the read side agrees with the recount of those lines, in total and by day.
pub(super) fn assert_answers(
    reader: &EmbeddedStats,
    lines: &[Line],
    customer: Option<&str>,
    range: TimeRange,
) {
    let stats = ask(reader, customer, range).unwrap();
    let (covered, asked) = (stats.covered, range);
    assert!(covered.from_second <= asked.from_second && covered.to_second >= asked.to_second);
    let requests = recount::select(lines, customer, covered);
    assert_eq!(stats.total, recount::summary(requests.iter().copied()), "{customer:?} in {covered:?}");
    assert_eq!(stats.daily, recount::daily(&requests), "{customer:?} in {covered:?}");
}

/// A range of seconds.
pub(super) fn range(from_second: i64, to_second: i64) -> TimeRange {
    TimeRange { from_second, to_second }
}

/// All times that a log can have.
pub(super) const EVER: TimeRange = TimeRange { from_second: 0, to_second: 9_000_000_000 };

/// Asks the read side.
pub(super) fn ask(
    reader: &EmbeddedStats,
    customer: Option<&str>,
    range: TimeRange,
) -> Result<Stats, ReadError> {
    let query = StatsQuery { customer: customer.map(str::to_owned), range };
    block_on(reader.stats(&query))
}

/// Every customer, over pages of three.
pub(super) fn all_customers(reader: &EmbeddedStats) -> Vec<CustomerRow> {
    let mut rows = Vec::<CustomerRow>::new();
    loop {
        let query = CustomersQuery { after: rows.last().map(|row| row.id.clone()), limit: 3 };
        let page = block_on(reader.customers(&query)).unwrap();
        assert!(page.customers.len() == 3 || !page.more);
        rows.extend(page.customers);
        if !page.more {
            return rows;
        }
    }
}

/// From now on the ledger's file cannot grow.
pub(super) fn fill_disk(ledger: &Ledger) {
    let pages: i64 = ledger.connection().query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
    set_page_limit(ledger, pages);
}

/// It can again.
pub(super) fn free_disk(ledger: &Ledger) {
    set_page_limit(ledger, 1 << 30);
}

fn set_page_limit(ledger: &Ledger, pages: i64) {
    let sql = format!("PRAGMA max_page_count = {pages}");
    let set: i64 = ledger.connection().query_row(&sql, [], |row| row.get(0)).unwrap();
    assert_eq!(set, pages);
}

/// Asserts that the ledger holds exactly the cells that those lines make: of every kind, for every customer, for all customers together.
pub(super) fn assert_cells(state_dir: &Path, lines: &[Line]) {
    let connection = Connection::open(state_dir.join(LEDGER_FILE)).unwrap();
    let mut statement = connection
        .prepare(
            "SELECT kind, start_second, id, blob FROM cell LEFT JOIN customer ON number = customer
             ORDER BY kind, start_second, customer",
        )
        .unwrap();
    let mut rows = statement.query([]).unwrap();
    let mut stored = BTreeMap::new();
    while let Some(row) = rows.next().unwrap() {
        let key: (u8, i64, Option<String>) = (row.get(0).unwrap(), row.get(1).unwrap(), row.get(2).unwrap());
        let cell = Cell::decode(row.get_ref(3).unwrap().as_blob().unwrap()).unwrap();
        assert_eq!(stored.insert(key, cell), None);
    }
    let kept_from: (i64, i64) = connection
        .query_row("SELECT minutes_from_second, quarters_from_second FROM meta", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .unwrap();
    let mut expected = BTreeMap::<_, Cell>::new();
    for request in recount::select(lines, None, EVER) {
        for kind in [WindowKind::Minute, WindowKind::Quarter, WindowKind::Day] {
            let start_second = kind.window_of(request.second).start_second;
            let kept = match kind {
                WindowKind::Minute => start_second >= kept_from.0,
                WindowKind::Quarter => start_second >= kept_from.1,
                WindowKind::Day => true,
            };
            for customer in [None, Some(request.customer.clone())].into_iter().filter(|_| kept) {
                let cell = expected.entry((kind as u8, start_second, customer)).or_default();
                cell.observe(request.status, request.latency_micros);
            }
        }
    }
    assert!(stored == expected, "stored {:?}\nexpected {:?}", stored.keys(), expected.keys());
}
