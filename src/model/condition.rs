//! Lasting facts that follow from what was observed, and when one counts as changed.
//!
//! A condition is told when it begins, when its reason changes and when it ends, not each time that it is seen again.
//! What a server *said* holds at once; what its *silence* suggests must be seen [`SETTLES_AFTER`] times in a row, so
//! that one lost packet is no news and a server that comes and goes is not told each time.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::{Address, Generation};

/// How many equal observations in a row make a fact of what silence suggests.
pub const SETTLES_AFTER: u32 = 3;

/// The conditions that are known, by what they are about and of which kind they are.
pub type Conditions = BTreeMap<Address, BTreeMap<ConditionKind, Condition>>;

/// Which fact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ConditionKind {
    /// A credential ends soon, or has ended, by what the file says.
    CredentialExpiring,
    /// The server does not accept a credential.
    CredentialRejected,
    /// A credential is another account's, or nobody's.
    AccountMismatch,
    /// A credential is good, and does not see its project.
    PermissionLost,
    /// An account has used up its budget.
    Throttled,
    /// A repository has another slug than when the generation in force was applied.
    RepoRenamed,
    /// A repository is in another project than when the generation in force was applied.
    RepoMoved,
    /// A repository is no longer there.
    RepoGone,
    /// A project has another key than the file says.
    ProjectRenamed,
    /// A project lists so much less than before that its listing is not believed. While it holds, nothing that was
    /// backed up of the project may be forgotten.
    ListingSuspect,
    /// A destination belongs to somebody else.
    DestinationForeign,
    /// A server cannot be reached.
    ServerUnreachable,
    /// The branch that is followed cannot be read, or lacks a file.
    SourceStale,
    /// The branch that is followed does not come from the commit in force.
    SourceRewound,
    /// The branch that is followed has a commit that is not signed as it must be.
    SourceUnsigned,
    /// Whoever tells may not call the program of some alerts.
    ExecNotAllowed,
}

impl std::str::FromStr for ConditionKind {
    type Err = UnknownCondition;

    fn from_str(text: &str) -> Result<Self, UnknownCondition> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or(UnknownCondition)
    }
}

/// A condition of a kind that this version does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a condition that this version does not know")]
pub struct UnknownCondition;

impl ConditionKind {
    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::CredentialExpiring,
        Self::CredentialRejected,
        Self::AccountMismatch,
        Self::PermissionLost,
        Self::Throttled,
        Self::RepoRenamed,
        Self::RepoMoved,
        Self::RepoGone,
        Self::ProjectRenamed,
        Self::ListingSuspect,
        Self::DestinationForeign,
        Self::ServerUnreachable,
        Self::SourceStale,
        Self::SourceRewound,
        Self::SourceUnsigned,
        Self::ExecNotAllowed,
    ];

    /// The name that people and programs see.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CredentialExpiring => "CredentialExpiring",
            Self::CredentialRejected => "CredentialRejected",
            Self::AccountMismatch => "AccountMismatch",
            Self::PermissionLost => "PermissionLost",
            Self::Throttled => "Throttled",
            Self::RepoRenamed => "RepoRenamed",
            Self::RepoMoved => "RepoMoved",
            Self::RepoGone => "RepoGone",
            Self::ProjectRenamed => "ProjectRenamed",
            Self::ListingSuspect => "ListingSuspect",
            Self::DestinationForeign => "DestinationForeign",
            Self::ServerUnreachable => "ServerUnreachable",
            Self::SourceStale => "SourceStale",
            Self::SourceRewound => "SourceRewound",
            Self::SourceUnsigned => "SourceUnsigned",
            Self::ExecNotAllowed => "ExecNotAllowed",
        }
    }

    /// How many equal observations in a row it takes to say that it holds.
    pub const fn settles_after(self) -> u32 {
        match self {
            Self::RepoGone | Self::ServerUnreachable => SETTLES_AFTER,
            Self::CredentialExpiring
            | Self::CredentialRejected
            | Self::AccountMismatch
            | Self::PermissionLost
            | Self::Throttled
            | Self::RepoRenamed
            | Self::RepoMoved
            | Self::ProjectRenamed
            | Self::ListingSuspect
            | Self::DestinationForeign
            | Self::SourceStale
            | Self::SourceRewound
            | Self::SourceUnsigned
            | Self::ExecNotAllowed => 1,
        }
    }
}

/// Whether a condition holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ConditionStatus {
    /// It holds.
    True,
    /// It does not.
    False,
    /// Nothing that was seen says so, or the contrary.
    Unknown,
}

/// A lasting fact about one address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// Whether it holds.
    pub status: ConditionStatus,
    /// Why, as one word for programs: `WrongSecret`.
    pub reason: String,
    /// What there is to know, for people.
    pub message: String,
    /// Since when it has this status.
    pub since: Timestamp,
    /// The generation that was in force then.
    pub generation: Option<Generation>,
    /// How often the contrary was seen in a row since.
    pub contrary: u32,
}

