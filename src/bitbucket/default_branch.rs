//! The default branch, as it is configured: it may name a reference that does not exist.

use serde::Deserialize;

use super::{BitbucketError, Client, LARGEST_DOCUMENT};
use crate::http::{Authorization, HttpError};
use crate::model::{ProjectKey, RefName, RepoSlug};

#[derive(Deserialize)]
struct Document {
    id: String,
}

impl Client {
    /// Gets the configured default branch; `None` if the server has none, or is too old to say.
    pub async fn default_branch(
        &self,
        authorization: &Authorization,
        project: &ProjectKey,
        slug: &RepoSlug,
    ) -> Result<Option<RefName>, BitbucketError> {
        let segments =
            ["rest", "api", "latest", "projects", project.as_str(), "repos", slug.as_str(), "default-branch"];
        let answer = self.http.get_json::<Document>(&segments, &[], authorization, LARGEST_DOCUMENT).await;
        let document = match answer {
            Ok(answer) => answer.value,
            Err(HttpError::NotFound { exception, .. }) if !is_gone(exception.as_deref()) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let malformed = |why| BitbucketError::Malformed { resource: segments.join("/"), why };
        RefName::new(document.id).map(Some).map_err(|error| malformed(error.to_string()))
    }
}

/// Whether a 404 is about the repository or its project, not about the branch.
fn is_gone(exception: Option<&str>) -> bool {
    matches!(exception, Some("NoSuchRepositoryException" | "NoSuchProjectException"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bitbucket::canned::{Canned, authorization};

    const PATH: &str = "/bb/rest/api/latest/projects/PAY/repos/ledger/default-branch";

    async fn ask(canned: Canned) -> Result<Option<RefName>, BitbucketError> {
        let client = canned.serve().await;
        let (project, slug) = (ProjectKey::new("PAY").unwrap(), RepoSlug::new("ledger").unwrap());
        client.default_branch(&authorization(), &project, &slug).await
    }

    #[tokio::test]
    async fn quirk_23_it_is_a_full_name_or_nothing() {
        let found = ask(Canned::answer(PATH, r#"{"id":"refs/heads/main","displayId":"main","type":"BRANCH"}"#)).await;
        assert_eq!(found.unwrap().unwrap().as_bytes(), b"refs/heads/main");
        assert_eq!(ask(Canned::answer(PATH, "{}").status(404)).await.unwrap(), None);
        let gone = r#"{"errors":[{"exceptionName":"com.atlassian.bitbucket.repository.NoSuchRepositoryException"}]}"#;
        assert!(ask(Canned::answer(PATH, gone).status(404)).await.is_err());
        let hostile = ask(Canned::answer(PATH, r#"{"id":"refs/heads/../x"}"#)).await;
        assert!(matches!(hostile, Err(BitbucketError::Malformed { .. })), "{hostile:?}");
    }
}
