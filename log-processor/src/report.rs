//! What is told of the processor: the status in its one form, for people and for programs. Made from what others count; counts nothing itself.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use store::embedded::GenerationId;

use crate::account::Entries;
use crate::arrivals::Arrivals;
use crate::publication::Published;
use crate::tail::disk::{Disk, FileId};
use crate::tail::open::Open;
use crate::to_ledger::Durable;

/// A followed file.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq)]
pub struct FileReport {
    /// Its path.
    pub path: PathBuf,
    /// Its source.
    pub source: String,
    /// Its size in bytes.
    pub size: u64,
    /// Every byte before this place was read.
    #[serde(default)]
    pub read_offset: u64,
    /// Every line before this place is settled.
    pub settled_offset: u64,
    /// For how long the oldest byte of a line that is not settled has been there; 0 when there is none.
    #[serde(default)]
    pub lag_seconds: f64,
    /// Every whole line before this place was handed on.
    #[serde(skip)]
    pub handed_offset: u64,
    /// Its generation.
    #[serde(skip)]
    pub generation: Option<GenerationId>,
    /// Which file, if its size is that of what is read.
    #[serde(skip)]
    pub file: Option<FileId>,
}

/// The statistics in the store.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq)]
pub struct StatisticsReport {
    /// Age of the statistics: everything older than that is in them. Null before all of it was.
    pub lag_seconds: Option<f64>,
    /// Everything up to this commit of the ledger is in them. Null before all of it was.
    pub commit: Option<u64>,
    /// Windows of customers that wait for their publication, counted up to a million.
    pub waiting_cells: u64,
}

/// What is known of the statistics in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatisticsFacts {
    /// Everything that was readable at this instant is in them, microseconds since 1970.
    pub as_of_micros: Option<i64>,
    /// See [`StatisticsReport::commit`].
    pub commit: Option<u64>,
    /// See [`StatisticsReport::waiting_cells`].
    pub waiting_cells: u64,
}

impl StatisticsFacts {
    /// From what the publisher and the bookkeeper tell.
    pub fn new(published: &Published, durable: &Durable) -> Self {
        Self {
            as_of_micros: published.as_of_micros(durable),
            commit: published.through.map(|through| through.commit),
            waiting_cells: published.waiting,
        }
    }
}

/// The status.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Status {
    /// Lines read: stored, rejected and in flight, earlier runs included.
    pub lines_read: u64,
    /// Lines stored.
    pub lines_stored: u64,
    /// Lines rejected.
    pub lines_rejected: u64,
    /// Lines rejected, by reason.
    pub rejected: BTreeMap<String, u64>,
    /// Lines read and not settled.
    pub lines_in_flight: u64,
    /// Bytes of them.
    #[serde(default)]
    pub bytes_in_flight: u64,
    /// Time since the ledger last held everything that had settled; null before the first time, and without a running processor.
    #[serde(default)]
    pub checkpoint_age_seconds: Option<f64>,
    /// Bytes settled.
    pub bytes_settled: u64,
    /// Bytes of the followed files that are not settled.
    pub lag_bytes: u64,
    /// Age of the data: everything older than that was settled. Null before the first look has settled.
    pub lag_seconds: Option<f64>,
    /// Bytes proven unreadable, by reason.
    pub lost_bytes: BTreeMap<String, u64>,
    /// Bytes skipped on purpose (START_AT).
    pub skipped_bytes: u64,
    /// Stored lines whose time was ahead of the clock by more than 5 minutes.
    pub future_time: u64,
    /// Stored lines whose local time occurred twice or never.
    pub ambiguous_time: u64,
    /// What the store has of the statistics, where they are published into it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statistics: Option<StatisticsReport>,
    /// Where requests are kept.
    pub store: String,
    /// Whether the processor does its work.
    pub ready: bool,
    /// What keeps it from that.
    pub problems: Vec<String>,
    /// The process, while one runs.
    pub pid: Option<u32>,
    /// Number of the ledger's last commit.
    pub commit: u64,
    /// The followed files.
    pub files: Vec<FileReport>,
}

