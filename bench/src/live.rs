//! The programs as shipped, at work: how soon an appended line is in the api's answer, how long a backlog takes after the processor was away, what it costs to wait for
//! nothing. Needs log-processor and api beside this program (`cargo build --release`).

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use chrono::Utc;

use crate::program::{self, Store};
use crate::run::Bench;
use crate::shipped::{Api, PATIENCE, Running};
use crate::table::{self, Remark};

/// What is appended beside the lines that are looked for.
const LINES_PER_SECOND: u64 = 1000;
const PROBES: usize = 100;

impl Bench {
    pub(crate) fn live(&mut self) -> anyhow::Result<()> {
        let processor = self.program("log-processor")?;
        let state = tempfile::tempdir()?;
        let log = state.path().join("live.log");
        File::create(&log)?;
        let mut following = Command::new(&processor);
        program::configure(&mut following, &log, state.path(), &Store::Embedded { raw_requests: 1_000_000 });
        let mut follower = Running::start(&mut following)?;
        let answering =
            Api::start(&self.program("api")?, state.path(), &Store::Embedded { raw_requests: 1_000_000 })?;
        let address = answering.address().to_owned();

        let seconds = self.asked.idle_seconds;
        table::complain(&format!("idle for {seconds} s"));
        wait_for(&address, "/livez", 200)?;
        std::thread::sleep(Duration::from_secs(2));
        let before = follower.cpu_seconds()?;
        std::thread::sleep(Duration::from_secs(seconds));
        let part = (follower.cpu_seconds()? - before) / seconds as f64;
        self.remark(
            "idle, one silent file, part of a core",
            format!("{:.3} % over {seconds} s", part * 100.0),
        );

        table::complain("append -> visible");
        let probes = if seconds < 60 { PROBES / 10 } else { PROBES };
        let (mut seen, lines_per_second) = append_and_look(&log, &address, probes)?;
        seen.sort_by(f64::total_cmp);
        let at = |part: f64| seen[((seen.len() - 1) as f64 * part).round() as usize] * 1000.0;
        self.remark(
            "append -> visible in the api, embedded",
            format!(
                "p50 {:.1} ms, p99 {:.1} ms, of {} lines among {lines_per_second:.0} a second",
                at(0.5),
                at(0.99),
                seen.len()
            ),
        );
        follower.stop()?;
        answering.stop()?;
        self.catch_up(&processor)
    }

    /// The processor was away while lines came: until everything is settled and it has ended.
    fn catch_up(&mut self, processor: &Path) -> anyhow::Result<()> {
        table::complain("catch-up");
        let state = tempfile::tempdir()?;
        let mut draining = Command::new(processor);
        program::configure(
            &mut draining,
            &self.live.path,
            state.path(),
            &Store::Embedded { raw_requests: 1_000_000 },
        );
        let begun = Instant::now();
        let status = draining.arg("--once").stdout(Stdio::null()).status()?;
        let seconds = begun.elapsed().as_secs_f64();
        ensure!(status.success(), "the processor ended with {status}");
        program::check_ledger(&self.live, state.path(), self.live.lines.min(1_000_000))?;
        let minutes = self.live.lines as f64 / LINES_PER_SECOND as f64 / 60.0;
        self.remark(
            "catch-up, defaults (embedded, a million raw requests)",
            format!(
                "{} lines, {minutes:.0} minutes of {LINES_PER_SECOND} a second, in {seconds:.1} s",
                self.live.lines
            ),
        );
        Ok(())
    }

    fn remark(&mut self, what: &str, result: String) {
        self.remarks.push(Remark { what: what.to_owned(), result });
    }
}

fn status_of(address: &str, path: &str) -> anyhow::Result<u16> {
    let mut connection = TcpStream::connect(address)?;
    write!(connection, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer)?;
    Ok(answer.split(' ').nth(1).context("a status")?.parse()?)
}

fn wait_for(address: &str, path: &str, status: u16) -> anyhow::Result<()> {
    let begun = Instant::now();
    loop {
        if status_of(address, path).is_ok_and(|found| found == status) {
            return Ok(());
        }
        if begun.elapsed() > PATIENCE {
            bail!("{path} was not {status} within {PATIENCE:?}");
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Appends lines steadily and, now and then, one of a customer that was never seen, and asks for that customer until there is an answer. Returns the seconds that each took, and how
/// many lines a second were really appended.
fn append_and_look(log: &Path, address: &str, probes: usize) -> anyhow::Result<(Vec<f64>, f64)> {
    let over = AtomicBool::new(false);
    let begun = Instant::now();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| -> anyhow::Result<u64> {
            let mut file = OpenOptions::new().append(true).open(log)?;
            let mut written = 0;
            while !over.load(Ordering::Relaxed) {
                let due = u64::try_from(begun.elapsed().as_millis())? * LINES_PER_SECOND / 1000;
                let stamp = Utc::now().format("%Y-%m-%d %H:%M:%S");
                let text: String = (written..due)
                    .map(|line| format!("{stamp} cust_{} /api/v1/resource1 200 0.123\n", line % 50))
                    .collect();
                file.write_all(text.as_bytes())?;
                written = written.max(due);
                std::thread::sleep(Duration::from_millis(5));
            }
            Ok(written)
        });
        let looked: anyhow::Result<Vec<f64>> =
            (0..probes).map(|probe| look_for_one(log, address, probe)).collect();
        over.store(true, Ordering::Relaxed);
        let written = writer.join().expect("the writer does not panic")?;
        Ok((looked?, written as f64 / begun.elapsed().as_secs_f64()))
    })
}

fn look_for_one(log: &Path, address: &str, probe: usize) -> anyhow::Result<f64> {
    // Not in step with anything that happens every so many milliseconds.
    std::thread::sleep(Duration::from_millis(100 + 37 * (probe as u64 % 7)));
    let now = Utc::now();
    let line = format!("{} probe_{probe} /probe 200 0.001\n", now.format("%Y-%m-%d %H:%M:%S"));
    let begun = Instant::now();
    OpenOptions::new().append(true).open(log)?.write_all(line.as_bytes())?;
    wait_for(address, &format!("/customers/probe_{probe}/stats?from_date={}", now.format("%Y-%m-%d")), 200)?;
    Ok(begun.elapsed().as_secs_f64())
}
