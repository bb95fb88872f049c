//! Doubt: a 400 that is not in InfluxDB's form can be a proxy's mood or one line's fault. What is known of the lines of a body that got one, and when that is enough to blame a line: when it gets the same answer alone,
//! again and again, while a line that was taken before (the witness) is taken again each time. Pure, but for the lock around the witness: sends nothing and waits for nothing.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::mutation::{Mutation, mutated};

/// So often in a row must a line be seen to be refused alone while the witness is taken. A proxy that answers by chance gets there with a probability of at most 0.16 to this power, whatever its odds are: 3 in ten billion.
const SIGHTINGS: u32 = 12;

/// So many parts of a body may be refused, with nothing taken in between, before a pause: three times halved. What refuses everything is not asked about every line.
const BARREN_MAX: u32 = 7;

/// What is known of the lines of one body.
#[derive(Debug, Default)]
pub struct Doubt {
    /// Parts to be sent, the largest first, so that one which is taken is found soon.
    parts: VecDeque<Range<usize>>,
    /// Lines that were refused alone, the next to be asked about first.
    suspects: VecDeque<Suspect>,
    /// Such answers since something was taken.
    barren: u32,
    draws: u64,
}

/// A line that was refused alone.
#[derive(Debug)]
struct Suspect {
    line: usize,
    /// How often in a row it was seen to be refused while the witness was taken.
    sightings: u32,
}

/// What a sighting has led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Ask about the next suspect.
    GoOn,
    /// Every suspect was asked about: time for a rest, so that the sightings are spread.
    Rest,
    /// It is the line.
    Guilty(usize),
}

impl Doubt {
    /// A part got such an answer. True = it is time for a pause.
    pub fn refused(&mut self, part: Range<usize>, has_witness: bool) -> bool {
        self.barren = self.barren.saturating_add(1);
        let barren = self.barren >= BARREN_MAX;
        if part.len() == 1 {
            self.suspects.push_back(Suspect { line: part.start, sightings: 0 });
        } else if barren && !has_witness {
            // Where bad lines are many, a single good one is found sooner than a good part.
            self.parts.push_front(part.start..part.start + 1);
            self.parts.push_back(part.start + 1..part.end);
        } else {
            let middle = part.start + part.len() / 2;
            self.parts.extend([part.start..middle, middle..part.end]);
        }
        barren
    }

    /// Something was taken, of this body or the witness.
    pub fn taken(&mut self) {
        self.barren = 0;
    }

    /// The next part to be sent.
    pub fn next_part(&mut self) -> Option<Range<usize>> {
        self.parts.pop_front()
    }

    /// The next line to be asked about, once there are no more parts.
    pub fn suspect(&self) -> Option<usize> {
        self.suspects.front().map(|suspect| suspect.line)
    }

    /// It is none any more: it was taken, or refused in InfluxDB's own words.
    pub fn dismiss_suspect(&mut self) {
        self.suspects.pop_front();
    }

