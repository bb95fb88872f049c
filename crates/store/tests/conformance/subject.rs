//! The stores under test, each behind the same few steps: store a log, say a heartbeat, give a reader. Storing the same log again is what a processor does after a crash.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bytes::Bytes;
use logline::{CustomerId, Latency, LogTime, Record, RequestPath, Status};
use store::embedded::{
    EmbeddedStats, GenerationId, GenerationState, Head, Ledger, LedgerError, LedgerOptions, NewGeneration,
    SettledSegment, StoredRequest,
};
use store::influx::testing::RealInflux;
use store::influx::{InfluxConfig, InfluxRequests, InfluxStats};
use store::{KeyStart, Owner, PlacedRequest, RequestStore, Statistics, StatsStore, point_time_nanos};
use tempfile::TempDir;

use crate::log::{DAY, DAY_0, Log, Request};

/// The clock of the suite: all logs are of the days before.
pub(crate) const NOW_SECOND: i64 = DAY_0 + 20 * DAY;

pub(crate) trait Subject {
    type Reader: StatsStore;

    /// Stores a generation of a log, or stores it again.
    async fn store(&mut self, log: &Log);

    /// Says that everything readable at this instant is stored.
    async fn heartbeat(&mut self, source: &str, as_of_micros: i64);

    fn reader(&self) -> Self::Reader;
}

/// A request with the place of its line. All lines of the suite are as long as customer, path and a newline.
fn place<'a>(log: &'a Log, request: &'a Request, offset: u64) -> PlacedRequest<'a> {
    let time = LogTime { second: request.second, nanos: 0, ambiguous: false };
    let record = Record {
        time,
        customer: CustomerId::new(&request.customer).expect("a customer"),
        path: request.path.as_deref().map(|path| RequestPath::new(path).expect("a path")),
        status: Status::new(request.status).expect("a status"),
        latency: request.micros.map(|micros| Latency::from_micros(micros).expect("a latency")),
    };
    PlacedRequest { source: &log.source, record, time_nanos: point_time_nanos(time, log.start, offset) }
}

fn line_length(request: &Request) -> u64 {
    (request.customer.len() + request.path.as_deref().map_or(0, str::len) + 1) as u64
}

/// The embedded store: a ledger in a temporary folder, read while it is open for writing.
pub(crate) struct Embedded {
    folder: TempDir,
    ledger: Option<Ledger>,
    publishes_cells: bool,
    generations: HashMap<(String, KeyStart), GenerationId>,
}

impl Embedded {
    pub(crate) fn new() -> Embedded {
        Embedded::that(false)
    }

    /// One whose cells are published.
    pub(crate) fn that(publishes_cells: bool) -> Embedded {
        let folder = tempfile::tempdir().expect("a folder");
        let mut subject = Embedded { folder, ledger: None, publishes_cells, generations: HashMap::new() };
        subject.open();
        subject
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn open(&mut self) {
        let options = LedgerOptions {
            retention: None,
            raw_requests_max: 1_000_000,
            raw_requests_age: Duration::from_secs(10_000 * DAY as u64),
            publishes_cells: self.publishes_cells,
        };
        self.ledger = None;
        // Another test's thread may be starting a server at this moment: until its exec, that child holds our lock's descriptor too.
        let deadline = Instant::now() + Duration::from_secs(10);
        self.ledger = Some(loop {
            match Ledger::open(self.folder.path(), options.clone(), NOW_SECOND) {
                Err(LedgerError::InUse { .. }) if Instant::now() < deadline => std::thread::yield_now(),
                opened => break opened.expect("a ledger"),
            }
        });
    }

    pub(crate) fn ledger(&mut self) -> &mut Ledger {
        self.ledger.as_mut().expect("open")
    }

    fn generation(&mut self, log: &Log) -> GenerationId {
        let key = (log.source.clone(), log.start);
        if let Some(id) = self.generations.get(&key) {
            return *id;
        }
        let ledger = self.ledger();
        let seen = NewGeneration {
            source: log.source.clone(),
            path: PathBuf::from(format!("{}.{}.log", log.source, log.start.0)),
            device: 1,
            inode: log.start.0,
            settled_offset: 0,
            state: GenerationState::Open,
        };
        let id = ledger.add_generation(&seen).expect("added");
        let head = Head { fingerprint: format!("{:032x}", log.start.0), length_bytes: 1 };
        ledger.set_start(id, &head, log.start).expect("set");
        self.generations.insert(key, id);
        id
    }
}

impl Subject for Embedded {
    type Reader = EmbeddedStats;

