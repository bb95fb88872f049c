//! The campaign over seeds.

use super::drive;
use super::plan::Plan;
use super::script::{Kind, Micro};
use super::world::{Violation, World};
use crate::mutation::{Mutation, wake};

const SEEDS: u64 = 10_000;
/// A bug has so many seeds to show itself.
const SEEDS_FOR_A_MUTATION: u64 = 3_000;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

#[test]
fn x1_every_seed_is_exact() {
    let from = number("PROVER_FROM").unwrap_or(0);
    let seeds = number("PROVER_SEEDS").unwrap_or(SEEDS);
    let mut failed = Vec::new();
    let mut steps = 0;
    for seed in from..from + seeds {
        let report = drive::run(seed, false);
        steps += report.steps;
        if let Some(violation) = report.violation {
            failed.push(format!("PROVER_SEED={seed}: {} {}", violation.invariant, violation.what));
        }
        if failed.len() >= 40 {
            break;
        }
    }
    assert!(failed.is_empty(), "after {steps} steps:\n{}", failed.join("\n"));
    assert!(steps > 100 * seeds, "the runs were too short to prove anything: {steps} steps");
}

#[test]
#[expect(clippy::print_stdout, reason = "it shows a run to a person")]
fn one_seed() {
    let Some(seed) = number("PROVER_SEED") else { return };
    let report = drive::run(seed, true);
    println!("{}", report.trace.join("\n"));
    assert_eq!(report.violation, None);
}

/// Short scripts in which the processor dies at every single step.
fn short_scripts() -> Vec<(&'static str, Vec<Micro>)> {
    const LOG: &str = "/log/a.log";
    let name = |end: &str| format!("{LOG}{end}");
    let rename = |from: &str, to: &str| Micro::Rename(name(from), name(to));
    let copy = |some: u64| Micro::CopySome(name(".1"), some);
    let gzip = [Micro::GzipBegin(name(".1")), Micro::GzipSome(name(".1"), 30), Micro::GzipEnd(name(".1"))];
    let write = Micro::WriteLines;
    vec![
        (
            "renamed, written to late",
            vec![write(3), rename("", ".1"), Micro::Create, write(2), Micro::Reopen, write(3)],
        ),
        (
            "renamed twice",
            vec![
                write(2),
                rename("", ".1"),
                Micro::Reopen,
                write(2),
                rename(".1", ".2"),
                rename("", ".1"),
                Micro::Reopen,
                write(2),
            ],
        ),
        (
            "copied and truncated",
            vec![write(4), Micro::CopyBegin(name(".1")), copy(60), copy(u64::MAX), Micro::Truncate, write(3)],
        ),
        (
            "truncated and filled again",
            vec![write(4), Micro::TruncateRefill, write(2), Micro::Truncate, write(1)],
        ),
        ("removed", vec![write(3), Micro::Unlink(name("")), write(2), Micro::Reopen, write(2)]),
        (
            "compressed",
            [vec![write(3), rename("", ".1"), Micro::Reopen, write(2)], gzip.to_vec(), vec![write(2)]]
                .concat(),
        ),
    ]
}

#[test]
fn k2_whatever_step_the_processor_dies_at_the_next_start_is_right() {
    let mut runs = 0;
    for (name, script) in short_scripts() {
        for (seed, embedded) in [(1, true), (2, false), (3, false)] {
            let begin = || {
                let mut world = drive::world_of(seed, |plan| plan.calm(embedded));
                world.script.fixed = Some(script.clone().into());
                world.script.left = script.len() as u64;
                world
            };
            let steps = drive::run_world(begin(), |_| vec![]).steps;
            for step in 1..steps.min(450) {
                let report = drive::run_world(begin(), |_| vec![step]);
                runs += 1;
                assert_eq!(report.violation, None, "{name}, seed {seed}, dead at step {step}");
            }
        }
    }
    assert!(runs > 2_000, "only {runs} runs");
}

