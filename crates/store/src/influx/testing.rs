//! A real InfluxDB 2 for tests (feature `fake`): the server of INFLUXDB_TEST_URL, or an influxd of our own on a free port with everything in a temporary folder, which ends
//! with the test's process, however that ends. A test that asks for one and cannot have it fails: it was asked for.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use reqwest::Method;
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use tempfile::TempDir;
use tokio::sync::OnceCell;

use super::config::{InfluxConfig, Onboarding};
use super::http::Http;
use super::write::InfluxRequests;
use crate::{RequestStore, Trouble};

/// How long a server may take to start, on a busy machine.
const START_PATIENCE: Duration = Duration::from_secs(120);

const HOW_TO_GET_ONE: &str = "no InfluxDB 2 for the tests: set INFLUXDB_TEST_URL (with INFLUXDB_TEST_TOKEN and INFLUXDB_TEST_ORG), or INFLUXD to an influxd binary, or run \
    tests/parts/influxd.sh once, which builds one from its published Go module (some minutes; needs Go, Cargo and a C compiler)";

/// A running InfluxDB 2.
#[derive(Debug)]
pub struct RealInflux {
    url: String,
    org: String,
    token: String,
    ca_file: Option<PathBuf>,
    /// None for a server that somebody else runs.
    own: Option<OwnServer>,
}

/// How an influxd of our own is started.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Certificate and key (PEM) to speak https, and the CA that vouches for it.
    pub tls: Option<TlsFiles>,
}

/// The files of an https server.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// The server's certificate.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// Whom clients are to trust.
    pub ca: PathBuf,
}

#[derive(Debug)]
struct OwnServer {
    folder: TempDir,
    options: Options,
    port: u16,
    process: Option<Child>,
}

