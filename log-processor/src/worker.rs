//! A worker: parses a batch, encodes its requests, delivers them, and says what became of every line. Workers finish in any order.

use std::sync::Arc;
use std::sync::mpsc::Sender;

use bytes::Bytes;
use chrono::Utc;
use logline::{LineParser, Reason, Zone};
use store::RequestStore;
use store::embedded::{Reject, SettledSegment, StoredRequest};
use tokio::sync::{Mutex, mpsc};
use tokio_util::sync::CancellationToken;

use crate::account::Account;
use crate::batch::InFlight;
use crate::counters::Counters;
use crate::delivery::{Delivery, RefusedLine};
use crate::health::Health;
use crate::lines::{Batch, Content, Lines, Settled};
use crate::mutation::{Mutation, mutated};
use crate::patience::Wait;
use crate::readback::ReadBack;
use crate::reading::{FUTURE_SECONDS, Place, TimeLimits, line_ranges, read_line, reject};
use crate::tail::identity::marker_of;
use crate::to_ledger::ToLedger;

/// What all workers share.
#[derive(Debug)]
pub struct Shared<S> {
    /// Where requests go.
    pub store: Arc<S>,
    /// Readiness.
    pub health: Arc<Health>,
    /// The account of lines.
    pub account: Arc<Account>,
    /// Metrics.
    pub counters: Arc<Counters>,
    /// Zone of the log's stamps.
    pub zone: Zone,
    /// Lines older than that are rejected.
    pub retention: Option<std::time::Duration>,
    /// Where one acknowledged request goes now and then.
    pub readback: Arc<ReadBack>,
    /// Ends all patience.
    pub give_up: CancellationToken,
    /// How waiting is done.
    pub wait: Wait,
}

/// The worker task: ends when there are no more batches, or when patience has ended.
pub async fn run<S: RequestStore>(
    shared: Arc<Shared<S>>,
    batches: Arc<Mutex<mpsc::Receiver<Batch>>>,
    to_ledger: Sender<ToLedger>,
    in_flight: Arc<InFlight>,
) {
    let mut parser = LineParser::new(shared.zone);
    let mut spare = Spare::default();
    loop {
        let Some(batch) = batches.lock().await.recv().await else { return };
        shared.counters.batch_lines.observe(batch.lines as f64);
        let clock = Utc::now().timestamp();
        let limits = TimeLimits::at(clock, shared.retention);
        let mut work = Work::prepare(&batch, &mut parser, limits, &*shared.store, &mut spare);
        let delivery = Delivery {
            store: &*shared.store,
            health: &shared.health,
            counters: &shared.counters,
            give_up: &shared.give_up,
            wait: shared.wait,
        };
        let (body, ends) = (Bytes::from(std::mem::take(&mut work.body)), std::mem::take(&mut work.line_ends));
        if mutated(Mutation::AdvanceBeforeAcknowledged) {
            let settled = work.settle(batch);
            in_flight.finished();
            if to_ledger.send(ToLedger::Settled(settled)).is_err()
                || delivery.deliver(body, &ends).await.is_err()
            {
                return;
            }
            continue;
        }
        let retries_before = shared.counters.store_retries.get();
        let Ok(refused) = delivery.deliver(body.clone(), &ends).await else { return };
        spare.keep(body, ends);
        work.reject(&refused, &batch);
        if shared.readback.is_wanted() {
            work.sample(&batch, &shared.readback, limits.oldest);
        }
        work.example(&shared.account);
        let settled = work.settle(batch);
        in_flight.finished();
        if mutated(Mutation::SettleTwice) && shared.counters.store_retries.get() > retries_before {
            let again = settled.iter().map(|piece| Settled {
                segment: piece.segment.clone(),
                budget: Arc::clone(&piece.budget),
                ..*piece
            });
            drop(to_ledger.send(ToLedger::Settled(again.collect())));
        }
        if to_ledger.send(ToLedger::Settled(settled)).is_err() {
            return; // The bookkeeper is gone and has said why; the log keeps the lines.
        }
    }
}

/// The memory of the last batch, for the next one.
#[derive(Debug, Default)]
struct Spare {
    body: Vec<u8>,
    line_ends: Vec<usize>,
}

/// A body of more memory than that is let go: lines are rarely that long.
const SPARE_BODY_BYTES: usize = 2 << 20;

impl Spare {
    /// Keeps the memory of a body that was delivered, if the store's client has let it go.
    fn keep(&mut self, body: Bytes, line_ends: Vec<usize>) {
        self.line_ends = line_ends;
        self.line_ends.clear();
        if body.is_unique() && body.len() <= SPARE_BODY_BYTES {
            self.body = body.into();
            self.body.clear();
        }
    }
}

/// A batch on its way through one worker.
#[derive(Debug)]
struct Work {
    /// What is sent.
    body: Vec<u8>,
    /// Where each of its lines ends. The lines are the requests of all pieces, one after the other.
    line_ends: Vec<usize>,
    /// One for each piece of the batch.
    pieces: Vec<Outcome>,
}

/// What becomes of the lines of one piece.
#[derive(Debug, Default)]
struct Outcome {
    requests: Vec<StoredRequest>,
    rejects: Vec<Reject>,
    future_time: u64,
    ambiguous_time: u64,
}

