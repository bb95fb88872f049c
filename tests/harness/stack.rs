//! A folder with a log, and the programs that write it, follow it and answer from it, all with the same settings.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::groups::variable;
use crate::http::{self, Answer, encoded};
use crate::influx::{BUCKET, ORG, TOKEN};
use crate::program::{Program, binary, unannounced_errors};
use crate::recount::Recount;
use crate::tell;
use crate::wait::{PATIENCE, eventually, holds};

/// The log's name in the folder.
pub const LOG: &str = "api.log";

/// A folder, and settings.
#[derive(Debug)]
pub struct Stack {
    folder: TempDir,
    settings: BTreeMap<String, String>,
    announced: Vec<String>,
}

/// A running processor.
#[derive(Debug)]
pub struct Processor {
    /// Its process.
    pub program: Program,
}

/// A running api.
#[derive(Debug)]
pub struct Api {
    /// Its process.
    pub program: Program,
    address: String,
}

impl Stack {
    /// On the embedded store.
    pub fn embedded() -> Stack {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut stack = Stack { folder, settings: BTreeMap::new(), announced: vec![] };
        stack.set("STORE", "embedded");
        stack.set("LOG_FILE_PATH", LOG);
        stack.set("STATE_DIR", "state");
        stack.set("METRICS_BIND", "127.0.0.1:0");
        stack.set("API_BIND", "127.0.0.1:0");
        stack
    }

    /// On an InfluxDB, or on a proxy in front of one.
    pub fn influxdb(url: &str) -> Stack {
        let mut stack = Stack::embedded();
        stack.set("STORE", "influxdb");
        stack.set("INFLUXDB_URL", url);
        stack.set("DOCKER_INFLUXDB_INIT_ORG", ORG);
        stack.set("DOCKER_INFLUXDB_INIT_BUCKET", BUCKET);
        stack.set("DOCKER_INFLUXDB_INIT_ADMIN_TOKEN", TOKEN);
        stack
    }

    /// Sets a setting for the programs that start from now on.
    pub fn set(&mut self, name: &str, value: &str) {
        self.settings.insert(name.to_owned(), value.to_owned());
    }

    /// A log line at ERROR with this in it belongs to the test, whichever program writes it.
    pub fn announce(&mut self, part: &str) {
        self.announced.push(part.to_owned());
    }

    /// A path in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Appends to the log.
    pub fn append(&self, bytes: impl AsRef<[u8]>) {
        self.append_to(LOG, bytes);
    }

    /// Appends to a file.
    pub fn append_to(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let file = OpenOptions::new().create(true).append(true).open(self.path(name));
        file.and_then(|mut file| file.write_all(bytes.as_ref())).expect("the file takes bytes");
    }

