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
