//! The ledger's file: its tables, how it is opened for writing and for reading, how an older one becomes a newer one.
//! No values of the product are made or judged here.
//!
//! # Who may open it
//! The processor makes STATE_DIR (if it is missing) with mode 2770 and `ledger.db` with mode 660; SQLite gives `ledger.db-wal` and
//! `ledger.db-shm` the mode of `ledger.db`. A reader needs to enter STATE_DIR and to read the three files; it needs neither to write them
//! nor to write STATE_DIR, because the processor leaves `-wal` and `-shm` in place when it stops (`SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE`)
//! instead of having SQLite remove them, and a reader that may not write the WAL-index makes a private one in memory when it has to.
//! So the api runs in the processor's group, on the same host (the WAL-index is shared memory: no NFS), and may mount STATE_DIR read-only.
//! `sqlite3 ledger.db` can be used at any time; it should be run by a member of that group, since what it creates it owns.

use std::fs::{self, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::LedgerError;
use super::fault::Fault;
use super::raw_kept;

/// Marks an SQLite file as a ledger of ours: "TGLD".
pub(super) const APPLICATION_ID: i64 = 0x5447_4C44;

/// `MIGRATIONS[v]` makes a ledger of schema `v + 1` from one of schema `v`; schema 0 is an empty file.
const MIGRATIONS: &[&str] = &[SCHEMA_1, SCHEMA_2, SCHEMA_3];

/// The schema that this program reads and writes.
pub(super) const SCHEMA_VERSION: i64 = MIGRATIONS.len() as i64;

/// How long a statement waits for somebody else's write transaction (`sqlite3` on the command line).
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the checkpoint at the end waits for readers.
const LAST_CHECKPOINT_TIMEOUT: Duration = Duration::from_millis(200);

const DIRECTORY_MODE: u32 = 0o2770;
const FILE_MODE: u32 = 0o660;

// Cells are ordered by time first: the cells that live lines change lie side by side (few pages a commit), the retention drops one
// contiguous range, and a customer's range costs one seek a window. Customer 0 is all customers together.
const SCHEMA_1: &str = "
CREATE TABLE meta (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    ledger_id TEXT NOT NULL,
    created_second INTEGER NOT NULL,
    commit_number INTEGER NOT NULL,
    as_of_micros INTEGER,
    minutes_from_second INTEGER NOT NULL,
    quarters_from_second INTEGER NOT NULL,
    days_from_second INTEGER NOT NULL,
    next_customer INTEGER NOT NULL,
    checksum INTEGER NOT NULL
) STRICT;
CREATE TABLE source (
    number INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    checksum INTEGER NOT NULL
) STRICT;
CREATE TABLE generation (
    id INTEGER PRIMARY KEY,
    source INTEGER NOT NULL,
    path BLOB NOT NULL,
    device INTEGER NOT NULL,
    inode INTEGER NOT NULL,
    settled_offset INTEGER NOT NULL,
    state TEXT NOT NULL,
    head_fingerprint TEXT,
    head_length INTEGER,
    key_start INTEGER,
    tail_marker INTEGER NOT NULL,
    tail_marker_length INTEGER NOT NULL,
    size_bytes INTEGER NOT NULL,
    checksum INTEGER NOT NULL
) STRICT;
CREATE TABLE counter (
    name TEXT NOT NULL,
    source TEXT NOT NULL,
    reason TEXT NOT NULL,
    value INTEGER NOT NULL,
    checksum INTEGER NOT NULL,
    PRIMARY KEY (name, source, reason)
) STRICT, WITHOUT ROWID;
CREATE TABLE customer (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    requests INTEGER NOT NULL,
    last_seen_second INTEGER NOT NULL,
    checksum INTEGER NOT NULL
) STRICT;
CREATE TABLE cell (
    kind INTEGER NOT NULL,
    start_second INTEGER NOT NULL,
    customer INTEGER NOT NULL,
    source INTEGER NOT NULL,
    blob BLOB NOT NULL,
    checksum INTEGER NOT NULL,
    PRIMARY KEY (kind, start_second, customer, source)
) STRICT, WITHOUT ROWID;
CREATE TABLE reject (
    number INTEGER PRIMARY KEY,
    generation INTEGER NOT NULL,
    offset INTEGER NOT NULL,
    reason TEXT NOT NULL,
    detail TEXT NOT NULL,
    line BLOB NOT NULL,
    rejected_second INTEGER NOT NULL
) STRICT;
CREATE INDEX reject_by_reason ON reject (reason, number);
CREATE TABLE request (
    number INTEGER PRIMARY KEY,
    customer INTEGER NOT NULL,
    time_nanos INTEGER NOT NULL,
    status INTEGER NOT NULL,
    latency_micros INTEGER,
    path TEXT,
    generation INTEGER NOT NULL
) STRICT;
CREATE INDEX request_by_customer ON request (customer, time_nanos);
";

// Cells that the store does not have as they are now (`unpublished`), in the order of the cells. `since_commit`: the first commit that is not published; `last_commit`: the newest
// one that changed the cell.
const SCHEMA_2: &str = "
CREATE TABLE unpublished (
    kind INTEGER NOT NULL,
    start_second INTEGER NOT NULL,
    customer INTEGER NOT NULL,
    source INTEGER NOT NULL,
    since_commit INTEGER NOT NULL,
    last_commit INTEGER NOT NULL,
    PRIMARY KEY (kind, start_second, customer, source)
) STRICT, WITHOUT ROWID;
";

// Numbers of raw requests (`raw_kept`): those that the ledger took out from among the ones that it keeps, and where in which file the others come from, up to `last` each.
const SCHEMA_3: &str = "
CREATE TABLE request_dropped (
    first INTEGER PRIMARY KEY,
    last INTEGER NOT NULL
) STRICT;
CREATE TABLE request_segment (
    last INTEGER PRIMARY KEY,
    generation INTEGER NOT NULL,
    start_offset INTEGER NOT NULL,
    end_offset INTEGER NOT NULL
) STRICT;
";

/// What a file says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing is in it yet.
    Empty,
    /// A ledger of that schema.
    Ledger(i64),
    /// An SQLite file of somebody else.
    Foreign,
}

