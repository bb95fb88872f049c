//! Micro-batches: limits by lines, bytes and age. The policy is pure (`Batcher`, the clock comes from outside); the task around it holds the timer.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, mpsc};

use crate::lines::{Batch, Lines};

/// When a batch is full.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Lines (STREAM_MAX_SIZE).
    pub lines: usize,
    /// Bytes of log; one line may exceed it alone.
    pub bytes: usize,
    /// Age of its first line (STREAM_MAX_WAIT_TIME_IN_SECONDS).
    pub age: Duration,
}

/// Collects lines into batches that are never empty and never over a limit (B1).
#[derive(Debug)]
pub struct Batcher {
    limits: Limits,
    open: Option<Batch>,
}

impl Batcher {
    /// An empty batcher.
    pub fn new(limits: Limits) -> Self {
        assert!(limits.lines > 0 && limits.bytes > 0, "B1: limits leave no room for a line");
        Self { limits, open: None }
    }

    /// Adds lines that were read at `now`; hands every batch that became full to `full`.
    pub fn push(&mut self, mut lines: Lines, now: Instant, full: &mut Vec<Batch>) {
        loop {
            let room = self.limits.lines - self.open.as_ref().map_or(0, |batch| batch.lines);
            let over_bytes =
                self.open.as_ref().is_some_and(|batch| batch.bytes + lines.bytes.len() > self.limits.bytes);
            if over_bytes {
                full.extend(self.flush());
                continue;
            }
            let rest = if lines.count > room {
                let (head, tail) = lines.split_lines(room);
                lines = head;
                Some(tail)
            } else {
                None
            };
            self.add(lines, now);
            if self.open.as_ref().is_some_and(|batch| batch.lines == self.limits.lines) {
                full.extend(self.flush());
            }
            match rest {
                Some(tail) => lines = tail,
                None => return,
            }
        }
    }

    fn add(&mut self, lines: Lines, now: Instant) {
        let batch =
            self.open.get_or_insert_with(|| Batch { pieces: Vec::new(), lines: 0, bytes: 0, since: now });
        batch.lines += lines.count;
        batch.bytes += lines.bytes.len();
        batch.pieces.push(lines);
    }

    /// When the open batch reaches its age limit.
    pub fn deadline(&self) -> Option<Instant> {
        self.open.as_ref().map(|batch| batch.since + self.limits.age)
    }

    /// Takes the open batch, full or not.
    pub fn flush(&mut self) -> Option<Batch> {
        let batch = self.open.take();
        if let Some(batch) = &batch {
            assert!(batch.lines > 0, "B1: an empty batch");
            assert!(batch.lines <= self.limits.lines, "B1: {} lines in a batch", batch.lines);
        }
        batch
    }
}

/// How many batches were handed to the workers and have not settled, with a bell that rings when one does.
#[derive(Debug, Default)]
pub struct InFlight {
    batches: AtomicUsize,
    settled: Notify,
}

impl InFlight {
    /// One batch more is under way.
    pub fn started(&self) {
        self.batches.fetch_add(1, Ordering::AcqRel);
    }
    /// One batch less.
    pub fn finished(&self) {
        let before = self.batches.fetch_sub(1, Ordering::AcqRel);
        assert!(before > 0, "W1: more batches settled than started");
        self.settled.notify_one();
    }
    /// Batches under way.
    pub fn count(&self) -> usize {
        self.batches.load(Ordering::Acquire)
    }
}

/// The batch task: ends when tail has ended and the last batch was handed on. A batch leaves when it is full, when its first line reaches the age limit, and at once
/// when nothing is in flight: few lines travel at once, many travel together.
pub async fn run(
    limits: Limits,
    mut from_tail: mpsc::Receiver<Lines>,
    to_workers: mpsc::Sender<Batch>,
    in_flight: Arc<InFlight>,
) {
    let mut batcher = Batcher::new(limits);
    let mut full = Vec::new();
    loop {
        let deadline = batcher.deadline();
        let event = tokio::select! {
            biased;
            lines = from_tail.recv() => Event::Lines(lines),
            () = async { tokio::time::sleep_until(deadline.unwrap_or_else(Instant::now).into()).await }, if deadline.is_some() => Event::Due,
            () = in_flight.settled.notified(), if deadline.is_some() => Event::Settled,
        };
        let ended = matches!(event, Event::Lines(None));
        match event {
            Event::Lines(Some(lines)) => batcher.push(lines, Instant::now(), &mut full),
            Event::Settled => {}
            Event::Due | Event::Lines(None) => full.extend(batcher.flush()),
        }
        if full.is_empty() && from_tail.is_empty() && in_flight.count() == 0 {
            full.extend(batcher.flush());
        }
        for batch in full.drain(..) {
            in_flight.started();
            if to_workers.send(batch).await.is_err() {
                return; // The workers are gone: the deadline of a stop has passed, and the log keeps the lines.
            }
        }
        if ended {
            return;
        }
    }
}

enum Event {
    Lines(Option<Lines>),
    Due,
    Settled,
}
