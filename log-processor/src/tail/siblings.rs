//! The files of one log on disk: the log itself and its rotated siblings `.1`, `.2`, …, oldest first. Looks at names and inodes only.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Device and inode.
pub type FileId = (u64, u64);

/// A file of a log.
#[derive(Clone, Debug)]
pub struct Sibling {
    /// Its path now.
    pub path: PathBuf,
    /// Which file it is.
    pub id: FileId,
    /// Size and time of the last change (seconds, nanoseconds): while they stay, there is nothing new in it.
    pub state: FileState,
}

/// Size in bytes, and seconds and nanoseconds of the last change.
pub type FileState = (u64, i64, i64);

/// How often a folder is read again while a rotation is under way.
const TRIES: usize = 50;

/// The log's files, oldest first, the log itself (if it is there) last. Read until two looks agree, since a rotation may be renaming them at this very moment; `None` when
/// they never did: the next look tries again, and nothing is lost meanwhile.
pub fn list(path: &Path) -> io::Result<Option<Vec<Sibling>>> {
    let mut before = list_once(path)?;
    for _ in 0..TRIES {
        let now = list_once(path)?;
        if now.iter().map(name_and_file).eq(before.iter().map(name_and_file)) {
            return Ok(Some(now));
        }
        before = now;
    }
    Ok(None)
}

fn name_and_file(sibling: &Sibling) -> (&Path, FileId) {
    (&sibling.path, sibling.id)
}

fn list_once(path: &Path) -> io::Result<Vec<Sibling>> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return Ok(vec![]) };
    let mut rotated: Vec<(u64, Sibling)> = Vec::new();
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(vec![]),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        let Some(number) = entry.file_name().to_str().and_then(|sibling| rotation_number(name, sibling))
        else {
            continue;
        };
        if let Some(sibling) = sibling(&entry.path())? {
            rotated.push((number, sibling));
        }
    }
    rotated.sort_by_key(|(number, _)| std::cmp::Reverse(*number));
    let mut files: Vec<Sibling> = rotated.into_iter().map(|(_, sibling)| sibling).collect();
    files.extend(sibling(path)?);
    Ok(files)
}

/// The number of a rotated sibling: 3 for `api.log.3` of `api.log`.
fn rotation_number(name: &str, sibling: &str) -> Option<u64> {
    let digits = sibling.strip_prefix(name)?.strip_prefix('.')?;
    (!digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| digits.parse().ok())?
}

/// The file at a path; `None` when there is none, or something else than a file.
pub fn sibling(path: &Path) -> io::Result<Option<Sibling>> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => {
            let state = (metadata.len(), metadata.mtime(), metadata.mtime_nsec());
            Ok(Some(Sibling { path: path.to_owned(), id: (metadata.dev(), metadata.ino()), state }))
        }
        Ok(_) => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    //! Names and order of rotated files.

    use super::*;

    #[test]
    fn rotated_names() {
        for (sibling, number) in [
            ("a.log.1", Some(1)),
            ("a.log.12", Some(12)),
            ("a.log", None),
            ("a.log.", None),
            ("a.log.1.gz", None),
            ("b.log.1", None),
            ("a.log.x", None),
            ("a.log.99999999999999999999999", None),
        ] {
            assert_eq!(rotation_number("a.log", sibling), number, "{sibling}");
        }
    }

    #[test]
    fn oldest_first_and_the_log_itself_last() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for name in ["a.log.10", "a.log", "a.log.2", "a.log.1", "a.log.1.gz", "other"] {
            fs::write(folder.path().join(name), name).expect("a file");
        }
        let files =
            list(&folder.path().join("a.log")).expect("a listing").expect("nothing changes meanwhile");
        let names: Vec<_> = files
            .iter()
            .map(|file| file.path.file_name().expect("a name").to_str().expect("UTF-8"))
            .collect();
        assert_eq!(names, ["a.log.10", "a.log.2", "a.log.1", "a.log"]);
    }
}
