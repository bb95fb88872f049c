//! Settings: one declared list per program, merged from command line, environment, `.env.local`, `tailgauge.toml` and
//! the default, in that order. All faults are reported at once. What a setting means stays with the program that declares it.
//!
//! ```no_run
//! use service::{Kind, Program, Setting};
//!
//! static PROGRAM: Program = Program {
//!     name: "demo",
//!     about: "Shows how settings are declared and read",
//!     version: env!("CARGO_PKG_VERSION"),
//!     settings: &[
//!         Setting::new("WORKERS", Kind::Whole { min: 1, max: 64 }, "worker tasks").default("4"),
//!         service::LOGGING_LEVEL,
//!         service::LOG_FORMAT_JSON,
//!     ],
//!     examples: &[("demo --workers 8", "eight workers")],
//!     exit_codes: &[(0, "done"), (2, "a setting is wrong")],
//! };
//!
//! fn main() -> std::process::ExitCode {
//!     let loaded = match PROGRAM.load() {
//!         Ok(loaded) => loaded,
//!         Err(exit) => return exit.print(), // --help, --version, a flag that does not exist
//!     };
//!     let mut reader = loaded.reader();
//!     let workers = reader.whole("WORKERS");
//!     let telemetry = service::Telemetry::read(&mut reader);
//!     if let Err(exit) = reader.finish() {
//!         return exit.print(); // every fault at once, or --print-config
//!     }
//!     telemetry.init();
//!     loaded.log_warnings();
//!     tracing::info!(workers, "started");
//!     std::process::ExitCode::SUCCESS
//! }
//! ```

mod command_line;
mod declare;
pub mod env_file;
mod form;
mod known;
mod layers;
mod load;
mod read;
mod show;

pub use declare::{Kind, Program, Setting};
pub use known::{CONTAINER_PREFIX, KNOWN};
pub use load::{Exit, Inputs, Loaded};
pub use read::{Fault, Reader};
pub use show::markdown_table;

#[cfg(test)]
mod tests;
