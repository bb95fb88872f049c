//! What the generator writes.

use crate::harness::{World, seconds};

/// 2024-09-14 16:15:35.
const START: i64 = 1_726_330_535;

#[test]
fn g1_the_same_seed_and_start_make_the_same_bytes() {
    let bytes = |words: &str| {
        let world = World::new();
        world
            .run(&format!("LOG_START_TIME=2024-09-14T16:15:35Z MAX_LOGS_TO_GENERATE=2500 {words}"))
            .success();
        world.read("log")
    };
    for words in [
        "LOG_INTERVAL_SECONDS=0 LOG_PROFILE=seed",
        "LOG_INTERVAL_SECONDS=0 LOG_PROFILE=realistic",
        "LOG_INTERVAL_SECONDS=0.02",
        "LOG_INTERVAL_SECONDS=0 LOG_BACKFILL_DAYS=2",
    ] {
        let first = bytes(words);
        assert_eq!(seconds(&first).len(), 2500);
        assert!(first == bytes(words), "{words}: the same again");
        assert!(first != bytes(&format!("{words} LOG_SEED=43")), "{words}: another seed");
    }
}

#[test]
fn times_go_on_from_the_given_start_by_the_pace() {
    let world = World::new();
    let start = "LOG_START_TIME=2024-09-14T16:15:35Z MAX_LOGS_TO_GENERATE=50 LOG_BATCH_SIZE=20";
    world.run(&format!("{start} LOG_INTERVAL_SECONDS=0")).success();
    let expected: Vec<i64> = (0..50).map(|line| START + line / 20).collect();
    assert_eq!(seconds(&world.read("log")), expected, "without an interval a batch stands for a second");

    let world = World::new();
    world.run(&format!("{start} LOG_INTERVAL_SECONDS=0.5")).success();
    let expected: Vec<i64> = (0..50).map(|line| START + line / 40).collect();
    assert_eq!(seconds(&world.read("log")), expected);
}

#[test]
fn times_are_now_without_a_given_start() {
    let now = || chrono::Utc::now().timestamp();
    let (world, before) = (World::new(), now());
    world.run("MAX_LOGS_TO_GENERATE=300 LOG_INTERVAL_SECONDS=0.01").success();
    let after = now();
    let seconds = seconds(&world.read("log"));
    assert!(seconds.iter().all(|second| (before..=after).contains(second)) && seconds.is_sorted());
}

#[test]
fn it_stops_after_just_that_many_lines() {
    for (most, words) in [
        (1, "LOG_INTERVAL_SECONDS=0"),
        (777, "LOG_INTERVAL_SECONDS=0 LOG_BATCH_SIZE=10"),
        (250, "LOG_INTERVAL_SECONDS=0.001"),
        (30_000, "LOG_INTERVAL_SECONDS=0 LOG_PROFILE=seed"),
        (5_000, "LOG_BATCH_SIZE=1000000"),
    ] {
        let world = World::new();
        let output =
            world.run(&format!("MAX_LOGS_TO_GENERATE={most} {words}")).success().get_output().clone();
        assert_eq!(seconds(&world.read("log")).len(), most, "{words}");
        assert_eq!(output.stdout, b"");
        let stderr = String::from_utf8(output.stderr).expect("text");
        assert_eq!(stderr.lines().count(), 1, "one summary line: {stderr}");
        assert!(stderr.contains(&format!("wrote {most} lines (")) && stderr.contains(" lines/s"), "{stderr}");
    }
}

#[test]
fn what_is_in_the_log_stays_there() {
    let world = World::new();
    let line = "2024-09-14 16:15:35 cust_5 /api/v1/resource4 200 0.772\n";
    world.write("log", line);
    world.run("MAX_LOGS_TO_GENERATE=100 LOG_INTERVAL_SECONDS=0").success();
    world.run("MAX_LOGS_TO_GENERATE=100 LOG_INTERVAL_SECONDS=0").success();
    let text = world.read("log");
    assert!(text.starts_with(line));
    assert_eq!(seconds(&text).len(), 201);
}

