//! One source: first pass, windows, and the comparison of each window. Everything of one window is in memory, and nothing else.

use std::io;
use std::ops::Range;
use std::time::Duration;

use chrono::Utc;
use store::embedded::LedgerView;

use super::cells::CellCheck;
use super::compare::{Expected, Fields, Finding, Key, Stored, Texts, compare};
use super::files::{Found, Part};
use super::kept::{RawRequests, of_influx, seconds};
use super::lines::{Line, LineReader, Stretch};
use super::plan::{Counts, Window};
use super::report::{Difference, FieldTexts, Report, RequestDifference};
use super::{CannotVerify, Store, Totals};

/// So many requests are compared at once: with what InfluxDB says of them, three rows each, some 30 MB.
const WINDOW_REQUESTS: u64 = 100_000;
const NANOS_PER_SECOND: i64 = 1_000_000_000;

/// A check of one source.
pub(super) struct SourceCheck<'a> {
    pub(super) name: &'a str,
    pub(super) found: &'a Found,
    pub(super) view: Option<&'a LedgerView>,
    pub(super) store: &'a Store<'a>,
    pub(super) raw_requests_age: Option<Duration>,
    pub(super) oldest_second: i64,
    /// Whether every line that was ever counted is in the files that are there.
    pub(super) cells_complete: bool,
}

impl SourceCheck<'_> {
    /// Compares all of it.
    pub(super) async fn run(
        &self,
        reader: &mut LineReader,
        report: &mut Report,
        totals: &mut Totals,
    ) -> Result<(), CannotVerify> {
        let mut counts = Counts::by_hour();
        let stretches = self.survey(reader, &mut counts, totals)?;
        let mut raw = match self.store {
            Store::Ledger(view, extent) => {
                let age = self.raw_requests_age.map_or(i64::MAX, |age| age.as_secs().cast_signed());
                let oldest = Utc::now().timestamp().saturating_sub(age).saturating_mul(NANOS_PER_SECOND);
                Some(RawRequests::new(view, extent, self.name, &self.found.parts, oldest))
            }
            Store::Influx(_) => None,
        };
        let mut cells =
            self.view.map(|view| CellCheck::new(view, self.name, self.cells_complete, self.oldest_second));
        let most = WINDOW_REQUESTS;
        let mut waiting: Vec<(Counts, Window)> =
            counts.windows(most).into_iter().rev().map(|window| (counts.clone(), window)).collect();
        while let Some((counts, window)) = waiting.pop() {
            let finer = if window.requests > most { counts.finer(&window) } else { None };
            if let Some(mut finer) = finer {
                for stretch in stretches.iter().filter(|stretch| stretch.meets(&window.range)) {
                    reader.count(&self.found.parts[stretch.part], stretch, &mut finer)?;
                }
                waiting.extend(finer.windows(most).into_iter().rev().map(|window| (finer.clone(), window)));
                continue;
            }
            let here: Vec<Stretch> =
                stretches.iter().filter(|stretch| stretch.meets(&window.range)).copied().collect();
            self.window(&window.range, &here, reader, raw.as_mut(), cells.as_mut(), report, totals).await?;
        }
        if let Some(cells) = &mut cells {
            cells.finish(report)?;
            totals.cells += cells.compared;
            totals.leave("statistics cells that files which are gone have a share in", cells.unjudged);
        }
        totals
            .leave("raw requests of files that are gone or not followed", raw.map_or(0, |raw| raw.unjudged));
        Ok(())
    }

    /// The first pass.
    fn survey(
        &self,
        reader: &mut LineReader,
        counts: &mut Counts,
        totals: &mut Totals,
    ) -> io::Result<Vec<Stretch>> {
        let mut stretches = Vec::new();
        for (index, part) in self.found.parts.iter().enumerate() {
            let survey = reader.survey(index, part, counts)?;
            stretches.extend(survey.stretches);
            totals.files += 1;
            totals.requests += survey.requests;
            totals.rejected += survey.rejected + survey.refused;
            totals.leave("requests older than RETENTION", survey.beyond_retention);
        }
        let found = self.found;
        totals.leave("files that were settled and are gone", found.gone.0);
        totals.leave("bytes in files that were settled and are gone", found.gone.1);
        totals.leave("bytes that are not settled yet", found.unsettled_bytes);
        totals.leave("bytes that were not to be read (START_AT)", found.skipped_bytes);
        totals.leave("compressed files that are damaged or not yet whole", found.damaged);
        Ok(stretches)
    }

    #[expect(clippy::too_many_arguments, reason = "the state of one comparison, in one place")]
    async fn window(
        &self,
        range: &Range<i64>,
        stretches: &[Stretch],
        reader: &mut LineReader,
        raw: Option<&mut RawRequests<'_>>,
        cells: Option<&mut CellCheck<'_>>,
        report: &mut Report,
        totals: &mut Totals,
    ) -> Result<(), CannotVerify> {
        let mut texts = Texts::default();
        let mut expected = Vec::new();
        for stretch in stretches {
            let part = &self.found.parts[stretch.part];
            let index = u32::try_from(stretch.part).expect("fewer files than that");
            reader.for_each_line(part, stretch, |line| {
                let time_nanos = line.good.request.time_nanos;
                if range.contains(&time_nanos) {
                    let must = raw.as_ref().is_none_or(|raw| raw.must_hold(part, line.offset, time_nanos));
                    expected.push(expected_of(&line, index, must, &mut texts));
                }
            })?;
        }
        let from = range.start.max(self.oldest_second.saturating_mul(NANOS_PER_SECOND));
        let range = from..range.end;
        let mut stored = match (self.store, raw) {
            (Store::Influx(store), _) => of_influx(store, self.name, &range, &mut texts).await?,
            (Store::Ledger(..), Some(raw)) => raw.read(&range, &mut texts)?,
            (Store::Ledger(..), None) => unreachable!("an embedded store has its raw requests"),
        };
        let mut foreign = 0;
        let equal = compare(&mut expected, &mut stored, |finding| match finding {
            Finding::Surplus(request) if !self.is_unexpected(&request, stretches) => foreign += 1,
            finding => report.tell(Difference::Request(self.difference(finding, &texts))),
        });
        totals.compared += equal;
        totals.leave("requests in the store that lines of no judged file can have made", foreign);
        let Some(cells) = cells else { return Ok(()) };
        for request in &expected {
            let micros = request.fields.duration.map(micros_of);
            let status = request.fields.status_code.unwrap_or_default();
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "three digits")]
            let status = status as u16;
            let second = request.key.time_nanos.div_euclid(NANOS_PER_SECOND);
            cells.take(second, texts.text(request.key.customer), status, micros, report)?;
        }
        Ok(())
    }

    /// Whether a request that no line makes can only have been made by a line that is there: its place lies in a judged stretch with lines of its time, and in nothing
    /// of which nothing can be said. Places repeat after 1 GB of log.
    fn is_unexpected(&self, request: &Stored, stretches: &[Stretch]) -> bool {
        if matches!(self.store, Store::Ledger(..)) {
            return true; // The ledger says which file it came from, and only those of judged files were read.
        }
        let place = request.key.time_nanos.rem_euclid(NANOS_PER_SECOND).unsigned_abs();
        let second = request.key.time_nanos.div_euclid(NANOS_PER_SECOND);
        let judged = stretches.iter().any(|stretch| {
            let part: &Part = &self.found.parts[stretch.part];
            let times = stretch.seconds.is_some_and(|(first, last)| (first..=last).contains(&second));
            let covered = |start: u64| covers(start + stretch.start, start + stretch.end, place);
            times && part.start.is_some_and(|start| covered(start.0))
        });
        judged && !self.found.unjudged.iter().any(|range| covers(range.start, range.end, place))
    }

    fn difference(&self, finding: Finding, texts: &Texts) -> RequestDifference {
        let of =
            |kind, key: Key, line: Option<&Expected>, expected: Option<&Fields>, found: Option<&Fields>| {
                let fields = |fields: &Fields| FieldTexts {
                    duration: fields.duration,
                    status_code: fields.status_code,
                    request_path: fields.request_path.map(|path| texts.text(path).to_owned()),
                };
                RequestDifference {
                    kind,
                    source: self.name.to_owned(),
                    customer: texts.text(key.customer).to_owned(),
                    success: texts.text(key.success).to_owned(),
                    time_nanos: key.time_nanos,
                    line: line.map(|line| {
                        (self.found.parts[line.part as usize].path.display().to_string(), line.offset)
                    }),
                    expected: expected.map(fields),
                    found: found.map(fields),
                }
            };
        match &finding {
            Finding::Missing(line) => of("missing", line.key, Some(line), Some(&line.fields), None),
            Finding::Changed(line, found) => {
                of("changed", line.key, Some(line), Some(&line.fields), Some(found))
            }
            Finding::Surplus(request) => of("unexpected", request.key, None, None, Some(&request.fields)),
            Finding::SameKey(line) => of("same_key", line.key, Some(line), Some(&line.fields), None),
        }
    }
}

