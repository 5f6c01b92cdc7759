//! Compares the tree with the table of the language.

use std::collections::{BTreeMap, BTreeSet};

use super::document::{Node, Property, Scalar, Value, in_quotes};
use super::error::{Diagnostic, Report, Span, quoted};
use super::reference::example;
use super::schema::{self, Availability, NodeSpec, ValueKind, ValueSpec, Word};
use super::suggest::nearest;

/// Reports a file whose language is newer than this program. What else it says is not for this program to judge.
pub(super) fn is_newer(nodes: &[Node], report: &mut Report) -> bool {
    let given = nodes.iter().filter(|node| node.name == "xopero").find_map(|node| node.prop("schema"));
    let Some((given, number)) = given.and_then(|given| Some((given, given.integer()?))) else { return false };
    if number <= schema::VERSION {
        return false;
    }
    let known = schema::VERSION;
    report.add(
        Diagnostic::error(
            "xopero::newer-schema",
            format!("the file is written in version {number} of the language; this xopero knows version {known}"),
        )
        .at(given.span, "newer than this program")
        .help(format!(
            "this is xopero {}: use one that knows version {number}. Nothing else in the file was looked at",
            env!("CARGO_PKG_VERSION")
        )),
    );
    true
}

/// Reports every node, argument and property that is unknown, missing, given too often, or of another type.
pub(super) fn check(nodes: &[Node], report: &mut Report) {
    level(nodes, "", None, report);
}

fn level(nodes: &[Node], context: &str, parent: Option<&Node>, report: &mut Report) {
    let mut seen: BTreeMap<&str, Vec<&Node>> = BTreeMap::new();
    let mut incomplete = false;
    for found in nodes {
        if report.is_full() {
            return;
        }
        let Some(spec) = schema::children_of(context).find(|spec| spec.name == found.name) else {
            report.add(unknown_node(found, context));
            incomplete = true;
            continue;
        };
        if let Availability::Later(what) = spec.availability {
            report.add(not_built(spec.name, what, found.name_span));
            incomplete = true;
            continue;
        }
        let same = seen.entry(spec.name).or_default();
        same.push(found);
        if same.len() > spec.max {
            report.add(
                Diagnostic::error("xopero::duplicate-node", format!("`{}` may stand here only once", spec.name))
                    .at(found.name_span, "again here")
                    .at(same[0].name_span, "already here"),
            );
        }
        node(found, spec, report);
    }
    for spec in schema::children_of(context) {
        let count = seen.get(spec.name).map_or(0, Vec::len);
        // What is misspelt or not built may be what is missing: saying so twice would not help.
        if count < spec.min && !incomplete {
            report.add(missing_node(spec, parent));
        }
    }
}

fn node(found: &Node, spec: &NodeSpec, report: &mut Report) {
    if let Some(annotation) = found.annotation {
        report.add(
            Diagnostic::error("xopero::unknown-annotation", "nodes of this language have no type annotation")
                .at(annotation, "remove it"),
        );
    }
    let replaced = properties(found, spec, report);
    arguments(found, spec, replaced, report);
    let path = spec.path();
    if schema::children_of(&path).next().is_some() {
        level(found.children(), &path, Some(found), report);
    } else if let Some(child) = found.children().first() {
        report.add(
            Diagnostic::error("xopero::unexpected-block", format!("`{}` has no block", spec.name))
                .at(child.name_span, "does not belong here"),
        );
    }
}

/// Whether a property that is not built stands for what would otherwise be required.
fn properties(found: &Node, spec: &NodeSpec, report: &mut Report) -> bool {
    let mut replaced = false;
    for (index, property) in found.props.iter().enumerate() {
        let Some(known) = spec.properties.iter().find(|known| known.name == property.name) else {
            report.add(unknown_property(property, spec));
            continue;
        };
        if let Availability::Later(what) = known.availability {
            report.add(not_built(known.name, what, property.name_span));
            replaced = true;
            continue;
        }
        if let Some(first) = found.props[..index].iter().find(|first| first.name == property.name) {
            report.add(
                Diagnostic::error("xopero::duplicate-property", format!("`{}` is given twice", known.name))
                    .at(property.name_span, "again here")
                    .at(first.name_span, "already here"),
            );
        }
        value(&property.value, known, spec, report);
    }
    let missing = |known: &&ValueSpec| known.required && found.prop(known.name).is_none();
    for known in spec.properties.iter().filter(missing).filter(|_| !replaced) {
        let message = format!("`{}` needs the property `{}`", spec.name, known.name);
        report.add(
            Diagnostic::error("xopero::missing-property", message)
                .at(found.name_span, format!("add {}=…", known.name))
                .help(what_to_write(spec)),
        );
    }
    if spec.arguments.is_empty() && !spec.properties.is_empty() && found.props.is_empty() {
        let nothing_required = spec.properties.iter().all(|known| !known.required);
        if nothing_required {
            let names: Vec<&str> = spec.properties.iter().map(|known| known.name).collect();
            let message = format!("`{}` needs at least one of {}", spec.name, names.join(", "));
            report.add(Diagnostic::error("xopero::missing-property", message).at(found.name_span, "says nothing"));
        }
    }
    replaced
}

