//! The stop signal and the tasks that must end with it, under a deadline. What the tasks do is not its business.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::time::Duration;
use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

/// A wish to stop that every task can see. Asked twice is asked once (S2).
#[derive(Clone, Debug)]
pub struct Stop {
    token: CancellationToken,
}

/// Tasks with names: who is still at work can be told.
#[derive(Debug)]
pub struct Tasks<T> {
    set: JoinSet<T>,
    names: HashMap<Id, &'static str>,
}

/// How a task ended.
#[derive(Debug)]
pub struct Ended<T> {
    /// The task's name.
    pub name: &'static str,
    /// What it returned, or that it panicked or was aborted.
    pub result: Result<T, JoinError>,
}

/// A deadline was missed (S3).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not ended within {deadline:?}: {}", names.join(", "))]
pub struct Late {
    /// The tasks that were still at work; they have been aborted.
    pub names: Vec<&'static str>,
    /// How long they had.
    pub deadline: Duration,
}

impl Stop {
    /// Stops at the first SIGINT or SIGTERM; at the second the process exits at once with `code_at_once`.
    /// Must be called in a tokio runtime, which must go on running.
    ///
    /// From then on a write beyond RLIMIT_FSIZE is an error of that write (EFBIG), as on a full disk; the system would end the process for it (SIGXFSZ).
    pub fn on_signal(code_at_once: u8) -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        // It stays received when this value is gone; that is all that is wanted.
        drop(signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()))?);
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let stop = Self::manual();
        let signalled = stop.clone();
        // Ends with the runtime; no one waits for it.
        tokio::spawn(async move {
            let name = tokio::select! { _ = interrupt.recv() => "SIGINT", _ = terminate.recv() => "SIGTERM" };
            tracing::info!(signal = name, "stopping");
            signalled.stop();
            let name = tokio::select! { _ = interrupt.recv() => "SIGINT", _ = terminate.recv() => "SIGTERM" };
            tracing::warn!(signal = name, "second signal: exiting at once");
            std::process::exit(i32::from(code_at_once));
        });
        Ok(stop)
    }

    /// Never stops by itself.
    pub fn never() -> Self {
        Self::manual()
    }

    /// Stops when [`Stop::stop`] is called.
    pub fn manual() -> Self {
        Self { token: CancellationToken::new() }
    }

    /// A stop of its own that also follows this one: what it stops leaves this one untouched.
    pub fn child(&self) -> Self {
        Self { token: self.token.child_token() }
    }

    /// Asks to stop.
    pub fn stop(&self) {
        self.token.cancel();
    }

    /// Whether a stop was asked for.
    pub fn is_stopped(&self) -> bool {
        self.token.is_cancelled()
    }

    /// Waits until a stop is asked for.
    pub async fn stopped(&self) {
        self.token.cancelled().await;
    }

    /// The future's result, or none when a stop came first (the future is dropped then).
    pub async fn or<F: Future>(&self, future: F) -> Option<F::Output> {
        self.token.run_until_cancelled(future).await
    }
}

impl<T: Send + 'static> Tasks<T> {
    /// No tasks yet.
    pub fn new() -> Self {
        Self { set: JoinSet::new(), names: HashMap::new() }
    }

    /// Starts a task under a name.
    pub fn spawn(&mut self, name: &'static str, task: impl Future<Output = T> + Send + 'static) {
        let handle = self.set.spawn(task);
        self.names.insert(handle.id(), name);
    }

    /// The tasks that are still at work, in the order of their names.
    pub fn names(&self) -> Vec<&'static str> {
        let mut names: Vec<_> = self.names.values().copied().collect();
        names.sort_unstable();
        names
    }

    /// Waits for the next task to end, by itself or by a panic; none when there is none left.
    pub async fn next_ended(&mut self) -> Option<Ended<T>> {
        let joined = self.set.join_next_with_id().await?;
        let (id, result) = match joined {
            Ok((id, value)) => (id, Ok(value)),
            Err(error) => (error.id(), Err(error)),
        };
        let name = self.names.remove(&id).expect("every task was spawned under a name");
        Some(Ended { name, result })
    }

    /// Waits until all tasks have ended, each handed to `ended`, at most for the deadline; then names and aborts the late (S3).
    pub async fn drain(&mut self, deadline: Duration, mut ended: impl FnMut(Ended<T>)) -> Result<(), Late> {
        let end = tokio::time::Instant::now() + deadline;
        loop {
            match tokio::time::timeout_at(end, self.next_ended()).await {
                Ok(Some(task)) => ended(task),
                Ok(None) => return Ok(()),
                Err(_) => {
                    let names = self.names();
                    self.set.shutdown().await;
                    self.names.clear();
                    return Err(Late { names, deadline });
                }
            }
        }
    }
}

impl<T: Send + 'static> Default for Tasks<T> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests;
