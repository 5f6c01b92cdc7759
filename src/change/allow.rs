//! Approval by a commit: trailers that name what is guarded, one address each.
//!
//! `Xopero-Allow: retire plan/old-weekly` is reviewed in the pull request together with the change, and allows nothing
//! else. There is no trailer that allows everything.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use super::{Rail, RailKind, Risk};
use crate::model::{Address, AllowedBy};

/// The key of the trailer. Case does not matter, as in git.
const KEY: &str = "Xopero-Allow";

/// More trailers than this are not read: nobody reviews them one by one.
const MOST: usize = 200;

/// What a trailer allows to do with an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Act {
    /// Let a plan leave.
    Retire,
    /// Keep fewer backups.
    Tighten,
    /// Give a server another address.
    Move,
    /// Let many repositories leave a plan.
    Narrow,
    /// Tell nobody any more.
    Silence,
}

impl Act {
    const ALL: [Self; 5] = [Self::Retire, Self::Tighten, Self::Move, Self::Narrow, Self::Silence];

    /// The word in the trailer.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Retire => "retire",
            Self::Tighten => "tighten",
            Self::Move => "move",
            Self::Narrow => "narrow",
            Self::Silence => "silence",
        }
    }

    /// What has to be allowed so that a rail opens. Nothing opens one that is refused, or a source that went back: it
    /// brings its own trailers.
    pub const fn that_opens(rail: RailKind) -> Option<Self> {
        match rail {
            RailKind::PlanLeaves | RailKind::ManyPlansLeave => Some(Self::Retire),
            RailKind::TightenedRetention => Some(Self::Tighten),
            RailKind::ServerMoved => Some(Self::Move),
            RailKind::RepositoriesLeave => Some(Self::Narrow),
            RailKind::AlertsLeave => Some(Self::Silence),
            RailKind::NoPlans | RailKind::SealedElsewhere | RailKind::MoveConflict | RailKind::SourceRewound => None,
        }
    }
}

/// One thing that is allowed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Allowance {
    /// What may be done.
    pub act: Act,
    /// With what.
    pub address: Address,
}

/// A trailer that allows nothing, because it cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a trailer allows `retire`, `tighten`, `move`, `narrow` or `silence` of one address, such as `retire plan/old-weekly`"
)]
pub struct InvalidAllowance;

impl FromStr for Allowance {
    type Err = InvalidAllowance;
    fn from_str(text: &str) -> Result<Self, InvalidAllowance> {
        let mut words = text.split_ascii_whitespace();
        let (Some(act), Some(address), None) = (words.next(), words.next(), words.next()) else {
            return Err(InvalidAllowance);
        };
        let act = Act::ALL.into_iter().find(|known| known.as_str() == act).ok_or(InvalidAllowance)?;
        let address = Address::parse(address).map_err(|_| InvalidAllowance)?;
        Ok(Self { act, address })
    }
}

impl fmt::Display for Allowance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.act.as_str(), self.address)
    }
}

impl Allowance {
    /// The line of a commit message that gives it.
    pub fn trailer(&self) -> String {
        format!("{KEY}: {self}")
    }
}

/// What commits allow.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Allowed {
    /// What is allowed, and the commit that says so.
    acts: BTreeMap<Allowance, String>,
    /// Trailers that cannot be read, after the commit that has them: whoever wrote them meant something.
    unreadable: Vec<(String, String)>,
    asked: Asked,
    /// How many commits were read, if there were more.
    newest: Option<usize>,
}

/// Whether commits were asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
enum Asked {
    /// No commit is concerned: what is proposed is no file.
    #[default]
    Nobody,
    /// They were.
    Commits,
    /// They were not, for this reason.
    Silent {
        /// Why not.
        why: String,
        /// Whether a commit could change that.
        yet: bool,
    },
}

