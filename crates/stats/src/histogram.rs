//! The latency histogram: counts by bucket, sparse, mergeable, with one stable blob form: varint (bucket delta, count) pairs. Which bucket a
//! latency falls into is said in `bucket`.

use std::borrow::Cow;

use logline::LATENCY_MAX_MICROS;

use crate::CodecError;
use crate::bucket::{BUCKET_MAX, bucket_of, bucket_value};
use crate::codec::{Reader, put_varint};
use crate::quantile::Rank;

/// Counts of latencies by bucket. Observing appends; order is restored when it is read, merged or encoded.
#[derive(Clone, Debug, Default)]
pub struct Histogram {
    /// Sorted by bucket, every bucket once, no zero counts.
    settled: Vec<Entry>,
    /// Observed and not yet in `settled`, in any order. At most as many as there are buckets, or [`PENDING_MIN`].
    pending: Vec<u32>,
}

/// This many observations may wait in any histogram, however few buckets it has.
const PENDING_MIN: usize = 128;

/// So many times as many buckets are many beside few ([`Histogram::merge`]).
const MANY: usize = 4;
/// So many requests of one bucket are few.
const FEW_EACH: u64 = 4;

/// A bucket and its count in one word: the bucket above, so that order of words is order of buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Entry(u64);

impl Entry {
    const COUNT_BITS: u32 = 37;
    /// 137 thousand million requests of one and the same latency: their log would fill 7 TB. Counts stay there.
    const COUNT_MAX: u64 = (1 << Self::COUNT_BITS) - 1;

    pub(crate) fn new(bucket: u32, count: u64) -> Self {
        const { assert!(BUCKET_MAX < 1 << (u64::BITS - Self::COUNT_BITS), "bucket and count fit into a word") };
        Self(u64::from(bucket) << Self::COUNT_BITS | count.min(Self::COUNT_MAX))
    }
    fn bucket(self) -> u32 {
        (self.0 >> Self::COUNT_BITS) as u32
    }
    fn count(self) -> u64 {
        self.0 & Self::COUNT_MAX
    }
    fn plus(self, count: u64) -> Self {
        Self::new(self.bucket(), self.count().saturating_add(count))
    }
}

impl Histogram {
    /// Counts one latency. A latency is at most a day ([`LATENCY_MAX_MICROS`]); a longer one counts as a day.
    #[inline]
    pub fn observe(&mut self, micros: u64) {
        self.push(bucket_of(micros.min(LATENCY_MAX_MICROS)));
    }

    #[inline]
    fn push(&mut self, bucket: u32) {
        if self.pending.len() == self.pending.capacity() {
            self.make_room();
        }
        self.pending.push(bucket);
    }

    /// Whether few counts, of few requests each, are added to many: looking for the place of each costs several times what it costs to let them wait and sort many at once. A month's
    /// days are merged like this, for each of ten thousand customers.
    fn lets_wait(&self, other: &Histogram) -> bool {
        let few = other.settled.len();
        few * MANY <= self.settled.len()
            && other.pending.is_empty()
            && other.settled.iter().all(|entry| entry.count() <= FEW_EACH)
    }

    /// Adds counts in ascending order of bucket, each bucket once.
    pub(crate) fn add_counted(&mut self, counted: &[Entry]) {
        self.settle();
        merge_into(&mut self.settled, counted);
    }

    /// Lets more observations wait, or settles them when enough wait for that to cost little each.
    #[cold]
    fn make_room(&mut self) {
        if self.pending.len() >= PENDING_MIN.max(2 * self.settled.len()) {
            self.settle();
        } else {
            let room = self.pending.len().max(4);
            self.pending.reserve_exact(room);
        }
    }

    /// Sorts what was observed into the counts. Every other method works without it; this makes repeated reading cheap.
    pub fn settle(&mut self) {
        if !self.pending.is_empty() {
            let counted = count_runs(&mut self.pending);
            self.pending.clear();
            merge_into(&mut self.settled, &counted);
        }
    }

    /// Settles and gives back the memory that is not needed, for a histogram that is kept.
    pub fn shrink(&mut self) {
        self.settle();
        self.pending = Vec::new();
        self.settled.shrink_to_fit();
    }

