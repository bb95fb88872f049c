//! How a program of ours starts and stops: its settings, its telemetry, its stop signal.
//!
//! Nothing here knows about logs, stores or HTTP. `std::env` is read in this crate and nowhere else (S1).

pub mod settings;
pub mod stop;
pub mod telemetry;

pub use settings::{Exit, Fault, Inputs, Kind, Loaded, Program, Reader, Setting};
pub use stop::{Ended, Late, Stop, Tasks};
pub use telemetry::{LOG_FORMAT_JSON, LOGGING_LEVEL, Telemetry};
