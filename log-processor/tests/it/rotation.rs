//! Rotation and truncation in their harder forms: compressed and dated siblings, files that begin alike, truncation at any instant.

use std::fs;
use std::io::Write as _;

use crate::harness::{Bench, lines};
use store::influx::fake::{FakeInflux, Fault};

/// Compresses a file as `gzip` does: the compressed file beside it, then the file is removed.
fn gzip(bench: &Bench, name: &str) {
    let text = fs::read(bench.path(name)).expect("the file");
    fs::write(bench.path(&format!("{name}.gz")), compressed(&text)).expect("written");
    fs::remove_file(bench.path(name)).expect("removed");
}

fn compressed(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text).expect("a Vec takes everything");
    encoder.finish().expect("a Vec takes everything")
}

#[test]
fn k2_what_was_rotated_and_compressed_while_it_was_stopped_is_read_once() {
    let influx = FakeInflux::start().expect("a free port");
    let bench = Bench::on(&influx);
    bench.append(&lines(0, 500));
    bench.expect(&["--once"], 0);
    bench.append(&lines(500, 700)); // The unread rest of the file that was read last.
    for round in 0..5 {
        for number in (1..=round).rev() {
            bench.rename(&format!("api.log.{number}.gz"), &format!("api.log.{}.gz", number + 1));
        }
        bench.rename("api.log", "api.log.1");
        gzip(&bench, "api.log.1");
        bench.append(&lines(700 + round * 100, 800 + round * 100));
    }
    bench.expect(&["--once"], 0);
    assert_eq!((bench.status()["lines_stored"].as_u64(), influx.count("api_requests")), (Some(1200), 1200));
    assert_eq!(influx.counts().changed_points, 0, "no two lines have one key");
    bench.expect(&["--once"], 0);
    assert_eq!(bench.status()["lines_read"], 1200, "and not once more");
    // Without its ledger it makes the same points again from the compressed files.
    fs::remove_dir_all(bench.path("state")).expect("removed");
    let mut bench = bench;
    bench.set("START_AT", "history");
    bench.expect(&["--once"], 0);
    assert_eq!((bench.status()["lines_stored"].as_u64(), influx.count("api_requests")), (Some(1200), 1200));
}

#[test]
fn a_compressed_file_that_is_cut_or_damaged_takes_nothing_else_with_it() {
    let bench = Bench::new();
    bench.append(&lines(0, 50));
    bench.expect(&["--once"], 0);
    let mut whole = compressed(lines(50, 100).as_bytes());
    fs::write(bench.path("api.log.2.gz"), &whole[..whole.len() / 2]).expect("written");
    let aside = fs::File::open(bench.path("api.log.2.gz")).expect("there");
    let long_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(60);
    aside.set_modified(long_ago).expect("an old file");
    let middle = whole.len() / 2;
    whole[middle] ^= 0xff;
    fs::write(bench.path("api.log.1.gz"), &whole).expect("written");
    bench.append(&lines(100, 110));
    let output = bench.expect(&["--once"], 0);
    let log = String::from_utf8_lossy(&output.stderr);
    assert_eq!(log.matches("a compressed log cannot be read").count(), 2, "{log}");
    assert_eq!(bench.status()["lines_stored"], 60);
}

#[test]
fn dated_siblings_are_followed_in_order() {
    let influx = FakeInflux::start().expect("a free port");
    let bench = Bench::on(&influx);
    bench.append(&lines(0, 50));
    let _processor = bench.start();
    bench.until_stored(50);
    for (day, from) in [("20260914", 50), ("20260915", 60), ("20260916", 70)] {
        bench.append(&lines(from, from + 5));
        bench.rename("api.log", &format!("api.log-{day}"));
        bench.append(&lines(from + 5, from + 10));
    }
    bench.until_stored(80);
    assert_eq!((influx.count("api_requests"), influx.counts().changed_points), (80, 0));
}

#[test]
fn x1_a_truncation_while_tail_waits_for_the_store_splices_nothing() {
    let influx = FakeInflux::start().expect("a free port");
    let bench = Bench::on(&influx);
    bench.append(&lines(0, 1));
    let processor = bench.start();
    bench.until_stored(1);
    influx.on_write(|write| {
        if write.body.starts_with("api_requests") { Fault::Withhold { store: true } } else { Fault::None }
    });
    let long = |from: usize, to: usize| {
        (from..to)
            .map(|n| {
                format!(
                    "2026-09-15 10:{:02}:{:02} cust_{} /{} 200 0.100\n",
                    n / 60 % 60,
                    n % 60,
                    n % 500,
                    "x".repeat(400)
                )
            })
            .collect::<String>()
    };
    bench.append(&long(0, 20_000)); // More than may be under way: tail waits in the middle of it.
    bench.until("tail waits", |status| status["lines_in_flight"].as_u64().is_some_and(|lines| lines > 5_000));
    fs::copy(bench.path("api.log"), bench.path("api.log.1")).expect("copied");
    fs::write(bench.path("api.log"), long(20_000, 45_000))
        .expect("truncated and filled beyond the old place");
    influx.on_write(|_| Fault::None);
    influx.release();
    bench.until_stored(45_001);
    assert_eq!(bench.status()["lines_rejected"], 0);
    assert_eq!(processor.stop(), 0);
    bench.expect(&["--once"], 0);
    assert_eq!(bench.status()["lines_stored"], 45_001, "nothing is taken for new after a restart");
    assert_eq!((influx.count("api_requests"), influx.counts().changed_points), (45_001, 0));
}

