//! The ledger's statistics cells against those that the files on disk make. Requests come in order of time, so that only the windows of one instant are in memory.

use std::collections::HashMap;

use stats::{Cell, WindowKind};
use store::embedded::{LedgerError, LedgerView};

use super::report::{CellDifference, Difference, Report};

/// Compares a source's cells.
pub(crate) struct CellCheck<'a> {
    view: &'a LedgerView,
    source: &'a str,
    /// Whether every line that was ever counted comes here. Else a cell may hold more than what comes.
    complete: bool,
    /// Windows before this second are not judged: the retention may have taken some of their lines.
    oldest: i64,
    open: [Option<OpenWindow>; 3],
    /// Cells that were compared.
    pub(crate) compared: u64,
    /// Cells that hold more than the files on disk, while files are gone.
    pub(crate) unjudged: u64,
}

const KINDS: [WindowKind; 3] = [WindowKind::Minute, WindowKind::Quarter, WindowKind::Day];

/// A window in the making.
#[derive(Debug)]
struct OpenWindow {
    start_second: i64,
    all: Cell,
    by_customer: HashMap<Box<str>, Cell>,
}

impl<'a> CellCheck<'a> {
    /// A check of a source's cells.
    pub(crate) fn new(view: &'a LedgerView, source: &'a str, complete: bool, oldest: i64) -> Self {
        Self { view, source, complete, oldest, open: [None, None, None], compared: 0, unjudged: 0 }
    }

    /// Takes the next request; never an earlier second than before.
    pub(crate) fn take(
        &mut self,
        second: i64,
        customer: &str,
        status: u16,
        latency_micros: Option<u64>,
        report: &mut Report,
    ) -> Result<(), LedgerError> {
        for (index, kind) in KINDS.into_iter().enumerate() {
            let start_second = kind.window_of(second).start_second;
            if self.open[index].as_ref().is_some_and(|open| open.start_second != start_second) {
                self.close(index, report)?;
            }
            let open = self.open[index].get_or_insert_with(|| OpenWindow {
                start_second,
                all: Cell::default(),
                by_customer: HashMap::new(),
            });
            open.all.observe(status, latency_micros);
            match open.by_customer.get_mut(customer) {
                Some(cell) => cell.observe(status, latency_micros),
                None => {
                    let mut cell = Cell::default();
                    cell.observe(status, latency_micros);
                    open.by_customer.insert(customer.into(), cell);
                }
            }
        }
        Ok(())
    }

    /// There are no more requests.
    pub(crate) fn finish(&mut self, report: &mut Report) -> Result<(), LedgerError> {
        (0..KINDS.len()).try_for_each(|index| self.close(index, report))
    }

    /// Compares a window that is whole.
    fn close(&mut self, index: usize, report: &mut Report) -> Result<(), LedgerError> {
        let Some(OpenWindow { start_second, all, mut by_customer }) = self.open[index].take() else {
            return Ok(());
        };
        let kind = KINDS[index];
        if start_second < self.view.cells_kept_from(kind) || start_second < self.oldest {
            return Ok(());
        }
        let mut all = Some(all);
        for stored in self.view.cells(self.source, kind, start_second)? {
            let made = match &stored.customer {
                None => all.take(),
                Some(customer) => by_customer.remove(customer.as_str()),
            };
            let (customer, made) = (stored.customer, made.unwrap_or_default());
            match stored.cell {
                Ok(cell) => self.judge(kind, start_second, customer, made, cell, report),
                Err(damage) => {
                    self.tell(kind, start_second, customer, Some(&made), None, Some(damage), report)
                }
            }
        }
        let mut missing: Vec<(Option<String>, Cell)> = all.into_iter().map(|cell| (None, cell)).collect();
        missing.extend(by_customer.into_iter().map(|(customer, cell)| (Some(customer.into()), cell)));
        missing.sort_by(|(a, _), (b, _)| a.cmp(b));
        for (customer, cell) in missing {
            self.tell(kind, start_second, customer, Some(&cell), None, None, report);
        }
        Ok(())
    }

    fn judge(
        &mut self,
        kind: WindowKind,
        start_second: i64,
        customer: Option<String>,
        made: Cell,
        stored: Cell,
        report: &mut Report,
    ) {
        if bytes_of(&made) == bytes_of(&stored) {
            self.compared += 1;
        } else if !self.complete && stored.requests > made.requests && holds(&stored, &made) {
            self.unjudged += 1;
        } else {
            self.tell(kind, start_second, customer, Some(&made), Some(&stored), None, report);
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one difference")]
    fn tell(
        &mut self,
        kind: WindowKind,
        start_second: i64,
        customer: Option<String>,
        made: Option<&Cell>,
        stored: Option<&Cell>,
        damage: Option<String>,
        report: &mut Report,
    ) {
        self.compared += 1;
        report.tell(Difference::Cell(CellDifference {
            source: self.source.to_owned(),
            window: kind,
            start_second,
            customer,
            expected: made.map(super::report::CellFigures::of).unwrap_or_default(),
            found: stored.map(super::report::CellFigures::of),
            damage,
        }));
    }
}

/// Equal cells make equal bytes.
fn bytes_of(cell: &Cell) -> Vec<u8> {
    let mut cell = cell.clone();
    cell.settle();
    let mut bytes = Vec::new();
    cell.encode(&mut bytes);
    bytes
}

/// Whether a cell can be another one and further requests.
fn holds(whole: &Cell, part: &Cell) -> bool {
    let mut part = part.clone();
    part.settle();
    let buckets: HashMap<u32, u64> = whole.histogram.buckets().into_iter().collect();
    whole.classes.iter().zip(part.classes).all(|(whole, part)| *whole >= part)
        && whole.latency_sum_micros >= part.latency_sum_micros
        && whole.latency_max_micros >= part.latency_max_micros
        && part
            .histogram
            .buckets()
            .into_iter()
            .all(|(bucket, count)| buckets.get(&bucket).is_some_and(|more| *more >= count))
}
