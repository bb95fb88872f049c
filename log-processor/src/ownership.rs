//! Ownership of a source in the store: one ledger counts a source. Claims it at the start, says so regularly, and lets it go at a clean stop.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::Utc;
use store::{Owner, RequestStore, Trouble};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::bookkeeper::Durable;
use crate::health::{Concern, Health, Severity, StoreWay};
use crate::patience::patiently;

/// An owner that has not said so for that long is gone (design section 4).
const STALE: Duration = Duration::from_secs(15);
/// How often an owner says so while nothing changes.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// How often at most, while things change.
const HEARTBEAT_PAUSE: Duration = Duration::from_secs(1);
/// How often a foreign owner is looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// Another ledger owns the source and is alive.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "source `{source_name}` is owned by ledger {ledger}, whose processor is alive: stop it first, or give this log another source"
)]
pub struct Refused {
    /// The source.
    pub source_name: String,
    /// The other ledger.
    pub ledger: String,
}

/// What the heartbeat says of whom.
#[derive(Debug)]
pub struct Heartbeat<S> {
    /// The store.
    pub store: Arc<S>,
    /// This ledger.
    pub ledger: String,
    /// What is durable.
    pub durable: watch::Receiver<Durable>,
    /// Readiness.
    pub health: Arc<Health>,
}

impl<S: RequestStore> Heartbeat<S> {
    /// Claims a source: waits for another owner to end, and refuses when it turns out to be alive. Says at once whose it is now, so that whoever starts next
    /// knows. `Ok(false)` when the program stops meanwhile.
    pub async fn claim(&self, source: &str, stop: &CancellationToken) -> Result<bool, Refused> {
        let begun = Instant::now();
        let mut first_heartbeat = None;
        loop {
            let Some(owner) = patiently(&self.health, stop, || self.store.owner(source)).await else {
                return Ok(false);
            };
            let Some(owner) = owner.filter(|owner| owner.ledger != self.ledger && !owner.released) else {
                break;
            };
            let age = Utc::now().timestamp_micros().saturating_sub(owner.heartbeat_micros);
            if age > i64::try_from(STALE.as_micros()).expect("15 s") || begun.elapsed() > STALE {
                tracing::warn!(
                    source,
                    ledger = owner.ledger,
                    "an earlier owner of the source is gone, going on in its place"
                );
                break;
            }
            let first = *first_heartbeat.get_or_insert_with(|| {
                let why = format!(
                    "source `{source}` was owned by ledger {} moments ago; waiting to see whether it is alive",
                    owner.ledger
                );
                self.health.raise(Concern::Ownership, Severity::Passing, &why);
                owner.heartbeat_micros
            });
            if owner.heartbeat_micros != first {
                return Err(Refused { source_name: source.to_owned(), ledger: owner.ledger });
            }
            if stop.run_until_cancelled(tokio::time::sleep(LOOK_AGAIN)).await.is_none() {
                return Ok(false);
            }
        }
        self.health.clear(Concern::Ownership);
        let durable = self.durable.borrow().clone();
        let said = patiently(&self.health, stop, || async {
            self.store.publish_owner(&self.owner(source, &durable, false)).await
        });
        Ok(said.await.is_some())
    }

    /// Says who owns the sources until the program stops. `sources` are those followed now.
    pub async fn run(mut self, stop: CancellationToken, sources: impl Fn() -> Vec<String>) {
        let health = Arc::clone(&self.health);
        let way = health.store_way(Concern::Presence);
        while !stop.is_cancelled() {
            let durable = self.durable.borrow_and_update().clone();
            let sources = sources();
            let mut said = Ok(());
            for source in &sources {
                match stop.run_until_cancelled(self.publish(&way, source, &durable, false)).await {
                    Some(answer) => said = said.and(answer),
                    None => return,
                }
            }
            match said {
                Ok(()) if sources.is_empty() => {}
                Ok(()) => way.works(Instant::now()),
                Err(trouble) => way.fails(Severity::Passing, &trouble.to_string()),
            }
            let pause = async {
                tokio::time::sleep(HEARTBEAT_PAUSE).await;
                // An error means that the bookkeeper has ended: then the stop is near.
                drop(
                    tokio::time::timeout(HEARTBEAT.saturating_sub(HEARTBEAT_PAUSE), self.durable.changed())
                        .await,
                );
            };
            stop.run_until_cancelled(pause).await;
        }
    }

    /// Lets the sources go after everything is settled, with the last commit's number.
    pub async fn release(&self, sources: Vec<String>) {
        let durable = self.durable.borrow().clone();
        let way = self.health.store_way(Concern::Presence);
        for source in sources {
            if let Err(trouble) = self.publish(&way, &source, &durable, true).await {
                tracing::warn!(source, %trouble, "the source was not let go: its next owner waits until this one's heartbeat is old");
                return;
            }
        }
    }

    fn owner(&self, source: &str, durable: &Durable, released: bool) -> Owner {
        Owner {
            source: source.to_owned(),
            ledger: self.ledger.clone(),
            commit: durable.commit,
            heartbeat_micros: Utc::now().timestamp_micros(),
            as_of_micros: durable.as_of_micros,
            released,
        }
    }

    async fn publish(
        &self,
        way: &StoreWay<'_>,
        source: &str,
        durable: &Durable,
        released: bool,
    ) -> Result<(), Trouble> {
        let owner = self.owner(source, durable, released);
        let _attempt = way.attempt(Instant::now());
        self.store.publish_owner(&owner).await
    }
}
