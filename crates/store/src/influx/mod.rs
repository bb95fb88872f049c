//! InfluxDB 2: the only place that knows its HTTP, line protocol and Flux. Nothing about files.
//!
//! The hot paths (write, query) are a client of our own over `reqwest`: raw bytes, compression, `Retry-After`, the base path kept, answers read as they arrive.
//! `influxdb2`, the client library, does what comes before: health, set-up, the bucket.

mod config;
mod csv;
mod days;
mod flux;
mod heartbeats;
mod http;
mod line_protocol;
mod prepare;
mod query;
mod questions;
mod raw_reader;
mod read;
mod recount;
mod registry;
mod schema;
mod stored;
mod trouble;
mod write;

#[cfg(any(test, feature = "fake"))]
pub mod fake;
#[cfg(feature = "fake")]
pub mod testing;

pub use config::{ConfigError, Gzip, InfluxConfig, InfluxUrl, Onboarding, Token};
#[cfg(feature = "fake")]
pub use csv::{OwnedRow, answer_rows};
pub use read::InfluxStats;
pub use recount::{CellsOfCustomers, CountedCell, CountedWindows};
pub use stored::{RequestField, StoredField};
pub use write::InfluxRequests;
