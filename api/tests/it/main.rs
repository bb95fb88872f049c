//! The api by its router with a store in memory, and by its real binary with a real ledger.

#![allow(missing_docs, reason = "tests")]

mod ask;
mod beforehand;
mod binary;
mod caching;
mod conditional;
mod connections;
mod customers;
mod dashboard;
mod docs;
mod failures;
mod fake;
mod guide;
mod ids;
mod keys;
mod ledger;
mod operation;
mod original;
mod pipeline;
mod program;
mod rejects;
mod statistics;
mod v1;
mod v1_live;
