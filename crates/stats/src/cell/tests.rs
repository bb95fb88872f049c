//! The cell and its codec.

use proptest::prelude::*;

use super::*;

fn cell_of(requests: &[(u16, Option<u64>)]) -> Cell {
    let mut cell = Cell::default();
    for &(status, latency) in requests {
        cell.observe(status, latency);
    }
    cell
}

fn blob_of(cell: &Cell) -> Vec<u8> {
    let mut blob = Vec::new();
    cell.encode(&mut blob);
    blob
}

fn requests() -> impl Strategy<Value = Vec<(u16, Option<u64>)>> {
    let latency = prop_oneof![0..3_000_000_u64, 0..=LATENCY_MAX_MICROS];
    prop::collection::vec((100..600_u16, prop::option::weighted(0.9, latency)), 0..400)
}

#[test]
fn requests_are_counted() {
    let cell =
        cell_of(&[(200, Some(1000)), (399, Some(3000)), (404, None), (500, Some(2000)), (100, Some(0))]);
    assert_eq!((cell.requests, cell.successes, cell.classes), (5, 2, [1, 1, 1, 1, 1]));
    assert_eq!((cell.latency_sum_micros, cell.latency_max_micros), (6000, 3000));
    let summary = Summary {
        requests: 5,
        successes: 2,
        latencies: 4,
        latency_sum_micros: 6000,
        median_nanos: Some(1_500_000),
        p99_nanos: Some(2_970_000),
    };
    assert_eq!(cell.summary(), summary);
    assert_eq!(Cell::default().summary(), Summary::default());
    assert!(Cell::default().is_empty() && !cell.is_empty());
}

#[test]
fn the_blob_is_what_it_is_said_to_be() {
    assert_eq!(blob_of(&Cell::default()), [2, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(
        blob_of(&cell_of(&[(200, Some(5)), (503, Some(7)), (404, None)])),
        [2, 0, 1, 0, 1, 1, 12, 7, 2, 5, 1, 2, 1]
    );
}

#[test]
fn a_busy_day_takes_about_a_kilobyte() {
    let requests: Vec<_> = (0..20_000_u64).map(|number| (200, Some(number * 7919 % 500 * 1000))).collect();
    let blob = blob_of(&cell_of(&requests));
    assert!((1000..2100).contains(&blob.len()), "{}", blob.len());
}

#[test]
fn damaged_blobs_are_errors() {
    let good = [2, 0, 1, 0, 1, 1, 12, 7, 2, 5, 1, 2, 1];
    assert!(Cell::decode(&good).is_ok());
    for length in 0..good.len() {
        assert!(Cell::decode(&good[..length]).is_err(), "cut after {length} bytes");
    }
    for (at, byte, error_at, what) in [
        (0, 0, 0, "an unknown version"),
        (0, 1, 0, "an unknown version"),
        (2, 0, 13, ""),
        (6, 20, 13, "a sum that the latencies cannot have"),
        (6, 6, 13, "a sum that the latencies cannot have"),
        (7, 8, 13, "a greatest latency that was not counted"),
        (8, 1, 11, "bytes behind its end"),
        (8, 3, 9, "more buckets than bytes"),
        (11, 0, 12, "a bucket twice"),
        (12, 0, 13, "an impossible count"),
        (12, 3, 13, "more latencies than requests"),
    ] {
        let mut blob = good;
        blob[at] = byte;
        let expected = if what.is_empty() { None } else { Some(CodecError { at: error_at, what }) };
        assert_eq!(Cell::decode(&blob).err(), expected, "{blob:?}");
    }
    let longer: Vec<u8> = good.into_iter().chain([0]).collect();
    assert_eq!(Cell::decode(&longer), Err(CodecError { at: 13, what: "bytes behind its end" }));
    assert_eq!(
        Cell::decode(&[2, 0, 0, 0, 0, 0, 1, 0, 0]).expect_err("damaged").what,
        "a sum of no latencies"
    );
    let max = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
    let many = [&[2][..], &max, &max, &[0; 6]].concat();
    assert_eq!(Cell::decode(&many).expect_err("damaged").what, "an impossible number of requests");
    let message = Cell::decode(&[9]).expect_err("damaged").to_string();
    assert_eq!(message, "damaged statistics blob at byte 0: an unknown version");
}

proptest! {
    #[test]
    fn cells_come_back(requests in requests()) {
        let mut cell = cell_of(&requests);
        let blob = blob_of(&cell);
        let read = Cell::decode(&blob).expect("our own blob");
        prop_assert_eq!(&read, &cell);
        prop_assert_eq!(read.summary(), cell.summary());
        cell.shrink();
        prop_assert_eq!(blob_of(&cell), blob);
    }

    #[test]
    fn order_and_grouping_change_nothing(requests in requests(), cut in 0..400_usize) {
        let whole = cell_of(&requests);
        let (left, right) = requests.split_at(cut.min(requests.len()));
        let mut merged = cell_of(right);
        merged.merge(&cell_of(left));
        prop_assert_eq!(blob_of(&merged), blob_of(&whole));
    }

    #[test]
    fn a_damaged_blob_is_an_error_or_another_cell(requests in requests(), damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4), cut: prop::sample::Index) {
        let mut blob = blob_of(&cell_of(&requests));
        for (at, byte) in damage {
            let at = at.index(blob.len());
            blob[at] = byte;
        }
        // what is read without an error is a cell with exactly these bytes, and every method of it works
        if let Ok(mut cell) = Cell::decode(&blob) {
            prop_assert_eq!(&blob_of(&cell), &blob);
            let requests = cell.requests;
            cell.merge(&cell.clone());
            prop_assert!(cell.summary().requests >= requests);
        }
        let length = cut.index(blob.len());
        if let Ok(cell) = Cell::decode(&blob[..length]) {
            prop_assert_eq!(blob_of(&cell), &blob[..length]);
        }
    }

    #[test]
    fn any_bytes_are_an_error_or_a_cell(bytes in prop::collection::vec(prop_oneof![0..4_u8, any::<u8>()], 0..40), version: bool) {
        let mut blob = bytes;
        if version { blob.insert(0, VERSION) }
        if let Ok(cell) = Cell::decode(&blob) {
            prop_assert_eq!(blob_of(&cell), blob);
        }
    }
}

/// A cell of nearly 2^64 requests was read, and the next request counted in it overflowed.
#[test]
fn a_cell_that_could_not_count_on_is_damaged() {
    let mut blob = vec![2];
    for number in [0, 1 << 60, 1, 0, 0, 0, 0, 0] {
        put_varint(number, &mut blob);
    }
    let refused = Cell::decode(&blob).map_err(|error| error.what);
    assert_eq!(refused, Err("an impossible number of requests"));
}
