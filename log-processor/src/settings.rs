//! The settings of log-processor: its list, and the checked values. What a value means is decided where it is used.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use logline::Zone;
use service::settings::{Exit, Kind, Loaded, Program, Reader, Setting};
use service::{LOG_FORMAT_JSON, LOGGING_LEVEL, Telemetry};
use store::influx::InfluxConfig;

use crate::batch::Limits;
use crate::sources::Sources;

/// A batch's bytes: enough for 5,000 long lines, little beside the memory budget.
const BATCH_MAX_BYTES: usize = 1 << 20;

/// The program as its user meets it.
pub static PROGRAM: Program = Program {
    name: "log-processor",
    about: "Follows log files and stores every request exactly once.",
    version: env!("CARGO_PKG_VERSION"),
    settings: &SETTINGS,
    examples: &[
        ("log-processor", "follow data/api_requests.log into the embedded store in data/"),
        ("log-processor --once --log-file-path access.log", "read a file to its end, store it, exit"),
        ("log-processor status --json", "where every line is: read, stored, rejected, in flight, lag"),
        ("log-processor rejects", "the rejected lines, each with its reason"),
        ("log-processor verify", "every request that the log makes against every request in the store"),
        ("log-processor replay", "send the log's files once more, for an InfluxDB that was wiped"),
    ],
    exit_codes: &[
        (0, "done, and everything that was read is settled"),
        (1, "a check found a difference, or health is not ready"),
        (2, "a setting is wrong, or there is nothing to read, verify or replay"),
        (
            3,
            "stopped with lines not settled (in flight, or unread because the store was never reached or a drain was cut short; they are read again at the next start), or ledger or store cannot be used",
        ),
        (4, "refused: another processor owns the ledger or the source"),
    ],
};

static SETTINGS: [Setting; 20] = [
    Setting::new("LOG_FILE_PATH", Kind::List, "the logs to follow: a list of [source=]path-or-glob")
        .default("data/api_requests.log"),
    Setting::new("STREAM_MAX_SIZE", Kind::Whole { min: 1, max: 100_000 }, "lines in a batch, at most")
        .default("5000"),
    Setting::new(
        "STREAM_MAX_WAIT_TIME_IN_SECONDS",
        Kind::Seconds { max: 3600 },
        "the longest that a line waits for its batch to fill",
    )
    .default("1"),
    Setting::new("WORKERS", Kind::Whole { min: 1, max: 64 }, "tasks that parse and store batches")
        .default("4"),
    Setting::new(
        "START_AT",
        Kind::OneOf(&["beginning", "end", "history"]),
        "where files begin that are present at the first start; history: rotated siblings first",
    )
    .default("beginning"),
    Setting::new("STATE_DIR", Kind::Path, "where the ledger and the status socket live").default("data"),
    Setting::new(
        "STORE",
        Kind::OneOf(&["embedded", "influxdb"]),
        "where requests are kept; without it: influxdb if INFLUXDB_URL is set, else embedded",
    ),
    Setting::new(
        "RETENTION",
        Kind::Age,
        "requests older than that are rejected and dropped, by whole days (UTC); 0 = kept for ever",
    )
    .aliases(&["DOCKER_INFLUXDB_INIT_RETENTION"])
    .default("0"),
    Setting::new(
        "RAW_REQUESTS_MAX",
        Kind::Whole { min: 0, max: 1_000_000_000 },
        "embedded: the newest raw requests kept; 0 = none",
    )
    .default("1000000"),
    Setting::new(
        "RAW_REQUESTS_AGE",
        Kind::Age,
        "embedded: raw requests older than that are not kept; 0 = any age",
    )
    .default("7d"),
    Setting::new(
        "INFLUXDB_URL",
        Kind::Url("an address such as http://localhost:8086"),
        "the InfluxDB 2 to write to; its base path is kept",
    ),
    Setting::new("DOCKER_INFLUXDB_INIT_ORG", Kind::Text("a name"), "its organization"),
    Setting::new(
        "DOCKER_INFLUXDB_INIT_BUCKET",
        Kind::Text("a name"),
        "its bucket; made when absent and permitted",
    ),
    Setting::new("DOCKER_INFLUXDB_INIT_ADMIN_TOKEN", Kind::Text("a token"), "its token").secret(),
    Setting::new("INFLUXDB_WRITE_ONLY", Kind::Flag, "the store has no read side: no look-ups, no ownership")
        .default("false"),
    Setting::new(
        "LOG_SALT",
        Kind::Text("any text"),
        "tells files with equal content apart on purpose; part of every key",
    ),
    Setting::new(
        "LOG_TIMEZONE",
        Kind::Text("a zone of the IANA database, such as Europe/Berlin"),
        "zone of the log's stamps",
    )
    .default("UTC"),
    Setting::new(
        "METRICS_BIND",
        Kind::Text("an address with a port, or off"),
        "where /metrics, /livez and /readyz are served; off = nowhere",
    )
    .default("127.0.0.1:9464"),
    LOGGING_LEVEL,
    LOG_FORMAT_JSON,
];

/// Where files begin that are present at the first start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartAt {
    /// The log at its first byte; rotated siblings are not read.
    Beginning,
    /// The log after its last whole line.
    End,
    /// Rotated siblings first, oldest first.
    History,
}

/// Where requests are kept.
#[derive(Clone, Debug)]
pub enum StoreChoice {
    /// In the ledger.
    Embedded,
    /// In an InfluxDB 2.
    Influx(Box<InfluxConfig>),
}

