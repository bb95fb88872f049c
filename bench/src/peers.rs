//! Other programs at the same work: they read the bench's log from its beginning and post line protocol to the same null sink. Each is named by a variable of the environment and left out where
//! that is not set; configured by the files in `bench/peers`. No figure unless every request came once, with all its fields and the second of its time.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use chrono::NaiveDateTime;
use xxhash_rust::xxh3::xxh3_64;

use crate::input::Log;
use crate::run::{Bench, Round};
use crate::shipped::Running;
use crate::sink::{Sink, Tally};
use crate::table::{self, Remark};

/// A program that does the same work.
struct Peer {
    name: &'static str,
    /// The variable that says where the program is.
    variable: &'static str,
    /// Its files, the first of them its configuration; what they need to know is in the environment.
    files: &'static [(&'static str, &'static str)],
    /// What it is started with, before its configuration.
    arguments: &'static [&'static str],
}

const PEERS: [Peer; 3] = [
    Peer {
        name: "Vector",
        variable: "BENCH_VECTOR",
        files: &[("vector.yaml", include_str!("../peers/vector.yaml"))],
        arguments: &["--quiet", "--config"],
    },
    Peer {
        name: "Fluent Bit",
        variable: "BENCH_FLUENT_BIT",
        files: &[
            ("fluent-bit.conf", include_str!("../peers/fluent-bit.conf")),
            ("parsers.conf", include_str!("../peers/fluent-bit-parsers.conf")),
        ],
        arguments: &["--quiet", "--config"],
    },
    Peer {
        name: "Telegraf",
        variable: "BENCH_TELEGRAF",
        files: &[("telegraf.conf", include_str!("../peers/telegraf.conf"))],
        arguments: &["--quiet", "--config"],
    },
];

/// After the last line that is waited for, one that comes twice has this long.
const QUIET: Duration = Duration::from_millis(500);
const LOOK_EVERY: Duration = Duration::from_millis(5);

impl Bench {
    pub(crate) fn peers(&mut self) -> anyhow::Result<()> {
        for peer in &PEERS {
            let what = format!("{} -> HTTP null sink", peer.name);
            let Some(program) = std::env::var_os(peer.variable).filter(|path| !path.is_empty()) else {
                let result = format!("left out: {} does not say where the program is", peer.variable);
                self.remarks.push(Remark { what, result });
                continue;
            };
            table::complain(&what);
            let mut rounds = Vec::new();
            for _ in 0..self.asked.rounds {
                let round = peer.round(&PathBuf::from(&program), &self.live, self.asked.peer_patience);
                rounds.push(round.with_context(|| what.clone())?);
            }
            let row = Self::row(&what, &self.live, &rounds);
            self.rows.push(row);
        }
        Ok(())
    }
}

impl Peer {
    /// From the program's start to its last line.
    fn round(&self, program: &Path, log: &Log, patience: Duration) -> anyhow::Result<Round> {
        let state = tempfile::tempdir().context("a temporary folder")?;
        for (name, text) in self.files {
            std::fs::write(state.path().join(name), text).with_context(|| (*name).to_owned())?;
        }
        let sink = Sink::start_with(None, meaning)?;
        let mut command = Command::new(program);
        command.args(self.arguments).arg(state.path().join(self.files[0].0)).current_dir(state.path());
        command.env("PEER_LOG", &log.path).env("PEER_STATE", state.path());
        command.env("PEER_PORT", sink.address().port().to_string());
        let begun = Instant::now();
        let mut running = Running::start(command.stdout(Stdio::null()))?;
        let last = wait_for_lines(&mut running, &sink, log.lines, begun, patience)?;
        // Before it is told to stop: a program that has ended tells nothing any more.
        let (cpu_seconds, peak_rss_bytes) = (running.cpu_seconds_with_children()?, running.peak_rss_bytes()?);
        running.end()?;
        check(&sink.tally(), log)?;
        Ok(Round {
            wall_seconds: last.duration_since(begun).as_secs_f64(),
            cpu_seconds,
            system_seconds: None,
            peak_rss_bytes,
        })
    }
}

