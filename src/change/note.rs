//! What people should know although nothing changes by it.

use std::collections::BTreeSet;

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use serde::Serialize;

use super::moves::Moves;
use crate::model::{Address, CredentialRole, Declaration, Pause, Place, PlanName};

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
    /// A project's listing is not believed.
    Suspect,
    /// A plan is paused.
    Paused,
    /// Something is declared that this version does not act on.
    NotActedOn,
    /// A `moved` or `retired` node says nothing about what is in force.
    MatchesNothing,
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
            Self::Suspect => "suspect",
            Self::Paused => "paused",
            Self::NotActedOn => "not-acted-on",
            Self::MatchesNothing => "matches-nothing",
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
pub(super) fn notes(declaration: &Declaration, moves: &Moves, in_force: &Declaration, now: Timestamp) -> Vec<Note> {
    let unused = declaration.never_enabled().into_iter().map(|address| Note {
        kind: NoteKind::NeverEnabled,
        address,
        message: "declared, but no plan enables it: it is not used".to_owned(),
    });
    let scheduled = declaration.plans.iter().filter(|(_, plan)| plan.schedule.is_some()).map(|(name, _)| Note {
        kind: NoteKind::NotScheduled,
        address: Address::plan(name),
        message: "its schedule is followed while `xopero watch` runs".to_owned(),
    });
    let mut all: Vec<Note> = unused
        .chain(expiries(declaration, now))
        .chain(scheduled)
        .chain(pauses(declaration, now))
        .chain(not_acted_on(declaration))
        .collect();
    all.extend(idle(declaration, moves, in_force));
    all.sort_by(|a, b| (&a.address, a.kind).cmp(&(&b.address, b.kind)));
    all
}

fn pauses(declaration: &Declaration, now: Timestamp) -> Vec<Note> {
    let today = now.to_zoned(TimeZone::UTC).date();
    let paused = declaration.plans.iter().filter_map(|(name, plan)| Some((name, plan.paused.as_ref()?)));
    let note = |(name, pause): (&PlanName, &Pause)| {
        let message = match pause.until {
            Some(until) if until <= today => format!("its pause ended on {until}: remove `paused`"),
            Some(until) => format!("paused until {until}: {}", pause.reason),
            None => format!("paused until `paused` is removed: {}", pause.reason),
        };
        Note { kind: NoteKind::Paused, address: Address::plan(name), message }
    };
    paused.map(note).collect()
}

/// What is accepted because it is meant, and said because nobody may rely on it.
fn not_acted_on(declaration: &Declaration) -> Vec<Note> {
    let mut all = Vec::new();
    let mut tell = |address: Address, what: &str, instead: &str| {
        let message = format!("this version does not act on `{what}`: {instead}");
        all.push(Note { kind: NoteKind::NotActedOn, address, message });
    };
    for (name, plan) in &declaration.plans {
        if plan.verify.is_some() {
            tell(Address::plan(name), "verify", "check what is stored with `xopero verify`");
        }
    }
    for (name, destination) in &declaration.destinations {
        match destination.place {
            Place::Local { .. } => {}
            Place::S3(_) => tell(Address::destination(name), "s3", "no plan can name this destination"),
        }
    }
    all
}

/// Statements that have done their work. They may stay as a record, or go.
fn idle(declaration: &Declaration, moves: &Moves, in_force: &Declaration) -> Vec<Note> {
    let note =
        |address: &Address, message: String| Note { kind: NoteKind::MatchesNothing, address: address.clone(), message };
    let moved = moves
        .idle
        .iter()
        .map(|(from, to)| note(from, format!("`moved` to {to} matches nothing that is in force: the node can go")));
    let applied: BTreeSet<Address> = in_force.plans.keys().map(Address::plan).collect();
    let retired = declaration.retired.iter().filter(|address| {
        // A plan may be retired under the name that it was moved to.
        !applied.contains(*address) && !moves.retired.iter().any(|from| declaration.moved.get(from) == Some(*address))
    });
    let retired =
        retired.map(|address| note(address, "`retired` matches nothing that is in force: the node can go".to_owned()));
    moved.chain(retired).collect()
}

fn expiries(declaration: &Declaration, now: Timestamp) -> Vec<Note> {
    let today = now.to_zoned(TimeZone::UTC).date();
    let horizon = today.saturating_add(EXPIRY_DAYS.days());
    let mut all = Vec::new();
    for (key, project) in &declaration.projects {
        let additional =
            project.additional.iter().map(|(name, value)| (CredentialRole::Additional(name.clone()), value));
        for (role, credential) in [(CredentialRole::Main, &project.main)].into_iter().chain(additional) {
            // The same credential ends once, where it is declared.
            let own = credential.same_as.is_none();
            let Some(last_day) = credential.expires.filter(|date| own && *date <= horizon) else { continue };
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
    use crate::model::{Interval, Percent, Verification};

    #[test]
    fn what_is_declared_and_idle_is_told() {
        let declared = sample::declaration();
        let seen = |now: &str| -> Vec<String> {
            let all = notes(&declared, &Moves::default(), &declared, now.parse().unwrap());
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

    #[test]
    fn nothing_that_is_declared_is_silently_left_undone() {
        let mut declared = sample::declaration();
        let plan = declared.plans.values_mut().next().unwrap();
        plan.verify = Some(Verification { every: Interval::Weekly, sample: Percent::ALL });
        let until = Some(jiff::civil::date(2026, 12, 1));
        plan.paused = Some(Pause { reason: "migration".into(), until });
        let seen = |now: &str| -> Vec<String> {
            let all = notes(&declared, &Moves::default(), &declared, now.parse().unwrap());
            let told = all.iter().filter(|note| matches!(note.kind, NoteKind::Paused | NoteKind::NotActedOn));
            told.map(|note| format!("{} {}", note.address, note.message)).collect()
        };
        let before = seen("2026-11-30T00:00:00Z");
        assert_eq!(before.len(), 2, "{before:?}");
        assert_eq!(before[0], "plan/nightly paused until 2026-12-01: migration");
        assert!(before[1].contains("this version does not act on `verify`"), "{}", before[1]);
        assert!(seen("2026-12-01T00:00:00Z")[0].ends_with("its pause ended on 2026-12-01: remove `paused`"));
    }
}
