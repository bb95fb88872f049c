//! What accompanies the pipeline while it works: endpoints, the probe of a silent store, the watch over the first lines, the read-back of what was acknowledged. None of them touches a line.

use std::sync::Arc;
use std::time::{Duration, Instant};

use store::RequestStore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::checkup::Checkup;
use crate::health::{Concern, Severity};
use crate::readback;
use crate::server::{self, Served};
use crate::settings::Settings;
use crate::shared::Common;
use crate::socket;
use crate::tail::Mode;

/// A store that nobody has talked to for that long is asked whether it is there.
const PROBE_AFTER: Duration = Duration::from_secs(2);
/// The first lines that must not all be rejected.
const FIRST_LINES: u64 = 1000;

/// Serves the status socket and, while logs are followed, /metrics, /livez and /readyz.
pub(crate) async fn spawn_endpoints<S: RequestStore>(
    companions: &mut JoinSet<()>,
    settings: &Settings,
    common: &Arc<Common<S>>,
    over: &CancellationToken,
    mode: Mode,
) {
    match socket::listen(&settings.state_dir) {
        Ok(listener) => {
            let shared = Arc::clone(common);
            let status = move || serde_json::to_string(&shared.status()).expect("a status is plain data");
            companions.spawn(socket::serve(listener, over.clone(), status));
        }
        Err(error) => {
            tracing::warn!(%error, dir = %settings.state_dir.display(), "no status socket: `status` reads the ledger instead")
        }
    }
    let Some(bind) = settings.metrics_bind.filter(|_| mode == Mode::Follow) else { return };
    let listener = match tokio::net::TcpListener::bind(bind).await {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(METRICS_BIND = %bind, %error, "no endpoints: set METRICS_BIND to a free address, or to off");
            return;
        }
    };
    match listener.local_addr() {
        Ok(address) => tracing::info!(%address, "serving /metrics, /livez, /readyz"),
        Err(error) => tracing::warn!(%error, "serving endpoints"),
    }
    let (status, lost) = (Arc::clone(common), Arc::clone(common));
    let served = Served {
        status: Box::new(move || status.status()),
        lost: Box::new(move || {
            let settled = lost.account.entries().settled;
            settled.lost_bytes.into_iter().map(|((source, reason), bytes)| (source, reason, bytes)).collect()
        }),
        counters: Arc::clone(&common.counters),
    };
    let over = over.clone();
    companions.spawn(async move {
        let serve = axum::serve(listener, server::router(Arc::new(served)))
            .with_graceful_shutdown(over.cancelled_owned());
        if let Err(error) = serve.await {
            tracing::error!(%error, "endpoints ended");
        }
    });
}

/// Asks a store that nobody has talked to for a while whether it is there, so that readiness is told without traffic too.
pub(crate) async fn probe<S: RequestStore>(common: Arc<Common<S>>, over: CancellationToken) {
    let way = common.health.store_way(Concern::Presence);
    while over.run_until_cancelled(tokio::time::sleep(PROBE_AFTER)).await.is_some() {
        let lately = common.health.last_store_success().is_some_and(|last| last.elapsed() < PROBE_AFTER);
        // What it has said itself only it can take back.
        if lately && !way.is_failing() {
            continue;
        }
        let _attempt = way.attempt(Instant::now());
        match over.run_until_cancelled(common.store.prepare()).await {
            Some(Ok(())) => way.works(Instant::now()),
            Some(Err(trouble)) => way.fails(Severity::Passing, &trouble.to_string()),
            None => return,
        }
    }
}

/// What came of the look at the ledger.
#[derive(Clone, Debug, Default)]
pub(crate) struct Watched {
    /// There is damage: we are stopping.
    pub(crate) damaged: CancellationToken,
    /// Everything was looked at.
    pub(crate) over: CancellationToken,
}

/// A ledger that turns out to be damaged stops the program.
pub(crate) fn watch_checkup<S: RequestStore>(
    checkup: &Checkup,
    common: Arc<Common<S>>,
    watched: Watched,
    over: CancellationToken,
    stop: CancellationToken,
) -> impl Future<Output = ()> + use<S> {
    let damage = checkup.damage();
    async move {
        if let Some(Some(error)) = over.run_until_cancelled(damage).await {
            common.health.raise(Concern::Damage, Severity::NeedsAction, &error.to_string());
            watched.damaged.cancel();
            stop.cancel();
        }
        watched.over.cancel();
    }
}

/// Reads an acknowledged request back now and then, where the store can be asked.
pub(crate) async fn read_back<S: RequestStore>(common: Arc<Common<S>>, over: CancellationToken) {
    if common.store.remembers() {
        readback::run(&common.readback, &*common.store, &common.health, &common.counters, over).await;
    }
}

/// When the first lines are all rejected, the log has another format than expected: somebody must be told.
pub(crate) async fn watch_first_lines<S: RequestStore>(common: Arc<Common<S>>, over: CancellationToken) {
    while over.run_until_cancelled(tokio::time::sleep(Duration::from_millis(500))).await.is_some() {
        let entries = common.account.entries();
        if entries.settled.lines_stored > 0 {
            common.health.clear(Concern::Input);
            return;
        }
        if entries.rejected_this_run >= FIRST_LINES {
            let example = entries.example.unwrap_or_default();
            let why = format!(
                "the first {FIRST_LINES} lines were all rejected, for instance {example}; expected lines such as `2024-09-14 16:15:35 cust_5 /api/v1/resource4 200 0.772`"
            );
            common.health.raise(Concern::Input, Severity::NeedsAction, &why);
        }
    }
}
