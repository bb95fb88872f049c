//! A fresh folder for each test and the program in it, without this process's environment.

use assert_cmd::assert::Assert;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long anything may take, on a machine that is busy with other things.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

pub(crate) struct World {
    folder: tempfile::TempDir,
}

impl World {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a temporary folder") }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("a file in the temporary folder");
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    pub(crate) fn size(&self, name: &str) -> u64 {
        fs::metadata(self.path(name)).map_or(0, |metadata| metadata.len())
    }

    /// The names of all files, sorted.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).expect("the folder is there");
        let mut names: Vec<String> = entries
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    /// The program with settings as `NAME=value` words and flags as `--flag` words; the log is `log` in the folder.
    fn command(&self, words: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_log-generator"));
        command.env_clear().env("LOG_FILE_PATH", "log").current_dir(self.folder.path());
        for word in words.split_whitespace() {
            match word.split_once('=') {
                Some((name, value)) if !word.starts_with('-') => command.env(name, value),
                _ => command.arg(word),
            };
        }
        command
    }

    /// Runs the program to its end.
    pub(crate) fn run(&self, words: &str) -> Assert {
        assert_cmd::Command::from_std(self.command(words)).timeout(DEADLINE).assert()
    }

    /// Starts the program, which goes on until it is stopped.
    pub(crate) fn start(&self, words: &str) -> Running {
        let mut command = self.command(words);
        let stderr = tempfile::NamedTempFile::new().expect("a temporary file");
        let writing = stderr.reopen().expect("the temporary file is there");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(writing);
        Running { child: command.spawn().expect("the program starts"), stderr }
    }
}

/// The program at work; killed if the test ends before it.
pub(crate) struct Running {
    child: Child,
    stderr: tempfile::NamedTempFile,
}

impl Running {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has said so far.
    pub(crate) fn stderr(&self) -> String {
        fs::read_to_string(self.stderr.path()).expect("text")
    }

    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("sh").args(["-c", &format!("kill -{name} {}", self.pid())]).status();
        assert!(sent.expect("sh runs").success(), "signal {name} was sent");
    }

    /// Waits for its end: exit code and stderr.
    pub(crate) fn end(mut self) -> (Option<i32>, String) {
        let mut status = None;
        eventually("the program ends", || {
            status = self.child.try_wait().expect("its state is known");
            status.is_some()
        });
        (status.and_then(|status| status.code()), self.stderr())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Waits for a condition.
pub(crate) fn eventually(what: &str, mut check: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !check() {
        assert!(begun.elapsed() < DEADLINE, "not within {DEADLINE:?}: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Every line of a log as a record's seconds, each line parsed.
pub(crate) fn seconds(text: &str) -> Vec<i64> {
    assert!(text.is_empty() || text.ends_with('\n'), "the log ends in a torn line");
    let mut parser = logline::LineParser::default();
    let second = |line: &str| match parser.parse(line.as_bytes()) {
        Ok(record) => record.time.second,
        Err(error) => panic!("{line:?}: {error:?}"),
    };
    text.lines().map(second).collect()
}
