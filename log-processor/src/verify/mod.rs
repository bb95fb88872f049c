//! `log-processor verify`: every request that the log says should be there, against every request that is there. Looks only: it takes no lock, and a processor may run.
//!
//! What is expected is made from the files by the very code of the workers (`reading`), up to the byte that the ledger says is settled. Memory is bounded whatever the size of
//! the log: a first pass counts lines by time (`plan`), and the comparison goes window by window, reading again only the stretches that have lines in it (`lines`).

mod cells;
mod compare;
pub(crate) mod files;
mod kept;
pub(crate) mod lines;
mod plan;
mod report;
mod source;

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use logline::Reason;
use store::embedded::{GenerationId, LedgerError, LedgerView, RawExtent};
use store::influx::{ConfigError, InfluxRequests};
use store::{RequestStore, Trouble};

use crate::claim::seen_paths;
use crate::reading::TimeLimits;
use crate::settings::{Settings, StoreChoice};
use crate::tail::identity::salt_of;
use lines::LineReader;
use report::{Difference, Report};
use source::SourceCheck;

/// How long one answer of the store may take: a window is some hundred thousand points.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(600);

/// Why nothing could be judged.
#[derive(Debug, thiserror::Error)]
pub enum CannotVerify {
    /// The store cannot be asked.
    #[error("verify needs a store that can be read: {0}")]
    Store(#[from] ConfigError),
    /// There is no ledger, and the store is the ledger.
    #[error("there is no ledger in {0}: nothing was stored yet, or STATE_DIR is another one")]
    NoLedger(String),
    /// The ledger cannot be read.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The store does not answer.
    #[error("the store cannot be read: {0}")]
    Away(#[from] Trouble),
    /// A file cannot be read.
    #[error("a log cannot be read: {0}")]
    Io(#[from] io::Error),
}

/// What came of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Differences.
    pub differences: u64,
}

/// The store that is compared with.
enum Store<'a> {
    Influx(&'a InfluxRequests),
    Ledger(&'a LedgerView, RawExtent),
}

/// What all sources add up to.
#[derive(Debug, Default)]
struct Totals {
    files: u64,
    requests: u64,
    rejected: u64,
    cells: u64,
    compared: u64,
    not_judged: BTreeMap<&'static str, u64>,
}

impl Totals {
    fn leave(&mut self, what: &'static str, number: u64) {
        if number > 0 {
            *self.not_judged.entry(what).or_default() += number;
        }
    }
}

/// Compares everything and prints what differs.
pub async fn verify(
    settings: &Settings,
    json: bool,
    out: Box<dyn io::Write>,
) -> Result<Verdict, CannotVerify> {
    // The ledger first: what it says is settled was stored before, and is in the files.
    let view = LedgerView::open(&settings.state_dir)?;
    let influx = match &settings.store {
        StoreChoice::Embedded => None,
        StoreChoice::Influx(config) if settings.write_only => {
            return Err(ConfigError::WriteOnly { url: config.url.to_string() }.into());
        }
        StoreChoice::Influx(config) => {
            let mut config = config.as_ref().clone();
            config.request_timeout = ANSWER_TIMEOUT;
            Some(InfluxRequests::new(config)?)
        }
    };
    let store = match (&influx, &view) {
        (Some(influx), _) => Store::Influx(influx),
        (None, Some(view)) => Store::Ledger(view, view.raw_extent()?),
        (None, None) => return Err(CannotVerify::NoLedger(settings.state_dir.display().to_string())),
    };
    let limits = TimeLimits::at(Utc::now().timestamp(), settings.retention);
    let (refused, unknown_refused) = refused_lines(view.as_ref())?;
    let mut reader = LineReader::new(settings.zone, limits, refused);
    let mut report = Report::new(json, out);
    let mut totals = Totals::default();
    totals.leave("refused lines that are no longer listed one by one, and so look missing", unknown_refused);
    // Its cells hold requests of which it has read no line.
    let is_rebuilt = view.as_ref().is_some_and(|view| view.totals().rebuilt_requests > 0);
    let mut followed = HashSet::new();
    let logs = match &view {
        Some(view) => settings.sources.paths().at_start(|source| seen_paths(view, source)),
        None => settings.sources.paths().logs,
    };
    for (name, log) in logs {
        let journal = match &influx {
            Some(influx) => influx.generations(&name).await?,
            None => vec![],
        };
        let source: Arc<str> = name.as_str().into();
        let books = view.as_ref().map(|view| files::Books::of(view, &name));
        let found = files::find(&source, &log, books.as_ref(), &journal, salt_of(&settings.salt))?;
        followed.insert(name);
        let check = SourceCheck {
            name: &source,
            found: &found,
            view: view.as_ref(),
            store: &store,
            raw_requests_age: settings.raw_requests_age,
            oldest_second: limits.oldest,
            cells_complete: found.is_complete() && unknown_refused == 0 && !is_rebuilt,
        };
        check.run(&mut reader, &mut report, &mut totals).await?;
    }
    if let Store::Ledger(_, extent) = &store
        && extent.gaps > 0
    {
        report.tell(Difference::Gaps(extent.gaps));
    }
    let others = view.iter().flat_map(|view| view.sources()).filter(|source| !followed.contains(*source));
    totals.leave("sources of the ledger that are not followed now", others.count() as u64);
    conclude(report, &totals, &influx.map_or_else(|| "the ledger".to_owned(), |influx| influx.describe()))
}

/// The lines that the store refused alone, as far as the ledger lists them, and how many it does not list.
pub(crate) fn refused_lines(
    view: Option<&LedgerView>,
) -> Result<(HashSet<(GenerationId, u64)>, u64), LedgerError> {
    let Some(view) = view else { return Ok((HashSet::new(), 0)) };
    let rejects = view.rejects()?;
    let refused: HashSet<_> = rejects
        .iter()
        .filter(|reject| reject.reason == Reason::Refused)
        .map(|reject| (reject.generation, reject.offset))
        .collect();
    let all = view.totals().rejected.get(&Reason::Refused).copied().unwrap_or_default();
    let listed = refused.len() as u64;
    Ok((refused, all.saturating_sub(listed)))
}

/// The last words.
fn conclude(mut report: Report, totals: &Totals, store: &str) -> Result<Verdict, CannotVerify> {
    report.say_rest();
    let differences = report.differences();
    let kinds = if differences == 0 { String::new() } else { format!(" ({})", report.kinds()) };
    let cells = if totals.cells == 0 {
        String::new()
    } else {
        format!(", {} statistics cells equal the ledger's", totals.cells)
    };
    let summary = format!(
        "verify: {differences} differences{kinds}; {} files with {} requests and {} rejected lines; {} requests are in {store} as they should be{cells}",
        totals.files, totals.requests, totals.rejected, totals.compared
    );
    report.say(&summary);
    for (what, number) in &totals.not_judged {
        report.say(&format!("not judged: {number} {what}"));
    }
    if report.is_json() {
        let left: Vec<String> =
            totals.not_judged.iter().map(|(what, number)| format!("{number} {what}")).collect();
        tracing::info!(not_judged = left.join("; "), "{summary}");
    }
    report.broken()?;
    Ok(Verdict { differences })
}
