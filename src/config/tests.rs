//! The language as a whole: the examples and mutations of them.

mod generated;
mod grammar;

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::document::Node;
use super::error::Report;
use super::load::tree;
use super::schema::{Availability, NodeSpec, SCHEMA, ValueKind, Word};
use super::*;
use crate::model::{
    Address, CredentialKind, CredentialName, CredentialRole, DestinationName, PlanName, PlanRetention, PlannedProject,
    ProjectSelector, RetentionName, Sealed, ServerName,
};

const COMPLETE: &str = include_str!("../../examples/complete.kdl");
/// The main file of the example in several files.
const SPLIT: &str = include_str!("../../examples/split/xopero.kdl");
/// The file that it includes.
const TEAM: &str = include_str!("../../examples/split/teams/payments.kdl");
const MINIMAL: &str = include_str!("../../examples/minimal.kdl");

fn file(text: impl Into<String>) -> SourceFile {
    SourceFile { name: "xopero.kdl".into(), text: text.into() }
}

fn alone(text: impl Into<String>) -> Sources {
    Sources::alone(file(text))
}

fn decoded(text: &str) -> Decoded {
    let sources = alone(text);
    decode(&sources).unwrap_or_else(|invalid| panic!("{}", render(&sources, &invalid.diagnostics, false, 100)))
}

fn invalid(text: &str) -> Vec<Diagnostic> {
    decode(&alone(text)).map(|decoded| decoded.declaration).unwrap_err().diagnostics
}

fn project() -> ProjectSelector {
    ProjectSelector::new("PAY").unwrap()
}

fn extra(name: &str) -> CredentialRole {
    CredentialRole::Additional(CredentialName::new(name).unwrap())
}

#[test]
fn the_complete_example_says_what_it_says() {
    let Decoded { declaration, warnings, places } = decoded(COMPLETE);
    assert_eq!(warnings, []);
    assert_eq!(declaration.recipients.len(), 2);
    let server = &declaration.servers[&ServerName::new("bb").unwrap()];
    assert_eq!(server.url.origin(), "https://bitbucket.example.com");
    assert_eq!((server.timeout.as_secs(), server.concurrency.listing, server.concurrency.packs), (360, 8, 2));
    let pay = &declaration.projects[&project()];
    assert_eq!(pay.main.account.as_str(), "svc-backup");
    assert_eq!(pay.main.expires, Some(jiff::civil::date(2027, 3, 1)));
    assert_eq!(pay.additional.len(), 2);
    assert_eq!(pay.credential(&extra("extra-2")).unwrap().kind, CredentialKind::Password);
    let nightly = &declaration.plans[&PlanName::new("nightly").unwrap()];
    let PlannedProject { include, exclude, enabled_credentials } = &nightly.projects[&project()];
    assert_eq!((include.len(), exclude.len(), enabled_credentials.len()), (1, 2, 2));
    assert_eq!(nightly.retention, PlanRetention::Named(RetentionName::new("gfs").unwrap()));
    assert!(nightly.destinations.contains(&DestinationName::new("nas").unwrap()));
    let hot = &declaration.plans[&PlanName::new("hot").unwrap()];
    assert_eq!(hot.schedule.as_ref().unwrap().cron.time_zone, "UTC");
    assert!(
        matches!(&hot.retention, PlanRetention::Own(own) if own.keep.hourly == 48 && own.grace.as_secs() == 86_400)
    );
    assert!(declaration.never_enabled().is_empty());
    for (address, place) in &places {
        let line = COMPLETE.lines().nth(place.line - 1).unwrap();
        let start: String = line.chars().skip(place.column - 1).collect();
        let name = if address.as_str().ends_with("/main") {
            "credential"
        } else {
            address.as_str().rsplit('/').next().unwrap()
        };
        assert!(start.contains(name), "{address}: {line}");
        assert!(COMPLETE[place.span.start..].starts_with(&start));
    }
    assert_eq!(places.len(), 19);
}

