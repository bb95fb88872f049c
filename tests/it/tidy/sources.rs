//! Checks of single files: module docs, length, leftovers, who may read the environment or a clock, which names are spelled where. Crates are judged in `arrows`.

use super::files::{self, File};
use super::{expect_none, expect_one};

/// Lines of a source file, without its tests.
const LINES_MAX: usize = 400;

/// Longer files, each with the length it may have and the reason. A file that has become short must leave the list.
const LONGER: &[(&str, usize, &str)] = &[];

/// What has no clock, no I/O and no tasks: everything comes in as arguments.
const PURE: &[&str] = &[
    "crates/logline/src/",
    "crates/stats/src/",
    "crates/store/src/key.rs",
    "log-processor/src/account.rs",
    "log-processor/src/frontier.rs",
    "log-processor/src/retry.rs",
    "log-processor/src/span.rs",
    "log-processor/src/tail/splitter.rs",
    "log-generator/src/pace.rs",
    "log-generator/src/traffic",
    "api/src/answers.rs",
    "api/src/csv.rs",
    "api/src/grammar",
    "api/src/scope.rs",
    "api/src/v1/answers.rs",
    "api/src/v1/figures.rs",
    "api/src/v1/raw.rs",
    "api/src/v1/hurt.rs",
    "api/src/v1/tables.rs",
];

#[test]
fn every_module_says_what_it_holds() {
    expect_none(files::rust().iter().filter_map(module_without_docs).collect());
}

fn module_without_docs(file: &File) -> Option<String> {
    let first = file.text.lines().next().unwrap_or_default();
    (!first.starts_with("//! ")).then(|| format!("{}: begin with `//! ` what it holds", file.path))
}

#[test]
fn files_are_short() {
    let files = files::rust();
    let mut complaints: Vec<String> =
        files.iter().filter_map(|file| too_long(file, allowed_lines(&file.path))).collect();
    for (path, _, _) in LONGER {
        let still = files.iter().any(|file| file.path == *path && file.code().lines().count() > LINES_MAX);
        if !still {
            complaints.push(format!("{path}: short enough now, take it off the list of longer files"));
        }
    }
    expect_none(complaints);
}

fn allowed_lines(path: &str) -> usize {
    LONGER.iter().find(|(longer, _, _)| *longer == path).map_or(LINES_MAX, |(_, lines, _)| *lines)
}

fn too_long(file: &File, allowed: usize) -> Option<String> {
    let lines = file.code().lines().count();
    (!file.is_test() && lines > allowed)
        .then(|| format!("{}: {lines} lines without its tests, {allowed} are allowed", file.path))
}

#[test]
fn nothing_is_left_unfinished() {
    expect_none(files::rust().iter().flat_map(leftovers).collect());
}

fn leftovers(file: &File) -> Vec<String> {
    // Spelled in two halves, so that this file may be checked too.
    let banned = [
        (concat!("todo", "!("), "write it"),
        (concat!("unimplemented", "!("), "write it"),
        (concat!("FIX", "ME"), "repair it"),
        (concat!("TO", "DO"), "do it, or write an issue"),
        (
            concat!("#[ign", "ore"),
            "a test that nobody runs tests nothing; say that `./start.sh test runs it` of one that it runs, or delete it",
        ),
    ];
    let run_by_start_sh = |line: &str| line.trim_end().ends_with("./start.sh test runs it\"]");
    let lines = file.text.lines().enumerate().filter(|(_, line)| !run_by_start_sh(line));
    lines
        .flat_map(|(index, line)| {
            banned.iter().filter(move |(word, _)| line.contains(word)).map(move |hit| (index + 1, hit))
        })
        .map(|(line, (word, advice))| format!("{}:{line}: `{word}`: {advice}", file.path))
        .collect()
}

#[test]
fn s1_the_environment_is_read_in_service_only() {
    expect_none(files::rust().iter().flat_map(environment_readers).collect());
}

fn environment_readers(file: &File) -> Vec<String> {
    // `testing` is a real InfluxDB for tests, as a module of the store that only they turn on; examples and benchmarks
    // are programs for whoever measures.
    let others = ["crates/service/src/", "bench/"].iter().any(|room| file.path.starts_with(room))
        || file.path.contains("/examples/")
        || file.path.ends_with("/testing.rs")
        // Cargo tells a build script what it is to do by its environment.
        || file.path.ends_with("/build.rs");
    if file.is_test() || others {
        return vec![];
    }
    let reads =
        |line: &str| line.contains("std::env") || line.contains("env::var") || line.contains("env::args");
    file.code_lines()
        .filter(|(_, line)| reads(line))
        .map(|(line, _)| {
            format!("{}:{line}: S1: only crates/service reads the environment; declare a setting", file.path)
        })
        .collect()
}

