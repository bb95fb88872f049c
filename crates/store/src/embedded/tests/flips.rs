//! A real ledger, damaged at 1,000 places (A8): a bit flipped, a block zeroed, a file torn, in `ledger.db` and in its WAL. After each, what a processor does at its start (opening, and the look at
//! every cell) refuses with words that name the damage, or every figure is the true one, now and after more lines. Never a wrong number, a panic, or a silent start at the beginning.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use logline::Reason;
use stats::{Cell, Summary, WindowKind};
use tempfile::TempDir;

use super::recount;
use super::support::*;
use crate::embedded::{
    EmbeddedStats, GenerationState, Head, LEDGER_FILE, Ledger, LedgerError, LedgerOptions, LedgerTotals,
    LedgerView, check_cells, schema,
};
use crate::{CustomerRow, CustomersQuery, KeyStart, Stats, StatsQuery, StatsStore};

const CUSTOMERS: u64 = 24;

/// Everything that anybody is told, but for the texts of rejected lines and the raw requests: those are no figures, and have no checksum.
#[derive(Clone, Debug, PartialEq)]
struct Figures {
    commit: u64,
    totals: LedgerTotals,
    /// As their `Debug` shows them.
    generations: Vec<String>,
    customers: Vec<CustomerRow>,
    stats: Vec<Stats>,
    cells: Vec<(Option<String>, Cell)>,
}

/// What is true at a commit.
struct Truth {
    figures: Figures,
    /// Of each customer and of all, when the lines of [`more`] are settled behind it.
    after_more: Vec<Summary>,
}

/// A ledger as a killed processor left it.
struct Original {
    folder: TempDir,
    /// The same, stopped in peace: all of it is in the file, and nothing in the WAL.
    at_rest: TempDir,
    /// The last one, and those since the last checkpoint: a damaged WAL can lead back to them.
    commits: BTreeMap<u64, Truth>,
}

fn generous() -> LedgerOptions {
    LedgerOptions { raw_requests_max: 5_000, ..options() }
}

/// Line `n`: spread over days, quarter-hours and minutes.
fn line(n: u64) -> Line {
    if n % 50 == 49 {
        return Line::Rejected([Reason::Empty, Reason::Fields, Reason::Status][(n % 3) as usize]);
    }
    let age = [n * 7_919 % 180, n * 7_919 % 1_800, n % 20 * 9_000][(n % 3) as usize];
    let status = [200, 201, 302, 404, 500][(n / 3 % 5) as usize];
    request(NOW - age.cast_signed(), &customer(n * 31 / 7 % CUSTOMERS), status, n * 997 % 3_000 * 1_000)
}

fn customer(number: u64) -> String {
    format!("cust_{number}")
}

fn lines(from: u64, to: u64) -> Vec<Line> {
    (from..to).map(line).collect()
}

/// What is settled after the damage, if the ledger is taken.
fn more() -> Vec<Line> {
    let mut lines = lines(10_000, 10_200);
    lines.push(request(NOW, "cust_new", 200, 5));
    lines
}

/// All customers together, then each.
fn whose() -> Vec<Option<String>> {
    std::iter::once(None).chain((0..CUSTOMERS).map(|number| Some(customer(number)))).collect()
}

fn summaries(lines: &[Line]) -> Vec<Summary> {
    let of = |whose: &Option<String>| recount::summary(recount::select(lines, whose.as_deref(), EVER));
    whose().iter().map(of).collect()
}

fn open_ledger(dir: &Path) -> Result<Ledger, LedgerError> {
    Ledger::open(dir, generous(), NOW)
}

fn truth(dir: &Path, settled: &[Line]) -> Truth {
    Truth { figures: figures(dir).unwrap(), after_more: summaries(&[settled, &more()].concat()) }
}

