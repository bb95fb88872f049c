//! InfluxDB with the statistics that a processor publishes out of its ledger, and with nothing else: what is answered rightly was answered from them.

use std::collections::BTreeSet;

use store::embedded::{PieceLimit, Scope, Selection, Unpublished};
use store::influx::InfluxStats;
use store::{RequestStore, Statistics};

use crate::log::Log;
use crate::subject::{Embedded, Influx, NOW_SECOND, Subject, statement};

/// So few bytes at once that a log takes many rounds.
const PIECE: PieceLimit = PieceLimit { bytes: 2000, cells: 100 };

pub(crate) struct Published {
    ledger: Embedded,
    influx: Influx,
    sources: BTreeSet<String>,
}

impl Published {
    pub(crate) async fn new() -> Published {
        let sources = BTreeSet::from(["main".to_owned()]);
        let subject = Published { ledger: Embedded::that(true), influx: Influx::new().await, sources };
        subject.say(None).await;
        subject
    }

    async fn say(&self, as_of_micros: Option<i64>) {
        let unpublished = Unpublished::open(self.ledger.folder()).expect("a ledger");
        let quarters_from_second = unpublished.state().expect("a state").quarters_from_second;
        let statistics = Statistics::Published { as_of_micros, quarters_from_second, days_from_second: 0 };
        for source in &self.sources {
            // The requests themselves are said to be older, so that it shows whose word an answer repeats.
            let owner = statement(source, as_of_micros.map(|as_of| as_of - 1), statistics);
            self.influx.store.publish_owner(&owner).await.expect("published");
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
        self.ledger.store(log).await;
        self.publish(|number| number % 3 == 1).await;
        self.publish(|_| false).await;
        assert!(self.is_all_published());
        self.say(None).await;
    }

    async fn heartbeat(&mut self, _source: &str, as_of_micros: i64) {
        self.say(Some(as_of_micros)).await;
    }

    fn reader(&self) -> InfluxStats {
        self.influx.reader()
    }
}
