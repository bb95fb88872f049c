//! A worker: parses a batch, encodes its requests, delivers them, and says what became of every line. Workers finish in any order.

use std::sync::Arc;
use std::sync::mpsc::Sender;

use bytes::Bytes;
use chrono::Utc;
use logline::{LineParser, Reason, Zone};
use store::RequestStore;
use store::embedded::{BatchRequests, Reject, RequestMemory, SettledSegment, StoredRequest};
use tokio::sync::{Mutex, mpsc};
use tokio_util::sync::CancellationToken;

use crate::account::Account;
use crate::batch::InFlight;
use crate::counters::Counters;
use crate::delivery::{Delivery, RefusedLine};
use crate::doubt::Witness;
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
    /// Where requests are kept until the ledger has counted them.
    pub memory: Arc<RequestMemory>,
    /// Bytes of a body for which each worker has memory from the start.
    pub body_bytes: usize,
    /// Where one acknowledged request goes now and then.
    pub readback: Arc<ReadBack>,
    /// A line that the store has taken.
    pub witness: Witness,
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
    let mut spare = Spare::with_in_memory(shared.body_bytes);
    loop {
        let Some(batch) = batches.lock().await.recv().await else { return };
        shared.counters.batch_lines.observe(batch.lines as f64);
        let clock = Utc::now().timestamp();
        let limits = TimeLimits::at(clock, shared.retention);
        let mut work = Work::prepare(&batch, &mut parser, limits, &shared, &mut spare);
        let delivery = Delivery {
            store: &*shared.store,
            health: &shared.health,
            counters: &shared.counters,
            witness: &shared.witness,
            give_up: &shared.give_up,
            wait: shared.wait,
        };
        let (body, ends) = (Bytes::from(std::mem::take(&mut work.body)), std::mem::take(&mut work.line_ends));
        if mutated(Mutation::AdvanceBeforeAcknowledged) {
            let settled = work.settle(batch, &shared.memory);
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
        let settled = work.settle(batch, &shared.memory);
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
    body: Bytes,
    line_ends: Vec<usize>,
}

/// A body of more memory than that is let go: lines are rarely that long.
const SPARE_BODY_BYTES: usize = 2 << 20;

impl Spare {
    /// With so many bytes for a body in memory from the start.
    fn with_in_memory(body_bytes: usize) -> Self {
        // Written, since the system gives memory only where something is written.
        let body = std::hint::black_box(vec![b'\n'; body_bytes]);
        Self { body: body.into(), line_ends: Vec::new() }
    }

    /// The memory for the next batch, empty.
    fn take(&mut self) -> (Vec<u8>, Vec<usize>) {
        // Unless the store's client still has it: after an attempt that failed it lets a body go when it gets round to it.
        let mut body = std::mem::take(&mut self.body).try_into_mut().unwrap_or_default();
        body.clear();
        self.line_ends.clear();
        (body.into(), std::mem::take(&mut self.line_ends))
    }

    /// Keeps the memory of a body that was delivered.
    fn keep(&mut self, body: Bytes, line_ends: Vec<usize>) {
        self.line_ends = line_ends;
        if body.len() <= SPARE_BODY_BYTES {
            self.body = body;
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
    /// These lines as the ledger takes them, in the same order.
    requests: Vec<StoredRequest>,
    /// One for each piece of the batch.
    pieces: Vec<Outcome>,
}

/// What becomes of the lines of one piece.
#[derive(Debug, Default)]
struct Outcome {
    /// How many of the batch's requests are its own.
    stored: usize,
    rejects: Vec<Reject>,
    future_time: u64,
    ambiguous_time: u64,
}

impl Work {
    fn prepare<S: RequestStore>(
        batch: &Batch,
        parser: &mut LineParser,
        limits: TimeLimits,
        shared: &Shared<S>,
        spare: &mut Spare,
    ) -> Work {
        let store = &*shared.store;
        let (mut body, mut line_ends) = spare.take();
        line_ends.reserve(batch.lines);
        let mut requests = shared.memory.take(batch.lines);
        let pieces = batch.pieces.iter().map(|piece| {
            let mut outcome = Outcome::default();
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
                        requests.push(line.stored(&piece.bytes));
                        outcome.stored += 1;
                        outcome.future_time += u64::from(line.future);
                        outcome.ambiguous_time += u64::from(line.request.record.time.ambiguous);
                    }
                    Err(reject) => outcome.rejects.push(reject),
                }
            }
            outcome
        });
        let pieces = pieces.collect();
        Work { body, line_ends, requests, pieces }
    }

    /// Turns lines that the store refused alone into rejects.
    fn reject(&mut self, refused: &[RefusedLine], batch: &Batch) {
        // From the last to the first, so that the indexes of those before stay right.
        for line in refused.iter().rev() {
            let mut index = line.line;
            let mut pieces = self.pieces.iter_mut().zip(&batch.pieces);
            let (outcome, piece) = loop {
                let (outcome, piece) = pieces.next().expect("every line of the body is a request of a piece");
                match index.checked_sub(outcome.stored) {
                    Some(behind) => index = behind,
                    None => break (outcome, piece),
                }
            };
            outcome.stored -= 1;
            let removed = self.requests.remove(line.line);
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
        let chosen = batch.since.elapsed().subsec_nanos() as usize % self.requests.len().max(1);
        let mut before = 0;
        for (outcome, piece) in self.pieces.iter().zip(&batch.pieces) {
            before += outcome.stored;
            if chosen < before {
                return readback.offer(piece, &self.requests[chosen], oldest_second);
            }
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

    fn settle(self, batch: Batch, memory: &Arc<RequestMemory>) -> Vec<Settled> {
        let counts = self.pieces.iter().map(|outcome| outcome.stored);
        let requests = memory.share(self.requests, counts);
        let settle_one = |((piece, outcome), requests): ((Lines, Outcome), BatchRequests)| {
            assert_eq!(
                outcome.stored + outcome.rejects.len(),
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
                requests,
                rejects: outcome.rejects,
                future_time: outcome.future_time,
                ambiguous_time: outcome.ambiguous_time,
                tail_marker: marker,
            };
            Settled { span: piece.span, segment, lines: piece.count, budget: piece.budget }
        };
        batch.pieces.into_iter().zip(self.pieces).zip(requests).map(settle_one).collect()
    }
}

/// The line in which a place of some bytes lies, without its newline.
fn line_around(bytes: &[u8], place: usize) -> (usize, usize) {
    let start = memchr::memrchr(b'\n', &bytes[..place]).map_or(0, |newline| newline + 1);
    let end = memchr::memchr(b'\n', &bytes[place..]).map_or(bytes.len(), |newline| place + newline);
    (start, end)
}
