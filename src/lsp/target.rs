//! What a word of the text stands for.

use crate::config::{Outline, OutlineCursor, OutlinePlace, Span};

/// Something that is declared, by its name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Target {
    Server(String),
    Destination(String),
    Retention(String),
    Project(String),
    Plan(String),
    Alerts(String),
    /// A credential of a project: the main one, or an additional one by name.
    Credential(String, Option<String>),
    /// An included file, by its path.
    File(String),
}

/// What the names at a place of the language stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    Server,
    Destination,
    Retention,
    Project,
    Plan,
    Alerts,
    /// An additional credential of the project around it.
    Credential,
    /// A credential of any project: `PAY`, `PAY/extra-1`.
    AnyCredential,
    /// An address: `plan/nightly`.
    Address,
    File,
}

/// The meaning of an argument, by the path of its node in the table of the language.
pub(super) fn of_argument(path: &str, index: usize) -> Option<Meaning> {
    let meaning = match path {
        "plan/project/enable-credentials" => return Some(Meaning::Credential),
        "server" => Meaning::Server,
        "destination" | "plan/destination" => Meaning::Destination,
        "retention" | "plan/retention" => Meaning::Retention,
        "project" | "plan/project" => Meaning::Project,
        "project/additional-credential" => Meaning::Credential,
        "plan" | "alerts/plan" => Meaning::Plan,
        "alerts" => Meaning::Alerts,
        "moved" | "retired" => Meaning::Address,
        "include" => Meaning::File,
        _ => return None,
    };
    (index == 0).then_some(meaning)
}

/// The meaning of the value of a property.
pub(super) fn of_property(path: &str, property: &str) -> Option<Meaning> {
    match (path, property) {
        ("project", "server") => Some(Meaning::Server),
        ("project/credential" | "project/additional-credential", "same-as") => Some(Meaning::AnyCredential),
        ("moved", "to") => Some(Meaning::Address),
        _ => None,
    }
}

impl Target {
    /// What a name of a meaning stands for, inside of `project` if it is inside of one.
    pub(super) fn of(meaning: Meaning, name: &str, project: Option<&str>) -> Option<Self> {
        let owned = name.to_owned();
        Some(match meaning {
            Meaning::Server => Self::Server(owned),
            Meaning::Destination => Self::Destination(owned),
            Meaning::Retention => Self::Retention(owned),
            Meaning::Project => Self::Project(owned),
            Meaning::Plan => Self::Plan(owned),
            Meaning::Alerts => Self::Alerts(owned),
            Meaning::Credential => Self::Credential(project?.to_owned(), Some(owned)),
            Meaning::AnyCredential => match name.split_once('/') {
                Some((project, credential)) => Self::Credential(project.to_owned(), Some(credential.to_owned())),
                None => Self::Credential(owned, None),
            },
            Meaning::Address => {
                let (kind, name) = name.split_once('/')?;
                let name = name.to_owned();
                match kind {
                    "server" => Self::Server(name),
                    "destination" => Self::Destination(name),
                    "retention" => Self::Retention(name),
                    "project" => Self::Project(name),
                    "plan" => Self::Plan(name),
                    "alerts" => Self::Alerts(name),
                    "credential" => match name.split_once('/')? {
                        (project, "main") => Self::Credential(project.to_owned(), None),
                        (project, credential) => Self::Credential(project.to_owned(), Some(credential.to_owned())),
                    },
                    _ => return None,
                }
            }
            Meaning::File => Self::File(owned),
        })
    }
}

/// The project that a node is inside of, or is.
pub(super) fn project_around(outline: &Outline, node: usize) -> Option<&str> {
    let mut next = Some(node);
    while let Some(index) = next {
        let found = outline.node(index);
        if outline.name(found) == "project" {
            return outline.first(found);
        }
        next = found.parent;
    }
    None
}

/// What the word at a place stands for, and where the word is.
pub(super) fn at(outline: &Outline, cursor: &OutlineCursor) -> Option<(Target, Span)> {
    let word = cursor.word?;
    let (meaning, node) = match cursor.place {
        OutlinePlace::Argument(node, index) => (of_argument(&outline.path(Some(node)), index)?, node),
        OutlinePlace::PropertyValue(node, property) => {
            (of_property(&outline.path(Some(node)), outline.say(property))?, node)
        }
        OutlinePlace::Name => {
            let node = outline.nodes().iter().position(|node| node.name == word)?;
            let is_main = outline.path(Some(node)) == "project/credential";
            let project = project_around(outline, node)?;
            return is_main.then(|| (Target::Credential(project.to_owned(), None), word.span));
        }
        OutlinePlace::PropertyName(_) | OutlinePlace::Nothing => return None,
    };
    let target = Target::of(meaning, outline.say(word), project_around(outline, node))?;
    Some((target, word.span))
}
