//! The campaign: one seeded run after the other in which everything that can go wrong goes wrong at once, to the real programs. Two logs of a writer of the test, rotated by Debian's
//! logrotate in one of its many ways, and one of the generator, which rotates by itself; lines whole, in pieces, repeated, bad; truncation in place; the processor killed, frozen, stopped
//! across several rotations; the store losing, withholding, refusing. In the end every line counts once: in the account, in the store, to the microsecond; and `verify` agrees.
//!
//! A seed decides what happens and in which order; when it happens is the machine's affair, so that a seed that failed once may have to be run some times to fail again.

mod judgement;
mod log;
mod misbehaviour;
mod run;

use std::time::Instant;

use system_tests::groups::{Group, heavy, left_out, long, scaled};
use system_tests::{grouped, tell};

use crate::both::{Store, on_both_stores};
use run::{Run, Tally};

on_both_stores!(x1_every_line_counts_once_whatever_happens);

fn x1_every_line_counts_once_whatever_happens(store: Store) {
    if left_out(Group::Logrotate) {
        return;
    }
    let _turn = heavy();
    let first = scaled("SYSTEM_TESTS_CAMPAIGN_FROM", 1, 1);
    let seeds = scaled("SYSTEM_TESTS_CAMPAIGN_SEEDS", 3, 40);
    let steps = scaled("SYSTEM_TESTS_CAMPAIGN_STEPS", 25, 60);
    let (begun, mut sum) = (Instant::now(), Tally::default());
    for seed in first..first + seeds {
        tell(&format!("{}: seed {seed}", store.name()));
        let tally = Run::new(store, seed, long()).run(steps);
        sum.add(&tally);
    }
    tell(&format!(
        "{}: {seeds} seeds in {:.0?}: {} lines ({} rejected, {} of them by the store), {} kills ({} with acknowledgements withheld), \
         {} rotations by logrotate, {} truncations, {} requests sent again; all figures exact",
        store.name(),
        begun.elapsed(),
        grouped(sum.lines),
        grouped(sum.rejected),
        grouped(sum.refused),
        sum.kills,
        sum.withheld,
        sum.rotations,
        sum.truncations,
        grouped(sum.repeated),
    ));
    assert!(sum.kills >= seeds && sum.rotations >= seeds, "that was no campaign");
    assert!(
        store == Store::Embedded || sum.withheld * 3 >= sum.kills,
        "too few acknowledgements were withheld"
    );
}
