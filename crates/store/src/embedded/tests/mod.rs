//! Tests of the embedded store, against a plain recount that keeps every request.

mod crash;
mod damage;
mod flips;
mod ledger;
mod raw_kept;
mod reader;
mod rebuild;
mod recount;
mod retention;
mod support;
mod tables;
mod unpublished;
mod whole;
