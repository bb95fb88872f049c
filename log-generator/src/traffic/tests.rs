//! Tests of the traffic's shape: what the profiles promise, counted over many requests.

use super::*;
use logline::LineParser;
use std::collections::HashMap;

/// Monday, 2024-09-16 12:34:56.
const START: i64 = 1_726_490_096;

fn lines(profile: Profile, seed: u64, count: usize) -> String {
    let mut traffic = Traffic::new(profile, seed, START);
    let mut bytes = Vec::new();
    for step in 0..count {
        logline::render_line(&traffic.request(START + step as i64 / 100), &mut bytes);
    }
    String::from_utf8(bytes).expect("lines are UTF-8")
}

#[test]
fn g1_the_lines_of_a_seed_never_change() {
    insta::assert_snapshot!(lines(Profile::Seed, 42, 5), @r"
    2024-08-29 02:53:16 cust_27 /api/v1/resource4 201 1.842
    2024-09-01 13:24:31 cust_44 /api/v1/resource4 403 1.967
    2024-09-02 16:29:44 cust_44 /api/v1/resource4 201 1.726
    2024-09-11 21:41:22 cust_13 /api/v1/resource2 403 1.979
    2024-09-04 09:00:38 cust_25 /api/v1/resource1 200 1.464
    ");
    insta::assert_snapshot!(lines(Profile::Realistic, 42, 5), @r"
    2024-09-16 12:34:56 cust_1 /api/v1/search 403 0.089
    2024-09-16 12:34:56 cust_1 /api/v1/invoices 200 0.078
    2024-09-16 12:34:56 cust_8 /api/v1/orders 200 0.049
    2024-09-16 12:34:56 cust_19 /api/v1/users/me 200 0.006
    2024-09-16 12:34:56 cust_1 /api/v1/carts 201 0.037
    ");
    for (profile, expected) in
        [(Profile::Seed, 15_003_772_299_264_076_077), (Profile::Realistic, 4_022_034_973_915_932_304)]
    {
        // A plain polynomial over all bytes: any digit that changes shows.
        let sum = |text: &str| {
            text.bytes().fold(0_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte)))
        };
        let text = lines(profile, 7, 20_000);
        assert_eq!(sum(&text), expected, "{profile:?}");
        assert_ne!(text, lines(profile, 8, 20_000));
    }
}

#[test]
fn every_line_parses_to_the_request_it_came_from() {
    for profile in [Profile::Seed, Profile::Realistic] {
        let mut traffic = Traffic::new(profile, 42, START);
        let mut parser = LineParser::default();
        let mut line = Vec::new();
        for step in 0..30_000 {
            line.clear();
            let request = traffic.request(START + step);
            logline::render_line(&request, &mut line);
            let parsed = parser.parse(line.strip_suffix(b"\n").expect("a line ends with a newline"));
            assert_eq!(parsed, Ok(request));
        }
    }
}

#[test]
fn seed_is_even() {
    const COUNT: usize = 140_000;
    let (mut customers, mut paths, mut statuses) = (HashMap::new(), HashMap::new(), HashMap::new());
    let (mut latencies, mut ages) = (Vec::new(), Vec::new());
    let mut traffic = Traffic::new(Profile::Seed, 42, START);
    for _ in 0..COUNT {
        let request = traffic.request(START);
        *customers.entry(request.customer.as_str().to_owned()).or_insert(0_usize) += 1;
        *paths.entry(request.path.expect("there is a path").as_str().to_owned()).or_insert(0_usize) += 1;
        *statuses.entry(request.status.code()).or_insert(0_usize) += 1;
        latencies.push(request.latency.expect("there is a latency").micros());
        ages.push(START - request.time.second);
    }
    let even = |counts: Vec<usize>, choices: usize| {
        assert_eq!(counts.len(), choices);
        let expected = COUNT / choices;
        // Five standard deviations.
        let allowed = 5 * expected.isqrt();
        assert!(counts.iter().all(|count| count.abs_diff(expected) < allowed), "{counts:?}");
    };
    even(customers.into_values().collect(), 50);
    even(paths.into_values().collect(), 4);
    even(statuses.into_values().collect(), 7);

    latencies.sort_unstable();
    assert!(latencies.iter().all(|latency| latency % 1000 == 0), "whole milliseconds");
    assert_eq!((latencies[0], latencies[COUNT - 1]), (100_000, 2_000_000));
    assert!(latencies[COUNT / 2].abs_diff(1_050_000) < 15_000, "median {}", latencies[COUNT / 2]);
    ages.sort_unstable();
    let month = 30 * 86_400;
    assert!(ages[0] >= 1 && ages[COUNT - 1] <= month);
    assert!(ages[COUNT / 2].abs_diff(month / 2) < 20_000, "median age {}", ages[COUNT / 2]);
}

