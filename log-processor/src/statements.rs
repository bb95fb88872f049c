//! What this processor has told the store about itself, and whether the store still knows it. A store that has forgotten a statement that it once confirmed was wiped, or
//! restored from an older copy: what was settled before would be missing in it, and nobody would notice.
//!
//! A statement stands at a place of its own (its mark) and is overwritten by the next one, except the *anchor*, which is never written again: so a heartbeat cannot hide that everything else is
//! gone. After an answer that did not come the next statement stands behind it, and every run begins behind the one before: what arrives late can never stand in the place of something newer, so
//! neither a crash nor a restart looks like a loss.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use store::embedded::{Confirmed, GenerationState, Ledger, LedgerError, StoreMemory};
use store::{Owner, Statistics, StoredGeneration};

/// So long a statement is overwritten before it becomes the anchor: less than any retention a bucket can have (an hour), so that the anchor never grows too old.
const ANCHOR_NANOS: i64 = 30 * 60 * 1_000_000_000;

/// The places of one source's statements. Pure; the clock comes from outside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// The greatest place that was ever used.
    last_nanos: i64,
    /// When the statement that is overwritten now was begun, and what the store has confirmed of it.
    open: Option<(i64, Option<u64>)>,
    anchor: Option<Confirmed>,
}

impl Marks {
    /// Places behind all that were used before.
    pub fn behind(last_nanos: i64) -> Self {
        Self { last_nanos, ..Self::default() }
    }

    /// The place of the next statement.
    pub fn next(&mut self, now_nanos: i64) -> i64 {
        if self.open.is_none() {
            self.last_nanos = now_nanos.max(self.last_nanos + 1);
            self.open = Some((now_nanos, None));
        }
        self.last_nanos
    }

    /// The store has confirmed the statement, which told this commit number.
    pub fn told(&mut self, commit: u64, now_nanos: i64) {
        let Some((begun_nanos, confirmed)) = &mut self.open else { return };
        *confirmed = Some(commit);
        if self.anchor.is_none() || (now_nanos - *begun_nanos).abs() >= ANCHOR_NANOS {
            self.anchor = Some(Confirmed { mark_nanos: self.last_nanos, commit });
            self.open = None;
        }
    }

    /// Nobody knows whether the statement was stored, nor when it will be: the next one goes behind it.
    pub fn unclear(&mut self) {
        self.open = None;
    }

    /// What the store must know.
    pub fn memory(&self) -> StoreMemory {
        let open = self.open.and_then(|(_, confirmed)| confirmed);
        let last = open.map(|commit| Confirmed { mark_nanos: self.last_nanos, commit });
        StoreMemory { anchor: self.anchor, last: last.or(self.anchor) }
    }
}

/// Whether what the store says holds all that it has once confirmed to this ledger.
pub fn knows(memory: StoreMemory, ledger: &str, statements: &[Owner]) -> bool {
    [memory.anchor, memory.last].into_iter().flatten().all(|confirmed| {
        statements.iter().any(|said| {
            said.mark_nanos == confirmed.mark_nanos
                && said.ledger == ledger
                && said.commit >= confirmed.commit
        })
    })
}

/// What of it is not older than that.
pub fn not_older(memory: StoreMemory, oldest_second: i64) -> StoreMemory {
    let kept = |confirmed: &Confirmed| confirmed.mark_nanos.div_euclid(1_000_000_000) >= oldest_second;
    StoreMemory { anchor: memory.anchor.filter(kept), last: memory.last.filter(kept) }
}

/// The range of places in which everything lies that the store must know; `None` when it need not know anything.
pub fn range_of(memory: StoreMemory) -> Option<(i64, i64)> {
    let marks = || [memory.anchor, memory.last].into_iter().flatten().map(|confirmed| confirmed.mark_nanos);
    Some((marks().min()?, marks().max()? + 1))
}

/// The statements of all sources, shared between the one who makes them and the one who owns the ledger.
#[derive(Debug, Default)]
pub struct Statements {
    state: Mutex<BTreeMap<String, OfSource>>,
}

