//! The secrets behind the credentials that are looked at. Pure.

use std::collections::BTreeMap;

use super::candidates::Candidate;
use crate::model::{AccountName, Credential, CredentialKind};

/// A secret, and the credentials that share it.
pub(super) struct Secret<'a> {
    pub(super) credential: &'a Credential,
    pub(super) users: Vec<usize>,
}

/// The candidates by the secret that they share: an account that serves many projects logs in once.
pub(super) fn secrets<'a>(candidates: &[Candidate<'a>]) -> Vec<Secret<'a>> {
    let mut places: BTreeMap<(String, &AccountName, CredentialKind), usize> = BTreeMap::new();
    let mut secrets: Vec<Secret<'a>> = Vec::new();
    for (index, candidate) in candidates.iter().enumerate() {
        let credential = candidate.credential;
        let key = (credential.sealed.full_digest(), &credential.account, credential.kind);
        let place = *places.entry(key).or_insert(secrets.len());
        match secrets.get_mut(place) {
            Some(secret) => secret.users.push(index),
            None => secrets.push(Secret { credential, users: vec![index] }),
        }
    }
    secrets
}

/// What is shown one after the other: the passwords of one account, which the server counts together.
pub(super) fn lanes<'a>(secrets: impl IntoIterator<Item = Secret<'a>>) -> Vec<Vec<Secret<'a>>> {
    let mut lanes: Vec<Vec<Secret<'a>>> = Vec::new();
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    for secret in secrets {
        match secret.credential.kind {
            CredentialKind::Token => lanes.push(vec![secret]),
            CredentialKind::Password => {
                let place = *places.entry(secret.credential.account.as_str().to_lowercase()).or_insert(lanes.len());
                match lanes.get_mut(place) {
                    Some(lane) => lane.push(secret),
                    None => lanes.push(vec![secret]),
                }
            }
        }
    }
    lanes
}
