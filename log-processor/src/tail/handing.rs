//! How lines leave tail: a generation's start is decided and durable before its first valid line, and nothing leaves that the file no longer holds. The starts of many generations that
//! begin together become durable together.

use std::sync::Arc;

use logline::{LineParser, Zone};

use super::follower::Follower;
use super::identity::{extend_last_bytes, marker_of};
use super::known::Known;
use super::log::{Interrupted, Log};
use super::open::Got;
use super::opening::Opening;
use super::ports::{Ended, Handed};
use super::splitter::Piece;
use crate::lines::{Content, count_lines};
use crate::mutation::{Mutation, mutated};
use crate::span::Span;

/// So many bytes may wait for starts to be durable.
const WAITING_MAX_BYTES: usize = 1 << 20;

/// Whether a generation's lines may leave.
enum Begun {
    /// They may.
    Yes,
    /// Other bytes stand in the file now.
    Cut,
    /// The file holds a generation that was known: it goes on as that one.
    KnownAgain,
}

impl Follower {
    /// Takes the unfinished last lines of files that are over, and lets them go.
    pub(super) fn finish_over(&mut self, index: usize) -> Result<(), Interrupted> {
        let clock = self.with.disk.clock();
        for at in 0..self.state.logs[index].open.len() {
            let open = &mut self.state.logs[index].open[at];
            if open.is_over(clock)
                && open.look(clock).map_err(|error| Interrupted::Io(open.path.clone(), error))? == Got::End
                && open.is_over(clock)
                && let Some(piece) = open.splitter.finish()
                && !self.hand_on_unterminated(index, at, piece)?
            {
                return Ok(()); // The open generations are others now.
            }
        }
        self.state.logs[index].let_go(&self.with)?;
        Ok(())
    }

    /// Takes the unfinished last line of an open file, as if it were whole. False when the file changed meanwhile.
    pub fn take_last(&mut self, index: usize, at: usize) -> Result<bool, Interrupted> {
        let piece = self.state.logs[index].open[at].splitter.finish();
        let taken = piece.map_or(Ok(true), |piece| self.hand_on_unterminated(index, at, piece))?;
        self.send()?;
        Ok(taken)
    }

    /// Hands on a last line without its newline.
    fn hand_on_unterminated(&mut self, index: usize, at: usize, piece: Piece) -> Result<bool, Interrupted> {
        let handed = self.hand_on(index, at, piece)?;
        self.with.counters.unterminated.inc_by(u64::from(handed));
        Ok(handed)
    }

    /// Hands on one piece. False when the file changed under it: nothing was handed on, and the log's open generations are others now.
    pub(super) fn hand_on(&mut self, index: usize, at: usize, piece: Piece) -> Result<bool, Interrupted> {
        self.outlet.opened()?;
        match self.ensure_start(index, at, &piece) {
            Ok(Begun::Yes) => {}
            Ok(Begun::Cut) => {
                self.state.logs[index].truncated(at, &self.with)?;
                return Ok(false);
            }
            Ok(Begun::KnownAgain) => return Ok(false),
            Err(interrupted) => {
                self.state.logs[index].put_back(at); // Its splitter is ahead of what was handed on.
                return Err(interrupted);
            }
        }
        let open = &mut self.state.logs[index].open[at];
        let too_long = piece.content == Content::TooLong;
        let count = if too_long { 1 } else { count_lines(&piece.bytes) };
        let as_read = piece.end - piece.start == piece.bytes.len() as u64;
        extend_last_bytes(&mut open.last_bytes, if too_long { b"\n" } else { &piece.bytes }, as_read);
        let marker = marker_of(&open.last_bytes);
        let id = open.generation.id;
        let handed = Handed {
            generation: Arc::clone(&open.generation),
            span: Span::new(id, piece.start, piece.end),
            bytes: piece.bytes,
            content: piece.content,
            count,
        };
        (open.handed, open.marker) = (piece.end, marker);
        self.state.moved.insert(id, piece.end);
        self.state.waiting_bytes += handed.bytes.len();
        self.state.waiting.push(handed);
        if self.state.waiting_bytes >= WAITING_MAX_BYTES || !self.state.undurable {
            self.send()?;
        }
        Ok(true)
    }

    /// Lets the lines go that wait for the starts of their generations to be durable.
    pub(super) fn send(&mut self) -> Result<(), Ended> {
        if std::mem::take(&mut self.state.undurable) {
            self.with.books.durable()?;
        }
        self.state.waiting_bytes = 0;
        for handed in self.state.waiting.drain(..) {
            self.outlet.hand_on(handed)?;
        }
        Ok(())
    }

    /// Decides the generation's start before its first valid line is handed on.
    fn ensure_start(&mut self, index: usize, at: usize, piece: &Piece) -> Result<Begun, Interrupted> {
        let open = &mut self.state.logs[index].open[at];
        if open.generation.start.get().is_some() {
            return Ok(Begun::Yes);
        }
        let opening = Opening::read(&mut *open.file, self.with.salt)
            .map_err(|error| Interrupted::Io(open.path.clone(), error))?;
        if !opening.agrees_with(piece) {
            return Ok(Begun::Cut);
        }
        let Some(head) = opening.head().or_else(|| has_valid_line(piece).then(|| opening.whole())) else {
            return Ok(Begun::Yes);
        };
        let id = open.generation.id;
        let nothing_handed = open.handed == 0;
        let log = &mut self.state.logs[index];
        if nothing_handed && log.is_known_again(at, &opening, &self.with)? {
            return Ok(Begun::KnownAgain);
        }
        let others: Vec<Known> = log
            .known
            .iter()
            .filter(|known| known.id != id)
            .cloned()
            .map(|known| with_size_now(known, log))
            .collect();
        let now_second = self.with.disk.clock().wall_nanos / 1_000_000_000;
        let start = self.starts.decide(&log.source, &head, &others, now_second)?;
        if !mutated(Mutation::StartNotInLedger) {
            self.with.books.start(id, head.clone(), start)?;
            self.state.undurable = true;
        }
        log.open[at].generation.start.set(start).expect("only tail sets it, and it was not set");
        if let Some(known) = log.known.iter_mut().find(|known| known.id == id) {
            known.head = Some(head);
            known.start = Some(start);
        }
        Ok(Begun::Yes)
    }
}

/// A generation with the size that its open file has now: the next one's start lies beyond it.
fn with_size_now(mut known: Known, log: &Log) -> Known {
    if let Some(open) = log.open.iter().find(|open| open.generation.id == known.id) {
        let now = open.file.stat().map_or(0, |stat| stat.size);
        known.size = known.size.max(open.stat.size).max(open.splitter.read_offset()).max(now);
    }
    known
}

fn has_valid_line(piece: &Piece) -> bool {
    let mut parser = LineParser::new(Zone::Utc);
    piece.bytes.split(|byte| *byte == b'\n').any(|line| parser.parse(line).is_ok())
}
