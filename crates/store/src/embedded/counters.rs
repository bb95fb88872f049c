//! The totals as rows: one row a number, each with its checksum.

use std::collections::BTreeMap;

use logline::Reason;
use rusqlite::Connection;

use super::LedgerTotals;
use super::checksum::Checksum;
use super::confirmed;
use super::fault::Fault;
use super::raw_kept;
use super::unpublished;

/// A number's name, with source and reason where it has them.
type CounterKey = (&'static str, String, String);

const LINES_STORED: &str = "lines_stored";
const LINES_REJECTED: &str = "lines_rejected";
const BYTES_SETTLED: &str = "bytes_settled";
const LOST_BYTES: &str = "lost_bytes";
const SKIPPED_BYTES: &str = "skipped_bytes";
const FUTURE_TIME: &str = "future_time";
const AMBIGUOUS_TIME: &str = "ambiguous_time";
const REQUESTS_REBUILT: &str = "requests_rebuilt";

fn rows(totals: &LedgerTotals) -> BTreeMap<CounterKey, u64> {
    let plain = |name: &'static str, value: u64| ((name, String::new(), String::new()), value);
    let mut rows = BTreeMap::from([
        plain(LINES_STORED, totals.lines_stored),
        plain(BYTES_SETTLED, totals.bytes_settled),
        plain(FUTURE_TIME, totals.future_time),
        plain(AMBIGUOUS_TIME, totals.ambiguous_time),
    ]);
    // A row that only ledgers have that were rebuilt.
    rows.extend(Some(plain(REQUESTS_REBUILT, totals.rebuilt_requests)).filter(|(_, requests)| *requests > 0));
    rows.extend(
        totals
            .rejected
            .iter()
            .map(|(reason, lines)| ((LINES_REJECTED, String::new(), reason.as_str().to_owned()), *lines)),
    );
    rows.extend(
        totals
            .lost_bytes
            .iter()
            .map(|((source, reason), bytes)| ((LOST_BYTES, source.clone(), reason.clone()), *bytes)),
    );
    rows.extend(
        totals
            .skipped_bytes
            .iter()
            .map(|(source, bytes)| ((SKIPPED_BYTES, source.clone(), String::new()), *bytes)),
    );
    rows
}

pub(super) fn checksum(name: &str, source: &str, reason: &str, value: i64) -> i64 {
    Checksum::of("counter")
        .bytes(name.as_bytes())
        .bytes(source.as_bytes())
        .bytes(reason.as_bytes())
        .integer(value)
        .finish()
}

/// Reads the totals.
pub(super) fn read(connection: &Connection) -> Result<LedgerTotals, Fault> {
    let mut statement =
        connection.prepare_cached("SELECT name, source, reason, value, checksum FROM counter")?;
    let mut rows = statement.query([])?;
    let mut totals = LedgerTotals::default();
    while let Some(row) = rows.next()? {
        let (name, source, reason): (String, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let stored: i64 = row.get(3)?;
        let damaged = || Fault::Damaged(format!("the counter {name} {source:?} {reason:?}"));
        if row.get::<_, i64>(4)? != checksum(&name, &source, &reason, stored) {
            return Err(damaged());
        }
        let value = stored.cast_unsigned();
        match name.as_str() {
            LINES_STORED => totals.lines_stored = value,
            BYTES_SETTLED => totals.bytes_settled = value,
            FUTURE_TIME => totals.future_time = value,
            AMBIGUOUS_TIME => totals.ambiguous_time = value,
            REQUESTS_REBUILT => totals.rebuilt_requests = value,
            LINES_REJECTED => {
                totals.rejected.insert(Reason::from_name(&reason).ok_or_else(damaged)?, value);
            }
            LOST_BYTES => {
                totals.lost_bytes.insert((source, reason), value);
            }
            SKIPPED_BYTES => {
                totals.skipped_bytes.insert(source, value);
            }
            name if [confirmed::is_one, unpublished::is_one, raw_kept::is_one]
                .iter()
                .any(|is_one| is_one(name)) => {}
            _ => return Err(damaged()),
        }
    }
    Ok(totals)
}

/// Writes the numbers that differ from those of the last commit.
pub(super) fn write(
    connection: &Connection,
    committed: &LedgerTotals,
    totals: &LedgerTotals,
) -> Result<(), Fault> {
    let mut statement = connection.prepare_cached(
        "INSERT OR REPLACE INTO counter (name, source, reason, value, checksum) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    let before = rows(committed);
    for (key, value) in rows(totals) {
        if before.get(&key) != Some(&value) {
            let (name, source, reason) = key;
            let value = value.cast_signed();
            let checksum = checksum(name, &source, &reason, value);
            statement.execute((name, source, reason, value, checksum))?;
        }
    }
    Ok(())
}
