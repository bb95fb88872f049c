//! What must stay within bounds: a line longer than memory, a hole in a log, and a backlog that grows fast while the store is away.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt as _;
use std::time::{Duration, Instant};

use system_tests::groups::{Group, heavy, left_out, scaled};
use system_tests::recount::Recount;
use system_tests::stack::{LOG, lines, size};
use system_tests::wait::{PATIENCE, eventually, holds};
use system_tests::{grouped, tell};

use crate::both::{Bench, Store, on_both_stores};

/// Design section 11: what the processor may hold, with any backlog, outage or line length.
const MEMORY_MAX_KIB: u64 = 64 << 10;
const GIB: u64 = 1 << 30;

on_both_stores!(x1_a_line_and_a_hole_that_are_longer_than_memory_cost_nothing_but_time);

fn x1_a_line_and_a_hole_that_are_longer_than_memory_cost_nothing_but_time(store: Store) {
    let _turn = heavy();
    let gib = scaled("SYSTEM_TESTS_SPARSE_GIB", 2, 10);
    let bench = Bench::on(store);
    let stack = &bench.stack;
    let processor = stack.processor();
    // Good lines, one line that begins and does not end for so long, good lines, a hole, good lines. The file system keeps none of the zeros.
    stack.append(lines(0, 100) + "x");
    let file = OpenOptions::new().write(true).open(stack.path(LOG)).expect("the log is there");
    let behind = |text: &str| {
        let place = size(&stack.path(LOG)) + gib * GIB;
        file.write_all_at(text.as_bytes(), place).expect("the log takes bytes");
    };
    behind(&("\n".to_owned() + &lines(100, 200)));
    let begun = Instant::now();
    stack.until_stored(Duration::from_secs(300), 200);
    let long_line = begun.elapsed();
    behind(&lines(200, 300));
    let begun = Instant::now();
    stack.until_stored(Duration::from_secs(300), 300);
    let hole = begun.elapsed();
    let peak = processor.program.peak_rss_kib();
    tell(&format!(
        "{}: a line of {gib} GiB is passed after {long_line:.1?}, a hole of {gib} GiB after {hole:.1?}; {peak} KiB at most",
        store.name()
    ));
    assert!(peak < MEMORY_MAX_KIB, "{peak} KiB");
    assert_eq!(processor.program.stop(), 0);
    stack.assert_account(300, 1);
    assert_eq!(stack.status()["rejected"], serde_json::json!({ "too_long": 1 }));
    bench.assert_requests(300);
    stack.api().assert_equal(&Recount::of_text(lines(0, 300).as_bytes()), &["1970-01-01"]);
}

#[test]
#[ignore = "a whole-system test: ./start.sh test runs it"]
fn x1_ten_megabytes_a_second_while_the_store_is_away_take_no_memory() {
    if left_out(Group::InfluxDb) {
        return;
    }
    let _turn = heavy();
    let away = Duration::from_secs(scaled("SYSTEM_TESTS_BACKLOG_SECONDS", 10, 600));
    let mut bench = Bench::on(Store::InfluxDb);
    let influx = bench.influx.as_mut().expect("it is on InfluxDB");
    let stack = &bench.stack;
    let processor = stack.processor();
    stack.append(lines(0, 100));
    stack.until_stored(PATIENCE, 100);
    influx.stop();
    let generator = stack.generator(&[
        // 55 bytes each.
        ("LOG_BATCH_SIZE", "18500"),
        ("LOG_INTERVAL_SECONDS", "0.1"),
    ]);
    let begun = Instant::now();
    while begun.elapsed() < away {
        // The time itself is what is measured here.
        std::thread::sleep(Duration::from_millis(200));
        let held = processor.program.rss_kib();
        assert!(held < MEMORY_MAX_KIB, "{held} KiB after {:.0?}", begun.elapsed());
    }
    assert_eq!(generator.stop(), 0);
    let bytes = size(&stack.path(LOG));
    assert!(bytes > away.as_secs() * 5_000_000, "{bytes} bytes in {away:?} are no load");
    influx.start_again();
    let begun = Instant::now();
    let deadline = Duration::from_secs(60) + 10 * away;
    let status = stack.until(deadline, "everything is settled", |status| {
        status["lag_bytes"] == 0 && status["lines_in_flight"] == 0
    });
    let caught_up = begun.elapsed();
    let peak = processor.program.peak_rss_kib();
    let stored = status["lines_stored"].as_u64().expect("a count");
    tell(&format!(
        "away for {away:.0?}: {} lines ({} MB) of backlog settled within {caught_up:.1?}, {:.0} lines/s; {peak} KiB at most",
        grouped(stored),
        bytes / 1_000_000,
        stored as f64 / caught_up.as_secs_f64(),
    ));
    assert!(peak < MEMORY_MAX_KIB, "{peak} KiB");
    assert_eq!(processor.program.stop(), 0);
    let written = newlines(&stack.path(LOG));
    stack.assert_account(written, 0);
    bench.assert_requests(written);
}

