//! Where requests and statistics are kept: InfluxDB 2 (`influx`) and the embedded store, which is the ledger (`embedded`), behind two small
//! traits: [`RequestStore`] takes requests (the processor's side), [`StatsStore`] answers (the api's side).
//!
//! Nothing here reads log files, knows HTTP routes of ours, or waits: one call is one attempt, patience is the caller's (I4).

pub mod embedded;
pub mod influx;
mod key;
mod questions;
mod read;
mod write;

// Whichever store the requests are in, the rejected lines are the ledger's.
pub use embedded::{KeptReject, RejectedLines};
pub use key::{KeyStart, point_time_nanos};
pub use questions::{
    Cells, CellsQuery, PATH_REQUESTS_MAX, PATHS_MAX, Paths, PathsQuery, RawRow, RequestFilter, RequestPlace,
    RequestsPage, RequestsQuery, Table, TableQuery, TableRow, Whole, WholeQuery,
};
pub use read::{
    CustomerRow, CustomersPage, CustomersQuery, DataVersion, DayStats, Freshness, Method, ReadError, Stats,
    StatsQuery, StatsStore,
};
pub use write::{
    AcknowledgedRequest, Owner, PlacedRequest, RequestStore, Statistics, StatisticsCell, StoredGeneration,
    Trouble,
};