#[test]
fn the_minimal_example_has_defaults() {
    let Decoded { declaration, warnings, .. } = decoded(MINIMAL);
    assert_eq!(warnings, []);
    let plan = &declaration.plans[&PlanName::new("nightly").unwrap()];
    assert_eq!(plan.projects[&project()].include[0].as_str(), "*");
    assert!(plan.schedule.is_none());
    assert!(matches!(&plan.retention, PlanRetention::Own(own) if own.grace.as_secs() == 7 * 86_400));
    assert_eq!(decoded(&format!("\u{feff}{}", MINIMAL.replace('\n', "\r\n"))).declaration, declaration);
}

fn nodes(text: &str) -> Vec<Node> {
    tree(text, &mut Report::default()).unwrap()
}

fn each<'a>(nodes: &'a [Node], context: &str, visit: &mut impl FnMut(&str, &'a Node)) {
    for node in nodes {
        let path = if context.is_empty() { node.name.clone() } else { format!("{context}/{}", node.name) };
        visit(&path, node);
        each(node.children(), &path, visit);
    }
}

#[test]
fn the_examples_use_every_built_row_of_the_table() {
    let mut used = BTreeSet::new();
    each(&[nodes(COMPLETE), nodes(SPLIT), nodes(TEAM)].concat(), "", &mut |path, node| {
        used.insert(path.to_owned());
        used.extend(node.props.iter().map(|property| format!("{path} {}=", property.name)));
    });
    let variants = ["project/credential/password", "project/additional-credential/password"];
    for row in SCHEMA.iter().filter(|row| row.availability == Availability::Built) {
        // A credential has a token or a password; each is used once.
        let used_as_variant = variants.contains(&row.path().as_str()) && used.contains(variants[1]);
        assert!(used.contains(&row.path()) || used_as_variant, "{}", row.path());
        for word in row.arguments.iter().flat_map(|argument| words(argument.kind)) {
            let quoted = format!("\"{}\"", word.name);
            let told = COMPLETE.lines().map(str::trim_start).any(|line| {
                line.strip_prefix(row.name).is_some_and(|rest| rest.starts_with(' ') && rest.contains(&quoted))
            });
            let interval = row.name == "verify";
            assert!(told || interval || word.availability != Availability::Built, "{} {}", row.path(), word.name);
        }
        for property in row.properties.iter().filter(|property| property.availability == Availability::Built) {
            // Whatever is sealed can be in a file; one is.
            let in_a_file = property.name == "file" && used.contains("project/credential/token file=");
            if row.path() != "plan/retention/keep" && !in_a_file && used.contains(&row.path()) {
                assert!(
                    used.contains(&format!("{} {}=", row.path(), property.name)),
                    "{} {}",
                    row.path(),
                    property.name
                );
            }
        }
    }
}

fn replaced(text: &str, span: Span, by: &str) -> String {
    format!("{}{by}{}", &text[..span.start], &text[span.end..])
}

/// A text with one mistake in it.
struct Mutation {
    text: String,
    /// The node that was mutated; for one that was taken out, the node that it was in.
    within: Span,
    what: String,
}

impl Mutation {
    fn new(text: String, within: Span, what: impl Into<String>) -> Self {
        Self { text, within, what: what.into() }
    }

    /// At least one error lies in the node that was mutated.
    fn assert_refused(&self) {
        let found = invalid(&self.text);
        let inside = |found: &Diagnostic| found.labels.iter().any(|label| self.within.contains(label.span));
        let refused = found.iter().any(|one| one.severity == Severity::Error && inside(one));
        assert!(refused, "{}: {found:?}\n{}", self.what, self.text);
    }
}

