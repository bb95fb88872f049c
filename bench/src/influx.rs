//! The rows with a real InfluxDB: what it takes of a bare loader, and what it takes of us; points counted by Flux afterwards.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};
use chrono::Utc;
use store::influx::testing::{Options, RealInflux};

use crate::input::{self, Log, Order};
use crate::measure::ourselves;
use crate::program::{self, Store};
use crate::run::{Bench, Round, stage};
use crate::shipped::TICK_SECONDS;
use crate::table;

/// So many lines at most: an InfluxDB takes 200,000 a second of a processor at best.
const LINES_MAX: u64 = 500_000;

impl Bench {
    pub(crate) fn influx(&mut self) -> anyhow::Result<()> {
        let lines = self.live.lines.min(LINES_MAX);
        let log = input::make(&self.folder.path().join("influx.log"), lines, 50, Order::Live, Utc::now())?;
        let runtime = tokio::runtime::Runtime::new().context("a runtime")?;
        let influx = runtime.block_on(RealInflux::start(Options::default()));
        let server = server_of_ours();
        let (mut bare, mut ours, mut parts) = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..self.asked.rounds {
            // One after the other in turn, so that what else the machine does meets both alike.
            table::complain(&format!("real InfluxDB, round {}", round + 1));
            let bucket = runtime.block_on(influx.fresh()).bucket;
            let url =
                format!("{}/api/v2/write?org={}&bucket={bucket}&precision=ns", influx.url(), influx.org());
            let (loaded, peak_rss_bytes) =
                stage(&ourselves(&["row", "load"])?, &log.path, &[&url, influx.token()])?;
            check(&runtime, &influx, &bucket, &log)?;
            bare.push(Round {
                wall_seconds: loaded.wall_seconds,
                cpu_seconds: loaded.cpu_seconds,
                system_seconds: None,
                peak_rss_bytes,
            });

            let bucket = runtime.block_on(influx.fresh()).bucket;
            let state = tempfile::tempdir().context("a temporary folder")?;
            let store = Store::Influx {
                url: influx.url().to_owned(),
                org: influx.org().to_owned(),
                token: influx.token().to_owned(),
                bucket: bucket.clone(),
            };
            let before = server.as_deref().and_then(cpu_seconds);
            let done = program::run(&program::drain(&log.path, state.path(), &store)?)?;
            let after = server.as_deref().and_then(cpu_seconds);
            program::check_ledger(&log, state.path(), 0)?;
            check(&runtime, &influx, &bucket, &log)?;
            parts.extend(
                before
                    .zip(after)
                    .map(|(before, after)| done.cpu_seconds / (done.cpu_seconds + after - before)),
            );
            ours.push(Round::of(&done));
        }
        self.rows.push(Self::row("bare loader -> real InfluxDB 2", &log, &bare));
        let mut row = Self::row("file -> real InfluxDB 2", &log, &ours);
        let floor = self.rows.last().expect("it was just added");
        row.of_floor =
            Some((format!("{} by lines/s", floor.what), row.lines_per_second / floor.lines_per_second));
        row.remark =
            table::median(parts).map(|part| format!("we take {:.1} % of the CPU time of both", part * 100.0));
        self.rows.push(row);
        Ok(())
    }
}

fn check(
    runtime: &tokio::runtime::Runtime,
    influx: &RealInflux,
    bucket: &str,
    log: &Log,
) -> anyhow::Result<()> {
    let count = runtime.block_on(influx.count(bucket, "api_requests", "status_code"));
    ensure!(count == log.lines, "InfluxDB has {count} points of {} lines", log.lines);
    Ok(())
}

/// The folder in /proc of the influxd that runs beneath us.
fn server_of_ours() -> Option<std::path::PathBuf> {
    let parent = |folder: &Path| -> Option<String> {
        let stat = std::fs::read_to_string(folder.join("stat")).ok()?;
        stat.rsplit_once(") ")?.1.split(' ').nth(1).map(str::to_owned)
    };
    let ours = std::process::id().to_string();
    std::fs::read_dir("/proc").ok()?.flatten().map(|entry| entry.path()).find(|folder| {
        let name = std::fs::read_to_string(folder.join("comm")).unwrap_or_default();
        let grandparent = parent(folder).and_then(|parent_id| parent(&Path::new("/proc").join(parent_id)));
        name.trim() == "influxd" && grandparent.as_ref() == Some(&ours)
    })
}

/// The CPU time that a process has taken, after what it is still doing for a moment.
fn cpu_seconds(folder: &Path) -> Option<f64> {
    std::thread::sleep(Duration::from_millis(300));
    let stat = std::fs::read_to_string(folder.join("stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
    let ticks = fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?;
    Some(ticks * TICK_SECONDS)
}
