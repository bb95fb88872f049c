//! What is known of a log's generations, and the recognition of a file among them. Decides, and reads a few bytes of the file; opens and changes nothing.

use std::io;

use store::KeyStart;
use store::embedded::{GenerationId, GenerationRecord, GenerationState, Head};

use super::disk::{FileId, FileStat, LogFile, read_full};
use super::identity::marker_holds;
use super::opening::Opening;
use crate::lines::TailMarker;
use crate::mutation::{Mutation, mutated};

/// A generation as tail knows it, open or not.
#[derive(Clone, Debug)]
pub struct Known {
    /// Its row in the ledger.
    pub id: GenerationId,
    /// Its head, once a valid line was seen.
    pub head: Option<Head>,
    /// Its place in the key sequence.
    pub start: Option<KeyStart>,
    /// Every line before this place was handed on.
    pub handed: u64,
    /// The bytes just before `handed`.
    pub marker: TailMarker,
    /// Its first bytes, as far as they were noted, while it has no head and nothing of it was handed on.
    pub beginning: TailMarker,
    /// Its file when it was last seen.
    pub file: FileId,
    /// Its greatest size.
    pub size: u64,
    /// It is not to be read (START_AT).
    pub skipped: bool,
    /// It was left: settled to its end, or gone.
    pub finished: bool,
    /// Its file was truncated under it.
    pub cut: bool,
}

impl Known {
    /// A generation that is met for the first time, in a file of which everything before `handed` is not to be read.
    pub fn new(id: GenerationId, stat: FileStat, handed: u64) -> Self {
        Self {
            id,
            head: None,
            start: None,
            handed,
            marker: (0, 0),
            beginning: (0, 0),
            file: stat.id,
            size: stat.size,
            skipped: false,
            finished: false,
            cut: false,
        }
    }

    /// A generation of the ledger.
    pub fn from_record(record: &GenerationRecord) -> Self {
        let bytes = (record.tail_marker, record.tail_marker_length);
        let (marker, beginning) =
            if record.seen.settled_offset > 0 { (bytes, (0, 0)) } else { ((0, 0), bytes) };
        Self {
            id: record.id,
            head: record.head.clone(),
            start: record.start,
            handed: record.seen.settled_offset,
            marker,
            beginning: if record.head.is_none() { beginning } else { (0, 0) },
            file: (record.seen.device, record.seen.inode),
            size: record.size_bytes.max(record.seen.settled_offset),
            skipped: record.seen.state == GenerationState::Skipped,
            // A skipped one is left as it is: to finish it would make it one that was read.
            finished: record.seen.state != GenerationState::Open,
            cut: false,
        }
    }

    /// Whether there is content to know it by, in a file with this opening.
    fn is_known_by_content(&self, opening: &Opening) -> bool {
        let end = self.head.as_ref().map_or(self.beginning.1, |head| head.length_bytes);
        self.handed > 0 || (end > 0 && !opening.is_hole_up_to(end))
    }

    /// Whether a file holds this generation: by content, and by inode only while there is no content to compare. NULs are none: heads and beginnings of nothing else are in ledgers of older versions only.
    pub fn is(&self, file: &mut dyn LogFile, stat: FileStat, opening: &Opening) -> io::Result<bool> {
        let head_holds = match &self.head {
            Some(_) if mutated(Mutation::IgnoreHead) => self.file == stat.id,
            Some(head) => {
                opening.begins_with(head) && (self.is_known_by_content(opening) || self.file == stat.id)
            }
            // Seen and not read: what was its file can be another's by now, and it can be anywhere.
            None if self.beginning.1 > 0 && self.handed == 0 => {
                let proven = self.is_known_by_content(opening);
                opening.begins_as_seen(self.beginning) && (proven || self.file == stat.id)
            }
            // Or by the marker, where it ends where the file does, or covers all that was handed on of a file that was truncated.
            None => {
                let covers = (self.cut && self.marker.1 == self.handed) || stat.size == self.handed;
                self.file == stat.id || (self.marker.1 > 0 && covers)
            }
        };
        // What was passed over is that file as it was: another one that begins alike is not.
        let other_skipped = self.skipped && self.file != stat.id && stat.size != self.handed;
        if !head_holds || stat.size < self.handed || other_skipped {
            return Ok(false);
        }
        if self.marker.1 == 0 && self.handed > 0 && self.head.is_none() {
            // Begun in its middle (START_AT=end), and nothing was handed on since: at least a line must begin there.
            let mut before = [0];
            return Ok(read_full(file, &mut before, self.handed - 1)? == 1 && before == *b"\n");
        }
        Ok(mutated(Mutation::ForgetTailMarker) || marker_holds(file, self.handed, self.marker)?)
    }
}

