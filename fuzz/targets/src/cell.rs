//! The codec of cells and histograms: any bytes are safe, every cell has one form, and what was counted is what is read.

use logline::LATENCY_MAX_MICROS;
use stats::{Cell, Histogram, bucket_of, bucket_value, quantile_nanos_of_sorted};

/// Pieces of blobs.
pub const TOKENS: &[&[u8]] = &[
    b"\x02",
    b"\x01\x01",
    b"\x80",
    b"\x80\x00",
    b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    b"\xff\xff\xff\xff\x0f",
    b"\xff\xff\xff\xff\xff\x07",
    b"\x02\x00\x01\x00\x00\x00\xe8\x07\xe8\x07\x01\xe8\x07\x01",
    b"\x00\x00\x00\x00\x00\x00\x00\x00",
];

/// A blob that is read is written again as it was; requests that are counted come back as they were counted.
pub fn cell(bytes: &[u8]) {
    if let Ok(cell) = Cell::decode(bytes) {
        assert_eq!(encoded(&cell), bytes, "a cell with two forms");
        let summary = cell.summary();
        assert!(summary.successes <= summary.requests && summary.latencies <= summary.requests);
        assert!(summary.median_nanos <= summary.p99_nanos, "{summary:?}");
        let mut twice = cell.clone();
        twice.merge(&cell);
        twice.observe(200, Some(1));
    }
    let mut counted = Cell::default();
    let mut values = Vec::new();
    for chunk in bytes.chunks_exact(6) {
        let number = u64::from_le_bytes([chunk[0], chunk[1], chunk[2], chunk[3], chunk[4], 0, 0, 0]);
        let latency = (number % 7 != 6).then(|| (number >> (number % 7 * 5)).min(LATENCY_MAX_MICROS));
        let status = 100 + (u16::from(chunk[5]) * 2) % 500;
        counted.observe(status, latency);
        values.extend(latency.map(|micros| bucket_value(bucket_of(micros))));
    }
    let read = Cell::decode(&encoded(&counted)).expect("what we wrote");
    assert_eq!(read, counted, "what was counted is not what is read");
    values.sort_unstable();
    let summary = read.summary();
    assert_eq!(summary.latencies, values.len() as u64);
    assert_eq!(summary.median_nanos, quantile_nanos_of_sorted(&values, 1, 2), "the median");
    assert_eq!(summary.p99_nanos, quantile_nanos_of_sorted(&values, 99, 100), "the p99");
}

/// The same for a histogram alone, and merging two is counting both.
pub fn histogram(bytes: &[u8]) {
    let Ok((read, length)) = Histogram::decode(bytes) else { return };
    let mut again = Vec::new();
    read.encode(&mut again);
    assert_eq!(again, bytes[..length], "a histogram with two forms");
    assert_eq!(read.count(), read.buckets().iter().map(|(_, count)| count).sum::<u64>());
    let quantiles = read.quantiles_nanos([(0, 1), (1, 2), (99, 100), (1, 1)]);
    assert!(quantiles.is_sorted(), "{quantiles:?}");
    assert_eq!(quantiles[0].is_some(), read.count() > 0);
    if let Ok((other, _)) = Histogram::decode(&bytes[length..]) {
        let mut one = read.clone();
        one.merge(&other);
        let mut two = other.clone();
        two.merge(&read);
        assert_eq!(one, two, "the order of merging matters");
    }
}

fn encoded(cell: &Cell) -> Vec<u8> {
    let mut blob = Vec::new();
    cell.encode(&mut blob);
    blob
}
