//! The newest requests one by one, for people who want to see them. Held here until they are committed, so that a transaction that is
//! rolled back loses none.

use std::collections::VecDeque;
use std::time::Duration;

use rusqlite::Connection;

use super::customers::{CustomerIndex, Customers};
use super::fault::Fault;
use super::{GenerationId, SettledSegment, StoredRequest};

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
}

impl PendingRaw {
    pub(super) fn new(kept_max: u64, kept_age: Duration) -> Self {
        Self { kept_max, kept_age, rows: VecDeque::new(), paths: VecDeque::new() }
    }

    /// Bytes of memory that wait.
    pub(super) fn bytes(&self) -> usize {
        self.rows.len() * size_of::<Row>() + self.paths.len()
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
        for (request, customer) in segment.requests.iter().zip(customers) {
            if request.time_nanos >= oldest_nanos {
                self.push_one(segment, request, *customer);
            }
        }
    }

    fn push_one(&mut self, segment: &SettledSegment, request: &StoredRequest, customer: CustomerIndex) {
        if self.rows.len() as u64 == self.kept_max {
            let dropped = self.rows.pop_front().expect("kept_max is not 0");
            self.paths.drain(..usize::from(dropped.path_length));
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

    /// Writes them and drops the oldest beyond the bound.
    pub(super) fn write(&mut self, connection: &Connection, customers: &Customers) -> Result<(), Fault> {
        if self.rows.is_empty() {
            return Ok(());
        }
        let mut insert = connection.prepare_cached(
            "INSERT INTO request (customer, time_nanos, status, latency_micros, path, generation)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?;
        let paths = &*self.paths.make_contiguous();
        let mut at = 0;
        for row in &self.rows {
            let path = &paths[at..at + usize::from(row.path_length)];
            at += path.len();
            let path = std::str::from_utf8(path).expect("L3: a path is UTF-8");
            insert.execute((
                customers.get(row.customer).number,
                row.time_nanos,
                row.status,
                (row.latency_micros != u64::MAX).then_some(row.latency_micros.cast_signed()),
                (!path.is_empty()).then_some(path),
                row.generation.0,
            ))?;
        }
        self.trim(connection)
    }

    /// Drops the oldest rows beyond the bound.
    pub(super) fn trim(&self, connection: &Connection) -> Result<(), Fault> {
        if self.kept_max == 0 {
            connection.prepare_cached("DELETE FROM request")?.execute([])?;
            return Ok(());
        }
        let kept = i64::try_from(self.kept_max).unwrap_or(i64::MAX);
        connection
            .prepare_cached("DELETE FROM request WHERE number <= (SELECT max(number) FROM request) - ?1")?
            .execute([kept])?;
        Ok(())
    }

    /// Drops rows that have grown too old, from the oldest on.
    pub(super) fn prune(&self, connection: &Connection, now_second: i64) -> Result<(), Fault> {
        // Rows arrive nearly in order of time: what lies before the first young row is old. An old row behind it, as in a
        // shuffled log, stays until the bound reaches it; readers look at the time anyway.
        connection
            .prepare_cached(
                "DELETE FROM request WHERE number < coalesce(
                     (SELECT number FROM request WHERE time_nanos >= ?1 ORDER BY number LIMIT 1),
                     (SELECT max(number) + 1 FROM request))",
            )?
            .execute([self.oldest_nanos(now_second)])?;
        Ok(())
    }

    /// What was written is durable.
    pub(super) fn committed(&mut self) {
        self.rows.clear();
        self.paths.clear();
    }
}
