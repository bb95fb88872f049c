//! Generations: how far each is settled, and what it is known by. All are in memory; a row is written when it changed.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use rusqlite::{Connection, OptionalExtension, Row};

use super::checksum::Checksum;
use super::fault::Fault;
use super::sources::Sources;
use super::{GenerationId, GenerationRecord, GenerationState, Head, NewGeneration};
use crate::KeyStart;

fn state_name(state: GenerationState) -> &'static str {
    match state {
        GenerationState::Open => "open",
        GenerationState::Finished => "finished",
        GenerationState::Skipped => "skipped",
    }
}

fn state_from_name(name: &str) -> Option<GenerationState> {
    [GenerationState::Open, GenerationState::Finished, GenerationState::Skipped]
        .into_iter()
        .find(|state| state_name(*state) == name)
}

fn checksum(record: &GenerationRecord, source: i64) -> i64 {
    let seen = &record.seen;
    let head = record.head.as_ref();
    Checksum::of("generation")
        .integer(record.id.0)
        .integer(source)
        .bytes(seen.path.as_os_str().as_bytes())
        .integer(seen.device.cast_signed())
        .integer(seen.inode.cast_signed())
        .integer(seen.settled_offset.cast_signed())
        .bytes(state_name(seen.state).as_bytes())
        .bytes(head.map_or(&[], |head| head.fingerprint.as_bytes()))
        .optional(head.map(|head| head.length_bytes.cast_signed()))
        .optional(record.start.map(|start| start.0.cast_signed()))
        .integer(record.tail_marker.cast_signed())
        .integer(record.tail_marker_length.cast_signed())
        .integer(record.size_bytes.cast_signed())
        .finish()
}

const COLUMNS: &str = "id, source, path, device, inode, settled_offset, state, head_fingerprint, head_length,
    key_start, tail_marker, tail_marker_length, size_bytes, checksum";

fn from_row(row: &Row<'_>, sources: &Sources) -> Result<GenerationRecord, Fault> {
    let unsigned = |column: usize| row.get::<_, i64>(column).map(i64::cast_unsigned);
    let id = GenerationId(row.get(0)?);
    let source: i64 = row.get(1)?;
    let path = PathBuf::from(OsString::from_vec(row.get(2)?));
    let damaged = |what: &str| {
        Fault::Damaged(format!("the position of generation {} ({}): {what}", id.0, path.display()))
    };
    let state: String = row.get(6)?;
    let seen = NewGeneration {
        source: sources.name(source).ok_or_else(|| damaged("its source is unknown"))?.to_owned(),
        path: path.clone(),
        device: unsigned(3)?,
        inode: unsigned(4)?,
        settled_offset: unsigned(5)?,
        state: state_from_name(&state).ok_or_else(|| damaged("its state is unknown"))?,
    };
    let head = match (row.get::<_, Option<String>>(7)?, row.get::<_, Option<i64>>(8)?) {
        (Some(fingerprint), Some(length)) => Some(Head { fingerprint, length_bytes: length.cast_unsigned() }),
        _ => None,
    };
    let record = GenerationRecord {
        id,
        seen,
        head,
        start: row.get::<_, Option<i64>>(9)?.map(|start| KeyStart(start.cast_unsigned())),
        tail_marker: unsigned(10)?,
        tail_marker_length: unsigned(11)?,
        size_bytes: unsigned(12)?,
    };
    if row.get::<_, i64>(13)? != checksum(&record, source) {
        return Err(damaged("its checksum does not hold"));
    }
    Ok(record)
}

/// One of them, for who needs no others.
pub(super) fn read_one(
    connection: &Connection,
    id: GenerationId,
    sources: &Sources,
) -> Result<Option<GenerationRecord>, Fault> {
    let mut statement =
        connection.prepare_cached(&format!("SELECT {COLUMNS} FROM generation WHERE id = ?1"))?;
    statement.query_row([id.0], |row| Ok(from_row(row, sources))).optional()?.transpose()
}

#[derive(Debug)]
struct Entry {
    record: GenerationRecord,
    source: i64,
}

