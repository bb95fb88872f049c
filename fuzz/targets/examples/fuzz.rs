//! A longer campaign on stable Rust, or one input again.
//!
//!     cargo run -p fuzz-targets --example fuzz -- line --mutations 50000000 --seed 7
//!     cargo run -p fuzz-targets --example fuzz -- line --input fuzz/found/line-0123abcd
//!     cargo run -p fuzz-targets --example fuzz -- all --mutations 1000000

use std::process::ExitCode;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use fuzz_targets::campaign::Plan;
use fuzz_targets::{TARGETS, Target, corpus, target};

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for people")]
fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let value = |name: &str| {
        args.iter().position(|arg| arg == name).and_then(|at| args.get(at + 1)).map(String::as_str)
    };
    let number = |name: &str| -> Option<u64> { value(name).and_then(|text| text.parse().ok()) };
    let named = args.first().map_or("", String::as_str);
    let targets: Vec<Target> =
        if named == "all" { TARGETS.to_vec() } else { target(named).into_iter().collect() };
    if targets.is_empty() {
        let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
        eprintln!(
            "expected `all` or one of {}, then --mutations N, --seed N or --input FILE",
            names.join(", ")
        );
        return ExitCode::from(2);
    }
    if let Some(file) = value("--input") {
        let input = match std::fs::read(file) {
            Ok(input) => input,
            Err(error) => {
                eprintln!("{file}: {error}");
                return ExitCode::from(2);
            }
        };
        // A panic ends the program with its words and, with RUST_BACKTRACE=1, its way.
        targets.iter().for_each(|target| (target.run)(&input));
        println!("{file}: holds");
        return ExitCode::SUCCESS;
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let seed = number("--seed").unwrap_or(now);
    let mutations = number("--mutations").unwrap_or(1_000_000);
    for target in targets {
        let kept = match corpus::read(target.name) {
            Ok(kept) => kept,
            Err(error) => {
                eprintln!("fuzz/corpus/{}: {error}", target.name);
                return ExitCode::from(2);
            }
        };
        let found = corpus::fuzz_folder().join("found");
        let begun = Instant::now();
        if let Err(failure) = (Plan { target, corpus: &kept, seed, mutations, found: &found }).run() {
            eprintln!("{failure}");
            return ExitCode::FAILURE;
        }
        let seconds = begun.elapsed().as_secs_f64();
        println!("{}: seed {seed}, {mutations} mutations in {seconds:.1} s: holds", target.name);
    }
    ExitCode::SUCCESS
}
