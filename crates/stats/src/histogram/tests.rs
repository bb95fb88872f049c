//! The histogram against a plain map of counts and against an exact sort.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::quantile_nanos_of_sorted;

fn histogram_of(latencies: &[u64]) -> Histogram {
    let mut histogram = Histogram::default();
    for &micros in latencies {
        histogram.observe(micros);
    }
    histogram
}

fn counts_of(latencies: &[u64]) -> Vec<(u32, u64)> {
    let mut counts = BTreeMap::new();
    for &micros in latencies {
        *counts.entry(bucket_of(micros)).or_insert(0) += 1;
    }
    counts.into_iter().collect()
}

fn blob_of(histogram: &Histogram) -> Vec<u8> {
    let mut blob = Vec::new();
    histogram.encode(&mut blob);
    blob
}

/// Latencies as logs have them: mostly milliseconds of a few seconds, some of any kind.
fn latency() -> impl Strategy<Value = u64> {
    prop_oneof![
        4 => (0..3000_u64).prop_map(|millis| millis * 1000),
        1 => 0..20_000_u64,
        1 => 0..=LATENCY_MAX_MICROS,
    ]
}

fn latencies() -> impl Strategy<Value = Vec<u64>> {
    prop_oneof![prop::collection::vec(latency(), 0..20), prop::collection::vec(latency(), 0..700)]
}

#[test]
fn the_blob_is_what_it_is_said_to_be() {
    for (latencies, blob) in [
        (&[][..], &[0][..]),
        (&[0], &[1, 0, 1]),
        (&[5, 5, 5, 7], &[2, 5, 3, 2, 1]),
        // 772,000 µs has 20 bits, so e = 6: bucket (6 << 13) + 12,062 = 61,214
        (&[772_000, 772_000, 0], &[2, 0, 1, 0x9e, 0xde, 3, 2]),
    ] {
        assert_eq!(blob_of(&histogram_of(latencies)), blob, "{latencies:?}");
    }
}

#[test]
fn damaged_blobs_are_errors() {
    let last = BUCKET_MAX.to_le_bytes();
    assert_eq!(bucket_of(LATENCY_MAX_MICROS), BUCKET_MAX, "{last:?}");
    let mut above = vec![1];
    put_varint(u64::from(BUCKET_MAX) + 1, &mut above);
    above.push(1);
    let mut many = vec![1, 1];
    put_varint(Entry::COUNT_MAX + 1, &mut many);
    for (blob, what) in [
        (&[][..], "it ends too early"),
        (&[1], "more buckets than bytes"),
        (&[1, 0], "more buckets than bytes"),
        (&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 0, 0], "more buckets than bytes"),
        (&[1, 0x80, 1], "it ends too early"),
        (&[1, 0, 0], "an impossible count"),
        (&[2, 3, 1, 0, 1], "a bucket twice"),
        (&above, "a bucket above one day"),
        (&many, "an impossible count"),
        (&[1, 0x80, 0, 1], "a number longer than needed"),
    ] {
        assert_eq!(Histogram::decode(blob).expect_err("damaged").what, what, "{blob:?}");
    }
}

#[test]
fn quantiles_between_ranks() {
    for (latencies, numerator, denominator, nanos) in [
        (&[][..], 1, 2, None),
        (&[7_000], 1, 2, Some(7_000_000)),
        (&[7_000], 99, 100, Some(7_000_000)),
        (&[1_000, 2_000], 1, 2, Some(1_500_000)),
        (&[1, 2], 1, 2, Some(1_500)),
        (&[0, 1], 1, 3, Some(333)),
        (&[0, 1], 2, 3, Some(667)),
        // half a nanosecond is rounded up
        (&[0, 1], 1, 2000, Some(1)),
        (&[0, 1], 1, 2001, Some(0)),
        (&[1_000, 2_000, 3_000, 4_000], 99, 100, Some(3_970_000)),
        (&[1_000, 2_000, 3_000, 4_000], 0, 1, Some(1_000_000)),
        (&[1_000, 2_000, 3_000, 4_000], 1, 1, Some(4_000_000)),
        (&[1_000, 2_000], 3, 2, None),
        (&[1_000, 2_000], 0, 0, None),
    ] {
        assert_eq!(quantile_nanos_of_sorted(latencies, numerator, denominator), nanos, "{latencies:?}");
        assert_eq!(histogram_of(latencies).quantile_nanos(numerator, denominator), nanos, "{latencies:?}");
    }
    // the greatest numbers neither overflow nor panic
    let far = [0, u64::MAX];
    assert_eq!(quantile_nanos_of_sorted(&far, u64::MAX - 1, u64::MAX), Some(u64::MAX));
    assert_eq!(quantile_nanos_of_sorted(&far, 1, u64::MAX), Some(1000));
}

#[test]
fn what_waits_stays_bounded() {
    let mut histogram = Histogram::default();
    for number in 0..1_000_000_u64 {
        histogram.observe(number.wrapping_mul(7919) % 2000 * 1000);
        assert!(histogram.pending.capacity() <= 2 * PENDING_MIN.max(2 * histogram.settled.len()));
    }
    assert_eq!((histogram.count(), histogram.settled.len()), (1_000_000, 2000));
    histogram.shrink();
    assert_eq!((histogram.pending.capacity(), histogram.settled.capacity()), (0, 2000));
    assert_eq!(histogram.count(), 1_000_000);
}

