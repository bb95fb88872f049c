//! Tail's line to the bookkeeper: what tail tells it and asks of it. Nothing is decided here.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Sender, sync_channel};

use store::KeyStart;
use store::embedded::{GenerationId, GenerationRecord, Head, NewGeneration};

use super::siblings::FileId;
use crate::to_ledger::ToLedger;

/// The bookkeeper or the workers have ended: so does tail. Why is said where it happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended;

/// Tail's line to the bookkeeper.
#[derive(Clone, Debug)]
pub struct Books(Sender<ToLedger>);

impl Books {
    /// A line over this channel.
    pub fn new(to_ledger: Sender<ToLedger>) -> Self {
        Self(to_ledger)
    }

    /// Begins a generation, a new one or one that is `known`, and returns its id.
    pub fn begin(
        &self,
        generation: NewGeneration,
        known: Option<GenerationId>,
    ) -> Result<GenerationId, Ended> {
        let (reply, answer) = sync_channel(1);
        self.tell(ToLedger::Begin { generation, known, reply })?;
        answer.recv().map_err(|_| Ended)
    }

    /// What the ledger knows of a source's generations, oldest first.
    pub fn known(&self, source: &str) -> Result<Vec<GenerationRecord>, Ended> {
        let (reply, answer) = sync_channel(1);
        self.tell(ToLedger::Known { source: source.to_owned(), reply })?;
        answer.recv().map_err(|_| Ended)
    }

    /// Makes head and start of a generation durable.
    pub fn start(&self, id: GenerationId, head: Head, start: KeyStart) -> Result<(), Ended> {
        let (reply, answer) = sync_channel(1);
        self.tell(ToLedger::Start { id, head, start, reply })?;
        answer.recv().map_err(|_| Ended)
    }

    /// Says where a generation was found.
    pub fn seen(
        &self,
        id: GenerationId,
        path: PathBuf,
        device_inode: FileId,
        size_bytes: u64,
    ) -> Result<(), Ended> {
        self.tell(ToLedger::Seen { id, path, device_inode, size_bytes })
    }

    /// Says that a generation was read to its end and will not grow any more.
    pub fn finish(&self, id: GenerationId, end: u64) -> Result<(), Ended> {
        self.tell(ToLedger::Finish { id, end })
    }

    /// Counts bytes proven unreadable.
    pub fn lost(&self, source: &Arc<str>, reason: &'static str, bytes: u64) -> Result<(), Ended> {
        self.tell(ToLedger::Lost { source: Arc::clone(source), reason, bytes })
    }

    /// Counts bytes skipped on purpose.
    pub fn skipped(&self, source: &Arc<str>, bytes: u64) -> Result<(), Ended> {
        self.tell(ToLedger::Skipped { source: Arc::clone(source), bytes })
    }

    /// Says that everything readable at `as_of_micros` was handed on.
    pub fn look(&self, as_of_micros: i64, marks: Vec<(GenerationId, u64)>) -> Result<(), Ended> {
        self.tell(ToLedger::Look { as_of_micros, marks })
    }

    fn tell(&self, message: ToLedger) -> Result<(), Ended> {
        self.0.send(message).map_err(|_| Ended)
    }
}
