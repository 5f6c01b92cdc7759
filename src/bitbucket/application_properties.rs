//! `application-properties`: the server's version, and whom it takes us for.

use serde::Deserialize;

use super::{Client, LARGEST_DOCUMENT, short_name};
use crate::bitbucket::BitbucketError;
use crate::http::Authorization;
use crate::model::AccountName;

/// The server's version and the account that it saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerVersion {
    /// Such as `9.4.1`.
    pub version: String,
    /// The account behind the request; `None` if the server took it as anonymous: it answers that way, with success,
    /// to a credential that it does not know.
    pub account: Option<AccountName>,
}

impl ServerVersion {
    /// Whether the server saw the account that the credential is declared for. Case does not matter to Bitbucket.
    pub fn confirms(&self, declared: &AccountName) -> bool {
        self.account.as_ref().is_some_and(|seen| seen.as_str().to_lowercase() == declared.as_str().to_lowercase())
    }
}

#[derive(Deserialize)]
struct Document {
    version: String,
}

impl Client {
    /// Gets the server's version: the cheapest way to test a credential.
    pub async fn application_properties(&self, authorization: &Authorization) -> Result<ServerVersion, BitbucketError> {
        let segments = ["rest", "api", "1.0", "application-properties"];
        let answer = self.http.get_json::<Document>(&segments, &[], authorization, LARGEST_DOCUMENT).await?;
        let account = answer.account.and_then(|name| AccountName::new(name).ok());
        Ok(ServerVersion { version: short_name(answer.value.version), account })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bitbucket::canned::{Canned, authorization};

    const PATH: &str = "/bb/rest/api/1.0/application-properties";

    #[tokio::test]
    async fn the_account_is_the_one_that_the_server_saw() {
        let canned = Canned::answer(PATH, r#"{"version":"9.4.1","buildNumber":9004001,"displayName":"Bitbucket"}"#);
        let client = canned.header("X-AUSERNAME: Svc%2Dbackup").serve().await;
        let version = client.application_properties(&authorization()).await.unwrap();
        assert_eq!(version.version, "9.4.1");
        assert!(version.confirms(&AccountName::new("svc-backup").unwrap()));
        assert!(!version.confirms(&AccountName::new("svc").unwrap()));
    }

    #[tokio::test]
    async fn quirk_28_numbers_of_builds_come_in_any_form() {
        for build in [r#""9004001""#, "9004001", "null"] {
            let body = format!(r#"{{"version":"9.4.1","buildNumber":{build},"buildDate":{build}}}"#);
            let client = Canned::answer(PATH, &body).serve().await;
            assert_eq!(client.application_properties(&authorization()).await.unwrap().version, "9.4.1");
        }
    }

    #[tokio::test]
    async fn quirk_05_success_without_an_account_confirms_nobody() {
        let client = Canned::answer(PATH, r#"{"version":"9.4.1"}"#).serve().await;
        let version = client.application_properties(&authorization()).await.unwrap();
        assert!(version.account.is_none() && !version.confirms(authorization().account()));
    }
}