/// All generations.
#[derive(Debug, Default)]
pub(super) struct Generations {
    entries: BTreeMap<i64, Entry>,
    /// Those that changed since the last commit: of ten thousand logs mostly few.
    changed: BTreeSet<i64>,
    /// One of them became [`GenerationState::Finished`]: its file may be let go after the next commit.
    let_go: bool,
}

impl Generations {
    /// Reads all of them.
    pub(super) fn read(connection: &Connection, sources: &mut Sources) -> Result<Self, Fault> {
        let mut statement = connection.prepare(&format!("SELECT {COLUMNS} FROM generation ORDER BY id"))?;
        let mut rows = statement.query([])?;
        let mut entries = BTreeMap::new();
        while let Some(row) = rows.next()? {
            let record = from_row(row, sources)?;
            let source = sources.resolve(&record.seen.source);
            entries.insert(record.id.0, Entry { record, source });
        }
        Ok(Self { entries, ..Self::default() })
    }

    /// All of them, oldest first.
    pub(super) fn records(&self) -> impl Iterator<Item = &GenerationRecord> {
        self.entries.values().map(|entry| &entry.record)
    }

    /// Adds one.
    pub(super) fn add(&mut self, generation: &NewGeneration, source: i64) -> GenerationId {
        let id = GenerationId(self.entries.last_key_value().map_or(1, |(id, _)| id + 1));
        let record = GenerationRecord {
            id,
            seen: generation.clone(),
            head: None,
            start: None,
            tail_marker: 0,
            tail_marker_length: 0,
            size_bytes: generation.settled_offset,
        };
        self.entries.insert(id.0, Entry { record, source });
        self.changed.insert(id.0);
        id
    }

    /// One of them, and the number of its source.
    pub(super) fn get(&self, id: GenerationId) -> (&GenerationRecord, i64) {
        let entry = self.entries.get(&id.0).expect("a generation's id comes from this ledger");
        (&entry.record, entry.source)
    }

    /// One of them, if there is one of that id: a raw request has no checksum.
    pub(super) fn find(&self, id: GenerationId) -> Option<&GenerationRecord> {
        self.entries.get(&id.0).map(|entry| &entry.record)
    }

    /// Changes one of them.
    pub(super) fn change(&mut self, id: GenerationId, change: impl FnOnce(&mut GenerationRecord)) {
        let entry = self.entries.get_mut(&id.0).expect("a generation's id comes from this ledger");
        let before = entry.record.seen.state;
        change(&mut entry.record);
        self.changed.insert(id.0);
        self.let_go |=
            before != GenerationState::Finished && entry.record.seen.state == GenerationState::Finished;
    }

    /// The marker of a generation tells of its first bytes until something of it is settled.
    pub(super) fn note_beginning(&mut self, id: GenerationId, (hash, length): (u64, u64)) {
        self.change(id, |record| {
            if record.seen.settled_offset == 0 {
                (record.tail_marker, record.tail_marker_length) = (hash, length);
            }
        });
    }

    /// Whether the next commit must survive a power cut, because a file may disappear after it.
    pub(super) fn any_let_go(&self) -> bool {
        self.let_go
    }

    /// Writes the rows that changed.
    pub(super) fn write(&self, connection: &Connection) -> Result<(), Fault> {
        let mut statement = connection.prepare_cached(&format!(
            "INSERT OR REPLACE INTO generation ({COLUMNS})
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)"
        ))?;
        for Entry { record, source } in self.changed.iter().map(|id| &self.entries[id]) {
            let head = record.head.as_ref();
            statement.execute((
                record.id.0,
                source,
                record.seen.path.as_os_str().as_bytes(),
                record.seen.device.cast_signed(),
                record.seen.inode.cast_signed(),
                record.seen.settled_offset.cast_signed(),
                state_name(record.seen.state),
                head.map(|head| &head.fingerprint),
                head.map(|head| head.length_bytes.cast_signed()),
                record.start.map(|start| start.0.cast_signed()),
                record.tail_marker.cast_signed(),
                record.tail_marker_length.cast_signed(),
                record.size_bytes.cast_signed(),
                checksum(record, *source),
            ))?;
        }
        Ok(())
    }

    /// What was written is durable.
    pub(super) fn committed(&mut self) {
        self.changed.clear();
        self.let_go = false;
    }
}
