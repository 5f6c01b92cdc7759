//! What people, editors and deployments do to files, on a real disk and with the system's notifications alone.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::watches::{Hear, Open, system};
use super::{FileWatch, Notice, Pace};
use crate::clock::{Clock, SystemClock};
use crate::source::{SourceEvent, SourceTree};

/// So short that a test is over soon; polls never come. What is missing for a moment is not told, however slow the
/// machine is.
const PACE: Pace = Pace {
    quiet: Duration::from_millis(5),
    longest: Duration::from_millis(500),
    settle: Duration::from_millis(10),
    patience: Duration::from_mins(2),
    restless: Duration::from_mins(10),
    poll: Duration::from_hours(1),
    reread: Duration::from_hours(1),
};

/// For tests in which something stays missing.
const IMPATIENT: Pace = Pace { patience: Duration::from_millis(100), ..PACE };

/// So long nothing happens when nothing should.
const SILENCE: Duration = Duration::from_millis(60);

struct Folder {
    root: PathBuf,
    _removed_at_the_end: tempfile::TempDir,
}

impl Folder {
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let folder = Self { root, _removed_at_the_end: folder };
        for (path, text) in files {
            folder.write(path, text);
        }
        folder
    }

    fn at(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    fn write(&self, path: &str, text: &str) {
        fs::create_dir_all(self.at(path).parent().unwrap()).unwrap();
        fs::write(self.at(path), text).unwrap();
    }

    fn link(&self, target: &str, path: &str) {
        fs::create_dir_all(self.at(path).parent().unwrap()).unwrap();
        symlink(target, self.at(path)).unwrap();
    }

    fn rename(&self, from: &str, to: &str) {
        fs::rename(self.at(from), self.at(to)).unwrap();
    }

    /// What most editors do: a new file takes the place of the old one.
    fn save(&self, path: &str, text: &str) {
        self.write("new.tmp", text);
        self.rename("new.tmp", path);
    }

    fn watch(&self, path: &str) -> Watched {
        Watched::new(&self.at(path), Some(system), PACE)
    }

    fn impatient(&self, path: &str) -> Watched {
        Watched::new(&self.at(path), Some(system), IMPATIENT)
    }

    /// Followed, and given out once.
    async fn watched(&self, path: &str) -> Watched {
        let mut watch = self.watch(path);
        watch.changed().await;
        watch
    }
}

struct Watched(FileWatch);

impl Watched {
    fn new(path: &Path, open: Option<Open>, pace: Pace) -> Self {
        Self(FileWatch::with(path, open, pace, Arc::new(SystemClock)))
    }

    async fn next(&mut self) -> SourceEvent {
        tokio::time::timeout(Duration::from_mins(5), self.0.next()).await.expect("an event comes")
    }

    async fn changed(&mut self) -> SourceTree {
        match self.next().await {
            SourceEvent::Changed(snapshot) => snapshot.tree,
            other => panic!("{other:?}"),
        }
    }

    /// The next event is this text of the main file.
    async fn says(&mut self, text: &str) {
        assert_eq!(self.changed().await.main().text, text);
    }

