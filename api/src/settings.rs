//! What the program is asked to do: its settings and its subcommand, as values that cannot be wrong.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Command};
use service::{Exit, Inputs, Kind, Loaded, Program, Reader, Setting, Telemetry};

use store::influx::InfluxConfig;

use crate::Access;
use crate::key_command;
use crate::keys::Keys;
use crate::probe::Probe;

/// What the environment's names, `--help` and the README's table come from.
pub static PROGRAM: Program = Program {
    name: "api",
    about: "Answers with per-customer statistics of an access log, over HTTP",
    version: env!("CARGO_PKG_VERSION"),
    settings: &[
        Setting::new("API_BIND", Kind::Address, "where to listen; port 0 takes a free one and prints it")
            .default("127.0.0.1:8000"),
        Setting::new(
            "API_ALLOW_ANONYMOUS",
            Kind::Flag,
            "listen on an address other than loopback: everyone who reaches it may read every statistic",
        )
        .default("false"),
        Setting::new(
            "API_KEYS",
            Kind::Text("entries such as `api key new` prints them, one a line or separated by commas"),
            "who may ask: hashes of keys, and what each opens; without it everyone who reaches the api may",
        )
        .secret(),
        Setting::new(
            "API_SHARE_SECRET",
            Kind::Text("at least 32 characters that nobody can guess"),
            "what share links are signed with; without it there are none",
        )
        .secret(),
        Setting::new(
            "API_RATE_LIMIT",
            Kind::Whole { min: 0, max: 1_000_000 },
            "requests a second of each key, twice as many at once; 0 is no limit",
        )
        .default("50"),
        Setting::new(
            "API_CORS_ORIGINS",
            Kind::List,
            "other sites whose pages may ask, such as https://status.example.com; none by default",
        ),
        Setting::new("STATE_DIR", Kind::Path, "where the ledger is").default("data"),
        Setting::new(
            "STORE",
            Kind::OneOf(&["embedded", "influxdb"]),
            "the store; embedded when INFLUXDB_URL is not set, else influxdb",
        ),
        Setting::new("RETENTION", Kind::Age, "days before this age are not counted, as in the processor")
            .default("0")
            .aliases(&["DOCKER_INFLUXDB_INIT_RETENTION"]),
        Setting::new(
            "INFLUXDB_URL",
            Kind::Url("an address such as http://127.0.0.1:8086"),
            "the InfluxDB 2 to ask",
        ),
        Setting::new(
            "DOCKER_INFLUXDB_INIT_ORG",
            Kind::Text("the name of an organization"),
            "its organization",
        ),
        Setting::new("DOCKER_INFLUXDB_INIT_BUCKET", Kind::Text("the name of a bucket"), "its bucket"),
        Setting::new(
            "DOCKER_INFLUXDB_INIT_ADMIN_TOKEN",
            Kind::Text("a token that may read the bucket"),
            "the token to read with",
        )
        .secret(),
        Setting::new(
            "INFLUXDB_WRITE_ONLY",
            Kind::Flag,
            "that store cannot be asked: this program then refuses to start",
        )
        .default("false"),
        service::LOGGING_LEVEL,
        service::LOG_FORMAT_JSON,
    ],
    examples: &[
        ("api", "answers on http://127.0.0.1:8000 from the ledger in data/"),
        ("api --api-bind 127.0.0.1:0 --state-dir /var/lib/tailgauge", "on a free port, from another ledger"),
        ("api health", "asks a running api whether it lives; exits 0 or 1"),
        ("api health --ready http://127.0.0.1:8000", "asks that one whether it can answer"),
        ("api key new --customer cust_1", "makes a key for that customer's data and nothing else"),
        ("curl 'http://127.0.0.1:8000/customers/cust_1/stats?from_date=1970-01-01'", "asks for a customer"),
    ],
    exit_codes: &[
        (0, "stopped after every answer under way was given; or: healthy"),
        (1, "health: not healthy"),
        (2, "a setting is wrong, or its address cannot be listened on"),
        (3, "stopped while answers were still under way, after the deadline of 10 s or at a second signal"),
    ],
};

/// What to do.
#[derive(Debug)]
pub enum Task {
    /// Serve until told to stop.
    Serve(Box<Settings>),
    /// Ask a running api how it is.
    Health(Probe),
    /// Print this and exit.
    Print(Exit),
}

/// The settings of a server.
#[derive(Debug)]
pub struct Settings {
    /// Where to listen.
    pub bind: SocketAddr,
    /// Who may ask.
    pub access: Access,
    /// The store to ask.
    pub store: StoreChoice,
    /// Where the processor's status socket is, if one runs on this machine.
    pub state_dir: PathBuf,
    /// Days before this age are not counted.
    pub retention: Option<Duration>,
    /// How to log.
    pub telemetry: Telemetry,
    /// What was odd about the settings, for the log.
    pub warnings: Vec<String>,
}

/// The store to ask.
#[derive(Clone, Debug)]
pub enum StoreChoice {
    /// The ledger in this folder.
    Embedded {
        /// STATE_DIR.
        state_dir: PathBuf,
    },
    /// An InfluxDB 2.
    Influx(Box<InfluxConfig>),
}

/// Reads command line, environment and files. All faults are told at once.
pub fn read(inputs: Inputs) -> Result<Task, Exit> {
    let loaded = PROGRAM.load_with(inputs, |command| {
        command.subcommand(health_command()).subcommand(key_command::command())
    })?;
    match loaded.matches().subcommand() {
        Some(("health", matches)) => health(&loaded, matches).map(Task::Health),
        Some(("key", matches)) => {
            Ok(Task::Print(key_command::run(&loaded, matches, chrono::Utc::now().timestamp())))
        }
        _ => serve(&loaded).map(|settings| Task::Serve(Box::new(settings))),
    }
}

