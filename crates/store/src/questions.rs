//! What else the api asks of a store, in shapes that any store can answer: cells of stretches of time, a table of all customers, raw requests one by one and by
//! path. Values are exact; rounding, names and HTTP are the caller's.

use stats::{Cell, Measures, Minutes, Percentile, TimeRange, WindowKind};

use crate::{Freshness, Method};

/// Asks for one cell for each stretch between neighbouring bounds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CellsQuery {
    /// One customer, by exact id, or all customers together.
    pub customer: Option<String>,
    /// Seconds since 1970 in ascending order: `n + 1` bounds make `n` cells. A store answers exactly these stretches, or says [`crate::ReadError::NotKept`].
    pub bounds: Vec<i64>,
}

/// The cells of stretches of time.
#[derive(Clone, Debug, PartialEq)]
pub struct Cells {
    /// One for each stretch, in their order; empty where there were no requests.
    pub cells: Vec<Cell>,
    /// Whether there is any request of that customer (of anybody), in the stretches or not.
    pub known: bool,
    /// How the answer was made.
    pub method: Method,
    /// How fresh it is.
    pub freshness: Freshness,
}

/// Asks for a range as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct WholeQuery {
    /// One customer, by exact id, or all customers together.
    pub customer: Option<String>,
    /// The range. Answered exactly, or [`crate::ReadError::NotKept`].
    pub range: TimeRange,
    /// Whether its minutes are to be counted: then it is one of whole minutes that are all kept.
    pub by_minutes: bool,
}

/// A range as a whole.
#[derive(Clone, Debug, PartialEq)]
pub struct Whole {
    /// Its requests.
    pub cell: Cell,
    /// Its minutes with traffic, if they were asked for.
    pub minutes: Option<Minutes>,
    /// Whether there is any request of that customer (of anybody), in the range or not.
    pub known: bool,
    /// How the answer was made.
    pub method: Method,
    /// How fresh it is.
    pub freshness: Freshness,
}

impl WholeQuery {
    /// The same as a question for cells: one for each minute, or one for all.
    pub(crate) fn as_cells(&self) -> CellsQuery {
        let TimeRange { from_second, to_second } = self.range;
        let bounds = if self.by_minutes {
            (from_second..to_second).step_by(60).chain([to_second]).collect()
        } else {
            vec![from_second, to_second]
        };
        CellsQuery { customer: self.customer.clone(), bounds }
    }

    /// The answer to this question out of the one to [`WholeQuery::as_cells`].
    pub(crate) fn answer_of(&self, cells: &Cells) -> Whole {
        let mut cell = Cell::default();
        cells.cells.iter().for_each(|part| cell.merge(part));
        let minutes = self.by_minutes.then(|| cells.cells.iter().collect());
        let Cells { known, method, freshness, .. } = *cells;
        Whole { cell, minutes, known, method, freshness }
    }
}

/// Asks for all customers that have requests in a range.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TableQuery {
    /// The range. Answered exactly, or [`crate::ReadError::NotKept`].
    pub range: TimeRange,
    /// The percentiles to tell of each.
    pub percentiles: Vec<Percentile>,
    /// Whether those are to be counted who have no request before the range. Dear where many requests lie behind it.
    pub newcomers: bool,
}

/// All customers that have requests in a range.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// In ascending byte order of the id.
    pub rows: Vec<TableRow>,
    /// How many of them have no request before the range, of all that are kept; None unless that was asked for, and where it would cost too much (InfluxDB, more than 1,000 customers).
    pub newcomers: Option<u64>,
    /// How the answer was made.
    pub method: Method,
    /// How fresh it is.
    pub freshness: Freshness,
}

/// One customer in a range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableRow {
    /// The id.
    pub id: String,
    /// The whole second of the newest request of all, in the range or not.
    pub last_seen_second: i64,
    /// The requests in the range.
    pub measures: Measures,
}

/// Asks for raw requests of a customer, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RequestsQuery {
    /// The customer.
    pub customer: String,
    /// The range of their times.
    pub range: TimeRange,
    /// Only these.
    pub filter: RequestFilter,
    /// Only those behind this place, which an earlier page ended with.
    pub after: Option<RequestPlace>,
    /// At most that many.
    pub limit: usize,
}

/// Which requests are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct RequestFilter {
    /// Only of this status class: 1 for 1xx to 5 for 5xx.
    pub class: Option<u8>,
    /// Only of exactly this path.
    pub path: Option<String>,
    /// Only those that took at least that long.
    pub min_latency_micros: Option<u64>,
}

impl RequestFilter {
    /// Whether a request is wanted.
    pub fn takes(&self, request: &RawRow) -> bool {
        self.class.is_none_or(|class| u16::from(class) == request.status / 100)
            && self.path.as_ref().is_none_or(|path| request.path.as_ref() == Some(path))
            && self
                .min_latency_micros
                .is_none_or(|least| request.latency_micros.is_some_and(|micros| micros >= least))
    }
}

/// A place in the order of a customer's requests: newest first, and those of the same time in the order of status, latency and path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RequestPlace {
    /// The time of the last one given.
    pub time_nanos: i64,
    /// How many of that time were given.
    pub given: u32,
}

