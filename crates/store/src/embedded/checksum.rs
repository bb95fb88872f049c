//! The checksum that guards rows: xxh3 over every column that matters, key included, so that a row cannot be taken for another one.

use super::cells::CellKey;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// Collects the columns of a row. Texts carry their length, so that no two different rows have the same bytes.
#[derive(Debug, Default)]
pub(super) struct Checksum {
    bytes: Vec<u8>,
}

impl Checksum {
    /// Begins the checksum of a row of that table.
    pub(super) fn of(table: &str) -> Self {
        Self::default().bytes(table.as_bytes())
    }

    /// Adds an integer column.
    pub(super) fn integer(mut self, value: i64) -> Self {
        self.bytes.extend_from_slice(&value.to_le_bytes());
        self
    }

    /// Adds an integer column that may be NULL.
    pub(super) fn optional(mut self, value: Option<i64>) -> Self {
        self.bytes.push(u8::from(value.is_some()));
        self.integer(value.unwrap_or_default())
    }

    /// Adds a text or blob column.
    pub(super) fn bytes(mut self, value: &[u8]) -> Self {
        let length = u64::try_from(value.len()).expect("a length fits 64 bits");
        self.bytes.extend_from_slice(&length.to_le_bytes());
        self.bytes.extend_from_slice(value);
        self
    }

    /// The checksum, as SQLite keeps it.
    pub(super) fn finish(self) -> i64 {
        xxh3_64(&self.bytes).cast_signed()
    }
}

/// The checksum of a cell's row: of its blob, seeded with its key.
pub(super) fn of_cell(key: CellKey, blob: &[u8]) -> i64 {
    let mut bytes = [0; 21];
    bytes[0] = key.kind as u8;
    bytes[1..9].copy_from_slice(&key.start_second.to_le_bytes());
    bytes[9..13].copy_from_slice(&key.customer.to_le_bytes());
    bytes[13..21].copy_from_slice(&key.source.to_le_bytes());
    xxh3_64_with_seed(blob, xxh3_64(&bytes)).cast_signed()
}