    /// Renames a file.
    pub fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).expect("renamed");
    }

    /// Removes a file or a folder.
    pub fn remove(&self, name: &str) {
        let path = self.path(name);
        let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        removed.expect("removed");
    }

    /// A file and what it was renamed to (`api.log`, `api.log.1`, …).
    pub fn generations(&self, name: &str) -> Vec<PathBuf> {
        let rotated =
            (1..).map(|number| self.path(&format!("{name}.{number}"))).take_while(|path| path.exists());
        std::iter::once(self.path(name)).filter(|path| path.exists()).chain(rotated).collect()
    }

    /// A recount of the log.
    pub fn recount(&self) -> Recount {
        Recount::of_files(self.generations(LOG))
    }

    fn command(&self, program: &str, args: &[&str], settings: &[(&str, &str)]) -> Command {
        let mut command = Command::new(binary(program));
        command
            .args(args)
            .current_dir(self.folder.path())
            .env_clear()
            .envs(&self.settings)
            .envs(settings.iter().copied())
            .stdin(Stdio::null());
        command
    }

    fn start(&self, program: &str, settings: &[(&str, &str)]) -> Program {
        let command = self.command(program, &[], settings);
        Program::start(program, command, self.folder.path(), &self.announced)
    }

    /// Runs a program to its end and expects an exit code.
    pub fn run(&self, program: &str, args: &[&str], settings: &[(&str, &str)], code: i32) -> Output {
        let output = self.command(program, args, settings).output().expect("the program starts");
        let log = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{program} {args:?}\n{log}");
        let errors = unannounced_errors(&log, &self.announced);
        assert!(errors.is_empty(), "{program} {args:?} logged what the test did not announce:\n{errors}");
        output
    }

    /// Starts the generator.
    pub fn generator(&self, settings: &[(&str, &str)]) -> Program {
        self.start("log-generator", settings)
    }

    /// Runs the generator until it has written all its lines.
    pub fn generate(&self, settings: &[(&str, &str)]) {
        self.run("log-generator", &[], settings, 0);
    }

    /// Starts the processor: it follows the log.
    pub fn processor(&self) -> Processor {
        Processor { program: self.start("log-processor", &[]) }
    }

    /// Starts the processor by another program that becomes it (`prlimit`, `setpriv`), with that one's arguments first.
    pub fn processor_by(&self, wrapper: &[&str]) -> Processor {
        let direct = self.command("log-processor", &[], &[]);
        // Somewhere where any user may run it.
        let program = self.path("log-processor");
        fs::copy(direct.get_program(), &program).expect("the program is copied");
        let mut command = Command::new(wrapper[0]);
        command.args(&wrapper[1..]).arg(program).current_dir(self.folder.path()).env_clear();
        command.envs(direct.get_envs().filter_map(|(name, value)| Some((name, value?))));
        // To find the wrapper.
        command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        Processor { program: Program::start("log-processor", command, self.folder.path(), &self.announced) }
    }

    /// Drains the log; how long that took.
    pub fn once(&self) -> Duration {
        let begun = Instant::now();
        self.run("log-processor", &["--once"], &[], 0);
        begun.elapsed()
    }

    /// Starts the api.
    pub fn api(&self) -> Api {
        let program = self.start("api", &[]);
        let address = eventually(PATIENCE, "the api says where it listens", || {
            let printed = program.printed();
            let line = printed.lines().find_map(|line| line.strip_prefix("listening on http://"));
            line.map(str::to_owned).ok_or_else(|| printed.clone() + &program.log())
        });
        Api { program, address }
    }

    /// `status --json`.
    pub fn status(&self) -> Value {
        let output = self.run("log-processor", &["status", "--json"], &[], 0);
        serde_json::from_slice(&output.stdout).expect("the status is JSON")
    }

    /// `rejects --json`, one value a line.
    pub fn rejects(&self) -> Vec<Value> {
        let output = self.run("log-processor", &["rejects", "--json"], &[], 0);
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        text.lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect()
    }

    /// `verify`, whatever comes of it.
    pub fn verify(&self, args: &[&str]) -> Output {
        let args = [&["verify"], args].concat();
        self.command("log-processor", &args, &[]).output().expect("the program starts")
    }

    /// Waits until the status is as wished.
    pub fn until(&self, deadline: Duration, what: &str, wish: impl Fn(&Value) -> bool) -> Value {
        eventually(deadline, what, || {
            let status = self.status();
            if wish(&status) { Ok(status) } else { Err(format!("{status:#}")) }
        })
    }

    /// Waits until just that many lines are stored, and nothing else is waiting.
    pub fn until_stored(&self, deadline: Duration, lines: u64) -> Value {
        let status = self.until(deadline, &format!("{lines} lines stored"), |status| {
            status["lines_stored"].as_u64() >= Some(lines)
                && status["lines_in_flight"] == 0
                && status["lag_bytes"] == 0
                // Where statistics are published, answers are made of them.
                && (status["statistics"].is_null() || status["statistics"]["commit"] == status["commit"])
        });
        assert_eq!(status["lines_stored"], lines, "{status:#}");
        status
    }

    /// Asserts that the account of a processor at rest adds up: so many lines stored, so many rejected, nothing waiting or lost.
    pub fn assert_account(&self, stored: u64, rejected: u64) {
        let status = self.status();
        let figures = ["lines_read", "lines_stored", "lines_rejected", "lines_in_flight", "lag_bytes"];
        let told = figures.map(|name| status[name].as_u64().unwrap_or(u64::MAX));
        assert_eq!(told, [stored + rejected, stored, rejected, 0, 0], "{figures:?} of {status:#}");
        assert_eq!(status["lost_bytes"], serde_json::json!({}), "{status:#}");
        let settled: u64 = status["files"].as_array().map_or(0, |files| {
            files.iter().map(|file| file["settled_offset"].as_u64().expect("a place in a file")).sum()
        });
        assert!(status["bytes_settled"].as_u64() >= Some(settled), "{status:#}");
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // What a failed test leaves behind is worth a look, if somebody wants to look.
        if std::thread::panicking() && variable("SYSTEM_TESTS_KEEP").is_some() {
            self.folder.disable_cleanup(true);
            tell(&format!("kept: {}", self.folder.path().display()));
        }
    }
}