/// A script under many seeds: each lets the processor and the script meet in another way.
fn check_script(script: &[Micro], adjust: impl Fn(&mut Plan)) {
    for seed in 0..400 {
        let mut world = drive::world_of(seed, |plan| {
            plan.calm(seed % 2 == 0);
            adjust(plan);
        });
        world.script.fixed = Some(script.to_vec().into());
        world.script.left = script.len() as u64;
        let lives = |world: &mut World| vec![world.chance.between(1, 300)];
        assert_eq!(drive::run_world(world, lives).violation, None, "seed {seed}");
    }
}

#[test]
fn a_copy_that_is_being_made_is_not_read_beside_its_original() {
    let copy = |some| Micro::CopySome("/log/a.log.1".to_owned(), some);
    let write = Micro::WriteLines;
    let begin = Micro::CopyBegin("/log/a.log.1".to_owned());
    check_script(
        &[
            write(5),
            begin,
            copy(7),
            write(1),
            copy(90),
            write(2),
            copy(u64::MAX),
            write(1),
            Micro::Truncate,
            write(2),
        ],
        |_| (),
    );
}

/// A log of a writer that does not append begins with a hole after copytruncate. One longer than a head made all its generations alike: with a store that took nothing for some lives, the file of one
/// was taken for another's, and one that was there counted as lost.
#[test]
fn files_that_begin_with_the_same_hole_are_told_apart() {
    let violated = || (615..645).find_map(violated_behind_holes);
    assert_eq!(violated(), None);
    wake(Some(Mutation::NulsAreContent));
    let without_the_repair = violated();
    wake(None);
    assert_eq!(without_the_repair.map(|violation| violation.invariant).as_deref(), Some("B3"));
}

fn violated_behind_holes(seed: u64) -> Option<Violation> {
    let world = drive::world_of(seed, |plan| {
        plan.calm(false);
        (plan.appends, plan.hole_bytes, plan.block_bytes) = (false, 70_000, 4096);
        (plan.kinds, plan.gzip_percent) = (vec![Kind::CopyTruncate], 0);
        (plan.actions, plan.act_percent, plan.rotate_percent) = (60, 3, 20);
        (plan.outage_percent, plan.budget_bytes) = (80, 100);
    });
    let lives = |world: &mut World| (0..5).map(|_| world.chance.between(1, 600)).collect();
    drive::run_world(world, lives).violation
}

#[test]
fn a_refill_to_the_same_size_within_one_tick_of_the_files_clock_is_noticed() {
    let refill = Micro::TruncateRefill;
    check_script(
        &[
            Micro::WriteLines(4),
            refill.clone(),
            Micro::Sleep(5000),
            refill.clone(),
            Micro::Sleep(700),
            refill,
        ],
        |plan| plan.grain_nanos = 1_000_000_000,
    );
}

#[test]
fn a_log_that_came_and_was_renamed_between_two_looks_is_found_at_the_next() {
    let rename = |from: &str, to: &str| Micro::Rename(format!("/log/a.log{from}"), format!("/log/a.log{to}"));
    let write = Micro::WriteLines;
    check_script(
        &[
            Micro::Sleep(3000),
            write(2),
            rename("", ".1"),
            Micro::Sleep(3000),
            Micro::Reopen,
            write(2),
            rename(".1", ".2"),
            rename("", ".1"),
            Micro::Reopen,
        ],
        |_| (),
    );
}

#[test]
fn files_that_begin_with_the_same_line_are_told_apart() {
    let rename = |from: &str, to: &str| Micro::Rename(format!("/log/a.log{from}"), format!("/log/a.log{to}"));
    let write = Micro::WriteLines;
    check_script(
        &[
            write(4),
            rename("", ".1"),
            Micro::Reopen,
            write(1),
            write(2),
            rename(".1", ".2"),
            rename("", ".1"),
            Micro::Reopen,
            write(3),
        ],
        |plan| (plan.header, plan.stop_percent) = (true, 100),
    );
}

