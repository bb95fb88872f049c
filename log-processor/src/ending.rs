//! How a run ended: what was left unread by a stop that came too early, and the exit code. No waiting here.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use store::embedded::{LedgerView, NewGeneration};

use crate::settings::{Settings, StartAt};
use crate::tail::Mode;

/// Exit code of a run after which everything it was asked for is settled.
const SETTLED: u8 = 0;
/// Exit code of a run that left lines unsettled; the next start reads them again.
const UNSETTLED: u8 = 3;

/// What decides about the exit code.
#[derive(Clone, Copy, Debug)]
pub struct End {
    /// Everything that was handed to the ledger is durable.
    pub saved: bool,
    /// Lines handed on and not settled.
    pub lines_in_flight: u64,
    /// The store was reached and the sources are ours: lines could be handed on.
    pub cleared: bool,
    /// A stop was asked for.
    pub stopped: bool,
    /// What the run was to do.
    pub mode: Mode,
    /// Bytes of the followed files that are not settled.
    pub unread_bytes: u64,
    /// A drain came to the end of all files; what is unread there are unfinished last lines.
    pub drained: bool,
    /// The store has all statistics of what is settled, where it is to have them.
    pub published: bool,
}

/// Bytes of the followed files, as they are now, that the ledger has not settled. The ledger must be closed, or the last commit may be missing here.
pub fn unread_bytes(settings: &Settings) -> u64 {
    // A ledger that cannot be read says nothing about what is unread; the run has met that before and has said so.
    let view = LedgerView::open(&settings.state_dir).ok().flatten();
    let known: Vec<&NewGeneration> =
        view.iter().flat_map(|view| view.generations()).map(|generation| &generation.seen).collect();
    let unread = |source: &str, path: &Path| {
        let file = std::fs::metadata(path).ok()?;
        let of_file = |seen: &&&NewGeneration| (seen.device, seen.inode) == (file.dev(), file.ino());
        let settled = known.iter().rev().find(of_file).map(|seen| seen.settled_offset);
        // What is there at the first start is not read at all when that is so wished.
        let skipped = settings.start_at == StartAt::End && !known.iter().any(|seen| seen.source == source);
        Some(if skipped { 0 } else { file.len().saturating_sub(settled.unwrap_or(0)) })
    };
    settings.sources.paths().logs.iter().filter_map(|(source, path)| unread(source, path)).sum()
}

impl End {
    /// 0 when everything is settled that the run was asked for, else 3.
    ///
    /// A stop ends the following of a log wherever it is: what was not handed on yet is no failure, the next start reads it. But when nothing could be handed on,
    /// because the store was never reached, and there is something, it was not "everything settled"; nor was it when the run was to drain the files.
    pub fn exit_code(self) -> u8 {
        let kept_from_reading = !self.cleared && self.unread_bytes > 0 && !self.drained;
        let drained_in_part = self.stopped && self.mode != Mode::Follow && self.unread_bytes > 0;
        // What a stop leaves is published after the next start; a run that drains has no next one.
        let unpublished = !self.published && self.cleared && self.mode != Mode::Follow;
        let settled =
            self.saved && self.lines_in_flight == 0 && !kept_from_reading && !drained_in_part && !unpublished;
        if settled { SETTLED } else { UNSETTLED }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_code_3_means_that_lines_are_read_again() {
        let follow = End {
            saved: true,
            lines_in_flight: 0,
            cleared: true,
            stopped: true,
            mode: Mode::Follow,
            unread_bytes: 900,
            drained: false,
            published: true,
        };
        let mode = Mode::Drain { take_last: false };
        let drain = End { mode, stopped: false, unread_bytes: 9, drained: true, ..follow };
        for (what, end, code) in [
            ("a stop while there is more to read", follow, 0),
            ("a stop with lines in flight", End { lines_in_flight: 1, ..follow }, 3),
            ("a ledger that could not be written", End { saved: false, ..follow }, 3),
            ("a stop before the store was reached", End { cleared: false, ..follow }, 3),
            ("the same with nothing to read", End { cleared: false, unread_bytes: 0, ..follow }, 0),
            ("drained, but for an unfinished last line", drain, 0),
            ("the same, and the store was never needed", End { cleared: false, ..drain }, 0),
            ("stopped while draining", End { stopped: true, drained: false, ..drain }, 3),
            ("stopped while it could not drain", End { cleared: false, drained: false, ..drain }, 3),
            ("drained, and not published", End { published: false, ..drain }, 3),
            ("a stop before all was published", End { published: false, ..follow }, 0),
            ("stopped after the last line", End { stopped: true, unread_bytes: 0, ..drain }, 0),
        ] {
            assert_eq!(end.exit_code(), code, "{what}");
        }
    }
}
