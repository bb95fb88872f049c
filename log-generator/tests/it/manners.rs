//! How the generator behaves: rate, signals, exit codes, help, faults.

use crate::harness::{World, eventually, seconds};
use std::fs;
use std::io::Write as _;
use std::process::Command;
use std::time::{Duration, Instant};

#[test]
fn lines_come_no_faster_than_their_pace() {
    let world = World::new();
    let begun = Instant::now();
    world.run("LOG_BATCH_SIZE=20 LOG_INTERVAL_SECONDS=0.05 MAX_LOGS_TO_GENERATE=300").success();
    // Fifteen batches, the first at once.
    assert!(begun.elapsed() >= Duration::from_millis(700), "{:?}", begun.elapsed());
    assert_eq!(seconds(&world.read("log")).len(), 300);
}

#[test]
fn lost_time_is_made_up() {
    let world = World::new();
    let running = world.start("LOG_BATCH_SIZE=10 LOG_INTERVAL_SECONDS=0.01");
    eventually("it writes", || world.size("log") > 0);
    running.signal("STOP");
    let stat = format!("/proc/{}/stat", running.pid());
    let stopped = || fs::read_to_string(&stat).is_ok_and(|stat| stat.contains(") T "));
    eventually("it has been halted", stopped);
    let (halted, before) = (Instant::now(), world.size("log"));
    eventually("a second has passed", || halted.elapsed() > Duration::from_secs(1));
    assert_eq!(world.size("log"), before, "it is halted");
    running.signal("CONT");
    // The missed thousand lines fit into one write: with the first new byte all of them are there.
    eventually("it goes on", || world.size("log") > before);
    let text = world.read("log");
    let made_up = text[usize::try_from(before).expect("small")..].lines().count();
    assert!(made_up >= 990, "{made_up} lines were made up");
    running.signal("TERM");
    assert_eq!(running.end().0, Some(0));
}

#[test]
fn g2_a_signal_ends_it_on_a_whole_line() {
    for (signal, words) in [
        ("TERM", "LOG_INTERVAL_SECONDS=0"),
        ("INT", "LOG_INTERVAL_SECONDS=0 LOG_PROFILE=seed LOG_ROTATE_BYTES=1000000"),
        ("TERM", "LOG_INTERVAL_SECONDS=3600"),
        ("TERM", "LOG_BACKFILL_DAYS=3650 LOG_INTERVAL_SECONDS=3600"),
    ] {
        let world = World::new();
        let running = world.start(words);
        eventually("it writes", || world.size("log") > 0);
        running.signal(signal);
        let (code, stderr) = running.end();
        assert_eq!(code, Some(0), "{words}: {stderr}");
        let lines: usize = world.names().iter().map(|name| seconds(&world.read(name)).len()).sum();
        assert!(lines > 0 && stderr.contains(&format!("wrote {lines} lines (")), "{lines} lines, {stderr}");
    }
}

#[test]
fn s2_a_second_signal_ends_it_at_once() {
    let world = World::new();
    let made = Command::new("mkfifo").arg(world.path("log")).status().expect("mkfifo runs");
    assert!(made.success());
    // A pipe that is full and that nobody reads: the first write never returns.
    let mut pipe =
        fs::OpenOptions::new().read(true).write(true).open(world.path("log")).expect("the pipe opens");
    pipe.write_all(&[b'\n'; 65_536]).expect("a pipe holds 64 KiB");
    let running = world.start("LOG_INTERVAL_SECONDS=0");
    let fds = format!("/proc/{}/fd", running.pid());
    let log = fs::canonicalize(world.path("log")).expect("the pipe is there");
    eventually("it has opened the log", || {
        fs::read_dir(&fds).is_ok_and(|mut fds| {
            fds.any(|fd| fd.is_ok_and(|fd| fs::read_link(fd.path()).is_ok_and(|to| to == log)))
        })
    });
    running.signal("TERM");
    eventually("it has heard the signal", || running.stderr().contains("stopping"));
    running.signal("INT");
    let (code, stderr) = running.end();
    assert_eq!(code, Some(3), "{stderr}");
    assert!(stderr.contains("second signal"), "{stderr}");
}

