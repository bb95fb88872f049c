//! The store: InfluxDB as far as it matters here. A point takes the place of one of the same source, customer, success and time. Answers get lost, come late and in any
//! order; some bodies are too large; some lines are refused. The journal of starts is durable at once.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use store::influx::{InfluxConfig, InfluxRequests};
use store::{
    AcknowledgedRequest, KeyStart, Owner, PlacedRequest, RequestStore, StatisticsCell, StoredGeneration,
    Trouble,
};

use super::world::{Sim, World, violated};
use crate::tail::ports::{Ended, Journal};

/// The store that the workers see.
#[derive(Debug)]
pub(super) struct SimStore(pub(super) Sim);

/// The real encoder: nothing is ever sent with it.
fn encoder() -> &'static InfluxRequests {
    static ENCODER: OnceLock<InfluxRequests> = OnceLock::new();
    ENCODER.get_or_init(|| {
        let config = InfluxConfig::new("http://127.0.0.1:9", "org", "bucket", "token").expect("well-formed");
        InfluxRequests::new(config).expect("it can be made")
    })
}

/// Comes back to the caller so many times before it goes on.
pub(super) struct Yield(pub(super) u64);

impl Future for Yield {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if self.0 == 0 {
            return Poll::Ready(());
        }
        self.0 -= 1;
        Poll::Pending
    }
}

impl RequestStore for SimStore {
    async fn prepare(&self) -> Result<(), Trouble> {
        Ok(())
    }

    fn encode(&self, request: &PlacedRequest<'_>, body: &mut Vec<u8>) {
        if !self.0.world().plan.embedded {
            encoder().encode(request, body);
        }
    }

    async fn write(&self, body: Bytes) -> Result<(), Trouble> {
        let on_the_way = self.0.world().chance.below(4);
        Yield(on_the_way).await;
        self.0.step(format_args!("a body of {} bytes reaches the store", body.len()));
        let answer = self.0.world().take_body(&body);
        self.0.step(format_args!("the store answers {answer:?}"));
        let on_the_way = self.0.world().chance.below(4);
        Yield(on_the_way).await;
        answer
    }

    async fn generations(&self, _source: &str) -> Result<Vec<StoredGeneration>, Trouble> {
        unreachable!("asked through the journal")
    }

    async fn register_generation(&self, _generation: &StoredGeneration) -> Result<(), Trouble> {
        unreachable!("asked through the journal")
    }

    async fn owner(&self, _source: &str) -> Result<Option<Owner>, Trouble> {
        unreachable!("nobody asks here")
    }

    async fn publish_owners(&self, _owners: &[Owner]) -> Result<(), Trouble> {
        unreachable!("nobody asks here")
    }

    async fn reads_back(&self, _request: &AcknowledgedRequest) -> Result<bool, Trouble> {
        unreachable!("nobody asks here")
    }

    async fn statements(&self, _source: &str, _from: i64, _to: i64) -> Result<Vec<Owner>, Trouble> {
        unreachable!("nobody asks here")
    }

    async fn has_requests(&self, _source: &str) -> Result<bool, Trouble> {
        unreachable!("nobody asks here")
    }

    async fn publish_statistics(&self, _cells: &[StatisticsCell]) -> Result<(), Trouble> {
        unreachable!("nobody publishes here")
    }

    fn remembers(&self) -> bool {
        true
    }

    async fn keeps_for(&self) -> Result<Option<Duration>, Trouble> {
        unreachable!("nobody asks here")
    }

    fn describe(&self) -> String {
        "a store in memory".to_owned()
    }
}

/// The customer in a series: the value of its first tag, since tags go in the order of their names.
fn customer_of(series: &str) -> &str {
    series.split(',').nth(1).and_then(|tag| tag.split_once('=')).map_or("", |(_, value)| value)
}