#[test]
fn x1_a_truncation_between_a_start_and_the_first_read_is_noticed() {
    let bench = Bench::new();
    bench.append(&lines(0, 50));
    bench.expect(&["--once"], 0);
    // Longer than the old place, other content: the place before it must be compared also when nothing was read in this run.
    fs::write(bench.path("api.log"), lines(100, 300)).expect("truncated and filled");
    bench.expect(&["--once"], 0);
    let status = bench.status();
    assert_eq!((&status["lines_stored"], &status["lines_rejected"]), (&250.into(), &0.into()));
}

#[test]
fn a_new_file_with_the_same_first_line_is_a_generation_of_its_own() {
    let influx = FakeInflux::start().expect("a free port");
    let bench = Bench::on(&influx);
    bench.append(&lines(0, 51));
    let _processor = bench.start();
    bench.until_stored(51);
    bench.append_to("new", format!("{}{}", lines(0, 1), lines(100, 150)).as_bytes());
    bench.rename("api.log", "api.log.1");
    bench.rename("new", "api.log");
    bench.until_stored(102);
    assert_eq!((influx.count("api_requests"), influx.counts().changed_points), (102, 0));
}

#[test]
fn a_copy_beside_the_log_hides_nothing_at_the_first_start() {
    let bench = Bench::new();
    bench.append(&lines(0, 10));
    fs::copy(bench.path("api.log"), bench.path("api.log.1")).expect("copied");
    bench.expect(&["--once"], 0);
    assert_eq!(bench.status()["lines_stored"], 10);
}

#[test]
fn a_file_refilled_to_the_same_size_is_noticed() {
    let bench = Bench::new();
    bench.append(&lines(0, 10));
    let _processor = bench.start();
    bench.until_stored(10);
    fs::write(bench.path("api.log"), lines(10, 20)).expect("truncated and filled");
    bench.until_stored(20);
}

#[test]
fn the_same_lines_again_after_a_truncation_count_once() {
    let bench = Bench::new();
    bench.append(&lines(0, 10));
    bench.expect(&["--once"], 0);
    fs::write(bench.path("api.log"), "").expect("truncated");
    bench.expect(&["--once"], 0);
    fs::write(bench.path("api.log"), lines(0, 12)).expect("filled again, and two more");
    bench.expect(&["--once"], 0);
    assert_eq!(bench.status()["lines_stored"], 12);
}

#[test]
fn start_at_is_for_the_first_start_only() {
    let mut bench = Bench::new();
    bench.set("LOG_FILE_PATH", "a=api.log,others.*.log");
    bench.set("START_AT", "end");
    bench.append(&lines(0, 10));
    bench.expect(&["--once"], 2); // The glob fits nothing yet.
    assert_eq!(bench.status()["lines_stored"], 0);
    bench.append_to("others.b.log", lines(10, 13).as_bytes());
    bench.append(&lines(13, 15));
    bench.expect(&["--once"], 0);
    assert_eq!(bench.status()["lines_stored"], 5);
}

#[test]
fn a_drain_ends_when_a_path_cannot_be_read() {
    let mut bench = Bench::new();
    bench.set("LOG_FILE_PATH", &format!("api.log,bad={}", "x".repeat(300)));
    bench.append(&lines(0, 10));
    let output = bench.expect(&["--once"], 3);
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(log.contains("not everything could be read"), "{log}");
    assert_eq!(bench.status()["lines_stored"], 10, "what can be read is read");
}

#[test]
fn a_thousand_files_are_followed_and_one_flood_starves_nobody() {
    let mut bench = Bench::new();
    fs::create_dir(bench.path("logs")).expect("made");
    for number in 0..1000 {
        bench.append_to(&format!("logs/f{number}.log"), b"");
    }
    bench.set("LOG_FILE_PATH", "logs/*.log");
    let _processor = bench.start();
    bench.until("all are followed", |status| status["files"].as_array().map(Vec::len) == Some(1000));
    bench.append_to("logs/f0.log", lines(0, 100_000).as_bytes());
    for number in 1..1000 {
        bench.append_to(&format!("logs/f{number}.log"), lines(number, number + 1).as_bytes());
    }
    bench.append_to("logs/f1000.log", lines(0, 5).as_bytes());
    bench.append_to("logs/f1000.log.1", lines(5, 7).as_bytes()); // Of a log that came later: all of it is new.
    bench.until_stored(101_006);
}

