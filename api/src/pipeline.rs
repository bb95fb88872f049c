//! The processor beside this api, whose STATE_DIR is known: its status socket is asked how it is doing, with a deadline, and its ledger keeps the lines that it
//! rejected. Knows the status' form, nothing of how it is made.

use std::path::{Path, PathBuf};
use std::time::Duration;

use store::RejectedLines;
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;

/// The socket's name in STATE_DIR.
const SOCKET_FILE: &str = "processor.sock";
/// It tells what it counts anyway, so it answers at once or not at all.
const DEADLINE: Duration = Duration::from_secs(2);
/// A status names every followed file; more than any real one.
const STATUS_MAX_BYTES: u64 = 16 << 20;

/// Where the processor would be.
#[derive(Clone, Debug)]
pub(crate) struct Processor {
    socket: PathBuf,
    rejected: RejectedLines,
}

impl Processor {
    pub(crate) fn of(state_dir: &Path) -> Self {
        Self { socket: state_dir.join(SOCKET_FILE), rejected: RejectedLines::new(state_dir) }
    }

    /// The lines that it rejected, whether it runs or not.
    pub(crate) fn rejected_lines(&self) -> &RejectedLines {
        &self.rejected
    }

    /// Its status as it writes it; None when none runs there, or none that may be asked.
    pub(crate) async fn status(&self) -> Option<String> {
        let ask = async {
            let stream = UnixStream::connect(&self.socket).await.ok()?;
            let mut status = String::new();
            stream.take(STATUS_MAX_BYTES).read_to_string(&mut status).await.ok()?;
            Some(status)
        };
        tokio::time::timeout(DEADLINE, ask).await.ok().flatten()
    }
}
