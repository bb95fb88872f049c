//! What can go wrong inside this room, before it is told to the processor ([`LedgerError`]) or to the api ([`ReadError`]).

use std::path::Path;

use rusqlite::ErrorCode;

use super::LedgerError;
use crate::ReadError;
use crate::questions::not_kept;

/// A fault of the ledger's file, without its name.
#[derive(Debug)]
pub(super) enum Fault {
    /// SQLite says so.
    Sqlite(rusqlite::Error),
    /// A row does not fit its checksum, or says what no row can say.
    Damaged(String),
    /// A reader asked for parts of a window that is kept whole.
    NotKept(stats::NotKept),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Fault::Sqlite(error)
    }
}

/// Which remedy an SQLite error asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Remedy {
    /// Patience: space, memory or a lock may come back.
    Wait,
    /// The operator: rights or the place of the file.
    Permit,
    /// None: the file is not what we wrote.
    Replace,
}

fn remedy(error: &rusqlite::Error) -> Remedy {
    match error.sqlite_error_code() {
        Some(
            ErrorCode::DiskFull
            | ErrorCode::SystemIoFailure
            | ErrorCode::OutOfMemory
            | ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked
            | ErrorCode::OperationInterrupted
            | ErrorCode::OperationAborted
            | ErrorCode::FileLockingProtocolFailed
            | ErrorCode::SchemaChanged
            | ErrorCode::NoLargeFileSupport,
        ) => Remedy::Wait,
        Some(
            ErrorCode::CannotOpen
            | ErrorCode::PermissionDenied
            | ErrorCode::ReadOnly
            | ErrorCode::AuthorizationForStatementDenied,
        ) => Remedy::Permit,
        // Malformed, not a database, and everything that our own statements cannot cause on our own schema.
        _ => Remedy::Replace,
    }
}

impl Fault {
    /// As the processor is told.
    pub(super) fn into_ledger_error(self, path: &Path) -> LedgerError {
        let path = path.to_path_buf();
        match self {
            Fault::Sqlite(error) if remedy(&error) == Remedy::Replace => {
                LedgerError::Damaged { path, what: format!("SQLite says: {error}") }
            }
            Fault::Sqlite(error) => LedgerError::Unavailable { path, why: error.to_string() },
            Fault::Damaged(what) => LedgerError::Damaged { path, what },
            // Only readers ask.
            Fault::NotKept(bound) => {
                LedgerError::Damaged { path, what: format!("a bound that is not kept: {bound:?}") }
            }
        }
    }

    /// As the api is told.
    pub(super) fn into_read_error(self, path: &Path) -> ReadError {
        let path = path.display();
        match self {
            Fault::Sqlite(error) => match remedy(&error) {
                Remedy::Wait => {
                    ReadError::Away { why: format!("{path} cannot be read now: {error}"), retry_after: None }
                }
                Remedy::Permit => ReadError::Misconfigured {
                    why: format!("{path} cannot be opened for reading: {error}"),
                    fix: "run the api in the group of the processor, which must be able to read STATE_DIR and the files in it".to_owned(),
                },
                Remedy::Replace => ReadError::Damaged(format!("{path} is damaged: SQLite says: {error}")),
            },
            Fault::Damaged(what) => ReadError::Damaged(format!("{path} is damaged: {what}")),
            Fault::NotKept(bound) => not_kept(bound),
        }
    }
}
