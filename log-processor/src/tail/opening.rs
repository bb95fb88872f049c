//! How a file begins: its head, by which a generation is known again, and its first bytes, by which its truncation is noticed. NULs at the beginning (the hole that a copytruncate leaves
//! to a writer that does not append) prove nothing: all such files share them. Reads the beginning of files, changes nothing.

use std::io;

use logline::{LineParser, Zone, strip_byte_order_mark};
use store::embedded::Head;
use xxhash_rust::xxh3::{xxh3_64, xxh3_128_with_seed};

use super::disk::{LogFile, read_full};
use super::identity::MARKER_MAX_BYTES;
use super::splitter::Piece;
use crate::lines::{Content, TailMarker};
use crate::mutation::{Mutation, mutated};

/// The head of a generation covers at most that many bytes.
pub const HEAD_MAX_BYTES: usize = 64 << 10;
/// How many of its first bytes a file is compared by.
const FIRST_MAX_BYTES: usize = MARKER_MAX_BYTES;

/// The beginning of a file, from which its head is known.
#[derive(Debug)]
pub struct Opening {
    /// The first [`HEAD_MAX_BYTES`].
    bytes: Vec<u8>,
    /// The place of the first byte that is no NUL; `None` while there is none.
    from: Option<u64>,
    /// As many bytes from there on, where that is not the file's beginning.
    behind: Vec<u8>,
    salt: u64,
}

impl Opening {
    /// Reads it. `salt` (LOG_SALT) tells equal files apart on purpose.
    pub fn read(file: &mut dyn LogFile, salt: u64) -> io::Result<Self> {
        let mut bytes = vec![0; HEAD_MAX_BYTES];
        let length = read_full(file, &mut bytes, 0)?;
        bytes.truncate(length);
        let nuls = leading_nuls(&bytes);
        let from = match nuls {
            _ if mutated(Mutation::NulsAreContent) => (length > 0).then_some(0),
            _ if nuls < length => Some(nuls as u64),
            HEAD_MAX_BYTES => end_of_nuls(file, nuls as u64)?,
            _ => None,
        };
        let mut behind = Vec::new();
        if let Some(from) = from.filter(|from| *from > 0) {
            behind.extend_from_slice(&bytes[nuls..]);
            let known = behind.len();
            behind.resize(if length < HEAD_MAX_BYTES { known } else { HEAD_MAX_BYTES }, 0);
            let read = read_full(file, &mut behind[known..], from + known as u64)?;
            behind.truncate(known + read);
        }
        Ok(Self { bytes, from, behind, salt })
    }

    /// The head: up to the end of the first valid line, at most [`HEAD_MAX_BYTES`] behind the NULs at the beginning. None while there is no valid line and the file is shorter than that.
    ///
    /// A head that ends within the first [`HEAD_MAX_BYTES`] covers everything up to there; one that ends further, as its length tells, what stands behind the NULs. Those that older versions made
    /// are still right, but for one of NULs alone.
    pub fn head(&self) -> Option<Head> {
        let mut parser = LineParser::new(Zone::Utc);
        let (from, behind) = (self.from?, self.behind());
        let mut start = 0;
        for newline in memchr::memchr_iter(b'\n', behind) {
            let line = &behind[start..newline];
            let text = if from == 0 && start == 0 { strip_byte_order_mark(line) } else { line };
            start = newline + 1;
            if parser.parse(text).is_ok() {
                return Some(self.head_of(from + start as u64));
            }
        }
        (behind.len() == HEAD_MAX_BYTES).then(|| self.head_of(from + HEAD_MAX_BYTES as u64))
    }

