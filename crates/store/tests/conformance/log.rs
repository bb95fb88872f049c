//! Logs to store: requests with their places, plain and random.

use proptest::prelude::*;
use store::KeyStart;

/// 2024-09-14 00:00:00 UTC, the day of the original's example.
pub(crate) const DAY_0: i64 = 1_726_272_000;
pub(crate) const DAY: i64 = 86_400;

/// One generation of a log.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    pub(crate) source: String,
    pub(crate) start: KeyStart,
    pub(crate) requests: Vec<Request>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) second: i64,
    pub(crate) customer: String,
    pub(crate) path: Option<String>,
    pub(crate) status: u16,
    pub(crate) micros: Option<u64>,
}

impl Log {
    pub(crate) fn of(requests: Vec<Request>) -> Log {
        Log { source: "main".to_owned(), start: KeyStart(12_345), requests }
    }

    pub(crate) fn from(self, source: &str, start: u64) -> Log {
        Log { source: source.to_owned(), start: KeyStart(start), ..self }
    }
}

pub(crate) fn request(second: i64, customer: &str, status: u16, millis: u64) -> Request {
    Request {
        second,
        customer: customer.to_owned(),
        path: Some("/api/v1/resource4".to_owned()),
        status,
        micros: Some(millis * 1000),
    }
}

/// Which latencies are drawn.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Latencies {
    /// Such as the histogram keeps exactly: whole milliseconds, and microseconds below 16.384 ms.
    Exact,
    /// Any.
    Any,
}

/// Requests of a few customers over some days, in any order of time, with empty days and crowded seconds among them.
pub(crate) fn requests(latencies: Latencies) -> impl Strategy<Value = Vec<Request>> {
    let micros = match latencies {
        Latencies::Exact => {
            prop_oneof![7 => (0_u64..8_388).prop_map(|millis| millis * 1000), 1 => (0_u64..=86_400_000).prop_map(|millis| millis * 1000), 2 => 0_u64..16_384].boxed()
        }
        Latencies::Any => {
            prop_oneof![0_u64..20_000_000, 0_u64..=86_400_000_000, Just(86_400_000_000)].boxed()
        }
    };
    let second = prop_oneof![
        6 => (0_i64..9, 0_i64..DAY).prop_map(|(day, second)| DAY_0 + day / 3 * 3 * DAY + second),
        2 => (0_i64..5).prop_map(|second| DAY_0 + DAY - 2 + second),
    ];
    let customer = prop::sample::select(vec!["cust_1", "cust_2", "cust_10", "Cust_1", "é"]);
    let status = prop_oneof![4 => Just(200_u16), 1 => 100_u16..600];
    let one = (second, customer, status, prop::option::weighted(0.9, micros)).prop_map(
        |(second, customer, status, micros)| Request {
            second,
            customer: customer.to_owned(),
            path: Some(format!("/{status}")),
            status,
            micros,
        },
    );
    prop::collection::vec(one, 1..400)
}
