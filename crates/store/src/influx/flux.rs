//! The Flux that is asked, and the values that go with it. Scripts are constant text made of the schema's names; whatever comes from outside travels beside them as
//! a syntax tree of literals (I3), so that no id or date can ever be read as code.
//!
//! InfluxDB OSS merges the tree (`extern`) before the script; a literal that is reached through `params` is still pushed down to the storage engine.

mod windows;

use serde_json::{Value, json};

use stats::TimeRange;

use super::schema::{generations, processors, requests};
pub(super) use windows::{
    RUNS, cells_script, customers_before_script, customers_of_days_script, known_of_days_script,
    table_of_cells_script,
};

/// The first and last second that InfluxDB's nanoseconds can reach.
const TIME_MIN_SECOND: i64 = -9_223_372_036;
const TIME_MAX_SECOND: i64 = 9_223_372_036;

/// The values of a question, each a literal.
#[derive(Clone, Debug, Default)]
pub(super) struct Params(Vec<Value>);

impl Params {
    /// A text, whatever it holds.
    pub(super) fn text(self, name: &'static str, value: &str) -> Params {
        self.with(name, json!({ "type": "StringLiteral", "value": value }))
    }

    /// An instant, in seconds since 1970. What InfluxDB cannot reach is brought to its nearest instant, before and after which nothing is stored.
    pub(super) fn second(self, name: &'static str, second: i64) -> Params {
        let second = second.clamp(TIME_MIN_SECOND, TIME_MAX_SECOND);
        let time = chrono::DateTime::from_timestamp(second, 0).expect("in the years 1677 to 2262");
        let text = time.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
        self.with(name, json!({ "type": "DateTimeLiteral", "value": text }))
    }

    /// An instant, in nanoseconds since 1970.
    pub(super) fn nanos(self, name: &'static str, nanos: i64) -> Params {
        let text =
            chrono::DateTime::from_timestamp_nanos(nanos).to_rfc3339_opts(chrono::SecondsFormat::Nanos, true);
        self.with(name, json!({ "type": "DateTimeLiteral", "value": text }))
    }

    /// The range of all time.
    pub(super) fn every_second(self) -> Params {
        self.second("start", i64::MIN).second("stop", i64::MAX)
    }

    fn with(mut self, name: &'static str, literal: Value) -> Params {
        self.0.push(
            json!({ "type": "Property", "key": { "type": "Identifier", "name": name }, "value": literal }),
        );
        self
    }

    /// All values as the Flux file `option params = {name: literal, …}`. Its `imports` must be there, even as null.
    pub(super) fn into_extern(self) -> Value {
        json!({
            "type": "File",
            "package": null,
            "imports": null,
            "body": [{
                "type": "OptionStatement",
                "assignment": {
                    "type": "VariableAssignment",
                    "id": { "type": "Identifier", "name": "params" },
                    "init": { "type": "ObjectExpression", "properties": self.0 },
                },
            }],
        })
    }
}

/// The part of a range that InfluxDB can reach; None when nothing can lie in it.
pub(super) fn reachable(range: TimeRange) -> Option<TimeRange> {
    let from_second = range.from_second.clamp(TIME_MIN_SECOND, TIME_MAX_SECOND);
    let to_second = range.to_second.clamp(TIME_MIN_SECOND, TIME_MAX_SECOND);
    (from_second < to_second).then_some(TimeRange { from_second, to_second })
}

/// The result that counts requests.
pub(super) const REQUESTS: &str = "requests";
/// The result with the latencies, one row each.
pub(super) const LATENCIES: &str = "latencies";
/// The result with the newest request.
pub(super) const LAST: &str = "last";

