//! What is said of the word under the pointer.

use jiff::Timestamp;

use super::facts;
use super::markdown::{code, codes};
use super::names::Names;
use crate::config::schema::{self, Availability, NodeSpec, ValueKind, ValueSpec};
use crate::config::{FileId, Outline, OutlineNode, OutlinePlace, Span};

/// What is said, as Markdown, and of which bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hover {
    pub(super) text: String,
    pub(super) span: Span,
}

/// What is said of the word at a place: what it stands for, then what the language says of it.
pub(super) fn hover(names: &Names, file: FileId, offset: usize, now: Timestamp) -> Option<Hover> {
    let outline = names.outline(file);
    let cursor = outline.at(offset);
    let word = cursor.word?;
    let mut paragraphs = Vec::new();
    if let Some((target, _)) = names.target_at(file, offset) {
        paragraphs.push(lines(&facts::of(names, &target, now)));
    }
    let (node, said) = match cursor.place {
        OutlinePlace::Name => {
            let node = outline.nodes().iter().position(|node| node.name == word)?;
            (node, spec(outline, node).map(of_node))
        }
        OutlinePlace::Argument(node, index) => {
            let argument = spec(outline, node).and_then(|spec| Some((spec, argument(spec, index)?)));
            (node, argument.map(|(spec, value)| of_value(spec, value, outline.say(word))))
        }
        OutlinePlace::PropertyName(node) => (node, property(outline, node, outline.say(word), None)),
        OutlinePlace::PropertyValue(node, name) => {
            (node, property(outline, node, outline.say(name), Some(outline.say(word))))
        }
        OutlinePlace::Nothing => return None,
    };
    paragraphs.extend(in_time(outline, outline.node(node), now));
    paragraphs.extend(said);
    (!paragraphs.is_empty()).then(|| Hover { text: paragraphs.join("\n\n"), span: word.span })
}

/// What follows from the time: a schedule's next runs, the days until a credential ends.
fn in_time(outline: &Outline, node: &OutlineNode, now: Timestamp) -> Option<String> {
    let said = match outline.name(node) {
        "schedule" => facts::cron(outline, node, now),
        "expires" => outline.first(node).and_then(|date| facts::expiry(date, now)).into_iter().collect(),
        _ => Vec::new(),
    };
    (!said.is_empty()).then(|| lines(&said))
}

fn lines(lines: &[String]) -> String {
    // Two spaces end a line in Markdown.
    lines.join("  \n")
}

/// The row of the table for a node.
fn spec(outline: &Outline, node: usize) -> Option<&'static NodeSpec> {
    let found = outline.node(node);
    let context = outline.path(found.parent);
    schema::children_of(&context).find(|spec| spec.name == outline.name(found))
}

