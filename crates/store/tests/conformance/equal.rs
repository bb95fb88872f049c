//! All ways give equal answers to the last digit, whatever the latencies are: the ledger's cells, the statistics published out of them, InfluxDB's single requests. Method and freshness aside,
//! which are about the store and not about the log.

use store::{CustomersQuery, Method, PathsQuery, StatsStore, TableQuery};

use crate::cases::{CUSTOMERS, ask, draws, range, ranges};
use crate::cells::Published;
use crate::log::{DAY, DAY_0, Latencies, Log, requests};
use crate::questions::{PERCENTILES, cells_query, requests_query};
use crate::subject::{Embedded, Influx, Subject};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_stores_give_equal_answers() {
    let (mut embedded, mut influx) = (Embedded::new(), Influx::new().await);
    let mut published = Published::new().await;
    let (embedded_reader, influx_reader) = (embedded.reader(), influx.reader());
    let published_reader = published.reader();
    for (number, requests) in draws(requests(Latencies::Any), 6).into_iter().enumerate() {
        let source = if number % 2 == 0 { "main" } else { "other" };
        let log = Log::of(requests).from(source, 1_000_000 * number as u64);
        embedded.store(&log).await;
        influx.store(&log).await;
        published.store(&log).await;
        for range in ranges() {
            for customer in CUSTOMERS {
                let left = ask(&embedded_reader, customer, range).await;
                let right = ask(&influx_reader, customer, range).await;
                assert_eq!(left.total, right.total, "after log {number}: {customer:?} {range:?}");
                assert_eq!(left.daily, right.daily, "after log {number}: {customer:?} {range:?}");
                assert_eq!(left.covered, right.covered, "after log {number}: {customer:?} {range:?}");
                assert_eq!((left.method, right.method), (Method::Cells, Method::Raw));
                let cells = ask(&published_reader, customer, range).await;
                assert_eq!(
                    (cells.total, cells.daily, cells.covered, cells.method),
                    (left.total, left.daily, left.covered, left.method),
                    "after log {number}: {customer:?} {range:?}"
                );
            }
        }
        for customer in CUSTOMERS {
            let query = cells_query(customer);
            let left = embedded_reader.cells(&query).await.expect("an answer");
            let right = influx_reader.cells(&query).await.expect("an answer");
            let cells = published_reader.cells(&query).await.expect("an answer");
            assert_eq!((left.method, right.method), (Method::Cells, Method::Raw));
            assert_eq!((&cells.cells, cells.known, cells.method), (&left.cells, left.known, left.method));
            for (number, (left, right)) in left.cells.iter().zip(&right.cells).enumerate() {
                // The greatest latency is exact in both; a histogram keeps as much of it as of the others.
                assert_eq!(
                    left.measures(&PERCENTILES),
                    right.measures(&PERCENTILES),
                    "{customer:?}, stretch {number}"
                );
            }
            assert_eq!(left.known, right.known, "{customer:?}");
            let Some(customer) = customer else { continue };
            let range = range(DAY_0, DAY_0 + 9 * DAY);
            let query =
                PathsQuery { customer: customer.to_owned(), range, percentiles: PERCENTILES.to_vec() };
            let left = embedded_reader.paths(&query).await.expect("an answer");
            let right = influx_reader.paths(&query).await.expect("an answer");
            assert_eq!(
                (left.paths, left.other, left.known),
                (right.paths, right.other, right.known),
                "{customer}"
            );
            let query = requests_query(customer);
            let left = embedded_reader.requests(&query).await.expect("an answer");
            let right = influx_reader.requests(&query).await.expect("an answer");
            assert_eq!(
                (left.requests, left.next, left.known),
                (right.requests, right.next, right.known),
                "{customer}"
            );
        }
        for range in ranges() {
            let query = TableQuery { range, percentiles: PERCENTILES.to_vec(), newcomers: true };
            let left = embedded_reader.table(&query).await.expect("an answer");
            let right = influx_reader.table(&query).await.expect("an answer");
            assert_eq!(left.rows, right.rows, "after log {number}: {range:?}");
            let cells = published_reader.table(&query).await.expect("an answer");
            let newcomers = [left.newcomers, right.newcomers];
            assert_eq!(newcomers, [cells.newcomers; 2], "after log {number}: {range:?}");
            assert_eq!((cells.rows, cells.method), (left.rows, left.method), "after log {number}: {range:?}");
        }
        for limit in [2, 100] {
            let query = CustomersQuery { after: None, limit };
            let left = embedded_reader.customers(&query).await.expect("a page");
            let right = influx_reader.customers(&query).await.expect("a page");
            let cells = published_reader.customers(&query).await.expect("a page");
            assert_eq!((&left.customers, left.more), (&right.customers, right.more), "after log {number}");
            assert_eq!((cells.customers, cells.more), (left.customers, left.more), "after log {number}");
        }
    }
    assert_eq!(published_reader.raw_questions(), 0);
    assert!(influx_reader.raw_questions() > 100);
}
