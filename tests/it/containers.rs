//! The container test: our image, brought up by `docker compose`, tested from inside by `docker exec`, killed in the middle, and taken down without a trace.

use std::collections::BTreeMap;
use std::time::Duration;

use system_tests::compose::{Project, SERVICES};
use system_tests::groups::{Group, heavy, left_out};
use system_tests::http::{self, encoded};
use system_tests::program::unannounced_errors;
use system_tests::recount::{Figures, Recount};
use system_tests::stack::days_ago;
use system_tests::wait::{PATIENCE, eventually, holds};
use system_tests::{grouped, tell};

/// What the load in the middle of which the processor is killed adds.
const LOAD_LINES: u64 = 200_000;
const DEADLINE: Duration = Duration::from_secs(180);
const APPEND: &str = r#"cat >>"$LOG_FILE_PATH""#;

/// Counts by customer: requests, successes, and the sum of the milliseconds. A count made by awk alone, inside the container, over the very log.
const AWK: &str = r#"awk '{ n[$3]++; if ($5 >= 200 && $5 < 400) ok[$3]++; ms[$3] += $6 * 1000 }
    END { for (c in n) printf "%s %d %d %.0f\n", c, n[c], ok[c], ms[c] }' "$LOG_FILE_PATH""#;

#[test]
#[ignore = "a whole-system test: ./start.sh test runs it"]
fn the_containers_count_every_line_once_through_a_kill_and_leave_nothing_behind() {
    if left_out(Group::Containers) {
        return;
    }
    let _turn = heavy();
    let project = Project::up();
    let known = known_lines();
    project.exec_with_input("log_generator", &["sh", "-c", APPEND], known.as_bytes());
    let stored = |lines: u64| {
        project.until(DEADLINE, &format!("{lines} lines are stored"), |status| {
            status["lines_stored"] == lines && status["lines_in_flight"] == 0 && status["lag_bytes"] == 0
        })
    };
    let lines = known.lines().count() as u64;
    stored(lines);
    assert_numbers(&project, known.as_bytes());

    // Killed in the middle of a load, and started again.
    let settings = [
        ("MAX_LOGS_TO_GENERATE", LOAD_LINES.to_string()),
        ("LOG_BATCH_SIZE", "500".to_owned()),
        ("LOG_INTERVAL_SECONDS", "0.02".to_owned()),
    ];
    let settings = settings.each_ref().map(|(name, value)| (*name, value.as_str()));
    project.exec_detached("log_generator", &settings, &["log-generator"]);
    let mut killed = Vec::new();
    for share in [4, 2] {
        let status = project.until(DEADLINE, "the load is under way", |status| {
            status["lines_stored"].as_u64() > Some(lines + LOAD_LINES / share / 2)
        });
        project.kill("log_processor");
        killed.push(status["lines_stored"].as_u64().expect("a count"));
        project.start("log_processor");
    }
    let status = stored(lines + LOAD_LINES);
    assert_eq!(status["lines_rejected"], 0, "{status:#}");
    assert!(killed.iter().all(|stored| *stored < lines + LOAD_LINES), "not in the middle: {killed:?}");
    let log = project.exec("log_generator", &["sh", "-c", r#"cat "$LOG_FILE_PATH""#]);
    assert_eq!(log.lines().count() as u64, lines + LOAD_LINES);
    assert_numbers(&project, log.as_bytes());
    tell(&format!(
        "containers: {} lines, the processor killed when {killed:?} were stored",
        grouped(lines + LOAD_LINES)
    ));
    for service in SERVICES {
        let errors = unannounced_errors(&project.logs(service), &[]);
        assert!(errors.is_empty(), "{service} logged errors:\n{errors}");
    }
    project.down();
}

/// Lines whose figures are known; of the past days, since .env.local keeps 45 of them.
fn known_lines() -> String {
    let line = |n: i64| {
        let (date, minute, second) = (days_ago(n % 3), n / 60 % 60, n % 60);
        let status = [200, 201, 304, 404, 500][(n % 5) as usize];
        format!(
            "{date} 00:{minute:02}:{second:02} known_{} /api/v1/resource{} {status} {}.{:03}\n",
            n % 7,
            n % 4,
            n % 2,
            n % 1000
        )
    };
    (0..2000).map(line).collect()
}

/// What the api says, what InfluxDB says, what awk says, and what the recount says: all the same.
fn assert_numbers(project: &Project, log: &[u8]) {
    let recount = Recount::of_text(log);
    let by_awk = project.exec("log_generator", &["sh", "-c", AWK]);
    let mut counts = BTreeMap::new();
    let address = project.address("api", "8000");
    let stats = |customer: &str| {
        let path = format!("/customers/{}/stats?from_date=1970-01-01", encoded(customer));
        http::get(&address, &path).expect("the api answers")
    };
    // Its answers about InfluxDB may be a second old.
    eventually(PATIENCE, "the api tells of every line", || {
        let answer = http::get(&address, "/customers/stats?from_date=1970-01-01")
            .map_err(|error| error.to_string())?;
        holds(answer.json()["total_requests"] == recount.lines(), || answer.text())
    });
    for line in by_awk.lines() {
        let fields: Vec<&str> = line.split(' ').collect();
        let [customer, requests, successes, millis] = fields[..] else { panic!("awk said {line:?}") };
        let [requests, successes, millis] =
            [requests, successes, millis].map(|number| number.parse::<u64>().expect("a number"));
        let answer = stats(customer).json();
        let figures = Figures::of(&answer).unwrap_or_else(|| panic!("{customer}: {answer:#}"));
        assert_eq!(
            (figures.total_requests, figures.successful_requests),
            (requests, successes),
            "{customer}"
        );
        let average = millis as f64 / 1000.0 / requests as f64;
        assert!(
            (figures.average_latency - average).abs() < 0.000_006,
            "{customer}: {average} by awk, {answer:#}"
        );
        recount.assert_equal(&answer, Some(customer), "1970-01-01");
        counts.insert(customer.to_owned(), requests);
    }
    assert_eq!(counts.keys().collect::<Vec<_>>(), recount.customers(), "awk has seen every customer");
    assert_eq!(influxdb_counts(project), counts, "InfluxDB's own count");
}

/// Asked inside its container, with its own query API.
fn influxdb_counts(project: &Project) -> BTreeMap<String, u64> {
    const ASK: &str = r#"curl -fsS "http://127.0.0.1:8086/api/v2/query?org=$DOCKER_INFLUXDB_INIT_ORG" \
        -H "Authorization: Token $DOCKER_INFLUXDB_INIT_ADMIN_TOKEN" -H "Content-Type: application/vnd.flux" -H "Accept: application/csv" \
        --data-binary "from(bucket: \"$DOCKER_INFLUXDB_INIT_BUCKET\") |> range(start: 0)
            |> filter(fn: (r) => r._measurement == \"api_requests\" and r._field == \"duration\")
            |> group(columns: [\"customer_id\"]) |> count() |> keep(columns: [\"customer_id\", \"_value\"])""#;
    let answer = project.exec("influx_db", &["sh", "-c", ASK]);
    let mut counts = BTreeMap::new();
    for line in answer.lines().map(str::trim_end).filter(|line| !line.is_empty()) {
        let fields: Vec<&str> = line.split(',').collect();
        let [_, _, _, first, second] = fields[..] else { panic!("InfluxDB said {line:?}") };
        // A line with the columns' names stands before each table.
        if let Some((customer, count)) = [(first, second), (second, first)]
            .into_iter()
            .find_map(|(customer, count)| Some((customer, count.parse::<u64>().ok()?)))
        {
            counts.insert(customer.to_owned(), count);
        }
    }
    counts
}