fn arguments(found: &Node, spec: &NodeSpec, replaced: bool, report: &mut Report) {
    for (index, given) in found.args.iter().enumerate() {
        let last = spec.arguments.last().filter(|last| last.repeated);
        match spec.arguments.get(index).or(last) {
            Some(known) => value(given, known, spec, report),
            None => report.add(
                Diagnostic::error("xopero::extra-argument", format!("`{}` takes {}", spec.name, counted(spec)))
                    .at(given.span, "one too many")
                    .maybe_help(footgun(given).map(str::to_owned)),
            ),
        }
    }
    if let Some(missing) = spec.arguments.get(found.args.len()).filter(|missing| missing.required && !replaced) {
        report.add(
            Diagnostic::error("xopero::missing-argument", format!("`{}` needs a {}", spec.name, missing.name))
                .at(found.name_span, format!("add the {}", missing.name))
                .help(what_to_write(spec)),
        );
    }
}

fn counted(spec: &NodeSpec) -> String {
    match spec.arguments {
        [] => "no argument".to_owned(),
        [one] => format!("one argument, the {}", one.name),
        several => format!("{} arguments", several.len()),
    }
}

fn value(given: &Value, known: &ValueSpec, spec: &NodeSpec, report: &mut Report) {
    if known.kind == ValueKind::Sealed {
        return sealed(given, spec, report);
    }
    if given.annotation.is_some() {
        report.add(
            Diagnostic::error("xopero::unknown-annotation", format!("the {} has no type annotation", known.name))
                .at(given.span, "remove the annotation"),
        );
    }
    if let Some(help) = footgun(given) {
        report
            .add(Diagnostic::error("xopero::unquoted", "this is not what it seems").at(given.span, "here").help(help));
        return;
    }
    if let Some((_, span)) = given.text().filter(|(text, _)| text.contains("${")) {
        report.add(
            Diagnostic::error("xopero::variable", "the language has no variables")
                .at(span, "this stays as it is")
                .help("write the value itself"),
        );
        return;
    }
    let wrong = |expected: &str| {
        Diagnostic::error("xopero::wrong-type", format!("the {} of `{}` must be {expected}", known.name, spec.name))
            .at(given.span, format!("not {expected}"))
    };
    match known.kind {
        ValueKind::Text
        | ValueKind::Duration
        | ValueKind::Date
        | ValueKind::TimeOfDay
        | ValueKind::Percent(..)
        | ValueKind::Url
        | ValueKind::Address => {
            if given.text().is_none() {
                report.add(wrong("a string").help("put it in double quotes"));
            }
        }
        ValueKind::Integer(min, max) => {
            if given.integer().is_none_or(|number| !(min..=max).contains(&number)) {
                report.add(if min == max {
                    wrong(&format!("the number {min}"))
                } else {
                    wrong(&format!("a whole number from {min} to {max}, without quotes"))
                });
            }
        }
        ValueKind::Word(words) => match given.text() {
            None => report.add(wrong("a string").help("put it in double quotes")),
            Some(written) => report.extend(word(written, words, spec)),
        },
        ValueKind::Sealed => {}
    }
}

fn word((text, span): (&str, Span), words: &[Word], spec: &NodeSpec) -> Option<Diagnostic> {
    let Some(word) = words.iter().find(|word| word.name == text) else {
        let built = words.iter().filter(|word| word.availability == Availability::Built);
        let built: Vec<&str> = built.map(|word| word.name).collect();
        let listed =
            if let [only] = built[..] { format!("not {only}") } else { format!("not one of {}", built.join(", ")) };
        let names = words.iter().map(|word| word.name);
        return Some(
            Diagnostic::error("xopero::unknown-word", format!("`{}` does not take {}", spec.name, quoted(text)))
                .at(span, listed)
                .did_you_mean(nearest(text, names), span, in_quotes),
        );
    };
    match word.availability {
        Availability::Built => None,
        Availability::Later(what) => Some(not_built(word.name, what, span)),
    }
}

/// The value is never repeated, whatever it is.
fn sealed(given: &Value, spec: &NodeSpec, report: &mut Report) {
    let text = match &given.scalar {
        Scalar::Text(text) => text.as_str(),
        Scalar::Integer(_) | Scalar::Float | Scalar::Keyword => "",
    };
    if is_age(text) && given.annotation.as_deref() == Some("age") {
        return;
    }
    report.add(if is_age(text) {
        Diagnostic::error("xopero::not-annotated", format!("the sealed {} lacks its annotation", spec.name))
            .at(given.span, "write (age) before it")
    } else {
        Diagnostic::error("xopero::plaintext-secret", format!("the {} is not sealed", spec.name))
            .at(given.span, "not an age ciphertext")
            .help(format!(
                "seal it with `{}`, which reads it from standard input; if a working secret was ever committed here, \
                 revoke it",
                sealing_command(spec)
            ))
    });
}

