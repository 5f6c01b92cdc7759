//! A plan as a file: an approval that can be carried from where it was looked at to where it is applied.
//!
//! Nothing in such a file is carried out. Applying plans again and demands the same id; what else the file holds says
//! what moved if the id is another one. It has digests of secrets only, and the same plan makes the same bytes.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::change::{Action, ChangeSet, PlanId, resources};
use crate::model::{Address, Applied, Generation, Lineage, Source, hex};

/// What every saved plan says it is.
const FORMAT: &str = "xopero-plan";

/// The version that is written and read.
const VERSION: u32 = 1;

/// How many differences are told, before their number is.
const TOLD: usize = 20;

/// A change set, written down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedPlan {
    format: String,
    version: u32,
    /// The change set.
    pub plan_id: PlanId,
    /// What was declared.
    pub source: Source,
    /// What was in force.
    pub based_on: Option<Base>,
    changes: BTreeMap<Address, SavedChange>,
    rails: BTreeSet<String>,
}

/// The generation that a plan starts from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Base {
    /// The state it belongs to.
    pub lineage: Lineage,
    /// Its number.
    pub generation: Generation,
    /// SHA-256 of what it declares, in hexadecimal.
    pub digest: String,
}

/// What happens to one address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct SavedChange {
    action: String,
    attributes: BTreeMap<String, SavedAttribute>,
}

/// One attribute that changes, as the language would spell it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct SavedAttribute {
    before: Option<String>,
    after: Option<String>,
}

/// The fields that tell whether the others can be understood.
#[derive(Deserialize)]
struct Head {
    format: String,
    version: u32,
}

/// Why a text is not a saved plan that can be used here.
#[derive(Debug, thiserror::Error)]
pub enum UnreadablePlan {
    /// It is something else, or damaged.
    #[error("it is not a plan that `xopero plan --out` has written")]
    NotAPlan(#[source] Option<serde_json::Error>),
    /// It was written by another version.
    #[error("it has the plan format {found}; this xopero knows format {VERSION}")]
    OtherVersion {
        /// The format it has.
        found: u32,
    },
}

impl SavedPlan {
    /// Writes down a change set that leads from `applied` to what `source` declares.
    pub fn new(set: &ChangeSet, applied: Option<&Applied>, source: Source) -> Self {
        let based_on = applied.map(|applied| Base {
            lineage: applied.lineage,
            generation: applied.generation,
            digest: digest(applied),
        });
        Self {
            format: FORMAT.to_owned(),
            version: VERSION,
            plan_id: set.plan_id.clone(),
            source,
            based_on,
            changes: changes(set),
            rails: rails(set),
        }
    }

    /// The text of the file: JSON with sorted keys.
    pub fn to_json(&self) -> String {
        let value = serde_json::to_value(self).expect("a saved plan is plain data");
        serde_json::to_string_pretty(&value).expect("JSON can be written") + "\n"
    }

    /// Reads the text of a file.
    pub fn parse(text: &[u8]) -> Result<Self, UnreadablePlan> {
        let not_a_plan = |error| UnreadablePlan::NotAPlan(Some(error));
        let Head { format, version } = serde_json::from_slice(text).map_err(not_a_plan)?;
        if format != FORMAT {
            return Err(UnreadablePlan::NotAPlan(None));
        }
        if version != VERSION {
            return Err(UnreadablePlan::OtherVersion { found: version });
        }
        serde_json::from_slice(text).map_err(not_a_plan)
    }

    /// What differs between this plan and the one that there is: what it was made from first, then its changes.
    pub fn moved(&self, set: &ChangeSet, applied: Option<&Applied>, source: &Source) -> Vec<String> {
        let mut lines = Vec::new();
        let (then, now) = (self.based_on.as_ref(), applied.map(|applied| applied.generation));
        if then.map(|base| base.generation) != now {
            lines.push(format!("the state has moved from {} to {}", name(then.map(|base| base.generation)), name(now)));
        } else if then.map(|base| &base.digest) != applied.map(digest).as_ref() {
            lines.push(format!("{} is another one", name(now)));
        }
        lines.extend(changed_files(&self.source, source).map(|file| format!("{file} has changed")));
        let differences = self.differences(set);
        let more = differences.len().saturating_sub(TOLD);
        lines.extend(differences.into_iter().take(TOLD));
        if more > 0 {
            lines.push(format!("and {more} more differences"));
        }
        lines
    }

