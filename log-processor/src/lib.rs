//! The rooms of log-processor: how lines of followed log files become stored requests, exactly once. `pipeline` shows the way of a line.
//!
//! A library so that the rooms can be tested from outside; the program in `main` is its only user.

pub mod account;
pub mod again;
pub mod arrivals;
pub mod batch;
pub mod bookkeeper;
pub mod checkup;
pub mod claim;
pub mod commands;
pub mod companions;
pub mod counters;
pub mod delivery;
pub mod doubt;
pub mod ending;
pub mod frontier;
pub mod health;
pub mod last_words;
pub mod ledger_port;
pub mod lines;
pub mod memory;
mod mutation;
pub mod ownership;
pub mod patience;
pub mod pipeline;
#[cfg(test)]
mod prover;
pub mod publication;
pub mod publisher;
pub mod readback;
pub mod reading;
pub mod rebuild;
pub mod replay;
pub mod report;
pub mod retry;
pub mod running;
pub mod server;
pub mod settings;
mod shared;
pub mod socket;
pub mod sources;
pub mod span;
pub mod statements;
pub mod tail;
pub mod to_ledger;
pub mod trail;
pub mod verify;
pub mod wake;
pub mod worker;
