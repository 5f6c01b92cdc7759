//! Whether the credentials of a run are what the file says, before anything relies on them.

use super::conclude::Whole;
use super::dispatch::{Context, Servers};
use super::sending::PACE;
use super::{Refused, TaskError};
use crate::bitbucket::{Client, ServerVersion};
use crate::http::{Authorization, HttpError};
use crate::model::{Address, Applied, ConditionKind, LoginRefusal, Seen, ServerName, Sighting};

/// What the server said to one secret of one account.
struct Answer<'a> {
    server: &'a ServerName,
    authorization: &'a Authorization,
    /// Nothing, if there is no answer, or if it says nothing about the credential.
    said: Option<Result<ServerVersion, TaskError>>,
}

/// Asks the server once for each secret who it is, so that a dead or exchanged one is known by name before it is used.
/// An account that serves many projects with one secret logs in once: a wrong password must not lock it.
pub(super) async fn check_credentials(context: &Context, servers: &Servers, applied: &Applied, whole: &mut Whole) {
    let mut answers: Vec<Answer<'_>> = Vec::new();
    for (project, role, authorization) in context.credentials.iter() {
        let server = &applied.declaration.projects[project].server;
        let known = answers
            .iter()
            .position(|answer| answer.server == server && answer.authorization.is_same_secret(authorization));
        let index = if let Some(index) = known {
            index
        } else {
            let client = &Client::new(servers[server].http.clone());
            let request =
                |authorization: Authorization| async move { client.application_properties(&authorization).await };
            let of = (project, role);
            let said = context.credentials.send_as(&servers[server], of, PACE, &mut whole.ledger, request).await;
            if context.stop.is_cancelled() {
                return;
            }
            if let Some(Ok(properties)) = &said {
                // A second answer says the same.
                let _first = servers[server].version.set(properties.version.clone());
            }
            answers.push(Answer { server, authorization, said: said.filter(is_verdict) });
            answers.len() - 1
        };
        let account = authorization.account();
        let address = Address::credential(project, role);
        let witness = |kind, seen| context.credentials.witness(Sighting { address: address.clone(), kind, seen });
        let other;
        let error = match &answers[index].said {
            Some(Err(error)) => error,
            Some(Ok(properties)) if !properties.confirms(account) => {
                other = TaskError::OtherAccount {
                    project: project.clone(),
                    credential: role.clone(),
                    declared: account.clone(),
                    actual: properties.account.clone(),
                };
                &other
            }
            Some(Ok(_)) => {
                for kind in [ConditionKind::CredentialRejected, ConditionKind::AccountMismatch] {
                    witness(kind, Seen::Not);
                }
                continue;
            }
            None => continue,
        };
        let refused = Refused::new(project, role.clone(), account.clone(), error);
        let why = &refused.why;
        let (kind, reason) = match (error.http(), error) {
            (Some(HttpError::Unauthorized { meaning, .. }), _) => {
                (ConditionKind::CredentialRejected, meaning.of_login().map_or("Refused", LoginRefusal::as_str))
            }
            (_, TaskError::OtherAccount { actual: None, .. }) => (ConditionKind::AccountMismatch, "Nobody"),
            _ => (ConditionKind::AccountMismatch, "OtherAccount"),
        };
        witness(kind, Seen::Holds { reason, message: why.clone() });
        whole.warnings.push(format!("credential/{project}/{role} (account {account}) is not used: {why}"));
        context.credentials.reject(project, refused);
    }
}

/// Whether an answer says something about the credential. Where it does not, the requests that need it will tell.
fn is_verdict(said: &Result<ServerVersion, TaskError>) -> bool {
    let Err(error) = said else { return true };
    matches!(error.http(), Some(HttpError::Unauthorized { meaning, .. }) if meaning.of_login().is_some())
}
