//! Approval by a commit: trailers that name what is guarded, one address each.
//!
//! `Xopero-Allow: retire plan/old-weekly` is reviewed in the pull request together with the change, and allows nothing
//! else. There is no trailer that allows everything.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use crate::change::{Rail, RailKind, Risk};
use crate::model::Address;

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
}

impl Act {
    const ALL: [Self; 4] = [Self::Retire, Self::Tighten, Self::Move, Self::Narrow];

    /// The word in the trailer.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Retire => "retire",
            Self::Tighten => "tighten",
            Self::Move => "move",
            Self::Narrow => "narrow",
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
#[error("a trailer allows `retire`, `tighten`, `move` or `narrow` of one address, such as `retire plan/old-weekly`")]
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

/// What commits allow.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Allowed {
    acts: BTreeSet<Allowance>,
    /// The values of trailers that cannot be read: whoever wrote them meant something.
    pub unreadable: Vec<String>,
}

impl Allowed {
    /// Reads the messages of commits: of all that lie between what is in force and what is proposed.
    pub fn by<'a>(messages: impl IntoIterator<Item = &'a str>) -> Self {
        let mut allowed = Self::default();
        for value in messages.into_iter().flat_map(trailers).take(MOST) {
            match value.parse() {
                Ok(allowance) => {
                    allowed.acts.insert(allowance);
                }
                Err(InvalidAllowance) => allowed.unreadable.push(value.to_owned()),
            }
        }
        allowed
    }

    /// Whether a rail opens: everything that it is about is allowed by name.
    pub fn opens(&self, rail: &Rail) -> bool {
        let can_open = rail.risk == Risk::Guarded && Act::that_opens(rail.kind).is_some();
        can_open && !rail.addresses.is_empty() && self.missing(rail).next().is_none()
    }

    /// What would have to be allowed besides, for a message: each is the value of a trailer.
    pub fn missing<'a>(&'a self, rail: &'a Rail) -> impl Iterator<Item = Allowance> + 'a {
        let acts = Act::that_opens(rail.kind).into_iter();
        let all =
            acts.flat_map(|act| rail.addresses.iter().map(move |address| Allowance { act, address: address.clone() }));
        all.filter(|allowance| !self.acts.contains(allowance))
    }
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

    use super::*;
    use crate::change::{Known, change_set, sample};

    fn rails() -> Vec<Rail> {
        let mut declared = sample::declaration();
        let plan = declared.plans.remove(&"nightly".parse().unwrap()).unwrap();
        declared.plans.insert("hot".parse().unwrap(), plan);
        declared.retentions.values_mut().next().unwrap().keep.daily = 1;
        let applied = sample::applied(sample::declaration());
        change_set(Some(&applied), &declared, &Known::default(), jiff::Timestamp::UNIX_EPOCH).rails
    }

    #[test]
    fn what_is_named_is_allowed_and_nothing_else() {
        let rails = rails();
        let kinds: Vec<RailKind> = rails.iter().map(|rail| rail.kind).collect();
        assert_eq!(kinds, [RailKind::PlanLeaves, RailKind::TightenedRetention]);
        let message = "retire the nightly plan\n\nIt is over.\n\nReviewed-by: Ada\nxopero-allow: retire plan/nightly\n";
        let allowed = Allowed::by([message]);
        assert!(allowed.opens(&rails[0]) && !allowed.opens(&rails[1]));
        let missing: Vec<String> = allowed.missing(&rails[1]).map(|allowance| allowance.to_string()).collect();
        assert_eq!(missing, ["tighten retention/gfs"]);
        let both = Allowed::by([message, "x\n\nXopero-Allow: tighten retention/gfs"]);
        assert!(rails.iter().all(|rail| both.opens(rail)), "the commits in between count together");
        for other in ["tighten plan/nightly", "retire plan/weekly", "retire retention/gfs"] {
            assert!(!Allowed::by([format!("x\n\nXopero-Allow: {other}").as_str()]).opens(&rails[0]), "{other}");
        }
    }

    #[test]
    fn no_trailer_opens_what_is_refused() {
        let applied = sample::applied(sample::declaration());
        let nothing = crate::model::Declaration::default();
        let set = change_set(Some(&applied), &nothing, &Known::default(), jiff::Timestamp::UNIX_EPOCH);
        let allowed = Allowed::by(["x\n\nXopero-Allow: retire plan/nightly"]);
        let closed: Vec<RailKind> =
            set.rails.iter().filter(|rail| !allowed.opens(rail)).map(|rail| rail.kind).collect();
        assert_eq!(closed, [RailKind::NoPlans]);
    }

    #[test]
    fn a_rail_about_nothing_in_particular_is_not_opened() {
        let mut rail = rails().remove(0);
        rail.addresses.clear();
        assert!(!Allowed::by(["x\n\nXopero-Allow: retire plan/nightly"]).opens(&rail));
    }

    #[test]
    fn only_the_last_paragraph_has_trailers() {
        for none in [
            "Xopero-Allow: retire plan/nightly",
            "x\n\nXopero-Allow: retire plan/nightly\n\nThat was an example.",
            "x\nXopero-Allow: retire plan/nightly",
            "",
        ] {
            assert_eq!(Allowed::by([none]), Allowed::default(), "{none:?}");
        }
        let crlf = Allowed::by(["x\r\n\r\nXopero-Allow: retire plan/nightly\r\n"]);
        assert!(crlf.opens(&rails()[0]));
    }

    #[test]
    fn what_cannot_be_read_is_told() {
        let values = ["everything", "retire", "retire plan/a plan/b", "destroy plan/nightly", "retire nonsense/a", ""];
        for value in values {
            let allowed = Allowed::by([format!("x\n\nXopero-Allow: {value}").as_str()]);
            assert_eq!(allowed.unreadable, [value]);
            assert!(allowed.acts.is_empty());
        }
    }

    proptest! {
        #[test]
        fn no_message_does_harm(message: String) {
            let allowed = Allowed::by([message.as_str(), &format!("x\n\nXopero-Allow:{message}")]);
            prop_assert!(allowed.acts.len() + allowed.unreadable.len() <= MOST);
        }
    }
}