/// What one look says about a condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// What it is about.
    pub address: Address,
    /// Of which kind.
    pub kind: ConditionKind,
    /// What was seen.
    pub seen: Seen,
}

/// Whether a condition was seen to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// It was.
    Holds {
        /// Why, as one word for programs.
        reason: &'static str,
        /// What there is to know, for people.
        message: String,
    },
    /// The contrary was.
    Not,
}

/// A condition that began, changed its reason, or ended: what is worth an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transition {
    /// What it is about.
    pub address: Address,
    /// Of which kind.
    pub kind: ConditionKind,
    /// The condition as it is from here on.
    pub condition: Condition,
}

/// What is known after a look, and what is worth telling of it. What was not looked at stays as it is.
pub fn settle(
    known: &Conditions,
    sightings: &[Sighting],
    generation: Option<Generation>,
    now: Timestamp,
) -> (Conditions, Vec<Transition>) {
    let mut conditions = known.clone();
    let mut transitions = Vec::new();
    for Sighting { address, kind, seen } in sightings {
        let before = conditions.get(address).and_then(|kinds| kinds.get(kind));
        let Some((condition, news)) = next(before, *kind, seen, generation, now) else { continue };
        if news {
            let (address, condition) = (address.clone(), condition.clone());
            transitions.push(Transition { address, kind: *kind, condition });
        }
        conditions.entry(address.clone()).or_default().insert(*kind, condition);
    }
    (conditions, transitions)
}

/// The condition after one sighting and whether it is news; `None` if there is nothing to remember.
fn next(
    before: Option<&Condition>,
    kind: ConditionKind,
    seen: &Seen,
    generation: Option<Generation>,
    now: Timestamp,
) -> Option<(Condition, bool)> {
    let holds = before.is_some_and(|before| before.status == ConditionStatus::True);
    match seen {
        Seen::Holds { reason, message } => {
            let (reason, message) = ((*reason).to_owned(), message.clone());
            let begins = |contrary| Condition {
                status: ConditionStatus::True,
                reason: reason.clone(),
                message: message.clone(),
                since: now,
                generation,
                contrary,
            };
            if let Some(before) = before.filter(|_| holds) {
                let news = before.reason != reason;
                return Some((Condition { reason, message, contrary: 0, ..before.clone() }, news));
            }
            let times = before.map_or(0, |before| before.contrary).saturating_add(1);
            if times >= kind.settles_after() {
                return Some((begins(0), true));
            }
            let status = before.map_or(ConditionStatus::Unknown, |before| before.status);
            let (since, generation) = before.map_or((now, generation), |before| (before.since, before.generation));
            Some((Condition { status, since, generation, ..begins(times) }, false))
        }
        Seen::Not => {
            let before = before?;
            let ended = || Condition {
                status: ConditionStatus::False,
                reason: String::new(),
                message: String::new(),
                since: now,
                generation,
                contrary: 0,
            };
            match before.status {
                ConditionStatus::True => Some((ended(), true)),
                ConditionStatus::Unknown => Some((ended(), false)),
                ConditionStatus::False => Some((Condition { contrary: 0, ..before.clone() }, false)),
            }
        }
    }
}

/// Whether a credential ends soon: told 30, 14 and 3 days before its last day, and when that is over.
pub fn expiring(last_day: Date, today: Date) -> Seen {
    let left = today.until(last_day).map_or(i32::MAX, |span| span.get_days());
    let reason = match left {
        ..0 => "Expired",
        0..=3 => "Within3Days",
        4..=14 => "Within14Days",
        15..=30 => "Within30Days",
        _ => return Seen::Not,
    };
    let message =
        if left < 0 { format!("it ended on {last_day}") } else { format!("it works until {last_day}: seal a new one") };
    Seen::Holds { reason, message }
}

