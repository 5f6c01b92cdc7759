//! Repositories of a project, archived ones included.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{BitbucketError, Client, LARGEST_DOCUMENT, List, short_name};
use crate::http::Authorization;
use crate::model::{ListedRepository, ProjectId, ProjectKey, RepoId, RepoSlug, RepositoryState};

/// A repository as the server knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repository {
    /// Its number: its identity.
    pub id: RepoId,
    /// Its slug, which changes with its name.
    pub slug: RepoSlug,
    /// Its name, for people.
    pub name: String,
    /// The key of its project.
    pub project: ProjectKey,
    /// The number of its project.
    pub project_id: ProjectId,
    /// The name of its project, for people.
    pub project_name: String,
    /// Whether it can be read.
    pub state: RepositoryState,
    /// Whether it is read-only by decision. Its git can be fetched like any other.
    pub archived: bool,
    /// The HTTP clone link as the server gives it: it may name another host, or hold a user name.
    pub clone_link: Option<String>,
}

impl Repository {
    /// What is remembered of it.
    pub fn listed(&self) -> ListedRepository {
        ListedRepository {
            project: self.project.clone(),
            project_id: self.project_id,
            slug: self.slug.clone(),
            state: self.state,
            archived: self.archived,
            stored: None,
        }
    }
}

#[derive(Deserialize)]
#[serde(expecting = "a repository")]
struct Document {
    id: u64,
    slug: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    state: String,
    /// Absent before Bitbucket 8.0.
    #[serde(default)]
    archived: bool,
    project: ProjectDocument,
    #[serde(default)]
    links: Links,
}

#[derive(Deserialize)]
struct ProjectDocument {
    id: u64,
    key: String,
    #[serde(default)]
    name: String,
}

#[derive(Deserialize, Default)]
struct Links {
    #[serde(default)]
    clone: Vec<Link>,
}

#[derive(Deserialize)]
struct Link {
    href: String,
    #[serde(default)]
    name: String,
}

impl Document {
    fn check(self) -> Result<Repository, String> {
        let http = self.links.clone.into_iter().find(|link| link.name == "http");
        Ok(Repository {
            id: RepoId(self.id),
            slug: RepoSlug::new(self.slug.as_str()).map_err(|error| {
                let slug: String = self.slug.chars().take(100).collect();
                format!("the slug {slug:?} is refused: {error}")
            })?,
            name: short_name(self.name),
            project: ProjectKey::new(self.project.key).map_err(|error| error.to_string())?,
            project_id: ProjectId(self.project.id),
            project_name: short_name(self.project.name),
            state: RepositoryState::new(&self.state),
            archived: self.archived,
            clone_link: http.map(|link| link.href),
        })
    }
}

fn read(value: Value) -> Result<Repository, String> {
    let document: Document = serde_json::from_value(value).map_err(|error| error.to_string())?;
    document.check()
}

impl List<Repository> {
    /// The repositories of a project, archived ones included.
    pub fn repositories(project: &ProjectKey) -> Self {
        Self::at(&["rest", "api", "latest", "projects", project.as_str(), "repos"], read)
    }

    /// The repositories of a project for which the account has `permission`, such as `REPO_WRITE`. A server before 8.0
    /// does not know the filter by project: what comes back may be of another one.
    pub fn repositories_with(project: &ProjectKey, permission: &'static str) -> Self {
        let all = Self::at(&["rest", "api", "latest", "repos"], read);
        all.filter("projectkey", project.as_str()).filter("permission", permission)
    }
}

impl Client {
    /// Gets one repository. What comes back may have another slug and project: it may have been renamed or moved.
    pub async fn repository(
        &self,
        authorization: &Authorization,
        project: &ProjectKey,
        slug: &RepoSlug,
    ) -> Result<Repository, BitbucketError> {
        let segments = ["rest", "api", "latest", "projects", project.as_str(), "repos", slug.as_str()];
        let document: Document = self.http.get_json(&segments, &[], authorization, LARGEST_DOCUMENT).await?.value;
        document.check().map_err(|why| BitbucketError::Malformed { resource: segments.join("/"), why })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bitbucket::canned::{Canned, authorization};

    const LEDGER: &str = r#"{"slug":"ledger","id":812,"name":"Ledger","hierarchyId":"01","scmId":"git",
        "state":"AVAILABLE","statusMessage":"Available","forkable":true,"public":false,"archived":true,
        "project":{"key":"PAY","id":7,"name":"Pay","type":"NORMAL"},
        "links":{"clone":[{"href":"ssh://git@bb:7999/pay/ledger.git","name":"ssh"},
        {"href":"https://me@bb/scm/pay/ledger.git","name":"http"}],"self":[]}}"#;

    fn key() -> ProjectKey {
        ProjectKey::new("PAY").unwrap()
    }

    #[tokio::test]
    async fn a_page_quarantines_what_is_hostile() {
        let old = r#"{"slug":"old","id":3,"project":{"key":"PAY","id":7}}"#;
        let climbing = r#"{"slug":"../etc","id":4,"project":{"key":"PAY","id":7}}"#;
        let body = format!(
            r#"{{"size":99,"limit":1000,"isLastPage":false,"start":0,"nextPageStart":17,"values":[{LEDGER},{old},{climbing},{{}}]}}"#
        );
        let path = "/bb/rest/api/latest/projects/PAY/repos?start=0&limit=1000";
        let client = Canned::answer(path, &body).serve().await;
        let page = client.first_page(&List::repositories(&key()), &authorization()).await.unwrap();
        assert_eq!(page.next, Some(17));
        let ids: Vec<u64> = page.values.iter().map(|repository| repository.id.0).collect();
        assert_eq!(ids, [812, 3]);
        assert!(page.values[0].archived && !page.values[1].archived);
        assert_eq!(page.values[0].clone_link.as_deref(), Some("https://me@bb/scm/pay/ledger.git"));
        assert_eq!(page.values[1].clone_link, None);
        let quarantined: Vec<_> = page.quarantined.iter().map(|entry| entry.id).collect();
        assert_eq!(quarantined, [Some(4), None]);
    }

    #[tokio::test]
    async fn quirk_33_a_fork_of_something_invisible_is_a_repository() {
        let forks = [r#""origin":{"slug":"x","id":1}"#, r#""origin":null"#, r#""origin":{"project":null}"#];
        let path = "/bb/rest/api/latest/projects/PAY/repos?start=0&limit=1";
        for origin in forks {
            let fork = format!(r#"{{"slug":"fork","id":9,"project":{{"key":"PAY","id":7,"owner":null}},{origin}}}"#);
            let body = format!(r#"{{"isLastPage":true,"values":[{fork}]}}"#);
            let page = Canned::answer(path, &body)
                .serve()
                .await
                .first_page(&List::repositories(&key()).one_by_one(), &authorization())
                .await
                .unwrap();
            assert_eq!((page.values.len(), page.quarantined.len()), (1, 0), "{origin}");
        }
    }

    #[tokio::test]
    async fn quirk_21_one_repository_under_an_old_name() {
        let client = Canned::answer("/bb/rest/api/latest/projects/PAY/repos/book", LEDGER).serve().await;
        let book = RepoSlug::new("book").unwrap();
        let repository = client.repository(&authorization(), &key(), &book).await.unwrap();
        assert_eq!((repository.slug.as_str(), repository.project_id), ("ledger", ProjectId(7)));
        assert_eq!(repository.state, RepositoryState::Available);
    }
}
