//! Names and numbers of projects and repositories: what the REST answers are made of.

use std::collections::BTreeMap;

/// A project as the REST API knows it.
#[derive(Clone, Debug)]
pub(crate) struct ProjectRecord {
    pub(crate) id: u64,
    pub(crate) key: String,
    pub(crate) name: String,
    /// Of a personal project: whose it is.
    pub(crate) owner: Owner,
}

/// What is left of the user to whom a personal project belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// All of it.
    Active,
    /// The account was deleted, or erased: its e-mail address is gone.
    Gone,
}

impl ProjectRecord {
    /// Whether this is somebody's personal project.
    pub(crate) fn is_personal(&self) -> bool {
        self.key.starts_with('~')
    }
}

/// Whether a repository can be read, as the REST API tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RepositoryState {
    /// It can.
    Available,
    /// It is being made, for example by a fork.
    Initialising,
    /// Making it failed.
    InitialisationFailed,
    /// It is out of service.
    Offline,
}

impl RepositoryState {
    /// Bitbucket's word, and the words for people beside it.
    pub(crate) const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Available => ("AVAILABLE", "Available"),
            Self::Initialising => ("INITIALISING", "Initialising"),
            Self::InitialisationFailed => ("INITIALISATION_FAILED", "Initialisation failed"),
            Self::Offline => ("OFFLINE", "Offline"),
        }
    }
}

/// A repository as the REST API knows it.
#[derive(Clone, Debug)]
pub(crate) struct RepositoryRecord {
    pub(crate) id: u64,
    pub(crate) project: String,
    pub(crate) slug: String,
    pub(crate) archived: bool,
    pub(crate) state: RepositoryState,
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
    /// Former keys of projects and former addresses of repositories, in lower case. REST still answers to them.
    former_keys: BTreeMap<String, u64>,
    former_addresses: BTreeMap<(String, String), u64>,
}

impl Registry {
    pub(crate) fn ensure_project(&mut self, key: &str) {
        if self.project(key).is_none() {
            let id = self.projects.len() as u64 + 1;
            let name = format!("Project {key}");
            let key = key.to_owned();
            self.projects.push(ProjectRecord { id, key, name, owner: Owner::Active });
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
            state: RepositoryState::Available,
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

    /// The project that has this key, or had it until it was renamed.
    pub(crate) fn project_by_any_key(&self, key: &str) -> Option<&ProjectRecord> {
        let former = || {
            let id = self.former_keys.get(&key.to_lowercase())?;
            self.projects.iter().find(|project| project.id == *id)
        };
        self.project(key).or_else(former)
    }

    /// The repository that has this address, or had it until it was renamed or moved.
    pub(crate) fn find_by_any_name(&self, key: &str, slug: &str) -> Option<&RepositoryRecord> {
        let former = || self.get(*self.former_addresses.get(&(key.to_lowercase(), slug.to_lowercase()))?);
        self.find(key, slug).or_else(former)
    }

    /// Remembers the address that a repository is about to lose.
    pub(crate) fn leave_address(&mut self, id: u64) {
        if let Some(record) = self.repositories.get(&id) {
            let address = (record.project.to_lowercase(), record.slug.to_lowercase());
            self.former_addresses.insert(address, id);
        }
    }

    /// Takes the owner of a personal project away.
    pub(crate) fn delete_owner(&mut self, key: &str) {
        let project = self.projects.iter_mut().find(|project| project.key == key).expect("the project exists");
        assert!(project.is_personal(), "{key} has no owner");
        project.owner = Owner::Gone;
    }

    /// Gives a project another key; its repositories follow.
    pub(crate) fn rename_project(&mut self, from: &str, to: &str) {
        assert!(self.project(to).is_none(), "there is already a project {to}");
        let ids: Vec<u64> = self.repositories.values().filter(|r| r.project == from).map(|r| r.id).collect();
        for id in ids {
            self.leave_address(id);
            if let Some(record) = self.repositories.get_mut(&id) {
                to.clone_into(&mut record.project);
            }
        }
        let project = self.projects.iter_mut().find(|project| project.key == from).expect("the project exists");
        to.clone_into(&mut project.key);
        let id = project.id;
        self.former_keys.insert(from.to_lowercase(), id);
    }

    pub(crate) fn remove(&mut self, id: u64) {
        self.repositories.remove(&id);
    }
}
