//! What the processor costs, and the floor beside it: every row of the table is a process of its own, measured from outside, and refuses to give a figure when a line is
//! missing or was counted twice. What the figures mean is said in docs/PERFORMANCE.md.

pub mod answers;
mod asked;
pub mod cells;
pub mod disk;
pub mod influx;
pub mod input;
pub mod live;
pub mod loader;
pub mod made;
pub mod measure;
pub mod peers;
pub mod program;
pub mod prototype;
pub mod rows;
pub mod run;
pub mod shipped;
pub mod sink;
pub mod sizes;
pub mod sqlite;
pub mod stages;
pub mod table;

use std::process::ExitCode;

/// Counts the allocations of this process so far, where somebody counts them.
pub type Allocations = fn() -> Option<u64>;

/// The program: the whole bench, or (for itself) one measured piece of it.
pub fn main(allocations: Allocations) -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.first().map(String::as_str) {
        Some("measure") => measure::measure_one(&arguments[1..]),
        Some("row") => rows::row(&arguments[1..], allocations),
        Some("processor") => return program::processor(&arguments[1..], allocations),
        _ => run::run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            table::complain(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
