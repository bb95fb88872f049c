//! A run of the processor from its settings to its exit code, and its renewal by SIGHUP. How lines travel is in `pipeline`.

use std::pin::pin;
use std::process::ExitCode;

use chrono::Utc;
use service::Stop;
use store::RequestStore;
use store::embedded::{EmbeddedRequests, Ledger, LedgerOptions};
use store::influx::InfluxRequests;
use tokio::signal::unix::{SignalKind, signal};

use crate::checkup::Checkup;
use crate::commands::{OWNED, UNSETTLED, USAGE, ledger_unusable};
use crate::ownership::Refused;
use crate::pipeline::{self, Outcome};
use crate::settings::{Settings, StoreChoice};
use crate::tail::Mode;

/// Follows the logs, or drains them. `again` reads the settings again when SIGHUP asks for it, and says by itself what is wrong with them.
pub fn run(settings: Settings, mode: Mode, again: impl Fn() -> Option<Settings>) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "cannot start");
            return ExitCode::from(UNSETTLED);
        }
    };
    let code = runtime.block_on(run_and_renew(settings, mode, again));
    // What still hangs in a blocking call (a file system that does not answer) must not keep the program.
    runtime.shutdown_background();
    ExitCode::from(code)
}

/// One run after the other, each with the settings of its time. A run that SIGHUP ends is stopped like any other: what is in flight settles, the next run goes on from the ledger.
async fn run_and_renew(mut settings: Settings, mode: Mode, again: impl Fn() -> Option<Settings>) -> u8 {
    let signals = Stop::on_signal(UNSETTLED).and_then(|stop| Ok((stop, signal(SignalKind::hangup())?)));
    let (stop, mut hangup) = match signals {
        Ok(signals) => signals,
        Err(error) => {
            tracing::error!(%error, "signals cannot be received");
            return UNSETTLED;
        }
    };
    loop {
        let this_run = stop.child();
        let mut renewed = None;
        let mut run = pin!(run_store(settings.clone(), this_run.clone(), mode));
        let code = loop {
            tokio::select! {
                code = &mut run => break code,
                Some(()) = hangup.recv(), if mode == Mode::Follow && renewed.is_none() => match again() {
                    Some(settings) => {
                        tracing::info!("SIGHUP: going on with the settings as they are now");
                        renewed = Some(settings);
                        this_run.stop();
                    }
                    None => tracing::error!("SIGHUP: the settings cannot be used, going on with those of before"),
                },
            }
        };
        match renewed.filter(|_| !stop.is_stopped()) {
            Some(renewed) => settings = renewed,
            None => return code,
        }
    }
}

pub(crate) async fn run_store(settings: Settings, stop: Stop, mode: Mode) -> u8 {
    match settings.store.clone() {
        StoreChoice::Embedded => run_with(settings, EmbeddedRequests, stop, mode).await,
        StoreChoice::Influx(config) => match InfluxRequests::new(*config) {
            Ok(store) => run_with(settings, store, stop, mode).await,
            Err(error) => {
                tracing::error!(%error, "INFLUXDB_URL cannot be used");
                USAGE
            }
        },
    }
}

async fn run_with<S: RequestStore>(settings: Settings, store: S, stop: Stop, mode: Mode) -> u8 {
    let ledger = match Ledger::open(&settings.state_dir, ledger_options(&settings), Utc::now().timestamp()) {
        Ok(ledger) => ledger,
        Err(error) => return ledger_unusable(&error),
    };
    let checkup = match Checkup::begin(settings.state_dir.clone()).await {
        Ok(checkup) => checkup,
        Err(error) => {
            tracing::error!(%error, "the ledger cannot be used");
            return UNSETTLED;
        }
    };
    tracing::info!(store = store.describe(), ledger = ledger.id(), state_dir = %settings.state_dir.display(), "started");
    raise_file_limit();
    match pipeline::run(settings, ledger, checkup, store, stop, mode).await {
        Ok(outcome) => conclude(&outcome, mode),
        Err(refused) => {
            tracing::error!(error = %refused, "refused");
            if matches!(refused, Refused::Owned { .. }) { OWNED } else { UNSETTLED }
        }
    }
}

pub(crate) fn ledger_options(settings: &Settings) -> LedgerOptions {
    let embedded = matches!(settings.store, StoreChoice::Embedded);
    LedgerOptions {
        retention: settings.retention,
        raw_requests_max: if embedded { settings.raw_requests_max } else { 0 },
        raw_requests_age: settings
            .raw_requests_age
            .unwrap_or(std::time::Duration::from_secs(u64::from(u32::MAX))),
        publishes_cells: !embedded && !settings.write_only,
    }
}

/// Every followed file is kept open; the usual limit of 1,024 is for programs that hold few. The hard limit is the machine's.
fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "the limit of open files cannot be raised: ulimit -n tells how many logs can be followed");
    }
}

/// The last words of a run.
fn conclude(outcome: &Outcome, mode: Mode) -> u8 {
    let status = &outcome.status;
    for (path, place, bytes) in &outcome.drained.unfinished {
        tracing::warn!(file = %path.display(), offset = place, bytes, "an unfinished last line was left; it is taken once it is whole, or now with --final");
    }
    for why in &outcome.drained.unreadable {
        tracing::error!(why, "not everything could be read");
    }
    for path in &outcome.drained.missing {
        tracing::error!(file = %path.display(), "no such file: nothing was read from it");
    }
    tracing::info!(
        lines_read = status.lines_read,
        lines_stored = status.lines_stored,
        lines_rejected = status.lines_rejected,
        lines_in_flight = status.lines_in_flight,
        lag_bytes = status.lag_bytes,
        "{}",
        if mode != Mode::Follow && outcome.drained.complete { "drained" } else { "stopped" }
    );
    if mode != Mode::Follow && !outcome.drained.complete {
        return UNSETTLED; // What was not read is read by the next run.
    }
    if outcome.exit_code == 0 && !outcome.drained.missing.is_empty() { USAGE } else { outcome.exit_code }
}