/// Statistics of `params.start` to `params.stop`, of `params.customer` or of all customers.
///
/// Requests are counted by day and success in the storage engine (one row for each series and day). Latencies are wanted as whole microseconds, summed
/// exactly, and as quantiles of the range and of each day. The engine can sum floats only, which drifts by a microsecond from some million values on, and has
/// no quantiles; Flux itself takes 9 µs a value to tell days apart (`window`), against 2 µs for sending it. So the values come as they are, read once.
pub(super) fn stats_script(one_customer: bool) -> String {
    let (measurement, success) = (requests::MEASUREMENT, requests::SUCCESS);
    let (status_code, duration) = (requests::STATUS_CODE, requests::DURATION);
    let whose = whose(one_customer);
    format!(
        r#"// tailgauge: statistics
points = (field) => from(bucket: params.bucket)
    |> range(start: params.start, stop: params.stop)
    |> filter(fn: (r) => r._measurement == "{measurement}" and r._field == field{whose})

points(field: "{status_code}")
    |> aggregateWindow(every: 1d, fn: count, createEmpty: false, timeSrc: "_start")
    |> keep(columns: ["_time", "_value", "{success}"])
    |> yield(name: "{REQUESTS}")

points(field: "{duration}")
    |> keep(columns: ["_time", "_value"])
    |> yield(name: "{LATENCIES}")
"#
    )
}

/// All customers: how many requests of each, and the newest.
pub(super) fn customers_script() -> String {
    let (measurement, customer_id, status_code) =
        (requests::MEASUREMENT, requests::CUSTOMER_ID, requests::STATUS_CODE);
    format!(
        r#"// tailgauge: customers
points = () => from(bucket: params.bucket)
    |> range(start: params.start, stop: params.stop)
    |> filter(fn: (r) => r._measurement == "{measurement}" and r._field == "{status_code}")
    |> group(columns: ["{customer_id}"])

points()
    |> count()
    |> yield(name: "{REQUESTS}")

points()
    |> last()
    |> keep(columns: ["{customer_id}", "_time"])
    |> yield(name: "{LAST}")
"#
    )
}

/// The customers that have requests from `params.start` to `params.stop`: one row for each.
pub(super) fn customers_of_points_script() -> String {
    let (measurement, customer_id, status_code) =
        (requests::MEASUREMENT, requests::CUSTOMER_ID, requests::STATUS_CODE);
    format!(
        r#"// tailgauge: customers of points
from(bucket: params.bucket)
    |> range(start: params.start, stop: params.stop)
    |> filter(fn: (r) => r._measurement == "{measurement}" and r._field == "{status_code}")
    |> group(columns: ["{customer_id}"])
    |> first()
    |> keep(columns: ["{customer_id}"])
"#
    )
}

/// Which points a script means: those of `params.customer`, or of all.
fn whose(one_customer: bool) -> String {
    if one_customer { format!(" and r.{} == params.customer", requests::CUSTOMER_ID) } else { String::new() }
}

/// The requests of `params.start` to `params.stop` one by one, of `params.customer` or of all: statuses, and latencies, each with its time. As in [`stats_script`] the values come as
/// they are, and are counted where they arrive.
pub(super) fn points_script(one_customer: bool) -> String {
    let (measurement, status_code, duration) =
        (requests::MEASUREMENT, requests::STATUS_CODE, requests::DURATION);
    let whose = whose(one_customer);
    format!(
        r#"// tailgauge: points
points = (field) => from(bucket: params.bucket)
    |> range(start: params.start, stop: params.stop)
    |> filter(fn: (r) => r._measurement == "{measurement}" and r._field == field{whose})
    |> keep(columns: ["_time", "_value"])

points(field: "{status_code}") |> yield(name: "{REQUESTS}")
points(field: "{duration}") |> yield(name: "{LATENCIES}")
"#
    )
}

/// The same of all customers with their ids and without times; and of each customer the newest request from `params.first` on.
pub(super) fn table_script() -> String {
    let (measurement, customer_id) = (requests::MEASUREMENT, requests::CUSTOMER_ID);
    let (status_code, duration) = (requests::STATUS_CODE, requests::DURATION);
    format!(
        r#"// tailgauge: table of customers
points = (field) => from(bucket: params.bucket)
    |> range(start: params.start, stop: params.stop)
    |> filter(fn: (r) => r._measurement == "{measurement}" and r._field == field)
    |> keep(columns: ["{customer_id}", "_value"])

points(field: "{status_code}") |> yield(name: "{REQUESTS}")
points(field: "{duration}") |> yield(name: "{LATENCIES}")

from(bucket: params.bucket)
    |> range(start: params.first, stop: params.last)
    |> filter(fn: (r) => r._measurement == "{measurement}" and r._field == "{status_code}")
    |> group(columns: ["{customer_id}"])
    |> last()
    |> keep(columns: ["{customer_id}", "_time"])
    |> yield(name: "{LAST}")
"#
    )
}