    /// How often the witness is to be taken for the next sighting: one to three times, by no rule, since of several servers behind an address that are asked in turn one may be broken.
    pub fn witness_times(&mut self) -> u32 {
        self.draws += 1;
        let line = self.suspect().unwrap_or_default() as u64;
        let mixed = (self.draws ^ line << 32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        1 + ((mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 40) as u32 % 3
    }

    /// The witness was refused as well, or there is none: nothing that was seen before counts.
    pub fn unfounded(&mut self) {
        for suspect in &mut self.suspects {
            suspect.sightings = 0;
        }
        self.suspects.rotate_left(self.suspects.len().min(1));
    }

    /// The suspect was refused, and the witness taken each time after it.
    pub fn sighted(&mut self) -> Verdict {
        let Some(mut suspect) = self.suspects.pop_front() else { return Verdict::GoOn };
        suspect.sightings += 1;
        let (line, seen) = (suspect.line, suspect.sightings);
        if seen >= SIGHTINGS || mutated(Mutation::RejectOnOneSighting) {
            return Verdict::Guilty(line);
        }
        self.suspects.push_back(suspect);
        if self.suspects.front().is_some_and(|next| next.sightings >= seen) {
            return Verdict::Rest;
        }
        Verdict::GoOn
    }
}

/// A line that the store has taken: sending it again changes nothing, and tells whether the store takes lines now.
#[derive(Debug, Default)]
pub struct Witness(Mutex<Option<Bytes>>);

impl Witness {
    /// Keeps the last line of a body that was taken.
    pub fn keep_of(&self, body: &[u8]) {
        let end = body.len().saturating_sub(1);
        let start = memchr::memrchr(b'\n', &body[..end]).map_or(0, |newline| newline + 1);
        *self.lock() = Some(Bytes::copy_from_slice(&body[start..]));
    }

    /// The line, if there is one.
    pub fn line(&self) -> Option<Bytes> {
        self.lock().clone()
    }

    /// It is refused itself now.
    pub fn forget(&self, line: &Bytes) {
        self.lock().take_if(|kept| kept == line);
    }

    fn lock(&self) -> MutexGuard<'_, Option<Bytes>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends all parts to something that refuses those with a bad line: how many requests, and which lines are suspected.
    fn suspects_of(lines: usize, bad: &[usize]) -> (usize, usize, Vec<usize>) {
        let mut doubt = Doubt::default();
        let (mut requests, mut pauses) = (0, 0);
        let mut whole = Some(0..lines);
        while let Some(part) = whole.take().or_else(|| doubt.next_part()) {
            requests += 1;
            if bad.iter().any(|line| part.contains(line)) {
                pauses += usize::from(doubt.refused(part, false));
            } else {
                doubt.taken();
            }
        }
        let mut suspects: Vec<usize> = doubt.suspects.iter().map(|suspect| suspect.line).collect();
        suspects.sort_unstable();
        (requests, pauses, suspects)
    }

    #[test]
    fn one_bad_line_is_found_in_few_requests_without_a_pause() {
        for bad in [0, 1, 2499, 2500, 4999] {
            let (requests, pauses, suspects) = suspects_of(5000, &[bad]);
            assert_eq!((pauses, suspects), (0, vec![bad]));
            assert!(requests <= 1 + 2 * 13, "{requests} requests for line {bad}");
        }
        assert_eq!(suspects_of(1, &[0]), (1, 0, vec![0]));
        assert_eq!(suspects_of(300, &[7, 8, 290]).2, [7, 8, 290]);
    }

    /// A client whose requests are all refused stands in every part; one good line tells soon that others are taken.
    #[test]
    fn many_bad_lines_are_told_from_a_store_that_takes_nothing() {
        let bad: Vec<usize> = (0..1000).filter(|line| line % 3 != 1).collect();
        let (_, pauses, suspects) = suspects_of(1000, &bad);
        assert_eq!(suspects, bad);
        assert!(pauses < 1000, "{pauses} pauses");
    }

    #[test]
    fn what_refuses_everything_is_asked_seven_times_and_then_with_a_pause_each_time() {
        let (requests, pauses, suspects) = suspects_of(64, &(0..64).collect::<Vec<_>>());
        assert_eq!((requests - pauses, suspects.len()), (6, 64));
    }

    #[test]
    fn a_line_is_guilty_after_twelve_sightings_in_a_row_and_never_sooner() {
        let mut doubt = Doubt::default();
        doubt.refused(3..4, true);
        for _ in 1..SIGHTINGS {
            assert_eq!(doubt.sighted(), Verdict::Rest);
        }
        doubt.unfounded();
        for _ in 1..SIGHTINGS {
            assert_eq!(doubt.sighted(), Verdict::Rest);
        }
        assert_eq!(doubt.sighted(), Verdict::Guilty(3));
        assert_eq!(doubt.suspect(), None);
    }

    #[test]
    fn several_suspects_are_asked_about_in_turn_with_one_rest_for_all() {
        let mut doubt = Doubt::default();
        for line in 0..3 {
            doubt.refused(line..line + 1, true);
        }
        for _ in 1..SIGHTINGS {
            let round: Vec<Verdict> = (0..3).map(|_| doubt.sighted()).collect();
            assert_eq!(round, [Verdict::GoOn, Verdict::GoOn, Verdict::Rest]);
        }
        let last: Vec<Verdict> = (0..3).map(|_| doubt.sighted()).collect();
        assert_eq!(last, [Verdict::Guilty(0), Verdict::Guilty(1), Verdict::Guilty(2)]);
    }

    /// Servers that take turns behind one address, one of them broken: no number of witnesses fits each time.
    #[test]
    fn servers_that_take_turns_are_not_taken_for_a_bad_line() {
        for servers in 2..=6 {
            for line in 0..200 {
                let mut doubt = Doubt::default();
                doubt.refused(line..line + 1, true);
                let mut turn = 0;
                let mut broken = || {
                    turn += 1;
                    turn % servers == 0
                };
                for _ in 0..500 {
                    if !broken() {
                        doubt.dismiss_suspect();
                        break;
                    }
                    if (0..doubt.witness_times()).any(|_| broken()) {
                        doubt.unfounded();
                    } else {
                        assert!(
                            !matches!(doubt.sighted(), Verdict::Guilty(_)),
                            "line {line}, {servers} servers"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn the_witness_is_the_last_line_that_was_taken() {
        let witness = Witness::default();
        assert_eq!(witness.line(), None);
        witness.keep_of(b"one\ntwo\n");
        assert_eq!(witness.line().as_deref(), Some(&b"two\n"[..]));
        witness.keep_of(b"three\n");
        witness.forget(&Bytes::from_static(b"two\n"));
        assert_eq!(witness.line().as_deref(), Some(&b"three\n"[..]));
        witness.forget(&Bytes::from_static(b"three\n"));
        assert_eq!(witness.line(), None);
    }
}
