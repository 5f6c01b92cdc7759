//! What can be written at a place: nodes, properties, words of the table, and names of what is declared.

use std::collections::BTreeSet;

use super::facts;
use super::hover::{argument, kind, signature};
use super::names::Names;
use super::target::{Meaning, Target, of_argument, of_property};
use crate::config::schema::{self, Availability, NodeSpec, ValueKind, ValueSpec};
use crate::config::{FileId, Outline, OutlineCursor, OutlinePlace, Span};
use crate::schedule;

/// Something to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    /// As a list shows it.
    pub(super) label: String,
    /// As it is written.
    pub(super) text: String,
    pub(super) kind: ItemKind,
    /// What it is, on one line.
    pub(super) detail: String,
    /// What it means.
    pub(super) docs: Option<String>,
}

/// What an item is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ItemKind {
    Node,
    Property,
    Word,
    Name,
}

/// What can be written at a place, and which bytes it takes the place of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Completion {
    pub(super) items: Vec<Item>,
    pub(super) replaces: Span,
}

/// What can be written at a place.
pub(super) fn completion(names: &Names, file: FileId, offset: usize) -> Completion {
    let outline = names.outline(file);
    let cursor = outline.at(offset);
    let here = Span::new(offset, offset).of(file);
    let replaces = match cursor.word {
        // What is not closed goes on to the end of the line, over what has nothing to do with it.
        Some(word) if !word.is_closed() => Span { end: offset.max(word.span.start), ..word.span },
        Some(word) => word.span,
        None => here,
    };
    let items = match cursor.place {
        OutlinePlace::Name => nodes(outline, &cursor),
        OutlinePlace::Argument(node, index) => {
            let mut items = arguments(names, outline, node, index, &cursor);
            items.extend(properties(outline, node));
            items
        }
        OutlinePlace::PropertyName(node) => properties(outline, node),
        OutlinePlace::PropertyValue(node, property) => values_of(names, outline, node, outline.say(property)),
        OutlinePlace::Nothing => Vec::new(),
    };
    Completion { items, replaces }
}

/// The nodes that may stand in a block, without those that cannot stand there once more.
fn nodes(outline: &Outline, cursor: &OutlineCursor) -> Vec<Item> {
    let parent = cursor.enclosing.last().copied();
    let path = outline.path(parent);
    let there = |spec: &NodeSpec| {
        let others = outline.children(parent).filter(|(_, node)| cursor.word != Some(node.name));
        others.filter(|(_, node)| outline.name(node) == spec.name).count()
    };
    let possible = schema::children_of(&path).filter(|spec| spec.availability == Availability::Built);
    let possible = possible.filter(|spec| there(spec) < spec.max);
    possible
        .map(|spec| Item {
            label: spec.name.to_owned(),
            text: spec.name.to_owned(),
            kind: ItemKind::Node,
            detail: signature(spec),
            docs: Some(spec.docs.to_owned()),
        })
        .collect()
}

fn spec(outline: &Outline, node: usize) -> Option<&'static NodeSpec> {
    let found = outline.node(node);
    schema::children_of(&outline.path(found.parent)).find(|spec| spec.name == outline.name(found))
}

fn properties(outline: &Outline, node: usize) -> Vec<Item> {
    let Some(spec) = spec(outline, node) else { return Vec::new() };
    let built = spec.properties.iter().filter(|known| known.availability == Availability::Built);
    let missing = built.filter(|known| outline.property(outline.node(node), known.name).is_none());
    missing
        .map(|known| Item {
            label: format!("{}=", known.name),
            text: format!("{}=", known.name),
            kind: ItemKind::Property,
            detail: kind(known.kind),
            docs: Some(spec.docs.to_owned()),
        })
        .collect()
}

