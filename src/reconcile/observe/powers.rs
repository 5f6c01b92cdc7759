//! What a credential may do besides reading, by what the server lists for it. Pure.

use crate::bitbucket::{Page, Repository};
use crate::model::ProjectKey;

/// What a credential may do in a project.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Power {
    /// Read repositories.
    Read,
    /// Push into them: it can restore into repositories that are there.
    Write,
    /// Read and change their settings and permissions as well.
    Administer,
    /// Make repositories: it can restore whatever is missing.
    Create,
}

impl Power {
    /// One word for programs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Administer => "repo-admin",
            Self::Create => "project-admin",
        }
    }
}

/// What follows from three lists: whether the project is among those that the account administers, and the first
/// repository of it that it may administer, and write. A list that did not come tells nothing; neither does one of other
/// projects.
pub(super) fn power(
    key: &ProjectKey,
    owns: Option<bool>,
    administers: Option<&Page<Repository>>,
    writes: Option<&Page<Repository>>,
) -> Option<Power> {
    let same = |found: &ProjectKey| found.as_str().eq_ignore_ascii_case(key.as_str());
    if owns? {
        return Some(Power::Create);
    }
    let has = |page: &Page<Repository>| match page.values.first() {
        Some(repository) => same(&repository.project).then_some(true),
        None => Some(false),
    };
    match (has(administers?)?, has(writes?)?) {
        (true, _) => Some(Power::Administer),
        (false, true) => Some(Power::Write),
        (false, false) => Some(Power::Read),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ProjectId, RepoId, RepositoryState};

    fn page<T>(values: Vec<T>) -> Page<T> {
        Page { values, quarantined: Vec::new(), next: None, bytes: 0 }
    }

    fn repositories(key: Option<&str>) -> Page<Repository> {
        let of = |key: &str| Repository {
            id: RepoId(1),
            slug: "ledger".parse().unwrap(),
            name: String::new(),
            project: key.parse().unwrap(),
            project_id: ProjectId(1),
            project_name: String::new(),
            state: RepositoryState::Available,
            archived: false,
            clone_link: None,
        };
        page(key.map(of).into_iter().collect())
    }

    #[test]
    fn the_most_that_the_server_lists_counts() {
        let key = "PAY".parse().unwrap();
        let (none, own, foreign) = (repositories(None), repositories(Some("PAY")), repositories(Some("OPS")));
        let of = |owns, administers, writes| power(&key, Some(owns), Some(administers), Some(writes));
        assert_eq!(of(true, &none, &none), Some(Power::Create));
        assert_eq!(of(false, &own, &own), Some(Power::Administer));
        assert_eq!(of(false, &none, &own), Some(Power::Write));
        assert_eq!(of(false, &none, &none), Some(Power::Read));
        assert_eq!(of(false, &foreign, &own), None, "an old server answers for every project");
        assert_eq!(power(&key, None, Some(&own), Some(&own)), None);
    }
}
