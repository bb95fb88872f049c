//! The cell: all that is kept of one customer's requests in one window, and the one codec that writes it. Which window and whose is known
//! to those who keep cells.

use logline::LATENCY_MAX_MICROS;

use crate::bucket::bucket_of;
use crate::codec::{Reader, put_varint};
use crate::histogram::Entry;
use crate::{Histogram, Summary};

/// One customer's requests in one window of time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cell {
    /// Requests.
    pub requests: u64,
    /// Requests with a status from 200 to 399.
    pub successes: u64,
    /// Requests by status class: 1xx, 2xx, 3xx, 4xx, 5xx.
    pub classes: [u64; 5],
    /// Sum of the latencies, in microseconds.
    pub latency_sum_micros: u64,
    /// The greatest latency, in microseconds.
    pub latency_max_micros: u64,
    /// The latencies; its count may be less than `requests`, since a request can lack a latency.
    pub histogram: Histogram,
}

/// Bytes that are not a cell or histogram of ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("damaged statistics blob at byte {at}: {what}")]
pub struct CodecError {
    /// Where in the blob, in bytes from 0.
    pub at: usize,
    /// What was wrong.
    pub what: &'static str,
}

/// The first byte of a blob. Another form gets another number; 1 had wider buckets above 8.388 s, and was never released.
const VERSION: u8 = 2;

/// More requests than any window has: their log would fill 60 exabytes. So a cell that was read can always count on.
const REQUESTS_MAX: u64 = 1 << 60;

impl Cell {
    /// Counts one request: a status from 100 to 599, and a latency of at most a day if there is one (a longer one counts as a day).
    #[inline]
    pub fn observe(&mut self, status: u16, latency_micros: Option<u64>) {
        debug_assert!((100..600).contains(&status), "L3: status {status}");
        self.requests += 1;
        self.successes += u64::from((200..400).contains(&status));
        self.classes[usize::from((status / 100).clamp(1, 5)) - 1] += 1;
        if let Some(micros) = latency_micros {
            self.observe_latency(micros);
        }
    }

    /// Counts the latency of a request that was counted without it.
    #[inline]
    pub fn observe_latency(&mut self, micros: u64) {
        let micros = micros.min(LATENCY_MAX_MICROS);
        self.latency_sum_micros = self.latency_sum_micros.saturating_add(micros);
        self.latency_max_micros = self.latency_max_micros.max(micros);
        self.histogram.observe(micros);
    }

    /// Counts requests that were counted together: by status class, sum and greatest of the latencies in microseconds, and the latencies by bucket in ascending order.
    pub(crate) fn add_counted(
        &mut self,
        classes: &[u64; 5],
        latency_sum_micros: u64,
        latency_max_micros: u64,
        latencies: &[Entry],
    ) {
        for (class, more) in self.classes.iter_mut().zip(classes) {
            *class += more;
        }
        let (more, more_successes) = sums(classes);
        self.requests += more;
        self.successes += more_successes;
        self.latency_sum_micros = self.latency_sum_micros.saturating_add(latency_sum_micros);
        self.latency_max_micros = self.latency_max_micros.max(latency_max_micros);
        self.histogram.add_counted(latencies);
    }

    /// Adds another cell's requests.
    pub fn merge(&mut self, other: &Cell) {
        self.requests = self.requests.saturating_add(other.requests);
        self.successes = self.successes.saturating_add(other.successes);
        for (class, more) in self.classes.iter_mut().zip(other.classes) {
            *class = class.saturating_add(more);
        }
        self.latency_sum_micros = self.latency_sum_micros.saturating_add(other.latency_sum_micros);
        self.latency_max_micros = self.latency_max_micros.max(other.latency_max_micros);
        self.histogram.merge(&other.histogram);
    }

    /// Sorts what was observed into the histogram's counts: [`Histogram::settle`].
    pub fn settle(&mut self) {
        self.histogram.settle();
    }

    /// Settles and gives back the memory that is not needed: [`Histogram::shrink`].
    pub fn shrink(&mut self) {
        self.histogram.shrink();
    }

    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.requests == 0
    }

    /// The exact sums and quantiles that answers are made of.
    pub fn summary(&self) -> Summary {
        let [median_nanos, p99_nanos] = self.histogram.quantiles_nanos([(1, 2), (99, 100)]);
        Summary {
            requests: self.requests,
            successes: self.successes,
            latencies: self.histogram.count(),
            latency_sum_micros: self.latency_sum_micros,
            median_nanos,
            p99_nanos,
        }
    }

    /// Writes the cell: version byte, then varints (the status classes, sum and greatest latency, then the histogram's blob). Requests and successes are sums of the
    /// classes and are not written. Equal cells make equal bytes.
    pub fn encode(&self, blob: &mut Vec<u8>) {
        debug_assert_eq!(
            (self.requests, self.successes),
            sums(&self.classes),
            "the classes hold every request"
        );
        blob.push(VERSION);
        for number in self.classes.into_iter().chain([self.latency_sum_micros, self.latency_max_micros]) {
            put_varint(number, blob);
        }
        self.histogram.encode(blob);
    }

    /// Reads a cell back. Any bytes are safe to give; trailing bytes, impossible counts and unknown versions are errors.
    pub fn decode(blob: &[u8]) -> Result<Cell, CodecError> {
        let mut reader = Reader::new(blob);
        if reader.byte()? != VERSION {
            return Err(CodecError { at: 0, what: "an unknown version" });
        }
        let mut classes = [0; 5];
        for class in &mut classes {
            *class = reader.varint()?;
        }
        let all = classes.iter().try_fold(0_u64, |sum, class| sum.checked_add(*class));
        if all.is_none_or(|all| all > REQUESTS_MAX) {
            return Err(reader.error("an impossible number of requests"));
        }
        let latency_sum_micros = reader.varint()?;
        let latency_max_micros = reader.varint()?;
        let histogram = Histogram::read(&mut reader)?;
        if reader.remaining() > 0 {
            return Err(reader.error("bytes behind its end"));
        }
        let (requests, successes) = sums(&classes);
        let cell = Cell { requests, successes, classes, latency_sum_micros, latency_max_micros, histogram };
        cell.contradiction().map_or(Ok(cell), |what| Err(reader.error(what)))
    }

    /// What can hold for no requests at all.
    fn contradiction(&self) -> Option<&'static str> {
        let latencies = self.histogram.count();
        if latencies > self.requests {
            return Some("more latencies than requests");
        }
        let Some(last) = self.histogram.last_bucket() else {
            let none = (self.latency_sum_micros, self.latency_max_micros) == (0, 0);
            return (!none).then_some("a sum of no latencies");
        };
        if bucket_of(self.latency_max_micros) != last {
            return Some("a greatest latency that was not counted");
        }
        let most = u128::from(self.latency_max_micros) * u128::from(latencies);
        let possible =
            self.latency_sum_micros >= self.latency_max_micros && u128::from(self.latency_sum_micros) <= most;
        (!possible).then_some("a sum that the latencies cannot have")
    }
}

/// Requests and successes, which the status classes determine: a success is 2xx or 3xx.
fn sums(classes: &[u64; 5]) -> (u64, u64) {
    (classes.iter().sum(), classes[1] + classes[2])
}

#[cfg(test)]
mod tests;