fn arguments(names: &Names, outline: &Outline, node: usize, index: usize, cursor: &OutlineCursor) -> Vec<Item> {
    let Some(spec) = spec(outline, node) else { return Vec::new() };
    let others = outline.node(node).arguments.iter().filter(|word| cursor.word != Some(**word));
    let mut taken: BTreeSet<&str> = others.map(|word| outline.say(*word)).collect();
    let path = outline.path(Some(node));
    // A plan names each of its projects and destinations once.
    let siblings = outline.children(outline.node(node).parent).filter(|(other, _)| *other != node);
    if path.starts_with("plan/") {
        let alike = siblings.filter(|(_, other)| outline.name(other) == spec.name);
        taken.extend(alike.filter_map(|(_, other)| outline.first(other)));
    }
    let items = match of_argument(&path, index) {
        // These nodes declare the name: it is a new one.
        Some(_) if !path.contains('/') && !matches!(path.as_str(), "moved" | "retired") => Vec::new(),
        Some(_) if path == "project/additional-credential" => Vec::new(),
        Some(meaning) => named(names, meaning, super::target::project_around(outline, node)),
        None => argument(spec, index).map(|value| words(value, spec)).unwrap_or_default(),
    };
    items.into_iter().filter(|item| !taken.contains(item.label.as_str())).collect()
}

fn values_of(names: &Names, outline: &Outline, node: usize, property: &str) -> Vec<Item> {
    let path = outline.path(Some(node));
    if let Some(meaning) = of_property(&path, property) {
        return named(names, meaning, None);
    }
    if path == "plan/schedule" && property == "tz" {
        return schedule::time_zones().into_iter().map(|zone| item(zone, ItemKind::Word, "time zone")).collect();
    }
    let Some(spec) = spec(outline, node) else { return Vec::new() };
    let known = spec.properties.iter().find(|known| known.name == property);
    known.map(|known| words(known, spec)).unwrap_or_default()
}

fn words(value: &ValueSpec, spec: &NodeSpec) -> Vec<Item> {
    let ValueKind::Word(words) = value.kind else { return Vec::new() };
    let built = words.iter().filter(|word| word.availability == Availability::Built);
    built
        .map(|word| Item { docs: Some(spec.docs.to_owned()), ..item(word.name.into(), ItemKind::Word, value.name) })
        .collect()
}

/// Everything that a name of a meaning can stand for.
fn named(names: &Names, meaning: Meaning, project: Option<&str>) -> Vec<Item> {
    let mut seen = BTreeSet::new();
    let mut items = Vec::new();
    for declared in names.declared() {
        let written = match (meaning, &declared.target) {
            (Meaning::Server, Target::Server(name))
            | (Meaning::Destination, Target::Destination(name))
            | (Meaning::Retention, Target::Retention(name))
            | (Meaning::Project, Target::Project(name))
            | (Meaning::Plan, Target::Plan(name))
            | (Meaning::Alerts, Target::Alerts(name))
            | (Meaning::AnyCredential, Target::Credential(name, None)) => name.clone(),
            (Meaning::Credential, Target::Credential(of, Some(name))) if Some(of.as_str()) == project => name.clone(),
            (Meaning::AnyCredential, Target::Credential(project, Some(name))) => format!("{project}/{name}"),
            (Meaning::Address, Target::Server(name)) => format!("server/{name}"),
            (Meaning::Address, Target::Destination(name)) => format!("destination/{name}"),
            (Meaning::Address, Target::Retention(name)) => format!("retention/{name}"),
            (Meaning::Address, Target::Project(name)) => format!("project/{name}"),
            (Meaning::Address, Target::Plan(name)) => format!("plan/{name}"),
            (Meaning::Address, Target::Alerts(name)) => format!("alerts/{name}"),
            _ => continue,
        };
        if seen.insert(written.clone()) {
            items.push(item(written, ItemKind::Name, &facts::plain(names, declared)));
        }
    }
    items
}

fn item(written: String, kind: ItemKind, detail: &str) -> Item {
    // Escaped, so that no name ends its quotes.
    let escaped = written.replace('\\', "\\\\").replace('"', "\\\"");
    Item { label: written, text: format!("\"{escaped}\""), kind, detail: detail.to_owned(), docs: None }
}

