//! The oracle: which lines were written and can be read, which the processor has to store, and which it may miss. Knows the script and the files, nothing of how the processor
//! works.
//!
//! What it allows beyond "every line once" are the limits of the promise; each is a flag of [`Line`] with its reason.

use std::collections::{BTreeSet, HashMap};

use store::embedded::GenerationId;

use super::files::{Files, Serial, whole_lines, without_hole};
use super::world::violated;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LineKind {
    /// To be stored.
    Good,
    /// To be rejected by the parser.
    Garbage,
    /// To be refused by the store.
    Poison,
    /// The first line of every file, the same each time.
    Header,
}

/// A line that a program writes.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) kind: LineKind,
    pub(super) text: Vec<u8>,
    /// How often it stood whole in a file.
    pub(super) written: u32,
    /// Since when.
    pub(super) stood_nanos: i64,
    /// How often the processor has handed it on or settled it.
    pub(super) handed: u32,
    /// Limit: it was cut in two by a rotation, or taken without its newline after its file had been silent. It may be stored, once.
    pub(super) torn: bool,
    /// Limit: all files with it were gone before it was read, or a crash came between reading and settling. Its bytes may count as lost.
    pub(super) may_miss: bool,
    /// START_AT says that it is not to be read.
    pub(super) may_skip: bool,
    /// Limit: its file was truncated, and it is only in a copy; or it was written to a file that was renamed and let go. A look may be called complete before it is found.
    pub(super) found_late: bool,
    /// Limit: its file was gone when the ledger was lost (or a crash came before it was settled): stored, and not in the new ledger's cells.
    pub(super) may_be_uncounted: bool,
}

/// What must be true of all lines.
#[derive(Clone, Debug, Default)]
pub(super) struct Oracle {
    pub(super) lines: Vec<Line>,
    /// By so much the first line of every file is longer than others.
    pub(super) header_more_bytes: usize,
    by_text: HashMap<Vec<u8>, u32>,
    /// Lines that stand in a file and were not handed on.
    unhanded: BTreeSet<u32>,
    /// Where last lines were taken without their newline.
    pub(super) cut_places: BTreeSet<(GenerationId, u64)>,
    /// Files made, and truncations.
    pub(super) lives: u64,
    handed_end: HashMap<GenerationId, u64>,
    /// Sizes of open files at the beginning of the step before, and of this one.
    sizes: HashMap<GenerationId, (u64, u64)>,
    /// Truncated files, and how large each was known to be.
    pub(super) must_lose: Vec<(GenerationId, u64)>,
    /// When the step before began, and this one.
    pub(super) step_began: (i64, i64),
    /// Files are compressed or copied. Limit: one without any valid line so far is known by its number only, so that its lines may be rejected twice.
    pub(super) copies: bool,
    /// Reads come back short: a look may read nothing of what it saw.
    pub(super) reads_short: bool,
    /// The disk fails now and then: an open file may have to be let go.
    pub(super) disk_fails: bool,
    /// Looks that were complete in this step.
    looks: Vec<i64>,
    /// Lines whose last file tail has let go in this step.
    let_go: Vec<u32>,
    /// A first start that has not had a complete look: lines that may be skipped.
    pub(super) first_look_pending: bool,
    /// Files that START_AT says are not to be read, whatever comes into them.
    pub(super) skipped_files: BTreeSet<Serial>,
    /// The files at the logs' own paths when the first start began.
    pub(super) first_active: BTreeSet<Serial>,
}

impl Oracle {
    /// Makes a line for a program.
    pub(super) fn new_line(&mut self, program: usize, kind: LineKind) -> u32 {
        let id = u32::try_from(self.lines.len()).expect("few lines");
        // Many lines share a second and a customer, so that only their places tell them apart.
        let (minute, second) = (id / 40 % 60, id / 20 % 60);
        let latency = f64::from(id % 1000) / 1000.0;
        let text = match kind {
            LineKind::Good => format!("2024-09-14 16:{minute:02}:{second:02} c1 /l/{id} 200 {latency:.3}"),
            LineKind::Garbage => format!("garbage {id}"),
            LineKind::Poison => {
                format!("2024-09-14 16:{minute:02}:{second:02} poison /l/{id} 200 {latency:.3}")
            }
            LineKind::Header => {
                let text = format!(
                    "2024-09-14 15:00:00 start{program} /boot{} 200 0.100",
                    "-".repeat(self.header_more_bytes)
                );
                if let Some(id) = self.by_text.get(text.as_bytes()) {
                    return *id;
                }
                text
            }
        };
        self.by_text.insert(text.clone().into_bytes(), id);
        self.lines.push(Line {
            kind,
            text: text.into_bytes(),
            written: 0,
            stood_nanos: 0,
            handed: 0,
            torn: false,
            may_miss: false,
            may_skip: false,
            found_late: false,
            may_be_uncounted: false,
        });
        id
    }

