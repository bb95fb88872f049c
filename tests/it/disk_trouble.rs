//! Disks that are full, limited or read-only, and logs that cannot be read, really produced: it is said, nothing advances meanwhile, and all figures are exact when the trouble is over.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use system_tests::groups::{Group, left_out};
use system_tests::mount::SmallDisk;
use system_tests::recount::Recount;
use system_tests::stack::{LOG, Stack, lines};
use system_tests::wait::{PATIENCE, eventually, holds};

/// Room for a ledger of some thousand lines, and for a WAL beside it.
const LEDGER_DISK_BYTES: u64 = 6 << 20;
/// What the processor logs when its ledger cannot be written.
const LEDGER_TROUBLE: &str = "ledger.db cannot be written or read";
/// Exit code of a start that the ledger does not permit.
const LEDGER_REFUSED: i32 = 3;

/// The whole life of a processor whose ledger cannot be written for a while: `spoil` begins it, `repair` ends it.
fn ledger_trouble(stack: &Stack, spoil: impl Fn(u32), repair: impl Fn(u32)) {
    stack.append(lines(0, 1_000));
    let mut processor = stack.processor();
    processor.program.announce(LEDGER_TROUBLE);
    let before = stack.until_stored(PATIENCE, 1_000);
    processor.until_ready(PATIENCE, true);

    spoil(processor.program.pid());
    stack.append(lines(1_000, 9_000));
    let answer = processor.until_ready(PATIENCE, false);
    assert!(answer.text().contains(LEDGER_TROUBLE), "/readyz says why: {}", answer.text());
    // It has tried again since, and more lines have come.
    stack.append(lines(9_000, 12_000));
    eventually(PATIENCE, "more is read than can be settled", || {
        let status = stack.status();
        holds(status["lines_in_flight"].as_u64() > Some(0) || status["lag_bytes"].as_u64() > Some(0), || {
            status.to_string()
        })
    });
    assert!(processor.program.ended().is_none(), "it lives on:\n{}", processor.program.log());
    let during = stack.status();
    let stored = during["lines_stored"].as_u64().expect("a number");
    assert!((1_000..12_000).contains(&stored), "{during:#}");
    assert!(during["bytes_settled"].as_u64() >= before["bytes_settled"].as_u64(), "K1: {during:#}");
    // What is told now is whole: the statistics are those of just the lines that are said to be stored.
    stack.api().assert_equal(&Recount::of_text(lines(0, stored).as_bytes()), &["1970-01-01"]);
    assert_eq!(stack.status()["lines_stored"], stored, "K1: nothing advances meanwhile");

    repair(processor.program.pid());
    stack.until_stored(PATIENCE, 12_000);
    processor.until_ready(PATIENCE, true);
    assert_eq!(processor.program.stop(), 0);
    stack.assert_account(12_000, 0);
    stack.api().assert_equal(&stack.recount(), &["1970-01-01"]);
}

#[test]
#[ignore = "a whole-system test: ./start.sh test runs it"]
fn k2_a_full_disk_under_the_ledger_stops_the_advance_and_loses_nothing() {
    if left_out(Group::Mounts) {
        return;
    }
    let stack = Stack::embedded();
    let disk = SmallDisk::mount(stack.path("state"), LEDGER_DISK_BYTES);
    ledger_trouble(&stack, |_| disk.fill(), |_| disk.free());
}

/// A processor that is killed while the disk is full goes on from its last commit, and one that starts on a full disk says so and waits.
#[test]
#[ignore = "a whole-system test: ./start.sh test runs it"]
fn k2_killed_and_started_on_a_full_disk() {
    if left_out(Group::Mounts) {
        return;
    }
    let stack = Stack::embedded();
    let disk = SmallDisk::mount(stack.path("state"), LEDGER_DISK_BYTES);
    stack.append(lines(0, 1_000));
    let mut processor = stack.processor();
    processor.program.announce(LEDGER_TROUBLE);
    stack.until_stored(PATIENCE, 1_000);
    disk.fill();
    stack.append(lines(1_000, 9_000));
    processor.until_ready(PATIENCE, false);
    processor.program.kill();

    let mut again = stack.processor();
    again.program.announce(LEDGER_TROUBLE);
    eventually(PATIENCE, "it says what it waits for", || {
        let log = again.program.log();
        holds(log.contains(LEDGER_TROUBLE), || log)
    });
    assert!(again.program.ended().is_none(), "it waits:\n{}", again.program.log());
    disk.free();
    stack.until_stored(PATIENCE, 9_000);
    again.until_ready(PATIENCE, true);
    assert_eq!(again.program.stop(), 0);
    stack.assert_account(9_000, 0);
    stack.api().assert_equal(&stack.recount(), &["1970-01-01"]);
}