#[test]
fn pure_rooms_have_no_clock_and_no_io() {
    let files = files::rust();
    for room in PURE {
        assert!(files.iter().any(|file| file.path.starts_with(room)), "{room} is not there any more");
    }
    expect_none(files.iter().flat_map(impurities).collect());
}

fn impurities(file: &File) -> Vec<String> {
    if file.is_test() || !PURE.iter().any(|room| file.path.starts_with(room)) {
        return vec![];
    }
    let outside =
        ["::now(", "std::fs", "std::net", "std::thread", "std::process", "tokio::", "async fn", "println!"];
    file.code_lines()
        .flat_map(|(line, text)| {
            outside.iter().filter(move |word| text.contains(**word)).map(move |word| (line, word))
        })
        .map(|(line, word)| format!("{}:{line}: `{word}` in a pure room: hand it in from outside", file.path))
        .collect()
}

#[test]
fn i1_names_in_influxdb_are_spelled_in_schema_only() {
    let names = schema_names(&files::read("crates/store/src/influx/schema.rs").text);
    assert!(names.iter().any(|name| name == "api_requests") && names.len() >= 8, "{names:?}");
    expect_none(files::rust().iter().flat_map(|file| misplaced_names(file, &names)).collect());
}

/// The names that schema.rs declares, but for those so short that they also mean other things.
fn schema_names(schema: &str) -> Vec<String> {
    let values =
        schema.lines().filter(|line| line.contains("const ")).filter_map(|line| line.split('"').nth(1));
    values.filter(|name| name.contains('_')).map(str::to_owned).collect()
}

fn misplaced_names(file: &File, names: &[String]) -> Vec<String> {
    let concerned =
        ["crates/store/src/influx/", "log-processor/src/"].iter().any(|room| file.path.starts_with(room));
    // The stand-in of tests plays the server: it may know what is sent to it.
    let allowed = file.path.ends_with("/schema.rs")
        || file.path.contains("/fake/")
        || file.path.ends_with("/testing.rs")
        || file.is_test();
    if !concerned || allowed {
        return vec![];
    }
    file.code_lines()
        .flat_map(|(line, text)| {
            names
                .iter()
                .filter(move |name| text.contains(&format!("\"{name}\"")))
                .map(move |name| (line, name))
        })
        .map(|(line, name)| {
            format!(
                "{}:{line}: I1: `{name}` is spelled here; use crates/store/src/influx/schema.rs",
                file.path
            )
        })
        .collect()
}

/// What a room of the api must not contain. `main` and `settings` put the program together, so they know more.
const API_ROOMS: &[(&str, &[&str], &str)] = &[
    ("api/src/", &["store::embedded", "store::influx", "rusqlite", "std::fs"], "A1: ask through StatsStore"),
    (
        "api/src/answers.rs",
        &["axum", "http::", "StatusCode"],
        "A1: JSON values only, HTTP is the handlers' business",
    ),
    (
        "api/src/",
        &["RawQuery", "extract::Query", "extract::Path", "form_urlencoded"],
        "A3: path and query become types in api/src/query.rs",
    ),
];

#[test]
fn a1_handlers_know_no_store_and_answers_no_http() {
    expect_none(files::rust().iter().flat_map(|file| api_trespasses(file, "A1")).collect());
}

#[test]
fn a3_path_and_query_are_read_in_one_room() {
    expect_none(files::rust().iter().flat_map(|file| api_trespasses(file, "A3")).collect());
}

fn api_trespasses(file: &File, id: &str) -> Vec<String> {
    // The page of /docs is found by its path, among the files inside the binary.
    let exempt: &[&str] = if id == "A1" { &["main.rs", "settings.rs"] } else { &["query.rs", "openapi.rs"] };
    if file.is_test() || exempt.iter().any(|name| file.path == format!("api/src/{name}")) {
        return vec![];
    }
    let rules =
        API_ROOMS.iter().filter(|(room, _, rule)| file.path.starts_with(room) && rule.starts_with(id));
    rules
        .flat_map(|(_, words, rule)| {
            file.code_lines()
                .filter(|(_, text)| words.iter().any(|word| text.contains(word)))
                .map(move |line| (line.0, rule))
        })
        .map(|(line, rule)| format!("{}:{line}: {rule}", file.path))
        .collect()
}

#[test]
fn nothing_names_a_machine_or_a_registry() {
    expect_none(files::all().iter().flat_map(foreign_places).collect());
}

