//! What only a real InfluxDB can show: its answers to bad writes, its client library beside ours, https, what its engine was given to do.

mod client;
mod faults;
mod prepare;
mod questions;
mod tls;
