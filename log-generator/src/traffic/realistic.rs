//! The profile `realistic`: a few hundred customers of very unequal size, latencies with a long tail, busy hours, clients that
//! err in their own ways, and incidents.

use super::dice::{Dice, Weights, exp, fate};
use super::incidents::Incidents;
use super::rhythm;
use logline::{CustomerId, Latency, LogTime, Record, RequestPath, Status};

const CUSTOMERS: u32 = 300;

/// A path, how often it is asked, how long it takes and what it answers when all is well.
struct Endpoint {
    path: &'static str,
    weight: u32,
    median_ms: f64,
    /// The spread of the latency's logarithm.
    spread: f64,
    success: u16,
}

#[rustfmt::skip]
const ENDPOINTS: [Endpoint; 12] = [
    Endpoint { path: "/api/v1/orders",        weight: 22, median_ms: 48.0,  spread: 0.55, success: 200 },
    Endpoint { path: "/api/v1/products",      weight: 20, median_ms: 22.0,  spread: 0.45, success: 200 },
    Endpoint { path: "/api/v1/search",        weight: 12, median_ms: 130.0, spread: 0.75, success: 200 },
    Endpoint { path: "/api/v1/users/me",      weight: 11, median_ms: 9.0,   spread: 0.40, success: 200 },
    Endpoint { path: "/api/v1/carts",         weight: 9,  median_ms: 35.0,  spread: 0.50, success: 201 },
    Endpoint { path: "/api/v1/inventory",     weight: 7,  median_ms: 28.0,  spread: 0.50, success: 200 },
    Endpoint { path: "/api/v1/payments",      weight: 6,  median_ms: 240.0, spread: 0.60, success: 201 },
    Endpoint { path: "/api/v1/webhooks",      weight: 4,  median_ms: 60.0,  spread: 0.90, success: 202 },
    Endpoint { path: "/api/v1/notifications", weight: 3,  median_ms: 15.0,  spread: 0.50, success: 204 },
    Endpoint { path: "/api/v1/invoices",      weight: 3,  median_ms: 85.0,  spread: 0.60, success: 200 },
    Endpoint { path: "/api/v1/reports",       weight: 2,  median_ms: 900.0, spread: 0.80, success: 200 },
    Endpoint { path: "/api/v1/exports",       weight: 1,  median_ms: 2400.0, spread: 0.70, success: 200 },
];

/// Statuses of the server's failures, the usual ones more often.
const FAILURES: [u16; 11] = [500, 500, 500, 500, 500, 502, 502, 503, 503, 503, 504];
/// Statuses of the client's errors, likewise.
const ERRORS: [u16; 18] =
    [400, 400, 400, 401, 401, 403, 404, 404, 404, 404, 404, 404, 404, 404, 409, 422, 429, 429];
/// How many of a million requests fail when all is well.
const FAILING_PPM: u32 = 900;
/// How many of a million successful answers say "not modified".
const NOT_MODIFIED_PPM: u32 = 30_000;
const LATENCY_MAX_MS: f64 = 60_000.0;

struct Customer {
    id: String,
    /// How many of a million of its requests are errors of its own.
    erring_ppm: u32,
}

/// See the module.
pub(crate) struct RealisticTraffic {
    dice: Dice,
    customers: Vec<Customer>,
    customer_weights: Weights,
    endpoint_weights: Weights,
    incidents: Incidents,
}

impl RealisticTraffic {
    pub(crate) fn new(seed: u64) -> Self {
        let customers = (1..=CUSTOMERS).map(|rank| Customer {
            id: format!("cust_{rank}"),
            erring_ppm: erring_ppm(fate(seed, u64::MAX - u64::from(rank))),
        });
        Self {
            dice: Dice::new(seed, 2),
            customers: customers.collect(),
            // Zipf: the customer of rank r has 1/r of the first one's traffic, whose share is 16 %.
            customer_weights: Weights::new((1..=CUSTOMERS).map(|rank| 100_000_000 / rank)),
            endpoint_weights: Weights::new(ENDPOINTS.iter().map(|endpoint| endpoint.weight)),
            incidents: Incidents::new(seed, ENDPOINTS.len()),
        }
    }

    pub(crate) fn request(&mut self, second: i64) -> Record<'_> {
        let rank = self.dice.weighted(&self.customer_weights);
        let path = self.dice.weighted(&self.endpoint_weights);
        let (customer, endpoint) = (&self.customers[rank], &ENDPOINTS[path]);
        let incident = self.incidents.hitting(second, rank, path);
        let failing_ppm = incident.map_or(FAILING_PPM, |incident| incident.failing_ppm);

        let drawn = self.dice.below(1_000_000);
        let status = if drawn < failing_ppm {
            self.dice.one_of(&FAILURES)
        } else if drawn < failing_ppm + customer.erring_ppm {
            self.dice.one_of(&ERRORS)
        } else if endpoint.success == 200 && drawn >= 1_000_000 - NOT_MODIFIED_PPM {
            304
        } else {
            endpoint.success
        };

        // A full house is slower than an empty one, by up to a third.
        let load = 1.0 + f64::from(rhythm::busyness(second)) / f64::from(rhythm::BUSIEST) / 3.0;
        let slowness = incident.map_or(1.0, |incident| incident.slowness);
        let effort = match status {
            304 | 401 | 403 | 429 => 0.3, // Turned away at the door.
            504 => 20.0,                  // Somebody waited in vain.
            _ => 1.0,
        };
        let latency_ms =
            endpoint.median_ms * exp(endpoint.spread * self.dice.bell()) * load * slowness * effort;
        Record {
            time: LogTime::from_second(second).expect("a second of the log's years"),
            customer: CustomerId::new(&customer.id).expect("cust_N is an id"),
            path: Some(RequestPath::new(endpoint.path).expect("a path of the list is a path")),
            status: Status::new(status).expect("a status of the lists is a status"),
            latency: Some(whole_milliseconds(latency_ms)),
        }
    }
}

impl std::fmt::Debug for RealisticTraffic {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("RealisticTraffic")
            .field("customers", &self.customers.len())
            .finish_non_exhaustive()
    }
}

/// Most clients err once in 20 to 200 requests, one in twelve has a fault and errs once in 4 to 8.
fn erring_ppm(fate: u64) -> u32 {
    let part = (fate >> 48) as u32;
    if fate.is_multiple_of(12) { 125_000 + part * 2 } else { 5_000 + part * 2 / 3 }
}

fn whole_milliseconds(latency_ms: f64) -> Latency {
    let milliseconds = latency_ms.clamp(1.0, LATENCY_MAX_MS).round() as u64;
    Latency::from_micros(milliseconds * 1000).expect("a minute is a latency")
}