#[cfg(test)]
mod tests {
    use super::super::sample::{DECLARATION, marked};
    use super::*;

    /// What is offered at the mark, and the text that it takes the place of.
    fn offered(text: &str) -> (Vec<String>, String) {
        let (names, offset) = marked(text);
        let found = completion(&names, FileId::MAIN, offset);
        let plain = text.replacen('|', "", 1);
        (
            found.items.into_iter().map(|item| item.text).collect(),
            plain[found.replaces.start..found.replaces.end].to_owned(),
        )
    }

    /// The same in a text that follows a whole declaration.
    fn after(text: &str) -> Vec<String> {
        offered(&format!("{DECLARATION}{text}")).0
    }

    #[test]
    fn nodes_of_the_context_are_offered_while_they_may_stand_there() {
        let (top, _) = offered("|");
        assert!(
            top.contains(&"plan".to_owned()) && top.contains(&"xopero".to_owned()) && !top.contains(&"url".to_owned())
        );
        let plan = after("plan \"x\" {\n  parts \"git\"\n  |\n}");
        assert!(plan.contains(&"schedule".to_owned()) && !plan.contains(&"parts".to_owned()), "{plan:?}");
        let (server, replaced) = offered("server \"bb\" {\n  ur|l \"x\"\n}");
        assert!(server.contains(&"url".to_owned()) && replaced == "url");
        assert_eq!(offered("nonsense { |").0, [""; 0]);
    }

    #[test]
    fn names_of_what_is_declared_are_offered() {
        assert_eq!(after("plan \"x\" { destination |"), ["\"nas\""]);
        assert_eq!(after("plan \"x\" { destination \"n|"), ["\"nas\""]);
        assert_eq!(after("plan \"x\" { retention \"|\" }"), ["\"gfs\""]);
        assert_eq!(after("plan \"x\" {\n project \"PAY\"\n project \"|\"\n}"), ["\"OPS\""]);
        assert_eq!(after("project \"NEW\" server=|"), ["\"bb\""]);
        assert_eq!(after("project \"NEW\" server=\"|\" {"), ["\"bb\""]);
        assert_eq!(after("project \"NEW|"), ["server="]);
        assert_eq!(after("retired \"|\"")[4..], ["\"project/OPS\"", "\"plan/nightly\""]);
    }

    #[test]
    fn credentials_are_those_of_the_project() {
        assert_eq!(after("plan \"x\" { project \"PAY\" { enable-credentials \"|"), ["\"extra-1\"", "\"spare\""]);
        assert_eq!(after("plan \"x\" { project \"PAY\" { enable-credentials \"spare\" |"), ["\"extra-1\""]);
        assert_eq!(after("plan \"x\" { project \"OPS\" { enable-credentials |"), ["\"ops-1\""]);
        assert_eq!(after("plan \"x\" { project \"???\" { enable-credentials |"), [""; 0]);
    }

    #[test]
    fn words_and_properties_come_from_the_table() {
        assert_eq!(after("plan \"x\" { parts |"), ["\"git\""]);
        assert_eq!(after("retention \"x\" { keep last=3 |")[..2], ["hourly=", "daily="]);
        let zones = after("plan \"x\" { schedule \"0 1 * * *\" tz=\"|\" }");
        assert!(zones.contains(&"\"Europe/Warsaw\"".to_owned()));
    }

    #[test]
    fn what_is_not_closed_takes_only_what_is_typed_with_it() {
        let (items, replaced) = offered("destination \"nas\" {\n}\nplan \"x\" {\n  destination \"n| // and more\n}");
        assert_eq!((items, replaced.as_str()), (vec!["\"nas\"".to_owned()], "\"n"));
        let (_, replaced) = offered("destination \"nas\" {\n}\nplan \"x\" {\n  destination \"n|as\" // and more\n}");
        assert_eq!(replaced, "\"nas\"");
        assert_eq!(offered("// |").0, [""; 0]);
        assert_eq!(offered("plan \"x\" {\n  parts \"git\" // |").0, [""; 0]);
    }
}