/// RLIMIT_FSIZE: the system would end the process at such a write (SIGXFSZ).
#[test]
#[ignore = "a whole-system test: ./start.sh test runs it"]
fn k2_a_limit_on_the_size_of_files_is_as_a_full_disk() {
    if left_out(Group::Native) {
        return;
    }
    let stack = Stack::embedded();
    let limit = |pid: u32, bytes: &str| {
        let limit = format!("--fsize={bytes}:unlimited");
        let set = Command::new("prlimit").args(["--pid", &pid.to_string(), &limit]).status();
        assert!(set.expect("prlimit runs").success());
    };
    // Less than the ledger has already: neither file can grow.
    ledger_trouble(&stack, |pid| limit(pid, "4096"), |pid| limit(pid, "unlimited"));
}

#[test]
#[ignore = "a whole-system test: ./start.sh test runs it"]
fn a_read_only_state_dir_is_refused_in_words() {
    if left_out(Group::Mounts) {
        return;
    }
    let mut stack = Stack::embedded();
    let disk = SmallDisk::mount(stack.path("state"), LEDGER_DISK_BYTES);
    stack.append(lines(0, 500));
    stack.once();
    stack.append(lines(500, 900));
    disk.set_read_only(true);
    stack.announce("ledger");
    let started = stack.run("log-processor", &["--once"], &[], LEDGER_REFUSED);
    let told = String::from_utf8_lossy(&started.stderr);
    assert!(told.contains("Read-only file system"), "{told}");
    // Readers need not write.
    assert_eq!(stack.status()["lines_stored"], 500);
    stack.api().assert_equal(&Recount::of_text(lines(0, 500).as_bytes()), &["1970-01-01"]);
    disk.set_read_only(false);
    stack.once();
    stack.assert_account(900, 0);
    stack.api().assert_equal(&stack.recount(), &["1970-01-01"]);
}

/// The generator's disk fills up in the middle of a line.
#[test]
#[ignore = "a whole-system test: ./start.sh test runs it"]
fn a_full_disk_under_the_log_tears_no_line_for_good() {
    if left_out(Group::Mounts) {
        return;
    }
    let mut stack = Stack::embedded();
    let disk = SmallDisk::mount(stack.path("logs"), 300 << 10);
    stack.set("LOG_FILE_PATH", "logs/api.log");
    let processor = stack.processor();
    stack.announce("cannot be written");
    let fast = [("LOG_INTERVAL_SECONDS", "0"), ("MAX_LOGS_TO_GENERATE", "100000"), ("LOG_PROFILE", "seed")];
    let generator = stack.run("log-generator", &[], &fast, 1);
    let told = String::from_utf8_lossy(&generator.stderr);
    assert!(told.contains("logs/api.log cannot be written: No space left on device"), "{told}");

    let log = fs::read(stack.path("logs/api.log")).expect("the log");
    let whole = log.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let torn = log.len() - whole;
    let whole_lines = log[..whole].iter().filter(|byte| **byte == b'\n').count() as u64;
    assert!(
        torn > 0 && whole_lines > 1_000,
        "the disk was to fill up in the middle of a line: {torn} of {}",
        log.len()
    );
    stack.until(PATIENCE, "the whole lines are stored", |status| {
        status["lines_stored"] == whole_lines && status["lag_bytes"] == torn as u64
    });
    stack.api().assert_equal(&Recount::of_text(&log[..whole]), &["1970-01-01"]);

    // When there is room again, what was torn is a line of its own, and no new line is mixed with it.
    let more = [("MAX_LOGS_TO_GENERATE", "50"), ("LOG_INTERVAL_SECONDS", "0"), ("LOG_PROFILE", "seed")];
    disk.grow(4 << 20);
    stack.generate(&more);
    stack.until(PATIENCE, "the new lines are stored, and the torn one is rejected", |status| {
        status["lines_stored"] == whole_lines + 50
            && status["lines_rejected"] == 1
            && status["lag_bytes"] == 0
    });
    assert_eq!(processor.program.stop(), 0);
    let after = fs::read(stack.path("logs/api.log")).expect("the log");
    assert_eq!(
        (&after[..log.len()], after[log.len()]),
        (&log[..], b'\n'),
        "nothing was put into the torn line"
    );
    let good = [&log[..whole], &after[log.len() + 1..]].concat();
    stack.api().assert_equal(&Recount::of_text(&good), &["1970-01-01"]);
}

