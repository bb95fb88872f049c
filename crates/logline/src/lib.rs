//! One API request in its forms: a record, the parser of a log line, the renderer of a log line.
//!
//! Pure: no async, no I/O, no clock. Nothing here knows where lines come from or where records go.

mod explain;
mod parse;
mod reason;
mod record;
mod render;
mod zone;

pub use parse::{LineParser, strip_byte_order_mark};
pub use reason::{ParseError, Reason};
pub use record::{
    CUSTOMER_ID_MAX_BYTES, CustomerId, LATENCY_MAX_MICROS, Latency, LogTime, REQUEST_PATH_MAX_BYTES, Record,
    RequestPath, Status,
};
pub use render::render_line;
pub use zone::{Zone, ZoneError};
