//! Metrics of the processor in Prometheus' types. Names follow Prometheus' conventions: base units, `_total`, `_seconds`, `_bytes`.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// Latency buckets of OpenTelemetry's conventions, in seconds.
const SECONDS: [f64; 14] = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

/// What is counted as it happens; everything else (the account, the files) is read when metrics are asked for.
#[derive(Debug)]
pub struct Counters {
    /// Attempts that were made again because the store was away or misconfigured.
    pub store_retries: Counter,
    /// Bodies that were cut in two because the store refused something in them.
    pub store_splits: Counter,
    /// How long an attempt took.
    pub flush_seconds: Histogram,
    /// How long a commit of the ledger took.
    pub commit_seconds: Histogram,
    /// Lines in a batch.
    pub batch_lines: Histogram,
    /// Acknowledged requests that were read back.
    pub readback_found: Counter,
    /// Acknowledged requests that did not read back.
    pub readback_missing: Counter,
    /// Statistics cells that the store has taken, again and again as they change.
    pub statistics_published: Counter,
    /// Looks at the files.
    pub looks: Counter,
    /// Growth that no notification announced.
    pub notify_missed: Counter,
    /// Rotations seen.
    pub rotations: Counter,
    /// Truncations seen.
    pub truncations: Counter,
    /// Files whose number was known and whose content was another generation's, or the other way round: judged by content.
    pub identity_resets: Counter,
    /// Truncations after which a copy of the old content was found: what was written between copy and truncation is unknowable.
    pub copytruncate_windows: Counter,
    /// Compressed logs that could not be read.
    pub gzip_damaged: Counter,
    /// Seconds whose lines stand a gigabyte or more apart in one file: their keys may repeat.
    pub key_wraps: Counter,
    /// Last lines that were taken without their newline.
    pub unterminated: Counter,
    /// Notifications that were lost because too many came at once.
    pub notify_overflows: Counter,
}

impl Default for Counters {
    fn default() -> Self {
        let batches = [1.0, 10.0, 100.0, 500.0, 1000.0, 2500.0, 5000.0, 10_000.0, 50_000.0];
        Self {
            store_retries: Counter::default(),
            store_splits: Counter::default(),
            flush_seconds: Histogram::new(SECONDS),
            commit_seconds: Histogram::new(SECONDS),
            batch_lines: Histogram::new(batches),
            readback_found: Counter::default(),
            readback_missing: Counter::default(),
            statistics_published: Counter::default(),
            looks: Counter::default(),
            notify_missed: Counter::default(),
            rotations: Counter::default(),
            truncations: Counter::default(),
            identity_resets: Counter::default(),
            copytruncate_windows: Counter::default(),
            gzip_damaged: Counter::default(),
            key_wraps: Counter::default(),
            unterminated: Counter::default(),
            notify_overflows: Counter::default(),
        }
    }
}

impl Counters {
    /// Registers everything under its name.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "store_retries",
            "Attempts made again because the store was away or misconfigured",
            self.store_retries.clone(),
        );
        registry.register(
            "store_splits",
            "Bodies cut in two because the store refused something in them",
            self.store_splits.clone(),
        );
        registry.register(
            "flush_seconds",
            "Duration of one attempt to write a batch",
            self.flush_seconds.clone(),
        );
        registry.register(
            "ledger_commit_seconds",
            "Duration of one commit of the ledger",
            self.commit_seconds.clone(),
        );
        registry.register("batch_lines", "Lines in a batch", self.batch_lines.clone());
        registry.register(
            "readback_found",
            "Acknowledged requests that were read back, of those sampled",
            self.readback_found.clone(),
        );
        registry.register(
            "readback_missing",
            "Acknowledged requests that did not read back, of those sampled",
            self.readback_missing.clone(),
        );
        registry.register(
            "statistics_published_cells",
            "Statistics of customers and windows that the store has taken, again and again as they change",
            self.statistics_published.clone(),
        );
        registry.register("looks", "Looks at the followed files", self.looks.clone());
        registry.register(
            "notify_missed",
            "Growth that no notification announced",
            self.notify_missed.clone(),
        );
        registry.register("rotations", "Rotations seen", self.rotations.clone());
        registry.register("truncations", "Truncations seen", self.truncations.clone());
        registry.register(
            "identity_resets",
            "Files whose inode was known and whose content was another generation's, or the other way round: judged by content",
            self.identity_resets.clone(),
        );
        registry.register(
            "copytruncate_windows",
            "Truncations after a copy: what was written between the two is unknowable",
            self.copytruncate_windows.clone(),
        );
        registry.register(
            "key_wrap",
            "Seconds whose lines stand 1e9 bytes or more apart in one file: lines of it may overwrite each other in InfluxDB",
            self.key_wraps.clone(),
        );
        registry.register(
            "unterminated_lines",
            "Last lines of files that ended without a newline, taken as they were",
            self.unterminated.clone(),
        );
        registry.register(
            "notify_overflows",
            "Times that notifications were lost because too many came at once; everything was looked at then",
            self.notify_overflows.clone(),
        );
        registry.register(
            "gzip_damaged",
            "Compressed logs that could not be read",
            self.gzip_damaged.clone(),
        );
    }
}
