//! The sampled read-back: now and then one request that the store has acknowledged is read back. An acknowledgement is all that settles a line; a store that says 204 and
//! keeps nothing (a wrong bucket behind a proxy, a retention that drops, a sink) would lose every line unnoticed. Paced: one question in ten seconds.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use store::embedded::StoredRequest;
use store::{AcknowledgedRequest, RequestStore};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::counters::Counters;
use crate::health::{Concern, Health, Severity};
use crate::lines::Lines;

/// How often a request is read back while lines come.
const EVERY: Duration = Duration::from_secs(10);
/// How soon it is looked again after one was not there.
const AGAIN: Duration = Duration::from_secs(3);
/// A request that is that close to the retention may be gone before it is read back.
const EDGE_SECONDS: i64 = 3600;

/// Takes one acknowledged request from the workers when one is wanted: one look at a flag for each batch.
#[derive(Debug)]
pub struct ReadBack {
    wanted: AtomicBool,
    sample: Mutex<Option<AcknowledgedRequest>>,
    taken: Notify,
}

impl Default for ReadBack {
    /// The first batch is sampled.
    fn default() -> Self {
        Self { wanted: AtomicBool::new(true), sample: Mutex::default(), taken: Notify::new() }
    }
}

impl ReadBack {
    /// Whether a request is wanted.
    pub fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::Acquire)
    }

    /// Offers a request of a piece that was acknowledged. `oldest_second`: the retention's edge.
    pub fn offer(&self, piece: &Lines, request: &StoredRequest, oldest_second: i64) {
        let second = request.time_nanos.div_euclid(1_000_000_000);
        if second < oldest_second.saturating_add(EDGE_SECONDS) || !self.wanted.swap(false, Ordering::AcqRel) {
            return;
        }
        let text = |(from, length): (u32, u16)| {
            let from = from as usize;
            String::from_utf8_lossy(&piece.bytes[from..from + usize::from(length)]).into_owned()
        };
        let sample = AcknowledgedRequest {
            source: piece.generation.source.to_string(),
            time_nanos: request.time_nanos,
            customer: text(request.customer),
            path: (request.path.1 > 0).then(|| text(request.path)),
            status: request.status,
            latency_micros: (request.latency_micros != u64::MAX).then_some(request.latency_micros),
        };
        *self.sample.lock().unwrap_or_else(PoisonError::into_inner) = Some(sample);
        self.taken.notify_one();
    }

    fn want(&self) {
        self.wanted.store(true, Ordering::Release);
    }

    fn take(&self) -> Option<AcknowledgedRequest> {
        self.sample.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Reads requests back until the program stops.
pub async fn run<S: RequestStore>(
    readback: &ReadBack,
    store: &S,
    health: &Health,
    counters: &Counters,
    over: CancellationToken,
) {
    let mut missing: Option<AcknowledgedRequest> = None;
    loop {
        let pause = match &missing {
            None => over.run_until_cancelled(readback.taken.notified()).await,
            Some(_) => over.run_until_cancelled(tokio::time::sleep(AGAIN)).await,
        };
        if pause.is_none() {
            return;
        }
        let Some(sample) = readback.take().or_else(|| missing.clone()) else { continue };
        let Some(answer) = over.run_until_cancelled(store.reads_back(&sample)).await else { return };
        match answer {
            Ok(true) => {
                counters.readback_found.inc();
                health.clear(Concern::ReadBack);
                missing = None;
            }
            Ok(false) => {
                if missing.as_ref() != Some(&sample) {
                    counters.readback_missing.inc();
                }
                health.raise(Concern::ReadBack, Severity::NeedsAction, &words(&sample, &store.describe()));
                missing = Some(sample);
                readback.want();
                continue;
            }
            // Whoever writes next will tell it.
            Err(trouble) => tracing::debug!(%trouble, "an acknowledged request could not be read back"),
        }
        if over.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_none() {
            return;
        }
        readback.want();
    }
}

fn words(sample: &AcknowledgedRequest, store: &str) -> String {
    let second = chrono::DateTime::from_timestamp(sample.time_nanos.div_euclid(1_000_000_000), 0);
    let second = second.map_or_else(String::new, |second| second.to_rfc3339());
    format!(
        "{store} acknowledged a request of {} at {second} (source `{}`) and does not give it back as it was: check that INFLUXDB_URL and the bucket are the ones that are read, and that the bucket's retention is not shorter than RETENTION; `log-processor verify` names all that is missing",
        sample.customer.escape_debug(),
        sample.source
    )
}
