//! Users: one by its slug, one by its exact name.
//!
//! Addresses go by slug, which follows from the name by rules that differ between versions: it is never computed, the
//! server is asked. Accounts of projects and repositories (`SERVICE`) are users too, but may be on no list.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{BitbucketError, Client, LARGEST_DOCUMENT, List, Pager, short_name};
use crate::http::{Authorization, HttpError};
use crate::model::AccountName;

/// A user as addresses have it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UserSlug(String);

/// A text that no address of a user holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the slug of a user is 1 to 255 characters without control characters, and not `.` or `..`")]
pub struct InvalidUserSlug;

impl UserSlug {
    /// Checks a text. What an address cannot hold as it is, is encoded when it is sent.
    pub fn new(text: impl Into<String>) -> Result<Self, InvalidUserSlug> {
        let text = text.into();
        let fits = (1..=255).contains(&text.len()) && text != "." && text != ".." && !text.contains(char::is_control);
        if fits { Ok(Self(text)) } else { Err(InvalidUserSlug) }
    }

    /// The slug as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for UserSlug {
    type Error = InvalidUserSlug;

    fn try_from(text: String) -> Result<Self, InvalidUserSlug> {
        Self::new(text)
    }
}

impl From<UserSlug> for String {
    fn from(slug: UserSlug) -> Self {
        slug.0
    }
}

impl fmt::Display for UserSlug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What kind of user it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserKind {
    /// A person, or an account that is used like one.
    Normal,
    /// The account behind an access token of a project or a repository.
    Service,
}

/// A user as the server knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// What it logs in as.
    pub name: AccountName,
    /// What addresses call it.
    pub slug: UserSlug,
    /// Its name, for people. Empty if the server does not tell.
    pub display_name: String,
    /// Whether it exists as more than a memory.
    pub active: bool,
    /// What kind of user it is.
    pub kind: UserKind,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", expecting = "a user")]
struct Document {
    name: String,
    slug: String,
    #[serde(default)]
    display_name: Option<String>,
    active: Option<bool>,
    #[serde(default, rename = "type")]
    kind: Option<String>,
}

fn read(value: Value) -> Result<User, String> {
    let document: Document = serde_json::from_value(value).map_err(|error| error.to_string())?;
    let kind = if document.kind.as_deref() == Some("SERVICE") { UserKind::Service } else { UserKind::Normal };
    Ok(User {
        name: AccountName::new(document.name).map_err(|error| error.to_string())?,
        slug: UserSlug::new(document.slug).map_err(|error| error.to_string())?,
        display_name: short_name(document.display_name.unwrap_or_default()),
        active: document.active.unwrap_or(true),
        kind,
    })
}

impl List<User> {
    /// The users whose name, display name or e-mail address contains a text.
    pub fn users(containing: &str) -> Self {
        Self::at(&["rest", "api", "latest", "users"], read).filter("filter", containing)
    }
}

impl Client {
    /// Gets one user; `None` if there is none of that slug, or none any more.
    pub async fn user(&self, authorization: &Authorization, slug: &UserSlug) -> Result<Option<User>, BitbucketError> {
        let segments = ["rest", "api", "latest", "users", slug.as_str()];
        match self.http.get_json::<Value>(&segments, &[], authorization, LARGEST_DOCUMENT).await {
            Ok(answer) => read(answer.value)
                .map(Some)
                .map_err(|why| BitbucketError::Malformed { resource: segments.join("/"), why }),
            Err(HttpError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Gets the user of exactly this name, whatever its slug. Case does not matter to Bitbucket. `None` if nobody on
    /// the lists that the account may see has it.
    pub async fn user_named(
        &self,
        authorization: &Authorization,
        name: &AccountName,
    ) -> Result<Option<User>, BitbucketError> {
        let mut pager = Pager::new(List::users(name.as_str()));
        while let Some(page) = pager.next(self, authorization).await? {
            let same = |user: &User| user.name.as_str().to_lowercase() == name.as_str().to_lowercase();
            if let Some(found) = page.values.into_iter().find(same) {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bitbucket::canned::{Canned, authorization};

    const MAIL: &str = r#"{"name":"svc@corp.example","emailAddress":"svc@corp.example","active":true,
        "displayName":"Backup robot","id":101,"slug":"svc_corp.example","type":"NORMAL","links":{"self":[]}}"#;

    #[tokio::test]
    async fn quirk_21_a_user_is_found_by_its_exact_name_and_tells_its_slug() {
        let near = r#"{"name":"svc@corp.example.old","slug":"x","active":false}"#;
        let first = format!(r#"{{"values":[{near},{{"slug":"y"}}],"isLastPage":false,"nextPageStart":2}}"#);
        let second = format!(r#"{{"values":[{MAIL}],"isLastPage":true}}"#);
        let path = |start| format!("/bb/rest/api/latest/users?filter=SVC%40corp.example&start={start}&limit=1000");
        let client = Canned::answer(&path(0), &first).then(&path(2), &second).serve().await;
        let name = AccountName::new("SVC@corp.example").unwrap();
        let user = client.user_named(&authorization(), &name).await.unwrap().unwrap();
        assert_eq!(
            (user.slug.as_str(), user.display_name.as_str(), user.active),
            ("svc_corp.example", "Backup robot", true)
        );
        let nobody = format!(r#"{{"values":[{near}],"isLastPage":true}}"#);
        let client = Canned::answer(&path(0), &nobody).serve().await;
        assert_eq!(client.user_named(&authorization(), &name).await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_slug_arrives_encoded_and_what_is_gone_is_nobody() {
        let slug = UserSlug::new("a/b %2e+é").unwrap();
        let path = "/bb/rest/api/latest/users/a%2Fb%20%252e+%C3%A9";
        let user = Canned::answer(path, MAIL).serve().await.user(&authorization(), &slug).await.unwrap().unwrap();
        assert_eq!(user.name.as_str(), "svc@corp.example");
        assert_eq!(
            Canned::answer(path, "{}").status(404).serve().await.user(&authorization(), &slug).await.unwrap(),
            None
        );
        assert!(Canned::answer(path, "{}").status(401).serve().await.user(&authorization(), &slug).await.is_err());
        for hostile in ["", ".", "..", "a\nb"] {
            assert_eq!(UserSlug::new(hostile), Err(InvalidUserSlug));
        }
    }

    #[test]
    fn quirk_32_what_is_left_of_a_user_is_legible() {
        let user = |json: &str| read(serde_json::from_str(json).unwrap());
        let gone =
            user(r#"{"name":"8f14e45f","emailAddress":null,"active":false,"displayName":null,"slug":"8f14e45f"}"#);
        assert_eq!(gone.map(|user| (user.active, user.display_name)), Ok((false, String::new())));
        let service =
            user(r#"{"name":"access-token-user/1/2","slug":"access-token-user_1_2","type":"SERVICE"}"#).unwrap();
        assert_eq!((service.kind, service.active), (UserKind::Service, true));
        for hostile in [r#"{"name":"a\nb","slug":"a"}"#, r#"{"name":"a","slug":".."}"#, r#"{"name":"a"}"#, "[]", "7"] {
            assert!(user(hostile).is_err(), "{hostile}");
        }
    }
}
