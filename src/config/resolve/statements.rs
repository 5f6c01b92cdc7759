//! What was moved or retired: statements must not contradict what is declared, or each other.

use std::collections::{BTreeMap, BTreeSet};

use super::super::decode::{Draft, DraftMove};
use super::super::document::in_quotes;
use super::super::error::{Diagnostic, Report, Span};
use super::super::suggest::nearest;
use crate::model::Address;

/// Reports statements that cannot be true. `places` are those of everything that is declared.
pub(super) fn check(draft: &Draft, places: &BTreeMap<Address, Span>, report: &mut Report) {
    let mut sources: BTreeMap<&Address, &DraftMove> = BTreeMap::new();
    let mut targets: BTreeMap<&Address, Span> = BTreeMap::new();
    for moved in &draft.moved {
        let (from, to) = (&moved.from, &moved.to);
        if let Some(first) = sources.get(&from.value) {
            report.add(twice("moved", &from.value, from.span, first.from.span));
            continue;
        }
        sources.insert(&from.value, moved);
        match targets.get(&to.value) {
            Some(first) => report.add(
                Diagnostic::error("xopero::two-into-one", format!("two things cannot both become {}", to.value))
                    .at(to.span, "again here")
                    .at(*first, "already here"),
            ),
            None => {
                targets.insert(&to.value, to.span);
            }
        }
        if from.value.kind() != to.value.kind() {
            report.add(
                Diagnostic::error(
                    "xopero::other-kind",
                    format!("a {} cannot become a {}", from.value.kind(), to.value.kind()),
                )
                .at(to.span, format!("a {}", to.value.kind()))
                .at(from.span, format!("a {}", from.value.kind())),
            );
        }
        still_declared("moved", &from.value, from.span, places, report);
    }
    let mut retired: BTreeMap<&Address, Span> = BTreeMap::new();
    for one in &draft.retired {
        if let Some(first) = retired.get(&one.value) {
            report.add(twice("retired", &one.value, one.span, *first));
            continue;
        }
        retired.insert(&one.value, one.span);
        still_declared("retired", &one.value, one.span, places, report);
        if let Some(moved) = sources.get(&one.value) {
            report.add(
                Diagnostic::error("xopero::moved-and-retired", format!("{} was moved, not retired", one.value))
                    .at(one.span, "retired here")
                    .at(moved.from.span, "moved here")
                    .help(format!("to retire it under its new name write: retired \"{}\"", moved.to.value)),
            );
        }
    }
    for moved in sources.values() {
        arrives(moved, &sources, &retired, places, report);
    }
}

/// Whether the way that begins with `moved` ends at something that is there, or was retired under its last name.
fn arrives(
    moved: &DraftMove,
    sources: &BTreeMap<&Address, &DraftMove>,
    retired: &BTreeMap<&Address, Span>,
    places: &BTreeMap<Address, Span>,
    report: &mut Report,
) {
    let mut passed = BTreeSet::from([&moved.from.value]);
    let mut last = moved;
    while let Some(next) = sources.get(&last.to.value) {
        if !passed.insert(&next.from.value) {
            // Every statement of a circle lies on it: the first one in the file tells.
            let first = passed.iter().filter_map(|address| sources.get(*address)).map(|one| one.from.span).min();
            if first == Some(moved.from.span) {
                report.add(
                    Diagnostic::error(
                        "xopero::moved-in-a-circle",
                        format!("{} is moved in a circle", moved.from.value),
                    )
                    .at(moved.to.span, "leads back")
                    .at(moved.from.span, "to here"),
                );
            }
            return;
        }
        last = next;
    }
    // Where it is moved on, the last statement of the way tells.
    if !std::ptr::eq(last, moved) || places.contains_key(&moved.to.value) || retired.contains_key(&moved.to.value) {
        return;
    }
    let kind = moved.to.value.kind();
    let known: Vec<&str> = places.keys().filter(|address| address.kind() == kind).map(Address::as_str).collect();
    report.add(
        Diagnostic::error("xopero::unknown-name", format!("there is no {}", moved.to.value))
            .at(moved.to.span, "not declared")
            .help("what was moved must be declared under its new name")
            .did_you_mean(nearest(moved.to.value.as_str(), known), moved.to.span, in_quotes),
    );
}

fn still_declared(what: &str, address: &Address, span: Span, places: &BTreeMap<Address, Span>, report: &mut Report) {
    if let Some(place) = places.get(address) {
        report.add(
            Diagnostic::error("xopero::still-declared", format!("{address} is {what} and declared"))
                .at(span, format!("{what} here"))
                .at(
                    Span { end: place.start.saturating_add(address.kind().len()).min(place.end), ..*place },
                    "declared here",
                )
                .help("remove one of them"),
        );
    }
}

fn twice(what: &str, address: &Address, span: Span, first: Span) -> Diagnostic {
    Diagnostic::error("xopero::duplicate", format!("{address} is {what} twice"))
        .at(span, "again here")
        .at(first, "already here")
}
