//! Passwords that servers refused, told apart by their ciphertexts.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{StateError, StateStore};
use crate::model::{LoginRefusal, PasswordMark, RefusedLogin};

/// The kind of observation, as the table has it.
const KIND: &str = "refused-login";

impl StateStore {
    /// The passwords that were refused, and not accepted since. What another version wrote in its own words is left
    /// out: the next refusal replaces it.
    pub async fn refused_logins(&self) -> Result<BTreeMap<PasswordMark, RefusedLogin>, StateError> {
        self.seen(KIND).await
    }

    /// Remembers that a password was refused once more, and gives what is known of it from here on. Nothing, if to ask
    /// again does no harm: then nothing is remembered either.
    pub async fn refuse_login(
        &self,
        mark: &PasswordMark,
        (reason, why): (LoginRefusal, &str),
        now: Timestamp,
    ) -> Result<Option<RefusedLogin>, StateError> {
        self.amend((KIND, &mark.to_string()), "record that a password was refused", |before: Option<RefusedLogin>| {
            RefusedLogin::after(before.as_ref(), reason, why, now)
        })
        .await
    }

    /// The same of a password that somebody sent by itself: each time counts.
    pub async fn refuse_login_again(
        &self,
        mark: &PasswordMark,
        (reason, why): (LoginRefusal, &str),
        now: Timestamp,
    ) -> Result<Option<RefusedLogin>, StateError> {
        self.amend((KIND, &mark.to_string()), "record that a password was refused", |before: Option<RefusedLogin>| {
            RefusedLogin::after_another(before.as_ref(), reason, why, now)
        })
        .await
    }

    /// A password was accepted: what was known against it is forgotten.
    pub async fn accept_login(&self, mark: &PasswordMark) -> Result<(), StateError> {
        sqlx::query("DELETE FROM observed WHERE kind = $1 AND name = $2")
            .bind(KIND)
            .bind(mark.to_string())
            .execute(&self.pool)
            .await
            .map_err(self.failed("forget that a password was refused"))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::store::tests::fresh;
    use super::*;
    use crate::model::{BaseUrl, Credential, CredentialKind, Sealed};

    fn mark(sealed: &str) -> PasswordMark {
        let (account, kind, sealed) = ("svc".parse().unwrap(), CredentialKind::Password, Sealed::new(sealed));
        let credential = Credential { account, kind, sealed, expires: None, same_as: None };
        PasswordMark::of(&BaseUrl::new("https://bb.example.com").unwrap(), &credential).unwrap()
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[tokio::test]
    async fn refusals_are_counted_until_the_password_is_accepted() {
        let (_home, store) = fresh().await;
        let refuse = async |sealed: &str, reason, second| {
            store.refuse_login(&mark(sealed), (reason, "no"), at(second)).await.unwrap()
        };
        refuse("a", LoginRefusal::WrongSecret, 1).await.unwrap();
        let known = refuse("a", LoginRefusal::WrongSecret, 3601).await.unwrap();
        assert_eq!((known.wrong, known.since, known.last), (2, at(1), at(3601)));
        assert_eq!(refuse("b", LoginRefusal::Unlicensed, 3602).await, None);
        assert_eq!(store.refused_logins().await.unwrap(), [(mark("a"), known)].into());
        assert_eq!(store.observations(None).await.unwrap(), crate::model::Observations::default());
        store.accept_login(&mark("a")).await.unwrap();
        assert_eq!(store.refused_logins().await.unwrap(), BTreeMap::new());
    }

    #[tokio::test]
    async fn what_another_version_wrote_is_replaced() {
        let (_home, store) = fresh().await;
        let statement = "INSERT INTO observed (kind, name, body) VALUES ('refused-login', $1, '{\"shape\":\"other\"}')";
        sqlx::query(statement).bind(mark("a").to_string()).execute(&store.pool).await.unwrap();
        assert_eq!(store.refused_logins().await.unwrap(), BTreeMap::new());
        let known = store.refuse_login(&mark("a"), (LoginRefusal::Captcha, "no"), at(5)).await.unwrap().unwrap();
        assert_eq!((known.wrong, known.since), (0, at(5)));
    }
}
