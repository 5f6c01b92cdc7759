//! Projects by pattern: none may be declared by two patterns, and plans name them as they are declared.

use std::collections::{BTreeMap, BTreeSet};

use super::super::decode::{Draft, DraftProject, Spanned};
use super::super::error::{Diagnostic, Report};
use super::{NOT_DECLARED, exists};
use crate::model::{Pattern, ProjectSelector};

/// Every pair is compared; more patterns than this are no declaration of a person.
const MOST_PATTERNS: usize = 200;

/// Reports patterns of one server that some key fits both of: it would not be said whose credentials it has.
pub(super) fn check_patterns(draft: &Draft, report: &mut Report) {
    let by_pattern = |project: &'_ &DraftProject| project.key.value.pattern().is_some();
    if let Some(beyond) = draft.projects.iter().filter(by_pattern).nth(MOST_PATTERNS) {
        report.add(
            Diagnostic::error("xopero::too-many-patterns", format!("more than {MOST_PATTERNS} patterns of projects"))
                .at(beyond.key.span, "one too many")
                .help("let patterns cover more projects each"),
        );
        return;
    }
    let patterns: Vec<(&Pattern, &DraftProject)> =
        draft.projects.iter().filter_map(|project| Some((project.key.value.pattern()?, project))).collect();
    for (index, (pattern, project)) in patterns.iter().enumerate() {
        let server = |project: &DraftProject| project.server.as_ref().map(|server| server.value.clone());
        // The same text twice is a duplicate, which is reported as one.
        let same = |other: &Pattern| other.as_str().eq_ignore_ascii_case(pattern.as_str());
        let earlier = patterns[..index]
            .iter()
            .find(|(other, earlier)| server(earlier) == server(project) && !same(other) && pattern.overlaps(other));
        if let Some((other, earlier)) = earlier {
            report.add(
                Diagnostic::error("xopero::overlapping-patterns", format!("{pattern} and {other} can fit one project"))
                    .at(project.key.span, "can fit the same key")
                    .at(earlier.key.span, "as this one")
                    .help("make them exclude each other, or declare such projects by their keys: these come first"),
            );
        }
    }
}

/// Reports a project of a plan that is not declared by that text.
pub(super) fn not_declared(
    key: &Spanned<ProjectSelector>,
    declared: &BTreeMap<&str, &DraftProject>,
    report: &mut Report,
) {
    let covering = match &key.value {
        ProjectSelector::Pattern(_) => None,
        ProjectSelector::Key(key) => declared
            .values()
            .find(|project| project.key.value.pattern().is_some_and(|pattern| pattern.matches(key.as_str()))),
    };
    let Some(covering) = covering else {
        let names: BTreeSet<&str> = declared.keys().copied().collect();
        exists("project", NOT_DECLARED, key, &names, report);
        return;
    };
    let (key, pattern) = (key, &covering.key.value);
    report.add(
        Diagnostic::error("xopero::unknown-name", format!("there is no project `{}`", key.value))
            .at(key.span, NOT_DECLARED)
            .at(covering.key.span, "this pattern covers it")
            .help(format!("name the pattern, project \"{pattern}\", or declare project \"{}\" by its key", key.value)),
    );
}
