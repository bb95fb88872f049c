//! What of the raw requests the ledger itself has dropped or never kept, so that every other request that is missing was removed by somebody else. Rows of the table `counter`, each
//! with its checksum, changed in the transaction that drops; beside them the numbers that were taken out from among those that are kept (`request_dropped`), and from which stretch of
//! which file the others came (`request_segment`). The requests are not here.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension};

use super::GenerationId;
use super::cells::CustomerNumber;
use super::counters::checksum;
use super::fault::Fault;
use super::generations::Generations;
use super::sources::Sources;
use crate::KeyStart;

/// So much of a request's place is in its time at least ([`crate::point_time_nanos`]): in a stretch that is no longer the time tells the place.
const PLACES: u64 = 1_000_000;

const NEXT: &str = "raw_next";
const EDGE: &str = "raw_edge";
const OLD_BEFORE: &str = "raw_old_before_nanos";
const OFF: &str = "raw_off";
const FROM: &str = "raw_from_offset";

/// What is kept. Numbers from `edge` to before `next` are there, but for those in `request_dropped`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RawKept {
    /// The number that the next request gets; none is ever given twice.
    pub(super) next: i64,
    /// All with a lower number were dropped.
    pub(super) edge: i64,
    /// Requests with a time before that may have been left out, because they were too old when they came.
    pub(super) old_before_nanos: i64,
    /// None are kept at all (RAW_REQUESTS_MAX=0).
    pub(super) is_off: bool,
    /// The place in a generation from which on its requests are kept, where that is not its beginning.
    pub(super) from_offsets: BTreeMap<GenerationId, u64>,
}

/// Whether a row of the table `counter` is one of these.
pub(super) fn is_one(name: &str) -> bool {
    matches!(name, NEXT | EDGE | OLD_BEFORE | OFF | FROM)
}

impl Default for RawKept {
    /// A new ledger's.
    fn default() -> Self {
        Self { next: 1, edge: 1, old_before_nanos: i64::MIN, is_off: false, from_offsets: BTreeMap::new() }
    }
}

impl RawKept {
    /// The same with other places.
    pub(super) fn with_offsets(&self, from_offsets: BTreeMap<GenerationId, u64>) -> Self {
        Self { from_offsets, ..*self }
    }

    /// Notes that requests of a generation before a place are not kept.
    pub(super) fn raise(&mut self, generation: GenerationId, from_offset: u64) {
        let known = self.from_offsets.entry(generation).or_default();
        *known = from_offset.max(*known);
    }

    /// Takes over what was written; its places are only those that changed.
    pub(super) fn take(&mut self, written: RawKept) {
        let before = std::mem::replace(self, written);
        let changed = std::mem::replace(&mut self.from_offsets, before.from_offsets);
        changed.into_iter().for_each(|(generation, offset)| self.raise(generation, offset));
    }

    /// Reads it.
    pub(super) fn read(connection: &Connection) -> Result<Self, Fault> {
        Self::find(connection)?
            .ok_or_else(|| Fault::Damaged("what it says of the raw requests that are kept".to_owned()))
    }

    fn find(connection: &Connection) -> Result<Option<Self>, Fault> {
        let mut statement = connection.prepare(
            "SELECT name, source, value, checksum FROM counter WHERE name LIKE 'raw\\_%' ESCAPE '\\'",
        )?;
        let mut rows = statement.query([])?;
        let (mut kept, mut found) = (Self::default(), 0);
        while let Some(row) = rows.next()? {
            let (name, of): (String, String) = (row.get(0)?, row.get(1)?);
            let value: i64 = row.get(2)?;
            let damaged = || Fault::Damaged(format!("the counter {name} {of:?}"));
            if row.get::<_, i64>(3)? != checksum(&name, &of, "", value) {
                return Err(damaged());
            }
            match name.as_str() {
                NEXT => kept.next = value,
                EDGE => kept.edge = value,
                OLD_BEFORE => kept.old_before_nanos = value,
                OFF => kept.is_off = value != 0,
                FROM => {
                    let id = GenerationId(of.parse().map_err(|_| damaged())?);
                    kept.from_offsets.insert(id, value.cast_unsigned());
                    continue;
                }
                _ => return Err(damaged()),
            }
            found += 1;
        }
        match found {
            0 if kept.from_offsets.is_empty() => Ok(None),
            4 => Ok(Some(kept)),
            _ => Err(Fault::Damaged("what it says of the raw requests that are kept".to_owned())),
        }
    }

