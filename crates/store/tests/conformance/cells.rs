//! InfluxDB with the statistics that a processor publishes out of its ledger: with nothing else, so that what is answered rightly was answered from them, or with the requests too, as in
//! life. And which of the two an answer is made of.

use std::collections::{BTreeMap, BTreeSet};

use stats::TimeRange;
use store::embedded::{PieceLimit, Scope, Selection, Unpublished};
use store::influx::InfluxStats;
use store::{Cells, CellsQuery, Method, RequestStore, Statistics, StatsStore, Table, TableQuery};

use crate::cases::{ALL_TIME, CUSTOMERS, range};
use crate::log::{DAY, DAY_0, Log, Request};
use crate::questions::{PERCENTILES, counted, newcomers, of, stored, within};
use crate::subject::{Embedded, Influx, NOW_SECOND, Subject, statement};

/// So few bytes at once that a log takes many rounds.
const PIECE: PieceLimit = PieceLimit { bytes: 2000, cells: 100 };

pub(crate) struct Published {
    ledger: Embedded,
    influx: Influx,
    stores_requests: bool,
    sources: BTreeSet<String>,
}

impl Published {
    /// Only the statistics.
    pub(crate) async fn new() -> Published {
        Published::that(false).await
    }

    /// The requests, too.
    pub(crate) async fn with_requests() -> Published {
        Published::that(true).await
    }

    async fn that(stores_requests: bool) -> Published {
        let sources = BTreeSet::from(["main".to_owned()]);
        let influx = Influx::new().await;
        let subject = Published { ledger: Embedded::that(true), influx, stores_requests, sources };
        subject.say(None).await;
        subject
    }

    /// What the processor says its statistics are worth.
    async fn say_statistics(&self, statistics: Statistics) {
        for source in &self.sources {
            let owner = statement(source, Some(NOW_SECOND * 1_000_000), statistics);
            self.influx.store.publish_owners(std::slice::from_ref(&owner)).await.expect("published");
        }
    }

    async fn say(&self, as_of_micros: Option<i64>) {
        let unpublished = Unpublished::open(self.ledger.folder()).expect("a ledger");
        let quarters_from_second = unpublished.state().expect("a state").quarters_from_second;
        let statistics = Statistics::Published { as_of_micros, quarters_from_second, days_from_second: 0 };
        for source in &self.sources {
            // The requests themselves are said to be older, so that it shows whose word an answer repeats.
            let owner = statement(source, as_of_micros.map(|as_of| as_of - 1), statistics);
            self.influx.store.publish_owners(std::slice::from_ref(&owner)).await.expect("published");
        }
    }

    /// Publishes what is marked; of some pieces the mark is not taken, as if the processor had died after the store had answered.
    async fn publish(&mut self, dies: impl Fn(usize) -> bool) {
        let unpublished = Unpublished::open(self.ledger.folder()).expect("a ledger");
        let selection = Selection { sent: self.sources.iter().cloned().collect(), ..Selection::default() };
        for scope in [Scope::Older(NOW_SECOND), Scope::Current(NOW_SECOND)] {
            let (mut after, mut number) = (None, 0);
            loop {
                let found = unpublished.read(scope, after, &selection, PIECE).expect("cells");
                self.influx.store.publish_statistics(&found.cells).await.expect("published");
                if !dies(number) {
                    self.ledger.ledger().clear_published(&found.to_clear).expect("cleared");
                }
                number += 1;
                after = found.next;
                if after.is_none() {
                    break;
                }
            }
        }
    }

    fn is_all_published(&mut self) -> bool {
        let commit = self.ledger.ledger().commit_number();
        let unpublished = Unpublished::open(self.ledger.folder()).expect("a ledger");
        unpublished.is_published_through(commit).expect("an answer")
    }
}

impl Subject for Published {
    type Reader = InfluxStats;

    async fn store(&mut self, log: &Log) {
        self.sources.insert(log.source.clone());
        if self.stores_requests {
            self.influx.store(log).await;
        }
        self.ledger.store(log).await;
        self.publish(|number| number % 3 == 1).await;
        self.publish(|_| false).await;
        assert!(self.is_all_published());
        self.say(Some(NOW_SECOND * 1_000_000)).await;
    }

    async fn heartbeat(&mut self, _source: &str, as_of_micros: i64) {
        self.say(Some(as_of_micros)).await;
    }

    fn reader(&self) -> InfluxStats {
        self.influx.reader()
    }
}

/// Bounds of stretches of one length.
fn grid(range: TimeRange, seconds: i64) -> Vec<i64> {
    (0..=(range.to_second - range.from_second) / seconds).map(|n| range.from_second + n * seconds).collect()
}

async fn ask_cells(reader: &InfluxStats, customer: Option<&str>, bounds: &[i64]) -> Cells {
    let query = CellsQuery { customer: customer.map(str::to_owned), bounds: bounds.to_vec() };
    reader.cells(&query).await.expect("an answer")
}

async fn ask_table(reader: &InfluxStats, range: TimeRange) -> Table {
    reader
        .table(&TableQuery { range, percentiles: PERCENTILES.to_vec(), newcomers: true })
        .await
        .expect("an answer")
}

fn assert_cells(answer: &Cells, stored: &[Request], customer: Option<&str>, bounds: &[i64]) {
    assert_eq!(answer.cells.len(), bounds.len() - 1);
    for (stretch, cell) in bounds.windows(2).zip(&answer.cells) {
        let expected =
            counted(stored.iter().filter(of(customer)).filter(within(range(stretch[0], stretch[1]))));
        assert_eq!(*cell, expected, "{customer:?} {stretch:?}");
    }
}

