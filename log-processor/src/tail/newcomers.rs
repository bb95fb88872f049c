//! Which of the paths that are found become logs: none that is a followed log's file under another name, or its lines would count once more. Reads nothing but what tells that.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};

use store::embedded::GenerationRecord;

use super::disk::FileId;
use super::follower::Follower;
use super::known::Known;
use super::log::Log;
use super::opening::Opening;
use super::ports::Ended;
use crate::health::{Concern, Severity};
use crate::sources::is_of_log;

/// A path that is followed and no log yet.
struct Newcomer {
    source: String,
    path: PathBuf,
    known: Vec<GenerationRecord>,
}

/// Logs and generations of theirs that were last seen in a file.
type Owners = HashMap<FileId, Vec<(usize, usize)>>;

impl Follower {
    /// Paths that are followed and not yet known as logs.
    pub(super) fn find_logs(&mut self) -> Result<(), Ended> {
        let at_start = self.state.looked_at.is_none();
        self.watch.again();
        let found = self.sources.paths();
        self.tell_refused(&found.refused);
        let (mut newcomers, mut taken) = (Vec::new(), HashSet::new());
        for (source, path) in found.logs {
            if self.state.by_path.contains_key(&path) {
                continue;
            }
            let newcomer = self.newcomer(source, path, &found.bases)?;
            let is_followed = self.state.by_path.contains_key(&newcomer.path);
            if !is_followed && taken.insert(newcomer.path.clone()) {
                newcomers.push(newcomer);
            }
        }
        // Those that the ledger knows come first: they tell which files are theirs.
        newcomers.sort_by_key(|newcomer| newcomer.known.is_empty());
        let mut owners = None;
        for Newcomer { source, path, known } in newcomers {
            if known.is_empty() && self.is_anothers(&path, owners.get_or_insert_with(|| self.owners())) {
                continue;
            }
            // Before the first look: what is written between the two is announced to nobody.
            self.watch.watch(&path);
            let known = known.iter().map(Known::from_record).collect();
            self.state.by_path.insert(path.clone(), self.state.logs.len());
            self.state.unsettled.insert(self.state.logs.len());
            self.state.lively.insert(self.state.logs.len());
            self.state.logs.push(Log::new(source.into(), path, known, at_start && self.first_start));
        }
        Ok(())
    }

    /// A file that fits a glob and is not followed is never silently left out.
    fn tell_refused(&self, refused: &[String]) {
        match refused.first() {
            Some(why) => self.health.raise(Concern::Sources, Severity::NeedsAction, why),
            None => self.health.clear(Concern::Sources),
        }
    }

    /// The log of a path, with what the ledger knows of it. A rotated file whose log is not there is that log's, if it was ever followed: between a rotation and the first line after it.
    fn newcomer(
        &self,
        source: String,
        path: PathBuf,
        bases: &HashMap<PathBuf, (String, PathBuf)>,
    ) -> Result<Newcomer, Ended> {
        if let Some((source, base)) = bases.get(&path) {
            let known = self.with.books.known(source)?;
            let was_followed = |record: &GenerationRecord| is_of_log(&record.seen.path, base);
            if self.state.by_path.contains_key(base) || known.iter().any(was_followed) {
                return Ok(Newcomer { source: source.clone(), path: base.clone(), known });
            }
        }
        let known = self.with.books.known(&source)?;
        Ok(Newcomer { source, path, known })
    }

    fn owners(&self) -> Owners {
        let mut owners = Owners::new();
        for (index, log) in self.state.logs.iter().enumerate() {
            for (at, known) in log.known.iter().enumerate() {
                owners.entry(known.file).or_default().push((index, at));
            }
        }
        owners
    }

    /// Whether a path that is new holds a generation of another log: renamed under a name that does not tell it, while it is followed or while nobody looked.
    fn is_anothers(&mut self, path: &Path, owners: &Owners) -> bool {
        let Ok(Some(stat)) = self.with.disk.stat(path) else { return false };
        if self.state.others.get(path) == Some(&stat.id) {
            return true;
        }
        let owner = owners.get(&stat.id).into_iter().flatten().find(|(index, at)| {
            let log = &self.state.logs[*index];
            let known = &log.known[*at];
            // An open file keeps its number; a number that was free can be anybody's.
            log.open.iter().any(|open| open.generation.id == known.id)
                || self.is_held_in(known, path).unwrap_or(false)
        });
        let Some((index, at)) = owner else { return false };
        let (log, known) = (&self.state.logs[*index], &self.state.logs[*index].known[*at]);
        let is_open = log.open.iter().any(|open| open.generation.id == known.id);
        let unread_bytes = if is_open { 0 } else { stat.size.saturating_sub(known.handed) };
        tracing::warn!(
            file = %path.display(), source = &*log.source, unread_bytes,
            "not followed: it was {} and is no log of its own; rotate under a name that is known (README), or give a glob that it does not fit", log.path.display()
        );
        self.state.others.insert(path.to_owned(), stat.id);
        true
    }

    fn is_held_in(&self, known: &Known, path: &Path) -> io::Result<bool> {
        let mut file = self.with.disk.open(path)?;
        let stat = file.stat()?;
        let opening = Opening::read(&mut *file, self.with.salt)?;
        Ok(known.handed > 0 && stat.id == known.file && known.is(&mut *file, stat, &opening)?)
    }
}
