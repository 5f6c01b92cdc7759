//! What the server holds: projects and real bare repositories with real history.
//!
//! A [`World`] owns a temporary folder. Repositories are described by a [`Recipe`], made with stock git, and
//! changed later through their [`Repository`] handle. The same recipe gives the same object ids on every run:
//! dates and contents come from a seed. Everything here panics with a clear message when git refuses, because
//! this is test equipment. All calls block while git works, usually for milliseconds.

mod build;
mod history;
mod mutate;
mod numbers;
mod project;
mod recipe;
mod registry;
mod repository;
mod stream;

pub use project::Project;
pub use recipe::Recipe;
pub use registry::RepositoryState;
pub use repository::Repository;

pub(crate) use registry::{Owner, ProjectRecord, RepositoryRecord};

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use registry::Registry;
use tempfile::TempDir;

/// Projects and repositories in a temporary folder; a cheap handle that can be cloned.
///
/// The folder disappears with the last handle.
#[derive(Clone, Debug)]
pub struct World {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    folder: TempDir,
    registry: Mutex<Registry>,
}

impl World {
    /// An empty world.
    ///
    /// # Panics
    /// When no temporary folder can be made.
    #[must_use]
    pub fn new() -> Self {
        let folder =
            tempfile::Builder::new().prefix("fake-bitbucket-").tempdir().expect("a temporary folder can be made");
        for name in ["repositories", "home"] {
            std::fs::create_dir(folder.path().join(name)).expect("the folder is fresh");
        }
        let registry = Mutex::new(Registry::default());
        Self { inner: Arc::new(Inner { folder, registry }) }
    }

    /// The project with this key, made on first use. A key that begins with `~` is a personal project.
    #[must_use]
    pub fn project(&self, key: &str) -> Project {
        self.registry().ensure_project(key);
        Project::new(self.clone(), key)
    }

    /// The repository with this address, if there is one.
    #[must_use]
    pub fn find(&self, key: &str, slug: &str) -> Option<Repository> {
        let id = self.registry().find(key, slug)?.id;
        Some(Repository::new(self.clone(), id))
    }

    /// Every repository, in the order of their ids.
    #[must_use]
    pub fn repositories(&self) -> Vec<Repository> {
        let ids: Vec<u64> = self.registry().repositories().map(|r| r.id).collect();
        ids.into_iter().map(|id| Repository::new(self.clone(), id)).collect()
    }

    pub(crate) fn registry(&self) -> MutexGuard<'_, Registry> {
        self.inner.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The folder that `git http-backend` serves.
    pub(crate) fn repositories_folder(&self) -> PathBuf {
        self.inner.folder.path().join("repositories")
    }

    /// A home without any configuration, for git.
    pub(crate) fn home(&self) -> PathBuf {
        self.inner.folder.path().join("home")
    }

    pub(crate) fn repository_path(&self, id: u64) -> PathBuf {
        self.repositories_folder().join(format!("{id}.git"))
    }
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}
