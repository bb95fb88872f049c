//! Chance: a stream of numbers that depends on the seed alone, and the few draws that traffic needs.
//!
//! G1 must hold across releases and machines. So the generator is ChaCha8, a published cipher whose numbers never change;
//! its seed is laid out here; every draw is written here too, because a library may improve its sampling, and
//! with it the numbers, from one version to the next; and the only float operations are those whose result IEEE 754
//! fixes to the last bit (`+ - * /`), never a system's `exp` or `ln`.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};

/// A stream of chance.
#[derive(Debug)]
pub(crate) struct Dice {
    numbers: ChaCha8Rng,
}

/// Choices with unequal chances.
#[derive(Debug)]
pub(crate) struct Weights {
    /// Running sums of the weights, the last one below 2^32.
    sums: Vec<u32>,
}

impl Dice {
    /// The stream of a seed for one purpose: streams of different purposes have nothing to do with each other.
    pub(crate) fn new(seed: u64, purpose: u64) -> Self {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8..16].copy_from_slice(&purpose.to_le_bytes());
        Self { numbers: ChaCha8Rng::from_seed(key) }
    }

    /// A number from 0 to `limit - 1`. The chances differ by less than `limit` / 2^32.
    pub(crate) fn below(&mut self, limit: u32) -> u32 {
        let scaled = u64::from(self.numbers.next_u32()) * u64::from(limit);
        u32::try_from(scaled >> 32).expect("the high half of a 64-bit number has 32 bits")
    }

    /// A number from `first` to `last`, both included.
    pub(crate) fn between(&mut self, first: u32, last: u32) -> u32 {
        first + self.below(last - first + 1)
    }

    /// One item of a list, each with the same chance.
    pub(crate) fn one_of<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(u32::try_from(items.len()).expect("a list of ours is short")) as usize]
    }

    /// The index of one choice.
    pub(crate) fn weighted(&mut self, weights: &Weights) -> usize {
        let total = weights.sums.last().copied().expect("there is a choice");
        let drawn = self.below(total);
        weights.sums.partition_point(|sum| *sum <= drawn)
    }

    /// A number of the standard bell curve, by the sum of twelve even draws: right up to the far tails, never beyond ±6.
    pub(crate) fn bell(&mut self) -> f64 {
        let mut sum = 0_u32;
        for _ in 0..3 {
            let drawn = self.numbers.next_u64();
            sum += [drawn, drawn >> 16, drawn >> 32, drawn >> 48]
                .map(|part| (part & 0xFFFF) as u32)
                .iter()
                .sum::<u32>();
        }
        // Twelve draws of 0 to 65,535: their mean is 12 * 32,767.5, their spread just 65,536.
        (f64::from(sum) - 393_210.0) / 65_536.0
    }
}

impl Weights {
    /// Choices with these weights.
    pub(crate) fn new(weights: impl Iterator<Item = u32>) -> Self {
        let sums = weights.scan(0_u32, |sum, weight| {
            *sum = sum.checked_add(weight).expect("the weights together stay below 2^32");
            Some(*sum)
        });
        Self { sums: sums.collect() }
    }
}

/// e to the power of `x` for -10 <= x <= 10, right to nine digits, made of exactly defined operations only.
pub(crate) fn exp(x: f64) -> f64 {
    debug_assert!((-10.0..=10.0).contains(&x), "exp({x})");
    let small = x / 1024.0;
    let mut power = 1.0 + small * (1.0 + small / 2.0 * (1.0 + small / 3.0 * (1.0 + small / 4.0)));
    for _ in 0..10 {
        power *= power;
    }
    power
}

/// A number that depends on the seed and a place (a customer, a time slot) and on nothing drawn before.
pub(crate) fn fate(seed: u64, place: u64) -> u64 {
    // SplitMix64 over both: a fixed recipe, for the same reason as above.
    let mut mixed = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ place.wrapping_add(0x632B_E59B_D9B4_E019);
    for factor in [0xBF58_476D_1CE4_E5B9, 0x94D0_49BB_1331_11EB] {
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(factor);
    }
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g1_the_numbers_of_a_seed_never_change() {
        let mut dice = Dice::new(42, 1);
        let drawn: Vec<u32> = (0..6).map(|_| dice.below(1000)).collect();
        assert_eq!(drawn, [613, 524, 769, 151, 916, 498]);
        assert_eq!(fate(42, 7), 13_546_533_226_919_847_037);
    }

    #[test]
    fn draws_are_even() {
        let mut dice = Dice::new(1, 1);
        let mut counts = [0_u32; 7];
        for _ in 0..70_000 {
            counts[dice.below(7) as usize] += 1;
        }
        assert!(counts.iter().all(|count| count.abs_diff(10_000) < 400), "{counts:?}");
    }

    #[test]
    fn weights_are_kept() {
        let weights = Weights::new([1, 0, 3].into_iter());
        let mut dice = Dice::new(1, 1);
        let mut counts = [0_u32; 3];
        for _ in 0..40_000 {
            counts[dice.weighted(&weights)] += 1;
        }
        assert!(counts[0].abs_diff(10_000) < 400 && counts[1] == 0, "{counts:?}");
    }

    #[test]
    fn the_bell_has_mean_0_and_spread_1() {
        let mut dice = Dice::new(1, 1);
        let drawn: Vec<f64> = (0..100_000).map(|_| dice.bell()).collect();
        let mean = drawn.iter().sum::<f64>() / 1e5;
        let variance = drawn.iter().map(|x| x * x).sum::<f64>() / 1e5;
        assert!(mean.abs() < 0.02 && (variance - 1.0).abs() < 0.02, "mean {mean}, variance {variance}");
    }

    #[test]
    fn exp_is_exp() {
        for step in -80..=80 {
            let x = f64::from(step) / 8.0;
            assert!((exp(x) / x.exp() - 1.0).abs() < 1e-9, "{x}");
        }
    }
}
