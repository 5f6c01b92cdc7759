//! What an editor offers to change.

use super::names::Names;
use super::target::Target;
use crate::config::{Diagnostic, FileId, Span};

/// A change that can be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Action {
    pub(super) title: String,
    pub(super) change: Change,
}

/// What a change is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    /// The diagnostic of this index proposes a text for these bytes.
    Replace { diagnostic: usize, span: Span, text: String },
    /// An additional credential is enabled in a plan.
    Enable { plan: String, project: String, credential: String },
}

/// What can be changed at a place.
pub(super) fn actions(names: &Names, found: &[Diagnostic], file: FileId, place: Span) -> Vec<Action> {
    let mut actions = Vec::new();
    for (diagnostic, one) in found.iter().enumerate() {
        let is_here = one.labels.first().is_some_and(|label| touches(label.span, place.of(file)));
        if let Some((span, text)) = one.replacement.clone().filter(|_| is_here) {
            let title = format!("Replace with {text}");
            actions.push(Action { title, change: Change::Replace { diagnostic, span, text } });
        }
    }
    actions.extend(enabling(names, file, place));
    actions
}

/// The plans in which the credential around a place can be enabled: those that cover its project and do not use it.
fn enabling(names: &Names, file: FileId, place: Span) -> Vec<Action> {
    let around = names.declared().iter().find_map(|declared| match &declared.target {
        Target::Credential(project, Some(credential)) if declared.file == file => {
            let span = names.outline(file).node(declared.node).span;
            touches(span, place.of(file)).then_some((project, credential))
        }
        _ => None,
    });
    let Some((project, credential)) = around else { return Vec::new() };
    let covering = names.planned().filter(|planned| planned.project == project && !planned.enables(credential));
    covering
        .map(|planned| Action {
            title: format!("Enable \"{credential}\" in plan \"{}\"", planned.plan),
            change: Change::Enable {
                plan: planned.plan.to_owned(),
                project: project.clone(),
                credential: credential.clone(),
            },
        })
        .collect()
}

/// Whether two ranges have a place in common, their ends too.
fn touches(one: Span, other: Span) -> bool {
    one.file == other.file && one.start <= other.end && other.start <= one.end
}

#[cfg(test)]
mod tests {
    use super::super::sample::{DECLARATION, names};
    use super::*;
    use crate::config::{SourceFile, Sources, decode};

    fn titles(text: &str, at: &str) -> Vec<String> {
        let sources = Sources::alone(SourceFile { name: "xopero.kdl".into(), text: text.into() });
        let found = match decode(&sources) {
            Ok(decoded) => decoded.warnings,
            Err(invalid) => invalid.diagnostics,
        };
        let start = text.find(at).unwrap_or_else(|| panic!("{at}"));
        let place = Span::new(start, start + at.len());
        actions(&names(text), &found, FileId::MAIN, place).into_iter().map(|action| action.title).collect()
    }

    #[test]
    fn a_misspelt_word_is_replaced() {
        assert_eq!(titles("xopero schema=1\nsevrer \"bb\"\n", "sevrer"), ["Replace with server"]);
        let unknown = DECLARATION.replace("    destination \"nas\"", "    destination \"nsa\"");
        assert_eq!(titles(&unknown, "\"nsa\""), ["Replace with \"nas\""]);
        let word = DECLARATION.replace("parts \"git\"", "parts \"gti\"");
        assert_eq!(titles(&word, "gti"), ["Replace with \"git\""]);
        let property = DECLARATION.replace("daily=14", "dayly=14");
        assert_eq!(titles(&property, "dayly"), ["Replace with daily"]);
        assert_eq!(titles(&property, "parts"), [""; 0]);
    }

    #[test]
    fn a_credential_is_enabled_where_its_project_is_covered() {
        assert_eq!(titles(DECLARATION, "spare"), ["Enable \"spare\" in plan \"nightly\""]);
        assert_eq!(titles(DECLARATION, "svc-1"), [""; 0], "it is enabled");
        assert_eq!(titles(DECLARATION, "ops-1"), [""; 0], "no plan covers its project");
    }
}
