//! A project: where repositories are made.

use std::path::Path;

use super::{Recipe, Repository, World, build};

/// How many different histories [`Project::many`] makes before it copies.
const TEMPLATES: usize = 4;

/// A handle on one project.
#[derive(Clone, Debug)]
pub struct Project {
    world: World,
    key: String,
}

impl Project {
    pub(super) fn new(world: World, key: &str) -> Self {
        let key = key.to_owned();
        Self { world, key }
    }

    /// The project key.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Changes the key; the id stays. REST still answers to the old key. Gives the handle to go on with.
    #[must_use]
    pub fn rename(&self, key: &str) -> Self {
        self.world.registry().rename_project(&self.key, key);
        Self::new(self.world.clone(), key)
    }

    /// Deletes the user to whom this personal project belongs: what is shown of it is inactive, without an e-mail.
    pub fn delete_owner(&self) {
        self.world.registry().delete_owner(&self.key);
    }

    /// Erases the user to whom this personal project belongs: the same under an alias, which is the new key as well.
    #[must_use]
    pub fn erase_owner(&self, key: &str) -> Self {
        self.delete_owner();
        self.rename(key)
    }

    /// Makes a repository from a recipe. The start is [`Recipe::default`]: ten commits over five files on `main`.
    pub fn repository(&self, slug: &str, recipe: impl FnOnce(Recipe) -> Recipe) -> Repository {
        let recipe = recipe(Recipe::default());
        let id = self.world.registry().add(&self.key, slug);
        build::build(&self.world, &self.world.repository_path(id), &recipe);
        let repository = Repository::new(self.world.clone(), id);
        if recipe.archived {
            repository.archive();
        }
        repository
    }

    /// Makes a repository that is a copy of another one of this world, byte for byte.
    pub fn copy(&self, slug: &str, of: &Repository) -> Repository {
        let id = self.world.registry().add(&self.key, slug);
        build::copy_folder(&of.path(), &self.world.repository_path(id));
        Repository::new(self.world.clone(), id)
    }

    /// Makes `count` small repositories `{prefix}-0001` and so on, quickly: a few histories, then copies of them.
    pub fn many(&self, prefix: &str, count: usize) -> Vec<Repository> {
        let mut made: Vec<Repository> = Vec::with_capacity(count);
        for index in 0..count {
            let slug = format!("{prefix}-{:04}", index + 1);
            let repository = if index < TEMPLATES {
                self.repository(&slug, |recipe| recipe.seed(index as u64 + 1).branches(2))
            } else {
                self.copy(&slug, &made[index % TEMPLATES])
            };
            made.push(repository);
        }
        made
    }

    /// Serves a bare repository that exists already, read-only: it is linked, never written to.
    ///
    /// # Panics
    /// When the path is not a bare repository.
    pub fn existing(&self, slug: &str, path: &Path) -> Repository {
        let path = path.canonicalize().expect("the path exists");
        assert!(path.join("objects").is_dir(), "{} is not a bare repository", path.display());
        let id = self.world.registry().add(&self.key, slug);
        std::os::unix::fs::symlink(&path, self.world.repository_path(id)).expect("the repository id is fresh");
        if let Some(record) = self.world.registry().get_mut(id) {
            record.foreign = true;
        }
        Repository::new(self.world.clone(), id)
    }
}