/// The first line of the question whether a source has any request.
pub(super) const HAS_REQUESTS_MARK: &str = "// tailgauge: any request of a source";

/// The first request of `params.source` (of the default log, which carries no source, with `main`), if there is one.
pub(super) fn has_requests_script(main: bool) -> String {
    let (measurement, source, field) = (requests::MEASUREMENT, requests::SOURCE, requests::STATUS_CODE);
    let whose = if main { format!("not exists r.{source}") } else { format!("r.{source} == params.source") };
    format!(
        r#"{HAS_REQUESTS_MARK}
from(bucket: params.bucket)
    |> range(start: params.start, stop: params.stop)
    |> filter(fn: (r) => r._measurement == "{measurement}" and r._field == "{field}" and {whose})
    |> group()
    |> first()
    |> keep(columns: ["_time"])
"#
    )
}

/// One row if there is any request of `params.customer`, or of anybody.
pub(super) fn known_script(one_customer: bool) -> String {
    let (measurement, status_code) = (requests::MEASUREMENT, requests::STATUS_CODE);
    let whose = whose(one_customer);
    format!(
        r#"// tailgauge: is there any
from(bucket: params.bucket)
    |> range(start: params.start, stop: params.stop)
    |> filter(fn: (r) => r._measurement == "{measurement}" and r._field == "{status_code}"{whose})
    |> group()
    |> last()
    |> keep(columns: ["_time"])
"#
    )
}

/// The names of all sources that carry one in their requests. Looked up in the index; no request is read.
pub(super) fn sources_script() -> String {
    let (measurement, source) = (requests::MEASUREMENT, requests::SOURCE);
    format!(
        r#"// tailgauge: sources of requests
import "influxdata/influxdb/schema"

schema.tagValues(bucket: params.bucket, tag: "{source}", predicate: (r) => r._measurement == "{measurement}", start: params.start, stop: params.stop)
"#
    )
}

/// All fields of the requests of `params.customer` from `params.start` to `params.stop`, one row each.
pub(super) fn raw_script() -> String {
    let (measurement, customer_id) = (requests::MEASUREMENT, requests::CUSTOMER_ID);
    let (source, success) = (requests::SOURCE, requests::SUCCESS);
    let (duration, path, status) = (requests::DURATION, requests::REQUEST_PATH, requests::STATUS_CODE);
    format!(
        r#"// tailgauge: raw requests
from(bucket: params.bucket)
    |> range(start: params.start, stop: params.stop)
    |> filter(fn: (r) => r._measurement == "{measurement}" and (r._field == "{duration}" or r._field == "{path}" or r._field == "{status}") and r.{customer_id} == params.customer)
    |> keep(columns: ["_time", "_value", "_field", "{source}", "{success}"])
"#
    )
}

/// The newest heartbeat of each source: when, and what it said.
pub(super) fn freshness_script() -> String {
    let (measurement, source) = (processors::MEASUREMENT, processors::SOURCE);
    format!(
        r#"// tailgauge: freshness
from(bucket: params.bucket)
    |> range(start: params.start, stop: params.stop)
    |> filter(fn: (r) => r._measurement == "{measurement}")
    |> last()
    |> keep(columns: ["{source}", "_field", "_time", "_value"])
"#
    )
}

/// The first line of the question for a source's generations, by which a stand-in knows it.
pub(super) const GENERATIONS_MARK: &str = "// tailgauge: generations of a source";
/// The first line of the question for a source's owner.
pub(super) const OWNER_MARK: &str = "// tailgauge: owner of a source";

