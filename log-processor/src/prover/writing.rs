//! How programs write: whole lines, pieces of lines, garbage, lines that the store refuses, lines twice.

use super::oracle::LineKind;
use super::world::World;

impl World {
    pub(super) fn write_something(&mut self, at: usize) {
        if self.script.programs[at].paused {
            return;
        }
        for _ in 0..self.chance.between(1, 3) {
            let in_pieces = self.chance.percent(self.plan.piece_percent);
            self.write_line(at, false);
            if in_pieces {
                self.write_piece(at);
                return;
            }
        }
    }

    /// Writes the next line, or the rest of one that is half written.
    pub(super) fn write_line(&mut self, at: usize, whole: bool) {
        debug_assert!(!whole || self.script.programs[at].rest.is_none(), "only whole lines here");
        let (id, bytes) = self.script.programs[at].rest.take().unwrap_or_else(|| self.next_line(at));
        self.put(at, id, &bytes, true);
    }

    /// Writes the beginning of the next line.
    fn write_piece(&mut self, at: usize) {
        let (id, mut bytes) = self.script.programs[at].rest.take().unwrap_or_else(|| self.next_line(at));
        if bytes.len() < 2 {
            return self.put(at, id, &bytes, true);
        }
        let rest = bytes.split_off(self.chance.index(bytes.len() - 1) + 1);
        self.script.programs[at].rest = Some((id, rest));
        self.put(at, id, &bytes, false);
    }

    fn next_line(&mut self, at: usize) -> (u32, Vec<u8>) {
        let file = self.script.programs[at].file;
        let empty = file.is_none_or(|file| self.files.get(file).bytes.is_empty());
        let fresh = std::mem::take(&mut self.script.programs[at].fresh);
        let kind = if empty && self.plan.header {
            LineKind::Header
        } else if self.chance.percent(self.plan.garbage_percent) {
            LineKind::Garbage
        } else if self.chance.percent(self.plan.poison_percent) {
            LineKind::Poison
        } else {
            LineKind::Good
        };
        let again =
            self.script.programs[at].last.filter(|_| !fresh && self.chance.percent(self.plan.repeat_percent));
        let id = again.unwrap_or_else(|| self.oracle.new_line(at, kind));
        self.script.programs[at].last = Some(id).filter(|_| kind == LineKind::Good);
        let mut bytes = self.oracle.text(id).to_vec();
        bytes.push(b'\n');
        (id, bytes)
    }

    fn put(&mut self, at: usize, id: u32, bytes: &[u8], to_its_end: bool) {
        let now = self.now_nanos;
        if self.script.programs[at].file.is_none() {
            self.reopen(at);
        }
        let program = &mut self.script.programs[at];
        let file = program.file.expect("it was just opened");
        let place = if self.plan.appends { self.files.get(file).bytes.len() as u64 } else { program.place };
        program.place = place + bytes.len() as u64;
        self.files.write(file, place, bytes, now);
        if self.trace.is_some() {
            let path = self.script.programs[at].path.clone();
            let text = String::from_utf8_lossy(bytes).into_owned();
            let number = self.files.get(file).number;
            self.note(format_args!("  {path} line {id}: {text:?} at {place} of inode {number}"));
        }
        if to_its_end {
            let stands =
                self.files.get(file).bytes[..usize::try_from(place).expect("small") + bytes.len()].to_vec();
            let readable = self.files.is_named(file) || self.files.get(file).tail_handles > 0;
            self.oracle.written(id, file, &stands, now, readable);
            if self.files.get(file).tail_handles == 0
                && self.files.at(&self.script.programs[at].path) != Some(file)
            {
                self.oracle.late(id);
            }
        }
    }
}
