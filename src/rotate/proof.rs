//! Whether a token does what it is needed for.

use super::patience::Patience;
use crate::bitbucket::{BitbucketError, Client, List, Pager};
use crate::http::{Authorization, HttpError, Refusal};
use crate::model::{Pattern, ProjectSelector};

/// The most projects that are looked at: an account that serves many answers this from its first budget.
const MOST_PROJECTS: usize = 10;

/// What the server made of a token.
pub(super) enum Proof {
    /// It is accepted, and sees what it should.
    Good,
    /// It is not.
    Bad(String),
    /// The server did not say.
    Unknown(BitbucketError),
}

/// Whether the server takes the token for its account.
pub(super) async fn logs_in(client: &Client, token: &Authorization, patience: &Patience<'_>) -> Proof {
    match patience.send(token, async || client.application_properties(token).await).await {
        Ok(version) if version.confirms(token.account()) => Proof::Good,
        Ok(version) => {
            let whom = version.account.map_or_else(|| "nobody".to_owned(), |account| account.to_string());
            Proof::Bad(format!("the server takes it for {whom}, not for {}", token.account()))
        }
        Err(BitbucketError::Http(error @ HttpError::Unauthorized { meaning, .. })) if meaning.of_login().is_some() => {
            Proof::Bad(error.to_string())
        }
        Err(error) => Proof::Unknown(error),
    }
}

/// Whether the new token is accepted and sees each of the projects that the old one sees.
pub(super) async fn replaces(
    client: &Client,
    (new, old): (&Authorization, &Authorization),
    projects: impl Iterator<Item = &ProjectSelector>,
    patience: &Patience<'_>,
) -> Proof {
    match logs_in(client, new, patience).await {
        Proof::Good => {}
        ended @ (Proof::Bad(_) | Proof::Unknown(_)) => return ended,
    }
    for project in projects.take(MOST_PROJECTS) {
        match sees(client, new, project, patience).await {
            Ok(true) => {}
            Ok(false) if sees(client, old, project, patience).await.is_ok_and(|seen| !seen) => {}
            Ok(false) => return Proof::Bad(format!("it does not see project {project}, and the old one does")),
            Err(error) => return Proof::Unknown(error),
        }
    }
    Proof::Good
}

async fn sees(
    client: &Client,
    token: &Authorization,
    project: &ProjectSelector,
    patience: &Patience<'_>,
) -> Result<bool, BitbucketError> {
    let seen = match project {
        ProjectSelector::Key(key) => {
            let list = List::repositories(key).one_by_one();
            patience.send(token, async || client.first_page(&list, token).await).await.map(|_| true)
        }
        ProjectSelector::Pattern(pattern) => sees_any(client, token, pattern, patience).await,
    };
    match seen {
        Err(BitbucketError::Http(
            HttpError::NotFound { .. }
            | HttpError::Unauthorized { meaning: Refusal::NoPermission | Refusal::Unknown, .. },
        )) => Ok(false),
        other => other,
    }
}

/// Whether one of the projects that the token sees fits.
async fn sees_any(
    client: &Client,
    token: &Authorization,
    pattern: &Pattern,
    patience: &Patience<'_>,
) -> Result<bool, BitbucketError> {
    let mut pager = Pager::new(List::projects_fitting(pattern));
    while let Some(page) = patience.send(token, async || pager.next(client, token).await).await? {
        if page.values.iter().any(|project| pattern.matches(project.key.as_str())) {
            return Ok(true);
        }
    }
    Ok(false)
}