    /// Counts `count` latencies of one bucket.
    pub fn add(&mut self, bucket: u32, count: u64) {
        if count > 0 {
            merge_into(&mut self.settled, &[Entry::new(bucket.min(BUCKET_MAX), count)]);
        }
    }

    /// How many latencies were counted.
    pub fn count(&self) -> u64 {
        total(&self.settled) + self.pending.len() as u64
    }

    /// Adds another histogram's counts.
    pub fn merge(&mut self, other: &Histogram) {
        if self.lets_wait(other) {
            for entry in &other.settled {
                for _ in 0..entry.count() {
                    self.push(entry.bucket());
                }
            }
            return;
        }
        merge_into(&mut self.settled, &other.settled);
        if !other.pending.is_empty() {
            merge_into(&mut self.settled, &count_runs(&mut other.pending.clone()));
        }
    }

    /// The quantile `q = numerator/denominator`, linear between closest ranks (SQL `percentile_cont`), in nanoseconds. None when empty.
    pub fn quantile_nanos(&self, numerator: u64, denominator: u64) -> Option<u64> {
        let [quantile] = self.quantiles_nanos([(numerator, denominator)]);
        quantile
    }

    /// Several quantiles at once, in any order: cheaper than one by one.
    pub fn quantiles_nanos<const N: usize>(&self, quantiles: [(u64, u64); N]) -> [Option<u64>; N] {
        let entries = self.entries();
        let count = total(&entries);
        quantiles.map(|(numerator, denominator)| {
            let rank = Rank::of(count, numerator, denominator)?;
            let mut seen = 0;
            let mut entries = entries.iter();
            let mut value_at = |index: u64| {
                // the indexes are asked for in ascending order, so the walk goes on where it stopped
                entries.as_slice().first()?;
                while seen + entries.as_slice()[0].count() <= index {
                    seen += entries.next()?.count();
                    entries.as_slice().first()?;
                }
                Some(bucket_value(entries.as_slice()[0].bucket()))
            };
            let below = value_at(rank.below)?;
            Some(rank.between(below, value_at(rank.above())?))
        })
    }

    /// The counts in ascending order of bucket, each bucket once.
    pub fn buckets(&self) -> Vec<(u32, u64)> {
        self.entries().iter().map(|entry| (entry.bucket(), entry.count())).collect()
    }

    /// Appends the blob: number of pairs, then pairs of varints (bucket delta, count). Equal counts make equal bytes.
    pub fn encode(&self, blob: &mut Vec<u8>) {
        let entries = self.entries();
        put_varint(entries.len() as u64, blob);
        let mut last = 0;
        for entry in entries.iter() {
            put_varint(u64::from(entry.bucket() - last), blob);
            put_varint(entry.count(), blob);
            last = entry.bucket();
        }
    }

    /// Reads a blob from its beginning; returns the histogram and how many bytes it took.
    pub fn decode(blob: &[u8]) -> Result<(Histogram, usize), CodecError> {
        let mut reader = Reader::new(blob);
        let histogram = Self::read(&mut reader)?;
        Ok((histogram, reader.position()))
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Histogram, CodecError> {
        let pairs = reader.varint()?;
        // a pair takes two bytes or more: a false number of pairs cannot ask for more memory than the blob has bytes, four times
        let pairs = usize::try_from(pairs).ok().filter(|&pairs| pairs <= reader.remaining() / 2);
        let pairs = pairs.ok_or_else(|| reader.error("more buckets than bytes"))?;
        let mut settled = Vec::with_capacity(pairs);
        let (mut bucket, mut all) = (0_u64, 0_u64);
        for index in 0..pairs {
            let delta = reader.varint()?;
            if index > 0 && delta == 0 {
                return Err(reader.error("a bucket twice"));
            }
            bucket = bucket.saturating_add(delta);
            let number = u32::try_from(bucket).ok().filter(|&number| number <= BUCKET_MAX);
            let number = number.ok_or_else(|| reader.error("a bucket above one day"))?;
            let count = reader.varint()?;
            all = all.saturating_add(count);
            if count == 0 || count > Entry::COUNT_MAX || all == u64::MAX {
                return Err(reader.error("an impossible count"));
            }
            settled.push(Entry::new(number, count));
        }
        Ok(Histogram { settled, pending: Vec::new() })
    }

    /// The greatest bucket that has a count.
    pub(crate) fn last_bucket(&self) -> Option<u32> {
        self.settled.last().map(|entry| entry.bucket()).max(self.pending.iter().copied().max())
    }

    /// All counts in order, whether settled or not.
    fn entries(&self) -> Cow<'_, [Entry]> {
        if self.pending.is_empty() {
            return Cow::Borrowed(&self.settled);
        }
        let mut entries = self.settled.clone();
        merge_into(&mut entries, &count_runs(&mut self.pending.clone()));
        Cow::Owned(entries)
    }
}

