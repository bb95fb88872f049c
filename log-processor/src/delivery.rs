//! Delivery: a body of lines into the store, whatever the store answers (design section 9). The same bytes again for ever when it is away; a pause when it refuses
//! us; halves when it refuses something in the body, down to single lines. What a 400 of nobody knows whom means is judged in `doubt`. Knows no files and no ledger.

use std::ops::Range;
use std::time::{Duration, Instant};

use bytes::Bytes;
use store::{RequestStore, Trouble};
use tokio_util::sync::CancellationToken;

use crate::counters::Counters;
use crate::doubt::{Doubt, Verdict, Witness};
use crate::health::{Concern, Health, StoreWay};
use crate::mutation::{Mutation, mutated};
use crate::patience::{Wait, rest, tell};
use crate::retry::Backoff;

/// How often it is looked whether a store that has forgotten something is whole again.
const WIPED_PAUSE: Duration = Duration::from_millis(200);
/// Between two times that a line which may be at fault is sent: a mood that lasts a little shows in the witness.
const SUSPECT_PAUSE: Duration = Duration::from_millis(500);

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
    /// A line that the store has taken, by this delivery or another one.
    pub witness: &'a Witness,
    /// Ends all patience.
    pub give_up: &'a CancellationToken,
    /// How waiting is done.
    pub wait: Wait,
}