/// Something else in the log's place, one after the other: none is read, none blocks or ends the processor, and the log that comes at last is read.
#[test]
#[ignore = "a whole-system test: ./start.sh test runs it"]
fn a_folder_a_pipe_or_a_device_in_the_place_of_the_log_blocks_nothing() {
    if left_out(Group::Native) {
        return;
    }
    let mut stack = Stack::embedded();
    stack.set("LOG_FILE_PATH", "api.log,other=other.log");
    let log = stack.path(LOG);
    let processor = stack.processor();
    let mut other = 0;
    let mut others_are_read = || {
        stack.append_to("other.log", lines(other, other + 10));
        other += 10;
        stack.until(PATIENCE, "the other log is read on", |status| status["lines_stored"] == other);
    };
    fs::create_dir(&log).expect("a folder");
    others_are_read();
    fs::remove_dir(&log).expect("removed");
    assert!(Command::new("mkfifo").arg(&log).status().expect("mkfifo runs").success());
    others_are_read();
    fs::remove_file(&log).expect("removed");
    std::os::unix::fs::symlink("/dev/zero", &log).expect("a link to a device");
    others_are_read();
    fs::remove_file(&log).expect("removed");
    stack.append(lines(100, 150));
    stack.until(PATIENCE, "the log is read", |status| status["lines_stored"] == other + 50);

    // A log that is being followed, replaced by a pipe.
    stack.rename(LOG, "api.log.1");
    assert!(Command::new("mkfifo").arg(&log).status().expect("mkfifo runs").success());
    stack.append_to("api.log.1", lines(150, 160));
    stack.append_to("other.log", lines(other, other + 10));
    stack.until(PATIENCE, "both are read on", |status| status["lines_stored"] == other + 70);
    assert_eq!(processor.program.stop(), 0);
    stack.assert_account(other + 70, 0);
}

/// EACCES, as a user who may not read it: said, waited for, and read from where it was.
#[test]
#[ignore = "a whole-system test: ./start.sh test runs it"]
fn a_log_that_may_not_be_read_is_said_and_waited_for() {
    if left_out(Group::Mounts) {
        return;
    }
    let mut stack = Stack::embedded();
    let folder = stack.path(".");
    let nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    let set_mode =
        |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).expect("changed");
    set_mode(&folder, 0o777);
    stack.append(lines(0, 100));
    let log = stack.path(LOG);
    set_mode(&log, 0o000);
    stack.announce("Permission denied");
    let mut processor = stack.processor_by(&nobody);
    let answer = processor.until_ready(PATIENCE, false);
    assert!(answer.text().contains("Permission denied") && answer.text().contains(LOG), "{}", answer.text());
    assert!(processor.program.ended().is_none());
    set_mode(&log, 0o644);
    stack.until_stored(PATIENCE, 100);
    processor.until_ready(PATIENCE, true);

    // An open file stays readable; the next one is judged anew.
    // It appears with its mode: a moment of being readable would be enough to open it.
    stack.rename(LOG, "api.log.1");
    stack.append_to("prepared", lines(100, 200));
    set_mode(&stack.path("prepared"), 0o200);
    stack.rename("prepared", LOG);
    processor.until_ready(PATIENCE, false);
    set_mode(&log, 0o644);
    stack.until_stored(PATIENCE, 200);
    processor.until_ready(PATIENCE, true);
    assert_eq!(processor.program.stop(), 0);
    stack.assert_account(200, 0);
    stack.api().assert_equal(&stack.recount(), &["1970-01-01"]);
}
