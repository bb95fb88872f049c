//! How a run gets its sources: from whoever owned them before, out of a store that is still the one that was written to; and what their statistics in it are worth. What is said
//! of them afterwards is [`crate::ownership`]'s.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use chrono::Utc;
use futures::StreamExt as _;
use store::embedded::{Ledger, LedgerView, StoreMemory};
use store::{Owner, RequestStore, Statistics, Trouble};
use tokio_util::sync::CancellationToken;

use crate::health::{Concern, Severity};
use crate::ownership::{Heartbeat, NOTHING_TO_PUBLISH, Refused, WhenWiped, wiped};
use crate::patience::patiently;
use crate::settings::Settings;
use crate::statements::not_older;

/// An owner that has not said so for that long is gone (design section 4).
const STALE: Duration = Duration::from_secs(15);
/// How often a foreign owner, and a store that has forgotten something, is looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// How often a store that has forgotten something is asked again.
const WIPED_AGAIN: Duration = Duration::from_secs(4);
/// So many sources are claimed at the same time: each takes a few questions, one after the other.
const CLAIMED_AT_ONCE: usize = 8;

/// The sources that are followed from the start on. A ledger that cannot be read is told of by who reads it next.
pub(crate) fn sources_at_start(settings: &Settings, ledger: &Ledger) -> Vec<String> {
    let seen = |source: &str| {
        let records = ledger.generations(source).unwrap_or_default();
        records.into_iter().map(|record| record.seen.path).collect()
    };
    settings.sources.paths().at_start(seen).into_iter().map(|(source, _)| source).collect()
}

/// Where generations of a source were seen.
pub(crate) fn seen_paths(view: &LedgerView, source: &str) -> Vec<PathBuf> {
    let of_source = view.generations().iter().filter(|record| record.seen.source == source);
    of_source.map(|record| record.seen.path.clone()).collect()
}

impl<S: RequestStore> Heartbeat<S> {
    /// Reaches the store and claims sources; `Ok(false)` when the program stops meanwhile.
    pub async fn claim_all(&self, sources: &[String], stop: &CancellationToken) -> Result<bool, Refused> {
        if patiently(&self.health, stop, || self.store.prepare()).await.is_none() {
            return Ok(false);
        }
        let sources = if self.store.remembers() { sources } else { &[] };
        let claims = sources.iter().map(|source| self.claim(source, stop));
        let mut claims = futures::stream::iter(claims).buffer_unordered(CLAIMED_AT_ONCE);
        while let Some(claimed) = claims.next().await {
            if !claimed? {
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
        let named = [source];
        let said = patiently(&self.health, stop, || self.say(&named, &durable, false));
        Ok(said.await.is_some())
    }

    /// Judges what the statistics of a source in the store are worth, from the last word about it. What another ledger has counted ours lacks, and would overwrite; so it is with what was stored
    /// before anybody said anything. `false` when the program stops meanwhile.
    async fn judge(&self, source: &str, last: Option<&Owner>, stop: &CancellationToken) -> bool {
        if let Some(ours) = last.filter(|last| last.ledger == self.ledger) {
            self.statements.believe(ours, self.durable.borrow().commit);
        } else {
            let statistics = match patiently(&self.health, stop, || self.store.has_requests(source)).await {
                None => return false,
                Some(true) => Statistics::NeedRebuild,
                Some(false) if self.statements.has_counted(source) => Statistics::Incomplete,
                Some(false) => NOTHING_TO_PUBLISH,
            };
            self.statements.judge(source, statistics);
        }
        if self.statements.judged(source) == Some(Statistics::NeedRebuild) && self.store.remembers() {
            tracing::warn!(
                source,
                "another ledger, or another program, has stored requests of this source: this ledger's statistics lack them and are not published, the api answers from single requests until `log-processor rebuild` has made them anew"
            );
        }
        true
    }

    /// The same of a source that was not claimed at the start, whose log was found while we run, or is not followed any more. Only its owner can have stored anything before us.
    pub async fn judge_late(&self, source: &str) -> Result<(), Trouble> {
        if self.statements.judged(source).is_none() {
            match self.store.owner(source).await? {
                Some(ours) if ours.ledger == self.ledger => {
                    self.statements.believe(&ours, self.durable.borrow().commit);
                }
                Some(_) => self.statements.judge(source, Statistics::NeedRebuild),
                None => self.statements.judge(source, NOTHING_TO_PUBLISH),
            }
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
                    if stop.run_until_cancelled(tokio::time::sleep(WIPED_AGAIN)).await.is_none() {
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
}
