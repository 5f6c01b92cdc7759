//! What people should know although nothing changes by it.

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use serde::Serialize;

use crate::model::{Address, CredentialRole, Declaration};

/// Credentials that end within this number of days are announced.
const EXPIRY_DAYS: i64 = 30;

/// What a note is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum NoteKind {
    /// A credential is declared, and no plan enables it.
    NeverEnabled,
    /// A credential ends soon.
    Expiring,
    /// A credential has ended.
    Expired,
    /// A plan has a schedule, which nothing follows by itself.
    NotScheduled,
    /// Something was not looked at.
    NotObserved,
    /// The server does not accept a credential.
    CredentialRejected,
    /// A credential is another account's, or nobody's.
    AccountMismatch,
    /// A credential is good, and does not see what it is declared for.
    PermissionLost,
    /// A server could not be asked.
    ServerUnreachable,
    /// A destination belongs to somebody else.
    DestinationForeign,
    /// A destination cannot be read or written.
    DestinationUnusable,
    /// A project or repository has another name, or another place.
    Renamed,
    /// A repository is no longer there.
    Gone,
}

impl NoteKind {
    /// The name that people see.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NeverEnabled => "never-enabled",
            Self::Expiring => "expiring",
            Self::Expired => "expired",
            Self::NotScheduled => "not-scheduled",
            Self::NotObserved => "not-observed",
            Self::CredentialRejected => "credential-rejected",
            Self::AccountMismatch => "account-mismatch",
            Self::PermissionLost => "permission-lost",
            Self::ServerUnreachable => "server-unreachable",
            Self::DestinationForeign => "destination-foreign",
            Self::DestinationUnusable => "destination-unusable",
            Self::Renamed => "renamed",
            Self::Gone => "gone",
        }
    }
}

/// Something that people should know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Note {
    /// What it is about.
    pub kind: NoteKind,
    /// Where.
    pub address: Address,
    /// What there is to know, as a phrase that follows the address.
    pub message: String,
}

/// The notes on a declaration, by address.
pub(super) fn notes(declaration: &Declaration, now: Timestamp) -> Vec<Note> {
    let unused = declaration.never_enabled().into_iter().map(|address| Note {
        kind: NoteKind::NeverEnabled,
        address,
        message: "declared, but no plan enables it: it is not used".to_owned(),
    });
    let scheduled = declaration.plans.iter().filter(|(_, plan)| plan.schedule.is_some()).map(|(name, _)| Note {
        kind: NoteKind::NotScheduled,
        address: Address::plan(name),
        message: format!(
            "its schedule is followed by `xopero watch`, which this version does not have: \
             start it with `xopero run {name}`"
        ),
    });
    let mut all: Vec<Note> = unused.chain(expiries(declaration, now)).chain(scheduled).collect();
    all.sort_by(|a, b| (&a.address, a.kind).cmp(&(&b.address, b.kind)));
    all
}

fn expiries(declaration: &Declaration, now: Timestamp) -> Vec<Note> {
    let today = now.to_zoned(TimeZone::UTC).date();
    let horizon = today.saturating_add(EXPIRY_DAYS.days());
    let mut all = Vec::new();
    for (key, project) in &declaration.projects {
        let additional =
            project.additional.iter().map(|(name, value)| (CredentialRole::Additional(name.clone()), value));
        for (role, credential) in [(CredentialRole::Main, &project.main)].into_iter().chain(additional) {
            let Some(last_day) = credential.expires.filter(|date| *date <= horizon) else { continue };
            let (kind, message) = if last_day < today {
                (NoteKind::Expired, format!("ended on {last_day}: seal a new one"))
            } else {
                (NoteKind::Expiring, format!("works until {last_day}: seal a new one before"))
            };
            all.push(Note { kind, address: Address::credential(key, &role), message });
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn what_is_declared_and_idle_is_told() {
        let declared = sample::declaration();
        let seen = |now: &str| -> Vec<String> {
            let all = notes(&declared, now.parse().unwrap());
            all.iter().map(|note| format!("{} {}", note.address, note.kind.as_str())).collect()
        };
        let idle = ["credential/PAY/extra-2 never-enabled", "plan/nightly not-scheduled"];
        assert_eq!(seen("2026-11-22T00:00:00Z"), idle);
        // The main credential's last day is 2027-03-01.
        assert_eq!(seen("2027-01-29T23:00:00Z"), [idle[0], idle[1]]);
        assert_eq!(seen("2027-01-30T01:00:00Z"), [idle[0], "credential/PAY/main expiring", idle[1]]);
        assert_eq!(seen("2027-03-01T23:00:00Z"), [idle[0], "credential/PAY/main expiring", idle[1]]);
        assert_eq!(seen("2027-03-02T00:00:00Z"), [idle[0], "credential/PAY/main expired", idle[1]]);
    }
}
