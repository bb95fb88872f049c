//! What every store must answer about stretches of time, all customers, raw requests and paths. Each case is given an empty store.

use std::collections::BTreeMap;

use stats::{Cell, Percentile, TimeRange};
use store::{
    CellsQuery, PathsQuery, RawRow, ReadError, RequestFilter, RequestsQuery, StatsStore, TableQuery,
};

use crate::cases::{ALL_TIME, CUSTOMERS, draws, range, ranges};
use crate::log::{DAY, DAY_0, Latencies, Log, Request, request, requests};
use crate::subject::Subject;

pub(crate) const PERCENTILES: [Percentile; 2] = [Percentile::P95, Percentile::P50];

/// Stretches of nine days: days, hours, quarter-hours, and one of nothing.
pub(crate) fn cells_query(customer: Option<&str>) -> CellsQuery {
    let mut bounds = vec![
        DAY_0 - 900 * DAY,
        DAY_0 - 2 * DAY,
        DAY_0,
        DAY_0,
        DAY_0 + DAY - 900,
        DAY_0 + DAY,
        DAY_0 + DAY + 900,
    ];
    bounds.extend((1..48).map(|hour| DAY_0 + DAY + hour * 3600));
    bounds.extend([DAY_0 + 6 * DAY - 7 * 900, DAY_0 + 8 * DAY + 900, DAY_0 + 9 * DAY]);
    CellsQuery { customer: customer.map(str::to_owned), bounds }
}

/// A page of a customer's requests in those days.
pub(crate) fn requests_query(customer: &str) -> RequestsQuery {
    let filter = RequestFilter::default();
    RequestsQuery {
        customer: customer.to_owned(),
        range: range(DAY_0, DAY_0 + 9 * DAY),
        filter,
        after: None,
        limit: 100,
    }
}

pub(crate) fn counted<'a>(requests: impl Iterator<Item = &'a Request>) -> Cell {
    let mut cell = Cell::default();
    requests.for_each(|request| cell.observe(request.status, request.micros));
    cell.settle();
    cell
}

pub(crate) fn within(range: TimeRange) -> impl Fn(&&Request) -> bool {
    move |request| (range.from_second..range.to_second).contains(&request.second)
}

pub(crate) fn of(customer: Option<&str>) -> impl Fn(&&Request) -> bool {
    move |request| customer.is_none_or(|customer| customer == request.customer)
}

pub(crate) async fn stored(subject: &mut impl Subject) -> Vec<Request> {
    let mut stored = Vec::new();
    for (number, requests) in draws(requests(Latencies::Exact), 3).into_iter().enumerate() {
        let log = Log::of(requests).from(["main", "other"][number % 2], 1_000_000 * number as u64);
        subject.store(&log).await;
        stored.extend(log.requests);
    }
    stored
}

pub(crate) async fn cells_of_stretches_are_an_exact_recount(mut subject: impl Subject) {
    let stored = stored(&mut subject).await;
    let reader = subject.reader();
    for customer in CUSTOMERS {
        let query = cells_query(customer);
        let answer = reader.cells(&query).await.expect("an answer");
        assert_eq!(answer.cells.len(), query.bounds.len() - 1);
        for (stretch, cell) in query.bounds.windows(2).zip(answer.cells) {
            let expected =
                counted(stored.iter().filter(of(customer)).filter(within(range(stretch[0], stretch[1]))));
            assert_eq!(cell, expected, "{customer:?} {stretch:?}");
        }
        assert_eq!(answer.known, stored.iter().any(|request| of(customer)(&request)), "{customer:?}");
    }
    for bounds in [vec![], vec![DAY_0]] {
        let answer = reader.cells(&CellsQuery { customer: None, bounds }).await.expect("an answer");
        assert_eq!((answer.cells.len(), answer.known), (0, true));
    }
}

pub(crate) async fn minutes_are_told_apart(mut subject: impl Subject) {
    let start = DAY_0 + 19 * DAY + 7 * 60;
    let requests: Vec<Request> =
        (0..200).map(|number| request(start + number * 7, "a", 200, number as u64)).collect();
    subject.store(&Log::of(requests.clone())).await;
    let bounds: Vec<i64> = (0..30).map(|minute| start - 120 + minute * 60).collect();
    let query = CellsQuery { customer: Some("a".to_owned()), bounds };
    let answer = subject.reader().cells(&query).await.expect("an answer");
    for (stretch, cell) in query.bounds.windows(2).zip(answer.cells) {
        assert_eq!(
            cell,
            counted(requests.iter().filter(within(range(stretch[0], stretch[1])))),
            "{stretch:?}"
        );
    }
}

/// How many customers have their first request in a range.
pub(crate) fn newcomers(stored: &[Request], range: TimeRange) -> u64 {
    let mut first = BTreeMap::<&str, i64>::new();
    for request in stored {
        let second = first.entry(&request.customer).or_insert(request.second);
        *second = request.second.min(*second);
    }
    first.values().filter(|second| (range.from_second..range.to_second).contains(second)).count() as u64
}