impl Allowed {
    /// Reads the messages of commits, each behind its number: of all that lie between what is in force and what is
    /// proposed.
    pub fn by<'a>(messages: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut allowed = Self { asked: Asked::Commits, ..Self::default() };
        let values = messages.into_iter().flat_map(|(commit, message)| trailers(message).map(move |it| (commit, it)));
        for (commit, value) in values.take(MOST) {
            match value.parse() {
                Ok(allowance) => {
                    allowed.acts.entry(allowance).or_insert_with(|| commit.to_owned());
                }
                Err(InvalidAllowance) => allowed.unreadable.push((commit.to_owned(), value.to_owned())),
            }
        }
        allowed
    }

    /// Nothing is allowed, and no commit could change that.
    pub fn nothing(why: impl Into<String>) -> Self {
        Self { asked: Asked::Silent { why: why.into(), yet: false }, ..Self::default() }
    }

    /// Nothing is allowed as long as what is proposed is not committed.
    pub fn nothing_yet(why: impl Into<String>) -> Self {
        Self { asked: Asked::Silent { why: why.into(), yet: true }, ..Self::default() }
    }

    /// The same, read from so many of the commits: the newest ones.
    #[must_use]
    pub fn of_the_newest(self, commits: usize) -> Self {
        Self { newest: Some(commits), ..self }
    }

    /// What there is to say to somebody who expected a commit to allow more, each on one line.
    pub fn remarks(&self) -> Vec<String> {
        let silent = match &self.asked {
            Asked::Silent { why, .. } => Some(format!("no commit was asked what it allows: {why}")),
            Asked::Nobody | Asked::Commits => None,
        };
        let unreadable = self.unreadable.iter().map(|(commit, value)| {
            let commit: String = commit.chars().take(8).collect();
            format!("`{KEY}: {value}` of commit {commit} allows nothing: {InvalidAllowance}")
        });
        let older = self.newest.map(|newest| format!("only the newest {newest} commits were asked what they allow"));
        silent.into_iter().chain(older).chain(unreadable).collect()
    }

    /// Opens the rails that are allowed, and says of the others which trailers would open them.
    pub(super) fn judge(&self, mut rails: Vec<Rail>) -> Vec<Rail> {
        for rail in &mut rails {
            if let Some(allowed_by) = self.opens(rail) {
                rail.allowed_by = allowed_by;
            } else if self.may_allow() && can_open(rail) {
                rail.trailers = self.missing(rail).map(|allowance| allowance.trailer()).collect();
            }
        }
        rails
    }

    /// Whether a trailer would be heard.
    const fn may_allow(&self) -> bool {
        match self.asked {
            Asked::Commits => true,
            Asked::Silent { yet, .. } => yet,
            Asked::Nobody => false,
        }
    }

    /// The commits that open a rail, if they do: everything that it is about is allowed by name.
    fn opens(&self, rail: &Rail) -> Option<Vec<AllowedBy>> {
        if !can_open(rail) || rail.addresses.is_empty() {
            return None;
        }
        let by = |one: Allowance| {
            let commit = self.acts.get(&one)?.clone();
            Some(AllowedBy { commit, allows: one.to_string() })
        };
        needed(rail).map(by).collect()
    }

    /// What would have to be allowed besides.
    fn missing<'a>(&'a self, rail: &'a Rail) -> impl Iterator<Item = Allowance> + 'a {
        needed(rail).filter(|allowance| !self.acts.contains_key(allowance))
    }
}

/// Whether there is a trailer for the rail at all.
fn can_open(rail: &Rail) -> bool {
    rail.risk == Risk::Guarded && Act::that_opens(rail.kind).is_some()
}

/// What has to be allowed so that a rail opens.
fn needed(rail: &Rail) -> impl Iterator<Item = Allowance> {
    let acts = Act::that_opens(rail.kind).into_iter();
    acts.flat_map(|act| rail.addresses.iter().map(move |address| Allowance { act, address: address.clone() }))
}

