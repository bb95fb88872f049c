//! api: answers with per-customer statistics over HTTP. The answers are made in the library; here it starts and stops.

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::sync::Arc;

use api::settings::{self, Settings, StoreChoice, Task};
use api::{AppState, Clock, Options, Probe, Served, ServerLimits, app, serve};
use service::{Exit, Inputs, Stop};
use store::embedded::EmbeddedStats;
use store::influx::InfluxStats;
use tokio::net::TcpListener;

/// Stopped while answers were still under way.
const EXIT_CUT: u8 = 3;

fn main() -> ExitCode {
    match settings::read(Inputs::of_process()) {
        Ok(Task::Serve(settings)) => run(*settings),
        Ok(Task::Health(probe)) => health(&probe),
        Ok(Task::Print(exit)) => exit.print(),
        Err(exit) => exit.print(),
    }
}

fn run(settings: Settings) -> ExitCode {
    settings.telemetry.init();
    for warning in &settings.warnings {
        tracing::warn!("{warning}");
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Exit::usage(format!("api: its threads cannot be started: {error}\n")).print(),
    };
    let served = runtime.block_on(until_stopped(settings));
    // A store may still be at work on an answer that nobody waits for any more.
    runtime.shutdown_background();
    match served {
        Ok(Served::Completely) => ExitCode::SUCCESS,
        Ok(Served::Cut(_)) => ExitCode::from(EXIT_CUT),
        Err(exit) => exit.print(),
    }
}

async fn until_stopped(settings: Settings) -> Result<Served, Exit> {
    let cannot = |what: &str, error: &dyn std::fmt::Display| Exit::usage(format!("api: {what}: {error}\n"));
    let stop = Stop::on_signal(EXIT_CUT).map_err(|error| cannot("signals cannot be waited for", &error))?;
    let options = Options { retention: settings.retention, ..Options::default() };
    let state = match settings.store {
        StoreChoice::Embedded { state_dir } => AppState::guarded(
            EmbeddedStats::new(&state_dir),
            system_clock(),
            options,
            stop.clone(),
            settings.access,
        ),
        StoreChoice::Influx(config) => {
            let store =
                InfluxStats::new(&config).map_err(|error| cannot("the settings of InfluxDB", &error))?;
            AppState::guarded(store, system_clock(), options, stop.clone(), settings.access)
        }
    };
    let state = state.beside(&settings.state_dir);
    let listener = TcpListener::bind(settings.bind)
        .await
        .map_err(|error| cannot(&format!("API_BIND={} cannot be listened on", settings.bind), &error))?;
    let address = listener.local_addr().map_err(|error| cannot("its own address is unknown", &error))?;
    tracing::info!(%address, store = state.store(), version = env!("CARGO_PKG_VERSION"), "listening");
    // For whoever started it with port 0. A reader that has gone away is no fault.
    drop(writeln!(io::stdout(), "listening on http://{address}"));
    state.make_tables_beforehand();
    let served = serve(listener, app(state), stop, ServerLimits::default()).await;
    tracing::info!("stopped");
    Ok(served)
}

fn health(probe: &Probe) -> ExitCode {
    match probe.ask() {
        Ok(()) => ExitCode::SUCCESS,
        Err(wrong) => Exit { code: 1, err: format!("{wrong}\n"), ..Exit::default() }.print(),
    }
}

fn system_clock() -> Clock {
    Arc::new(|| chrono::Utc::now().timestamp_micros())
}
