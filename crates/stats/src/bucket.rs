//! The buckets of the latency histogram: which one a latency falls into, and which latency stands for a bucket. No counts here.
//!
//! Three stretches, so that every whole millisecond up to a day, what a log usually writes, has a bucket of its own:
//! - below 16.384 ms, a bucket for every microsecond;
//! - from there to 8.388608 s, log-linear: 8192 buckets to each doubling, none wider than 512 microseconds, and the whole millisecond in it stands for a bucket;
//! - above, a bucket for every whole millisecond and what rounds to it.
//!
//! So latencies of whole milliseconds, and all below 16.384 ms, are exact. Those of microseconds are off by at most 1/8192 (0.0122 %): where a
//! bucket holds a whole millisecond, that one stands for it even when it lies at the bucket's edge.

use logline::LATENCY_MAX_MICROS;

/// Below this, every microsecond has its own bucket.
const LINEAR_MICROS: u64 = 1 << LINEAR_BITS;
const LINEAR_BITS: u32 = 14;
const BUCKETS_PER_DOUBLING_BITS: u32 = LINEAR_BITS - 1;
/// From here on, 8.388608 s, every whole millisecond has its own bucket: log-linear ones would be wider.
const WHOLE_MILLIS_MICROS: u64 = 1 << 23;
/// The bucket of 8.389 s, the first whole millisecond from there on.
const WHOLE_MILLIS_BUCKET: u32 = log_linear(WHOLE_MILLIS_MICROS);
const WHOLE_MILLIS_FIRST: u64 = WHOLE_MILLIS_MICROS.div_ceil(1000);

/// The bucket of the greatest latency that a record can have.
pub(crate) const BUCKET_MAX: u32 = bucket_of(LATENCY_MAX_MICROS);

/// The bucket of a latency in microseconds, of at most a day (a longer one counts as a day): `v` below 16,384; below 8,388,608, with `e = bits(v) - 14`,
/// `(e << 13) + (v >> e)`; above, `90112 + round(v / 1000) - 8389`.
#[inline]
pub const fn bucket_of(micros: u64) -> u32 {
    if micros < LINEAR_MICROS {
        micros as u32
    } else if micros < WHOLE_MILLIS_MICROS {
        log_linear(micros)
    } else {
        let micros = if micros > LATENCY_MAX_MICROS { LATENCY_MAX_MICROS } else { micros };
        WHOLE_MILLIS_BUCKET + ((micros + 500) / 1000 - WHOLE_MILLIS_FIRST) as u32
    }
}

const fn log_linear(micros: u64) -> u32 {
    let exponent = u64::BITS - micros.leading_zeros() - LINEAR_BITS;
    (exponent << BUCKETS_PER_DOUBLING_BITS) + (micros >> exponent) as u32
}

/// The latency in microseconds that stands for a bucket: the whole millisecond in it if there is one, else its middle (the lower
/// one of two). Numbers that are no latency's bucket stand for the greatest.
pub const fn bucket_value(bucket: u32) -> u64 {
    let (first, width) = bucket_span(bucket);
    let millisecond = first.div_ceil(1000) * 1000;
    if millisecond < first + width { millisecond } else { first + (width - 1) / 2 }
}

/// The least latency of a bucket, and how many latencies it holds.
const fn bucket_span(bucket: u32) -> (u64, u64) {
    if bucket < LINEAR_MICROS as u32 {
        return (bucket as u64, 1);
    }
    if bucket >= WHOLE_MILLIS_BUCKET {
        let bucket = if bucket > BUCKET_MAX { BUCKET_MAX } else { bucket };
        let middle = ((bucket - WHOLE_MILLIS_BUCKET) as u64 + WHOLE_MILLIS_FIRST) * 1000;
        let first = if middle - 500 < WHOLE_MILLIS_MICROS { WHOLE_MILLIS_MICROS } else { middle - 500 };
        let end = if middle + 500 > LATENCY_MAX_MICROS { LATENCY_MAX_MICROS + 1 } else { middle + 500 };
        return (first, end - first);
    }
    let exponent = (bucket >> BUCKETS_PER_DOUBLING_BITS) - 1;
    let mantissa = bucket - (exponent << BUCKETS_PER_DOUBLING_BITS);
    ((mantissa as u64) << exponent, 1 << exponent)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What stands for a latency.
    fn kept(micros: u64) -> u64 {
        bucket_value(bucket_of(micros))
    }

    #[test]
    fn every_microsecond_below_16_ms_is_exact() {
        for micros in 0..16_384 {
            assert_eq!(kept(micros), micros);
        }
    }

    #[test]
    fn every_whole_millisecond_of_a_day_is_exact() {
        let last = LATENCY_MAX_MICROS / 1000;
        for millis in (0..=100_000).chain((100_000..last).step_by(997)).chain([last]) {
            assert_eq!(kept(millis * 1000), millis * 1000);
        }
    }

    #[test]
    fn buckets_join_without_hole_or_overlap() {
        let mut next = 0;
        for bucket in all_forms_of_buckets() {
            let (first, width) = bucket_span(bucket);
            assert!(first == next || bucket == BUCKET_MAX - 1000, "bucket {bucket}");
            assert_eq!((bucket_of(first), bucket_of(first + width - 1)), (bucket, bucket));
            assert_eq!(bucket_of(bucket_value(bucket)), bucket, "what stands for a bucket lies in it");
            next = first + width;
        }
        assert_eq!(next, LATENCY_MAX_MICROS + 1);
    }

    /// Every bucket below 20 s, and the last thousand.
    fn all_forms_of_buckets() -> impl Iterator<Item = u32> {
        (0..=bucket_of(20_000_000)).chain(BUCKET_MAX - 1000..=BUCKET_MAX)
    }

    #[test]
    fn no_bucket_and_no_latency_is_too_great() {
        assert_eq!(bucket_of(u64::MAX), BUCKET_MAX);
        assert_eq!(bucket_value(u32::MAX), bucket_value(BUCKET_MAX));
    }

    /// The greatest relative error of some latencies, as a fraction.
    fn worst(latencies: impl Iterator<Item = u64>) -> (f64, u64) {
        latencies.map(|micros| (kept(micros).abs_diff(micros) as f64 / micros as f64, micros)).fold(
            (0.0, 0),
            |a, b| {
                if b.0 > a.0 { b } else { a }
            },
        )
    }

    #[test]
    fn the_error_of_microseconds_stays_below_one_in_8192() {
        // in a bucket the error is greatest at one of its ends
        let ends = all_forms_of_buckets().flat_map(|bucket| {
            let (first, width) = bucket_span(bucket);
            [first, first + width - 1]
        });
        let (error, micros) = worst(ends.skip(1));
        assert!(error < 1.0 / 8192.0 && error > 0.00012, "{error} at {micros}");
    }

    proptest! {
        #[test]
        fn order_is_kept(a in 0..=LATENCY_MAX_MICROS, b in 0..=LATENCY_MAX_MICROS) {
            prop_assert_eq!(bucket_of(a.min(b)) <= bucket_of(a.max(b)), true);
            prop_assert!(kept(a.min(b)) <= kept(a.max(b)));
        }
    }
}
