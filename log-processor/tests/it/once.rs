//! `--once` and `--final`: drain to the end of the files, settle, exit.

use crate::harness::{Bench, lines};
use store::influx::fake::FakeInflux;

#[test]
fn every_line_is_accounted_for() {
    let bench = Bench::new();
    bench.append(&format!("{}\nnot a line\n{}", lines(0, 1000), lines(1000, 12_345)));
    bench.expect(&["--once"], 0);
    let status = bench.status();
    assert_eq!(status["lines_read"], 12_347);
    assert_eq!(status["lines_stored"], 12_345);
    assert_eq!(status["lines_rejected"], 2);
    assert_eq!(status["rejected"], serde_json::json!({"empty": 1, "fields": 1}));
    assert_eq!(status["lines_in_flight"], 0);
    assert_eq!(status["lag_bytes"], 0);
    let rejects = bench.rejects();
    assert_eq!(rejects.len(), 2);
    assert_eq!(rejects[1]["line"], "not a line");
    assert_eq!(rejects[1]["reason"], "fields");
    assert_eq!(rejects[1]["source"], "main");
}

#[test]
fn k2_a_second_run_goes_on_where_the_first_ended() {
    let bench = Bench::new();
    bench.append(&lines(0, 100));
    bench.expect(&["--once"], 0);
    bench.expect(&["--once"], 0);
    assert_eq!(bench.status()["lines_stored"], 100);
    bench.append(&lines(100, 150));
    bench.expect(&["--once"], 0);
    assert_eq!(bench.status()["lines_stored"], 150);
}

#[test]
fn an_unfinished_last_line_stays_and_is_named_and_final_takes_it() {
    let bench = Bench::new();
    let unfinished = lines(10, 11);
    let unfinished = unfinished.trim_end();
    bench.append(&lines(0, 10));
    bench.append(unfinished);
    let output = bench.expect(&["--once"], 0);
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(log.contains("unfinished last line was left") && log.contains("api.log"), "{log}");
    assert_eq!(bench.status()["lines_stored"], 10);
    assert_eq!(bench.status()["lag_bytes"], unfinished.len());
    bench.expect(&["--final"], 0);
    assert_eq!(bench.status()["lines_stored"], 11);
    assert_eq!(bench.status()["lag_bytes"], 0);
}

/// A line just over the limit is whole in the batch, and its bytes were marked as if it had been passed over: the next start took the file for another one.
#[test]
fn t1_a_line_just_over_the_limit_counts_nothing_again_at_the_next_start() {
    for beyond in [1, 500, 200_000] {
        let influx = FakeInflux::start().expect("a free port");
        let bench = Bench::on(&influx);
        let long = "z".repeat((1 << 20) + beyond);
        bench.append(&format!("{}{long}\n{}", lines(0, 50), lines(50, 51)));
        for _ in 0..3 {
            bench.expect(&["--once"], 0);
            let status = bench.status();
            let told = ["lines_stored", "lines_rejected"].map(|name| status[name].as_u64());
            assert_eq!(told, [Some(51), Some(1)], "{beyond} bytes over the limit");
        }
        assert_eq!(influx.count("api_requests"), 51);
    }
}

/// Nothing whole is left to hand on, so the store is not needed: that was taken for a store that was never reached.
#[test]
fn an_unfinished_last_line_is_no_failure_of_the_next_drain() {
    let influx = FakeInflux::start().expect("a free port");
    let bench = Bench::on(&influx);
    bench.append(&format!("{}2026-11-2", lines(0, 1)));
    for _ in 0..3 {
        bench.expect(&["--once"], 0);
    }
}

#[test]
fn a_path_without_a_file_is_exit_code_2() {
    let output = Bench::new().expect(&["--once"], 2);
    assert!(String::from_utf8_lossy(&output.stderr).contains("api.log"));
}

#[test]
fn bad_settings_are_reported_all_at_once_with_exit_code_2() {
    let mut bench = Bench::new();
    bench.set("WORKERS", "none");
    bench.set("START_AT", "middle");
    bench.set("LOG_FILE_PATH", "a/x.log,b/y.log,c/y.log");
    let output = bench.expect(&["--once"], 2);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    for name in ["WORKERS=none", "START_AT=middle", "LOG_FILE_PATH"] {
        assert!(text.contains(name), "{text}");
    }
}

