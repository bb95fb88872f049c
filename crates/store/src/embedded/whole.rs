//! A range as a whole, and how many of its minutes had traffic and were up. Read from quarter-hours; the minutes of one are read again only when it has changed since they were
//! counted: every request of a minute is also counted in its quarter-hour, in the same commit. So an answer of a day looks for a hundred windows and not for fifteen hundred, and is as
//! exact: a late line changes its quarter-hour, however old that is.

use std::sync::{Mutex, PoisonError};

use rusqlite::Connection;
use stats::{Cell, Minutes, TimeRange, WindowKind};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use super::cell_rows;
use super::cells::{ALL_CUSTOMERS, CustomerNumber};
use super::customers::Customer;
use super::fault::Fault;
use super::meta::Meta;
use super::questions::{any_customer, kept, tiled};
use super::reader::freshness;
use crate::{Method, Whole, WholeQuery};

/// So many quarter-hours of customers are remembered, in 4 MiB: a day of 2,700 customers who never rest, or of many more who do.
const REMEMBERED: usize = 1 << 18;

/// A quarter-hour by what it says, and its minutes.
#[derive(Clone, Copy, Debug, Default)]
struct Remembered {
    fingerprint: u64,
    with_traffic: u8,
    up: u8,
}

/// Minutes of quarter-hours as they were counted. Each has one place; what comes to it later takes it.
#[derive(Debug, Default)]
pub(super) struct KnownMinutes {
    /// Empty until the first is remembered.
    places: Mutex<Vec<Remembered>>,
}

impl KnownMinutes {
    fn get(&self, fingerprint: u64) -> Option<Minutes> {
        let places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let found = places.get(place(fingerprint))?;
        (found.fingerprint == fingerprint)
            .then(|| Minutes { with_traffic: found.with_traffic.into(), up: found.up.into() })
    }

    fn put(&self, fingerprint: u64, minutes: Minutes) {
        let narrow = |count: u64| u8::try_from(count).expect("a quarter-hour has fifteen minutes");
        let (with_traffic, up) = (narrow(minutes.with_traffic), narrow(minutes.up));
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        if places.is_empty() {
            places.resize(REMEMBERED, Remembered::default());
        }
        places[place(fingerprint)] = Remembered { fingerprint, with_traffic, up };
    }
}

fn place(fingerprint: u64) -> usize {
    usize::try_from(fingerprint % REMEMBERED as u64).expect("there are not that many places")
}

/// A range as a whole.
pub(super) fn whole(
    connection: &Connection,
    meta: &Meta,
    query: &WholeQuery,
    known: &KnownMinutes,
) -> Result<Whole, Fault> {
    let runs = tiled(connection, meta, query.range)?;
    if query.by_minutes && query.range.from_second < meta.kept_from.minutes {
        let second = query.range.from_second;
        return Err(Fault::NotKept(stats::NotKept { second, kind: kept(meta).finest_at(second) }));
    }
    let customer = match &query.customer {
        None => any_customer(connection)?.then_some(ALL_CUSTOMERS),
        Some(id) => Customer::read(connection, id)?.map(|customer| customer.number),
    };
    let mut of = OfOne { connection, customer: customer.unwrap_or_default(), cell: Cell::default() };
    let mut minutes = Minutes::default();
    for (kind, from_second, to_second) in runs.into_iter().filter(|_| customer.is_some()) {
        let windows = TimeRange { from_second, to_second };
        if !query.by_minutes {
            of.add(kind, windows)?;
        } else if kind == WindowKind::Minute {
            minutes.add(of.add_minutes(windows)?);
        } else {
            minutes.add(of.add_quarters(windows, &meta.ledger_id, known)?);
        }
    }
    Ok(Whole {
        cell: of.cell,
        minutes: query.by_minutes.then_some(minutes),
        known: customer.is_some(),
        method: Method::Cells,
        freshness: freshness(meta),
    })
}

/// One customer, or all together, and what was read of them.
struct OfOne<'a> {
    connection: &'a Connection,
    customer: CustomerNumber,
    cell: Cell,
}

impl OfOne<'_> {
    fn add(&mut self, kind: WindowKind, windows: TimeRange) -> Result<(), Fault> {
        cell_rows::for_each(self.connection, kind, windows, self.customer, |_, cell| self.cell.merge(&cell))
    }

    /// Adds windows minute by minute.
    fn add_minutes(&mut self, windows: TimeRange) -> Result<Minutes, Fault> {
        let (mut minutes, mut open) = (Minutes::default(), (i64::MIN, Cell::default()));
        cell_rows::for_each(self.connection, WindowKind::Minute, windows, self.customer, |start, cell| {
            self.cell.merge(&cell);
            // The cells of several sources are one minute.
            if open.0 != start {
                minutes.count(&open.1);
                open = (start, cell);
            } else {
                open.1.merge(&cell);
            }
        })?;
        minutes.count(&open.1);
        Ok(minutes)
    }

    /// Adds whole quarter-hours.
    fn add_quarters(
        &mut self,
        windows: TimeRange,
        ledger_id: &str,
        known: &KnownMinutes,
    ) -> Result<Minutes, Fault> {
        let mut quarters: Vec<Quarter> = Vec::new();
        let kind = WindowKind::Quarter;
        let ledger = xxh3_64(ledger_id.as_bytes());
        cell_rows::for_each_with_checksum(
            self.connection,
            kind,
            windows,
            self.customer,
            |start, cell, checksum| {
                let fingerprint =
                    |before: u64| xxh3_64_with_seed(&checksum.to_le_bytes(), before.rotate_left(1));
                match quarters.last_mut().filter(|quarter| quarter.start_second == start) {
                    Some(quarter) => quarter.fingerprint = fingerprint(quarter.fingerprint),
                    None => quarters.push(Quarter { start_second: start, fingerprint: fingerprint(ledger) }),
                }
                self.cell.merge(&cell);
            },
        )?;
        let mut minutes = Minutes::default();
        for quarter in quarters {
            let of_quarter = match known.get(quarter.fingerprint) {
                Some(found) => found,
                None => {
                    let found = self.minutes_of(quarter)?;
                    known.put(quarter.fingerprint, found);
                    found
                }
            };
            minutes.add(of_quarter);
        }
        Ok(minutes)
    }

    fn minutes_of(&self, quarter: Quarter) -> Result<Minutes, Fault> {
        let windows = WindowKind::Quarter.window_of(quarter.start_second).range();
        let mut again = OfOne { cell: Cell::default(), ..*self };
        again.add_minutes(windows)
    }
}

/// A quarter-hour in which the customer has requests, and what its rows say: their checksums, which cover customer, time and content, and whose ledger it is.
#[derive(Clone, Copy, Debug)]
struct Quarter {
    start_second: i64,
    fingerprint: u64,
}
