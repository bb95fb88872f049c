//! What the processor keeps about itself in InfluxDB: the generations of its logs, and who owns a source. Asked by Flux; written like any other points.

use std::collections::BTreeMap;
use std::ops::Range;

use super::csv::{AnswerError, Row};
use super::flux::{self, Params};
use super::http::Http;
use super::query::{AskError, ask};
use super::schema::{generations, processors, requests, source_value};
use crate::{KeyStart, Owner, Statistics, StoredGeneration};

/// All generations of a source, in the order in which they were first seen.
pub(super) async fn read_generations(
    http: &Http,
    org: &str,
    bucket: &str,
    source: &str,
) -> Result<Vec<StoredGeneration>, AskError> {
    // By head and start: one that was registered twice is one generation, first seen when it was first seen.
    let mut found: BTreeMap<(String, KeyStart), i64> = BTreeMap::new();
    ask(http, org, &flux::generations_script(), params(bucket, source), |row| {
        let start: i64 = row.parse("_value")?;
        let (second, _) = row.time("_time")?;
        let key = (row.require(generations::HEAD)?.to_owned(), KeyStart(start.cast_unsigned()));
        found.entry(key).and_modify(|seen| *seen = second.min(*seen)).or_insert(second);
        Ok(())
    })
    .await?;
    let mut generations: Vec<StoredGeneration> = found
        .into_iter()
        .map(|((head, start), first_seen_second)| StoredGeneration {
            source: source.to_owned(),
            head,
            start,
            first_seen_second,
        })
        .collect();
    generations.sort_by_key(|generation| (generation.first_seen_second, generation.start));
    Ok(generations)
}

/// The last owner of a source.
pub(super) async fn read_owner(
    http: &Http,
    org: &str,
    bucket: &str,
    source: &str,
) -> Result<Option<Owner>, AskError> {
    let mut fields = OwnerFields::default();
    ask(http, org, &flux::owner_script(), params(bucket, source), |row| fields.take(row)).await?;
    Ok(fields.owner(source))
}

/// What was said about a source at the places of a range.
pub(super) async fn read_statements(
    http: &Http,
    org: &str,
    bucket: &str,
    source: &str,
    range: Range<i64>,
) -> Result<Vec<Owner>, AskError> {
    let mut by_mark: BTreeMap<i64, OwnerFields> = BTreeMap::new();
    let params = Params::default()
        .text("bucket", bucket)
        .text("source", &source_value(source))
        .nanos("start", range.start)
        .nanos("stop", range.end);
    ask(http, org, &flux::statements_script(), params, |row| {
        by_mark.entry(time_nanos(row)?).or_default().take(row)
    })
    .await?;
    Ok(by_mark.into_values().filter_map(|fields| fields.owner(source)).collect())
}

fn time_nanos(row: &Row<'_>) -> Result<i64, AnswerError> {
    let (second, nanos) = row.time("_time")?;
    Ok(second.saturating_mul(1_000_000_000).saturating_add(i64::from(nanos)))
}

/// Every instant that InfluxDB knows: what a processor left behind is found however old it is.
fn params(bucket: &str, source: &str) -> Params {
    Params::default()
        .text("bucket", bucket)
        .text("source", &source_value(source))
        .second("start", i64::MIN)
        .second("stop", i64::MAX)
}

/// Whether a source has any request.
pub(super) async fn has_requests(
    http: &Http,
    org: &str,
    bucket: &str,
    source: &str,
) -> Result<bool, AskError> {
    let script = flux::has_requests_script(source == requests::MAIN_SOURCE);
    let mut found = false;
    ask(http, org, &script, params(bucket, source), |_| {
        found = true;
        Ok(())
    })
    .await?;
    Ok(found)
}

/// The fields of an owner's point, each of which is a row.
#[derive(Debug, Default)]
struct OwnerFields {
    ledger: Option<String>,
    commit: Option<u64>,
    heartbeat_micros: Option<i64>,
    as_of_micros: Option<i64>,
    released: Option<bool>,
    statistics: StatisticsFields,
    mark_nanos: Option<i64>,
}

/// The fields of a statement that tell what the statistics are worth.
#[derive(Clone, Debug, Default)]
pub(super) struct StatisticsFields {
    worth: Option<String>,
    as_of_micros: Option<i64>,
    quarters_from_second: Option<i64>,
    days_from_second: Option<i64>,
}

impl StatisticsFields {
    /// Takes one of these fields; false if it is another one.
    pub(super) fn take(&mut self, field: &str, row: &Row<'_>) -> Result<bool, AnswerError> {
        match field {
            processors::STATISTICS => self.worth = Some(row.require("_value")?.to_owned()),
            processors::STATISTICS_AS_OF_US => self.as_of_micros = Some(row.parse("_value")?),
            processors::QUARTERS_FROM_S => self.quarters_from_second = Some(row.parse("_value")?),
            processors::DAYS_FROM_S => self.days_from_second = Some(row.parse("_value")?),
            _ => return Ok(false),
        }
        Ok(true)
    }

    #[cfg(test)]
    pub(super) fn of(worth: &str, as_of_micros: i64, from_second: i64) -> Self {
        Self {
            worth: Some(worth.to_owned()),
            as_of_micros: Some(as_of_micros),
            quarters_from_second: Some(from_second),
            days_from_second: Some(from_second / 2),
        }
    }

    /// What they are worth. A statement that does not say, or says what we do not know, vouches for nothing.
    pub(super) fn statistics(&self) -> Statistics {
        match (self.worth.as_deref(), self.quarters_from_second, self.days_from_second) {
            (Some(processors::PUBLISHED), Some(quarters_from_second), Some(days_from_second)) => {
                let as_of_micros = self.as_of_micros.filter(|as_of| *as_of != processors::AS_OF_UNKNOWN);
                Statistics::Published { as_of_micros, quarters_from_second, days_from_second }
            }
            (Some(processors::INCOMPLETE), ..) => Statistics::Incomplete,
            _ => Statistics::NeedRebuild,
        }
    }
}

impl OwnerFields {
    fn take(&mut self, row: &Row<'_>) -> Result<(), AnswerError> {
        self.mark_nanos = Some(time_nanos(row)?);
        match row.require("_field")? {
            processors::LEDGER => self.ledger = Some(row.require("_value")?.to_owned()),
            processors::COMMIT => self.commit = Some(row.parse("_value")?),
            processors::HEARTBEAT_US => self.heartbeat_micros = Some(row.parse("_value")?),
            processors::AS_OF_US => self.as_of_micros = Some(row.parse("_value")?),
            processors::RELEASED => self.released = Some(row.parse("_value")?),
            // A later version may say more.
            field => drop(self.statistics.take(field, row)?),
        }
        Ok(())
    }

    /// None unless a whole point was found: a point is stored whole or not at all.
    fn owner(self, source: &str) -> Option<Owner> {
        Some(Owner {
            source: source.to_owned(),
            ledger: self.ledger?,
            commit: self.commit?,
            heartbeat_micros: self.heartbeat_micros?,
            as_of_micros: self.as_of_micros.filter(|as_of| *as_of != processors::AS_OF_UNKNOWN),
            released: self.released?,
            statistics: self.statistics.statistics(),
            mark_nanos: self.mark_nanos?,
        })
    }
}