#[test]
fn what_is_longer_than_a_day_counts_as_a_day() {
    let mut histogram = histogram_of(&[u64::MAX]);
    histogram.add(u32::MAX, 2);
    histogram.add(3, 0);
    assert_eq!(histogram.buckets(), [(BUCKET_MAX, 3)]);
    assert_eq!(Histogram::decode(&blob_of(&histogram)).map(|(read, _)| read), Ok(histogram));
}

proptest! {
    #[test]
    fn counts_are_those_of_a_plain_map(latencies in latencies(), settle_at in 0..700_usize) {
        let mut histogram = Histogram::default();
        for (number, &micros) in latencies.iter().enumerate() {
            histogram.observe(micros);
            if number == settle_at {
                histogram.settle();
            }
        }
        let expected = counts_of(&latencies);
        prop_assert_eq!(histogram.buckets(), expected.clone());
        prop_assert_eq!(histogram.count(), latencies.len() as u64);
        prop_assert_eq!(histogram.last_bucket(), expected.last().map(|pair| pair.0));

        let unsettled = histogram.clone();
        histogram.shrink();
        prop_assert_eq!(&histogram, &unsettled);
        prop_assert_eq!(blob_of(&histogram), blob_of(&unsettled));

        let mut added = Histogram::default();
        for &(bucket, count) in expected.iter().rev() {
            added.add(bucket, count);
        }
        prop_assert_eq!(added, histogram);
    }

    #[test]
    fn order_and_grouping_change_nothing(latencies in latencies(), cut in 0..700_usize, settle: [bool; 2]) {
        let whole = histogram_of(&latencies);
        let (left, right) = latencies.split_at(cut.min(latencies.len()));
        let (mut left, mut right) = (histogram_of(left), histogram_of(right));
        if settle[0] { left.settle() }
        if settle[1] { right.settle() }
        let mut merged = left.clone();
        merged.merge(&right);
        prop_assert_eq!(&merged, &whole);
        let mut reversed = right;
        reversed.merge(&left);
        prop_assert_eq!(blob_of(&reversed), blob_of(&whole));
    }

    /// As a table of all customers does it: a month of small days, into one that grows; what waits is in every answer, and stays bounded.
    #[test]
    fn many_small_ones_are_merged_into_a_large_one(latencies in latencies(), pieces in 1..60_usize, times in 1..8_u64) {
        let mut merged = Histogram::default();
        let mut plain = Histogram::default();
        for _ in 0..times {
            for piece in latencies.chunks(latencies.len().div_ceil(pieces).max(1)) {
                let mut piece = histogram_of(piece);
                piece.settle();
                merged.merge(&piece);
                merge_into(&mut plain.settled, &piece.settled);
                prop_assert!(merged.pending.capacity() <= 2 * PENDING_MIN.max(2 * merged.settled.len()));
                prop_assert_eq!(merged.count(), plain.count());
            }
        }
        prop_assert_eq!(merged.quantile_nanos(99, 100), plain.quantile_nanos(99, 100));
        prop_assert_eq!(blob_of(&merged), blob_of(&plain));
        prop_assert_eq!(&merged, &plain);
        // And the other way round: what waits is merged, too.
        plain.merge(&merged);
        prop_assert_eq!(plain.count(), 2 * merged.count());
    }

    #[test]
    fn blobs_come_back(latencies in latencies(), behind: [u8; 3]) {
        let histogram = histogram_of(&latencies);
        let mut blob = blob_of(&histogram);
        let length = blob.len();
        blob.extend(behind);
        prop_assert_eq!(Histogram::decode(&blob), Ok((histogram, length)));
    }

    #[test]
    fn quantiles_are_those_of_the_sorted_bucket_values(
        latencies in latencies(), numerator in 0..=1000_u64, denominator in prop_oneof![Just(1000_u64), 1000..u64::MAX],
    ) {
        let mut sorted: Vec<u64> = latencies.iter().map(|&micros| bucket_value(bucket_of(micros))).collect();
        sorted.sort_unstable();
        let expected = quantile_nanos_of_sorted(&sorted, numerator, denominator);
        let mut histogram = histogram_of(&latencies);
        prop_assert_eq!(histogram.quantile_nanos(numerator, denominator), expected);
        histogram.settle();
        prop_assert_eq!(histogram.quantile_nanos(numerator, denominator), expected);
        // higher ones first: the order of the questions does not matter
        let together = histogram.quantiles_nanos([(1, 1), (numerator, denominator), (0, 1)]);
        prop_assert_eq!(together[1], expected);
    }

    #[test]
    fn quantiles_of_milliseconds_are_exact(
        mut latencies in prop::collection::vec(prop_oneof![4 => 0..=8388_u64, 1 => 8000..20_000_u64, 1 => 0..=86_400_000_u64].prop_map(|millis| millis * 1000), 1..500), percent in 0..=100_u64,
    ) {
        let histogram = histogram_of(&latencies);
        latencies.sort_unstable();
        let exact = quantile_nanos_of_sorted(&latencies, percent, 100);
        prop_assert_eq!(histogram.quantile_nanos(percent, 100), exact);
        // the same by the textbook, in floats
        let h = (latencies.len() - 1) as f64 * percent as f64 / 100.0;
        let (below, above) = (latencies[h as usize] as f64, latencies[h.ceil() as usize] as f64);
        let textbook = (below + (above - below) * h.fract()) * 1000.0;
        prop_assert!((textbook - exact.expect("not empty") as f64).abs() < 2.0);
    }
}
