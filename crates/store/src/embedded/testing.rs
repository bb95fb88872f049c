//! Damage for tests (feature `fake`), so that no other crate needs to know SQL.

use std::path::Path;

use rusqlite::Connection;

use super::LEDGER_FILE;

/// Spoils every day of a customer in the ledger of a STATE_DIR. Panics when it has none.
pub fn damage_days(state_dir: &Path, customer: &str) {
    let ledger = Connection::open(state_dir.join(LEDGER_FILE)).expect("a ledger");
    let spoil = "UPDATE cell SET blob = zeroblob(20)
                 WHERE kind = 2 AND customer = (SELECT number FROM customer WHERE id = ?1)";
    let spoiled = ledger.execute(spoil, [customer]).expect("a ledger that can be written");
    assert!(spoiled > 0, "{customer} has no days");
}
