//! What the metrics tell of the files, and what happens when notifications do not come, or too many of them.

use std::fs;
use std::io::{Seek as _, SeekFrom, Write as _};

use crate::harness::{Bench, Running, eventually, lines};
use store::influx::fake::FakeInflux;

fn until_log_says(processor: &Running, words: &str) {
    eventually(words, || {
        let log = processor.log();
        if log.contains(words) { Ok(()) } else { Err(log) }
    });
}

fn is(value: f64, expected: u32) -> bool {
    (value - f64::from(expected)).abs() < 0.5
}

#[test]
fn rotations_and_truncations_are_counted_once_each() {
    let bench = Bench::new();
    bench.append(&lines(0, 100));
    let processor = bench.start();
    bench.until_stored(100);
    let counted = || (processor.metric("rotations_total"), processor.metric("truncations_total"));
    assert!(is(counted().0, 0) && is(counted().1, 0), "{:?}", counted());
    for round in 0..3 {
        bench.rename("api.log", &format!("api.log.{}", 3 - round));
        bench.append(&lines(100 + round * 10, 110 + round * 10));
        bench.until_stored(110 + round as u64 * 10);
        assert!(is(counted().0, round as u32 + 1) && is(counted().1, 0), "{:?}", counted());
    }
    for round in 0..2 {
        fs::write(bench.path("api.log"), lines(200 + round * 5, 205 + round * 5)).expect("truncated");
        bench.until_stored(135 + round as u64 * 5);
        assert!(is(counted().0, 3) && is(counted().1, round as u32 + 1), "{:?}", counted());
    }
    assert!(is(processor.metric("unterminated_lines_total"), 0));
    assert!(is(processor.metric("key_wrap_total"), 0));
    assert!(is(processor.metric("notify_overflows_total"), 0));
    assert_eq!(processor.stop(), 0);
}

#[test]
fn a_file_truncated_to_the_same_size_while_it_was_stopped_is_a_new_generation() {
    let influx = FakeInflux::start().expect("a free port");
    let bench = Bench::on(&influx);
    let (first, second) = (lines(0, 100), lines(100, 200));
    assert_eq!(first.len(), second.len());
    bench.append(&first);
    bench.expect(&["--once"], 0);
    fs::write(bench.path("api.log"), &second).expect("truncated and filled");
    let processor = bench.start();
    bench.until_stored(200);
    let status = bench.status();
    assert_eq!(status["files"][0]["settled_offset"], second.len());
    assert!(status["lost_bytes"].as_object().is_none_or(|lost| lost.is_empty()), "{status:#}");
    assert_eq!((influx.count("api_requests"), influx.counts().changed_points), (200, 0));
    assert_eq!(processor.stop(), 0);
}

/// Two lines of one second, a gigabyte apart: their keys can be the same. Another second behind them is as it should be.
#[test]
fn a_second_that_spans_a_gigabyte_is_counted() {
    let bench = Bench::new();
    let line = |second: u32| format!("2024-09-14 16:15:{second} cust_5 /api/v1/resource4 200 0.772\n");
    bench.append(&line(35).repeat(3));
    let mut file = fs::OpenOptions::new().write(true).open(bench.path("api.log")).expect("the log opens");
    // The NULs of a hole belong to the line behind them: an empty one, so that the next stands where it stands.
    file.seek(SeekFrom::Start(1_000_000_000)).expect("a hole");
    file.write_all(format!("\n{}{}", line(35).repeat(2), line(36).repeat(2)).as_bytes()).expect("written");
    let processor = bench.start();
    bench.until("all lines are settled", |status| {
        status["lines_stored"] == 7 && status["rejected"]["empty"] == 1 && status["lag_bytes"] == 0
    });
    assert!(is(processor.metric("key_wrap_total"), 1), "{}", processor.metric("key_wrap_total"));
    assert_eq!(processor.stop(), 0);
}

#[test]
fn a_last_line_without_its_newline_is_counted_when_it_is_taken() {
    let bench = Bench::new();
    bench.append(&lines(0, 10));
    bench.append(lines(10, 11).trim_end());
    let processor = bench.start();
    bench.until("ten lines are stored", |status| status["lines_stored"] == 10);
    assert!(is(processor.metric("unterminated_lines_total"), 0));
    bench.rename("api.log", "api.log.1");
    bench.append(&lines(11, 12));
    bench.until_stored(12);
    assert!(is(processor.metric("unterminated_lines_total"), 1));
    assert_eq!(processor.stop(), 0);
}

/// A writer that reaches the file by a link in another folder: the system tells nobody who watches the log's own (inotify(7)).
#[test]
fn t2_b6_growth_that_no_notification_tells_of_is_found_counted_and_polled_for() {
    let bench = Bench::new();
    bench.append(&lines(0, 10));
    fs::create_dir(bench.path("elsewhere")).expect("a folder");
    fs::hard_link(bench.path("api.log"), bench.path("elsewhere/api.log")).expect("a link");
    let processor = bench.start();
    bench.until_stored(10);
    let mut written = 10;
    let mut write_unseen = |times: usize| {
        for _ in 0..times {
            bench.append_to("elsewhere/api.log", lines(written, written + 1).as_bytes());
            written += 1;
            bench.until_stored(written as u64);
        }
    };
    write_unseen(2);
    assert!(!processor.log().contains("without notifications"), "two in a row can be chance");
    write_unseen(2);
    processor.until_metric("notify_missed_total", 3.0);
    until_log_says(&processor, "arrive without notifications");
    // Ten looks a second now, where there was one.
    let looks = processor.metric("looks_total");
    write_unseen(5);
    processor.until_metric("looks_total", looks + 20.0);
    assert_eq!(processor.log().matches("arrive without notifications").count(), 1, "said once");
    bench.append(&lines(15, 16));
    until_log_says(&processor, "announced again");
    assert_eq!(processor.stop(), 0);
}

/// More events than the system keeps, while nobody takes them: it says so, without a path, and everything is looked at.
#[test]
fn t2_an_overflow_of_notifications_is_counted_and_everything_is_looked_at() {
    let kept = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").expect("a Linux with inotify");
    let kept: usize = kept.trim().parse().expect("a number");
    let bench = Bench::new();
    bench.append(&lines(0, 10));
    let processor = bench.start();
    bench.until_stored(10);
    processor.signal("STOP");
    // Each time opened, changed and closed; events of the same kind in a row would be one.
    for turn in 0..kept / 3 + 1000 {
        bench.append_to(["one", "other"][turn % 2], b"x");
    }
    bench.append(&lines(10, 20));
    processor.signal("CONT");
    bench.until_stored(20);
    processor.until_metric("notify_overflows_total", 1.0);
    bench.append(&lines(20, 30));
    bench.until_stored(30);
    assert_eq!(processor.stop(), 0);
}
