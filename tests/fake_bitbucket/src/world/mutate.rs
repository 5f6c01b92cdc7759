//! Changes to a repository after it was made.

use std::fs;
use std::path::Path;

use super::history::text;
use super::stream::{Change, Stream};
use super::{Repository, RepositoryState};
use crate::stock_git::{bytes_argument, feed, git_in, output, run};

/// Minutes between the history of a recipe and the commits that come later.
const LATER: u64 = 1_000_000;

impl Repository {
    /// Adds a commit to a branch (without `refs/heads/`), which is made from HEAD or from nothing when it is missing.
    ///
    /// Gives the id of the commit.
    pub fn commit(&self, branch: &str) -> String {
        let reference = format!("refs/heads/{branch}");
        let parent = self.existing(&reference).or_else(|| self.existing("HEAD"));
        self.commit_to(&reference, parent.as_deref())
    }

    /// Adds a commit to any reference by its full name, on top of `parent`. Gives the id.
    pub fn commit_to(&self, reference: &str, parent: Option<&str>) -> String {
        let number = self.next_change();
        let content = text(self.id + 1000, 9_000_000, number, 400);
        let change = Change::File(format!("later/{number}.txt"), content);
        self.import(|out| {
            let mut stream = Stream::new(out, LATER + number);
            let message = format!("Later change {number}\n");
            stream.commit_onto(reference.as_bytes(), &message, parent, &[change])
        });
        self.oid(reference)
    }

    /// Adds a commit with one incompressible file of `bytes` bytes. Gives the id.
    pub fn commit_large(&self, branch: &str, bytes: usize) -> String {
        let reference = format!("refs/heads/{branch}");
        let parent = self.existing(&reference);
        let number = self.next_change();
        let content = super::numbers::Numbers::of(&[self.id, number]).bytes(bytes);
        let change = Change::File(format!("later/{number}.bin"), content);
        self.import(|out| {
            let mut stream = Stream::new(out, LATER + number);
            stream.commit_onto(reference.as_bytes(), "Large\n", parent.as_deref(), &[change])
        });
        self.oid(&reference)
    }

    /// Takes the newest `back` commits off a branch and adds another one. Gives the id of the new tip.
    pub fn force_push(&self, branch: &str, back: usize) -> String {
        let reference = format!("refs/heads/{branch}");
        let parent = self.oid(&format!("{reference}~{back}"));
        self.set_ref(&reference, &parent);
        self.commit(branch)
    }

    /// Lets a reference (full name) point at what `target` names; makes it if needed.
    pub fn set_ref(&self, name: impl AsRef<[u8]>, target: &str) {
        let target = self.oid(target);
        run(git_in(&self.path()).args(["update-ref", "--no-deref"]).arg(bytes_argument(name.as_ref())).arg(target));
    }

    /// Deletes a reference by its full name.
    pub fn delete_ref(&self, name: impl AsRef<[u8]>) {
        run(git_in(&self.path()).args(["update-ref", "--no-deref", "-d"]).arg(bytes_argument(name.as_ref())));
    }

    /// Adds an annotated tag (without `refs/tags/`) of what `target` names.
    pub fn tag(&self, name: &str, target: &str) -> String {
        run(git_in(&self.path()).args(["tag", "-a", "-m", "A later tag", "--"]).args([name, target]));
        self.oid(&format!("refs/tags/{name}"))
    }

    /// Takes `refs/pull-requests/N/from` out of sight, as Bitbucket does with closed pull requests.
    ///
    /// The commit stays and can be fetched by its id with protocol v2. Gives the id.
    pub fn close_pull_request(&self, number: u32) -> String {
        let name = format!("refs/pull-requests/{number}/from");
        let oid = self.oid(&name);
        let hidden = self.path().join(format!("stash-refs/pull-requests/{number}"));
        fs::create_dir_all(&hidden).expect("the repository can be written");
        fs::write(hidden.join("from"), format!("{oid}\n")).expect("the folder was just made");
        self.delete_ref(name);
        oid
    }

    /// Lets HEAD name a branch (without `refs/heads/`), existing or not.
    pub fn set_head(&self, branch: &str) {
        let target = format!("refs/heads/{branch}");
        run(git_in(&self.path()).args(["symbolic-ref", "HEAD", &target]));
    }

    /// Lets HEAD be the id of what `target` names.
    pub fn detach_head(&self, target: &str) {
        self.set_ref("HEAD", target);
    }

    /// Drops every object that cannot be reached: `git gc --prune=now`.
    pub fn gc(&self) {
        run(git_in(&self.path()).args(["reflog", "expire", "--expire=now", "--all"]));
        run(git_in(&self.path()).args(["gc", "--quiet", "--prune=now"]));
    }

    /// Deletes the repository, on the server and on disk.
    pub fn delete(&self) {
        let path = self.path();
        let foreign = self.record().foreign;
        self.world.registry().remove(self.id);
        let deleted = if foreign { fs::remove_file(&path) } else { remove_folder(&path) };
        deleted.expect("the repository can be deleted");
    }

    /// Changes the slug; the id stays. REST still answers to the old address, git does not.
    pub fn rename(&self, slug: &str) {
        self.world.registry().leave_address(self.id);
        self.change(|record| slug.clone_into(&mut record.slug));
    }

    /// Moves the repository to another project, which is made if needed; the id stays. REST still answers to the old
    /// address, git does not.
    pub fn move_to(&self, key: &str) {
        let _ = self.world.project(key);
        self.world.registry().leave_address(self.id);
        self.change(|record| key.clone_into(&mut record.project));
    }

    /// Marks it as archived: it can be fetched and not be pushed to.
    pub fn archive(&self) {
        self.change(|record| record.archived = true);
    }

    /// Takes the mark of [`Repository::archive`] away.
    pub fn unarchive(&self) {
        self.change(|record| record.archived = false);
    }

    /// Lets the REST API say that it is in this state. Git goes on serving it unless a fault says otherwise.
    pub fn set_state(&self, state: RepositoryState) {
        self.change(|record| record.state = state);
    }

    fn change(&self, change: impl FnOnce(&mut super::RepositoryRecord)) {
        let mut registry = self.world.registry();
        change(registry.get_mut(self.id).expect("the repository was not deleted"));
    }

    fn next_change(&self) -> u64 {
        let mut number = 0;
        self.change(|record| {
            assert!(!record.foreign, "an existing repository is not written to");
            record.changes += 1;
            number = record.changes;
        });
        number
    }

    fn existing(&self, revision: &str) -> Option<String> {
        let mut command = git_in(&self.path());
        command.args(["rev-parse", "--quiet", "--verify", "--end-of-options", revision]);
        let output = output(&mut command);
        let oid = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        output.status.success().then_some(oid)
    }

    fn import(&self, write: impl FnOnce(&mut dyn std::io::Write) -> std::io::Result<()>) {
        let mut command = git_in(&self.path());
        command.args(["-c", "fastimport.unpackLimit=1"]);
        command.args(["fast-import", "--quiet", "--force"]);
        feed(&mut command, write);
    }
}

/// A fetch may be writing a lock or a temporary file while the folder goes away: try again.
fn remove_folder(path: &Path) -> std::io::Result<()> {
    fs::remove_dir_all(path).or_else(|_| fs::remove_dir_all(path))
}
