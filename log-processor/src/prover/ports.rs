//! What tail is given instead of its neighbours: the bookkeeper's line, the way out for lines, nobody who gives hints. Checks what leaves tail (T1), and that its start is durable.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use store::KeyStart;
use store::embedded::{GenerationId, GenerationRecord, Head, NewGeneration};

use super::files::{whole_lines, without_hole};
use super::rooms::Rooms;
use super::world::{Outage, Sim, World, violated};
use crate::lines::{Content, Lines, TailMarker};
use crate::tail::disk::FileId;
use crate::tail::ports::{Books, Ended, Handed, Outlet, Watch};
use crate::to_ledger::{Lost, ToLedger};

/// Tail's line to the bookkeeper: an answer is waited for by letting the bookkeeper work.
#[derive(Debug)]
pub(super) struct SimBooks(pub(super) Sim);

impl SimBooks {
    fn tell(&self, message: ToLedger) -> Result<(), Ended> {
        self.0.step(format_args!("books: {}", name_of(&message)));
        self.0.with_rooms(|rooms| rooms.to_ledger.send(message)).map_err(|_| Ended)
    }

    fn ask<V>(&self, message: ToLedger, answer: &Receiver<V>) -> Result<V, Ended> {
        self.tell(message)?;
        loop {
            if let Ok(value) = answer.try_recv() {
                self.0.step(format_args!("books: answered"));
                return Ok(value);
            }
            if !self.0.with_rooms(Rooms::keep_one) {
                violated("K2", "the bookkeeper does not answer");
            }
        }
    }
}

fn name_of(message: &ToLedger) -> String {
    match message {
        ToLedger::Settled(pieces) => format!("{} settled", pieces.len()),
        ToLedger::Begin { generation, known, .. } => {
            format!("begin {known:?} {} at {}", generation.path.display(), generation.settled_offset)
        }
        ToLedger::Known { source, .. } => format!("what is known of {source}"),
        ToLedger::Start { id, head, start, .. } => {
            format!("generation {} starts at {} head {}", id.0, start.0, head.length_bytes)
        }
        ToLedger::Durable { .. } => "all of it durable".to_owned(),
        ToLedger::Commit { .. } => "a commit".to_owned(),
        ToLedger::Published { cells, .. } => format!("{} cells published", cells.len()),
        ToLedger::Seen { id, path, size_bytes, .. } => {
            format!("generation {} at {} of {size_bytes}", id.0, path.display())
        }
        ToLedger::Beginning { id, beginning } => {
            format!("generation {} begins with {} known bytes", id.0, beginning.1)
        }
        ToLedger::Finish { id, end, lost } => format!("generation {} ends at {end}, lost {lost:?}", id.0),
        ToLedger::Skipped { bytes, .. } => format!("{bytes} bytes skipped"),
        ToLedger::Look { .. } => "a look is complete".to_owned(),
    }
}

impl Books for SimBooks {
    fn begin(&self, generation: NewGeneration, known: Option<GenerationId>) -> Result<GenerationId, Ended> {
        let (reply, answer) = sync_channel(1);
        let inode = generation.inode;
        let from = generation.settled_offset;
        let id = self.ask(ToLedger::Begin { generation, known, reply }, &answer)?;
        let mut world = self.0.world();
        world.oracle.begins(id, from);
        let open = world.files.inodes.iter().find(|(_, file)| file.number == inode && file.tail_handles > 0);
        if let Some((serial, _)) = open.map(|(serial, file)| (*serial, file)) {
            world.begun.retain(|other, of| *other == id || *of != serial);
            world.begun.insert(id, serial);
        }
        world.note(format_args!("  that is generation {}", id.0));
        Ok(id)
    }

    fn known(&self, source: &str) -> Result<Vec<GenerationRecord>, Ended> {
        let (reply, answer) = sync_channel(1);
        self.ask(ToLedger::Known { source: source.to_owned(), reply }, &answer)
    }

    fn start(&self, id: GenerationId, head: Head, start: KeyStart) -> Result<(), Ended> {
        self.tell(ToLedger::Start { id, head, start })
    }

    fn durable(&self) -> Result<(), Ended> {
        let (reply, answer) = sync_channel(1);
        self.ask(ToLedger::Durable { reply }, &answer)
    }

    fn seen(
        &self,
        id: GenerationId,
        path: PathBuf,
        device_inode: FileId,
        size_bytes: u64,
    ) -> Result<(), Ended> {
        self.tell(ToLedger::Seen { id, path, device_inode, size_bytes })
    }

    fn beginning(&self, id: GenerationId, beginning: TailMarker) -> Result<(), Ended> {
        self.tell(ToLedger::Beginning { id, beginning })
    }

    fn finish(&self, id: GenerationId, end: u64, lost: Option<Lost>) -> Result<(), Ended> {
        self.tell(ToLedger::Finish { id, end, lost })
    }

    fn skipped(&self, source: &Arc<str>, bytes: u64) -> Result<(), Ended> {
        self.tell(ToLedger::Skipped { source: Arc::clone(source), bytes })
    }

    fn look(&self, as_of_micros: i64, moved: Vec<(GenerationId, u64)>) -> Result<(), Ended> {
        {
            let mut world = self.0.world();
            world.end_first_look();
            world.oracle.looked(as_of_micros);
        }
        self.tell(ToLedger::Look { as_of_micros, moved })
    }
}

/// The way out of tail, with a budget.
#[derive(Debug)]
pub(super) struct SimOutlet(pub(super) Sim);

