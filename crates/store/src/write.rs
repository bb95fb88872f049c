//! The side that takes requests: what the processor asks of a store. One call, one attempt; nothing here waits or retries.

use std::time::Duration;

use bytes::Bytes;
use logline::Record;
use stats::{Cell, Window};

use crate::KeyStart;

/// A request with its place: all that a store keeps of it.
#[derive(Clone, Copy, Debug)]
pub struct PlacedRequest<'a> {
    /// Which log it came from; `main` is the default log.
    pub source: &'a str,
    /// The request.
    pub record: Record<'a>,
    /// Its time with its place in the lower digits ([`crate::point_time_nanos`]).
    pub time_nanos: i64,
}

/// Why an attempt did not succeed, told apart by what the caller must do next.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// The store is away, slow or busy (refused connection, timeout, cut answer, 429, 5xx): the same bytes again, later. What was sent may have been stored.
    #[error("{why}")]
    TryLater {
        /// What happened.
        why: String,
        /// What the store asked for (`Retry-After`).
        after: Option<Duration>,
    },
    /// Token, organization, bucket or schema are wrong (401, 403, 404, field type conflict): nobody's data is at fault. Pause, say the fix, keep trying slowly.
    #[error("{why}; {fix}")]
    Misconfigured {
        /// What happened.
        why: String,
        /// What to do about it.
        fix: String,
    },
    /// A 400 that is not in the store's own form: a proxy's or a stranger's, for everything it is sent or for one line of the body. Pause, and blame a line only when it is refused alone, again and again, while others are taken.
    /// Other lines of the body may or may not have been stored.
    #[error("{why}; {fix}")]
    Unexplained {
        /// What happened.
        why: String,
        /// What to do about it when no line is to blame.
        fix: String,
    },
    /// The body is too large (413): send halves.
    #[error("{why}")]
    TooLarge {
        /// What happened.
        why: String,
    },
    /// The store does not take something in this body (400, other 422): find the lines and reject only a line that is refused alone.
    /// Other lines of the body may or may not have been stored.
    #[error("{why}")]
    Refused {
        /// The store's words.
        why: String,
    },
}

impl Trouble {
    /// The same about something that holds nobody's lines: no line is to blame, the settings are.
    #[must_use]
    pub fn of_our_own(self) -> Trouble {
        match self {
            Trouble::Unexplained { why, fix } => Trouble::Misconfigured { why, fix },
            other => other,
        }
    }
}

/// A generation as the store remembers it, for a processor that has lost its ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredGeneration {
    /// The log's source.
    pub source: String,
    /// Fingerprint of the generation's head, as hex digits.
    pub head: String,
    /// Its place in the sequence of all bytes of the source.
    pub start: KeyStart,
    /// When it was first seen, in seconds since 1970.
    pub first_seen_second: i64,
}

/// A request that a store has acknowledged, to be read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcknowledgedRequest {
    /// The log's source.
    pub source: String,
    /// Time with place ([`crate::point_time_nanos`]).
    pub time_nanos: i64,
    /// Customer.
    pub customer: String,
    /// Path, if the log has one.
    pub path: Option<String>,
    /// HTTP status.
    pub status: u16,
    /// Latency in microseconds, if the log has one.
    pub latency_micros: Option<u64>,
}

/// The statistics of one customer, or of all together, in one window of one source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatisticsCell {
    /// Whose; None = all customers together.
    pub customer: Option<String>,
    /// The log's source.
    pub source: String,
    /// Which window: a quarter-hour or a day.
    pub window: Window,
    /// What is counted.
    pub cell: Cell,
    /// The same as the ledger keeps it ([`Cell::encode`]).
    pub blob: Vec<u8>,
    /// The newest request of the customer, if it lies in this window; seconds since 1970.
    pub last_seen_second: Option<i64>,
}

/// What the statistics of a source that a store holds are worth: said with each statement about the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Statistics {
    /// Another ledger has counted a part of the source: nothing is published until `rebuild`.
    NeedRebuild,
    /// What the ledger has counted is not in the store as a whole yet.
    Incomplete,
    /// They hold all that the source's ledger has counted.
    Published {
        /// Every line that was readable at this instant is in them; microseconds since 1970.
        as_of_micros: Option<i64>,
        /// Quarter-hours from this second on are complete; before it only days are.
        quarters_from_second: i64,
        /// Days from this second on are complete; before it the store did not take all of their windows any more. 0 where it took all.
        days_from_second: i64,
    },
}

