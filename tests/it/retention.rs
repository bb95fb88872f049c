//! RETENTION: what is refused, what is dropped, and what is answered are one rule in both stores.

use system_tests::recount::Recount;
use system_tests::stack::days_ago;

use crate::both::{Bench, Store, on_both_stores};

on_both_stores!(what_is_kept_is_what_is_taken_and_what_is_answered);

fn what_is_kept_is_what_is_taken_and_what_is_answered(store: Store) {
    let mut bench = Bench::on(store);
    let line = |days: i64, time: &str, customer: &str| {
        format!("{} {time} {customer} /p 200 0.1{days}\n", days_ago(days))
    };
    let edge =
        [(2, "00:00:00", "edge"), (2, "00:00:01", "both"), (1, "12:00:00", "both"), (0, "00:00:00", "new")]
            .map(|(days, time, customer)| line(days, time, customer))
            .concat();
    let old = [(3, "23:59:59", "both"), (3, "00:00:00", "old"), (40, "12:00:00", "older")]
        .map(|(days, time, customer)| line(days, time, customer))
        .concat();

    // Before there was a retention: everything is taken.
    bench.stack.append(format!("{old}{edge}"));
    bench.stack.once();
    bench.stack.assert_account(7, 0);
    // With one: the old lines are refused when they come again, and dropped where they are.
    bench.stack.set("RETENTION", "2d");
    bench.stack.append(format!("{old}{edge}"));
    bench.stack.once();
    bench.stack.assert_account(11, 3);
    assert_eq!(bench.stack.status()["rejected"], serde_json::json!({ "retention": 3 }));

    let recount = Recount::of_text(edge.repeat(2).as_bytes());
    let api = bench.stack.api();
    api.assert_equal(&recount, &["1970-01-01", &days_ago(3), &days_ago(2), &days_ago(0)]);
    let mut customers = api.customers(1000);
    customers.sort();
    assert_eq!(customers, [("both".to_owned(), 4), ("edge".to_owned(), 2), ("new".to_owned(), 2)]);
    for gone in ["old", "older"] {
        assert_eq!(api.stats(Some(gone), "1970-01-01").status, 404, "{gone}");
    }
    let answer = api.stats(Some("both"), "1970-01-01").json();
    assert_eq!(answer["from"], format!("{}T00:00:00Z", days_ago(2)), "{answer:#}");
    assert_eq!(answer["daily"][0]["date"], days_ago(2), "{answer:#}");
}
