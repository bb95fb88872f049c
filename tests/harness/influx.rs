//! A real InfluxDB 2, started for one test in a folder of its own, and asked with its own query API. Knows nothing of our store's code: the names
//! of measurements and fields stand here a second time, as a user would write them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;

use crate::http::{self, Answer};
use crate::program::Program;
use crate::wait::{PATIENCE, eventually};
use crate::workspace;

/// Its organization.
pub const ORG: &str = "org";
/// Its bucket.
pub const BUCKET: &str = "requests";
/// Its token.
pub const TOKEN: &str = "token-of-the-test";
/// All times that can be in a log, and that InfluxDB knows.
const ALWAYS: &str = "start: 1970-01-01T00:00:00Z, stop: 2262-01-01T00:00:00Z";

/// A running InfluxDB; stopped, and its data removed, when dropped.
#[derive(Debug)]
pub struct Influx {
    // Stopped before its folder goes.
    server: Option<Program>,
    address: String,
    folder: TempDir,
}

impl Influx {
    /// A fresh one with an empty bucket that keeps everything for ever.
    pub fn start() -> Influx {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let server = serve(&folder, "127.0.0.1:0");
        let port = eventually(PATIENCE, "influxd listens", || {
            let log = server.printed() + &server.log();
            let line = log.lines().find(|line| line.contains("Listening") && line.contains(" port="));
            let port =
                line.and_then(|line| line.split(" port=").nth(1)?.split(' ').next()?.parse::<u16>().ok());
            port.ok_or(log)
        });
        let influx = Influx { server: Some(server), address: format!("127.0.0.1:{port}"), folder };
        influx.wait_until_healthy();
        let body = json!({
            "username": "tester", "password": "password-of-the-test", "org": ORG, "bucket": BUCKET, "token": TOKEN,
            "retentionPeriodSeconds": 0,
        });
        let answer = http::ask("POST", &influx.address, "/api/v2/setup", &[], body.to_string().as_bytes())
            .expect("an answer to the set-up");
        assert_eq!(answer.status, 201, "{}", answer.text());
        influx
    }

    /// Its address, `127.0.0.1:port`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Its address as INFLUXDB_URL has it.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Stops it; its data stay.
    pub fn stop(&mut self) {
        let server = self.server.take().expect("it runs");
        server.stop();
    }

    /// Starts it again at the same address on the same data.
    pub fn start_again(&mut self) {
        assert!(self.server.is_none(), "it runs");
        self.server = Some(serve(&self.folder, &self.address));
        self.wait_until_healthy();
    }

    fn wait_until_healthy(&self) {
        eventually(PATIENCE, "influxd is healthy", || match http::get(&self.address, "/health") {
            Ok(answer) if answer.status == 200 => Ok(()),
            Ok(answer) => Err(answer.text()),
            Err(error) => Err(error.to_string()),
        });
    }

    fn ask(&self, path: &str, content_type: &str, body: &[u8]) -> Answer {
        let authorization = format!("Token {TOKEN}");
        let headers = [
            ("Authorization", authorization.as_str()),
            ("Content-Type", content_type),
            ("Accept", "application/csv"),
        ];
        http::ask("POST", &self.address, path, &headers, body).expect("an answer of InfluxDB")
    }

    /// Runs a Flux script; its rows, each as column -> text.
    pub fn flux(&self, script: &str) -> Vec<BTreeMap<String, String>> {
        let answer = self.ask(&format!("/api/v2/query?org={ORG}"), "application/vnd.flux", script.as_bytes());
        assert_eq!(answer.status, 200, "{script}\n{}", answer.text());
        let rows = rows(&answer.text());
        // An error after the first bytes of an answer comes as a table.
        assert!(rows.iter().all(|row| !row.contains_key("error")), "{script}\n{rows:?}");
        rows
    }

