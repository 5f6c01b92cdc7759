//! HTTP access tokens of a user, a project or a repository: listed, made, revoked.
//!
//! The server shows the secret of a token once, in the answer that makes it. By Atlassian's documentation a token cannot
//! manage tokens: that takes a password, of the user, or of somebody who administers the project or the repository. A
//! refusal says so with [`Refusal::NoPermission`].
//!
//! [`Refusal::NoPermission`]: crate::http::Refusal::NoPermission

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use jiff::Timestamp;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use zeroize::Zeroizing;

use super::dates::date;
use super::{BitbucketError, Client, LARGEST_DOCUMENT, List, UserSlug, short_name};
use crate::http::{Authorization, HttpError, Method, Request};
use crate::model::{AccountName, ProjectKey, RepoSlug};

const JSON: &str = "application/json";

/// The server's number of a token. A string: it may begin with zeros.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TokenId(String);

/// A text that no token is called by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the id of a token is 1 to 32 digits")]
pub struct InvalidTokenId;

impl TokenId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for TokenId {
    type Err = InvalidTokenId;

    fn from_str(text: &str) -> Result<Self, InvalidTokenId> {
        Self::try_from(text.to_owned())
    }
}

impl TryFrom<String> for TokenId {
    type Error = InvalidTokenId;

    fn try_from(text: String) -> Result<Self, InvalidTokenId> {
        let fits = (1..=32).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        if fits { Ok(Self(text)) } else { Err(InvalidTokenId) }
    }
}

impl From<TokenId> for String {
    fn from(id: TokenId) -> Self {
        id.0
    }
}

/// What a server tells of a token. Never its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessToken {
    /// Its number.
    pub id: TokenId,
    /// Its name, for people.
    pub name: String,
    /// What it may do, such as `REPO_READ`; empty if the server does not tell.
    pub permissions: BTreeSet<String>,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// The days after which it ends, if it does and the server tells.
    pub expiry_days: Option<u32>,
    /// Whose it is, if the server tells.
    pub owner: Option<String>,
}

/// A token that was made, with its secret.
#[derive(Debug)]
pub struct MadeToken {
    /// What the server tells of it.
    pub token: AccessToken,
    /// What is sent to log in.
    pub secret: SecretString,
}

/// What a new token is to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WantedToken {
    /// Its name, for people.
    pub name: String,
    /// What it may do.
    pub permissions: BTreeSet<String>,
    /// The days after which it ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expiry_days: Option<u32>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", expecting = "an access token")]
struct Document {
    id: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    permissions: Vec<String>,
    #[serde(default)]
    created_date: Value,
    expiry_days: Option<u32>,
    user: Option<User>,
    token: Option<String>,
}

#[derive(Deserialize)]
struct User {
    name: String,
}

impl Document {
    /// The token, and its secret if this is the answer that made it.
    fn check(self) -> Result<(AccessToken, Option<SecretString>), String> {
        let id = TokenId::try_from(self.id).map_err(|error| error.to_string())?;
        let plain = |text: &String| {
            (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')
        };
        if !self.permissions.iter().all(plain) {
            return Err(format!("token {id} has a permission that is no word"));
        }
        let token = AccessToken {
            id,
            name: short_name(self.name),
            permissions: self.permissions.into_iter().collect(),
            created: date(&self.created_date),
            expiry_days: self.expiry_days.filter(|days| *days > 0),
            owner: self.user.map(|user| short_name(user.name)),
        };
        Ok((token, self.token.map(SecretString::from)))
    }
}

fn read(value: Value) -> Result<AccessToken, String> {
    let document: Document = serde_json::from_value(value).map_err(|error| error.to_string())?;
    document.check().map(|(token, _)| token)
}

/// Whose tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TokenOwner {
    /// A user's.
    User(UserSlug),
    /// A project's.
    Project(ProjectKey),
    /// A repository's.
    Repository(ProjectKey, RepoSlug),
}

