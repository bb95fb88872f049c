//! The embedded store: one SQLite file, the ledger. The processor writes it ([`Ledger`]); the api reads it ([`EmbeddedStats`]) at the same time.
//!
//! Changed in one transaction: how far each generation is settled, the statistics cells of everything settled so far, the rejected lines
//! and the newest raw requests. So whatever instant the process dies, position and statistics agree (K2).

mod audit;
mod batch_requests;
mod cell_rows;
mod cells;
mod check;
mod checksum;
mod confirmed;
mod counters;
mod customers;
mod fault;
mod generations;
mod ledger;
mod loaded;
mod lock;
mod meta;
mod pool;
mod questions;
mod raw;
mod raw_kept;
mod raw_reader;
mod reader;
mod rebuild;
mod reject_reader;
mod rejects;
mod requests;
mod retention;
mod schema;
mod sources;
mod tables;
#[cfg(feature = "fake")]
pub mod testing;
#[cfg(test)]
mod tests;
mod types;
mod unpublished;
mod view;
mod whole;

pub use audit::{RawExtent, RawRequest, StoredCell};
pub use batch_requests::{BatchRequests, RequestMemory};
pub use check::check_cells;
pub use confirmed::{Confirmed, StoreMemory};
pub use ledger::{LEDGER_FILE, Ledger};
pub use reader::EmbeddedStats;
pub use rebuild::Rebuild;
pub use reject_reader::RejectedLines;
pub use requests::EmbeddedRequests;
pub use types::{
    GenerationId, GenerationRecord, GenerationState, Head, LedgerError, LedgerOptions, LedgerTotals,
    NewGeneration, Pending, Reject, SettledSegment, StoredRequest,
};
pub use unpublished::{
    Cursor, LedgerState, PieceLimit, PublishedCells, Scope, Selection, Unpublished, UnpublishedCells,
};
pub use view::{KeptReject, LedgerView};
