//! The rows of the whole program: the processor drains a log into a store, as a process of its own, with every guarantee on. A run counts only when every line of the log is
//! in the ledger once, and in the store once.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, ensure};
use log_processor::running;
use log_processor::settings::{PROGRAM, Settings};
use log_processor::tail::Mode;
use rusqlite::{Connection, OpenFlags};
use service::settings::Inputs;
use stats::{Cell, WindowKind};

use crate::input::Log;
use crate::measure::{Measured, measured, ourselves};
use crate::sink::Sink;
use crate::{Allocations, sink, stages, table};

/// Where the processor puts the lines.
#[derive(Clone, Debug)]
pub enum Store {
    /// An InfluxDB at this address.
    Influx {
        /// Its address.
        url: String,
        /// Its organization.
        org: String,
        /// A token.
        token: String,
        /// A bucket.
        bucket: String,
    },
    /// The ledger.
    Embedded {
        /// With that many raw requests.
        raw_requests: u64,
    },
}

/// The processor inside this process, with its own command line: what log-processor's main does to drain. Says in the end how much it allocated, if that is counted.
pub fn processor(arguments: &[String], allocations: Allocations) -> ExitCode {
    let args = std::iter::once("log-processor").chain(arguments.iter().map(String::as_str));
    let inputs = Inputs {
        args: args.map(OsString::from).collect(),
        folder: std::env::current_dir().unwrap_or_default(),
        ..Inputs::default()
    };
    let loaded = match PROGRAM.load_with(inputs, |command| command) {
        Ok(loaded) => loaded,
        Err(exit) => return exit.print(),
    };
    let settings = match Settings::read(&loaded) {
        Ok(settings) => settings,
        Err(exit) => return exit.print(),
    };
    settings.telemetry.init();
    let code = running::run(settings, Mode::Drain { take_last: false }, || None);
    if let Some(allocations) = allocations() {
        table::print(&format!("allocations {allocations}"));
    }
    code
}

/// The command that drains a log into a store, with its ledger in `state`.
///
/// # Errors
/// Nobody knows where this program is.
pub fn drain(log: &Path, state: &Path, store: &Store) -> anyhow::Result<Command> {
    let mut command = ourselves(&["processor"])?;
    configure(&mut command, log, state, store);
    Ok(command)
}

/// The settings of a drain.
pub fn configure(command: &mut Command, log: &Path, state: &Path, store: &Store) {
    command.current_dir(state);
    let mut set = |name: &str, value: String| {
        command.arg(format!("--{name}")).arg(value);
    };
    set("log-file-path", format!("main={}", log.display()));
    set("state-dir", state.join("ledger").display().to_string());
    set("metrics-bind", "off".to_owned());
    set("logging-level", "warn".to_owned());
    match store {
        Store::Embedded { raw_requests } => {
            set("store", "embedded".to_owned());
            set("raw-requests-max", raw_requests.to_string());
            set("raw-requests-age", "0".to_owned());
        }
        Store::Influx { url, org, token, bucket } => {
            set("store", "influxdb".to_owned());
            set("influxdb-url", url.clone());
            set("docker-influxdb-init-org", org.clone());
            set("docker-influxdb-init-bucket", bucket.clone());
            set("docker-influxdb-init-admin-token", token.clone());
        }
    }
}

/// Drains a log into the embedded store.
///
/// # Errors
/// A line is missing or was counted twice.
pub fn embedded(log: &Log, raw_requests: u64) -> anyhow::Result<Measured> {
    let state = tempfile::tempdir().context("a temporary folder")?;
    let done = run(&drain(&log.path, state.path(), &Store::Embedded { raw_requests })?)?;
    check_ledger(log, state.path(), raw_requests.min(log.lines))?;
    Ok(done)
}

/// Drains a log into the null sink.
///
/// # Errors
/// A line is missing or was counted twice.
pub fn into_sink(log: &Log, fault: Option<sink::Fault>) -> anyhow::Result<(Measured, sink::Tally)> {
    let state = tempfile::tempdir().context("a temporary folder")?;
    let sink = Sink::start(fault).context("the sink")?;
    let done = run(&drain(&log.path, state.path(), &store_of(&sink))?)?;
    let tally = sink.tally();
    check_ledger(log, state.path(), 0)?;
    check_tally(log, &tally)?;
    Ok((done, tally))
}

/// The sink as a store.
pub fn store_of(sink: &Sink) -> Store {
    Store::Influx {
        url: format!("http://{}", sink.address()),
        org: "bench".to_owned(),
        token: "bench".to_owned(),
        bucket: "bench".to_owned(),
    }
}

/// Runs a drain to its end.
///
/// # Errors
/// It did not settle everything.
pub fn run(command: &Command) -> anyhow::Result<Measured> {
    let done = measured(command)?;
    ensure!(done.code == 0, "the processor ended with {}: {}", done.code, done.err);
    Ok(done)
}

/// Compares what came to the sink with what the prototype makes of the log, under the start that the processor gave it.
///
/// # Errors
/// They differ.
pub fn check_tally(log: &Log, tally: &sink::Tally) -> anyhow::Result<()> {
    ensure!(
        tally.lines == log.lines,
        "the log has {} lines, and {} came to the sink",
        log.lines,
        tally.lines
    );
    let start = tally.start.context("the log's generation was never registered")?;
    let mut sum = 0_u64;
    stages::prototype_fast(&log.path, start, |body| sum = sum.wrapping_add(sink::sum_of(body).1))?;
    ensure!(sum == tally.sum, "the sink has as many lines as the log, but not the same ones");
    Ok(())
}

/// Counts the ledger by its tables, with none of the processor's code but the cells' codec.
///
/// # Errors
/// A line is missing or was counted twice.
pub fn check_ledger(log: &Log, state: &Path, raw_requests: u64) -> anyhow::Result<()> {
    let path = state.join("ledger/ledger.db");
    let ledger =
        Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_ONLY).context("the ledger")?;
    let number =
        |query: &str| ledger.query_row(query, [], |row| row.get::<_, i64>(0)).map(i64::cast_unsigned);
    let equal = |what: &str, found: u64, expected: u64| {
        ensure!(found == expected, "{what}: {found} instead of {expected}");
        Ok(())
    };
    equal("bytes settled", number("SELECT sum(settled_offset) FROM generation")?, log.bytes)?;
    equal("lines rejected", number("SELECT count(*) FROM reject")?, 0)?;
    equal("requests of the customers", number("SELECT sum(requests) FROM customer")?, log.lines)?;
    equal("raw requests", number("SELECT count(*) FROM request")?, raw_requests)?;
    let mut days = ledger.prepare("SELECT customer, blob FROM cell WHERE kind = ?1")?;
    let mut rows = days.query([WindowKind::Day as u8])?;
    let (mut all, mut each) = ([0; 5], [0; 5]);
    while let Some(row) = rows.next()? {
        let cell = Cell::decode(row.get_ref(1)?.as_blob()?)?;
        let sum = if row.get::<_, i64>(0)? == 0 { &mut all } else { &mut each };
        for (sum, class) in sum.iter_mut().zip(cell.classes) {
            *sum += class;
        }
    }
    for sums in [all, each] {
        ensure!(
            sums == log.classes,
            "the cells have {sums:?} requests by status class instead of {:?}",
            log.classes
        );
    }
    Ok(())
}
