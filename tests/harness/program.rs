//! A program that was started: its output is kept, it is stopped by its pid, and an ERROR line of it that the test did not announce fails the test.

use std::fs::File;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::groups::variable;
use crate::wait::{PATIENCE, eventually};
use crate::{tell, workspace};

/// Longer than any stop may take: the processor has 30 s for what is in flight.
const STOP_DEADLINE: Duration = Duration::from_secs(45);

/// The release binary of a program. Fails with what to do when it is not there: a test that was asked for does not pass unrun.
pub fn binary(name: &str) -> PathBuf {
    let folder = match variable("SYSTEM_TESTS_BIN") {
        Some(folder) => PathBuf::from(folder),
        None => workspace().join("target/release"),
    };
    let path = folder.join(name);
    assert!(
        path.is_file(),
        "{} is not there: run `cargo build --release --bins`, or set SYSTEM_TESTS_BIN to the folder with the programs",
        path.display()
    );
    path
}

/// A program of ours, or InfluxDB. Killed when dropped.
#[derive(Debug)]
pub struct Program {
    name: String,
    child: Child,
    stdout: PathBuf,
    stderr: PathBuf,
    announced: Vec<String>,
    scanned: bool,
}

impl Program {
    /// Starts it; its output goes to files in `folder`. `announced`: parts of ERROR lines that belong to the test.
    pub fn start(name: &str, mut command: Command, folder: &Path, announced: &[String]) -> Program {
        static STARTED: AtomicU64 = AtomicU64::new(0);
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let [stdout, stderr] = ["out", "err"].map(|kind| folder.join(format!("{name}.{number}.{kind}")));
        let create = |path: &Path| File::create(path).expect("a file for the program's output");
        let child = command
            .stdin(Stdio::null())
            .stdout(create(&stdout))
            .stderr(create(&stderr))
            .spawn()
            .unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        Program {
            name: name.to_owned(),
            child,
            stdout,
            stderr,
            announced: announced.to_vec(),
            scanned: false,
        }
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        let bytes = std::fs::read(&self.stderr).expect("the file with the program's log");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// What it has printed so far.
    pub fn printed(&self) -> String {
        let bytes = std::fs::read(&self.stdout).expect("the file with the program's output");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// From now on a log line at ERROR with this in it belongs to the test.
    pub fn announce(&mut self, part: &str) {
        self.announced.push(part.to_owned());
    }

    /// How it has ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child of ours")
    }

    /// The memory it holds now, in KiB.
    pub fn rss_kib(&self) -> u64 {
        self.memory("VmRSS:")
    }

    /// The most memory it has held, in KiB.
    pub fn peak_rss_kib(&self) -> u64 {
        self.memory("VmHWM:")
    }

    /// The time that it has had of a core, in seconds.
    pub fn cpu_seconds(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid()))
            .unwrap_or_else(|error| panic!("{} runs no more: {error}\n{}", self.name, self.log()));
        // Behind the name, which can have anything in it: fields 3 and on; 14 and 15 are its own time and the system's, in hundredths.
        let fields: Vec<&str> = stat.rsplit(')').next().expect("a name").split_whitespace().collect();
        let hundredths = |field: usize| fields[field - 3].parse::<u32>().expect("a number");
        f64::from(hundredths(14) + hundredths(15)) / 100.0
    }

    fn memory(&self, key: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()))
            .unwrap_or_else(|error| panic!("{} runs no more: {error}\n{}", self.name, self.log()));
        let line = status.lines().find_map(|line| line.strip_prefix(key)).expect("a line on its memory");
        line.trim().trim_end_matches(" kB").parse().expect("a number of KiB")
    }

    /// `kill -9`.
    pub fn kill(mut self) {
        assert!(self.ended().is_none(), "{} has ended before it could be killed:\n{}", self.name, self.log());
        self.child.kill().expect("it runs");
        self.child.wait().expect("a child of ours");
        self.scan();
    }

    /// SIGTERM; its exit code.
    pub fn stop(self) -> i32 {
        self.terminate();
        self.wait(STOP_DEADLINE)
    }

    /// Asks it to end, without waiting.
    pub fn terminate(&self) {
        let pid = self.pid().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status().expect("kill runs");
        assert!(sent.success(), "{} could not be asked to end:\n{}", self.name, self.log());
    }

    /// Waits for its end; its exit code.
    pub fn wait(mut self, deadline: Duration) -> i32 {
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = self.ended() {
                break status;
            }
            assert!(begun.elapsed() < deadline, "{} does not end within {deadline:?}", self.name);
            std::thread::sleep(Duration::from_millis(10));
        };
        self.scan();
        // As a shell says it: 128 and the signal's number, for a server that ends by the signal itself.
        status
            .code()
            .or_else(|| status.signal().map(|signal| 128 + signal))
            .expect("it ended by itself or by a signal")
    }

    /// Waits until its log has this in it; what follows, up to the next space.
    pub fn logged_after(&self, text: &str) -> String {
        eventually(PATIENCE, &format!("{} logs `{text}`", self.name), || {
            let log = self.log();
            let after = log.split(text).nth(1).and_then(|rest| rest.split_inclusive([' ', '\n']).next());
            match after.and_then(|word| word.strip_suffix([' ', '\n'])) {
                Some(word) => Ok(word.to_owned()),
                None => Err(log),
            }
        })
    }

    fn scan(&mut self) {
        self.scanned = true;
        let errors = unannounced_errors(&self.log(), &self.announced);
        assert!(errors.is_empty(), "{} logged what the test did not announce:\n{errors}", self.name);
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.child.kill());
        drop(self.child.wait());
        if std::thread::panicking() {
            tell(&format!("--- log of {} (pid {})\n{}", self.name, self.pid(), tail_of(&self.log())));
        } else if !self.scanned {
            self.scan();
        }
    }
}

/// The lines of a log at ERROR, and of a panic, that have none of the announced parts in them.
pub fn unannounced_errors(log: &str, announced: &[String]) -> String {
    let is_error = |line: &&str| {
        line.split_whitespace().take(3).any(|word| word == "ERROR") || line.contains("panicked at")
    };
    let is_announced = |line: &str| announced.iter().any(|part| line.contains(part.as_str()));
    let lines: Vec<&str> = log.lines().filter(is_error).filter(|line| !is_announced(line)).collect();
    lines.join("\n")
}

/// The end of a long log.
fn tail_of(log: &str) -> String {
    const LINES: usize = 60;
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_unannounced_errors_are_found() {
        let log = "2026-01-01T00:00:00Z  INFO a: ERROR is a word here\n\
                   2026-01-01T00:00:00Z ERROR a: bad thing\n\
                   2026-01-01T00:00:00Z ERROR a: expected thing\n\
                   thread 'main' panicked at src/x.rs:1\n";
        let errors = unannounced_errors(log, &["expected".to_owned()]);
        assert_eq!(errors, "2026-01-01T00:00:00Z ERROR a: bad thing\nthread 'main' panicked at src/x.rs:1");
    }
}
