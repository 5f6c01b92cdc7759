//! The reference of the language, made from its table.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::schema::{Availability, NodeSpec, SCHEMA, ValueKind, ValueSpec, Word, children_of};

/// The reference as Markdown: every node in its context, with arguments, properties and meaning. Nodes that this
/// version refuses are listed at the end.
pub fn reference() -> String {
    let mut text = String::from(
        "# The language of xopero.kdl\n\n\
         Made by `xopero schema`; do not edit. KDL version 2: values are quoted, there are no booleans, and whatever is \
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

/// The least that a node is written with; the first of what may be said where nothing must be.
pub(super) fn example(node: &NodeSpec) -> String {
    let arguments = node.arguments.iter().map(|value| (value, false));
    let all: Vec<_> = arguments.chain(node.properties.iter().map(|value| (value, true))).collect();
    let mut shown: Vec<_> = all.iter().filter(|(value, _)| value.required).collect();
    if shown.is_empty() {
        shown.extend(all.first());
    }
    let mut text = node.name.to_owned();
    for (value, is_property) in shown {
        let sample = if let ValueKind::Word([first, ..]) = value.kind {
            format!("\"{}\"", first.name)
        } else if let ValueKind::Integer(only, last) = value.kind
            && only == last
        {
            only.to_string()
        } else {
            written(value, node, &mut Vec::new())
        };
        let name = if *is_property { format!("{}=", value.name) } else { String::new() };
        write!(text, " {name}{sample}").expect("strings take everything");
    }
    if shown_as_block(node) { text + " { … }" } else { text }
}

fn shown_as_block(node: &NodeSpec) -> bool {
    children_of(&node.path()).any(|child| child.min > 0)
}

fn written(value: &ValueSpec, node: &NodeSpec, later: &mut Vec<(String, &'static str)>) -> String {
    match value.kind {
        ValueKind::Text => match (node.name, value.name) {
            ("email", "server") => "\"smtps://mail.example.com:465\"".to_owned(),
            ("exec", _) => "\"/usr/local/bin/page-someone\"".to_owned(),
            (_, name) => format!("\"{}\"", sample(name)),
        },
        ValueKind::Integer(..) => "N".to_owned(),
        // What is usual for an answer is not what is usual for a backup.
        ValueKind::Duration => match node.name {
            "timeout" => "\"30s\"".to_owned(),
            "jitter" => "\"20m\"".to_owned(),
            "missed" => "\"12h\"".to_owned(),
            "overdue-after" => "\"36h\"".to_owned(),
            _ => "\"7d\"".to_owned(),
        },
        ValueKind::TimeOfDay if value.name == "stop" => "\"18:00\"".to_owned(),
        ValueKind::TimeOfDay => "\"08:00\"".to_owned(),
        ValueKind::Date => "\"2027-03-01\"".to_owned(),
        ValueKind::Percent(..) => "\"20%\"".to_owned(),
        ValueKind::Url => match node.name {
            "s3" => "\"https://s3.example.com\"".to_owned(),
            "webhook" => "\"https://hooks.example.com/xopero\"".to_owned(),
            "healthchecks" => "\"https://hc.example.com/ping/…\"".to_owned(),
            "ntfy" => "\"https://ntfy.example.com/backup\"".to_owned(),
            _ => "\"https://bitbucket.example.com\"".to_owned(),
        },
        ValueKind::Address if value.name == "to" => "\"plan/nightly\"".to_owned(),
        ValueKind::Address => "\"plan/old-name\"".to_owned(),
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

/// What stands for a text: an example where its form is the question, otherwise what it is.
fn sample(name: &'static str) -> &'static str {
    match name {
        "public key" => "age1…",
        "cron" => "30 1 * * *",
        "tz" => "Europe/Warsaw",
        "include" => "*",
        "exclude" => "sandbox-*",
        "file" => "secrets/PAY/main.age",
        "region" => "eu-central-1",
        "same-as" => "PAY",
        "mail address" => "ops@example.com",
        "from" => "xopero@example.com",
        itself => itself,
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

/// The reference as one JSON document: the whole table, with what this version refuses. `max` is `null` where there is
/// no limit.
pub fn reference_json() -> Value {
    let nodes: Vec<Value> = SCHEMA.iter().map(node_json).collect();
    json!({ "type": "language", "schema": 1, "nodes": nodes })
}

fn node_json(node: &NodeSpec) -> Value {
    json!({
        "context": node.context,
        "name": node.name,
        "arguments": node.arguments.iter().map(value_json).collect::<Vec<_>>(),
        "properties": node.properties.iter().map(value_json).collect::<Vec<_>>(),
        "min": node.min,
        "max": (node.max != usize::MAX).then_some(node.max),
        "docs": node.docs,
        "availability": availability_json(node.availability),
    })
}

fn value_json(value: &ValueSpec) -> Value {
    let kind = match value.kind {
        ValueKind::Text => json!({ "kind": "text" }),
        ValueKind::Integer(min, max) => json!({ "kind": "integer", "min": to_i64(min), "max": to_i64(max) }),
        ValueKind::Duration => json!({ "kind": "duration" }),
        ValueKind::TimeOfDay => json!({ "kind": "time" }),
        ValueKind::Date => json!({ "kind": "date" }),
        ValueKind::Percent(min, max) => json!({ "kind": "percent", "min": min, "max": max }),
        ValueKind::Url => json!({ "kind": "url" }),
        ValueKind::Address => json!({ "kind": "address" }),
        ValueKind::Sealed => json!({ "kind": "sealed" }),
        ValueKind::Word(words) => json!({ "kind": "word", "words": words.iter().map(word_json).collect::<Vec<_>>() }),
    };
    json!({
        "name": value.name,
        "type": kind,
        "required": value.required,
        "repeated": value.repeated,
        "availability": availability_json(value.availability),
    })
}

fn word_json(word: &Word) -> Value {
    json!({ "name": word.name, "availability": availability_json(word.availability) })
}

/// `{"built": true}`, or `{"built": false, "for": …}`.
fn availability_json(availability: Availability) -> Value {
    match availability {
        Availability::Built => json!({ "built": true }),
        Availability::Later(what) => json!({ "built": false, "for": what }),
    }
}

/// JSON has no wider integers that every reader understands; no limit in the table is beyond them.
fn to_i64(limit: i128) -> Option<i64> {
    limit.try_into().ok()
}
