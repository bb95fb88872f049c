//! The arrows between our crates, and what the pure ones may depend on. Reads `cargo metadata` and `cargo tree`, no sources.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

use super::{expect_none, expect_one, files};

/// Who may know whom: `logline <- stats <- store <- {log-processor, api}`, `logline <- log-generator`, `service <- programs`.
const ARROWS: &[(&str, &[&str])] = &[
    ("logline", &[]),
    ("stats", &["logline"]),
    ("store", &["logline", "stats"]),
    ("service", &[]),
    ("log-generator", &["logline", "service"]),
    ("log-processor", &["logline", "stats", "store", "service"]),
    ("api", &["logline", "stats", "store", "service"]),
    ("system-tests", &["logline", "stats", "store", "service", "log-processor", "api"]),
    ("fuzz-targets", &["logline", "stats", "store", "service", "log-processor"]),
    ("bench", &["logline", "stats", "store", "service", "log-processor", "api"]),
];

/// The pure crates and all that they name in their manifests.
const PURE: &[(&str, &[&str])] =
    &[("logline", &["chrono", "chrono-tz", "memchr", "thiserror"]), ("stats", &["logline", "thiserror"])];

/// What brings async, HTTP, files or databases with it, at any depth.
const IMPURE: &[&str] = &[
    "tokio",
    "mio",
    "futures",
    "hyper",
    "http",
    "reqwest",
    "axum",
    "rusqlite",
    "libsqlite3-sys",
    "notify",
    "socket2",
    "tracing",
];

#[test]
fn g3_crates_know_only_whom_they_may() {
    let metadata = cargo(&["metadata", "--no-deps", "--format-version=1"]);
    let metadata: Value = serde_json::from_str(&metadata).expect("cargo metadata prints JSON");
    let packages = metadata["packages"].as_array().expect("a list of packages");
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let names: BTreeSet<String> = packages.iter().map(|package| text(&package["name"])).collect();
    let mut known: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut named: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for package in packages {
        let dependencies = package["dependencies"].as_array().expect("a list of dependencies");
        let all: BTreeSet<String> = dependencies.iter().map(|dependency| text(&dependency["name"])).collect();
        let normal = dependencies.iter().filter(|dependency| dependency["kind"].is_null());
        known.insert(text(&package["name"]), all.intersection(&names).cloned().collect());
        named.insert(text(&package["name"]), normal.map(|dependency| text(&dependency["name"])).collect());
    }
    assert!(known["log-processor"].contains("store"), "the arrows were not read: {known:?}");
    let mut complaints = forbidden_arrows(&known);
    complaints.extend(PURE.iter().flat_map(|(name, allowed)| beyond(name, &named[*name], allowed)));
    expect_none(complaints);
}

fn forbidden_arrows(known: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    let mut complaints = Vec::new();
    for (name, others) in known {
        // A crate may name itself, to turn on a feature for its own tests.
        let others = &others.iter().filter(|other| *other != name).cloned().collect();
        match ARROWS.iter().find(|(arrow, _)| arrow == name) {
            Some((_, allowed)) => complaints.extend(beyond(name, others, allowed)),
            None => complaints
                .push(format!("{name}: a new crate; say in docs/ARCHITECTURE.md and here whom it may know")),
        }
    }
    complaints
}

fn beyond(name: &str, others: &BTreeSet<String>, allowed: &[&str]) -> Vec<String> {
    let surplus = others.iter().filter(|other| !allowed.contains(&other.as_str()));
    surplus.map(|other| format!("{name} must not depend on {other}; it may on {allowed:?}")).collect()
}

#[test]
fn pure_crates_bring_no_async_and_no_io() {
    for (name, _) in PURE {
        let tree = cargo(&["tree", "--package", name, "--edges=normal,build", "--prefix=none", "--locked"]);
        assert!(tree.starts_with(name), "cargo tree printed {tree}");
        expect_none(impure(name, &tree));
    }
}

fn impure(name: &str, tree: &str) -> Vec<String> {
    let found: BTreeSet<&str> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    let bad = IMPURE.iter().filter(|bad| found.contains(**bad));
    bad.map(|bad| format!("{name} depends on {bad}: it is pure, so keep that in the crates above it"))
        .collect()
}

fn cargo(arguments: &[&str]) -> String {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(program)
        .args(arguments)
        .arg("--offline")
        .current_dir(files::root())
        .output()
        .expect("cargo runs: it runs this test");
    assert!(output.status.success(), "cargo {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("cargo prints UTF-8")
}

#[test]
fn the_checks_can_complain() {
    let known =
        |name: &str, other: &str| BTreeMap::from([(name.to_owned(), BTreeSet::from([other.to_owned()]))]);
    expect_one(&forbidden_arrows(&known("log-generator", "store")), "log-generator must not depend on store");
    expect_one(&forbidden_arrows(&known("common", "store")), "a new crate");
    assert_eq!(forbidden_arrows(&known("api", "store")), Vec::<String>::new());
    expect_one(&beyond("stats", &BTreeSet::from(["tokio".to_owned()]), &["logline"]), "tokio");
    expect_one(&impure("stats", "stats v0.1.0\nhyper v1.0.0\nlogline v0.1.0"), "hyper");
}
