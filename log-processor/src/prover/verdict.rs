//! The verdict at the end of a run: every line once, and every lost byte counted.

use super::oracle::{Line, LineKind};
use super::world::{World, violated};
use crate::settings::StartAt;

/// Lines that stand in files and are not where they belong, and the names of these files.
#[derive(Debug, Default)]
pub(super) struct Unread {
    pub(super) lines: Vec<u32>,
    pub(super) names: Vec<String>,
}

impl World {
    /// What of the files whose names begin so was not read. A line that was torn in two is nobody's whole line.
    pub(super) fn unread_of(&self, beginning: &str) -> Unread {
        let mut unread = Unread::default();
        for (name, serial) in self.files.names.iter().filter(|(name, _)| name.starts_with(beginning)) {
            let is_missing = |id: &u32| {
                let line = &self.oracle.lines[*id as usize];
                !line.torn && self.outcome(*id, line) == 0
            };
            let missing: Vec<u32> = self.lines_in(*serial).into_iter().filter(is_missing).collect();
            if !missing.is_empty() {
                unread.names.push(name.clone());
                unread.lines.extend(missing);
            }
        }
        unread
    }

    /// X1 and B3, when everything has been read.
    pub(super) fn judge(&self) {
        self.kept.last().check();
        for (id, line) in (0..).zip(&self.oracle.lines) {
            self.judge_line(id, line);
        }
        self.judge_lost_bytes();
        self.judge_starts();
    }

    fn judge_line(&self, id: u32, line: &Line) {
        let books = self.kept.last();
        let count = |of: &std::collections::BTreeMap<u32, u32>| of.get(&id).copied().unwrap_or(0);
        let (cells, rejects) = (count(&books.cells), count(&books.rejects));
        let stored = self.stored(id);
        let outcome = self.outcome(id, line);
        // Without a whole valid line a copy is not known again: its unfinished last line is taken too.
        let known_by_number = self.oracle.copies && (line.torn || line.kind == LineKind::Garbage);
        let most = line.written + u32::from(line.torn) + u32::from(known_by_number);
        let least = if line.torn || line.may_miss || line.may_skip || line.kind == LineKind::Header {
            0
        } else {
            line.written
        };
        let uncounted =
            line.may_be_uncounted || line.may_skip || line.may_miss || line.kind == LineKind::Header;
        let in_ledger_only = line.kind == LineKind::Garbage || line.kind == LineKind::Poison;
        if outcome > most || (outcome < least && !(in_ledger_only && uncounted)) {
            violated(
                "X1",
                format!(
                    "line {id} ({:?}) was written {} times and is there {outcome} times",
                    line.kind, line.written
                ),
            );
        }
        if in_ledger_only && stored > 0 {
            violated("X1", format!("line {id} ({:?}) is stored", line.kind));
        }
        if !in_ledger_only && rejects > 0 && !line.torn {
            violated("X1", format!("line {id} is valid and was rejected"));
        }
        if cells > stored || (cells < stored && !uncounted && !in_ledger_only) {
            violated(
                "X1",
                format!("line {id} is stored {stored} times, and the cells count it {cells} times"),
            );
        }
    }

    /// How often a line is stored.
    fn stored(&self, id: u32) -> u32 {
        if self.plan.embedded {
            return self.kept.last().cells.get(&id).copied().unwrap_or(0);
        }
        u32::try_from(self.points.values().filter(|other| **other == id).count()).expect("few")
    }

    /// How often a line is where it belongs: stored, or among the rejected ones.
    fn outcome(&self, id: u32, line: &Line) -> u32 {
        match line.kind {
            LineKind::Good | LineKind::Header => self.stored(id),
            LineKind::Garbage | LineKind::Poison => self.kept.last().rejects.get(&id).copied().unwrap_or(0),
        }
    }

    /// B3: never more than there was, never less than what tail must have known.
    fn judge_lost_bytes(&self) {
        let books = self.kept.last();
        let lost: u64 = books.totals.lost_bytes.values().sum();
        let there: u64 = self.files.greatest_of_the_gone
            + self.files.inodes.values().map(|inode| inode.greatest).sum::<u64>();
        let settled = books.totals.bytes_settled;
        if lost + settled > there {
            violated("B3", format!("{lost} bytes lost, {settled} settled, and there were only {there}"));
        }
        let settled_of = |id: i64| books.generations.get(&id).map_or(0, |record| record.seen.settled_offset);
        let known = self.oracle.must_lose.iter().map(|(id, size)| size.saturating_sub(settled_of(id.0)));
        let known: u64 = known.sum();
        let excused = |line: &Line| line.torn || line.may_miss || line.may_skip || line.may_be_uncounted;
        let whole = |(id, line): (u32, &Line)| !excused(line) && self.outcome(id, line) >= line.written;
        // What was begun at its end is known by its number alone until something of it is settled.
        let known_by_content = self.plan.start_at != StartAt::End;
        if lost > 0 && known_by_content && (0..).zip(&self.oracle.lines).all(whole) {
            violated("B3", format!("{lost} bytes are counted as lost, and every line is there"));
        }
        // What is in a copy is not lost.
        let certain = !self.plan.copies() && !self.oracle.disk_fails && !self.oracle.reads_short;
        if lost < known && certain {
            violated(
                "B3",
                format!(
                    "{known} bytes were seen and truncated away before they were read, and {lost} are counted as lost"
                ),
            );
        }
    }

    /// X1: no two generations share places in the sequence of keys.
    fn judge_starts(&self) {
        let records: Vec<_> =
            self.kept.last().generations.values().filter(|record| record.start.is_some()).collect();
        for (at, one) in records.iter().enumerate() {
            for other in &records[at + 1..] {
                let place = |record: &store::embedded::GenerationRecord| {
                    let start = record.start.expect("filtered").0;
                    (start, start + record.seen.settled_offset)
                };
                let (a, b) = (place(one), place(other));
                if one.seen.source == other.seen.source
                    && a.0 < b.1
                    && b.0 < a.1
                    && !skipped(one)
                    && !skipped(other)
                {
                    violated(
                        "X1",
                        format!(
                            "generations {} and {} share places in the keys: {a:?} and {b:?}",
                            one.id.0, other.id.0
                        ),
                    );
                }
            }
        }
    }
}

fn skipped(record: &store::embedded::GenerationRecord) -> bool {
    record.seen.state == store::embedded::GenerationState::Skipped
}