/// Every single mutation of a valid text: something dropped, renamed, of another type, too much, or twice.
fn mutations(valid: &str) -> Vec<Mutation> {
    let tree = nodes(valid);
    let mut all = Vec::new();
    each(&tree, "", &mut |path, node| {
        let row = SCHEMA.iter().find(|row| row.path() == path).unwrap();
        let mut add = |text: String, what: &str| {
            let within = Span::new(node.span.start, node.span.end + text.len().saturating_sub(valid.len()));
            all.push(Mutation::new(text, within, format!("{what} {path}")));
        };
        add(replaced(valid, node.name_span, "zzzzzzzzzzzzzz"), "unknown node");
        add(replaced(valid, node.name_span, &format!("{}x", node.name)), "misspelt");
        let end = Span::new(node.name_span.end, node.name_span.end);
        add(replaced(valid, end, " zzz=1"), "unknown property");
        let head = node.args.iter().map(|value| value.span.end).fold(node.name_span.end, usize::max);
        if !row.arguments.last().is_some_and(|last| last.repeated) && path != "plan/retention" {
            add(replaced(valid, Span::new(head, head), " \"extra\""), "extra argument");
        }
        for (index, value) in node.args.iter().enumerate() {
            add(replaced(valid, value.span, "#null"), "wrong type");
            add(replaced(valid, value.span, "\"\u{7}:\""), "wrong text");
            let known = row.arguments.get(index).or(row.arguments.last()).unwrap();
            if known.required && node.args.len() == 1 && known.kind != ValueKind::Sealed {
                add(replaced(valid, value.span, ""), "missing argument");
            }
        }
        for property in &node.props {
            add(replaced(valid, property.value.span, "#true"), "wrong type of property");
            let twice = format!("{}=1 {}", property.name, &valid[property.name_span.start..property.name_span.end]);
            add(replaced(valid, property.name_span, &twice), "duplicate property");
            if row.properties.iter().any(|known| known.name == property.name && known.required) {
                let whole = Span::new(property.name_span.start, property.value.span.end);
                add(replaced(valid, whole, ""), "missing property");
            }
        }
        if row.max == 1 || row.arguments.first().is_some_and(|argument| argument.required) && path != "plan/parts" {
            let text = &valid[node.span.start..node.span.end];
            add(replaced(valid, node.span, &format!("{text}\n{text}")), "duplicate");
        }
    });
    let is_only = |siblings: &[Node], child: &Node, path: &str| {
        let row = SCHEMA.iter().find(|row| row.path() == path).unwrap();
        row.min > 0 && siblings.iter().filter(|other| other.name == child.name).count() == 1
    };
    for child in tree.iter().filter(|child| is_only(&tree, child, &child.name)) {
        all.push(Mutation::new(
            replaced(valid, child.span, ""),
            Span::new(0, valid.len()),
            format!("missing {}", child.name),
        ));
    }
    each(&tree, "", &mut |path, node| {
        for child in node.children() {
            let path = format!("{path}/{}", child.name);
            if is_only(node.children(), child, &path) {
                all.push(Mutation::new(replaced(valid, child.span, ""), node.span, format!("missing {path}")));
            }
        }
    });
    all
}

#[test]
fn every_single_mutation_is_refused_at_its_place() {
    let all = mutations(COMPLETE);
    assert!(all.len() > 250, "{}", all.len());
    all.iter().for_each(Mutation::assert_refused);
}

/// The words that a value can be.
fn words(kind: ValueKind) -> &'static [Word] {
    match kind {
        ValueKind::Word(words) => words,
        ValueKind::Text
        | ValueKind::Integer(..)
        | ValueKind::Duration
        | ValueKind::Date
        | ValueKind::TimeOfDay
        | ValueKind::Percent(..)
        | ValueKind::Url
        | ValueKind::Address
        | ValueKind::Sealed => &[],
    }
}

