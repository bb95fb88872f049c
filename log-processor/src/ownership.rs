//! Ownership of a source in the store: one ledger counts a source. It is claimed at the start ([`crate::claim`]); here it is said regularly, and let go at a clean stop; and the
//! store is asked each time whether it still knows what it was told before ([`crate::statements`]).

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use store::embedded::StoreMemory;
use store::{Owner, RequestStore, Statistics, Trouble};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::health::{Concern, Health, Severity, StoreWay};
use crate::publication::Published;
use crate::statements::{Statements, knows, range_of};
use crate::to_ledger::Durable;

/// How often an owner says so while nothing changes.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// How often at most, while things change.
const HEARTBEAT_PAUSE: Duration = Duration::from_secs(1);
/// How often the store is asked whether it still knows what it was told.
const CHECK_EVERY: Duration = Duration::from_secs(4);

/// Nothing is counted and nothing is stored: the statistics hold all of it. Which quarter-hours they have is said with the first of them.
pub(crate) const NOTHING_TO_PUBLISH: Statistics =
    Statistics::Published { as_of_micros: None, quarters_from_second: i64::MAX, days_from_second: 0 };

/// About so many sources it is asked each time.
const CHECKED_AT_ONCE: usize = 4;
/// Saying it takes at most this part of the time: one in this many.
const SAYING_PART: u32 = 20;
/// Statements in one request: a quarter of a kilobyte each.
const SAID_AT_ONCE: usize = 250;

/// Why nothing may be done with a source.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Another ledger owns it and is alive.
    #[error(
        "source `{source_name}` is owned by ledger {ledger}, whose processor is alive: stop it first, or give this log another source"
    )]
    Owned {
        /// The source.
        source_name: String,
        /// The other ledger.
        ledger: String,
    },
    /// The store was wiped, and this run cannot wait until somebody has decided what to do.
    #[error("{0}")]
    Wiped(String),
    /// The ledger cannot say what the store has confirmed.
    #[error("{0}")]
    Ledger(String),
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
    /// What of it is published.
    pub published: watch::Receiver<Published>,
    /// Readiness.
    pub health: Arc<Health>,
    /// What the store was told.
    pub statements: Arc<Statements>,
    /// What to do with a store that has forgotten something.
    pub when_wiped: WhenWiped,
    /// Statements before this second may be gone by the retention.
    pub oldest_second: i64,
}

/// What to do with a store that has forgotten something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenWiped {
    /// Wait until somebody has decided.
    Wait,
    /// End: nobody waits for a run that drains.
    Refuse,
    /// Go on without what is missing (`--accept-store`), or make it whole again (`replay`).
    Accept,
}

/// What a person is told of a store that has forgotten something.
pub(crate) fn wiped(source: &str) -> String {
    format!(
        "the store no longer knows what it had confirmed for source `{source}`: it was wiped, restored from an older copy, or INFLUXDB_URL or the bucket is another one, and what was settled before may be missing in it. \
         Either stop this processor and run `log-processor replay`, which sends the log's files again and counts nothing twice, or start it with --accept-store to go on without what is missing"
    )
}

impl<S: RequestStore> Heartbeat<S> {
    pub(crate) async fn still_knows(&self, source: &str, memory: StoreMemory) -> Result<bool, Trouble> {
        let Some((from, to)) = range_of(memory).filter(|_| self.store.remembers()) else { return Ok(true) };
        let statements = self.store.statements(source, from, to).await?;
        Ok(knows(memory, &self.ledger, &statements))
    }

    /// Says who owns the sources until the program stops. `sources` are those followed now.
    pub async fn run(mut self, stop: CancellationToken, sources: impl Fn() -> Vec<String>) {
        if !self.store.remembers() {
            return stop.cancelled().await; // There is nobody to be told.
        }
        let health = Arc::clone(&self.health);
        let way = health.store_way(Concern::Presence);
        let (mut checked, mut turn) = (Instant::now(), 0);
        while !stop.is_cancelled() {
            let durable = self.durable.borrow_and_update().clone();
            let sources = sources();
            if checked.elapsed() >= CHECK_EVERY || health.has(Concern::Wiped) {
                checked = Instant::now();
                // All sources are in one bucket, so a few of them at a time tell enough; all of them, that nothing is missing any more.
                let all = health.has(Concern::Wiped);
                let some = if all { sources.len() } else { CHECKED_AT_ONCE.min(sources.len()) };
                let chosen: Vec<&String> = sources.iter().cycle().skip(turn).take(some).collect();
                turn = (turn + some) % sources.len().max(1);
                stop.run_until_cancelled(self.check(&chosen)).await;
            }
            let (mut said, begun) = (Ok(()), Instant::now());
            let names: Vec<&str> = sources.iter().map(String::as_str).collect();
            for some in names.chunks(SAID_AT_ONCE).take_while(|_| !health.has(Concern::Wiped)) {
                let publish = async {
                    for source in some {
                        self.judge_late(source).await?;
                    }
                    self.publish(&way, some, &durable, false).await
                };
                match stop.run_until_cancelled(publish).await {
                    Some(answer) => said = said.and(answer),
                    None => return,
                }
            }
            match said {
                Ok(()) if sources.is_empty() || health.has(Concern::Wiped) => {}
                Ok(()) => way.works(Instant::now()),
                Err(trouble) => way.fails(Severity::Passing, &trouble.to_string()),
            }
            // Of thousands of sources it takes a while, and is said the more seldom.
            let rest = (begun.elapsed() * SAYING_PART).clamp(HEARTBEAT_PAUSE, HEARTBEAT);
            let pause = async {
                tokio::time::sleep(rest).await;
                // An error means that the bookkeeper has ended: then the stop is near.
                let news = async {
                    tokio::select! {
                        changed = self.durable.changed() => changed,
                        changed = self.published.changed() => changed,
                    }
                };
                drop(tokio::time::timeout(HEARTBEAT.saturating_sub(rest), news).await);
            };
            stop.run_until_cancelled(pause).await;
        }
    }

