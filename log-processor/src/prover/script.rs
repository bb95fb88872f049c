//! The others: programs that write logs, and rotators, each doing one small thing at a time, between any two things that the processor does.

use std::collections::VecDeque;

use super::files::Serial;
use super::plan::BEGUN_NANOS;
use super::world::World;

/// A way of rotating or damaging a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Renamed; the program opens a new one later.
    Rename,
    /// Renamed, a new one made at once, the program goes on with the old one for a while.
    RenameLate,
    /// Copied and truncated while the program writes.
    CopyTruncate,
    /// The same, the program waiting meanwhile.
    CopyTruncatePaused,
    /// Truncated to nothing.
    Truncate,
    /// Truncated to nothing and filled up at once to the same size.
    TruncateRefill,
    /// Removed and made again.
    Replace,
    /// Removed; the program goes on with what has no name any more, and makes a new one later.
    Remove,
}

impl Kind {
    /// Rotation by name, also with truncations that leave no copy.
    pub(super) const WITHOUT_COPY: [Kind; 6] =
        [Kind::Rename, Kind::RenameLate, Kind::Replace, Kind::Remove, Kind::Truncate, Kind::TruncateRefill];
    /// Rotation by copy. The two are not mixed: a copy whose original was truncated and then removed is nobody's any more (a limit of the promise).
    pub(super) const IN_PLACE: [Kind; 4] =
        [Kind::CopyTruncate, Kind::CopyTruncatePaused, Kind::Truncate, Kind::TruncateRefill];
    /// A log whose every file begins with the same line is renamed only: truncated in place, a crash would make it indistinguishable from one that grew (a limit of the promise).
    pub(super) const BY_NAME: [Kind; 4] = [Kind::Rename, Kind::RenameLate, Kind::Replace, Kind::Remove];
}

/// One small thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Micro {
    /// The program writes whatever comes next.
    Write,
    /// The program writes that many whole lines.
    WriteLines(u64),
    Rename(String, String),
    Unlink(String),
    /// The program opens its log anew.
    Reopen,
    /// Somebody makes an empty log.
    Create,
    CopyBegin(String),
    CopySome(String, u64),
    Truncate,
    /// Truncates and refills at once to the same size.
    TruncateRefill,
    /// Compresses a file: begins, writes some bytes, ends with the original's time and removes it.
    GzipBegin(String),
    GzipSome(String, u64),
    GzipEnd(String),
    Pause,
    GoOn,
    Sleep(u64),
}

/// A program with its log and its rotator.
#[derive(Clone, Debug, Default)]
pub(super) struct Program {
    pub(super) path: String,
    pub(super) file: Option<Serial>,
    pub(super) place: u64,
    /// What is left of a line that is half written: its id and its bytes.
    pub(super) rest: Option<(u32, Vec<u8>)>,
    pub(super) paused: bool,
    rotator: VecDeque<Micro>,
    dates: u64,
    /// What a compression in the making will be.
    packed: Option<(Vec<u8>, Vec<u8>, i64)>,
    /// The next line must not repeat the last one.
    pub(super) fresh: bool,
    pub(super) last: Option<u32>,
}

impl Program {
    pub(super) fn new(path: &str) -> Self {
        Self { path: path.to_owned(), ..Self::default() }
    }

    fn is_copying(&self) -> bool {
        self.rotator.iter().any(|step| matches!(step, Micro::CopySome(..)))
    }

    /// The line that it has half written.
    pub(super) fn half_written_line(&self) -> Option<u32> {
        self.rest.as_ref().map(|(id, _)| *id)
    }

    /// The line that it has half written to this file.
    pub(super) fn half_written(&self, file: Serial) -> Option<u32> {
        self.rest.as_ref().filter(|_| self.file == Some(file)).map(|(id, _)| *id)
    }
}

