//! Our encoder beside influxdb2, the client library: equal bytes where a value is plain, equal stored values everywhere.

use std::collections::BTreeMap;

use futures::stream;
use influxdb2::models::{DataPoint, Query, WriteDataPoint};
use influxdb2_structmap::value::Value;
use store::RequestStore;
use store::influx::testing::RealInflux;
use store::influx::{InfluxConfig, InfluxRequests};

use crate::cases::draws;
use crate::log::{DAY_0, Latencies, Log, Request, request, requests};
use crate::subject::encode;

/// The points of a log as influxdb2 builds them. The times are those of our own lines.
fn data_points(log: &Log, lines: &str) -> Vec<DataPoint> {
    let point = |(request, line): (&Request, &str)| {
        let time = line.rsplit(' ').next().expect("a time").parse().expect("a time");
        let mut point = DataPoint::builder("api_requests")
            .tag("customer_id", &request.customer)
            .tag("success", if (200..400).contains(&request.status) { "1" } else { "0" })
            .field("status_code", i64::from(request.status))
            .timestamp(time);
        if log.source != "main" {
            point = point.tag("source", &log.source);
        }
        if let Some(micros) = request.micros {
            #[expect(clippy::cast_precision_loss, reason = "below 2^53")]
            let seconds = micros as f64 / 1e6;
            point = point.field("duration", seconds);
        }
        if let Some(path) = &request.path {
            point = point.field("request_path", path.as_str());
        }
        point.build().expect("a point")
    };
    log.requests.iter().zip(lines.lines()).map(point).collect()
}

fn lines(log: &Log) -> String {
    let config = InfluxConfig::new("http://localhost:1", "o", "b", "t").expect("good settings");
    let store = InfluxRequests::new(config).expect("good settings");
    String::from_utf8(encode(&store, log)).expect("UTF-8")
}

/// All points of a bucket, as influxdb2 reads them: by tags and time, the value of each field.
async fn read_back(client: &influxdb2::Client, bucket: &str) -> BTreeMap<String, BTreeMap<String, String>> {
    let script = format!(
        "from(bucket: {bucket:?}) |> range(start: 2020-01-01T00:00:00Z, stop: 2030-01-01T00:00:00Z) |> filter(fn: (r) => r._measurement == \"api_requests\")"
    );
    let records = client.query_raw(Some(Query::new(script))).await.expect("records");
    let mut points: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for record in records {
        let text = |name: &str| record.values.get(name).map_or_else(String::new, show);
        let key =
            format!("{:?} {:?} {:?} {}", text("customer_id"), text("success"), text("source"), text("_time"));
        points.entry(key).or_default().insert(text("_field"), text("_value"));
    }
    points
}

fn show(value: &Value) -> String {
    match value {
        Value::Double(value) => format!("float {}", value.into_inner()),
        Value::Long(value) => format!("integer {value}"),
        Value::String(value) => format!("text {value:?}"),
        Value::TimeRFC(time) => time.to_rfc3339(),
        other => format!("{other:?}"),
    }
}

/// Plain values: what influxdb2 makes of them is what we make of them, byte for byte.
#[test]
fn the_bytes_of_plain_values_are_those_of_the_client_library() {
    let mut plain = draws(requests(Latencies::Exact), 1).remove(0);
    // Two ways to write an infrequent float: 1e-6 and 0.000001.
    plain.iter_mut().for_each(|request| request.micros = request.micros.map(|micros| micros / 1000 * 1000));
    for source in ["main", "eu-1"] {
        let log = Log::of(plain.clone()).from(source, 7);
        let ours = lines(&log);
        let mut theirs = Vec::new();
        for point in data_points(&log, &ours) {
            point.write_data_point_to(&mut theirs).expect("written to memory");
        }
        assert_eq!(String::from_utf8(theirs).expect("UTF-8"), ours);
    }
}

/// All other values: what was stored reads back equal, whoever wrote it. Not drawn: a backslash in a path, which influxdb2 does not escape.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_client_library_stores_reads_back_as_what_we_store() {
    let influx = RealInflux::shared().await;
    let (theirs, ours) = (influx.fresh().await, influx.fresh().await);
    let client = influxdb2::Client::new(influx.url(), influx.org(), influx.token());

    let mut odd = draws(requests(Latencies::Any), 1).remove(0);
    for (number, id) in crate::cases::ODD_IDS.iter().enumerate() {
        let path = format!("/\"{id}\"/{{x}}").replace('\\', "/");
        odd.push(Request { path: Some(path), ..request(DAY_0 + 5, id, 200, number as u64) });
    }
    let log = Log::of(odd).from("eu 1,=", 3);
    let lines = lines(&log);
    client
        .write(&theirs.bucket, stream::iter(data_points(&log, &lines)))
        .await
        .expect("written by influxdb2");
    let store = InfluxRequests::new(ours.clone()).expect("good settings");
    store.write(lines.into()).await.expect("written by us");

    let (theirs, ours) = (read_back(&client, &theirs.bucket).await, read_back(&client, &ours.bucket).await);
    assert_eq!(ours.len(), log.requests.len());
    assert_eq!(theirs, ours);
}

/// What a path with quotes and backslashes holds is what was logged: here only our own encoder can be asked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn paths_read_back_as_they_were_logged() {
    let influx = RealInflux::shared().await;
    let config = influx.fresh().await;
    let paths =
        ["/a\\b", "/\\\"", "/\"", "/a\\\\b", "/a b,c=d", "/${x}", "/é漢😀", "/a\\nb", "\\x", "/'\"\\\"'"];
    let requests = paths.map(|path| Request { path: Some(path.to_owned()), ..request(DAY_0, "a", 200, 1) });
    let log = Log::of(requests.to_vec());
    let store = InfluxRequests::new(config.clone()).expect("good settings");
    store.write(lines(&log).into()).await.expect("stored");
    let script = format!(
        "from(bucket: {:?}) |> range(start: 2020-01-01T00:00:00Z) |> filter(fn: (r) => r._field == \"request_path\") |> sort(columns: [\"_time\"])",
        config.bucket
    );
    let found: Vec<String> =
        influx.flux(&script).await.into_iter().map(|mut row| row.remove("_value").expect("a path")).collect();
    assert_eq!(found, paths);
}
