//! What the commits say that led from the generation in force to what is proposed.

use crate::change::{Allowed, SourceStep};
use crate::model::Applied;
use crate::source::{AtCommit, CommitMessage, Descent, HistoryError, MOST_COMMITS, Provenance, short_commit};

/// How the source came to where it is, and what its commits allow.
///
/// Only commits that came after `base` count, the newest that says what is in force: what they said before was heard then.
/// A generation that was taken back by hand has heard them, too, and somebody decided against them.
pub(super) fn look_back(
    applied: Option<&Applied>,
    base: Option<&str>,
    provenance: &Provenance,
) -> (SourceStep, Allowed) {
    let Some(applied) = applied else { return Default::default() };
    let nothing = |why: String| (SourceStep::Forward, Allowed::nothing(why));
    let yet = |why: String| (SourceStep::Forward, Allowed::nothing_yet(why));
    let generation = applied.generation;
    let (at, in_force) = match (provenance, base) {
        (Provenance::Loose, _) => return yet("the file is in no git repository".to_owned()),
        (Provenance::Unknown { why }, _) => return nothing(format!("the git repository cannot be read: {why}")),
        (Provenance::Edited { .. } | Provenance::Commit(_), None) => {
            return nothing(format!(
                "generation {generation} was applied from a file that was not committed as it was; approve this by \
                 hand, and a commit can approve what comes next"
            ));
        }
        (Provenance::Edited { file }, Some(_)) => return yet(format!("{file} is not committed as it is")),
        (Provenance::Commit(at), Some(commit)) => (at, commit),
    };
    let (step, allowed) = judge(at, in_force, at.since(in_force));
    match applied.rollback_of {
        Some(earlier) => {
            let why = format!("generation {generation} is generation {earlier} taken back by hand");
            (step, Allowed::nothing(why))
        }
        None => (step, allowed),
    }
}

fn judge(at: &AtCommit, in_force: &str, found: Result<Descent, HistoryError>) -> (SourceStep, Allowed) {
    let short = short_commit(in_force);
    match found {
        Ok(Descent::Forward { commits, more }) => {
            let messages = commits.iter().map(|CommitMessage { commit, message }| (commit.as_str(), message.as_str()));
            let allowed = Allowed::by(messages);
            (SourceStep::Forward, if more { allowed.of_the_newest(MOST_COMMITS) } else { allowed })
        }
        Ok(Descent::Rewound) => {
            let found = short_commit(at.commit()).to_owned();
            let why = format!("the file is at {found}, which does not come from {short}, which is in force");
            (SourceStep::Rewound { applied: short.to_owned(), found }, Allowed::nothing(why))
        }
        Ok(Descent::Shallow) => {
            let why = format!("this clone is too shallow to reach {short}, which is in force: `git fetch --unshallow`");
            (SourceStep::Forward, Allowed::nothing(why))
        }
        Err(error) => (SourceStep::Forward, Allowed::nothing(format!("{error}: {}", error.source))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::sample;
    use crate::model::Generation;

    fn remarks(applied: &Applied, provenance: &Provenance) -> Vec<String> {
        let (step, allowed) = look_back(Some(applied), applied.source.commit.as_deref(), provenance);
        assert_eq!(step, SourceStep::Forward);
        allowed.remarks()
    }

    #[test]
    fn who_expects_a_commit_to_allow_something_is_told_why_none_was_asked() {
        let mut applied = sample::applied(sample::declaration());
        assert_eq!(look_back(None, None, &Provenance::Loose), (SourceStep::Forward, Allowed::default()));
        let loose = remarks(&applied, &Provenance::Loose);
        assert_eq!(loose, ["no commit was asked what it allows: the file is in no git repository"]);
        let edited = Provenance::Edited { file: "teams.kdl".into() };
        let before = remarks(&applied, &edited);
        assert!(before[0].contains("generation 41 was applied from a file that was not committed"), "{before:?}");
        applied.source.commit = Some("4c1d9e22".into());
        let after = remarks(&applied, &edited);
        assert!(after[0].ends_with("teams.kdl is not committed as it is"), "{after:?}");
        let unknown = remarks(&applied, &Provenance::Unknown { why: "it is damaged".into() });
        assert!(unknown[0].ends_with("cannot be read: it is damaged"), "{unknown:?}");
        applied.generation = Generation(7);
        applied.rollback_of = Some(Generation(3));
        let loose = remarks(&applied, &Provenance::Loose);
        assert!(loose[0].ends_with("no git repository"), "{loose:?}");
    }
}
