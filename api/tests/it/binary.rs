//! The real binary as its operator meets it: how it starts, what it refuses, how it stops, and that it follows the ledger.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;

use store::embedded::LEDGER_FILE;
use tempfile::TempDir;

use crate::ledger::{Writer, line};
use crate::program::{Program, run};

fn folder() -> TempDir {
    TempDir::new().expect("a temporary folder")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("UTF-8")
}

#[test]
fn it_answers_and_stops_cleanly() {
    let state = folder();
    Writer::open(state.path()).store([line("2024-09-29 10:00:00", "cust_1", 200, "0.5")]);
    let api = Program::start(state.path());
    assert_eq!(api.stats("cust_1", "2024-09-29")["total_requests"], 1);
    assert_eq!(api.get("/readyz").0, 200);
    let (status, out, log) = api.stop();
    assert_eq!((status.code(), out.as_str()), (Some(0), ""), "{log}");
    assert!(log.contains("stopped") && !log.contains("WARN") && !log.contains("ERROR"), "{log}");
}

#[test]
fn a_damaged_day_of_one_customer_is_a_problem_for_that_customer_alone() {
    let state = folder();
    let lines = ["cust_1", "cust_2"].map(|customer| line("2024-09-29 10:00:00", customer, 200, "0.5"));
    Writer::open(state.path()).store(lines);
    store::embedded::testing::damage_days(state.path(), "cust_2");
    let api = Program::start(state.path());
    let (status, problem) = api.json("/customers/cust_2/stats?from_date=2024-09-29");
    assert_eq!((status, &problem["title"]), (500, &"Internal error".into()));
    let told = problem.to_string();
    for internal in [LEDGER_FILE, "checksum", "2024-09-29T", state.path().to_str().expect("UTF-8")] {
        assert!(!told.contains(internal), "{told}");
    }
    assert_eq!(api.stats("cust_1", "2024-09-29")["total_requests"], 1, "the others are not affected");
    assert_eq!(api.json("/customers/stats?from_date=2024-09-29").1["total_requests"], 2);
    let (_, _, log) = api.stop();
    assert!(log.contains("cust_2") && log.contains("the day 2024-09-29T00:00Z"), "{log}");
}

#[test]
fn it_stops_cleanly_at_an_interrupt_too() {
    let state = folder();
    let api = Program::start(state.path());
    api.signal("-INT");
    let (status, _, log) = api.stop();
    // The second signal may come while it is ending by the first.
    assert!([Some(0), Some(3)].contains(&status.code()), "{log}");
}

#[test]
fn without_a_ledger_it_waits_for_one() {
    let state = folder();
    let api = Program::start(state.path());
    assert_eq!(api.get("/livez").0, 200);
    assert_eq!(api.get("/readyz").0, 503);
    for path in [
        "/customers/cust_1/stats?from_date=2024-09-29",
        "/customers/stats?from_date=2024-09-29",
        "/customers",
    ] {
        let (status, problem) = api.json(path);
        assert_eq!((status, &problem["title"]), (404, &"No data yet".into()), "{path}");
        assert!(!problem.to_string().contains(LEDGER_FILE), "{problem}");
    }
    let mut writer = Writer::open(state.path());
    writer.store([line("2024-09-29 10:00:00", "cust_1", 200, "0.5")]);
    assert_eq!(api.stats("cust_1", "2024-09-29")["total_requests"], 1);
    assert_eq!(api.get("/readyz").0, 200);
}

#[test]
fn it_shows_every_commit_at_once_while_the_processor_writes() {
    let state = folder();
    let mut writer = Writer::open(state.path());
    let api = Program::start(state.path());
    for count in 1..=50 {
        writer.store([line("2024-09-29 10:00:00", "cust_1", if count % 2 == 0 { 200 } else { 500 }, "0.5")]);
        let answer = api.stats("cust_1", "2024-09-29");
        assert_eq!(
            (&answer["total_requests"], &answer["successful_requests"]),
            (&count.into(), &(count / 2).into())
        );
        let (_, page) = api.json("/customers");
        assert_eq!(page["data"][0]["requests"], count, "{page}");
    }
}

#[test]
fn another_ledger_in_the_same_place_is_another_answer() {
    let state = folder();
    Writer::open(state.path()).store([line("2024-09-29 10:00:00", "cust_1", 200, "0.5")]);
    let api = Program::start(state.path());
    assert_eq!(api.stats("cust_1", "2024-09-29")["uptime"], 100.0);
    for name in [LEDGER_FILE.to_owned(), format!("{LEDGER_FILE}-wal"), format!("{LEDGER_FILE}-shm")] {
        match std::fs::remove_file(state.path().join(name)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => panic!("{error}"),
            _ => {}
        }
    }
    Writer::open(state.path()).store([line("2024-09-29 10:00:00", "cust_1", 500, "0.5")]);
    assert_eq!(api.stats("cust_1", "2024-09-29")["uptime"], 0.0);
}

