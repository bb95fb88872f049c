//! The whole bench: which rows there are, their rounds, their floors, what is printed.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail, ensure};
use chrono::Utc;
use serde_json::json;

use crate::asked::{Asked, asked};
use crate::input::{self, Log, Order};
use crate::measure::{Measured, instructions, measured, ourselves};
use crate::program::{self, Store};
use crate::rows::Stage;
use crate::sink::Sink;
use crate::sizes::{self, Size};
use crate::table::{self, Remark, Row, median};

/// Everything that the rows share.
pub(crate) struct Bench {
    pub(crate) asked: Asked,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) live: Log,
    pub(crate) rows: Vec<Row>,
    pub(crate) remarks: Vec<Remark>,
    pub(crate) sizes: Vec<Size>,
}

/// Runs what the command line asks for.
///
/// # Errors
/// A row failed, or has not got the lines that it should have.
pub fn run() -> anyhow::Result<()> {
    let asked = asked()?;
    let folder =
        tempfile::Builder::new().prefix("tailgauge-bench-").tempdir().context("a temporary folder")?;
    table::complain(&format!("making a log of {} lines", asked.lines));
    let live = input::make(&folder.path().join("live.log"), asked.lines, 50, Order::Live, Utc::now())?;
    let mut bench = Bench { asked, folder, live, rows: Vec::new(), remarks: Vec::new(), sizes: Vec::new() };
    for rows in bench.asked.rows.clone() {
        match rows.as_str() {
            "stages" => bench.stages()?,
            "sink" => bench.sink()?,
            "embedded" => bench.embedded()?,
            "influx" => bench.influx()?,
            "answers" => bench.answers()?,
            "live" => bench.live()?,
            "sizes" => bench.sizes()?,
            "disk" => bench.disk()?,
            "peers" => bench.peers()?,
            other => bail!("there are no rows {other}"),
        }
    }
    if !bench.rows.is_empty() {
        table::print(&table::render(&bench.rows));
    }
    if !bench.remarks.is_empty() {
        table::print(&table::render_remarks(&bench.remarks));
    }
    if !bench.sizes.is_empty() {
        table::print(&sizes::render(&bench.sizes));
    }
    if let Some(path) = &bench.asked.json {
        let json = json!({ "lines": bench.live.lines, "rounds": bench.asked.rounds, "rows": bench.rows, "others": bench.remarks, "sizes": bench.sizes });
        std::fs::write(path, format!("{json:#}\n")).with_context(|| path.display().to_string())?;
    }
    Ok(())
}

/// Figures of one round.
pub(crate) struct Round {
    pub(crate) wall_seconds: f64,
    pub(crate) cpu_seconds: f64,
    pub(crate) system_seconds: Option<f64>,
    pub(crate) peak_rss_bytes: u64,
}

impl Round {
    pub(crate) fn of(measured: &Measured) -> Self {
        Self {
            wall_seconds: measured.wall_seconds,
            cpu_seconds: measured.cpu_seconds,
            system_seconds: Some(measured.system_seconds),
            peak_rss_bytes: measured.peak_rss_bytes,
        }
    }
}

impl Bench {
    /// A row from its rounds.
    pub(crate) fn row(what: &str, log: &Log, rounds: &[Round]) -> Row {
        let middle =
            |value: &dyn Fn(&Round) -> f64| median(rounds.iter().map(value).collect()).unwrap_or(f64::NAN);
        let lines = log.lines as f64;
        let wall = middle(&|round| round.wall_seconds);
        Row {
            what: what.to_owned(),
            lines: log.lines,
            lines_per_second: lines / wall,
            mb_per_second: log.bytes as f64 / 1e6 / wall,
            lines_per_cpu_second: lines / middle(&|round| round.cpu_seconds),
            kernel_part: rounds
                .iter()
                .all(|round| round.system_seconds.is_some())
                .then(|| middle(&|round| round.system_seconds.unwrap_or(0.0) / round.cpu_seconds)),
            peak_rss_mb: Some(middle(&|round| round.peak_rss_bytes as f64 / 1e6)),
            ..Row::default()
        }
    }

    /// Puts a row's floor beside it.
    fn beside(&self, row: &mut Row, floor: &str) {
        let found = self.rows.iter().find(|row| row.what == floor);
        row.of_floor =
            found.map(|found| (floor.to_owned(), row.lines_per_cpu_second / found.lines_per_cpu_second));
    }

