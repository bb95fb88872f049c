//! The prover: the real tail, batcher, workers, frontier and bookkeeper in a made-up world (files, clock, store, ledger), where a seed decides what happens between any two
//! steps: writing, rotation, truncation, compression, trouble of the store, the processor's death. An oracle that knows the world and not the processor judges (B2, B7).
//!
//! What the promise does not cover, and the oracle therefore allows (each is a flag of `oracle::Line`, or left out in `plan`):
//! - what is written between copy and truncation (copytruncate), and what a rotation or truncation takes away before a look has seen it;
//! - lines in flight when the processor dies and their file is gone before it starts again: they may be stored and not counted, and their bytes count as lost as far as they were known;
//! - a line that a rotation cuts in two, and one whose writer was silent for ten seconds in the middle of it after its file was renamed;
//! - logs of which every file begins with the same line: a restart between the first and the next settled line, truncation in place, and a compressed file of equal length;
//! - files without any valid line: known by their number only, so that rejects may be counted twice after copying or compressing;
//! - START_AT=end: a file of which nothing was handed on is known by its number only after a restart; START_AT is decided anew when the processor dies before its first commit;
//! - a copy that stands still for ten seconds without a valid line in it; a copy whose original was truncated and then removed.
//!
//! Of the first 92,000 seeds three were open before holes came into the plan, each at one of these limits (a look called complete 2 ms early, a log replaced meanwhile; a line taken after silence; a log
//! truncated after a copy, before its first valid line was read: its copy was read as a file of its own, and compressed at once). A seed runs another way when the code asks for other steps.
//!
//! `PROVER_SEED=n cargo test -p log-processor prover::one_seed -- --nocapture` shows one run step by step; `PROVER_SEEDS=n` makes the campaign longer.

mod broken;
mod chance;
mod disk;
mod drive;
mod files;
mod ledger;
mod oracle;
mod plan;
mod ports;
mod rooms;
mod script;
mod store;
mod tests;
mod verdict;
mod world;
mod writing;