impl Outlet for SimOutlet {
    fn opened(&self) -> Result<(), Ended> {
        while self.0.world().outage == Some(Outage::All) {
            self.0.pass(Duration::from_millis(10));
            self.0.step(format_args!("waits for the store"));
        }
        self.0.step(format_args!("the way out is open"));
        Ok(())
    }

    fn hand_on(&self, handed: Handed) -> Result<(), Ended> {
        let (start, end, id) = (handed.span.start, handed.span.end, handed.generation.id.0);
        self.0.step(format_args!("generation {id}: {start}..{end} is to be handed on"));
        let asked_nanos = self.0.world().now_nanos;
        let budget = self.0.with_rooms(|rooms| Arc::clone(&rooms.budget));
        let all = self.0.world().plan.budget_bytes;
        let weight = u32::try_from(handed.bytes.len().min(all)).expect("small");
        let mut waited = 0;
        let permit = loop {
            if let Ok(permit) = Arc::clone(&budget).try_acquire_many_owned(weight) {
                break Arc::new(permit);
            }
            waited += 1;
            if waited > 20_000 {
                violated("W1", "the budget never comes back");
            }
            self.0.pass(Duration::from_millis(1));
            self.0.step(format_args!("waits for the budget"));
            self.0.with_rooms(Rooms::act);
        };
        self.0.world().check_handed(&handed, asked_nanos);
        self.0.with_rooms(|rooms| {
            rooms.account.read(handed.count, handed.bytes.len());
            let Handed { generation, span, bytes, content, count } = handed;
            rooms.from_tail.push_back(Lines { generation, span, bytes, content, count, budget: permit });
        });
        self.0.step(format_args!("handed on"));
        Ok(())
    }
}

impl World {
    /// T1, and that the start is durable.
    fn check_handed(&mut self, handed: &Handed, asked_nanos: i64) {
        let id = handed.generation.id;
        self.oracle.handed_on(id, handed.span.start, handed.span.end);
        if handed.content == Content::TooLong {
            return;
        }
        let lines: Vec<&[u8]> = whole_lines(&handed.bytes).collect();
        for (at, line) in lines.iter().enumerate() {
            // Behind a last line that was taken without its newline comes its rest.
            let rest = at == 0 && self.oracle.cut_places.contains(&(id, handed.span.start));
            if !rest && !self.files.ever_stood(line) {
                let line = String::from_utf8_lossy(line);
                violated("T1", format!("a line is handed on that never stood in a file: {line:?}"));
            }
            self.oracle.line_handed_on(line);
        }
        let unfinished =
            handed.bytes.rsplit(|byte| *byte == b'\n').next().map(without_hole).unwrap_or_default();
        if !unfinished.is_empty() {
            self.check_unfinished(id, handed.span.end - unfinished.len() as u64, asked_nanos);
            self.oracle.cut_places.insert((id, handed.span.end));
            self.oracle.torn_after(unfinished);
            for program in &self.script.programs {
                program.half_written_line().into_iter().for_each(|line| self.oracle.torn(line));
            }
        }
        let valid = |line: &&[u8]| {
            self.oracle.identify(line).is_some_and(|line| !self.oracle.text(line).starts_with(b"garbage"))
        };
        if lines.iter().any(valid) {
            let start = handed.generation.start.get();
            let durable = self.kept.last().generations.get(&id.0).and_then(|record| record.start);
            if start.is_none() || durable != start.copied() {
                violated(
                    "X1",
                    format!(
                        "the start {start:?} of generation {} is not durable in the ledger: {durable:?}",
                        id.0
                    ),
                );
            }
            let journalled = self.journal.keys().any(|(_, _, other)| Some(other) == start);
            if !self.plan.embedded && !journalled {
                violated("X1", format!("the start {start:?} of generation {} is not in the journal", id.0));
            }
        }
    }

    /// A line without its newline may leave only when its file is over.
    fn check_unfinished(&mut self, id: GenerationId, place: u64, asked_nanos: i64) {
        let Some(serial) =
            self.begun.get(&id).copied().filter(|serial| self.files.inodes.contains_key(serial))
        else {
            return;
        };
        for program in 0..self.script.programs.len() {
            if let Some(line) = self.half_written(program, serial) {
                self.oracle.torn(line);
            }
        }
        // Or it was written to its end since it was taken.
        let bytes = &self.files.get(serial).bytes;
        let whole = usize::try_from(place)
            .ok()
            .and_then(|place| bytes.get(place..))
            .and_then(|rest| whole_lines(rest).next());
        if let Some(line) = whole.and_then(|line| self.oracle.identify(line)) {
            self.oracle.torn(line);
        }
        let inode = self.files.get(serial);
        let active = self.script.programs.iter().any(|program| self.files.at(&program.path) == Some(serial));
        // What is written during the step may have come after it was judged to be silent.
        let judged = inode.unpacked.is_none() && inode.written_nanos < self.oracle.step_began.1;
        let lately = judged && asked_nanos - inode.written_nanos < 8_000_000_000;
        if active || lately {
            violated(
                "T1",
                format!(
                    "the unfinished last line of generation {} is taken although its file is in use",
                    id.0
                ),
            );
        }
    }
}

/// Hints are given by the driver.
#[derive(Debug)]
pub(super) struct NoWatch;

impl Watch for NoWatch {
    fn watch(&mut self, _path: &Path) {}
    fn again(&mut self) {}
}
