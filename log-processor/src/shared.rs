//! What the tasks of the pipeline share with those that accompany it, and the status that is told from it. Decides nothing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use chrono::Utc;
use store::RequestStore;
use store::embedded::GenerationId;
use tokio::sync::watch;

use crate::account::Account;
use crate::counters::Counters;
use crate::health::Health;
use crate::publication::Published;
use crate::readback::ReadBack;
use crate::report::{Facts, FileReports, StatisticsFacts, Status};
use crate::statements::Statements;
use crate::tail::disk::RealDisk;
use crate::to_ledger::Durable;

/// What the tasks share.
#[derive(Debug)]
pub(crate) struct Common<S> {
    pub(crate) store: Arc<S>,
    pub(crate) health: Arc<Health>,
    pub(crate) account: Arc<Account>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) files: Arc<FileReports>,
    pub(crate) settled: Arc<Mutex<HashMap<GenerationId, u64>>>,
    pub(crate) statements: Arc<Statements>,
    pub(crate) readback: Arc<ReadBack>,
    pub(crate) durable: watch::Receiver<Durable>,
    pub(crate) published: watch::Receiver<Published>,
}

impl<S: RequestStore> Common<S> {
    pub(crate) fn status(&self) -> Status {
        let now_micros = Utc::now().timestamp_micros();
        let settled = self.settled.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let files = self.files.all_now(&RealDisk::default(), &settled, now_micros);
        let durable = self.durable.borrow().clone();
        Facts {
            entries: self.account.entries(),
            files,
            as_of_micros: durable.as_of_micros,
            now_micros,
            checkpoint_micros: durable.at_micros,
            commit: durable.commit,
            statistics: self
                .store
                .remembers()
                .then(|| StatisticsFacts::new(&self.published.borrow(), &durable)),
            store: self.store.describe(),
            problems: self.health.problems(Instant::now()),
            pid: Some(std::process::id()),
        }
        .status()
    }

    pub(crate) fn sources(&self) -> Vec<String> {
        self.files.sources()
    }
}