    fn single(&self) -> [(&'static str, i64); 4] {
        let Self { next, edge, old_before_nanos, is_off, .. } = self;
        [(NEXT, *next), (EDGE, *edge), (OLD_BEFORE, *old_before_nanos), (OFF, i64::from(*is_off))]
    }

    /// Writes what differs from what is there.
    pub(super) fn write(&self, connection: &Connection, before: Option<&Self>) -> Result<(), Fault> {
        let mut statement = connection.prepare_cached(
            "INSERT OR REPLACE INTO counter (name, source, reason, value, checksum) VALUES (?1, ?2, '', ?3, ?4)",
        )?;
        let mut put = |name: &str, of: &str, value: i64| {
            statement.execute((name, of, value, checksum(name, of, "", value)))
        };
        let there = before.map(Self::single);
        for (index, (name, value)) in self.single().into_iter().enumerate() {
            if there.is_none_or(|there| there[index].1 != value) {
                put(name, "", value)?;
            }
        }
        for (generation, offset) in &self.from_offsets {
            let known = before.and_then(|before| before.from_offsets.get(generation));
            if known.is_none_or(|known| known < offset) {
                put(FROM, &generation.0.to_string(), offset.cast_signed())?;
            }
        }
        Ok(())
    }
}

/// A stretch of a file of which requests were numbered in a row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stretch {
    pub(super) generation: GenerationId,
    pub(super) start_offset: u64,
    pub(super) end_offset: u64,
    /// How many.
    pub(super) requests: i64,
}

impl Stretch {
    /// Takes the stretch behind it in, as long as places can be told.
    pub(super) fn join(&mut self, next: &Stretch) -> bool {
        let joins = next.generation == self.generation
            && next.start_offset == self.end_offset
            && next.end_offset - self.start_offset <= PLACES;
        if joins {
            self.end_offset = next.end_offset;
            self.requests += next.requests;
        }
        joins
    }

    /// Writes it; returns the next number.
    pub(super) fn write(&self, connection: &Connection, first: i64) -> Result<i64, Fault> {
        let next = first + self.requests;
        connection
            .prepare_cached(
                "INSERT OR REPLACE INTO request_segment (last, generation, start_offset, end_offset) VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute((
                next - 1,
                self.generation.0,
                self.start_offset.cast_signed(),
                self.end_offset.cast_signed(),
            ))?;
        Ok(next)
    }

    /// The place behind the first byte of the request with that time. The end where it cannot be told: what is behind that is kept for sure.
    fn behind(&self, start: Option<KeyStart>, time_nanos: Option<i64>) -> u64 {
        let (Some(start), Some(time_nanos)) = (start, time_nanos) else { return self.end_offset };
        let below = time_nanos.rem_euclid(PLACES.cast_signed()).unsigned_abs();
        let first = (below + PLACES - start.0.wrapping_add(self.start_offset) % PLACES) % PLACES;
        let room =
            self.end_offset.checked_sub(self.start_offset).and_then(|length| length.checked_sub(first + 1));
        room.map_or(self.end_offset, |room| self.start_offset + first + room / PLACES * PLACES + 1)
    }
}

