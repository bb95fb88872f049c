//! What is known of a log's generations, and the recognition of a file among them. Decides, and reads a few bytes of the file; opens and changes nothing.

use std::io;

use store::KeyStart;
use store::embedded::{GenerationId, GenerationRecord, GenerationState, Head};

use super::disk::{FileId, FileStat, LogFile};
use super::identity::{Opening, marker_holds};
use crate::lines::TailMarker;

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
            file: stat.id,
            size: stat.size,
            skipped: false,
            finished: false,
            cut: false,
        }
    }

    /// A generation of the ledger.
    pub fn from_record(record: &GenerationRecord) -> Self {
        Self {
            id: record.id,
            head: record.head.clone(),
            start: record.start,
            handed: record.seen.settled_offset,
            marker: (record.tail_marker, record.tail_marker_length),
            file: (record.seen.device, record.seen.inode),
            size: record.size_bytes.max(record.seen.settled_offset),
            skipped: record.seen.state == GenerationState::Skipped,
            // A skipped one is left as it is: to finish it would make it one that was read.
            finished: record.seen.state != GenerationState::Open,
            cut: false,
        }
    }

    /// Whether a file holds this generation: by content, and by inode only while there is no content to compare.
    pub fn is(&self, file: &mut dyn LogFile, stat: FileStat, opening: &Opening) -> io::Result<bool> {
        let head_holds = match &self.head {
            Some(head) => opening.begins_with(head),
            None => self.file == stat.id,
        };
        Ok(head_holds && stat.size >= self.handed && marker_holds(file, self.handed, self.marker)?)
    }
}

/// The generation that a file holds: the one that was last seen in this very file, else the newest that fits. What stands at a log's own path (`active`) is never taken for
/// a file that was passed over at the first start, unless it is that very file: a copy beside the log must not hide it.
pub fn recognise(
    known: &[Known],
    file: &mut dyn LogFile,
    stat: FileStat,
    opening: &Opening,
    active: bool,
) -> io::Result<Option<GenerationId>> {
    let mut found = None;
    for candidate in known.iter().rev() {
        if active && candidate.skipped && candidate.file != stat.id {
            continue;
        }
        if candidate.is(file, stat, opening)? {
            if candidate.file == stat.id {
                return Ok(Some(candidate.id));
            }
            found = found.or(Some(candidate.id));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    //! Content decides, not the inode.

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
        let found = recognise(&[known], &mut *file, stat, &opening, true).expect("read");
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
    fn without_a_valid_line_the_inode_decides() {
        check(known("garbage\n", 8, (1, 1)), "garbage\nmore\n", (1, 1), true);
        check(known("garbage\n", 8, (1, 1)), "garbage\nmore\n", (1, 2), false);
        check(known("", 0, (1, 1)), LINE, (1, 1), true);
    }
}