/// The checked settings.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What is followed.
    pub sources: Sources,
    /// When a batch is full.
    pub limits: Limits,
    /// Worker tasks.
    pub workers: usize,
    /// Where present files begin.
    pub start_at: StartAt,
    /// Ledger and socket.
    pub state_dir: PathBuf,
    /// Store.
    pub store: StoreChoice,
    /// Age beyond which requests are rejected.
    pub retention: Option<Duration>,
    /// Newest raw requests kept.
    pub raw_requests_max: u64,
    /// Age beyond which they are not.
    pub raw_requests_age: Option<Duration>,
    /// No read side.
    pub write_only: bool,
    /// LOG_SALT.
    pub salt: String,
    /// LOG_TIMEZONE.
    pub zone: Zone,
    /// METRICS_BIND; None = off.
    pub metrics_bind: Option<SocketAddr>,
    /// Logging.
    pub telemetry: Telemetry,
    /// `--accept-store`: go on with a store that has forgotten what it had confirmed. A decision for one start, so no setting.
    pub accept_store: bool,
}

impl Settings {
    /// Reads them; all faults at once.
    pub fn read(loaded: &Loaded) -> Result<Self, Exit> {
        let mut reader = loaded.reader();
        let sources = match Sources::parse(&reader.list("LOG_FILE_PATH").join(",")) {
            Ok(sources) => Some(sources),
            Err(why) => {
                reader.fault("LOG_FILE_PATH", &format!("a list of [source=]path-or-glob: {why}"));
                None
            }
        };
        let limits = Limits {
            lines: small(reader.whole("STREAM_MAX_SIZE")),
            bytes: BATCH_MAX_BYTES,
            age: reader.seconds("STREAM_MAX_WAIT_TIME_IN_SECONDS"),
        };
        let start_at = match reader.one_of("START_AT") {
            "end" => StartAt::End,
            "history" => StartAt::History,
            _ => StartAt::Beginning,
        };
        let retention = reader.age("RETENTION");
        let write_only = reader.flag("INFLUXDB_WRITE_ONLY");
        let store = store_choice(&mut reader, retention, write_only);
        let workers = small(reader.whole("WORKERS"));
        let raw_requests_max = reader.whole("RAW_REQUESTS_MAX");
        let raw_requests_age = reader.age("RAW_REQUESTS_AGE");
        let zone = reader.parse("LOG_TIMEZONE", |name| name.parse().ok()).unwrap_or_default();
        let metrics_bind = reader.parse("METRICS_BIND", metrics_bind).flatten();
        let state_dir = reader.path("STATE_DIR");
        let salt = reader.text("LOG_SALT").unwrap_or_default();
        let telemetry = Telemetry::read(&mut reader);
        reader.finish()?;
        let sources = sources.expect("a fault would have ended the reading");
        Ok(Self {
            sources,
            limits,
            workers,
            start_at,
            state_dir,
            store,
            retention,
            raw_requests_max,
            raw_requests_age,
            write_only,
            salt,
            zone,
            metrics_bind,
            telemetry,
            accept_store: false,
        })
    }
}

fn store_choice(reader: &mut Reader<'_>, retention: Option<Duration>, write_only: bool) -> StoreChoice {
    let url = reader.text("INFLUXDB_URL");
    let chosen = reader.text("STORE");
    let texts =
        ["DOCKER_INFLUXDB_INIT_ORG", "DOCKER_INFLUXDB_INIT_BUCKET", "DOCKER_INFLUXDB_INIT_ADMIN_TOKEN"]
            .map(|name| reader.text(name));
    if chosen.as_deref().map_or(url.is_none(), |chosen| chosen == "embedded") {
        return StoreChoice::Embedded;
    }
    let Some(url) = url else {
        reader.fault("INFLUXDB_URL", "an address such as http://localhost:8086, since STORE=influxdb");
        return StoreChoice::Embedded;
    };
    let [org, bucket, token] = texts.map(Option::unwrap_or_default);
    if org.is_empty() && !write_only {
        reader.fault("DOCKER_INFLUXDB_INIT_ORG", "the organization of the InfluxDB");
    }
    if bucket.is_empty() && !write_only {
        reader.fault("DOCKER_INFLUXDB_INIT_BUCKET", "the bucket of the InfluxDB");
    }
    match InfluxConfig::new(&url, &org, &bucket, &token) {
        Ok(config) => StoreChoice::Influx(Box::new(InfluxConfig { retention, write_only, ..config })),
        Err(error) => {
            reader.fault("INFLUXDB_URL", &format!("settings of an InfluxDB that can work: {error}"));
            StoreChoice::Embedded
        }
    }
}

fn metrics_bind(text: &str) -> Option<Option<SocketAddr>> {
    if text == "off" { Some(None) } else { text.replace("localhost:", "127.0.0.1:").parse().ok().map(Some) }
}

fn small(number: u64) -> usize {
    usize::try_from(number).expect("the setting's greatest value is small")
}

#[cfg(test)]
mod tests {
    //! The declaration holds together, and there are no dead knobs.

    use super::*;
    use service::settings::Inputs;

    #[test]
    fn the_list_is_sound_and_every_setting_is_read() {
        assert_eq!(PROGRAM.audit(), Vec::<String>::new());
        let inputs = Inputs { args: vec!["log-processor".into()], ..Inputs::default() };
        let loaded = PROGRAM.load_with(inputs, |command| command).expect("defaults are sound");
        let settings = Settings::read(&loaded).expect("defaults are sound");
        assert!(matches!(settings.store, StoreChoice::Embedded));
        assert_eq!(settings.limits.lines, 5000);
    }
}
