//! Measuring a process from outside: time, CPU time, peak memory, what it printed. A process of our own stands between, so that the figures of the measured one are
//! not mixed with anybody's before it; and instructions by callgrind, where there is one.

use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, ensure};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use serde::{Deserialize, Serialize};

/// What a process took.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Measured {
    /// From its start to its end.
    pub wall_seconds: f64,
    /// User and system time of all its threads.
    pub cpu_seconds: f64,
    /// Of these: in the kernel.
    pub system_seconds: f64,
    /// Its greatest resident memory.
    pub peak_rss_bytes: u64,
    /// Its exit code.
    pub code: i32,
    /// What it printed.
    pub out: String,
    /// What it complained about.
    pub err: String,
}

/// The CPU time of this process so far, in seconds.
pub fn own_cpu_seconds() -> f64 {
    cpu_seconds(UsageWho::RUSAGE_SELF).0
}

fn cpu_seconds(who: UsageWho) -> (f64, f64) {
    let usage = getrusage(who).expect("a process may ask for its own usage");
    let seconds = |micros: i64| micros as f64 / 1e6;
    let system = seconds(usage.system_time().num_microseconds());
    (seconds(usage.user_time().num_microseconds()) + system, system)
}

/// A command of this very program.
///
/// # Errors
/// Nobody knows where it is.
pub fn ourselves(arguments: &[&str]) -> anyhow::Result<Command> {
    let mut command = Command::new(std::env::current_exe().context("where this program is")?);
    command.args(arguments);
    Ok(command)
}

/// Runs a command to its end and measures it.
///
/// # Errors
/// It cannot be started.
pub fn measured(command: &Command) -> anyhow::Result<Measured> {
    let mut between = ourselves(&["measure"])?;
    between.arg(command.get_program()).args(command.get_args());
    if let Some(folder) = command.get_current_dir() {
        between.current_dir(folder);
    }
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            between.env(name, value);
        }
    }
    let output =
        between.stdin(Stdio::null()).stderr(Stdio::inherit()).output().context("this program again")?;
    ensure!(output.status.success(), "{:?} could not be measured", command.get_program());
    serde_json::from_slice(&output.stdout).context("what it measured")
}

/// The process between: runs the command in its arguments and prints what it took.
///
/// # Errors
/// The command cannot be started.
pub fn measure_one(arguments: &[String]) -> anyhow::Result<()> {
    let (program, arguments) = arguments.split_first().context("no command to measure")?;
    let begun = Instant::now();
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("{program} cannot be started"))?;
    let wall_seconds = begun.elapsed().as_secs_f64();
    let (cpu_seconds, system_seconds) = cpu_seconds(UsageWho::RUSAGE_CHILDREN);
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).context("the usage of a child")?;
    let measured = Measured {
        wall_seconds,
        cpu_seconds,
        system_seconds,
        peak_rss_bytes: u64::try_from(usage.max_rss()).unwrap_or(0) * 1024,
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    };
    crate::table::print(&serde_json::to_string(&measured)?);
    Ok(())
}

/// The instructions of a command, in all its threads; None where there is no callgrind.
///
/// # Errors
/// The command fails under it.
pub fn instructions(command: &Command) -> anyhow::Result<Option<u64>> {
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
    valgrind.arg(command.get_program()).args(command.get_args());
    if let Some(folder) = command.get_current_dir() {
        valgrind.current_dir(folder);
    }
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            valgrind.env(name, value);
        }
    }
    let Ok(output) = valgrind.stdin(Stdio::null()).output() else { return Ok(None) };
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{:?} failed under callgrind: {said}", command.get_program());
    let collected = said.lines().find_map(|line| line.split_once("Collected : "));
    let (_, number) = collected.with_context(|| format!("callgrind did not count: {said}"))?;
    Ok(Some(number.trim().parse().context("callgrind's count")?))
}
