//! The arithmetic: cells and their one codec, the latency histogram, quantiles, windows, the figures people see.
//!
//! Pure: no async, no I/O, no clock. Everything is whole numbers until the last rounding, so that two stores that count
//! the same requests give the same answer to the last digit.

mod bucket;
mod cell;
mod codec;
mod figures;
mod histogram;
mod measures;
mod minutes;
mod outcomes;
mod percentile;
mod quantile;
mod stretches;
mod window;

pub use bucket::{bucket_of, bucket_value};
pub use cell::{Cell, CodecError};
pub use figures::{Figures, Summary, percent};
pub use histogram::Histogram;
pub use measures::Measures;
pub use minutes::Minutes;
pub use outcomes::{Counter, Outcome};
pub use percentile::Percentile;
pub use quantile::quantile_nanos_of_sorted;
pub use stretches::{NotKept, WindowsKept, tile_stretches};
pub use window::{SECONDS_PER_DAY, TimeRange, Window, WindowKind, day_of, first_kept_second};