/// The row of the table for an argument.
pub(super) fn argument(spec: &'static NodeSpec, index: usize) -> Option<&'static ValueSpec> {
    spec.arguments.get(index).or(spec.arguments.last().filter(|last| last.repeated))
}

fn of_node(spec: &'static NodeSpec) -> String {
    let mut text = format!("`{}`: {}", signature(spec), spec.docs);
    if let Availability::Later(what) = spec.availability {
        text = format!("`{}`: not built yet in this version of xopero; it is for {what}.", spec.name);
    }
    let children: Vec<&str> = schema::children_of(&spec.path()).map(|child| child.name).collect();
    if !children.is_empty() {
        text.push_str("\n\nIts block: ");
        text.push_str(&codes(children));
    }
    text
}

/// A node as it is written: `project "key" server="…"`.
pub(super) fn signature(spec: &NodeSpec) -> String {
    let mut text = spec.name.to_owned();
    for value in spec.arguments {
        let written =
            if value.kind == ValueKind::Sealed { "(age)\"…\"".to_owned() } else { format!("\"{}\"", value.name) };
        text = format!("{text} {written}{}", if value.repeated { " …" } else { "" });
    }
    for value in spec.properties {
        let written = if matches!(value.kind, ValueKind::Integer(..)) { "N" } else { "\"…\"" };
        let written = format!("{}={written}", value.name);
        text = if value.required { format!("{text} {written}") } else { format!("{text} [{written}]") };
    }
    text
}

fn property(outline: &Outline, node: usize, name: &str, value: Option<&str>) -> Option<String> {
    let spec = spec(outline, node)?;
    let known = spec.properties.iter().find(|known| known.name == name)?;
    Some(of_value(spec, known, value.unwrap_or_default()))
}

fn of_value(spec: &NodeSpec, value: &ValueSpec, written: &str) -> String {
    let what = format!("the {} of `{}`: {}", value.name, spec.name, kind(value.kind));
    let later = match (value.kind, value.availability) {
        (_, Availability::Later(what)) => Some(what),
        (ValueKind::Word(words), Availability::Built) => {
            words.iter().find(|word| word.name == written).and_then(|word| match word.availability {
                Availability::Later(what) => Some(what),
                Availability::Built => None,
            })
        }
        (_, Availability::Built) => None,
    };
    let later = later.map(|what| format!("\n\nNot built yet in this version of xopero: {what}.")).unwrap_or_default();
    format!("{what}\n\n{}{later}", spec.docs)
}

/// What a value must be, in words.
pub(super) fn kind(kind: ValueKind) -> String {
    match kind {
        ValueKind::Text => "a text in quotes".to_owned(),
        ValueKind::Integer(min, max) if min == max => format!("the number {min}"),
        ValueKind::Integer(min, max) => format!("a whole number from {min} to {max}"),
        ValueKind::Duration => "a duration such as `\"30s\"`, `\"12h\"` or `\"7d\"`".to_owned(),
        ValueKind::Percent(min, max) => format!("a share such as `\"20%\"`, from {min} to {max} percent"),
        ValueKind::Url => "an address such as `\"https://bitbucket.example.com\"`".to_owned(),
        ValueKind::Address => "a kind and a name such as `\"plan/nightly\"`".to_owned(),
        ValueKind::TimeOfDay => "a time of day such as `\"08:00\"`".to_owned(),
        ValueKind::Date => "a day such as `\"2027-03-01\"`".to_owned(),
        ValueKind::Word(words) => {
            format!("one of {}", words.iter().map(|word| code(word.name)).collect::<Vec<_>>().join(", "))
        }
        ValueKind::Sealed => "a value that is sealed with age; `xopero credential add` makes one".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::{DECLARATION, marked, now};
    use super::*;

    fn said(text: &str) -> String {
        let (names, offset) = marked(text);
        hover(&names, FileId::MAIN, offset, now()).map(|hover| hover.text).unwrap_or_default()
    }

    fn of(before: &str) -> String {
        let at = DECLARATION.find(before).unwrap_or_else(|| panic!("{before}")) + before.len();
        said(&format!("{}|{}", &DECLARATION[..at], &DECLARATION[at..]))
    }

    #[test]
    fn a_node_is_explained_by_the_table() {
        let text = of("reten");
        assert!(text.starts_with("`retention \"name\"`: Rules for how long") && text.contains("`keep`"), "{text}");
        assert!(of("    par").contains("What is backed up of each repository"));
    }

    #[test]
    fn a_schedule_is_told_in_words_with_its_next_runs() {
        let text = of("schedule \"30 1");
        assert!(text.contains("01:30") && text.contains("(Europe/Warsaw)"), "{text}");
        assert!(text.contains("next Mon 2026-11-23 01:30 CET"), "{text}");
        assert_eq!(text.matches("next ").count(), 3, "{text}");
        assert!(of("tz=\"Europe/W").contains("next Mon 2026-11-23 01:30 CET"));
        assert!(said("plan \"x\" { schedule \"30 1|\" }").contains("this one has 2"));
    }

    #[test]
    fn a_credential_says_who_it_is_until_when_and_where_it_is_enabled() {
        let text = of("additional-credential \"ext");
        assert!(text.contains("account `svc-1`") && text.contains("expires 2027-03-01, in 99 days"), "{text}");
        assert!(text.contains("enabled in the plans `nightly`"), "{text}");
        assert!(of("additional-credential \"spa").contains("enabled in no plan"));
        let from_plan = of("enable-credentials \"ext");
        assert!(from_plan.contains("additional credential `extra-1` of project `PAY`"), "{from_plan}");
        assert!(of("    creden").contains("the main credential of project `PAY`"));
        assert!(of("expires \"2027").contains("in 99 days"));
    }

    #[test]
    fn names_say_what_they_are() {
        assert!(of("server=\"b").contains("url \"https://bb.example.com\""));
        assert!(of("    destination \"n").contains("local \"/srv/backup\""));
        let retention = of("    retention \"g");
        assert!(
            retention.contains("keep last=3 daily=14") && retention.contains("used by the plans: `nightly`"),
            "{retention}"
        );
        assert!(of("    project \"P").contains("additional credentials: `extra-1`, `spare`"));
        assert!(said("plan \"x\" { destination \"na|s\" }").contains("destination `nas` is not declared"));
    }

    #[test]
    fn no_secret_is_shown() {
        let plain = "project \"PAY\" {\n  credential account=\"a\" {\n    token \"hunt|er2\"\n  }\n}";
        assert!(!said(plain).contains("hunter2"));
        let hidden = "server \"bb\" { url \"BBDC-SECRET\" }\nproject \"PAY\" server=\"b|b\"";
        assert!(!said(hidden).contains("SECRET"), "{}", said(hidden));
        let markup = said("server \"bb\" { url \"![x](http://evil)`\" }\nproject \"PAY\" server=\"b|b\"");
        assert!(markup.contains("`url \"![x](http://evil)'\"`"), "{markup}");
    }

    #[test]
    fn nothing_is_said_of_nothing() {
        assert_eq!(said("|"), "");
        assert_eq!(said("// plan|"), "");
        assert_eq!(said("nonsen|se \"x\""), "");
    }
}