/// All programs.
#[derive(Clone, Debug, Default)]
pub(super) struct Script {
    pub(super) programs: Vec<Program>,
    pub(super) left: u64,
    /// What is done in this order, instead of by chance.
    pub(super) fixed: Option<VecDeque<Micro>>,
}

impl World {
    /// A copy is being made, which does not stand still for as long as tail waits for it.
    pub(super) fn is_copying(&self) -> bool {
        self.script.programs.iter().any(Program::is_copying)
    }

    /// One small thing is done by somebody.
    pub(super) fn act(&mut self) {
        let at = self.chance.index(self.script.programs.len());
        if let Some(fixed) = &mut self.script.fixed {
            if let Some(micro) = fixed.pop_front() {
                self.script.left = fixed.len() as u64;
                self.act_out(at, &micro);
            }
            return;
        }
        if self.script.left == 0 {
            return;
        }
        self.script.left -= 1;
        let rotating = !self.script.programs[at].rotator.is_empty();
        let copying = self.is_copying();
        let copies_here = self.script.programs[at].is_copying();
        let micro = if rotating && self.chance.percent(if copies_here { 75 } else { 50 }) {
            self.script.programs[at].rotator.pop_front().expect("it is rotating")
        } else if !rotating && self.chance.percent(self.plan.rotate_percent) {
            let kind = self.plan.kinds[self.chance.index(self.plan.kinds.len())];
            let steps = self.rotation(at, kind);
            self.script.programs[at].rotator = steps;
            return;
        } else if self.chance.percent(3) {
            Micro::Sleep(self.chance.between(1, if copying { 900 } else { 12_000 }))
        } else {
            Micro::Write
        };
        self.act_out(at, &micro);
    }

    /// Everything comes to its end: rotations are finished, programs write their last line to its end.
    pub(super) fn wind_up(&mut self) {
        self.script.left = 0;
        for at in 0..self.script.programs.len() {
            while let Some(micro) = self.script.programs[at].rotator.pop_front() {
                self.act_out(at, &micro);
            }
            self.script.programs[at].paused = false;
            if self.script.programs[at].rest.is_some() && self.chance.percent(80) {
                self.write_line(at, false);
            }
        }
    }

    pub(super) fn rotation(&mut self, at: usize, kind: Kind) -> VecDeque<Micro> {
        let log = self.script.programs[at].path.clone();
        let mut steps = VecDeque::new();
        let gzip = self.chance.percent(self.plan.gzip_percent);
        let rotated = match kind {
            Kind::Truncate | Kind::TruncateRefill | Kind::Replace | Kind::Remove => String::new(),
            _ => self.rotated_name(at, &mut steps),
        };
        match kind {
            Kind::Rename => steps.extend([Micro::Rename(log, rotated.clone()), Micro::Reopen]),
            Kind::RenameLate => {
                steps.extend([
                    Micro::Rename(log, rotated.clone()),
                    Micro::Create,
                    Micro::Write,
                    Micro::Write,
                ]);
                steps.push_back(Micro::Sleep(self.chance.pick(&[1, 1000, 11_000, 30_000])));
                steps.extend([Micro::Write, Micro::Reopen]);
            }
            Kind::CopyTruncate | Kind::CopyTruncatePaused => {
                if kind == Kind::CopyTruncatePaused {
                    steps.push_back(Micro::Pause);
                }
                steps.push_back(Micro::CopyBegin(rotated.clone()));
                for _ in 0..self.chance.between(0, 3) {
                    steps.push_back(Micro::CopySome(rotated.clone(), self.chance.between(1, 150)));
                }
                steps.extend([Micro::CopySome(rotated.clone(), u64::MAX), Micro::Truncate, Micro::GoOn]);
            }
            Kind::Truncate => steps.push_back(Micro::Truncate),
            Kind::TruncateRefill => steps.push_back(Micro::TruncateRefill),
            Kind::Replace => steps.extend([Micro::Unlink(log), Micro::Reopen]),
            Kind::Remove => steps.extend([Micro::Unlink(log), Micro::Write, Micro::Write, Micro::Reopen]),
        }
        if gzip && !rotated.is_empty() {
            steps.extend([Micro::GzipBegin(rotated.clone())]);
            for _ in 0..self.chance.between(0, 3) {
                steps.push_back(Micro::GzipSome(rotated.clone(), self.chance.between(1, 60)));
            }
            steps.push_back(Micro::GzipEnd(rotated));
        }
        steps
    }

