//! Traffic: seed + start -> endless requests. Pure: the same seed and the same seconds give the same requests (G1). No file,
//! no clock and no pace in here.

mod dice;
mod history;
mod incidents;
mod realistic;
mod rhythm;
mod seed;

pub(crate) use history::History;
use logline::Record;
use realistic::RealisticTraffic;
use seed::SeedTraffic;

/// The shape of traffic: LOG_PROFILE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Profile {
    Seed,
    Realistic,
}

/// An endless stream of requests.
#[derive(Debug)]
pub(crate) enum Traffic {
    Seed(SeedTraffic),
    Realistic(RealisticTraffic),
}

impl Traffic {
    /// The traffic of a profile and a seed, from that second on.
    pub(crate) fn new(profile: Profile, seed: u64, start: i64) -> Self {
        match profile {
            Profile::Seed => Self::Seed(SeedTraffic::new(seed, start)),
            Profile::Realistic => Self::Realistic(RealisticTraffic::new(seed)),
        }
    }

    /// The next request, made at `now` (`realistic`) or at any time of the 30 days before the start (`seed`).
    pub(crate) fn request(&mut self, now: i64) -> Record<'_> {
        match self {
            Self::Seed(traffic) => {
                let second = traffic.any_time();
                traffic.request(second)
            }
            Self::Realistic(traffic) => traffic.request(now),
        }
    }

    /// The next request of the history, at just that second.
    pub(crate) fn request_at(&mut self, second: i64) -> Record<'_> {
        match self {
            Self::Seed(traffic) => traffic.request(second),
            Self::Realistic(traffic) => traffic.request(second),
        }
    }
}

#[cfg(test)]
mod tests;