#[test]
fn g2_an_unfinished_line_is_ended_before_ours_begin() {
    let world = World::new();
    world.write("log", "2024-09-14 16:15:35 cust_5 /api/v1/resource4 200 0.7");
    let output = world.run("MAX_LOGS_TO_GENERATE=10 LOG_INTERVAL_SECONDS=0").success().get_output().clone();
    let text = world.read("log");
    assert!(text.starts_with("2024-09-14 16:15:35 cust_5 /api/v1/resource4 200 0.7\n2"), "{text}");
    assert_eq!(seconds(&text).len(), 11);
    assert!(String::from_utf8_lossy(&output.stderr).contains("unfinished line"));
}

#[test]
fn g2_two_writers_never_tear_each_others_lines() {
    let world = World::new();
    let words = "MAX_LOGS_TO_GENERATE=100000 LOG_INTERVAL_SECONDS=0";
    let (first, second) = (world.start(words), world.start(&format!("{words} LOG_SEED=7")));
    assert_eq!((first.end().0, second.end().0), (Some(0), Some(0)));
    assert_eq!(seconds(&world.read("log")).len(), 200_000);
}

#[test]
fn rotation_keeps_every_line_once_and_in_order() {
    let words = "LOG_START_TIME=2024-09-14T16:15:35Z MAX_LOGS_TO_GENERATE=3000 LOG_INTERVAL_SECONDS=0";
    let plain = World::new();
    plain.run(words).success();
    let world = World::new();
    world.run(&format!("{words} LOG_ROTATE_BYTES=10000")).success();

    let count = world.names().len();
    let names: Vec<String> =
        (1..count).rev().map(|number| format!("log.{number}")).chain(["log".to_owned()]).collect();
    let texts: Vec<String> = names.iter().map(|name| world.read(name)).collect();
    assert!(texts.concat() == plain.read("log"), "all lines once, in order");
    for (name, text) in names.iter().zip(&texts) {
        assert!(
            text.len() <= 10_000 && (text.len() > 9_900 || name == "log"),
            "{name}: {} bytes",
            text.len()
        );
    }

    // Started again, it goes on in the same log and renames what is there.
    world.run(&format!("{words} LOG_ROTATE_BYTES=10000")).success();
    let again: String =
        (1..world.names().len()).rev().map(|number| world.read(&format!("log.{number}"))).collect();
    assert!((again + &world.read("log")) == plain.read("log").repeat(2), "all lines of both runs");
}

#[test]
fn history_comes_first_in_time_order() {
    let world = World::new();
    world
        .run("LOG_START_TIME=2024-09-14T16:15:35Z LOG_BACKFILL_DAYS=7 MAX_LOGS_TO_GENERATE=140500 LOG_INTERVAL_SECONDS=0")
        .success();
    let seconds = seconds(&world.read("log"));
    assert_eq!(seconds.len(), 140_500);
    assert!(seconds.is_sorted(), "in time order");
    let week = 7 * 86_400;
    assert!((START - week - 60..START - week + 3600).contains(&seconds[0]), "{}", seconds[0]);
    assert!(seconds[139_999] < START && seconds[139_999] > START - 600, "{}", seconds[139_999]);
    assert_eq!(seconds[140_000..], (0..500).map(|line| START + line / 100).collect::<Vec<_>>());
}

#[test]
fn history_is_thinned_to_the_lines_allowed() {
    let world = World::new();
    world.run("LOG_START_TIME=2024-09-14T16:15:35Z LOG_BACKFILL_DAYS=30 MAX_LOGS_TO_GENERATE=1000").success();
    let seconds = seconds(&world.read("log"));
    assert_eq!(seconds.len(), 1000);
    assert!(seconds[0] < START - 29 * 86_400 && seconds[999] > START - 86_400 && seconds[999] < START);
}

#[test]
fn a_log_with_lines_gets_no_history() {
    let world = World::new();
    world.run("MAX_LOGS_TO_GENERATE=10").success();
    world.run("MAX_LOGS_TO_GENERATE=10 LOG_BACKFILL_DAYS=7").success();
    let seconds = seconds(&world.read("log"));
    assert_eq!(seconds.len(), 20);
    assert!(seconds[19] - seconds[0] < 3600, "no history behind newer lines");
}