#[test]
fn x1_a_thousand_identical_lines_are_a_thousand_points_and_a_lost_ledger_changes_nothing() {
    let influx = FakeInflux::start().expect("a free port");
    let bench = Bench::on(&influx);
    bench.append(&lines(7, 8).repeat(1000));
    bench.expect(&["--once"], 0);
    assert_eq!(influx.count("api_requests"), 1000);
    std::fs::remove_dir_all(bench.path("state")).expect("removed");
    bench.expect(&["--once"], 0);
    assert_eq!(influx.count("api_requests"), 1000);
    assert_eq!(influx.counts().changed_points, 0, "a replayed point is the same point");
    assert!(influx.counts().repeated_points >= 1000, "the lines were sent again");
}

#[test]
fn several_files_have_a_source_each() {
    let influx = FakeInflux::start().expect("a free port");
    let mut bench = Bench::on(&influx);
    bench.set("LOG_FILE_PATH", "api.log,shop.log,eu=far.log,more-*.log");
    for name in ["api.log", "shop.log", "far.log", "more-a.log", "more-b.log"] {
        bench.append_to(name, lines(0, 100).as_bytes());
    }
    bench.expect(&["--once"], 0);
    let mut sources = std::collections::BTreeMap::<String, usize>::new();
    for point in influx.points("api_requests") {
        let source =
            point.tags.iter().find(|(name, _)| *name == "source").map_or("(none)", |(_, value)| value);
        *sources.entry(source.to_owned()).or_default() += 1;
    }
    let expected = [("(none)", 100), ("eu", 100), ("more-a", 100), ("more-b", 100), ("shop", 100)];
    assert_eq!(sources, expected.map(|(name, count)| (name.to_owned(), count)).into());
}

#[test]
fn start_at_end_skips_what_is_there_and_counts_it() {
    let mut bench = Bench::new();
    bench.set("START_AT", "end");
    bench.append(&lines(0, 100));
    bench.expect(&["--once"], 0);
    let skipped = lines(0, 100).len();
    assert_eq!(bench.status()["lines_read"], 0);
    assert_eq!(bench.status()["skipped_bytes"], skipped);
    bench.append(&lines(100, 103));
    bench.expect(&["--once"], 0);
    assert_eq!(bench.status()["lines_stored"], 3);
}

#[test]
fn start_at_history_reads_rotated_siblings_oldest_first() {
    let mut bench = Bench::new();
    bench.set("START_AT", "history");
    bench.append_to("api.log.2", lines(0, 10).as_bytes());
    bench.append_to("api.log.1", lines(10, 30).as_bytes());
    bench.append(&lines(30, 35));
    bench.expect(&["--once"], 0);
    assert_eq!(bench.status()["lines_stored"], 35);
    let mut bench = Bench::new();
    bench.append_to("api.log.1", lines(10, 30).as_bytes());
    bench.append(&lines(30, 35));
    bench.set("START_AT", "beginning");
    bench.expect(&["--once"], 0);
    assert_eq!(bench.status()["lines_stored"], 5);
}

/// RETENTION=12h at 17:00 refused everything, and 2d a line of 47 hours.
#[test]
fn retention_rejects_only_lines_that_are_older_by_whole_days() {
    const DAY: i64 = 86_400;
    let influx = FakeInflux::start().expect("a free port");
    for (mut bench, on_influx) in [(Bench::new(), false), (Bench::on(&influx), true)] {
        // At midnight the lines would be of other days than the processor's: then once more.
        loop {
            let now = chrono::Utc::now().timestamp();
            let today = now - now.rem_euclid(DAY);
            let line = |second: i64| {
                let time = chrono::DateTime::from_timestamp(second, 0).expect("a time");
                format!("{} cust_1 /p 200 0.1\n", time.format("%F %T"))
            };
            let kept = [now, now - 47 * 3600, now - 2 * DAY, today - 2 * DAY];
            let old = [today - 2 * DAY - 1, today - 3 * DAY, 0];
            bench.set("RETENTION", "2d");
            bench.set("STATE_DIR", &format!("state-{now}"));
            bench.set("LOG_FILE_PATH", &format!("{now}.log"));
            let text: String = kept.iter().chain(&old).map(|second| line(*second)).collect();
            bench.append_to(&format!("{now}.log"), text.as_bytes());
            bench.expect(&["--once"], 0);
            if chrono::Utc::now().timestamp() >= today + DAY {
                continue;
            }
            let status = bench.status();
            assert_eq!(status["lines_stored"], kept.len(), "{status:#}");
            assert_eq!(status["rejected"], serde_json::json!({ "retention": old.len() }), "{status:#}");
            break;
        }
        if on_influx {
            assert!(influx.count("api_requests") >= 4);
        }
    }
}