/// The generation that a file holds: the one of which most is proven by its content, then the one that was last seen in this very file, else the newest that fits. What stands at a log's own path (`active`) is never taken for
/// a file that was passed over at the first start, unless it is that very file: a copy beside the log must not hide it.
pub fn recognise(
    known: &[Known],
    file: &mut dyn LogFile,
    stat: FileStat,
    opening: &Opening,
    active: bool,
    others_than: &[GenerationId],
) -> io::Result<Option<GenerationId>> {
    let mut found: Option<&Known> = None;
    for candidate in known.iter().rev() {
        let passed_over = active && candidate.skipped && candidate.file != stat.id;
        if passed_over || others_than.contains(&candidate.id) {
            continue;
        }
        // The more of it is proven by content, the surer; then the same file, then the newest.
        let rank = |known: &Known| (known.is_known_by_content(opening), known.handed, known.file == stat.id);
        if found.is_none_or(|found| rank(candidate) > rank(found))
            && candidate.is(file, stat, opening)?
            && (candidate.file == stat.id || may_go_on(known, candidate, file, stat)?)
        {
            found = Some(candidate);
        }
    }
    Ok(found.map(|found| found.id))
}

/// So few bytes behind the head prove nothing: every line of a log may begin with them.
const CERTAIN_BYTES: u64 = 20;

/// Whether another file than its own may hold the rest of a generation. Where heads do not tell generations apart, or next to nothing was handed on, one whose unfinished last line was
/// taken is no beginning of others.
fn may_go_on(known: &[Known], candidate: &Known, file: &mut dyn LogFile, stat: FileStat) -> io::Result<bool> {
    let shared = known.iter().filter(|other| other.head == candidate.head).nth(1).is_some();
    let behind_head =
        candidate.head.as_ref().and_then(|head| candidate.handed.checked_sub(head.length_bytes));
    let doubtful = shared || behind_head.is_some_and(|bytes| bytes < CERTAIN_BYTES);
    if !doubtful || candidate.handed == 0 || stat.size == candidate.handed {
        return Ok(true);
    }
    let mut before = [0];
    Ok(read_full(file, &mut before, candidate.handed - 1)? == 1 && before == *b"\n")
}

#[cfg(test)]
mod tests {
    //! Content decides, not the inode.

    use std::slice;

    use super::super::disk::{Disk, RealDisk};
    use super::super::identity::marker_of;
    use super::*;

    const LINE: &str = "2024-09-14 16:15:35 cust_5 /api/v1/resource4 200 0.772\n";
    const OTHER: &str = "2024-09-14 16:15:36 cust_6 /api/v1/resource1 404 0.100\n";

    fn file(content: &str) -> (Box<dyn LogFile>, u64) {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(file.path(), content).expect("written");
        (RealDisk::default().open(file.path()).expect("it is there"), content.len() as u64)
    }

    fn known(content: &str, handed: usize, id: FileId) -> Known {
        let (mut file, size) = file(content);
        let head = Opening::read(&mut *file, 0).expect("read").head();
        let marker = marker_of(&content.as_bytes()[..handed]);
        let stat = FileStat { id, size, modified_nanos: 0 };
        Known { head, marker, ..Known::new(GenerationId(1), stat, handed as u64) }
    }

    fn check(known: Known, content: &str, id: FileId, expected: bool) {
        let (mut file, size) = file(content);
        let opening = Opening::read(&mut *file, 0).expect("read");
        let stat = FileStat { id, size, modified_nanos: 0 };
        let found = recognise(&[known], &mut *file, stat, &opening, true, &[]).expect("read");
        assert_eq!(found.is_some(), expected, "{content:?}");
    }

