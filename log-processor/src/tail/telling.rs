//! What tail tells of its files, and of what it cannot read. Decides nothing.

use super::follower::Follower;
use super::log::Interrupted;
use super::ports::Ended;
use crate::health::{Concern, Severity};
use crate::report::FileReport;

impl Follower {
    /// What could not be read at the last look.
    pub fn trouble(&self) -> impl Iterator<Item = &str> {
        self.state.trouble.values().map(String::as_str)
    }

    pub(super) fn note_trouble(&mut self, index: usize, interrupted: Interrupted) -> Result<(), Ended> {
        match interrupted {
            Interrupted::Ended => Err(Ended),
            Interrupted::Io(path, error) => {
                self.state.trouble.insert(index, format!("{}: {error}", path.display()));
                Ok(())
            }
        }
    }

    pub(super) fn tell_trouble(&self) {
        match self.state.trouble.values().next() {
            Some(why) => self.health.raise(Concern::Log, Severity::NeedsAction, why),
            None => self.health.clear(Concern::Log),
        }
    }

    /// Tells what is known of a log's files, after anything was done with it.
    pub(super) fn report(&mut self, index: usize) {
        let log = &self.state.logs[index];
        if log.open.iter().any(|open| !open.active) {
            self.state.rotated.insert(index);
        } else {
            self.state.rotated.remove(&index);
        }
        if log.is_unsettled() {
            self.state.unsettled.insert(index);
        } else {
            self.state.unsettled.remove(&index);
        }
        if self.files.tells(index, &log.open) {
            return;
        }
        let source = log.source.to_string();
        let mut reports: Vec<FileReport> = log
            .open
            .iter()
            .map(|open| FileReport {
                path: open.path.clone(),
                source: source.clone(),
                size: open.size(),
                read_offset: open.splitter.read_offset(),
                handed_offset: open.handed,
                file: open.file_id(),
                generation: Some(open.generation.id),
                ..FileReport::default()
            })
            .collect();
        if reports.is_empty() {
            reports.push(FileReport { path: log.path.clone(), source, ..FileReport::default() });
        }
        self.files.set(index, reports, self.with.disk.clock().wall_nanos / 1000);
    }
}
