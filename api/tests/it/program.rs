//! The real binary: started with settings of the test's own, asked over HTTP, stopped by a signal.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Everything here takes milliseconds; a machine under load may take longer.
const DEADLINE: Duration = Duration::from_secs(30);

/// The binary with these settings and no others.
pub(crate) fn command(folder: &Path, args: &[&str], settings: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_api"));
    command.args(args).current_dir(folder).env_clear().envs(settings.iter().copied());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs it to its end, and ends it if that does not come.
pub(crate) fn run(folder: &Path, args: &[&str], settings: &[(&str, &str)]) -> Output {
    let mut child = command(folder, args, settings).spawn().expect("the binary starts");
    ended(&mut child);
    child.wait_with_output().expect("its output")
}

fn ended(child: &mut Child) -> ExitStatus {
    let end = Instant::now() + DEADLINE;
    loop {
        if let Some(status) = child.try_wait().expect("a child of ours") {
            return status;
        }
        if Instant::now() > end {
            child.kill().expect("a child of ours");
            panic!("it did not end within {DEADLINE:?}");
        }
        std::thread::yield_now();
    }
}

/// A running api.
pub(crate) struct Program {
    child: Child,
    address: String,
}

impl Program {
    /// Starts it on a free port over the ledger in a folder.
    pub(crate) fn start(state_dir: &Path) -> Self {
        let state = state_dir.to_str().expect("a temporary folder");
        Self::start_with(state_dir, &[("STATE_DIR", state)])
    }

    pub(crate) fn start_with(folder: &Path, settings: &[(&str, &str)]) -> Self {
        let mut command = command(folder, &[], settings);
        let mut child = command.env("API_BIND", "127.0.0.1:0").spawn().expect("the binary starts");
        let mut line = String::new();
        let stdout = child.stdout.as_mut().expect("piped");
        BufReader::new(stdout).read_line(&mut line).expect("readable");
        let address = line.strip_prefix("listening on http://").map(|address| address.trim_end().to_owned());
        let Some(address) = address else {
            let output = child.wait_with_output().expect("its output");
            panic!("it said {line:?} and {}", String::from_utf8_lossy(&output.stderr));
        };
        Self { child, address }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Status and body.
    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        self.get_with(path, &[])
    }

    /// The same with headers.
    pub(crate) fn get_with(&self, path: &str, headers: &[(&str, String)]) -> (u16, String) {
        let (head, body) = self.exchange(path, headers);
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        (status.unwrap_or_else(|| panic!("{head}")), body)
    }

    pub(crate) fn json(&self, path: &str) -> (u16, Value) {
        let (status, body) = self.get(path);
        (status, serde_json::from_str(&body).unwrap_or_else(|error| panic!("{path}: {error}: {body}")))
    }

    /// Statistics of a customer.
    pub(crate) fn stats(&self, customer: &str, from_date: &str) -> Value {
        let (status, answer) = self.json(&format!("/customers/{customer}/stats?from_date={from_date}"));
        assert_eq!(status, 200, "{answer}");
        answer
    }

    fn exchange(&self, path: &str, headers: &[(&str, String)]) -> (String, String) {
        let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let mut stream = TcpStream::connect(&self.address).expect("it listens");
        stream.set_read_timeout(Some(DEADLINE)).expect("a time");
        write!(stream, "GET {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n{headers}\r\n", self.address)
            .expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("a whole answer");
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer}"));
        (head.to_owned(), body.to_owned())
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &pid]).status().expect("kill is there").success());
    }

    /// Stops it as a service manager does; returns how it ended, what else it said on stdout, and its log.
    pub(crate) fn stop(mut self) -> (ExitStatus, String, String) {
        self.signal("-TERM");
        let status = ended(&mut self.child);
        let (mut out, mut log) = (String::new(), String::new());
        self.child.stdout.take().expect("piped").read_to_string(&mut out).expect("UTF-8");
        self.child.stderr.take().expect("piped").read_to_string(&mut log).expect("UTF-8");
        (status, out, log)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Already ended after `stop`; still running when a test has failed.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
