//! The wake: notify's events merged into one pending hint to look. A hint is never a fact: nothing is read from an event but that something happened (T2).
//!
//! Pitfalls of notify that are handled here: its handler runs on its own thread, so it only sets a hint and never blocks; an overflow comes without paths and means "look
//! at everything"; our own opens and the ledger's writes are events in the same folder, so they are ignored; a folder that cannot be watched is polled.

use std::collections::HashSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use notify::event::EventKind;
use notify::{Event, RecursiveMode, Watcher};

/// A hint to look, at most one pending.
#[derive(Clone, Debug)]
pub struct Waker(SyncSender<()>);

impl Waker {
    /// Leaves the hint.
    pub fn wake(&self) {
        match self.0.try_send(()) {
            // Full means that a hint is pending already; disconnected means that nobody looks any more.
            Ok(()) | Err(TrySendError::Full(()) | TrySendError::Disconnected(())) => {}
        }
    }
}

/// The watcher of the folders in which the followed files live.
pub struct Wake {
    hints: Receiver<()>,
    waker: Waker,
    watcher: Option<notify::RecommendedWatcher>,
    watched: HashSet<PathBuf>,
    names: Arc<Mutex<HashSet<OsString>>>,
}

impl std::fmt::Debug for Wake {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Wake").field("watched", &self.watched).finish_non_exhaustive()
    }
}

impl Default for Wake {
    fn default() -> Self {
        Self::new()
    }
}

impl Wake {
    /// A watcher that watches nothing yet. Without inotify (its limits, an odd file system) it says so once and the regular looks do the work.
    pub fn new() -> Self {
        let (sender, hints) = sync_channel(1);
        let waker = Waker(sender);
        let names = Arc::new(Mutex::new(HashSet::new()));
        let (handler_waker, handler_names) = (waker.clone(), Arc::clone(&names));
        let handler = move |event: notify::Result<Event>| {
            let relevant = match &event {
                Ok(event) => concerns(event, &handler_names),
                Err(_) => true, // Whatever went wrong, a look is never wrong.
            };
            if relevant {
                handler_waker.wake();
            }
        };
        let watcher = match notify::recommended_watcher(handler) {
            Ok(watcher) => Some(watcher),
            Err(error) => {
                tracing::warn!(%error, "files cannot be watched, looking at them regularly instead");
                None
            }
        };
        Self { hints, waker, watcher, watched: HashSet::new(), names }
    }

    /// Somebody else may wake it too.
    pub fn waker(&self) -> Waker {
        self.waker.clone()
    }

    /// Watches the folder of a followed path, or polls it if that cannot be done. The folder rather than the file: a watch on a file follows its inode and is lost with it.
    pub fn watch(&mut self, path: &Path) {
        if let Some(name) = path.file_name() {
            self.names.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned());
        }
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        if self.watched.contains(folder) || !folder.is_dir() {
            return; // A folder that is not there yet is tried again at the next look.
        }
        let Some(watcher) = &mut self.watcher else { return };
        match watcher.watch(folder, RecursiveMode::NonRecursive) {
            Ok(()) => tracing::debug!(folder = %folder.display(), "watching"),
            Err(error) => {
                tracing::warn!(folder = %folder.display(), %error, "folder cannot be watched, looking at it regularly instead")
            }
        }
        self.watched.insert(folder.to_owned());
    }

    /// Waits for a hint, at most `longest`. True when there was one.
    pub fn wait(&self, longest: Duration) -> bool {
        match self.hints.recv_timeout(longest) {
            Ok(()) => true,
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => false,
        }
    }
}

/// Whether an event can mean that there is something to read.
fn concerns(event: &Event, names: &Mutex<HashSet<OsString>>) -> bool {
    if event.need_rescan() || event.paths.is_empty() {
        return true;
    }
    if matches!(event.kind, EventKind::Access(_)) {
        return false;
    }
    let names = names.lock().unwrap_or_else(PoisonError::into_inner);
    event
        .paths
        .iter()
        .any(|path| path.file_name().is_some_and(|name| names.iter().any(|ours| starts_with(name, ours))))
}

fn starts_with(name: &std::ffi::OsStr, prefix: &OsString) -> bool {
    name.as_encoded_bytes().starts_with(prefix.as_encoded_bytes())
}

#[cfg(test)]
mod tests {
    //! Which events are hints.

    use super::*;
    use notify::event::{AccessKind, CreateKind, Flag, ModifyKind};

    #[test]
    fn t2_what_wakes_and_what_does_not() {
        let names = Mutex::new(HashSet::from([OsString::from("api.log")]));
        let event = |kind, path: &str| Event::new(kind).add_path(PathBuf::from(path));
        assert!(concerns(&event(EventKind::Modify(ModifyKind::Any), "/logs/api.log"), &names));
        assert!(concerns(&event(EventKind::Create(CreateKind::File), "/logs/api.log.1"), &names));
        assert!(
            !concerns(&event(EventKind::Access(AccessKind::Any), "/logs/api.log"), &names),
            "our own opens are no hints"
        );
        assert!(
            !concerns(&event(EventKind::Modify(ModifyKind::Any), "/logs/ledger.db-wal"), &names),
            "the ledger's writes are no hints"
        );
        assert!(
            concerns(&Event::new(EventKind::Other).set_flag(Flag::Rescan), &names),
            "an overflow means: look at everything"
        );
    }
}
