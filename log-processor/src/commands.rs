//! What the program can be asked to do, each to its exit code. Printing for the user happens here and nowhere else.

use std::io::Write as _;
use std::process::ExitCode;

use chrono::Utc;
use store::RequestStore;
use store::embedded::{
    EmbeddedRequests, GenerationRecord, GenerationState, LedgerError, LedgerView, Unpublished,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::account::Account;
use crate::publisher::WAITING_MAX;
use crate::report::{Facts, FileReport, StatisticsFacts, Status};
use crate::settings::{Settings, StoreChoice};
use crate::socket;
use crate::tail::disk::{Disk, FileId, RealDisk};
use crate::verify::{self, CannotVerify};

/// Exit code of a check that found a difference.
pub(crate) const DIFFERENCE: u8 = 1;
/// Exit code of a wrong setting, or of nothing to read.
pub(crate) const USAGE: u8 = 2;
/// Exit code of a stop with lines not settled.
pub(crate) const UNSETTLED: u8 = 3;
/// Exit code of a refusal because another processor owns the ledger or the source.
pub(crate) const OWNED: u8 = 4;

/// Prints where every line is: from the running processor, else from the ledger.
pub fn status(settings: &Settings, json: bool) -> ExitCode {
    let live = match block_on(socket::ask(&settings.state_dir)).transpose() {
        Ok(live) => live.flatten(),
        Err(error) => {
            tracing::error!(%error, "no status");
            return ExitCode::from(UNSETTLED);
        }
    };
    let status: Status = match live.map(|text| serde_json::from_str(&text)) {
        Some(Ok(status)) => status,
        Some(Err(error)) => {
            tracing::error!(%error, "the running processor answers something else: is it of another version?");
            return ExitCode::from(UNSETTLED);
        }
        None => match offline_status(settings) {
            Ok(status) => status,
            Err(error) => {
                tracing::error!(%error, "the ledger cannot be read");
                return ExitCode::from(UNSETTLED);
            }
        },
    };
    if json {
        print(&format!("{}\n", serde_json::to_string(&status).expect("a status is plain data")))
    } else {
        print(&status.text())
    }
}

/// The status of a processor that does not run: what its ledger says, with the sizes that the files have now.
fn offline_status(settings: &Settings) -> Result<Status, LedgerError> {
    let store = match &settings.store {
        StoreChoice::Embedded => EmbeddedRequests.describe(),
        StoreChoice::Influx(_) => "influxdb".to_owned(),
    };
    let view = LedgerView::open(&settings.state_dir)?;
    let is_published = matches!(settings.store, StoreChoice::Influx(_)) && !settings.write_only;
    let statistics = match view.as_ref().filter(|_| is_published) {
        Some(view) => Some(statistics_at_rest(settings, view)?),
        None => None,
    };
    if view.is_none() {
        tell_no_ledger(settings);
    }
    let files = view.as_ref().map(files_at_rest).unwrap_or_default();
    let totals = view.as_ref().map(|view| view.totals().clone()).unwrap_or_default();
    let facts = Facts {
        entries: Account::new(totals).entries(),
        files,
        as_of_micros: view.as_ref().and_then(LedgerView::as_of_micros),
        now_micros: Utc::now().timestamp_micros(),
        checkpoint_micros: None,
        commit: view.as_ref().map_or(0, LedgerView::commit_number),
        statistics,
        store,
        problems: vec![],
        pid: None,
    };
    Ok(facts.status())
}

/// What of the statistics a processor that does not run has left unpublished: until the next run answers are made from the requests.
fn statistics_at_rest(settings: &Settings, view: &LedgerView) -> Result<StatisticsFacts, LedgerError> {
    let waiting_cells = Unpublished::open(&settings.state_dir)?.waiting(WAITING_MAX)?;
    let is_whole = waiting_cells == 0;
    Ok(StatisticsFacts {
        as_of_micros: view.as_of_micros().filter(|_| is_whole),
        commit: is_whole.then(|| view.commit_number()),
        waiting_cells,
    })
}

/// The files of a processor that does not run, with the sizes that they have now.
fn files_at_rest(view: &LedgerView) -> Vec<FileReport> {
    let disk = RealDisk::default();
    let open: Vec<_> = view
        .generations()
        .iter()
        .filter(|generation| generation.seen.state == GenerationState::Open)
        .collect();
    let report = |generation: &GenerationRecord| {
        let seen = &generation.seen;
        // A file that was truncated has held several generations, and is the newest one's now; the size of a compressed one is not that of its lines.
        let is_newest = |file: FileId| {
            let of_the_file = |other: &&&GenerationRecord| (other.seen.device, other.seen.inode) == file;
            open.iter().filter(of_the_file).all(|other| other.id.0 <= generation.id.0)
        };
        let is_gzip = seen.path.extension().is_some_and(|extension| extension == "gz");
        let now = disk
            .stat(&seen.path)
            .ok()
            .flatten()
            .filter(|file| !is_gzip && file.id == (seen.device, seen.inode) && is_newest(file.id));
        FileReport {
            path: seen.path.clone(),
            source: seen.source.clone(),
            size: now.map_or(generation.size_bytes, |file| file.size).max(seen.settled_offset),
            read_offset: seen.settled_offset,
            settled_offset: seen.settled_offset,
            generation: Some(generation.id),
            ..FileReport::default()
        }
    };
    open.iter().copied().map(report).collect()
}

/// Zeros are true of a ledger that is not there, but most likely the setting is wrong. Not a failure: whoever waits for a processor to begin asks before it has.
fn tell_no_ledger(settings: &Settings) {
    tracing::warn!(
        STATE_DIR = %settings.state_dir.display(),
        "there is no ledger: no processor has worked with this STATE_DIR so far; set it to the processor's own"
    );
}

/// Prints the rejected lines that are kept.
pub fn rejects(settings: &Settings, json: bool) -> ExitCode {
    let no_ledger = || {
        tell_no_ledger(settings);
        Ok(vec![])
    };
    let rejects = match LedgerView::open(&settings.state_dir)
        .and_then(|view| view.map_or_else(no_ledger, |view| view.rejects()))
    {
        Ok(rejects) => rejects,
        Err(error) => {
            tracing::error!(%error, "the ledger cannot be read");
            return ExitCode::from(UNSETTLED);
        }
    };
    let mut text = String::new();
    for reject in rejects {
        let line = String::from_utf8_lossy(&reject.line);
        let file = reject.path.display();
        let (source, offset, reason) = (&reject.source, reject.offset, reject.reason.as_str());
        if json {
            let object = serde_json::json!({
                "source": source, "file": file.to_string(), "offset": offset, "reason": reason, "detail": reject.detail, "line": line,
            });
            text += &format!("{object}\n");
        } else {
            text += &format!(
                "{file}:{offset}: {reason} ({}): {}\n",
                reject.detail,
                line.trim_end().escape_debug()
            );
        }
    }
    print(&text)
}

/// Compares the log with the store.
pub fn verify(settings: &Settings, json: bool) -> ExitCode {
    let out = Box::new(std::io::BufWriter::new(std::io::stdout()));
    match block_on(verify::verify(settings, json, out)) {
        Some(Ok(verdict)) => ExitCode::from(if verdict.differences == 0 { 0 } else { DIFFERENCE }),
        Some(Err(error)) => {
            tracing::error!(%error, "nothing was verified");
            let usage = matches!(error, CannotVerify::Store(_) | CannotVerify::NoLedger(_));
            ExitCode::from(if usage { USAGE } else { UNSETTLED })
        }
        None => ExitCode::from(UNSETTLED),
    }
}

/// Says why the ledger cannot be used.
pub(crate) fn ledger_unusable(error: &LedgerError) -> u8 {
    tracing::error!(%error, "the ledger cannot be used");
    if matches!(error, LedgerError::InUse { .. }) { OWNED } else { UNSETTLED }
}

/// Asks the running processor's /readyz.
pub fn health(settings: &Settings) -> ExitCode {
    let Some(bind) = settings.metrics_bind else {
        tracing::error!("METRICS_BIND is off: there is nothing to ask");
        return ExitCode::from(USAGE);
    };
    let mut address = bind;
    if address.ip().is_unspecified() {
        address.set_ip(if bind.is_ipv6() {
            std::net::Ipv6Addr::LOCALHOST.into()
        } else {
            std::net::Ipv4Addr::LOCALHOST.into()
        });
    }
    let asked = async {
        let mut stream = tokio::net::TcpStream::connect(address).await?;
        stream.write_all(format!("GET /readyz HTTP/1.0\r\nHost: {address}\r\n\r\n").as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.map(|_| answer)
    };
    let answer = block_on(async { tokio::time::timeout(std::time::Duration::from_secs(4), asked).await });
    match answer {
        Some(Ok(Ok(answer))) => {
            let ready = answer.split_whitespace().nth(1) == Some("200");
            let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
            print(body);
            ExitCode::from(if ready { 0 } else { DIFFERENCE })
        }
        Some(Ok(Err(error))) => {
            tracing::error!(%address, %error, "no processor answers");
            ExitCode::from(DIFFERENCE)
        }
        _ => {
            tracing::error!(%address, "no answer in time");
            ExitCode::from(DIFFERENCE)
        }
    }
}

fn block_on<F: Future>(future: F) -> Option<F::Output> {
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => Some(runtime.block_on(future)),
        Err(error) => {
            tracing::error!(%error, "cannot start");
            None
        }
    }
}

/// Prints to stdout; a reader that has gone away is no fault.
pub(crate) fn print(text: &str) -> ExitCode {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => ExitCode::FAILURE,
        _ => ExitCode::SUCCESS,
    }
}
