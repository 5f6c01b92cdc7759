//! One repository: where it is and what stock git says about it.

use std::path::PathBuf;

use super::{RepositoryRecord, World};
use crate::judge::{self, Head, Reference};
use crate::stock_git::{git_in, line};

/// A handle on one repository; it stays valid through renames.
#[derive(Clone, Debug)]
pub struct Repository {
    pub(super) world: World,
    pub(super) id: u64,
}

impl Repository {
    pub(super) fn new(world: World, id: u64) -> Self {
        Self { world, id }
    }

    /// The id that the REST API shows.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The bare repository on disk.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.world.repository_path(self.id)
    }

    /// The key of the project.
    #[must_use]
    pub fn project_key(&self) -> String {
        self.record().project
    }

    /// The last part of the address; changes on a rename.
    #[must_use]
    pub fn slug(&self) -> String {
        self.record().slug
    }

    /// The path below the server's URL at which git finds it, such as `/scm/pay/ledger.git`.
    #[must_use]
    pub fn clone_path(&self) -> String {
        let record = self.record();
        format!("/scm/{}/{}.git", record.project.to_lowercase(), record.slug)
    }

    /// Every reference with the id it points at, in the order of names.
    #[must_use]
    pub fn refs(&self) -> Vec<Reference> {
        judge::references(&self.path())
    }

    /// Where HEAD points.
    #[must_use]
    pub fn head(&self) -> Head {
        judge::head(&self.path())
    }

    /// The id of whatever `revision` names: a reference, an id, or an expression of git.
    ///
    /// # Panics
    /// When git does not know it.
    #[must_use]
    pub fn oid(&self, revision: &str) -> String {
        line(git_in(&self.path()).args(["rev-parse", "--verify", "--end-of-options", revision]))
    }

    /// How large the packs and loose objects are, in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        let report = line(git_in(&self.path()).args(["count-objects", "-v"]));
        let kilobytes = report
            .lines()
            .filter_map(|line| line.split_once(": "))
            .filter(|(name, _)| name.starts_with("size"))
            .filter_map(|(_, value)| value.parse::<u64>().ok());
        kilobytes.sum::<u64>() * 1024
    }

    pub(super) fn record(&self) -> RepositoryRecord {
        let registry = self.world.registry();
        let record = registry.get(self.id);
        record.expect("the repository was not deleted").clone()
    }
}