#[test]
fn realistic_has_one_large_customer_a_long_tail_and_few_failures() {
    const COUNT: usize = 200_000;
    let mut traffic = Traffic::new(Profile::Realistic, 42, START);
    let mut customers: HashMap<String, usize> = HashMap::new();
    let mut latencies: HashMap<String, Vec<u64>> = HashMap::new();
    let (mut failed, mut succeeded) = (0, 0);
    for step in 0..COUNT {
        // A week, so that incidents weigh what they do in the long run.
        let second = START + (step * 3) as i64;
        let request = traffic.request(second);
        assert_eq!(request.time.second, second);
        *customers.entry(request.customer.as_str().to_owned()).or_default() += 1;
        let path = request.path.expect("there is a path").as_str().to_owned();
        latencies.entry(path).or_default().push(request.latency.expect("there is a latency").micros());
        failed += usize::from(request.status.code() >= 500);
        succeeded += usize::from(request.status.is_success());
    }
    let mut sizes: Vec<usize> = customers.into_values().collect();
    sizes.sort_unstable_by(|left, right| right.cmp(left));
    assert!(sizes.len() > 250, "{}", sizes.len());
    assert!(sizes[0] > COUNT * 14 / 100 && sizes[0] > sizes[1] * 17 / 10, "{:?}", &sizes[..3]);

    assert!((COUNT / 1000..COUNT / 50).contains(&failed), "{failed} failed");
    assert!(succeeded > COUNT * 90 / 100, "{succeeded} succeeded");

    assert_eq!(latencies.len(), 12);
    for (path, mut latencies) in latencies {
        latencies.sort_unstable();
        let quantile = |percent: usize| latencies[latencies.len() * percent / 100];
        assert!(quantile(99) > quantile(50) * 5 / 2, "{path}: p50 {}, p99 {}", quantile(50), quantile(99));
        assert!(
            latencies.iter().all(|latency| latency % 1000 == 0 && (1000..=60_000_000).contains(latency)),
            "{path}"
        );
    }
}

#[test]
fn an_incident_shows_in_the_requests_of_its_customer() {
    const TIMES: i64 = 3 * 24 * 12;
    // The failures of the largest customer, five minutes by five minutes: mostly next to none, at times very many.
    let mut traffic = Traffic::new(Profile::Realistic, 42, START);
    let mut worst = 0.0_f64;
    let mut quiet = 0;
    for time in 0..TIMES {
        let (mut requests, mut failures) = (0_u32, 0_u32);
        for second in 0..300 {
            let request = traffic.request(START + time * 300 + second);
            if request.customer.as_str() == "cust_1" {
                requests += 1;
                failures += u32::from(request.status.code() >= 500);
            }
        }
        worst = worst.max(f64::from(failures) / f64::from(requests));
        quiet += i64::from(failures <= 1);
    }
    assert!(worst > 0.15, "the worst five minutes: {worst}");
    assert!(quiet > TIMES * 9 / 10, "{quiet} quiet times of {TIMES}");
}