    pub(super) fn text(&self, id: u32) -> &[u8] {
        &self.lines[id as usize].text
    }

    /// The line that these bytes are.
    pub(super) fn identify(&self, bytes: &[u8]) -> Option<u32> {
        self.by_text.get(without_hole(bytes)).copied()
    }

    /// The line of a point or a cell, by its path and customer.
    pub(super) fn by_path(&self, path: &str, customer: &str) -> u32 {
        let id = match path.strip_prefix("/l/") {
            Some(number) => number.parse().ok(),
            None => self
                .lines
                .iter()
                .position(|line| {
                    line.kind == LineKind::Header
                        && line.text.split(|byte| *byte == b' ').nth(2) == Some(customer.as_bytes())
                })
                .and_then(|at| u32::try_from(at).ok()),
        };
        match id {
            Some(id) if (id as usize) < self.lines.len() => id,
            _ => violated("T1", format!("stored a line that nobody wrote: {customer} {path}")),
        }
    }

    /// A line was written to its end; `stands` are its file's bytes up to there.
    pub(super) fn written(&mut self, id: u32, file: Serial, stands: &[u8], now: i64, readable: bool) {
        let whole = stands.strip_suffix(b"\n").and_then(|bytes| bytes.rsplit(|byte| *byte == b'\n').next());
        let line = &mut self.lines[id as usize];
        if whole.map(without_hole) != Some(&line.text[..]) {
            line.torn = true;
            return;
        }
        // Of a rejected line only the first bytes are kept, and there may be nothing but a hole.
        let hole = whole.map_or(0, |whole| whole.len() - line.text.len());
        line.torn |= hole > 900 && line.kind != LineKind::Good;
        line.may_skip |= self.skipped_files.contains(&file);
        line.written += 1;
        line.stood_nanos = now;
        if readable {
            self.unhanded.insert(id);
        } else {
            line.may_miss = true;
        }
    }

    /// A line was written to a renamed file that tail does not have open.
    pub(super) fn late(&mut self, id: u32) {
        let line = &mut self.lines[id as usize];
        line.found_late |= line.handed < line.written;
    }

    /// These bytes were taken as a last line, whatever line they are the beginning of.
    pub(super) fn torn_after(&mut self, bytes: &[u8]) {
        let begins =
            |line: &&mut Line| line.text.starts_with(bytes) && (bytes.len() > 30 || line.text == bytes);
        self.lines.iter_mut().filter(begins).for_each(|line| line.torn = true);
    }

    /// A half-written line was taken as it was.
    pub(super) fn torn(&mut self, id: u32) {
        self.lines[id as usize].torn = true;
    }

    /// The lines that can be read: by a name, or because tail has the file open.
    pub(super) fn standing(&self, files: &Files) -> BTreeSet<u32> {
        let readable =
            files.inodes.iter().filter(|(serial, inode)| files.is_named(**serial) || inode.tail_handles > 0);
        readable
            .flat_map(|(_, inode)| whole_lines(inode.unpacked.as_ref().unwrap_or(&inode.bytes)))
            .filter_map(|line| self.identify(line))
            .collect()
    }

    /// No file has this line any more.
    pub(super) fn destroyed(&mut self, id: u32, by_tail: bool) {
        self.unhanded.remove(&id);
        let line = &mut self.lines[id as usize];
        if line.handed >= line.written || line.may_skip || line.torn {
            return;
        }
        if by_tail
            && !line.found_late
            && !self.disk_fails
            && !self.first_look_pending
            && line.stood_nanos < self.step_began.0
            && !line.may_miss
            && line.kind != LineKind::Header
        {
            self.let_go.push(id); // It may be on its way out.
        }
        line.may_miss = true;
    }

    /// A processor starts; `counted` says what its ledger has of a line.
    pub(super) fn life_began(&mut self, files: &Files, counted: impl Fn(u32) -> u32) {
        let standing = self.standing(files);
        self.handed_end.clear();
        self.let_go.clear();
        self.looks.clear();
        self.sizes.clear();
        self.unhanded.clear();
        for (id, line) in (0..).zip(&mut self.lines) {
            line.handed = counted(id);
            if line.torn {
                line.may_be_uncounted = true;
            }
            if line.handed >= line.written || line.torn {
                continue;
            }
            if standing.contains(&id) {
                self.unhanded.insert(id);
            } else {
                line.may_miss = true;
                line.may_be_uncounted = true;
            }
        }
    }