/// The command that puts a sealed value where this one stands.
fn sealing_command(spec: &NodeSpec) -> String {
    match spec.context.split_once('/').unwrap_or((spec.context, "")) {
        ("alerts", channel) => format!("xopero secrets set alerts/NAME/{channel}/{}", spec.name),
        ("destination", _) => format!("xopero secrets set destination/NAME/{}", spec.name),
        (_, _) => "xopero credential add".to_owned(),
    }
}

/// Whether the text has the form of an age ciphertext, so that it is safe to show.
pub(super) fn is_age(text: &str) -> bool {
    const BASE64_OF_AGE_HEADER: &str = "YWdlLWVuY3J5cHRpb24ub3JnL";
    let text = text.trim();
    let armor =
        text.starts_with("-----BEGIN AGE ENCRYPTED FILE-----") && text.ends_with("-----END AGE ENCRYPTED FILE-----");
    let one_line = text.starts_with(BASE64_OF_AGE_HEADER)
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte));
    armor || one_line
}

/// What KDL accepts but nobody means.
fn footgun(given: &Value) -> Option<&'static str> {
    let (text, _) = given.text().filter(|_| given.bare)?;
    if text.ends_with(':') {
        Some("put the address in double quotes: without them, `//` begins a comment")
    } else if text.ends_with(',') {
        Some("KDL has no commas; separate values with spaces")
    } else if text.starts_with('$') {
        Some("the language has no variables; write the value itself")
    } else {
        None
    }
}

/// The names that nodes of the top level would declare if what they are called were spelt right.
pub(super) fn misspelt(nodes: &[Node]) -> BTreeSet<&str> {
    let top = || schema::children_of("").map(|spec| spec.name);
    let is_misspelt = |node: &&Node| top().all(|name| name != node.name) && nearest(&node.name, top()).is_some();
    nodes.iter().filter(is_misspelt).filter_map(Node::text).map(|(name, _)| name).collect()
}

fn unknown_node(found: &Node, context: &str) -> Diagnostic {
    let place = if context.is_empty() { "at the top level".to_owned() } else { format!("in `{context}`") };
    let here: Vec<&str> = schema::children_of(context).map(|spec| spec.name).collect();
    let elsewhere = schema::SCHEMA.iter().find(|spec| spec.name == found.name).map(|spec| {
        let place =
            if spec.context.is_empty() { "at the top level".into() } else { format!("inside `{}`", spec.context) };
        format!("`{}` belongs {place}", spec.name)
    });
    let meant = nearest(&found.name, here.iter().copied()).filter(|_| elsewhere.is_none());
    let known = if here.is_empty() { None } else { Some(format!("known here: {}", here.join(", "))) };
    Diagnostic::error("xopero::unknown-node", format!("there is no node {} {place}", quoted(&found.name)))
        .at(found.name_span, "unknown")
        .maybe_help(elsewhere.or(known))
        .did_you_mean(meant, found.name_span, str::to_owned)
}

fn unknown_property(property: &Property, spec: &NodeSpec) -> Diagnostic {
    let names = spec.properties.iter().map(|known| known.name);
    let message = format!("`{}` has no property {}", spec.name, quoted(&property.name));
    let path = spec.path();
    let child = nearest(&property.name, schema::children_of(&path).map(|child| child.name))
        .map(|child| format!("write it as a node of its own, in the block: {child} …"));
    Diagnostic::error("xopero::unknown-property", message)
        .at(property.name_span, "unknown")
        .maybe_help(child)
        .did_you_mean(nearest(&property.name, names), property.name_span, str::to_owned)
}

fn missing_node(spec: &NodeSpec, parent: Option<&Node>) -> Diagnostic {
    let (message, span) = match parent {
        Some(parent) => {
            let name = parent.text().map(|(name, _)| format!(" {}", quoted(name))).unwrap_or_default();
            (format!("`{}`{name} has no `{}`", parent.name, spec.name), parent.name_span)
        }
        None => (format!("the file has no `{}`", spec.name), Span::default()),
    };
    let diagnostic = Diagnostic::error("xopero::missing-node", message).at(span, format!("add `{}`", spec.name));
    if spec.name == "credential" {
        // It holds a sealed value, which nobody writes by hand.
        let project = parent.and_then(Node::text).map_or("PROJECT", |(key, _)| key);
        let project = if project.bytes().all(|byte| byte.is_ascii_alphanumeric()) { project } else { "PROJECT" };
        return diagnostic
            .help(format!("seal a token and put it here: xopero credential add {project} --account NAME"));
    }
    diagnostic.help(what_to_write(spec))
}

/// An example of a node, and what it means.
fn what_to_write(spec: &NodeSpec) -> String {
    format!("write `{}`. {}", example(spec), spec.docs)
}

fn not_built(name: &str, what: &str, span: Span) -> Diagnostic {
    Diagnostic::error("xopero::not-built-yet", format!("`{name}` is not built yet in this version of xopero"))
        .at(span, "known, but refused")
        .help(format!("remove it; the file is refused rather than half obeyed (it is for {what})"))
}
