//! Waiting for a condition, with a deadline. Never for a time.

use std::time::{Duration, Instant};

/// How long something that takes moments may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// How far apart the looks are.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Waits until a check gives something. Its last complaint is shown when it never does.
pub fn eventually<T>(deadline: Duration, what: &str, mut check: impl FnMut() -> Result<T, String>) -> T {
    let begun = Instant::now();
    loop {
        match check() {
            Ok(value) => return value,
            Err(complaint) if begun.elapsed() > deadline => {
                panic!("not within {deadline:?}: {what}\n{complaint}")
            }
            Err(_) => std::thread::sleep(LOOK_AGAIN),
        }
    }
}

/// For checks: `Ok` when it holds, else the complaint.
pub fn holds(condition: bool, complaint: impl FnOnce() -> String) -> Result<(), String> {
    if condition { Ok(()) } else { Err(complaint()) }
}
