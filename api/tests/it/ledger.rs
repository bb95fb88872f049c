//! A real ledger, made of log lines as the processor makes it.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use logline::{LineParser, Reason, Zone};
use store::embedded::{
    GenerationId, GenerationState, Head, Ledger, LedgerOptions, NewGeneration, Reject, SettledSegment,
    StoredRequest,
};
use store::{KeyStart, point_time_nanos};

const START: KeyStart = KeyStart(4_711);

/// The processor's side of a ledger.
pub(crate) struct Writer {
    ledger: Ledger,
    generation: GenerationId,
    settled: u64,
}

impl Writer {
    pub(crate) fn open(state_dir: &Path) -> Self {
        let options = LedgerOptions {
            retention: None,
            raw_requests_max: 0,
            raw_requests_age: Duration::from_secs(1),
            publishes_cells: false,
        };
        let mut ledger = Ledger::open(state_dir, options, now().timestamp()).expect("a new ledger");
        let seen = NewGeneration {
            source: "main".to_owned(),
            path: "/var/log/api_requests.log".into(),
            device: 1,
            inode: 1,
            settled_offset: 0,
            state: GenerationState::Open,
        };
        let generation = ledger.add_generation(&seen).expect("a new generation");
        let head = Head { fingerprint: "0123456789abcdef0123456789abcdef".to_owned(), length_bytes: 60 };
        ledger.set_start(generation, &head, START).expect("its start");
        Self { ledger, generation, settled: 0 }
    }

    /// Settles and commits lines of the default format, without their newlines.
    pub(crate) fn store<L: AsRef<str>>(&mut self, lines: impl IntoIterator<Item = L>) {
        let mut parser = LineParser::new(Zone::Utc);
        let (mut bytes, mut requests) = (Vec::new(), Vec::new());
        for line in lines {
            let line = line.as_ref();
            let record = parser.parse(line.as_bytes()).unwrap_or_else(|error| panic!("{line}: {error:?}"));
            // Where a field stands in the segment.
            let place = |field: &str| {
                let within = field.as_ptr() as usize - line.as_ptr() as usize;
                (
                    u32::try_from(bytes.len() + within).expect("small"),
                    u16::try_from(field.len()).expect("small"),
                )
            };
            requests.push(StoredRequest {
                customer: place(record.customer.as_str()),
                path: record.path.map_or((0, 0), |path| place(path.as_str())),
                status: record.status.code(),
                latency_micros: record.latency.map_or(u64::MAX, |latency| latency.micros()),
                time_nanos: point_time_nanos(record.time, START, self.settled + bytes.len() as u64),
            });
            bytes.extend_from_slice(line.as_bytes());
            bytes.push(b'\n');
        }
        self.settle(bytes, requests, Vec::new());
        self.commit();
    }

    /// Settles lines that are rejected, each with its reason, and commits at that second.
    pub(crate) fn reject(&mut self, second: i64, lines: &[(Reason, &str, &[u8])]) {
        let (mut bytes, mut rejects) = (Vec::new(), Vec::new());
        for (reason, detail, line) in lines {
            let offset = self.settled + bytes.len() as u64;
            rejects.push(Reject {
                offset,
                reason: *reason,
                detail: (*detail).to_owned(),
                line: line.to_vec(),
            });
            bytes.extend_from_slice(line);
            bytes.push(b'\n');
        }
        self.settle(bytes, Vec::new(), rejects);
        self.ledger.commit(Some(second * 1_000_000), second).expect("a place to write to");
    }

    fn settle(&mut self, bytes: Vec<u8>, requests: Vec<StoredRequest>, rejects: Vec<Reject>) {
        let end_offset = self.settled + bytes.len() as u64;
        let segment = SettledSegment {
            generation: self.generation,
            start_offset: self.settled,
            end_offset,
            bytes: Bytes::from(bytes),
            requests: requests.into(),
            rejects,
            future_time: 0,
            ambiguous_time: 0,
            tail_marker: (0, 0),
        };
        self.ledger.apply(&segment).expect("lines that fit");
        self.settled = end_offset;
    }

    /// Commits: everything that was in the log at this instant is in the ledger.
    pub(crate) fn commit(&mut self) {
        self.ledger.commit(Some(now().timestamp_micros()), now().timestamp()).expect("a place to write to");
    }
}

pub(crate) fn now() -> chrono::DateTime<chrono::Utc> {
    chrono::Utc::now()
}

/// A line of the default format.
pub(crate) fn line(time: &str, customer: &str, status: u16, seconds: &str) -> String {
    format!("{time} {customer} /api/v1/resource1 {status} {seconds}")
}