/// Who writes a source's points: the last heartbeat of a processor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The log's source.
    pub source: String,
    /// Id of the ledger that counts this source.
    pub ledger: String,
    /// The ledger's commit number.
    pub commit: u64,
    /// When it last said so, in microseconds since 1970.
    pub heartbeat_micros: i64,
    /// Every line that was readable at this instant has been stored or rejected; microseconds since 1970. None before the first look has settled.
    pub as_of_micros: Option<i64>,
    /// It stopped cleanly and claims nothing any more.
    pub released: bool,
    /// What the statistics of the source that the store holds are worth.
    pub statistics: Statistics,
    /// The place of this statement among all that were made about the source: the one with the greatest is the last word. A statement at the same place is overwritten.
    pub mark_nanos: i64,
}

/// What the processor asks of a store. Implemented by `influx::InfluxRequests` and `embedded::EmbeddedRequests`.
pub trait RequestStore: Send + Sync + 'static {
    /// Reaches the store and makes what is missing and permitted (the bucket). Called before the first write, and again after trouble.
    fn prepare(&self) -> impl Future<Output = Result<(), Trouble>> + Send;

    /// Appends one request to a body: exactly one line of it, ending in `\n`. The embedded store, whose requests travel with the ledger's
    /// transaction, appends nothing.
    fn encode(&self, request: &PlacedRequest<'_>, body: &mut Vec<u8>);

    /// Stores a body made by [`RequestStore::encode`]. `Ok` means durable and queryable. Writing the same body twice changes nothing.
    fn write(&self, body: Bytes) -> impl Future<Output = Result<(), Trouble>> + Send;

    /// Whether a request that was acknowledged reads back as it was, key and all fields.
    fn reads_back(&self, request: &AcknowledgedRequest)
    -> impl Future<Output = Result<bool, Trouble>> + Send;

    /// The generations of a source that were registered before.
    fn generations(
        &self,
        source: &str,
    ) -> impl Future<Output = Result<Vec<StoredGeneration>, Trouble>> + Send;

    /// Remembers a generation durably, before its first request is sent.
    fn register_generation(
        &self,
        generation: &StoredGeneration,
    ) -> impl Future<Output = Result<(), Trouble>> + Send;

    /// The last owner of a source, if any ever was.
    fn owner(&self, source: &str) -> impl Future<Output = Result<Option<Owner>, Trouble>> + Send;

    /// What was said at the places in `[from_nanos, to_nanos)` ([`Owner::mark_nanos`]), in their order.
    fn statements(
        &self,
        source: &str,
        from_nanos: i64,
        to_nanos: i64,
    ) -> impl Future<Output = Result<Vec<Owner>, Trouble>> + Send;

    /// Whether it can be asked for what it was told: one that cannot is never found to have been wiped.
    fn remembers(&self) -> bool;

    /// How long the store keeps anything at all; `None` for ever, or when it does not say.
    fn keeps_for(&self) -> impl Future<Output = Result<Option<Duration>, Trouble>> + Send;

    /// Says that this ledger owns sources (heartbeat), or no longer does: all of them in one request, so some hundreds at most.
    fn publish_owners(&self, owners: &[Owner]) -> impl Future<Output = Result<(), Trouble>> + Send;

    /// Whether any request of a source is stored, by whomever.
    fn has_requests(&self, source: &str) -> impl Future<Output = Result<bool, Trouble>> + Send;

    /// Puts statistics in the place of those that the store has of the same windows. `Ok` means durable and queryable; after [`Trouble::TooLarge`] nothing was stored; after any other answer what was sent may still
    /// arrive, later than what is sent next. The embedded store, which has them already, does nothing.
    fn publish_statistics(
        &self,
        cells: &[StatisticsCell],
    ) -> impl Future<Output = Result<(), Trouble>> + Send;

    /// A short name for logs and `status`: `embedded`, or `influxdb http://…`, without secrets.
    fn describe(&self) -> String;
}
