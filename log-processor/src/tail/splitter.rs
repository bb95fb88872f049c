//! Bytes into whole lines (T1). Pure: no files, no clock. A line without its newline waits here; a line that is too long is passed over in constant memory.

use std::ops::Range;

use bytes::Bytes;
use logline::LineParser;

use super::blocks::Blocks;
use super::opening::leading_nuls;
use crate::lines::Content;
use crate::reading::REJECT_KEPT_BYTES;

/// The NULs before a line are kept up to here: so few that they cannot make a line of the usual length too long.
const HOLE_KEPT_BYTES: usize = 64 << 10;

/// A byte order mark and a carriage return belong to no line.
const UNCOUNTED_BYTES: usize = 4;

/// Whole lines, with the place of their first byte and the place after their last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The place of the first byte.
    pub start: u64,
    /// The place after the last byte.
    pub end: u64,
    /// The lines, or the first bytes of a line that is too long.
    pub bytes: Bytes,
    /// Which of the two.
    pub content: Content,
}

/// The splitter of one generation.
#[derive(Debug)]
pub struct Splitter {
    /// The place of the first byte that has not left in a piece: the beginning of a line.
    start: u64,
    /// The place after the last byte that was pushed.
    end: u64,
    /// The unfinished last line; empty while `passing_over`.
    carry: Vec<u8>,
    /// The first bytes of a line that is too long and not yet at its end.
    passing_over: Option<Vec<u8>>,
    /// The line begins with a run of NUL bytes, the hole of a copytruncate, that was too long to be kept: its NULs are dropped, its place stays.
    in_hole: bool,
    bounds: Bounds,
}

/// What is kept of a line that is not at its end.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// The longest line.
    pub line_bytes: usize,
    /// The longest run of NULs before it.
    pub hole_bytes: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { line_bytes: LineParser::LINE_MAX_BYTES, hole_bytes: HOLE_KEPT_BYTES }
    }
}

impl Splitter {
    /// A splitter whose next byte stands at `start`, the beginning of a line.
    pub fn new(start: u64) -> Self {
        Self::bounded(start, Bounds::default())
    }

    /// The same with other bounds: small ones make long lines short enough to try many.
    pub fn bounded(start: u64, bounds: Bounds) -> Self {
        Self { start, end: start, carry: Vec::new(), passing_over: None, in_hole: false, bounds }
    }

    /// The place of the first byte that has not left in a piece.
    pub fn handed_offset(&self) -> u64 {
        self.start
    }

    /// The place after the last byte that was pushed: where reading goes on.
    pub fn read_offset(&self) -> u64 {
        self.end
    }

    /// Adds the next bytes of the file, those of `block` at `range`. Whole lines that fill most of the block leave as a part of it, and the unfinished line before them too, if it
    /// stands before them in the block; fewer are copied, so that they do not hold much more memory than they have.
    pub fn push_block(
        &mut self,
        block: &Bytes,
        range: Range<usize>,
        blocks: &mut Blocks,
        pieces: &mut Vec<Piece>,
    ) {
        let data = &block[range.clone()];
        let from = range.start.checked_sub(self.carry.len());
        let whole = memchr::memrchr(b'\n', data).map(|newline| range.start + newline + 1);
        match (from, whole) {
            (Some(from), Some(whole))
                if 4 * (whole - from) >= 3 * block.len()
                    && self.passing_over.is_none()
                    && !self.in_hole
                    && block[from..range.start] == self.carry =>
            {
                self.carry.clear();
                self.end += (whole - range.start) as u64;
                self.hand_out(self.end, block.slice(from..whole), Content::Lines, pieces);
                // What is left is the beginning of a line.
                self.push_copied(&block[whole..range.end], blocks, pieces);
            }
            _ => self.push_copied(data, blocks, pieces),
        }
    }

    /// Adds the next bytes of the file; hands out what became whole.
    pub fn push(&mut self, data: &[u8], pieces: &mut Vec<Piece>) {
        self.push_copied(data, &mut Blocks::of(0), pieces);
    }

    /// The same, with the memory for copies.
    fn push_copied(&mut self, mut data: &[u8], blocks: &mut Blocks, pieces: &mut Vec<Piece>) {
        self.end += data.len() as u64;
        if let Some(prefix) = &mut self.passing_over {
            let Some(newline) = memchr::memchr(b'\n', data) else { return };
            let bytes = Bytes::from(std::mem::take(prefix));
            self.passing_over = None;
            data = &data[newline + 1..];
            self.hand_out(self.end - data.len() as u64, bytes, Content::TooLong, pieces);
        }
        if self.in_hole {
            data = self.leave_hole(data, pieces);
        }
        match memchr::memrchr(b'\n', data) {
            Some(newline) => {
                let (whole, rest) = data.split_at(newline + 1);
                let bytes = blocks.lend_copy([&self.carry, whole]);
                self.carry.clear();
                self.hand_out(self.end - rest.len() as u64, bytes, Content::Lines, pieces);
                self.carry.extend_from_slice(rest);
            }
            None => self.carry.extend_from_slice(data),
        }
        if self.carry.len() > self.bounds.hole_bytes && self.carry[0] == 0 {
            let hole = leading_nuls(&self.carry);
            self.in_hole = true;
            self.carry.drain(..hole);
            self.carry.shrink_to_fit();
        }
        if self.is_too_long() {
            self.in_hole = false;
            self.carry.truncate(REJECT_KEPT_BYTES);
            self.carry.shrink_to_fit();
            self.passing_over = Some(std::mem::take(&mut self.carry));
        }
    }