/// A new ledger keeps all. Of an older one nobody knows what it has dropped: whatever it has not now.
pub(super) fn begin(connection: &Connection) -> Result<(), Fault> {
    if RawKept::find(connection)?.is_some() {
        return Ok(());
    }
    let mut kept = RawKept::default();
    let numbers = connection.query_row("SELECT min(number), max(number) FROM request", [], |row| {
        Ok(row.get::<_, Option<i64>>(0)?.zip(row.get::<_, Option<i64>>(1)?))
    })?;
    if let Some((first, last)) = numbers {
        (kept.edge, kept.next) = (first, last.saturating_add(1));
        // Of no generation: nobody knows where those came from.
        connection.execute("INSERT INTO request_segment VALUES (?1, 0, 0, 0)", [last])?;
    }
    connection.execute(
        "INSERT INTO request_dropped (first, last)
         SELECT number + 1, following - 1
         FROM (SELECT number, lead(number) OVER (ORDER BY number) AS following FROM request)
         WHERE following > number + 1",
        [],
    )?;
    for record in Generations::read(connection, &mut Sources::read(connection)?)?.records() {
        if record.seen.settled_offset > 0 {
            kept.raise(record.id, record.seen.settled_offset);
        }
    }
    kept.write(connection, None)
}

impl RawKept {
    /// Drops the requests with a lower number, and notes up to where they came from. `gone_nanos`: the time of the one just before, if it was never written.
    pub(super) fn drop_before(
        &mut self,
        connection: &Connection,
        generations: &Generations,
        edge: i64,
        gone_nanos: Option<i64>,
    ) -> Result<(), Fault> {
        let mut segments = connection.prepare_cached(
            "SELECT generation, start_offset, end_offset, last FROM request_segment
             WHERE last < coalesce((SELECT min(last) FROM request_segment WHERE last >= ?1), ?1) + 1",
        )?;
        let mut rows = segments.query([edge - 1])?;
        while let Some(row) = rows.next()? {
            let stretch = Stretch {
                generation: GenerationId(row.get(0)?),
                start_offset: row.get::<_, i64>(1)?.cast_unsigned(),
                end_offset: row.get::<_, i64>(2)?.cast_unsigned(),
                requests: 0,
            };
            let Some(record) = generations.find(stretch.generation) else { continue };
            let from = if row.get::<_, i64>(3)? < edge {
                stretch.end_offset
            } else {
                let mut last =
                    connection.prepare_cached("SELECT time_nanos FROM request WHERE number = ?1")?;
                let time_nanos = last.query_row([edge - 1], |row| row.get(0)).optional()?;
                stretch.behind(record.start, time_nanos.or(gone_nanos))
            };
            self.raise(stretch.generation, from);
        }
        for table in ["request WHERE number", "request_dropped WHERE last", "request_segment WHERE last"] {
            connection.prepare_cached(&format!("DELETE FROM {table} < ?1"))?.execute([edge])?;
        }
        self.edge = edge;
        Ok(())
    }
}

/// Drops all requests of a customer, wherever they stand.
pub(super) fn drop_customer(connection: &Connection, customer: CustomerNumber) -> Result<(), Fault> {
    // Numbers in a row are one range.
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO request_dropped (first, last)
             SELECT min(number), max(number)
             FROM (SELECT number, number - row_number() OVER (ORDER BY number) AS run FROM request WHERE customer = ?1)
             GROUP BY run",
        )?
        .execute([customer])?;
    connection.prepare_cached("DELETE FROM request WHERE customer = ?1")?.execute([customer])?;
    Ok(())
}

/// How many are missing that the ledger has not dropped.
pub(super) fn missing(connection: &Connection, kept: &RawKept) -> Result<u64, Fault> {
    let of = (kept.edge, kept.next);
    let there: i64 = connection.query_row(
        "SELECT count(*) FROM request WHERE number >= ?1 AND number < ?2",
        of,
        |row| row.get(0),
    )?;
    let dropped: i64 = connection.query_row(
        "SELECT coalesce(sum(min(last, ?2 - 1) - max(first, ?1) + 1), 0) FROM request_dropped
         WHERE last >= ?1 AND first < ?2",
        of,
        |row| row.get(0),
    )?;
    let missing = kept.next.saturating_sub(kept.edge).saturating_sub(there).saturating_sub(dropped);
    Ok(missing.max(0).unsigned_abs())
}
