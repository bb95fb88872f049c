//! Ownership of a source in the store: one ledger counts a source. Claims it at the start, says so regularly, and lets it go at a clean stop; and asks each time whether the
//! store still knows what it was told before ([`crate::statements`]).

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::Utc;
use store::embedded::StoreMemory;
use store::{Owner, RequestStore, Statistics, Trouble};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::health::{Concern, Health, Severity, StoreWay};
use crate::patience::patiently;
use crate::publication::Published;
use crate::settings::Settings;
use crate::statements::{Statements, knows, not_older, range_of};
use crate::to_ledger::Durable;

/// An owner that has not said so for that long is gone (design section 4).
const STALE: Duration = Duration::from_secs(15);
/// How often an owner says so while nothing changes.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// How often at most, while things change.
const HEARTBEAT_PAUSE: Duration = Duration::from_secs(1);
/// How often a foreign owner, and a store that has forgotten something, is looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// How often the store is asked whether it still knows what it was told.
const CHECK_EVERY: Duration = Duration::from_secs(4);

/// Nothing is counted and nothing is stored: the statistics hold all of it. Which quarter-hours they have is said with the first of them.
const NOTHING_TO_PUBLISH: Statistics =
    Statistics::Published { as_of_micros: None, quarters_from_second: i64::MAX, days_from_second: 0 };

/// About so many sources it is asked each time.
const CHECKED_AT_ONCE: usize = 4;

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
fn wiped(source: &str) -> String {
    format!(
        "the store no longer knows what it had confirmed for source `{source}`: it was wiped, restored from an older copy, or INFLUXDB_URL or the bucket is another one, and what was settled before may be missing in it. \
         Either stop this processor and run `log-processor replay`, which sends the log's files again and counts nothing twice, or start it with --accept-store to go on without what is missing"
    )
}

