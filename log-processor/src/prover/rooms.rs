//! The rooms behind tail, moved by hand: the real batcher, the real worker tasks (polled when it is their turn), the real bookkeeper on a ledger in memory.

use std::collections::VecDeque;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use logline::Zone;
use store::embedded::RequestMemory;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::ledger::{ModelLedger, SimTime};
use super::store::{Yield, shared};
use super::world::{Crash, Sim, violated};
use crate::account::Account;
use crate::batch::{Batcher, InFlight, Limits};
use crate::bookkeeper::{Bookkeeper, Surroundings};
use crate::counters::Counters;
use crate::health::Health;
use crate::lines::{Batch, Lines};
use crate::to_ledger::{Durable, ToLedger};
use crate::worker;

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The rooms of one life.
pub(super) struct Rooms {
    sim: Sim,
    base: Instant,
    pub(super) from_tail: VecDeque<Lines>,
    batcher: Batcher,
    limits: Limits,
    full: VecDeque<Batch>,
    to_workers: mpsc::Sender<Batch>,
    workers: Vec<Task>,
    in_flight: Arc<InFlight>,
    messages: Receiver<ToLedger>,
    pub(super) to_ledger: Sender<ToLedger>,
    bookkeeper: Bookkeeper<ModelLedger, SimTime>,
    pub(super) account: Arc<Account>,
    pub(super) budget: Arc<Semaphore>,
}

fn wait_a_little(_: Duration) -> Task {
    Box::pin(Yield(1))
}

impl Rooms {
    pub(super) fn new(sim: &Sim) -> Self {
        let ledger = ModelLedger::open(sim);
        let plan = sim.world().plan.clone();
        let account = Arc::new(Account::new(crate::ledger_port::LedgerPort::totals(&ledger)));
        let (health, counters) = (Arc::new(Health::default()), Arc::new(Counters::default()));
        let (durable, _) = watch::channel(Durable::default());
        let surroundings = Surroundings {
            account: Arc::clone(&account),
            health: Arc::clone(&health),
            counters: Arc::clone(&counters),
            settled: Arc::default(),
            statements: Arc::default(),
            durable,
            give_up: CancellationToken::new(),
        };
        let bookkeeper = Bookkeeper::new(ledger, SimTime(sim.clone()), surroundings);
        let (to_ledger, messages) = std::sync::mpsc::channel();
        let (to_workers, batches) = mpsc::channel(2 * plan.workers);
        let batches = Arc::new(tokio::sync::Mutex::new(batches));
        let in_flight = Arc::new(InFlight::default());
        let shared = Arc::new(worker::Shared {
            store: shared(sim),
            health,
            account: Arc::clone(&account),
            counters,
            zone: Zone::Utc,
            retention: None,
            memory: Arc::new(RequestMemory::of(2, plan.batch_lines)),
            body_bytes: 0,
            readback: Arc::default(),
            witness: Default::default(),
            give_up: CancellationToken::new(),
            wait: wait_a_little,
        });
        let task = |_| -> Task {
            let (batches, in_flight) = (Arc::clone(&batches), Arc::clone(&in_flight));
            Box::pin(worker::run(Arc::clone(&shared), batches, to_ledger.clone(), in_flight))
        };
        let limits = Limits { lines: plan.batch_lines, bytes: plan.batch_bytes, age: plan.batch_age };
        Self {
            workers: (0..plan.workers).map(task).collect(),
            sim: sim.clone(),
            base: Instant::now(),
            from_tail: VecDeque::new(),
            batcher: Batcher::new(limits),
            limits,
            full: VecDeque::new(),
            to_workers,
            in_flight,
            messages,
            to_ledger,
            bookkeeper,
            account,
            budget: Arc::new(Semaphore::new(plan.budget_bytes)),
        }
    }

    /// One of the rooms does something.
    pub(super) fn act(&mut self) {
        let (what, worker) = {
            let mut world = self.sim.world();
            (world.chance.below(10), world.chance.index(self.workers.len()))
        };
        match what {
            0..2 => self.batch(),
            2..7 => self.poll(worker),
            7..9 => {
                self.keep_one();
            }
            _ => self.commit(),
        }
    }

    /// Everything that is under way comes to its end.
    pub(super) fn drain(&mut self) {
        for _ in 0..20_000 {
            self.batch();
            for worker in 0..self.workers.len() {
                self.poll(worker);
            }
            while self.keep_one() {}
            let waiting = self.from_tail.len() + self.full.len() + self.in_flight.count();
            if waiting == 0 && self.batcher.deadline().is_none() {
                return self.commit();
            }
        }
        violated("W1", "what is in flight never settles");
    }

    /// As the batch task does.
    fn batch(&mut self) {
        let now = self.base + self.sim.world().clock().uptime;
        let mut full = Vec::new();
        if let Some(lines) = self.from_tail.pop_front() {
            self.batcher.push(lines, now, &mut full);
        } else if self.batcher.deadline().is_some_and(|due| due <= now) {
            full.extend(self.batcher.flush());
        }
        if full.is_empty() && self.from_tail.is_empty() && self.in_flight.count() == 0 {
            full.extend(self.batcher.flush());
        }
        for batch in full {
            if batch.lines == 0
                || batch.lines > self.limits.lines
                || batch.bytes > self.limits.bytes && batch.lines > 1 && batch.pieces.len() > 1
            {
                violated("B1", format!("a batch of {} lines and {} bytes", batch.lines, batch.bytes));
            }
            self.in_flight.started();
            self.full.push_back(batch);
        }
        while let Some(batch) = self.full.pop_front() {
            if let Err(error) = self.to_workers.try_send(batch) {
                let (mpsc::error::TrySendError::Full(batch) | mpsc::error::TrySendError::Closed(batch)) =
                    error;
                self.full.push_front(batch);
                break;
            }
        }
    }

    fn poll(&mut self, worker: usize) {
        let mut context = Context::from_waker(Waker::noop());
        if self.workers[worker].as_mut().poll(&mut context).is_ready() {
            violated("W1", "a worker has ended");
        }
    }

    /// The bookkeeper takes one message.
    pub(super) fn keep_one(&mut self) -> bool {
        let Ok(message) = self.messages.try_recv() else { return false };
        if self.bookkeeper.take(message).is_err() {
            resume_unwind(Box::new(Crash));
        }
        true
    }

    pub(super) fn commit(&mut self) {
        if self.bookkeeper.commit().is_err() {
            resume_unwind(Box::new(Crash));
        }
    }
}
