//! The look at every cell of the ledger after the start: a damaged one must stop us, and not wait until somebody asks for just that customer and day.
//!
//! What takes moments is over before anything else begins. A big ledger goes on being looked at beside the work: a cell is checked again anyway before anything is
//! added to it, so nothing false is built on one that is not yet reached.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use store::embedded::{LedgerError, check_cells};
use tokio::sync::watch;

/// So long the start waits for the look.
const AT_START: Duration = Duration::from_secs(2);

/// A look under way. Ends when dropped.
#[derive(Debug)]
pub struct Checkup {
    found: watch::Receiver<Found>,
    over: Arc<AtomicBool>,
}

#[derive(Clone, Debug)]
enum Found {
    NothingYet,
    Sound,
    Damage(LedgerError),
}

impl Checkup {
    /// Begins the look at the ledger of a STATE_DIR, and waits a moment for what it finds. Errors: there is damage, or the ledger cannot be read.
    pub async fn begin(state_dir: PathBuf) -> Result<Self, LedgerError> {
        let (tell, found) = watch::channel(Found::NothingYet);
        let over = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&over);
        tokio::task::spawn_blocking(move || {
            let begun = Instant::now();
            let found = match check_cells(&state_dir, || !asked.load(Ordering::Relaxed)) {
                Ok(Some(cells)) => {
                    tracing::debug!(
                        cells,
                        seconds = begun.elapsed().as_secs_f64(),
                        "every cell of the ledger is sound"
                    );
                    Found::Sound
                }
                Ok(None) => return, // Nobody wants to know any more.
                Err(error @ LedgerError::Unavailable { .. }) => {
                    tracing::warn!(%error, "the ledger's cells could not all be looked at");
                    Found::Sound
                }
                Err(error) => Found::Damage(error),
            };
            tell.send_replace(found);
        });
        let checkup = Self { found, over };
        match tokio::time::timeout(AT_START, checkup.damage()).await {
            Ok(Some(error)) => Err(error),
            Ok(None) | Err(_) => Ok(checkup),
        }
    }

    /// Waits until every cell was looked at: what was found.
    pub fn damage(&self) -> impl Future<Output = Option<LedgerError>> + Send + use<> {
        let mut found = self.found.clone();
        async move {
            // An error means that the look was given up.
            let found = found.wait_for(|found| !matches!(found, Found::NothingYet)).await.ok()?;
            match &*found {
                Found::Damage(error) => Some(error.clone()),
                Found::NothingYet | Found::Sound => None,
            }
        }
    }
}

impl Drop for Checkup {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}