/// Looks whose file it is.
pub(super) fn identify(connection: &Connection) -> Result<Found, Fault> {
    let application: i64 = connection.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    Ok(match (application, version, tables) {
        (APPLICATION_ID, version, _) if version > 0 => Found::Ledger(version),
        (0, 0, 0) => Found::Empty,
        _ => Found::Foreign,
    })
}

/// A file without a byte beside a WAL was a ledger once: SQLite writes the first page before it makes the WAL, which we never remove. It would be taken for a new one, and with it
/// the WAL deleted, so this is asked before SQLite sees the file.
///
/// # Errors
/// It is such a file.
pub(super) fn refuse_emptied(path: &Path) -> Result<(), Fault> {
    let is_empty = fs::metadata(path).is_ok_and(|file| file.len() == 0);
    if is_empty && path.with_extension("db-wal").exists() {
        return Err(Fault::Damaged("it is empty, and its WAL says that it was not".to_owned()));
    }
    Ok(())
}

/// Has SQLite look at a table with its indexes, or at the whole file: a row that an index does not lead to is as good as lost, and no checksum of ours can say so.
///
/// # Errors
/// SQLite found something; its first words.
pub(super) fn check_structure(connection: &Connection, table: Option<&str>) -> Result<(), Fault> {
    let mut statement = match table {
        Some(table) => connection.prepare(&format!("PRAGMA integrity_check('{table}')"))?,
        None => connection.prepare("PRAGMA integrity_check(1)")?,
    };
    let words: String = statement.query_row([], |row| row.get(0))?;
    if words == "ok" { Ok(()) } else { Err(Fault::Damaged(format!("SQLite says: {}", words.trim()))) }
}

/// Opens the ledger for writing, making directory and file if they are missing, and brings it to our schema. The caller holds the lock.
pub(super) fn open_for_writing(path: &Path) -> Result<Connection, LedgerError> {
    refuse_emptied(path).map_err(|fault| fault.into_ledger_error(path))?;
    create_file(path)
        .map_err(|error| LedgerError::Unavailable { path: path.to_path_buf(), why: error.to_string() })?;
    let damaged = |fault: Fault| fault.into_ledger_error(path);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection =
        Connection::open_with_flags(path, flags).map_err(|error| damaged(Fault::Sqlite(error)))?;
    configure_writer(&connection).map_err(damaged)?;
    migrate(&mut connection, path, MIGRATIONS, raw_kept::begin)?;
    Ok(connection)
}

/// Opens the ledger for reading only. `cache_kib`: SQLite's page cache.
pub(super) fn open_for_reading(path: &Path, cache_kib: u32) -> Result<Connection, Fault> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "cache_size", -i64::from(cache_kib))?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(connection)
}

