//! The one grammar for ranges of time, as api and page address write it: `from`, `to`, `tz`, `granularity`, `percentiles`, `compare`, `fill`. Pure: texts and the
//! time now come in, values that cannot be wrong or the words of a fault come out. No HTTP, no store.

mod buckets;
mod instant;
mod range;
mod zone;

use stats::Percentile;

pub(crate) use buckets::{Buckets, Granularity};
pub(crate) use range::{Moment, Period, RangeTexts};
pub(crate) use zone::Zone;

/// What is wrong with a parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) parameter: &'static str,
    pub(crate) detail: String,
}

impl Fault {
    pub(crate) fn new(parameter: &'static str, detail: impl Into<String>) -> Self {
        Self { parameter, detail: detail.into() }
    }
}

/// The percentiles of an answer that was asked for none.
pub(crate) const PERCENTILES_DEFAULT: &str = "50,95,99";
/// So many percentiles at once: each costs a walk through every histogram.
const PERCENTILES_MAX: usize = 20;

/// Reads `50,95,99.9`.
pub(crate) fn percentiles(text: &str) -> Result<Vec<Percentile>, Fault> {
    let fault = |detail: String| Fault::new("percentiles", detail);
    let mut percentiles = Vec::new();
    for part in text.split(',') {
        let percentile = Percentile::parse(part).ok_or_else(|| {
            fault(format!(
                "`{}` is not a percentile: expected numbers from 0 to 100 with at most three decimals, such as {PERCENTILES_DEFAULT},99.9",
                shortened(part)
            ))
        })?;
        if percentiles.contains(&percentile) {
            return Err(fault(format!("{percentile} is named twice")));
        }
        percentiles.push(percentile);
        if percentiles.len() > PERCENTILES_MAX {
            return Err(fault(format!("more than {PERCENTILES_MAX} percentiles")));
        }
    }
    Ok(percentiles)
}

/// What stands where there were no requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Fill {
    /// The stretch with no requests, and null for shares and latencies: a gap stays a gap.
    #[default]
    Null,
    /// The same with latencies of 0, for tools that cannot draw gaps. Shares stay null: no traffic is never 100 %.
    Zero,
    /// Nothing: the stretch is left out.
    None,
}

impl Fill {
    pub(crate) fn parse(text: &str) -> Result<Self, Fault> {
        match text {
            "null" => Ok(Fill::Null),
            "zero" => Ok(Fill::Zero),
            "none" => Ok(Fill::None),
            _ => Err(Fault::new("fill", format!("`{}` is none of null, zero, none", shortened(text)))),
        }
    }
}

/// Reads `compare`: whether the period before is wanted, too.
pub(crate) fn compare(text: &str) -> Result<bool, Fault> {
    match text {
        "previous" => Ok(true),
        "none" => Ok(false),
        _ => Err(Fault::new("compare", format!("`{}` is neither previous nor none", shortened(text)))),
    }
}

/// A value from outside as far as it is repeated in an answer.
pub(crate) fn shortened(text: &str) -> String {
    const MAX_CHARS: usize = 40;
    match text.char_indices().nth(MAX_CHARS) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

#[cfg(test)]
mod tests;