impl<S: RequestStore> Delivery<'_, S> {
    /// Delivers a body whose line `i` ends before `line_ends[i]`. Returns the lines that were refused alone, in their order; all others are stored.
    pub async fn deliver(&self, body: Bytes, line_ends: &[usize]) -> Result<Vec<RefusedLine>, GivenUp> {
        let mut refused = Vec::new();
        if body.is_empty() {
            return Ok(refused);
        }
        let sending = Sending { body, line_ends, way: self.health.store_way(Concern::Writing) };
        // Ranges still to be delivered, the next one last, so that lines stay in their order.
        #[expect(clippy::single_range_in_vec_init, reason = "the stack begins with one range")]
        let mut waiting: Vec<Range<usize>> = vec![0..line_ends.len()];
        let mut doubt = Doubt::default();
        let mut backoff = Backoff::default();
        loop {
            let Some(range) = waiting.pop().or_else(|| doubt.next_part()) else {
                match doubt.suspect() {
                    Some(line) => {
                        refused.extend(self.suspect(&sending, line, &mut doubt, &mut backoff).await?)
                    }
                    None => break,
                }
                continue;
            };
            let Err(trouble) = self.attempt(&sending, sending.part(&range)).await? else {
                backoff = Backoff::default();
                doubt.taken();
                continue;
            };
            match trouble {
                Trouble::TryLater { .. } | Trouble::Misconfigured { .. } => {
                    if mutated(Mutation::PastFailedBatch) {
                        self.counters.store_retries.inc();
                        continue;
                    }
                    self.pause(&sending, &mut backoff, &trouble).await?;
                    waiting.push(range);
                }
                Trouble::TooLarge { why } | Trouble::Refused { why } if range.len() == 1 => {
                    sending.way.works(Instant::now());
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
                Trouble::Unexplained { .. } => {
                    self.counters.store_splits.inc();
                    let witness = self.witness.line();
                    if doubt.refused(range, witness.is_some()) {
                        self.pause(&sending, &mut backoff, &trouble).await?;
                        if self.ask(&sending, witness).await?.is_ok() {
                            doubt.taken();
                        }
                    }
                }
            }
        }
        // Suspects are found out in any order.
        refused.sort_unstable_by_key(|refused: &RefusedLine| refused.line);
        Ok(refused)
    }

    /// Sends a line that was refused alone, and then the witness. Returns it when it is the line that is refused.
    async fn suspect(
        &self,
        sending: &Sending<'_>,
        line: usize,
        doubt: &mut Doubt,
        backoff: &mut Backoff,
    ) -> Result<Option<RefusedLine>, GivenUp> {
        let trouble = match self.attempt(sending, sending.part(&(line..line + 1))).await? {
            Ok(()) => {
                *backoff = Backoff::default();
                doubt.dismiss_suspect();
                return Ok(None);
            }
            Err(Trouble::Refused { why } | Trouble::TooLarge { why }) => {
                sending.way.works(Instant::now());
                doubt.dismiss_suspect();
                return Ok(Some(RefusedLine { line, why }));
            }
            Err(trouble @ Trouble::Unexplained { .. }) => trouble,
            Err(trouble) => return self.pause(sending, backoff, &trouble).await.map(|()| None),
        };
        for _ in 0..doubt.witness_times() {
            if let Err(other) = self.ask(sending, self.witness.line()).await? {
                doubt.unfounded();
                return self.pause(sending, backoff, &other.unwrap_or(trouble)).await.map(|()| None);
            }
        }
        *backoff = Backoff::default();
        match doubt.sighted() {
            Verdict::GoOn => Ok(None),
            Verdict::Rest => self.unless_given_up((self.wait)(SUSPECT_PAUSE)).await.map(|()| None),
            Verdict::Guilty(line) => Ok(Some(RefusedLine {
                line,
                why: format!("{trouble} (again and again, alone, while other lines were taken)"),
            })),
        }
    }

    /// Sends the witness. An error is the trouble it met, if there is one at all.
    async fn ask(
        &self,
        sending: &Sending<'_>,
        witness: Option<Bytes>,
    ) -> Result<Result<(), Option<Trouble>>, GivenUp> {
        let Some(line) = witness else { return Ok(Err(None)) };
        let answer = self.attempt(sending, line.clone()).await?;
        if let Err(Trouble::Unexplained { .. } | Trouble::Refused { .. } | Trouble::TooLarge { .. }) = &answer
        {
            self.witness.forget(&line);
        }
        Ok(answer.map_err(Some))
    }

    /// Tells about trouble, and waits before the next attempt.
    async fn pause(
        &self,
        sending: &Sending<'_>,
        backoff: &mut Backoff,
        trouble: &Trouble,
    ) -> Result<(), GivenUp> {
        self.counters.store_retries.inc();
        let length = tell(&sending.way, backoff, trouble);
        self.unless_given_up(rest(self.health, self.wait, trouble, length)).await
    }

    /// One attempt, given up only when the stop's deadline has passed. Its answer may be lost then: the lines are sent again by the next start, with the same keys.
    async fn attempt(&self, sending: &Sending<'_>, part: Bytes) -> Result<Result<(), Trouble>, GivenUp> {
        // What would be stored now would hide that what was settled before is missing.
        while self.health.has(Concern::Wiped) {
            self.unless_given_up((self.wait)(WIPED_PAUSE)).await?;
        }
        let begun = Instant::now();
        let _attempt = sending.way.attempt(begun);
        let answer = tokio::select! {
            answer = self.store.write(part.clone()) => answer,
            () = self.give_up.cancelled() => return Err(GivenUp),
        };
        self.counters.flush_seconds.observe(begun.elapsed().as_secs_f64());
        if answer.is_ok() {
            sending.way.works(Instant::now());
            self.witness.keep_of(&part);
        }
        Ok(answer)
    }

    async fn unless_given_up(&self, rest: impl Future<Output = ()>) -> Result<(), GivenUp> {
        self.give_up.run_until_cancelled(rest).await.ok_or(GivenUp)
    }
}

/// A body under way.
#[derive(Debug)]
struct Sending<'a> {
    body: Bytes,
    /// Line `i` ends before `line_ends[i]`.
    line_ends: &'a [usize],
    way: StoreWay<'a>,
}

impl Sending<'_> {
    /// Some of its lines.
    fn part(&self, lines: &Range<usize>) -> Bytes {
        let from = lines.start.checked_sub(1).map_or(0, |before| self.line_ends[before]);
        self.body.slice(from..self.line_ends[lines.end - 1])
    }
}
