//! Everything of ours that reads bytes from outside, each as a plain `fn(&[u8])` that must hold for any bytes, and a fuzzer that runs them on stable Rust (`campaign`, `mutate`).
//! The targets use the programs' code only through what it offers to everybody; nothing of the product is decided here.

pub mod accounted;
pub mod campaign;
pub mod cell;
pub mod corpus;
pub mod csv;
pub mod gzip;
pub mod line;
pub mod mutate;
#[path = "../../../crates/logline/tests/it/plain.rs"]
mod plain;
pub mod settings;

/// One thing to fuzz.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name: that of its corpus's folder, and of the program that cargo-fuzz builds.
    pub name: &'static str,
    /// Panics when something that must hold does not.
    pub run: fn(&[u8]),
    /// Pieces that mean something to it, for the mutator.
    pub tokens: &'static [&'static [u8]],
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target { name: "line", run: line::line, tokens: line::TOKENS },
    Target { name: "accounted", run: accounted::accounted, tokens: accounted::TOKENS },
    Target { name: "accounted_long", run: accounted::accounted_long, tokens: accounted::TOKENS },
    Target { name: "accounted_bounds", run: accounted::accounted_bounds, tokens: accounted::TOKENS },
    Target { name: "gzip", run: gzip::gzip, tokens: gzip::TOKENS },
    Target { name: "gzip_spoiled", run: gzip::gzip_spoiled, tokens: line::TOKENS },
    Target { name: "env_file", run: settings::env_file, tokens: settings::TOKENS },
    Target { name: "settings", run: settings::settings, tokens: settings::TOKENS },
    Target { name: "log_file_path", run: settings::log_file_path, tokens: settings::PATH_TOKENS },
    Target { name: "csv", run: csv::csv, tokens: csv::TOKENS },
    Target { name: "cell", run: cell::cell, tokens: cell::TOKENS },
    Target { name: "histogram", run: cell::histogram, tokens: cell::TOKENS },
];

/// The target of that name.
pub fn target(name: &str) -> Option<Target> {
    TARGETS.iter().copied().find(|target| target.name == name)
}

/// Runs the target of that name: what the programs for cargo-fuzz do.
pub fn run(name: &str, bytes: &[u8]) {
    let target = target(name).unwrap_or_else(|| panic!("there is no target {name}"));
    (target.run)(bytes);
}
