//! Quantiles by linear interpolation between closest ranks (SQL `percentile_cont`, NumPy's default), in whole numbers. How the values are kept is
//! somebody else's matter.

/// The quantile `q = numerator/denominator` (0 to 1), linear between closest ranks, of sorted microseconds, in nanoseconds, rounded half up. None when
/// empty, or when `q` is not within 0 to 1. The plain form that the histogram is tested against.
pub fn quantile_nanos_of_sorted(sorted_micros: &[u64], numerator: u64, denominator: u64) -> Option<u64> {
    let rank = Rank::of(sorted_micros.len() as u64, numerator, denominator)?;
    let value_at =
        |index: u64| usize::try_from(index).ok().and_then(|index| sorted_micros.get(index)).copied();
    Some(rank.between(value_at(rank.below)?, value_at(rank.above())?))
}

/// Where a quantile lies among `n` sorted values: `h = (n - 1) * q` places behind the first, exactly.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rank {
    /// The whole part of h: the index of the value at or below the quantile.
    pub(crate) below: u64,
    /// The rest of h, as a fraction of `denominator`.
    rest: u64,
    denominator: u64,
}

impl Rank {
    /// None without values, or when `q` is not within 0 to 1.
    pub(crate) fn of(count: u64, numerator: u64, denominator: u64) -> Option<Self> {
        if count == 0 || denominator == 0 || numerator > denominator {
            return None;
        }
        // Nearly always: a division of 64 bits takes a tenth of the time of one of 128.
        if let Some(h) = (count - 1).checked_mul(numerator) {
            return Some(Self { below: h / denominator, rest: h % denominator, denominator });
        }
        let h = u128::from(count - 1) * u128::from(numerator);
        let narrow = |value: u128| {
            u64::try_from(value).expect("h is at most count - 1, its rest less than the denominator")
        };
        let denominator_wide = u128::from(denominator);
        Some(Self { below: narrow(h / denominator_wide), rest: narrow(h % denominator_wide), denominator })
    }

    /// The index of the value at or above the quantile.
    pub(crate) fn above(self) -> u64 {
        self.below + u64::from(self.rest > 0)
    }

    /// The quantile in nanoseconds between the values of the two indexes, rounded half up. Beyond 64 bits (584 years) it stays there.
    pub(crate) fn between(self, below_micros: u64, above_micros: u64) -> u64 {
        debug_assert!(below_micros <= above_micros, "sorted values");
        self.narrow_between(below_micros, above_micros)
            .unwrap_or_else(|| self.wide_between(below_micros, above_micros))
    }

    /// The same where everything fits 64 bits, as it does for whatever people measure.
    fn narrow_between(self, below_micros: u64, above_micros: u64) -> Option<u64> {
        let below = below_micros.checked_mul(1000)?;
        if below_micros == above_micros || self.rest == 0 {
            return Some(below);
        }
        let weighted = (above_micros - below_micros).checked_mul(1000)?.checked_mul(self.rest)?;
        let (whole, part) = (weighted / self.denominator, weighted % self.denominator);
        below.checked_add(whole)?.checked_add(u64::from(part >= self.denominator - part))
    }

    fn wide_between(self, below_micros: u64, above_micros: u64) -> u64 {
        let denominator = u128::from(self.denominator);
        let gap = u128::from(above_micros - below_micros) * 1000;
        // gap * rest / denominator, in two parts so that nothing can exceed 128 bits
        let whole = gap / denominator * u128::from(self.rest);
        let part = gap % denominator * u128::from(self.rest);
        let round_up = part % denominator >= denominator - part % denominator;
        let nanos = u128::from(below_micros) * 1000 + whole + part / denominator + u128::from(round_up);
        u64::try_from(nanos).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_short_way_and_the_long_one_lead_to_the_same(
            count in 1_u64..,
            share in (0_u64..=100_000),
            below: u64,
            above: u64,
            shifts in (0..64_u32, 0..64_u32),
        ) {
            let rank = Rank::of(count >> shifts.0, share, 100_000);
            prop_assert_eq!(rank.is_none(), count >> shifts.0 == 0);
            if let Some(rank) = rank {
                let h = u128::from((count >> shifts.0) - 1) * u128::from(share);
                prop_assert_eq!(u128::from(rank.below) * 100_000 + u128::from(rank.rest), h);
                let (a, b) = (below >> shifts.1, above >> shifts.1);
                let (a, b) = (a.min(b), a.max(b));
                let b = if rank.rest == 0 { a } else { b };
                prop_assert_eq!(rank.between(a, b), rank.wide_between(a, b));
            }
        }
    }
}