    /// Writes line protocol.
    pub fn write(&self, lines: &str) -> Answer {
        let path = format!("/api/v2/write?org={ORG}&bucket={BUCKET}&precision=ns");
        self.ask(&path, "text/plain", lines.as_bytes())
    }

    /// Deletes a measurement.
    pub fn delete(&self, measurement: &str) {
        self.delete_between(measurement, "1970-01-01T00:00:00Z", "2262-01-01T00:00:00Z");
    }

    /// Deletes the points of a measurement from one instant to before another.
    pub fn delete_between(&self, measurement: &str, start: &str, stop: &str) {
        let body = json!({
            "start": start, "stop": stop,
            "predicate": format!("_measurement=\"{measurement}\""),
        });
        let path = format!("/api/v2/delete?org={ORG}&bucket={BUCKET}");
        let answer = self.ask(&path, "application/json", body.to_string().as_bytes());
        assert_eq!(answer.status, 204, "{}", answer.text());
    }

    /// Deletes the bucket and makes it anew, as an operator might.
    pub fn renew_bucket(&self) {
        let authorization = format!("Token {TOKEN}");
        let ask = |method: &str, path: &str, body: &str, expected: u16| {
            let headers = [("Authorization", authorization.as_str()), ("Content-Type", "application/json")];
            let answer = http::ask(method, &self.address, path, &headers, body.as_bytes())
                .expect("an answer of InfluxDB");
            assert_eq!(answer.status, expected, "{method} {path}: {}", answer.text());
            answer
        };
        let buckets = ask("GET", &format!("/api/v2/buckets?name={BUCKET}"), "", 200).json();
        let bucket = &buckets["buckets"][0];
        let id = |name: &str| bucket[name].as_str().expect("a bucket has ids").to_owned();
        let body = json!({ "orgID": id("orgID"), "name": BUCKET, "retentionRules": [] });
        ask("DELETE", &format!("/api/v2/buckets/{}", id("id")), "", 204);
        let headers = [("Authorization", authorization.as_str()), ("Content-Type", "application/json")];
        let made = http::ask("POST", &self.address, "/api/v2/buckets", &headers, body.to_string().as_bytes())
            .expect("an answer of InfluxDB");
        // A processor that runs makes its bucket by itself.
        assert!(matches!(made.status, 201 | 422), "{}", made.text());
    }

