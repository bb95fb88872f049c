//! All ways give equal answers to the last digit, whatever the latencies are: the ledger's cells, the statistics published out of them, InfluxDB's single requests. Method and freshness aside,
//! which are about the store and not about the log.

use store::{CustomersQuery, Method, StatsStore};

use crate::cases::{CUSTOMERS, ask, draws, ranges};
use crate::cells::Published;
use crate::log::{Latencies, Log, requests};
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