impl RealInflux {
    /// The one server of this process, started on first use. Tests keep apart by their buckets ([`RealInflux::fresh`]).
    pub async fn shared() -> &'static RealInflux {
        static SHARED: OnceCell<RealInflux> = OnceCell::const_new();
        SHARED
            .get_or_init(async || match std::env::var("INFLUXDB_TEST_URL") {
                Ok(url) => RealInflux::of_somebody_else(url),
                Err(_) => RealInflux::start(Options::default()).await,
            })
            .await
    }

    fn of_somebody_else(url: String) -> RealInflux {
        let setting = |name: &str| {
            std::env::var(name).unwrap_or_else(|_| panic!("INFLUXDB_TEST_URL is set, {name} is not"))
        };
        let (org, token) = (setting("INFLUXDB_TEST_ORG"), setting("INFLUXDB_TEST_TOKEN"));
        RealInflux { url, org, token, ca_file: None, own: None }
    }

    /// An influxd of our own, set up by [`RequestStore::prepare`], which can be stopped and started again.
    pub async fn start(options: Options) -> RealInflux {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let scheme = if options.tls.is_some() { "https" } else { "http" };
        let ca_file = options.tls.as_ref().map(|tls| tls.ca.clone());
        let mut own = OwnServer { folder, options, port: 0, process: None };
        own.start().await;
        let influx = RealInflux {
            url: format!("{scheme}://localhost:{}", own.port),
            org: "test-org".to_owned(),
            token: "test-token".to_owned(),
            ca_file,
            own: Some(own),
        };
        let mut config = influx.config("first-bucket");
        config.onboarding =
            Some(Onboarding { username: "tester".to_owned(), password: "tester-password".to_owned() });
        influx.prepare(config).await;
        influx
    }

    /// Its address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The name of the organization.
    pub fn org(&self) -> &str {
        &self.org
    }

    /// A token that may do everything.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// The settings for a bucket.
    pub fn config(&self, bucket: &str) -> InfluxConfig {
        let mut config =
            InfluxConfig::new(&self.url, &self.org, bucket, &self.token).expect("settings of a real server");
        config.ca_file.clone_from(&self.ca_file);
        config
    }

    /// The settings for a bucket that nobody has, and that is not there yet. On somebody else's server the buckets made of them stay: their names begin with `test-`.
    pub fn unused(&self) -> InfluxConfig {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        self.config(&format!("test-{}-{}-{number}", now.as_nanos(), std::process::id()))
    }

    /// The settings for a bucket that nobody else has, and that is there.
    pub async fn fresh(&self) -> InfluxConfig {
        let config = self.unused();
        self.prepare(config.clone()).await;
        config
    }

    /// Prepares, waiting while the server comes up.
    async fn prepare(&self, config: InfluxConfig) {
        let store = InfluxRequests::new(config).expect("settings of a real server");
        let deadline = Instant::now() + START_PATIENCE;
        loop {
            match store.prepare().await {
                Ok(()) => return,
                Err(Trouble::TryLater { .. }) if Instant::now() < deadline => {
                    tokio::time::sleep(Duration::from_millis(50)).await
                }
                Err(trouble) => panic!("InfluxDB at {} is of no use: {trouble}\n{}", self.url, self.log()),
            }
        }
    }

    /// Asks Flux as anybody could: a plain script, and the answer's rows by the names of their columns. For counts that do not come from our own questions.
    pub async fn flux(&self, script: &str) -> Vec<BTreeMap<String, String>> {
        let http = Http::new(&self.config("any")).expect("settings of a real server");
        let request = http.request(Method::POST, "api/v2/query", &[("org", &self.org)]);
        let request = request.header(CONTENT_TYPE, "application/vnd.flux").header(ACCEPT, "application/csv");
        let response = request.body(script.to_owned()).send().await.expect("an answer");
        let status = response.status();
        let text = response.text().await.expect("a whole answer");
        assert!(status.is_success(), "{status}: {text}\n{script}");
        rows(&text)
    }

    /// How many points a measurement has, by a field that every one of them has.
    pub async fn count(&self, bucket: &str, measurement: &str, field: &str) -> u64 {
        let script = format!(
            "from(bucket: {bucket:?}) |> range(start: 1677-09-22T00:00:00Z, stop: 2262-04-11T00:00:00Z) \
             |> filter(fn: (r) => r._measurement == {measurement:?} and r._field == {field:?}) |> group() |> count()"
        );
        self.flux(&script).await.first().map_or(0, |row| row["_value"].parse().expect("a count"))
    }

    /// Where our own server keeps what it was given; None for a server that somebody else runs.
    pub fn data_dir(&self) -> Option<&Path> {
        self.own.as_ref().map(|own| own.folder.path())
    }

    /// Stops our own server by its process id, as an operator would. What it stored stays.
    pub fn stop(&mut self) {
        self.own.as_mut().expect("only a server of our own is stopped").stop();
    }

    /// Starts it again on the same port with what it had.
    pub async fn start_again(&mut self) {
        self.own.as_mut().expect("only a server of our own is started").start().await;
        self.prepare(self.config("first-bucket")).await;
    }

    fn log(&self) -> String {
        self.own.as_ref().map(OwnServer::log).unwrap_or_default()
    }
}