    /// Whether the unfinished line is too long whatever follows: also without what does not count, so that the lines are the same however their bytes arrive.
    fn is_too_long(&self) -> bool {
        let most = self.bounds.line_bytes + UNCOUNTED_BYTES;
        self.carry.len() > most && self.carry.len() - leading_nuls(&self.carry) > most
    }

    /// Goes on with a line behind a hole. It leaves as a piece of its own, since its bytes are fewer than its span; returns what follows it.
    fn leave_hole<'a>(&mut self, data: &'a [u8], pieces: &mut Vec<Piece>) -> &'a [u8] {
        let skip = if self.carry.is_empty() { leading_nuls(data) } else { 0 };
        let data = &data[skip..];
        let Some(newline) = memchr::memchr(b'\n', data) else { return data };
        let (line, rest) = data.split_at(newline + 1);
        self.carry.extend_from_slice(line);
        let bytes = Bytes::from(std::mem::take(&mut self.carry));
        self.in_hole = false;
        self.hand_out(self.end - rest.len() as u64, bytes, Content::Lines, pieces);
        rest
    }

    /// The file has ended for good: takes the last line although it has no newline.
    pub fn finish(&mut self) -> Option<Piece> {
        if self.start == self.end {
            return None;
        }
        let mut pieces = Vec::new();
        match self.passing_over.take() {
            Some(prefix) => self.hand_out(self.end, prefix.into(), Content::TooLong, &mut pieces),
            None => {
                // Nothing but a hole: one NUL stands for it, which is an empty line to the parser.
                let carry = std::mem::take(&mut self.carry);
                let bytes = if carry.is_empty() { Bytes::from_static(b"\0") } else { carry.into() };
                self.hand_out(self.end, bytes, Content::Lines, &mut pieces);
            }
        }
        pieces.pop()
    }

    /// Bytes of the unfinished last line.
    pub fn unfinished_bytes(&self) -> u64 {
        self.end - self.start
    }

    fn hand_out(&mut self, end: u64, bytes: Bytes, content: Content, pieces: &mut Vec<Piece>) {
        assert!(end > self.start, "T1: a piece without bytes at {end}");
        pieces.push(Piece { start: self.start, end, bytes, content });
        self.start = end;
    }
}

#[cfg(test)]
mod tests {
    //! However a file arrives in pieces, the same lines leave, joined without hole or overlap.

    use super::*;
    use proptest::prelude::*;

    fn split(blocks: &[&[u8]]) -> (Vec<Piece>, Splitter) {
        let mut splitter = Splitter::new(0);
        let mut pieces = Vec::new();
        for block in blocks {
            splitter.push(block, &mut pieces);
        }
        (pieces, splitter)
    }

    fn check(blocks: &[&[u8]], lines: &[u8], unfinished: u64) {
        let (pieces, splitter) = split(blocks);
        let bytes: Vec<u8> = pieces.iter().flat_map(|piece| piece.bytes.to_vec()).collect();
        assert_eq!(bytes, lines);
        assert_eq!(splitter.unfinished_bytes(), unfinished);
    }

    #[test]
    fn t1_only_whole_lines_leave() {
        check(&[b"a\nb"], b"a\n", 1);
        check(&[b"a", b"b", b"\n"], b"ab\n", 0);
        check(&[b"\n\n"], b"\n\n", 0);
        check(&[b""], b"", 0);
    }

    #[test]
    fn t1_the_last_line_of_a_finished_file_is_taken() {
        let (_, mut splitter) = split(&[b"a\nbc"]);
        let piece = splitter.finish().expect("two bytes wait");
        assert_eq!((piece.start, piece.end, &piece.bytes[..]), (2, 4, &b"bc"[..]));
        assert_eq!(splitter.finish(), None);
    }

    #[test]
    fn a_hole_of_nul_bytes_of_any_length_hides_no_line() {
        let mut splitter = Splitter::new(0);
        let mut pieces = Vec::new();
        splitter.push(b"before\n", &mut pieces);
        for _ in 0..20 {
            splitter.push(&vec![0; 256 << 10], &mut pieces);
        }
        splitter.push(b"\0\0aft", &mut pieces);
        splitter.push(b"er\nnext\n", &mut pieces);
        let hole = 20 * (256 << 10) + 2;
        let found: Vec<_> = pieces.iter().map(|piece| (piece.start, piece.end, &piece.bytes[..])).collect();
        let end = 7 + hole + 6;
        assert_eq!(
            found,
            [(0, 7, &b"before\n"[..]), (7, end, &b"after\n"[..]), (end, end + 5, &b"next\n"[..])]
        );
    }