pub(crate) async fn newcomers_are_those_without_a_request_before_the_range(mut subject: impl Subject) {
    let at = |second: i64, customer: &str| request(second, customer, 200, 1_000);
    let day = DAY_0 + 5 * DAY;
    let first = vec![
        at(day - 4 * DAY, "long_ago"),
        at(day - 1, "a_second_before"),
        at(day, "at_its_beginning"),
        at(day + 900, "a_quarter_later"),
        at(day + 1800, "at_its_end"),
    ];
    let again = ["long_ago", "a_second_before", "at_its_beginning", "a_quarter_later"];
    let again: Vec<Request> =
        again.into_iter().flat_map(|id| [at(day + 1000, id), at(day + 3 * DAY, id)]).collect();
    subject.store(&Log::of(first.clone())).await;
    subject.store(&Log::of(again.clone()).from("other", 7_000_000)).await;
    let stored = [first, again].concat();
    let reader = subject.reader();
    for (from, to, expected) in [
        (day, day + 1800, 2),
        (day, day + DAY, 3),
        (day + 900, day + 1800, 1),
        (day - 900, day + 900, 2),
        (day + 2700, day + 9 * DAY, 0),
        (day - 4 * DAY, day + 9 * DAY, 5),
        (day - 90 * DAY, day - 30 * DAY, 0),
    ] {
        let query = TableQuery { range: range(from, to), percentiles: vec![], newcomers: true };
        let answer = reader.table(&query).await.expect("an answer");
        assert_eq!(
            (answer.newcomers, newcomers(&stored, query.range)),
            (Some(expected), expected),
            "{from} {to}"
        );
        let unasked = reader.table(&TableQuery { newcomers: false, ..query }).await.expect("an answer");
        assert_eq!((unasked.newcomers, unasked.rows), (None, answer.rows));
    }
}

pub(crate) async fn a_table_has_every_customer_of_the_range(mut subject: impl Subject) {
    let stored = stored(&mut subject).await;
    let reader = subject.reader();
    for range in ranges() {
        let query = TableQuery { range, percentiles: PERCENTILES.to_vec(), newcomers: true };
        let answer = reader.table(&query).await.expect("an answer");
        assert_eq!(answer.newcomers, Some(newcomers(&stored, range)), "{range:?}");
        let mut expected = BTreeMap::<&str, Vec<&Request>>::new();
        for request in stored.iter().filter(within(range)) {
            expected.entry(&request.customer).or_default().push(request);
        }
        let ids: Vec<&str> = answer.rows.iter().map(|row| row.id.as_str()).collect();
        assert_eq!(ids, expected.keys().copied().collect::<Vec<_>>(), "{range:?}");
        for row in &answer.rows {
            let cell = counted(expected[row.id.as_str()].iter().copied());
            assert_eq!(row.measures, cell.measures(&PERCENTILES), "{} {range:?}", row.id);
            let newest = stored.iter().filter(of(Some(&row.id))).map(|request| request.second).max();
            assert_eq!(Some(row.last_seen_second), newest, "{}", row.id);
        }
    }
}

/// A row without its place in the log, which the suite does not make anew.
fn told(row: &RawRow) -> (i64, u16, Option<u64>, Option<String>) {
    (row.time_nanos.div_euclid(1_000_000_000), row.status, row.latency_micros, row.path.clone())
}

pub(crate) async fn raw_requests_come_in_pages_newest_first(mut subject: impl Subject) {
    let stored = stored(&mut subject).await;
    let reader = subject.reader();
    let filters = [
        RequestFilter::default(),
        RequestFilter { class: Some(5), ..RequestFilter::default() },
        RequestFilter { path: Some("/200".to_owned()), ..RequestFilter::default() },
        RequestFilter { min_latency_micros: Some(3_000_000), class: Some(2), ..RequestFilter::default() },
        RequestFilter { path: Some("/none".to_owned()), ..RequestFilter::default() },
    ];
    for (filter, limit) in filters.iter().flat_map(|filter| [(filter, 7), (filter, 1000)]) {
        let range = range(DAY_0 + 900, DAY_0 + 7 * DAY);
        let customer = "cust_1";
        let mut query = RequestsQuery {
            customer: customer.to_owned(),
            range,
            filter: filter.clone(),
            after: None,
            limit,
        };
        let mut found: Vec<RawRow> = Vec::new();
        loop {
            let page = reader.requests(&query).await.expect("a page");
            assert!(page.requests.len() <= limit && page.known);
            assert_eq!(page.covered.to_second, range.to_second);
            found.extend(page.requests);
            query.after = page.next;
            if page.next.is_none() {
                break;
            }
        }
        assert!(found.is_sorted_by(|a, b| a.time_nanos >= b.time_nanos), "newest first");
        let mut expected: Vec<_> = stored
            .iter()
            .filter(of(Some(customer)))
            .filter(within(range))
            .map(|request| RawRow {
                time_nanos: request.second * 1_000_000_000,
                status: request.status,
                latency_micros: request.micros,
                path: request.path.clone(),
            })
            .filter(|row| filter.takes(row))
            .map(|row| told(&row))
            .collect();
        expected.sort_unstable();
        let mut found: Vec<_> = found.iter().map(told).collect();
        found.sort_unstable();
        assert_eq!(found, expected, "{filter:?}, {limit} a page");
    }
}