    /// Whether a piece that was read stands in the file now, as far as this opening reaches.
    pub fn agrees_with(&self, piece: &Piece) -> bool {
        // The beginning of a line that is too long does not stand there as it is.
        if piece.content != Content::Lines {
            return true;
        }
        // Of a piece behind a hole, some of the hole was dropped.
        let place = piece.end - piece.bytes.len() as u64;
        let nuls = leading_nuls(&piece.bytes);
        let begins = nuls == piece.bytes.len() || self.from.is_some_and(|from| from <= place + nuls as u64);
        let behind = self.from.map_or((0, &self.bytes[..]), |from| (from, self.behind()));
        begins && [(0, &self.bytes[..]), behind].into_iter().all(|part| stands_in(part, place, &piece.bytes))
    }

    /// Whether the file begins with this head.
    pub fn begins_with(&self, head: &Head) -> bool {
        self.covered(head.length_bytes, HEAD_MAX_BYTES)
            .is_some_and(|bytes| head.fingerprint == self.fingerprint(bytes))
    }

    /// Whether the file begins with the bytes of this mark ([`First::mark`]).
    pub fn begins_as_seen(&self, (hash, end): TailMarker) -> bool {
        self.covered(end, FIRST_MAX_BYTES).is_some_and(|bytes| xxh3_64(bytes) == hash)
    }

    /// Whether there are NULs alone before this place.
    pub fn is_hole_up_to(&self, place: u64) -> bool {
        self.from.is_none_or(|from| from >= place)
    }

    /// The head of a finished file whose last line has no newline and is its first valid one.
    pub fn whole(&self) -> Head {
        self.head_of(self.from.unwrap_or(0) + self.behind().len() as u64)
    }

    /// The first bytes before `end` to compare with; `None` when the file does not reach that far any more.
    pub(super) fn first_before(&self, end: u64) -> Option<First> {
        let Some(from) = self.from.filter(|from| *from < end) else {
            return (self.bytes.len() as u64 >= end.min(HEAD_MAX_BYTES as u64)).then(First::default);
        };
        let length =
            usize::try_from(end - from).map_or(FIRST_MAX_BYTES, |length| length.min(FIRST_MAX_BYTES));
        let bytes = self.behind().get(..length)?.to_vec();
        Some(First { at: from, bytes })
    }

    fn behind(&self) -> &[u8] {
        if self.from.is_some_and(|from| from > 0) { &self.behind } else { &self.bytes }
    }

    /// The bytes that a head or a mark is made of which ends there: all before that place where those are at most `most`, else the ones behind the NULs.
    fn covered(&self, end: u64, most: usize) -> Option<&[u8]> {
        if end <= most as u64 {
            return self.bytes.get(..usize::try_from(end).ok()?);
        }
        let length = usize::try_from(end.checked_sub(self.from?)?).ok()?;
        self.behind().get(..length).filter(|bytes| (1..=most).contains(&bytes.len()))
    }

    fn head_of(&self, end: u64) -> Head {
        let bytes = self.covered(end, HEAD_MAX_BYTES).expect("the bytes that were looked through end there");
        Head { fingerprint: self.fingerprint(bytes), length_bytes: end }
    }

    fn fingerprint(&self, bytes: &[u8]) -> String {
        format!("{:032x}", xxh3_128_with_seed(bytes, self.salt))
    }
}

/// The first bytes of a file behind the NULs at its beginning, at most a kilobyte; none as long as nothing but NULs was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct First {
    /// Where they stand.
    at: u64,
    bytes: Vec<u8>,
}

impl First {
    /// Adds what was read at `place`, if it joins them.
    pub fn extend(&mut self, place: u64, read: &[u8]) {
        if self.bytes.len() == FIRST_MAX_BYTES {
            return;
        }
        if self.bytes.is_empty() {
            let nuls = leading_nuls(read);
            if nuls == read.len() {
                return;
            }
            self.at = place + nuls as u64;
        }
        let end = self.at + self.bytes.len() as u64;
        let known = end.checked_sub(place).and_then(|known| usize::try_from(known).ok());
        if let Some(more) = known.and_then(|known| read.get(known..)) {
            self.bytes.extend_from_slice(&more[..more.len().min(FIRST_MAX_BYTES - self.bytes.len())]);
        }
    }

