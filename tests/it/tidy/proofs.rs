//! docs/RELIABILITY.md and the tests agree: every test that its table of faults names is there. Whether it proves what the row says is for people to judge.

use super::files::{self, File};
use super::{expect_none, expect_one};

const PAGE: &str = "docs/RELIABILITY.md";

#[test]
fn the_tests_that_the_table_of_faults_names_are_there() {
    let page = files::read(PAGE);
    let (cells, complaints) = missing_tests(&page.text, &files::all());
    assert!(cells > 20, "{PAGE}: only {cells} rows of the table `| fault | test |` were found");
    expect_none(complaints);
}

/// How many rows the table has, and what is wrong with them.
fn missing_tests(page: &str, all: &[File]) -> (usize, Vec<String>) {
    let rows = page.lines().skip_while(|line| *line != "| fault | test |").skip(2);
    let cells: Vec<&str> = rows
        .map_while(|row| row.strip_prefix("| "))
        .filter_map(|row| row.trim_end_matches(" |").rsplit_once(" | "))
        .map(|(_, tests)| tests)
        .collect();
    let complaints = cells.iter().flat_map(|cell| missing_of_a_row(cell, all)).collect();
    (cells.len(), complaints)
}

/// What a row names that is not there: what stands in backticks. A path, or a file beside the last one; `module::name…`, a test by the beginning of its name, or a whole `module` (`module::*`); another test of the last module by its name alone.
fn missing_of_a_row(tests: &str, all: &[File]) -> Vec<String> {
    let (mut folder, mut module) = (String::new(), Vec::new());
    let mut complaints = Vec::new();
    for name in tests.split('`').skip(1).step_by(2) {
        let is_there = if name.contains('/') || name.ends_with(".rs") {
            let path = if name.contains('/') { name.to_owned() } else { format!("{folder}/{name}") };
            folder = path.rsplit_once('/').map_or(String::new(), |(folder, _)| folder.to_owned());
            all.iter().any(|file| file.path == path || file.path.starts_with(&format!("{path}/")))
        } else {
            let (path, last) = name.rsplit_once("::").unwrap_or(("", name));
            if !path.is_empty() {
                module = files_of(path, all);
            }
            let of_module = !path.is_empty() && last == "*" && !module.is_empty();
            of_module || module.iter().any(|file| has_test(file, last)) || !files_of(name, all).is_empty()
        };
        if !is_there {
            complaints.push(format!("{PAGE} names the test `{name}`, which is not there"));
        }
    }
    complaints
}

/// The files of a module, `a::b`, that hold tests.
fn files_of<'a>(module: &str, all: &'a [File]) -> Vec<&'a File> {
    let path = format!("/{}", module.replace("::", "/"));
    let ends = [format!("{path}.rs"), format!("{path}/mod.rs")];
    let is_one = |file: &&File| ends.iter().any(|end| file.path.ends_with(end.as_str()));
    all.iter().filter(is_one).filter(|file| file.is_test() || file.text.contains("#[test]")).collect()
}

/// Whether a function of that name, or that begins so (`…`), is in a file.
fn has_test(file: &File, name: &str) -> bool {
    match name.strip_suffix('…') {
        Some(beginning) => file.text.contains(&format!("fn {beginning}")),
        None => file.text.contains(&format!("fn {name}(")),
    }
}

#[test]
fn the_checks_can_complain() {
    let files = [
        File::made_up("a/tests/it/files.rs", "fn one_file_is_read() {}\nfn two_are() {}"),
        File::made_up("a/src/tail/disk.rs", "#[test]\nfn pipes() {}"),
        File::made_up("a/src/tail/open.rs", "fn pipes() {}"),
    ];
    let missing = |tests: &str| missing_of_a_row(tests, &files);
    for good in [
        "`files::*`, `files::one_file…`, `two_are` and `a/tests/it/files.rs`",
        "`a/src/tail/disk.rs`, `open.rs`; `a/tests/it`",
        "`tail::disk`, `tail::disk::pipes`, `disk`",
    ] {
        assert_eq!(missing(good), Vec::<String>::new(), "{good}");
    }
    expect_one(&missing("`a/src/tail/disk.rs`, `schema.rs`"), "schema.rs");
    expect_one(&missing("`a/tests/files.rs`"), "a/tests/files.rs");
    expect_one(&missing("`files::three…`"), "three");
    expect_one(&missing("`files::one_file`"), "one_file");
    expect_one(&missing("`file::*`"), "file::*");
    expect_one(&missing("`tail::open`"), "tail::open");
    let page =
        "| fault | test |\n|---|---|\n| x | `files::*` |\n| y | z | `gone::*` |\n\n| other | `gone` |\n";
    let (cells, complaints) = missing_tests(page, &files);
    assert_eq!(cells, 2);
    expect_one(&complaints, "gone::*");
}
