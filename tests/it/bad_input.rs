//! Bad lines among the good: each is rejected with its reason, and every good one is found by its exact customer, whatever that is made of.

use std::collections::BTreeMap;

use serde_json::Value;
use system_tests::groups::{Group, left_out};
use system_tests::http::encoded;
use system_tests::recount::Recount;
use system_tests::stack::{Api, LOG};

use crate::both::{Bench, Store, on_both_stores};

/// What a log can hold that is no request, each with the reason that it is rejected for.
fn bad_lines() -> Vec<(Vec<u8>, &'static str)> {
    let mut lines: Vec<(Vec<u8>, &'static str)> = Vec::new();
    let mut add = |line: &[u8], reason| lines.push((line.to_vec(), reason));
    for (line, reason) in [
        ("", "empty"),
        ("\r", "empty"),
        ("malformed", "fields"),
        ("Traceback (most recent call last):", "fields"),
        ("2024-09-14 16:15:35 cust_5 /x 200", "fields"),
        ("2024-09-14 16:15:35 cust_5 /x 200 0.772 more", "fields"),
        ("2024-09-14 16:15:35 cust_5 /x 200 0.772 ", "fields"),
        ("{\"time\":\"2024-09-14T16:15:35Z\",\"status\":200}", "fields"),
        ("2024-09-14 16:15:35  /x 200 0.772", "customer"),
        ("2024-09-14 16:15:35 cust\\ /x 200 0.772", "customer"),
        ("2024-09-14 16:15:35 cust_5 /x\\ 200 0.772", "path"),
        ("2024-02-30 16:15:35 cust_5 /x 200 0.772", "time"),
        ("2023-02-29 16:15:35 cust_5 /x 200 0.772", "time"),
        ("2024-13-01 16:15:35 cust_5 /x 200 0.772", "time"),
        ("2024-00-10 16:15:35 cust_5 /x 200 0.772", "time"),
        ("2024-09-14 24:00:00 cust_5 /x 200 0.772", "time"),
        ("2024-09-14 16:60:35 cust_5 /x 200 0.772", "time"),
        ("2024-09-14 16:15:60 cust_5 /x 200 0.772", "time"),
        ("1969-12-31 23:59:59 cust_5 /x 200 0.772", "time"),
        ("2262-01-01 00:00:00 cust_5 /x 200 0.772", "time"),
        ("2024-09-14T16:15:35 cust_5 /x 200 0.772", "time"),
        ("2024-09-14 16:15:35.5 cust_5 /x 200 0.772", "time"),
        ("2024-09-14 16:15:35 cust_5 /x 99 0.772", "status"),
        ("2024-09-14 16:15:35 cust_5 /x 600 0.772", "status"),
        ("2024-09-14 16:15:35 cust_5 /x 0200 0.772", "status"),
        ("2024-09-14 16:15:35 cust_5 /x OK 0.772", "status"),
        ("2024-09-14 16:15:35 cust_5 /x 200 -0.772", "duration"),
        ("2024-09-14 16:15:35 cust_5 /x 200 NaN", "duration"),
        ("2024-09-14 16:15:35 cust_5 /x 200 inf", "duration"),
        ("2024-09-14 16:15:35 cust_5 /x 200 1e3", "duration"),
        ("2024-09-14 16:15:35 cust_5 /x 200 +1", "duration"),
        ("2024-09-14 16:15:35 cust_5 /x 200 5.", "duration"),
        ("2024-09-14 16:15:35 cust_5 /x 200 .5", "duration"),
        ("2024-09-14 16:15:35 cust_5 /x 200 0,772", "duration"),
        ("2024-09-14 16:15:35 cust_5 /x 200 86400.000001", "duration"),
        ("2024-09-14 16:15:35 cust_5 /x 200 99999999999999999999", "duration"),
        ("2024-09-14 16:15:35 cust\u{0}_5 /x 200 0.772", "control_character"),
        ("2024-09-14 16:15:35 cust_5 /x 200 0.772\u{0}", "control_character"),
        ("2024-09-14 16:15:35 cust\t5 /x 200 0.772", "control_character"),
        ("2024-09-14 16:15:35 cust\r5 /x 200 0.772", "control_character"),
        ("2024-09-14 16:15:35 cust\u{85}5 /x 200 0.772", "control_character"),
        ("2024-09-14 16:15:35 cust_5 /x\u{1b}[31m 200 0.772", "control_character"),
    ] {
        add(line.as_bytes(), reason);
    }
    add(b"2024-09-14 16:15:35 cust_\xFF /x 200 0.772", "invalid_utf8");
    add(b"2024-09-14 16:15:35 cust_5 /\xC3\x28 200 0.772", "invalid_utf8");
    add(b"\xED\xA0\x80", "invalid_utf8");
    add(format!("2024-09-14 16:15:35 {} /x 200 0.772", "c".repeat(257)).as_bytes(), "customer");
    add(format!("2024-09-14 16:15:35 cust_5 /{} 200 0.772", "x".repeat(8192)).as_bytes(), "path");
    add(&vec![b'x'; (1 << 20) + 1], "too_long");
    lines
}

/// Customers that are hard to keep apart, to write into line protocol, to ask for in Flux, or to put into an address.
fn odd_customers() -> Vec<String> {
    let mut customers: Vec<String> = [
        "cust_1",
        "cust_10",
        "CUST_1",
        "cust_1,",
        ",",
        ",,",
        "=",
        "a,b=c",
        "a=b,success=1",
        "customer_id=cust_1",
        "\"",
        "\"quoted\"",
        "'",
        "''",
        "a\\b",
        "a\\,b",
        "a\\=b",
        "\\\"",
        "\\\\x",
        "\\n",
        "a\\nb",
        "$",
        "${x}",
        "$a",
        "\\${x}",
        "{",
        "{}",
        "{{x}}",
        "#{x}",
        "%",
        "%20",
        "%2F",
        "a%2Fb",
        "100%",
        "a/b",
        "/",
        ".",
        "..",
        "../..",
        "?",
        "?a=b",
        "#",
        "&",
        "+",
        "a+b",
        ";",
        ":",
        "@",
        "!",
        "*",
        "~",
        "^",
        "|",
        "<script>",
        "[]",
        "(",
        ")",
        "--",
        "//",
        "/*",
        "null",
        "true",
        "NaN",
        "-1",
        "0",
        "0.5",
        "1i",
        "_start",
        "_value",
        "stats",
        "customer",
        "all",
        "customers",
        "é",
        "e\u{301}",
        "ß",
        "ẞ",
        "🦀",
        "日本語",
        "\u{202e}abc",
        "a\u{a0}b",
        "a\u{200b}b",
        "a\u{2028}b",
        "\u{feff}a",
        "\u{10ffff}",
        "x\")|>drop(columns:[\"_value\"])//",
        "\"or(r.customer_id!=\"x\")or\"",
        "\"+params.customer+\"",
        "'OR'1'='1",
        "cust_1\"",
    ]
    .map(str::to_owned)
    .to_vec();
    customers.push("c".repeat(256));
    customers.push("é".repeat(128));
    customers.push(",".repeat(256));
    customers
}

/// Good lines: the first customer has one request, the second two, and so on, so that a neighbour's data would be seen.
fn good_lines() -> Vec<String> {
    let mut lines = Vec::new();
    for (customer, count) in odd_customers().iter().zip(1..) {
        for n in 0..count {
            let (status, path) =
                ([200, 302, 404, 503, 199][n % 5], ["/", "/a\"b", "/a,b=c\\d", "/ü?x=${y}"][n % 4]);
            lines.push(format!(
                "2024-09-14 16:15:{:02} {customer} {path} {status} 0.{:03}",
                n % 3,
                (n * 37) % 1000
            ));
        }
    }
    lines
}

/// The log, and the same without its bad lines, its CRLFs and its holes.
fn log_with_bad_lines() -> (Vec<u8>, String) {
    // A byte order mark at the very beginning is no part of the first line.
    let mut log = b"\xEF\xBB\xBF".to_vec();
    let mut good = String::new();
    let mut bad = bad_lines().into_iter().cycle();
    let bad_count = bad_lines().len();
    for (number, line) in good_lines().into_iter().enumerate() {
        if number > 0 && number <= bad_count {
            log.extend(bad.next().expect("they are repeated").0);
            log.push(b'\n');
        }
        if number % 11 == 5 {
            // The hole that a copytruncate leaves before the next line.
            log.extend([0; 100]);
        }
        log.extend(line.as_bytes());
        log.extend(if number % 3 == 0 { b"\r\n".as_slice() } else { b"\n" });
        good += &line;
        good.push('\n');
    }
    (log, good)
}

on_both_stores!(each_bad_line_is_rejected_with_its_reason_and_every_customer_is_found_by_the_exact_id);

fn each_bad_line_is_rejected_with_its_reason_and_every_customer_is_found_by_the_exact_id(store: Store) {
    let bench = Bench::on(store);
    let (log, good) = log_with_bad_lines();
    bench.stack.append(&log);
    bench.stack.once();
    let recount = Recount::of_text(good.as_bytes());
    bench.stack.assert_account(recount.lines(), bad_lines().len() as u64);
    assert_rejects(&bench, &log);
    bench.assert_requests(recount.lines());
    let api = bench.stack.api();
    api.assert_equal(&recount, &["1970-01-01", "2024-09-14"]);
    assert_eq!(api.stats(None, "2024-09-15").status, 404);
    assert_injections_are_inert(&api, &recount);
    bench.assert_requests(recount.lines());
    api.assert_equal(&recount, &["1970-01-01"]);
    if let Some(influx) = &bench.influx {
        let expected: BTreeMap<String, u64> =
            recount.customers().iter().map(|id| ((*id).to_owned(), recount.requests_of(id))).collect();
        assert_eq!(influx.requests_by("customer_id"), expected, "customers as InfluxDB has them");
    }
}

/// `status` counts every bad line by its reason, `rejects` names each with its place and its beginning.
fn assert_rejects(bench: &Bench, log: &[u8]) {
    let mut by_reason: BTreeMap<&str, u64> = BTreeMap::new();
    for (_, reason) in bad_lines() {
        *by_reason.entry(reason).or_default() += 1;
    }
    let status = bench.stack.status();
    assert_eq!(status["rejected"], serde_json::json!(by_reason), "{status:#}");
    let rejects = bench.stack.rejects();
    assert_eq!(rejects.len(), bad_lines().len());
    for ((line, reason), reject) in bad_lines().iter().zip(&rejects) {
        let shown = String::from_utf8_lossy(&line[..line.len().min(1024)]);
        assert_eq!(
            (&reject["reason"], &reject["line"], &reject["source"]),
            (&Value::from(*reason), &Value::from(shown), &Value::from("main")),
            "{reject:#}"
        );
        assert!(reject["file"].as_str().is_some_and(|file| file.ends_with(LOG)), "{reject:#}");
        let place = usize::try_from(reject["offset"].as_u64().expect("a place")).expect("a place in memory");
        assert!(log[place..].starts_with(line) && log[place - 1] == b'\n', "{reject:#}");
    }
}

/// Ids and dates that would do something if they were ever pasted into a query: nobody has such an id, no day is called that.
fn assert_injections_are_inert(api: &Api, recount: &Recount) {
    for id in [
        "\" or r.customer_id != \"",
        "cust_1\" or true or r.customer_id == \"",
        "cust_1\") |> drop(columns: [\"customer_id\"]) //",
        "\"]) |> to(bucket: \"requests\") //",
        "${params.customer}",
        "cust_1\\",
        "cust_1 ",
        " cust_1",
        "cust_1\n",
        "cust_1\u{0}",
        "' OR '1'='1",
        "%",
        "cust_%",
        "*",
        ".*",
        "/.*/",
        "cust_2",
    ] {
        let has_data = recount.requests_of(id) > 0;
        let answer = api.stats(Some(id), "1970-01-01");
        assert_eq!(answer.status, if has_data { 200 } else { 404 }, "{id:?}: {}", answer.text());
    }
    for date in [
        "1970-01-01T00:00:00Z) |> drop(columns: [\"_value\"]) //",
        "1970-01-01\" or \"",
        "-30d",
        "now()",
        "0",
        "1970-01-01, stop: now()",
        "${x}",
        "1970-01-01;",
        "1970-01-01\n",
        "9999-12-31",
    ] {
        let answer = api.get(&format!("/customers/cust_1/stats?from_date={}", encoded(date)));
        assert_eq!(answer.status, 422, "{date:?}: {}", answer.text());
    }
}

#[test]
#[ignore = "a whole-system test: ./start.sh test runs it"]
fn both_stores_give_equal_answers_to_the_last_digit() {
    if left_out(Group::Native) || left_out(Group::InfluxDb) {
        return;
    }
    let (log, good) = log_with_bad_lines();
    let recount = Recount::of_text(good.as_bytes());
    let paths = |recount: &Recount| {
        let customers = recount.customers().into_iter().map(encoded);
        let stats = customers.map(|id| format!("/customers/{id}/stats?from_date=1970-01-01"));
        let others = [
            "/customers/stats?from_date=2024-09-01",
            "/customers?limit=1000",
            "/customers/no-one/stats?from_date=1970-01-01",
        ];
        stats.chain(others.map(str::to_owned)).collect::<Vec<String>>()
    };
    let [embedded, influxdb] = [Store::Embedded, Store::InfluxDb].map(|store| {
        let bench = Bench::on(store);
        bench.stack.append(&log);
        bench.stack.once();
        let api = bench.stack.api();
        paths(&recount).iter().map(|path| (path.clone(), timeless(api.get(path).json()))).collect::<Vec<_>>()
    });
    for (embedded, influxdb) in embedded.iter().zip(&influxdb) {
        assert_eq!(embedded, influxdb);
    }
}

/// An answer without what differs between two stores for good reasons: how fresh it is, how it was made, and the number of the request.
fn timeless(mut answer: Value) -> Value {
    if let Some(answer) = answer.as_object_mut() {
        for name in ["as_of", "lag_seconds", "method", "to", "instance", "request_id"] {
            answer.remove(name);
        }
    }
    answer
}