#[test]
fn what_is_written_after_a_truncation_is_not_taken_for_lost() {
    let bench = Bench::new();
    bench.append(&lines(0, 5));
    let _processor = bench.start();
    for round in 1..6 {
        bench.until_stored(5 + (round - 1) * 100);
        let from = usize::try_from(round).expect("small") * 1000;
        fs::write(bench.path("api.log"), lines(from, from + 100))
            .expect("truncated and filled, longer than before");
    }
    bench.until_stored(505);
    assert_eq!(bench.status()["lost_bytes"], serde_json::json!({}));
}

#[test]
fn identical_lines_in_a_longer_new_file_are_other_requests() {
    let influx = FakeInflux::start().expect("a free port");
    let bench = Bench::on(&influx);
    bench.append(&lines(0, 1).repeat(10));
    let processor = bench.start();
    bench.until_stored(10);
    bench.append_to("new", lines(0, 1).repeat(20).as_bytes());
    bench.rename("api.log", "api.log.1");
    bench.rename("new", "api.log");
    bench.until_stored(30);
    assert_eq!(processor.stop(), 0);
    bench.append_to("new", lines(0, 1).repeat(40).as_bytes());
    bench.rename("api.log.1", "api.log.2");
    bench.rename("api.log", "api.log.1");
    bench.rename("new", "api.log");
    bench.expect(&["--once"], 0);
    assert_eq!(bench.status()["lines_stored"], 70);
    assert_eq!((influx.count("api_requests"), influx.counts().changed_points), (70, 0));
}

#[test]
fn b3_what_was_seen_unread_and_compressed_while_it_was_stopped_is_not_lost() {
    let bench = Bench::new();
    bench.append(&lines(0, 10));
    let running = bench.start();
    bench.until("10 lines stored", |status| status["lines_stored"] == 10);
    bench.rename("api.log", "api.log.1");
    // The beginning of a line: seen, and nothing that could be handed on.
    let log = lines(10, 20);
    bench.append(&log[..30]);
    bench.until("the new file is seen", |status| status["lag_bytes"] == 30);
    assert_eq!(running.stop(), 0);
    bench.append(&log[30..]);
    bench.rename("api.log.1", "api.log.2");
    bench.rename("api.log", "api.log.1");
    gzip(&bench, "api.log.1");
    bench.append(&lines(20, 30));
    bench.expect(&["--once"], 0);
    let status = bench.status();
    assert_eq!(
        (status["lines_stored"].as_u64(), status["lag_bytes"].as_u64()),
        (Some(30), Some(0)),
        "{status:#}"
    );
    assert_eq!(status["lost_bytes"], serde_json::json!({}), "all of it was read from the compressed file");
}

#[test]
fn b3_what_was_seen_unread_and_truncated_while_it_was_stopped_is_lost() {
    let bench = Bench::new();
    bench.append(&lines(0, 1)[..30]);
    let running = bench.start();
    bench.until("the file is seen", |status| status["lag_bytes"] == 30);
    assert_eq!(running.stop(), 0);
    fs::write(bench.path("api.log"), lines(5, 10)).expect("truncated and written");
    bench.expect(&["--once"], 0);
    let status = bench.status();
    assert_eq!(status["lines_stored"], 5, "{status:#}");
    assert_eq!(status["lost_bytes"], serde_json::json!({ "removed": 30 }), "{status:#}");
}

#[test]
fn a_file_that_was_truncated_is_in_the_lag_of_a_stopped_processor_once() {
    let bench = Bench::new();
    bench.append(&lines(0, 10));
    let running = bench.start();
    bench.until("10 lines stored", |status| status["lines_stored"] == 10);
    // Perhaps the beginning of a copy: whether the old generation is gone cannot be judged yet.
    bench.append_to("api.log.1", b"");
    fs::write(bench.path("api.log"), lines(100, 130)).expect("truncated and written");
    bench.until("40 lines stored", |status| status["lines_stored"] == 40);
    assert_eq!(running.stop(), 0);
    let status = bench.status();
    assert_eq!(status["lag_bytes"], 0, "{status:#}");
}

#[test]
fn the_lag_of_a_compressed_file_is_told_in_bytes_of_its_lines_also_when_stopped() {
    let influx = FakeInflux::start().expect("a free port");
    let mut bench = Bench::on(&influx);
    bench.set("START_AT", "history");
    influx.on_write(|write| {
        if write.body.starts_with("api_requests") { Fault::Withhold { store: false } } else { Fault::None }
    });
    let text = lines(0, 5000);
    fs::write(bench.path("api.log.1.gz"), compressed(text.as_bytes())).expect("written");
    bench.append("");
    let processor = bench.start();
    bench.until("its lines are on their way", |status| {
        status["lines_in_flight"].as_u64().is_some_and(|lines| lines > 0)
    });
    processor.kill();
    influx.release();
    let lag = bench.status()["lag_bytes"].as_u64();
    assert!(lag == Some(0) || lag == Some(text.len() as u64), "{lag:?} of {} bytes", text.len());
    influx.on_write(|_| Fault::None);
    bench.expect(&["--once"], 0);
    assert_eq!((influx.count("api_requests"), bench.status()["lag_bytes"].as_u64()), (5000, Some(0)));
}
