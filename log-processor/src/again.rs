//! The commands that send or count again what was settled, each to its exit code: `replay` and `rebuild`. How that is done is in the rooms of these names.

use std::process::ExitCode;
use std::sync::Arc;

use chrono::Utc;
use service::Stop;
use store::Statistics;
use store::embedded::{Ledger, LedgerView};
use store::influx::InfluxRequests;
use tokio_util::sync::CancellationToken;

use crate::commands::{OWNED, UNSETTLED, USAGE, ledger_unusable, print};
use crate::ownership::Refused;
use crate::rebuild::{self, CannotRebuild, Rebuilt};
use crate::replay::{self, CannotReplay};
use crate::running::{self, ledger_options};
use crate::settings::{Settings, StoreChoice};
use crate::tail::Mode;

/// Which of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// Sends the log's files to the store again.
    Replay,
    /// And counts what the store holds: the ledger's statistics are those of all requests that are there, and are published.
    Rebuild,
}

/// Does it.
pub fn again(settings: Settings, what: Again) -> ExitCode {
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => {
            let code = runtime.block_on(with_store(&settings, what));
            runtime.shutdown_background();
            ExitCode::from(code)
        }
        Err(error) => {
            tracing::error!(%error, "cannot start");
            ExitCode::from(UNSETTLED)
        }
    }
}

async fn with_store(settings: &Settings, what: Again) -> u8 {
    let StoreChoice::Influx(config) = &settings.store else {
        tracing::error!(
            "the embedded store is the ledger itself: there is nothing to send to, and nothing else to count"
        );
        return USAGE;
    };
    if what == Again::Rebuild && settings.write_only {
        tracing::error!("INFLUXDB_WRITE_ONLY: a store that cannot be read has no statistics");
        return USAGE;
    }
    let store = match InfluxRequests::new(config.as_ref().clone()) {
        Ok(store) => Arc::new(store),
        Err(error) => {
            tracing::error!(%error, "INFLUXDB_URL cannot be used");
            return USAGE;
        }
    };
    match LedgerView::open(&settings.state_dir) {
        Ok(Some(_)) => {}
        Ok(None) => {
            tracing::error!(state_dir = %settings.state_dir.display(), "there is no ledger, so nothing was sent before: a start reads and sends everything");
            return USAGE;
        }
        Err(error) => return ledger_unusable(&error),
    }
    let stop = match Stop::on_signal(UNSETTLED) {
        Ok(stop) => stop,
        Err(error) => {
            tracing::error!(%error, "signals cannot be received");
            return UNSETTLED;
        }
    };
    match what {
        Again::Replay => send(settings, store, &stop, what).await,
        Again::Rebuild => {
            // Everything that may be in the store already must be settled, or it would be counted once more when it is.
            let drain =
                || running::run_store(settings.clone(), stop.child(), Mode::Drain { take_last: false });
            match drain().await {
                // A log that is not there (any more) has requests in the store all the same.
                0 | USAGE => {}
                code => return code,
            }
            match send(settings, store, &stop, what).await {
                // It publishes them.
                0 => drain().await,
                code => code,
            }
        }
    }
}

async fn send(settings: &Settings, store: Arc<InfluxRequests>, stop: &Stop, what: Again) -> u8 {
    let ledger = match Ledger::open(&settings.state_dir, ledger_options(settings), Utc::now().timestamp()) {
        Ok(ledger) => ledger,
        Err(error) => return ledger_unusable(&error),
    };
    let token = CancellationToken::new();
    let (stopped, follower) = (stop.child(), token.clone());
    tokio::spawn(async move {
        stopped.stopped().await;
        follower.cancel();
    });
    let mut rebuilt = Rebuilt::default();
    let then = async |ledger: &mut Ledger, sources: &[String]| -> Result<_, CannotRebuild> {
        if what == Again::Replay {
            return Ok(None);
        }
        rebuilt = rebuild::rebuild(ledger, &store, sources, Utc::now().timestamp(), &token).await?;
        // All of them are to be published from the beginning.
        Ok(Some(Statistics::Incomplete))
    };
    match replay::replay(settings, ledger, Arc::clone(&store), token.clone(), then).await {
        Ok(sent) => {
            print(&match what {
                Again::Replay => format!("replay: {sent}\n"),
                Again::Rebuild => format!("rebuild: {sent}\n{rebuilt}"),
            });
            0
        }
        Err(error) => {
            tracing::error!(%error, "not everything was done");
            let owned = matches!(error, CannotReplay::Refused(Refused::Owned { .. }));
            if owned { OWNED } else { UNSETTLED }
        }
    }
}