impl World {
    fn take_body(&mut self, body: &[u8]) -> Result<(), Trouble> {
        let text = std::str::from_utf8(body).expect("line protocol is text");
        let lines: Vec<&str> = text.lines().collect();
        let away = |why: &str| Err(Trouble::TryLater { why: why.to_owned(), after: None });
        if self.chance.percent(self.plan.away_percent) || self.outage.is_some() {
            return away("503");
        }
        if lines.len() > self.plan.body_lines_max {
            return Err(Trouble::TooLarge { why: "413".to_owned() });
        }
        let refused = lines.iter().any(|line| line.contains("poison"));
        let proxy = self.plan.proxy_mood_percent.filter(|_| !self.quiet);
        if proxy.is_some_and(|percent| refused || self.chance.percent(percent)) {
            let (why, fix) = ("<html>400".to_owned(), "look at the proxy".to_owned());
            return Err(Trouble::Unexplained { why, fix });
        }
        // A refused body may have been stored in part.
        let stores = !refused || self.chance.percent(50);
        for line in lines.iter().filter(|line| stores && !line.contains("poison")) {
            self.store_point(line);
        }
        if refused {
            return Err(Trouble::Refused { why: "400".to_owned() });
        }
        if self.chance.percent(self.plan.lost_ack_percent) {
            return away("the answer was lost");
        }
        Ok(())
    }

    fn store_point(&mut self, line: &str) {
        let mut parts = line.split(' ');
        let (Some(series), Some(fields), Some(time)) = (parts.next(), parts.next(), parts.next()) else {
            violated("X1", format!("no line protocol: {line:?}"));
        };
        let value = |name: &str| {
            let mut tags = series.split(',').filter_map(|tag| tag.split_once('='));
            tags.find(|(tag, _)| *tag == name).map_or("", |(_, value)| value)
        };
        let path =
            fields.split("request_path=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or("");
        let customer = customer_of(series);
        let id = self.oracle.by_path(path, customer);
        let source = if value("source").is_empty() { "main" } else { value("source") };
        let key = (format!("{source} {customer}"), time.parse().expect("a number"));
        if let Some(other) = self.points.insert(key.clone(), id).filter(|other| *other != id) {
            violated("X1", format!("line {id} takes the place of line {other} in the store: {key:?}"));
        }
        let points = self.points.values().filter(|other| **other == id).count();
        let line = &self.oracle.lines[id as usize];
        if points > line.written as usize + usize::from(line.torn) {
            violated(
                "X1",
                format!("line {id} is in the store {points} times and was written {} times", line.written),
            );
        }
    }

    /// Whether a line is in the store.
    pub(super) fn holds(&self, source: &str, customer: &str, time_nanos: i64, id: u32) -> bool {
        self.points.get(&(format!("{source} {customer}"), time_nanos)) == Some(&id)
    }
}

/// The journal of starts.
#[derive(Debug)]
pub(super) struct SimJournal(pub(super) Sim);

impl Journal for SimJournal {
    fn generations(&self, source: &str) -> Result<Vec<StoredGeneration>, Ended> {
        self.0.step(format_args!("the journal is read"));
        let world = self.0.world();
        if world.plan.embedded {
            return Ok(Vec::new());
        }
        let of_source = world.journal.iter().filter(|((of, ..), _)| of == source);
        let stored = of_source.map(|((source, head, start), second)| StoredGeneration {
            source: source.clone(),
            head: head.clone(),
            start: *start,
            first_seen_second: *second,
        });
        Ok(stored.collect())
    }

    fn register(&self, generation: &StoredGeneration) -> Result<(), Ended> {
        self.0.step(format_args!("the journal is to take {:?}", generation.start));
        {
            let mut world = self.0.world();
            if !world.plan.embedded {
                let StoredGeneration { source, head, start, first_seen_second } = generation.clone();
                check_chain(&world, &source, start);
                world.journal.entry((source, head, start)).or_insert(first_seen_second);
            }
        }
        self.0.step(format_args!("the journal has {:?}", generation.start));
        Ok(())
    }
}

/// Starts follow one another, each beyond the last one: only the first of a source is drawn.
fn check_chain(world: &World, source: &str, start: KeyStart) {
    let greatest =
        world.journal.iter().filter(|((of, ..), _)| of == source).map(|((_, _, start), _)| *start).max();
    if let Some(greatest) = greatest.filter(|greatest| *greatest >= start) {
        violated("X1", format!("a generation starts at {}, and another one at {}", start.0, greatest.0));
    }
}

/// For the worker task, which holds the store in an [`Arc`].
pub(super) fn shared(sim: &Sim) -> Arc<SimStore> {
    Arc::new(SimStore(sim.clone()))
}
