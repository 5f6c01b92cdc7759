//! What follows from what was seen: conditions for the memory, notes for people. Pure.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::{Looked, Part};
use crate::change::{Note, NoteKind};
use crate::model::condition::{expiring, holding};
use crate::model::inventory::project_renamed;
use crate::model::{
    Address, ConditionKind, CredentialRole, CredentialSeen, Declaration, DestinationSeen, DestinationState, Login,
    Observations, ProjectSelector, Reach, Seen, ServerSeen, Sight, Sighting,
};

/// Repositories of one kind of news that are told one by one.
const TOLD: usize = 5;

/// What the conditions follow from.
pub(super) fn sightings(declaration: &Declaration, part: &Part, looked: &Looked, now: Timestamp) -> Vec<Sighting> {
    let seen = &looked.seen;
    let mut all = expiries(declaration, part, now);
    all.extend(seen.servers.iter().map(|(name, server)| Sighting {
        address: Address::server(name),
        kind: ConditionKind::ServerUnreachable,
        seen: unreachable(server),
    }));
    for (address, credential) in &seen.credentials {
        all.extend(of_credential(address, credential, looked.set_aside.get(address)));
    }
    for (key, project) in &seen.projects {
        if let Some(found) = &project.key {
            let address = Address::project(&ProjectSelector::Key(key.clone()));
            let seen = project_renamed(key, found);
            all.push(Sighting { address, kind: ConditionKind::ProjectRenamed, seen });
        }
    }
    for (name, destination) in &seen.destinations {
        if let Some(seen) = foreign(destination) {
            let address = Address::destination(name);
            all.push(Sighting { address, kind: ConditionKind::DestinationForeign, seen });
        }
    }
    all.extend(looked.accounts.iter().map(|((server, account), limited)| {
        let seen = if *limited {
            Seen::Holds { reason: "RateLimited", message: "its budget is used up by others".to_owned() }
        } else {
            Seen::Not
        };
        Sighting { address: Address::account(server, account), kind: ConditionKind::Throttled, seen }
    }));
    all
}

/// The credentials that end soon, by what the file says.
pub(in crate::reconcile) fn expiries(declaration: &Declaration, part: &Part, now: Timestamp) -> Vec<Sighting> {
    let today = now.to_zoned(TimeZone::UTC).date();
    let mut all = Vec::new();
    for (selector, project) in &declaration.projects {
        let names = project.additional.keys().cloned().map(CredentialRole::Additional);
        for role in std::iter::once(CredentialRole::Main).chain(names) {
            let concerned = match part {
                Part::InUse => true,
                Part::Credentials(chosen) => chosen.contains(&(selector.clone(), role.clone())),
                Part::Named(project, named) => (project, named) == (selector, &role),
            };
            let Some(credential) = project.credential(&role).filter(|_| concerned) else { continue };
            let seen = credential.expires.map_or(Seen::Not, |last_day| expiring(last_day, today));
            let address = Address::credential(selector, &role);
            all.push(Sighting { address, kind: ConditionKind::CredentialExpiring, seen });
        }
    }
    all
}

fn unreachable(server: &ServerSeen) -> Seen {
    match &server.reach {
        Reach::Answered => Seen::Not,
        Reach::Busy { why } => Seen::Holds { reason: "Busy", message: why.clone() },
        Reach::Unreachable { why, .. } => Seen::Holds { reason: "NoAnswer", message: why.clone() },
    }
}

fn of_credential(address: &Address, credential: &CredentialSeen, set_aside: Option<&String>) -> Vec<Sighting> {
    let sighting = |kind, seen| Sighting { address: address.clone(), kind, seen };
    let (rejected, mismatch) = match &credential.login {
        Login::Confirmed => (Seen::Not, Seen::Not),
        Login::Other { account } => {
            let message = format!("it logs in as {account}, not as {}", credential.account);
            (Seen::Not, Seen::Holds { reason: "OtherAccount", message })
        }
        Login::Nobody => {
            let message = format!("the server takes it for nobody, not for {}", credential.account);
            (Seen::Not, Seen::Holds { reason: "Nobody", message })
        }
        Login::Refused { reason, why } => {
            let holds = Seen::Holds { reason: reason.as_str(), message: with_hint(why, set_aside) };
            return vec![sighting(ConditionKind::CredentialRejected, holds)];
        }
        Login::Sealed { .. } | Login::Unknown { .. } => return Vec::new(),
    };
    let mut all =
        vec![sighting(ConditionKind::CredentialRejected, rejected), sighting(ConditionKind::AccountMismatch, mismatch)];
    let lost = match (&credential.project, &credential.repositories) {
        (Sight::Hidden { why }, _) => Seen::Holds { reason: "ProjectHidden", message: why.clone() },
        (_, Sight::Hidden { why }) => Seen::Holds { reason: "RepositoriesHidden", message: why.clone() },
        (Sight::Visible, Sight::Visible) => Seen::Not,
        (Sight::Unknown, _) | (_, Sight::Unknown) => return all,
    };
    all.push(sighting(ConditionKind::PermissionLost, lost));
    all
}