/// What a status is made from.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The account of lines.
    pub entries: Entries,
    /// The files.
    pub files: Vec<FileReport>,
    /// Instant at which everything readable was settled, microseconds since 1970.
    pub as_of_micros: Option<i64>,
    /// Now, microseconds since 1970.
    pub now_micros: i64,
    /// When the ledger last held everything that had settled, microseconds since 1970.
    pub checkpoint_micros: Option<i64>,
    /// See [`Status::commit`].
    pub commit: u64,
    /// See [`Status::statistics`].
    pub statistics: Option<StatisticsFacts>,
    /// See [`Status::store`].
    pub store: String,
    /// See [`Status::problems`].
    pub problems: Vec<String>,
    /// See [`Status::pid`].
    pub pid: Option<u32>,
}

impl Facts {
    /// The status.
    pub fn status(self) -> Status {
        let settled = &self.entries.settled;
        let mut lost_bytes = BTreeMap::new();
        for ((_, reason), bytes) in &settled.lost_bytes {
            *lost_bytes.entry(reason.clone()).or_default() += bytes;
        }
        Status {
            lines_read: self.entries.lines_read,
            lines_stored: settled.lines_stored,
            lines_rejected: settled.rejected.values().sum(),
            rejected: settled
                .rejected
                .iter()
                .map(|(reason, lines)| (reason.as_str().to_owned(), *lines))
                .collect(),
            lines_in_flight: self.entries.lines_in_flight(),
            bytes_in_flight: self
                .files
                .iter()
                .map(|file| file.handed_offset.saturating_sub(file.settled_offset))
                .sum(),
            checkpoint_age_seconds: self
                .checkpoint_micros
                .map(|checkpoint| seconds_between(checkpoint, self.now_micros)),
            bytes_settled: settled.bytes_settled,
            lag_bytes: self.files.iter().map(|file| file.size.saturating_sub(file.settled_offset)).sum(),
            lag_seconds: self.as_of_micros.map(|as_of| seconds_between(as_of, self.now_micros)),
            lost_bytes,
            skipped_bytes: settled.skipped_bytes.values().sum(),
            future_time: settled.future_time,
            ambiguous_time: settled.ambiguous_time,
            statistics: self.statistics.map(|facts| StatisticsReport {
                lag_seconds: facts.as_of_micros.map(|as_of| seconds_between(as_of, self.now_micros)),
                commit: facts.commit,
                waiting_cells: facts.waiting_cells,
            }),
            store: self.store,
            ready: self.problems.is_empty() && self.pid.is_some(),
            problems: self.problems,
            pid: self.pid,
            commit: self.commit,
            files: self.files,
        }
    }
}

impl Status {
    /// The status for a person.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let state = match (self.pid, self.ready) {
            (Some(pid), true) => format!("running (pid {pid}), ready"),
            (Some(pid), false) => format!("running (pid {pid}), not ready: {}", self.problems.join("; ")),
            (None, _) => "not running".to_owned(),
        };
        let lag = self.lag_seconds.map_or_else(|| "unknown".to_owned(), |seconds| format!("{seconds:.1} s"));
        let mut line = |label: &str, value: String| {
            writeln!(text, "{label:<12} {value}").expect("a String takes everything")
        };
        line("state", state);
        line("store", self.store.clone());
        line(
            "lines",
            format!(
                "{} read = {} stored + {} rejected + {} in flight",
                self.lines_read, self.lines_stored, self.lines_rejected, self.lines_in_flight
            ),
        );
        for (reason, lines) in &self.rejected {
            line("  rejected", format!("{lines} {reason}"));
        }
        for (reason, bytes) in &self.lost_bytes {
            line("  lost", format!("{bytes} bytes {reason}"));
        }
        line("lag", format!("{} bytes, {lag}", self.lag_bytes));
        if let Some(StatisticsReport { lag_seconds, waiting_cells, .. }) = self.statistics {
            let lag = lag_seconds.map_or_else(|| "unknown".to_owned(), |seconds| format!("{seconds:.1} s"));
            line("statistics", format!("lag {lag}, {waiting_cells} waiting"));
        }
        for file in &self.files {
            line(
                "file",
                format!(
                    "{} (source {}): {} of {} bytes settled",
                    file.path.display(),
                    file.source,
                    file.settled_offset,
                    file.size
                ),
            );
        }
        text
    }
}