    /// How many requests it holds: points of `api_requests`, told by each of the three fields.
    pub fn requests(&self) -> u64 {
        let counts = ["duration", "status_code", "request_path"].map(|field| {
            let filter = format!(r#"r._measurement == "api_requests" and r._field == "{field}""#);
            let rows = self.flux(&format!(
                r#"from(bucket: "{BUCKET}") |> range({ALWAYS}) |> filter(fn: (r) => {filter}) |> group() |> count()"#
            ));
            rows.first().map_or(0, |row| row["_value"].parse::<u64>().expect("a count"))
        });
        assert!(counts.iter().all(|count| *count == counts[0]), "the fields differ in number: {counts:?}");
        counts[0]
    }

    /// For each customer: requests, successes, and the sum of the latencies in microseconds.
    pub fn sums(&self) -> BTreeMap<String, (u64, u64, u64)> {
        let filter = r#"r._measurement == "api_requests" and r._field == "duration""#;
        let by = r#"group(columns: ["customer_id", "success"])"#;
        let ask = |rest: &str| {
            let from =
                format!(r#"from(bucket: "{BUCKET}") |> range({ALWAYS}) |> filter(fn: (r) => {filter})"#);
            self.flux(&format!("{from} |> {rest}"))
        };
        let value = |row: &BTreeMap<String, String>| row["_value"].parse::<u64>().expect("a whole number");
        let mut sums: BTreeMap<String, (u64, u64, u64)> = BTreeMap::new();
        for row in ask(&format!("{by} |> count()")) {
            let sum = sums.entry(row["customer_id"].clone()).or_default();
            sum.0 += value(&row);
            sum.1 += if row["success"] == "1" { value(&row) } else { 0 };
        }
        let micros = "map(fn: (r) => ({r with _value: int(v: r._value * 1000000.0 + 0.5)}))";
        for row in ask(&format!("{micros} |> {by} |> sum()")) {
            sums.get_mut(&row["customer_id"]).expect("it was counted").2 += value(&row);
        }
        sums
    }

    /// Requests by a tag; without the tag under the empty name.
    pub fn requests_by(&self, tag: &str) -> BTreeMap<String, u64> {
        let filter = r#"r._measurement == "api_requests" and r._field == "duration""#;
        let rows = self.flux(&format!(
            r#"from(bucket: "{BUCKET}") |> range({ALWAYS}) |> filter(fn: (r) => {filter}) |> group(columns: ["{tag}"]) |> count()"#
        ));
        let count = |row: &BTreeMap<String, String>| {
            (row.get(tag).cloned().unwrap_or_default(), row["_value"].parse().expect("a count"))
        };
        rows.iter().map(count).collect()
    }
}

fn serve(folder: &TempDir, address: &str) -> Program {
    let path = |name: &str| folder.path().join(name);
    let mut command = Command::new(influxd());
    command
        .arg("--bolt-path")
        .arg(path("bolt"))
        .arg("--sqlite-path")
        .arg(path("sqlite"))
        .arg("--engine-path")
        .arg(path("engine"))
        .args(["--http-bind-address", address, "--reporting-disabled"])
        .current_dir(folder.path());
    Program::start("influxd", command, folder.path(), &[])
}

/// The server's binary, found or built once.
fn influxd() -> PathBuf {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    let find = || {
        let script = workspace().join("tests/parts/influxd.sh");
        let output = Command::new(&script).stdin(Stdio::null()).stderr(Stdio::inherit()).output();
        let output = output.unwrap_or_else(|error| panic!("{}: {error}", script.display()));
        assert!(
            output.status.success(),
            "no InfluxDB 2 is to be had; see above what {} says",
            script.display()
        );
        PathBuf::from(String::from_utf8_lossy(&output.stdout).trim())
    };
    PATH.get_or_init(find).clone()
}

/// Deadline for a server that was stopped for a while to have everything again.
pub const CATCH_UP: Duration = Duration::from_secs(180);

/// The rows of annotated CSV: tables apart by empty lines, each with a line of names first.
fn rows(text: &str) -> Vec<BTreeMap<String, String>> {
    let mut rows = Vec::new();
    let mut names: Option<Vec<String>> = None;
    for record in records(text) {
        if record.len() == 1 && record[0].is_empty() {
            names = None;
            continue;
        }
        match &names {
            None => names = Some(record),
            Some(names) => rows.push(names.iter().cloned().zip(record).collect()),
        }
    }
    rows
}

/// The records of CSV: fields between commas, quoted where they hold commas, quotes or line ends.
fn records(text: &str) -> Vec<Vec<String>> {
    let mut records = vec![vec![String::new()]];
    let mut quoted = false;
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        let record = records.last_mut().expect("there is always one");
        let field = record.last_mut().expect("there is always one");
        match letter {
            '"' if quoted && letters.peek() == Some(&'"') => field.extend(letters.next()),
            '"' => quoted = !quoted,
            ',' if !quoted => record.push(String::new()),
            '\r' if !quoted => {}
            '\n' if !quoted => records.push(vec![String::new()]),
            other => field.push(other),
        }
    }
    records
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_read_with_their_names() {
        let text = ",result,table,_value\r\n,_result,0,5\r\n\r\n,result,table,name\r\n,x,0,\"a,\"\"b\"\"\nc\"\r\n\r\n";
        let rows = rows(text);
        assert_eq!(rows.len(), 2);
        assert_eq!((&*rows[0]["_value"], &*rows[1]["name"]), ("5", "a,\"b\"\nc"));
    }
}