impl TokenOwner {
    /// A user of whom only the name is known. The slug is a guess: the name in lower case, with `_` for what an address
    /// cannot hold. Ask for the user where that is possible.
    pub fn guessed(account: &AccountName) -> Self {
        let plain = |c: char| if c.is_alphanumeric() || "._-".contains(c) { c } else { '_' };
        let slug: String = account.as_str().to_lowercase().chars().map(plain).collect();
        // In lower case some characters are longer.
        let slug = UserSlug::new(slug).or_else(|_| UserSlug::new(account.as_str()));
        Self::User(slug.expect("the name of an account is a slug by itself"))
    }

    fn segments(&self) -> Vec<&str> {
        let root = ["rest", "access-tokens", "latest"];
        let own = match self {
            Self::User(slug) => vec!["users", slug.as_str()],
            Self::Project(key) => vec!["projects", key.as_str()],
            Self::Repository(key, slug) => vec!["projects", key.as_str(), "repos", slug.as_str()],
        };
        root.into_iter().chain(own).collect()
    }
}

impl fmt::Display for TokenOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(slug) => write!(f, "user {slug}"),
            Self::Project(key) => write!(f, "project {key}"),
            Self::Repository(key, slug) => write!(f, "repository {key}/{slug}"),
        }
    }
}

impl List<AccessToken> {
    /// The tokens of an owner.
    pub fn access_tokens(owner: &TokenOwner) -> Self {
        Self::at(&owner.segments(), read)
    }
}

impl Client {
    /// Makes a token of an owner. One attempt: a failure does not tell that none was made.
    pub async fn make_access_token(
        &self,
        authorization: &Authorization,
        owner: &TokenOwner,
        wanted: &WantedToken,
    ) -> Result<MadeToken, BitbucketError> {
        let segments = owner.segments();
        let body = serde_json::to_vec(wanted).expect("strings and numbers are JSON");
        let headers = [("accept", JSON), ("content-type", JSON), ("x-atlassian-token", "no-check")];
        let url = self.http.base().join(segments.iter().copied());
        let request = Request { method: Method::Put, url, headers: &headers, body: Bytes::from(body) };
        let mut answer = self.http.send(request, authorization).await?;
        answer.require_content_type(JSON)?;
        let body = Zeroizing::new(answer.collect(LARGEST_DOCUMENT).await?);
        // The parser's own message is left out: it can repeat what it read.
        let malformed = |why: &str| BitbucketError::Malformed { resource: segments.join("/"), why: why.to_owned() };
        let document: Document = serde_json::from_slice(&body).map_err(|_| malformed("it is not an access token"))?;
        match document.check().map_err(|why| malformed(&why))? {
            (token, Some(secret)) => Ok(MadeToken { token, secret }),
            (_, None) => Err(malformed("the server made a token and does not show its secret")),
        }
    }