#[test]
fn what_is_not_built_is_refused_at_its_place() {
    let later = |availability| availability != Availability::Built;
    let values = |row: &'static NodeSpec| row.arguments.iter().chain(row.properties);
    // Words of `parts` are all that is left; whoever plans more says here how it is written.
    assert!(SCHEMA.iter().all(|row| !later(row.availability) && values(row).all(|value| !later(value.availability))));
    let mut refused = Vec::new();
    for row in SCHEMA {
        for word in values(row).flat_map(|value| words(value.kind)).filter(|word| later(word.availability)) {
            assert_eq!(row.path(), "plan/parts", "{}", word.name);
            let text = COMPLETE.replacen("parts \"git\"\n", &format!("parts \"git\" \"{}\"\n", word.name), 1);
            assert_ne!(text, COMPLETE);
            let found = invalid(&text);
            assert_eq!(found.iter().map(|d| d.code).collect::<Vec<_>>(), ["xopero::not-built-yet"], "{found:?}");
            let Span { start, end, .. } = found[0].labels[0].span;
            assert_eq!(text[start..end], format!("\"{}\"", word.name));
            refused.push(word.name);
        }
    }
    assert_eq!(refused, ["lfs", "pull-requests", "settings", "permissions"]);
}

fn codes(text: &str) -> Vec<&'static str> {
    invalid(text).iter().map(|found| found.code).collect()
}

fn minimal_with(from: &str, to: &str) -> String {
    let text = MINIMAL.replacen(from, to, 1);
    assert_ne!(text, MINIMAL, "{from}");
    text
}

#[test]
fn names_must_resolve_with_a_suggestion() {
    for (from, to, help) in [
        ("server=\"bb\"", "server=\"bbb\"", "did you mean `bb`?"),
        ("    project \"PAY\"", "    project \"PAI\"", "did you mean `PAY`?"),
        ("    destination \"nas\"", "    destination \"elsewhere\"", "declared: nas"),
    ] {
        let found = invalid(&minimal_with(from, to));
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!((found[0].code, found[0].help.as_deref()), ("xopero::unknown-name", Some(help)));
    }
    let text = COMPLETE.replace("retention \"gfs\"\n", "retention \"gsf\"\n");
    assert_eq!(codes(&text), ["xopero::unknown-name"]);
    let text = COMPLETE.replace("\"extra-1\" \"extra-2\"", "\"extra-3\"");
    assert_eq!(codes(&text), ["xopero::unknown-name"]);
    // A broken server is blamed once; the project that refers to it is not.
    let text = minimal_with("https://bitbucket.example.com", "http://bitbucket.example.com");
    assert_eq!(codes(&text), ["xopero::invalid-url"]);
}

#[test]
fn what_is_probably_not_meant_is_a_warning() {
    let text = COMPLETE.replace("account=\"svc-backup-1\"", "account=\"svc-backup\"");
    let warnings = decoded(&text).warnings;
    // Project OPS has the same credentials.
    assert_eq!(warnings.iter().map(|found| found.code).collect::<Vec<_>>(), ["xopero::same-account"; 2]);
    assert!(warnings.iter().all(|found| found.labels.len() == 2));
    let recipient = MINIMAL.split('"').nth(1).unwrap();
    let backups = MINIMAL.split("encrypt-to \"").nth(1).unwrap().split('"').next().unwrap();
    let warnings = decoded(&MINIMAL.replace(backups, recipient)).warnings;
    assert_eq!(warnings.iter().map(|found| found.code).collect::<Vec<_>>(), ["xopero::same-recipients"]);
    let text = COMPLETE.replace(" \"extra-2\"  ", "  ").replace("\"extra-1\" \"extra-2\"", "\"extra-1\"");
    let unused = decoded(&text).declaration.never_enabled();
    assert_eq!(unused, [Address::credential(&project(), &extra("extra-2"))]);
}

