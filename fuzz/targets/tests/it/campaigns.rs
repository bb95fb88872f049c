//! One campaign for each target. FUZZ_SEED and FUZZ_MUTATIONS change what is tried.

use std::path::Path;

use fuzz_targets::campaign::Plan;
use fuzz_targets::{corpus, target};

/// For each target: seconds in all.
const MUTATIONS: u64 = 200_000;
/// Fixed, so that a change is judged by what it changes. Longer campaigns take other seeds.
const SEED: u64 = 20_240_914;

fn variable(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok().filter(|text| !text.is_empty())?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text}: expected a whole number")))
}

#[track_caller]
fn holds(name: &str, mutations: u64) {
    let corpus = corpus::read(name).unwrap_or_else(|error| panic!("fuzz/corpus/{name}: {error}"));
    assert!(!corpus.is_empty(), "fuzz/corpus/{name} is empty");
    let plan = Plan {
        target: target(name).expect("a target of that name"),
        corpus: &corpus,
        seed: variable("FUZZ_SEED").unwrap_or(SEED),
        mutations: variable("FUZZ_MUTATIONS").unwrap_or(mutations),
        found: Path::new(concat!(env!("CARGO_TARGET_TMPDIR"), "/fuzz-found")),
    };
    if let Err(failure) = plan.run() {
        panic!("{failure}");
    }
}

macro_rules! campaigns {
    ($($name:ident: $mutations:expr,)*) => {
        $(#[test]
        fn $name() {
            holds(stringify!($name), $mutations);
        })*

        /// The targets that have a campaign here.
        pub(crate) const CAMPAIGNS: &[&str] = &[$(stringify!($name)),*];
    };
}

campaigns! {
    line: MUTATIONS,
    accounted: MUTATIONS,
    accounted_long: 2_000, // megabytes each; the same with smaller bounds:
    accounted_bounds: MUTATIONS,
    gzip: MUTATIONS,
    gzip_spoiled: MUTATIONS,
    env_file: MUTATIONS,
    settings: MUTATIONS,
    log_file_path: MUTATIONS,
    csv: MUTATIONS,
    cell: MUTATIONS,
    histogram: MUTATIONS,
}
