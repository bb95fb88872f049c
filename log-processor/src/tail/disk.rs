//! What tail asks of the file system and of the clock: a trait, so that the same tail also runs on a disk and a clock that a test has made up. Decides nothing.

use std::ffi::OsString;
use std::fmt::Debug;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::fs::{OFlags, SeekFrom};
use rustix::io::Errno;

/// Device and inode. Not the inode's generation nor its time of birth, which not every file system has: content outranks all of them.
pub type FileId = (u64, u64);

/// What is known of a file without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileStat {
    /// Which file.
    pub id: FileId,
    /// Its size in bytes.
    pub size: u64,
    /// Time of the last change of its content, nanoseconds since 1970. Coarse: two changes within some milliseconds can have one time.
    pub modified_nanos: i64,
}

/// An instant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Clock {
    /// Nanoseconds since 1970: what the times of files are compared with. Can jump.
    pub wall_nanos: i64,
    /// Since some beginning; never goes back.
    pub uptime: Duration,
}

/// Where the followed files are.
pub trait Disk: Debug + Send + Sync {
    /// The file at a path; `None` when there is none, or something that is no file.
    fn stat(&self, path: &Path) -> io::Result<Option<FileStat>>;
    /// The names in a folder, in any order; none when there is no such folder.
    fn names(&self, folder: &Path) -> io::Result<Vec<OsString>>;
    /// When a name last came or went in a folder, nanoseconds since 1970; coarse. None when there is no such folder.
    fn folder_time(&self, folder: &Path) -> io::Result<Option<i64>>;
    /// Opens a file for reading.
    fn open(&self, path: &Path) -> io::Result<Box<dyn LogFile>>;
    /// The time now.
    fn clock(&self) -> Clock;
}

/// An open file, which neither renaming nor deleting takes away.
pub trait LogFile: Debug + Send {
    /// Reads at a place, as `pread` does: 0 at the end.
    fn read_at(&mut self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// What is known of it now.
    fn stat(&self) -> io::Result<FileStat>;
    /// The first place from `offset` on where something else than a hole may stand; `None`: a hole is all there is. Reading tells the same, and costs gigabytes of NULs.
    fn data_from(&mut self, offset: u64) -> io::Result<Option<u64>> {
        Ok(Some(offset))
    }
}

/// The machine's own.
#[derive(Debug)]
pub struct RealDisk {
    begun: Instant,
}

impl Default for RealDisk {
    fn default() -> Self {
        Self { begun: Instant::now() }
    }
}

impl Disk for RealDisk {
    fn stat(&self, path: &Path) -> io::Result<Option<FileStat>> {
        match fs::metadata(path) {
            Ok(metadata) => Ok(metadata.is_file().then(|| stat_of(&metadata))),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn names(&self, folder: &Path) -> io::Result<Vec<OsString>> {
        match fs::read_dir(folder) {
            Ok(entries) => entries.map(|entry| Ok(entry?.file_name())).collect(),
            Err(error) if is_missing(&error) => Ok(vec![]),
            Err(error) => Err(error),
        }
    }

    fn folder_time(&self, folder: &Path) -> io::Result<Option<i64>> {
        match fs::metadata(folder) {
            Ok(metadata) => Ok(Some(stat_of(&metadata).modified_nanos)),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn LogFile>> {
        // A pipe or a device may have taken the file's place since it was looked at: opening one must neither wait for its other end nor be taken for a log.
        let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
        let flags = i32::try_from(flags.bits()).expect("small bits");
        let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("it is no regular file"));
        }
        Ok(Box::new(RealFile(file)))
    }

    fn clock(&self) -> Clock {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Clock { wall_nanos: i64::try_from(wall.as_nanos()).unwrap_or(i64::MAX), uptime: self.begun.elapsed() }
    }
}

/// Nothing stands there: also when what should be a folder on the way is a file.
fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

#[derive(Debug)]
struct RealFile(File);

impl LogFile for RealFile {
    fn read_at(&mut self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(&self.0, buffer, offset)
    }

    fn stat(&self) -> io::Result<FileStat> {
        self.0.metadata().map(|metadata| stat_of(&metadata))
    }

    fn data_from(&mut self, offset: u64) -> io::Result<Option<u64>> {
        match rustix::fs::seek(&self.0, SeekFrom::Data(offset)) {
            Ok(place) => Ok(Some(place)),
            Err(Errno::NXIO) => Ok(None),
            Err(_) => Ok(Some(offset)), // A file system that cannot tell: reading does.
        }
    }
}

fn stat_of(metadata: &Metadata) -> FileStat {
    let modified_nanos = metadata.mtime().saturating_mul(1_000_000_000).saturating_add(metadata.mtime_nsec());
    FileStat { id: (metadata.dev(), metadata.ino()), size: metadata.len(), modified_nanos }
}

/// Reads until the buffer is full or the file ends; returns how many bytes there were.
pub fn read_full(file: &mut dyn LogFile, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    //! What only the machine's own disk can do.

    use super::*;

    /// A pipe that came between the look and the opening kept the thread that reads all logs waiting for a writer, for ever.
    #[test]
    fn opening_what_is_no_file_is_an_error_at_once() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo runs");
        assert!(made.success());
        let disk = RealDisk::default();
        for path in [pipe.as_path(), folder.path(), Path::new("/dev/zero")] {
            assert_eq!(disk.stat(path).expect("it can be looked at"), None, "{}", path.display());
            let refused = disk.open(path).expect_err("no log");
            assert_eq!(refused.to_string(), "it is no regular file", "{}", path.display());
        }
    }
}