fn foreign(destination: &DestinationSeen) -> Option<Seen> {
    match &destination.state {
        DestinationState::Ready | DestinationState::New => Some(Seen::Not),
        DestinationState::Foreign { why, .. } => Some(Seen::Holds { reason: "Foreign", message: why.clone() }),
        DestinationState::Unusable { .. } => None,
    }
}

/// What people should know of a look, by address. What is as it should be has no note.
pub fn notes(looked: &Looked) -> Vec<Note> {
    let mut all = looked.skipped.clone();
    let note = |kind, address: &Address, message: String| Note { kind, address: address.clone(), message };
    for (name, server) in &looked.seen.servers {
        let message = match &server.reach {
            Reach::Answered => continue,
            Reach::Busy { why } => format!("cannot be asked: {why}"),
            Reach::Unreachable { why, hint } => with_hint(&format!("cannot be asked: {why}"), hint.as_ref()),
        };
        all.push(note(NoteKind::ServerUnreachable, &Address::server(name), message));
    }
    for (address, credential) in &looked.seen.credentials {
        all.extend(note_on(address, credential, looked));
    }
    for (name, destination) in &looked.seen.destinations {
        let (kind, why, hint) = match &destination.state {
            DestinationState::Ready | DestinationState::New => continue,
            DestinationState::Foreign { why, hint } => (NoteKind::DestinationForeign, why, hint),
            DestinationState::Unusable { why, hint } => (NoteKind::DestinationUnusable, why, hint),
        };
        all.push(note(kind, &Address::destination(name), with_hint(why, hint.as_ref())));
    }
    all.extend(renames(&looked.known));
    all.sort_by(|one, other| (&one.address, one.kind).cmp(&(&other.address, other.kind)));
    all
}

fn with_hint(text: &str, hint: Option<&String>) -> String {
    hint.map_or_else(|| text.to_owned(), |hint| format!("{text}; {hint}"))
}

/// The note on a credential that is not what it should be.
fn note_on(address: &Address, credential: &CredentialSeen, looked: &Looked) -> Option<Note> {
    let (kind, message) = match (&credential.login, &credential.project, &credential.repositories) {
        (Login::Refused { why, .. }, _, _) => {
            let message = with_hint(&format!("is not accepted: {why}"), looked.set_aside.get(address));
            (NoteKind::CredentialRejected, message)
        }
        (Login::Other { account }, _, _) => {
            let declared = &credential.account;
            (NoteKind::AccountMismatch, format!("logs in as {account}, not as {declared}: correct `account`"))
        }
        (Login::Nobody, _, _) => {
            (NoteKind::AccountMismatch, format!("is nobody's for the server, not {}'s", credential.account))
        }
        (Login::Confirmed, Sight::Hidden { why }, _) => {
            (NoteKind::PermissionLost, format!("does not see its project: {why}"))
        }
        (Login::Confirmed, _, Sight::Hidden { why }) => {
            (NoteKind::PermissionLost, format!("cannot read repositories of its project: {why}"))
        }
        (Login::Confirmed, _, _) => return None,
        (Login::Sealed { why }, _, _) => (NoteKind::NotObserved, format!("was not shown to its server: {why}")),
        (Login::Unknown { why }, _, _) => {
            // One note on the server says it for all of its credentials.
            let server = looked.seen.servers.get(&credential.server);
            if server.is_some_and(|server| server.reach != Reach::Answered) {
                return None;
            }
            (NoteKind::NotObserved, format!("was not looked at: {why}"))
        }
    };
    Some(Note { kind, address: address.clone(), message })
}

/// What runs found renamed, moved, gone or not to be believed.
fn renames(known: &Observations) -> Vec<Note> {
    let mut notes = Vec::new();
    for (condition, kind) in [
        (ConditionKind::ProjectRenamed, NoteKind::Renamed),
        (ConditionKind::RepoRenamed, NoteKind::Renamed),
        (ConditionKind::RepoMoved, NoteKind::Renamed),
        (ConditionKind::RepoGone, NoteKind::Gone),
        (ConditionKind::ListingSuspect, NoteKind::Suspect),
    ] {
        let of_kind: Vec<_> = holding(&known.conditions).filter(|(_, found, _)| *found == condition).collect();
        for (index, (address, _, holds)) in of_kind.iter().take(TOLD).enumerate() {
            let more = of_kind.len() - TOLD.min(of_kind.len());
            let rest = if more > 0 && index + 1 == TOLD { format!(" (and {more} more)") } else { String::new() };
            notes.push(Note { kind, address: (*address).clone(), message: format!("{}{rest}", holds.message) });
        }
    }
    notes
}