impl Processor {
    /// Where its endpoints are.
    pub fn address(&self) -> String {
        self.program.logged_after("address=")
    }

    /// Asks one of its endpoints.
    pub fn get(&self, path: &str) -> Answer {
        http::get(&self.address(), path)
            .unwrap_or_else(|error| panic!("{path}: {error}\n{}", self.program.log()))
    }

    /// Waits until it is ready, or until it is not.
    pub fn until_ready(&self, deadline: Duration, ready: bool) -> Answer {
        let wanted = if ready { 200 } else { 503 };
        eventually(deadline, &format!("/readyz answers {wanted}"), || {
            let answer = self.get("/readyz");
            holds(answer.status == wanted, || answer.text()).map(|()| answer)
        })
    }
}

impl Api {
    /// Where it is, as a browser has it.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Asks.
    pub fn get(&self, path: &str) -> Answer {
        http::get(&self.address, path)
            .unwrap_or_else(|error| panic!("{path}: {error}\n{}", self.program.log()))
    }

    /// What a browser is given.
    pub fn page(&self) -> String {
        let answer = http::ask("GET", &self.address, "/", &[("Accept", "text/html")], b"");
        answer.unwrap_or_else(|error| panic!("/: {error}\n{}", self.program.log())).text()
    }

    /// Statistics of a customer (of all without one): status and body.
    pub fn stats(&self, customer: Option<&str>, from_date: &str) -> Answer {
        match customer {
            Some(id) => self.get(&format!("/customers/{}/stats?from_date={from_date}", encoded(id))),
            None => self.get(&format!("/customers/stats?from_date={from_date}")),
        }
    }

    /// All customers with their requests, page by page.
    pub fn customers(&self, limit: usize) -> Vec<(String, u64)> {
        let mut rows = Vec::new();
        let mut path = format!("/customers?limit={limit}");
        loop {
            let answer = self.get(&path);
            assert_eq!(answer.status, 200, "{path}: {}", answer.text());
            let page = answer.json();
            for row in page["data"].as_array().expect("a page has rows") {
                let id = row["customer_id"].as_str().expect("a row has an id");
                rows.push((id.to_owned(), row["requests"].as_u64().expect("a row has requests")));
            }
            let Some(cursor) = page["next_cursor"].as_str() else { return rows };
            path = format!("/customers?limit={limit}&cursor={cursor}");
        }
    }

    /// How many answers it has made from single requests, because the statistics do not hold all of them.
    pub fn raw_questions(&self) -> u64 {
        let metrics = self.get("/metrics").text();
        let line = metrics.lines().find_map(|line| line.strip_prefix("tailgauge_api_raw_questions_total "));
        line.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no such metric: {metrics}"))
    }

    /// Asserts that it tells of every customer, and of all together, just what the recount does: figures and days, from each of these dates on.
    pub fn assert_equal(&self, recount: &Recount, from_dates: &[&str]) {
        for from_date in from_dates {
            let each = recount.customers().into_iter().map(Some).chain([None]);
            for customer in each {
                let answer = self.stats(customer, from_date);
                if recount.figures(customer, from_date).is_none() {
                    assert_eq!(answer.status, 404, "{customer:?} from {from_date}: {}", answer.text());
                    continue;
                }
                assert_eq!(answer.status, 200, "{customer:?} from {from_date}: {}", answer.text());
                recount.assert_equal(&answer.json(), customer, from_date);
            }
        }
        let expected: Vec<(String, u64)> =
            recount.customers().iter().map(|id| ((*id).to_owned(), recount.requests_of(id))).collect();
        assert_eq!(self.customers(7), expected, "the list of customers");
    }
}

/// A day that many days ago, as a from_date.
pub fn days_ago(days: i64) -> String {
    (chrono::Utc::now() - chrono::TimeDelta::days(days)).format("%Y-%m-%d").to_string()
}

/// Some good lines: `from` to `to` (exclusive), each different.
pub fn lines(from: u64, to: u64) -> String {
    let line = |n: u64| {
        let (minute, second, status) = (n / 60 % 60, n % 60, [200, 201, 302, 404, 500][(n % 5) as usize]);
        format!(
            "2026-09-14 16:{minute:02}:{second:02} cust_{} /api/v1/resource{} {status} 0.{:03}\n",
            n % 7,
            n % 4,
            n % 1000
        )
    };
    (from..to).map(line).collect()
}

/// A file's size in bytes.
pub fn size(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |metadata| metadata.len())
}