/// Three generations of two sources, 4,000 lines; the later half is in the WAL only.
fn original() -> &'static Original {
    static ORIGINAL: OnceLock<Original> = OnceLock::new();
    ORIGINAL.get_or_init(|| {
        let work = tempfile::tempdir().unwrap();
        let mut ledger = open_ledger(work.path()).unwrap();
        let mut commits = BTreeMap::new();
        let mut settled = Vec::new();
        let files =
            [("main", "/var/log/api.log.1"), ("main", "/var/log/api.log"), ("edge", "/var/log/edge.log")];
        for (number, (source, path)) in (0..).zip(files) {
            let id = ledger.add_generation(&new_generation(source, path)).unwrap();
            let head = Head { fingerprint: format!("{number:032x}"), length_bytes: 60 };
            ledger.set_start(id, &head, KeyStart(123_456_789 + number * 50_000_000)).unwrap();
            commits.insert(ledger.commit_number(), truth(work.path(), &settled));
            let mut end = 0;
            for part in 0..4 {
                if (number, part) == (1, 2) {
                    schema::last_checkpoint(ledger.connection()).unwrap();
                    let last = commits.pop_last().unwrap();
                    commits = BTreeMap::from([last]);
                }
                let from = (number * 4 + part) * 334;
                let lines = lines(from, from + 334);
                let segment = segment(id, end, &lines);
                end = segment.end_offset;
                settled.extend(lines);
                ledger.apply(&segment).unwrap();
                ledger.add_lost_bytes(source, "truncated", 7).unwrap();
                let state =
                    if number == 0 && part == 3 { GenerationState::Finished } else { GenerationState::Open };
                ledger.update_generation(id, Path::new(path), (7, number), end, state).unwrap();
                ledger.commit(Some(NOW * 1_000_000), NOW).unwrap();
                commits.insert(ledger.commit_number(), truth(work.path(), &settled));
            }
        }
        let last = &commits.values().last().unwrap().figures;
        let told: Vec<Summary> = last.stats.iter().map(|stats| stats.total).collect();
        assert_eq!(told, summaries(&settled), "the figures of the original");
        let folder = tempfile::tempdir().unwrap();
        // As the files are at this instant: nothing was closed. The -shm is made anew, as after the machine stopped.
        for file in [File::Db, File::Wal] {
            std::fs::copy(file.of(work.path()), file.of(folder.path())).unwrap();
        }
        let at_rest = tempfile::tempdir().unwrap();
        drop(ledger);
        for file in [File::Db, File::Wal] {
            std::fs::copy(file.of(work.path()), file.of(at_rest.path())).unwrap();
        }
        Original { folder, at_rest, commits }
    })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum File {
    Db,
    Wal,
}

impl File {
    fn of(self, dir: &Path) -> PathBuf {
        dir.join(LEDGER_FILE.to_owned() + if self == File::Db { "" } else { "-wal" })
    }
}

/// All windows that the lines fall into.
fn windows() -> &'static BTreeSet<(u8, i64)> {
    static WINDOWS: OnceLock<BTreeSet<(u8, i64)>> = OnceLock::new();
    WINDOWS.get_or_init(|| {
        let lines = lines(0, 4_008);
        let requests = recount::select(&lines, None, EVER);
        let of = |second: i64| KINDS.map(|kind| (kind as u8, kind.window_of(second).start_second));
        requests.iter().flat_map(|request| of(request.second)).collect()
    })
}

const KINDS: [WindowKind; 3] = [WindowKind::Minute, WindowKind::Quarter, WindowKind::Day];

/// Reads all figures, as status, api and verify do; the words of whoever refuses.
fn figures(dir: &Path) -> Result<Figures, String> {
    let view = LedgerView::open(dir).map_err(|error| error.to_string())?.ok_or("there is no ledger")?;
    let mut cells = Vec::new();
    for &(kind, start_second) in windows() {
        for source in ["main", "edge"] {
            let found = view
                .cells(source, KINDS[usize::from(kind)], start_second)
                .map_err(|error| error.to_string())?;
            for found in found {
                cells.push((found.customer, found.cell?));
            }
        }
    }
    let (stats, customers) = answers(dir)?;
    Ok(Figures {
        commit: view.commit_number(),
        totals: view.totals().clone(),
        generations: view.generations().iter().map(|record| format!("{record:?}")).collect(),
        customers,
        stats,
        cells,
    })
}

/// What the api tells.
fn answers(dir: &Path) -> Result<(Vec<Stats>, Vec<CustomerRow>), String> {
    let reader = EmbeddedStats::new(dir);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let mut stats = Vec::new();
        for customer in whose() {
            let query = StatsQuery { customer, range: EVER };
            stats.push(reader.stats(&query).await.map_err(|error| error.to_string())?);
        }
        let query = CustomersQuery { after: None, limit: 1_000 };
        let customers = reader.customers(&query).await.map_err(|error| error.to_string())?.customers;
        Ok((stats, customers))
    })
}

/// What came of one damage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    Refused,
    Exact,
    /// Exactly what an earlier commit left: what a power cut does. The log is read again from there.
    Earlier,
}

