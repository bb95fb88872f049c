//! Sources: from a name to its number. Few, so all are in memory.

use rusqlite::Connection;

use super::checksum::Checksum;
use super::fault::Fault;

/// All sources, in the order of their numbers: the source at index 0 has number 1.
#[derive(Debug, Default)]
pub(super) struct Sources {
    names: Vec<String>,
    durable: usize,
}

fn checksum(number: i64, name: &str) -> i64 {
    Checksum::of("source").integer(number).bytes(name.as_bytes()).finish()
}

fn number_of(index: usize) -> i64 {
    i64::try_from(index + 1).expect("few sources")
}

impl Sources {
    /// Reads all of them.
    pub(super) fn read(connection: &Connection) -> Result<Self, Fault> {
        let mut statement =
            connection.prepare_cached("SELECT number, name, checksum FROM source ORDER BY number")?;
        let mut rows = statement.query([])?;
        let mut names = Vec::new();
        while let Some(row) = rows.next()? {
            let (number, name): (i64, String) = (row.get(0)?, row.get(1)?);
            if number != number_of(names.len()) || row.get::<_, i64>(2)? != checksum(number, &name) {
                return Err(Fault::Damaged(format!("the row of source {name:?}")));
            }
            names.push(name);
        }
        Ok(Self { durable: names.len(), names })
    }

    /// The number of a source, a new one if it was never seen.
    pub(super) fn resolve(&mut self, name: &str) -> i64 {
        let index = self.names.iter().position(|known| known == name).unwrap_or_else(|| {
            self.names.push(name.to_owned());
            self.names.len() - 1
        });
        number_of(index)
    }

    /// The number of a source that is durable.
    pub(super) fn number(&self, name: &str) -> Option<i64> {
        self.names[..self.durable].iter().position(|known| known == name).map(number_of)
    }

    /// The name of a source.
    pub(super) fn name(&self, number: i64) -> Option<&str> {
        let index = usize::try_from(number).ok()?.checked_sub(1)?;
        self.names.get(index).map(String::as_str)
    }

    /// All names, in the order in which they were first seen.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// Writes the new ones.
    pub(super) fn write(&self, connection: &Connection) -> Result<(), Fault> {
        let mut statement =
            connection.prepare_cached("INSERT INTO source (number, name, checksum) VALUES (?1, ?2, ?3)")?;
        for (index, name) in self.names.iter().enumerate().skip(self.durable) {
            let number = number_of(index);
            statement.execute((number, name, checksum(number, name)))?;
        }
        Ok(())
    }

    /// What was written is durable.
    pub(super) fn committed(&mut self) {
        self.durable = self.names.len();
    }
}