fn health_command() -> Command {
    Command::new("health")
        .about("Ask a running api how it is: exit code 0 = well, 1 = not well or not there")
        .arg(
            Arg::new("url")
                .value_name("URL")
                .help("http://HOST:PORT[/PATH]; without it, the address of API_BIND"),
        )
        .arg(
            Arg::new("ready")
                .long("ready")
                .action(ArgAction::SetTrue)
                .help("Ask /readyz (can it answer?) instead of /livez (does it live?)"),
        )
}

fn health(loaded: &Loaded, matches: &ArgMatches) -> Result<Probe, Exit> {
    let path = if matches.get_flag("ready") { "/readyz" } else { "/livez" };
    match matches.get_one::<String>("url") {
        Some(url) => Probe::of_url(url, path).map_err(|wrong| Exit::usage(format!("api health: {wrong}\n"))),
        None => {
            let mut reader = loaded.reader();
            let bind = reader.address("API_BIND");
            reader.finish()?;
            Probe::of_address(bind, path).map_err(|wrong| Exit::usage(format!("api health: {wrong}\n")))
        }
    }
}

fn serve(loaded: &Loaded) -> Result<Settings, Exit> {
    let mut reader = loaded.reader();
    let bind = reader.address("API_BIND");
    let access = access(&mut reader);
    let anonymous = reader.flag("API_ALLOW_ANONYMOUS");
    let mut warnings = loaded.warnings().to_vec();
    if access.keys.are_needed() && anonymous {
        warnings
            .push("API_KEYS is set, so a key is needed: API_ALLOW_ANONYMOUS=true changes nothing".to_owned());
    }
    if !anonymous && !access.keys.are_needed() && !is_loopback(bind.ip()) {
        reader.fault(
            "API_BIND",
            "a loopback address such as 127.0.0.1:8000, or API_KEYS or API_ALLOW_ANONYMOUS=true beside it: without keys, whoever reaches any other address may read all statistics",
        );
    }
    let retention = reader.age("RETENTION");
    let settings = Settings {
        bind,
        access,
        store: store(&mut reader, retention),
        state_dir: reader.path("STATE_DIR"),
        retention,
        telemetry: Telemetry::read(&mut reader),
        warnings,
    };
    reader.finish()?;
    Ok(settings)
}

/// Who may ask. What is wrong with a secret is said without it.
fn access(reader: &mut Reader<'_>) -> Access {
    let mut keys = match Keys::parse(&reader.text("API_KEYS").unwrap_or_default()) {
        Ok(keys) => keys,
        Err(wrong) => {
            reader.fault("API_KEYS", &format!("entries of keys ({wrong})"));
            Keys::default()
        }
    };
    if let Some(secret) = reader.text("API_SHARE_SECRET") {
        match keys.clone().sharing(&secret) {
            Ok(sharing) => keys = sharing,
            Err(wrong) => reader.fault("API_SHARE_SECRET", &wrong),
        }
    }
    let mut cors_origins = Vec::new();
    for origin in reader.list("API_CORS_ORIGINS") {
        match origin.parse() {
            Ok(value) if is_origin(&origin) => cors_origins.push(value),
            _ => {
                reader.fault("API_CORS_ORIGINS", "origins such as https://status.example.com, without a path")
            }
        }
    }
    let requests_per_second = u32::try_from(reader.whole("API_RATE_LIMIT")).unwrap_or(u32::MAX);
    Access { keys, requests_per_second, cors_origins }
}

fn is_origin(text: &str) -> bool {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    host.is_some_and(|host| !host.is_empty() && !host.contains(['/', '*', '?', '#', '@', ' ']))
}

fn store(reader: &mut Reader<'_>, retention: Option<Duration>) -> StoreChoice {
    let embedded = StoreChoice::Embedded { state_dir: reader.path("STATE_DIR") };
    let url = reader.text("INFLUXDB_URL");
    let wants_influx = match reader.text("STORE") {
        Some(store) => store.eq_ignore_ascii_case("influxdb"),
        None => url.is_some(),
    };
    if !wants_influx {
        return embedded;
    }
    if reader.flag("INFLUXDB_WRITE_ONLY") {
        let expected = "false: a store that can only be written cannot be asked for statistics, so the api does not work with it";
        reader.fault("INFLUXDB_WRITE_ONLY", expected);
    }
    let why = "because the store is influxdb";
    let names = [
        "INFLUXDB_URL",
        "DOCKER_INFLUXDB_INIT_ORG",
        "DOCKER_INFLUXDB_INIT_BUCKET",
        "DOCKER_INFLUXDB_INIT_ADMIN_TOKEN",
    ];
    let [url, org, bucket, token] = names.map(|name| reader.required(name, why));
    if [&url, &org, &bucket, &token].iter().any(|text| text.is_empty()) {
        return embedded; // A fault that has been noted.
    }
    match InfluxConfig::new(&url, &org, &bucket, &token) {
        Ok(config) => StoreChoice::Influx(Box::new(InfluxConfig { retention, ..config })),
        Err(error) => {
            reader.fault("INFLUXDB_URL", &format!("settings of an InfluxDB that can work: {error}"));
            embedded
        }
    }
}

fn is_loopback(ip: IpAddr) -> bool {
    // `::ffff:127.0.0.1` is loopback, too.
    ip.to_canonical().is_loopback()
}

#[cfg(test)]
mod tests;