    /// The next event is that something is not there.
    async fn misses(&mut self, path: &Path) -> String {
        match self.next().await {
            SourceEvent::Missing { path: missing, reason, since } => {
                assert_eq!(missing, path, "{reason}");
                assert!(since <= SystemClock.now());
                reason
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn whoever_asks_is_given_what_was_given_before() {
    let folder = Folder::new(&[("xopero.kdl", "one")]);
    let mut watch = folder.watched("xopero.kdl").await;
    watch.0.read_again();
    watch.says("one").await;
}

#[tokio::test]
async fn the_beginning_of_a_file_is_not_taken_for_the_file() {
    let (plan, other) = ("plan \"a\" {\n}\n", "plan \"b\" {\n}\n");
    let all = &[plan, other].concat();
    let folder = Folder::new(&[("xopero.kdl", all)]);
    let mut watch = folder.watched("xopero.kdl").await;
    // Somebody writes in place, and rests between two chunks.
    folder.write("xopero.kdl", plan);
    assert!(tokio::time::timeout(SILENCE, watch.0.next()).await.is_err(), "the rest may come");
    let more = &[all, "plan \"c\"\n"].concat();
    folder.write("xopero.kdl", more);
    watch.says(more).await;
    let mut watch = folder.impatient("xopero.kdl");
    watch.says(more).await;
    folder.write("xopero.kdl", plan);
    watch.says(plan).await;
}

#[tokio::test]
async fn editors_save_in_many_ways() {
    let folder = Folder::new(&[("xopero.kdl", "one")]);
    let mut watch = folder.watch("xopero.kdl");
    watch.says("one").await;
    folder.write("xopero.kdl", "two // in place");
    watch.says("two // in place").await;
    for text in ["three", "four"] {
        folder.save("xopero.kdl", text);
        watch.says(text).await;
    }
    // vim keeps a backup.
    folder.rename("xopero.kdl", "xopero.kdl~");
    folder.write("xopero.kdl", "five");
    fs::remove_file(folder.at("xopero.kdl~")).unwrap();
    watch.says("five").await;
    // emacs locks with a link that leads nowhere.
    folder.link("somebody@somewhere.123", ".#xopero.kdl");
    folder.write("#xopero.kdl#", "five and a half");
    folder.save("xopero.kdl", "six");
    fs::remove_file(folder.at(".#xopero.kdl")).unwrap();
    watch.says("six").await;
    // git takes the file away and writes another.
    fs::remove_file(folder.at("xopero.kdl")).unwrap();
    folder.write("xopero.kdl", "seven");
    watch.says("seven").await;
}

#[tokio::test]
async fn what_says_the_same_raises_nothing() {
    let folder = Folder::new(&[("xopero.kdl", "one")]);
    let mut watch = folder.watched("xopero.kdl").await;
    folder.write("xopero.kdl", "one");
    folder.save("xopero.kdl", "one");
    fs::set_permissions(folder.at("xopero.kdl"), fs::Permissions::from_mode(0o600)).unwrap();
    folder.write(".xopero.kdl.swp", "a file that nobody asked for");
    folder.write(".xopero/state.db", "state");
    // Looks for itself: the hints above are answered.
    assert!(tokio::time::timeout(SILENCE, watch.0.next()).await.is_err());
    folder.write("xopero.kdl", "two");
    watch.says("two").await;
}

#[tokio::test]
async fn many_writes_are_one_change() {
    let folder = Folder::new(&[("xopero.kdl", "one")]);
    let mut watch = folder.watched("xopero.kdl").await;
    for round in 0..50 {
        folder.write("xopero.kdl", &format!("round {round}"));
    }
    watch.says("round 49").await;
}

#[tokio::test]
async fn a_config_map_is_swapped_as_a_whole() {
    let folder = Folder::new(&[("mount/..1/xopero.kdl", "one")]);
    folder.link("..1", "mount/..data");
    folder.link("..data/xopero.kdl", "mount/xopero.kdl");
    let mut watch = folder.watch("mount/xopero.kdl");
    watch.says("one").await;
    for (version, before, text) in [("..2", "..1", "two"), ("..3", "..2", "three")] {
        folder.write(&format!("mount/{version}/xopero.kdl"), text);
        folder.link(version, "mount/..data_tmp");
        folder.rename("mount/..data_tmp", "mount/..data");
        fs::remove_dir_all(folder.at(&format!("mount/{before}"))).unwrap();
        watch.says(text).await;
    }
}

#[tokio::test]
async fn behind_links_every_hop_is_followed() {
    let folder = Folder::new(&[("store/a/xopero.kdl", "one"), ("store/b/xopero.kdl", "two")]);
    folder.link("../store/a/xopero.kdl", "links/inner.kdl");
    folder.link("links/inner.kdl", "xopero.kdl");
    let mut watch = folder.watch("xopero.kdl");
    watch.says("one").await;
    folder.write("store/a/xopero.kdl", "one, edited");
    watch.says("one, edited").await;
    folder.save("store/a/xopero.kdl", "one, saved");
    watch.says("one, saved").await;
    folder.link("../store/b/xopero.kdl", "links/new");
    folder.rename("links/new", "links/inner.kdl");
    watch.says("two").await;
    folder.save("store/b/xopero.kdl", "two, saved");
    watch.says("two, saved").await;
    fs::remove_file(folder.at("xopero.kdl")).unwrap();
    folder.write("xopero.kdl", "no link at all");
    watch.says("no link at all").await;
}

#[tokio::test]
async fn releases_are_flipped_by_links_and_by_renames() {
    let folder = Folder::new(&[("releases/1/xopero.kdl", "one"), ("releases/2/xopero.kdl", "two")]);
    folder.link("releases/1", "current");
    let mut watch = folder.watch("current/xopero.kdl");
    watch.says("one").await;
    folder.link("releases/2", "next");
    folder.rename("next", "current");
    watch.says("two").await;
    // Deployments without links move directories.
    fs::remove_file(folder.at("current")).unwrap();
    folder.rename("releases/1", "current");
    watch.says("one").await;
    folder.write("other/xopero.kdl", "three");
    folder.rename("current", "before");
    folder.rename("other", "current");
    watch.says("three").await;
    folder.save("current/xopero.kdl", "four");
    watch.says("four").await;
}

#[tokio::test]
async fn folders_are_deleted_and_made_again() {
    let folder = Folder::new(&[("a/b/c/xopero.kdl", "one")]);
    let mut watch = folder.impatient("a/b/c/xopero.kdl");
    watch.says("one").await;
    for text in ["two", "three"] {
        fs::remove_dir_all(folder.at("a")).unwrap();
        watch.misses(&folder.at("a/b/c/xopero.kdl")).await;
        folder.write("a/b/c/xopero.kdl", text);
        watch.says(text).await;
        folder.save("a/b/c/xopero.kdl", &format!("{text}, saved"));
        watch.says(&format!("{text}, saved")).await;
    }
    // So quickly that nobody saw that it was gone.
    fs::remove_dir_all(folder.at("a/b/c")).unwrap();
    folder.write("a/b/c/xopero.kdl", "four");
    watch.says("four").await;
    folder.save("a/b/c/xopero.kdl", "five");
    watch.says("five").await;
}

#[tokio::test]
async fn a_file_that_is_not_there_yet_is_waited_for() {
    let folder = Folder::new(&[]);
    let mut watch = folder.impatient("etc/xopero/xopero.kdl");
    let reason = watch.misses(&folder.at("etc/xopero/xopero.kdl")).await;
    assert!(reason.contains("there is no file"), "{reason}");
    folder.write("etc/xopero/xopero.kdl", "one");
    watch.says("one").await;
}

#[tokio::test]
async fn what_is_missing_or_empty_is_never_given() {
    let folder = Folder::new(&[("xopero.kdl", "one")]);
    let mut watch = folder.impatient("xopero.kdl");
    watch.says("one").await;
    let path = folder.at("xopero.kdl");
    fs::remove_file(&path).unwrap();
    watch.misses(&path).await;
    folder.write("xopero.kdl", "");
    assert!(watch.misses(&path).await.contains("is empty"));
    folder.write("xopero.kdl", "one");
    assert!(matches!(watch.next().await, SourceEvent::Back));
    fs::File::create(&path).unwrap();
    watch.misses(&path).await;
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(watch.misses(&path).await.contains("not a regular file"));
    fs::remove_dir(&path).unwrap();
    watch.misses(&path).await;
    folder.save("xopero.kdl", "two");
    watch.says("two").await;
}

#[tokio::test]
async fn what_is_half_written_gets_time() {
    let folder = Folder::new(&[("xopero.kdl", "one")]);
    let mut watch = folder.watched("xopero.kdl").await;
    folder.write("xopero.kdl", "two {");
    assert!(tokio::time::timeout(SILENCE, watch.0.next()).await.is_err(), "it cannot be parsed");
    folder.write("xopero.kdl", "");
    assert!(tokio::time::timeout(SILENCE, watch.0.next()).await.is_err(), "it is empty");
    folder.write("xopero.kdl", "two {}");
    watch.says("two {}").await;
}

#[tokio::test]
async fn what_stays_broken_is_given_for_people_to_see() {
    let folder = Folder::new(&[("xopero.kdl", "one")]);
    let mut watch = folder.impatient("xopero.kdl");
    watch.says("one").await;
    folder.write("xopero.kdl", "two {");
    let tree = watch.changed().await;
    assert!(!tree.sources().is_well_formed());
}

#[tokio::test]
async fn files_that_are_named_are_followed_too() {
    let main = "include \"teams/web.kdl\"\nproject \"P\" { credential { token file=\"t.age\"; }; }\n";
    let folder = Folder::new(&[("c/xopero.kdl", main), ("c/teams/real.kdl", "a"), ("c/t.age", "sealed")]);
    folder.link("real.kdl", "c/teams/web.kdl");
    let mut watch = folder.impatient("c/xopero.kdl");
    watch.changed().await;
    let digests = |tree: &SourceTree| tree.source().files.iter().map(|file| file.path.clone()).collect::<Vec<_>>();
    for (path, text) in [("c/teams/real.kdl", "b"), ("c/t.age", "other"), ("c/teams/real.kdl", "c")] {
        folder.save(path, text);
        assert_eq!(digests(&watch.changed().await), ["t.age", "teams/web.kdl"]);
    }
    fs::remove_dir_all(folder.at("c/teams")).unwrap();
    watch.misses(&folder.at("c/teams/web.kdl")).await;
    folder.write("c/teams/web.kdl", "c");
    assert!(matches!(watch.next().await, SourceEvent::Back));
    folder.write("c/teams/web.kdl", "");
    watch.misses(&folder.at("c/teams/web.kdl")).await;
    folder.write("c/teams/web.kdl", "d");
    watch.changed().await;
    // A file that was not named before.
    folder.write("c/new.kdl", "e");
    folder.save("c/xopero.kdl", "include \"new.kdl\"\n");
    assert_eq!(digests(&watch.changed().await), ["new.kdl"]);
    folder.save("c/new.kdl", "f");
    watch.changed().await;
}

#[tokio::test]
async fn without_notifications_it_is_polled_and_said() {
    fn refused(_: Hear) -> notify::Result<Box<dyn notify::Watcher + Send>> {
        Err(notify::Error::new(notify::ErrorKind::MaxFilesWatch))
    }
    let folder = Folder::new(&[("xopero.kdl", "one")]);
    let pace = Pace { poll: Duration::from_millis(20), ..IMPATIENT };
    let mut watch = Watched::new(&folder.at("xopero.kdl"), Some(refused), pace);
    match watch.next().await {
        SourceEvent::Polling { reason } => assert!(reason.contains("max_user_watches"), "{reason}"),
        other => panic!("{other:?}"),
    }
    watch.says("one").await;
    folder.save("xopero.kdl", "two");
    watch.says("two").await;
    fs::remove_file(folder.at("xopero.kdl")).unwrap();
    watch.misses(&folder.at("xopero.kdl")).await;
}

#[tokio::test]
async fn a_poll_is_chosen_and_a_wake_is_heard() {
    let folder = Folder::new(&[("xopero.kdl", "one")]);
    let mut watch = Watched(FileWatch::new(&folder.at("xopero.kdl"), Notice::Poll, PACE, Arc::new(SystemClock)));
    watch.says("one").await;
    folder.write("xopero.kdl", "two");
    assert!(tokio::time::timeout(SILENCE, watch.0.next()).await.is_err(), "the next poll is in an hour");
    watch.0.wake();
    watch.says("two").await;
}
