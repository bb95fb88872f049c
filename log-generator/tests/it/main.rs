//! Tests of the real log-generator: what a user or a script sees of it.

mod harness;

mod lines; // What it writes: the same bytes again, whole lines, history, rotation.
mod manners; // How it behaves: rate, signals, exit codes, help, faults.
