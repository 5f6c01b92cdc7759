//! Names and numbers of projects and repositories: what the REST answers are made of.

use std::collections::BTreeMap;

/// A project as the REST API knows it.
#[derive(Clone, Debug)]
pub(crate) struct ProjectRecord {
    pub(crate) id: u64,
    pub(crate) key: String,
    pub(crate) name: String,
}

impl ProjectRecord {
    /// Whether this is somebody's personal project.
    pub(crate) fn is_personal(&self) -> bool {
        self.key.starts_with('~')
    }
}

/// A repository as the REST API knows it.
#[derive(Clone, Debug)]
pub(crate) struct RepositoryRecord {
    pub(crate) id: u64,
    pub(crate) project: String,
    pub(crate) slug: String,
    pub(crate) archived: bool,
    /// Belongs to somebody else and must not be written to.
    pub(crate) foreign: bool,
    /// How many commits were added after the recipe; keeps later content distinct.
    pub(crate) changes: u64,
}

/// All records; ids are never reused.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    projects: Vec<ProjectRecord>,
    repositories: BTreeMap<u64, RepositoryRecord>,
    last_repository: u64,
}

impl Registry {
    pub(crate) fn ensure_project(&mut self, key: &str) {
        if self.project(key).is_none() {
            let id = self.projects.len() as u64 + 1;
            let name = format!("Project {key}");
            let key = key.to_owned();
            self.projects.push(ProjectRecord { id, key, name });
        }
    }

    pub(crate) fn add(&mut self, project: &str, slug: &str) -> u64 {
        assert!(self.find(project, slug).is_none(), "there is already a repository {project}/{slug}");
        self.last_repository += 1;
        let id = self.last_repository;
        let record = RepositoryRecord {
            id,
            project: project.to_owned(),
            slug: slug.to_owned(),
            archived: false,
            foreign: false,
            changes: 0,
        };
        self.repositories.insert(id, record);
        id
    }

    /// The project with this key; keys are compared without regard to case, as Bitbucket does.
    pub(crate) fn project(&self, key: &str) -> Option<&ProjectRecord> {
        self.projects.iter().find(|project| project.key.eq_ignore_ascii_case(key))
    }

    pub(crate) fn projects(&self) -> impl Iterator<Item = &ProjectRecord> {
        self.projects.iter()
    }

    pub(crate) fn repositories(&self) -> impl Iterator<Item = &RepositoryRecord> {
        self.repositories.values()
    }

    pub(crate) fn find(&self, key: &str, slug: &str) -> Option<&RepositoryRecord> {
        self.repositories.values().find(|r| r.project.eq_ignore_ascii_case(key) && r.slug.eq_ignore_ascii_case(slug))
    }

    pub(crate) fn get(&self, id: u64) -> Option<&RepositoryRecord> {
        self.repositories.get(&id)
    }

    pub(crate) fn get_mut(&mut self, id: u64) -> Option<&mut RepositoryRecord> {
        self.repositories.get_mut(&id)
    }

    pub(crate) fn remove(&mut self, id: u64) {
        self.repositories.remove(&id);
    }
}
