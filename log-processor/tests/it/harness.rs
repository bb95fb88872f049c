//! Runs the real binary in a fresh folder and tells everything about it when a test fails. Waits for conditions with a deadline, never for a time.

use std::fs::{self, OpenOptions};
use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use store::influx::fake::FakeInflux;
use tempfile::TempDir;

/// How long a condition may take on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A folder with a log, and the settings of the processors that follow it.
pub(crate) struct Bench {
    folder: TempDir,
    settings: Vec<(String, String)>,
}

/// A running processor; killed when dropped.
pub(crate) struct Running {
    child: Child,
    stderr: PathBuf,
}

impl Bench {
    /// On the embedded store.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut bench = Bench { folder, settings: vec![] };
        bench.set("LOG_FILE_PATH", "api.log");
        bench.set("STATE_DIR", "state");
        bench.set("METRICS_BIND", "127.0.0.1:0");
        bench
    }

    /// On a stand-in for InfluxDB.
    pub(crate) fn on(influx: &FakeInflux) -> Self {
        let mut bench = Bench::new();
        bench.set("INFLUXDB_URL", &influx.url());
        bench.set("DOCKER_INFLUXDB_INIT_ORG", "org");
        bench.set("DOCKER_INFLUXDB_INIT_BUCKET", "bucket");
        bench.set("DOCKER_INFLUXDB_INIT_ADMIN_TOKEN", "token");
        bench
    }

    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.settings.retain(|(other, _)| other != name);
        self.settings.push((name.to_owned(), value.to_owned()));
    }

    /// Has LOG_FILE_PATH and what else stands there read from `.env.local` instead of the environment.
    pub(crate) fn settings_file(&mut self, text: &str) {
        self.settings.retain(|(name, _)| name != "LOG_FILE_PATH");
        fs::write(self.path(".env.local"), text).expect("written");
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Appends to the log.
    pub(crate) fn append(&self, text: &str) {
        self.append_to("api.log", text.as_bytes());
    }

    pub(crate) fn append_to(&self, name: &str, bytes: &[u8]) {
        let mut file =
            OpenOptions::new().create(true).append(true).open(self.path(name)).expect("the log opens");
        file.write_all(bytes).expect("the log takes bytes");
    }

    pub(crate) fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).expect("renamed");
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_log-processor"));
        command
            .args(args)
            .current_dir(self.folder.path())
            .env_clear()
            .envs(self.settings.iter().cloned())
            .stdin(Stdio::null());
        command
    }

    /// Runs to the end.
    pub(crate) fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("the binary starts")
    }

    /// Runs to the end and expects an exit code.
    pub(crate) fn expect(&self, args: &[&str], code: i32) -> Output {
        let output = self.run(args);
        assert_eq!(
            output.status.code(),
            Some(code),
            "{args:?}\n{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        output
    }

    /// Starts and goes on.
    pub(crate) fn start(&self) -> Running {
        self.start_with(&[])
    }

    /// Starts with these arguments.
    pub(crate) fn start_with(&self, args: &[&str]) -> Running {
        let stderr =
            self.path(&format!("stderr.{}", fs::read_dir(self.folder.path()).expect("a folder").count()));
        let file = fs::File::create(&stderr).expect("a file");
        let child = self.command(args).stdout(Stdio::null()).stderr(file).spawn().expect("the binary starts");
        Running { child, stderr }
    }

    /// `status --json`.
    pub(crate) fn status(&self) -> Value {
        let output = self.expect(&["status", "--json"], 0);
        serde_json::from_slice(&output.stdout).expect("the status is JSON")
    }

    /// `rejects --json`, one value a line.
    pub(crate) fn rejects(&self) -> Vec<Value> {
        let output = self.expect(&["rejects", "--json"], 0);
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        text.lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect()
    }

    /// Waits until the status is as wished.
    pub(crate) fn until(&self, what: &str, wish: impl Fn(&Value) -> bool) -> Value {
        eventually(what, || {
            let status = self.status();
            if wish(&status) { Ok(status) } else { Err(format!("{status:#}")) }
        })
    }

    /// Waits until that many lines are stored and none is in flight.
    pub(crate) fn until_stored(&self, lines: u64) -> Value {
        self.until(&format!("{lines} lines stored"), |status| {
            status["lines_stored"] == lines && status["lines_in_flight"] == 0 && status["lag_bytes"] == 0
        })
    }
}

impl Running {
    /// What it has logged.
    pub(crate) fn log(&self) -> String {
        let mut text = String::new();
        fs::File::open(&self.stderr)
            .and_then(|mut file| file.read_to_string(&mut text))
            .expect("the log of the program");
        text
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// `kill -9`.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
    }

    /// SIGHUP.
    pub(crate) fn hang_up(&self) {
        self.signal("HUP");
    }

    /// A signal, by its name.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.pid().to_string();
        assert!(
            Command::new("kill").args([&format!("-{name}"), &pid]).status().expect("kill runs").success()
        );
    }

    /// A metric that has no labels.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let (_, metrics) = self.get("/metrics");
        let value = metrics.lines().find_map(|line| line.strip_prefix(&format!("tailgauge_{name} ")));
        value.unwrap_or_else(|| panic!("no {name} in\n{metrics}")).parse().expect("its value is a number")
    }

    /// Waits until a metric without labels has at least this value.
    pub(crate) fn until_metric(&self, name: &str, least: f64) {
        eventually(&format!("{name} is {least} or more"), || {
            let value = self.metric(name);
            if value >= least { Ok(()) } else { Err(format!("{value}\n{}", self.log())) }
        });
    }

    /// SIGTERM; returns the exit code.
    pub(crate) fn stop(mut self) -> i32 {
        let pid = self.pid().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().expect("kill runs").success());
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().expect("it can be waited for") {
                return status.code().expect("it was not killed");
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("did not stop:\n{}", self.log());
    }

    /// The address of its endpoints.
    pub(crate) fn address(&self) -> String {
        eventually("the endpoints' address is logged", || {
            let log = self.log();
            let after = log.split("address=").nth(1).ok_or_else(|| log.clone())?;
            Ok(after.split_whitespace().next().unwrap_or_default().to_owned())
        })
    }

    /// Asks an endpoint: status code and body.
    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        get(&self.address(), path)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        #[expect(clippy::print_stderr, reason = "a failed test tells everything about the program")]
        if std::thread::panicking() {
            eprintln!("--- the program's log\n{}", self.log());
        }
        // It may have ended by itself.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A plain HTTP question: status code and body.
pub(crate) fn get(address: &str, path: &str) -> (u16, String) {
    let mut stream = std::net::TcpStream::connect(address).expect("somebody listens");
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").expect("asked");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("answered");
    let code = answer.split_whitespace().nth(1).and_then(|code| code.parse().ok()).expect("a status code");
    (code, answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default())
}

/// Waits until a check gives something; its last complaint is shown when it never does.
pub(crate) fn eventually<T>(what: &str, mut check: impl FnMut() -> Result<T, String>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match check() {
            Ok(value) => return value,
            Err(complaint) if Instant::now() > deadline => panic!("never: {what}\n{complaint}"),
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

/// Some lines of the default format: `from` to `to` (exclusive), each different.
pub(crate) fn lines(from: usize, to: usize) -> String {
    (from..to)
        .map(|n| {
            format!(
                "2026-09-14 16:{:02}:{:02} cust_{} /api/v1/resource{} 200 0.{:03}\n",
                n / 60 % 60,
                n % 60,
                n % 7,
                n % 4,
                n % 1000
            )
        })
        .collect()
}
