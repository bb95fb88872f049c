//! The status socket in STATE_DIR: whoever connects is told the status as one JSON object. No commands come in here.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;

/// Name of the socket in STATE_DIR.
pub const SOCKET_FILE: &str = "processor.sock";

/// An asker that takes no answer for that long is left alone: the others wait behind it.
const GIVE_UP_ASKER: Duration = Duration::from_secs(5);
/// A processor that is there answers within that.
const ANSWER_DEADLINE: Duration = Duration::from_secs(10);

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
                let answer = status();
                match tokio::time::timeout(GIVE_UP_ASKER, stream.write_all(answer.as_bytes())).await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => tracing::debug!(%error, "the asker of the status has gone"),
                    Err(_) => tracing::debug!("the asker of the status does not read it"),
                }
            }
            Err(error) => {
                tracing::warn!(%error, "status socket");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

/// Asks the processor that runs on this STATE_DIR; `None` when none does. An error when one is there and does not answer, as when it has no file descriptors left.
pub async fn ask(state_dir: &Path) -> io::Result<Option<String>> {
    let asked = async {
        let mut stream = UnixStream::connect(path(state_dir)).await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        (!answer.is_empty()).then_some(answer)
    };
    tokio::time::timeout(ANSWER_DEADLINE, asked).await.map_err(|_| {
        let why = format!(
            "the processor that runs here does not answer within {ANSWER_DEADLINE:?}: its log tells why"
        );
        io::Error::new(io::ErrorKind::TimedOut, why)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_processor_that_accepts_nothing_is_not_waited_for() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        assert_eq!(ask(folder.path()).await.expect("nobody is there"), None);
        let _listens = listen(folder.path()).expect("a socket");
        let error = ask(folder.path()).await.expect_err("nobody accepts");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn an_asker_that_does_not_read_keeps_nobody_waiting() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (listener, stop) = (listen(folder.path()).expect("a socket"), CancellationToken::new());
        let long = "x".repeat(16 << 20);
        let serving = tokio::spawn(serve(listener, stop.clone(), move || long.clone()));
        let stuck = UnixStream::connect(path(folder.path())).await.expect("it listens");
        stuck.readable().await.expect("it answers");
        let answer = ask(folder.path()).await.expect("in time").expect("it runs");
        assert_eq!(answer.len(), 16 << 20);
        stop.cancel();
        serving.await.expect("no panic");
        drop(stuck);
    }
}
