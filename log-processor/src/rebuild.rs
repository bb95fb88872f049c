//! The ledger's cells made again from the requests that the store holds: for a source of which another ledger has counted a part, or another program has stored some. The store is only read here; what goes
//! into the ledger goes in one transaction for each source, so a rebuild that ends early has changed nothing of it. Publishing is the next run's.

use std::fmt;

use stats::{Cell, SECONDS_PER_DAY, WindowKind, day_of};
use store::embedded::{Ledger, LedgerError, Rebuild};
use store::influx::{CellsOfCustomers, InfluxRequests};
use store::{RequestStore as _, Trouble};
use tokio_util::sync::CancellationToken;

/// So much is asked for at once, in seconds, at first and at least.
const STRETCH_SECONDS: i64 = 3600;
/// Longer stretches are asked for while the cells of one are fewer than that: they are in memory, some hundred bytes each.
const FEW_CELLS: usize = 10_000;

/// What was made again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rebuilt {
    /// By source: the requests that its days had in the ledger, and have now, and on how many days.
    pub sources: Vec<(String, u64, u64, u64)>,
}

impl fmt::Display for Rebuilt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (source, before, after, days) in &self.sources {
            writeln!(
                f,
                "source `{source}`: {after} requests on {days} days were counted again, in the place of {before}"
            )?;
        }
        Ok(())
    }
}

/// Why it was not done.
#[derive(Debug, thiserror::Error)]
pub enum CannotRebuild {
    /// The store.
    #[error("the store cannot be read: {0}; the statistics of this source are as they were, run it again")]
    Store(#[from] Trouble),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// It was told to stop.
    #[error("stopped; the statistics of this source are as they were, run it again")]
    Stopped,
}

/// Makes the cells of some sources again. Everything that the ledger has read is settled, and no processor runs.
pub async fn rebuild(
    ledger: &mut Ledger,
    store: &InfluxRequests,
    sources: &[String],
    now_second: i64,
    stop: &CancellationToken,
) -> Result<Rebuilt, CannotRebuild> {
    let mut rebuilt = Rebuilt::default();
    let keeps = store.keeps_for().await?.map(|keeps| i64::try_from(keeps.as_secs()).unwrap_or(i64::MAX));
    let dropped_before = keeps.map_or(i64::MIN, |keeps| now_second.saturating_sub(keeps));
    for source in sources {
        let Some((first, last)) = store.stored_span(source, i64::MIN).await? else { continue };
        let Some(cells) = ledger.rebuild(source)? else { continue };
        let mut work = Work { cells, store, source, stop, stretch_seconds: STRETCH_SECONDS, days: 0 };
        // What the retention has dropped of the ledger is not brought back.
        let mut day_second = day_of(first).max(work.cells.kept_from_second());
        // The day whose first requests the store may have dropped already.
        if day_second < dropped_before && work.is_dropped_in_part(day_second).await? {
            tracing::warn!(
                source,
                day_second,
                "the store has dropped a part of the first day that it has: the statistics of that day stay as they are"
            );
            day_second += SECONDS_PER_DAY;
        }
        while day_second <= last {
            let next_second = day_second + SECONDS_PER_DAY;
            // Where there is nothing, the next request is looked for: it may be years away.
            let goes_on = match work.day(day_second).await? {
                true => next_second,
                false => {
                    store.stored_span(source, next_second).await?.map_or(i64::MAX, |(next, _)| day_of(next))
                }
            };
            while day_second + SECONDS_PER_DAY < goes_on.min(last) {
                day_second += SECONDS_PER_DAY;
                work.cells.end_day(day_second)?;
            }
            day_second = goes_on;
        }
        let days = work.days;
        let (before, after) = work.cells.commit()?;
        rebuilt.sources.push((source.clone(), before, after, days));
    }
    Ok(rebuilt)
}

/// One source at work.
struct Work<'a> {
    cells: Rebuild<'a>,
    store: &'a InfluxRequests,
    source: &'a str,
    stop: &'a CancellationToken,
    stretch_seconds: i64,
    days: u64,
}

impl Work<'_> {
    /// Whether the store holds less of its first day than the ledger has counted: its retention has begun to drop it, so the cells stay.
    async fn is_dropped_in_part(&self, day_second: i64) -> Result<bool, CannotRebuild> {
        let counted = self.cells.requests_of_day(day_second)?;
        if counted == 0 {
            return Ok(false);
        }
        let mut stored = 0;
        for stretch in stretches(day_second, STRETCH_SECONDS) {
            let windows = self.store.recount(self.source, stretch, false).await?;
            let customers = windows.quarters.values().flat_map(CellsOfCustomers::values);
            stored += customers.map(|counted| counted.cell.requests).sum::<u64>();
        }
        Ok(stored < counted)
    }

    /// One day; whether it has any request.
    async fn day(&mut self, day_second: i64) -> Result<bool, CannotRebuild> {
        let (mut of_day, mut most_cells) = (CellsOfCustomers::new(), 0);
        for (from, to) in stretches(day_second, self.stretch_seconds) {
            if self.stop.is_cancelled() {
                return Err(CannotRebuild::Stopped);
            }
            let minutes = self.cells.is_kept(WindowKind::Minute, to - WindowKind::Minute.seconds());
            let windows = self.store.recount(self.source, (from, to), minutes).await?;
            let all_windows = windows.minutes.values().chain(windows.quarters.values());
            most_cells = all_windows.map(CellsOfCustomers::len).sum::<usize>().max(most_cells);
            for (second, customers) in &windows.minutes {
                self.put(WindowKind::Minute, *second, customers)?;
            }
            for (second, customers) in &windows.quarters {
                self.put(WindowKind::Quarter, *second, customers)?;
                for (customer, counted) in customers {
                    match of_day.get_mut(customer) {
                        Some(sum) => sum.merge(counted),
                        None => drop(of_day.insert(customer.clone(), counted.clone())),
                    }
                }
            }
        }
        self.stretch_seconds = match most_cells {
            0..FEW_CELLS => SECONDS_PER_DAY.min(self.stretch_seconds * 2),
            _ => STRETCH_SECONDS,
        };
        of_day.values_mut().for_each(|counted| counted.cell.settle());
        self.days += u64::from(!of_day.is_empty());
        self.put(WindowKind::Day, day_second, &of_day)?;
        self.cells.end_day(day_second)?;
        Ok(!of_day.is_empty())
    }

    /// Puts the cells of a window's customers, and of all together.
    fn put(
        &mut self,
        kind: WindowKind,
        second: i64,
        customers: &CellsOfCustomers,
    ) -> Result<(), LedgerError> {
        if customers.is_empty() || !self.cells.is_kept(kind, second) {
            return Ok(());
        }
        let mut all = Cell::default();
        for counted in customers.values() {
            all.merge(&counted.cell);
        }
        all.settle();
        self.cells.put(kind, second, None, &all)?;
        customers.iter().try_for_each(|(customer, counted)| {
            self.cells.put(kind, second, Some((customer, counted.last_second)), &counted.cell)
        })
    }
}

/// The stretches of a day.
fn stretches(day_second: i64, seconds: i64) -> impl Iterator<Item = (i64, i64)> {
    let starts = (0..).map(move |number| number * seconds).take_while(|start| *start < SECONDS_PER_DAY);
    starts.map(move |start| (day_second + start, day_second + SECONDS_PER_DAY.min(start + seconds)))
}
