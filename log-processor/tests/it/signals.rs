//! Signals while lines are in flight and files are renamed.

use std::time::{Duration, Instant};

use crate::harness::{Bench, PATIENCE, eventually, lines};
use store::influx::fake::{FakeInflux, Fault};

/// Renewed again and again, with lines in flight each time, while the log is rotated, written to late, and truncated by a copy.
#[test]
fn x1_sighup_while_logs_rotate_and_lines_are_in_flight_loses_and_doubles_nothing() {
    let influx = FakeInflux::start().expect("a free port");
    influx.on_write(|seen| {
        if seen.body.starts_with("api_requests") {
            Fault::Slow(Duration::from_millis(150))
        } else {
            Fault::None
        }
    });
    let mut bench = Bench::on(&influx);
    bench.set("STREAM_MAX_SIZE", "50");
    bench.append(&lines(0, 200));
    let processor = bench.start();
    let mut written = 200;
    let mut add = |to: &str, count: usize| {
        bench.append_to(to, lines(written, written + count).as_bytes());
        written += count;
        written
    };
    for round in 1..=6 {
        let seen = influx.counts().writes;
        add("api.log", 300);
        influx.wait_until(PATIENCE, |counts| counts.writes > seen + 2).expect("lines are in flight");
        for number in (1..round).rev() {
            bench.rename(&format!("api.log.{number}"), &format!("api.log.{}", number + 1));
        }
        if round % 2 == 0 {
            processor.hang_up();
        }
        bench.rename("api.log", "api.log.1");
        add("api.log", 40);
        if round % 2 == 1 {
            processor.hang_up();
        }
        add("api.log.1", 20);
        add("api.log", 30);
        eventually("it goes on with the settings as they are now", || {
            let renewals = processor.log().matches("SIGHUP: going on").count();
            if renewals >= round { Ok(()) } else { Err(processor.log()) }
        });
    }
    let written = add("api.log", 10);
    bench.until_stored(written as u64);
    assert_eq!(influx.count("api_requests"), written as u64);
    assert_eq!(influx.counts().changed_points, 0);
    assert_eq!(bench.status()["lines_rejected"], 0);
    assert_eq!(processor.stop(), 0);
}

/// The first signal waits for what is in flight, up to half a minute; the second one does not.
#[test]
fn x1_a_second_signal_ends_at_once_and_the_next_start_takes_up_the_lines() {
    for stores in [true, false] {
        let influx = FakeInflux::start().expect("a free port");
        let mut bench = Bench::on(&influx);
        bench.set("STREAM_MAX_SIZE", "100");
        bench.append(&lines(0, 1000));
        let processor = bench.start();
        bench.until_stored(1000);
        influx.on_write(move |_| Fault::Withhold { store: stores });
        let before = influx.counts().writes;
        bench.append(&lines(1000, 3000));
        influx.wait_until(PATIENCE, |counts| counts.writes >= before + 4).expect("lines are in flight");
        processor.signal("TERM");
        eventually("it is stopping", || {
            let log = processor.log();
            if log.contains("stopping") { Ok(()) } else { Err(log) }
        });
        let begun = Instant::now();
        assert_eq!(processor.stop(), 3, "lines were in flight");
        assert!(begun.elapsed() < Duration::from_secs(10), "it took {:?}", begun.elapsed());
        let status = bench.status();
        assert_eq!(status["lines_stored"], 1000, "nothing counts that was not acknowledged");
        influx.release();
        influx.on_write(|_| Fault::None);
        bench.expect(&["--once"], 0);
        assert_eq!((influx.count("api_requests"), influx.counts().changed_points), (3000, 0));
        assert_eq!(influx.counts().repeated_points > 0, stores, "what had been stored was sent again");
        let status = bench.status();
        assert_eq!((&status["lines_stored"], &status["lines_rejected"]), (&3000.into(), &0.into()));
    }
}
