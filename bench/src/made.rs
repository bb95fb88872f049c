//! Stores made of cells ([`crate::cells`]) instead of lines: by the ledger's own code, and by the store's own publisher of statistics.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use stats::{Cell, Window, WindowKind};
use store::embedded::{GenerationState, Ledger, LedgerOptions, NewGeneration};
use store::influx::{InfluxConfig, InfluxRequests};
use store::{Owner, RequestStore, Statistics, StatisticsCell};
use tokio::runtime::Runtime;

use crate::cells::{DAYS, Spread};

/// So many cells are one transaction of the ledger, or the cells of one day.
const COMMIT_CELLS: u64 = 2_000_000;
/// One request to InfluxDB holds so many cells at most, of so many bytes of blobs.
const PIECE_CELLS: usize = 5_000;
const PIECE_BYTES: usize = 1 << 20;
/// The processor keeps minutes for 48 hours.
const MINUTES_SECONDS: i64 = 48 * 3600;
const SOURCE: &str = "main";

/// Makes a ledger. How many days of single customers it holds.
///
/// # Errors
/// It cannot be written.
pub fn ledger(spread: &Spread, state_dir: &Path, now_second: i64) -> anyhow::Result<u64> {
    let options = LedgerOptions {
        retention: None,
        raw_requests_max: 0,
        raw_requests_age: Duration::ZERO,
        publishes_cells: false,
    };
    let mut ledger = Ledger::open(state_dir, options, now_second)?;
    // A ledger knows a source by its files.
    ledger.add_generation(&NewGeneration {
        source: SOURCE.to_owned(),
        path: "made-of-cells.log".into(),
        device: 0,
        inode: 0,
        settled_offset: 0,
        state: GenerationState::Finished,
    })?;
    ledger.commit(None, now_second)?;
    let (mut day, mut customer_days) = (0, 0);
    while day < DAYS {
        let mut cells = ledger.rebuild(SOURCE)?.context("the source was just noted")?;
        let mut count = 0;
        while day < DAYS && count < COMMIT_CELLS {
            let mut id = String::new();
            count +=
                spread.make_day(day, now_second - MINUTES_SECONDS, &mut |kind, start, whose, cell| {
                    use std::fmt::Write;
                    id.clear();
                    let whose = whose.map(|(customer, newest)| {
                        customer_days += u64::from(kind == WindowKind::Day);
                        write!(id, "{}", Spread::id(customer)).expect("memory");
                        (id.as_str(), newest)
                    });
                    if cells.is_kept(kind, start) {
                        cells.put(kind, start, whose, cell)?;
                    }
                    Ok(())
                })?;
            day += 1;
        }
        cells.commit()?;
    }
    ledger.commit(Some(now_second * 1_000_000), now_second)?;
    Ok(customer_days)
}

/// Publishes the same cells into a bucket, and the statement that makes them answer. How many days of single customers it holds.
///
/// # Errors
/// The store does not take them.
pub fn bucket(
    spread: &Spread,
    runtime: &Runtime,
    config: &InfluxConfig,
    now_second: i64,
) -> anyhow::Result<u64> {
    let store = InfluxRequests::new(config.clone())?;
    let newest = spread.newest();
    let (mut piece, mut bytes, mut customer_days) = (Vec::new(), 0, 0);
    let send = |piece: &mut Vec<StatisticsCell>| -> anyhow::Result<()> {
        let answer = runtime.block_on(store.publish_statistics(piece));
        piece.clear();
        answer.map_err(|trouble| anyhow::anyhow!("{trouble}"))
    };
    for day in 0..DAYS {
        // Minutes are not published.
        spread.make_day(day, i64::MAX, &mut |kind, start_second, whose, cell| {
            let mut blob = Vec::new();
            cell.encode(&mut blob);
            bytes += blob.len();
            customer_days += u64::from(kind == WindowKind::Day && whose.is_some());
            piece.push(StatisticsCell {
                customer: whose.map(|(customer, _)| Spread::id(customer)),
                source: SOURCE.to_owned(),
                window: Window { kind, start_second },
                cell: Cell::clone(cell),
                blob,
                last_seen_second: whose
                    .map(|(customer, second)| (newest[customer as usize], second))
                    .filter(|(newest, second)| newest == second)
                    .map(|(newest, _)| newest),
            });
            if piece.len() >= PIECE_CELLS || bytes >= PIECE_BYTES {
                bytes = 0;
                send(&mut piece)?;
            }
            Ok(())
        })?;
    }
    send(&mut piece)?;
    let now_micros = now_second * 1_000_000;
    let owner = Owner {
        source: SOURCE.to_owned(),
        ledger: "made-of-cells".to_owned(),
        commit: 1,
        heartbeat_micros: now_micros,
        as_of_micros: Some(now_micros),
        released: true,
        statistics: Statistics::Published {
            as_of_micros: Some(now_micros),
            quarters_from_second: 0,
            days_from_second: 0,
        },
        mark_nanos: now_micros * 1000,
    };
    runtime.block_on(store.publish_owners(&[owner])).map_err(|trouble| anyhow::anyhow!("{trouble}"))?;
    Ok(customer_days)
}

/// Bytes of all files beneath a folder.
///
/// # Errors
/// It cannot be read.
pub fn bytes_on_disk(folder: &Path) -> anyhow::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let entry = entry?;
        // A file may go while its neighbours are counted.
        let Ok(metadata) = entry.metadata() else { continue };
        bytes += if metadata.is_dir() { bytes_on_disk(&entry.path())? } else { metadata.len() };
    }
    Ok(bytes)
}
