//! The status socket in STATE_DIR: whoever connects is told the status as one JSON object. No commands come in here.

use std::io;
use std::path::{Path, PathBuf};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;

/// Name of the socket in STATE_DIR.
pub const SOCKET_FILE: &str = "processor.sock";

/// Where the socket of a processor is.
pub fn path(state_dir: &Path) -> PathBuf {
    state_dir.join(SOCKET_FILE)
}

/// Opens the socket. Only the owner of the ledger does, so a file that is there is a left-over.
pub fn listen(state_dir: &Path) -> io::Result<UnixListener> {
    let path = path(state_dir);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    UnixListener::bind(path)
}

/// Answers until the program stops.
pub async fn serve(listener: UnixListener, stop: CancellationToken, status: impl Fn() -> String) {
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((mut stream, _)) => {
                let asked = stream.write_all(status().as_bytes()).await;
                if let Err(error) = asked {
                    tracing::debug!(%error, "the asker of the status has gone");
                }
            }
            Err(error) => {
                tracing::warn!(%error, "status socket");
                tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            }
        }
    }
}

/// Asks the processor that runs on this STATE_DIR; `None` when none does.
pub async fn ask(state_dir: &Path) -> Option<String> {
    let mut stream = UnixStream::connect(path(state_dir)).await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    (!answer.is_empty()).then_some(answer)
}
