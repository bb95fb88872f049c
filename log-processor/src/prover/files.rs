//! A file system in memory: inodes, names, open files, coarse times. Does what it is told; who tells it, and when, is decided in `script`.

use std::collections::{BTreeMap, HashSet};

/// A file for as long as anything holds it; its number (`Inode::number`) is given to another one afterwards.
pub(super) type Serial = u64;

/// A file.
#[derive(Clone, Debug, Default)]
pub(super) struct Inode {
    /// What `stat` says: the least that is free, as some file systems give them.
    pub(super) number: u64,
    pub(super) bytes: Vec<u8>,
    /// What a compressed file holds, once it is whole.
    pub(super) unpacked: Option<Vec<u8>>,
    /// As `stat` says.
    pub(super) modified_nanos: i64,
    /// When it was last written to, exactly.
    pub(super) written_nanos: i64,
    /// Its greatest size since it was made or truncated to nothing.
    pub(super) greatest: u64,
    names: usize,
    /// How many open files of tail hold it.
    pub(super) tail_handles: usize,
    /// A program writes to it.
    pub(super) written_by_program: bool,
}

/// All files.
#[derive(Clone, Debug, Default)]
pub(super) struct Files {
    pub(super) inodes: BTreeMap<Serial, Inode>,
    pub(super) names: BTreeMap<String, Serial>,
    next: Serial,
    /// The times of files are multiples of that.
    pub(super) grain_nanos: i64,
    /// When a name last came or went, as `stat` says of the folder.
    pub(super) names_changed_nanos: i64,
    /// The time now.
    pub(super) now_nanos: i64,
    /// Numbers are given again.
    pub(super) reuses_numbers: bool,
    /// Every line that ever stood in a file, by hash.
    stood: HashSet<u64>,
    /// Bytes that were there at some time and are in no file any more (by life of a file).
    pub(super) greatest_of_the_gone: u64,
}

impl Files {
    pub(super) fn create(&mut self, name: &str, now: i64) -> Serial {
        self.now_nanos = now;
        self.unlink(name);
        self.names_changed();
        self.next += 1;
        let serial = self.next;
        let taken: HashSet<u64> = self.inodes.values().map(|inode| inode.number).collect();
        let number = if self.reuses_numbers {
            (11..).find(|number| !taken.contains(number))
        } else {
            Some(10 + serial)
        };
        let number = number.expect("there is always a greater number");
        self.inodes.insert(serial, Inode { number, names: 1, ..Inode::default() });
        self.names.insert(name.to_owned(), serial);
        self.touch(serial, now);
        serial
    }

    pub(super) fn at(&self, name: &str) -> Option<Serial> {
        self.names.get(name).copied()
    }

    pub(super) fn get(&self, serial: Serial) -> &Inode {
        &self.inodes[&serial]
    }

    pub(super) fn get_mut(&mut self, serial: Serial) -> &mut Inode {
        self.inodes.get_mut(&serial).expect("somebody holds it")
    }

    /// Takes a name away; the file stays for those who have it open.
    pub(super) fn unlink(&mut self, name: &str) {
        if let Some(serial) = self.names.remove(name) {
            self.names_changed();
            self.get_mut(serial).names -= 1;
            self.let_go(serial);
        }
    }

    /// Gives a file another name; one that had that name loses it.
    pub(super) fn rename(&mut self, from: &str, to: &str) {
        if let Some(serial) = self.names.remove(from) {
            self.names_changed();
            self.unlink(to);
            self.names.insert(to.to_owned(), serial);
        }
    }

    /// Forgets a file that nobody holds.
    pub(super) fn let_go(&mut self, serial: Serial) {
        let inode = self.get(serial);
        if inode.names == 0 && inode.tail_handles == 0 && !inode.written_by_program {
            self.greatest_of_the_gone += self.get(serial).greatest;
            self.inodes.remove(&serial);
        }
    }

    /// Whether a name leads to it.
    pub(super) fn is_named(&self, serial: Serial) -> bool {
        self.inodes.get(&serial).is_some_and(|inode| inode.names > 0)
    }

    /// Writes at a place; what lies between the end and that place becomes a hole.
    pub(super) fn write(&mut self, serial: Serial, place: u64, bytes: &[u8], now: i64) {
        let place = usize::try_from(place).expect("small files");
        let inode = self.get_mut(serial);
        let end = place + bytes.len();
        if inode.bytes.len() < end {
            inode.bytes.resize(end, 0);
        }
        inode.bytes[place..end].copy_from_slice(bytes);
        inode.greatest = inode.greatest.max(inode.bytes.len() as u64);
        let from = inode.bytes[..place].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let hashes: Vec<u64> = whole_lines(&inode.bytes[from..]).map(hash).collect();
        self.stood.extend(hashes);
        self.touch(serial, now);
    }

    pub(super) fn truncate(&mut self, serial: Serial, size: u64, now: i64) {
        let size = usize::try_from(size).expect("small files");
        let gone = self.get(serial).greatest;
        self.greatest_of_the_gone += gone;
        let inode = self.get_mut(serial);
        inode.bytes.resize(size, 0);
        inode.greatest = size as u64;
        self.touch(serial, now);
    }

    fn names_changed(&mut self) {
        let grain = self.grain_nanos.max(1);
        self.names_changed_nanos = self.now_nanos / grain * grain;
    }

    fn touch(&mut self, serial: Serial, now: i64) {
        let grain = self.grain_nanos.max(1);
        let inode = self.get_mut(serial);
        inode.modified_nanos = now / grain * grain;
        inode.written_nanos = now;
    }

    /// Whether a whole line ever stood in a file.
    pub(super) fn ever_stood(&self, line: &[u8]) -> bool {
        self.stood.contains(&hash(line))
    }
}

/// The lines that have their newline, without it.
pub(super) fn whole_lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split_inclusive(|byte| *byte == b'\n').filter_map(|line| line.strip_suffix(b"\n"))
}

/// A line without the hole before it.
pub(super) fn without_hole(line: &[u8]) -> &[u8] {
    &line[line.iter().take_while(|byte| **byte == 0).count()..]
}

fn hash(line: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(without_hole(line))
}