    fn differences(&self, set: &ChangeSet) -> Vec<String> {
        let found = changes(set);
        let addresses: BTreeSet<&Address> = self.changes.keys().chain(found.keys()).collect();
        let mut lines = Vec::new();
        for address in addresses {
            match (self.changes.get(address), found.get(address)) {
                (Some(then), None) => lines.push(format!("{address}: to {} then, stays as it is now", then.action)),
                (None, Some(now)) => lines.push(format!("{address}: to {} now, was to stay then", now.action)),
                (Some(then), Some(now)) if then.action != now.action => {
                    lines.push(format!("{address}: to {} then, to {} now", then.action, now.action));
                }
                (Some(then), Some(now)) => lines.extend(attributes(address, then, now)),
                (None, None) => {}
            }
        }
        let rails = rails(set);
        lines.extend(self.rails.difference(&rails).map(|rail| format!("guarded then: {rail}")));
        lines.extend(rails.difference(&self.rails).map(|rail| format!("guarded now: {rail}")));
        lines
    }
}

/// The files that are other ones: the main one first.
fn changed_files<'a>(then: &'a Source, now: &'a Source) -> impl Iterator<Item = &'a str> {
    let main = (then.sha256 != now.sha256).then_some(now.file.as_str());
    let only_in = |one: &'a Source, other: &'a Source| {
        let gone = one.files.iter().filter(|file| !other.files.contains(file));
        gone.map(|file| file.path.as_str())
    };
    let named: BTreeSet<&str> = only_in(then, now).chain(only_in(now, then)).collect();
    main.into_iter().chain(named)
}

fn attributes(address: &Address, then: &SavedChange, now: &SavedChange) -> Vec<String> {
    let paths: BTreeSet<&String> = then.attributes.keys().chain(now.attributes.keys()).collect();
    let differ = paths.into_iter().filter(|path| then.attributes.get(*path) != now.attributes.get(*path));
    let shown = |change: &SavedChange, path: &String| match change.attributes.get(path) {
        Some(SavedAttribute { before, after }) => {
            let side = |value: &Option<String>| value.clone().unwrap_or_else(|| "(none)".to_owned());
            format!("{} -> {}", side(before), side(after))
        }
        None => "unchanged".to_owned(),
    };
    differ.map(|path| format!("{address}: {path}: {} then, {} now", shown(then, path), shown(now, path))).collect()
}

fn name(generation: Option<Generation>) -> String {
    generation.map_or_else(|| "nothing applied".to_owned(), |generation| format!("generation {generation}"))
}

/// What is declared, whoever applied it and when.
fn digest(applied: &Applied) -> String {
    let resources = serde_json::to_vec(&resources(&applied.declaration)).expect("texts and numbers are JSON");
    hex::encode(&Sha256::digest(resources))
}

fn changes(set: &ChangeSet) -> BTreeMap<Address, SavedChange> {
    let touched = set.changes.iter().filter(|change| change.action != Action::Keep);
    touched
        .map(|change| {
            let attributes = change.attributes.iter().map(|attribute| {
                let text = |value: &Option<crate::change::Value>| value.as_ref().map(ToString::to_string);
                let saved = SavedAttribute { before: text(&attribute.before), after: text(&attribute.after) };
                (attribute.path.clone(), saved)
            });
            let saved = SavedChange { action: change.action.as_str().to_owned(), attributes: attributes.collect() };
            (change.address.clone(), saved)
        })
        .collect()
}

fn rails(set: &ChangeSet) -> BTreeSet<String> {
    set.rails.iter().map(super::describe_rail).collect()
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::change::{Known, change_set, sample};
    use crate::model::{Declaration, Sealed};

    fn source(sha256: &str) -> Source {
        Source { file: "xopero.kdl".into(), sha256: sha256.into(), files: Vec::new(), commit: None }
    }

    fn declared(edit: impl FnOnce(&mut Declaration)) -> Declaration {
        let mut declaration = sample::declaration();
        edit(&mut declaration);
        declaration
    }

    fn daily(number: u32) -> Declaration {
        declared(|declaration| declaration.retentions.values_mut().next().unwrap().keep.daily = number)
    }

    fn set(applied: &Applied, declaration: &Declaration) -> ChangeSet {
        change_set(Some(applied), declaration, &Known::default(), Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn a_saved_plan_comes_back_as_it_was_without_ciphertext() {
        let applied = sample::applied(sample::declaration());
        let other = declared(|declaration| {
            declaration.projects.values_mut().next().unwrap().main.sealed = Sealed::new("CIPHERTEXT");
        });
        let saved = SavedPlan::new(&set(&applied, &other), Some(&applied), source("aa"));
        let text = saved.to_json();
        assert_eq!(SavedPlan::parse(text.as_bytes()).unwrap(), saved);
        assert!(!text.contains("CIPHERTEXT") && text.contains(&Sealed::new("CIPHERTEXT").digest()), "{text}");
        let keys: Vec<&str> =
            text.lines().filter_map(|line| line.strip_prefix("  \"")?.split_once('"').map(|(key, _)| key)).collect();
        assert_eq!(keys, ["based_on", "changes", "format", "plan_id", "rails", "source", "version"]);
        assert_eq!(saved.to_json(), text);
        assert!(saved.moved(&set(&applied, &other), Some(&applied), &source("aa")).is_empty());
    }

    #[test]
    fn what_moved_is_named() {
        let applied = sample::applied(sample::declaration());
        let saved = SavedPlan::new(&set(&applied, &daily(7)), Some(&applied), source("aa"));

        let moved = saved.moved(&set(&applied, &daily(6)), Some(&applied), &source("bb"));
        assert_eq!(
            moved,
            [
                "xopero.kdl has changed",
                "retention/gfs: keep.daily: 14 -> 7 then, 14 -> 6 now",
                "guarded then: tightened-retention: retention/gfs: keeps fewer backups: daily from 14 to 7",
                "guarded now: tightened-retention: retention/gfs: keeps fewer backups: daily from 14 to 6",
            ]
        );

        let mut later = sample::applied(daily(13));
        later.generation = Generation(43);
        let moved = saved.moved(&set(&later, &daily(7)), Some(&later), &source("aa"));
        assert_eq!(moved[0], "the state has moved from generation 41 to generation 43");
        assert_eq!(moved[1], "retention/gfs: keep.daily: 14 -> 7 then, 13 -> 7 now");

        let everything = declared(|declaration| declaration.plans.clear());
        let moved = saved.moved(&set(&applied, &everything), Some(&applied), &source("aa"));
        assert_eq!(moved[0], "plan/nightly: to retire now, was to stay then");
        assert_eq!(moved[1], "retention/gfs: to update then, stays as it is now");
        let first =
            saved.moved(&change_set(None, &daily(7), &Known::default(), Timestamp::UNIX_EPOCH), None, &source("aa"));
        assert_eq!(first[0], "the state has moved from generation 41 to nothing applied");
    }

    #[test]
    fn other_texts_are_refused() {
        let parse = |text: &str| SavedPlan::parse(text.as_bytes()).unwrap_err();
        assert!(matches!(parse("xopero schema=1"), UnreadablePlan::NotAPlan(Some(_))));
        assert!(matches!(parse(r#"{"format":"terraform","version":4}"#), UnreadablePlan::NotAPlan(None)));
        let newer = r#"{"format":"xopero-plan","version":2,"plan":{}}"#;
        assert!(matches!(parse(newer), UnreadablePlan::OtherVersion { found: 2 }));
        let half = r#"{"format":"xopero-plan","version":1,"plan_id":"x"}"#;
        assert!(matches!(parse(half), UnreadablePlan::NotAPlan(Some(_))));
    }
}
