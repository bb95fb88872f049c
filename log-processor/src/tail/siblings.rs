//! The files of one log on disk: its rotated siblings, oldest first, and the log itself. Looks at names and inodes only.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

use super::disk::{Clock, Disk, FileId, FileStat};
use super::names::{self, Rotated};
use super::open::is_young;
use crate::mutation::{Mutation, mutated};

/// A file of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sibling {
    /// Its path now.
    pub path: PathBuf,
    /// What is known of it: while that stays, there is nothing new in it.
    pub stat: FileStat,
    /// Whether it is compressed.
    pub gzip: bool,
}

impl Sibling {
    /// What must stay the same for two listings to agree.
    fn name_and_file(&self) -> (&Path, FileId) {
        (&self.path, self.stat.id)
    }
}

/// How often a folder is read again while a rotation is under way.
const TRIES: usize = 50;

/// The rotated files of every log in one folder, at one instant.
#[derive(Debug, Default)]
pub struct Folder {
    by_base: HashMap<String, Vec<(Rotated, String)>>,
}

impl Folder {
    /// Reads a folder.
    pub fn read(disk: &dyn Disk, folder: &Path) -> io::Result<Folder> {
        let mut by_base: HashMap<String, Vec<(Rotated, String)>> = HashMap::new();
        for name in disk.names(folder)? {
            let Some(name) = name.to_str() else { continue };
            if let Some(rotated) = names::rotated(name) {
                by_base.entry(rotated.base.clone()).or_default().push((rotated, name.to_owned()));
            }
        }
        for siblings in by_base.values_mut() {
            // Of a file and its compressed copy the file comes first: the copy may not be finished.
            siblings.sort_by(|(a, a_name), (b, b_name)| {
                (&a.order, a.gzip, a_name).cmp(&(&b.order, b.gzip, b_name))
            });
        }
        Ok(Folder { by_base })
    }

    /// The files of one log of this folder: rotated ones oldest first, the log itself (if it is there) last.
    pub fn siblings(&self, disk: &dyn Disk, path: &Path) -> io::Result<Vec<Sibling>> {
        let mut files = Vec::new();
        let base = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let rotated = self.by_base.get(base).map_or(&[][..], Vec::as_slice);
        let skip = if mutated(Mutation::OnlyLastRotated) { rotated.len().saturating_sub(1) } else { 0 };
        for (rotated, name) in &rotated[skip..] {
            let path = path.with_file_name(name);
            if let Some(stat) = disk.stat(&path)? {
                files.push(Sibling { path, stat, gzip: rotated.gzip });
            }
        }
        if let Some(stat) = disk.stat(path)? {
            files.push(Sibling { path: path.to_owned(), stat, gzip: false });
        }
        Ok(files)
    }
}

/// When names last came or went in folders, and whether that was just before it was looked at.
#[derive(Debug, Default)]
pub struct FolderTimes(HashMap<PathBuf, (Option<i64>, bool)>);

impl FolderTimes {
    /// Whether names came or went in a folder since this was last asked, or may have.
    pub fn changed(&mut self, disk: &dyn Disk, folder: &Path, clock: Clock) -> io::Result<bool> {
        let time = disk.folder_time(folder)?;
        let is_young = time.is_some_and(|time| is_young(clock, time));
        let before = self.0.insert(folder.to_owned(), (time, is_young));
        // A change just after a look can have the same time.
        Ok(is_young || before != Some((time, false)))
    }
}

/// The folder in which a path lies.
pub fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// The log's files, oldest first, the log itself (if it is there) last. Read until two looks agree, since a rotation may be renaming them at this very moment; `None` when
/// they never did: the next look tries again, and nothing is lost meanwhile.
pub fn list(disk: &dyn Disk, path: &Path) -> io::Result<Option<Vec<Sibling>>> {
    let list_once = || Folder::read(disk, folder_of(path))?.siblings(disk, path);
    let mut before = list_once()?;
    for _ in 0..TRIES {
        let now = list_once()?;
        if now.iter().map(Sibling::name_and_file).eq(before.iter().map(Sibling::name_and_file)) {
            return Ok(Some(now));
        }
        before = now;
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    //! Order of the files.

    use super::super::disk::RealDisk;
    use super::*;

    #[test]
    fn oldest_first_and_the_log_itself_last() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for name in
            ["a.log.10", "a.log", "a.log.2.gz", "a.log.2", "a.log.1", "a.log-20240101", "b.log.1", "other"]
        {
            std::fs::write(folder.path().join(name), name).expect("a file");
        }
        std::fs::create_dir(folder.path().join("a.log.5")).expect("a folder");
        let files = list(&RealDisk::default(), &folder.path().join("a.log"))
            .expect("a listing")
            .expect("nothing changes meanwhile");
        let names: Vec<_> = files
            .iter()
            .map(|file| file.path.file_name().expect("a name").to_str().expect("UTF-8"))
            .collect();
        assert_eq!(names, ["a.log-20240101", "a.log.10", "a.log.2", "a.log.2.gz", "a.log.1", "a.log"]);
    }
}
