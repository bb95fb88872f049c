//! A look at all logs: what was there to be read then, and whether all of it was handed on since (T2). Also whether names came or went. Reads nothing.

use std::collections::HashMap;

use store::embedded::GenerationId;

use super::disk::Clock;
use super::follower::Follower;
use super::log::Interrupted;
use super::ports::Ended;
use super::siblings::folder_of;
use crate::mutation::{Mutation, mutated};

/// A look at all logs: when, and what was there to be read then.
#[derive(Debug)]
pub(super) struct Look {
    as_of_micros: i64,
    /// The log of each generation that has to be read on, and how far.
    targets: HashMap<GenerationId, (usize, u64)>,
}

impl Follower {
    /// Whether names came or went in the folders of the logs. A file can come and be renamed between two looks, or bear the number of one that was removed: only the folder tells.
    pub(super) fn folders_changed(&mut self, clock: Clock) -> Result<bool, Ended> {
        let mut changed = false;
        for index in 0..self.state.logs.len() {
            let folder = folder_of(&self.state.logs[index].path).to_owned();
            match self.state.folder_times.changed(&*self.with.disk, &folder, clock) {
                Ok(now) => changed |= now,
                Err(error) => self.note_trouble(index, Interrupted::Io(folder, error))?,
            }
        }
        Ok(changed)
    }

    /// What is there to be read now.
    pub(super) fn begin_look(&self, as_of_micros: i64) -> Look {
        let opens = self
            .state
            .logs
            .iter()
            .enumerate()
            .flat_map(|(index, log)| log.open.iter().map(move |open| (index, open)));
        let unread = opens.filter_map(|(index, open)| {
            (open.splitter.read_offset() < open.stat.size)
                .then_some((open.generation.id, (index, open.stat.size)))
        });
        Look { as_of_micros, targets: unread.collect() }
    }

    /// Tells the books when everything that was there at a look is handed on.
    pub(super) fn end_look(&mut self) -> Result<(), Ended> {
        let Some(look) = &mut self.state.look else { return Ok(()) };
        if !self.state.trouble.is_empty() {
            self.state.look = None; // What cannot be read may hold anything.
            return Ok(());
        }
        let logs = &self.state.logs;
        let mut lost_sight = false;
        look.targets.retain(|id, (index, target)| {
            let log = &logs[*index];
            if let Some(open) = log.open.iter().find(|open| open.generation.id == *id) {
                // A file that shrank before anything of it was read shows no other sign.
                lost_sight |= open.stat.size < *target;
                return open.splitter.read_offset() < *target;
            }
            // Let go before it was read: what was there may be another generation's now.
            lost_sight |= log.known.iter().any(|known| known.id == *id && known.handed < *target);
            false
        });
        if lost_sight {
            self.state.look = None;
            return Ok(());
        }
        if look.targets.is_empty() || mutated(Mutation::LookTooEarly) {
            let as_of_micros = look.as_of_micros;
            self.state.look = None;
            self.with.books.look(as_of_micros, self.state.moved.drain().collect())?;
        }
        Ok(())
    }
}
