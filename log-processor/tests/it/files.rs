//! What happens to the followed files while the processor runs, and between two runs.

use crate::harness::{Bench, eventually, lines};
use store::influx::fake::FakeInflux;

#[test]
fn t1_a_line_that_arrives_in_pieces_arrives_once_and_whole() {
    let bench = Bench::new();
    let line = lines(0, 1);
    let (first, rest) = line.split_at(20);
    let (second, third) = rest.split_at(15);
    bench.append(first);
    let processor = bench.start();
    bench.until("the first piece is seen", |status| status["lag_bytes"] == first.len());
    bench.append(second);
    bench.until("the second piece is seen", |status| status["lag_bytes"] == first.len() + second.len());
    assert_eq!(bench.status()["lines_read"], 0);
    assert_eq!(processor.stop(), 0);
    let _processor = bench.start();
    bench.append(third);
    bench.until_stored(1);
    assert_eq!(bench.status()["lines_rejected"], 0);
}

#[test]
fn a_missing_file_is_waited_for() {
    let bench = Bench::new();
    let processor = bench.start();
    // It may be ready before its first look.
    eventually("the missing file is told of", || {
        let log = processor.log();
        if log.contains("no such file") { Ok(()) } else { Err(log) }
    });
    bench.append(&lines(0, 10));
    bench.until_stored(10);
    assert_eq!(processor.log().matches("no such file").count(), 1, "said once");
}

#[test]
fn a_renamed_file_is_read_to_its_end_and_its_late_lines_too() {
    let influx = FakeInflux::start().expect("a free port");
    let bench = Bench::on(&influx);
    bench.append(&lines(0, 50));
    let _processor = bench.start();
    bench.until_stored(50);
    bench.append(&lines(50, 60));
    bench.rename("api.log", "api.log.1");
    bench.append_to("api.log.1", lines(60, 70).as_bytes()); // A writer that still holds the old file.
    bench.append(&lines(70, 80));
    bench.until_stored(80);
    bench.append_to("api.log.1", lines(80, 90).as_bytes());
    bench.until_stored(90);
    assert_eq!(influx.count("api_requests"), 90);
}

#[test]
fn k2_rotations_while_it_was_stopped_are_followed_in_order() {
    let influx = FakeInflux::start().expect("a free port");
    let bench = Bench::on(&influx);
    bench.append(&lines(0, 50));
    let processor = bench.start();
    bench.until_stored(50);
    assert_eq!(processor.stop(), 0);
    bench.append(&lines(50, 60));
    for round in 0..3 {
        for number in (1..=round).rev() {
            bench.rename(&format!("api.log.{number}"), &format!("api.log.{}", number + 1));
        }
        bench.rename("api.log", "api.log.1");
        bench.append(&lines(60 + round * 10, 70 + round * 10));
    }
    let _processor = bench.start();
    bench.until_stored(90);
    assert_eq!(influx.count("api_requests"), 90);
    assert_eq!(influx.counts().changed_points, 0, "no two lines have one key");
}

#[test]
fn files_that_are_older_than_the_first_start_stay_unread_after_a_rotation() {
    let bench = Bench::new();
    bench.append_to("api.log.1", lines(1000, 1100).as_bytes());
    bench.append(&lines(0, 10));
    let _processor = bench.start();
    bench.until_stored(10);
    bench.rename("api.log.1", "api.log.2");
    bench.rename("api.log", "api.log.1");
    bench.append(&lines(10, 20));
    bench.until_stored(20);
}

#[test]
fn a_truncated_file_is_a_new_generation() {
    let influx = FakeInflux::start().expect("a free port");
    let bench = Bench::on(&influx);
    bench.append(&lines(0, 50));
    let _processor = bench.start();
    bench.until_stored(50);
    std::fs::write(bench.path("api.log"), lines(100, 110)).expect("truncated and written");
    bench.until_stored(60);
    // Truncated and regrown beyond the old place within one look.
    std::fs::write(bench.path("api.log"), lines(200, 300)).expect("truncated and written");
    bench.until_stored(160);
    assert_eq!(influx.count("api_requests"), 160);
}