    fn stages(&mut self) -> anyhow::Result<()> {
        self.count_lines()?;
        let mut made = None;
        for (name, what, floor) in [
            ("prototype-plain", "prototype, plain", None),
            ("prototype-fast", "prototype, fast", Some("prototype, plain")),
            ("split", "read + split", Some("wc -l")),
            ("parse", "read + split + parse", Some("prototype, fast")),
            ("encode", "read + split + parse + line protocol", Some("prototype, fast")),
        ] {
            table::complain(what);
            let (rounds, sum) = self.stage_rounds(name)?;
            if let (Some(made), Some(sum)) = (made, sum) {
                ensure!(made == sum, "{what} makes other lines than the prototype");
            }
            made = made.or(sum);
            let mut row = Self::row(what, &self.live, &rounds);
            if let Some(floor) = floor {
                self.beside(&mut row, floor);
            }
            row.allocations_per_line = self.stage_allocations(name)?;
            row.instructions_per_line = self.stage_instructions(name)?;
            self.rows.push(row);
        }
        Ok(())
    }

    /// `wc -l`: the floor of everything that looks at each byte.
    fn count_lines(&mut self) -> anyhow::Result<()> {
        let mut rounds = Vec::new();
        for _ in 0..self.asked.rounds {
            let mut command = Command::new("wc");
            command.arg("-l").arg(&self.live.path);
            let done = measured(&command)?;
            let counted: Option<u64> = done.out.split(' ').next().and_then(|number| number.parse().ok());
            ensure!(
                counted == Some(self.live.lines),
                "wc -l counts {counted:?} of {} lines",
                self.live.lines
            );
            rounds.push(Round::of(&done));
        }
        let row = Self::row("wc -l", &self.live, &rounds);
        self.rows.push(row);
        Ok(())
    }

    fn stage_rounds(&self, name: &str) -> anyhow::Result<(Vec<Round>, Option<u64>)> {
        let mut rounds = Vec::new();
        let mut sum = None;
        for _ in 0..self.asked.rounds {
            let (stage, peak_rss_bytes) = stage(&ourselves(&["row", name])?, &self.live.path, &[])?;
            ensure!(
                stage.lines == self.live.lines,
                "{name} has {} of {} lines",
                stage.lines,
                self.live.lines
            );
            sum = stage.sum;
            let Stage { wall_seconds, cpu_seconds, .. } = stage;
            rounds.push(Round { wall_seconds, cpu_seconds, system_seconds: None, peak_rss_bytes });
        }
        Ok((rounds, sum))
    }

    fn stage_allocations(&self, name: &str) -> anyhow::Result<Option<f64>> {
        let Some(mut counted) = counted()? else { return Ok(None) };
        counted.args(["row", name]);
        let (stage, _) = stage(&counted, &self.live.path, &[])?;
        Ok(stage.allocations.map(|allocations| allocations as f64 / stage.lines as f64))
    }

    /// Instructions for each line: what more lines cost more, so that the start is in no figure.
    fn stage_instructions(&self, name: &str) -> anyhow::Result<Option<f64>> {
        let once = match name {
            "encode" => "encode-once",
            "prototype-fast" => "prototype-fast-once",
            "prototype-plain" => return Ok(None),
            other => other,
        };
        self.slope(|log| {
            let mut command = ourselves(&["row", once])?;
            command.arg(&log.path);
            Ok(command)
        })
    }

    fn slope(&self, command: impl Fn(&Log) -> anyhow::Result<Command>) -> anyhow::Result<Option<f64>> {
        if !self.asked.callgrind {
            return Ok(None);
        }
        let mut counts = Vec::new();
        for lines in [20_000, 120_000] {
            let path = self.folder.path().join(format!("slope-{lines}.log"));
            let log = input::make(&path, lines, 50, Order::Live, Utc::now())?;
            match instructions(&command(&log)?)? {
                Some(count) => counts.push(count as f64),
                None => return Ok(None),
            }
        }
        Ok(Some((counts[1] - counts[0]) / 100_000.0))
    }

