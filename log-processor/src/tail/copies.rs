//! Copies of a log (copytruncate): how a log knows one beside its original, one that is still being made, and one that is left of an original that was truncated. Opens nothing for reading on.

use std::io;

use store::embedded::Head;

use super::disk::{FileStat, LogFile};
use super::known::Known;
use super::log::{Interrupted, Log, Surroundings};
use super::meet::{Met, Ready};
use super::open::{QUIET, age, has_copy};
use super::opening::Opening;
use super::siblings::Sibling;
use crate::mutation::{Mutation, mutated};

impl Log {
    /// A rotated file that holds no generation that we know may be a copy that is still being made, or one of a log that we do not follow yet: it is not to be read beside the original.
    pub(super) fn meet_copy(
        &mut self,
        ready: &mut Ready,
        sibling: &Sibling,
        opening: &Opening,
        with: &Surroundings,
    ) -> Result<Option<Met>, Interrupted> {
        let io = |error| Interrupted::Io(sibling.path.clone(), error);
        if sibling.path == self.path || mutated(Mutation::CopyIsNew) {
            return Ok(None);
        }
        let Some(head) = opening.head() else {
            // Nothing to know it by. Whoever makes it will go on soon.
            let young = !sibling.gzip && age(with.disk.clock(), ready.stat) < QUIET;
            return Ok(young.then_some(Met::Unfinished));
        };
        for open in self.open.iter_mut().filter(|open| !open.gzip) {
            let id = open.generation.id;
            let known = self.known.iter().find(|known| known.id == id).and_then(|known| known.head.as_ref());
            let begins_alike = match known {
                Some(known) => opening.begins_with(known),
                None => Opening::read(&mut *open.file, with.salt).map_err(io)?.begins_with(&head),
            };
            if begins_alike && is_part_of(&mut *open.file, ready).map_err(io)? {
                return Ok(Some(Met::Judged));
            }
            if open.is_cut().map_err(io)? {
                return Ok(Some(Met::Moved)); // Its truncation comes first: this may be the copy that was made before.
            }
        }
        if self.is_shorter_copy(ready, &head, with).map_err(io)? {
            return Ok(Some(Met::Judged));
        }
        let mut active = match with.disk.open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Interrupted::Io(self.path.clone(), error)),
        };
        let begins_alike = Opening::read(&mut *active, with.salt).map_err(io)?.begins_with(&head);
        Ok((begins_alike && is_part_of(&mut *active, ready).map_err(io)?).then_some(Met::Judged))
    }

    /// Whether a file is a copy of a generation of which more was read before its file was truncated. Where the original still stands, its content tells; where it was truncated, the
    /// head does, if it is that of one generation alone or if the truncation was seen.
    fn is_shorter_copy(&self, ready: &mut Ready, head: &Head, with: &Surroundings) -> io::Result<bool> {
        // Its file is there and holds something else: it was truncated in place.
        let was_cut = |known: &Known| known.cut || self.present.iter().any(|file| file.stat.id == known.file);
        let alike = |known: &Known| known.head.as_ref() == Some(head);
        let alone = self.known.iter().filter(|known| alike(known)).nth(1).is_none();
        for (index, known) in self.known.iter().enumerate() {
            let is_open = self.open.iter().any(|open| open.generation.id == known.id);
            if is_open || !alike(known) || ready.stat.size >= known.handed || known.file == ready.stat.id {
                continue;
            }
            let is_copy = match self.own_file(index, ready.stat, with)? {
                Some(mut own) => is_part_of(&mut *own, ready)?,
                None => was_cut(known) && (alone || known.cut),
            };
            if is_copy {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// A generation's own file, if it is another than this one and still there with all that we know of it.
    pub(super) fn own_file(
        &self,
        index: usize,
        stat: FileStat,
        with: &Surroundings,
    ) -> io::Result<Option<Box<dyn LogFile>>> {
        let known = &self.known[index];
        let own = |file: &&Sibling| file.stat.id == known.file && file.stat.id != stat.id && !file.gzip;
        let Some(own) = self.present.iter().find(own) else { return Ok(None) };
        let mut file = match with.disk.open(&own.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let stat = file.stat()?;
        let opening = Opening::read(&mut *file, with.salt)?;
        let is_own = stat.id == known.file && known.is(&mut *file, stat, &opening)?;
        Ok(is_own.then_some(file))
    }
}

/// Whether a file, which begins as another one does, holds nothing that the other one does not hold.
pub(super) fn is_part_of(whole: &mut dyn LogFile, part: &mut Ready) -> io::Result<bool> {
    let length = whole.stat()?.size;
    has_copy(whole, length, &mut *part.file, part.stat.size)
}
