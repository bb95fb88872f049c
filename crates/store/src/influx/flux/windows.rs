//! The Flux that asks for published statistics: windows of a customer, of all together, of each; and who has any. Found by series and time, nothing else is read.

use super::{LAST, REQUESTS};
use crate::influx::schema::statistics;

/// The names of the values of a run of windows: its beginning, its end, its kind.
pub(in crate::influx) const RUNS: [(&str, &str, &str); 3] =
    [("start0", "stop0", "window0"), ("start1", "stop1", "window1"), ("start2", "stop2", "window2")];

/// The statistics of up to three runs of windows ([`RUNS`]) of `params.customer` or of all customers together: one row for each window and source. The engine finds them by
/// their series and times, and reads nothing else.
pub(in crate::influx) fn cells_script(runs: usize, one_customer: bool) -> String {
    let (window, blob) = (statistics::WINDOW, statistics::BLOB);
    let (measurement, whose) = whose_statistics(one_customer);
    let mut script = format!(
        r#"// tailgauge: statistics of windows
cells = (start, stop, window) => from(bucket: params.bucket)
    |> range(start: start, stop: stop)
    |> filter(fn: (r) => r._measurement == "{measurement}" and r._field == "{blob}" and r.{window} == window{whose})
    |> keep(columns: ["_time", "_value"])
"#
    );
    for (start, stop, window) in &RUNS[..runs] {
        script.push_str(&format!(
            "\ncells(start: params.{start}, stop: params.{stop}, window: params.{window})\n    |> yield(name: \"{window}\")\n"
        ));
    }
    script
}

/// The statistics of up to three runs of windows ([`RUNS`]) of each customer, one row for each customer, window and source; and of each the second of the newest request, told by its
/// days from `params.first` on.
pub(in crate::influx) fn table_of_cells_script(runs: usize) -> String {
    let (measurement, customer_id) = (statistics::MEASUREMENT, statistics::CUSTOMER_ID);
    let (window, blob, last_seen) = (statistics::WINDOW, statistics::BLOB, statistics::LAST_SEEN_S);
    let day = statistics::DAY;
    let mut script = format!(
        r#"// tailgauge: table of customers by windows
points = (start, stop, window, field) => from(bucket: params.bucket)
    |> range(start: start, stop: stop)
    |> filter(fn: (r) => r._measurement == "{measurement}" and r._field == field and r.{window} == window)

points(start: params.first, stop: params.last, window: "{day}", field: "{last_seen}")
    |> group(columns: ["{customer_id}"])
    |> max()
    |> keep(columns: ["{customer_id}", "_value"])
    |> yield(name: "{LAST}")
"#
    );
    for (start, stop, window) in &RUNS[..runs] {
        script.push_str(&format!(
            "\npoints(start: params.{start}, stop: params.{stop}, window: params.{window}, field: \"{blob}\")\n    |> keep(columns: [\"{customer_id}\", \"_value\"])\n    |> yield(name: \"{window}\")\n"
        ));
    }
    script
}

/// The most requests that any day has of `params.customer`, or of all customers together: one row for each source that has a day of them.
pub(in crate::influx) fn known_of_days_script(one_customer: bool) -> String {
    let (window, day, requests) = (statistics::WINDOW, statistics::DAY, statistics::REQUESTS);
    let (measurement, whose) = whose_statistics(one_customer);
    format!(
        r#"// tailgauge: is there any day
from(bucket: params.bucket)
    |> range(start: params.start, stop: params.stop)
    |> filter(fn: (r) => r._measurement == "{measurement}" and r._field == "{requests}" and r.{window} == "{day}"{whose})
    |> max()
    |> keep(columns: ["_value"])
"#
    )
}

/// All customers by their days: how many requests of each, and the second of the newest.
pub(in crate::influx) fn customers_of_days_script() -> String {
    let (measurement, customer_id) = (statistics::MEASUREMENT, statistics::CUSTOMER_ID);
    let (window, day) = (statistics::WINDOW, statistics::DAY);
    let (requests, last_seen) = (statistics::REQUESTS, statistics::LAST_SEEN_S);
    format!(
        r#"// tailgauge: customers of days
days = (field) => from(bucket: params.bucket)
    |> range(start: params.start, stop: params.stop)
    |> filter(fn: (r) => r._measurement == "{measurement}" and r._field == field and r.{window} == "{day}")
    |> group(columns: ["{customer_id}"])

days(field: "{requests}")
    |> sum()
    |> yield(name: "{REQUESTS}")

days(field: "{last_seen}")
    |> max()
    |> keep(columns: ["{customer_id}", "_value"])
    |> yield(name: "{LAST}")
"#
    )
}

/// The customers that have requests in days from `params.start0` to before `params.stop0`, or in quarter-hours from `params.start1` to before `params.stop1`: one row for each customer and kind,
/// with the number of requests.
pub(in crate::influx) fn customers_before_script() -> String {
    let (measurement, customer_id) = (statistics::MEASUREMENT, statistics::CUSTOMER_ID);
    let (window, requests) = (statistics::WINDOW, statistics::REQUESTS);
    let mut script = format!(
        r#"// tailgauge: customers of windows
windows = (start, stop, window) => from(bucket: params.bucket)
    |> range(start: start, stop: stop)
    |> filter(fn: (r) => r._measurement == "{measurement}" and r._field == "{requests}" and r.{window} == window)
    |> group(columns: ["{customer_id}"])
    |> sum()
"#
    );
    for (start, stop, window) in &RUNS[..2] {
        script.push_str(&format!(
            "\nwindows(start: params.{start}, stop: params.{stop}, window: params.{window})\n    |> yield(name: \"{window}\")\n"
        ));
    }
    script
}

/// Which statistics a script means: those of `params.customer`, or of all customers together.
fn whose_statistics(one_customer: bool) -> (&'static str, String) {
    if one_customer {
        (statistics::MEASUREMENT, format!(" and r.{} == params.customer", statistics::CUSTOMER_ID))
    } else {
        (statistics::ALL_MEASUREMENT, String::new())
    }
}
