//! The log as its writer sees it: whole lines are appended, a file that is full is renamed away. Nothing is ever truncated or
//! deleted. What the lines say is not known here.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

/// A log that is being appended to.
#[derive(Debug)]
pub(crate) struct LogFile {
    path: PathBuf,
    file: File,
    /// Bytes at which a file is full; `u64::MAX`: never.
    rotate_bytes: u64,
    /// Times the file was renamed away.
    rotations: u64,
}

impl LogFile {
    /// Opens the log, making it and its folder where they are missing.
    ///
    /// When the file ends in a line without its newline, a newline is written first: so our lines stay whole, and what
    /// another writer left unfinished (or a full disk cut off) stays a line of its own, unchanged.
    pub(crate) fn open(path: &Path, rotate_bytes: u64) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut file = open_for_append(path)?;
        if ends_unfinished(path)? {
            tracing::warn!(path = %path.display(), "the log ended in an unfinished line; a newline was put after it");
            file.write_all(b"\n")?;
        }
        Ok(Self { path: path.to_owned(), file, rotate_bytes, rotations: 0 })
    }

    /// Whether the log has no bytes yet.
    pub(crate) fn is_empty(&self) -> io::Result<bool> {
        Ok(self.file.metadata()?.len() == 0)
    }

    /// Times the file was renamed away since it was opened.
    pub(crate) fn rotations(&self) -> u64 {
        self.rotations
    }

    /// Appends whole lines: all of them in one write, or, when the file gets full on the way, as many as it holds in each.
    pub(crate) fn append(&mut self, mut lines: &[u8]) -> io::Result<()> {
        debug_assert!(lines.is_empty() || lines.ends_with(b"\n"), "G2: a torn line");
        while !lines.is_empty() {
            let fitting = self.fitting(lines)?;
            if fitting == 0 {
                self.rotate()?;
                continue;
            }
            let (now, later) = lines.split_at(fitting);
            self.file.write_all(now)?;
            lines = later;
        }
        Ok(())
    }

    /// How many bytes of whole lines the file still holds. An empty file holds one line, however long.
    fn fitting(&self, lines: &[u8]) -> io::Result<usize> {
        if self.rotate_bytes == u64::MAX {
            return Ok(lines.len());
        }
        // Asked for each time: somebody else may append to the same file.
        let size = self.file.metadata()?.len();
        let room = usize::try_from(self.rotate_bytes.saturating_sub(size)).unwrap_or(usize::MAX);
        if lines.len() <= room {
            return Ok(lines.len());
        }
        let whole = lines[..room].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        if whole == 0 && size == 0 {
            let first = lines.iter().position(|byte| *byte == b'\n');
            return Ok(first.map_or(lines.len(), |at| at + 1));
        }
        Ok(whole)
    }

    /// `log` becomes `log.1`, `log.1` becomes `log.2` and so on up to the first free number; a new `log` is begun.
    fn rotate(&mut self) -> io::Result<()> {
        let numbered = |number: u64| {
            let mut name = self.path.clone().into_os_string();
            name.push(format!(".{number}"));
            PathBuf::from(name)
        };
        let mut free = 1;
        while fs::symlink_metadata(numbered(free)).is_ok() {
            free += 1;
        }
        for number in (1..free).rev() {
            fs::rename(numbered(number), numbered(number + 1))?;
        }
        fs::rename(&self.path, numbered(1))?;
        self.file = open_for_append(&self.path)?;
        self.rotations += 1;
        Ok(())
    }
}

fn open_for_append(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

fn ends_unfinished(path: &Path) -> io::Result<bool> {
    let metadata = fs::metadata(path)?;
    // A pipe or a device has no end to look at.
    if !metadata.is_file() || metadata.len() == 0 {
        return Ok(false);
    }
    let mut file = File::open(path)?;
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(folder: &Path, name: &str) -> String {
        fs::read_to_string(folder.join(name)).expect("the file is there")
    }

    #[test]
    fn appends_behind_what_is_there_and_makes_the_folder() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("a/b/log");
        for text in ["one\n", "two\nthree\n"] {
            LogFile::open(&path, u64::MAX)
                .and_then(|mut log| log.append(text.as_bytes()))
                .expect("the log can be written");
        }
        assert_eq!(read(folder.path(), "a/b/log"), "one\ntwo\nthree\n");
    }

    #[test]
    fn g2_an_unfinished_line_stays_a_line_of_its_own() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("log");
        fs::write(&path, "whole\ntorn").expect("the file can be written");
        LogFile::open(&path, u64::MAX)
            .and_then(|mut log| log.append(b"new\n"))
            .expect("the log can be written");
        assert_eq!(read(folder.path(), "log"), "whole\ntorn\nnew\n");
    }

    #[test]
    fn rotation_renames_upwards_and_loses_nothing() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        // Numbers 1 and 2 are taken by earlier files; 3 is a gap, which is filled before 4 has to move.
        for (name, text) in
            [("log", "old\n"), ("log.1", "older\n"), ("log.2", "oldest\n"), ("log.4", "far\n")]
        {
            fs::write(folder.path().join(name), text).expect("the file can be written");
        }
        let mut log = LogFile::open(&folder.path().join("log"), 10).expect("the log opens");
        log.append(b"aaa\nbbb\nccc\na line longer than a file\nd\n").expect("the log can be written");
        assert_eq!(log.rotations(), 3);
        let names = ["log.6", "log.5", "log.4", "log.3", "log.2", "log.1", "log"];
        let texts = [
            "far\n",
            "oldest\n",
            "older\n",
            "old\naaa\n",
            "bbb\nccc\n",
            "a line longer than a file\n",
            "d\n",
        ];
        assert_eq!(names.map(|name| read(folder.path(), name)), texts);
    }

    proptest! {
        // Each case makes some hundred files.
        #![proptest_config(ProptestConfig::with_cases(48))]
        /// Every line is there once, whole and in order, from the highest number down to the log; no file is over its size
        /// unless it holds a single line; and how the lines were handed over makes no difference.
        #[test]
        fn g1_rotation_depends_on_the_lines_alone(
            lengths in prop::collection::vec(0_usize..40, 1..60), rotate_bytes in 1_u64..100, cuts in prop::collection::vec(1_usize..20, 1..20),
        ) {
            let lines: Vec<String> = lengths.iter().enumerate().map(|(n, length)| format!("{n} {}\n", "x".repeat(*length))).collect();
            let files = |sizes: &[usize]| {
                let folder = tempfile::tempdir().expect("a temporary folder");
                let mut log = LogFile::open(&folder.path().join("log"), rotate_bytes).expect("the log opens");
                let mut rest = &lines[..];
                for size in sizes.iter().cycle() {
                    let (now, later) = rest.split_at((*size).min(rest.len()));
                    log.append(now.concat().as_bytes()).expect("the log can be written");
                    rest = later;
                    if rest.is_empty() { break; }
                }
                let mut texts: Vec<String> = (1..=log.rotations()).rev().map(|n| read(folder.path(), &format!("log.{n}"))).collect();
                texts.push(read(folder.path(), "log"));
                texts
            };
            let texts = files(&cuts);
            prop_assert_eq!(texts.concat(), lines.concat());
            for text in &texts {
                prop_assert!(text.len() as u64 <= rotate_bytes || text.matches('\n').count() == 1);
            }
            prop_assert_eq!(texts, files(&[1]));
        }
    }
}