/// What a line makes, as the store tells it apart and keeps it.
fn expected_of(line: &Line<'_>, part: u32, must: bool, texts: &mut Texts) -> Expected {
    let record = &line.good.request.record;
    let key = Key {
        time_nanos: line.good.request.time_nanos,
        customer: texts.id(record.customer.as_str()),
        success: texts.id(if record.status.is_success() { "1" } else { "0" }),
    };
    let fields = Fields {
        duration: record.latency.map(|latency| seconds(latency.micros().cast_signed())),
        status_code: Some(f64::from(record.status.code())),
        request_path: record.path.map(|path| texts.id(path.as_str())),
    };
    Expected { key, fields, part, offset: line.offset, must }
}

/// The microseconds that a duration was made from.
fn micros_of(seconds: f64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "at most a day, never negative"
    )]
    let micros = (seconds * 1e6).round() as u64;
    micros
}

/// Whether a place, of which only the digits below 10⁹ are known, lies between two others.
fn covers(start: u64, end: u64, place: u64) -> bool {
    const ROUND: u64 = 1_000_000_000;
    let length = end.saturating_sub(start);
    (place + ROUND - start % ROUND) % ROUND < length
}

#[cfg(test)]
mod tests {
    //! Places wrap at 10⁹.

    use super::covers;

    #[test]
    fn places_repeat_every_billion() {
        for (start, end, place, expected) in [
            (0, 10, 0, true),
            (0, 10, 9, true),
            (0, 10, 10, false),
            (5, 5, 5, false),
            (999_999_995, 1_000_000_005, 3, true),
            (999_999_995, 1_000_000_005, 5, false),
            (7_000_000_100, 7_000_000_200, 150, true),
            (100, 2_000_000_000, 0, true),
        ] {
            assert_eq!(covers(start, end, place), expected, "{start}..{end} {place}");
        }
    }
}