/// Zeros without a word for a misspelt STATE_DIR.
#[test]
fn status_and_rejects_say_that_there_is_no_ledger() {
    let mut bench = Bench::new();
    bench.append(&lines(0, 10));
    bench.expect(&["--once"], 0);
    for args in [&["status", "--json"][..], &["status"], &["rejects", "--json"], &["rejects"]] {
        bench.set("STATE_DIR", "state");
        let stderr = bench.expect(args, 0).stderr;
        assert_eq!(String::from_utf8_lossy(&stderr), "", "{args:?}");
        bench.set("STATE_DIR", "stata");
        let stderr = bench.expect(args, 0).stderr;
        let told = String::from_utf8_lossy(&stderr).into_owned();
        assert!(told.contains("there is no ledger") && told.contains("STATE_DIR=stata"), "{args:?}: {told}");
        assert!(!bench.path("stata").exists(), "asking makes nothing");
    }
    assert_eq!(bench.status()["lines_read"], 0, "what goes to stdout is still JSON");
}

#[test]
fn an_address_with_a_password_or_a_query_is_never_printed() {
    let mut bench = Bench::new();
    bench.set("DOCKER_INFLUXDB_INIT_ORG", "org");
    bench.set("DOCKER_INFLUXDB_INIT_BUCKET", "bucket");
    for (url, shown) in [
        ("http://me:hunter2@localhost:8086/", "http://***@localhost:8086/"),
        ("http://localhost:8086/?token=hunter2", "http://localhost:8086/?***"),
        ("http//me:hunter2@localhost", "***@localhost"),
    ] {
        bench.set("INFLUXDB_URL", url);
        for args in [&["--print-config"][..], &["--once"]] {
            let output = bench.expect(args, 2);
            let told = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
            assert!(told.contains(shown) && !told.contains("hunter2"), "{args:?}: {told}");
        }
    }
}

/// One day of one customer: the next start, and `--once`, refuse the ledger; nothing is read.
#[test]
fn a_damaged_day_of_one_customer_is_refused_naming_customer_and_window() {
    let bench = Bench::new();
    bench.append(&lines(0, 500));
    bench.expect(&["--once"], 0);
    store::embedded::testing::damage_days(&bench.path("state"), "cust_3");
    bench.append(&lines(500, 600));
    for args in [&["--once"][..], &[]] {
        let stderr = bench.expect(args, 3).stderr;
        let told = String::from_utf8_lossy(&stderr).into_owned();
        let named = "customer \"cust_3\" for the day 2026-09-14T00:00Z: its checksum does not hold; move it away to read the logs again";
        assert!(told.replace("\\\"", "\"").contains(named), "{told}");
    }
    assert_eq!(bench.status()["lines_stored"], 500);
}

#[test]
fn a_file_that_was_skipped_stays_skipped_at_the_second_start() {
    let bench = Bench::new();
    bench.append_to("api.log.1", lines(0, 20).as_bytes());
    bench.append(&lines(20, 30));
    bench.expect(&["--once"], 0);
    bench.expect(&["--once"], 0);
    // A late line in it belongs to what is not to be read.
    bench.append_to("api.log.1", lines(40, 41).as_bytes());
    bench.expect(&["--once"], 0);
    assert_eq!(bench.status()["lines_stored"], 10);
}
