//! The fences: what style and architecture ask for and a machine can check. No program of ours is judged here, only its source and its papers.
//!
//! Every check is a function from text to complaints, and has a test that shows it complaining about a made-up bad example. What to do about a complaint stands
//! in its own words. `TIDY_UPDATE=1` lets the checks of generated text write that text instead of complaining.

mod arrows;
mod files;
mod map;
mod proofs;
mod settings;
mod sources;

/// Fails with all complaints at once.
#[track_caller]
fn expect_none(complaints: Vec<String>) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

/// Fails unless the checker complained, once, in words that contain these.
#[track_caller]
fn expect_one(complaints: &[String], words: &str) {
    assert!(
        complaints.len() == 1 && complaints[0].contains(words),
        "expected one complaint with `{words}`: {complaints:#?}"
    );
}