    /// The name for what is rotated now, with the steps that make room for it.
    fn rotated_name(&mut self, at: usize, steps: &mut VecDeque<Micro>) -> String {
        let log = self.script.programs[at].path.clone();
        if self.plan.dated_names {
            self.script.programs[at].dates += 1;
            let number = self.script.programs[at].dates;
            return format!("{log}-2024{:02}{:02}", 1 + number / 28, 1 + number % 28);
        }
        let keep = self.plan.keep;
        for end in ["", ".gz"] {
            steps.push_back(Micro::Unlink(format!("{log}.{keep}{end}")));
        }
        for number in (1..keep).rev() {
            for end in ["", ".gz"] {
                steps.push_back(Micro::Rename(
                    format!("{log}.{number}{end}"),
                    format!("{log}.{}{end}", number + 1),
                ));
            }
        }
        steps.retain(|step| match step {
            Micro::Unlink(name) | Micro::Rename(name, _) => self.files.at(name).is_some(),
            _ => true,
        });
        format!("{log}.1")
    }

    pub(super) fn act_out(&mut self, at: usize, micro: &Micro) {
        self.now_nanos += i64::try_from(self.chance.between(1, 3_000_000)).expect("small");
        let now = self.now_nanos;
        self.files.now_nanos = now;
        if *micro != Micro::Write && self.trace.is_some() {
            let path = self.script.programs[at].path.clone();
            self.note(format_args!("  {path} {micro:?}"));
        }
        match micro {
            Micro::Write => self.write_something(at),
            Micro::WriteLines(lines) => {
                for _ in 0..*lines {
                    self.write_line(at, false);
                }
            }
            Micro::Rename(from, to) => self.destroying(false, |files| files.rename(from, to)),
            Micro::Unlink(name) => self.destroying(false, |files| files.unlink(name)),
            Micro::Reopen => self.reopen(at),
            Micro::Create => {
                let path = self.script.programs[at].path.clone();
                if self.files.at(&path).is_none() {
                    self.files.create(&path, now);
                    self.oracle.lives += 1;
                }
            }
            Micro::CopyBegin(to) => {
                self.destroying(false, |files| files.create(to, now));
            }
            Micro::CopySome(to, most) => self.copy_some(at, to, *most),
            Micro::Truncate | Micro::TruncateRefill => self.truncate(at, *micro == Micro::TruncateRefill),
            Micro::GzipBegin(name) => self.gzip_begin(at, name),
            Micro::GzipSome(name, most) => self.gzip_some(at, name, *most),
            Micro::GzipEnd(name) => self.gzip_end(at, name),
            Micro::Pause => self.script.programs[at].paused = true,
            Micro::GoOn => self.script.programs[at].paused = false,
            Micro::Sleep(millis) => self.now_nanos += i64::try_from(millis * 1_000_000).expect("small"),
        }
    }

    pub(super) fn reopen(&mut self, at: usize) {
        let now = self.now_nanos;
        let path = self.script.programs[at].path.clone();
        if let Some(old) = self.script.programs[at].file.take() {
            self.files.get_mut(old).written_by_program = false;
            self.destroying(false, |files| files.let_go(old));
        }
        let file = match self.files.at(&path) {
            Some(file) => file,
            None => {
                self.oracle.lives += 1;
                self.files.create(&path, now)
            }
        };
        self.files.get_mut(file).written_by_program = true;
        let end = self.files.get(file).bytes.len() as u64;
        let program = &mut self.script.programs[at];
        program.file = Some(file);
        program.place = end;
        let torn = program.rest.as_ref().map(|(id, _)| *id);
        torn.into_iter().for_each(|id| self.oracle.torn(id));
        program.fresh = true;
    }