/// Of so many files the size is asked for when somebody wants to know; of more, tail's last look has to do.
const STAT_MAX: usize = 1000;

/// What tail tells of the files of each log.
#[derive(Debug, Default)]
pub struct FileReports(Mutex<Followed>);

#[derive(Debug, Default)]
struct Followed {
    logs: Vec<Vec<FileReport>>,
    arrivals: HashMap<GenerationId, Arrivals>,
}

impl FileReports {
    /// Tells of the files of one log, as they were at `now_micros`.
    pub fn set(&self, log: usize, files: Vec<FileReport>, now_micros: i64) {
        let mut followed = self.lock();
        let Followed { logs, arrivals } = &mut *followed;
        if logs.len() <= log {
            logs.resize_with(log + 1, Vec::new);
        }
        let gone = |old: &&FileReport| files.iter().all(|file| file.generation != old.generation);
        for id in logs[log].iter().filter(gone).filter_map(|old| old.generation) {
            arrivals.remove(&id);
        }
        for (id, size) in files.iter().filter_map(|file| Some((file.generation?, file.size))) {
            arrivals.entry(id).or_default().saw(size, now_micros);
        }
        logs[log] = files;
    }

    /// Whether just these generations of a log, open as they are, were told already.
    pub fn tells(&self, log: usize, open: &[Open]) -> bool {
        let followed = self.lock();
        let told = followed.logs.get(log).map_or(&[][..], Vec::as_slice);
        !open.is_empty()
            && told.len() == open.len()
            && told.iter().zip(open).all(|(told, open)| {
                told.generation == Some(open.generation.id)
                    && told.read_offset == open.splitter.read_offset()
                    && told.handed_offset == open.handed
                    && told.size == open.size()
                    && told.path == open.path
                    && told.file == open.file_id()
            })
    }

    /// All files with their sizes and lags at this instant: tail may be waiting for the store, and its last look long ago. `settled` is how far each generation is settled.
    pub fn all_now(
        &self,
        disk: &dyn Disk,
        settled: &HashMap<GenerationId, u64>,
        now_micros: i64,
    ) -> Vec<FileReport> {
        let mut files: Vec<FileReport> = self.lock().logs.iter().flatten().cloned().collect();
        for file in files.iter_mut().filter(|file| file.file.is_some()).take(STAT_MAX) {
            if let Ok(Some(stat)) = disk.stat(&file.path)
                && Some(stat.id) == file.file
            {
                file.size = file.size.max(stat.size);
            }
        }
        let arrivals = &mut self.lock().arrivals;
        for file in &mut files {
            let Some(id) = file.generation else { continue };
            file.settled_offset = settled.get(&id).copied().unwrap_or(file.settled_offset);
            // One that has been let go since is not kept again.
            let Some(arrivals) = arrivals.get_mut(&id) else { continue };
            arrivals.saw(file.size, now_micros);
            // Of a file that was read to its end only whole lines are waited for.
            let unfinished_only = file.read_offset >= file.size && file.settled_offset >= file.handed_offset;
            let since = arrivals.waiting_since(file.settled_offset).filter(|_| !unfinished_only);
            file.lag_seconds = since.map_or(0.0, |since| seconds_between(since, now_micros));
        }
        files
    }

    /// The sources, each once.
    pub fn sources(&self) -> Vec<String> {
        let followed = self.lock();
        let mut sources: Vec<String> =
            followed.logs.iter().filter_map(|files| files.first()).map(|file| file.source.clone()).collect();
        sources.sort();
        sources.dedup();
        sources
    }

    fn lock(&self) -> MutexGuard<'_, Followed> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Seconds from one instant to a later one, with three decimals; never negative.
fn seconds_between(from_micros: i64, to_micros: i64) -> f64 {
    let millis = to_micros.saturating_sub(from_micros).max(0) / 1000;
    f64::from(u32::try_from(millis).unwrap_or(u32::MAX)) / 1000.0
}
