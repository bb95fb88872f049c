//! The profile `seed`: the even traffic of the original exercise. Every draw is independent of every other.

use super::dice::Dice;
use logline::{CustomerId, Latency, LogTime, Record, RequestPath, Status};

const CUSTOMERS: u32 = 50;
const PATHS: [&str; 4] = ["/api/v1/resource1", "/api/v1/resource2", "/api/v1/resource3", "/api/v1/resource4"];
const STATUSES: [u16; 7] = [200, 201, 400, 401, 403, 404, 500];
const LATENCY_MS: (u32, u32) = (100, 2000);
const PAST_SECONDS: u32 = 30 * 86_400;

/// Customers, paths and statuses with equal chances, latencies from 0.100 to 2.000 s, times of the 30 days before the start.
#[derive(Debug)]
pub(crate) struct SeedTraffic {
    dice: Dice,
    start: i64,
    customers: Vec<String>,
}

impl SeedTraffic {
    pub(crate) fn new(seed: u64, start: i64) -> Self {
        let customers = (1..=CUSTOMERS).map(|number| format!("cust_{number}")).collect();
        Self { dice: Dice::new(seed, 1), start, customers }
    }

    /// A time in the 30 days before the start.
    pub(crate) fn any_time(&mut self) -> i64 {
        self.start - 1 - i64::from(self.dice.below(PAST_SECONDS))
    }

    pub(crate) fn request(&mut self, second: i64) -> Record<'_> {
        let customer = &self.customers[self.dice.below(CUSTOMERS) as usize];
        let path = self.dice.one_of(&PATHS);
        let status = self.dice.one_of(&STATUSES);
        let latency_ms = self.dice.between(LATENCY_MS.0, LATENCY_MS.1);
        Record {
            time: LogTime::from_second(second).expect("a second of the log's years"),
            customer: CustomerId::new(customer).expect("cust_N is an id"),
            path: Some(RequestPath::new(path).expect("a path of the list is a path")),
            status: Status::new(status).expect("a status of the list is a status"),
            latency: Some(Latency::from_micros(u64::from(latency_ms) * 1000).expect("2 s are a latency")),
        }
    }
}
