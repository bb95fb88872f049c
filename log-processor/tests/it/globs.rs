//! Logs that are found by globs: every file belongs to one log, whatever its name, and one that cannot be read holds no other up.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::process::Command;

use serde_json::Value;
use store::influx::fake::FakeInflux;

use crate::harness::{Bench, Running, eventually, lines};

/// Follows what fits a glob in a folder of its own.
fn bench_with(glob: &str) -> Bench {
    let mut bench = Bench::new();
    fs::create_dir(bench.path("logs")).expect("made");
    bench.set("LOG_FILE_PATH", &format!("logs/{glob}"));
    bench
}

/// Waits until so many lines are stored, and until everything was looked at some times after that: no line may come twice.
fn stays_at(bench: &Bench, running: &Running, stored: u64) {
    let looks = || {
        let metrics = running.get("/metrics").1;
        let looks = metrics.lines().find_map(|line| line.strip_prefix("tailgauge_looks_total "));
        looks.and_then(|looks| looks.parse::<u64>().ok()).unwrap_or_else(|| panic!("{metrics}"))
    };
    bench.until_stored(stored);
    let then = looks();
    eventually("it was looked at some times more", || {
        let now = looks();
        if now > then + 3 { Ok(()) } else { Err(format!("{now} looks")) }
    });
    assert_eq!(bench.until_stored(stored)["lines_stored"], stored);
}

/// Between a rotation and the first line after it the log is not there: its rotated file was taken for a log of its own, and read from its beginning.
#[test]
fn x1_a_rotated_file_is_no_log_of_its_own_while_its_log_is_not_there() {
    for (glob, rotated) in [("*.log*", "a.log.1"), ("a.log*", "a.log-20240914"), ("*.log", "a-20240914.log")]
    {
        let bench = bench_with(glob);
        bench.append_to("logs/a.log", lines(0, 100).as_bytes());
        let running = bench.start();
        bench.until_stored(100);
        bench.rename("logs/a.log", &format!("logs/{rotated}"));
        bench.append_to(&format!("logs/{rotated}"), lines(100, 120).as_bytes());
        stays_at(&bench, &running, 120);
        bench.append_to("logs/a.log", lines(200, 230).as_bytes());
        stays_at(&bench, &running, 150);
        assert_eq!(running.stop(), 0);
    }
}

#[test]
fn x1_a_log_that_is_rotated_while_stopped_and_not_there_at_the_start_goes_on_in_its_rotated_file() {
    let bench = bench_with("*.log*");
    bench.append_to("logs/b.log", lines(0, 100).as_bytes());
    bench.expect(&["--once"], 0);
    bench.append_to("logs/b.log", lines(100, 150).as_bytes());
    bench.rename("logs/b.log", "logs/b.log.1");
    bench.run(&["--once"]);
    assert_eq!(bench.status()["lines_stored"], 150);
    bench.append_to("logs/b.log", lines(200, 210).as_bytes());
    bench.expect(&["--once"], 0);
    assert_eq!(bench.status()["lines_stored"], 160);
}

/// A source that was claimed and is not followed would hold back all statistics.
#[test]
fn x1_nothing_is_said_of_a_rotated_file_that_is_no_log() {
    let influx = FakeInflux::start().expect("a free port");
    let mut bench = Bench::on(&influx);
    fs::create_dir(bench.path("logs")).expect("made");
    bench.set("LOG_FILE_PATH", "logs/*.log*");
    bench.append_to("logs/b.log", lines(0, 100).as_bytes());
    bench.expect(&["--once"], 0);
    bench.append_to("logs/b.log", lines(100, 150).as_bytes());
    bench.rename("logs/b.log", "logs/b.log.1");
    let running = bench.start();
    bench.until_stored(150);
    assert_eq!(running.stop(), 0);
    assert_eq!((influx.count("api_requests"), influx.counts().changed_points), (150, 0));
    let said = influx.points("api_processors");
    assert!(said.iter().all(|point| point.tags["source"] == "b"), "{said:?}");
    bench.expect(&["verify"], 0);
    influx.retain(|point| point.measurement != "api_requests");
    bench.expect(&["replay"], 0);
    assert_eq!(influx.count("api_requests"), 150);
}

/// A name that no rotation is known to give: the file is known by what it holds.
#[test]
fn x1_a_log_under_a_name_that_is_not_known_is_not_counted_again() {
    let bench = bench_with("*.log");
    bench.append_to("logs/a.log", lines(0, 100).as_bytes());
    let running = bench.start();
    bench.until_stored(100);
    bench.rename("logs/a.log", "logs/a.1.log");
    bench.append_to("logs/a.1.log", lines(100, 110).as_bytes());
    bench.append_to("logs/a.log", lines(200, 220).as_bytes());
    stays_at(&bench, &running, 130);
    assert!(running.log().contains("is no log of its own"), "{}", running.log());
    assert_eq!(running.stop(), 0);
    bench.rename("logs/a.1.log", "logs/old.log");
    bench.rename("logs/a.log", "logs/a.1.log");
    bench.append_to("logs/a.log", lines(300, 330).as_bytes());
    bench.expect(&["--once"], 0);
    assert_eq!(bench.status()["lines_stored"], 160);
    // Another file under such a name is a log.
    bench.append_to("logs/a.2.log", lines(400, 405).as_bytes());
    bench.expect(&["--once"], 0);
    assert_eq!(bench.status()["lines_stored"], 165);
}

#[test]
fn x1_a_file_and_a_link_to_it_are_one_log() {
    let bench = bench_with("*.log");
    bench.append_to("logs/app-1.log", lines(0, 100).as_bytes());
    symlink("app-1.log", bench.path("logs/a-current.log")).expect("a link");
    bench.expect(&["--once"], 0);
    assert_eq!(bench.status()["lines_stored"], 100);
}

/// One rotated file of somebody else's kept its whole log from being read, and what was rotated away meanwhile was lost.
#[test]
fn t2_a_rotated_file_that_may_not_be_read_holds_nothing_else_up() {
    let bench = Bench::new();
    bench.append(&lines(0, 100));
    let folder = bench.path("");
    let everybody = |mode| fs::set_permissions(&folder, fs::Permissions::from_mode(mode)).expect("allowed");
    everybody(0o777);
    bench.append_to("api.log-20200101", lines(500, 510).as_bytes());
    fs::set_permissions(bench.path("api.log-20200101"), fs::Permissions::from_mode(0o600)).expect("allowed");
    let log = fs::File::create(bench.path("processor.txt")).expect("a file");
    // As a user who may not read it.
    let mut processor = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", env!("CARGO_BIN_EXE_log-processor")])
        .current_dir(&folder)
        .envs([("LOG_FILE_PATH", "api.log"), ("STATE_DIR", "state"), ("METRICS_BIND", "127.0.0.1:0")])
        .stderr(log)
        .spawn()
        .expect("setpriv runs");
    let stored = |lines: u64| {
        eventually(&format!("{lines} are stored"), || {
            let status = bench.run(&["status", "--json"]);
            let status: Value = serde_json::from_slice(&status.stdout).unwrap_or_default();
            if status["lines_stored"] == lines { Ok(status) } else { Err(format!("{status:#}")) }
        })
    };
    stored(100);
    for round in 1..4 {
        bench.rename("api.log", &format!("api.log-2024090{round}"));
        bench.append(&lines(round * 100, round * 100 + 100));
        let status = stored(round as u64 * 100 + 100);
        assert!(status["problems"].to_string().contains("api.log-20200101"), "it is said: {status:#}");
    }
    processor.kill().expect("it runs");
    processor.wait().expect("a child of ours");
}