fn foreign_places(file: &File) -> Vec<String> {
    // Spelled in two halves, so that this file may be checked too.
    let folders = [concat!("/wo", "rk"), concat!("/ro", "ot"), concat!("/ho", "me")];
    let hosts = [
        concat!("spar", "se+"),
        concat!("index.cra", "tes.io"),
        concat!("static.cra", "tes.io"),
        concat!("proxy.go", "lang.org"),
        concat!("deb.deb", "ian.org"),
        concat!("registry.npm", "js.org"),
        concat!("registry-1.doc", "ker.io"),
        concat!("artifact", "ory"),
    ];
    // Inside an image, a user's folder is where the image puts it.
    let in_an_image = |line: &str| file.path.ends_with("Dockerfile") && line.contains("--home-dir ");
    let mut complaints = Vec::new();
    for (index, line) in file.text.lines().enumerate() {
        let line_number = index + 1;
        for folder in folders.iter().filter(|folder| has_folder(line, folder) && !in_an_image(line)) {
            complaints.push(format!("{}:{line_number}: `{folder}` is a path of one machine", file.path));
        }
        for host in hosts.iter().filter(|host| line.contains(**host)) {
            complaints.push(format!(
                "{}:{line_number}: `{host}` names a registry: that is the machine's own setting",
                file.path
            ));
        }
    }
    complaints
}

/// Whether an absolute path below that folder stands in the line: nothing of a path before it, nothing of a longer name after it.
fn has_folder(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + folder.len()..].chars().next();
        let part_of_name = |letter: char| letter.is_ascii_alphanumeric() || "_-.}".contains(letter);
        !before.is_some_and(part_of_name) && !after.is_some_and(part_of_name)
    })
}

#[test]
fn scripts_are_executable() {
    use std::os::unix::fs::PermissionsExt as _;
    let scripts: Vec<File> = files::all().into_iter().filter(|file| file.text.starts_with("#!/")).collect();
    assert!(scripts.iter().any(|file| file.path == "start.sh"), "start.sh is not there");
    let mode = |file: &File| {
        let metadata = std::fs::metadata(files::root().join(&file.path)).expect("it was just read");
        metadata.permissions().mode()
    };
    expect_none(scripts.iter().filter_map(|file| not_executable(file, mode(file))).collect());
}

fn not_executable(file: &File, mode: u32) -> Option<String> {
    (mode & 0o111 != 0o111).then(|| format!("{}: a script; `chmod +x` it", file.path))
}

#[test]
fn the_checks_can_complain() {
    let file = File::made_up;
    expect_one(&Vec::from_iter(module_without_docs(&file("a/src/b.rs", "use x;\n"))), "//!");
    let long = "// line\n".repeat(401);
    expect_one(&Vec::from_iter(too_long(&file("a/src/b.rs", &long), LINES_MAX)), "401");
    let tests = format!("#[cfg(test)]\nmod tests {{\n{long}}}\n");
    assert_eq!(too_long(&file("a/src/b.rs", &tests), LINES_MAX), None);
    expect_one(&leftovers(&file("a/src/b.rs", concat!("fn a() { todo", "!() }"))), "write it");
    expect_one(&environment_readers(&file("api/src/b.rs", "fn a() { std::env::vars() }")), "S1");
    assert_eq!(
        environment_readers(&file("api/src/b.rs", "// std::env is not read here")),
        Vec::<String>::new()
    );
    expect_one(&impurities(&file("crates/stats/src/b.rs", "let now = Utc::now();")), "::now(");
    expect_one(
        &misplaced_names(&file("crates/store/src/influx/query.rs", "\"api_x\""), &["api_x".to_owned()]),
        "I1",
    );
    expect_one(&api_trespasses(&file("api/src/b.rs", "use store::influx::InfluxStats;"), "A1"), "A1");
    expect_one(&api_trespasses(&file("api/src/answers.rs", "use axum::Json;"), "A1"), "A1");
    expect_one(&api_trespasses(&file("api/src/b.rs", "use axum::extract::RawQuery;"), "A3"), "A3");
    assert_eq!(
        api_trespasses(&file("api/src/query.rs", "use axum::extract::RawQuery;"), "A3"),
        Vec::<String>::new()
    );
    let path = concat!("cp /ro", "ot/x .");
    expect_one(&foreign_places(&file("a.md", path)), "one machine");
    assert_eq!(foreign_places(&file("a.md", concat!("/wo", "rkers and a/ro", "ot"))), Vec::<String>::new());
    expect_one(&foreign_places(&file("a.toml", concat!("spar", "se+https://x"))), "registry");
    expect_one(&Vec::from_iter(not_executable(&file("a.sh", "#!/bin/sh\n"), 0o644)), "chmod");
}
