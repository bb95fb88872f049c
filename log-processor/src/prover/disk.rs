//! The disk as the processor sees it: every call is a step at which others may act, reads come in pieces, and errors are possible.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::files::{Files, Serial};
use super::world::Sim;
use crate::tail::disk::{Clock, Disk, FileStat, LogFile};

/// The files of the world.
#[derive(Debug)]
pub(super) struct SimDisk(pub(super) Sim);

#[derive(Debug)]
struct SimFile {
    sim: Sim,
    serial: Serial,
    /// Under which name it was opened.
    path: String,
}

fn stat_of(files: &Files, serial: Serial) -> FileStat {
    let inode = files.get(serial);
    FileStat { id: (1, inode.number), size: inode.bytes.len() as u64, modified_nanos: inode.modified_nanos }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("the script's names are UTF-8")
}

impl SimDisk {
    /// The disk says no, now and then.
    fn fail(&self) -> io::Result<()> {
        fail(&self.0)
    }
}

fn fail(sim: &Sim) -> io::Result<()> {
    let mut world = sim.world();
    let per_mille = world.plan.io_error_per_mille;
    if per_mille > 0 && !world.quiet && world.chance.below(1000) < per_mille {
        world.note(format_args!("EIO"));
        return Err(io::Error::other("input/output error"));
    }
    Ok(())
}

/// The disk cannot read this file, and does not get better by itself; `asked`: it is only asked about it.
fn fail_for_good(sim: &Sim, path: &str, asked: bool) -> io::Result<()> {
    let mut world = sim.world();
    if world.broken.is_some_and(|(broken, all)| path.starts_with(broken) && (all || !asked)) {
        world.note(format_args!("EIO again: {path}"));
        return Err(io::Error::other("input/output error"));
    }
    Ok(())
}

impl Disk for SimDisk {
    fn stat(&self, path: &Path) -> io::Result<Option<FileStat>> {
        self.0.step(format_args!("stat {}", path.display()));
        self.fail()?;
        fail_for_good(&self.0, text(path), true)?;
        let world = self.0.world();
        Ok(world.files.at(text(path)).map(|serial| stat_of(&world.files, serial)))
    }

    fn names(&self, folder: &Path) -> io::Result<Vec<OsString>> {
        self.0.step(format_args!("names"));
        self.fail()?;
        let folder = format!("{}/", text(folder));
        let world = self.0.world();
        Ok(world
            .files
            .names
            .keys()
            .filter_map(|name| name.strip_prefix(&folder))
            .map(OsString::from)
            .collect())
    }

    fn folder_time(&self, _folder: &Path) -> io::Result<Option<i64>> {
        self.0.step(format_args!("folder time"));
        self.fail()?;
        Ok(Some(self.0.world().files.names_changed_nanos))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn LogFile>> {
        self.0.step(format_args!("open {}", path.display()));
        self.fail()?;
        fail_for_good(&self.0, text(path), true)?;
        let mut world = self.0.world();
        let serial = world.files.at(text(path)).ok_or(io::ErrorKind::NotFound)?;
        world.files.get_mut(serial).tail_handles += 1;
        Ok(Box::new(SimFile { sim: self.0.clone(), serial, path: text(path).to_owned() }))
    }

    fn clock(&self) -> Clock {
        self.0.world().clock()
    }
}

impl SimFile {
    /// Copies what stands there now.
    fn copy(&self, buffer: &mut [u8], offset: u64) -> usize {
        let world = self.sim.world();
        let bytes = &world.files.get(self.serial).bytes;
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
        let length = buffer.len().min(bytes.len() - from);
        buffer[..length].copy_from_slice(&bytes[from..from + length]);
        length
    }
}

impl LogFile for SimFile {
    fn read_at(&mut self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.sim.step(format_args!("read from {offset}"));
        fail(&self.sim)?;
        fail_for_good(&self.sim, &self.path, false)?;
        let (in_two, short) = {
            let mut world = self.sim.world();
            let (slow, short) = (world.plan.slow_read_percent, world.plan.short_read_percent);
            (world.chance.percent(slow), world.chance.percent(short) && !buffer.is_empty())
        };
        if short {
            let length = self.sim.world().chance.index(buffer.len()) + 1;
            return Ok(self.copy(&mut buffer[..length], offset));
        }
        if !in_two || buffer.len() < 2 {
            return Ok(self.copy(buffer, offset));
        }
        // A read takes time: what is written meanwhile is in its later part only.
        let middle = self.sim.world().chance.index(buffer.len().min(400));
        let first = self.copy(&mut buffer[..middle], offset);
        if first < middle {
            return Ok(first);
        }
        self.sim.step(format_args!("in the middle of the read"));
        Ok(first + self.copy(&mut buffer[middle..], offset + middle as u64))
    }

    fn stat(&self) -> io::Result<FileStat> {
        self.sim.step(format_args!("fstat"));
        fail(&self.sim)?;
        fail_for_good(&self.sim, &self.path, true)?;
        let world = self.sim.world();
        Ok(stat_of(&world.files, self.serial))
    }

    fn data_from(&mut self, offset: u64) -> io::Result<Option<u64>> {
        self.sim.step(format_args!("data from {offset}"));
        fail(&self.sim)?;
        fail_for_good(&self.sim, &self.path, false)?;
        let world = self.sim.world();
        // A copy may have been made without the hole, NUL by NUL.
        if self.serial.is_multiple_of(2) {
            return Ok(Some(offset));
        }
        let bytes = &world.files.get(self.serial).bytes;
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
        let data = bytes[from..].iter().position(|byte| *byte != 0);
        // A file system knows its holes by blocks.
        Ok(data.map(|data| offset.max((from + data) as u64 / 4096 * 4096)))
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        let serial = self.serial;
        let mut world = self.sim.world();
        let by_tail = !std::thread::panicking();
        if by_tail {
            for line in world.lines_in(serial) {
                world.oracle.late(line);
            }
        }
        if world.files.is_named(serial) || world.files.get(serial).tail_handles > 1 {
            world.files.get_mut(serial).tail_handles -= 1;
            return;
        }
        world.destroying(by_tail, |files| {
            files.get_mut(serial).tail_handles -= 1;
            files.let_go(serial);
        });
    }
}

/// A compressed file of these bytes.
pub(super) fn compress(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("writing to memory cannot fail")
}