#[test]
fn a_plain_secret_is_refused_and_never_shown() {
    let sealed = MINIMAL.find("token (age)").unwrap();
    let end = MINIMAL.find("\"\"\"#").unwrap() + 4;
    for written in [
        "token \"SECRET\"",
        "token (age)\"SECRET\"",
        "tokn \"SECRET\"",
        "token SECRET",
        "token (age)\"SECRET",
        "password #\"SECRET\"#",
        "token 7SECRET",
    ] {
        let file = alone(replaced(MINIMAL, Span::new(sealed, end), written));
        let found = decode(&file).map(|decoded| decoded.declaration).unwrap_err();
        let shown = format!("{} {found} {found:?}", render(&file, &found.diagnostics, false, 100));
        assert!(!shown.contains("SECRET"), "{shown}");
        let json: Vec<_> = found.diagnostics.iter().map(|found| to_json(&file, found).to_string()).collect();
        assert!(!json.concat().contains("SECRET"), "{json:?}");
    }
}

#[test]
fn the_traps_of_kdl_have_their_own_help() {
    for (from, to, expected) in [
        ("url \"https://bitbucket.example.com\"", "url https://bitbucket.example.com", "double quotes"),
        ("keep last=30", "keep last=30, daily=3", "no commas"),
        ("project \"PAY\"\n    parts \"git\"", "project \"PAY\"\n    parts git, lfs", "no commas"),
        ("local \"backups\"", "local ${BACKUPS}", "no variables"),
        ("xopero schema=1", "xopero schema=2", "knows version 1"),
        ("keep last=30", "keep last=true", "#true"),
    ] {
        let found = invalid(&minimal_with(from, to));
        assert!(format!("{found:?}").contains(expected), "{to}: {found:?}");
    }
}

#[test]
fn all_problems_come_in_one_report() {
    let text = minimal_with("url ", "urll ")
        .replace("parts \"git\"", "parts \"gti\"")
        .replace("server=\"bb\"", "server=\"xx\"");
    assert_eq!(codes(&text), ["xopero::unknown-node", "xopero::unknown-name", "xopero::unknown-word"]);
    let many = "zzz\n".repeat(500);
    assert_eq!(invalid(&many).len(), 50);
    assert_eq!(codes(""), ["xopero::missing-node", "xopero::missing-node"]);
}

#[test]
fn hostile_files_are_diagnostics() {
    for text in [
        "a {".repeat(700),
        "/*".repeat(1000),
        "\"".to_owned(),
        "{".repeat(60),
        "(((((".to_owned(),
        "/-".repeat(900),
        "\u{0}".to_owned(),
        "a \\".repeat(500),
        "#".repeat(3000),
        "=".repeat(64 * 1024),
        "[ ".repeat(32 * 1024),
        "a {}".repeat(8 * 1024),
        ";".repeat(64 * 1024),
        "a 7d\n".repeat(8 * 1024),
        "N “\u{0}“".to_owned(),
        "BBDC-nation".to_owned(),
        "a 1, ".to_owned() + &", ".repeat(16 * 1024),
    ] {
        let file = alone(text);
        let found = invalid(&file.main().text);
        assert!(!found.is_empty());
        let shown = render(&file, &found, true, 80);
        assert!(!shown.is_empty() && !shown.contains("BBDC-"));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_damage_to_a_file_stops_the_reader(at in 0..COMPLETE.len(), length in 0..200usize, by in "[{}\"#/*\\\\\n=(); a]{0,6}") {
        let (start, end) = (COMPLETE.floor_char_boundary(at), COMPLETE.floor_char_boundary(at + length));
        let file = alone(replaced(COMPLETE, Span::new(start, end), &by));
        if let Err(invalid) = decode(&file) {
            prop_assert!(!invalid.diagnostics.is_empty());
            let shown = render(&file, &invalid.diagnostics, false, 80);
            prop_assert!(!shown.is_empty());
        }
    }
}

fn sealed() -> Sealed {
    decoded(MINIMAL).declaration.projects[&project()].main.sealed.clone()
}