    fn sink(&mut self) -> anyhow::Result<()> {
        table::complain("bare loader into the sink");
        let mut rounds = Vec::new();
        for _ in 0..self.asked.rounds {
            let sink = Sink::start(None)?;
            let url = format!("http://{}/api/v2/write?bucket=b", sink.address());
            let (stage, peak_rss_bytes) =
                stage(&ourselves(&["row", "load"])?, &self.live.path, &[&url, "t"])?;
            let came = sink.tally().lines;
            ensure!(
                stage.lines == self.live.lines && came == self.live.lines,
                "the loader sent {} lines, {came} came",
                stage.lines
            );
            let Stage { wall_seconds, cpu_seconds, .. } = stage;
            rounds.push(Round { wall_seconds, cpu_seconds, system_seconds: None, peak_rss_bytes });
        }
        let row = Self::row("bare loader -> HTTP null sink", &self.live, &rounds);
        self.rows.push(row);

        table::complain("file -> HTTP null sink");
        let mut rounds = Vec::new();
        for _ in 0..self.asked.rounds {
            rounds.push(Round::of(&program::into_sink(&self.live, self.asked.fault)?.0));
        }
        let mut row = Self::row("file -> HTTP null sink, every guarantee on", &self.live, &rounds);
        self.beside(&mut row, "bare loader -> HTTP null sink");
        if let Some(mut counted) = counted()? {
            let sink = Sink::start(None)?;
            let state = tempfile::tempdir()?;
            counted.arg("processor");
            program::configure(&mut counted, &self.live.path, state.path(), &program::store_of(&sink));
            row.allocations_per_line = allocations_of(&measured(&counted)?, self.live.lines);
        }
        let states = self.folder.path().join("states");
        row.instructions_per_line = self.slope(|log| {
            let state = states.join(format!("sink-{}", log.lines));
            std::fs::create_dir_all(&state)?;
            program::drain(&log.path, &state, &program::store_of(Box::leak(Box::new(Sink::start(None)?))))
        })?;
        self.rows.push(row);
        Ok(())
    }

    fn embedded(&mut self) -> anyhow::Result<()> {
        for (keyed, what) in
            [("rowid", "SQLite alone, a row each"), ("keyed", "SQLite alone, a row each, index by customer")]
        {
            table::complain(what);
            let mut rounds = Vec::new();
            for _ in 0..self.asked.rounds {
                let (stage, peak_rss_bytes) =
                    stage(&ourselves(&["row", "sqlite"])?, &self.live.path, &[keyed])?;
                ensure!(
                    stage.lines == self.live.lines,
                    "SQLite has {} of {} rows",
                    stage.lines,
                    self.live.lines
                );
                let Stage { wall_seconds, cpu_seconds, .. } = stage;
                rounds.push(Round { wall_seconds, cpu_seconds, system_seconds: None, peak_rss_bytes });
            }
            let row = Self::row(what, &self.live, &rounds);
            self.rows.push(row);
        }
        let shuffled = input::make(
            &self.folder.path().join("shuffled.log"),
            self.asked.lines.min(1_000_000),
            50,
            Order::Shuffled,
            Utc::now(),
        )?;
        let live = self.live.clone();
        for (what, log, raw_requests, floor) in [
            ("file -> embedded, cells only, in order", &live, 0, None),
            ("file -> embedded, cells only, shuffled over 30 days", &shuffled, 0, None),
            (
                "file -> embedded, with raw requests",
                &live,
                u64::MAX,
                Some("SQLite alone, a row each, index by customer"),
            ),
            ("file -> embedded, with raw requests, as many dropped", &live, live.lines / 20, None),
        ] {
            table::complain(what);
            let mut rounds = Vec::new();
            for _ in 0..self.asked.rounds {
                rounds.push(Round::of(&program::embedded(log, raw_requests.min(log.lines))?));
            }
            let mut row = Self::row(what, log, &rounds);
            if let Some(floor) = floor {
                self.beside(&mut row, floor);
            }
            if let Some(mut counted) = counted()? {
                let state = tempfile::tempdir()?;
                counted.arg("processor");
                program::configure(
                    &mut counted,
                    &log.path,
                    state.path(),
                    &Store::Embedded { raw_requests: raw_requests.min(log.lines) },
                );
                row.allocations_per_line = allocations_of(&measured(&counted)?, log.lines);
            }
            self.rows.push(row);
        }
        Ok(())
    }
}

/// Runs a stage; returns its figures and its peak memory.
pub(crate) fn stage(command: &Command, log: &Path, more: &[&str]) -> anyhow::Result<(Stage, u64)> {
    let mut command_with_log = Command::new(command.get_program());
    command_with_log.args(command.get_args()).arg(log).args(more);
    let done = measured(&command_with_log)?;
    ensure!(done.code == 0, "{}", done.err);
    Ok((serde_json::from_str(done.out.trim()).context("a stage's figures")?, done.peak_rss_bytes))
}

/// The program that counts allocations, if it was built.
fn counted() -> anyhow::Result<Option<Command>> {
    let path = std::env::current_exe().context("where this program is")?.with_file_name("bench-counted");
    Ok(path.is_file().then(|| Command::new(path)))
}

fn allocations_of(done: &Measured, lines: u64) -> Option<f64> {
    let number = done.out.lines().find_map(|line| line.strip_prefix("allocations "))?;
    Some(number.parse::<f64>().ok()? / lines as f64)
}
