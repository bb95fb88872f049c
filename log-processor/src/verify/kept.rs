//! What a store holds of one range of time, as a list to be compared: InfluxDB's points over its query API, or the raw requests that the ledger keeps.

use std::collections::BTreeSet;
use std::ops::Range;
use std::time::Duration;

use store::Trouble;
use store::embedded::{GenerationId, LedgerError, LedgerView, RawExtent};
use store::influx::{InfluxRequests, RequestField, StoredField};

use super::compare::{Fields, Key, Stored, Texts};
use super::files::Part;
use crate::retry::Backoff;

/// How often a question is asked again while the store is busy.
const TRIES: u32 = 6;

/// The raw requests of one source that the ledger keeps.
#[derive(Debug)]
pub(crate) struct RawRequests<'a> {
    view: &'a LedgerView,
    extent: &'a RawExtent,
    /// Generations whose files are judged.
    judged: BTreeSet<GenerationId>,
    others: BTreeSet<GenerationId>,
    /// Requests with a time before that may have been dropped for their age.
    oldest_nanos: i64,
    /// Requests that are kept of files that are not judged.
    pub(crate) unjudged: u64,
}

/// Reads InfluxDB's points of a range of time.
pub(crate) async fn of_influx(
    store: &InfluxRequests,
    source: &str,
    range: &Range<i64>,
    texts: &mut Texts,
) -> Result<Vec<Stored>, Trouble> {
    let mut backoff = Backoff::default();
    for _ in 1..TRIES {
        let mut stored = Vec::new();
        let read = store.read_stored(source, range.start, range.end, |field| {
            stored.push(stored_of(field, texts));
        });
        match read.await {
            Ok(()) => return Ok(stored),
            Err(Trouble::TryLater { why, after }) => {
                tracing::warn!(why, "the store does not answer, asking again");
                let wait = backoff.after_trouble(after, 0.5).min(Duration::from_secs(10));
                tokio::time::sleep(wait).await;
            }
            Err(other) => return Err(other),
        }
    }
    let mut stored = Vec::new();
    store.read_stored(source, range.start, range.end, |field| stored.push(stored_of(field, texts))).await?;
    Ok(stored)
}

fn stored_of(field: StoredField<'_>, texts: &mut Texts) -> Stored {
    let number = || Some(field.value.parse().unwrap_or(f64::NAN));
    let fields = match field.field {
        RequestField::Duration => Fields { duration: number(), ..Fields::default() },
        RequestField::StatusCode => Fields { status_code: number(), ..Fields::default() },
        RequestField::RequestPath => {
            Fields { request_path: Some(texts.id(field.value)), ..Fields::default() }
        }
    };
    let key = Key {
        time_nanos: field.time_nanos,
        customer: texts.id(field.customer),
        success: texts.id(field.success),
    };
    Stored { key, fields }
}

impl<'a> RawRequests<'a> {
    /// Those of a source, of which `parts` are judged.
    pub(crate) fn new(
        view: &'a LedgerView,
        extent: &'a RawExtent,
        source: &str,
        parts: &[Part],
        oldest_nanos: i64,
    ) -> Self {
        let judged: BTreeSet<GenerationId> = parts.iter().filter_map(|part| part.generation).collect();
        let of_source = view.generations().iter().filter(|record| record.seen.source == source);
        let others = of_source.map(|record| record.id).filter(|id| !judged.contains(id)).collect();
        let oldest_nanos = oldest_nanos.max(extent.oldest_nanos);
        Self { view, extent, judged, others, oldest_nanos, unjudged: 0 }
    }

    /// Whether a line's request must be there: not dropped for its place, and not for its age.
    pub(crate) fn must_hold(&self, part: &Part, offset: u64, time_nanos: i64) -> bool {
        let Some(id) = part.generation.filter(|_| !self.extent.is_off) else { return false };
        let from = self.extent.from_offsets.get(&id).copied().unwrap_or_default();
        offset >= from && time_nanos >= self.oldest_nanos
    }

    /// Reads those of a range of time.
    pub(crate) fn read(&mut self, range: &Range<i64>, texts: &mut Texts) -> Result<Vec<Stored>, LedgerError> {
        let mut stored = Vec::new();
        if self.extent.times_nanos.is_none_or(|(first, last)| first >= range.end || last < range.start) {
            return Ok(stored);
        }
        let mut unjudged = 0;
        self.view.raw_requests(range.start, range.end, |request| {
            if !self.judged.contains(&request.generation) {
                unjudged += u64::from(self.others.contains(&request.generation));
                return;
            }
            let success = if (200..400).contains(&request.status) { "1" } else { "0" };
            let key = Key {
                time_nanos: request.time_nanos,
                customer: texts.id(request.customer),
                success: texts.id(success),
            };
            let fields = Fields {
                duration: request.latency_micros.map(seconds),
                #[expect(clippy::cast_precision_loss, reason = "a status has three digits")]
                status_code: Some(request.status as f64),
                request_path: request.path.map(|path| texts.id(path)),
            };
            stored.push(Stored { key, fields });
        })?;
        self.unjudged += unjudged;
        Ok(stored)
    }
}

/// Microseconds as the seconds that InfluxDB keeps: the nearest float, as parsing the decimals gives it too.
#[expect(clippy::cast_precision_loss, reason = "a day in microseconds is below 2^53")]
pub(crate) fn seconds(micros: i64) -> f64 {
    micros as f64 / 1e6
}

#[cfg(test)]
mod tests {
    //! Floats.

    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn seconds_are_what_parsing_the_decimals_gives(micros in 0_i64..=86_400_000_000) {
            let text = format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
            prop_assert_eq!(seconds(micros).to_bits(), text.parse::<f64>().unwrap().to_bits());
        }
    }
}
