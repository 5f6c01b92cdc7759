//! Projects.

use serde::Deserialize;

use super::{BitbucketError, Client, LARGEST_DOCUMENT, short_name};
use crate::http::Authorization;
use crate::model::ProjectKey;

/// A project as the server knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project {
    /// Its number, which stays when the key changes.
    pub id: u64,
    /// Its key. It differs from the one that was asked for if the project was renamed.
    pub key: ProjectKey,
    /// Its name, for people.
    pub name: String,
}

#[derive(Deserialize)]
struct Document {
    id: u64,
    key: ProjectKey,
    #[serde(default)]
    name: String,
}

impl Client {
    /// Gets a project.
    pub async fn project(&self, authorization: &Authorization, key: &ProjectKey) -> Result<Project, BitbucketError> {
        let segments = ["rest", "api", "latest", "projects", key.as_str()];
        let document: Document = self.http.get_json(&segments, &[], authorization, LARGEST_DOCUMENT).await?.value;
        Ok(Project { id: document.id, key: document.key, name: short_name(document.name) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bitbucket::canned::{Canned, authorization};
    use crate::http::{HttpError, Refusal};

    fn key(text: &str) -> ProjectKey {
        ProjectKey::new(text).unwrap()
    }

    #[tokio::test]
    async fn a_renamed_project_answers_with_its_key() {
        let body = r#"{"key":"PAYMENTS","id":7,"name":"Pay","type":"NORMAL","links":{}}"#;
        let client = Canned::answer("/bb/rest/api/latest/projects/PAY", body).serve().await;
        let project = client.project(&authorization(), &key("PAY")).await.unwrap();
        assert_eq!(project, Project { id: 7, key: key("PAYMENTS"), name: "Pay".into() });
    }

    #[tokio::test]
    async fn a_personal_project_keeps_its_tilde() {
        let body = r#"{"key":"~jdoe","id":8,"name":"J","type":"PERSONAL","owner":{}}"#;
        let client = Canned::answer("/bb/rest/api/latest/projects/~jdoe", body).serve().await;
        assert_eq!(client.project(&authorization(), &key("~jdoe")).await.unwrap().id, 8);
    }

    #[tokio::test]
    async fn missing_and_forbidden_are_told_apart() {
        let path = "/bb/rest/api/latest/projects/PAY";
        let body = |name: &str| {
            format!(r#"{{"errors":[{{"message":"m","exceptionName":"com.atlassian.bitbucket.{name}"}}]}}"#)
        };
        let missing = Canned::answer(path, &body("project.NoSuchProjectException")).status(404).serve().await;
        let error = missing.project(&authorization(), &key("PAY")).await.unwrap_err();
        let BitbucketError::Http(HttpError::NotFound { exception, .. }) = &error else { panic!("{error:?}") };
        assert_eq!(exception.as_deref(), Some("NoSuchProjectException"));
        let forbidden = Canned::answer(path, &body("AuthorisationException")).status(401).serve().await;
        let error = forbidden.project(&authorization(), &key("PAY")).await.unwrap_err();
        let BitbucketError::Http(HttpError::Unauthorized { meaning, .. }) = &error else { panic!("{error:?}") };
        assert_eq!(*meaning, Refusal::NoPermission);
        assert!(error.hint().is_some());
    }
}