fn assert_table(answer: &Table, stored: &[Request], range: TimeRange) {
    assert_eq!(answer.newcomers, Some(newcomers(stored, range)), "{range:?}");
    let mut expected = BTreeMap::<&str, Vec<&Request>>::new();
    for request in stored.iter().filter(within(range)) {
        expected.entry(&request.customer).or_default().push(request);
    }
    let found: Vec<_> = answer.rows.iter().map(|row| (row.id.as_str(), &row.measures)).collect();
    let measures: Vec<_> =
        expected.values().map(|requests| counted(requests.iter().copied()).measures(&PERCENTILES)).collect();
    assert_eq!(found, expected.keys().copied().zip(&measures).collect::<Vec<_>>(), "{range:?}");
}

pub(crate) async fn series_and_tables_are_made_of_cells(mut subject: Published) {
    let stored = stored(&mut subject).await;
    let reader = subject.reader();
    let nine_days = range(DAY_0, DAY_0 + 9 * DAY);
    // A clock of another zone: its days are quarter-hours here.
    let zoned = range(DAY_0 - 7200, DAY_0 + 9 * DAY - 7200);
    for customer in CUSTOMERS {
        for (range, seconds) in
            [(nine_days, 900), (nine_days, 3600), (nine_days, DAY), (zoned, DAY), (ALL_TIME, 40 * DAY)]
        {
            let bounds = grid(range, seconds);
            let answer = ask_cells(&reader, customer, &bounds).await;
            assert_eq!(answer.method, Method::Cells, "{customer:?} {range:?} by {seconds}");
            assert_cells(&answer, &stored, customer, &bounds);
        }
    }
    for range in [nine_days, zoned, ALL_TIME, range(DAY_0 + DAY - 900, DAY_0 + DAY + 900)] {
        let answer = ask_table(&reader, range).await;
        assert_eq!(answer.method, Method::Cells);
        assert_table(&answer, &stored, range);
    }
    assert_eq!(reader.raw_questions(), 0);
}

pub(crate) async fn what_is_no_quarter_hour_is_told_by_the_requests(mut subject: Published) {
    let stored = stored(&mut subject).await;
    let reader = subject.reader();
    let mut asked = 0;
    for bounds in [
        grid(range(DAY_0 + DAY - 600, DAY_0 + DAY + 600), 60),
        vec![DAY_0, DAY_0 + DAY, DAY_0 + DAY + 899],
        vec![DAY_0 + 1, DAY_0 + 900, DAY_0 + 9 * DAY],
        vec![DAY_0, DAY_0 + 4 * DAY + 60, DAY_0 + 9 * DAY],
    ] {
        let whole = range(bounds[0], *bounds.last().expect("some"));
        let answer = ask_cells(&reader, Some("cust_1"), &bounds).await;
        assert_eq!(answer.method, Method::Raw, "{bounds:?}");
        assert_cells(&answer, &stored, Some("cust_1"), &bounds);
        // The last one ends within a quarter-hour, too.
        let table = ask_table(&reader, range(whole.from_second, whole.to_second - 30)).await;
        assert_eq!(table.method, Method::Raw, "{whole:?}");
        assert_table(&table, &stored, range(whole.from_second, whole.to_second - 30));
        asked += 2;
        assert_eq!(reader.raw_questions(), asked);
    }
}

pub(crate) async fn statistics_that_do_not_hold_everything_tell_nothing(mut subject: Published) {
    let stored = stored(&mut subject).await;
    let (quarters, days) =
        (grid(range(DAY_0, DAY_0 + 9 * DAY), 900), grid(range(DAY_0, DAY_0 + 9 * DAY), DAY));
    let published = |quarters_from_second, days_from_second| Statistics::Published {
        as_of_micros: Some(NOW_SECOND * 1_000_000),
        quarters_from_second,
        days_from_second,
    };
    let (raw, cells) = (Method::Raw, Method::Cells);
    for (said, of_quarters, of_days) in [
        (published(0, 0), cells, cells),
        (Statistics::Incomplete, raw, raw),
        (Statistics::NeedRebuild, raw, raw),
        (published(DAY_0 + 3 * DAY, 0), raw, cells),
        (published(0, DAY_0 + DAY), raw, raw),
        (published(DAY_0, DAY_0), cells, cells),
    ] {
        subject.say_statistics(said).await;
        // One that has not heard what was said before.
        let reader = subject.reader();
        for (bounds, expected) in [(&quarters, of_quarters), (&days, of_days)] {
            let answer = ask_cells(&reader, None, bounds).await;
            assert_eq!(answer.method, expected, "{said:?}");
            assert_cells(&answer, &stored, None, bounds);
        }
        let (by_quarters, by_days) = (range(DAY_0 + 900, DAY_0 + 9 * DAY), range(DAY_0, DAY_0 + 9 * DAY));
        for (range, expected) in [(by_quarters, of_quarters), (by_days, of_days)] {
            let answer = ask_table(&reader, range).await;
            assert_eq!(answer.method, expected, "{said:?}");
            assert_table(&answer, &stored, range);
        }
        let raws = [of_quarters, of_days].iter().filter(|method| **method == raw).count() as u64;
        assert_eq!(reader.raw_questions(), 2 * raws, "{said:?}");
    }
}
