//! What `verify` prints: differences as they are found, and the summary. Nothing is judged here.

use std::collections::BTreeMap;
use std::io::{self, Write};

use chrono::{DateTime, SecondsFormat};
use serde_json::{Value, json};
use stats::{Cell, WindowKind};

/// So many differences are printed for a person; programs (`--json`) get all.
const SHOWN: u64 = 20;

/// The fields of a request in words.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct FieldTexts {
    /// Latency in seconds.
    pub(crate) duration: Option<f64>,
    /// HTTP status.
    pub(crate) status_code: Option<f64>,
    /// Path.
    pub(crate) request_path: Option<String>,
}

/// A request that differs.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RequestDifference {
    /// How: `missing`, `changed`, `unexpected` or `same_key`.
    pub(crate) kind: &'static str,
    /// Its log's source.
    pub(crate) source: String,
    /// Customer.
    pub(crate) customer: String,
    /// The tag `success`.
    pub(crate) success: String,
    /// Time with place.
    pub(crate) time_nanos: i64,
    /// File and place of the line that makes it.
    pub(crate) line: Option<(String, u64)>,
    /// What the line says.
    pub(crate) expected: Option<FieldTexts>,
    /// What the store says.
    pub(crate) found: Option<FieldTexts>,
}

/// A cell's figures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CellFigures {
    /// Requests.
    pub(crate) requests: u64,
    /// Successes.
    pub(crate) successes: u64,
    /// Sum of the latencies.
    pub(crate) latency_sum_micros: u64,
    /// The greatest latency.
    pub(crate) latency_max_micros: u64,
}

/// A cell that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CellDifference {
    /// Its log's source.
    pub(crate) source: String,
    /// Its window's length.
    pub(crate) window: WindowKind,
    /// Its window's first second.
    pub(crate) start_second: i64,
    /// Customer; None = all together.
    pub(crate) customer: Option<String>,
    /// What the lines make.
    pub(crate) expected: CellFigures,
    /// What the ledger holds; None = nothing.
    pub(crate) found: Option<CellFigures>,
    /// The words of the damage.
    pub(crate) damage: Option<String>,
}

/// A difference.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Difference {
    /// Of a request.
    Request(RequestDifference),
    /// Of a cell.
    Cell(CellDifference),
    /// Raw requests that were taken out of the ledger, and not by itself.
    Gaps(u64),
}

/// Prints differences and counts them.
pub(crate) struct Report {
    json: bool,
    out: Box<dyn Write>,
    kinds: BTreeMap<&'static str, u64>,
    shown: u64,
    broken: Option<io::Error>,
}

impl CellFigures {
    /// Those of a cell.
    pub(crate) fn of(cell: &Cell) -> Self {
        Self {
            requests: cell.requests,
            successes: cell.successes,
            latency_sum_micros: cell.latency_sum_micros,
            latency_max_micros: cell.latency_max_micros,
        }
    }

    fn json(self) -> Value {
        json!({
            "requests": self.requests, "successes": self.successes,
            "latency_sum_us": self.latency_sum_micros, "latency_max_us": self.latency_max_micros,
        })
    }

    fn text(self) -> String {
        format!(
            "{} requests, {} successes, {} µs in all, {} µs at most",
            self.requests, self.successes, self.latency_sum_micros, self.latency_max_micros
        )
    }
}

impl Report {
    /// A report to somewhere.
    pub(crate) fn new(json: bool, out: Box<dyn Write>) -> Self {
        Self { json, out, kinds: BTreeMap::new(), shown: 0, broken: None }
    }

    /// One more difference.
    pub(crate) fn tell(&mut self, difference: Difference) {
        *self.kinds.entry(difference.kind()).or_default() += difference.count();
        if self.json {
            let object = difference.json();
            self.print(&format!("{object}\n"));
        } else if self.shown < SHOWN {
            self.shown += 1;
            self.print(&format!("{}\n", difference.text()));
        }
    }

    /// Whether it is for a program.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// How many differences there are.
    pub(crate) fn differences(&self) -> u64 {
        self.kinds.values().sum()
    }

    /// Differences by kind, in words.
    pub(crate) fn kinds(&self) -> String {
        self.kinds.iter().map(|(kind, count)| format!("{count} {kind}")).collect::<Vec<_>>().join(", ")
    }

    /// Prints a line for a person; programs get only differences.
    pub(crate) fn say(&mut self, text: &str) {
        if !self.json {
            self.print(&format!("{text}\n"));
        }
    }

    /// Says how many differences were not shown.
    pub(crate) fn say_rest(&mut self) {
        let told: u64 = self.differences();
        if !self.json && told > self.shown {
            self.print(&format!("… {} differences in all; --json prints every one\n", told));
        }
    }

    /// Prints; a reader that has gone away is no fault.
    fn print(&mut self, text: &str) {
        if let Err(error) = self.out.write_all(text.as_bytes())
            && error.kind() != io::ErrorKind::BrokenPipe
            && self.broken.is_none()
        {
            self.broken = Some(error);
        }
    }

