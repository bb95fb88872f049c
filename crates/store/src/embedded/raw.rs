//! The newest requests one by one, for people who want to see them. Held here until they are committed, so that a transaction that is
//! rolled back loses none.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use rusqlite::Connection;

use super::customers::{CustomerIndex, Customers};
use super::fault::Fault;
use super::generations::Generations;
use super::raw_kept::{RawKept, Stretch};
use super::{GenerationId, LedgerOptions, SettledSegment, StoredRequest};

const NANOS_PER_SECOND: i64 = 1_000_000_000;

#[derive(Clone, Copy, Debug)]
struct Row {
    customer: CustomerIndex,
    status: u16,
    path_length: u16,
    generation: GenerationId,
    latency_micros: u64,
    time_nanos: i64,
}

/// Requests since the last commit.
#[derive(Debug)]
pub(super) struct PendingRaw {
    kept_max: u64,
    kept_age: Duration,
    rows: VecDeque<Row>,
    /// The rows' paths, one after the other.
    paths: VecDeque<u8>,
    /// As it was committed, and as the commit that is being made writes it: there with those places only that change.
    kept: RawKept,
    written: RawKept,
    /// Since the last commit: where generations begin, from where the requests came, the last one that went before it was written, and up to when they were too old.
    begun: BTreeMap<GenerationId, u64>,
    stretches: Vec<Stretch>,
    gone_nanos: Option<i64>,
    old_before_nanos: i64,
}

impl PendingRaw {
    pub(super) fn new(options: &LedgerOptions, kept: RawKept, generations: &Generations) -> Self {
        let mut pending = Self {
            kept_max: options.raw_requests_max,
            kept_age: options.raw_requests_age,
            rows: VecDeque::new(),
            paths: VecDeque::new(),
            written: kept.clone(),
            kept,
            begun: BTreeMap::new(),
            stretches: Vec::new(),
            gone_nanos: None,
            old_before_nanos: i64::MIN,
        };
        if pending.kept.is_off && pending.kept_max > 0 {
            // Of what is settled by now nothing was kept.
            generations.records().for_each(|record| pending.begin_at(record.id, record.seen.settled_offset));
        }
        pending
    }

    /// What lies before that place of a generation does not come here.
    pub(super) fn begin_at(&mut self, generation: GenerationId, offset: u64) {
        if offset > 0 {
            self.begun.insert(generation, offset);
        }
    }

    /// Bytes of memory that wait.
    pub(super) fn bytes(&self) -> usize {
        self.rows.len() * size_of::<Row>() + self.paths.len() + self.stretches.len() * size_of::<Stretch>()
    }

    /// The time before which requests are not kept.
    fn oldest_nanos(&self, now_second: i64) -> i64 {
        let age = i64::try_from(self.kept_age.as_secs()).unwrap_or(i64::MAX);
        now_second.saturating_sub(age).saturating_mul(NANOS_PER_SECOND)
    }

    /// Keeps the requests of a segment that are young enough.
    pub(super) fn push(&mut self, segment: &SettledSegment, customers: &[CustomerIndex], now_second: i64) {
        if self.kept_max == 0 {
            return;
        }
        let oldest_nanos = self.oldest_nanos(now_second);
        let mut stretch = Stretch {
            generation: segment.generation,
            start_offset: segment.start_offset,
            end_offset: segment.end_offset,
            requests: 0,
        };
        for (request, customer) in segment.requests.iter().zip(customers) {
            if request.time_nanos >= oldest_nanos {
                self.push_one(segment, request, *customer);
                stretch.requests += 1;
            } else {
                self.old_before_nanos = self.old_before_nanos.max(request.time_nanos.saturating_add(1));
            }
        }
        if stretch.requests > 0 && !self.stretches.last_mut().is_some_and(|last| last.join(&stretch)) {
            self.stretches.push(stretch);
        }
    }

    fn push_one(&mut self, segment: &SettledSegment, request: &StoredRequest, customer: CustomerIndex) {
        if self.rows.len() as u64 == self.kept_max {
            let dropped = self.rows.pop_front().expect("kept_max is not 0");
            self.paths.drain(..usize::from(dropped.path_length));
            self.gone_nanos = Some(dropped.time_nanos);
        }
        let (from, length) = request.path;
        let from = from as usize;
        self.paths.extend(&segment.bytes[from..from + usize::from(length)]);
        self.rows.push_back(Row {
            customer,
            status: request.status,
            path_length: length,
            generation: segment.generation,
            latency_micros: request.latency_micros,
            time_nanos: request.time_nanos,
        });
    }