/// A log whose every file begins with the same line of more than a kilobyte, truncated in place: only the bytes before the place of reading tell.
fn violated_behind_long_lines(seed: u64) -> Option<Violation> {
    let world = drive::world_of(seed, |plan| {
        plan.calm(true);
        (plan.header, plan.header_more_bytes, plan.block_bytes) = (true, 1500, 4096);
        (plan.kinds, plan.lives, plan.gzip_percent) = (vec![Kind::Truncate, Kind::TruncateRefill], 0, 0);
        (plan.actions, plan.act_percent, plan.rotate_percent) = (60, 10, 10);
    });
    drive::run_world(world, |_| vec![]).violation
}

#[test]
fn a_truncation_behind_a_kilobyte_that_stays_as_it_was_is_noticed() {
    assert_eq!((0..200).find_map(violated_behind_long_lines), None);
}

#[test]
fn a_truncation_in_the_middle_of_a_read_is_noticed() {
    assert_eq!((0..100).find_map(violated_in_the_middle_of_a_read), None);
}

/// A log truncated in place all the time, also in the middle of a read.
fn violated_in_the_middle_of_a_read(seed: u64) -> Option<Violation> {
    let world = drive::world_of(seed, |plan| {
        plan.calm(true);
        (plan.kinds, plan.lives, plan.gzip_percent) = (vec![Kind::Truncate, Kind::TruncateRefill], 0, 0);
        (plan.appends, plan.block_bytes) = (!seed.is_multiple_of(3), 4096);
        (plan.actions, plan.act_percent, plan.rotate_percent) = (300, 20, 20);
        plan.slow_read_percent = 70;
    });
    drive::run_world(world, |_| vec![]).violation
}

/// A proxy before the store refuses bad lines in words of its own; in two seeds of three it refuses others too, by chance.
fn violated_behind_a_proxy(seed: u64) -> Option<Violation> {
    let world = drive::world_of(seed, |plan| {
        plan.calm(false);
        (plan.poison_percent, plan.proxy_mood_percent) = (10, Some([0, 30, 100][seed as usize % 3]));
        (plan.actions, plan.act_percent, plan.budget_bytes) = (60, 3, 1 << 16);
    });
    let lives = |world: &mut World| (0..2).map(|_| world.chance.between(1, 2000)).collect();
    drive::run_world(world, lives).violation
}

#[test]
fn x1_no_line_is_rejected_for_a_proxys_mood() {
    assert_eq!((0..300).find_map(violated_behind_a_proxy), None);
}

/// What a seed shows: in the world that it makes, or in a rare one that a bug needs.
fn violated_at(mutation: Mutation, seed: u64) -> Option<Violation> {
    match mutation {
        Mutation::NulsAreContent => violated_behind_holes(seed),
        Mutation::NoCompareBefore => violated_behind_long_lines(seed),
        Mutation::RejectOnOneSighting => violated_behind_a_proxy(seed),
        Mutation::NoCompareAfter => violated_in_the_middle_of_a_read(seed),
        _ => drive::run(seed, false).violation,
    }
}

/// The first seed on which a bug shows, and how.
fn caught_at(mutation: Mutation) -> Option<(u64, Violation)> {
    (0..SEEDS_FOR_A_MUTATION).find_map(|seed| {
        wake(Some(mutation));
        let violation = violated_at(mutation, seed);
        wake(None);
        // What the seed shows without the bug is none of its doing.
        let violation = violation?;
        violated_at(mutation, seed).is_none().then_some((seed, violation))
    })
}

#[test]
#[expect(
    clippy::print_stdout,
    reason = "the table is for people: cargo test -p log-processor prover::tests::every_mutation -- --nocapture"
)]
fn every_mutation_is_caught() {
    let mut survived = Vec::new();
    println!("{:<28} {:>5}  caught by", "mutation", "seed");
    for mutation in Mutation::ALL {
        match caught_at(mutation) {
            Some((seed, Violation { invariant, what })) => {
                println!("{:<28} {seed:>5}  {invariant} {what}", format!("{mutation:?}"));
            }
            None => survived.push(mutation),
        }
    }
    assert!(survived.is_empty(), "nobody noticed {survived:?}");
}