/// The lines of a file that may be too large for memory.
fn newlines(path: &std::path::Path) -> u64 {
    let mut reader = std::io::BufReader::with_capacity(1 << 20, std::fs::File::open(path).expect("the log"));
    let mut count = 0;
    loop {
        let block = std::io::BufRead::fill_buf(&mut reader).expect("the log is read");
        if block.is_empty() {
            return count;
        }
        count += block.iter().filter(|byte| **byte == b'\n').count() as u64;
        let length = block.len();
        std::io::BufRead::consume(&mut reader, length);
    }
}

/// Whether a file became a megabyte longer than it was.
fn grown_since(path: &std::path::Path, before: u64) -> impl FnMut() -> Result<(), String> {
    move || holds(size(path) > before + (1 << 20), || format!("{} bytes, {before} before", size(path)))
}

/// How many files there are, and how many of them grow.
const FILES: u64 = 10_000;
const GROWING: u64 = 10;
/// Design section 11 wants one percent of a core; a machine that is shared with other tests does the same work in more time.
const IDLE_MAX_PERCENT: f64 = 1.0;
const IDLE_MAX_SHARED_PERCENT: f64 = 2.0;
/// How late a line of another file may be while one file is flooded: as long as what may be under way takes, a second on a machine that has nothing else to do; if it were starved, until the flood ends.
const LATE_MAX: Duration = Duration::from_secs(2);
const LATE_MAX_SHARED: Duration = Duration::from_secs(30);

#[test]
#[ignore = "a whole-system test: ./start.sh test runs it"]
fn ten_thousand_files_of_which_ten_grow_cost_little_and_a_flood_starves_nobody() {
    if left_out(Group::Native) {
        return;
    }
    let _turn = heavy();
    let seconds = scaled("SYSTEM_TESTS_IDLE_SECONDS", 15, 60);
    let mut bench = Bench::on(Store::Embedded);
    bench.stack.set("LOG_FILE_PATH", "logs/*.log");
    let stack = &bench.stack;
    std::fs::create_dir(stack.path("logs")).expect("a folder");
    let name = |file: u64| format!("logs/f{file:05}.log");
    for file in 0..FILES {
        stack.append_to(&name(file), lines(file, file + 1));
    }
    let processor = stack.processor();
    stack.until_stored(PATIENCE, FILES);
    let mut written = FILES;
    let mut grow_for = |seconds: u64| {
        for _ in 0..seconds {
            for file in 0..GROWING {
                stack.append_to(&name(file * FILES / GROWING), lines(written, written + 1));
                written += 1;
            }
            // So often they grow: that is what is measured here.
            std::thread::sleep(Duration::from_secs(1));
        }
    };
    // Until the others count as silent.
    grow_for(12);
    let (before, begun) = (processor.program.cpu_seconds(), Instant::now());
    grow_for(seconds);
    let percent = 100.0 * (processor.program.cpu_seconds() - before) / begun.elapsed().as_secs_f64();
    let shared = seconds < 60;
    let most = if shared { IDLE_MAX_SHARED_PERCENT } else { IDLE_MAX_PERCENT };
    let latest = if shared { LATE_MAX_SHARED } else { LATE_MAX };

    // One file is flooded: how late is a line of another one?
    let flood = stack.generator(&[
        ("LOG_FILE_PATH", "logs/f00001.log"),
        ("LOG_INTERVAL_SECONDS", "0"),
        // More than can be read while this is measured, and less than the disk holds.
        ("MAX_LOGS_TO_GENERATE", "100000000"),
    ]);
    let flooded = stack.path("logs/f00001.log");
    let mut late = Duration::ZERO;
    for _ in 0..3 {
        // A processor that is quicker than the generator may stand at the end of the flood for a moment, so its lag tells nothing:
        // that it grows before and after the line does.
        let before = size(&flooded);
        eventually(PATIENCE, "the flood begins or goes on", grown_since(&flooded, before));
        stack.append_to(&name(7), lines(written, written + 1));
        written += 1;
        let begun = Instant::now();
        let at_its_end = |status: &serde_json::Value| {
            let path = stack.path(&name(7));
            let of_it =
                |file: &&serde_json::Value| file["path"].as_str().is_some_and(|told| path.ends_with(told));
            let files = status["files"].as_array().expect("files");
            files.iter().find(of_it).is_some_and(|file| file["settled_offset"] == size(&path))
        };
        stack.until(PATIENCE, "the line is settled", at_its_end);
        late = late.max(begun.elapsed());
        let after = size(&flooded);
        eventually(PATIENCE, "the flood still goes on", grown_since(&flooded, after));
    }
    drop(flood);
    tell(&format!(
        "{FILES} files, of which {GROWING} grow: {percent:.2} % of a core over {seconds} s, {} KiB; beside a flood a line is settled \
         after {late:.1?} at most",
        processor.program.peak_rss_kib()
    ));
    assert!(percent < most, "{percent:.2} % of a core");
    assert!(late < latest, "{late:?}");
}
