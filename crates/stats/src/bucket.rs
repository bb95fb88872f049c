//! The buckets of the latency histogram: which one a latency falls into, and which latency stands for a bucket. No counts here.
//!
//! Log-linear over whole microseconds, with 8192 buckets to each doubling. Exact for every microsecond below 16.384 ms and for every whole millisecond below
//! 8.388608 s. Beyond that the error is at most
//! - 1/16384 (0.0061 %) for logs of whole milliseconds,
//! - 1/8192 (0.0122 %) for logs of microseconds, from 16.384 ms on: where a bucket holds a whole millisecond, that one stands for it
//!   even when it lies at the bucket's edge.

use logline::LATENCY_MAX_MICROS;

/// Below this, every microsecond has its own bucket.
const LINEAR_MICROS: u64 = 1 << LINEAR_BITS;
const LINEAR_BITS: u32 = 14;
const BUCKETS_PER_DOUBLING_BITS: u32 = LINEAR_BITS - 1;

/// The bucket of the greatest latency that a record can have.
pub(crate) const BUCKET_MAX: u32 = bucket_of(LATENCY_MAX_MICROS);

/// The bucket of a latency in microseconds: `v` below 16,384, else with `e = bits(v) - 14`: `(e << 13) + (v >> e)`.
#[inline]
pub const fn bucket_of(micros: u64) -> u32 {
    if micros < LINEAR_MICROS {
        return micros as u32;
    }
    let exponent = u64::BITS - micros.leading_zeros() - LINEAR_BITS;
    (exponent << BUCKETS_PER_DOUBLING_BITS) + (micros >> exponent) as u32
}

/// The latency in microseconds that stands for a bucket: the whole millisecond in it if there is exactly one, else its middle (the lower
/// one of two).
///
/// Two or more lie in a bucket only above 8.388 s, where the middle is nearer to all of them than any one of them is. Numbers that are no latency's
/// bucket stand for the greatest.
pub const fn bucket_value(bucket: u32) -> u64 {
    let (first, width) = bucket_span(bucket);
    let millisecond = first.div_ceil(1000) * 1000;
    if millisecond < first + width && millisecond + 1000 >= first + width {
        millisecond
    } else {
        first + (width - 1) / 2
    }
}

/// The least latency of a bucket, and how many latencies it holds.
const fn bucket_span(bucket: u32) -> (u64, u64) {
    if bucket < LINEAR_MICROS as u32 {
        return (bucket as u64, 1);
    }
    let bucket = if bucket > BUCKET_MAX { BUCKET_MAX } else { bucket };
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
    fn every_whole_millisecond_below_8_388_s_is_exact() {
        for millis in 0..=8388 {
            assert_eq!(kept(millis * 1000), millis * 1000);
        }
    }

    #[test]
    fn buckets_join_without_hole_or_overlap() {
        let mut next = 0;
        for bucket in 0..=BUCKET_MAX {
            let (first, width) = bucket_span(bucket);
            assert_eq!(first, next, "bucket {bucket}");
            assert_eq!((bucket_of(first), bucket_of(first + width - 1)), (bucket, bucket));
            assert_eq!(bucket_of(bucket_value(bucket)), bucket, "what stands for a bucket lies in it");
            next = first + width;
        }
        assert!(next > LATENCY_MAX_MICROS);
    }

    #[test]
    fn no_bucket_and_no_latency_is_too_great() {
        assert_eq!(bucket_of(u64::MAX), (50 << 13) + 16_383);
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
    fn the_error_of_whole_milliseconds_stays_below_one_in_16384() {
        // in a bucket the error is greatest at its first or its last whole millisecond
        let ends = (0..=BUCKET_MAX).flat_map(|bucket| {
            let (first, width) = bucket_span(bucket);
            let (first, last) = (first.div_ceil(1000) * 1000, (first + width - 1) / 1000 * 1000);
            [first, last].into_iter().filter(move |_| first <= last)
        });
        let (error, micros) = worst(ends.skip(2));
        assert!(error < 1.0 / 16_384.0 && error > 0.00006, "{error} at {micros}");
    }

    #[test]
    fn the_error_of_microseconds_stays_below_one_in_8192() {
        // in a bucket the error is greatest at one of its ends
        let ends = (0..=BUCKET_MAX).flat_map(|bucket| {
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
