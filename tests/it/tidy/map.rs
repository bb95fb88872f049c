//! docs/ARCHITECTURE.md and the code agree: every invariant that the page names is asserted or tested under its id, and the code map lists the files that there are.

use std::collections::BTreeSet;

use super::files::{self, File};
use super::{expect_none, expect_one};

const PAGE: &str = "docs/ARCHITECTURE.md";

/// The ids that the page must explain. An invariant is added here, there and in the code.
const INVARIANTS: [&str; 26] = [
    "T1", "T2", "B1", "W1", "K1", "K2", "C1", "X1", "L1", "L2", "L3", "I1", "I2", "I3", "I4", "G1", "G2",
    "G3", "S1", "S2", "S3", "A1", "A2", "A3", "A4", "A5",
];

#[test]
fn every_invariant_is_explained_and_held() {
    let page = files::read(PAGE);
    expect_none(unexplained(&page.text, &INVARIANTS));
    let sources = files::rust();
    let explained = explained(&page.text);
    expect_none(explained.iter().filter_map(|id| unheld(id, &sources)).collect());
}

/// The ids of the page's table of invariants: rows that begin with one.
fn explained(page: &str) -> Vec<String> {
    let cells = page.lines().filter_map(|line| line.strip_prefix("| ")?.split(' ').next());
    let is_id = |cell: &&str| matches!(cell.as_bytes(), [letter, digit] if letter.is_ascii_uppercase() && digit.is_ascii_digit());
    cells.filter(is_id).map(str::to_owned).collect()
}

fn unexplained(page: &str, ids: &[&str]) -> Vec<String> {
    let explained = explained(page);
    let missing = ids.iter().filter(|id| !explained.iter().any(|other| other == *id));
    let mut complaints: Vec<String> = missing.map(|id| format!("{PAGE} does not explain {id}")).collect();
    let surplus = explained.iter().filter(|id| !ids.contains(&id.as_str()));
    complaints.extend(
        surplus.map(|id| format!("{PAGE} explains {id}, which the fence does not know: add it there")),
    );
    complaints
}

/// An invariant that is neither the beginning of an assertion's words nor of a test's name.
fn unheld(id: &str, sources: &[File]) -> Option<String> {
    let assertion = format!("\"{id}: ");
    let test = format!("fn {}_", id.to_ascii_lowercase());
    let held = sources.iter().any(|file| file.text.contains(&assertion) || file.text.contains(&test));
    (!held).then(|| {
        format!("{id} is neither asserted (\"{id}: …\") nor tested (fn {}_…)", id.to_ascii_lowercase())
    })
}

#[test]
fn the_code_map_lists_the_files_that_there_are() {
    let page = files::read(PAGE);
    let sources = files::rust();
    let folders = [
        "crates/logline/src",
        "crates/stats/src",
        "crates/store/src",
        "crates/service/src",
        "log-generator/src",
        "log-processor/src",
        "api/src",
        "bench/src",
    ];
    expect_none(folders.iter().flat_map(|folder| unmapped(&page.text, folder, &sources)).collect());
}

/// Differences between a folder's files and the rows of its section (`### folder`, rows that begin with `| `file``). A row that ends in `/` stands for a folder.
fn unmapped(page: &str, folder: &str, sources: &[File]) -> Vec<String> {
    let Some((_, section)) = page.split_once(&format!("### {folder}\n")) else {
        return vec![format!("{PAGE} has no section `### {folder}`")];
    };
    let section = section.split("\n#").next().unwrap_or_default();
    let first_cells = section.lines().filter_map(|line| line.strip_prefix("| `")?.split(" | ").next());
    let listed: BTreeSet<&str> = first_cells
        .flat_map(|cell| cell.split('`').step_by(2))
        .filter(|name| !name.starts_with(',') && !name.is_empty())
        .collect();
    let inside = format!("{folder}/");
    let is_file = |file: &&File| !file.is_test();
    let files: BTreeSet<&str> =
        sources.iter().filter(is_file).filter_map(|file| file.path.strip_prefix(&inside)).collect();
    let covers = |row: &str, file: &str| row == file || (row.ends_with('/') && file.starts_with(row));
    let unlisted = files.iter().filter(|file| !listed.iter().any(|row| covers(row, file)));
    let mut complaints: Vec<String> =
        unlisted.map(|file| format!("{PAGE}: {folder}/{file} is missing in its section")).collect();
    let gone = listed.iter().filter(|row| !files.iter().any(|file| covers(row, file)));
    complaints.extend(gone.map(|row| format!("{PAGE}: {folder}/{row} is not there any more")));
    complaints
}

#[test]
fn the_checks_can_complain() {
    let page = "## Invariants\n| T1 | whole lines |\n### a/src\n| `x.rs`, `y.rs` | X and `Y` |\n| `z/` | Z |\n\n## Next\n| `n.rs` | |\n";
    assert_eq!(explained(page), ["T1"]);
    expect_one(&unexplained(page, &["T1", "K1"]), "does not explain K1");
    expect_one(&unexplained(page, &[]), "T1");
    let source = |path: &str, text: &str| File::made_up(path, text);
    expect_one(
        &Vec::from_iter(unheld("T1", &[source("a/src/x.rs", "// T1 is a comment only")])),
        "T1 is neither",
    );
    assert_eq!(unheld("T1", &[source("a/src/x.rs", "assert!(x, \"T1: a hole\")")]), None);
    assert_eq!(unheld("T1", &[source("a/src/x.rs", "fn t1_only_whole_lines()")]), None);
    let files = ["a/src/x.rs", "a/src/y.rs", "a/src/z/w.rs", "a/src/tests.rs"].map(|path| source(path, ""));
    assert_eq!(unmapped(page, "a/src", &files), Vec::<String>::new());
    expect_one(&unmapped(page, "a/src", &files[1..]), "x.rs is not there");
    expect_one(&unmapped(page, "b/src", &files), "no section");
    let more = [&files[..], &[source("a/src/new.rs", "")]].concat();
    expect_one(&unmapped(page, "a/src", &more), "new.rs is missing");
}