    fn copy_some(&mut self, at: usize, to: &str, most: u64) {
        let path = &self.script.programs[at].path;
        let (Some(from), Some(copy)) = (self.files.at(path), self.files.at(to)) else { return };
        let place = self.files.get(copy).bytes.len();
        let source = &self.files.get(from).bytes;
        let end = place.saturating_add(usize::try_from(most).unwrap_or(usize::MAX)).min(source.len());
        if place < end {
            let bytes = source[place..end].to_vec();
            let now = self.now_nanos;
            self.files.write(copy, place as u64, &bytes, now);
        }
    }

    fn truncate(&mut self, at: usize, refill: bool) {
        let Some(file) = self.files.at(&self.script.programs[at].path) else { return };
        let (now, size) = (self.now_nanos, self.files.get(file).bytes.len());
        self.oracle.truncating(file, &self.files, &self.begun);
        self.destroying(false, |files| files.truncate(file, 0, now));
        self.oracle.lives += 1;
        if let Some((id, _)) = self.script.programs[at].rest {
            self.oracle.torn(id);
        }
        self.script.programs[at].fresh = true;
        let place = &mut self.script.programs[at].place;
        *place = (*place).max(self.plan.hole_bytes);
        if self.plan.appends && refill {
            self.script.programs[at].rest = None;
            while self.files.get(file).bytes.len() < size {
                self.write_line(at, true);
            }
        }
    }

    fn gzip_begin(&mut self, at: usize, name: &str) {
        let Some(file) = self.files.at(name) else { return };
        let plain = self.files.get(file).bytes.clone();
        let modified = self.files.get(file).modified_nanos;
        let packed = super::disk::compress(&plain);
        let now = self.now_nanos;
        self.files.create(&format!("{name}.gz"), now);
        self.script.programs[at].packed = Some((packed, plain, modified));
    }

    fn gzip_some(&mut self, at: usize, name: &str, most: u64) {
        let Some(file) = self.files.at(&format!("{name}.gz")) else { return };
        let Some((packed, plain, _)) = &self.script.programs[at].packed else { return };
        let place = self.files.get(file).bytes.len();
        let end = place.saturating_add(usize::try_from(most).unwrap_or(usize::MAX)).min(packed.len());
        let (bytes, whole) =
            (packed[place.min(end)..end].to_vec(), (end == packed.len()).then(|| plain.clone()));
        let now = self.now_nanos;
        self.files.write(file, place as u64, &bytes, now);
        self.files.get_mut(file).unpacked = whole;
    }

    fn gzip_end(&mut self, at: usize, name: &str) {
        self.gzip_some(at, name, u64::MAX);
        let Some((_, plain, modified)) = self.script.programs[at].packed.take() else { return };
        if let Some(file) = self.files.at(&format!("{name}.gz")) {
            let inode = self.files.get_mut(file);
            inode.modified_nanos = modified;
            inode.greatest = plain.len() as u64;
        }
        self.destroying(false, |files| files.unlink(name));
    }

    /// Files that are there before the first start.
    pub(super) fn make_history(&mut self) {
        let begun = self.now_nanos;
        self.now_nanos = BEGUN_NANOS - 3_600 * 1_000_000_000;
        for at in 0..self.script.programs.len() {
            for _ in 0..self.chance.between(0, 2) {
                self.act_out(at, &Micro::WriteLines(2));
                for micro in self.rotation(at, Kind::Rename) {
                    self.act_out(at, &micro);
                }
            }
            if self.chance.percent(70) {
                self.act_out(at, &Micro::WriteLines(2));
            }
        }
        self.now_nanos = begun.max(self.now_nanos);
    }
}