/// The values of our trailers. Trailers are the last paragraph of a message, and not the first.
fn trailers(message: &str) -> impl Iterator<Item = &str> {
    let message = message.trim_end();
    let start = message.match_indices('\n').rfind(|(at, _)| message[at + 1..].starts_with(['\n', '\r']));
    let paragraph = start.map_or("", |(at, _)| message[at..].trim_start());
    paragraph.lines().filter_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.trim_end().eq_ignore_ascii_case(KEY).then(|| value.trim())
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Known, change_set, sample};
    use super::*;

    fn rails() -> Vec<Rail> {
        let mut declared = sample::declaration();
        let plan = declared.plans.remove(&"nightly".parse().unwrap()).unwrap();
        declared.plans.insert("hot".parse().unwrap(), plan);
        declared.retentions.values_mut().next().unwrap().keep.daily = 1;
        let applied = sample::applied(sample::declaration());
        change_set(Some(&applied), &declared, &Known::default(), jiff::Timestamp::UNIX_EPOCH).rails
    }

    fn by(messages: &[&str]) -> Allowed {
        Allowed::by(messages.iter().map(|message| ("4c1d9e2290ab3f77", *message)))
    }

    #[test]
    fn what_is_named_is_allowed_and_nothing_else() {
        let rails = rails();
        let kinds: Vec<RailKind> = rails.iter().map(|rail| rail.kind).collect();
        assert_eq!(kinds, [RailKind::PlanLeaves, RailKind::TightenedRetention]);
        let message = "retire the nightly plan\n\nIt is over.\n\nReviewed-by: Ada\nxopero-allow: retire plan/nightly\n";
        let judged = by(&[message]).judge(rails.clone());
        let allowed = AllowedBy { commit: "4c1d9e2290ab3f77".into(), allows: "retire plan/nightly".into() };
        assert_eq!((judged[0].allowed_by.as_slice(), judged[1].is_open()), ([allowed].as_slice(), false));
        assert_eq!(judged[1].trailers, ["Xopero-Allow: tighten retention/gfs"]);
        let both = by(&[message, "x\n\nXopero-Allow: tighten retention/gfs"]);
        assert!(both.judge(rails.clone()).iter().all(Rail::is_open), "the commits in between count together");
        for other in ["tighten plan/nightly", "retire plan/weekly", "retire retention/gfs"] {
            let judged = by(&[format!("x\n\nXopero-Allow: {other}").as_str()]).judge(rails.clone());
            assert!(!judged[0].is_open(), "{other}");
            assert_eq!(judged[0].trailers, ["Xopero-Allow: retire plan/nightly"]);
        }
        assert_eq!(Allowed::default().judge(rails.clone()), rails, "where no commit is concerned, none is asked for");
        assert_eq!(Allowed::nothing_yet("it is edited").judge(rails.clone())[0].trailers.len(), 1);
        assert_eq!(Allowed::nothing("it went back").judge(rails.clone()), rails, "nobody is sent where no way is");
    }

    #[test]
    fn no_trailer_opens_what_is_refused() {
        let applied = sample::applied(sample::declaration());
        let nothing = crate::model::Declaration::default();
        let set = change_set(Some(&applied), &nothing, &Known::default(), jiff::Timestamp::UNIX_EPOCH);
        let judged = by(&["x\n\nXopero-Allow: retire plan/nightly"]).judge(set.rails);
        let closed: Vec<RailKind> = judged.iter().filter(|rail| !rail.is_open()).map(|rail| rail.kind).collect();
        assert_eq!(closed, [RailKind::NoPlans]);
    }

    #[test]
    fn a_rail_about_nothing_in_particular_is_not_opened() {
        let mut rail = rails().remove(0);
        rail.addresses.clear();
        assert_eq!(by(&["x\n\nXopero-Allow: retire plan/nightly"]).opens(&rail), None);
    }

    #[test]
    fn only_the_last_paragraph_has_trailers() {
        for none in [
            "Xopero-Allow: retire plan/nightly",
            "x\n\nXopero-Allow: retire plan/nightly\n\nThat was an example.",
            "x\nXopero-Allow: retire plan/nightly",
            "",
        ] {
            assert_eq!(by(&[none]), by(&[]), "{none:?}");
        }
        let crlf = by(&["x\r\n\r\nXopero-Allow: retire plan/nightly\r\n"]);
        assert!(crlf.opens(&rails()[0]).is_some());
    }

    #[test]
    fn what_cannot_be_read_is_told() {
        let values = ["everything", "retire", "retire plan/a plan/b", "destroy plan/nightly", "retire nonsense/a", ""];
        for value in values {
            let allowed = by(&[format!("x\n\nXopero-Allow: {value}").as_str()]);
            assert!(allowed.acts.is_empty());
            let expected = format!("`Xopero-Allow: {value}` of commit 4c1d9e22 allows nothing");
            assert!(allowed.remarks()[0].starts_with(&expected), "{:?}", allowed.remarks());
        }
    }

    proptest! {
        #[test]
        fn no_message_does_harm(message: String) {
            let allowed = by(&[message.as_str(), &format!("x\n\nXopero-Allow:{message}")]);
            prop_assert!(allowed.acts.len() + allowed.unreadable.len() <= MOST);
        }
    }
}
