//! The lock that keeps a second processor away from a ledger: `STATE_DIR/processor.lock`, with the owner's pid inside. The system lets
//! go of it whatever way the process ends, so there is nothing to clean up after a crash.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::Path;
use std::time::Duration;

use super::LedgerError;

/// Name of the lock's file in STATE_DIR.
const LOCK_FILE: &str = "processor.lock";
/// How often and how far apart a holder's pid is looked for: it is written right after the lock was taken.
const PID_LOOKS: u32 = 50;
const PID_LOOK_PAUSE: Duration = Duration::from_millis(2);

/// Held for as long as this value lives.
#[derive(Debug)]
pub(super) struct ProcessorLock {
    _file: File,
}

impl ProcessorLock {
    /// Takes the lock at once, or tells who has it.
    pub(super) fn take(state_dir: &Path) -> Result<Self, LedgerError> {
        let path = state_dir.join(LOCK_FILE);
        let unavailable =
            |error: io::Error| LedgerError::Unavailable { path: path.clone(), why: error.to_string() };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(unavailable)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(LedgerError::InUse { pid: holder(&mut file).map_err(unavailable)?, path });
            }
            Err(TryLockError::Error(error)) => return Err(unavailable(error)),
        }
        file.set_len(0).map_err(unavailable)?;
        writeln!(file, "{}", std::process::id()).map_err(unavailable)?;
        Ok(Self { _file: file })
    }
}

/// The pid in a lock file that somebody else holds; 0 if it never appears.
fn holder(file: &mut File) -> io::Result<u32> {
    for _ in 0..PID_LOOKS {
        let mut text = String::new();
        file.rewind()?;
        file.read_to_string(&mut text)?;
        if let Some(Ok(pid)) = text.strip_suffix('\n').map(str::parse) {
            return Ok(pid);
        }
        std::thread::sleep(PID_LOOK_PAUSE);
    }
    Ok(0)
}