#[test]
fn a_copytruncate_loses_nothing_that_the_copy_holds() {
    let influx = FakeInflux::start().expect("a free port");
    let bench = Bench::on(&influx);
    bench.append(&lines(0, 50));
    let processor = bench.start();
    bench.until_stored(50);
    assert_eq!(processor.stop(), 0);
    bench.append(&lines(50, 60));
    std::fs::copy(bench.path("api.log"), bench.path("api.log.1")).expect("copied");
    std::fs::write(bench.path("api.log"), lines(100, 105)).expect("truncated and written");
    let _processor = bench.start();
    bench.until_stored(65);
    assert_eq!(influx.count("api_requests"), 65);
}

#[test]
fn bytes_that_are_gone_unread_are_counted() {
    let bench = Bench::new();
    bench.append(&lines(0, 50));
    let processor = bench.start();
    bench.until_stored(50);
    bench.append("unfinished"); // Seen, and never whole.
    bench.until("it is seen", |status| status["lag_bytes"] == 10);
    assert_eq!(processor.stop(), 0);
    std::fs::remove_file(bench.path("api.log")).expect("removed");
    bench.append(&lines(100, 105));
    let _processor = bench.start();
    bench.until_stored(55);
    assert_eq!(bench.status()["lost_bytes"]["removed"], 10);
}

#[test]
fn an_over_long_line_is_rejected_and_the_next_line_is_stored() {
    let bench = Bench::new();
    bench.append(&lines(0, 1));
    bench.append(&"x".repeat(3 << 20));
    bench.append("\n");
    bench.append(&lines(1, 2));
    bench.expect(&["--once"], 0);
    let status = bench.status();
    assert_eq!((&status["lines_stored"], &status["rejected"]["too_long"]), (&2.into(), &1.into()));
    let reject = &bench.rejects()[0];
    assert_eq!(reject["offset"], lines(0, 1).len());
    assert_eq!(reject["line"].as_str().map(str::len), Some(1024));
}

#[test]
fn when_the_first_thousand_lines_are_all_rejected_it_is_not_ready_and_says_why() {
    let bench = Bench::new();
    bench.append(&"127.0.0.1 - - [14/Sep/2026:16:15:35 +0000] \"GET / HTTP/1.1\" 200 1\n".repeat(1500));
    let processor = bench.start();
    let status = bench.until("not ready", |status| {
        status["problems"].as_array().is_some_and(|problems| !problems.is_empty())
    });
    assert!(
        status["problems"][0]
            .as_str()
            .is_some_and(|why| why.contains("127.0.0.1") && why.contains("expected")),
        "{status:#}"
    );
    assert_eq!(processor.get("/readyz").0, 503);
    bench.append(&lines(0, 1));
    bench.until("ready again", |status| status["ready"] == true);
}

#[test]
fn rotations_before_the_store_was_ever_reached_are_followed() {
    let influx = FakeInflux::start().expect("a free port");
    influx.stop();
    let bench = Bench::on(&influx);
    let processor = bench.start();
    bench.until("it looks at the files", |status| {
        status["files"].as_array().is_some_and(|files| !files.is_empty())
    });
    bench.append(&lines(0, 50));
    eventually("it follows", || {
        if processor.log().contains("following") { Ok(()) } else { Err(processor.log()) }
    });
    for round in 0..3 {
        for number in (1..=round).rev() {
            bench.rename(&format!("api.log.{number}"), &format!("api.log.{}", number + 1));
        }
        bench.rename("api.log", "api.log.1");
        bench.append(&lines(50 + round * 10, 60 + round * 10));
    }
    influx.start_again().expect("the same port");
    bench.until_stored(80);
    assert_eq!(influx.count("api_requests"), 80);
}

#[test]
fn files_that_were_rotated_before_the_first_one_was_seen_are_read() {
    let bench = Bench::new();
    let processor = bench.start();
    eventually("it waits", || {
        if processor.log().contains("no such file") { Ok(()) } else { Err(processor.log()) }
    });
    bench.append_to("other.2", lines(0, 10).as_bytes());
    bench.append_to("other.1", lines(10, 30).as_bytes());
    bench.rename("other.2", "api.log.2"); // Its watcher sees all of them at once.
    bench.rename("other.1", "api.log.1");
    bench.append(&lines(30, 60));
    bench.until_stored(60);
}
