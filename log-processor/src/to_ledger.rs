//! What the bookkeeper is told and asked: the messages of its one channel; and what it tells everybody. No logic.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use store::KeyStart;
use store::embedded::{GenerationId, GenerationRecord, Head, NewGeneration, PublishedCells};

use crate::lines::{Settled, TailMarker};

/// Bytes proven unreadable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// Of which log.
    pub source: Arc<str>,
    /// Why.
    pub reason: &'static str,
    /// How many.
    pub bytes: u64,
}

/// What the bookkeeper is told. The channel has no limit of its own: what can wait in it is bounded by the memory budget that every piece carries.
#[derive(Debug)]
pub enum ToLedger {
    /// Pieces that settled, in any order.
    Settled(Vec<Settled>),
    /// A generation is followed from now on: a new one is remembered, one that is known goes on from its mark.
    Begin {
        /// What was seen.
        generation: NewGeneration,
        /// Its id when it is known already.
        known: Option<GenerationId>,
        /// Where the id goes.
        reply: SyncSender<GenerationId>,
    },
    /// What the ledger knows of a source is asked for.
    Known {
        /// Which.
        source: String,
        /// Where the generations go, oldest first.
        reply: SyncSender<Vec<GenerationRecord>>,
    },
    /// Head and start of a generation are decided.
    Start {
        /// Whose.
        id: GenerationId,
        /// Its head.
        head: Head,
        /// Its start.
        start: KeyStart,
    },
    /// Everything told before must be durable.
    Durable {
        /// Answered when it is.
        reply: SyncSender<()>,
    },
    /// Everything told before must be committed, and what the store has confirmed be saved.
    Commit {
        /// Answered when it is.
        reply: SyncSender<()>,
    },
    /// The store has these cells as they were.
    Published {
        /// Which.
        cells: PublishedCells,
        /// Answered when that is durable.
        reply: SyncSender<()>,
    },
    /// A generation was found under this path with this size.
    Seen {
        /// Which.
        id: GenerationId,
        /// Where.
        path: PathBuf,
        /// Its file.
        device_inode: (u64, u64),
        /// Its size.
        size_bytes: u64,
    },
    /// By its first bytes a generation can be known again of which nothing was handed on.
    Beginning {
        /// Which.
        id: GenerationId,
        /// Hash and length of these bytes.
        beginning: TailMarker,
    },
    /// A generation was read to its end and will not grow any more.
    Finish {
        /// Which.
        id: GenerationId,
        /// The place after its last byte.
        end: u64,
        /// What of it was proven unreadable, and why: counted in the same transaction, so that no crash counts it twice.
        lost: Option<Lost>,
    },
    /// Bytes skipped on purpose.
    Skipped {
        /// Of which log.
        source: Arc<str>,
        /// How many.
        bytes: u64,
    },
    /// Everything readable at `as_of_micros` was handed on.
    Look {
        /// When, in microseconds since 1970.
        as_of_micros: i64,
        /// The place up to which each generation was handed on that has moved since this was last told.
        moved: Vec<(GenerationId, u64)>,
    },
}

/// What has become durable, for those who tell others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Durable {
    /// Number of the last commit.
    pub commit: u64,
    /// Everything readable at this instant is in it; microseconds since 1970.
    pub as_of_micros: Option<i64>,
    /// When this became so; microseconds since 1970. None before the first time.
    pub at_micros: Option<i64>,
}

impl Durable {
    /// What is so now.
    pub fn now(commit: u64, as_of_micros: Option<i64>, now_micros: i64) -> Self {
        Self { commit, as_of_micros, at_micros: Some(now_micros) }
    }

    /// At the start of a run, after this commit: what was readable then is still in it.
    pub fn at_start(commit: u64, as_of_micros: Option<i64>) -> Self {
        Self { commit, as_of_micros, at_micros: None }
    }
}

/// Answers somebody who asked. He may be gone when the program stops; then nobody needs the answer.
pub(crate) fn answer<T>(reply: &SyncSender<T>, value: T) {
    if reply.send(value).is_err() {
        tracing::debug!("nobody waits for this answer any more");
    }
}