impl<S: RequestStore> Heartbeat<S> {
    /// Reaches the store and claims every source that is followed now; `Ok(false)` when the program stops meanwhile.
    pub async fn claim_all(&self, settings: &Settings, stop: &CancellationToken) -> Result<bool, Refused> {
        if patiently(&self.health, stop, || self.store.prepare()).await.is_none() {
            return Ok(false);
        }
        let sources = if self.store.remembers() { settings.sources.paths().logs } else { vec![] };
        for (source, _) in sources {
            if !self.claim(&source, stop).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Claims a source: waits for another owner to end, and refuses when it turns out to be alive. Then makes sure that the store is the one that was written to before, and says at once whose
    /// the source is now, so that whoever starts next knows. `Ok(false)` when the program stops meanwhile.
    pub async fn claim(&self, source: &str, stop: &CancellationToken) -> Result<bool, Refused> {
        let begun = Instant::now();
        let mut first_heartbeat = None;
        let last = loop {
            let Some(owner) = patiently(&self.health, stop, || self.store.owner(source)).await else {
                return Ok(false);
            };
            if let Some(owner) = &owner {
                self.statements.go_behind(source, owner.mark_nanos);
            }
            let last = owner.clone();
            let Some(owner) = owner.filter(|owner| owner.ledger != self.ledger && !owner.released) else {
                break last;
            };
            let age = Utc::now().timestamp_micros().saturating_sub(owner.heartbeat_micros);
            if age > i64::try_from(STALE.as_micros()).expect("15 s") || begun.elapsed() > STALE {
                tracing::warn!(
                    source,
                    ledger = owner.ledger,
                    "an earlier owner of the source is gone, going on in its place"
                );
                break last;
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
                return Err(Refused::Owned { source_name: source.to_owned(), ledger: owner.ledger });
            }
            if stop.run_until_cancelled(tokio::time::sleep(LOOK_AGAIN)).await.is_none() {
                return Ok(false);
            }
        };
        self.health.clear(Concern::Ownership);
        if !self.judge(source, last.as_ref(), stop).await {
            return Ok(false);
        }
        if !self.is_the_same_store(source, stop).await? {
            return Ok(false);
        }
        let durable = self.durable.borrow().clone();
        let said = patiently(&self.health, stop, || self.say(source, &durable, false));
        Ok(said.await.is_some())
    }

    /// Judges what the statistics of a source in the store are worth, from the last word about it. What another ledger has counted ours lacks, and would overwrite; so it is with what was stored
    /// before anybody said anything. `false` when the program stops meanwhile.
    async fn judge(&self, source: &str, last: Option<&Owner>, stop: &CancellationToken) -> bool {
        let statistics = match last {
            Some(last) if last.ledger == self.ledger => last.statistics,
            _ => match patiently(&self.health, stop, || self.store.has_requests(source)).await {
                None => return false,
                Some(true) => Statistics::NeedRebuild,
                Some(false) if self.statements.has_counted(source) => Statistics::Incomplete,
                Some(false) => NOTHING_TO_PUBLISH,
            },
        };
        if statistics == Statistics::NeedRebuild && self.store.remembers() {
            tracing::warn!(
                source,
                "another ledger, or another program, has stored requests of this source: this ledger's statistics lack them and are not published, the api answers from single requests"
            );
        }
        self.statements.judge(source, statistics);
        true
    }

    /// The same of a source that was not claimed at the start, whose log was found while we run, or is not followed any more. Only its owner can have stored anything before us.
    pub async fn judge_late(&self, source: &str) -> Result<(), Trouble> {
        if self.statements.judged(source).is_none() {
            let statistics = match self.store.owner(source).await? {
                Some(last) if last.ledger == self.ledger => last.statistics,
                Some(_) => Statistics::NeedRebuild,
                None => NOTHING_TO_PUBLISH,
            };
            self.statements.judge(source, statistics);
        }
        Ok(())
    }

    /// Makes sure that the store knows what it had confirmed before this run began; `Ok(false)` when the program stops meanwhile.
    async fn is_the_same_store(&self, source: &str, stop: &CancellationToken) -> Result<bool, Refused> {
        let expected = self.statements.expected(source, self.oldest_second);
        loop {
            let known = patiently(&self.health, stop, || async {
                Ok(self.still_knows(source, expected).await?
                    || self.still_knows(source, self.within_what_is_kept(expected).await?).await?)
            });
            let Some(known) = known.await else { return Ok(false) };
            if known {
                self.health.clear(Concern::Wiped);
                return Ok(true);
            }
            match self.when_wiped {
                WhenWiped::Accept => {
                    tracing::warn!(source, "the store has forgotten what it had confirmed; accepted");
                    if self.statements.judged(source) != Some(Statistics::NeedRebuild) {
                        self.statements.judge(source, Statistics::Incomplete);
                    }
                    return Ok(self.register_again(source, stop).await);
                }
                WhenWiped::Refuse => return Err(Refused::Wiped(wiped(source))),
                WhenWiped::Wait => {
                    self.health.raise(Concern::Wiped, Severity::NeedsAction, &wiped(source));
                    if stop.run_until_cancelled(tokio::time::sleep(CHECK_EVERY)).await.is_none() {
                        return Ok(false);
                    }
                }
            }
        }
    }

    /// Tells a store that has forgotten them which generations there are, so that a processor that loses its ledger finds them again.
    async fn register_again(&self, source: &str, stop: &CancellationToken) -> bool {
        for generation in self.statements.generations(source) {
            let registered = patiently(&self.health, stop, || self.store.register_generation(&generation));
            if registered.await.is_none() {
                return false;
            }
        }
        true
    }

    /// What the store should still know after a long stop, if the bucket keeps its points for a shorter time than RETENTION says.
    async fn within_what_is_kept(&self, memory: StoreMemory) -> Result<StoreMemory, Trouble> {
        let Some(kept) = self.store.keeps_for().await? else { return Ok(memory) };
        Ok(not_older(memory, Utc::now().timestamp().saturating_sub(kept.as_secs().cast_signed())))
    }

    async fn still_knows(&self, source: &str, memory: StoreMemory) -> Result<bool, Trouble> {
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
            let mut said = Ok(());
            for source in sources.iter().filter(|_| !health.has(Concern::Wiped)) {
                let publish = async {
                    self.judge_late(source).await?;
                    self.publish(&way, source, &durable, false).await
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
            let pause = async {
                tokio::time::sleep(HEARTBEAT_PAUSE).await;
                // An error means that the bookkeeper has ended: then the stop is near.
                let news = async {
                    tokio::select! {
                        changed = self.durable.changed() => changed,
                        changed = self.published.changed() => changed,
                    }
                };
                drop(tokio::time::timeout(HEARTBEAT.saturating_sub(HEARTBEAT_PAUSE), news).await);
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
        for source in sources {
            if let Err(trouble) = self.publish(&way, &source, &durable, true).await {
                tracing::warn!(source, %trouble, "the source was not let go: its next owner waits until this one's heartbeat is old");
                return;
            }
        }
    }

    /// One statement, confirmed or not.
    async fn say(&self, source: &str, durable: &Durable, released: bool) -> Result<(), Trouble> {
        let judged = self.statements.judged(source).unwrap_or(NOTHING_TO_PUBLISH);
        let now = Utc::now();
        let now_nanos = now.timestamp_nanos_opt().unwrap_or(i64::MAX);
        let owner = Owner {
            source: source.to_owned(),
            ledger: self.ledger.clone(),
            commit: durable.commit,
            heartbeat_micros: now.timestamp_micros(),
            as_of_micros: durable.as_of_micros,
            released,
            statistics: self.published.borrow().statistics(judged, durable),
            mark_nanos: self.statements.with_marks(source, |marks| marks.next(now_nanos)),
        };
        // Left in the middle, by a stop, it counts as unclear too.
        let mut unclear = Unclear { statements: &self.statements, source, is_unclear: true };
        self.store.publish_owner(&owner).await?;
        unclear.is_unclear = false;
        if self.store.remembers() {
            self.statements.with_marks(source, |marks| marks.told(owner.commit, now_nanos));
        }
        Ok(())
    }

    async fn publish(
        &self,
        way: &StoreWay<'_>,
        source: &str,
        durable: &Durable,
        released: bool,
    ) -> Result<(), Trouble> {
        let _attempt = way.attempt(Instant::now());
        self.say(source, durable, released).await
    }
}

/// Notes that nobody knows what became of a statement, unless somebody does.
struct Unclear<'a> {
    statements: &'a Statements,
    source: &'a str,
    is_unclear: bool,
}

impl Drop for Unclear<'_> {
    fn drop(&mut self) {
        if self.is_unclear {
            self.statements.with_marks(self.source, super::statements::Marks::unclear);
        }
    }
}