/// A page of raw requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestsPage {
    /// Newest first.
    pub requests: Vec<RawRow>,
    /// Where the next page begins, if there may be one.
    pub next: Option<RequestPlace>,
    /// What of the range is kept one by one.
    pub covered: TimeRange,
    /// Whether there is any request of that customer, in the range or not.
    pub known: bool,
    /// How fresh it is.
    pub freshness: Freshness,
}

/// One request. The order is that of a page, backwards.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RawRow {
    /// The time under which it is kept: its second, and below that its place in the log.
    pub time_nanos: i64,
    /// HTTP status.
    pub status: u16,
    /// Latency in microseconds, if the log has one.
    pub latency_micros: Option<u64>,
    /// Path, if the log has one.
    pub path: Option<String>,
}

/// Asks for a customer's requests by path.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PathsQuery {
    /// The customer.
    pub customer: String,
    /// The range.
    pub range: TimeRange,
    /// The percentiles to tell of each path.
    pub percentiles: Vec<Percentile>,
}

/// A customer's requests by path, as far as they are kept one by one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    /// By path, in ascending byte order; requests without a path come first.
    pub paths: Vec<(Option<String>, Measures)>,
    /// Those of paths beyond [`PATHS_MAX`] different ones, together.
    pub other: Measures,
    /// What of the range was counted.
    pub covered: TimeRange,
    /// Whether there is any request of that customer, in the range or not.
    pub known: bool,
    /// How fresh it is.
    pub freshness: Freshness,
}

/// So many different paths are told apart in an answer. Fewer would hide real ones; each takes a histogram in memory.
pub const PATHS_MAX: usize = 10_000;
/// So many raw requests are looked at for an answer by path, the newest first: about a second's work.
pub const PATH_REQUESTS_MAX: usize = 1_000_000;

/// Requests counted by path, up to a number of paths.
#[derive(Debug, Default)]
pub(crate) struct PathCells {
    by_path: std::collections::HashMap<Option<String>, Cell>,
    other: Cell,
}

impl PathCells {
    pub(crate) fn count(&mut self, path: Option<&str>, status: u16, latency_micros: Option<u64>) {
        // Looked up before it is owned: most paths are there already.
        let key = path.map(str::to_owned);
        let room = self.by_path.len() < PATHS_MAX;
        let cell = match self.by_path.get_mut(&key) {
            Some(cell) => cell,
            None if room => self.by_path.entry(key).or_default(),
            None => &mut self.other,
        };
        cell.observe(status, latency_micros);
    }

    /// Paths in order, and the others together.
    pub(crate) fn measures(
        mut self,
        percentiles: &[Percentile],
    ) -> (Vec<(Option<String>, Measures)>, Measures) {
        let measures = |cell: &mut Cell| {
            cell.settle();
            cell.measures(percentiles)
        };
        let mut paths: Vec<_> =
            self.by_path.iter_mut().map(|(path, cell)| (path.clone(), measures(cell))).collect();
        paths.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        (paths, measures(&mut self.other))
    }
}

/// The stretch that holds a second, as an index into the cells; None outside all.
pub(crate) fn stretch_of(bounds: &[i64], second: i64) -> Option<usize> {
    let after = bounds.partition_point(|bound| *bound <= second);
    (after > 0 && after < bounds.len()).then(|| after - 1)
}

/// A page out of requests that are newest first, beginning with those at the place's own time: what was given before is left out.
#[derive(Debug)]
pub(crate) struct PageInMaking {
    after: Option<RequestPlace>,
    limit: usize,
    /// How many rows at the place's own time were seen.
    skipped: u32,
    requests: Vec<RawRow>,
    more: bool,
}

impl PageInMaking {
    pub(crate) fn new(after: Option<RequestPlace>, limit: usize) -> Self {
        Self { after, limit, skipped: 0, requests: Vec::new(), more: false }
    }

    /// Takes the next one that is wanted; false when no more are.
    pub(crate) fn push(&mut self, row: RawRow) -> bool {
        if let Some(place) = self.after
            && row.time_nanos == place.time_nanos
            && self.skipped < place.given
        {
            self.skipped += 1;
            return true;
        }
        if self.requests.len() == self.limit {
            self.more = true;
            return false;
        }
        self.requests.push(row);
        true
    }

    /// The page, and where the next one begins.
    pub(crate) fn finish(self) -> (Vec<RawRow>, Option<RequestPlace>) {
        let next = self.requests.last().filter(|_| self.more).map(|last| {
            let time_nanos = last.time_nanos;
            let here = self.requests.iter().filter(|row| row.time_nanos == time_nanos).count();
            let before =
                self.after.filter(|place| place.time_nanos == time_nanos).map_or(0, |place| place.given);
            RequestPlace { time_nanos, given: before + u32::try_from(here).unwrap_or(u32::MAX) }
        });
        (self.requests, next)
    }
}

/// The error of a bound that is not kept.
pub(crate) fn not_kept(fault: stats::NotKept) -> crate::ReadError {
    let stats::NotKept { second, kind } = fault;
    crate::ReadError::NotKept { second, kind }
}

/// A kind of window in words.
pub(crate) fn kind_in_words(kind: WindowKind) -> &'static str {
    match kind {
        WindowKind::Minute => "minutes",
        WindowKind::Quarter => "quarter-hours",
        WindowKind::Day => "days",
    }
}
