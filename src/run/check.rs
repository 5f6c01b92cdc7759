//! Whether the credentials of a run are what the file says, before anything relies on them.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::conclude::Whole;
use super::dispatch::{Context, Servers};
use super::logins::Recorded;
use super::passwords::login_refusal;
use super::server::ServerContext;
use super::{Refused, TaskError};
use crate::bitbucket::{Client, ServerVersion};
use crate::http::Authorization;
use crate::model::condition::expiring;
use crate::model::{
    Address, Applied, ConditionKind, CredentialRole, ProjectSelector, RefusedLogin, Seen, ServerName, Sighting,
};
use crate::state::StateError;

/// What the server said to one secret of one account.
struct Answer<'a> {
    server: &'a ServerName,
    authorization: &'a Authorization,
    /// Nothing, if there is no answer, or if it says nothing about the credential.
    said: Option<Result<ServerVersion, TaskError>>,
}

/// What came of showing a secret to its server.
enum Shown {
    /// What the server said; nothing, if that says nothing about the credential.
    Said(Option<Result<ServerVersion, TaskError>>),
    /// It was not shown, or nobody knows what came of it: it was refused before, and not accepted since.
    SetAside(RefusedLogin),
    /// The run was stopped.
    Stopped,
}

/// Asks the server once for each secret who it is, so that a dead or exchanged one is known by name before it is used.
/// An account that serves many projects with one secret logs in once, and a password that was refused before is shown
/// when it is time for that: a wrong password must not lock it.
pub(super) async fn check_credentials(
    context: &Context,
    servers: &Servers,
    applied: &Applied,
    whole: &mut Whole,
) -> Result<(), StateError> {
    let (credentials, passwords) = (&context.credentials, &context.credentials.passwords);
    let mut answers: Vec<Answer<'_>> = Vec::new();
    let mut recorded = Recorded::new();
    for (project, role, authorization) in credentials.iter() {
        let server = &applied.declaration.projects[project].server;
        let (account, address) = (authorization.account(), Address::credential(project, role));
        let mark = passwords.mark(project, role);
        let ending = expiry(applied, project, role, context.clock.now());
        credentials.witness(Sighting {
            address: address.clone(),
            kind: ConditionKind::CredentialExpiring,
            seen: ending,
        });
        let known = answers
            .iter()
            .position(|answer| answer.server == server && answer.authorization.is_same_secret(authorization));
        // Other runs wait for what comes of it.
        let mut turn = None;
        let index = if let Some(index) = known {
            index
        } else {
            if let Some(mark) = mark {
                let turns = credentials.turnstile.password_turns().of(mark);
                turn = tokio::select! {
                    biased;
                    () = context.stop.cancelled() => return Ok(()),
                    turn = turns.lock_owned() => Some(turn),
                };
            }
            match show(context, &servers[server], (project, role), whole).await? {
                Shown::Said(said) => {
                    if said.is_some() {
                        let (address, kind) = (Address::server(server), ConditionKind::ServerUnreachable);
                        credentials.witness(Sighting { address, kind, seen: Seen::Not });
                    }
                    answers.push(Answer { server, authorization, said });
                }
                Shown::SetAside(login) => {
                    let refused = Refused::set_aside(project, role, account, &login);
                    whole.warnings.push(format!("{address} (account {account}) is not used: {}", refused.why));
                    credentials.reject(project, refused);
                    continue;
                }
                Shown::Stopped => return Ok(()),
            }
            answers.len() - 1
        };
        let witness = |kind, seen| credentials.witness(Sighting { address: address.clone(), kind, seen });
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
        let mut message = refused.why.clone();
        let (kind, reason) = match (login_refusal(error.http()), error) {
            (Some(reason), _) => {
                if known.is_none() {
                    recorded.extend(credentials.reject_login((project, role), reason, error).await?);
                }
                if let Some(Some(login)) = mark.and_then(|mark| recorded.get(mark)) {
                    message = format!("{message}; {}", login.consequence(&address));
                }
                (ConditionKind::CredentialRejected, reason.as_str())
            }
            (None, TaskError::OtherAccount { actual: None, .. }) => (ConditionKind::AccountMismatch, "Nobody"),
            (None, _) => (ConditionKind::AccountMismatch, "OtherAccount"),
        };
        drop(turn);
        whole.warnings.push(format!("{address} (account {account}) is not used: {message}"));
        witness(kind, Seen::Holds { reason, message });
        credentials.reject(project, refused);
    }
    let _told = credentials.keys.untold();
    Ok(())
}

/// Shows a secret to its server, unless it has to rest.
async fn show(
    context: &Context,
    server: &ServerContext,
    (project, role): (&ProjectSelector, &CredentialRole),
    whole: &mut Whole,
) -> Result<Shown, StateError> {
    let (credentials, passwords) = (&context.credentials, &context.credentials.passwords);
    let mark = passwords.mark(project, role);
    let known = match mark {
        Some(mark) => passwords.known(mark).await?,
        None => None,
    };
    let known = match known {
        Some(login) if login.rests(context.clock.now()) => return Ok(Shown::SetAside(login)),
        known => known,
    };
    let client = &Client::new(server.http.clone());
    let request = |authorization: Authorization| async move { client.application_properties(&authorization).await };
    let arrival = credentials.turnstile.arrive();
    let said = credentials.send_in_turn(server, (project, role), arrival, &mut whole.ledger, request).await;
    if context.stop.is_cancelled() {
        return Ok(Shown::Stopped);
    }
    if let Some(Ok(properties)) = &said {
        // A second answer says the same.
        let _first = server.version.set(properties.version.clone());
    }
    let said = said.filter(is_verdict);
    match (&said, known, mark) {
        // It may still be wrong, and tasks would find that out by several requests at once.
        (None, Some(login), _) => return Ok(Shown::SetAside(login)),
        (Some(Ok(_)), Some(_), Some(mark)) => passwords.accept(mark).await?,
        (None | Some(_), _, _) => {}
    }
    if let (Some(Ok(properties)), Some(mark)) = (&said, mark)
        && properties.confirms(credentials.keys.get(&(project.clone(), role.clone())).account())
    {
        passwords.prove(mark);
    }
    Ok(Shown::Said(said))
}

/// Whether a credential ends soon, by what the file says.
fn expiry(applied: &Applied, project: &ProjectSelector, role: &CredentialRole, now: Timestamp) -> Seen {
    let credential = applied.declaration.projects[project].credential(role);
    let last_day = credential.and_then(|credential| credential.expires);
    last_day.map_or(Seen::Not, |last_day| expiring(last_day, now.to_zoned(TimeZone::UTC).date()))
}

/// Whether an answer says something about the credential. Where it does not, the requests that need it will tell.
fn is_verdict(said: &Result<ServerVersion, TaskError>) -> bool {
    let Err(error) = said else { return true };
    login_refusal(error.http()).is_some()
}
