//! K2: whatever is applied, committed, crashed and tried again, in whatever order, the figures are those of a recount.

use std::collections::BTreeSet;

use logline::Reason;
use proptest::prelude::*;
use stats::SECONDS_PER_DAY;

use super::support::*;
use crate::embedded::{EmbeddedStats, GenerationId, Ledger, LedgerError};

/// What happens to a ledger between two looks.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// So many more lines are settled and applied as one segment.
    Apply(usize),
    Commit,
    /// The disk is full at a commit; then it is not, and the same commit is tried again.
    FullDisk,
    /// The process dies and starts again.
    Crash,
    /// So many seconds pass.
    Later(i64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        5 => (1_usize..40).prop_map(Step::Apply),
        2 => Just(Step::Commit),
        1 => Just(Step::FullDisk),
        1 => Just(Step::Crash),
        1 => (0..4 * SECONDS_PER_DAY).prop_map(Step::Later),
    ];
    prop::collection::vec(step, 1..25)
}

fn line() -> impl Strategy<Value = Line> {
    // within the minutes, the quarter-hours, the days, and ahead of the clock; edges of windows are likely
    let second = prop_oneof![
        NOW - 3_600..NOW,
        NOW - 4 * SECONDS_PER_DAY..NOW,
        (0_i64..500).prop_map(|quarters| NOW - 40 * SECONDS_PER_DAY + quarters * 900),
        NOW - 95 * SECONDS_PER_DAY..NOW - 85 * SECONDS_PER_DAY,
        (0_i64..20_000).prop_map(|days| days * SECONDS_PER_DAY),
        NOW..NOW + SECONDS_PER_DAY,
    ];
    let customer =
        prop_oneof![(1..6).prop_map(|number| format!("cust_{number}")), Just("quote\"ß, =\\x".to_owned())];
    let latency = prop_oneof![
        4 => (0_u64..8_000).prop_map(|millis| Some(millis * 1_000)),
        2 => (0_u64..16_000).prop_map(Some),
        1 => Just(None),
    ];
    let stored =
        (second, customer, 100_u16..600, latency).prop_map(|(second, customer, status, latency_micros)| {
            Request { second, customer, status, latency_micros }
        });
    prop_oneof![
        12 => stored.prop_map(Line::Stored),
        1 => prop::sample::select(vec![Reason::Empty, Reason::Status, Reason::Retention]).prop_map(Line::Rejected),
    ]
}

/// The log, and the ledger that follows it.
struct Follower<'a> {
    dir: &'a std::path::Path,
    lines: &'a [Line],
    ledger: Option<Ledger>,
    id: GenerationId,
    now: i64,
    applied: usize,
    committed: usize,
}

impl Follower<'_> {
    fn ledger(&mut self) -> &mut Ledger {
        self.ledger.as_mut().expect("open between two steps")
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Apply(lines) => {
                let to = (self.applied + lines).min(self.lines.len());
                if to > self.applied {
                    let (from, id, lines) = (self.applied, self.id, self.lines);
                    apply(self.ledger(), id, &lines[from..to]);
                    self.applied = to;
                }
            }
            Step::Commit => self.commit(),
            Step::FullDisk => {
                fill_disk(self.ledger());
                let before = self.ledger().commit_number();
                let now = self.now;
                match self.ledger().commit(None, now) {
                    // What was pending fitted into free pages.
                    Ok(_) => self.committed = self.applied,
                    Err(LedgerError::Unavailable { .. }) => assert_eq!(self.ledger().commit_number(), before),
                    Err(error) => panic!("{error}"),
                }
                self.check();
                free_disk(self.ledger());
                self.commit();
            }
            Step::Crash => {
                self.ledger = None;
                self.ledger = Some(Ledger::open(self.dir, options(), self.now).unwrap());
                self.applied = self.committed;
            }
            Step::Later(seconds) => self.now += seconds,
        }
    }

    fn commit(&mut self) {
        let now = self.now;
        self.ledger().commit(Some(now * 1_000_000), now).unwrap();
        self.committed = self.applied;
        self.check();
    }

    /// Readers see the last commit, whole and nothing else.
    fn check(&mut self) {
        let committed = &self.lines[..self.committed];
        let reader = EmbeddedStats::new(self.dir);
        assert_cells(self.dir, committed);
        assert_answers(&reader, committed, None, EVER);
        let customers: BTreeSet<_> = committed.iter().filter_map(customer_of).collect();
        let page = all_customers(&reader);
        let listed: Vec<_> = page.iter().map(|row| row.id.as_str()).collect();
        assert_eq!(listed, customers.iter().copied().collect::<Vec<_>>());
        for row in &page {
            let requests = super::recount::select(committed, Some(&row.id), EVER);
            assert_eq!(row.requests, requests.len() as u64);
            assert_eq!(Some(row.last_seen_second), requests.iter().map(|request| request.second).max());
            assert_answers(&reader, committed, Some(&row.id), EVER);
            assert_answers(
                &reader,
                committed,
                Some(&row.id),
                range(NOW - 37 * SECONDS_PER_DAY + 900, NOW - 900),
            );
        }
    }
}

fn customer_of(line: &Line) -> Option<&str> {
    match line {
        Line::Stored(request) => Some(&request.customer),
        Line::Rejected(_) => None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn k2_any_history_ends_in_the_recount(lines in prop::collection::vec(line(), 1..200), steps in steps()) {
        let dir = tempfile::tempdir().unwrap();
        let (ledger, id) = with_generation(dir.path());
        let mut follower =
            Follower { dir: dir.path(), lines: &lines, ledger: Some(ledger), id, now: NOW, applied: 0, committed: 0 };
        for step in steps {
            follower.step(step);
        }
        follower.step(Step::Apply(lines.len()));
        follower.step(Step::Commit);
        let totals = follower.ledger().totals();
        let rejected: u64 = totals.rejected.values().sum();
        prop_assert_eq!(totals.lines_stored + rejected, lines.len() as u64, "C1");
        prop_assert_eq!(totals.bytes_settled, settled(follower.ledger(), id), "C1");
    }

    #[test]
    fn shuffled_input_answers_as_sorted_input(
        (sorted, shuffled) in prop::collection::vec(line(), 1..150)
            .prop_flat_map(|lines| (Just(lines.clone()), Just(lines).prop_shuffle())),
    ) {
        let mut sorted = sorted;
        sorted.sort_by_key(|line| match line {
            Line::Stored(request) => request.second,
            Line::Rejected(_) => 0,
        });
        let answers = [&sorted, &shuffled].map(|lines| {
            let dir = tempfile::tempdir().unwrap();
            let (mut ledger, id) = with_generation(dir.path());
            for part in lines.chunks(7) {
                apply(&mut ledger, id, part);
                ledger.commit(None, NOW).unwrap();
            }
            let reader = EmbeddedStats::new(dir.path());
            let customers = all_customers(&reader);
            let stats: Vec<_> =
                customers.iter().map(|row| ask(&reader, Some(&row.id), EVER).unwrap()).collect();
            (customers, stats, ask(&reader, None, EVER).unwrap())
        });
        prop_assert_eq!(&answers[0], &answers[1]);
    }
}