    /// Revokes a token of an owner. One that is not there counts as revoked.
    pub async fn revoke_access_token(
        &self,
        authorization: &Authorization,
        owner: &TokenOwner,
        id: &TokenId,
    ) -> Result<(), BitbucketError> {
        let url = self.http.base().join(owner.segments().into_iter().chain([id.as_str()]));
        let headers = [("accept", JSON), ("x-atlassian-token", "no-check")];
        let request = Request { method: Method::Delete, url, headers: &headers, body: Bytes::new() };
        match self.http.send(request, authorization).await {
            Ok(_) | Err(HttpError::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;
    use crate::bitbucket::canned::{Canned, authorization};

    const PATH: &str = "/bb/rest/access-tokens/latest/users/svc-backup";

    fn wanted() -> WantedToken {
        let permissions = ["PROJECT_READ", "REPO_READ"].map(str::to_owned).into();
        WantedToken { name: "xopero".into(), permissions, expiry_days: Some(90) }
    }

    fn own() -> TokenOwner {
        TokenOwner::guessed(authorization().account())
    }

    async fn make(body: &str) -> Result<MadeToken, BitbucketError> {
        let client = Canned::answer(PATH, body).method("PUT").serve().await;
        client.make_access_token(&authorization(), &own(), &wanted()).await
    }

    #[tokio::test]
    async fn quirk_28_ids_keep_their_zeros_and_dates_come_in_any_form() {
        let body = r#"{"isLastPage":true,"values":[
            {"id":"018910532909","createdDate":1609249808751,"expiryDays":90,"name":"one","permissions":["REPO_READ"]},
            {"id":"2","createdDate":"2026-06-05T13:54:44Z","name":"two","user":{"name":"svc"}},
            {"id":"../3","name":"x"},{"id":"4","permissions":["a b"]}]}"#;
        let client = Canned::answer(&format!("{PATH}?start=0&limit=1000"), body).serve().await;
        let page = client.first_page(&List::access_tokens(&own()), &authorization()).await.unwrap();
        let seen: Vec<_> = page.values.iter().map(|one| (one.id.as_str(), one.created.is_some())).collect();
        assert_eq!((seen, page.quarantined.len()), (vec![("018910532909", true), ("2", true)], 2));
        assert_eq!(page.values[0].expiry_days, Some(90));
    }

    #[tokio::test]
    async fn the_secret_comes_once_and_is_not_in_any_error() {
        let made = make(r#"{"id":"7","name":"xopero","token":"BBDC-s3cr3t"}"#).await.unwrap();
        assert_eq!((made.secret.expose_secret(), made.token.id.as_str()), ("BBDC-s3cr3t", "7"));
        assert!(!format!("{made:?}").contains("s3cr3t"));
        for odd in [r#""BBDC-s3cr3t""#, r#"{"id":["BBDC-s3cr3t"]}"#, r#"{"id":"BBDC-s3cr3t"}"#, r#"{"id":"7"}"#] {
            let error = make(odd).await.unwrap_err();
            assert!(matches!(error, BitbucketError::Malformed { .. }), "{error:?}");
            assert!(!format!("{error} {error:?}").contains("s3cr3t"), "{error:?}");
        }
    }

    #[tokio::test]
    async fn what_is_not_there_is_revoked() {
        let id = "7".parse().unwrap();
        for status in [204, 404] {
            let client = Canned::answer(&format!("{PATH}/7"), "").method("DELETE").status(status).serve().await;
            client.revoke_access_token(&authorization(), &own(), &id).await.unwrap();
        }
        let client = Canned::answer(&format!("{PATH}/7"), "{}").method("DELETE").status(401).serve().await;
        assert!(client.revoke_access_token(&authorization(), &own(), &id).await.is_err());
    }

    #[tokio::test]
    async fn projects_and_repositories_have_tokens_of_their_own() {
        let (key, slug) = (ProjectKey::new("~jdoe").unwrap(), RepoSlug::new("ledger").unwrap());
        for (owner, place) in [
            (TokenOwner::Project(key.clone()), "projects/~jdoe"),
            (TokenOwner::Repository(key, slug), "projects/~jdoe/repos/ledger"),
        ] {
            let path = format!("/bb/rest/access-tokens/latest/{place}");
            let made = r#"{"id":"7","name":"xopero","token":"BBDC-s3cr3t"}"#;
            let listed = r#"{"isLastPage":true,"values":[{"id":"7"}]}"#;
            let client = Canned::answer(&path, made)
                .method("PUT")
                .then(&format!("{path}?start=0&limit=1000"), listed)
                .and(Canned::answer(&format!("{path}/7"), "").method("DELETE").status(204))
                .serve()
                .await;
            let made = client.make_access_token(&authorization(), &owner, &wanted()).await.unwrap();
            let listed = client.first_page(&List::access_tokens(&owner), &authorization()).await.unwrap();
            assert_eq!(listed.values[0].id, made.token.id, "{owner}");
            client.revoke_access_token(&authorization(), &owner, &made.token.id).await.unwrap();
        }
    }

    #[test]
    fn a_guessed_slug_has_no_character_that_an_address_cannot_hold() {
        let guessed = |name: &str| TokenOwner::guessed(&AccountName::new(name).unwrap()).to_string();
        assert_eq!(guessed("Svc@Corp Backup"), "user svc_corp_backup");
        assert_eq!(guessed(&"\u{23a}".repeat(127)), format!("user {}", "\u{23a}".repeat(127)));
    }
}
