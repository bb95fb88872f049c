//! What a store holds of one range of time, as a list to be compared: InfluxDB's points over its query API, or the raw requests that the ledger keeps.

use std::collections::{BTreeMap, BTreeSet};
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
const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// The raw requests of one source that the ledger keeps.
#[derive(Debug)]
pub(crate) struct RawRequests<'a> {
    view: &'a LedgerView,
    extent: &'a RawExtent,
    /// Generations whose files are judged, and the place from which on every request of them is kept.
    kept_from: BTreeMap<GenerationId, u64>,
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
        let kept_from = parts
            .iter()
            .filter_map(|part| {
                let id = part.generation?;
                Some((id, first_place(part, *extent.first_nanos.get(&id)?)?))
            })
            .collect();
        Self { view, extent, kept_from, judged, others, oldest_nanos, unjudged: 0 }
    }

    /// Whether a line's request must be there: not dropped for its place, and not for its age.
    pub(crate) fn must_hold(&self, part: &Part, offset: u64, time_nanos: i64) -> bool {
        let from = part.generation.and_then(|id| self.kept_from.get(&id));
        from.is_some_and(|from| offset >= *from) && time_nanos >= self.oldest_nanos
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

/// The place in a file of the request with this time. Where several places fit, in a file beyond 1 GB, the last: whatever lies behind it was stored later.
fn first_place(part: &Part, time_nanos: i64) -> Option<u64> {
    let start = part.start?;
    let below = time_nanos.rem_euclid(1_000_000_000).unsigned_abs();
    let base = start.0.wrapping_add(part.from) % NANOS_PER_SECOND;
    let first = part.from + (below + NANOS_PER_SECOND - base) % NANOS_PER_SECOND;
    let rounds = part.end.saturating_sub(1).checked_sub(first)? / NANOS_PER_SECOND;
    Some(first + rounds * NANOS_PER_SECOND)
}

/// Microseconds as the seconds that InfluxDB keeps: the nearest float, as parsing the decimals gives it too.
#[expect(clippy::cast_precision_loss, reason = "a day in microseconds is below 2^53")]
pub(crate) fn seconds(micros: i64) -> f64 {
    micros as f64 / 1e6
}

#[cfg(test)]
mod tests {
    //! Floats and places.

    use super::*;
    use proptest::prelude::*;
    use store::KeyStart;

    proptest! {
        #[test]
        fn seconds_are_what_parsing_the_decimals_gives(micros in 0_i64..=86_400_000_000) {
            let text = format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
            prop_assert_eq!(seconds(micros).to_bits(), text.parse::<f64>().unwrap().to_bits());
        }

        #[test]
        fn a_place_is_found_from_its_time(start in 0_u64..5_000_000_000, from in 0_u64..1000, offset in 0_u64..900_000_000) {
            let part = Part {
                source: "main".into(), log: "a".into(), path: "a".into(), file: (1, 1), unpacked_bytes: None, generation: None,
                start: Some(KeyStart(start)), from, end: from + offset + 1,
            };
            let time = 77 * 1_000_000_000 + ((start + from + offset) % 1_000_000_000).cast_signed();
            prop_assert_eq!(first_place(&part, time), Some(from + offset));
        }
    }
}
