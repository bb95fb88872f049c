//! What the storage engine was given to do: counted there, not dragged into Flux point by point. Seen in the server's own profile of each script.

use std::time::{Duration, SystemTime};

use serde_json::json;
use store::influx::testing::{
    RealInflux, cells_script, customers_before_scripts, customers_of_days_script, customers_script,
    known_of_days_script, stats_script, table_of_cells_script,
};
use store::influx::{InfluxRequests, InfluxStats};
use store::{CustomersQuery, RequestStore, StatsStore, TableQuery};

use crate::log::{DAY_0, Log, request};
use crate::subject::encode;

/// The operations in the server's profile of a script, the engine's (`influxdb.`) and those of Flux (`universe.`).
async fn operations(script: &str, values: serde_json::Value) -> Vec<String> {
    let influx = RealInflux::shared().await;
    let config = influx.fresh().await;
    let store = InfluxRequests::new(config.clone()).expect("good settings");
    let log = Log::of((0..50).map(|second| request(DAY_0 + second, "cust_5", 200, 100)).collect());
    store.write(encode(&store, &log).into()).await.expect("stored");

    // Here, and only here, values are written into the script: they are the suite's own.
    let mut params = values;
    params["bucket"] = json!(format!("{:?}", config.bucket));
    params["start"] = json!("2024-09-01T00:00:00Z");
    params["stop"] = json!("2024-10-01T00:00:00Z");
    let fields: Vec<String> = params
        .as_object()
        .expect("an object")
        .iter()
        .map(|(name, value)| format!("{name}: {}", value.as_str().expect("a text")))
        .collect();
    let script = format!(
        "import \"profiler\"\noption profiler.enabledProfilers = [\"operator\"]\noption params = {{{}}}\n{script}",
        fields.join(", ")
    );
    let rows = influx.flux(&script).await;
    let profile = rows
        .into_iter()
        .filter(|row| row.get("_measurement").is_some_and(|name| name == "profiler/operator"));
    let mut types: Vec<String> = profile.filter_map(|mut row| row.remove("Type")).collect();
    types.sort_unstable();
    types
}

/// Asserts what the engine was given to do. A busy server leaves an operation out of its profile now and then.
async fn assert_operations(script: &str, values: serde_json::Value, expected: &[&str]) {
    let mut found = Vec::new();
    for _ in 0..5 {
        found = operations(script, values.clone()).await;
        if found == expected {
            return;
        }
    }
    assert_eq!(found, expected);
}

/// A month of statistics is found by series and time: nothing but these points is read, and Flux itself drops columns only.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statistics_are_found_in_the_engine() {
    let expected = ["*influxdb.readFilterSource", "*universe.schemaMutationTransformation"];
    let run = json!({
        "customer": "\"cust_5\"", "window0": "\"1d\"", "start0": "2024-09-01T00:00:00Z", "stop0": "2024-10-01T00:00:00Z",
    });
    assert_operations(&cells_script(1, true), run.clone(), &expected).await;
    let mut table = run.clone();
    table["first"] = run["start0"].clone();
    table["last"] = run["stop0"].clone();
    assert_operations(&cells_script(1, false), run, &expected).await;
    let expected =
        ["*influxdb.readGroupSource", "*influxdb.readGroupSource", "*universe.schemaMutationTransformation"];
    assert_operations(&customers_of_days_script(), json!({}), &expected).await;
    let expected = [
        "*influxdb.readFilterSource",
        "*influxdb.readGroupSource",
        "*universe.schemaMutationTransformation",
        "*universe.schemaMutationTransformation",
    ];
    assert_operations(&table_of_cells_script(1), table, &expected).await;
    let expected = ["*influxdb.readWindowAggregateSource", "*universe.schemaMutationTransformation"];
    assert_operations(&known_of_days_script(true), json!({ "customer": "\"cust_5\"" }), &expected).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_are_counted_by_day_in_the_engine() {
    // The engine filters and counts; what is left to Flux is to drop columns. A filter or count of Flux's own would be here by its name.
    let expected = [
        "*influxdb.readFilterSource",
        "*influxdb.readWindowAggregateSource",
        "*universe.schemaMutationTransformation",
        "*universe.schemaMutationTransformation",
    ];
    assert_operations(&stats_script(true), json!({ "customer": "\"cust_5\"" }), &expected).await;
    assert_operations(&stats_script(false), json!({}), &expected).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn customers_are_counted_in_the_engine() {
    let expected =
        ["*influxdb.readGroupSource", "*influxdb.readGroupSource", "*universe.schemaMutationTransformation"];
    assert_operations(&customers_script(), json!({}), &expected).await;
}

/// The bucket may have older days still; both stores list a customer by the days that are kept.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn customers_are_counted_from_the_first_day_of_the_retention() {
    const DAY: i64 = 86_400;
    let mut config = RealInflux::shared().await.fresh().await;
    let store = InfluxRequests::new(config.clone()).expect("good settings");
    let edge = DAY_0 + 5 * DAY;
    let log = Log::of(vec![
        request(edge - 1, "gone", 200, 100),
        request(edge - 1, "stays", 200, 100),
        request(edge, "stays", 200, 100),
        request(edge + DAY, "stays", 200, 100),
    ]);
    store.write(encode(&store, &log).into()).await.expect("stored");
    config.retention = Some(Duration::from_secs(2 * 86_400));
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs((edge + 2 * DAY + 61_200).cast_unsigned());
    let reader = InfluxStats::with_clock(&config, move || now).expect("good settings");
    let page = reader.customers(&CustomersQuery { after: None, limit: 10 }).await.expect("answered");
    let found: Vec<_> =
        page.customers.into_iter().map(|row| (row.id, row.requests, row.last_seen_second)).collect();
    assert_eq!(found, [("stays".to_owned(), 2, edge + DAY)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_there_before_is_found_in_the_engine() {
    let [windows, points] = customers_before_scripts();
    let runs = json!({
        "window0": "\"1d\"", "start0": "2024-09-01T00:00:00Z", "stop0": "2024-10-01T00:00:00Z",
        "window1": "\"15m\"", "start1": "2024-09-01T00:00:00Z", "stop1": "2024-10-01T00:00:00Z",
    });
    assert_operations(&windows, runs, &["*influxdb.readGroupSource", "*influxdb.readGroupSource"]).await;
    let expected = ["*influxdb.readGroupSource", "*universe.schemaMutationTransformation"];
    assert_operations(&points, json!({}), &expected).await;
}

/// It would cost as much as the table.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_more_than_a_thousand_customers_it_is_not_told_who_is_new() {
    let config = RealInflux::shared().await.fresh().await;
    let store = InfluxRequests::new(config.clone()).expect("good settings");
    let reader = InfluxStats::new(&config).expect("good settings");
    for (customers, told) in [(0..1_000, Some(1_000)), (1_000..1_001, None)] {
        let requests = customers.map(|n| request(DAY_0 + 5, &format!("cust_{n}"), 200, 100));
        store.write(encode(&store, &Log::of(requests.collect())).into()).await.expect("stored");
        let range = crate::cases::range(DAY_0, DAY_0 + 900);
        let query = TableQuery { range, percentiles: vec![], newcomers: true };
        assert_eq!(reader.table(&query).await.expect("an answer").newcomers, told);
    }
}
