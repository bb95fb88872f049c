//! The whole system on real parts, and the fences. Which tests run, and what they need, is in tests/README.md.

mod bad_input;
mod both;
mod bounds;
mod browser;
mod bucket_conflict;
mod campaign;
mod containers;
mod crowd;
mod demo;
mod disk_trouble;
mod files;
mod identical_lines;
mod kill9;
mod original;
mod outage;
mod questions;
mod rebuild;
mod retention;
mod rotation_storm;
mod second_instance;
mod stats_million;
mod tidy;
mod torn_writes;
mod verify;
mod wiped;
