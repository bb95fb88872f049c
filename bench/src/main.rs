//! bench: the table of figures; the work is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    bench::main(|| None)
}
