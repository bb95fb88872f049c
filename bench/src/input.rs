//! The logs that are measured: made here, the same for the same arguments, with their number of lines and bytes counted while they are written.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use chrono::{DateTime, Utc};

/// How a log's times go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// A busy service's: 1,000 lines a second, the last of them now.
    Live,
    /// Drawn from the past 30 days, each on its own.
    Shuffled,
}

/// A log that was made.
#[derive(Clone, Debug)]
pub struct Log {
    /// Where it is.
    pub path: PathBuf,
    /// Its lines.
    pub lines: u64,
    /// Its bytes.
    pub bytes: u64,
    /// How many of its lines have each status class from 1xx to 5xx.
    pub classes: [u64; 5],
}

/// The same numbers for the same seed (xorshift64*).
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// Dice of a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % bound
    }
}

pub(crate) const STATUSES: [u16; 7] = [200, 201, 400, 401, 403, 404, 500];
const LIVE_LINES_PER_SECOND: u64 = 1000;
const SHUFFLED_SECONDS: u64 = 30 * 86_400;

/// Writes a log of `lines` lines: `customers` customers, four paths, seven statuses, latencies of 0.100 to 2.000 s, all drawn evenly.
///
/// # Errors
/// The file cannot be written.
pub fn make(
    path: &Path,
    lines: u64,
    customers: u64,
    order: Order,
    now: DateTime<Utc>,
) -> anyhow::Result<Log> {
    let mut file =
        BufWriter::with_capacity(1 << 20, File::create(path).with_context(|| path.display().to_string())?);
    let mut dice = Dice::new(42);
    let now = now.timestamp();
    let (mut bytes, mut classes) = (0, [0; 5]);
    let mut line = Vec::new();
    let (mut stamp, mut stamp_second) = (String::new(), i64::MIN);
    for index in 0..lines {
        let back = match order {
            Order::Live => (lines - 1 - index) / LIVE_LINES_PER_SECOND,
            Order::Shuffled => dice.below(SHUFFLED_SECONDS),
        };
        let second = now - i64::try_from(back).context("a time")?;
        if second != stamp_second {
            let time = DateTime::from_timestamp(second, 0).context("a time")?;
            (stamp, stamp_second) = (time.format("%Y-%m-%d %H:%M:%S").to_string(), second);
        }
        let status = STATUSES[usize::try_from(dice.below(7))?];
        let millis = 100 + dice.below(1901);
        line.clear();
        writeln!(
            line,
            "{stamp} cust_{} /api/v1/resource{} {status} {}.{:03}",
            1 + dice.below(customers),
            1 + dice.below(4),
            millis / 1000,
            millis % 1000
        )?;
        classes[usize::from(status / 100) - 1] += 1;
        bytes += line.len() as u64;
        file.write_all(&line)?;
    }
    file.flush()?;
    Ok(Log { path: path.to_owned(), lines, bytes, classes })
}
