//! Opening a ledger that is there: everything that the processor keeps in memory, and a check that what was changed together still agrees.

use rusqlite::Connection;
use stats::{TimeRange, WindowKind};

use super::cells::ALL_CUSTOMERS;
use super::customers::Customer;
use super::fault::Fault;
use super::generations::Generations;
use super::meta::Meta;
use super::raw_kept::RawKept;
use super::sources::Sources;
use super::{LedgerOptions, LedgerTotals, cell_rows, counters, schema};

/// All windows.
const EVER: TimeRange = TimeRange { from_second: i64::MIN, to_second: i64::MAX };

/// What is read when a ledger is opened.
pub(super) struct Loaded {
    pub(super) meta: Meta,
    pub(super) sources: Sources,
    pub(super) generations: Generations,
    pub(super) totals: LedgerTotals,
    pub(super) raw_kept: RawKept,
}

impl Loaded {
    /// Reads it, and checks that what was changed together still agrees.
    pub(super) fn read(
        connection: &Connection,
        options: &LedgerOptions,
        now_second: i64,
    ) -> Result<Self, Fault> {
        // Rows are looked up by their indexes from now on. The tables of which there is much are looked at by `check_cells`.
        for table in ["meta", "source", "generation", "counter", "customer"] {
            schema::check_structure(connection, Some(table))?;
        }
        let mut sources = Sources::read(connection)?;
        let generations = Generations::read(connection, &mut sources)?;
        let totals = counters::read(connection)?;
        let of_customers = Customer::sum_of_requests(connection)?;
        let mut of_days = 0;
        cell_rows::for_each(connection, WindowKind::Day, EVER, ALL_CUSTOMERS, |_, cell| {
            of_days += cell.requests
        })?;
        if of_customers != of_days || of_days > totals.lines_stored + totals.rebuilt_requests {
            return Err(Fault::Damaged(format!(
                "{} lines were stored, {} requests were added by a rebuild, its customers have {of_customers} requests together, and its days have {of_days}",
                totals.lines_stored, totals.rebuilt_requests
            )));
        }
        let meta = match Meta::read(connection)? {
            Some(meta) => meta,
            None if generations.records().next().is_some() => {
                return Err(Fault::Damaged("its own row is missing".to_owned()));
            }
            None => {
                let meta = Meta::create(connection, now_second, options.retention)?;
                meta.write(connection)?;
                meta
            }
        };
        Ok(Self { meta, sources, generations, totals, raw_kept: RawKept::read(connection)? })
    }
}