    /// Whether a file still begins with them.
    pub fn stands_in(&self, file: &mut dyn LogFile) -> io::Result<bool> {
        let mut bytes = [0; FIRST_MAX_BYTES];
        let bytes = &mut bytes[..self.bytes.len()];
        Ok(read_full(file, bytes, self.at)? == bytes.len() && *bytes == self.bytes[..])
    }

    /// A mark by which a file is known again that begins so: a hash, and the place where it ends. It covers what a head covers that ends there, with a kilobyte instead of 64. (0, 0) when there is nothing.
    pub fn mark(&self) -> TailMarker {
        let end = self.at + self.bytes.len() as u64;
        if self.bytes.is_empty() {
            return (0, 0);
        }
        if end > FIRST_MAX_BYTES as u64 {
            return (xxh3_64(&self.bytes), end);
        }
        let mut all = vec![0; usize::try_from(self.at).expect("it lies before the end")];
        all.extend_from_slice(&self.bytes);
        (xxh3_64(&all), end)
    }
}

/// How many NULs these bytes begin with.
pub fn leading_nuls(bytes: &[u8]) -> usize {
    const NULS: [u8; 512] = [0; 512];
    let whole = bytes.chunks_exact(NULS.len()).take_while(|chunk| **chunk == NULS).count() * NULS.len();
    whole + bytes[whole..].iter().take_while(|byte| **byte == 0).count()
}

/// The place from `at` on where the NULs end; `None` when the file ends with them. Holes are skipped where the file system knows them.
fn end_of_nuls(file: &mut dyn LogFile, mut at: u64) -> io::Result<Option<u64>> {
    let mut block = vec![0; HEAD_MAX_BYTES];
    loop {
        let Some(place) = file.data_from(at)? else { return Ok(None) };
        let read = read_full(file, &mut block, place)?;
        let nuls = leading_nuls(&block[..read]);
        if nuls < read {
            return Ok(Some(place + nuls as u64));
        }
        if read < block.len() {
            return Ok(None);
        }
        at = place + read as u64;
    }
}

/// Whether bytes that were read at `place` stand in a part of a file, as far as it reaches. A part shorter than it could be ends where the file does.
fn stands_in((at, part): (u64, &[u8]), place: u64, bytes: &[u8]) -> bool {
    let (part_end, end) = (at + part.len() as u64, place + bytes.len() as u64);
    let (from, to) = (place.max(at), end.min(part_end));
    let within = |all: u64| usize::try_from(all).expect("within bytes that are there");
    let is_same = from >= to
        || part[within(from - at)..within(to - at)] == bytes[within(from - place)..within(to - place)];
    is_same && (end <= part_end || part.len() == HEAD_MAX_BYTES)
}

#[cfg(test)]
mod tests {
    //! NULs prove nothing, and what older versions wrote down still does.

    use proptest::prelude::*;

    use super::super::disk::{Disk, RealDisk};
    use super::*;

    const LINE: &str = "2024-09-14 16:15:35 cust_5 /api/v1/resource4 200 0.772\n";
    const OTHER: &str = "2024-09-14 16:15:36 cust_6 /api/v1/resource1 404 0.100\n";

    /// A file with a hole before its content.
    fn file(hole: u64, content: &str) -> Box<dyn LogFile> {
        use std::os::unix::fs::FileExt;
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        file.as_file().write_all_at(content.as_bytes(), hole).expect("written");
        RealDisk::default().open(file.path()).expect("it is there")
    }

    fn opening(hole: u64, content: &str) -> Opening {
        Opening::read(&mut *file(hole, content), 0).expect("read")
    }

    /// A head as it was made before holes were looked behind: of all bytes from the first one on.
    fn old_head(hole: usize, content: &str, end: usize) -> Head {
        let bytes = [&vec![0; hole], content.as_bytes()].concat();
        Head {
            fingerprint: format!("{:032x}", xxh3_128_with_seed(&bytes[..end], 0)),
            length_bytes: end as u64,
        }
    }

