//! A campaign: the kept inputs, then as many made ones as asked for. The first input that fails is made smaller, written to a file, and told with the command that shows it again.

use std::cell::RefCell;
use std::fmt;
use std::fs;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::sync::Once;

use crate::Target;
use crate::mutate::{self, Chance};

/// So many tries to make a failing input smaller.
const SHRINK_RUNS: usize = 5_000;

/// What to do.
#[derive(Clone, Copy, Debug)]
pub struct Plan<'a> {
    /// What is fuzzed.
    pub target: Target,
    /// The kept inputs, by name.
    pub corpus: &'a [(String, Vec<u8>)],
    /// Decides every input that is made.
    pub seed: u64,
    /// How many are made.
    pub mutations: u64,
    /// Where an input that fails is written.
    pub found: &'a Path,
}

/// An input that fails. Its `Display` says what to do with it.
#[derive(Debug)]
pub struct Failure {
    /// Of which target.
    pub target: &'static str,
    /// The input, made as small as it could be.
    pub input: Vec<u8>,
    /// Its length before.
    pub found_bytes: usize,
    /// Which run made it.
    pub origin: Origin,
    /// What the target said.
    pub words: String,
    /// Where the input is.
    pub file: PathBuf,
}

/// Where an input came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The corpus: the name of its file.
    Kept(String),
    /// A mutation: what makes it again.
    Made {
        /// The campaign's seed.
        seed: u64,
        /// The number of the mutation.
        run: u64,
    },
}

impl Plan<'_> {
    /// Runs it.
    pub fn run(&self) -> Result<(), Failure> {
        for (name, input) in self.corpus {
            self.try_input(input, || Origin::Kept(name.clone()))?;
        }
        let corpus: Vec<Vec<u8>> = self.corpus.iter().map(|(_, input)| input.clone()).collect();
        for run in 0..self.mutations {
            let input = mutate::input(&corpus, self.target.tokens, &mut Chance::new(self.seed, run));
            self.try_input(&input, || Origin::Made { seed: self.seed, run })?;
        }
        Ok(())
    }

    fn try_input(&self, input: &[u8], origin: impl FnOnce() -> Origin) -> Result<(), Failure> {
        let Err(_) = attempt(self.target, input) else { return Ok(()) };
        let small = shrink(self.target, input);
        let words = attempt(self.target, &small).expect_err("it fails: that is what it was kept for");
        let file = self.found.join(format!("{}-{:08x}", self.target.name, checksum(&small)));
        let written = fs::create_dir_all(self.found).and_then(|()| fs::write(&file, &small));
        let words =
            written.map_or_else(|error| format!("{words} (not written: {error})"), |()| words.clone());
        let (target, found_bytes) = (self.target.name, input.len());
        Err(Failure { target, input: small, found_bytes, origin: origin(), words, file })
    }
}

/// Runs a target on one input; its words when it panics. Nothing is printed.
pub fn attempt(target: Target, input: &[u8]) -> Result<(), String> {
    thread_local! {
        static WORDS: RefCell<Option<String>> = const { RefCell::new(None) };
    }
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let other = panic::take_hook();
        panic::set_hook(Box::new(move |panicked| {
            let quiet = WORDS.with_borrow_mut(|words| match words {
                Some(words) => {
                    *words = panicked.to_string();
                    true
                }
                None => false,
            });
            if !quiet {
                other(panicked);
            }
        }));
    });
    WORDS.set(Some(String::new()));
    let ended = panic::catch_unwind(AssertUnwindSafe(|| (target.run)(input)));
    let words = WORDS.take().unwrap_or_default();
    ended.map_err(|_| words)
}

/// A smaller input that fails as well: stretches are left out, the long ones first, then bytes become `0`.
pub fn shrink(target: Target, input: &[u8]) -> Vec<u8> {
    let mut small = input.to_vec();
    let mut runs = 0;
    let mut fails = |input: &[u8]| {
        runs += 1;
        runs <= SHRINK_RUNS && attempt(target, input).is_err()
    };
    let mut stretch = small.len();
    while stretch > 0 {
        let mut at = 0;
        let before = small.len();
        while at < small.len() {
            let end = small.len().min(at + stretch);
            let shorter = [&small[..at], &small[end..]].concat();
            if fails(&shorter) {
                small = shorter;
            } else {
                at = end;
            }
        }
        // Single bytes are tried again for as long as that helps.
        if stretch > 1 || small.len() == before {
            stretch /= 2;
        }
    }
    for at in 0..small.len() {
        let byte = std::mem::replace(&mut small[at], b'0');
        if byte == b'0' || !fails(&small) {
            small[at] = byte;
        }
    }
    small
}

/// FNV-1a: names the file.
fn checksum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811C_9DC5, |sum: u32, byte| (sum ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { target, input, found_bytes, origin, words, file } = self;
        let file = file.display();
        writeln!(formatter, "the fuzz target `{target}` fails: {words}")?;
        match origin {
            Origin::Kept(name) => writeln!(formatter, "on the kept input corpus/{target}/{name}")?,
            Origin::Made { seed, run } => writeln!(formatter, "on mutation {run} of seed {seed}")?,
        }
        writeln!(
            formatter,
            "made smaller from {found_bytes} to {} bytes: {}",
            input.len(),
            input.escape_ascii()
        )?;
        writeln!(formatter, "written to {file}; see it again with")?;
        writeln!(formatter, "  cargo run -p fuzz-targets --example fuzz -- {target} --input {file}")?;
        write!(formatter, "when it is repaired, keep it: mv {file} fuzz/corpus/{target}/")
    }
}

impl std::error::Error for Failure {}