impl PartialEq for Histogram {
    fn eq(&self, other: &Self) -> bool {
        self.entries() == other.entries()
    }
}
impl Eq for Histogram {}

fn total(entries: &[Entry]) -> u64 {
    entries.iter().map(|entry| entry.count()).sum()
}

/// Sorts buckets and counts how often each occurs.
pub(crate) fn count_runs(buckets: &mut [u32]) -> Vec<Entry> {
    sort(buckets);
    buckets.chunk_by(|a, b| a == b).map(|run| Entry::new(run[0], run.len() as u64)).collect()
}

/// Sorts buckets: many at once by their digits of ten bits, the lower first, which takes a third of the time of comparing them. Two digits hold every
/// bucket below 967 s; where a slower request is among them, they are compared.
fn sort(buckets: &mut [u32]) {
    const DIGIT_BITS: u32 = 10;
    const DIGITS: usize = 1 << DIGIT_BITS;
    if buckets.len() < DIGITS / 2 || buckets.iter().any(|&bucket| bucket >> (2 * DIGIT_BITS) != 0) {
        return buckets.sort_unstable();
    }
    let digit = |bucket: u32, number: u32| (bucket >> (number * DIGIT_BITS)) as usize % DIGITS;
    let by_digit = |from: &[u32], to: &mut [u32], number| {
        let mut starts = [0_usize; DIGITS];
        for &bucket in from {
            starts[digit(bucket, number)] += 1;
        }
        let mut next = 0;
        for start in &mut starts {
            next += std::mem::replace(start, next);
        }
        for &bucket in from {
            let start = &mut starts[digit(bucket, number)];
            to[*start] = bucket;
            *start += 1;
        }
    };
    let mut by_lower = vec![0; buckets.len()];
    by_digit(buckets, &mut by_lower, 0);
    by_digit(&by_lower, buckets, 1);
}

/// Adds counts to counts, both in order and each bucket once. Costs no more than a walk through the shorter of the two when it brings no new bucket.
fn merge_into(entries: &mut Vec<Entry>, more: &[Entry]) {
    let mut new = Vec::new();
    let mut at = 0;
    for &addition in more {
        at += leading_below(&entries[at..], addition.bucket());
        match entries.get_mut(at) {
            Some(entry) if entry.bucket() == addition.bucket() => *entry = entry.plus(addition.count()),
            _ => new.push(addition),
        }
    }
    insert_new(entries, &new);
}

/// How many entries come before a bucket. It is mostly near the front, so steps grow from there.
fn leading_below(entries: &[Entry], bucket: u32) -> usize {
    let mut step = 1;
    let mut below = 0;
    while entries.get(below + step - 1).is_some_and(|entry| entry.bucket() < bucket) {
        below += step;
        step *= 2;
    }
    let end = entries.len().min(below + step - 1);
    below + entries[below..end].partition_point(|entry| entry.bucket() < bucket)
}

/// Puts entries of new buckets in their places, from the end, so that each entry moves at most once.
fn insert_new(entries: &mut Vec<Entry>, new: &[Entry]) {
    let mut kept = entries.len();
    entries.extend_from_slice(new);
    for (ahead, &entry) in new.iter().enumerate().rev() {
        while kept > 0 && entries[kept - 1].bucket() > entry.bucket() {
            kept -= 1;
            entries[kept + ahead + 1] = entries[kept];
        }
        entries[kept + ahead] = entry;
    }
}

#[cfg(test)]
mod tests;
