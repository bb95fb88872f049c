//! Compressed files as a log meets them: whole ones are read like any other, one that was read before is known from its beginning and its length. How they are read is in `gzip`.

use std::io;
use std::time::Duration;

use super::disk::LogFile;
use super::gzip::{self, Decompressed, Gzip};
use super::known::Known;
use super::log::{Log, Surroundings};
use super::meet::{Met, Ready};
use super::open::age;
use super::opening::Opening;
use super::siblings::Sibling;

/// How long a compressed file that ends in the middle is waited for: somebody may still be writing it.
const GZIP_PATIENCE: Duration = Duration::from_secs(15);

impl Log {
    /// A compressed file as one of its decompressed bytes; or what is to be done with it instead.
    pub(super) fn unpack(
        &self,
        mut file: Box<dyn LogFile>,
        sibling: &Sibling,
        with: &Surroundings,
    ) -> io::Result<Result<Ready, Met>> {
        if self.was_read_before(&mut *file, sibling, with)? {
            return Ok(Err(Met::Judged));
        }
        let why = match gzip::inspect(&mut *file)? {
            Gzip::Whole(length) => {
                let file = Decompressed::new(file, length)?;
                let stat = file.stat()?;
                return Ok(Ok(Ready { file: Box::new(file), stat }));
            }
            Gzip::Unfinished if age(with.disk.clock(), sibling.stat) < GZIP_PATIENCE => {
                return Ok(Err(Met::Unfinished));
            }
            Gzip::Unfinished => "it ends in the middle".to_owned(),
            Gzip::Damaged(why) => why,
        };
        with.counters.gzip_damaged.inc();
        tracing::error!(file = %sibling.path.display(), why, "a compressed log cannot be read: nothing is taken from it");
        Ok(Err(Met::Judged))
    }

    /// Whether a compressed file holds a generation that was read to its end: known from its beginning and its length, without reading all of it.
    fn was_read_before(
        &self,
        file: &mut dyn LogFile,
        sibling: &Sibling,
        with: &Surroundings,
    ) -> io::Result<bool> {
        let Some(hint) = gzip::length_hint(file)? else { return Ok(false) };
        let fits =
            |known: &&Known| (known.skipped || known.finished) && known.handed % (1 << 32) == u64::from(hint);
        // A head that several generations share (a header line) tells nothing with a length alone: logs have lines of one length.
        let shared =
            |known: &&Known| self.known.iter().filter(|other| other.head == known.head).nth(1).is_some();
        let mut candidates = self.known.iter().filter(fits).filter(|known| !shared(known)).peekable();
        if candidates.peek().is_none() {
            return Ok(false);
        }
        let mut file = Decompressed::new(with.disk.open(&sibling.path)?, u64::from(hint))?;
        let Ok(opening) = Opening::read(&mut file, with.salt) else { return Ok(false) };
        Ok(candidates.any(|known| known.head.as_ref().is_some_and(|head| opening.begins_with(head))))
    }
}
