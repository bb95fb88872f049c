//! SQLite's own insert rate: the floor of the embedded store with raw requests. The same columns, ready-made values, one prepared statement, large transactions, the
//! ledger's own settings for durability; nothing else.

use std::path::Path;

use anyhow::Context;
use rusqlite::Connection;

/// Rows in a transaction.
const TRANSACTION_ROWS: usize = 100_000;

/// Inserts one row for each line of the log; `keyed`: with the index that answers the requests of a customer. Returns how many rows there are in the end.
///
/// # Errors
/// The log cannot be read, or SQLite does not take a row.
pub fn insert(log: &Path, folder: &Path, keyed: bool) -> anyhow::Result<u64> {
    let text = std::fs::read_to_string(log).with_context(|| log.display().to_string())?;
    let connection = Connection::open(folder.join("floor.db"))?;
    connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "cache_size", -8192)?;
    connection.execute_batch(
        "CREATE TABLE request (number INTEGER PRIMARY KEY, customer INTEGER NOT NULL, time_nanos INTEGER NOT NULL, status INTEGER NOT NULL,
             latency_micros INTEGER, path TEXT, generation INTEGER NOT NULL) STRICT;",
    )?;
    if keyed {
        connection.execute_batch("CREATE INDEX request_by_customer ON request (customer, time_nanos);")?;
    }
    {
        let mut insert = connection.prepare(
            "INSERT INTO request (customer, time_nanos, status, latency_micros, path, generation) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?;
        connection.execute_batch("BEGIN")?;
        for (index, line) in text.lines().enumerate() {
            if index > 0 && index % TRANSACTION_ROWS == 0 {
                connection.execute_batch("COMMIT; BEGIN")?;
            }
            let mut fields = line.split(' ').skip(2);
            let customer = fields.next().and_then(|id| id.strip_prefix("cust_")).unwrap_or_default();
            let customer: i64 = customer.parse().context("the bench's customers are numbered")?;
            let path = fields.next().unwrap_or_default();
            let number = i64::try_from(index).context("a row number")?;
            insert.execute((
                customer,
                1_700_000_000_000_000_000 + number * 1_000_000,
                200,
                772_000,
                path,
                1,
            ))?;
        }
        connection.execute_batch("COMMIT")?;
    }
    let rows: i64 = connection.query_row("SELECT count(*) FROM request", [], |row| row.get(0))?;
    Ok(u64::try_from(rows).unwrap_or(0))
}
