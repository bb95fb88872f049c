//! The frontier: which bytes of the logs are settled, and how far without a hole. Workers settle pieces in any order.
//! No I/O, no clock and no tasks in this room.

use std::collections::{BTreeMap, HashMap};

use store::embedded::GenerationId;

use crate::lines::Settled;
use crate::mutation::{Mutation, mutated};

/// The frontiers of all generations in flight.
#[derive(Debug, Default)]
pub struct Frontier {
    generations: HashMap<GenerationId, Mark>,
}

#[derive(Debug)]
struct Mark {
    /// Everything before this byte is settled. Only grows (K1).
    settled: u64,
    /// Settled pieces beyond a hole, by their first byte. Every one starts after `settled`.
    ahead: BTreeMap<u64, Settled>,
}

impl Frontier {
    /// Begins a generation whose bytes before `settled` are settled already. A generation that is known keeps its mark.
    pub fn begin(&mut self, generation: GenerationId, settled: u64) {
        self.generations.entry(generation).or_insert(Mark { settled, ahead: BTreeMap::new() });
    }

    /// Forgets a generation that is settled to its end.
    pub fn forget(&mut self, generation: GenerationId) {
        if let Some(mark) = self.generations.remove(&generation) {
            assert!(mark.ahead.is_empty(), "K1: {generation:?} forgotten with pieces beyond a hole");
        }
    }

    /// Records one settled piece, and hands `pass` every piece that the frontier passes by it, in file order.
    pub fn settle(&mut self, piece: Settled, mut pass: impl FnMut(Settled)) {
        let span = piece.span;
        let mark = self
            .generations
            .get_mut(&span.generation)
            .expect("tail begins a generation before its first line");
        assert!(span.start >= mark.settled, "W1: settled twice: {span:?}");
        let twin = mark.ahead.insert(span.start, piece);
        assert!(twin.is_none(), "W1: settled twice: {span:?}");
        if mutated(Mutation::PassHole)
            && let Some((first, _)) = mark.ahead.first_key_value()
        {
            mark.settled = *first;
        }
        while let Some(next) = mark.ahead.remove(&mark.settled) {
            mark.settled = next.span.end;
            pass(next);
        }
        if mark.ahead.is_empty() {
            // An empty map keeps the memory of eleven pieces, two kilobytes for each file that ever grew.
            mark.ahead = BTreeMap::new();
        }
    }

    /// The byte before which everything of a generation is settled.
    pub fn settled(&self, generation: GenerationId) -> Option<u64> {
        self.generations.get(&generation).map(|mark| mark.settled)
    }
}

#[cfg(test)]
mod tests {
    //! Pieces settle in any order; the mark moves over whole prefixes only.

    use super::*;
    use crate::span::Span;
    use bytes::Bytes;
    use proptest::prelude::*;
    use std::sync::Arc;
    use store::embedded::SettledSegment;
    use tokio::sync::Semaphore;

    fn piece(start: u64, end: u64) -> Settled {
        let budget = Arc::new(Arc::new(Semaphore::new(1)).try_acquire_owned().expect("one permit"));
        let segment = SettledSegment {
            generation: GenerationId(1),
            start_offset: start,
            end_offset: end,
            bytes: Bytes::new(),
            requests: vec![].into(),
            rejects: vec![],
            future_time: 0,
            ambiguous_time: 0,
            tail_marker: (0, 0),
        };
        Settled { span: Span::new(GenerationId(1), start, end), segment, lines: 1, budget }
    }

    fn check(spans: &[(u64, u64)], passed: &[u64], settled: u64) {
        let mut frontier = Frontier::default();
        frontier.begin(GenerationId(1), 0);
        let mut order = vec![];
        for &(start, end) in spans {
            frontier.settle(piece(start, end), |piece| order.push(piece.span.start));
        }
        assert_eq!(order, passed);
        assert_eq!(frontier.settled(GenerationId(1)), Some(settled));
    }

    #[test]
    fn k1_a_hole_holds_the_mark() {
        check(&[(10, 20)], &[], 0);
        check(&[(10, 20), (20, 30), (0, 10)], &[0, 10, 20], 30);
        check(&[(0, 10), (20, 30)], &[0], 10);
    }

    #[test]
    fn w1_a_piece_settles_once() {
        let caught = std::panic::catch_unwind(|| check(&[(0, 10), (0, 10)], &[0], 10));
        assert!(caught.is_err(), "W1: the second settling must be noticed");
    }

    proptest! {
        #[test]
        fn k1_any_order_passes_every_byte_once_in_file_order(lengths in prop::collection::vec(1u64..50, 1..40), seed in any::<u64>()) {
            let mut spans = vec![];
            let mut at = 0;
            for length in lengths { spans.push((at, at + length)); at += length; }
            let in_order: Vec<u64> = spans.iter().map(|span| span.0).collect();
            let mut state = seed | 1;
            for i in (1..spans.len()).rev() {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                spans.swap(i, usize::try_from(state >> 33).unwrap_or(0) % (i + 1));
            }
            check(&spans, &in_order, at);
        }
    }
}
