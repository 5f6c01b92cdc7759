//! The system's notifications, as hints.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use notify::event::{AccessKind, AccessMode};
use notify::{Config, Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc::Sender;

use super::hops::Hops;

/// Something that may have changed what is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hint {
    /// An entry of a watched directory, or the directory itself.
    Moved,
    /// Nobody knows what: the system's queue was too short, or reading it failed.
    Lost,
}

/// Where the system's notifications go.
pub(super) type Hear = Box<dyn FnMut(notify::Result<Event>) + Send>;

/// Opens the system's notifications.
pub(super) type Open = fn(Hear) -> notify::Result<Box<dyn Watcher + Send>>;

/// The notifications of this system.
pub(super) fn system(hear: Hear) -> notify::Result<Box<dyn Watcher + Send>> {
    Ok(Box::new(RecommendedWatcher::new(hear, Config::default())?))
}

/// What a notification must be about to be a hint.
type Interest = Arc<Mutex<BTreeSet<PathBuf>>>;

/// The directories that are watched.
pub(super) struct Watches {
    open: Option<Open>,
    watcher: Option<Box<dyn Watcher + Send>>,
    watched: BTreeSet<PathBuf>,
    interest: Interest,
    hints: Sender<Hint>,
}

impl Watches {
    /// Watches nothing yet. Hints go to `hints`; without `open` there are none.
    pub(super) fn new(open: Option<Open>, hints: Sender<Hint>) -> Self {
        Self { open, watcher: None, watched: BTreeSet::new(), interest: Interest::default(), hints }
    }

    /// Watches the directories of these hops and no others. The error says which of them cannot be watched and why.
    pub(super) fn follow(&mut self, hops: &Hops) -> Result<(), String> {
        let Some(open) = self.open else { return Ok(()) };
        let directories = hops.directories();
        let interest = hops.entries.union(&directories).cloned().collect();
        // A thread that panicked while it held the lock left a whole set.
        *self.interest.lock().unwrap_or_else(PoisonError::into_inner) = interest;
        let watcher = match &mut self.watcher {
            Some(watcher) => watcher,
            none => {
                let opened = open(hear(Arc::clone(&self.interest), self.hints.clone()));
                none.insert(opened.map_err(|error| format!("the system gives no notifications: {}", said(&error)))?)
            }
        };
        // All of them anew: one that was deleted or moved away, and made again, is not watched under its old name.
        for directory in std::mem::take(&mut self.watched) {
            let _gone = watcher.unwatch(&directory);
        }
        let mut failed = None;
        for directory in directories {
            match watcher.watch(&directory, RecursiveMode::NonRecursive) {
                Ok(()) => drop(self.watched.insert(directory)),
                Err(error) if matches!(error.kind, notify::ErrorKind::PathNotFound) => {}
                Err(error) => {
                    failed.get_or_insert_with(|| format!("cannot watch {}: {}", directory.display(), said(&error)));
                }
            }
        }
        failed.map_or(Ok(()), Err)
    }
}

fn hear(interest: Interest, hints: Sender<Hint>) -> Hear {
    Box::new(move |told| {
        let hint = match told {
            Ok(event) if event.need_rescan() => Hint::Lost,
            Ok(event) => {
                let interest = interest.lock().unwrap_or_else(PoisonError::into_inner);
                if !is_change(event.kind) || !event.paths.iter().any(|path| interest.contains(path)) {
                    return;
                }
                Hint::Moved
            }
            Err(_) => Hint::Lost,
        };
        // A full queue holds hints enough.
        let _full = hints.try_send(hint);
    })
}

/// Whether it can be the trace of somebody who writes: those who read, as we do, leave traces too.
const fn is_change(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write))
        | EventKind::Any
        | EventKind::Create(_)
        | EventKind::Modify(_)
        | EventKind::Remove(_)
        | EventKind::Other => true,
        EventKind::Access(_) => false,
    }
}

/// What went wrong, as a fragment and with what an administrator can do.
fn said(error: &notify::Error) -> String {
    match &error.kind {
        notify::ErrorKind::MaxFilesWatch => {
            "the limit of watches is reached; raise `fs.inotify.max_user_watches` with sysctl".into()
        }
        // EMFILE: this user has as many queues as it may have.
        notify::ErrorKind::Io(cause) if cause.raw_os_error() == Some(24) => {
            format!("{cause}; raise `fs.inotify.max_user_instances` with sysctl")
        }
        notify::ErrorKind::Io(cause) => cause.to_string(),
        notify::ErrorKind::PathNotFound => "it is gone".into(),
        notify::ErrorKind::Generic(_) | notify::ErrorKind::WatchNotFound | notify::ErrorKind::InvalidConfig(_) => {
            error.to_string()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use notify::event::{DataChange, Flag, ModifyKind};
    use tokio::sync::mpsc;

    use super::*;

    #[test]
    fn only_traces_of_writers_about_what_is_followed_are_hints() {
        let (sender, mut hints) = mpsc::channel(8);
        let interest = Interest::default();
        interest.lock().unwrap().insert("/etc/x.kdl".into());
        let mut hear = hear(interest, sender);
        let mut hint = |kind, path: &str| {
            hear(Ok(Event::new(kind).add_path(path.into())));
            hints.try_recv().ok()
        };
        let written = EventKind::Modify(ModifyKind::Data(DataChange::Any));
        assert_eq!(hint(written, "/etc/x.kdl"), Some(Hint::Moved));
        assert_eq!(hint(EventKind::Access(AccessKind::Close(AccessMode::Write)), "/etc/x.kdl"), Some(Hint::Moved));
        for read in [AccessKind::Open(AccessMode::Any), AccessKind::Read, AccessKind::Close(AccessMode::Read)] {
            assert_eq!(hint(EventKind::Access(read), "/etc/x.kdl"), None);
        }
        assert_eq!(hint(written, "/etc/.x.kdl.swp"), None);
    }

    #[test]
    fn a_lost_notification_is_a_hint_about_everything() {
        let (sender, mut hints) = mpsc::channel(1);
        let mut hear = hear(Interest::default(), sender);
        hear(Ok(Event::new(EventKind::Other).set_flag(Flag::Rescan)));
        assert_eq!(hints.try_recv(), Ok(Hint::Lost));
        hear(Err(notify::Error::generic("read failed")));
        hear(Err(notify::Error::generic("and the queue is full")));
        assert_eq!(hints.try_recv(), Ok(Hint::Lost));
    }

    #[test]
    fn our_own_reads_raise_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let (file, last) = (root.join("x.kdl"), root.join("last"));
        fs::write(&file, "x").unwrap();
        let (sender, told) = std::sync::mpsc::channel();
        let mut watcher = system(Box::new(move |event| sender.send(event.unwrap()).unwrap())).unwrap();
        watcher.watch(&root, RecursiveMode::NonRecursive).unwrap();
        for _ in 0..10 {
            assert_eq!(fs::read(&file).unwrap(), b"x");
            assert_eq!(fs::read_dir(&root).unwrap().count(), 1);
        }
        // The system tells in order: what the reads raise comes before this.
        fs::write(&last, "").unwrap();
        let raised: Vec<Event> = told.into_iter().take_while(|event| !event.paths.contains(&last)).collect();
        assert!(!raised.is_empty(), "reading is told, which is why it must be told apart");
        assert!(raised.iter().all(|event| !is_change(event.kind)), "{raised:?}");
    }
}
