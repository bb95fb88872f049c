//! A store that was wiped or restored from an older copy is noticed; one that lost nothing never is, whatever crashes.

use store::influx::fake::{FakeInflux, Fault, FieldValue, Point};

use crate::harness::{Bench, PATIENCE, Running, eventually, lines};

const WORDS: &str = "the store no longer knows what it had confirmed";

fn on(influx: &FakeInflux, text: &str) -> Bench {
    let bench = Bench::on(influx);
    bench.append(text);
    bench.expect(&["--once"], 0);
    bench
}

/// As when the bucket is deleted and made anew.
fn wipe(influx: &FakeInflux) {
    influx.retain(|_| false);
}

/// Waits until it says that the store was wiped, and is not ready.
fn until_noticed(running: &Running) {
    eventually("the loss is noticed", || {
        let (code, body) = running.get("/readyz");
        if code == 503 && body.contains(WORDS) { Ok(()) } else { Err(format!("{code} {body}")) }
    });
    let log = running.log();
    let error = log.lines().find(|line| line.contains("ERROR") && line.contains(WORDS)).unwrap_or_default();
    assert!(error.contains("log-processor replay") && error.contains("--accept-store"), "{log}");
}

#[test]
fn a_store_wiped_while_it_was_stopped_is_noticed_and_nothing_settles() {
    let influx = FakeInflux::start().expect("a free port");
    let bench = on(&influx, &lines(0, 100));
    wipe(&influx);
    bench.append(&lines(100, 150));
    let running = bench.start();
    until_noticed(&running);
    assert_eq!(influx.count("api_requests"), 0);
    assert_eq!(bench.status()["lines_stored"], 100);
    assert_eq!(running.stop(), 3); // There are lines that it could not hand on.
    // A run that drains does not wait.
    let output = bench.expect(&["--once"], 3);
    assert!(String::from_utf8_lossy(&output.stderr).contains(WORDS));
    assert_eq!(influx.count("api_requests"), 0);
    assert_eq!(influx.count("api_processors"), 0);
    // Accepted once, it is accepted for good; what is missing is missing, and the journal is whole.
    bench.expect(&["--once", "--accept-store"], 0);
    assert_eq!(influx.count("api_requests"), 50);
    assert_eq!(influx.count("api_log_generations"), 1);
    bench.expect(&["--once"], 0);
    bench.expect(&["verify"], 1);
}

#[test]
fn a_store_wiped_while_it_runs_is_noticed_although_heartbeats_go_on() {
    let influx = FakeInflux::start().expect("a free port");
    let bench = Bench::on(&influx);
    bench.append(&lines(0, 100));
    let running = bench.start();
    bench.until_stored(100);
    wipe(&influx);
    until_noticed(&running);
    bench.append(&lines(100, 150));
    bench.until("the lines are read", |status| status["lines_in_flight"] == 50);
    assert_eq!(influx.count("api_requests"), 0);
    // Killed there, it is noticed again at the next start.
    running.kill();
    let running = bench.start();
    until_noticed(&running);
    assert_eq!(influx.count("api_requests"), 0);
}

#[test]
fn a_store_restored_from_an_older_copy_is_noticed() {
    let influx = FakeInflux::start().expect("a free port");
    let bench = on(&influx, &lines(0, 100));
    let copy: Vec<Point> = ["api_requests", "api_processors", "api_log_generations"]
        .into_iter()
        .flat_map(|measurement| influx.points(measurement))
        .collect();
    bench.append(&lines(100, 200));
    bench.expect(&["--once"], 0);
    influx.retain(|point| copy.contains(point));
    assert_eq!(influx.count("api_requests"), 100);
    bench.append(&lines(200, 201));
    let output = bench.expect(&["--once"], 3);
    assert!(String::from_utf8_lossy(&output.stderr).contains(WORDS));
}

#[test]
fn a_commit_number_that_went_back_is_noticed() {
    let influx = FakeInflux::start().expect("a free port");
    let bench = Bench::on(&influx);
    bench.append(&lines(0, 100));
    let running = bench.start();
    bench.until_stored(100);
    let commit = |point: &Point| match point.fields["commit"] {
        FieldValue::Integer(commit) => commit,
        ref other => panic!("{other:?}"),
    };
    eventually("a later commit is told", || {
        let points = influx.points("api_processors");
        if points.iter().any(|point| commit(point) > 1) { Ok(()) } else { Err(format!("{points:#?}")) }
    });
    // Until the ledger has it too.
    bench.append(&lines(100, 200));
    bench.until_stored(200);
    running.kill();
    for point in influx.points("api_processors") {
        let body = format!("api_processors,source=main commit=0i {}", point.time_nanos);
        influx.write_by_hand(&body).expect("line protocol");
    }
    bench.append(&lines(200, 201));
    let output = bench.expect(&["--once"], 3);
    assert!(String::from_utf8_lossy(&output.stderr).contains(WORDS));
}

#[test]
fn k2_kills_and_lost_answers_never_look_like_a_loss() {
    let influx = FakeInflux::start().expect("a free port");
    let bench = Bench::on(&influx);
    for round in 0..12_usize {
        // Every third answer of any kind gets lost, after storing or before.
        influx.on_write(move |seen| match (seen.number as usize + round) % 6 {
            0 => Fault::Cut { store: true },
            3 => Fault::Cut { store: false },
            _ => Fault::None,
        });
        bench.append(&lines(round * 50, round * 50 + 50));
        let running = bench.start();
        let wanted = (round * 50 + 25) as u64;
        bench.until("some are stored", |status| status["lines_stored"].as_u64() >= Some(wanted));
        running.kill();
    }
    influx.on_write(|_| Fault::None);
    let running = bench.start();
    bench.until_stored(600);
    eventually("it is ready", || match running.get("/readyz") {
        (200, _) => Ok(()),
        (code, body) => Err(format!("{code} {body}")),
    });
    assert!(!running.log().contains(WORDS), "{}", running.log());
    assert_eq!(running.stop(), 0);
    bench.expect(&["verify"], 0);
}

#[test]
fn a_lost_ledger_is_no_loss_of_the_store() {
    let influx = FakeInflux::start().expect("a free port");
    let bench = on(&influx, &lines(0, 100));
    std::fs::remove_dir_all(bench.path("state")).expect("removed");
    bench.expect(&["--once"], 0);
    bench.expect(&["--once"], 0);
    assert_eq!(influx.count("api_requests"), 100);
    influx.wait_until(PATIENCE, |counts| counts.changed_points == 0).expect("the same points");
}