impl Work {
    fn prepare<S: RequestStore>(
        batch: &Batch,
        parser: &mut LineParser,
        limits: TimeLimits,
        store: &S,
        spare: &mut Spare,
    ) -> Work {
        let (mut body, mut line_ends) =
            (std::mem::take(&mut spare.body), std::mem::take(&mut spare.line_ends));
        line_ends.reserve(batch.lines);
        let pieces = batch.pieces.iter().map(|piece| {
            let mut outcome = Outcome { requests: Vec::with_capacity(piece.count), ..Outcome::default() };
            if piece.content == Content::TooLong {
                let detail = Reason::TooLong.expectation().to_owned();
                outcome.rejects.push(reject(piece.span.start, Reason::TooLong, detail, &piece.bytes));
                return outcome;
            }
            let source = &piece.generation.source;
            let key_start = piece.generation.start.get().copied();
            for (start, end) in line_ranges(&piece.bytes) {
                let first = if mutated(Mutation::KeyFromBatch) { 0 } else { piece.span.start };
                let place = Place { source, start: key_start, offset: first + start as u64 };
                match read_line(&piece.bytes, start..end, place, parser, limits) {
                    Ok(line) => {
                        store.encode(&line.request, &mut body);
                        line_ends.push(body.len());
                        outcome.requests.push(line.stored(&piece.bytes));
                        outcome.future_time += u64::from(line.future);
                        outcome.ambiguous_time += u64::from(line.request.record.time.ambiguous);
                    }
                    Err(reject) => outcome.rejects.push(reject),
                }
            }
            outcome
        });
        let pieces = pieces.collect();
        Work { body, line_ends, pieces }
    }

    /// Turns lines that the store refused alone into rejects.
    fn reject(&mut self, refused: &[RefusedLine], batch: &Batch) {
        // From the last to the first, so that the indexes of those before stay right.
        for line in refused.iter().rev() {
            let mut index = line.line;
            let mut pieces = self.pieces.iter_mut().zip(&batch.pieces);
            let (outcome, piece) = loop {
                let (outcome, piece) = pieces.next().expect("every line of the body is a request of a piece");
                match index.checked_sub(outcome.requests.len()) {
                    Some(behind) => index = behind,
                    None => break (outcome, piece),
                }
            };
            let removed = outcome.requests.remove(index);
            let ahead =
                removed.time_nanos.div_euclid(1_000_000_000) > Utc::now().timestamp() + FUTURE_SECONDS;
            outcome.future_time = outcome.future_time.saturating_sub(u64::from(ahead));
            let (start, end) = line_around(&piece.bytes, removed.customer.0 as usize);
            let place = piece.span.start + start as u64;
            outcome.rejects.push(reject(place, Reason::Refused, line.why.clone(), &piece.bytes[start..end]));
        }
        for outcome in &mut self.pieces {
            outcome.rejects.sort_by_key(|reject| reject.offset);
        }
    }

    /// Offers one of the acknowledged requests to be read back: any, so that over time all of a batch are met.
    fn sample(&self, batch: &Batch, readback: &ReadBack, oldest_second: i64) {
        let stored: usize = self.pieces.iter().map(|piece| piece.requests.len()).sum();
        let mut chosen = batch.since.elapsed().subsec_nanos() as usize % stored.max(1);
        for (outcome, piece) in self.pieces.iter().zip(&batch.pieces) {
            if let Some(request) = outcome.requests.get(chosen) {
                return readback.offer(piece, request, oldest_second);
            }
            chosen -= outcome.requests.len();
        }
    }

    /// Keeps one rejected line as an example for the first-lines check.
    fn example(&self, account: &Account) {
        if let Some(reject) = self.pieces.iter().flat_map(|piece| &piece.rejects).next() {
            account.example(|| {
                let line = String::from_utf8_lossy(&reject.line);
                format!("`{}` was rejected as {}: {}", line.trim_end(), reject.reason.as_str(), reject.detail)
            });
        }
    }

    fn settle(self, batch: Batch) -> Vec<Settled> {
        let settle_one = |(piece, outcome): (Lines, Outcome)| {
            assert_eq!(
                outcome.requests.len() + outcome.rejects.len(),
                piece.count,
                "C1: a line without an outcome in {:?}",
                piece.span
            );
            let marker =
                if piece.content == Content::TooLong { marker_of(b"\n") } else { marker_of(&piece.bytes) };
            let segment = SettledSegment {
                generation: piece.generation.id,
                start_offset: piece.span.start,
                end_offset: piece.span.end,
                bytes: piece.bytes,
                requests: outcome.requests,
                rejects: outcome.rejects,
                future_time: outcome.future_time,
                ambiguous_time: outcome.ambiguous_time,
                tail_marker: marker,
            };
            Settled { span: piece.span, segment, lines: piece.count, budget: piece.budget }
        };
        batch.pieces.into_iter().zip(self.pieces).map(settle_one).collect()
    }
}

/// The line in which a place of some bytes lies, without its newline.
fn line_around(bytes: &[u8], place: usize) -> (usize, usize) {
    let start = memchr::memrchr(b'\n', &bytes[..place]).map_or(0, |newline| newline + 1);
    let end = memchr::memchr(b'\n', &bytes[place..]).map_or(bytes.len(), |newline| place + newline);
    (start, end)
}
