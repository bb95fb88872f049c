//! The real binary against files, the embedded store, and a stand-in for InfluxDB that refuses, stalls, cuts and lies.

mod files;
mod globs;
mod harness;
mod once;
mod proxy;
mod readback;
mod replay;
mod rotation;
mod signals;
mod statistics;
mod stop;
mod store_faults;
mod verify;
mod watching;
mod wiped;
