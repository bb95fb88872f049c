//! The wake: notify's events merged into one pending hint to look. A hint is never a fact: nothing is read from an event but that something happened (T2).
//!
//! Pitfalls of notify that are handled here: its handler runs on its own thread, so it only notes a hint and never blocks; an overflow comes without paths and means "look
//! at everything"; our own opens and the ledger's writes are events in the same folder, so they are ignored; kinds of renames differ, so they are not told apart; a folder is
//! watched rather than a file, whose watch follows its inode; a watch that is lost with its folder is made again; a folder that cannot be watched, or whose changes arrive without
//! events (NFS, SMB, container mounts), is polled. One event is not one line, nor one write: hints are taken first, then everything is read to its end. notify's own poll watcher compares
//! times in whole seconds and is not used; nor is a debouncer, which would add its delay and hides overflows: hints merge anyway.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use notify::event::{EventKind, ModifyKind};
use notify::{Event, RecursiveMode, Watcher};
use prometheus_client::metrics::counter::Counter;

use crate::tail::names::rotated;
use crate::tail::ports::Watch;
use crate::tail::siblings::folder_of;

/// How often files are looked at when their changes arrive without notifications.
const POLL_EVERY: Duration = Duration::from_millis(100);
/// So many changes in a row without a notification mean that none will come.
const MISSED_MAX: u32 = 3;

/// What may have happened since the last look.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hints {
    /// Anything.
    pub everything: bool,
    /// Files may have come that are not known yet.
    pub names: bool,
    /// Something to these logs or their siblings.
    pub paths: HashSet<PathBuf>,
}

impl Hints {
    /// Anything may have happened.
    pub fn everything() -> Self {
        Self { everything: true, ..Self::default() }
    }

    /// Whether nothing is known to have happened.
    pub fn is_empty(&self) -> bool {
        !self.everything && !self.names && self.paths.is_empty()
    }
}

/// The followed logs by the name of their files; logs of several folders can share one.
type Names = HashMap<OsString, Vec<PathBuf>>;

/// What the handler of notify's thread shares with us.
#[derive(Debug, Default)]
struct Shared {
    /// Notifications that were lost because too many came at once.
    overflows: Counter,
    hints: Mutex<Hints>,
    names: Mutex<Names>,
    /// Watched folders.
    watched: Mutex<HashSet<PathBuf>>,
}

/// Ends a wait.
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

/// Waits for hints.
#[derive(Debug)]
pub struct Wake {
    signal: Receiver<()>,
    waker: Waker,
    shared: Arc<Shared>,
}

/// Watches the folders in which the followed files live.
pub struct FolderWatch {
    watcher: Option<notify::RecommendedWatcher>,
    shared: Arc<Shared>,
    /// Folders that were not there when they were to be watched.
    missing: HashSet<PathBuf>,
}

impl std::fmt::Debug for FolderWatch {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("FolderWatch").field("shared", &self.shared).finish_non_exhaustive()
    }
}

