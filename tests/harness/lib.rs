//! Harness of the whole-system tests: the real programs in a fresh folder, a real InfluxDB, a proxy that misbehaves on purpose, containers, and a
//! recount of the log that owes nothing to the programs. No test lives here, and nothing of the programs' own code is used: what both sides
//! shared could be wrong on both sides.

pub mod compose;
pub mod dice;
pub mod groups;
pub mod http;
pub mod influx;
pub mod logrotate;
pub mod mount;
pub mod program;
pub mod proxy;
pub mod recount;
pub mod refusals;
pub mod stack;
pub mod traffic;
pub mod wait;

use std::io::Write as _;
use std::path::{Path, PathBuf};

/// The folder of the workspace.
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package lies in the workspace").to_owned()
}

/// Says something about a test that passes, too: figures, and what was left out. Goes past the test runner, which shows only what failed.
pub fn tell(what: &str) {
    // Nobody who reads it is no fault of the test.
    drop(writeln!(std::io::stderr(), "    {what}"));
}

/// A whole number as people read it: `1,000,000`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
