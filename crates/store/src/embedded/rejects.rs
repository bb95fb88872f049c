//! Rejected lines: the newest of each reason, for people to look at. How many there were is in the totals.

use std::collections::{BTreeMap, VecDeque};

use logline::Reason;
use rusqlite::Connection;

use super::fault::Fault;
use super::{GenerationId, Reject};

/// So many lines of each reason are kept.
pub(super) const KEPT_PER_REASON: usize = 1_000;

/// Rejected lines since the last commit: the newest of each reason.
#[derive(Debug, Default)]
pub(super) struct PendingRejects {
    by_reason: BTreeMap<Reason, VecDeque<(GenerationId, Reject)>>,
}

impl PendingRejects {
    /// Keeps a rejected line, unless the retention rejected it: such lines are only counted.
    pub(super) fn push(&mut self, generation: GenerationId, reject: &Reject) {
        if reject.reason == Reason::Retention {
            return;
        }
        let kept = self.by_reason.entry(reject.reason).or_default();
        if kept.len() == KEPT_PER_REASON {
            kept.pop_front();
        }
        kept.push_back((generation, reject.clone()));
    }

    /// Writes them and drops what is beyond the bound.
    pub(super) fn write(&self, connection: &Connection, now_second: i64) -> Result<(), Fault> {
        let mut insert = connection.prepare_cached(
            "INSERT INTO reject (generation, offset, reason, detail, line, rejected_second)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?;
        let mut trim = connection.prepare_cached(
            "DELETE FROM reject WHERE reason = ?1 AND number <=
                 (SELECT number FROM reject WHERE reason = ?1 ORDER BY number DESC LIMIT 1 OFFSET ?2)",
        )?;
        let kept_per_reason = i64::try_from(KEPT_PER_REASON).expect("small");
        for (reason, rejects) in &self.by_reason {
            for (generation, reject) in rejects {
                insert.execute((
                    generation.0,
                    reject.offset.cast_signed(),
                    reason.as_str(),
                    &reject.detail,
                    &reject.line,
                    now_second,
                ))?;
            }
            trim.execute((reason.as_str(), kept_per_reason))?;
        }
        Ok(())
    }

    /// What was written is durable.
    pub(super) fn committed(&mut self) {
        self.by_reason.clear();
    }
}