    /// What kept the report from being printed.
    pub(crate) fn broken(mut self) -> io::Result<()> {
        match self.out.flush() {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(error),
            _ => {}
        }
        self.broken.map_or(Ok(()), Err)
    }
}

impl Difference {
    fn kind(&self) -> &'static str {
        match self {
            Difference::Request(request) => request.kind,
            Difference::Cell(_) => "cell",
            Difference::Gaps(_) => "removed",
        }
    }

    fn count(&self) -> u64 {
        if let Difference::Gaps(requests) = self { *requests } else { 1 }
    }

    fn json(&self) -> Value {
        match self {
            Difference::Request(request) => request.json(),
            Difference::Cell(cell) => cell.json(),
            Difference::Gaps(requests) => json!({ "kind": self.kind(), "requests": requests }),
        }
    }

    fn text(&self) -> String {
        match self {
            Difference::Request(request) => request.text(),
            Difference::Cell(cell) => cell.text(),
            Difference::Gaps(requests) => {
                format!("{requests} raw requests were removed from among those that the ledger keeps")
            }
        }
    }
}

impl FieldTexts {
    fn json(&self) -> Value {
        json!({ "duration": self.duration, "status": self.status_code, "path": self.request_path })
    }

    fn text(&self) -> String {
        let mut parts = vec![format!("status {}", number(self.status_code))];
        parts.push(format!("duration {}", number(self.duration)));
        parts.push(format!("path {}", self.request_path.as_deref().map_or("none".into(), shown)));
        parts.join(", ")
    }
}

fn number(value: Option<f64>) -> String {
    value.map_or_else(|| "none".to_owned(), |value| value.to_string())
}

/// A text from a log, fit for a terminal: one line, no control characters, not endless.
fn shown(text: &str) -> String {
    let short: String = text.chars().take(200).collect();
    short.escape_debug().to_string()
}

/// The second of a time.
fn second(time_nanos: i64) -> String {
    let second = DateTime::from_timestamp(time_nanos.div_euclid(1_000_000_000), 0);
    second.map_or_else(String::new, |second| second.to_rfc3339_opts(SecondsFormat::Secs, true))
}

impl RequestDifference {
    fn json(&self) -> Value {
        let (file, offset) = match &self.line {
            Some((file, offset)) => (Some(file), Some(offset)),
            None => (None, None),
        };
        json!({
            "kind": self.kind, "source": self.source, "customer": self.customer, "success": self.success,
            "second": second(self.time_nanos), "time_nanos": self.time_nanos, "file": file, "offset": offset,
            "expected": self.expected.as_ref().map(FieldTexts::json), "found": self.found.as_ref().map(FieldTexts::json),
        })
    }

    fn text(&self) -> String {
        let what = match (&self.expected, &self.found) {
            (Some(expected), None) => expected.text(),
            (None, Some(found)) => found.text(),
            (Some(expected), Some(found)) => changes(expected, found),
            (None, None) => String::new(),
        };
        let line = self.line.as_ref().map(|(file, offset)| format!(" [{file}:{offset}]")).unwrap_or_default();
        format!(
            "{} {} (source {}): {}: {what}{line}",
            second(self.time_nanos),
            shown(&self.customer),
            self.source,
            self.kind.replace('_', " ")
        )
    }
}

/// Only what differs.
fn changes(expected: &FieldTexts, found: &FieldTexts) -> String {
    let mut changes = Vec::new();
    let mut change = |name: &str, expected: String, found: String| {
        if expected != found {
            changes.push(format!("{name} should be {expected} and is {found}"));
        }
    };
    change("status", number(expected.status_code), number(found.status_code));
    change("duration", number(expected.duration), number(found.duration));
    let path = |fields: &FieldTexts| fields.request_path.as_deref().map_or("none".into(), shown);
    change("path", path(expected), path(found));
    changes.join(", ")
}

impl CellDifference {
    fn window(&self) -> &'static str {
        match self.window {
            WindowKind::Minute => "minute",
            WindowKind::Quarter => "quarter-hour",
            WindowKind::Day => "day",
        }
    }

    fn json(&self) -> Value {
        json!({
            "kind": "cell", "source": self.source, "customer": self.customer, "window": self.window(),
            "second": second(self.start_second.saturating_mul(1_000_000_000)), "expected": self.expected.json(),
            "found": self.found.map(CellFigures::json), "damage": self.damage,
        })
    }

    fn text(&self) -> String {
        let found = match (&self.found, &self.damage) {
            (_, Some(damage)) => damage.clone(),
            (Some(found), None) if *found == self.expected => {
                "the latencies are distributed otherwise".into()
            }
            (Some(found), None) => format!("the ledger has {}", found.text()),
            (None, None) => "the ledger has none".to_owned(),
        };
        format!(
            "{} {} (source {}): the {}'s statistics: expected {}; {found}",
            second(self.start_second.saturating_mul(1_000_000_000)),
            self.customer.as_deref().map_or("all customers".into(), shown),
            self.source,
            self.window(),
            self.expected.text(),
        )
    }
}