/// A watch that watches nothing yet, and the place where its hints are waited for. Without inotify (its limits, an odd file system) it says so once and the regular looks do the work. Overflows are counted.
pub fn wake(overflows: Counter) -> (Wake, FolderWatch) {
    let (sender, signal) = sync_channel(1);
    let waker = Waker(sender);
    let shared = Arc::new(Shared { overflows, ..Shared::default() });
    let (handler_waker, handler_shared) = (waker.clone(), Arc::clone(&shared));
    let handler = move |event: notify::Result<Event>| {
        if handler_shared.note(event.as_ref().ok()) {
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
    let wake = Wake { signal, waker, shared: Arc::clone(&shared) };
    (wake, FolderWatch { watcher, shared, missing: HashSet::new() })
}

impl Wake {
    /// Somebody else may end a wait too.
    pub fn waker(&self) -> Waker {
        self.waker.clone()
    }

    /// Waits for hints, at most `longest`, and takes them.
    pub fn wait(&self, longest: Duration) -> Hints {
        match self.signal.recv_timeout(longest) {
            Ok(()) | Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
        }
        std::mem::take(&mut *lock(&self.shared.hints))
    }
}

impl Watch for FolderWatch {
    fn watch(&mut self, path: &Path) {
        if let Some(name) = path.file_name() {
            lock(&self.shared.names).entry(name.to_owned()).or_default().push(path.to_owned());
        }
        let folder = folder_of(path);
        if lock(&self.shared.watched).contains(folder) {
            return;
        }
        if !folder.is_dir() {
            self.missing.insert(folder.to_owned());
            return;
        }
        let Some(watcher) = &mut self.watcher else { return };
        // Noted before, so that its loss is seen from the first instant on.
        lock(&self.shared.watched).insert(folder.to_owned());
        match watcher.watch(folder, RecursiveMode::NonRecursive) {
            Ok(()) => tracing::debug!(folder = %folder.display(), "watching"),
            // Mostly one of inotify's limits (`max_user_watches`), which others use up too. One instance and one watch for each folder are all that we ask for, and to go without is no reason to end:
            // what grows unannounced is found by the looks, counted, and polled for ([`Watchfulness`]).
            Err(error) => {
                tracing::warn!(folder = %folder.display(), %error, "folder cannot be watched, looking at it regularly instead")
            }
        }
    }

    fn again(&mut self) {
        let gone: Vec<PathBuf> =
            lock(&self.shared.watched).iter().filter(|folder| !folder.is_dir()).cloned().collect();
        for folder in gone {
            lock(&self.shared.watched).remove(&folder);
            if let Some(Err(error)) = self.watcher.as_mut().map(|watcher| watcher.unwatch(&folder)) {
                tracing::debug!(folder = %folder.display(), %error, "its watch went with it");
            }
            self.missing.insert(folder);
        }
        let back: Vec<PathBuf> = self.missing.iter().filter(|folder| folder.is_dir()).cloned().collect();
        for folder in back {
            self.missing.remove(&folder);
            if let Some(watcher) = &mut self.watcher {
                lock(&self.shared.watched).insert(folder.clone());
                if let Err(error) = watcher.watch(&folder, RecursiveMode::NonRecursive) {
                    tracing::warn!(folder = %folder.display(), %error, "folder cannot be watched, looking at it regularly instead");
                }
            }
        }
    }
}

impl Shared {
    /// Notes what an event can mean; an error means that anything may have happened. True when there is something to be looked at.
    fn note(&self, event: Option<&Event>) -> bool {
        let Some(event) = event.filter(|event| !event.need_rescan() && !event.paths.is_empty()) else {
            if event.is_some_and(Event::need_rescan) {
                self.overflows.inc();
            }
            lock(&self.hints).everything = true;
            return true;
        };
        if matches!(event.kind, EventKind::Access(_)) {
            return false;
        }
        let renamed = !matches!(event.kind, EventKind::Modify(ModifyKind::Data(_) | ModifyKind::Metadata(_)));
        let names = lock(&self.names);
        let mut hints = lock(&self.hints);
        let mut something = false;
        for path in &event.paths {
            let logs = path.file_name().and_then(|name| {
                let base = || names.get(&OsString::from(rotated(name.to_str()?)?.base));
                names.get(name).or_else(base)
            });
            for log in logs.into_iter().flatten() {
                something = true;
                if !hints.paths.contains(log) {
                    hints.paths.insert(log.clone());
                }
            }
            if renamed && logs.is_none() {
                // A new file may fit a glob, and the folder itself may be the one that was renamed or removed. Nothing is read for it but names.
                hints.names = true;
                something = true;
            }
        }
        something
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics between two entries of one change.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Notices that changes arrive without notifications, and has files looked at more often then.
#[derive(Debug, Default)]
pub struct Watchfulness {
    missed: u32,
    polling: bool,
}

impl Watchfulness {
    /// Notes a change that was seen; `unannounced`: no notification had said so. True when that counts as missed.
    pub fn note(&mut self, unannounced: bool) -> bool {
        self.missed = if unannounced { self.missed + 1 } else { 0 };
        if self.missed == MISSED_MAX && !self.polling {
            self.polling = true;
            tracing::warn!(
                every_milliseconds = POLL_EVERY.as_millis(),
                "changes of the followed files arrive without notifications (a network or container mount?), looking at them regularly instead"
            );
        } else if !unannounced && self.polling {
            self.polling = false;
            tracing::info!("changes of the followed files are announced again");
        }
        unannounced
    }

    /// How often to look when nothing was hinted at.
    pub fn look_every(&self, usually: Duration) -> Duration {
        if self.polling { POLL_EVERY } else { usually }
    }
}

#[cfg(test)]
mod tests {
    //! Which events are hints, and when files are polled.

    use super::*;
    use notify::event::{AccessKind, CreateKind, DataChange, Flag, ModifyKind, RenameMode};

    fn hints_of(event: &Event) -> Hints {
        let shared = Shared::default();
        lock(&shared.names).insert("api.log".into(), vec!["/logs/api.log".into()]);
        let something = shared.note(Some(event));
        let hints = lock(&shared.hints).clone();
        assert_eq!(something, !hints.is_empty());
        hints
    }

    #[test]
    fn t2_what_wakes_and_what_does_not() {
        let event = |kind, path: &str| Event::new(kind).add_path(PathBuf::from(path));
        let data = EventKind::Modify(ModifyKind::Data(DataChange::Any));
        let log = Hints { paths: HashSet::from([PathBuf::from("/logs/api.log")]), ..Hints::default() };
        assert_eq!(hints_of(&event(data, "/logs/api.log")), log);
        assert_eq!(hints_of(&event(EventKind::Create(CreateKind::File), "/logs/api.log.1")), log);
        let moved_in = EventKind::Modify(ModifyKind::Name(RenameMode::To));
        assert_eq!(hints_of(&event(moved_in, "/logs/api.log-20240914.gz")), log);
        let ours = event(EventKind::Access(AccessKind::Any), "/logs/api.log");
        assert_eq!(hints_of(&ours), Hints::default(), "our own opens are no hints");
        assert_eq!(
            hints_of(&event(data, "/logs/ledger.db-wal")),
            Hints::default(),
            "nor the ledger's writes"
        );
        let new = event(EventKind::Create(CreateKind::File), "/logs/shop.log");
        assert_eq!(hints_of(&new), Hints { names: true, ..Hints::default() }, "it may fit a glob");
        let overflow = Event::new(EventKind::Other).set_flag(Flag::Rescan);
        assert_eq!(hints_of(&overflow), Hints::everything(), "an overflow means: look at everything");
    }

    #[test]
    fn t2_changes_without_notifications_are_polled_for() {
        let second = Duration::from_secs(1);
        let mut watchfulness = Watchfulness::default();
        for _ in 0..10 {
            watchfulness.note(true);
            watchfulness.note(true);
            assert_eq!(watchfulness.look_every(second), second, "two in a row can be chance");
            watchfulness.note(false);
        }
        for _ in 0..3 {
            watchfulness.note(true);
        }
        assert_eq!(watchfulness.look_every(second), POLL_EVERY);
        watchfulness.note(false);
        assert_eq!(watchfulness.look_every(second), second);
    }
}
