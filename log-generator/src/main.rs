//! log-generator: appends synthetic API-request lines to a log at a set rate. It knows files and lines, no database (G3).

mod append;
mod pace;
mod progress;
mod run;
mod settings;
mod traffic;

use progress::Progress;
use service::Stop;
use settings::{PROGRAM, Settings};
use std::process::ExitCode;

const CODE_NOT_WRITTEN: u8 = 1;
const CODE_AT_ONCE: u8 = 3;

fn main() -> ExitCode {
    let loaded = match PROGRAM.load() {
        Ok(loaded) => loaded,
        Err(exit) => return exit.print(),
    };
    let settings = match Settings::read(&loaded) {
        Ok(settings) => settings,
        Err(exit) => return exit.print(),
    };
    let progress = Progress::new(settings.pace.most, loaded.stderr_is_terminal());
    let bar = progress.clone();
    settings.telemetry.init_around(move |write| bar.aside(write));
    loaded.log_warnings();
    match generate(&settings, &progress) {
        Ok(summary) => {
            progress.end();
            tracing::info!("{summary} to {}", settings.log.display());
            ExitCode::SUCCESS
        }
        Err(error) => {
            progress.end();
            tracing::error!("{error:#}");
            ExitCode::from(CODE_NOT_WRITTEN)
        }
    }
}

/// Runs until the end or a signal. One worker thread: it watches for signals while the main thread writes.
fn generate(settings: &Settings, progress: &Progress) -> anyhow::Result<run::Summary> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(async {
        let stop = Stop::on_signal(CODE_AT_ONCE)?;
        run::run(settings, || chrono::Utc::now().timestamp(), &stop, progress).await
    })
}
