//! The bench works, and refuses to give a figure when a line is missing or was counted twice. No rate is judged here.

use std::path::Path;
use std::process::{Command, Output};

fn bench(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_bench")).args(arguments).output().expect("the bench starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn every_row_has_all_lines_and_a_figure() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let json = folder.path().join("bench.json");
    let output = bench(&["--quick", "--json", json.to_str().expect("a plain path")]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let table = text(&output.stdout);
    let figures: serde_json::Value =
        serde_json::from_slice(&std::fs::read(json).expect("the figures")).expect("JSON");
    let rows = figures["rows"].as_array().expect("rows");
    for what in [
        "wc -l",
        "prototype, fast",
        "read + split + parse + line protocol",
        "file -> HTTP null sink, every guarantee on",
        "file -> embedded, cells only, in order",
        "file -> embedded, cells only, shuffled over 30 days",
        "file -> embedded, with raw requests",
    ] {
        let row = rows.iter().find(|row| row["what"] == what);
        let row = row.unwrap_or_else(|| panic!("no row `{what}` in {figures:#}"));
        assert!(row["lines_per_cpu_second"].as_f64().is_some_and(|rate| rate > 0.0), "{row}");
        assert!(table.contains(&format!("| {what} | ")), "{table}");
    }
}

#[test]
fn a_line_that_is_missing_or_counted_twice_is_refused() {
    for (fault, came) in [("lose", 29_999), ("double", 30_001)] {
        let output = bench(&["--quick", "--rows", "sink", "--fault", fault]);
        assert!(!output.status.success(), "{fault}: {}", text(&output.stdout));
        let said = text(&output.stderr);
        assert!(said.contains(&format!("the log has 30000 lines, and {came} came to the sink")), "{said}");
        assert_eq!(text(&output.stdout), "", "{fault}: no figure is given");
    }
}

/// Folder of the programs as shipped: those of the system tests, or beside the bench.
fn programs() -> String {
    let folder = std::env::var("SYSTEM_TESTS_BIN").unwrap_or_else(|_| {
        let bench = Path::new(env!("CARGO_BIN_EXE_bench"));
        bench.parent().expect("a folder").display().to_string()
    });
    assert!(Path::new(&folder).join("api").is_file(), "no api in {folder}: cargo build -p api first");
    folder
}

/// Small stores of cells: what the api counts is what was put in, or there is no figure.
fn sizes(store: &str) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let json = folder.path().join("bench.json");
    let (programs, json_text) = (programs(), json.to_str().expect("a plain path"));
    let asked = ["--quick", "--rows", "sizes", "--stores", store, "--programs", &programs];
    let output = bench(&[&asked[..], &["--json", json_text]].concat());
    assert!(output.status.success(), "{}", text(&output.stderr));
    let figures: serde_json::Value =
        serde_json::from_slice(&std::fs::read(json).expect("the figures")).expect("JSON");
    let sizes = figures["sizes"].as_array().expect("sizes");
    assert_eq!(sizes.len(), 2, "{figures:#}");
    for size in sizes {
        assert_eq!(size["requests"], 20_000, "{size:#}");
        for times in ["one_customer", "one_customer_again", "series", "usual", "other"] {
            let (p50, p99) = (&size[times]["p50_millis"], &size[times]["p99_millis"]);
            let (p50, p99) = (p50.as_f64().expect("a time"), p99.as_f64().expect("a time"));
            assert!(p50 > 0.0 && p50 <= p99, "{times}: {size:#}");
        }
        assert!(size["disk_bytes"].as_u64().is_some_and(|bytes| bytes > 100_000), "{size:#}");
        assert!(size["customer_days"].as_u64().is_some_and(|days| days > 1_000), "{size:#}");
        assert!(size["api_peak_rss_bytes"].as_u64().is_some_and(|bytes| bytes > 1_000_000), "{size:#}");
    }
    assert!(text(&output.stdout).contains(&format!("| {store} | 20,000 | 2,000 | ")), "{figures:#}");

    for (fault, counted) in [("lose", 19_999), ("double", 20_001)] {
        let output = bench(&[&asked[..], &["--fault", fault]].concat());
        assert!(!output.status.success(), "{fault}: {}", text(&output.stdout));
        let said = text(&output.stderr);
        assert!(said.contains(&format!("requests of all together: {counted} instead of 20000")), "{said}");
        assert_eq!(text(&output.stdout), "", "{fault}: no figure is given");
    }
}

#[test]
fn sizes_of_the_embedded_store_are_counted_as_they_were_made() {
    sizes("embedded");
}