/// The conditions that hold, in the order of addresses.
pub fn holding(conditions: &Conditions) -> impl Iterator<Item = (&Address, ConditionKind, &Condition)> {
    let all = conditions.iter().flat_map(|(address, kinds)| kinds.iter().map(move |(kind, it)| (address, *kind, it)));
    all.filter(|(_, _, condition)| condition.status == ConditionStatus::True)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KINDS: [ConditionKind; 3] =
        [ConditionKind::ServerUnreachable, ConditionKind::CredentialRejected, ConditionKind::RepoGone];

    fn address() -> Address {
        Address::server(&"bb".parse().unwrap())
    }

    fn sighting(kind: ConditionKind, reason: Option<&'static str>) -> Sighting {
        let seen = match reason {
            Some(reason) => Seen::Holds { reason, message: format!("it is {reason}") },
            None => Seen::Not,
        };
        Sighting { address: address(), kind, seen }
    }

    fn at(second: usize) -> Timestamp {
        Timestamp::from_second(i64::try_from(second).unwrap()).unwrap()
    }

    /// The transitions of a series of sightings, one a second, as `second status reason`.
    fn told(kind: ConditionKind, series: &[Option<&'static str>]) -> Vec<String> {
        let mut known = Conditions::new();
        let mut told = Vec::new();
        for (second, reason) in series.iter().enumerate() {
            let (after, news) = settle(&known, &[sighting(kind, *reason)], Some(Generation(7)), at(second));
            told.extend(
                news.iter().map(|news| format!("{second} {:?} {}", news.condition.status, news.condition.reason)),
            );
            known = after;
        }
        told
    }

    #[test]
    fn what_was_said_holds_at_once_and_is_told_once() {
        let series = [None, Some("WrongSecret"), Some("WrongSecret"), Some("Captcha"), None, None];
        assert_eq!(
            told(ConditionKind::CredentialRejected, &series),
            ["1 True WrongSecret", "3 True Captcha", "4 False "]
        );
    }

    #[test]
    fn what_silence_suggests_takes_three_times() {
        let (silent, answers) = (Some("Timeout"), None);
        let kind = ConditionKind::ServerUnreachable;
        assert_eq!(told(kind, &[silent, silent, answers, silent, silent, answers]), [""; 0]);
        assert_eq!(told(kind, &[silent, silent, silent, silent, answers]), ["2 True Timeout", "4 False "]);
        let comes_and_goes = [silent, answers].repeat(50);
        assert_eq!(told(kind, &comes_and_goes), [""; 0]);
    }

    #[test]
    fn a_condition_keeps_the_time_at_which_it_began() {
        let kind = ConditionKind::CredentialRejected;
        let (known, _) = settle(&Conditions::new(), &[sighting(kind, Some("WrongSecret"))], Some(Generation(7)), at(1));
        let (known, _) = settle(&known, &[sighting(kind, Some("WrongSecret"))], Some(Generation(8)), at(2));
        let (_, _, condition) = holding(&known).next().unwrap();
        assert_eq!((condition.since, condition.generation), (at(1), Some(Generation(7))));
    }

    fn series() -> impl Strategy<Value = Vec<Option<&'static str>>> {
        let one = prop_oneof![Just(None), Just(Some("One")), Just(Some("Other"))];
        proptest::collection::vec(one, 0..60)
    }

    proptest! {
        /// A condition that holds was seen as often in a row as its kind demands, and one that was seen not to hold
        /// does not.
        #[test]
        fn the_status_follows_from_the_last_sightings(series in series(), kind in proptest::sample::select(&KINDS)) {
            let mut known = Conditions::new();
            let mut row = 0;
            for (second, reason) in series.iter().enumerate() {
                known = settle(&known, &[sighting(kind, *reason)], None, at(second)).0;
                row = if reason.is_some() { row + 1 } else { 0 };
                let holds = holding(&known).count() == 1;
                prop_assert_eq!(holds, row >= kind.settles_after());
            }
        }

        /// Events and statuses agree: beginnings and ends alternate, and nothing changes its `since` in silence.
        #[test]
        fn nothing_changes_without_being_told(series in series(), kind in proptest::sample::select(&KINDS)) {
            let mut known = Conditions::new();
            let mut held = false;
            for (second, reason) in series.iter().enumerate() {
                let (after, news) = settle(&known, &[sighting(kind, *reason)], None, at(second));
                let holds = holding(&after).count() == 1;
                prop_assert!(news.len() <= 1);
                if held != holds {
                    prop_assert_eq!(news.len(), 1);
                }
                if let (true, true, Some(before)) = (held, holds, holding(&known).next()) {
                    prop_assert_eq!(before.2.since, holding(&after).next().unwrap().2.since);
                }
                (held, known) = (holds, after);
            }
        }

        /// The same sighting again, once it has settled, changes nothing.
        #[test]
        fn a_settled_sighting_is_idempotent(series in series(), kind in proptest::sample::select(&KINDS)) {
            let Some(last) = series.last() else { return Ok(()) };
            let mut known = Conditions::new();
            for second in 0..3 {
                known = settle(&known, &[sighting(kind, *last)], None, at(second)).0;
            }
            let (after, news) = settle(&known, &[sighting(kind, *last)], Some(Generation(9)), at(99));
            prop_assert_eq!((after, news), (known, Vec::new()));
        }

        /// What was not looked at stays as it is.
        #[test]
        fn other_conditions_are_left_alone(kind in proptest::sample::select(&KINDS), other in proptest::sample::select(&KINDS)) {
            let known = settle(&Conditions::new(), &[sighting(kind, Some("One"))], None, at(1)).0;
            let elsewhere = Sighting { address: Address::recipients(), ..sighting(other, Some("Other")) };
            let after = settle(&known, &[elsewhere], None, at(2)).0;
            prop_assert_eq!(after.get(&address()), known.get(&address()));
        }
    }
}