#[test]
fn a_file_that_is_no_ledger_is_a_problem_without_internals() {
    let state = folder();
    std::fs::write(
        state.path().join(LEDGER_FILE),
        "this is not a database, whatever its name says".repeat(200),
    )
    .expect("written");
    let api = Program::start(state.path());
    for path in ["/customers/cust_1/stats?from_date=2024-09-29", "/customers", "/readyz"] {
        let (status, body) = api.get(path);
        assert!(status == 503 || status == 500, "{path}: {status} {body}");
        assert!(!body.contains(LEDGER_FILE) && !body.contains("database"), "{body}");
    }
    let (_, _, log) = api.stop();
    assert!(log.contains("ERROR") && log.contains(LEDGER_FILE), "{log}");
}

/// An InfluxDB of which only one answer is known, given to everyone.
fn influxdb_that_answers(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let mut request = [0; 16 * 1024];
            // Whatever was asked, and whether it is still there to hear the answer.
            drop(stream.read(&mut request).and_then(|_| stream.write_all(answer.as_bytes())));
        }
    });
    url
}

#[test]
fn an_influxdb_that_is_away_or_refuses_us_is_503_without_internals() {
    let nobody = {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        format!("http://{}", listener.local_addr().expect("bound"))
    };
    let body = r#"{"code":"unauthorized","message":"unauthorized access"}"#;
    let refusal = format!(
        "HTTP/1.1 401 Unauthorized\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    for (url, level) in [(nobody, "WARN"), (influxdb_that_answers(refusal.leak()), "ERROR")] {
        let folder = folder();
        let settings = [
            ("INFLUXDB_URL", url.as_str()),
            ("DOCKER_INFLUXDB_INIT_ORG", "our-organization"),
            ("DOCKER_INFLUXDB_INIT_BUCKET", "our-bucket"),
            ("DOCKER_INFLUXDB_INIT_ADMIN_TOKEN", "s3cr3t"),
        ];
        let api = Program::start_with(folder.path(), &settings);
        assert_eq!(api.get("/livez").0, 200);
        for path in ["/customers/cust_1/stats?from_date=2024-09-29", "/customers", "/readyz"] {
            let (status, told) = api.get(path);
            assert_eq!(status, 503, "{path}: {told}");
            let authority = url.trim_start_matches("http://");
            for internal in [authority, "s3cr3t", "our-", "nauthorized", "onnect"] {
                assert!(!told.contains(internal), "{path}: {told}");
            }
        }
        let (status, _, log) = api.stop();
        assert_eq!(status.code(), Some(0), "{log}");
        assert!(log.contains(level) && !log.contains("s3cr3t"), "{log}");
    }
}

#[test]
fn a_raw_path_stays_a_name() {
    let state = folder();
    let names = ["a/b", "..", "\u{e9}\u{1f980}", "x\"|>drop()", "${a}", "100%", "a,b=c"];
    let lines = names
        .iter()
        .zip(1..)
        .flat_map(|(name, count)| std::iter::repeat_n(line("2024-09-29 10:00:00", name, 200, "0.5"), count));
    Writer::open(state.path()).store(lines);
    let api = Program::start(state.path());
    for (name, count) in names.iter().zip(1..) {
        let encoded: String = name.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let answer = api.stats(&encoded, "2024-09-29");
        assert_eq!((&answer["customer_id"], &answer["total_requests"]), (&(*name).into(), &count.into()));
    }
    assert_eq!(api.get("/customers/%FF/stats?from_date=2024-09-29").0, 404);
}

#[test]
fn another_address_than_loopback_is_refused() {
    let state = folder();
    for bind in ["0.0.0.0:0", "[::]:0", "192.0.2.1:8000"] {
        let output = run(state.path(), &[], &[("API_BIND", bind)]);
        assert_eq!((output.status.code(), text(&output.stdout)), (Some(2), ""), "{bind}");
        let told = text(&output.stderr);
        assert!(told.contains(bind) && told.contains("API_ALLOW_ANONYMOUS=true"), "{told}");
    }
}

