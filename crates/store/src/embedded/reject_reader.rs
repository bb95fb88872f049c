//! The rejected lines that a ledger keeps, for who only looks: row by row, and the newest of them for the api while the processor writes. How a line is shown is
//! others' matter.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::Path;
use std::sync::Arc;

use logline::Reason;
use rusqlite::{Connection, Row};

use super::fault::Fault;
use super::generations::read_one;
use super::ledger::LEDGER_FILE;
use super::pool::Pool;
use super::rejects::KEPT_PER_REASON;
use super::sources::Sources;
use super::{GenerationId, GenerationRecord, KeptReject};
use crate::ReadError;

/// Columns of a rejected line, as [`kept`] reads them.
pub(super) const COLUMNS: &str = "number, generation, offset, reason, detail, line, rejected_second";

/// The generation of a row.
pub(super) fn generation_of(row: &Row<'_>) -> Result<GenerationId, Fault> {
    Ok(GenerationId(row.get(1)?))
}

/// A rejected line from its row, and from its generation if there is such a one.
pub(super) fn kept(row: &Row<'_>, generation: Option<&GenerationRecord>) -> Result<KeptReject, Fault> {
    let number: i64 = row.get(0)?;
    let damaged = |what: &str| Fault::Damaged(format!("rejected line number {number}: {what}"));
    let generation = generation.ok_or_else(|| damaged("its generation is unknown"))?;
    let reason: String = row.get(3)?;
    Ok(KeptReject {
        source: generation.seen.source.clone(),
        generation: generation.id,
        path: generation.seen.path.clone(),
        offset: row.get::<_, i64>(2)?.cast_unsigned(),
        reason: Reason::from_name(&reason).ok_or_else(|| damaged("its reason is unknown"))?,
        detail: row.get(4)?,
        line: row.get(5)?,
        rejected_second: row.get(6)?,
    })
}

/// The rejected lines in STATE_DIR, whose ledger may come into being, or be replaced by another one, at any time. Whichever store the requests are in, it is the
/// ledger that keeps these.
#[derive(Clone, Debug)]
pub struct RejectedLines {
    pool: Arc<Pool>,
}

impl RejectedLines {
    /// Opens nothing yet.
    pub fn new(state_dir: &Path) -> Self {
        Self { pool: Pool::new(state_dir.join(LEDGER_FILE)) }
    }

    /// The newest lines of each of these reasons, the newest first; `None` where there is no ledger to know them.
    ///
    /// # Errors
    /// The ledger is damaged or cannot be read.
    pub async fn newest(
        &self,
        reasons: &[Reason],
        per_reason: usize,
    ) -> Result<Option<Vec<KeptReject>>, ReadError> {
        let reasons = reasons.to_vec();
        match self.pool.answer(move |connection| newest(connection, &reasons, per_reason)).await {
            Ok(rejects) => Ok(Some(rejects)),
            Err(ReadError::NoDataYet { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn newest(connection: &Connection, reasons: &[Reason], per_reason: usize) -> Result<Vec<KeptReject>, Fault> {
    let sources = Sources::read(connection)?;
    let mut generations = BTreeMap::new();
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM reject WHERE reason = ?1 ORDER BY number DESC LIMIT ?2"
    ))?;
    let limit = i64::try_from(per_reason.min(KEPT_PER_REASON)).expect("small");
    let mut rejects = Vec::new();
    for reason in reasons {
        let mut rows = statement.query((reason.as_str(), limit))?;
        while let Some(row) = rows.next()? {
            let id = generation_of(row)?;
            // Of ten thousand files mostly few have bad lines.
            let generation = match generations.entry(id.0) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(unknown) => unknown.insert(read_one(connection, id, &sources)?),
            };
            rejects.push(kept(row, generation.as_ref())?);
        }
    }
    Ok(rejects)
}
