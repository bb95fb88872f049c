//! One log of the campaign: the program that writes it, line by line, in pieces, behind a rotation; and the logrotate that rotates it.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use system_tests::dice::Dice;
use system_tests::logrotate::Logrotate;
use system_tests::stack::size;
use system_tests::traffic::Traffic;

/// Behind a rotation by renaming the writer goes on in the file that it has open; and the file may be compressed at once, when it has to be told before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rotation {
    /// The file is renamed, a new one is made.
    Rename {
        /// It is compressed in the same rotation.
        compressed_at_once: bool,
        /// It is compressed in some rotation.
        compressed: bool,
    },
    /// The file is copied, and truncated.
    Copy,
}

/// What logrotate may be told. `rotate 10000` keeps everything.
const DIRECTIVES: [(&[&str], Rotation); 9] = [
    (&["create"], Rotation::Rename { compressed_at_once: false, compressed: false }),
    (&["create", "compress"], Rotation::Rename { compressed_at_once: true, compressed: true }),
    (
        &["create", "compress", "delaycompress"],
        Rotation::Rename { compressed_at_once: false, compressed: true },
    ),
    (&["nocreate"], Rotation::Rename { compressed_at_once: false, compressed: false }),
    (
        &["create", "dateext", "dateformat -%Y%m%d-%s"],
        Rotation::Rename { compressed_at_once: false, compressed: false },
    ),
    (
        &["create", "dateext", "dateformat -%Y%m%d-%s", "compress", "delaycompress"],
        Rotation::Rename { compressed_at_once: false, compressed: true },
    ),
    (&["copytruncate"], Rotation::Copy),
    (&["copytruncate", "compress"], Rotation::Copy),
    (&["copytruncate", "compress", "delaycompress"], Rotation::Copy),
];

/// A log with its writer and its rotator.
#[derive(Debug)]
pub(super) struct RotatedLog {
    path: PathBuf,
    rotator: Logrotate,
    rotation: Rotation,
    /// What logrotate was told.
    pub(super) directives: String,
    writer: Option<Writer>,
    /// The writer's file was renamed under it.
    behind: bool,
    /// The rest of a line that was begun.
    rest: Vec<u8>,
    /// It writes where it stands, not at the end: after a truncation there is a hole before its next line.
    leaves_holes: bool,
}

#[derive(Debug)]
struct Writer {
    file: File,
    /// Where it writes; at the end without it.
    place: Option<u64>,
}

impl RotatedLog {
    /// `copied`: rotated by copying, else by renaming.
    pub(super) fn new(folder: &Path, path: PathBuf, copied: bool, dice: &mut Dice) -> RotatedLog {
        let choices: Vec<_> =
            DIRECTIVES.iter().filter(|(_, rotation)| (*rotation == Rotation::Copy) == copied).collect();
        let (directives, rotation) = **dice.pick(&choices);
        let directives = [&["rotate 10000", "missingok"], directives].concat();
        let rotator = Logrotate::new(folder, &path, &directives);
        RotatedLog {
            path,
            rotator,
            rotation,
            directives: directives[2..].join(" "),
            writer: None,
            behind: false,
            rest: vec![],
            leaves_holes: copied && dice.chance(30),
        }
    }

    fn write(&mut self, bytes: &[u8]) {
        let (path, holes) = (&self.path, self.leaves_holes);
        let writer = self.writer.get_or_insert_with(|| {
            let mut options = OpenOptions::new();
            let options = if holes { options.write(true) } else { options.append(true) };
            let file = options.create(true).open(path).expect("the log is opened");
            Writer { file, place: holes.then(|| size(path)) }
        });
        match &mut writer.place {
            None => writer.file.write_all(bytes).expect("the log takes bytes"),
            Some(place) => {
                writer.file.write_all_at(bytes, *place).expect("the log takes bytes");
                *place += bytes.len() as u64;
            }
        }
    }

    /// Appends lines, at once.
    pub(super) fn append(&mut self, lines: &[u8]) {
        let rest = std::mem::take(&mut self.rest);
        self.write(&[&rest, lines].concat());
    }

    /// Appends lines in pieces, with pauses, and leaves the last line unfinished.
    pub(super) fn append_in_pieces(&mut self, lines: &[u8], dice: &mut Dice) {
        self.finish_line();
        let mut left = lines;
        for _ in 0..dice.between(2, 6) {
            let length = left.len() as u64;
            let (piece, others) = left.split_at(usize::try_from(dice.between(0, length)).expect("a length"));
            self.write(piece);
            left = others;
            std::thread::sleep(Duration::from_millis(dice.between(0, 40)));
        }
        // Of what is left the whole lines, and a letter or more of the last one.
        let last = left[..left.len().saturating_sub(1)]
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |end| end + 1);
        let now = last + (left.len() - last) / 2;
        self.write(&left[..now]);
        self.rest = left[now..].to_vec();
    }

    /// Writes the rest of the line that was begun.
    pub(super) fn finish_line(&mut self) {
        if !self.rest.is_empty() {
            self.append(b"");
        }
    }

    /// Has logrotate rotate it. What the writer does about it is what a real one can do without logrotate losing its lines: before its file is copied or compressed its lines are whole
    /// and it writes into no older file; behind a renaming it can go on in the old file for a while.
    pub(super) fn rotate(&mut self, dice: &mut Dice) {
        match self.rotation {
            Rotation::Copy => self.finish_line(),
            Rotation::Rename { compressed: false, .. } => {}
            Rotation::Rename { compressed_at_once, .. } => {
                if compressed_at_once || self.behind {
                    self.finish_line();
                    self.reopen();
                }
            }
        }
        self.rotator.rotate();
        if let Rotation::Rename { compressed_at_once, .. } = self.rotation {
            self.behind = self.writer.is_some();
            if compressed_at_once || dice.chance(50) {
                self.finish_line();
                self.reopen();
            }
        }
    }

    /// The writer lets go of its file; its next line goes to the log's path.
    pub(super) fn reopen(&mut self) {
        assert!(self.rest.is_empty(), "a line is written into one file");
        self.writer = None;
        self.behind = false;
    }

    /// Truncates it where it stands and writes other lines: fewer bytes, just as many, or more. All that is in it must have been read.
    pub(super) fn truncate_and_regrow(&mut self, traffic: &mut Traffic, dice: &mut Dice) -> &'static str {
        assert!(self.rest.is_empty(), "a line is written into one file");
        let before = usize::try_from(size(&self.path)).expect("a small file");
        let lines_of = |bytes: usize, traffic: &mut Traffic| {
            let mut text = Vec::new();
            while text.len() + 400 < bytes {
                text.extend(traffic.lines(1));
            }
            text
        };
        let (how, text) = match dice.between(0, 3) {
            0 => ("shorter", lines_of(before / 2, traffic)),
            1 => ("longer", lines_of(before + 2000, traffic)),
            _ if before > 1000 => {
                let mut text = lines_of(before - 400, traffic);
                text.extend(traffic.line_of(before - text.len()));
                ("same size", text)
            }
            _ => ("one line", traffic.lines(1)),
        };
        let file = OpenOptions::new().write(true).open(&self.path).expect("the log is there");
        file.set_len(0).expect("truncated");
        file.write_all_at(&text, 0).expect("the log takes bytes");
        self.writer = None;
        self.behind = false;
        how
    }

    /// Whether there is a file at its path, with something in it.
    pub(super) fn can_be_truncated(&self) -> bool {
        !self.behind && size(&self.path) > 0
    }
}