#[test]
fn a_log_that_cannot_be_written_is_exit_code_1() {
    let world = World::new();
    fs::create_dir(world.path("log")).expect("a folder in the way");
    let failed = world.run("MAX_LOGS_TO_GENERATE=10").code(1).get_output().clone();
    let stderr = String::from_utf8_lossy(&failed.stderr).into_owned();
    assert!(stderr.contains("the log log cannot be opened: Is a directory"), "{stderr}");
    // A device that is always full.
    let failed = world.run("LOG_FILE_PATH=/dev/full").code(1).get_output().clone();
    let stderr = String::from_utf8_lossy(&failed.stderr).into_owned();
    assert!(stderr.contains("the log /dev/full cannot be written: No space left on device"), "{stderr}");
}

#[test]
fn settings_come_from_every_source() {
    let world = World::new();
    world.write(".env.local", "LOG_FILE_PATH=from_env_file\nMAX_LOGS_TO_GENERATE=1\nLOG_BATCH_SIZE=1\n");
    world.write("tailgauge.toml", "log_seed = 7\nlog_batch_size = 2\n");
    let printed =
        world.run("--print-config --log-profile seed LOG_FILE_PATH=").success().get_output().clone();
    insta::assert_snapshot!(String::from_utf8_lossy(&printed.stdout), @r"
    LOG_FILE_PATH=data/api_requests.log  # default
    LOG_BATCH_SIZE=1  # .env.local
    LOG_INTERVAL_SECONDS=1  # default
    MAX_LOGS_TO_GENERATE=1  # .env.local
    LOG_PROFILE=seed  # command line
    LOG_SEED=7  # tailgauge.toml
    LOG_BACKFILL_DAYS=0  # default
    LOG_ROTATE_BYTES=0  # default
    LOG_START_TIME=  # not set
    LOGGING_LEVEL=info  # default
    LOG_FORMAT_JSON=false  # default
    ");
    world.run("LOG_FILE_PATH=web=from_environment,other").success();
    assert_eq!(seconds(&world.read("from_environment")).len(), 1);
}

#[test]
fn all_wrong_settings_are_reported_at_once() {
    let world = World::new();
    world.write(".env.local", "LOG_BATCH_SIZE=0\nLOG_ROTATE_BYTS=5\n");
    let words = "LOG_INTERVAL_SECONDS=fast MAX_LOGS_TO_GENERATE=-1 LOG_START_TIME=now LOGGING_LEVEL=loud LOG_FILE_PATH=*.log \
                 --log-profile even --log-backfill-days 4000";
    let failed = world.run(words).code(2).get_output().clone();
    assert_eq!(failed.stdout, b"");
    insta::assert_snapshot!(String::from_utf8_lossy(&failed.stderr), @r"
    warning: .env.local line 2: LOG_ROTATE_BYTS is not a setting of any program here: did you mean LOG_ROTATE_BYTES?
    log-generator: 8 settings are wrong:
      LOG_FILE_PATH=*.log (from environment): expected the path of one file first, not a pattern or a folder, since the generator writes to it
      LOG_BATCH_SIZE=0 (from .env.local): expected a whole number from 1
      LOG_INTERVAL_SECONDS=fast (from environment): expected seconds from 0 to 86400, such as 1 or 0.25
      MAX_LOGS_TO_GENERATE=-1 (from environment): expected a whole number from 0
      LOG_PROFILE=even (from command line): expected realistic or seed
      LOG_BACKFILL_DAYS=4000 (from command line): expected a whole number from 0 to 3650
      LOG_START_TIME=now (from environment): expected a time from 1971 to 2199 such as 2024-09-14T16:15:35Z or 2024-09-14 16:15:35 (UTC)
      LOGGING_LEVEL=loud (from environment): expected error, warn, info, debug, trace, off or a filter such as info,store=debug
    See log-generator --help
    ");
    assert_eq!(world.names(), [".env.local"], "nothing was written");
    let failed = world.run("--speed 5").code(2).get_output().clone();
    insta::assert_snapshot!(String::from_utf8_lossy(&failed.stderr), @r"
    error: unexpected argument '--speed' found

    Usage: log-generator [OPTIONS]

    For more information, try '--help'.
    ");
}

#[test]
fn a_slip_in_a_name_is_warned_about() {
    let world = World::new();
    world.write(".env.local", "LOG_ROTATE_BYTS=5\n");
    let ran = world.run("MAX_LOGS_TO_GENERATE=1 LOG_FORMAT_JSON=true").success().get_output().clone();
    let stderr = String::from_utf8_lossy(&ran.stderr).into_owned();
    let warning = stderr.lines().next().expect("a warning and a summary");
    assert!(warning.starts_with('{') && warning.contains(r#""level":"WARN""#), "{warning}");
    assert!(
        warning
            .contains("LOG_ROTATE_BYTS is not a setting of any program here: did you mean LOG_ROTATE_BYTES?")
    );
}

#[test]
fn help_says_all() {
    let help = World::new().run("--help").success().get_output().clone();
    insta::assert_snapshot!(String::from_utf8_lossy(&help.stdout), @r"
    Appends synthetic API-request lines to a log file at a set rate

    Usage: log-generator [OPTIONS]

    Options:
          --print-config  Print every setting with its value and its source, then exit
      -h, --help          Print help
      -V, --version       Print version

    Settings:
          --log-file-path <LIST>
              the log; the generator writes to the first path, without a source= before it [values
              separated by commas; default: data/api_requests.log]
          --log-batch-size <NUMBER>
              lines per interval [a whole number from 1; default: 100]
          --log-interval-seconds <SECONDS>
              the interval; lost time is made up; 0 = as fast as it can [seconds from 0 to 86400, such
              as 1 or 0.25; default: 1]
          --max-logs-to-generate <NUMBER>
              stop after that many lines, history included; 0 = endless [a whole number from 0;
              default: 0]
          --log-profile <WORD>
              realistic: unequal customers, busy hours, incidents, times are now; seed: all drawn
              evenly, times in the past 30 days [realistic or seed; default: realistic]
          --log-seed <NUMBER>
              the same seed makes the same traffic [a whole number from 0; default: 42]
          --log-backfill-days <NUMBER>
              history written first, in time order, if the log is empty: 20,000 lines a day, 1,000,000
              at most [a whole number from 0 to 3650; default: 0]
          --log-rotate-bytes <NUMBER>
              rename the log to .1 (.1 to .2, …) before it grows beyond that; 0 = never [a whole
              number from 0; default: 0]
          --log-start-time <TEXT>
              times go on from here by the pace instead of being now, so that the same settings make
              the same bytes [a time from 1971 to 2199 such as 2024-09-14T16:15:35Z or 2024-09-14
              16:15:35 (UTC)]
          --logging-level <TEXT>
              how much is logged to stderr; RUST_LOG wins over it [error, warn, info, debug, trace,
              off or a filter such as info,store=debug; default: info]
          --log-format-json <BOOL>
              log one JSON object a line instead of text [true or false; default: false]

    Each setting can be given as a flag, as a variable of the environment (--log-seed is LOG_SEED), as a line
    NAME=value of .env.local (or of the file that ENV_FILE names), or as a key of tailgauge.toml: the first that
    gives it wins. An empty value means the default.

    Examples:
      log-generator
          100 lines a second to data/api_requests.log, until Ctrl-C
      log-generator --log-batch-size 50 --log-interval-seconds 0.05
          1,000 lines a second, fifty at a time
      log-generator --log-backfill-days 7
          a week of history first, then live
      log-generator --log-profile seed --log-interval-seconds 0 --max-logs-to-generate 1000000
          a million lines as fast as it can
      LOG_ROTATE_BYTES=5000000 log-generator
          files of at most 5 MB: the log, .1, .2, …

    Exit codes:
      0  all lines are written, or a signal ended it on a whole line
      1  the log could not be written
      2  a setting is wrong
      3  a second signal ended it at once
    ");
}