    #[test]
    fn a_line_behind_a_hole_is_whole_wherever_the_reads_end() {
        let hole = 5 * (256 << 10) - 20;
        for cut in [1, 4 * (256 << 10), hole - 1, hole, hole + 3, hole + 5] {
            let mut file = vec![0; hole];
            file.extend_from_slice(b"after\nnext\n");
            let mut splitter = Splitter::new(0);
            let mut pieces = Vec::new();
            for part in file[..cut].chunks(256 << 10).chain(file[cut..].chunks(256 << 10)) {
                splitter.push(part, &mut pieces);
            }
            let text: Vec<u8> = pieces.iter().flat_map(|piece| piece.bytes.to_vec()).collect();
            let line = text.iter().position(|byte| *byte != 0).expect("a line");
            assert!(line <= HOLE_KEPT_BYTES + (256 << 10), "a read ends at {cut}: {line} NULs kept");
            assert_eq!(&text[line..], b"after\nnext\n", "a read ends at {cut}");
        }
    }

    #[test]
    fn a_line_that_is_too_long_is_passed_over_in_constant_memory() {
        let block = vec![b'x'; 256 << 10];
        let mut splitter = Splitter::new(0);
        let mut pieces = Vec::new();
        for _ in 0..40 {
            splitter.push(&block, &mut pieces);
            assert!(splitter.carry.capacity() <= 4 << 20);
        }
        assert_eq!(pieces, []);
        splitter.push(b"end\nnext\n", &mut pieces);
        let long = 40 * (256 << 10) + 4;
        assert_eq!((pieces[0].start, pieces[0].end, pieces[0].content), (0, long, Content::TooLong));
        assert_eq!(pieces[0].bytes.len(), REJECT_KEPT_BYTES);
        assert_eq!((pieces[1].start, &pieces[1].bytes[..]), (long, &b"next\n"[..]));
    }

    /// A line of the greatest length behind a few NULs was too long when it arrived in two parts, and was not when it arrived in one.
    #[test]
    fn t1_nuls_before_a_line_make_it_no_longer_however_it_arrives() {
        let bounds = Bounds { line_bytes: 100, hole_bytes: 40 };
        for (nuls, letters, is_kept) in [(0, 100, true), (30, 100, true), (39, 98, true), (30, 105, false)] {
            let line = [vec![0; nuls], vec![b'x'; letters]].concat();
            let (mut splitter, mut pieces) = (Splitter::bounded(0, bounds), Vec::new());
            splitter.push(&line, &mut pieces);
            splitter.push(b"\n", &mut pieces);
            let content = if is_kept { Content::Lines } else { Content::TooLong };
            assert_eq!((pieces.len(), pieces[0].content), (1, content), "{letters} behind {nuls} NULs");
            assert_eq!((pieces[0].start, pieces[0].end), (0, line.len() as u64 + 1));
        }
    }

    proptest! {
        #[test]
        fn t1_pieces_join_without_hole_or_overlap(text in "[a-c\n]{0,200}", cuts in prop::collection::vec(0usize..200, 0..12), block in 1usize..60, seed in any::<u64>()) {
            let text = text.as_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.sort_unstable();
            cuts.push(text.len());
            let mut splitter = Splitter::new(0);
            let mut pieces = Vec::new();
            let mut from = 0;
            for cut in cuts { splitter.push(&text[from..cut], &mut pieces); from = cut; }
            pieces.extend(splitter.finish());
            let (mut in_blocks, mut shared) = (Splitter::new(0), Blocks::of(16));
            let mut same = Vec::new();
            let mut from = 0;
            while from < text.len() {
                // As tail reads: with some of the bytes before it, which may hold the unfinished line or not.
                let (before, to) = (from.saturating_sub(usize::try_from(seed % 9).unwrap()), text.len().min(from + block));
                let block = Bytes::copy_from_slice(&text[before..to]);
                in_blocks.push_block(&block, from - before..to - before, &mut shared, &mut same);
                from = to;
            }
            same.extend(in_blocks.finish());
            let joined = |pieces: &[Piece]| pieces.iter().flat_map(|piece| piece.bytes.to_vec()).collect::<Vec<u8>>();
            prop_assert_eq!(joined(&same), joined(&pieces));
            prop_assert!(same.windows(2).all(|two| two[0].end == two[1].start && two[0].bytes.ends_with(b"\n")));
            let mut at = 0;
            for piece in &pieces {
                prop_assert_eq!(piece.start, at);
                prop_assert_eq!(&piece.bytes[..], &text[usize::try_from(piece.start).unwrap()..usize::try_from(piece.end).unwrap()]);
                at = piece.end;
            }
            prop_assert_eq!(at, text.len() as u64);
        }
    }
}
