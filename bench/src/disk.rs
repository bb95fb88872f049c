//! Bytes on disk for each million lines: logs drained by the processor into both stores, each with and without what is asked about. No figure unless the store holds every line once.

use std::path::Path;

use anyhow::{Context, ensure};
use chrono::Utc;
use store::influx::testing::{Options, RealInflux};

use crate::input::{self, Log, Order};
use crate::made::bytes_on_disk;
use crate::program::{self, Store};
use crate::run::Bench;
use crate::table::{self, Remark};

/// So many lines at most: what a line takes is the same for more.
const LINES_MAX: u64 = 1_000_000;

impl Bench {
    pub(crate) fn disk(&mut self) -> anyhow::Result<()> {
        let lines = self.live.lines.min(LINES_MAX);
        let path = self.folder.path().join("disk.log");
        let log = input::make(&path, lines, 50, Order::Live, Utc::now())?;
        let mut remark = |what: &str, bytes: u64| {
            let each = bytes as f64 / lines as f64;
            self.remarks.push(Remark {
                what: what.to_owned(),
                result: format!("{each:.1} MB a million lines (measured with {lines})"),
            });
        };
        remark("on disk: the log itself", log.bytes);
        if self.asked.stores.iter().any(|store| store == "embedded") {
            table::complain("bytes on disk, embedded");
            let cells = ledger_bytes(&log, 0)?;
            let with_requests = ledger_bytes(&log, lines)?;
            ensure!(with_requests > cells, "{with_requests} bytes with raw requests, {cells} without");
            remark("on disk, embedded: raw requests", with_requests - cells);
            remark("on disk, embedded: statistics of 50 customers, 1,000 lines a second", cells);
        }
        if self.asked.stores.iter().any(|store| store == "influxdb") {
            table::complain("bytes on disk, InfluxDB");
            let (wal, data) = influx_bytes(&log)?;
            remark("on disk, InfluxDB: requests and statistics as they lie after the last line", wal + data);
            remark("on disk, InfluxDB: of these in the WAL, which it packs later", wal);
        }
        Ok(())
    }
}

/// Drains into a ledger; its bytes.
fn ledger_bytes(log: &Log, raw_requests: u64) -> anyhow::Result<u64> {
    let state = tempfile::tempdir().context("a temporary folder")?;
    program::run(&program::drain(&log.path, state.path(), &Store::Embedded { raw_requests })?)?;
    program::check_ledger(log, state.path(), raw_requests)?;
    bytes_on_disk(&state.path().join("ledger"))
}

/// Drains into a server of its own; what was added to its WAL, and to the rest.
fn influx_bytes(log: &Log) -> anyhow::Result<(u64, u64)> {
    let runtime = tokio::runtime::Runtime::new().context("a runtime")?;
    let influx = runtime.block_on(RealInflux::start(Options::default()));
    let bucket = runtime.block_on(influx.fresh()).bucket;
    let folder = influx.data_dir().context("the server's folder")?.to_owned();
    let before = parts(&folder)?;
    let state = tempfile::tempdir().context("a temporary folder")?;
    let store = Store::Influx {
        url: influx.url().to_owned(),
        org: influx.org().to_owned(),
        token: influx.token().to_owned(),
        bucket: bucket.clone(),
    };
    program::run(&program::drain(&log.path, state.path(), &store)?)?;
    program::check_ledger(log, state.path(), 0)?;
    let count = runtime.block_on(influx.count(&bucket, "api_requests", "status_code"));
    ensure!(count == log.lines, "InfluxDB has {count} points of {} lines", log.lines);
    let after = parts(&folder)?;
    Ok((after.0.saturating_sub(before.0), after.1.saturating_sub(before.1)))
}

fn parts(folder: &Path) -> anyhow::Result<(u64, u64)> {
    let (wal, all) = (folder.join("engine/wal"), bytes_on_disk(folder)?);
    let wal = if wal.is_dir() { bytes_on_disk(&wal)? } else { 0 };
    Ok((wal, all.saturating_sub(wal)))
}