    /// Writes them.
    pub(super) fn write(&mut self, connection: &Connection, customers: &Customers) -> Result<(), Fault> {
        self.written = self.kept.with_offsets(self.begun.clone());
        if self.rows.is_empty() {
            return Ok(());
        }
        let mut next = self.kept.next;
        for stretch in &self.stretches {
            next = stretch.write(connection, next)?;
        }
        // Those that went before they were written have had numbers too.
        self.written.next = next;
        let first = next - i64::try_from(self.rows.len()).expect("they are in memory");
        // The numbers are the ledger's: what somebody else put there goes.
        connection.prepare_cached("DELETE FROM request WHERE number >= ?1")?.execute([first])?;
        // Only the first is told its number. SQLite gives the others the next ones, and appends them without a look for each whether it is there: twice as fast.
        let mut begin = connection.prepare_cached(
            "INSERT INTO request (customer, time_nanos, status, latency_micros, path, generation, number)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?;
        let mut append = connection.prepare_cached(
            "INSERT INTO request (customer, time_nanos, status, latency_micros, path, generation)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?;
        let paths = &*self.paths.make_contiguous();
        let mut at = 0;
        for (index, row) in self.rows.iter().enumerate() {
            let path = &paths[at..at + usize::from(row.path_length)];
            at += path.len();
            let path = std::str::from_utf8(path).expect("L3: a path is UTF-8");
            let insert = if index == 0 { &mut begin } else { &mut append };
            insert.raw_bind_parameter(1, customers.get(row.customer).number)?;
            insert.raw_bind_parameter(2, row.time_nanos)?;
            insert.raw_bind_parameter(3, row.status)?;
            let latency_micros = (row.latency_micros != u64::MAX).then_some(row.latency_micros.cast_signed());
            insert.raw_bind_parameter(4, latency_micros)?;
            insert.raw_bind_parameter(5, (!path.is_empty()).then_some(path))?;
            insert.raw_bind_parameter(6, row.generation.0)?;
            if index == 0 {
                insert.raw_bind_parameter(7, first)?;
            }
            insert.raw_execute()?;
        }
        Ok(())
    }

    /// Drops the oldest rows beyond the bound, and those that have grown too old when `now_second` is given; notes what is kept from now on.
    pub(super) fn drop_old(
        &mut self,
        connection: &Connection,
        generations: &Generations,
        now_second: Option<i64>,
    ) -> Result<(), Fault> {
        let Self { kept, written, .. } = self;
        written.is_off = self.kept_max == 0;
        written.old_before_nanos = kept.old_before_nanos.max(self.old_before_nanos);
        let kept_max = i64::try_from(self.kept_max).unwrap_or(i64::MAX);
        let mut edge = written.next.saturating_sub(kept_max).max(kept.edge);
        if let Some(now_second) = now_second {
            edge = self.behind_old(connection, edge, now_second)?;
        }
        let Self { kept, written, .. } = self;
        if edge > kept.edge {
            written.drop_before(connection, generations, edge, self.gone_nanos)?;
        }
        written.write(connection, Some(kept))
    }

    /// The number behind the last old row before the first that is young enough, from one on. A row that somebody else has removed is not taken for an old one.
    fn behind_old(&self, connection: &Connection, edge: i64, now_second: i64) -> Result<i64, Fault> {
        // Rows arrive nearly in order of time: what lies before the first young row is old. An old row behind it, as in a
        // shuffled log, stays until the bound reaches it; readers look at the time anyway.
        let mut statement = connection.prepare_cached(
            "SELECT max(number) FROM request WHERE number >= ?1 AND number < coalesce(
                 (SELECT number FROM request WHERE number >= ?1 AND time_nanos >= ?2 ORDER BY number LIMIT 1), ?3)",
        )?;
        let of = (edge, self.oldest_nanos(now_second), self.written.next);
        let old: Option<i64> = statement.query_row(of, |row| row.get(0))?;
        Ok(old.map_or(edge, |number| number + 1))
    }

    /// What was written is durable.
    pub(super) fn committed(&mut self) {
        self.rows.clear();
        self.paths.clear();
        self.kept.take(std::mem::take(&mut self.written));
        self.begun.clear();
        self.stretches.clear();
        self.gone_nanos = None;
        self.old_before_nanos = i64::MIN;
    }
}
