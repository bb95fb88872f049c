//! Makes inputs out of inputs: deterministic from a number, so that every input can be made again. Knows no target.

/// Chance from a seed: splitmix64.
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    /// One of its own for each run of a campaign.
    pub fn new(seed: u64, run: u64) -> Self {
        let mut chance = Self(seed ^ run.wrapping_mul(0xD6E8_FEB8_6659_FD93));
        chance.next();
        chance
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `end`; 0 when that is 0.
    pub fn below(&mut self, end: usize) -> usize {
        ((u128::from(self.next()) * end as u128) >> 64) as usize
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }

    fn range(&mut self, length: usize, longest: usize) -> std::ops::Range<usize> {
        let from = self.below(length + 1);
        let bytes = self.below(longest.min(length - from) + 1);
        from..from + bytes
    }
}

/// An input is not made longer than this.
const BYTES_MAX: usize = 2048;

/// Bytes at which many readers stumble.
const BYTES: &[u8] = b"\0\x01\x09\n\r \"#,-./0129:=[\\\x7f\x80\xc2\xfe\xff";

/// Makes a new input: one of the corpus, changed in one to eight places.
pub fn input(corpus: &[Vec<u8>], tokens: &[&[u8]], chance: &mut Chance) -> Vec<u8> {
    let mut input = corpus.get(chance.below(corpus.len())).cloned().unwrap_or_default();
    let changes = 1 << chance.below(4);
    for _ in 0..changes {
        change(&mut input, corpus, tokens, chance);
    }
    input.truncate(BYTES_MAX);
    input
}

fn change(input: &mut Vec<u8>, corpus: &[Vec<u8>], tokens: &[&[u8]], chance: &mut Chance) {
    let length = input.len();
    let at = chance.below(length);
    match chance.below(12) {
        0 if length > 0 => input[at] ^= 1 << chance.below(8),
        1 if length > 0 => input[at] = chance.byte(),
        2 if length > 0 => input[at] = BYTES[chance.below(BYTES.len())],
        3 if length > 0 => {
            input[at] = input[at].wrapping_add_signed(if chance.below(2) == 0 { 1 } else { -1 })
        }
        4 => drop(input.drain(chance.range(length, 40))),
        5 => {
            // a stretch once more, now and then many times
            let stretch = input[chance.range(length, 30)].to_vec();
            let times = if chance.below(20) == 0 { 20 } else { 1 };
            input.splice(at..at, stretch.repeat(times));
        }
        6 => input.truncate(at),
        7 if !corpus.is_empty() => {
            // the beginning of this one, the end of another
            let other = &corpus[chance.below(corpus.len())];
            let from = chance.below(other.len() + 1);
            input.truncate(at);
            input.extend_from_slice(&other[from..]);
        }
        8 if !corpus.is_empty() => {
            let other = &corpus[chance.below(corpus.len())];
            let stretch = other[chance.range(other.len(), 60)].to_vec();
            input.splice(at..at, stretch);
        }
        9 if !tokens.is_empty() => {
            // a token in place of as many bytes
            let token = tokens[chance.below(tokens.len())];
            let end = length.min(at + token.len());
            input.splice(at..end, token.iter().copied());
        }
        10 if !tokens.is_empty() => {
            let token = tokens[chance.below(tokens.len())];
            input.splice(at..at, token.iter().copied());
        }
        _ => {
            let byte = if chance.below(2) == 0 { BYTES[chance.below(BYTES.len())] } else { chance.byte() };
            input.insert(at, byte);
        }
    }
}
