//! What the server's rate limit is, as far as it tells an account.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::Number;

use super::{BitbucketError, Client, LARGEST_DOCUMENT, UserSlug};
use crate::http::{Authorization, HttpError, Refusal};
use crate::model::RateLimit;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Settings {
    enabled: bool,
    default_settings: Option<Bucket>,
}

/// The settings of one account.
#[derive(Deserialize)]
struct Exception {
    user: User,
    #[serde(default)]
    whitelisted: bool,
    settings: Option<Bucket>,
}

#[derive(Deserialize)]
struct User {
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Bucket {
    #[serde(deserialize_with = "whole")]
    capacity: u32,
    #[serde(deserialize_with = "whole")]
    fill_rate: u32,
}

/// A whole number, which some servers and proxies write as `5.0`.
fn whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let number = Number::deserialize(deserializer)?;
    let whole = match (number.as_u64(), number.as_f64()) {
        (Some(whole), _) => u32::try_from(whole).ok(),
        (None, Some(float)) if float.fract() == 0.0 => format!("{float:.0}").parse().ok(),
        (None, _) => None,
    };
    whole.ok_or_else(|| D::Error::custom("not a whole number below 2^32"))
}

impl From<Bucket> for RateLimit {
    fn from(bucket: Bucket) -> Self {
        Self::Bucket { burst: bucket.capacity, refill_per_second: bucket.fill_rate }
    }
}

impl Client {
    /// Gets the limit of accounts without one of their own; `None` if the server does not tell this account, has no
    /// such resource, or leaves the numbers out.
    pub async fn rate_limit(&self, authorization: &Authorization) -> Result<Option<RateLimit>, BitbucketError> {
        let segments = ["rest", "api", "latest", "admin", "rate-limit", "settings"];
        let asked = self.http.get_json::<Settings>(&segments, &[], authorization, LARGEST_DOCUMENT).await;
        Ok(told(asked.map(|answer| answer.value))?.and_then(|settings| match settings {
            Settings { enabled: false, .. } => Some(RateLimit::Unlimited),
            Settings { enabled: true, default_settings } => default_settings.map(RateLimit::from),
        }))
    }

    /// Gets the limit that the authorization's account has of its own; `None` if it has none, or nobody tells.
    ///
    /// The resource goes by `slug`. Where that is not known, the name is tried in its place: the name in the answer
    /// decides whether it was the right one.
    pub async fn own_rate_limit(
        &self,
        authorization: &Authorization,
        slug: Option<&UserSlug>,
    ) -> Result<Option<RateLimit>, BitbucketError> {
        let name = authorization.account().as_str();
        let slug = slug.map_or(name, UserSlug::as_str);
        let segments = ["rest", "api", "latest", "admin", "rate-limit", "settings", "users", slug];
        let asked = self.http.get_json::<Exception>(&segments, &[], authorization, LARGEST_DOCUMENT).await;
        let found = told(asked.map(|answer| answer.value))?;
        Ok(found.filter(|exception| exception.user.name.eq_ignore_ascii_case(name)).and_then(|exception| {
            if exception.whitelisted { Some(RateLimit::Unlimited) } else { exception.settings.map(RateLimit::from) }
        }))
    }
}

/// A server that does not tell is no failure: older ones have no limit, and access tokens may be refused here.
fn told<T>(asked: Result<T, HttpError>) -> Result<Option<T>, BitbucketError> {
    match asked {
        Ok(value) => Ok(Some(value)),
        Err(
            HttpError::NotFound { .. }
            | HttpError::InvalidJson { .. }
            | HttpError::Unauthorized { meaning: Refusal::NoPermission | Refusal::Unknown, .. },
        ) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bitbucket::canned::{Canned, authorization};

    const PATH: &str = "/bb/rest/api/latest/admin/rate-limit/settings";

    async fn limit(canned: Canned) -> Result<Option<RateLimit>, BitbucketError> {
        canned.serve().await.rate_limit(&authorization()).await
    }

    #[tokio::test]
    async fn the_settings_tell_the_bucket() {
        let body = r#"{"enabled":true,"defaultSettings":{"capacity":60,"fillRate":5}}"#;
        let bucket = RateLimit::Bucket { burst: 60, refill_per_second: 5 };
        assert_eq!(limit(Canned::answer(PATH, body)).await.unwrap(), Some(bucket));
        for (capacity, rate) in [("60", "5.0"), ("60.0", "5"), ("6e1", "0.5e1")] {
            let body = format!(r#"{{"enabled":true,"defaultSettings":{{"capacity":{capacity},"fillRate":{rate}}}}}"#);
            assert_eq!(limit(Canned::answer(PATH, &body)).await.unwrap(), Some(bucket), "{capacity} {rate}");
        }
        let off = limit(Canned::answer(PATH, r#"{"enabled":false}"#)).await.unwrap();
        assert_eq!(off, Some(RateLimit::Unlimited));
    }

    #[tokio::test]
    async fn who_is_not_told_goes_on_without() {
        let refused =
            r#"{"errors":[{"message":"m","exceptionName":"com.atlassian.bitbucket.AuthorisationException"}]}"#;
        assert_eq!(limit(Canned::answer(PATH, refused).status(401)).await.unwrap(), None);
        assert_eq!(limit(Canned::answer(PATH, "{}").status(404)).await.unwrap(), None);
        assert_eq!(limit(Canned::answer(PATH, r#"{"enabled":true}"#)).await.unwrap(), None);
        for hostile in ["-1", "-1.0", "0.5", "4294967296", "1e300", "1e999", "18446744073709551616", "\"9\"", "null"] {
            let body = format!(r#"{{"enabled":true,"defaultSettings":{{"capacity":60,"fillRate":{hostile}}}}}"#);
            assert_eq!(limit(Canned::answer(PATH, &body)).await.unwrap(), None, "{hostile}");
        }
        assert!(limit(Canned::answer(PATH, "{}").status(503)).await.is_err());
    }

    #[tokio::test]
    async fn an_exception_counts_for_the_account_that_it_names() {
        let path = format!("{PATH}/users/svc-backup");
        let body = |name: &str, rest: &str| format!(r#"{{"user":{{"name":"{name}","slug":"svc-backup"}},{rest}}}"#);
        let own = async |body: String| {
            Canned::answer(&path, &body).serve().await.own_rate_limit(&authorization(), None).await
        };
        let settings = r#""whitelisted":false,"settings":{"capacity":500,"fillRate":50}"#;
        let bucket = RateLimit::Bucket { burst: 500, refill_per_second: 50 };
        assert_eq!(own(body("Svc-Backup", settings)).await.unwrap(), Some(bucket));
        assert_eq!(own(body("somebody", settings)).await.unwrap(), None);
        assert_eq!(own(body("svc-backup", r#""whitelisted":true"#)).await.unwrap(), Some(RateLimit::Unlimited));
        let slug = UserSlug::new("robot").unwrap();
        let canned = Canned::answer(&format!("{PATH}/users/robot"), &body("svc-backup", settings));
        let known = canned.serve().await.own_rate_limit(&authorization(), Some(&slug)).await;
        assert_eq!(known.unwrap(), Some(bucket));
    }
}
