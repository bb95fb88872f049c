//! What tail asks of the rooms around it: the books, the store's journal of starts, the way out for lines. Traits, and their real forms over channels;
//! a simulation has others. Nothing is decided here.

use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use store::embedded::{GenerationId, GenerationRecord, Head, NewGeneration};
use store::{KeyStart, RequestStore, StoredGeneration, Trouble};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use super::disk::FileId;
use crate::account::Account;
use crate::health::Health;
use crate::lines::{Content, Generation, Lines, TailMarker};
use crate::patience::patiently;
use crate::span::Span;
use crate::to_ledger::Lost;

/// The bookkeeper or the workers have ended, or the program stops: so does tail. Why is said where it happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended;

/// The bookkeeper, as tail sees it.
pub trait Books: Debug + Send {
    /// Begins a generation, a new one or one that is `known`, and returns its id.
    fn begin(&self, generation: NewGeneration, known: Option<GenerationId>) -> Result<GenerationId, Ended>;
    /// What the ledger knows of a source's generations, oldest first.
    fn known(&self, source: &str) -> Result<Vec<GenerationRecord>, Ended>;
    /// Notes head and start of a generation.
    fn start(&self, id: GenerationId, head: Head, start: KeyStart) -> Result<(), Ended>;
    /// Makes all that was told durable, before it returns.
    fn durable(&self) -> Result<(), Ended>;
    /// Says where a generation was found, and how large.
    fn seen(&self, id: GenerationId, path: PathBuf, file: FileId, size_bytes: u64) -> Result<(), Ended>;
    /// Says with which bytes a generation begins of which nothing was handed on: it can be known again by them.
    fn beginning(&self, id: GenerationId, beginning: TailMarker) -> Result<(), Ended>;
    /// Says that a generation was read to its end and will not grow any more, and how much of it was proven unreadable, if anything.
    fn finish(&self, id: GenerationId, end: u64, lost: Option<Lost>) -> Result<(), Ended>;
    /// Counts bytes skipped on purpose.
    fn skipped(&self, source: &Arc<str>, bytes: u64) -> Result<(), Ended>;
    /// Says that everything readable at `as_of_micros` was handed on; `moved` are the places up to which generations were handed on since this was last said.
    fn look(&self, as_of_micros: i64, moved: Vec<(GenerationId, u64)>) -> Result<(), Ended>;
}

/// The store's journal of generations and their starts.
pub trait Journal: Debug + Send {
    /// Those of a source.
    fn generations(&self, source: &str) -> Result<Vec<StoredGeneration>, Ended>;
    /// Makes one durable, before it returns.
    fn register(&self, generation: &StoredGeneration) -> Result<(), Ended>;
}

/// Whole lines on their way out of tail.
#[derive(Debug)]
pub struct Handed {
    /// Whose lines.
    pub generation: Arc<Generation>,
    /// Where they are.
    pub span: Span,
    /// Their bytes.
    pub bytes: Bytes,
    /// What the bytes are.
    pub content: Content,
    /// How many lines.
    pub count: usize,
}

/// The way out for lines.
pub trait Outlet: Debug + Send {
    /// Waits until lines may leave at all: the store was reached and the sources are ours.
    fn opened(&self) -> Result<(), Ended>;
    /// Hands lines on. Waits while too many are under way: the file keeps the backlog.
    fn hand_on(&self, handed: Handed) -> Result<(), Ended>;
}

/// Who gives hints when something happens to a file.
pub trait Watch: Debug + Send {
    /// Gives hints about this path and its siblings from now on, if that is possible.
    fn watch(&mut self, path: &Path);
    /// Tries again what was not possible before: folders that were not there.
    fn again(&mut self);
}

/// The store's journal over its interface, asked until it answers.
pub struct StoreJournal<S> {
    /// The store that remembers them.
    pub store: Arc<S>,
    /// Who is told about trouble.
    pub health: Arc<Health>,
    /// Where the store's calls run.
    pub runtime: Handle,
    /// Ends the waiting.
    pub stop: CancellationToken,
}

impl<S> Debug for StoreJournal<S> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("StoreJournal").finish_non_exhaustive()
    }
}

impl<S: RequestStore> StoreJournal<S> {
    fn patiently<T, F>(&self, ask: impl Fn() -> F) -> Result<T, Ended>
    where
        F: Future<Output = Result<T, Trouble>>,
    {
        self.runtime.block_on(patiently(&self.health, &self.stop, ask)).ok_or(Ended)
    }
}

impl<S: RequestStore> Journal for StoreJournal<S> {
    fn generations(&self, source: &str) -> Result<Vec<StoredGeneration>, Ended> {
        self.patiently(|| self.store.generations(source))
    }

    fn register(&self, generation: &StoredGeneration) -> Result<(), Ended> {
        self.patiently(|| self.store.register_generation(generation))
    }
}

/// The channel to the batch room, behind a gate and a budget.
#[derive(Debug)]
pub struct Gate {
    /// Where lines go.
    pub lines: mpsc::Sender<Lines>,
    /// Bytes of lines that may be on their way.
    pub budget: Arc<Semaphore>,
    /// All of it, for the one piece that is larger.
    pub budget_bytes: usize,
    /// The account of lines.
    pub account: Arc<Account>,
    /// Given when lines may be handed on.
    pub cleared: CancellationToken,
    /// Ends the waiting.
    pub stop: CancellationToken,
    /// Where waiting happens.
    pub runtime: Handle,
}

impl Outlet for Gate {
    fn opened(&self) -> Result<(), Ended> {
        self.runtime.block_on(self.stop.run_until_cancelled(self.cleared.cancelled())).ok_or(Ended)
    }

    fn hand_on(&self, handed: Handed) -> Result<(), Ended> {
        let Handed { generation, span, bytes, content, count } = handed;
        let weight =
            u32::try_from(bytes.len().min(self.budget_bytes)).expect("the budget is far below 4 GiB");
        self.runtime.block_on(async {
            let budget = tokio::select! {
                permit = Arc::clone(&self.budget).acquire_many_owned(weight) => permit.map_err(|_| Ended)?,
                () = self.stop.cancelled() => return Err(Ended),
            };
            self.account.read(count, bytes.len());
            let lines = Lines { generation, span, bytes, content, count, budget: Arc::new(budget) };
            self.lines.send(lines).await.map_err(|_| Ended)
        })
    }
}