#[test]
fn an_address_in_use_is_refused() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let bind = taken.local_addr().expect("bound").to_string();
    let output = run(folder().path(), &[], &[("API_BIND", &bind)]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains(&format!("API_BIND={bind}")), "{}", text(&output.stderr));
}

#[test]
fn faulty_settings_are_told_all_at_once() {
    let output =
        run(folder().path(), &[], &[("API_BIND", "8000"), ("RETENTION", "long"), ("STORE", "paper")]);
    assert_eq!(output.status.code(), Some(2));
    let told = text(&output.stderr);
    assert!(
        ["API_BIND=8000", "RETENTION=long", "STORE=paper"].iter().all(|fault| told.contains(fault)),
        "{told}"
    );
}

#[test]
fn help_and_version() {
    let help = run(folder().path(), &["--help"], &[]);
    assert_eq!(help.status.code(), Some(0));
    // Long lines are wrapped for the terminal.
    let shown = text(&help.stdout).split_whitespace().collect::<Vec<_>>().join(" ");
    for words in ["--api-bind <ADDRESS>", "--state-dir", "health", "Exit codes:", "default: 127.0.0.1:8000]"]
    {
        assert!(shown.contains(words), "{words}: {shown}");
    }
    let version = run(folder().path(), &["--version"], &[]);
    assert_eq!(text(&version.stdout), format!("api {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn health_exits_0_or_1() {
    let state = folder();
    let api = Program::start(state.path());
    let health = |args: &[&str], settings: &[(&str, &str)]| {
        let output = run(Path::new("/"), &[&["health"], args].concat(), settings);
        (output.status.code(), text(&output.stderr).to_owned())
    };
    assert_eq!(health(&[], &[("API_BIND", api.address())]), (Some(0), String::new()));
    assert_eq!(health(&[&api.url()], &[]), (Some(0), String::new()));
    let (code, told) = health(&["--ready", &api.url()], &[]);
    assert_eq!(code, Some(1));
    assert!(told.contains("503") && told.contains("no request has been stored"), "{told}");
    let url = api.url();
    let (status, _, _) = api.stop();
    assert_eq!(status.code(), Some(0));
    let (code, told) = health(&[&url], &[]);
    assert_eq!(code, Some(1));
    assert!(told.contains(&url) && told.contains("does not answer"), "{told}");
}

#[test]
fn the_first_version_tells_the_same_in_every_answer_from_the_ledger() {
    let state = folder();
    let now = crate::ledger::now();
    let lines = (0..200_i64).map(|number| {
        let time = (now - chrono::TimeDelta::seconds(number * 600)).format("%Y-%m-%d %H:%M:%S").to_string();
        line(&time, &format!("cust_{}", number % 3), [200, 200, 404, 503][number as usize % 4], "0.25")
    });
    Writer::open(state.path()).store(lines);
    let api = Program::start(state.path());
    let asked = |path: &str| {
        let (status, answer) = api.json(path);
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    };
    for (range, granularity) in
        [("from=-3h", "1m"), ("from=-24h", "15m"), ("from=-7d&tz=Asia/Kathmandu", "1h"), ("from=-60d", "1d")]
    {
        let series = asked(&format!("/v1/series?{range}&granularity={granularity}&fill=none"));
        // Whole buckets are more than the range: the same stretch of time, from bucket to bucket.
        let (from, to) = (series["from"].as_str().expect("a time"), series["to"].as_str().expect("a time"));
        let same = format!("from={}&to={}", from.replace('+', "%2B"), to.replace('+', "%2B"));
        let total = asked(&format!("/v1/stats?{same}"))["total_requests"].as_u64().expect("a number");
        assert!(total > 10, "{range}: {total}");
        let sum = |answer: &serde_json::Value, key: &str| {
            let rows = answer["data"].as_array().expect("rows").iter();
            rows.map(|row| row[key].as_u64().expect("a number")).sum::<u64>()
        };
        assert_eq!(sum(&series, "total_requests"), total, "{range}");
        assert_eq!(sum(&asked(&format!("/v1/customers?{same}")), "total_requests"), total, "{range}");
        assert_eq!(sum(&asked(&format!("/v1/latency?{same}")), "requests"), total, "{range}");
        let each = (0..3).map(|number| asked(&format!("/v1/customers/cust_{number}/stats?{same}")));
        assert_eq!(each.map(|answer| answer["total_requests"].as_u64()).sum::<Option<u64>>(), Some(total));
    }
    let (status, refused) = api.json("/v1/series?from=-30d&granularity=1m");
    assert_eq!((status, refused["errors"][0]["parameter"].as_str()), (422, Some("granularity")));
}