    #[test]
    fn heads_of_logs_behind_holes_are_those_of_their_first_lines() {
        for hole in [1 << 16, 100_000, 5 << 30] {
            let head = opening(hole, &format!("{LINE}{OTHER}")).head().expect("a valid line");
            assert_eq!(head.length_bytes, hole + LINE.len() as u64);
            assert!(opening(hole, LINE).begins_with(&head), "{hole}");
            assert!(!opening(hole, OTHER).begins_with(&head), "{hole}: another line");
            assert!(!opening(hole + 1, LINE).begins_with(&head), "{hole}: at another place");
            assert!(!opening(hole, &LINE[..20]).begins_with(&head), "{hole}: cut");
            assert!(opening(hole, "").head().is_none() && opening(hole, "gar").head().is_none(), "{hole}");
        }
    }

    #[test]
    fn heads_within_the_first_64_kib_are_what_they_were() {
        for hole in [0, 1, 900, HEAD_MAX_BYTES - LINE.len()] {
            let content = format!("{LINE}{OTHER}");
            let old = old_head(hole, &content, hole + LINE.len());
            assert_eq!(opening(hole as u64, &content).head(), Some(old), "{hole}");
        }
        let garbage = "garbage\n".repeat(20_000);
        assert_eq!(opening(0, &garbage).head(), Some(old_head(0, &garbage, HEAD_MAX_BYTES)));
        // A line that ends beyond: the old head covers the hole and some of it, and is still right.
        let hole = HEAD_MAX_BYTES - 30;
        let old = old_head(hole, LINE, HEAD_MAX_BYTES);
        assert!(opening(hole as u64, LINE).begins_with(&old));
        assert_ne!(opening(hole as u64, LINE).head(), Some(old));
    }

    #[test]
    fn a_piece_agrees_with_the_file_it_was_read_from_alone() {
        let hole = 100_000;
        let piece = |text: &'static str, start: u64| Piece {
            start,
            end: hole + text.len() as u64,
            bytes: text.into(),
            content: Content::Lines,
        };
        let now = opening(hole, LINE);
        assert!(now.agrees_with(&piece(LINE, 0)));
        assert!(!now.agrees_with(&piece(OTHER, 0)), "other bytes");
        assert!(!opening(hole + 60, LINE).agrees_with(&piece(LINE, 0)), "a hole where lines were read");
        assert!(!opening(hole, &LINE[..20]).agrees_with(&piece(LINE, 0)), "shorter");
        assert!(!opening(10, "").agrees_with(&piece(LINE, 0)), "empty");
    }

    proptest! {
        #[test]
        fn first_bytes_are_the_same_however_they_were_read(hole in 0usize..3000, text in "[a-z\n]{0,2000}", cuts in prop::collection::vec(1usize..900, 1..9)) {
            let bytes = [vec![0; hole], text.clone().into_bytes()].concat();
            let mut first = First::default();
            let (mut at, mut cuts) = (0, cuts.into_iter().cycle());
            while at < bytes.len() {
                let to = bytes.len().min(at + cuts.next().expect("endless"));
                first.extend(at as u64, &bytes[at..to]);
                at = to;
            }
            let mut file = file(hole as u64, &text);
            let opening = Opening::read(&mut *file, 0).expect("read");
            let end = if text.is_empty() { 0 } else { bytes.len() as u64 };
            let before_end = opening.first_before(end).expect("it reaches there");
            prop_assert_eq!(&first, &before_end);
            prop_assert!(first.stands_in(&mut *file).expect("read"));
            prop_assert_eq!(first.mark().1 == 0, text.is_empty());
            prop_assert!(text.is_empty() || opening.begins_as_seen(first.mark()));
            prop_assert_eq!(leading_nuls(&bytes), hole);
        }
    }
}