/// What lines take on disk in a store; the names of the figures.
fn disk(store: &str, names: &[&str]) {
    let output = bench(&["--quick", "--rows", "disk", "--stores", store]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let table = text(&output.stdout);
    for name in names {
        let row = table.lines().find(|line| line.starts_with(&format!("| on disk{name} | ")));
        let row = row.unwrap_or_else(|| panic!("no `{name}` in {table}"));
        assert!(row.contains(" MB a million lines (measured with 30000)"), "{row}");
        assert!(!row.contains("| 0.0 MB"), "{row}");
    }
}

#[test]
fn bytes_of_a_line_are_told_for_the_embedded_store() {
    disk("embedded", &[": the log itself", ", embedded: raw requests"]);
}

mod influxdb {
    #[test]
    fn bytes_of_a_line_are_told_for_influxdb() {
        let all = ", InfluxDB: requests and statistics as they lie after the last line";
        super::disk("influxdb", &[": the log itself", all]);
    }

    #[test]
    fn sizes_of_influxdb_are_counted_as_they_were_made() {
        super::sizes("influxdb");
    }
}

/// A program that stands in for a peer: does something to a copy of the log, posts the lines of that to the sink, and stays, as the peers do.
fn stand_in(folder: &Path, edit: &str) -> String {
    use std::os::unix::fs::PermissionsExt;
    let path = folder.join("stand-in");
    let script = format!(
        r#"#!/bin/sh
        set -e
        for last; do :; done
        test -s "$last"
        sed -e '{edit}' "$PEER_LOG" > "$PEER_STATE/copy.log"
        "{bench}" row load "$PEER_STATE/copy.log" "http://127.0.0.1:$PEER_PORT/api/v2/write?bucket=b" t >&2
        exec tail -f /dev/null
        "#,
        bench = env!("CARGO_BIN_EXE_bench"),
    );
    std::fs::write(&path, script.replace("\n        ", "\n")).expect("a script");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("a program");
    path.display().to_string()
}

fn peers(variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bench"));
    for variable in ["BENCH_VECTOR", "BENCH_FLUENT_BIT", "BENCH_TELEGRAF"] {
        command.env_remove(variable);
    }
    command.envs(variables.iter().copied()).args(["--quick", "--rows", "peers"]);
    command.output().expect("the bench starts")
}

const PEERS: [(&str, &str); 3] =
    [("Vector", "BENCH_VECTOR"), ("Fluent Bit", "BENCH_FLUENT_BIT"), ("Telegraf", "BENCH_TELEGRAF")];

#[test]
fn peers_that_are_not_there_are_left_out_by_name() {
    let output = peers(&[]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    for (name, variable) in PEERS {
        let line =
            format!("| {name} -> HTTP null sink | left out: {variable} does not say where the program is |");
        assert!(text(&output.stdout).contains(&line), "{}", text(&output.stdout));
    }
}

#[test]
fn peers_that_bring_every_line_have_a_figure() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let honest = stand_in(folder.path(), "");
    let output = peers(&PEERS.map(|(_, variable)| (variable, honest.as_str())));
    assert!(output.status.success(), "{}", text(&output.stderr));
    for (name, _) in PEERS {
        let table = text(&output.stdout);
        let row = table.lines().find(|line| line.starts_with(&format!("| {name} -> HTTP null sink | ")));
        let rate = row.and_then(|row| row.split(" | ").nth(1)).unwrap_or_else(|| panic!("{table}"));
        assert!(rate.replace(',', "").parse::<u64>().is_ok_and(|rate| rate > 0), "{table}");
    }
}

#[test]
fn peers_that_lose_or_double_a_line_or_change_one_have_no_figure() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (peer, edit, why) in [
        (0, "7d", "the log has 30000 lines, 29999 came, and no more for 3s"),
        (1, "7p", "the log has 30000 lines, and 30001 came"),
        (2, "7d; 9p", "as many lines came as the log has, but they are not the same requests"),
        (0, "7s/cust_/tsuc_/", "as many lines came as the log has, but they are not the same requests"),
        (1, "$!d", "came, and no more for 3s"),
    ] {
        let program = stand_in(folder.path(), edit);
        let (name, variable) = PEERS[peer];
        let output = peers(&[(variable, &program)]);
        assert!(!output.status.success(), "{edit}: {}", text(&output.stdout));
        let said = text(&output.stderr);
        assert!(said.contains(&format!("error: {name} -> HTTP null sink: ")) && said.contains(why), "{said}");
        assert_eq!(text(&output.stdout), "", "{edit}: no figure is given");
    }
}