/// What a processor does at its start; then, when it was taken, all figures, now and after more lines.
fn judge(dir: &Path, what: &str, may_be_earlier: bool) -> Outcome {
    let original = original();
    let refused = |words: String| {
        assert!(words.contains(" is damaged: "), "{what}: refused, but not for damage: {words}");
        Outcome::Refused
    };
    let opened = open_ledger(dir).and_then(|ledger| check_cells(dir, || true).map(|_| ledger));
    let mut ledger = match opened {
        Ok(ledger) => ledger,
        Err(error) => return refused(error.to_string()),
    };
    let found = match figures(dir) {
        Ok(found) => found,
        Err(words) => panic!("{what}: taken by the processor, and refused by those who ask: {words}"),
    };
    let (last, _) = original.commits.last_key_value().unwrap();
    let truth = original.commits.get(&found.commit);
    let truth = truth.unwrap_or_else(|| panic!("{what}: commit {} came from nowhere", found.commit));
    assert!(may_be_earlier || found.commit == *last, "{what}: back at commit {} of {last}", found.commit);
    assert!(found == truth.figures, "{what}: another figure than at commit {}", found.commit);
    // Rejected lines and raw requests have no checksum: they must be readable or refused, and no more.
    if let Ok(Some(view)) = LedgerView::open(dir) {
        drop((view.rejects(), view.raw_extent(), view.raw_requests(i64::MIN, i64::MAX, |_| ())));
    }
    let generation =
        ledger.generations("edge").unwrap().pop().or_else(|| ledger.generations("main").unwrap().pop());
    let generation = generation.expect("the original has some");
    let segment = segment(generation.id, generation.seen.settled_offset, &more());
    let went_on = ledger.apply(&segment).and_then(|()| ledger.commit(None, NOW));
    drop(ledger);
    if let Err(error) = went_on {
        return refused(error.to_string());
    }
    let told: Vec<Summary> =
        answers(dir).expect("just committed").0.iter().map(|stats| stats.total).collect();
    assert!(told == truth.after_more, "{what}: another figure after more lines");
    if found.commit == *last { Outcome::Exact } else { Outcome::Earlier }
}

/// Damages a copy of the original at so many places, one after the other, and judges each.
fn campaign(
    file: File,
    places: usize,
    damage: impl Fn(&mut Vec<u8>, usize, usize),
) -> BTreeMap<Outcome, usize> {
    let original = original();
    let from = if file == File::Db { &original.at_rest } else { &original.folder };
    let whole = std::fs::read(file.of(from.path())).unwrap();
    assert!(whole.len() > 100_000, "{} bytes in {file:?}", whole.len());
    let mut outcomes = BTreeMap::new();
    for number in 0..places {
        let dir = tempfile::tempdir().unwrap();
        for each in [File::Db, File::Wal] {
            std::fs::copy(each.of(from.path()), each.of(dir.path())).unwrap();
        }
        // One in each of as many equal stretches, where in it by a multiplicative hash.
        let stretch = whole.len() / places;
        let place = number * stretch + ((number * 2_654_435_761) >> 7) % stretch;
        let mut damaged = whole.clone();
        damage(&mut damaged, place, number);
        std::fs::write(file.of(dir.path()), &damaged).unwrap();
        let outcome =
            judge(dir.path(), &format!("{file:?}, number {number}, place {place}"), file == File::Wal);
        *outcomes.entry(outcome).or_insert(0) += 1;
    }
    outcomes
}

fn flip(bytes: &mut [u8], place: usize, number: usize) {
    bytes[place] ^= 1 << (number % 8);
}

/// A sector or a whole block, as a disk forgets them.
fn zero(bytes: &mut [u8], place: usize, number: usize) {
    let size = [512, 4096][number % 2];
    let from = place / size * size;
    let end = bytes.len().min(from + size);
    bytes[from..end].fill(0);
}

fn tear(bytes: &mut Vec<u8>, place: usize, number: usize) {
    bytes.truncate(if number.is_multiple_of(4) { place / 4096 * 4096 } else { place });
}

#[test]
fn a_flipped_bit_in_the_ledger() {
    let outcomes = campaign(File::Db, 500, |bytes, place, number| flip(bytes, place, number));
    assert!(outcomes.get(&Outcome::Refused) > Some(&300), "{outcomes:?}");
}

#[test]
fn a_flipped_bit_in_the_wal() {
    let outcomes = campaign(File::Wal, 200, |bytes, place, number| flip(bytes, place, number));
    assert!(outcomes.get(&Outcome::Earlier) > Some(&100), "{outcomes:?}");
}

#[test]
fn a_zeroed_block_in_the_ledger() {
    let outcomes = campaign(File::Db, 120, |bytes, place, number| zero(bytes, place, number));
    assert!(outcomes.get(&Outcome::Refused) > Some(&80), "{outcomes:?}");
}

#[test]
fn a_zeroed_block_in_the_wal() {
    let outcomes = campaign(File::Wal, 60, |bytes, place, number| zero(bytes, place, number));
    assert!(outcomes.get(&Outcome::Earlier) > Some(&30), "{outcomes:?}");
}

#[test]
fn a_torn_ledger() {
    let outcomes = campaign(File::Db, 60, tear);
    assert!(outcomes.get(&Outcome::Refused) > Some(&40), "{outcomes:?}");
}

#[test]
fn a_torn_wal() {
    let outcomes = campaign(File::Wal, 60, tear);
    assert!(outcomes.get(&Outcome::Earlier) > Some(&40), "{outcomes:?}");
}