    #[test]
    fn content_outranks_the_inode() {
        let (first, both) = (LINE.len(), LINE.len() + OTHER.len());
        let two = format!("{LINE}{OTHER}");
        check(known(&two, both, (1, 1)), &two, (1, 2), true); // a copy, another inode
        check(known(&two, both, (1, 1)), &format!("{two}{LINE}"), (1, 2), true); // grown
        check(known(&two, both, (1, 1)), OTHER, (1, 1), false); // inode reused
        check(known(&two, both, (1, 1)), LINE, (1, 1), false); // truncated, same head
        check(known(&two, both, (1, 1)), &format!("{LINE}{LINE}{OTHER}"), (1, 1), false); // regrown with the same head, other content
        check(known(&two, first, (1, 1)), &format!("{LINE}{LINE}"), (1, 2), true); // what was handed on is the same
    }

    #[test]
    fn a_few_letters_of_an_unfinished_line_are_no_beginning_of_another_file() {
        // Begun behind its first line (START_AT=end), and all that came was `202`.
        let begun =
            |id| Known { marker: marker_of(b"202"), ..known(&format!("{LINE}202"), LINE.len() + 3, id) };
        check(begun((1, 1)), &format!("{LINE}{OTHER}"), (1, 2), false);
        check(begun((1, 1)), &format!("{LINE}{OTHER}"), (1, 1), true); // its own file went on
        check(begun((1, 1)), &format!("{LINE}202"), (1, 2), true); // a copy
    }

    #[test]
    fn without_a_valid_line_the_inode_decides() {
        check(known("garbage\n", 8, (1, 1)), "garbage\nmore\n", (1, 1), true);
        check(known("garbage\n", 8, (1, 1)), "garbage\nmore\n", (1, 2), false);
        check(known("", 0, (1, 1)), LINE, (1, 1), true);
    }

    fn met(known: &[Known], content: &str, id: FileId) -> Option<GenerationId> {
        let (mut file, size) = file(content);
        let opening = Opening::read(&mut *file, 0).expect("read");
        let stat = FileStat { id, size, modified_nanos: 0 };
        recognise(known, &mut *file, stat, &opening, false, &[]).expect("read")
    }

    /// A copy got the number of an empty file that was gone; it was taken for that one, and the generation with its very bytes counted as lost.
    #[test]
    fn bytes_that_were_seen_outrank_the_inode() {
        let empty = known("", 0, (1, 1));
        let seen = Known {
            id: GenerationId(2),
            head: None,
            beginning: marker_of(LINE.as_bytes()),
            ..known(LINE, 0, (1, 2))
        };
        assert_eq!(met(&[seen.clone(), empty.clone()], LINE, (1, 1)), Some(seen.id));
        assert_eq!(met(&[seen, empty], OTHER, (1, 1)), Some(GenerationId(1)));
    }

    /// What older versions noted of files that begin with a hole is everybody's: such a generation is in its own file, or where its marker is.
    #[test]
    fn heads_and_beginnings_of_nuls_prove_nothing() {
        let hole = "\0".repeat(70_000);
        let (one, other) = (format!("{hole}{LINE}"), format!("{hole}{OTHER}"));
        let head = Head {
            fingerprint: format!("{:032x}", xxhash_rust::xxh3::xxh3_128_with_seed(&[0; 65_536], 0)),
            length_bytes: 65_536,
        };
        let with_head = |handed| Known { head: Some(head.clone()), ..known(&one, handed, (1, 1)) };
        let with_beginning = Known { head: None, beginning: marker_of(&[0; 1024]), ..known(&one, 0, (1, 1)) };
        for unread in [with_head(0), with_beginning] {
            assert_eq!(met(slice::from_ref(&unread), &one, (1, 1)), Some(unread.id));
            assert_eq!(met(slice::from_ref(&unread), &other, (1, 2)), None, "anybody's hole");
            assert_eq!(met(&[unread], LINE, (1, 1)), None, "no hole at all");
        }
        assert_eq!(met(&[with_head(one.len())], &format!("{one}{OTHER}"), (1, 2)), Some(GenerationId(1)));
        assert_eq!(met(&[with_head(one.len())], &other, (1, 2)), None);
    }
}
