//! Projects: one by its key, and all that an account may see.

use serde::Deserialize;
use serde_json::Value;

use super::{BitbucketError, Client, LARGEST_DOCUMENT, List, short_name};
use crate::http::Authorization;
use crate::model::{Pattern, ProjectId, ProjectKey};

/// A project as the server knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedProject {
    /// Its number: its identity.
    pub id: ProjectId,
    /// Its key, which can be changed.
    pub key: ProjectKey,
    /// Its name, for people.
    pub name: String,
    /// Whether it is somebody's own. Listings of all projects leave those of other people out.
    pub personal: bool,
}

#[derive(Deserialize)]
#[serde(expecting = "a project")]
struct Document {
    id: u64,
    key: String,
    #[serde(default)]
    name: String,
    #[serde(default, rename = "type")]
    kind: String,
}

fn read(value: Value) -> Result<ListedProject, String> {
    let document: Document = serde_json::from_value(value).map_err(|error| error.to_string())?;
    let key = ProjectKey::new(document.key.as_str()).map_err(|error| {
        let key: String = document.key.chars().take(100).collect();
        format!("the key {key:?} is refused: {error}")
    })?;
    let personal = document.kind == "PERSONAL" || key.as_str().starts_with('~');
    Ok(ListedProject { id: ProjectId(document.id), key, name: short_name(document.name), personal })
}

impl List<ListedProject> {
    /// The projects that the account may see. Personal projects of other people are never among them.
    pub fn projects() -> Self {
        Self::at(&["rest", "api", "latest", "projects"], read)
    }

    /// The projects among which those are that fit a pattern. Personal projects of other people, which are on no list of
    /// projects, are those of the repositories that the account may see: each comes once for each of them.
    pub fn projects_fitting(pattern: &Pattern) -> Self {
        if !pattern.as_str().starts_with('~') {
            return Self::projects();
        }
        let of_repository =
            |mut repository: Value| read(repository.get_mut("project").map(Value::take).unwrap_or_default());
        // Without a word on it archived ones are left out.
        Self::at(&["rest", "api", "latest", "repos"], of_repository).filter("archived", "ALL")
    }

    /// The projects that the account administers.
    pub fn administered_projects() -> Self {
        Self::projects().filter("permission", "PROJECT_ADMIN")
    }
}

impl Client {
    /// Gets one project. What comes back may have another key: it may have been renamed.
    pub async fn project(
        &self,
        authorization: &Authorization,
        key: &ProjectKey,
    ) -> Result<ListedProject, BitbucketError> {
        let segments = ["rest", "api", "latest", "projects", key.as_str()];
        let document: Value = self.http.get_json(&segments, &[], authorization, LARGEST_DOCUMENT).await?.value;
        read(document).map_err(|why| BitbucketError::Malformed { resource: segments.join("/"), why })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bitbucket::canned::{Canned, authorization};

    #[tokio::test]
    async fn quirk_21_one_project_under_an_old_key() {
        let body = r#"{"key":"BILL","id":7,"name":"Billing","public":false,"type":"NORMAL","links":{}}"#;
        let client = Canned::answer("/bb/rest/api/latest/projects/PAY", body).serve().await;
        let project = client.project(&authorization(), &ProjectKey::new("PAY").unwrap()).await.unwrap();
        assert_eq!((project.id, project.key.as_str(), project.personal), (ProjectId(7), "BILL", false));
    }

    #[tokio::test]
    async fn quirk_32_a_project_outlives_its_owner() {
        let owners = [
            r#"{"name":"ada","emailAddress":"ada@example.com","active":true,"id":9,"slug":"ada"}"#,
            r#"{"name":"ada","active":false,"displayName":"ada","id":9,"slug":"ada"}"#,
            r#"{"name":"8f14e45f","emailAddress":null,"active":false,"displayName":null,"slug":"8f14e45f"}"#,
            "{}",
            "null",
        ];
        for owner in owners {
            let body = format!(r#"{{"key":"~ada","id":8,"type":"PERSONAL","owner":{owner}}}"#);
            let client = Canned::answer("/bb/rest/api/latest/projects/~ada", &body).serve().await;
            let project = client.project(&authorization(), &ProjectKey::new("~ada").unwrap()).await.unwrap();
            assert_eq!((project.id, project.personal), (ProjectId(8), true), "{owner}");
        }
    }

    #[tokio::test]
    async fn quirk_10_21_personal_projects_are_those_of_the_repositories_that_can_be_seen() {
        let of = |id: u64, project: &str| format!(r#"{{"id":{id},"slug":"../x","project":{project}}}"#);
        let ada = r#"{"key":"~ada","id":8,"type":"PERSONAL","owner":null}"#;
        let values = [of(1, ada), of(2, ada), of(3, r#"{"key":"PAY","id":7}"#), of(4, "null"), "7".into()];
        let body = format!(r#"{{"isLastPage":true,"values":[{}]}}"#, values.join(","));
        let path = "/bb/rest/api/latest/repos?archived=ALL&start=0&limit=1000";
        let client = Canned::answer(path, &body).serve().await;
        let list = List::projects_fitting(&Pattern::new("~*").unwrap());
        let page = client.first_page(&list, &authorization()).await.unwrap();
        let seen: Vec<_> = page.values.iter().map(|project| (project.key.as_str(), project.personal)).collect();
        assert_eq!((seen, page.quarantined.len()), (vec![("~ada", true), ("~ada", true), ("PAY", false)], 2));
        let ordinary = "/bb/rest/api/latest/projects?start=0&limit=1000";
        let client = Canned::answer(ordinary, r#"{"isLastPage":true,"values":[]}"#).serve().await;
        let list = List::projects_fitting(&Pattern::new("TEAM-*").unwrap());
        assert!(client.first_page(&list, &authorization()).await.unwrap().values.is_empty());
    }

    #[tokio::test]
    async fn a_page_of_projects_quarantines_what_is_hostile() {
        let body = r#"{"size":3,"isLastPage":true,"values":[{"key":"PAY","id":7,"name":"Pay"},
            {"key":"~ada","id":8,"type":"PERSONAL"},{"key":"../x","id":9}]}"#;
        let client = Canned::answer("/bb/rest/api/latest/projects?start=0&limit=1000", body).serve().await;
        let page = client.first_page(&List::projects(), &authorization()).await.unwrap();
        let seen: Vec<_> = page.values.iter().map(|project| (project.key.as_str(), project.personal)).collect();
        assert_eq!(seen, [("PAY", false), ("~ada", true)]);
        assert_eq!(page.quarantined.len(), 1);
    }
}
