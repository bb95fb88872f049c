//! The ledger's one row about itself: its id, the commit number, how fresh it is, from when on windows are kept.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension};
use stats::{SECONDS_PER_DAY, WindowKind, first_kept_second};

use super::cells::CustomerNumber;
use super::checksum::Checksum;
use super::fault::Fault;

/// How long minutes are kept, in seconds.
const MINUTES_KEPT_SECONDS: i64 = 48 * 3_600;
/// How long quarter-hours are kept, in seconds.
const QUARTERS_KEPT_SECONDS: i64 = 90 * SECONDS_PER_DAY;

/// From which second on windows of each kind are kept. A window at or after its mark is complete; the marks only grow, in the
/// transaction that drops what lies before them. `minutes >= quarters >= days`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct KeptFrom {
    pub(super) minutes: i64,
    pub(super) quarters: i64,
    pub(super) days: i64,
}

impl KeptFrom {
    /// The marks at an instant.
    pub(super) fn at(now_second: i64, retention: Option<Duration>) -> Self {
        let days = first_kept_second(now_second, retention);
        let first = |kind: WindowKind, kept: i64| kind.window_of(now_second - kept).start_second.max(days);
        Self {
            minutes: first(WindowKind::Minute, MINUTES_KEPT_SECONDS),
            quarters: first(WindowKind::Quarter, QUARTERS_KEPT_SECONDS),
            days,
        }
    }

    /// The later of two marks, kind by kind.
    pub(super) fn max(self, other: Self) -> Self {
        Self {
            minutes: self.minutes.max(other.minutes),
            quarters: self.quarters.max(other.quarters),
            days: self.days.max(other.days),
        }
    }

    /// From which second on cells of a kind are written. Days always are: one that is too old goes with the next look at the retention,
    /// which then takes its requests from their customers as well.
    pub(super) fn first_of(&self, kind: WindowKind) -> i64 {
        match kind {
            WindowKind::Minute => self.minutes,
            WindowKind::Quarter => self.quarters,
            WindowKind::Day => i64::MIN,
        }
    }
}

/// The row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Meta {
    pub(super) ledger_id: String,
    pub(super) created_second: i64,
    pub(super) commit_number: i64,
    pub(super) as_of_micros: Option<i64>,
    pub(super) kept_from: KeptFrom,
    /// Numbers of customers are never given twice, even after a customer was dropped by the retention.
    pub(super) next_customer: CustomerNumber,
}

impl Meta {
    /// A new ledger's row, with a new id.
    pub(super) fn create(
        connection: &Connection,
        now_second: i64,
        retention: Option<Duration>,
    ) -> Result<Self, Fault> {
        let ledger_id = connection.query_row("SELECT lower(hex(randomblob(16)))", [], |row| row.get(0))?;
        Ok(Self {
            ledger_id,
            created_second: now_second,
            commit_number: 0,
            as_of_micros: None,
            kept_from: KeptFrom::at(now_second, retention),
            next_customer: 1,
        })
    }

    fn checksum(&self) -> i64 {
        Checksum::of("meta")
            .bytes(self.ledger_id.as_bytes())
            .integer(self.created_second)
            .integer(self.commit_number)
            .optional(self.as_of_micros)
            .integer(self.kept_from.minutes)
            .integer(self.kept_from.quarters)
            .integer(self.kept_from.days)
            .integer(i64::from(self.next_customer))
            .finish()
    }

    /// Reads the row; none in a ledger that was never committed to.
    pub(super) fn read(connection: &Connection) -> Result<Option<Self>, Fault> {
        let mut statement = connection.prepare_cached(
            "SELECT ledger_id, created_second, commit_number, as_of_micros, minutes_from_second,
                    quarters_from_second, days_from_second, next_customer, checksum
             FROM meta WHERE one = 1",
        )?;
        let row = statement
            .query_row([], |row| {
                let meta = Meta {
                    ledger_id: row.get(0)?,
                    created_second: row.get(1)?,
                    commit_number: row.get(2)?,
                    as_of_micros: row.get(3)?,
                    kept_from: KeptFrom { minutes: row.get(4)?, quarters: row.get(5)?, days: row.get(6)? },
                    next_customer: row.get(7)?,
                };
                Ok((meta, row.get::<_, i64>(8)?))
            })
            .optional()?;
        match row {
            Some((meta, checksum)) if meta.checksum() == checksum => Ok(Some(meta)),
            Some((meta, _)) => {
                Err(Fault::Damaged(format!("the ledger's own row (commit {})", meta.commit_number)))
            }
            None => Ok(None),
        }
    }

    /// Writes the row.
    pub(super) fn write(&self, connection: &Connection) -> Result<(), Fault> {
        let mut statement = connection.prepare_cached(
            "INSERT OR REPLACE INTO meta (one, ledger_id, created_second, commit_number, as_of_micros,
                 minutes_from_second, quarters_from_second, days_from_second, next_customer, checksum)
             VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?;
        statement.execute((
            &self.ledger_id,
            self.created_second,
            self.commit_number,
            self.as_of_micros,
            self.kept_from.minutes,
            self.kept_from.quarters,
            self.kept_from.days,
            self.next_customer,
            self.checksum(),
        ))?;
        Ok(())
    }
}
