//! Tail's line to the bookkeeper: what tail tells it and asks of it, over its channel. Nothing is decided here.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Sender, sync_channel};

use store::KeyStart;
use store::embedded::{GenerationId, GenerationRecord, Head, NewGeneration};

use super::disk::FileId;
use super::ports::{Books, Ended};
use crate::lines::TailMarker;
use crate::to_ledger::{Lost, ToLedger};

/// Tail's line to the bookkeeper.
#[derive(Clone, Debug)]
pub struct BooksLine(Sender<ToLedger>);

impl BooksLine {
    /// A line over this channel.
    pub fn new(to_ledger: Sender<ToLedger>) -> Self {
        Self(to_ledger)
    }

    fn tell(&self, message: ToLedger) -> Result<(), Ended> {
        self.0.send(message).map_err(|_| Ended)
    }
}

impl Books for BooksLine {
    fn begin(&self, generation: NewGeneration, known: Option<GenerationId>) -> Result<GenerationId, Ended> {
        let (reply, answer) = sync_channel(1);
        self.tell(ToLedger::Begin { generation, known, reply })?;
        answer.recv().map_err(|_| Ended)
    }

    fn known(&self, source: &str) -> Result<Vec<GenerationRecord>, Ended> {
        let (reply, answer) = sync_channel(1);
        self.tell(ToLedger::Known { source: source.to_owned(), reply })?;
        answer.recv().map_err(|_| Ended)
    }

    fn start(&self, id: GenerationId, head: Head, start: KeyStart) -> Result<(), Ended> {
        self.tell(ToLedger::Start { id, head, start })
    }

    fn durable(&self) -> Result<(), Ended> {
        let (reply, answer) = sync_channel(1);
        self.tell(ToLedger::Durable { reply })?;
        answer.recv().map_err(|_| Ended)
    }

    fn seen(
        &self,
        id: GenerationId,
        path: PathBuf,
        device_inode: FileId,
        size_bytes: u64,
    ) -> Result<(), Ended> {
        self.tell(ToLedger::Seen { id, path, device_inode, size_bytes })
    }

    fn beginning(&self, id: GenerationId, beginning: TailMarker) -> Result<(), Ended> {
        self.tell(ToLedger::Beginning { id, beginning })
    }

    fn finish(&self, id: GenerationId, end: u64, lost: Option<Lost>) -> Result<(), Ended> {
        self.tell(ToLedger::Finish { id, end, lost })
    }

    fn skipped(&self, source: &Arc<str>, bytes: u64) -> Result<(), Ended> {
        self.tell(ToLedger::Skipped { source: Arc::clone(source), bytes })
    }

    fn look(&self, as_of_micros: i64, moved: Vec<(GenerationId, u64)>) -> Result<(), Ended> {
        self.tell(ToLedger::Look { as_of_micros, moved })
    }
}
