//! Series, histograms and tables of the api's first version say what a recount says, and with InfluxDB they are made of statistics, as long as nobody asks for minutes.

use serde_json::Value;
use system_tests::recount::Figures;
use system_tests::stack::days_ago;

use crate::both::{Bench, Store, on_both_stores};

on_both_stores!(series_and_tables_equal_a_recount_and_are_made_of_cells);

fn series_and_tables_equal_a_recount_and_are_made_of_cells(store: Store) {
    let bench = Bench::on(store);
    let stack = &bench.stack;
    stack.generate(&[
        ("LOG_PROFILE", "seed"),
        ("LOG_INTERVAL_SECONDS", "0"),
        ("MAX_LOGS_TO_GENERATE", "20000"),
    ]);
    stack.once();
    let (recount, api) = (stack.recount(), stack.api());
    let ask = |path: &str| {
        let answer = api.get(path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        let answer = answer.json();
        assert_eq!(answer["method"], "cells", "{path}");
        answer
    };
    let sum = |data: &Value, name: &str| -> u64 {
        let data = data.as_array().expect("data");
        data.iter().filter_map(|row| row[name].as_u64()).sum()
    };
    // Of the second date minutes are kept, most of the day.
    for from in [days_ago(27), days_ago(1)] {
        let table = ask(&format!("/v1/customers?from={from}&limit=1000"));
        let rows = table["data"].as_array().expect("rows");
        let expected: Vec<&str> =
            recount.customers().into_iter().filter(|id| recount.figures(Some(id), &from).is_some()).collect();
        assert_eq!(rows.len(), expected.len(), "from {from}");
        for row in rows {
            let id = row["customer_id"].as_str().expect("an id");
            assert_eq!(Figures::of(row), recount.figures(Some(id), &from), "{id} from {from}");
        }
        for customer in [Some("cust_7"), None] {
            let whose = customer.map_or("/v1".to_owned(), |id| format!("/v1/customers/{id}"));
            let days = ask(&format!("{whose}/series?from={from}&granularity=1d&fill=none"));
            let told: Vec<Option<Figures>> =
                days["data"].as_array().expect("days").iter().map(Figures::of).collect();
            let expected: Vec<Option<Figures>> =
                recount.daily(customer, &from).into_values().map(Some).collect();
            assert_eq!(told, expected, "{customer:?} from {from}");
            let requests = recount.figures(customer, &from).map_or(0, |figures| figures.total_requests);
            for granularity in ["1h", "15m"] {
                let path = format!("{whose}/series?from={from}&granularity={granularity}");
                assert_eq!(sum(&ask(&path)["data"], "total_requests"), requests, "{path}");
            }
            ask(&format!("{whose}/latency?from={from}"));
        }
        ask(&format!("/v1/hurt?from={from}"));
    }
    ask(&format!("/v1/customers/cust_7/stats?from={}", days_ago(27)));
    assert_eq!(api.raw_questions(), 0);
    let minutes = api.get("/v1/customers/cust_7/series?from=-1h&granularity=1m").json();
    let (method, raw_questions) = match store {
        Store::Embedded => ("cells", 0),
        Store::InfluxDb => ("raw", 1),
    };
    assert_eq!((minutes["method"].as_str(), api.raw_questions()), (Some(method), raw_questions));
}