#[derive(Clone, Debug, Default)]
struct OfSource {
    marks: Marks,
    /// As the ledger has it.
    saved: StoreMemory,
    /// For a store that has forgotten them.
    generations: Vec<StoredGeneration>,
    /// The ledger has counted some of it.
    counted: bool,
    /// What its statistics in the store were worth when this run began; `None` before that was judged.
    statistics: Option<Statistics>,
    /// How fresh its requests were by the last word of the run before; microseconds since 1970.
    told_as_of_micros: Option<i64>,
    /// All of its cells are to be published again: to be marked once the store's memory is saved.
    publish_again: bool,
}

impl Statements {
    /// What the ledger knows of these sources.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn of_ledger(
        ledger: &Ledger,
        sources: impl Iterator<Item = String>,
        now_second: i64,
    ) -> Result<Self, LedgerError> {
        let mut state = BTreeMap::new();
        let memory = ledger.store_memory()?;
        for source in sources {
            let saved = memory.get(&source).copied().unwrap_or_default();
            let last = saved.last.map_or(0, |confirmed| confirmed.mark_nanos);
            let records = ledger.generations(&source)?;
            let counted = records.iter().any(|record| record.seen.settled_offset > 0);
            let read = records.into_iter().filter(|record| record.seen.state != GenerationState::Skipped);
            let known: Vec<_> = read.filter_map(|record| Some((record.head?, record.start?))).collect();
            let first_second = now_second.saturating_sub_unsigned(known.len() as u64);
            // A second apart: two generations can have one head, and are told apart by when they were first seen.
            let generations = (first_second..).zip(known).map(|(first_seen_second, (head, start))| {
                let (source, head) = (source.clone(), head.fingerprint);
                StoredGeneration { source, head, start, first_seen_second }
            });
            let generations = generations.collect();
            let marks = Marks::behind(last);
            state.insert(source, OfSource { marks, saved, generations, counted, ..OfSource::default() });
        }
        Ok(Self { state: Mutex::new(state) })
    }

    /// What the store had confirmed about a source when this run began, as far as it is not older than what a store keeps.
    pub fn expected(&self, source: &str, oldest_second: i64) -> StoreMemory {
        let saved = self.lock().get(source).map(|of| of.saved).unwrap_or_default();
        not_older(saved, oldest_second)
    }

    /// What the store has confirmed about a source in this run.
    pub fn confirmed(&self, source: &str) -> StoreMemory {
        self.lock().get(source).map(|of| of.marks.memory()).unwrap_or_default()
    }

    /// The generations that the ledger knows of a source.
    pub fn generations(&self, source: &str) -> Vec<StoredGeneration> {
        self.lock().get(source).map(|of| of.generations.clone()).unwrap_or_default()
    }

    /// Does something with the places of a source.
    pub fn with_marks<T>(&self, source: &str, act: impl FnOnce(&mut Marks) -> T) -> T {
        act(&mut self.lock().entry(source.to_owned()).or_default().marks)
    }

    /// All statements from now on stand behind this place.
    pub fn go_behind(&self, source: &str, mark_nanos: i64) {
        self.with_marks(source, |marks| marks.last_nanos = marks.last_nanos.max(mark_nanos));
    }

    /// Whether the ledger has counted some of a source before this run.
    pub fn has_counted(&self, source: &str) -> bool {
        self.lock().get(source).is_some_and(|of| of.counted)
    }

    /// What the statistics of a source in the store were worth when this run began; `None` before that was judged.
    pub fn judged(&self, source: &str) -> Option<Statistics> {
        self.lock().get(source).and_then(|of| of.statistics)
    }

    /// How fresh the requests of a source were when this run began, by the last word about it.
    pub fn told_as_of(&self, source: &str) -> Option<i64> {
        self.lock().get(source).and_then(|of| of.told_as_of_micros)
    }

    /// Believes the last word of this ledger about a source, if the ledger is as it was then: a copy of it from before may have counted less.
    pub fn believe(&self, last: &Owner, commit: u64) {
        let statistics = match last.statistics {
            Statistics::Published { quarters_from_second, days_from_second, .. } if last.commit > commit => {
                Statistics::Published { as_of_micros: None, quarters_from_second, days_from_second }
            }
            as_said => as_said,
        };
        self.judge(&last.source, statistics);
        let mut state = self.lock();
        let of = state.entry(last.source.clone()).or_default();
        of.told_as_of_micros = last.as_of_micros.filter(|_| last.commit <= commit);
    }

    /// Judges them. Those that are not complete are published from the beginning.
    pub fn judge(&self, source: &str, statistics: Statistics) {
        let mut state = self.lock();
        let of = state.entry(source.to_owned()).or_default();
        of.statistics = Some(statistics);
        of.told_as_of_micros = None;
        of.publish_again = statistics == Statistics::Incomplete;
    }

    /// Days before this second were not complete in the statistics when this run began.
    pub fn days_from_second(&self) -> i64 {
        let from = |of: &OfSource| match of.statistics {
            Some(Statistics::Published { days_from_second, .. }) => days_from_second,
            _ => 0,
        };
        self.lock().values().map(from).max().unwrap_or(0)
    }

    /// The sources whose statistics are published, and those whose wait for `rebuild`.
    pub fn published_and_not(&self) -> (Vec<String>, Vec<String>) {
        let state = self.lock();
        let judged = state.iter().filter_map(|(source, of)| Some((source.clone(), of.statistics?)));
        let (sent, not): (Vec<_>, Vec<_>) =
            judged.partition(|(_, statistics)| *statistics != Statistics::NeedRebuild);
        let names = |of: Vec<(String, Statistics)>| of.into_iter().map(|(source, _)| source).collect();
        (names(sent), names(not))
    }

    /// What was confirmed since this was last asked: to be made durable.
    /// With it goes whether all cells of the source are to be marked in the same transaction.
    pub fn take_unsaved(&self) -> Vec<(String, StoreMemory, bool)> {
        let mut unsaved = Vec::new();
        for (source, of) in self.lock().iter_mut() {
            let memory = of.marks.memory();
            if memory.last.is_some() && memory != of.saved {
                of.saved = memory;
                unsaved.push((source.clone(), memory, std::mem::take(&mut of.publish_again)));
            }
        }
        unsaved
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, OfSource>> {
        // Nothing panics between two parts of one change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    //! No order of crashes, late arrivals and restarts looks like a loss; every loss does.

    use std::collections::BTreeMap;

    use super::*;
    use proptest::prelude::*;

    fn owner(mark_nanos: i64, commit: u64) -> Owner {
        Owner {
            source: "main".into(),
            ledger: "mine".into(),
            commit,
            heartbeat_micros: 0,
            as_of_micros: None,
            released: false,
            statistics: Statistics::Incomplete,
            mark_nanos,
        }
    }

    #[test]
    fn the_anchor_is_never_written_again_and_is_renewed() {
        let mut marks = Marks::behind(100);
        assert_eq!(marks.next(50), 101); // The clock went back.
        marks.told(7, 50);
        assert_eq!(marks.memory().anchor, Some(Confirmed { mark_nanos: 101, commit: 7 }));
        let second = marks.next(60);
        assert_eq!((second, marks.next(70)), (102, 102)); // Overwritten in place.
        marks.told(8, 70);
        assert_eq!(marks.memory().last, Some(Confirmed { mark_nanos: 102, commit: 8 }));
        marks.unclear();
        assert_eq!(marks.next(200), 200);
        assert_eq!(marks.memory().last, marks.memory().anchor);
        marks.told(9, 200 + ANCHOR_NANOS);
        assert_eq!(marks.memory().anchor, Some(Confirmed { mark_nanos: 200, commit: 9 }));
        assert!(marks.next(0) > 200);
    }

    #[test]
    fn the_last_word_is_not_believed_of_a_ledger_that_was_put_back() {
        let of = |as_of_micros| Statistics::Published {
            as_of_micros,
            quarters_from_second: 900,
            days_from_second: 0,
        };
        let last = Owner { as_of_micros: Some(90), statistics: of(Some(80)), ..owner(5, 7) };
        let check = |commit, told_as_of, statistics_as_of| {
            let statements = Statements::default();
            statements.believe(&last, commit);
            assert_eq!(statements.told_as_of("main"), told_as_of, "commit {commit}");
            assert_eq!(statements.judged("main"), Some(of(statistics_as_of)), "commit {commit}");
        };
        check(7, Some(90), Some(80));
        check(8, Some(90), Some(80));
        check(6, None, None);
    }

    #[test]
    fn what_is_missing_or_older_is_a_loss() {
        let memory = StoreMemory {
            anchor: Some(Confirmed { mark_nanos: 5, commit: 1 }),
            last: Some(Confirmed { mark_nanos: 9, commit: 3 }),
        };
        assert!(knows(memory, "mine", &[owner(5, 1), owner(9, 4)]));
        assert!(!knows(memory, "mine", &[owner(5, 1), owner(9, 2)]));
        assert!(!knows(memory, "mine", &[owner(9, 4)]));
        assert!(!knows(memory, "mine", &[owner(5, 1)]));
        assert!(!knows(memory, "other", &[owner(5, 1), owner(9, 4)]));
        assert!(knows(StoreMemory::default(), "mine", &[]));
        assert_eq!(range_of(memory), Some((5, 10)));
    }

    /// One thing that happens.
    #[derive(Clone, Copy, Debug)]
    enum Step {
        /// A statement that is confirmed, confirmed and not saved, lost, or on its way for a while.
        Tell(u8),
        /// The oldest statement on its way arrives.
        Arrive,
        /// The process dies and starts again from what was saved.
        Crash,
        /// Time passes.
        Wait(i64),
    }

    proptest! {
        #[test]
        fn a_store_that_lost_nothing_is_never_found_to_have_lost_something(
            steps in prop::collection::vec(
                prop_oneof![
                    6 => (0_u8..4).prop_map(Step::Tell), 2 => Just(Step::Arrive), 1 => Just(Step::Crash),
                    1 => (-5_i64..5).prop_map(Step::Wait), 1 => Just(Step::Wait(ANCHOR_NANOS)),
                ],
                0..80,
            ),
            wipe in any::<bool>(),
        ) {
            let mut store: BTreeMap<i64, u64> = BTreeMap::new();
            let mut on_their_way: Vec<(i64, u64)> = Vec::new();
            let (mut marks, mut saved) = (Marks::default(), StoreMemory::default());
            let (mut now, mut begun, mut commit) = (0, 0, 0);
            for step in steps {
                match step {
                    Step::Wait(nanos) => now = (now + nanos).max(begun),
                    Step::Arrive if on_their_way.is_empty() => {}
                    Step::Arrive => {
                        let (mark, commit) = on_their_way.remove(0);
                        store.insert(mark, commit);
                    }
                    Step::Crash => {
                        // A start takes time: a clock is not set back behind the run before.
                        now = now.max(marks.last_nanos) + 1;
                        begun = now;
                        let said = store.keys().copied().max().unwrap_or(0);
                        marks = Marks::behind(saved.last.map_or(0, |last| last.mark_nanos).max(said));
                    }
                    Step::Tell(how) => {
                        commit += 1;
                        let mark = marks.next(now);
                        match how {
                            0 | 1 => {
                                store.insert(mark, commit);
                                marks.told(commit, now);
                                saved = if how == 0 { marks.memory() } else { saved };
                            }
                            2 => marks.unclear(),
                            _ => {
                                on_their_way.push((mark, commit));
                                marks.unclear();
                            }
                        }
                    }
                }
                let said: Vec<Owner> = store.iter().map(|(mark, commit)| owner(*mark, *commit)).collect();
                prop_assert!(knows(marks.memory(), "mine", &said));
                prop_assert!(knows(saved, "mine", &said));
            }
            if wipe && saved.last.is_some() {
                prop_assert!(!knows(saved, "mine", &[]));
            }
        }
    }
}
