//! Percentiles that can be asked for, as whole numbers: what is asked for exactly is answered exactly.

use std::fmt;

/// A percentile from 0 to 100 in thousandths of a percent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Percentile(u32);

impl Percentile {
    /// The median.
    pub const P50: Percentile = Percentile(50_000);
    /// The 95th.
    pub const P95: Percentile = Percentile(95_000);
    /// The 99th.
    pub const P99: Percentile = Percentile(99_000);
    /// The greatest that there is.
    const MAX_THOUSANDTHS: u32 = 100_000;

    /// That many thousandths of a percent; None above 100 %.
    pub const fn from_thousandths(thousandths: u32) -> Option<Self> {
        if thousandths <= Self::MAX_THOUSANDTHS { Some(Self(thousandths)) } else { None }
    }

    /// As the fraction numerator/denominator that the histogram takes.
    pub const fn fraction(self) -> (u64, u64) {
        (self.0 as u64, Self::MAX_THOUSANDTHS as u64)
    }

    /// Reads `99` or `99.9`: digits, and up to three decimals. None for everything else.
    pub fn parse(text: &str) -> Option<Self> {
        let (whole, decimals) =
            text.split_once('.').map_or((text, None), |(whole, decimals)| (whole, Some(decimals)));
        let digits = |text: &str, most: usize| {
            (1..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
        };
        if !digits(whole, 3) || decimals.is_some_and(|decimals| !digits(decimals, 3)) {
            return None;
        }
        let decimals = format!("{:0<3}", decimals.unwrap_or_default());
        Self::from_thousandths(whole.parse::<u32>().ok()? * 1000 + decimals.parse::<u32>().ok()?)
    }
}

/// `99.9`: the shortest form.
impl fmt::Display for Percentile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.0 / 1000, self.0 % 1000);
        if rest == 0 {
            return write!(f, "{whole}");
        }
        let decimals = format!("{rest:03}");
        write!(f, "{whole}.{}", decimals.trim_end_matches('0'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn percentiles_are_read_exactly_or_not_at_all() {
        for (text, thousandths) in [
            ("0", 0),
            ("50", 50_000),
            ("99.9", 99_900),
            ("99.99", 99_990),
            ("99.999", 99_999),
            ("100", 100_000),
            ("050", 50_000),
        ] {
            assert_eq!(Percentile::parse(text), Some(Percentile(thousandths)), "{text}");
        }
        for text in [
            "", ".", "50.", ".5", "100.001", "101", "1e1", "-1", "+1", "99.9999", " 50", "p50", "0050",
            "５０",
        ] {
            assert_eq!(Percentile::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_back(thousandths in 0_u32..=100_000) {
            let percentile = Percentile(thousandths);
            prop_assert_eq!(Percentile::parse(&percentile.to_string()), Some(percentile));
        }
    }
}
