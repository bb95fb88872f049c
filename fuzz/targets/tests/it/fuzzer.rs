//! The fuzzer finds what is broken on purpose, makes it small, tells how to see it again, and does the same thing twice.

use fuzz_targets::Target;
use fuzz_targets::campaign::{Failure, Origin, Plan, attempt};
use fuzz_targets::mutate::{self, Chance};

/// Fails on a line that has two tokens in one order: no single change of the corpus makes it.
const BROKEN: Target = Target {
    name: "broken",
    run: |bytes| {
        let first = bytes.windows(2).position(|window| window == b"ab");
        let second = bytes.windows(2).position(|window| window == b"\xff7");
        assert!(first.is_none() || second <= first, "the bug that was put here");
    },
    tokens: &[b"ab", b"xy", b"\n"],
};

fn campaign(seed: u64, corpus: &[(String, Vec<u8>)]) -> (Result<(), Failure>, tempfile::TempDir) {
    let found = tempfile::tempdir().expect("a temporary folder");
    let plan = Plan { target: BROKEN, corpus, seed, mutations: 200_000, found: found.path() };
    (plan.run(), found)
}

fn kept(text: &[u8]) -> Vec<(String, Vec<u8>)> {
    vec![("long".to_owned(), text.to_vec()), ("none".to_owned(), vec![])]
}

#[test]
fn a_broken_target_is_caught_and_its_input_made_small_and_kept() {
    let corpus = kept(b"2024-09-14 16:15:35 cust_7 /api/v1/resource7 200 0.777\nand more of it 777\n");
    let (ended, found) = campaign(1, &corpus);
    let failure = ended.expect_err("the bug is there");
    assert_eq!(failure.input, b"ab\xff7", "no byte can be left out");
    assert!(failure.found_bytes > 4, "{failure}");
    let Origin::Made { seed: 1, run } = failure.origin else { panic!("made, not kept: {failure}") };
    assert_eq!(std::fs::read(&failure.file).expect("it was written"), failure.input);
    assert!(failure.file.starts_with(found.path()));
    let words = failure.to_string();
    for part in [
        "the bug that was put here",
        &format!("mutation {run} of seed 1"),
        "ab\\xff7",
        &format!("--example fuzz -- broken --input {}", failure.file.display()),
    ] {
        assert!(words.contains(part), "`{part}` is missing in:\n{words}");
    }
    // The number of the mutation alone makes the input again.
    let inputs: Vec<Vec<u8>> = corpus.into_iter().map(|(_, input)| input).collect();
    let again = mutate::input(&inputs, BROKEN.tokens, &mut Chance::new(1, run));
    assert_eq!(again.len(), failure.found_bytes);
    assert!(attempt(BROKEN, &again).is_err());
}

#[test]
fn the_same_seed_finds_the_same_and_another_another() {
    let corpus = kept(b"some text with a 7 in it");
    let origin = |seed| campaign(seed, &corpus).0.expect_err("the bug is there").origin;
    assert_eq!(origin(5), origin(5));
    assert_ne!(origin(5), origin(6));
}

#[test]
fn a_kept_input_that_fails_is_named() {
    let (ended, _found) = campaign(1, &kept(b"...ab...\xff7..."));
    let failure = ended.expect_err("the bug is there");
    assert_eq!(failure.origin, Origin::Kept("long".to_owned()));
    assert!(failure.to_string().contains("corpus/broken/long"), "{failure}");
}
