//! Which of two secrets a declaration uses.

use secrecy::ExposeSecret;

use crate::model::{AccountName, Address, Credential, CredentialRole, Declaration, ProjectSelector};
use crate::secret::{Expected, Identities, SecretError, open};
use secrecy::SecretString;

/// What a declaration holds of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holding {
    /// The old secret, at one place at least.
    Old,
    /// Something that cannot be opened, and might be the old one.
    Unknown,
    /// The new secret, and not the old one.
    New,
    /// Neither of them.
    Neither,
}

/// A credential of the account, and what is in it.
pub(super) struct Place<'a> {
    pub(super) project: &'a ProjectSelector,
    pub(super) role: CredentialRole,
    pub(super) credential: &'a Credential,
    pub(super) secret: Result<SecretString, SecretError>,
}

impl Place<'_> {
    pub(super) fn address(&self) -> Address {
        Address::credential(self.project, &self.role)
    }

    pub(super) fn holds(&self, secret: &SecretString) -> bool {
        self.secret.as_ref().is_ok_and(|own| own.expose_secret() == secret.expose_secret())
    }
}

/// All credentials of an account at a server, in the order of projects; `same-as` ones too. Bitbucket does not tell
/// accounts apart by case.
pub(super) fn places<'a>(
    declaration: &'a Declaration,
    origin: &str,
    account: &AccountName,
    identities: &Identities,
) -> Vec<Place<'a>> {
    let mut found = Vec::new();
    for (selector, project) in &declaration.projects {
        let at_it = declaration.servers.get(&project.server).is_some_and(|server| server.url.origin() == origin);
        let names = project.additional.keys().cloned().map(CredentialRole::Additional);
        for role in std::iter::once(CredentialRole::Main).chain(names).filter(|_| at_it) {
            let Some(credential) = project.credential(&role) else { continue };
            if credential.account.as_str().to_lowercase() != account.as_str().to_lowercase() {
                continue;
            }
            let (kind, account) = (credential.kind.into(), credential.account.clone());
            let secret = open(&credential.sealed, identities, &Expected { kind, origin: origin.to_owned(), account });
            found.push(Place { project: selector, role, credential, secret });
        }
    }
    found
}

/// What the places hold together: one that holds the old secret decides.
pub(super) fn holding(places: &[Place<'_>], old: &SecretString, new: Option<&SecretString>) -> Holding {
    if places.iter().any(|place| place.holds(old)) {
        Holding::Old
    } else if places.iter().any(|place| place.secret.is_err()) {
        Holding::Unknown
    } else if new.is_some_and(|new| places.iter().any(|place| place.holds(new))) {
        Holding::New
    } else {
        Holding::Neither
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::sample;

    fn place<'a>(
        declaration: &'a Declaration,
        project: &'a ProjectSelector,
        secret: Result<&str, SecretError>,
    ) -> Place<'a> {
        let credential = &declaration.projects[project].main;
        Place { project, role: CredentialRole::Main, credential, secret: secret.map(SecretString::from) }
    }

    #[test]
    fn one_place_with_the_old_secret_decides_and_one_that_cannot_be_opened_is_not_taken_for_good() {
        let (declaration, project) = (sample::declaration(), "PAY".parse().unwrap());
        let of = |secrets: Vec<Result<&str, SecretError>>| {
            let places: Vec<Place<'_>> =
                secrets.into_iter().map(|secret| place(&declaration, &project, secret)).collect();
            holding(&places, &SecretString::from("old"), Some(&SecretString::from("new")))
        };
        assert_eq!(of(vec![Ok("new"), Err(SecretError::NoMatchingKey), Ok("old")]), Holding::Old);
        assert_eq!(of(vec![Ok("new"), Err(SecretError::NoMatchingKey)]), Holding::Unknown);
        assert_eq!(of(vec![Ok("other"), Ok("new")]), Holding::New);
        assert_eq!((of(vec![Ok("other")]), of(vec![])), (Holding::Neither, Holding::Neither));
    }
}
