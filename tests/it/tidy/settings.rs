//! Settings in step: what the programs declare, the README's tables, `.env.local` and docker-compose.yml say the same. The programs tell their lists themselves.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::{Command, Output};

use service::settings::{CONTAINER_PREFIX, KNOWN};

use super::files::{self, File};
use super::{expect_none, expect_one};

const PROGRAMS: [&str; 3] = ["log-generator", "log-processor", "api"];

#[test]
fn the_tables_of_the_readme_are_those_of_the_programs() {
    let mut readme = files::read("README.md");
    let mut complaints = Vec::new();
    for program in PROGRAMS {
        let table = table(program);
        if let Some(complaint) = stale_table(&readme, program, &table) {
            complaints.push(complaint);
            readme.text = with_table(&readme.text, program, &table);
        }
    }
    if std::env::var_os("TIDY_UPDATE").is_some() && !complaints.is_empty() {
        std::fs::write(files::root().join(&readme.path), &readme.text).expect("README.md can be written");
        return;
    }
    expect_none(complaints);
}

/// Begin and end of a program's table in a Markdown file.
fn marks(program: &str) -> (String, &'static str) {
    (
        format!("<!-- settings of {program}: made by the test tidy, TIDY_UPDATE=1 renews them -->\n"),
        "<!-- end of settings -->\n",
    )
}

fn stale_table(file: &File, program: &str, table: &str) -> Option<String> {
    let (begin, end) = marks(program);
    let Some((_, rest)) = file.text.split_once(&begin) else {
        return Some(format!("{}: no line {}", file.path, begin.trim_end()));
    };
    let shown = rest.split_once(end).map_or(rest, |(shown, _)| shown);
    (shown != table).then(|| {
        format!(
            "{}: the settings of {program} are other ones now: run this test with TIDY_UPDATE=1",
            file.path
        )
    })
}

fn with_table(text: &str, program: &str, table: &str) -> String {
    let (begin, end) = marks(program);
    let cut = text.split_once(&begin).and_then(|(before, rest)| Some((before, rest.split_once(end)?.1)));
    let (before, after) =
        cut.unwrap_or_else(|| panic!("README.md lacks the lines around the settings of {program}"));
    format!("{before}{begin}{table}{end}{after}")
}

#[test]
fn every_setting_is_known_to_all_programs() {
    let declared: BTreeSet<String> = PROGRAMS.iter().flat_map(|program| names(&table(program))).collect();
    expect_none(unequal_names(&declared, KNOWN));
}

/// The setting names of a table: everything in backquotes in its first column.
fn names(table: &str) -> BTreeSet<String> {
    let cells = table.lines().skip(2).filter_map(|row| row.split('|').nth(1));
    let quoted = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2));
    quoted.map(str::to_owned).collect()
}

fn unequal_names(declared: &BTreeSet<String>, known: &[&str]) -> Vec<String> {
    // `NAME_FILE` stands beside every secret `NAME`.
    let is_file = |name: &str| name.strip_suffix("_FILE").is_some_and(|secret| declared.contains(secret));
    let unknown = declared.iter().filter(|name| !known.contains(&name.as_str()) && !is_file(name));
    let mut complaints: Vec<String> =
        unknown.map(|name| format!("{name} is declared, and missing in service::settings::KNOWN")).collect();
    let orphans = known.iter().filter(|name| !declared.contains(**name));
    complaints.extend(
        orphans.map(|name| format!("{name} is in service::settings::KNOWN, and no program declares it")),
    );
    complaints
}

#[test]
fn the_settings_of_the_demo_are_settings() {
    expect_none(unknown_assignments(&files::read(".env.local")));
    expect_none(unknown_environment(&files::read("docker-compose.yml")));
    for program in PROGRAMS {
        let output = run(program, &["--print-config"], true);
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && complaint.is_empty(), "{program} on .env.local: {complaint}");
    }
}

/// Names given a value in `.env.local`, commented out ones too, that nobody reads.
fn unknown_assignments(file: &File) -> Vec<String> {
    let lines = file.text.lines().map(|line| line.trim_start_matches('#'));
    let names = lines.filter_map(|line| line.split_once('=')).map(|(name, _)| name);
    let names = names.filter(|name| {
        !name.is_empty() && !name.contains(|letter: char| !letter.is_ascii_uppercase() && letter != '_')
    });
    complain_about_unknown(file, names)
}

/// Variables that docker-compose.yml gives to containers, and nobody reads.
fn unknown_environment(file: &File) -> Vec<String> {
    let names = file.text.lines().filter_map(|line| line.trim_start().split_once(": ")).map(|(name, _)| name);
    let names = names.filter(|name| {
        name.contains('_') && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')
    });
    complain_about_unknown(file, names.filter(|name| !name.starts_with("INFLUXD_")))
}

fn complain_about_unknown<'a>(file: &File, names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let unknown = names.filter(|name| !KNOWN.contains(name) && !name.starts_with(CONTAINER_PREFIX));
    unknown.map(|name| format!("{}: {name} is not a setting of any program", file.path)).collect()
}

fn table(program: &str) -> String {
    let output = run(program, &["--print-settings-table"], false);
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    let table = String::from_utf8(output.stdout).expect("a table is UTF-8");
    assert!(table.starts_with("| setting |"), "{program} printed no table: {table}");
    table
}

/// Runs a program with an empty environment, in a folder with nothing in it, or with the demo's settings.
fn run(program: &str, arguments: &[&str], demo_settings: bool) -> Output {
    let folder = tempfile::tempdir().expect("a temporary folder");
    if demo_settings {
        std::fs::copy(files::root().join(".env.local"), folder.path().join(".env.local"))
            .expect(".env.local");
    }
    let mut command = Command::new(binary(program));
    command.args(arguments).current_dir(folder.path()).env_clear();
    command.output().unwrap_or_else(|error| panic!("{program}: {error}"))
}

/// The program that was built with this test (`cargo test --workspace` builds them all).
fn binary(program: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a running program has a path");
    let folder = test.ancestors().nth(2).expect("the test lies in target/PROFILE/deps");
    let path = folder.join(program);
    assert!(path.is_file(), "{} is not built: run `cargo build` first", path.display());
    path
}

#[test]
fn the_checks_can_complain() {
    let table = "| setting | default | meaning |\n|---|---|---|\n| `A`, `B` | `1` | x `y` |\n";
    let (begin, end) = marks("api");
    let file = |text: &str| File::made_up("README.md", text);
    expect_one(&Vec::from_iter(stale_table(&file("nothing"), "api", table)), "no line");
    let stale = format!("before\n{begin}old\n{end}after\n");
    expect_one(&Vec::from_iter(stale_table(&file(&stale), "api", table)), "TIDY_UPDATE=1");
    assert_eq!(stale_table(&file(&with_table(&stale, "api", table)), "api", table), None);
    let declared = names(table);
    assert_eq!(declared, BTreeSet::from(["A".to_owned(), "B".to_owned()]));
    expect_one(&unequal_names(&declared, &["A"]), "B is declared");
    expect_one(&unequal_names(&declared, &["A", "B", "C"]), "no program declares it");
    expect_one(&unknown_assignments(&File::made_up(".env.local", "WORKERS=1\n#WROKERS=2\n")), "WROKERS");
    expect_one(
        &unknown_environment(&File::made_up("docker-compose.yml", "  environment:\n    STATE_DRI: x\n")),
        "STATE_DRI",
    );
}
