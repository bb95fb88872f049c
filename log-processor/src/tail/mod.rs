//! Tail: looks at the followed files and hands on whole lines with their place, in order, within the memory budget. One thread of its own, since it blocks on files.
//!
//! What is looked at and read is decided in `follower`, step by step; here is the thread that waits for hints between the steps, and the end of a run.

pub mod blocks;
pub mod books;
mod copies;
pub mod disk;
pub mod follower;
pub mod gzip;
pub mod handing;
pub mod identity;
pub mod known;
pub mod log;
mod look;
pub mod meet;
pub mod names;
mod newcomers;
pub mod open;
pub mod opening;
pub mod ports;
pub mod siblings;
pub mod splitter;
pub mod starts;
pub mod telling;
mod unpack;

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::wake::{Hints, Wake, Watchfulness};
use disk::Clock;
use follower::{Follower, LOOK_EVERY};
use log::Interrupted;
use ports::Ended;

/// While a rotation or a silent last line is awaited in a run that drains and ends.
const DRAIN_LOOK_EVERY: Duration = Duration::from_millis(100);

/// How long a run that drains and ends tries again to read what cannot be read.
const DRAIN_PATIENCE: Duration = Duration::from_secs(5);

/// When tail ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// With the program.
    Follow,
    /// At the end of the files; `take_last` takes an unfinished last line too.
    Drain {
        /// `--final`
        take_last: bool,
    },
}

/// How tail ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Drained {
    /// Unfinished last lines that were left where they are: path, place and length in bytes.
    pub unfinished: Vec<(std::path::PathBuf, u64, u64)>,
    /// Followed paths where there was no file, and globs that nothing fits.
    pub missing: Vec<std::path::PathBuf>,
    /// Why something could not be read.
    pub unreadable: Vec<String>,
    /// Everything that could be read was read: nobody ended it before.
    pub complete: bool,
}

/// Tail.
#[derive(Debug)]
pub struct Tail {
    /// Its core.
    pub follower: Follower,
    /// Hints to look.
    pub wake: Wake,
    /// Ends reading.
    pub stop: CancellationToken,
    /// When to end.
    pub mode: Mode,
}

impl Tail {
    /// Works until the program stops, or the files are drained.
    pub fn run(mut self) -> Drained {
        let mut watchfulness = Watchfulness::default();
        let mut hints = Hints::everything();
        let mut trouble_since = Duration::ZERO;
        loop {
            let Ok(step) = self.follower.step(&hints) else { return self.leave() };
            if let Some(unannounced) = step.unannounced
                && watchfulness.note(unannounced)
            {
                self.follower.with.counters.notify_missed.inc();
            }
            let Clock { uptime, .. } = self.follower.with.disk.clock();
            if self.follower.trouble().next().is_none() {
                trouble_since = uptime;
            }
            let patient = trouble_since != uptime && uptime - trouble_since < DRAIN_PATIENCE;
            if let Mode::Drain { take_last } = self.mode
                && !step.busy
                && !patient
                && self.follower.is_at_rest()
            {
                let drained = self.end(take_last);
                self.leave();
                return drained.unwrap_or_default();
            }
            let longest = match self.mode {
                _ if step.busy => Duration::ZERO,
                Mode::Follow => watchfulness.look_every(LOOK_EVERY),
                Mode::Drain { .. } => DRAIN_LOOK_EVERY,
            };
            hints = self.wake.wait(longest);
            if self.stop.is_cancelled() {
                return self.leave();
            }
        }
    }

    /// A generation may have grown since it was last written down; the ledger remembers how far, to know a loss when its file is gone at the next start.
    fn leave(&self) -> Drained {
        match self.follower.tell_seen() {
            // The bookkeeper has ended and has said why.
            Ok(()) | Err(Ended) => Drained::default(),
        }
    }

    /// The files are drained: takes or names what is left of them.
    fn end(&mut self, take_last: bool) -> Result<Drained, Ended> {
        let unreadable: Vec<String> = self.follower.trouble().map(str::to_owned).collect();
        let mut drained = Drained {
            missing: self.follower.sources.paths().unmatched,
            complete: unreadable.is_empty(),
            unreadable,
            ..Drained::default()
        };
        for index in 0..self.follower.logs().len() {
            if self.follower.logs()[index].open.is_empty() && drained.complete {
                drained.missing.push(self.follower.logs()[index].path.clone());
            }
            for at in 0..self.follower.logs()[index].open.len() {
                let open = &self.follower.logs()[index].open[at];
                let left = (open.path.clone(), open.handed, open.splitter.unfinished_bytes());
                if left.2 == 0 {
                    continue;
                }
                let taken = take_last
                    && match self.follower.take_last(index, at) {
                        Ok(taken) => taken,
                        Err(Interrupted::Ended) => return Err(Ended),
                        Err(Interrupted::Io(path, error)) => {
                            tracing::error!(file = %path.display(), %error, "the last line could not be read");
                            false
                        }
                    };
                if !taken {
                    drained.unfinished.push(left);
                    if take_last {
                        break; // The open generations are others now.
                    }
                }
            }
        }
        Ok(drained)
    }
}