    /// The processor is about to look.
    pub(super) fn step_began(&mut self, now: i64, files: &Files, begun: &HashMap<GenerationId, Serial>) {
        for as_of in std::mem::take(&mut self.looks) {
            self.check_look(as_of);
        }
        self.step_began = (self.step_began.1, now);
        for id in std::mem::take(&mut self.let_go) {
            if self.lines[id as usize].handed < self.lines[id as usize].written {
                violated("X1", format!("tail let go of the last file with line {id} without having read it"));
            }
        }
        for (id, serial) in begun {
            if let Some(inode) =
                files.inodes.get(serial).filter(|inode| inode.tail_handles > 0 && inode.unpacked.is_none())
            {
                let size = inode.bytes.len() as u64;
                let sizes = self.sizes.entry(*id).or_default();
                *sizes = (sizes.1, size);
            }
        }
    }

    /// A file is about to be truncated: what was there at the last look but one is known to tail.
    pub(super) fn truncating(&mut self, file: Serial, files: &Files, begun: &HashMap<GenerationId, Serial>) {
        for line in whole_lines(&files.get(file).bytes) {
            if let Some(id) = self.identify(line) {
                let line = &mut self.lines[id as usize];
                line.found_late = true;
                line.may_miss |= line.written > 1; // One of them may be in the copy, and one not.
            }
        }
        for id in begun.iter().filter(|(_, serial)| **serial == file).map(|(id, _)| id) {
            // One of which nothing was read shows no sign of it.
            let begun = self.handed_end.get(id).is_some_and(|end| *end > 0);
            if let Some((known, _)) = self.sizes.remove(id).filter(|_| begun) {
                self.must_lose.push((*id, known));
            }
        }
    }

    /// A generation is followed from this place on.
    pub(super) fn begins(&mut self, id: GenerationId, from: u64) {
        self.handed_end.entry(id).or_insert(from);
    }

    /// T1: lines leave tail.
    pub(super) fn handed_on(&mut self, id: GenerationId, start: u64, end: u64) {
        let expected = self.handed_end.insert(id, end).expect("it was begun");
        if start != expected {
            violated(
                "T1",
                format!("generation {} was handed on up to {expected}, and then from {start}", id.0),
            );
        }
    }

    /// A whole line leaves tail.
    pub(super) fn line_handed_on(&mut self, bytes: &[u8]) {
        let Some(id) = self.identify(bytes) else { return };
        let line = &mut self.lines[id as usize];
        line.handed += 1;
        if line.handed >= line.written {
            self.unhanded.remove(&id);
        }
        let known_by_number = line.kind == LineKind::Garbage && self.copies;
        if line.handed > line.written && !line.torn && line.kind != LineKind::Header && !known_by_number {
            violated("X1", format!("line {id} leaves tail once more than it was written ({})", line.written));
        }
    }

    /// Tail says that everything readable at `as_of` is handed on, or will be in this step (the bookkeeper waits for it).
    pub(super) fn looked(&mut self, as_of_micros: i64) {
        self.looks.push(as_of_micros);
    }

    /// T2: everything readable at `as_of` was handed on.
    fn check_look(&self, as_of_micros: i64) {
        for id in &self.unhanded {
            let line = &self.lines[*id as usize];
            if line.stood_nanos / 1000 < as_of_micros
                && !line.may_skip
                && !line.found_late
                && !line.may_miss
                && !line.torn
                && line.kind != LineKind::Header
            {
                let since = (as_of_micros * 1000 - line.stood_nanos) / 1_000_000;
                violated(
                    "T2",
                    format!(
                        "a look was called complete although line {id}, there for {since} ms, was not handed on"
                    ),
                );
            }
        }
    }

    /// The ledger is gone: what no file has any more is in no ledger.
    pub(super) fn ledger_lost(&mut self, files: &Files, skips: bool) {
        let standing = self.standing(files);
        for (id, line) in (0..).zip(&mut self.lines) {
            line.may_be_uncounted |= skips || !standing.contains(&id);
        }
    }

    /// A first start: START_AT says that these are not to be read.
    pub(super) fn may_skip(&mut self, ids: impl IntoIterator<Item = u32>) {
        for id in ids {
            self.lines[id as usize].may_skip = true;
        }
    }
}
