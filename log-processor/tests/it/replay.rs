//! `replay`: a store that lost everything is whole again, and nothing is counted twice.

use store::influx::fake::{Answer, FakeInflux, Fault};

use crate::harness::{Bench, lines};

/// Three files of a log, with bad lines, all settled.
fn settled(influx: &FakeInflux) -> Bench {
    let bench = Bench::on(influx);
    bench.append(&lines(0, 700));
    bench.expect(&["--once"], 0);
    bench.rename("api.log", "api.log.1");
    bench.append(&format!("not a line\n{}", lines(700, 1200)));
    bench.expect(&["--once"], 0);
    bench.rename("api.log.1", "api.log.2");
    bench.rename("api.log", "api.log.1");
    bench.append(&lines(1200, 1300));
    bench.expect(&["--once"], 0);
    bench
}

fn printed(bench: &Bench, args: &[&str], code: i32) -> String {
    String::from_utf8(bench.expect(args, code).stdout).expect("UTF-8")
}

#[test]
fn x1_an_emptied_store_is_whole_again_and_nothing_counts_twice() {
    let influx = FakeInflux::start().expect("a free port");
    let bench = settled(&influx);
    let mut before = bench.status();
    let points = influx.points("api_requests");
    influx.retain(|_| false);
    insta::assert_snapshot!(printed(&bench, &["replay"], 0), @"replay: 1300 lines of 3 files were sent");
    assert_eq!(influx.points("api_requests"), points);
    assert_eq!(influx.count("api_log_generations"), 3);
    let mut after = bench.status();
    for status in [&mut before, &mut after] {
        status["lag_seconds"] = 0.into();
    }
    // Those are published again by the next start.
    let statistics =
        [&mut before, &mut after].map(|status| status["statistics"].take()["waiting_cells"].clone());
    assert!(statistics[0] == 0 && statistics[1].as_u64() > Some(0), "{statistics:?}");
    assert_eq!(after, before);
    assert!(printed(&bench, &["verify"], 0).contains("1300 requests are in influxdb"));
    // The store is known again: work goes on.
    bench.append(&lines(1300, 1400));
    bench.expect(&["--once"], 0);
    assert_eq!(bench.status()["lines_stored"], 1400);
    bench.expect(&["verify"], 0);
    // The journal is whole too: a lost ledger makes the same points again.
    std::fs::remove_dir_all(bench.path("state")).expect("removed");
    let mut history = bench;
    history.set("START_AT", "history");
    history.expect(&["--once"], 0);
    assert_eq!((influx.count("api_requests"), influx.counts().changed_points), (1400, 0));
}

#[test]
fn a_replay_into_an_intact_store_changes_nothing() {
    let influx = FakeInflux::start().expect("a free port");
    let bench = settled(&influx);
    let points = influx.points("api_requests");
    bench.expect(&["replay"], 0);
    assert_eq!(influx.points("api_requests"), points);
    assert_eq!(influx.counts().changed_points, 0);
}

/// The ledger notes how fresh it is more often than the store is told. A replay told of the requests only, and the statistics looked as if they lacked something.
#[test]
fn after_a_replay_statistics_answer_as_before() {
    let influx = FakeInflux::start().expect("a free port");
    let bench = settled(&influx);
    bench.expect(&["--once"], 0); // Nothing new.
    bench.expect(&["replay"], 0);
    let said = influx.points("api_processors");
    let last = said.iter().max_by_key(|point| point.time_nanos).expect("a statement");
    let of = |field: &str| format!("{:?}", last.fields[field]);
    assert!(of("statistics").contains("published") && of("released").contains("true"), "{last:?}");
    assert_eq!(of("as_of_us"), of("statistics_as_of_us"), "{last:?}");
    assert!(!of("as_of_us").contains("-1"), "{last:?}");
}

#[test]
fn a_replay_goes_through_a_store_that_refuses_stalls_and_cuts() {
    let influx = FakeInflux::start().expect("a free port");
    let mut bench = settled(&influx);
    bench.set("STREAM_MAX_SIZE", "100");
    influx.retain(|_| false);
    influx.on_write(|seen| match seen.number % 5 {
        0 => Fault::Cut { store: true },
        1 => Fault::Answer(Answer::error(503, "unavailable", "later")),
        _ => Fault::None,
    });
    assert!(printed(&bench, &["replay"], 0).contains("1300 lines"));
    influx.on_write(|_| Fault::None);
    bench.expect(&["verify"], 0);
}

#[test]
fn a_replay_needs_the_ledger_for_itself() {
    let influx = FakeInflux::start().expect("a free port");
    let bench = settled(&influx);
    let running = bench.start();
    bench.until_stored(1300);
    let output = bench.expect(&["replay"], 4);
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(log.contains(&format!("pid {}", running.pid())), "{log}");
    assert_eq!(running.stop(), 0);
}

#[test]
fn a_replay_that_is_killed_leaves_the_store_as_one_that_was_wiped() {
    let influx = FakeInflux::start().expect("a free port");
    let mut bench = settled(&influx);
    bench.set("STREAM_MAX_SIZE", "50");
    influx.retain(|_| false);
    influx.on_write(|seen| {
        if seen.body.starts_with("api_requests") { Fault::Withhold { store: true } } else { Fault::None }
    });
    let running = bench.start_with(&["replay"]);
    influx.wait_until(crate::harness::PATIENCE, |counts| counts.points > 50).expect("some of it arrives");
    running.kill();
    influx.on_write(|_| Fault::None);
    influx.release();
    bench.append(&lines(1300, 1310));
    bench.expect(&["--once"], 3);
    bench.expect(&["replay"], 0);
    bench.expect(&["--once"], 0);
    bench.expect(&["verify"], 0);
    assert_eq!(bench.status()["lines_stored"], 1310);
}

#[test]
fn files_that_are_gone_are_told() {
    let influx = FakeInflux::start().expect("a free port");
    let bench = settled(&influx);
    influx.retain(|_| false);
    std::fs::remove_file(bench.path("api.log.2")).expect("removed");
    let text = printed(&bench, &["replay"], 0);
    let bytes = lines(0, 700).len();
    assert_eq!(
        text,
        format!(
            "replay: 600 lines of 2 files were sent; {bytes} bytes of 1 files that are gone cannot be sent again\n"
        )
    );
}

#[test]
fn without_a_ledger_or_with_the_embedded_store_there_is_nothing_to_replay() {
    let influx = FakeInflux::start().expect("a free port");
    let bench = Bench::on(&influx);
    bench.append(&lines(0, 10));
    bench.expect(&["replay"], 2);
    assert!(!bench.path("state/ledger.db").exists());
    let embedded = Bench::new();
    embedded.append(&lines(0, 10));
    embedded.expect(&["--once"], 0);
    embedded.expect(&["replay"], 2);
}