    /// Asks whether the store still knows what it was told in this run. Before anything is told it again: that could hide a loss.
    async fn check(&self, sources: &[&String]) {
        for source in sources {
            let memory = self.statements.confirmed(source);
            let mut known = self.still_knows(source, memory).await;
            if matches!(known, Ok(false)) {
                // Once more: a server that has just come up may not have all of its shards open.
                tokio::time::sleep(HEARTBEAT_PAUSE).await;
                known = self.still_knows(source, memory).await;
            }
            match known {
                Ok(true) => {}
                Ok(false) => {
                    return self.health.raise(Concern::Wiped, Severity::NeedsAction, &wiped(source));
                }
                // Whoever writes next will tell it.
                Err(trouble) => return tracing::debug!(%trouble, "the store cannot be asked what it knows"),
            }
        }
        self.health.clear(Concern::Wiped);
    }

    /// Lets the sources go after everything is settled, with the last commit's number.
    pub async fn release(&self, sources: Vec<String>) {
        if self.health.has(Concern::Wiped) {
            return;
        }
        let durable = self.durable.borrow().clone();
        let way = self.health.store_way(Concern::Presence);
        let names: Vec<&str> = sources.iter().map(String::as_str).collect();
        for some in names.chunks(SAID_AT_ONCE) {
            if let Err(trouble) = self.publish(&way, some, &durable, true).await {
                tracing::warn!(source = some[0], sources = sources.len(), %trouble, "not let go: the next owner waits until this one's heartbeat is old");
                return;
            }
        }
    }

    /// One statement of each source, confirmed or not.
    pub(crate) async fn say(
        &self,
        sources: &[&str],
        durable: &Durable,
        released: bool,
    ) -> Result<(), Trouble> {
        let now = Utc::now();
        let now_nanos = now.timestamp_nanos_opt().unwrap_or(i64::MAX);
        let owners: Vec<Owner> =
            sources.iter().map(|source| self.statement(source, durable, released, now)).collect();
        // Left in the middle, by a stop, they count as unclear too.
        let mut unclear = Unclear { statements: &self.statements, sources, is_unclear: true };
        self.store.publish_owners(&owners).await?;
        unclear.is_unclear = false;
        if self.store.remembers() {
            for owner in &owners {
                self.statements.with_marks(&owner.source, |marks| marks.told(owner.commit, now_nanos));
            }
        }
        Ok(())
    }

    /// What is said of a source now.
    fn statement(&self, source: &str, durable: &Durable, released: bool, now: DateTime<Utc>) -> Owner {
        let judged = self.statements.judged(source).unwrap_or(NOTHING_TO_PUBLISH);
        // Said once, it stays said: the ledger notes it more seldom than the store is told of it, and a kill comes between.
        let as_of_micros = durable.as_of_micros.max(self.statements.told_as_of(source));
        let durable = Durable { as_of_micros, ..durable.clone() };
        let now_nanos = now.timestamp_nanos_opt().unwrap_or(i64::MAX);
        Owner {
            source: source.to_owned(),
            ledger: self.ledger.clone(),
            commit: durable.commit,
            heartbeat_micros: now.timestamp_micros(),
            as_of_micros,
            released,
            statistics: self.published.borrow().statistics(judged, &durable),
            mark_nanos: self.statements.with_marks(source, |marks| marks.next(now_nanos)),
        }
    }

    async fn publish(
        &self,
        way: &StoreWay<'_>,
        sources: &[&str],
        durable: &Durable,
        released: bool,
    ) -> Result<(), Trouble> {
        let _attempt = way.attempt(Instant::now());
        self.say(sources, durable, released).await
    }
}

/// Notes that nobody knows what became of statements, unless somebody does.
struct Unclear<'a> {
    statements: &'a Statements,
    sources: &'a [&'a str],
    is_unclear: bool,
}

impl Drop for Unclear<'_> {
    fn drop(&mut self) {
        if self.is_unclear {
            for source in self.sources {
                self.statements.with_marks(source, super::statements::Marks::unclear);
            }
        }
    }
}
