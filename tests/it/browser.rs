//! The dashboard in a real browser: the harness writes a log and starts the programs, a script of tests/browser drives chromium and compares what is seen with what
//! the api answers.

use std::fmt::Write as _;
use std::process::Command;

use chrono::{TimeDelta, Utc};
use system_tests::groups::{Group, heavy, left_out};
use system_tests::stack::{LOG, Stack};
use system_tests::wait::PATIENCE;
use system_tests::{tell, workspace};

/// Two hours of thirty customers and of one that has an outage since twenty minutes, and three lines that are none, one of them hostile.
fn outage() -> String {
    const PATHS: [&str; 4] = ["/api/v1/orders", "/api/v1/products", "/api/v1/search", "/api/v1/payments"];
    let now = Utc::now();
    let mut lines = String::new();
    let mut line = |ago: i64, customer: &str, n: i64, status: u16, milliseconds: i64| {
        let time = (now - TimeDelta::seconds(ago)).format("%Y-%m-%d %H:%M:%S");
        let (path, seconds) = (PATHS[(n % 4) as usize], milliseconds / 1000);
        writeln!(lines, "{time} {customer} {path} {status} {seconds}.{:03}", milliseconds % 1000)
            .expect("a String takes everything");
    };
    for ago in (0..7200).rev() {
        // A few customers ask much, many ask little.
        let customer = (ago * ago + ago / 7) % 29 * ((ago * 31) % 29) / 29;
        let status = match ago % 97 {
            0 => 404,
            1..=3 => 302,
            50 if ago % 1358 == 50 => 500,
            _ => 200,
        };
        let slow = if ago % 61 == 0 { 1700 } else { 0 };
        line(ago, &format!("cust_{}", customer + 1), ago / 3, status, 12 + (ago * 7919) % 90 + slow);
        if ago % 3 == 0 {
            line(ago, "cust_30", ago, 200, 8 + ago % 30);
        }
        if ago % 5 == 0 {
            let down = ago < 1200 && ago % 4 != 3;
            line(
                ago,
                "cust_hurt",
                ago / 5,
                if down { 503 } else { 200 },
                if down { 5 } else { 45 + ago % 40 },
            );
        }
    }
    lines
        + "no line at all\n2026-13-45 00:00:00 cust_1 /x 200 0.1\n<img src=x onerror=alert(1)>\t\u{1b}[31m \u{202e}der\n"
}

/// Ten thousand customers within the last hour.
fn many() -> String {
    let now = Utc::now();
    let line = |n: i64| {
        let time = (now - TimeDelta::seconds(3500 - n * 3500 / 40_000)).format("%Y-%m-%d %H:%M:%S");
        let status = if n % 211 == 0 { 500 } else { 200 };
        format!("{time} cust_{} /api/v1/orders {status} 0.{:03}\n", n * 7919 % 10_000, 10 + n % 400)
    };
    (0..40_000).map(line).collect()
}

/// Runs a script of tests/browser to its end, with settings of the api and variables of the script. It fails, with all that it said, when anything is not as it should be; also when it could not run.
fn browse(script: &str, log: String, settings: &[(&str, &str)], variables: &[(&str, &str)]) {
    let _turn = heavy();
    let mut stack = Stack::embedded();
    for (name, value) in settings {
        stack.set(name, value);
    }
    stack.append(&log);
    let processor = stack.processor();
    let rejected = log.lines().filter(|line| line.split(' ').count() != 6 || line.contains("-13-")).count();
    stack.until_stored(PATIENCE, (log.lines().count() - rejected) as u64);
    let api = stack.api();
    let page = api.page();
    assert!(
        !page.contains("without its dashboard"),
        "the api was built where Node.js was not there: build it again with TAILGAUGE_DASHBOARD=require"
    );
    let folder = workspace().join("tests/browser");
    let packages = folder.join("node_modules/playwright-core");
    assert!(packages.is_dir(), "{} is not there: run tests/parts/browser.sh", packages.display());
    let browser = Command::new(workspace().join("tests/parts/browser.sh")).output().expect("bash runs it");
    assert!(browser.status.success(), "{}", String::from_utf8_lossy(&browser.stderr));
    let output = Command::new("node")
        .arg(script)
        .current_dir(folder)
        .env("CHROMIUM", String::from_utf8_lossy(&browser.stdout).trim())
        .env("BASE", api.url())
        .env("LOG", stack.path(LOG))
        .envs(variables.iter().copied())
        .output()
        .unwrap_or_else(|error| panic!("node: {error}: run tests/parts/browser.sh"));
    let told = String::from_utf8_lossy(&output.stdout);
    for line in told.lines() {
        tell(line);
    }
    assert!(output.status.success(), "{script}\n{told}\n{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!((processor.program.stop(), api.program.stop()), (0, 0));
}

/// A key as `api key new` makes it, and the entry for API_KEYS.
fn key(arguments: &[&str]) -> (String, String) {
    let output = Stack::embedded().run("api", &[&["key", "new"], arguments].concat(), &[], 0);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    (text(&output.stdout), text(&output.stderr).lines().last().unwrap_or_default().to_owned())
}

#[test]
#[ignore = "a whole-system test: ./start.sh test runs it"]
fn the_dashboard_shows_what_the_api_answers() {
    if !left_out(Group::Browser) {
        browse("dashboard.mjs", outage(), &[], &[]);
    }
}

#[test]
#[ignore = "a whole-system test: ./start.sh test runs it"]
fn the_dashboard_is_smooth_with_ten_thousand_customers() {
    if !left_out(Group::Browser) {
        browse("many.mjs", many(), &[], &[]);
    }
}

#[test]
#[ignore = "a whole-system test: ./start.sh test runs it"]
fn the_dashboard_opens_what_a_key_or_a_link_opens_and_nothing_else() {
    if left_out(Group::Browser) {
        return;
    }
    let ((admin, all), (customer, one)) = (key(&[]), key(&["--customer", "cust_hurt"]));
    let settings = [
        ("API_KEYS", format!("{all},{one}")),
        ("API_SHARE_SECRET", "of-a-test-and-known-to-everybody-here".to_owned()),
    ];
    let settings: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    browse("keys.mjs", outage(), &settings, &[("KEY_ADMIN", &admin), ("KEY_CUSTOMER", &customer)]);
}
