//! Every target over its corpus and a number of mutations; and the fuzzer itself, which must be able to fail.

mod campaigns;
mod fuzzer;
mod wrapper;
