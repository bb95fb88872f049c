//! A small file system of its own (tmpfs) that can be filled, freed and made read-only. Mounting takes root.

use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A tmpfs, unmounted when dropped.
#[derive(Debug)]
pub struct SmallDisk {
    path: PathBuf,
}

impl SmallDisk {
    /// Mounts one of so many bytes at a folder, which is made.
    pub fn mount(path: PathBuf, bytes: u64) -> SmallDisk {
        fs::create_dir_all(&path).expect("the folder is made");
        let options = format!("size={bytes},mode=2770");
        call("mount", &["-t", "tmpfs", "-o", &options, "tmpfs"], &path);
        SmallDisk { path }
    }

    fn filler(&self) -> PathBuf {
        self.path.join("filler")
    }

    /// Fills it to the last byte.
    pub fn fill(&self) {
        let mut file = File::create(self.filler()).expect("a file on the small disk");
        let mut length = 64 << 10;
        // By ever smaller pieces, until not even one byte finds room.
        while length > 0 {
            // What of a piece found room is kept.
            match file.write_all(&vec![b'x'; length]) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => length /= 2,
                Err(error) => panic!("filling {}: {error}", self.path.display()),
            }
        }
    }

    /// Makes room again.
    pub fn free(&self) {
        fs::remove_file(self.filler()).expect("the filler is removed");
    }

    /// Makes it larger.
    pub fn grow(&self, bytes: u64) {
        call("mount", &["-o", &format!("remount,size={bytes}")], &self.path);
    }

    /// Nothing on it can be changed from now on, or everything again. Fails while a file is open for writing.
    pub fn set_read_only(&self, read_only: bool) {
        call("mount", &["-o", if read_only { "remount,ro" } else { "remount,rw" }], &self.path);
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a program that the test's failure left behind may still stand in it.
        drop(Command::new("umount").arg("--lazy").arg(&self.path).status());
    }
}

fn call(program: &str, args: &[&str], path: &Path) {
    let output = Command::new(program).args(args).arg(path).output().expect("it runs");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {args:?} {}: {told} (this takes root)", path.display());
}