/// Waits until as many lines have come and no more are coming; when the last one came.
fn wait_for_lines(
    running: &mut Running,
    sink: &Sink,
    lines: u64,
    begun: Instant,
    patience: Duration,
) -> anyhow::Result<Instant> {
    loop {
        let tally = sink.tally();
        let last = tally.last.unwrap_or(begun);
        let still = last.elapsed();
        if tally.lines >= lines && still > QUIET {
            return Ok(last);
        }
        if let Some(status) = running.ended()? {
            bail!("it ended with {status} when {} of {lines} lines had come", tally.lines);
        }
        ensure!(
            tally.lines >= lines || still < patience,
            "the log has {lines} lines, {} came, and no more for {patience:?}",
            tally.lines
        );
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Every request of the log, once.
fn check(tally: &Tally, log: &Log) -> anyhow::Result<()> {
    ensure!(tally.lines == log.lines, "the log has {} lines, and {} came", log.lines, tally.lines);
    let text = std::fs::read_to_string(&log.path).context("the log")?;
    let mut sum = 0_u64;
    for line in text.lines() {
        sum = sum.wrapping_add(hash(of_log(line).with_context(|| format!("a line of the bench: {line}"))?));
    }
    ensure!(sum == tally.sum, "as many lines came as the log has, but they are not the same requests");
    Ok(())
}

/// What a request says, whatever the order of tags and fields: second, customer, path, status, latency in microseconds, success.
type Said<'a> = (i64, &'a str, &'a str, u16, u64, bool);

fn hash(said: Said<'_>) -> u64 {
    xxh3_64(format!("{said:?}").as_bytes())
}

/// The hash of a line of line protocol by what it says; of one that does not say all of it, of the line itself.
fn meaning(line: &[u8]) -> u64 {
    std::str::from_utf8(line).ok().and_then(of_line_protocol).map_or_else(|| xxh3_64(line), hash)
}

/// Right for the bench's own requests only, which have nothing to be escaped.
fn of_line_protocol(line: &str) -> Option<Said<'_>> {
    let mut parts = line.trim_end().split(' ');
    let (tags, fields, nanos) = (parts.next()?, parts.next()?, parts.next()?);
    let tags = tags.strip_prefix("api_requests,")?;
    let value = |of: &'static str, pairs: &'_ str| -> Option<(usize, usize)> {
        let mut at = 0;
        for pair in pairs.split(',') {
            if let Some(value) = pair.strip_prefix(of).and_then(|rest| rest.strip_prefix('=')) {
                return Some((at + pair.len() - value.len(), at + pair.len()));
            }
            at += pair.len() + 1;
        }
        None
    };
    let tag = |name| value(name, tags).map(|(from, to)| &tags[from..to]);
    let field = |name| value(name, fields).map(|(from, to)| &fields[from..to]);
    let nanos: i64 = nanos.parse().ok()?;
    let path = field("request_path")?.strip_prefix('"')?.strip_suffix('"')?;
    let status = field("status_code")?.strip_suffix('i')?.parse().ok()?;
    let seconds: f64 = field("duration")?.parse().ok()?;
    let success = match tag("success")? {
        "1" => true,
        "0" => false,
        _ => return None,
    };
    let extra = parts.next();
    extra.is_none().then_some(())?;
    Some((nanos.div_euclid(1_000_000_000), tag("customer_id")?, path, status, micros(seconds), success))
}

fn of_log(line: &str) -> Option<Said<'_>> {
    let fields: Vec<&str> = line.split(' ').collect();
    let [date, clock, customer, path, status, duration] = fields[..] else { return None };
    let time = NaiveDateTime::parse_from_str(&format!("{date} {clock}"), "%Y-%m-%d %H:%M:%S").ok()?;
    let status: u16 = status.parse().ok()?;
    let second = time.and_utc().timestamp();
    Some((second, customer, path, status, micros(duration.parse().ok()?), (200..400).contains(&status)))
}

fn micros(seconds: f64) -> u64 {
    (seconds * 1e6).round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = "2024-09-14 16:15:35 cust_5 /api/v1/resource4 200 1.000";

    #[test]
    fn a_request_says_the_same_in_any_order_and_another_one_does_not() {
        let said = of_log(LINE).map(hash).expect("a line of the bench");
        for same in [
            "api_requests,customer_id=cust_5,success=1 duration=1.000,request_path=\"/api/v1/resource4\",status_code=200i 1726330535000000000",
            "api_requests,success=1,customer_id=cust_5 status_code=200i,request_path=\"/api/v1/resource4\",duration=1 1726330535999999999",
            "api_requests,_seq=7,customer_id=cust_5,success=1 request_path=\"/api/v1/resource4\",duration=1.0,status_code=200i 1726330535000000007\n",
        ] {
            assert_eq!(meaning(same.as_bytes()), said, "{same}");
        }
        for other in [
            "api_requests,customer_id=cust_6,success=1 duration=1.000,request_path=\"/api/v1/resource4\",status_code=200i 1726330535000000000",
            "api_requests,customer_id=cust_5,success=0 duration=1.000,request_path=\"/api/v1/resource4\",status_code=200i 1726330535000000000",
            "api_requests,customer_id=cust_5,success=1 duration=1.001,request_path=\"/api/v1/resource4\",status_code=200i 1726330535000000000",
            "api_requests,customer_id=cust_5,success=1 duration=1i,request_path=\"/api/v1/resource4\",status_code=200i 1726330535000000000",
            "api_requests,customer_id=cust_5,success=1 duration=1.000,request_path=\"/api/v1/resource4\",status_code=200 1726330535000000000",
            "api_requests,customer_id=cust_5,success=1 duration=1.000,request_path=\"/api/v1/resource4\",status_code=200i 1726330536000000000",
            "api_requests,customer_id=cust_5 duration=1.000,request_path=\"/api/v1/resource4\",status_code=200i 1726330535000000000",
            "",
        ] {
            assert_ne!(meaning(other.as_bytes()), said, "{other}");
        }
    }
}
