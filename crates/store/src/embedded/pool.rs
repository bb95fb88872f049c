//! Read-only connections to the ledger, a few at a time, kept open between answers. Knows nothing of what is asked.

use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::fault::Fault;
use super::schema::{self, Found, SCHEMA_VERSION};
use crate::ReadError;

/// So many answers are made at the same time; more wait.
const CONNECTIONS_MAX: usize = 4;
/// SQLite's page cache of one connection.
const CACHE_KIB: u32 = 4_096;

/// Which file a connection has open: a ledger that was replaced has another inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileId {
    device: u64,
    inode: u64,
}

#[derive(Debug)]
struct Opened {
    connection: Connection,
    file: FileId,
}

/// The connections of one ledger.
#[derive(Debug)]
pub(super) struct Pool {
    path: PathBuf,
    idle: Mutex<Vec<Opened>>,
    permits: Semaphore,
}

impl Pool {
    /// Opens nothing yet.
    pub(super) fn new(path: PathBuf) -> Arc<Self> {
        Arc::new(Self { path, idle: Mutex::new(Vec::new()), permits: Semaphore::new(CONNECTIONS_MAX) })
    }

    /// The ledger's file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes an answer from one consistent state of the ledger, on a thread that may block.
    pub(super) async fn answer<T: Send + 'static>(
        self: &Arc<Self>,
        make: impl FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, ReadError> {
        let _permit = self.permits.acquire().await.expect("the semaphore is never closed");
        let pool = Arc::clone(self);
        let answer = tokio::task::spawn_blocking(move || pool.answer_blocking(make));
        match answer.await {
            Ok(answer) => answer,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => Err(ReadError::Away { why: "the program is stopping".to_owned(), retry_after: None }),
        }
    }

    fn answer_blocking<T>(&self, make: impl FnOnce(&Connection) -> Result<T, Fault>) -> Result<T, ReadError> {
        let opened = self.take()?;
        let in_snapshot = || -> Result<Result<T, Fault>, ReadError> {
            // Deferred: the first statement takes the snapshot, and dropping ends it. Nothing is ever written.
            let snapshot =
                opened.connection.unchecked_transaction().map_err(|error| self.read_error(error.into()))?;
            self.check_schema(&snapshot)?;
            Ok(make(&snapshot))
        };
        let answer = in_snapshot()?.map_err(|fault| self.read_error(fault))?;
        // A connection that made an error is closed instead.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(opened);
        Ok(answer)
    }

    fn read_error(&self, fault: Fault) -> ReadError {
        fault.into_read_error(&self.path)
    }

    fn take(&self) -> Result<Opened, ReadError> {
        // Looked at before opening: if the file is replaced in between, the next look notices.
        let file = self.look()?;
        let idle = {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            idle.retain(|opened| opened.file == file);
            idle.pop()
        };
        match idle {
            Some(opened) => Ok(opened),
            None => {
                let connection = schema::refuse_emptied(&self.path)
                    .and_then(|()| schema::open_for_reading(&self.path, CACHE_KIB))
                    .map_err(|fault| self.read_error(fault))?;
                Ok(Opened { connection, file })
            }
        }
    }

    fn look(&self) -> Result<FileId, ReadError> {
        let path = self.path.display();
        match std::fs::metadata(&self.path) {
            Ok(metadata) => Ok(FileId { device: metadata.dev(), inode: metadata.ino() }),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
                Err(ReadError::NoDataYet {
                    why: format!("{path} does not exist; the processor makes it when it starts"),
                })
            }
            Err(error) if error.kind() == ErrorKind::PermissionDenied => Err(ReadError::Misconfigured {
                why: format!("{path} cannot be reached: {error}"),
                fix: "run the api in the group of the processor".to_owned(),
            }),
            Err(error) => {
                Err(ReadError::Away { why: format!("{path} cannot be reached: {error}"), retry_after: None })
            }
        }
    }

    fn check_schema(&self, connection: &Connection) -> Result<(), ReadError> {
        let path = self.path.display();
        let fix = match schema::identify(connection).map_err(|fault| self.read_error(fault))? {
            Found::Ledger(SCHEMA_VERSION) => return Ok(()),
            Found::Empty => {
                return Err(ReadError::NoDataYet {
                    why: format!("{path} is empty; the processor fills it when it starts"),
                });
            }
            Found::Foreign => "point STATE_DIR to the processor's own".to_owned(),
            Found::Ledger(found) if found > SCHEMA_VERSION => {
                format!(
                    "its schema is {found}: use the newer api that belongs to the processor which wrote it"
                )
            }
            Found::Ledger(found) => format!(
                "its schema is {found}: start the processor of this version once, which brings it to {SCHEMA_VERSION}"
            ),
        };
        Err(ReadError::Misconfigured {
            why: format!("{path} is not a ledger of schema {SCHEMA_VERSION}"),
            fix,
        })
    }
}
