//! The files of the repository as the checks see them: path and text. Nothing is judged here.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A text file, its path relative to the repository with `/`.
#[derive(Clone, Debug)]
pub(super) struct File {
    pub(super) path: String,
    pub(super) text: String,
}

/// The repository's root.
pub(super) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the root").to_owned()
}

/// Every text file that is tracked, or would be with the next `git add .`.
pub(super) fn all() -> Vec<File> {
    let output = Command::new("git")
        .args(["-C", root().to_str().expect("a plain path"), "ls-files", "-z", "-co", "--exclude-standard"])
        .output()
        .expect("git is installed: it lists the files that are ours");
    assert!(output.status.success(), "git ls-files: {}", String::from_utf8_lossy(&output.stderr));
    let paths = String::from_utf8(output.stdout).expect("our file names are UTF-8");
    let files: Vec<File> = paths
        .split_terminator('\0')
        .filter_map(|path| {
            // What is deleted but not yet committed, and what is no text, is passed over.
            let text = fs::read_to_string(root().join(path)).ok()?;
            Some(File { path: path.to_owned(), text })
        })
        .collect();
    assert!(files.len() > 50, "only {} files were found", files.len());
    files
}

/// The Rust files.
pub(super) fn rust() -> Vec<File> {
    all().into_iter().filter(|file| file.path.ends_with(".rs")).collect()
}

/// One file that must be there.
pub(super) fn read(path: &str) -> File {
    let text = fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    File { path: path.to_owned(), text }
}

impl File {
    /// A made-up file.
    pub(super) fn made_up(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    /// Whether all of it is for tests.
    pub(super) fn is_test(&self) -> bool {
        self.path.starts_with("tests/") || self.path.contains("/tests/") || self.path.ends_with("/tests.rs")
    }

    /// Its text before the unit tests that stand in the same file.
    pub(super) fn code(&self) -> &str {
        match self.text.find("#[cfg(test)]\nmod tests {") {
            Some(tests) => &self.text[..tests],
            None => &self.text,
        }
    }

    /// The lines of [`Self::code`] that are no comments, with their numbers from 1.
    pub(super) fn code_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.code().lines().enumerate().map(|(index, line)| (index + 1, line));
        lines.filter(|(_, line)| !line.trim_start().starts_with("//"))
    }
}
