//! The programs as shipped, which lie beside this one: started, asked over a connection that is kept, stopped.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::program::Store;

/// How long a program may take to do what it should.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// How long a program of others may take to stop.
const END_PATIENCE: Duration = Duration::from_secs(10);
/// The kernel's unit of time in /proc, in seconds; the same on every Linux that we build for.
pub(crate) const TICK_SECONDS: f64 = 0.01;
/// How long an answer may take that is refused until it is there.
const ANSWER_PATIENCE: Duration = Duration::from_secs(900);
/// How long the api is left alone after a refusal.
const REST: Duration = Duration::from_millis(100);

/// A program of ours that is stopped when this is dropped.
#[derive(Debug)]
pub struct Running(Child);

impl Running {
    /// Starts it.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(command: &mut Command) -> anyhow::Result<Self> {
        let child = command.stdin(Stdio::null()).stderr(Stdio::inherit()).spawn();
        Ok(Self(child.with_context(|| format!("{:?}", command.get_program()))?))
    }

    /// Asks it to stop, and waits.
    ///
    /// # Errors
    /// It did not end well.
    pub fn stop(&mut self) -> anyhow::Result<()> {
        kill(Pid::from_raw(i32::try_from(self.0.id())?), Signal::SIGTERM)?;
        let status = self.0.wait()?;
        ensure!(status.success(), "a program of ours ended with {status}");
        Ok(())
    }

    /// Its CPU time so far, in seconds.
    ///
    /// # Errors
    /// It is gone.
    pub fn cpu_seconds(&self) -> anyhow::Result<f64> {
        let folder = PathBuf::from(format!("/proc/{}/task", self.0.id()));
        let mut nanos = 0.0;
        for task in std::fs::read_dir(folder)? {
            let text = std::fs::read_to_string(task?.path().join("schedstat"))?;
            nanos += text.split(' ').next().context("a thread's time")?.parse::<f64>()?;
        }
        Ok(nanos / 1e9)
    }

    /// The same with that of its children that have ended, to the hundredth.
    ///
    /// # Errors
    /// It is gone.
    pub fn cpu_seconds_with_children(&self) -> anyhow::Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.0.id()))?;
        let fields: Vec<&str> = stat.rsplit_once(") ").context("a process's state")?.1.split(' ').collect();
        let times = fields.get(11..15).context("a process's times")?;
        let ticks: u64 = times.iter().map(|ticks| ticks.parse::<u64>()).sum::<Result<_, _>>()?;
        Ok(ticks as f64 * TICK_SECONDS)
    }

    /// Its end, if it has come.
    ///
    /// # Errors
    /// The system does not say.
    pub fn ended(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        Ok(self.0.try_wait()?)
    }

    /// Asks it to stop, waits, and kills it when it does not; how it ends is its own affair.
    ///
    /// # Errors
    /// It cannot be asked.
    pub fn end(mut self) -> anyhow::Result<()> {
        kill(Pid::from_raw(i32::try_from(self.0.id())?), Signal::SIGTERM)?;
        let begun = Instant::now();
        while self.0.try_wait()?.is_none() && begun.elapsed() < END_PATIENCE {
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// The greatest memory it ever had.
    ///
    /// # Errors
    /// It is gone.
    pub fn peak_rss_bytes(&self) -> anyhow::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id()))?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("the peak memory")?;
        let kib: u64 = peak.trim().trim_end_matches(" kB").parse().context("the peak memory")?;
        Ok(kib * 1024)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _gone = self.0.kill();
        let _ended = self.0.wait();
    }
}

/// An api that answers.
#[derive(Debug)]
pub struct Api {
    running: Running,
    address: String,
    connection: Option<BufReader<TcpStream>>,
}

/// An answer: its status and body, and how long it took.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Status of HTTP.
    pub status: u16,
    /// What it says.
    pub body: Vec<u8>,
    /// From the first byte of the question to the last of the answer.
    pub millis: f64,
}

impl Api {
    /// Starts the api on a store, at a free port. `folder`: where it runs, and where the ledger's folder is.
    ///
    /// # Errors
    /// It does not start.
    pub fn start(program: &Path, folder: &Path, store: &Store) -> anyhow::Result<Self> {
        let mut command = Command::new(program);
        command.current_dir(folder).args(["--api-bind", "127.0.0.1:0", "--logging-level", "error"]);
        match store {
            Store::Embedded { .. } => {
                command.args(["--store", "embedded", "--state-dir"]).arg(folder.join("ledger"));
            }
            Store::Influx { url, org, token, bucket } => {
                command.args(["--store", "influxdb", "--influxdb-url", url]);
                command.args(["--docker-influxdb-init-org", org, "--docker-influxdb-init-bucket", bucket]);
                command.args(["--docker-influxdb-init-admin-token", token]);
            }
        }
        let mut running = Running::start(command.stdout(Stdio::piped()))?;
        let out = running.0.stdout.take().context("the api's output")?;
        let mut line = String::new();
        BufReader::new(out).read_line(&mut line)?;
        let (_, address) = line.trim().split_once("http://").context("the api's address")?;
        Ok(Self { running, address: address.to_owned(), connection: None })
    }

    /// Where it listens.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The greatest memory it ever had.
    ///
    /// # Errors
    /// It is gone.
    pub fn peak_rss_bytes(&self) -> anyhow::Result<u64> {
        self.running.peak_rss_bytes()
    }

    /// Asks it to stop, and waits.
    ///
    /// # Errors
    /// It did not end well.
    pub fn stop(mut self) -> anyhow::Result<()> {
        self.connection = None;
        self.running.stop()
    }

    /// Asks, over the connection that is kept.
    ///
    /// # Errors
    /// The connection breaks.
    pub fn get(&mut self, path: &str) -> anyhow::Result<Answer> {
        let mut reader = match self.connection.take() {
            Some(reader) => reader,
            None => {
                let connection = TcpStream::connect(&self.address)?;
                connection.set_nodelay(true)?;
                BufReader::with_capacity(64 << 10, connection)
            }
        };
        let begun = Instant::now();
        let question = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.address);
        reader.get_mut().write_all(question.as_bytes())?;
        let (mut status, mut length, mut line) = (0, None, String::new());
        loop {
            line.clear();
            ensure!(reader.read_line(&mut line)? > 0, "the api closed the connection at {path}");
            let text = line.trim_end().to_ascii_lowercase();
            if let Some(rest) = text.strip_prefix("http/1.1 ") {
                status = rest.split(' ').next().context("a status")?.parse()?;
            } else if let Some(value) = text.strip_prefix("content-length: ") {
                length = Some(value.parse()?);
            } else if text.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length.with_context(|| format!("the length of the answer at {path}"))?];
        reader.read_exact(&mut body)?;
        let millis = begun.elapsed().as_secs_f64() * 1000.0;
        self.connection = Some(reader);
        Ok(Answer { status, body, millis })
    }

    /// Asks until there is an answer, however often the api says that it is not ready; how long all of it took.
    ///
    /// # Errors
    /// It says anything else.
    pub fn answer(&mut self, path: &str) -> anyhow::Result<Answer> {
        let begun = Instant::now();
        let mut asked = 0;
        loop {
            let mut answer = self.get(path)?;
            asked += 1;
            if asked > 1 {
                answer.millis = begun.elapsed().as_secs_f64() * 1000.0;
            }
            match answer.status {
                200 => return Ok(answer),
                503 if begun.elapsed() < ANSWER_PATIENCE => std::thread::sleep(REST),
                status => bail!("{path}: {status} {}", String::from_utf8_lossy(&answer.body)),
            }
        }
    }
}
