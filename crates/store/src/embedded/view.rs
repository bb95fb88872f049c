//! The ledger as somebody sees it who only looks: `log-processor status` while no processor runs, `log-processor rejects` and
//! `log-processor verify`.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use logline::Reason;
use rusqlite::Connection;

use super::fault::Fault;
use super::generations::Generations;
use super::ledger::LEDGER_FILE;
use super::meta::Meta;
use super::schema::{self, Found, SCHEMA_VERSION};
use super::sources::Sources;
use super::{GenerationId, GenerationRecord, LedgerError, LedgerTotals, counters, reject_reader};

/// SQLite's page cache: everything is read once.
const CACHE_KIB: u32 = 512;

/// One state of the ledger, as some commit left it. Takes no lock; a processor may run and go on meanwhile.
#[derive(Debug)]
pub struct LedgerView {
    path: PathBuf,
    connection: Connection,
    meta: Meta,
    sources: Vec<String>,
    generations: Vec<GenerationRecord>,
    totals: LedgerTotals,
}

/// A rejected line that was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptReject {
    /// The log's source.
    pub source: String,
    /// Its generation.
    pub generation: GenerationId,
    /// Where the generation was last found.
    pub path: PathBuf,
    /// The place of its first byte.
    pub offset: u64,
    /// Why it was rejected.
    pub reason: Reason,
    /// What was wrong, for a person (may be empty).
    pub detail: String,
    /// Its first 1024 bytes.
    pub line: Vec<u8>,
    /// When that was committed, in seconds since 1970.
    pub rejected_second: i64,
}

impl LedgerView {
    /// Looks at the ledger of a STATE_DIR; `None` if no processor has made one yet.
    ///
    /// # Errors
    /// It is damaged, of another schema, or cannot be read.
    pub fn open(state_dir: &Path) -> Result<Option<LedgerView>, LedgerError> {
        let path = state_dir.join(LEDGER_FILE);
        match std::fs::metadata(&path) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(LedgerError::Unavailable { path, why: error.to_string() }),
        }
        let told = |fault: Fault| fault.into_ledger_error(&path);
        schema::refuse_emptied(&path).map_err(told)?;
        let connection = schema::open_for_reading(&path, CACHE_KIB).map_err(told)?;
        // From the first statement to the end of this value: one state.
        connection.execute_batch("BEGIN").map_err(|error| told(error.into()))?;
        match schema::identify(&connection).map_err(told)? {
            Found::Empty => return Ok(None),
            Found::Ledger(SCHEMA_VERSION) => {}
            Found::Ledger(found) if found > SCHEMA_VERSION => {
                return Err(LedgerError::Newer { path, found, known: SCHEMA_VERSION });
            }
            Found::Ledger(found) => {
                let why = format!(
                    "its schema is {found}: start the processor once, which brings it to {SCHEMA_VERSION}"
                );
                return Err(LedgerError::Unavailable { path, why });
            }
            Found::Foreign => {
                let what = "it is an SQLite file of another program".to_owned();
                return Err(LedgerError::Damaged { path, what });
            }
        }
        let load = || -> Result<_, Fault> {
            let Some(meta) = Meta::read(&connection)? else { return Ok(None) };
            let mut sources = Sources::read(&connection)?;
            let generations = Generations::read(&connection, &mut sources)?;
            Ok(Some((meta, sources, generations, counters::read(&connection)?)))
        };
        let Some((meta, sources, generations, totals)) = load().map_err(told)? else { return Ok(None) };
        let sources = sources.names().map(str::to_owned).collect();
        let generations = generations.records().cloned().collect();
        Ok(Some(LedgerView { path, connection, meta, sources, generations, totals }))
    }

    /// The ledger's id, made with it.
    pub fn id(&self) -> &str {
        &self.meta.ledger_id
    }

    /// Number of the last commit.
    pub fn commit_number(&self) -> u64 {
        self.meta.commit_number.cast_unsigned()
    }

    /// Every line that was readable at this instant is in it; microseconds since 1970.
    pub fn as_of_micros(&self) -> Option<i64> {
        self.meta.as_of_micros
    }

    /// Totals since the ledger was made.
    pub fn totals(&self) -> &LedgerTotals {
        &self.totals
    }

    /// All sources, in the order in which they were first seen.
    pub fn sources(&self) -> &[String] {
        &self.sources
    }

    /// All generations of all sources, oldest first.
    pub fn generations(&self) -> &[GenerationRecord] {
        &self.generations
    }

    /// The rejected lines that were kept (the newest 1,000 of each reason), in the order of the generations and of the lines in them.
    ///
    /// # Errors
    /// The ledger is damaged or cannot be read.
    pub fn rejects(&self) -> Result<Vec<KeptReject>, LedgerError> {
        self.read_rejects().map_err(|fault| fault.into_ledger_error(&self.path))
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    pub(super) fn meta(&self) -> &Meta {
        &self.meta
    }

    pub(super) fn told(&self, fault: Fault) -> LedgerError {
        fault.into_ledger_error(&self.path)
    }

    fn read_rejects(&self) -> Result<Vec<KeptReject>, Fault> {
        let mut statement = self
            .connection
            .prepare(&format!("SELECT {} FROM reject ORDER BY generation, offset", reject_reader::COLUMNS))?;
        let mut rows = statement.query([])?;
        let mut rejects = Vec::new();
        while let Some(row) = rows.next()? {
            let id = reject_reader::generation_of(row)?;
            let generation = self.generations.iter().find(|generation| generation.id == id);
            rejects.push(reject_reader::kept(row, generation)?);
        }
        Ok(rejects)
    }
}