    async fn store(&mut self, log: &Log) {
        // As after a crash: what was committed before decides where reading goes on.
        self.open();
        let generation = self.generation(log);
        let records = self.ledger().generations(&log.source).expect("generations");
        let settled =
            records.iter().find(|record| record.id == generation).expect("known").seen.settled_offset;
        let (mut bytes, mut requests, mut offset) = (Vec::new(), Vec::new(), 0);
        for request in &log.requests {
            let here = offset;
            offset += line_length(request);
            if here < settled {
                continue;
            }
            let mut put = |text: &str| {
                let at =
                    (u32::try_from(bytes.len()).expect("small"), u16::try_from(text.len()).expect("small"));
                bytes.extend_from_slice(text.as_bytes());
                at
            };
            requests.push(StoredRequest {
                customer: put(&request.customer),
                path: put(request.path.as_deref().unwrap_or_default()),
                status: request.status,
                latency_micros: request.micros.unwrap_or(u64::MAX),
                time_nanos: place(log, request, here).time_nanos,
            });
            bytes.push(b'\n');
        }
        if offset > settled {
            let segment = SettledSegment {
                generation,
                start_offset: settled,
                end_offset: offset,
                bytes: Bytes::from(bytes),
                requests: requests.into(),
                rejects: Vec::new(),
                future_time: 0,
                ambiguous_time: 0,
                tail_marker: (0, 0),
            };
            self.ledger().apply(&segment).expect("applied");
            self.ledger().commit(None, NOW_SECOND).expect("committed");
        }
    }

    async fn heartbeat(&mut self, _source: &str, as_of_micros: i64) {
        self.ledger().commit(Some(as_of_micros), NOW_SECOND).expect("committed");
    }

    fn reader(&self) -> EmbeddedStats {
        EmbeddedStats::new(self.folder.path())
    }
}

/// A real InfluxDB: a bucket of its own.
pub(crate) struct Influx {
    config: InfluxConfig,
    pub(crate) store: InfluxRequests,
}

impl Influx {
    pub(crate) async fn new() -> Influx {
        let config = RealInflux::shared().await.fresh().await;
        Influx { store: InfluxRequests::new(config.clone()).expect("good settings"), config }
    }
}

/// The lines of a log, each with its newline.
pub(crate) fn encode(store: &impl RequestStore, log: &Log) -> Vec<u8> {
    let (mut body, mut offset) = (Vec::new(), 0);
    for request in &log.requests {
        store.encode(&place(log, request, offset), &mut body);
        offset += line_length(request);
    }
    body
}

/// What the processor of the suite says.
pub(crate) fn statement(source: &str, as_of_micros: Option<i64>, statistics: Statistics) -> Owner {
    Owner {
        source: source.to_owned(),
        ledger: "the ledger of the suite".to_owned(),
        commit: 1,
        heartbeat_micros: NOW_SECOND * 1_000_000,
        as_of_micros,
        released: false,
        statistics,
        mark_nanos: NOW_SECOND * 1_000_000_000,
    }
}

impl Subject for Influx {
    type Reader = InfluxStats;

    async fn store(&mut self, log: &Log) {
        let body = encode(&self.store, log);
        let lines: Vec<&[u8]> = body.split_inclusive(|byte| *byte == b'\n').collect();
        // Cut into batches as a processor would.
        for batch in lines.chunks(300) {
            self.store.write(Bytes::from(batch.concat())).await.expect("stored");
        }
    }

    async fn heartbeat(&mut self, source: &str, as_of_micros: i64) {
        let owner = statement(source, Some(as_of_micros), Statistics::NeedRebuild);
        self.store.publish_owners(std::slice::from_ref(&owner)).await.expect("published");
    }

    fn reader(&self) -> InfluxStats {
        InfluxStats::new(&self.config).expect("good settings")
    }
}