pub(crate) async fn requests_by_path_are_an_exact_recount(mut subject: impl Subject) {
    let mut stored = stored(&mut subject).await;
    let bare = Request { path: None, micros: None, ..request(DAY_0 + 5, "cust_1", 503, 0) };
    subject.store(&Log::of(vec![bare.clone()]).from("bare", 900_000_000)).await;
    stored.push(bare);
    let reader = subject.reader();
    for range in [range(DAY_0, DAY_0 + 9 * DAY), range(DAY_0, DAY_0), ALL_TIME] {
        let query = PathsQuery { customer: "cust_1".to_owned(), range, percentiles: PERCENTILES.to_vec() };
        let answer = reader.paths(&query).await.expect("an answer");
        let mut expected = BTreeMap::<Option<String>, Vec<&Request>>::new();
        for request in stored.iter().filter(of(Some("cust_1"))).filter(within(range)) {
            expected.entry(request.path.clone()).or_default().push(request);
        }
        let expected: Vec<_> = expected
            .into_iter()
            .map(|(path, requests)| (path, counted(requests.into_iter()).measures(&PERCENTILES)))
            .collect();
        assert_eq!(answer.paths, expected, "{range:?}");
        assert_eq!((answer.other.requests, answer.known), (0, true));
    }
}

pub(crate) async fn whoever_has_no_day_is_not_known(mut subject: impl Subject) {
    let stretch = [DAY_0 + 2 * DAY, DAY_0 + 3 * DAY];
    subject.store(&Log::of(vec![request(DAY_0 + 5, "a", 200, 1)])).await;
    let reader = subject.reader();
    for (customer, expected) in
        [(None, true), (Some("a"), true), (Some("A"), false), (Some("b"), false), (Some(""), false)]
    {
        for bounds in [&stretch[..], &[]] {
            let query = CellsQuery { customer: customer.map(str::to_owned), bounds: bounds.to_vec() };
            let answer = reader.cells(&query).await.expect("an answer");
            let none = vec![Cell::default(); bounds.len().saturating_sub(1)];
            assert_eq!((answer.known, answer.cells), (expected, none), "{customer:?}");
        }
    }
}

pub(crate) async fn who_is_not_there_is_not_known(mut subject: impl Subject) {
    subject.store(&Log::of(vec![request(DAY_0 + 5, "a", 200, 1)])).await;
    let reader = subject.reader();
    let empty = range(DAY_0 + 2 * DAY, DAY_0 + 3 * DAY);
    for (id, known) in [("a", true), ("A", false), ("", false), ("a\0", false)] {
        let customer = || id.to_owned();
        let bounds = vec![empty.from_second, empty.to_second];
        let cells =
            reader.cells(&CellsQuery { customer: Some(customer()), bounds }).await.expect("an answer");
        assert_eq!((cells.known, &cells.cells[..]), (known, &[Cell::default()][..]), "{id:?}");
        let filter = RequestFilter::default();
        let query = RequestsQuery { customer: customer(), range: empty, filter, after: None, limit: 1 };
        let page = reader.requests(&query).await.expect("a page");
        assert_eq!((page.known, page.requests.len(), page.next), (known, 0, None), "{id:?}");
        let query = PathsQuery { customer: customer(), range: empty, percentiles: vec![] };
        let paths = reader.paths(&query).await.expect("an answer");
        assert_eq!((paths.known, paths.paths.len()), (known, 0), "{id:?}");
    }
}

/// Only the ledger forgets parts: a minute of an old day cannot be told there.
pub(crate) async fn what_is_not_kept_in_parts_is_refused(mut subject: impl Subject) {
    subject.store(&Log::of(vec![request(DAY_0 - 200 * DAY, "a", 200, 1)])).await;
    let reader = subject.reader();
    let bounds = vec![DAY_0 - 200 * DAY, DAY_0 - 200 * DAY + 900];
    let refused = reader.cells(&CellsQuery { customer: None, bounds: bounds.clone() }).await;
    assert_eq!(refused, Err(ReadError::NotKept { second: bounds[1], kind: stats::WindowKind::Day }));
    let query = TableQuery { range: range(bounds[0], bounds[1]), percentiles: vec![], newcomers: true };
    assert!(matches!(reader.table(&query).await, Err(ReadError::NotKept { .. })));
}