/// The credentials that share an account, and so a token bucket, with another one of their project: a second token of
/// one account adds nothing. Each with the one before it.
pub fn shared_accounts(declaration: &Declaration) -> Vec<(Address, Address)> {
    let mut shared = Vec::new();
    for (selector, project) in &declaration.projects {
        let names = project.additional.keys().cloned().map(CredentialRole::Additional);
        let roles: Vec<CredentialRole> = std::iter::once(CredentialRole::Main).chain(names).collect();
        let account = |role: &CredentialRole| {
            project.credential(role).map(|credential| credential.account.as_str().to_lowercase())
        };
        for (index, role) in roles.iter().enumerate() {
            if let Some(first) = roles[..index].iter().find(|earlier| account(earlier) == account(role)) {
                shared.push((Address::credential(selector, role), Address::credential(selector, first)));
            }
        }
    }
    shared
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::change::sample;
    use crate::model::LoginRefusal;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn credential(login: Login, project: Sight, repositories: Sight) -> CredentialSeen {
        CredentialSeen {
            observed_at: Timestamp::UNIX_EPOCH,
            server: "bb".parse().unwrap(),
            account: "svc-backup".parse().unwrap(),
            sealed: String::new(),
            login,
            project,
            repositories,
        }
    }

    fn address() -> Address {
        Address::credential(&"PAY".parse().unwrap(), &CredentialRole::Main)
    }

    fn holds(seen: &[Sighting]) -> Vec<String> {
        let holding = seen.iter().filter_map(|sighting| match &sighting.seen {
            Seen::Holds { reason, .. } => Some(format!("{} {reason}", sighting.kind.as_str())),
            Seen::Not => None,
        });
        holding.collect()
    }

    #[test]
    fn expiry_is_told_in_three_steps() {
        // The main credential's last day is 2027-03-01.
        let declared = sample::declaration();
        let seen = |day: &str| holds(&expiries(&declared, &Part::InUse, at(&format!("{day}T12:00:00Z"))));
        assert_eq!(seen("2027-01-29"), [""; 0]);
        for (day, reason) in [
            ("2027-01-30", "Within30Days"),
            ("2027-02-14", "Within30Days"),
            ("2027-02-15", "Within14Days"),
            ("2027-02-26", "Within3Days"),
            ("2027-03-01", "Within3Days"),
            ("2027-03-02", "Expired"),
        ] {
            assert_eq!(seen(day), [format!("CredentialExpiring {reason}")], "{day}");
        }
    }

    #[test]
    fn what_a_credential_is_follows_from_what_was_said_and_from_nothing_else() {
        let hidden = || Sight::Hidden { why: "no".into() };
        let refused = Login::Refused { reason: LoginRefusal::Captcha, why: "no".into() };
        let other = Login::Other { account: "boss".parse().unwrap() };
        for (login, project, repositories, expected) in [
            (Login::Confirmed, Sight::Visible, Sight::Visible, vec![]),
            (Login::Confirmed, hidden(), hidden(), vec!["PermissionLost ProjectHidden"]),
            (Login::Confirmed, Sight::Visible, hidden(), vec!["PermissionLost RepositoriesHidden"]),
            (Login::Confirmed, Sight::Unknown, Sight::Unknown, vec![]),
            (refused, Sight::Unknown, Sight::Unknown, vec!["CredentialRejected Captcha"]),
            (other, Sight::Unknown, Sight::Unknown, vec!["AccountMismatch OtherAccount"]),
            (Login::Nobody, Sight::Unknown, Sight::Unknown, vec!["AccountMismatch Nobody"]),
        ] {
            assert_eq!(holds(&of_credential(&address(), &credential(login, project, repositories), None)), expected);
        }
        let unknown = credential(Login::Unknown { why: "429".into() }, Sight::Unknown, Sight::Unknown);
        assert_eq!(of_credential(&address(), &unknown, None), [], "silence says nothing");
    }

    #[test]
    fn a_server_that_cannot_be_asked_is_one_note() {
        let mut looked = Looked::default();
        let reach = Reach::Unreachable { why: "cannot be reached".into(), hint: Some("check it".into()) };
        let server = ServerSeen {
            observed_at: Timestamp::UNIX_EPOCH,
            reach,
            version: None,
            limit: None,
            exceptions: BTreeMap::new(),
            limits_asked: None,
        };
        looked.seen.servers.insert("bb".parse().unwrap(), server);
        let unknown = Login::Unknown { why: "the server could not be asked".into() };
        looked.seen.credentials.insert(address(), credential(unknown, Sight::Unknown, Sight::Unknown));
        let told: Vec<_> =
            notes(&looked).into_iter().map(|note| format!("{}: {}", note.address, note.message)).collect();
        assert_eq!(told, ["server/bb: cannot be asked: cannot be reached; check it"]);
    }

    #[test]
    fn two_tokens_of_one_account_are_told() {
        let mut declared = sample::declaration();
        assert_eq!(shared_accounts(&declared), []);
        let project = declared.projects.values_mut().next().unwrap();
        let account = project.main.account.as_str().to_uppercase();
        project.additional.values_mut().next().unwrap().account = account.parse().unwrap();
        let shared = shared_accounts(&declared);
        assert_eq!(shared.len(), 1);
        assert_eq!(shared[0].1, address());
    }
}
