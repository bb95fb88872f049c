//! The values that pass between the processor and its ledger. No SQL and no arithmetic in here.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use logline::Reason;

use super::BatchRequests;
use crate::KeyStart;

/// Row id of a generation in the ledger. Ids grow in the order in which generations were first seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GenerationId(pub i64);

/// What a generation is known by: the bytes from its beginning to the end of its first valid line (at most 64 KiB).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Fingerprint, as 32 hex digits.
    pub fingerprint: String,
    /// How many bytes it covers.
    pub length_bytes: u64,
}

/// What is done with a generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GenerationState {
    /// It may still grow.
    Open,
    /// Settled to its end, and it will not be read again.
    Finished,
    /// There before the first start, and not to be read (START_AT).
    Skipped,
}

/// A generation to be remembered.
#[derive(Clone, Debug)]
pub struct NewGeneration {
    /// The log's source.
    pub source: String,
    /// The path under which it was found.
    pub path: PathBuf,
    /// Device and inode, as a first guess at restart; content outranks them.
    pub device: u64,
    /// See `device`.
    pub inode: u64,
    /// Reading starts here (START_AT=end starts at the size).
    pub settled_offset: u64,
    /// What is to be done with it.
    pub state: GenerationState,
}

/// A generation as the ledger knows it.
#[derive(Clone, Debug)]
pub struct GenerationRecord {
    /// Its id.
    pub id: GenerationId,
    /// What was known when it was first seen; `path`, `device`, `inode`, `settled_offset` and `state` are kept up to date.
    pub seen: NewGeneration,
    /// Its head, once a valid line was seen.
    pub head: Option<Head>,
    /// Its place in the key sequence, once decided.
    pub start: Option<KeyStart>,
    /// Hash of the bytes just before `settled_offset` (how many: `tail_marker_length`). While nothing is settled: of the first bytes, as far as they were noted.
    pub tail_marker: u64,
    /// How many bytes the tail marker covers (0 at the beginning of the file).
    pub tail_marker_length: u64,
    /// The greatest size that was seen, in bytes.
    pub size_bytes: u64,
}

/// A rejected line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reject {
    /// The place of its first byte in its generation.
    pub offset: u64,
    /// Why.
    pub reason: Reason,
    /// What was wrong, for a person (may be empty).
    pub detail: String,
    /// Its first 1024 bytes.
    pub line: Vec<u8>,
}

/// A stored request, as ranges into the bytes of its segment. Compact, since millions are in flight.
#[derive(Clone, Copy, Debug)]
pub struct StoredRequest {
    /// Customer id: first byte in the segment, and length.
    pub customer: (u32, u16),
    /// Path: first byte in the segment, and length; length 0 = the format has no path.
    pub path: (u32, u16),
    /// Status, 100 to 599.
    pub status: u16,
    /// Latency in microseconds; `u64::MAX` = the format has no latency.
    pub latency_micros: u64,
    /// Time with place (`point_time_nanos`).
    pub time_nanos: i64,
}

/// Consecutive lines of one generation, each stored or rejected. The frontier passes them on in file order without hole or overlap (T1, K1).
#[derive(Clone, Debug)]
pub struct SettledSegment {
    /// Whose bytes these are.
    pub generation: GenerationId,
    /// The place of the first byte.
    pub start_offset: u64,
    /// The place after the last byte.
    pub end_offset: u64,
    /// The bytes that `requests` point into.
    pub bytes: Bytes,
    /// Stored lines in file order.
    pub requests: BatchRequests,
    /// Rejected lines in file order.
    pub rejects: Vec<Reject>,
    /// Of the stored: how many had a time more than 5 min ahead of the clock.
    pub future_time: u64,
    /// Of the stored: how many had a local time that occurred twice or never.
    pub ambiguous_time: u64,
    /// Hash and length of the bytes before `end_offset` ([`GenerationRecord::tail_marker`]).
    pub tail_marker: (u64, u64),
}

/// How a ledger keeps what it is given.
#[derive(Clone, Debug)]
pub struct LedgerOptions {
    /// Cells and rejects older than that are dropped by whole days; None = kept for ever.
    pub retention: Option<Duration>,
    /// The newest raw requests kept; 0 = none (always with InfluxDB).
    pub raw_requests_max: u64,
    /// Raw requests with an older time are not kept.
    pub raw_requests_age: Duration,
    /// Cells that change are marked until they are published elsewhere ([`super::Unpublished`]); what is not published pays nothing.
    pub publishes_cells: bool,
}

/// Totals since the ledger was made, across restarts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LedgerTotals {
    /// Lines stored.
    pub lines_stored: u64,
    /// Lines rejected, by reason.
    pub rejected: BTreeMap<Reason, u64>,
    /// Bytes settled.
    pub bytes_settled: u64,
    /// Bytes proven unreadable, by (source, reason).
    pub lost_bytes: BTreeMap<(String, String), u64>,
    /// Bytes skipped on purpose (START_AT), by source.
    pub skipped_bytes: BTreeMap<String, u64>,
    /// Stored lines with a time more than 5 min ahead of the clock.
    pub future_time: u64,
    /// Stored lines with an ambiguous local time.
    pub ambiguous_time: u64,
    /// Requests that a rebuild has found in the store beyond those that this ledger had counted.
    pub rebuilt_requests: u64,
}

/// What can go wrong with the ledger.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LedgerError {
    /// Another processor has it.
    #[error(
        "{path} is in use by another processor (pid {pid}); stop it first, or give this one its own STATE_DIR"
    )]
    InUse {
        /// The lock file.
        path: PathBuf,
        /// Who.
        pid: u32,
    },
    /// Made by a newer version of this program.
    #[error(
        "{path} has schema {found}, and this program knows schemas up to {known}; use the newer program that wrote it"
    )]
    Newer {
        /// The ledger.
        path: PathBuf,
        /// Its schema.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// A checksum does not hold or SQLite says it is malformed.
    #[error("{path} is damaged: {what}; move it away to read the logs again from the beginning")]
    Damaged {
        /// The ledger.
        path: PathBuf,
        /// Which row: customer and window, or generation.
        what: String,
    },
    /// Full disk, read-only file system, I/O error: try again later. The transaction was rolled back or is still open; nothing that was committed is lost.
    #[error("{path} cannot be written or read: {why}")]
    Unavailable {
        /// The ledger.
        path: PathBuf,
        /// SQLite's words.
        why: String,
    },
}

/// What was applied and waits for a commit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pending {
    /// Requests.
    pub requests: u64,
    /// Bytes of memory, with what a commit needs beside them.
    pub bytes: usize,
}
