//! When the publishing of statistics ends, and how long the last of them may still take. Knows no store and no ledger.

use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// A stop waits that long for the last statistics; what is left is published after the next start.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// What ends it.
#[derive(Clone, Debug)]
pub struct Endings {
    /// The sources are ours: it may begin.
    pub cleared: CancellationToken,
    /// Everything is settled: the last statistics are to be published.
    pub settled: CancellationToken,
    /// The program stops.
    pub stop: CancellationToken,
    /// Ends all patience.
    pub give_up: CancellationToken,
    /// Nothing may be left when it ends (a run that drains).
    pub leaves_nothing: bool,
}

/// Patience is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GivenUp;

/// The end, as the rounds know it: everything may be settled while one goes on, and the last begins only after it.
#[derive(Debug)]
pub(crate) struct LastWords {
    endings: Endings,
    /// When the last rounds began, if they have.
    begun: Option<Instant>,
}

impl LastWords {
    pub(crate) fn of(endings: Endings) -> LastWords {
        LastWords { endings, begun: None }
    }

    /// Whether the next round is one of the last.
    pub(crate) fn have_begun(&self) -> bool {
        self.begun.is_some()
    }

    /// Begins them if everything is settled; true the first time.
    pub(crate) fn begin(&mut self) -> bool {
        let begin = self.begun.is_none() && self.endings.settled.is_cancelled();
        if begin {
            self.begun = Some(Instant::now());
        }
        begin
    }

    /// Waits for something as long as there is patience, which may come to its end meanwhile.
    pub(crate) async fn patiently<V>(&self, something: impl Future<Output = V>) -> Result<V, GivenUp> {
        let Endings { settled, give_up, leaves_nothing, .. } = &self.endings;
        let impatience = async {
            settled.cancelled().await;
            match self.begun {
                _ if *leaves_nothing => std::future::pending().await,
                Some(begun) => tokio::time::sleep_until(begun + LAST_WORDS).await,
                None => tokio::time::sleep(LAST_WORDS).await,
            }
        };
        tokio::select! {
            biased;
            value = something => Ok(value),
            () = give_up.cancelled() => Err(GivenUp),
            () = impatience => Err(GivenUp),
        }
    }

    /// The same between two rounds: over as well as soon as the last can begin.
    pub(crate) async fn idly(&self, something: impl Future<Output = ()>) -> Result<(), GivenUp> {
        self.patiently(async {
            tokio::select! {
                () = something => {}
                () = self.endings.settled.cancelled(), if !self.have_begun() => {}
            }
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn endings(leaves_nothing: bool) -> Endings {
        let token = CancellationToken::new;
        Endings { cleared: token(), settled: token(), stop: token(), give_up: token(), leaves_nothing }
    }

    /// How long a wait for something takes that comes after an hour, and what comes of it.
    async fn waited(wait: impl Future<Output = Result<(), GivenUp>>) -> (Duration, Result<(), GivenUp>) {
        let begun = Instant::now();
        let answer = wait.await;
        (begun.elapsed(), answer)
    }

    /// The last commit woke a round; everything was settled while it went on, and it took that for an end which it knew of: it waited for news
    /// that could not come any more, and the stop for it, 27 s long.
    #[tokio::test(start_paused = true)]
    async fn what_is_settled_during_a_round_ends_the_wait_after_it() {
        let endings = endings(false);
        let mut last = LastWords::of(endings.clone());
        assert!(!last.begin() && !last.have_begun());
        endings.settled.cancel(); // The round before goes on.
        assert_eq!(waited(last.idly(tokio::time::sleep(HOUR))).await, (Duration::ZERO, Ok(())));
        assert!(last.begin() && last.have_begun() && !last.begin());
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_does_not_come_is_awaited_for_three_seconds_after_the_end() {
        let endings = endings(false);
        let mut last = LastWords::of(endings.clone());
        let settled = endings.settled.clone();
        tokio::spawn(async move {
            tokio::time::sleep(10 * LAST_WORDS).await;
            settled.cancel();
        });
        // One that is on its way when everything is settled...
        let answer = || tokio::time::sleep(HOUR);
        assert_eq!(waited(last.patiently(answer())).await, (11 * LAST_WORDS, Err(GivenUp)));
        // ...and the last ones: all together.
        assert!(last.begin());
        let second = Duration::from_secs(1);
        assert_eq!(waited(last.patiently(tokio::time::sleep(second))).await, (second, Ok(())));
        assert_eq!(waited(last.idly(tokio::time::sleep(second))).await, (second, Ok(())));
        assert_eq!(waited(last.patiently(answer())).await, (second, Err(GivenUp)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_that_drains_is_patient_until_it_is_given_up() {
        let endings = endings(true);
        let mut last = LastWords::of(endings.clone());
        endings.settled.cancel();
        assert!(last.begin());
        assert_eq!(waited(last.patiently(tokio::time::sleep(HOUR))).await, (HOUR, Ok(())));
        endings.give_up.cancel();
        assert_eq!(waited(last.patiently(tokio::time::sleep(HOUR))).await, (Duration::ZERO, Err(GivenUp)));
    }
}