/// All generations of `params.source`: rows with `_time`, the head and `_value` = start.
pub(super) fn generations_script() -> String {
    let (measurement, source, field) = (generations::MEASUREMENT, generations::SOURCE, generations::START);
    format!(
        r#"{GENERATIONS_MARK}
from(bucket: params.bucket)
    |> range(start: params.start, stop: params.stop)
    |> filter(fn: (r) => r._measurement == "{measurement}" and r.{source} == params.source and r._field == "{field}")
"#
    )
}

/// The first line of the question for what was said about a source.
pub(super) const STATEMENTS_MARK: &str = "// tailgauge: statements about a source";

/// The points of `params.source` from `params.start` to before `params.stop`: one row for each field, with `_time`, `_field` and `_value`.
pub(super) fn statements_script() -> String {
    let (measurement, source) = (processors::MEASUREMENT, processors::SOURCE);
    format!(
        r#"{STATEMENTS_MARK}
from(bucket: params.bucket)
    |> range(start: params.start, stop: params.stop)
    |> filter(fn: (r) => r._measurement == "{measurement}" and r.{source} == params.source)
"#
    )
}

/// The newest point of `params.source`: one row for each field, with `_field` and `_value`.
pub(super) fn owner_script() -> String {
    let (measurement, source) = (processors::MEASUREMENT, processors::SOURCE);
    format!(
        r#"{OWNER_MARK}
from(bucket: params.bucket)
    |> range(start: params.start, stop: params.stop)
    |> filter(fn: (r) => r._measurement == "{measurement}" and r.{source} == params.source)
    |> last()
"#
    )
}

/// Whose requests: those of `params.source`, or of the default log, which carries no source.
fn of_source(main: bool) -> String {
    let source = requests::SOURCE;
    if main { format!("not exists r.{source}") } else { format!("r.{source} == params.source") }
}

/// The first and the last request of each series of `params.source` (of the default log with `main`): rows with `_time`.
pub(super) fn stored_span_script(main: bool) -> String {
    let (measurement, status, whose) = (requests::MEASUREMENT, requests::STATUS_CODE, of_source(main));
    format!(
        r#"// tailgauge: span of the stored requests
all = () => from(bucket: params.bucket)
    |> range(start: params.start, stop: params.stop)
    |> filter(fn: (r) => r._measurement == "{measurement}" and r._field == "{status}" and {whose})
all() |> first() |> keep(columns: ["_time"]) |> yield(name: "first")
all() |> last() |> keep(columns: ["_time"]) |> yield(name: "last")
"#
    )
}

/// Status and latency of the requests of `params.source` (of the default log with `main`) from `params.start` to before `params.stop`, a row each.
pub(super) fn stored_outcomes_script(main: bool) -> String {
    let (measurement, customer_id) = (requests::MEASUREMENT, requests::CUSTOMER_ID);
    let (duration, status, whose) = (requests::DURATION, requests::STATUS_CODE, of_source(main));
    format!(
        r#"// tailgauge: outcomes of the stored requests
from(bucket: params.bucket)
    |> range(start: params.start, stop: params.stop)
    |> filter(fn: (r) => r._measurement == "{measurement}" and (r._field == "{duration}" or r._field == "{status}") and {whose})
    |> keep(columns: ["_time", "_value", "_field", "{customer_id}"])
"#
    )
}

/// The first line of the question for stored requests.
pub(super) const STORED_REQUESTS_MARK: &str = "// tailgauge: stored requests";

/// The fields of the requests of `params.source` (of the default log, which carries no source, with `main`) from `params.start` to before `params.stop`, one row each.
pub(super) fn stored_requests_script(main: bool) -> String {
    let (measurement, whose) = (requests::MEASUREMENT, of_source(main));
    let (customer_id, success) = (requests::CUSTOMER_ID, requests::SUCCESS);
    let (duration, path, status) = (requests::DURATION, requests::REQUEST_PATH, requests::STATUS_CODE);
    format!(
        r#"{STORED_REQUESTS_MARK}
from(bucket: params.bucket)
    |> range(start: params.start, stop: params.stop)
    |> filter(fn: (r) => r._measurement == "{measurement}" and (r._field == "{duration}" or r._field == "{path}" or r._field == "{status}") and {whose})
    |> keep(columns: ["_time", "_value", "_field", "{customer_id}", "{success}"])
"#
    )
}
