//! The bench works, and refuses to give a figure when a line is missing or was counted twice. No rate is judged here.

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
