//! The reference of the language, made from its table.

use std::fmt::Write as _;

use super::schema::{Availability, NodeSpec, ValueKind, ValueSpec, children_of};

/// The reference as Markdown: every node in its context, with arguments, properties and meaning. Nodes that this
/// version refuses are listed at the end.
pub fn reference() -> String {
    let mut text = String::from(
        "# The language of xopero.kdl\n\n\
         Made by `xopero schema`; do not edit. KDL version 2: names are quoted, there are no booleans, and whatever is \
         not listed here is an error.\n\n\
         | node | stands in | how often | meaning |\n|---|---|---|---|\n",
    );
    let mut later = Vec::new();
    rows("", &mut text, &mut later);
    text.push_str("\nNot built in this version, and refused with its place:\n\n");
    for (node, what) in later {
        writeln!(text, "- {node}: {what}").expect("strings take everything");
    }
    text
}

fn rows(context: &str, text: &mut String, later: &mut Vec<(String, &'static str)>) {
    for node in children_of(context) {
        if let Availability::Later(what) = node.availability {
            later.push((format!("`{}`", node.path()), what));
            continue;
        }
        let place = if context.is_empty() { "the top level".to_owned() } else { format!("`{context}`") };
        let (form, how_often) = (form(node, later), how_often(node.min, node.max));
        writeln!(text, "| `{form}` | {place} | {how_often} | {} |", node.docs).expect("strings take everything");
        rows(&node.path(), text, later);
    }
}

/// A node as it is written: `server "name"`, `keep last=N`.
fn form(node: &NodeSpec, later: &mut Vec<(String, &'static str)>) -> String {
    let mut form = node.name.to_owned();
    for (value, is_argument) in
        node.arguments.iter().map(|value| (value, true)).chain(node.properties.iter().map(|value| (value, false)))
    {
        if let Availability::Later(what) = value.availability {
            later.push((format!("`{}` of `{}`", value.name, node.path()), what));
            continue;
        }
        let written = written(value, node, later);
        let written = if is_argument { written } else { format!("{}={written}", value.name) };
        let more = if value.repeated { " …" } else { "" };
        let written = if value.required { format!(" {written}{more}") } else { format!(" [{written}{more}]") };
        form.push_str(&written);
    }
    form
}

fn written(value: &ValueSpec, node: &NodeSpec, later: &mut Vec<(String, &'static str)>) -> String {
    match value.kind {
        ValueKind::Text => format!("\"{}\"", value.name),
        ValueKind::Integer(..) => "N".to_owned(),
        ValueKind::Duration => "\"7d\"".to_owned(),
        ValueKind::Date => "\"2027-03-01\"".to_owned(),
        ValueKind::Sealed => "(age)\"…\"".to_owned(),
        ValueKind::Word(words) => {
            let mut built = Vec::new();
            for word in words {
                match word.availability {
                    Availability::Built => built.push(format!("\"{}\"", word.name)),
                    Availability::Later(what) => {
                        later.push((format!("\"{}\" of `{}`", word.name, node.path()), what));
                    }
                }
            }
            built.join(" or ")
        }
    }
}

fn how_often(min: usize, max: usize) -> &'static str {
    match (min, max) {
        (0, 1) => "at most once",
        (0, _) => "any number",
        (1, 1) => "once",
        (_, _) => "at least once",
    }
}
