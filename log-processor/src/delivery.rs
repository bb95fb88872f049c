//! Delivery: a body of lines into the store, whatever the store answers (design section 9). The same bytes again for ever when it is away; a pause when it refuses
//! us; halves when it refuses something in the body, down to single lines. Knows no files and no ledger.

use std::ops::Range;
use std::time::{Duration, Instant};

use bytes::Bytes;
use store::{RequestStore, Trouble};
use tokio_util::sync::CancellationToken;

use crate::counters::Counters;
use crate::health::{Concern, Health, StoreWay};
use crate::mutation::{Mutation, mutated};
use crate::patience::{Wait, rest, tell};
use crate::retry::Backoff;

/// How often it is looked whether a store that has forgotten something is whole again.
const WIPED_PAUSE: Duration = Duration::from_millis(200);

/// A line that the store refuses alone.
#[derive(Debug)]
pub struct RefusedLine {
    /// Its index in the body.
    pub line: usize,
    /// The store's words.
    pub why: String,
}

/// The stop's deadline passed before the body was delivered; the log keeps its lines.
#[derive(Debug)]
pub struct GivenUp;

/// What a delivery needs from its surroundings.
#[derive(Debug)]
pub struct Delivery<'a, S> {
    /// Where to.
    pub store: &'a S,
    /// Who is told about trouble.
    pub health: &'a Health,
    /// Who counts attempts.
    pub counters: &'a Counters,
    /// Ends all patience.
    pub give_up: &'a CancellationToken,
    /// How waiting is done.
    pub wait: Wait,
}

impl<S: RequestStore> Delivery<'_, S> {
    /// Delivers a body whose line `i` ends before `line_ends[i]`. Returns the lines that were refused alone; all others are stored.
    pub async fn deliver(&self, body: Bytes, line_ends: &[usize]) -> Result<Vec<RefusedLine>, GivenUp> {
        let mut refused = Vec::new();
        if body.is_empty() {
            return Ok(refused);
        }
        // Ranges still to be delivered, the next one last, so that lines stay in their order.
        #[expect(clippy::single_range_in_vec_init, reason = "the stack begins with one range")]
        let mut waiting: Vec<Range<usize>> = vec![0..line_ends.len()];
        let mut backoff = Backoff::default();
        let way = self.health.store_way(Concern::Writing);
        while let Some(range) = waiting.pop() {
            // What would be stored now would hide that what was settled before is missing.
            while self.health.has(Concern::Wiped) {
                self.unless_given_up((self.wait)(WIPED_PAUSE)).await?;
            }
            let from = range.start.checked_sub(1).map_or(0, |before| line_ends[before]);
            let part = body.slice(from..line_ends[range.end - 1]);
            let Err(trouble) = self.attempt(&way, part).await? else {
                backoff = Backoff::default();
                continue;
            };
            match trouble {
                Trouble::TryLater { .. } | Trouble::Misconfigured { .. } => {
                    self.counters.store_retries.inc();
                    if mutated(Mutation::PastFailedBatch) {
                        continue;
                    }
                    let length = tell(&way, &mut backoff, &trouble);
                    self.unless_given_up(rest(self.health, self.wait, &trouble, length)).await?;
                    waiting.push(range);
                }
                Trouble::TooLarge { why } | Trouble::Refused { why } if range.len() == 1 => {
                    way.works(Instant::now());
                    refused.push(RefusedLine { line: range.start, why });
                }
                Trouble::Refused { why } if mutated(Mutation::RejectWithoutBisection) => {
                    refused.extend(range.map(|line| RefusedLine { line, why: why.clone() }));
                }
                Trouble::TooLarge { .. } | Trouble::Refused { .. } => {
                    self.counters.store_splits.inc();
                    let middle = range.start + range.len() / 2;
                    waiting.push(middle..range.end);
                    waiting.push(range.start..middle);
                }
            }
        }
        Ok(refused)
    }

    /// One attempt, given up only when the stop's deadline has passed. Its answer may be lost then: the lines are sent again by the next start, with the same keys.
    async fn attempt(&self, way: &StoreWay<'_>, part: Bytes) -> Result<Result<(), Trouble>, GivenUp> {
        let begun = Instant::now();
        let _attempt = way.attempt(begun);
        let answer = tokio::select! {
            answer = self.store.write(part) => answer,
            () = self.give_up.cancelled() => return Err(GivenUp),
        };
        self.counters.flush_seconds.observe(begun.elapsed().as_secs_f64());
        if answer.is_ok() {
            way.works(Instant::now());
        }
        Ok(answer)
    }

    async fn unless_given_up(&self, rest: impl Future<Output = ()>) -> Result<(), GivenUp> {
        self.give_up.run_until_cancelled(rest).await.ok_or(GivenUp)
    }
}