impl OwnServer {
    async fn start(&mut self) {
        let folder = self.folder.path();
        let log = std::fs::File::create(folder.join("log")).expect("a log in the temporary folder");
        // The shell between us and influxd stops it, by its process id, when its own input ends, however our process ended; then our folder goes too, since we cannot
        // remove it any more. It ends when influxd does.
        let guard = r#"exec 3<&0
            "$@" </dev/null & server=$!
            { read -r word <&3 || touch "$FOLDER/abandoned"; kill -TERM "$server"; } & reader=$!
            wait "$server"
            kill "$reader" 2>/dev/null
            test ! -e "$FOLDER/abandoned" || rm -rf "$FOLDER""#;
        let mut command = Command::new("sh");
        command.args(["-c", guard, "influxd-guard"]).arg(binary()).env("FOLDER", folder);
        for (name, file) in [("bolt-path", "bolt"), ("sqlite-path", "sqlite"), ("engine-path", "engine")] {
            command.arg(format!("--{name}")).arg(folder.join(file));
        }
        command.args(["--http-bind-address", &format!("127.0.0.1:{}", self.port), "--reporting-disabled"]);
        if let Some(tls) = &self.options.tls {
            command.arg("--tls-cert").arg(&tls.certificate).arg("--tls-key").arg(&tls.key);
        }
        let twin = log.try_clone().expect("a second handle of the log");
        let process = command.stdin(Stdio::piped()).stdout(log).stderr(twin).spawn().expect("sh");
        let process = self.process.insert(process);
        let deadline = Instant::now() + START_PATIENCE;
        let log = || std::fs::read_to_string(folder.join("log")).unwrap_or_default();
        self.port = loop {
            if let Some(port) = listening_port(&log()) {
                break port;
            }
            let ended = process.try_wait().is_ok_and(|status| status.is_some());
            assert!(!ended && Instant::now() < deadline, "influxd does not listen:\n{}", log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
    }

    fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            if let Some(mut input) = process.stdin.take() {
                // If the guard is gone, so is the server.
                let _told = io::Write::write_all(&mut input, b"stay\n");
            }
            process.wait().expect("the guard ends after its server");
        }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for OwnServer {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The port in influxd's line `msg=Listening … service=tcp-listener … port=34567`.
fn listening_port(log: &str) -> Option<u16> {
    let line = log.lines().find(|line| line.contains("msg=Listening") && line.contains("port="))?;
    line.rsplit("port=").next()?.split_whitespace().next()?.parse().ok()
}

/// An influxd: INFLUXD, else what tests/parts/influxd.sh finds or builds.
fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("INFLUXD") {
        let path = PathBuf::from(path);
        assert!(path.is_file(), "{HOW_TO_GET_ONE} (INFLUXD={} is no file)", path.display());
        return path;
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/parts/influxd.sh");
    let output = Command::new(&script).stderr(Stdio::inherit()).output();
    match output {
        Ok(output) if output.status.success() => {
            PathBuf::from(String::from_utf8_lossy(&output.stdout).trim())
        }
        Ok(output) => panic!("{HOW_TO_GET_ONE} ({} ended with {})", script.display(), output.status),
        Err(error) => panic!("{HOW_TO_GET_ONE} ({}: {error})", script.display()),
    }
}

/// The script that asks for statistics, to be looked at by a profiler.
pub fn stats_script(one_customer: bool) -> String {
    super::flux::stats_script(one_customer)
}

/// The script that asks for the customers, to be looked at by a profiler.
pub fn customers_script() -> String {
    super::flux::customers_script()
}

/// The script that asks for the statistics of runs of windows, to be looked at by a profiler.
pub fn cells_script(runs: usize, one_customer: bool) -> String {
    super::flux::cells_script(runs, one_customer)
}

/// The script that asks for the table of customers by runs of windows, to be looked at by a profiler.
pub fn table_of_cells_script(runs: usize) -> String {
    super::flux::table_of_cells_script(runs)
}

/// The script that asks whether there is any day, to be looked at by a profiler.
pub fn known_of_days_script(one_customer: bool) -> String {
    super::flux::known_of_days_script(one_customer)
}

/// The script that asks for the customers of days, to be looked at by a profiler.
pub fn customers_of_days_script() -> String {
    super::flux::customers_of_days_script()
}

/// The scripts that ask who has requests before an instant, by windows and by points, to be looked at by a profiler.
pub fn customers_before_scripts() -> [String; 2] {
    [super::flux::customers_before_script(), super::flux::customers_of_points_script()]
}

/// CSV without annotations: tables, each with its own header, apart by empty lines.
fn rows(text: &str) -> Vec<BTreeMap<String, String>> {
    let mut rows = Vec::new();
    for table in text.replace("\r\n", "\n").split("\n\n").filter(|table| !table.trim().is_empty()) {
        let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(table.as_bytes());
        let header = reader.headers().expect("a header").clone();
        for record in reader.records() {
            let record = record.expect("a row");
            rows.push(
                header
                    .iter()
                    .zip(record.iter())
                    .map(|(name, value)| (name.to_owned(), value.to_owned()))
                    .collect(),
            );
        }
    }
    rows
}
