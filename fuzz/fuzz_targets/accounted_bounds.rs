//! The target `accounted_bounds` for cargo-fuzz.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz_targets::run("accounted_bounds", bytes));