/// Makes the directory for the ledger, if it is missing.
pub(super) fn create_directory(state_dir: &Path) -> io::Result<()> {
    if state_dir.is_dir() {
        return Ok(());
    }
    fs::DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(state_dir)?;
    // Again, because the umask has taken bits away.
    fs::set_permissions(state_dir, Permissions::from_mode(DIRECTORY_MODE))
}

fn create_file(path: &Path) -> io::Result<()> {
    match OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(path) {
        Ok(_) => fs::set_permissions(path, Permissions::from_mode(FILE_MODE)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

fn configure_writer(connection: &Connection) -> Result<(), Fault> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(64);
    // The first statement that reads the file: what is no database fails here.
    connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "foreign_keys", false)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "cache_size", -8192)?;
    connection.pragma_update(None, "wal_autocheckpoint", 2000)?;
    connection.pragma_update(None, "journal_size_limit", 64 << 20)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    Ok(())
}

/// Brings a ledger to the last schema of `migrations`, in one transaction; `finish` then writes the rows that need more than SQL.
fn migrate(
    connection: &mut Connection,
    path: &Path,
    migrations: &[&str],
    finish: impl Fn(&Connection) -> Result<(), Fault>,
) -> Result<(), LedgerError> {
    let known = i64::try_from(migrations.len()).expect("few migrations");
    let found = match identify(connection).map_err(|fault| fault.into_ledger_error(path))? {
        Found::Empty => 0,
        Found::Ledger(version) => version,
        Found::Foreign => {
            let what = "it is an SQLite file of another program".to_owned();
            return Err(LedgerError::Damaged { path: path.to_path_buf(), what });
        }
    };
    if found > known {
        return Err(LedgerError::Newer { path: path.to_path_buf(), found, known });
    }
    let steps = &migrations[usize::try_from(found).expect("a schema version is not negative")..];
    if steps.is_empty() {
        return Ok(());
    }
    let mut run = || -> Result<(), Fault> {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for step in steps {
            transaction.execute_batch(step)?;
        }
        finish(&transaction)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", known)?;
        Ok(transaction.commit()?)
    };
    run().map_err(|fault| fault.into_ledger_error(path))
}

/// Moves everything from the WAL into the file as far as readers permit, so that little is left to be recovered.
pub(super) fn last_checkpoint(connection: &Connection) -> Result<(), Fault> {
    connection.busy_timeout(LAST_CHECKPOINT_TIMEOUT)?;
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SONGS: &str = "CREATE TABLE song (title TEXT) STRICT;";
    const TAGS: &str = "CREATE TABLE tag (name TEXT) STRICT; INSERT INTO tag VALUES ('new');";

    fn migrated(path: &Path, migrations: &[&str]) -> Result<Connection, LedgerError> {
        let mut connection = Connection::open(path).unwrap();
        migrate(&mut connection, path, migrations, |_| Ok(())).map(|()| connection)
    }

    #[test]
    fn an_older_schema_is_brought_to_ours_and_keeps_its_rows() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger.db");
        migrated(&path, &[SONGS]).unwrap().execute_batch("INSERT INTO song VALUES ('one')").unwrap();
        let connection = migrated(&path, &[SONGS, TAGS]).unwrap();
        assert_eq!(identify(&connection).unwrap(), Found::Ledger(2));
        let rows: (String, String) = connection
            .query_row("SELECT title, name FROM song, tag", [], |row| Ok((row.get(0)?, row.get(1)?)))
            .unwrap();
        assert_eq!(rows, ("one".to_owned(), "new".to_owned()));
        // again: nothing is left to do
        migrated(&path, &[SONGS, TAGS]).unwrap();
        let refused = migrated(&path, &[SONGS]);
        assert!(matches!(refused, Err(LedgerError::Newer { found: 2, known: 1, .. })), "{refused:?}");
    }

    #[test]
    fn a_migration_that_fails_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger.db");
        drop(migrated(&path, &[SONGS]).unwrap());
        assert!(migrated(&path, &[SONGS, TAGS, "CREATE TABLE song (again TEXT);"]).is_err());
        let connection = migrated(&path, &[SONGS]).unwrap();
        assert_eq!(identify(&connection).unwrap(), Found::Ledger(1));
        let tables: i64 =
            connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).unwrap();
        assert_eq!(tables, 1);
    }
}
