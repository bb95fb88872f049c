//! The run: history, then live lines at the pace, into the log, until all are written or a stop is asked for.

use crate::append::LogFile;
use crate::pace::{Next, Pace};
use crate::progress::Progress;
use crate::settings::Settings;
use crate::traffic::{History, Traffic};
use anyhow::Context as _;
use logline::{LogTime, Record, render_line};
use service::Stop;
use std::time::{Duration, Instant};

/// Lines are handed to the system in pieces of about that size: large enough that a write costs nothing per line, small
/// enough that a stop is seen at once.
const WRITE_BYTES: usize = 128 * 1024;

/// What a run has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) lines: u64,
    pub(crate) bytes: u64,
    pub(crate) rotations: u64,
    pub(crate) elapsed: Duration,
}

impl std::fmt::Display for Summary {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { lines, bytes, rotations, elapsed } = self;
        let seconds = elapsed.as_secs_f64();
        let rate = *lines as f64 / seconds.max(1e-9);
        write!(
            formatter,
            "wrote {lines} lines ({bytes} bytes, {rotations} rotations) in {seconds:.1} s, {rate:.0} lines/s,"
        )
    }
}

/// The log with the lines that wait to be written together.
struct Writer<'a> {
    log: LogFile,
    path: String,
    lines: Vec<u8>,
    lines_count: u64,
    summary: Summary,
    progress: &'a Progress,
}

/// Runs to the end. `clock` tells the present second.
pub(crate) async fn run(
    settings: &Settings,
    clock: impl Fn() -> i64,
    stop: &Stop,
    progress: &Progress,
) -> anyhow::Result<Summary> {
    let begun = Instant::now();
    let path = settings.log.display().to_string();
    let log = LogFile::open(&settings.log, settings.rotate_bytes)
        .with_context(|| format!("the log {path} cannot be opened"))?;
    let mut writer = Writer {
        log,
        path,
        lines: Vec::with_capacity(WRITE_BYTES + 1024),
        lines_count: 0,
        summary: Summary::default(),
        progress,
    };
    let start = settings.start.unwrap_or_else(&clock);
    let mut traffic = Traffic::new(settings.profile, settings.seed, start);
    write_history(settings, start, &mut traffic, &mut writer, stop)?;
    let history_lines = writer.summary.lines;
    let pace = Pace { most: settings.pace.most.saturating_sub(history_lines), ..settings.pace };
    // The second of the n-th live line: the clock's, or by the pace from the given start on.
    let second_of = |line: u64| match settings.start {
        Some(start) => start.saturating_add_unsigned(pace.time_of(line).as_secs()).min(LogTime::SECOND_MAX),
        None => clock(),
    };
    let live = Instant::now();
    while !stop.is_stopped() {
        let elapsed = live.elapsed();
        let written = writer.summary.lines - history_lines;
        match pace.next(elapsed, written) {
            Next::Write(due) => write_live(due, written, &pace, second_of, &mut traffic, &mut writer)?,
            Next::WaitUntil(at) => {
                stop.or(tokio::time::sleep(at - elapsed)).await;
            }
            Next::Done => break,
        }
    }
    Ok(Summary { elapsed: begun.elapsed(), rotations: writer.log.rotations(), ..writer.summary })
}

/// History belongs before everything else, so only an empty log gets one: a generator that is started again goes on live.
fn write_history(
    settings: &Settings,
    start: i64,
    traffic: &mut Traffic,
    writer: &mut Writer<'_>,
    stop: &Stop,
) -> anyhow::Result<()> {
    let days = settings.backfill_days;
    if days == 0 {
        return Ok(());
    }
    if !writer.log.is_empty().with_context(|| format!("the log {} cannot be read", writer.path))? {
        tracing::info!(path = writer.path, "the log has lines already: no history is put behind them");
        return Ok(());
    }
    let history = History::new(settings.seed, start, days, settings.pace.most);
    tracing::debug!(days, lines = history.lines(), "writing history");
    for second in history {
        writer.push(&traffic.request_at(second));
        if writer.is_full() {
            writer.write()?;
            if stop.is_stopped() {
                break;
            }
        }
    }
    writer.write()
}

/// Writes lines that are due, as many as go into one write.
fn write_live(
    due: u64,
    written: u64,
    pace: &Pace,
    second_of: impl Fn(u64) -> i64,
    traffic: &mut Traffic,
    writer: &mut Writer<'_>,
) -> anyhow::Result<()> {
    let end = written.saturating_add(due);
    let mut line = written;
    while line < end && !writer.is_full() {
        // All lines of a batch have one time.
        let second = second_of(line);
        let batch_end = (line - line % pace.batch).saturating_add(pace.batch).min(end);
        while line < batch_end && !writer.is_full() {
            writer.push(&traffic.request(second));
            line += 1;
        }
    }
    writer.write()
}

impl Writer<'_> {
    fn push(&mut self, request: &Record<'_>) {
        render_line(request, &mut self.lines);
        self.lines_count += 1;
    }

    fn is_full(&self) -> bool {
        self.lines.len() >= WRITE_BYTES
    }

    fn write(&mut self) -> anyhow::Result<()> {
        self.log.append(&self.lines).with_context(|| format!("the log {} cannot be written", self.path))?;
        self.summary.lines += self.lines_count;
        self.summary.bytes += self.lines.len() as u64;
        self.lines.clear();
        self.lines_count = 0;
        self.progress.set(self.summary.lines);
        Ok(())
    }
}
